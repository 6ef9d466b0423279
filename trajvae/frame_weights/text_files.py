"""Read weights from text: a column of weights, columns of time and weight, or a COLVAR file of PLUMED."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.frame_weights.table import WeightTable
from trajvae.readers.failures import as_read_error
from trajvae.typing import Float64

_LARGEST = 2**32  # bytes
_FIELDS = re.compile(r"^#! FIELDS\b", re.MULTILINE)
_WANTED = "expected a column of weights, columns of time and weight, or a COLVAR file of PLUMED with '#! FIELDS'"


def read_text(path: Path) -> WeightTable:
    """Read weights from a text file.

    Raises
    ------
    ReadError
        The file is too large, is no text, or does not hold the columns that are needed.
    """
    size = path.stat().st_size
    if size > _LARGEST:
        raise ReadError(f"'{path}' has {size} bytes, more than {_LARGEST}: keep time and bias, or save them as .npz")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ReadError(f"'{path}' is no text: {_WANTED}") from error
    before, *runs = _FIELDS.split(text)
    return read_colvar(path, before, runs) if runs else _columns(path, text)


def _columns(path: Path, text: str) -> WeightTable:
    """Read one column of weights, or two of time and weight."""
    rows = _numbers(path, text.replace(",", " "))
    if rows.shape[1] not in (1, 2) or not len(rows):
        raise ReadError(f"'{path}' has {rows.shape[1]} columns and {len(rows)} rows: {_WANTED}")
    time = rows[:, 0].copy() if rows.shape[1] == 2 else None
    return WeightTable(rows[:, -1].copy(), time, file=str(path), column="")


def _numbers(path: Path, text: str, columns: Sequence[int] | None = None) -> Float64:
    """Return the rows of a text, shape (n, columns)."""
    with as_read_error(f"'{path}' cannot be read", prints=False):
        return np.loadtxt(io.StringIO(text), comments="#", usecols=columns, ndmin=2, dtype=np.float64)


def read_colvar(path: Path, before: str, runs: Sequence[str]) -> WeightTable:
    """Read times and biases from a COLVAR file.

    Parameters
    ----------
    path : Path
        Name of the file.
    before : str
        Text before the first `#! FIELDS`, which holds no rows.
    runs : sequence of str
        Texts after each `#! FIELDS`: the names of the columns, and rows.

    Notes
    -----
    PLUMED writes `#! FIELDS` again when a simulation is restarted, and the rows from the restart on once more. Rows of
    a run whose times are those of a later run, or after it began, were abandoned: the later rows count.
    """
    if any(line.strip() and not line.startswith("#") for line in before.splitlines()):
        raise ReadError(f"'{path}' has rows before its first '#! FIELDS' line, which says what columns are: {_WANTED}")
    names = _names(runs[0])
    found = _bias_columns(path, names)
    clocks, biases = [], []
    for text in runs:
        if _names(text) != names:
            raise ReadError(
                f"'{path}': a later '#! FIELDS' line names other columns ({' '.join(_names(text))}) than the first "
                f"({' '.join(names)}): give each run's file by itself"
            )
        wanted = [names.index("time"), *found] if "time" in names else found
        rows = _numbers(path, text.partition("\n")[2], wanted).reshape(-1, len(wanted))
        clocks.append(rows[:, 0] if "time" in names else np.arange(len(rows), dtype=np.float64))
        biases.append(rows[:, len(wanted) - len(found) :].sum(axis=1))
    column = "+".join(names[k] for k in found)
    if "time" not in names:
        return WeightTable(np.concatenate(biases), None, is_bias=True, file=str(path), column=column)
    kept = _without_abandoned(clocks)
    time, bias = (np.concatenate([run[:n] for run, n in zip(x, kept, strict=True)]) for x in (clocks, biases))
    return WeightTable(bias, time, is_bias=True, file=str(path), column=column)


def _names(text: str) -> list[str]:
    """Names of the columns after `#! FIELDS`."""
    return text.partition("\n")[0].split()


def _bias_columns(path: Path, names: list[str]) -> list[int]:
    """Return the columns that are added up: all whose name contains `bias`.

    Metadynamics writes `NAME.rbias`, its bias less a constant that changes in time, beside `NAME.bias`: both are the
    same bias, which counts once, as `NAME.rbias` gives it.

    References
    ----------
    P. Tiwary, M. Parrinello, J. Phys. Chem. B 119, 736 (2015), eq. 12.
    """
    twice = {name.removesuffix("rbias") + "bias" for name in names if name.endswith(".rbias")}
    found = [k for k, name in enumerate(names) if "bias" in name and name not in twice]
    if not found:
        raise ReadError(f"'{path}' has no column whose name contains 'bias', only {' '.join(names)}")
    return found


def _without_abandoned(runs: Sequence[Float64]) -> list[int]:
    """How many rows of each run were not written again by a later one."""
    kept, first = [len(run) for run in runs], np.inf
    for k in range(len(runs) - 1, -1, -1):
        steps = np.diff(runs[k])
        half = 0.5 * float(np.median(steps)) if len(steps) else 0.0
        kept[k] = int((runs[k] < first - half).sum())
        first = min(first, float(runs[k][0])) if len(runs[k]) else first
    return kept
