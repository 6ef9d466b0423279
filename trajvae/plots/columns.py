"""Numbers of frames in files of other programs: NumPy arrays, CSV, PLUMED's COLVAR, plain columns of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajvae.errors import OptionError, ReadError
from trajvae.readers.file_formats.npy import read_numbers
from trajvae.runtime.system import is_readable, system_reason
from trajvae.typing import Float64

_COUNTS = ("time", "frame", "step", "index", "")  # columns that number rows: no choice where another is there
_COMMENTS = ("#", "@", "&")  # of PLUMED and others, and of Grace
_SET = re.compile(r"#!\s*SET\s+(min|max)_(\S+)\s+(\S+)")
_FIELDS = re.compile(r"#!\s*FIELDS\s+(.+)")


@dataclass(frozen=True, eq=False)
class NumberTable:
    """Hold columns of numbers.

    Attributes
    ----------
    file : str
    names : tuple of str
        Of the columns; their numbers, from 0, where the file names none.
    values : ndarray, shape (rows, columns)
    periods : mapping of str to float
        Of the columns that are periodic, as PLUMED tells.
    """

    file: str
    names: tuple[str, ...]
    values: Float64
    periods: dict[str, float]

    def column(self, name: str | None) -> tuple[str, Float64]:
        """Return a column by its name or number; without one the only column that does not number the rows.

        Raises
        ------
        OptionError
            No such column, or several to choose from.
        """
        if name is None:
            left = [n for n in self.names if n.lower() not in _COUNTS] if len(self.names) > 1 else list(self.names)
            if len(left) != 1:
                listed = ", ".join(self.names)
                raise OptionError(f"'{self.file}' has the columns {listed}: say which, as '{self.file}:{left[-1:][0]}'")
            name = left[0]
        if name in self.names:
            return name, self.values[:, self.names.index(name)]
        if name.isdecimal() and int(name) < len(self.names):
            return self.names[int(name)], self.values[:, int(name)]
        raise OptionError(f"'{self.file}' has no column '{name}': there are {', '.join(self.names)}")


def split_name(text: str) -> tuple[Path, str | None]:
    """Return the parts of `FILE[:COLUMN]`; a file whose own name has a colon is found."""
    if is_readable(text) or ":" not in text:
        return Path(text), None
    name, _, column = text.rpartition(":")
    return Path(name), column


def read_columns(path: Path) -> NumberTable:
    """Read a file of numbers, a row a frame.

    Parameters
    ----------
    path : Path
        `.npy` (T,) or (T, columns); `.csv` with names in its first row or without; COLVAR, or other text whose columns
        are parted by blanks.

    Raises
    ------
    ReadError
        No such file, or something else in it.
    """
    if not is_readable(path):
        raise ReadError(f"no file '{path}' of numbers to colour by")
    try:
        table = _read(path)
    except (ValueError, TypeError, SyntaxError, OSError, EOFError, csv.Error) as error:
        refused = system_reason(error)
        if refused:
            raise ReadError(f"cannot read '{path}': {refused}") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(
            f"'{path}' holds no columns of numbers; wanted: .npy, .csv or a COLVAR file: {reason}"
        ) from error
    if not table.values.size:
        raise ReadError(f"'{path}' holds no rows of numbers")
    return table


def _read(path: Path) -> NumberTable:
    if path.suffix.lower() == ".npy":
        array = read_numbers(path)
        if array.ndim not in (1, 2):
            raise ValueError(f"an array of shape {array.shape} and type {array.dtype}")
        return _named(path, None, array.reshape(len(array), -1).astype(np.float64))
    with path.open(encoding="utf-8", newline="") as file:
        lines = file.read().splitlines()
    return _csv(path, lines) if path.suffix.lower() in (".csv", ".tsv") else _text(path, lines)


def _named(
    path: Path, names: Sequence[str] | None, values: Float64, periods: dict[str, float] | None = None
) -> NumberTable:
    names = tuple(names) if names is not None else tuple(map(str, range(values.shape[1])))
    if len(names) != values.shape[1]:
        raise ValueError(f"{len(names)} names, but {values.shape[1]} columns")
    return NumberTable(str(path), names, values, periods or {})


def _csv(path: Path, lines: list[str]) -> NumberTable:
    head = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    names = None if all(map(_is_number, rows[0])) else [field.strip() for field in rows.pop(0)]
    values = [[float(field) if field.strip() else np.nan for field in row] for row in rows]
    return _named(path, names, np.array(values, dtype=np.float64, ndmin=2))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text(path: Path, lines: list[str]) -> NumberTable:
    """PLUMED's COLVAR says the columns' names in its first line, and between which values periodic ones lie."""
    fields = next((m[1].split() for line in lines if (m := _FIELDS.match(line))), None)
    ends = {(m[2], m[1]): _angle(m[3]) for line in lines if (m := _SET.match(line))}
    periods = {name: ends[name, "max"] - ends[name, "min"] for name, end in ends if end == "min"}
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith(_COMMENTS)]
    values = np.loadtxt(rows, ndmin=2) if rows else np.empty((0, len(fields or ())))
    return _named(path, fields, values, periods)


def _angle(text: str) -> float:
    """A number, or a multiple of pi as PLUMED writes it."""
    return float(text.replace("pi", "1")) * np.pi if "pi" in text else float(text)
