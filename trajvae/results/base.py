"""What the classes of result files share: reading through the store, and one line about damage."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from trajvae.display import Displayed
from trajvae.errors import ReadError
from trajvae.store import Contents, Quantity, read_contents
from trajvae.typing import Float64


@contextlib.contextmanager
def report_damage(path: str | Path) -> Iterator[None]:
    """Turn what a missing or misshapen entry of a file raises into an error that names the file.

    Raises
    ------
    ReadError
    """
    try:
        yield
    except ReadError as error:
        raise ReadError(f"'{path}' is damaged: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ReadError(f"'{path}' is damaged or incomplete: {error}") from error


class ResultFile(Displayed):
    """Read a kind of result file.

    Attributes
    ----------
    KIND : str
        Kind of file, as its header says.
    SKIPPED : tuple of str
        Full names of groups and datasets that are not read.
    TABLES : tuple of str
        Groups at the top that hold all that is read of a file which has them.
    """

    KIND: ClassVar[str]
    SKIPPED: ClassVar[tuple[str, ...]] = ()
    TABLES: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` or a command wrote.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ReadError
            The file is missing, damaged or of another kind, or lacks what its kind must hold.
        """
        contents = read_contents(Path(path), cls.KIND, skip=cls.SKIPPED, tables=cls.TABLES)
        return cls.from_contents(contents, path)

    @classmethod
    def from_contents(cls, contents: Contents, path: str | Path) -> Self:
        """Return the result that was read of a file.

        Parameters
        ----------
        contents : Contents
        path : str or Path
            Name of the file, for errors and figures.

        Raises
        ------
        ReadError
            The file lacks what its kind must hold.
        """
        with report_damage(path):
            return cls._unpack(contents, str(path))

    @classmethod
    @abstractmethod
    def _unpack(cls, contents: Contents, path: str) -> Self:
        """Return the result; what is missing may raise any error of Python's."""


def floats(quantity: Quantity) -> Float64:
    """Return the values of a quantity in float64."""
    return quantity.value.astype(np.float64)


def floats_or_nan(quantity: Quantity | None, shape: tuple[int, ...]) -> Float64:
    """Return the values of a quantity in float64; NaN of a shape where a file does not hold it."""
    return np.full(shape, np.nan) if quantity is None else floats(quantity)
