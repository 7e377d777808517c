"""The texts: two languages with the same keys, and statements that follow from the cell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from document_tools import CELLS, derivation, found, rows, written

from derive import document
from derive.document import messages, structure, worked
from derive.document.sections.steps import groups
from derive.errors import DeriveError
from derive.passes.adjoint import vjp
from derive.rendering import ROOT, templates


def test_languages_have_the_same_messages_with_the_same_slots():
    english, chinese = messages.table("en"), messages.table("zh")
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert messages.slots(text) == messages.slots(chinese[key]), key
        assert text and chinese[key], key
        formulas = [sorted(re.findall(r"\$([^$]*)\$", t)) for t in (text, chinese[key])]
        assert all(t.count("$") % 2 == 0 for t in (text, chinese[key])), key
        assert all(f in " ".join(formulas[1]) for f in formulas[0] if "\\partial" in f), key


def test_every_message_is_used():
    used = " ".join(p.read_text(encoding="utf-8") for p in (ROOT / "derive" / "document").rglob("*.py"))
    used += " ".join(p.read_text(encoding="utf-8") for p in (templates() / "html").glob("*.j2"))
    used += (templates() / "latex" / "document.tex.j2").read_text(encoding="utf-8")
    for key in messages.table("en"):
        head, _, last = key.rpartition(".")
        said = f'"{key}"' in used or f'"{head}.{{' in used or f'f"{head.rpartition(".")[0]}.{{' in used
        assert said or f'"{last}"' in used or f"'{last}'" in used, f"no section says {key}"


def test_an_unknown_language_is_an_error_that_lists_those_that_there_are():
    with pytest.raises(DeriveError, match="en, zh"):
        document.document(found("rnn"), lang="de")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_equations_are_the_same_in_both_languages(lang):
    assert [(r.lhs, r.parts, r.id) for r in rows("lstm", lang)] == [(r.lhs, r.parts, r.id) for r in rows("lstm", "en")]


@pytest.mark.parametrize("name", [*CELLS, "minimal"])
def test_every_step_of_the_log_is_there_once(name):
    d = derivation(name)
    seen = [s.id for group in groups(d) for s in group]
    assert sorted(seen, key=lambda s: int(s[1:])) == [s.id for s in vjp(d.primal).steps]
    text = written(name, "text")
    for step in d.derived.steps:
        assert re.search(rf"^(  )?{step.id}\b", text, re.MULTILINE), step.id


def test_gates_of_one_kind_are_derived_once():
    sizes = sorted(len(group) for group in groups(derivation("lstm")))
    assert sizes.count(4) == 5  # x, W, U, b and h of the four products
    assert sizes.count(3) == 1  # the three sigmoid gates


def test_the_two_parents_of_the_cell_state():
    text = written("lstm", "text")
    part = text[text.index("The adjoint of c, (B3)") :]
    assert "u(t) reads c(t) at the same step, in (F10) (step S6)" in part
    assert re.search(r"c\(t\) of step t\+1 reads c\(t\), in \(F9\) \(step S10\)", part)


def test_the_carousel_is_found_and_not_told():
    assert "This is the constant error carousel" in re.sub(r"\s+", " ", written("lstm", "text"))
    for name in ("rnn", "gru", "lstm_peephole"):
        assert "This is the constant error carousel" not in re.sub(r"\s+", " ", written(name, "text")), name
    direct = {b.row: b.direct for b in structure.jacobian(derivation("gru")) if b.row == b.column}
    assert [str(x) for x in direct["h"]] == ["z[t, i]"]


@pytest.mark.parametrize("name", [*CELLS, "minimal"])
def test_worked_numbers_agree_in_every_digit_that_is_shown(name):
    example = worked.work(derivation(name))
    assert example.agreement >= 25
    assert all(error <= 1 for error in worked.certified(derivation(name)).values())
    for entry in example.entries:
        ways = {worked.shown(v) for v in (entry.derived, entry.difference, entry.compiled)}
        close = max(abs(float(a) - float(b)) for a in ways for b in ways)
        assert close <= 1.1e-6, entry
    values = np.concatenate([np.ravel(v) for v in [*example.inputs.values(), *example.targets.values()]]).astype(float)
    assert 0 not in values and len(set(values)) == len(values), "two inputs agree, or one is zero"


def test_a_wrong_kernel_is_said_in_the_certificate(monkeypatch):
    d = document.Derivation(found("rnn"))
    right = worked.compiled(d.cell)

    class Wrong:
        @staticmethod
        def loss_and_grad(*given):
            loss, grads = right.loss_and_grad(*given)
            return loss, {**grads, "bias": grads["bias"] * grads["bias"].dtype.type(1.001)}

    monkeypatch.setattr(worked, "compiled", lambda cell, loss: Wrong)
    from derive.document.sections.numbers import lines_and_certificate

    said = str(lines_and_certificate(d, messages.Messages("en")))
    assert said.count("ABOVE THE LIMIT") == 2


PROGRAM = """
import hashlib, json
from derive import registry
from derive.document import written
print(json.dumps({f: hashlib.sha256(written(registry.cell("gru"), f, l).encode()).hexdigest() for f, l in
                  (("tex", "en"), ("html", "zh"), ("text", "en"))}))
"""


def test_same_bytes_under_any_hash_seed():
    found = []
    for seed in ("0", "7"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_what_is_committed_is_what_is_made(name):
    for file, text in document.files(found(name)).items():
        assert (ROOT / "generated" / name / file).read_text(encoding="utf-8") == text, file
