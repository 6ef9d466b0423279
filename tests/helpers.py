"""Functions that several test files share."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import torch
from torch import Tensor


@contextlib.contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Open a file that trajvae wrote for changes, and leave it without checksums, as older versions wrote it."""
    with h5py.File(path, "r+") as file:
        yield file
        if "trajvae/checksums" in file:
            del file["trajvae/checksums"]
            del file["trajvae"].attrs["checksum"]


def give_up_superuser_rights() -> None:
    """Let this process read and write only what permissions allow, as every user but the superuser.

    The process keeps its user, so that Python finds its own files wherever they are; it loses the capabilities
    CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capset(2)).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, of capabilities 0 to 31 and 32 to 63
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for k in range(3):
        sets[k] &= ~0b110
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def raises_nothing_for_a_user(function: Callable[[], None]) -> bool:
    """Run a function in a child process without the superuser's rights; return whether it raised nothing."""
    child = os.fork()
    if not child:
        code = 1
        try:
            give_up_superuser_rights()
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def normal_numbers(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def on_sphere(angles: Tensor) -> Tensor:
    """Return the points (n, 3) of a sphere of radius 2 at polar angles and azimuths (n, 2)."""
    theta, phi = angles[:, 0], angles[:, 1]
    return 2.0 * torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], dim=-1)


def mean_agrees(draws: Tensor, expected: Tensor | float, dim: int = 0) -> bool:
    """Return whether the mean of draws is within four standard errors of a value."""
    error = draws.std(dim=dim) / draws.shape[dim] ** 0.5
    return bool(((draws.mean(dim=dim) - expected).abs() <= 4.0 * error + 1e-12).all())
