"""Making HDF5 files on disks that may be full: an error is one `OSError`, and the library is left in order.

HDF5 holds back what is to be written, and cannot close a file that its disk has no room for: every object's end fails
in turn, and the process may crash at its own end. So arrays are written at once, and after an error what is left goes
nowhere; the file is given up anyway.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from trajvae.store.output.drafts import steady

_NUMBER = re.compile(r"errno = (\d+)")  # how HDF5 passes on what the system said


@contextlib.contextmanager
def create_file(path: Path) -> Iterator[h5py.File]:
    """Make a new HDF5 file, which is closed at the end.

    Parameters
    ----------
    path : Path
        Written as it is: after an error it is there, and worth nothing.

    Raises
    ------
    OSError
        The disk refused; with the system's own number and words.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)  # as h5py has it
    access.set_sieve_buf_size(0)  # small arrays are written at once, not where their dataset is closed
    with _in_the_system_s_words():
        file = h5py.File(h5py.h5f.create(os.fsencode(steady(path)), h5py.h5f.ACC_TRUNC, fapl=access))
        try:
            yield file
            file.flush()
            file.close()
        except BaseException:
            _give_up(file)
            raise


@contextlib.contextmanager
def _in_the_system_s_words() -> Iterator[None]:
    """Turn errors in which HDF5 passes on what the system said into those of the system."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        number = _NUMBER.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _give_up(file: h5py.File) -> None:
    """Close a file, with all that has yet to be written going nowhere."""
    if not file:
        return
    number = file.id.get_vfd_handle()
    _divert(number, os.open(os.devnull, os.O_RDWR))  # has room for more than the largest file that a process may make
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # but no length
        file.flush()
    if hasattr(os, "memfd_create"):
        _divert(number, os.memfd_create("nowhere"))
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        file.close()


def _divert(number: int, other: int) -> None:
    os.dup2(other, number)
    os.close(other)
