"""Creating HDF5 files on disks that may be full: a failure is one `OSError`, after which HDF5 still works.

HDF5 buffers data and cannot close a file if the disk has no space for them: closing fails for one object after the
other, and the process may crash when it exits. So arrays are written at once, and after an error the remaining data are
written to the null device, since the file is given up anyway.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from trajvae.store.output.drafts import path_for_writing

_NUMBER = re.compile(r"errno = (\d+)")  # the system's error number in HDF5's messages


@contextlib.contextmanager
def create_file(path: Path) -> Iterator[h5py.File]:
    """Create an HDF5 file, which is closed when the context ends.

    Parameters
    ----------
    path : Path
        Name of the file. After an error the file exists and is unusable.

    Raises
    ------
    OSError
        The disk refused to write; the error has the system's own number and words.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)  # h5py's default
    access.set_sieve_buf_size(0)  # small arrays are written at once, not when their dataset is closed
    with _as_system_errors():
        file = h5py.File(h5py.h5f.create(os.fsencode(path_for_writing(path)), h5py.h5f.ACC_TRUNC, fapl=access))
        with contextlib.ExitStack() as on_error:
            on_error.callback(_discard, file)
            yield file
            file.flush()
            file.close()
            on_error.pop_all()


@contextlib.contextmanager
def _as_system_errors() -> Iterator[None]:
    """Turn HDF5's errors that name an error number of the system into `OSError` with that number."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        number = _NUMBER.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _discard(file: h5py.File) -> None:
    """Close a file whose remaining data are written to the null device."""
    if not file:
        return
    number = file.id.get_vfd_handle()
    _redirect(number, os.open(os.devnull, os.O_RDWR))  # takes more data than the largest file that a process may make
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # it cannot be given a length, which HDF5 tries
        file.flush()
    if hasattr(os, "memfd_create"):
        _redirect(number, os.memfd_create("discarded"))
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        file.close()


def _redirect(number: int, other: int) -> None:
    """Make a descriptor stand for the file of another one."""
    os.dup2(other, number)
    os.close(other)
