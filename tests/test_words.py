"""Words: docs/glossary.md fixes them, and what they replaced stays out of code, texts of generated files and pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")

# An older word, as a pattern that stands between non-letters, and what is said in its place.  Underscores separate words.
REPLACED = {
    r"meetings?": "barrier",
    r"patience": "spin limit (of a barrier), limit",
    r"to and fro": "serpentine traversal",
    r"reducing products?": "weight gradient",
    r"judge": "objective (the program of a loss)",
    r"homes?": "location",
    r"nobody|anybody|whoever": "say who",
    r"crews?": "thread pool",
    r"abreast": "as a gang",
    r"hired?": "start",
    r"struct share": "team",
    r"LARGER|SMALLER": "MAX, MIN",
    r"ir\.(meet|within|reach)": "intersect, contains, support",
}
CASED = {r"LARGER|SMALLER"}  # elsewhere these are ordinary words

# Where an older word means something else, or is a name of the C interface: folder or file, pattern, reason.
ALLOWED = {
    ("derive/notation/reserved.py", r"meetings?"): "a field of the C interface",
    ("derive/runtime/core", r"meetings?"): "a field of the C interface",
    ("tests/emit", r"meetings?"): "a field of the C interface",
    ("tests/module", r"meetings?"): "a field of the C interface",
    ("tests/build/test_custom_cells.py", r"meetings?"): "a field of the C interface",
    ("derive/toolchain/cache/folder.py", r"homes?"): "the home folder of a user",
    ("derive/cli/cache.py", r"homes?"): "the home folder of a user",
    ("derive/doctor", r"homes?"): "the home folder of a user",
    ("docs/building.md", r"homes?"): "the home folder of a user",
    ("docs/commands.md", r"homes?"): "the home folder of a user",
    ("tests/cli/test_doctor.py", r"homes?"): "the home folder of a user",
    ("tests/build/test_cache.py", r"homes?"): "the home folder of a user",
    ("tests/emit/test_c_rules.py", r"homes?"): "a folder of the system",
    ("tests/mutants", r"judge"): "gives a verdict on a mutant",
    ("tests/campaign", r"judge"): "gives a verdict on a random cell",
    ("templates/c", r"meetings?"): "a field of the C interface",
    ("docs/glossary.md", r"meetings?"): "says what the C interface calls a barrier",
}


def files() -> list[str]:
    found = [p for folder in ("derive", "benchmarks", "tests") for p in (ROOT / folder).rglob("*.py")]
    found += [p for p in (ROOT / "templates").rglob("*") if p.suffix in (".j2", ".txt", ".css", ".js")]
    found += [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
    found += [ROOT / "setup.py", ROOT / "Makefile"]
    paths = {p.relative_to(ROOT).as_posix() for p in found if p != Path(__file__)}
    return sorted(
        p for p in paths if not p.startswith(("derive/generated/", "derive/templates/", "templates/html/katex/"))
    )


def below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def old_words(path: str) -> list[tuple[int, str, str]]:
    """(line, pattern, what stands there) of each older word of a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = []
    for pattern in REPLACED:
        case = 0 if pattern in CASED else re.IGNORECASE
        for hit in re.finditer(rf"(?<![^\W_])(?:{pattern})(?![^\W_])", text, case):
            found.append((text.count("\n", 0, hit.start()) + 1, pattern, hit[0]))
    return found


FILES = files()


def test_an_old_word_is_found_in_names_and_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("the_meeting = 1\n# Nobody goes\nsteamed = homely = judged = larger\n")
    assert [(line, word) for line, _, word in old_words("a.py")] == [(1, "meeting"), (2, "Nobody")]


@pytest.mark.parametrize("path", FILES)
def test_a_file_has_the_words_of_the_glossary(path: str) -> None:
    for line, pattern, word in old_words(path):
        assert any(below(path, (place,)) for place, allowed in ALLOWED if allowed == pattern), (
            f"{path}:{line}: {word!r}; docs/glossary.md has instead: {REPLACED[pattern]}"
        )


@pytest.mark.parametrize(("place", "pattern"), ALLOWED)
def test_what_is_allowed_is_needed(place: str, pattern: str) -> None:
    found = [hit for path in FILES if below(path, (place,)) for hit in old_words(path)]
    assert any(allowed == pattern for _, allowed, _ in found), f"no {pattern} in {place} any more: take out the row"


ROWS = re.findall(r"^\| ((?!word \||---)[^|]+) \| (.+) \| `([^`]+)`(?: `([^`]+)`)? \|$", GLOSSARY, re.MULTILINE)


@pytest.mark.parametrize(("word", "meaning", "path", "name"), ROWS, ids=[row[0] for row in ROWS])
def test_a_word_of_the_glossary_is_where_it_says(word: str, meaning: str, path: str, name: str) -> None:
    assert (ROOT / path).exists(), f"{word}: there is no {path}"
    assert re.search(rf"(?<![^\W_]){re.escape(name)}", (ROOT / path).read_text(encoding="utf-8")), (
        f"no {name} in {path}"
    )


def test_every_row_of_the_glossary_is_read_and_no_word_is_there_twice() -> None:
    rows = re.findall(r"^\| (?!word \||---)", GLOSSARY, re.MULTILINE)
    assert len(rows) == len(ROWS) > 50
    words = [word for row in ROWS for word in row[0].split(", ")]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    "words", sorted({word for word in REPLACED.values() if word not in ("say who", "start", "MAX, MIN")})
)
def test_what_replaces_an_old_word_is_in_the_glossary(words: str) -> None:
    known = {word for row in ROWS for word in row[0].split(", ")}
    first = re.split(r" \(|, ", words)[0]
    assert first in known or first == "as a gang", f"docs/glossary.md has no row for {first}"
