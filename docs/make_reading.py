"""Write docs/reading.md, the table of what is read: `python docs/make_reading.py` (two minutes)."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from trajvae.readers.formats import FORMATS, Format

ROOT = Path(__file__).parents[1]

HEAD = """# What is read

Made by `python docs/make_reading.py`. Formats are known by their suffix; `--format NAME` names one where the
suffix does not. *Bare* formats hold positions and no names of atoms: a topology (`-s`) gives those. Times are the
file's own; where a format stores none they are the frames' numbers times its time step. Where "gz, bz2" stands, files
compressed so are read too. H5MD and mdtraj's HDF5 are told apart by their contents, and so are CHARMM's and Amber's
`.crd`.

| format | suffixes | read by | bare | compressed |
|---|---|---|---|---|
"""
FILES = """
## Files of MDAnalysisTests

Each file alone, and with a topology where it needs one, by `python benchmarks/files.py`, which compares positions and
times of the first frames with those of MDAnalysis.

| file | topology | | |
|---|---|---|---|
"""


def row(known: Format) -> str:
    """One format as a row of the table."""
    by = {"none": f"not read: {known.advice}"}.get(known.reader, known.reader)
    by += f", with `pip install {known.install}`" if known.install else ""
    suffixes = ", ".join(f"`{s}`" for s in known.suffixes)
    return f"| {known.name} | {suffixes} | {by} | {'yes' if known.bare else ''} | {'gz, bz2' if known.packed else ''} |"


def page() -> str:
    """The whole page."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import files

    found = files.outcomes()
    rows = [
        f"| `{o.name}` | {o.topology and f'`{o.topology}`'} | {o.kind} | {o.text.replace('|', ' ')} |" for o in found
    ]
    return HEAD + "\n".join(map(row, FORMATS)) + "\n" + FILES + "\n".join(rows) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    Path(__file__).with_name("reading.md").write_text(page())
