"""Measure speed and memory beside peers and bounds: `make bench`, or `python benchmarks/bench.py [WORD...]`.

Needs the extra `bench` and manify's wheel (see the Makefile); takes about a quarter of an hour on two cores. Words
choose rows by their names, such as `training` or `memory`. A run of all rows, or one with `--store`, is kept in
`results.json`, which the table of docs/benchmarks.md is made from; rows that were not run stay, with the commit of
that run. Each row runs in a process of its own, with its threads. Exits with 1 if a bound is missed.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from machine import described
from readme_table import STORED, table

# the row, its module, and its threads
ROWS = (
    ("training_euclidean", "training", 1),
    ("training_hyperspherical", "training", 1),
    ("training_product", "training", 1),
    ("training_rhvae", "training", 1),
    ("training_embedded", "training", 1),
    ("superposition", "superposition", 1),
    ("encoding", "encoding", 1),
    ("generation", "generation", 2),
    ("optimisation", "optimisation", 1),
    ("startup", "startup", 1),
    ("memory", "memory", 2),
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def measure(name: str) -> None:
    """In a row's own process: print its records as JSON."""
    _, module, threads = next(row for row in ROWS if row[0] == name)
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # peers print, from C too
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    records = [dataclasses.asdict(r) for r in getattr(importlib.import_module(f"speed.{module}"), name)()]
    with out:
        json.dump(records, out)


def run(name: str, threads: int) -> list[dict[str, Any]]:
    """A row's records, from a process with so many threads."""
    env = {**os.environ, **dict.fromkeys(_THREADS, str(threads)), "TQDM_DISABLE": "1"}
    done = subprocess.run([sys.executable, __file__, f"--row={name}"], env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"row '{name}' failed:\n{done.stderr[-2000:]}")
    return [{"row": name, "threads": threads, **record} for record in json.loads(done.stdout)]


def beside_stored(results: dict[str, Any], run_now: set[str]) -> dict[str, Any]:
    """Results with the stored rows that were not run now, where those are of the same machine and versions."""
    before = json.loads(STORED.read_text()) if STORED.exists() else {}
    same = all(before.get(key) == results[key] for key in ("processor", "cores", "system", "python", "versions"))
    kept = [record for record in before["records"] if record["row"] not in run_now] if same else []
    order = [name for name, _, _ in ROWS]
    records = sorted([*kept, *results["records"]], key=lambda record: order.index(record["row"]))
    commits = [*(before["commit"].split(", ") if kept else []), results["commit"]]
    return {**results, "commit": ", ".join(dict.fromkeys(commits)), "records": records}


def main(words: Sequence[str], store: bool) -> None:
    """Run rows, print the table, and store it where that is asked for or all rows were run."""
    chosen = [row for row in ROWS if not words or any(word in row[0] for word in words)]
    if not chosen:
        raise SystemExit(f"no row is named so; there are {', '.join(row[0] for row in ROWS)}")
    records: list[dict[str, Any]] = []
    failed = 0
    for name, _, threads in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            records += run(name, threads)
        except RuntimeError as error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
    results = {**described(), "records": records}
    print(table(results))
    for record in records:
        if record["note"]:
            print(f"{record['what']}, beside {record['beside']}: {record['note']}")
    if store or (len(chosen) == len(ROWS) and not failed):
        whole = beside_stored(results, {name for name, _, _ in chosen})
        STORED.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    raise SystemExit(int(failed > 0 or any(record["met"] is False for record in records)))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("--row="):
        measure(sys.argv[1].removeprefix("--row="))
    else:
        main([word for word in sys.argv[1:] if word != "--store"], "--store" in sys.argv)
