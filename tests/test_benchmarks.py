"""The benchmarks' table: the page shows what is stored, and each record is one row of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RENDER = ROOT / "benchmarks" / "bench_table.py"


def rendered(folder: Path, page: str, results: dict, *words: str) -> tuple[int, str]:
    """Run the script on a copy of this page and these results; return its exit status and the page afterwards."""
    for name in ("benchmarks", "docs"):
        (folder / name).mkdir(exist_ok=True)
    script = folder / "benchmarks" / RENDER.name
    script.write_text(RENDER.read_text())
    (folder / "benchmarks" / "results.json").write_text(json.dumps(results))
    (folder / "docs" / "benchmarks.md").write_text(page)
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True)
    return done.returncode, (folder / "docs" / "benchmarks.md").read_text()


def some_results(met: bool | None) -> dict:
    """A run of one row."""
    record = {"row": "startup", "threads": 1, "what": "start", "figure": 0.25, "unit": "s", "beside": "the bound"}
    record |= {"beside_figure": 0.5, "ratio": 0.5, "wanted": "<= 1 x", "met": met, "note": ""}
    machine = {"date": "2026-01-02", "commit": "abc", "processor": "P", "cores": 2, "system": "S", "python": "3"}
    return {**machine, "versions": {"torch": "1.0"}, "records": [record]}


def test_the_page_shows_what_is_stored():
    """The table of docs/benchmarks.md is the one that results.json renders to."""
    done = subprocess.run([sys.executable, str(RENDER), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_table_goes_between_the_marks(tmp_path):
    """Figure, peer, ratio, bound and verdict stand in one row, the machine above it, and the rest of the page stays."""
    page = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"
    status, now = rendered(tmp_path, page, some_results(True))
    assert status == 0
    assert now.startswith("before\n<!-- bench:begin -->\n2026-01-02, commit abc; P, 2 cores")
    assert now.endswith("<!-- bench:end -->\nafter\n")
    assert "| start | 0.25 s | 0.5 x the bound (0.5 s) | <= 1 x | met |" in now
    assert "old" not in now


def test_a_missed_bound_is_shown(tmp_path):
    """A record that misses its bound says so."""
    page = "<!-- bench:begin --><!-- bench:end -->"
    assert "| MISSED |" in rendered(tmp_path, page, some_results(False))[1]


def test_a_stale_page_is_refused(tmp_path):
    """The check fails where the page has another table, and changes nothing."""
    page = "<!-- bench:begin -->\nold\n<!-- bench:end -->"
    status, now = rendered(tmp_path, page, some_results(None), "--check")
    assert status != 0
    assert now == page
