"""A few mutants of the engine's text, each caught in seconds; `make mutants` judges two hundred that are drawn."""

import pytest
from drawn import ROOT, Mutant, draw, every
from judged import Tree

# Of each: file, what stands there once, what a mutant has instead, what says so.
SAMPLE = [
    ("templates/c/kernel.c.j2", "ended - S * n,", "ended,", "wrong numbers"),
    ("templates/c/segments.c.j2", "own.workspace = p + w.backward;", ";", "wrong numbers"),
    ("templates/c/steps.j2", "after = t < T ? rows_at(a, t + 1)", "after = t < T ? rows_at(a, t)", "wrong numbers"),
    ("templates/c/gemm.h.j2", "if (add) v += load(c + r * ldc", "v += load(c + r * ldc", "wrong numbers"),
    ("templates/c/team.h.j2", "a->rows[t - 1], SIZE_B(a)", "a->rows[0], SIZE_B(a)", "wrong numbers"),
    ("templates/c/vectors.h.j2", "part[k] += part[k + width]", "part[k] -= part[k + width]", "wrong numbers"),
    ("derive/passes/lower/stages.py", "if level[n] == number]", "if level[n] != number]", "a verifier"),
    ("derive/backends/c/contractions.py", "== first.slot + count", "!= first.slot + count", "a verifier"),
    ("derive/backends/c/addresses.py", "room = int(place.neighbour)", "room = int(not place.neighbour)", "a verifier"),
    ("derive/passes/batch.py", "if not tensor.batched", "if tensor.batched", "an exception"),
    ("derive/passes/storage.py", 'kind == "tape" and name in', 'kind == "tape" and name not in', "a verifier"),
    ("derive/runtime/core/spec.py", "self.factor * dims[self.dim]", "self.factor + dims[self.dim]", "wrong numbers"),
    ("derive/runtime/core/runner.py", "pointer + offset if offset", "pointer - offset if offset", "wrong numbers"),
    ("derive/runtime/numpy/ragged.py", "[start:end][::-1] for", "[start:end] for", "wrong numbers"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    pytest.importorskip("derive.generated.lstm")
    work = tmp_path_factory.mktemp("mutants")
    made = Tree(work / "tree", work / "base", cells=(("layers", "two"),))
    made.emit()
    return made


def mutant(path, old, new):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}: choose another place"
    start = text.index(old)
    area = "templates" if path.endswith(".j2") else "runtime" if "runtime" in path else "passes"
    return Mutant(area, path, "by hand", start, start + len(old), new, 0, f"{old} -> {new}")


@pytest.mark.parametrize(("path", "old", "new", "how"), SAMPLE, ids=[row[0] for row in SAMPLE])
def test_a_mutant_is_caught(tree, path, old, new, how):
    verdict = tree.judge(mutant(path, old, new), tests=False)
    crashes = how == "wrong numbers" and verdict.how == "a signal"  # what lies before an array may be any other array's
    assert verdict.how == how or crashes, verdict


def test_what_changes_nothing_is_not_caught(tree):
    """A blank more, in a template and in the runtime."""
    for path, old in (
        ("templates/c/gemm.h.j2", "if (add) v += "),
        ("derive/runtime/core/spec.py", "return self.factor * "),
    ):
        verdict = tree.judge(mutant(path, old, f"{old} "), tests=False)
        assert (verdict.caught, verdict.changed) == ("", [])


def test_a_tree_is_afterwards_what_it_was(tree):
    for path, *_ in SAMPLE:
        assert (tree.folder / path).read_bytes() == (ROOT / path).read_bytes()


def test_a_seed_is_one_draw_of_every_area():
    drawn = draw(200, 0)
    assert drawn == draw(200, 0) and len(set(drawn)) == 200
    assert [m for m in draw(200, 1) if m in drawn] != drawn
    assert {m.area for m in drawn} == {"templates", "passes", "runtime"}


@pytest.mark.parametrize("area", ["passes", "runtime"])
def test_every_mutant_of_python_is_python(area):
    for found in every(area):
        compile(found.applied((ROOT / found.path).read_text(encoding="utf-8")), found.path, "exec")
