"""Write the table of speed and memory in docs/benchmarks.md from the stored results: `benchmarks/bench_table.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

STORED = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def _number(value: float, unit: str) -> str:
    """Three digits, or all of a whole number, with the unit."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}"


def _line(record: dict[str, Any]) -> str:
    """A record as a row of the table."""
    ours = _number(record["figure"], record["unit"])
    beside = f"{record['ratio']:.3g} x {record['beside']} ({_number(record['beside_figure'], record['unit'])})"
    verdict = "" if record["met"] is None else "met" if record["met"] else "MISSED"
    return f"| {record['what']} | {ours} | {beside} | {record['wanted']} | {verdict} |"


def table(results: dict[str, Any]) -> str:
    """Machine, versions and all records in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    head = (
        f"{results['date']}, commit {results['commit']}; {results['processor']}, {results['cores']} cores, "
        f"{results['system']}; Python {results['python']}, {versions}. One thread, but two for "
        f"{' and '.join(sorted({r['row'] for r in results['records'] if r['threads'] == 2}) or ['none'])}.\n"
    )
    lines = ["| what | measured | beside it | wanted | |", "|---|---|---|---|---|", *map(_line, results["records"])]
    return "\n".join([head, *lines])


def placed(page: str, results: dict[str, Any]) -> str:
    """Return the page with the table between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def main() -> None:
    """Write the page; with `--check`, exit with an error where the page has another table."""
    now = PAGE.read_text()
    wanted = placed(now, json.loads(STORED.read_text()))
    if sys.argv[1:] == ["--check"]:
        raise SystemExit(
            0 if now == wanted else f"the table of {PAGE.name} is not that of {STORED.name}: run {Path(__file__).name}"
        )
    PAGE.write_text(wanted)


if __name__ == "__main__":
    main()
