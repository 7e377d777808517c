"""A smaller cell that fails in the same way: statements, terms, factors, calls and states are taken away while it does.

It works on the text of a cell file, whatever wrote it; a candidate that is no cell is refused, so it is no candidate.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

WORDS = {"t", "Sum", "Rational", "tanh", "sigmoid", "relu", "softplus", "exp", "log", "sqrt", "cell", "loss", "head"}


def shrink(text: str, fails: Callable[[str], bool], most: int = 120) -> str:
    """The smallest text found for which `fails` holds, after at most `most` questions; `fails(text)` holds at first."""
    best = _tidy(ast.parse(text))
    if not fails(best):
        return text
    asked, known = 0, {best}
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(best):
            if candidate in known or len(candidate) >= len(best):
                continue
            known.add(candidate)
            asked += 1
            if asked > most:
                return best
            if fails(candidate):
                best, progress = candidate, True
                break
    return best


def _smaller(text: str) -> Iterator[str]:
    """Candidates, the boldest first."""
    tree = ast.parse(text)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    for p in range(1, len(functions)):
        yield _without(text, lambda t, p=p: t.body.remove([n for n in t.body if isinstance(n, ast.FunctionDef)][p]))
    for p, function in enumerate(functions):
        for k in reversed(range(len(function.body))):
            yield _without(text, lambda t, p=p, k=k: _function(t, p).body.pop(k))
    for k in range(len(_states(functions[0]))):
        yield _without(text, lambda t, k=k: _drop_state(_function(t, 0), k))
    count = sum(1 for _ in _places(tree))
    for p in range(count):
        for way in range(3):
            yield _without(text, lambda t, p=p, way=way: _simplify(t, p, way))


def _function(tree: ast.Module, p: int) -> ast.FunctionDef:
    return [n for n in tree.body if isinstance(n, ast.FunctionDef)][p]


def _without(text: str, change: Callable[[ast.Module], object]) -> str:
    tree = ast.parse(text)
    try:
        change(tree)
        return _tidy(tree)
    except (IndexError, KeyError, ValueError, SyntaxError):
        return text


def _states(function: ast.FunctionDef) -> list[str]:
    call = function.decorator_list[0]
    if not isinstance(call, ast.Call):
        return []
    return next(
        str(k.value.value).split() for k in call.keywords if k.arg == "states" and isinstance(k.value, ast.Constant)
    )


def _drop_state(function: ast.FunctionDef, k: int) -> None:
    """A state less: its equation goes, and every term or factor that reads it."""
    states = _states(function)
    gone = states.pop(k)
    for keyword in function.decorator_list[0].keywords:  # type: ignore[attr-defined]
        if keyword.arg == "states":
            keyword.value = ast.Constant(" ".join(states))
    function.body = [s for s in function.body if _target(s) != gone]
    for statement in function.body:
        if isinstance(statement, ast.Assign):
            statement.value = _pruned(statement.value, gone) or ast.Constant(0)


def _target(statement: ast.stmt) -> str:
    names = (
        [n.id for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Name)]
        if isinstance(statement, ast.Assign)
        else []
    )
    return names[0] if names else ""


def _pruned(node: ast.expr, gone: str) -> ast.expr | None:
    """An expression without what reads a tensor; None where nothing is left."""
    if gone not in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
        return node
    if isinstance(node, ast.BinOp):
        left, right = _pruned(node.left, gone), _pruned(node.right, gone)
        if left is None or right is None:
            return left or right
        return ast.BinOp(left, node.op, right)
    if isinstance(node, ast.UnaryOp):
        inner = _pruned(node.operand, gone)
        return inner and ast.UnaryOp(node.op, inner)
    if isinstance(node, ast.Call):
        inner = _pruned(node.args[0], gone)
        return inner and ast.Call(node.func, [inner, *node.args[1:]], [])
    return None


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Every place of an expression that could be smaller: the node that holds it, the field, the position in it."""
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            for position, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, (ast.BinOp, ast.Call, ast.UnaryOp)) and name in (
                    "value", "left", "right", "operand", "args"
                ):  # fmt: skip
                    yield node, name, position


def _simplify(tree: ast.Module, p: int, way: int) -> None:
    node, name, position = list(_places(tree))[p]
    item = getattr(node, name) if position is None else getattr(node, name)[position]
    if isinstance(item, ast.BinOp):
        new = (item.left, item.right, ast.Constant(1))[way]
    elif isinstance(item, ast.UnaryOp):
        new = (item.operand, item.operand, item.operand)[way]
    else:
        if (isinstance(item.func, ast.Name) and item.func.id in ("Sum", "Rational", "cell")) or way:
            raise ValueError
        new = item.args[0]
    if position is None:
        setattr(node, name, new)
    else:
        getattr(node, name)[position] = new


def _tidy(tree: ast.Module) -> str:
    """The file, with the arguments that its functions still use."""
    for function in [n for n in tree.body if isinstance(n, ast.FunctionDef)]:
        used = {n.id for s in [*function.body] for n in ast.walk(s) if isinstance(n, ast.Name)}
        function.args.args = [a for a in function.args.args if a.arg in used]
        if not function.body:
            raise ValueError
    ast.fix_missing_locations(tree)
    return ast.unparse(tree) + "\n"
