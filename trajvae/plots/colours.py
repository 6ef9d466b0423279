"""What latent points are coloured by: an observable of the file, a column of another file, or a measure of atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trajvae.arguments.lookup import check_choice
from trajvae.errors import OptionError, ReadError
from trajvae.plots import style
from trajvae.plots.columns import NumberTable, read_columns, split_name
from trajvae.plots.latent import clock
from trajvae.plots.spaces import origin_of
from trajvae.readers.named_files import find_named_file
from trajvae.results import Conformations, Kinetics, LatentPoints
from trajvae.typing import Float64

_MEASURES = ("distance", "angle", "dihedral")
_INSIDE = ("in the support", "outside the support")
_SAME = 1e-3  # of the spacing of frames: rows of a file and frames that are so near in time belong together


class Colour(NamedTuple):
    """Hold numbers of frames to colour by.

    Attributes
    ----------
    values : ndarray, shape (T,)
    label : str
        Their name and unit.
    period : float
        Of an angle in the values' unit, else 0.
    categories : sequence of str
        Where the values number kinds of frames: their names.
    """

    values: Float64
    label: str
    period: float = 0.0
    categories: Sequence[str] = ()


@dataclass(frozen=True)
class Trajectory:
    """Hold where the frames' atoms are read from.

    Attributes
    ----------
    files, topologies : sequence of str
        By default those that the embedding names.
    """

    files: Sequence[str] = ()
    topologies: Sequence[str] = ()


def colour_of(points: LatentPoints, text: str, trajectory: Trajectory | None = None) -> Colour:
    """Find the numbers that a text names.

    Parameters
    ----------
    points : Embedding, TrainedModel or Conformations
    text : str
        An observable that the file holds, with one number a frame; "time" or "trajectory"; "FILE[:COLUMN]" of a .npy,
        .csv or COLVAR file; or "distance:A,B", "angle:A,B,C", "dihedral:A,B,C,D" of numbers of atoms, from 0 within
        the selection, or of selections of atoms, whose centres of mass are taken.
    trajectory : Trajectory, optional
        For the latter.

    Raises
    ------
    OptionError
        None of these.
    ReadError
        A file cannot be read, or has another number of rows than there are frames.
    """
    held = _held(points, text)
    if held is not None:
        return held
    if text.partition(":")[0] in _MEASURES:
        return _measured(points, text, trajectory or Trajectory())
    path, column = split_name(text)
    if not path.is_file() and not path.suffix:
        known = names_of_numbers(points)
        others = "; else a file of numbers FILE[:COLUMN], or distance:A,B, angle:A,B,C, dihedral:A,B,C,D"
        check_choice(text, [*known, "time", "trajectory"], "observable", also=others)
    return _of_table(points, read_columns(path), column)


def _held(points: LatentPoints, text: str) -> Colour | None:
    """Return what the points themselves say of each frame; None where the text names nothing of it."""
    found = points.columns.get(text)
    if found is not None and found.value.ndim == 1:
        values = np.asarray(found.value, dtype=np.float64)
        if text == "in_support":
            return Colour(1.0 - values, style.readable(text), categories=_INSIDE)
        return Colour(values, style.with_unit(style.readable(text), found.unit), found.period)
    if text == "time":
        return Colour(*clock(points))
    if text == "trajectory" and not isinstance(points, Conformations):
        return Colour(points.file.astype(np.float64), "trajectory", categories=short_names(points.files))
    return None


def names_of_numbers(points: LatentPoints) -> list[str]:
    """Return the names of all that is one number a frame, or a conformation, by the alphabet."""
    return sorted(name for name, quantity in points.columns.items() if quantity.value.ndim == 1)


def short_names(files: Sequence[str]) -> list[str]:
    """Return names of files without their folders, where those are distinct."""
    short = [Path(file).name for file in files]
    return short if len(set(short)) == len(short) else list(files)


def _of_table(points: LatentPoints, table: NumberTable, column: str | None) -> Colour:
    name, values = table.column(column)
    n = len(points.latent)
    if len(values) != n:
        values = _by_time(points, table, values)
    label = style.plain(f"{Path(table.file).name}: {name}" if not name.isdecimal() else Path(table.file).name)
    return Colour(values, label, table.periods.get(name, 0.0))


def _by_time(points: LatentPoints, table: NumberTable, values: Float64) -> Float64:
    """Rows of a file that has others too, found by their time."""
    n, time, file = len(points.latent), origin_of(points, "time"), origin_of(points, "file")
    told = f"'{table.file}' has {len(values)} rows, and there are {n} frames: wanted a row for each frame"
    names = [name.lower() for name in table.names]
    if "time" not in names or time is None or (file is not None and len(np.unique(file)) > 1):
        raise ReadError(f"{told}, or a column 'time' in ps and frames of one trajectory")
    times, first = np.unique(table.values[:, names.index("time")], return_index=True)
    wanted = np.asarray(time, dtype=np.float64)
    near = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    near = np.where(np.abs(times[near - 1] - wanted) <= np.abs(times[near % len(times)] - wanted), near - 1, near)
    spacing = float(np.median(np.abs(np.diff(wanted)))) if n > 1 else 1.0
    late = np.abs(times[near] - wanted) > _SAME * max(spacing, 1e-9)
    if late.any():
        raise ReadError(f"{told}; by their times (ps), {int(late.sum())} frames, such as that at "
                        f"{wanted[np.argmax(late)]:g} ps, have none")  # fmt: skip
    return np.asarray(values[first[near]], dtype=np.float64)


def _measured(points: LatentPoints, text: str, trajectory: Trajectory) -> Colour:
    if isinstance(points, Conformations | Kinetics):
        raise OptionError(f"'{text}' is measured in the frames of an embed.h5 or a model.h5")
    beside, reading = Path(points.path).parent, points.reading
    files = list(trajectory.files) or [find_named_file(name, beside, points.path) for name in points.files]
    known = [str(name) for name in reading.topologies]
    tops = list(trajectory.topologies) or [find_named_file(name, beside, points.path, "-s") for name in known]
    from trajvae.outputs.atom_measures import Places, measure  # torch and MDAnalysis, which no other figure waits for

    reading = replace(reading, topology=list(tops) or None, format=None if trajectory.files else reading.format)
    places = Places(points.file.astype(np.int64), points.frame.astype(np.int64), origin_of(points, "time"))
    found = measure(text, files, reading, places)
    label = style.plain(style.with_unit(text.replace(":", " ", 1), found.unit))
    return Colour(found.values, label, found.period)
