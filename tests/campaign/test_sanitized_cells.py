"""A few random cells and a shipped one under sanitizers and with guard pages; `make sanitize` takes more of them."""

import shutil
import textwrap

import pytest
import sanitize
from campaign import ROOT, Worker
from test_detector import CELL

SEEDS = (0, 5)
JOBS = [*(f"seed {seed}" for seed in SEEDS), f"file {ROOT / 'derive' / 'cells' / 'gru.py'} 1"]


def worker(kind):
    if kind == "pages":
        return Worker(("-O0",), {"CAMPAIGN_MEMORY": "pages"})
    if not shutil.which("gcc") or not all(p.startswith("/") for p in sanitize.libraries()):
        pytest.skip("gcc or its sanitizers are not installed")
    return Worker(sanitize.FLAGS, sanitize.environment())


@pytest.mark.parametrize("kind", ["sanitizers", "pages"])
def test_no_report(kind):
    made = worker(kind)
    try:
        for job in JOBS:
            found = made.ask(job)
            assert found["verdict"] == "right", f"{job}: {found['reason']}"
    finally:
        made.close()


@pytest.mark.parametrize("kind", ["sanitizers", "pages"])
def test_a_buffer_before_the_workspace_is_reported(kind, tmp_path):
    path = tmp_path / "two.py"
    path.write_text(textwrap.dedent(CELL))
    made = worker(kind)
    try:
        found = made.ask(f"mutant {path} workspace 1")
        assert found["verdict"] == "crash", found
        if kind == "sanitizers":
            assert "heap-buffer-overflow" in found["reason"]
    finally:
        made.close()
