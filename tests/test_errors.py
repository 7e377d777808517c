"""Errors: everything that is raised on purpose is a DeriveError, and docs/errors.md has the tree."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_layers import PACKAGE, modules, named

import derive
import derive.runtime
from derive.errors import DeriveError

ROOT = PACKAGE.parent

# Raises of something else, by part and exception, with the reason.  A row that nothing needs any more fails the test.
ALLOWED = {
    ("__init__", "AttributeError"): "Python's protocol of attributes of a module",
    ("audit", "AttributeError"): "Python's protocol of attributes of a module",
    ("audit", "KeyError"): "asks of the audit's own code, not of a user's file",
    ("building", "RuntimeError"): "compiler.unwritable again: with the package it is a DeriveError",
    ("cli", "OSError"): "the system's error again, with the name of the user's file",
    ("cli", "Unwritten"): "caught by terminal.run, which turns it into the status of the process",
    ("document", "NoMatrixForm"): "caught inside of document: the formula is printed with indices instead",
    (
        "notation",
        "AttributeError",
    ): "Python's protocol of attributes; the notation turns it into a DeriveError with its line",
    ("runtime", "AttributeError"): "Python's protocol of attributes of a module",
    ("runtime", "interrupt"): "Ctrl-C, held back until the other threads have stopped",
    ("terminal", "BrokenPipeError"): "the system's own error, which terminal.run turns into a status",
    ("terminal", "error"): "the system's own error again",
    ("toolchain", "AttributeError"): "Python's protocol of attributes of a module",
    (
        "toolchain",
        "RuntimeError",
    ): "compiler.py is loaded by setup.py too, where the package and its errors do not exist",
    ("verify", "ValueError"): "a reference that was compared with a value of another shape: a mistake in a check",
}


def tree() -> dict[str, type[BaseException]]:
    """Every exception of the package below DeriveError, by name."""
    for found in pkgutil.walk_packages([str(PACKAGE)], "derive."):
        if found.name.rpartition(".")[2] in ("errors", "report"):
            importlib.import_module(found.name)
    below, queue = {}, [DeriveError]
    while queue:
        kind = queue.pop()
        below[kind.__name__] = kind
        queue += kind.__subclasses__()
    return {name: kind for name, kind in below.items() if kind.__module__.split(".")[0] == "derive"}


TREE = tree()


def makers() -> dict[str, set[str]]:
    """Functions and methods of derive/ that return an exception, by their name: what they are annotated with."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                found.setdefault(node.name, set()).update(re.findall(r"\w+", ast.unparse(node.returns)))
    return found


MAKERS = makers()


def is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def last_name(node: ast.expr) -> str:
    """What is called or raised: `a.b.c(...)` gives c, a choice between two gives both with a bar."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.IfExp):
        return f"{last_name(node.body)}|{last_name(node.orelse)}"
    return (
        node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ast.unparse(node)
    )


def outside(path: Path) -> Iterator[tuple[str, int]]:
    """Raises of a module that are not in the tree: the name of what is raised, and the line."""
    text = ast.parse(path.read_text(encoding="utf-8"))
    aliases = {  # a local name for a function, or for one of several exceptions
        node.targets[0].id: last_name(node.value)
        for node in ast.walk(text)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(text):
        pairs = [(node.targets[0], node.value)] if isinstance(node, ast.Assign) else []
        if pairs and isinstance(pairs[0][0], ast.Tuple) and isinstance(pairs[0][1], ast.Tuple):
            aliases |= {last_name(a): last_name(b) for a, b in zip(pairs[0][0].elts, pairs[0][1].elts, strict=False)}
    for node in ast.walk(text):
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        name = last_name(node.exc)
        for one in aliases.get(name, name).split("|"):
            returned = MAKERS.get(one, set())
            if one in TREE or (returned and returned <= {*TREE, "NoReturn"}):
                continue
            for kind in {kind for kind in returned if is_exception(kind)} or {name}:
                yield kind, node.lineno


@pytest.mark.parametrize("path", [PACKAGE / "__init__.py", *modules()], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_module_raises_is_a_derive_error(path: Path) -> None:
    for name, line in outside(path):
        assert (named(path)[0], name) in ALLOWED, (
            f"{path}:{line}: raises {name}, which is no DeriveError: raise one of {', '.join(sorted(TREE))}, "
            f"or say in ALLOWED of {Path(__file__).name} why not"
        )


def test_every_exception_to_the_rule_is_needed() -> None:
    needed = {(named(path)[0], name) for path in [PACKAGE / "__init__.py", *modules()] for name, _ in outside(path)}
    assert set(ALLOWED) == needed


@pytest.mark.parametrize("name", sorted(TREE))
def test_the_page_of_errors_has_each_with_what_else_it_is(name: str) -> None:
    """A row of docs/errors.md: the class, and the built-in exceptions that catch it too."""
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    kind = TREE[name]
    also = {base.__name__ for base in kind.__mro__ if base.__module__ != kind.__module__.split(".")[0]}
    also -= {"object", "BaseException", "Exception", "PickleError", *TREE}
    assert name in dict(rows), f"docs/errors.md has no row for {name}"
    shown = set(re.findall(r"`(\w+)`", dict(rows)[name]))
    assert {e for e in shown if is_exception(e) or e == "PicklingError"} == also


def test_the_page_of_errors_has_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(TREE)


@pytest.mark.parametrize("name", sorted(set(TREE) - {"Rejected"}))
def test_an_error_survives_being_copied_and_pickled(name: str) -> None:
    """Errors cross from a worker process to the one that asked."""
    error = TREE[name]("x must have 3 columns")
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error) and str(again) == str(error)


def test_one_name_catches_what_calls_raise() -> None:
    from derive.generated import rnn

    params = rnn.init_params(3, 5)
    for wrong, built_in in (
        (lambda: rnn.infer(np.ones((2, 3), np.float32), {}), ValueError),
        (lambda: rnn.infer("text", params), TypeError),
        (lambda: rnn.init_params(3), TypeError),
        (lambda: rnn.init_params(3, 5, seed=-1), ValueError),
        (lambda: rnn.init_params(3, 5, seed="a"), TypeError),
        (lambda: rnn.init_params(10**9, 10**9), MemoryError),
        (lambda: pickle.dumps(rnn.plan(params, 2, 2)), (TypeError, pickle.PicklingError)),
        (lambda: derive.load("nothing"), DeriveError),
    ):
        with pytest.raises(derive.DeriveError) as caught:
            wrong()
        for kind in built_in if isinstance(built_in, tuple) else (built_in,):
            assert isinstance(caught.value, kind)
