"""Open a data set from any source: files, globs, Universes, AtomGroups, mdtraj trajectories or arrays."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trajvae.choices import load
from trajvae.errors import OptionError, ReadError, SelectionError, TrajvaeWarning
from trajvae.molecule.masses import warn_of_masses
from trajvae.molecule.selection import atom_groups, has_names, selection_of
from trajvae.readers.data_set import AtomPlan, Chunk, Frames, check_same_atoms
from trajvae.readers.formats import format_of
from trajvae.readers.frame_file import FrameFile
from trajvae.readers.opening import OpenedTrajectory, expand_paths, open_any
from trajvae.readers.parallel.jobs import checked_jobs
from trajvae.readers.parallel.processes import start_for_files, start_processes
from trajvae.readers.planning import SelectedAtoms, plan_reading, select_from
from trajvae.readers.reading import Reading

_LOGGER = logging.getLogger("trajvae")

__all__ = ["Chunk", "Frames", "Reading", "open_matching", "open_source", "selection_of"]


def open_source(source: object, reading: Reading | None = None) -> Frames:
    """Open one or several trajectories of any kind, select frames and atoms, and plan how they are read.

    Parameters
    ----------
    source : str, Path, ndarray, Universe, AtomGroup, mdtraj.Trajectory, or a sequence of paths or of such objects
        Paths may be globs. Arrays are (T, N, D) in Å; mdtraj's nm are converted. Without a selection all atoms
        of an AtomGroup are read, in the order of the topology.
    reading : Reading, optional

    Returns
    -------
    Frames

    Raises
    ------
    ReadError
        A file is missing, damaged, or has another number of atoms than the topology.
    SelectionError
        See `select_atoms`.
    """
    reading = reading or Reading()
    jobs = checked_jobs(reading.jobs)
    started = None
    if jobs > 1 and (reading.start, reading.stop, reading.step) == (None, None, None):
        started = start_processes(*expected_reading(source, reading.format), jobs)  # while the topology is read
    opened = open_any(source, reading.topologies, reading.format)
    for item in opened:
        if item.file.n_atoms != len(item.atoms.universe.atoms):
            raise ReadError(
                f"'{item.file.name}' has {item.file.n_atoms} atoms, the topology {len(item.atoms.universe.atoms)}"
            )
    files = [item.file for item in opened]
    ranges = _ranges([f.n_frames for f in files], reading, [f.name for f in files])
    groups = atom_groups(source) is not None
    processes = start_for_files(files, ranges, jobs, started)
    selected = []
    for rows in _by_topology(opened):
        atoms = opened[rows[0]].atoms
        select = selection_of(atoms, reading.select) if groups else reading.select
        selection = select_from(atoms, [files[k] for k in rows], [ranges[k] for k in rows], select, reading)
        selected.append((rows, selection))
    warn_of_masses(selected[0][1].atoms)
    if not has_names(selected[0][1].atoms):
        warnings.warn("no topology: all atoms have unit mass and no name (-s/--topology gives one)", TrajvaeWarning, 2)
    frames = replace(_assemble(files, ranges, selected), processes=processes)
    _LOGGER.info(
        "selected %d of %d atoms (%s), %d of %d frames of %d files",
        *(frames.topology.n_atoms, files[0].n_atoms, frames.selection),
        *(frames.n_frames, sum(f.n_frames for f in files), len(files)),
    )
    return frames


def expected_reading(source: object, format: str | None = None) -> tuple[float, list[str]]:
    """Return about how long all frames of files take to read, in s, and which libraries decode them.

    It is known before anything is opened, for formats that several processes read: 0 otherwise.

    Parameters
    ----------
    source : object
        See `open_any`.
    format : str, optional
        Format of the trajectories, where it does not follow from their suffixes.
    """
    paths = [source] if isinstance(source, str | Path) else source
    if not isinstance(paths, Sequence) or not all(isinstance(path, str | Path) for path in paths):
        return 0.0, []
    seconds, libraries = 0.0, set[str]()
    with contextlib.suppress(ReadError, OSError):  # which is said when the files are opened
        for path in expand_paths(paths):
            opener = format_of(path, format).opener
            kind = load(opener) if opener else None
            cost = float(getattr(kind, "seconds_per_byte", 0.0))
            if not cost:
                return 0.0, []
            seconds += cost * path.stat().st_size
            libraries |= {str(kind.__module__), str(getattr(kind, "library", ""))}
    return seconds, sorted(libraries - {""})


def _by_topology(opened: Sequence[OpenedTrajectory]) -> list[list[int]]:
    """Return the numbers of the trajectories of each topology, the topologies in order of their first trajectory."""
    groups: dict[int, list[int]] = {}
    for number, item in enumerate(opened):
        groups.setdefault(id(item.atoms.universe), []).append(number)
    return list(groups.values())


def _assemble(
    files: list[FrameFile], ranges: list[range], selected: Sequence[tuple[list[int], SelectedAtoms]]
) -> Frames:
    """Plan how the files of each topology are read, and join them to one data set with the first topology."""
    plans: dict[int, AtomPlan] = {}
    topologies = []
    for rows, item in selected:
        plan, topology = plan_reading([files[k] for k in rows], [ranges[k] for k in rows], item)
        plans |= dict.fromkeys(rows, plan)
        topologies.append(topology)
    check_same_atoms(topologies, [files[rows[0]].name for rows, _ in selected])
    plan_of_file = [plans[k] for k in range(len(files))]
    frames = Frames(files, ranges, plan_of_file, topologies[0], selected[0][1].description)
    axes = _varying_axes(frames)
    return frames if axes == frames.axes else replace(frames, axes=axes)


def open_matching(source: object, reading: Reading, select: str | None, n_atoms: int) -> Frames:
    """Open a source with the selection of a model, or with all atoms if it has as many atoms as the model.

    Parameters
    ----------
    source : object
        See `open_source`.
    reading : Reading
        If it has a selection, that is used.
    select : str, optional
        Selection of the model.
    n_atoms : int
        Number of atoms of the model.
    """
    if reading.select is not None:
        return open_source(source, reading)
    try:
        frames = open_source(source, replace(reading, select=select))
    except SelectionError:
        frames = open_source(source, replace(reading, select="all"))
        if frames.topology.n_atoms != n_atoms:
            raise
    if frames.topology.n_atoms == n_atoms or any(f.n_atoms != n_atoms for f in frames.files):
        return frames
    return open_source(source, replace(reading, select="all"))


def _ranges(counts: list[int], reading: Reading, names: list[str]) -> list[range]:
    """Return the frames of each file that `start`, `stop` and `step` select, counted over all files."""
    total = sum(counts)
    if reading.step is not None and reading.step < 1:
        raise OptionError(f"--step must be 1 or more, got {reading.step}")
    start, stop, step = slice(reading.start, reading.stop, reading.step).indices(total)
    out, offset = [], 0
    for count in counts:
        first = start + step * max(0, -(-(offset - start) // step)) - offset
        out.append(range(first, min(stop - offset, count), step))
        offset += count
    if not any(map(len, out)):
        given = [f"{k} {getattr(reading, k)}" for k in ("start", "stop", "step") if getattr(reading, k) is not None]
        selected = f"; {', '.join(given)} select none" if given else ""
        raise ReadError(f"no frame is left of {total} in '{names[0]}'{selected}")
    return out


def _varying_axes(frames: Frames) -> tuple[int, ...]:
    """Return which coordinates vary: two where the third is equal in all frames and atoms, else three."""
    flat = [len(r) > 0 and _n_coordinates(f, r) == 2 for f, r in zip(frames.files, frames.ranges, strict=True)]
    if all(is_flat or not r for is_flat, r in zip(flat, frames.ranges, strict=True)):
        return (0, 1)
    spatial = [range(0) if is_flat else r for is_flat, r in zip(flat, frames.ranges, strict=True)]
    axes = _varying_axes_in_space(replace(frames, ranges=spatial))
    if any(flat) and axes != (0, 1):
        other = next(k for k, is_flat in enumerate(flat) if is_flat != flat[0])
        raise ReadError(f"'{frames.names[other]}' and '{frames.names[0]}' are not both two-dimensional")
    return axes


def _n_coordinates(file: FrameFile, frames: range) -> int:
    """Return the number of coordinates, 2 or 3, that a file has for each atom."""
    return int(next(iter(file.blocks(frames[:1], np.arange(1), 1))).positions.shape[2])


def _varying_axes_in_space(frames: Frames) -> tuple[int, ...]:
    """Return which of three coordinates vary.

    All frames are read only where one coordinate is equal for all atoms of the first frame.
    """
    first = next(iter(frames.chunks(1))).positions[0]
    constant = [d for d in range(3) if len(first) > 2 and np.ptp(first[:, d]) == 0]
    if len(constant) != 1:
        return (0, 1, 2)
    axis, value = constant[0], first[0, constant[0]]
    if all((chunk.positions[:, :, axis] == value).all() for chunk in frames.chunks()):
        return tuple(d for d in range(3) if d != axis)
    return (0, 1, 2)
