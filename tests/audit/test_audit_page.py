"""docs/audit.md says what the tool says: its blocks are made here, and compared.

UPDATE_PAGE=1 python -m pytest tests/audit/test_audit_page.py     writes them
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from audit_tools import example
from rich.console import Console

from derive.audit import Verdict, audit, in_file, report, values

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "audit.md"
BLOCK = re.compile(r"<!-- (audit|errors|totals): (.*?) -->\n(.*?)<!-- end -->", re.DOTALL)


def printed(name: str) -> str:
    """What `derive audit` prints, in 100 columns and without colours."""
    console = Console(file=io.StringIO(), width=100, no_color=True, legacy_windows=False, force_terminal=False)
    report.show(console, example(name))
    return "\n".join(line.rstrip() for line in console.file.getvalue().strip().splitlines())  # type: ignore[attr-defined]


def block(kind: str, said: str) -> str:
    if kind == "audit":
        return f"```\n{printed(Path(said).stem)}\n```\n"
    if kind == "errors":
        file, option, label = re.fullmatch(r"(\S+) (--zero-state): (\w+)", said).groups()  # type: ignore[union-attr]
        found = example(Path(file).stem, zero_state=option == "--zero-state")
        row = found.row(label)
        head = " | ".join(f"T = {n}" for n in found.lengths)
        values = " | ".join(report.percent(row.errors.by_length[n]) for n in found.lengths)
        rule = "---|" * (len(found.lengths) + 1)
        return f"\n| error of `{label}` from h(0) = c(0) = 0 | {head} |\n|{rule}\n| | {values} |\n\n"
    rows = []
    for file in said.split():
        found = example(Path(file).stem)
        rows.append(
            f"| `{file}` | {found.derivation.reference.name} | {len(found.rows)} | {sum(r.right for r in found.rows)} |"
        )
    return "\n| file | cell | equations | right |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"


def test_the_page_says_what_the_tool_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) == 4
    made = BLOCK.sub(lambda m: f"<!-- {m[1]}: {m[2]} -->\n{block(m[1], m[2])}<!-- end -->", page)
    if os.environ.get("UPDATE_PAGE"):
        PAGE.write_text(made, encoding="utf-8")
    assert page == made, "docs/audit.md is out of date: UPDATE_PAGE=1 python -m pytest tests/audit/test_audit_page.py"


def test_the_words_around_the_numbers_hold() -> None:
    """What the text claims beside its blocks."""
    row = example("hanbingtao_581764", zero_state=True).row("dU_f")
    assert report.percent(row.errors.by_length[2]) == "0"
    assert 0 < row.errors.by_length[3] < row.errors.by_length[5]
    assert values.DRAWS == 5  # "the median of five"
    assert {round(r.errors.by_length[5], 6) for r in example("rnn_vignette").rows if r.label in ("d8", "dW_f")} == {1.0}


def test_the_code_on_the_page_is_the_code_of_the_example() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = re.search(r"```python\n(@derivation\(\"lstm\", last.*?)\n    \.\.\.", page, re.DOTALL)
    assert shown is not None
    assert shown[1] in (ROOT / "examples" / "audit" / "hanbingtao_581764.py").read_text(encoding="utf-8")


def test_the_derivation_to_copy_is_right(tmp_path: Path) -> None:
    code = re.search(r'```python\n("""My notes.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    file = tmp_path / "notes.py"
    file.write_text(code[1], encoding="utf-8")
    (found,) = in_file(file)
    assert audit(found).ok


@pytest.mark.parametrize("verdict", [v.value for v in Verdict])
def test_every_verdict_is_explained(verdict: str) -> None:
    assert f"`{verdict}`" in PAGE.read_text(encoding="utf-8")
