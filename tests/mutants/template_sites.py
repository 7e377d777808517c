"""Places in a C template where something can be taken for something else, and what is written there instead."""

from __future__ import annotations

import re

# (kind, start, end, new text), in characters of the file.
Site = tuple[str, int, int, str]

COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|//[^\n]*|^#(?!define)[^\n]*", re.DOTALL | re.MULTILINE)
TYPES = r"(?:const|size_t|real|int|struct|vec|mask|typedef|static|args|char|unsigned|uint\w*|INLINE|mode|double|float|void|enum)\b"
CALL = (
    rf"\b(?!if|for|while|switch|sizeof|return|defined)\w+\((?!{TYPES})([^,(){{}}%]+), (?!{TYPES})([^,(){{}}%]+)(?=[,)])"
)
STATEMENT = (
    rf"^( *)(?!{TYPES}|\(void\)|for\b|if\b|else\b|while\b|case\b|default\b|break;|[{{}}#])(\S[^\n]*;)(?= *(?:\\\\)?$)"
)
# kind, pattern, replacement
EDITS: tuple[tuple[str, str, str], ...] = (
    ("arithmetic", r"(?<=[\w)\]}]) \+ (?=[\w({])", " - "),
    ("arithmetic", r"(?<=[\w)\]}]) - (?=[\w({])", " + "),
    ("arithmetic", r"(?<=[\w)\]}]) \* (?=[\w({])", " + "),
    ("arithmetic", r" \+= ", " = "),
    ("comparison", r" < ", " <= "),
    ("comparison", r" <= ", " < "),
    ("comparison", r" > ", " >= "),
    ("comparison", r" >= ", " > "),
    ("comparison", r" == ", " != "),
    ("comparison", r" != ", " == "),
    ("logic", r" && ", " || "),
    ("logic", r" \|\| ", " && "),
    ("number", r"(?<![\w.'])0(?![\w.'])", "1"),
    ("number", r"(?<![\w.'])1(?![\w.'])", "0"),
    ("number", r"(?<![\w.'])1(?![\w.'])", "2"),
    ("number", r"(?<![\w.'])2(?![\w.'])", "3"),
    ("time", r"\bt - 1\b", "t"),
    ("time", r"\bt \+ 1\b", "t"),
    ("time", r"\bfirst\b(?! (?:[+-]?=|<=?) )(?=[ )\]])", "(first + 1)"),
    ("time", r"\bsteps\b(?! [+-]?= )(?=[ )\],])", "(steps + 1)"),
    ("size", r"\blanes\b(?=[),])", "V"),
    ("size", r"\blive\b(?=[),;])", "B"),
    ("size", r"\bB\b(?= \*|\))", "(B + 1)"),
    ("size", r"\bT\b(?= \*|\))", "(T + 1)"),
    ("statement", STATEMENT, r"\1;"),
    ("guard", r"\bif \([^\n]*?\) (?=[\w(*]+[^\n]*;$)", ""),
    ("guard", r"(?<= )if \((?=[^\n]*\))", "if (!("),
    ("condition", r"(?<=\{% if )([^\n]+?)(?= %\})", r"not (\1)"),
    ("condition", r"(?<=\{% elif )([^\n]+?)(?= %\})", r"not (\1)"),
    ("condition", r"(?<= if )([^\n%{}]+?)(?= else [^\n{}]*\}\})", r"not (\1)"),
    ("condition", r"(?<= if )((?:(?! else )[^\n%{}])+?)(?= \}\})", r"not (\1)"),
    ("filter", r"(?<=\{% for )([^\n]+? in [^\n]+?) if [^\n]+?(?= %\})", r"\1"),
    ("arguments", CALL, ""),
)


def sites(text: str) -> list[Site]:
    """All places of a template, comments left out, in the order of the text."""
    code = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    found: set[Site] = set()
    for kind, pattern, new in EDITS:
        for match in re.finditer(pattern, code, re.MULTILINE):
            start, end = match.span()
            if kind == "arguments":
                (start, middle), (other, end) = match.span(1), match.span(2)
                made = text[other:end] + text[middle:other] + text[start:middle]
            elif new == "if (!(":
                close = _closing(text, end - 1)
                start, end, made = end - 1, close, f"(!{text[end - 1 : close]})"
            else:
                made = match.expand(new)
            if made != text[start:end]:
                found.add((kind, start, end, made))
    return sorted(found, key=lambda site: (site[1], site[2], site[0], site[3]))


def _closing(text: str, start: int) -> int:
    """The end of what the parenthesis at `start` begins."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place + 1
    return len(text)
