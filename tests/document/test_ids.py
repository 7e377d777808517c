"""One ID, three places: label in TeX, anchor in HTML, comment in C; from each one reaches the others."""

from __future__ import annotations

import re
from html import unescape

import pytest
from document_tools import CELLS, derivation, labels, written

from derive.document import listing
from derive.document.sections.numbers import links, printed_ids

ALL = [*CELLS, "minimal"]


@pytest.mark.parametrize("name", ALL)
def test_every_equation_has_one_label(name):
    d = derivation(name)
    found = labels(written(name))
    assert len(found) == len(set(found)), "a label twice"
    assert {x for x in found if not x.endswith("c")} == set(printed_ids(d))
    program = {i for e in [*d.primal.equations, *d.made.adjoint.equations, *d.objective.equations] for i in e.ids}
    assert program == set(printed_ids(d)), "an equation is not printed, or something that is none"
    assert {x.removesuffix("c") for x in found if x.endswith("c")} <= {e.id for e in d.backward}


@pytest.mark.parametrize("name", ALL)
def test_every_reference_leads_somewhere(name):
    tex = written(name)
    assert set(re.findall(r"\\eqref\{([^}]*)\}", tex)) <= set(labels(tex))


@pytest.mark.parametrize("name", ALL)
def test_every_equation_leads_to_its_line_of_c(name):
    d = derivation(name)
    _, code = listing.source(d)
    merged = {i: e.id for e in [*d.compiled, *d.made.loss.equations] for i in e.merged}
    found = links(d)
    for id in printed_ids(d):
        assert id in found, f"{id} has no line of C"
        line = code[found[id] - 1]
        if listing.ids_of(line):
            assert id in listing.ids_of(line) or merged.get(id) in listing.ids_of(line), f"{id}: {line}"
        else:
            assert re.search(r"[hc]\w*_[0T]|seed|d_out", line), f"{id} leads to a line of something else: {line}"


@pytest.mark.parametrize("name", ["lstm", "lstm_layernorm", "minimal"])
def test_the_page_leads_to_the_c_and_back(name):
    d, page = derivation(name), written(name, "html")
    anchors = [unescape(x) for x in re.findall(r'\bid="([^"]*)"', page.split("<script>")[0])]
    assert len(anchors) == len(set(anchors)), "an anchor twice"
    targets = {unescape(x) for x in re.findall(r'href="#([^"]*)"', page)}
    assert targets <= set(anchors), "a link to nowhere"
    assert set(labels(written(name))) <= set(anchors)
    _, code = listing.source(d)
    for number, line in enumerate(code, 1):
        for id in listing.ids_of(line):
            shown = page[page.index(f'id="c{number}"') :].split("\n", 1)[0]
            assert re.search(rf'href="#{re.escape(id)}c?"', shown), f"line {number}: {id}"
