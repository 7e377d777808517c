"""Spelling: the names of a cell file in letters that C, file names and the keywords of Python can hold.

    λ   ->  lambda_     a Greek letter by its name; `lambda` is a word of Python, so an underscore follows
    ü   ->  u           a letter with an accent without it
    𝛼   ->  alpha       a mathematical letter as the plain one, as Python reads it

This is also how a parameter is called afterwards: params["lambda_"]. Formulas are printed with the Greek letter.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable

from sympy.printing.pretty.pretty_symbology import greek_unicode

from derive.errors import DeriveError

LONGEST = 63  # letters that every C compiler tells apart
GREEK = {letter: name for name, letter in greek_unicode.items() if name not in ("lamda", "Lamda")}


def spelled(name: str) -> str:
    """A name in ASCII; what has no such spelling is left as it is."""
    found = ""
    for letter in unicodedata.normalize("NFKD", name):
        if not unicodedata.combining(letter):
            found += letter if letter.isascii() else GREEK.get(letter, letter.casefold())
    return f"{found}_" if keyword.iskeyword(found) else found


def check_spelling(where: str, name: str, what: str) -> str:
    """The name as it is spelled; DeriveError for one that cannot be. `what` says whose name it is."""
    found = spelled(name)
    if not found.isascii() or not found.isidentifier():
        raise DeriveError(
            f"{where}: {name!r}, {what}, has no spelling for C, file names and Python; use Latin and Greek letters, "
            f"digits and underscores"
        )
    if len(found) > LONGEST:
        raise DeriveError(f"{where}: {name}, {what}, has {len(found)} letters; C tells {LONGEST} apart, shorten it")
    return found


def name_of_cell(where: str, name: str, what: str) -> str:
    """The name of a cell, which begins those of its files and C functions: without underscores in front."""
    if not name.strip("_"):
        raise DeriveError(f"{where}: {name!r}, {what}, holds no letter; name it by one")
    return check_spelling(where, name.lstrip("_"), what)


def spellings(where: str, arguments: Iterable[str]) -> dict[str, str]:
    """Argument -> its spelling, in order; DeriveError where two arguments have the same one."""
    found: dict[str, str] = {}
    for name in arguments:
        own = check_spelling(where, name, "an argument of the function")
        for other in [x for x, y in found.items() if y == own]:
            raise DeriveError(f"{where}: the arguments {other} and {name} would both be called {own}; rename one")
        found[name] = own
    return found
