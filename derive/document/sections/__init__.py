"""The sixteen sections, each a function from a derivation and the messages of a language to blocks."""

from __future__ import annotations

from derive.document.sections import accumulation, forward, numbers, opening, recursion, results, steps

SECTIONS = (
    ("conventions", opening.conventions),
    ("gates", opening.why_gates),
    ("forward", forward.equations),
    ("graph", forward.graphs),
    ("lemmas", forward.lemmas),
    ("chain", steps.chain_rule),
    ("steps", steps.edges),
    ("accumulation", accumulation.parents),
    ("deltas", accumulation.deltas),
    ("gradients", accumulation.gradients),
    ("boundaries", recursion.boundaries),
    ("algorithm", recursion.algorithm),
    ("flow", recursion.flow),
    ("simplified", results.simplified),
    ("worked", numbers.worked_example),
    ("certificate", numbers.lines_and_certificate),
)
