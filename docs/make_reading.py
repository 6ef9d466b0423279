"""Write docs/reading.md, the table of what is read: `python docs/make_reading.py` (two minutes)."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from trajvae.readers.formats import FORMATS, Format

ROOT = Path(__file__).parents[1]

HEAD = """# Reading

What is read is what is in the file; what is changed or left out on the way stands below, and is reported when it
happens. The tables are made by `python docs/make_reading.py`.

## Trajectories and topologies

Several trajectories, or a glob, are one data set. One topology (`-s`) serves all of them; given as often as there are
trajectories, each has its own. Mutants and replicas then need a selection that leaves the same number of atoms, with
the same names, in each. In Python a source may also be a Universe, an AtomGroup, an mdtraj trajectory, an array in Å,
or a list of such objects. An AtomGroup is taken whole; an UpdatingAtomGroup as it is in the current frame.

A trajectory without a topology has unit masses and takes selections by index alone. Coordinates in space whose third
is constant count as two.

## Selection

Without `--select` the heavy atoms of protein and nucleic acid are taken, if there are any, else everything but solvent
and ions. A residue that is bonded into a chain through its backbone (phosphoserine, D-amino acids, selenocysteine,
pseudouridine, a chromophore, a cap) belongs to the chain whatever its name. Residues that are bonded to a chain in
another way, such as glycans, are left out, and a warning lists them.

## Masses

Atoms of mass zero (lone pairs, virtual sites) are modelled and written as all others, but have no weight in centring,
superposition and the radius of gyration. Where the topology has no masses and MDAnalysis knows none for some atom, all
atoms weigh one, and a warning says so.

## Bonds

Bonds are those of the topology. Where the atoms of a residue are not all connected, or two neighbouring residues of a
chain are not, bonds are added by distance: pairs that are near in at least half of several frames. `--bonds guess`
ignores the topology's bonds, `--bonds none` all of them, and `--bonds FILE` takes those of another topology file.
Coarse-grained beads get no guessed bonds.

A bond of the topology that is longer than any bond of its elements is an error that names the frame: the atoms stand in
another order, or a molecule is broken without a box. A guessed bond may open, as in a reaction, with a warning.

## Periodic boxes

In frames that have a box, molecules are made whole along their bonds, each atom at the true nearest image of the one
before, in cells of any shape. Molecules that touch are then placed together over a graph of contacts, found in a few
frames; what is whole and together in the file stays as it is. A molecule that leaves the others is followed from frame
to frame. Where molecules touch each other's images as well as each other, the arrangement that the topology file shows
is taken, if it has coordinates of whole molecules in contact, and a warning says that there was a choice. Molecules
bonded to their own image, such as nanotubes, are left as they are, and so are atoms without bonds. A box that is
impossible, all but flat, or in nanometres is not used.

## Times

Times are the file's own, in ps. A frame follows the one before it if its time is later by the usual step: a gap, a step
back or another file ends a run, and `frame_jump` is not measured over it. A warning tells of times that step back, and
of runs that overlap. Frames of a TRR file without positions are left out and counted.

## Several cores

XTC, TRR, DCD and NetCDF files that take a second or more to read are read by several processes, as many as there are
cores (`--jobs N`, `Reading(jobs=N)` or `jobs=N` in Python). Each decodes ranges of frames with a reader of its own;
frames are found once, handed over in memory and put together in order. They are those of one process, bit for bit, and
no result depends on N (`compare` reads so, too; its own `--jobs` is the number of trainings at once).
`python benchmarks/reading_jobs.py` measures it. A process takes 80 MB, and frames that are read
ahead take 64 MB, or four frames where these are larger. With `--jobs 1`, in workers of Dask and of `multiprocessing`,
and for all other formats one process reads. Processes that torchrun starts on a machine share its cores.

The processes end with the command, however it ends: nothing of them is left after Ctrl-C or where it is killed, since
the memory that they share has no name. If one of them is killed, as where memory runs out, its frames are read again
and a warning says so. Where the system refuses a process or memory, fewer or one read.

## Formats

A format is known by the suffix of a file, or by `--format NAME`. *Bare* formats hold positions without names of atoms.
Files that are compressed with gzip or bzip2 are read where the table says so. H5MD and mdtraj's HDF5 are told apart by
their contents, and so are CHARMM's and Amber's `.crd`, and Amber's text and NetCDF files. H5MD is read by its
specification: groups of any name, listed or fixed times, atoms in changing order. `.npz` files hold `positions`, else
one array of three dimensions, and may hold `time`.

| format | suffixes | read by | bare | compressed |
|---|---|---|---|---|
"""
FILES = """
## Files of MDAnalysisTests

Each file alone, and with a topology where it needs one. `python benchmarks/files.py` compares positions and times of
the first frames with those of MDAnalysis.

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
