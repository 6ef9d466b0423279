"""What the system refuses is said to be that: by its number, in whatever exception it comes."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from trajvae import Model
from trajvae.errors import ReadError
from trajvae.readers.failures import as_read_error
from trajvae.readers.file_formats.arrays import open_array
from trajvae.runtime.system import is_readable, system_reason
from trajvae.store import describe

NUMBERS = {
    errno.EACCES: "permission denied",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EDQUOT: "quota",
    errno.ENOSPC: "no space",
    errno.ESTALE: "stale",
    errno.EIO: "input/output error",
    errno.ENAMETOOLONG: "name is too long",
    errno.ENOMEM: "not enough memory",
}


@pytest.mark.parametrize("number, words", NUMBERS.items())
def test_numbers_have_words(number: int, words: str) -> None:
    """As Python's own exception, in HDF5's text, quoted by a library, and as the cause of another exception."""
    text = os.strerror(number)
    hidden = RuntimeError(f"file read failed: time = 1, fd = 3, errno = {number}, error message = '{text}'")
    quoted = ValueError(f"cannot open it: {text}")
    other = KeyError("x")
    other.__cause__ = OSError(number, text)
    for error in (OSError(number, text, "x"), hidden, quoted, other, ValueError(f"[Errno {number}] it failed")):
        assert words in str(system_reason(error))


def test_other_exceptions_are_not_the_systems() -> None:
    """Damage, a missing file, and defects."""
    for error in (ValueError("no box"), FileNotFoundError(errno.ENOENT, "x"), KeyError("errno"), OSError("damaged")):
        assert system_reason(error) is None


def test_parsers_errors_are_told_by_their_cause() -> None:
    """And keep the file's name."""
    with (
        pytest.raises(ReadError, match=r"'a.xtc' cannot be read: too many open files .*ulimit -n"),
        as_read_error("'a.xtc' cannot be read"),
    ):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_names_of_no_file(tmp_path: Path) -> None:
    """Missing, a folder, below a file, with a null character: no file; too long a name is an error of its own."""
    (tmp_path / "x").write_bytes(b"")
    assert is_readable(tmp_path / "x")
    assert not any(map(is_readable, (tmp_path / "y", tmp_path, tmp_path / "x" / "y", "a\0b")))
    with pytest.raises(ReadError, match="name is too long"):
        is_readable(tmp_path / ("x" * 300))


@pytest.mark.parametrize("act", [describe, lambda p: Model.load(p, "cpu"), lambda p: open_array(p.with_name("x.npy"))])
def test_too_many_open_files(written: Path, tmp_path: Path, act) -> None:
    """Of a sound file: neither damaged, nor missing."""
    import numpy as np

    path = tmp_path / "model.h5"
    path.write_bytes((written / "model.h5").read_bytes())
    np.save(tmp_path / "x.npy", np.zeros((3, 2, 2)))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        with pytest.raises(ReadError, match="too many open files") as caught:
            act(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "damaged" not in str(caught.value) and "no file" not in str(caught.value)
