"""Text that a person wrote, as C comments, Python, Markdown and TeX can hold it: the words stay, no letter acts.

A docstring may hold the end of a comment, three quotes, a backslash, a dollar sign or what turns the direction of
writing; each form has its own way to say so.
"""

from __future__ import annotations

import re
import unicodedata

_TRIGRAPH = re.compile(r"\?\?(?=[=/'()!<>-])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_TEX = {c: rf"\{c}" for c in "&%#_{}$"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def visible(text: str) -> str:
    """The text with what cannot be seen as its number: control characters, marks of direction, halves of letters."""
    return "".join(c if c == "\n" or not _is_hidden(c) else f"\\u{ord(c):04x}" for c in text)


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def c_comment(text: str) -> str:
    """One line inside of /* ... */: neither the end of the comment nor the beginning of one, no trigraph."""
    line = " ".join(visible(text).split("\n"))
    return _TRIGRAPH.sub("? ?", line).replace("*/", "* /").replace("/*", "/ *")


def python_docstring(text: str) -> str:
    '''Text between """ and """: read back by Python it is the text, letter for letter.'''
    found = "".join(
        c if c == "\n" or (not _is_hidden(c) and c != "\\") else repr(c)[1:-1].replace("'", "\\'") for c in text
    )
    return found.replace('"""', r"\"\"\"")


def markdown(text: str) -> str:
    """Text that Markdown and the HTML in it leave as it is; paragraphs stay paragraphs."""
    found = re.sub(r"([\\`*_{}\[\]<>|~$])", r"\\\1", visible(text))
    found = _ENTITY.sub(r"\\&", found)
    found = re.sub(r"^([ \t]*)([-+=#])", r"\1\\\2", found, flags=re.MULTILINE)
    return re.sub(r"^([ \t]*\d+)([.)])", r"\1\\\2", found, flags=re.MULTILINE)


def tex(text: str, unicode: bool = False) -> str:
    """Text as TeX sets it.  `unicode` says that the engine has letters beyond those of Latin scripts, as xelatex does."""
    return "".join(_tex(c, unicode) for c in visible(text)).replace("--", "-{}-").replace("--", "-{}-")


def _tex(letter: str, unicode: bool) -> str:
    if letter in _TEX:
        return _TEX[letter]
    if unicode or ord(letter) < 0x180 or letter in "–—‘’“”…":
        return letter
    return rf"\texttt{{U+{ord(letter):04X}}}"
