"""Places in a Python file where something can be taken for something else, and what is written there instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

# (kind, start, end, new text), in characters of the file.
Site = tuple[str, int, int, str]

COMPARED = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
COMPUTED = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*")}
# What may stand for another of its kind.
NAMES = {
    "float32": "float64",
    "float64": "float32",
    "F32": "F64",
    "F64": "F32",
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "zeros": "empty",
}
# Calls whose arguments, taken for each other, cannot even run, or are the same.
NO_SWAP = {"isinstance", "zip", "cast", "getattr", "setattr", "hasattr", "replace"}
# What only asserts.
ASSERTS = {"strict", "frozen", "slots"}
COPIES = {"copy", "ascontiguousarray", "astype"}
# C is spelled in format strings, too.
SPELLED = re.compile(r"(?<=[}\w)]) ([+\-*<]) (?=[{\w(])")
SPELLS = {"+": "-", "-": "+", "*": "+", "<": "<="}
SILENT = {"__repr__", "__str__", "dump"}


def sites(text: str) -> list[Site]:
    """All places of a file, in the order of the text."""
    found = _Finder(text)
    found.visit(ast.parse(text))
    return sorted(set(found.sites), key=lambda site: (site[1], site[2], site[0], site[3]))


class _Finder(ast.NodeVisitor):
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = [0]
        for line in text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.bytes = [line.encode() for line in text.splitlines(keepends=True)]
        self.sites: list[Site] = []

    # -- positions -----------------------------------------------------------------------------------------------------

    def at(self, line: int, column: int) -> int:
        return self.lines[line - 1] + len(self.bytes[line - 1][:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)  # type: ignore

    def said(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def add(self, kind: str, start: int, end: int, new: str) -> None:
        self.sites.append((kind, start, end, new))

    def instead(self, kind: str, node: ast.AST, new: str) -> None:
        self.add(kind, *self.span(node), new)

    def between(self, kind: str, left: ast.AST, right: ast.AST, pair: tuple[str, str]) -> None:
        start, end = self.span(left)[1], self.span(right)[0]
        place = self.text.find(pair[0], start, end)
        if place >= 0:
            self.add(kind, place, place + len(pair[0]), pair[1])

    # -- what is left alone: annotations, messages, what only people read ------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in SILENT:
            return
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]:
            self.visit(default)
        for child in node.body:
            self.visit(child)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for child in node.body:
            self.visit(child)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in ASSERTS:
            self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.instead("statement", node, "pass")

    # -- statements ------------------------------------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" in self.said(node.test):
            return
        if (
            isinstance(node.body[-1], ast.Raise)
            and not node.orelse
            and self.text[self.span(node)[0] :].startswith("if")
        ):
            self.instead("check", node, "pass")
        self.condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def condition(self, test: ast.expr) -> None:
        self.instead("condition", test, f"not ({self.said(test)})")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        self.instead("statement", node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.targets[0], (ast.Attribute, ast.Subscript)):
            self.instead("statement", node, "pass")
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.instead("statement", node, "pass")
        self.visit(node.value)

    def visit_With(self, node: ast.With) -> None:
        if any("lock" in self.said(item.context_expr) for item in node.items):
            self.add("lock", self.span(node)[0], self.span(node.items[-1].context_expr)[1], "if True")
        self.generic_visit(node)

    # -- expressions -----------------------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            self.between("comparison", left, right, COMPARED[type(operator)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        lists = (ast.List, ast.ListComp, ast.Tuple, ast.JoinedStr)
        if type(node.op) in COMPUTED and not isinstance(node.left, lists) and not isinstance(node.right, lists):
            self.between("arithmetic", node.left, node.right, COMPUTED[type(node.op)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        pair = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between("logic", left, right, pair)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            self.instead("sign", node, f"({self.said(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int and node.value <= 3:
            self.instead("number", node, str(node.value + 1))
            if node.value == 1:
                self.instead("number", node, "0")
        elif type(node.value) is bool:
            self.instead("number", node, str(not node.value))

    def visit_IfExp(self, node: ast.IfExp) -> None:
        said = (self.said(n) for n in (node.orelse, node.test, node.body))
        self.instead("branches", node, "({} if {} else {})".format(*said))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        first = node.args[:2]
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if len(first) == 2 and name not in NO_SWAP and not any(isinstance(a, ast.Starred) for a in first):
            (start, middle), (other, end) = self.span(first[0]), self.span(first[1])
            if self.text[start:middle] != self.text[other:end]:
                swapped = self.text[other:end] + self.text[middle:other] + self.text[start:middle]
                self.add("arguments", start, end, swapped)
        if isinstance(node.func, ast.Attribute) and node.func.attr in COPIES:
            kept = node.args[0] if node.func.attr == "ascontiguousarray" and node.args else node.func.value
            self.instead("copy", node, f"({self.said(kept)})")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in NAMES:
            end = self.span(node)[1]
            self.add("name", end - len(node.attr), end, NAMES[node.attr])
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in NAMES and isinstance(node.ctx, ast.Load):
            self.instead("name", node, NAMES[node.id])

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.instead("filter", test, f"not ({self.said(test)})")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        start, end = self.span(node)
        for match in _matches(SPELLED, self.text, start, end):
            self.add("spelling", match.start(1), match.end(1), SPELLS[match[1]])


def _matches(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    yield from pattern.finditer(text, start, end)
