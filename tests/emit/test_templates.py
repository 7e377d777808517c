"""The templates of C hold text: what depends on the plan is data before they see it, and every line can be read."""

import re

import pytest

from derive.rendering import templates

FILES = sorted((templates() / "c").glob("*.j2"))
NAMES = [path.name for path in FILES]
WIDEST = 160
CONDITIONALS = 62
TAG = re.compile(r"\{%-?\s*(.*?)\s*-?%\}|\{\{(.*?)\}\}", re.DOTALL)


def code_of(path):
    """The tags and expressions of a template; what it only quotes is left out."""
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [re.sub(r"'[^']*'", "''", tag or expression) for tag, expression in TAG.findall(text)]


def conditionals(path):
    """{% if %}, {% elif %}, `a if b else c`, and {% for x in y if z %}."""
    return sum(len(re.findall(r"\b(?:el)?if\b", code)) for code in code_of(path) if code != "endif")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_lines_are_short(path):
    long = [n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > WIDEST]
    assert not long, f"{path.name}: lines {long} are wider than {WIDEST} columns"


def test_templates_ask_little():
    found = {path.name: conditionals(path) for path in FILES}
    assert sum(found.values()) <= CONDITIONALS, f"make data of what they ask: {found}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_templates_take_no_text_apart(path):
    """A name or a size is whole where it is made: no template cuts, searches or replaces."""
    for code in code_of(path):
        assert not re.search(r"\|\s*(replace|regex\w*|truncate)|\.(startswith|endswith|split|replace|strip)\(", code), (
            code
        )
        assert not re.search(r"\[[^\]\[]*:[^\]\[]*\]", code), f"a slice: {code}"


def test_the_count_is_right(tmp_path):
    asked = tmp_path / "asked.j2"
    asked.write_text(
        "{% if a %}x{% elif b %}y{% endif %} {{ 'p' if q else 'if' }} {{ 'r' if s }}\n"
        "{% for x in y if z %}if (c) {{ x }}{% endfor %}{# if d #}{% set e = f if g else h %}\n"
    )
    assert conditionals(asked) == 6
