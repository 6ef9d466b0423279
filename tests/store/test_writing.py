"""HDF5 files on disks that refuse: one error with the system's words, and a process that ends in order."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from trajvae.store.hdf5_writer import create_file

REFUSED = """
import resource, sys
from pathlib import Path
import numpy as np
from trajvae.store.hdf5_writer import create_file
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    with create_file(Path(sys.argv[2])) as file:
        for i in range(int(sys.argv[3])):
            file.create_group(f"group{i}").create_dataset("value", data=np.ones(int(sys.argv[4])))
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("limit", [0, 1000, 9000])
@pytest.mark.parametrize("size", [1, 300, 100_000])
def test_a_disk_that_refuses_is_one_error(tmp_path: Path, limit: int, size: int) -> None:
    """Before, within and after the first arrays; nothing is said by the library, and the process ends with 0."""
    words = [str(limit), str(tmp_path / "a.h5"), "40", str(size)]
    done = subprocess.run([sys.executable, "-c", REFUSED, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{errno.EFBIG}\n", "")


def test_an_error_of_another_kind_is_itself(tmp_path: Path) -> None:
    """What is raised while the file is open comes out, and the file is closed."""
    with pytest.raises(ValueError, match="mine"), create_file(tmp_path / "a.h5") as file:
        file["a"] = np.ones(5)
        raise ValueError("mine")
    assert not file


def test_the_format_is_h5py_s(tmp_path: Path) -> None:
    """Old readers open it: the superblock is that of a file that h5py makes."""
    with create_file(tmp_path / "a.h5") as file, h5py.File(tmp_path / "b.h5", "w") as other:
        file["a"] = other["a"] = np.arange(5)
    assert (tmp_path / "a.h5").read_bytes()[:16] == (tmp_path / "b.h5").read_bytes()[:16]
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a"], np.arange(5))
