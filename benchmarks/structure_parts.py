"""Parts of an HDF5 file at random, and odd values, for the modules that damage files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator
Operator = Callable[[h5py.File, Rng], None]
NUMBERS = (0, 1, -1, 2, 7, 10**9, 2**31, 2**53, 0.5, 1e-300, 1e30, 1e300, float("nan"), float("inf"), -1e300)
NAMES = ("evil:f", "os:system", "torch:load", "__main__:x", "opened.npy", "./opened.npy", "/dev/zero", "*.npy", "~/x")
TEXTS = (
    *NAMES,
    "",
    " ",
    "\x1b[2J",
    "a\nb",
    "\u202eabc",
    "é" * 100,
    "x" * 60_000,
    "$\\frac{$",
    "%s%n{0}",
    "-1",
    "1e400",
)


def pick(choices: Any, rng: Rng) -> Any:
    """One of them."""
    return choices[int(rng.integers(len(choices)))]


def members(file: h5py.File, kind: type) -> list[str]:
    """Names of all its groups, or of all its datasets."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return found


def a_dataset(file: h5py.File, rng: Rng) -> h5py.Dataset:
    """One of them."""
    return file[pick(members(file, h5py.Dataset), rng)]


def a_group(file: h5py.File, rng: Rng) -> h5py.Group:
    """One of them, or the root."""
    return file[pick([*members(file, h5py.Group), "/"], rng)]


def an_object(file: h5py.File, rng: Rng) -> Any:
    """A group or a dataset."""
    return a_dataset(file, rng) if rng.random() < 0.5 else a_group(file, rng)
