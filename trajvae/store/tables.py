"""Tables: the embedding of a trajectory, and marginal distributions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajvae.store.conformations import write_observables
from trajvae.store.files import whole_files
from trajvae.store.schema import Header, Quantity, Tree, open_file, read_tree, write_header, write_tree
from trajvae.store.writing import create_file


def write_table(
    path: Path,
    header: Header,
    *,
    observables: Mapping[str, Quantity] | None = None,
    steps: NDArray[np.int64] | None = None,
    times: NDArray[np.float64] | None = None,
    groups: Mapping[str, tuple[Tree, Mapping[str, Any]]] | None = None,
    extra: Tree | None = None,
    attributes: Mapping[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path : Path
    header : Header
    observables : mapping of str to Quantity, optional
        Written to `/observables/<name>/{value,step,time}`, one row a frame.
    steps, times : ndarray, shape (T,), optional
        Frame numbers and times in ps.
    groups : mapping of str to (arrays, attributes), optional
        Any other group by its full name, such as `marginals/rg`.
    extra, attributes : mapping, optional
        Arrays below, and attributes of, `/trajvae`.
    force : bool

    Raises
    ------
    OutputError
        The file exists and `force` is off, or the disk refused.
    """
    with whole_files(path, force=force) as (part,), create_file(part) as file:
        group = write_header(file, header)
        group.attrs.update(attributes or {})
        write_tree(group, extra or {})
        write_observables(file, observables or {}, steps, times)
        for name, (tree, marks) in (groups or {}).items():
            made = file.create_group(name)
            made.attrs.update(marks)
            write_tree(made, tree)


def read_table(path: Path, kind: str) -> dict[str, Any]:
    """Read all arrays of a table as nested dictionaries."""
    with open_file(path, kind) as file:
        return read_tree(file)
