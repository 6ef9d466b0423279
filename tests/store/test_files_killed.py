"""What a process that was killed leaves: whole files or none, and nothing hidden once the folder is used again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trajvae.store import whole_files

KILLED = """
import os, signal, sys
from pathlib import Path
from trajvae.store import whole_files
left = [int(sys.argv[1])]
def counted(call):
    def step(*names, **more):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.{signal})
        return call(*names, **more)
    return step
def alike(old, new):
    return {alike}
with whole_files(Path("a.pdb"), Path("a.h5md"), force={force}, alike=alike) as parts:
    for part in parts:
        part.write_text("new")
    os.replace, os.link, os.rename = counted(os.replace), counted(os.link), counted(os.rename)
"""


def contents(folder: Path) -> dict[str, str]:
    """The files of a folder that are not hidden, with their text."""
    return {p.name: p.read_text() for p in folder.iterdir() if not p.name.startswith(".")}


def killed(folder: Path, before: int, *, force: bool, alike: bool, number: signal.Signals = signal.SIGKILL) -> int:
    """Write a pair in a process that is struck before one of its renames."""
    script = KILLED.format(signal=number.name, force=force, alike=alike)
    return subprocess.run([sys.executable, "-c", script, str(before)], cwd=folder, capture_output=True).returncode


def write_again(folder: Path) -> None:
    """Another output of the same folder."""
    with whole_files(folder / "b.h5", force=True) as (part,):
        part.write_text("b")


@pytest.mark.parametrize(("before", "left"), [(1, {}), (2, {"a.pdb": "new"})])
def test_new_files_are_whole_and_the_last_one_says_that_all_are_there(
    tmp_path: Path, before: int, left: dict[str, str]
) -> None:
    """Killed before the first and before the second rename; what is hidden is removed and never taken for a result."""
    assert killed(tmp_path, before, force=False, alike=True) == -signal.SIGKILL
    assert contents(tmp_path) == left
    assert any(p.name.startswith(".") for p in tmp_path.iterdir())
    write_again(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*left, "b.h5"} and contents(tmp_path) == {**left, "b.h5": "b"}


@pytest.mark.parametrize(
    ("before", "alike", "left"),
    [
        (1, True, {"a.pdb": "old", "a.h5md": "old"}),
        (2, True, {"a.pdb": "new", "a.h5md": "old"}),  # the old topology and the new one are of the same atoms
        (1, False, {"a.pdb": "old", "a.h5md": "old"}),
        (2, False, {"a.pdb": "old"}),
        (3, False, {"a.pdb": "new"}),
    ],
)
def test_replaced_pairs_are_never_of_two_molecules(
    tmp_path: Path, before: int, alike: bool, left: dict[str, str]
) -> None:
    """With --force: where a new topology does not fit old conformations, they never stand beside each other."""
    for name in ("a.pdb", "a.h5md"):
        (tmp_path / name).write_text("old")
    assert killed(tmp_path, before, force=True, alike=alike) == -signal.SIGKILL
    assert contents(tmp_path) == left
    write_again(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*left, "b.h5"}


@pytest.mark.parametrize("force", [True, False])
def test_an_interrupt_between_two_renames_does_not_part_a_pair(tmp_path: Path, force: bool) -> None:
    """Ctrl-C where both files are whole: both get their names, and then it ends."""
    assert killed(tmp_path, 2, force=force, alike=True, number=signal.SIGINT) not in (0, -signal.SIGKILL)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.pdb": "new", "a.h5md": "new"}


@pytest.mark.parametrize(
    "names", [(".a.999999.whole.h5", ".a.999999.part.h5"), (".trajvae-0123456789abcdef-0.part.h5",)]
)
def test_hidden_files_of_others_are_left_alone(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Files of an archive, whatever their names, replace nothing and stay."""
    for name in names:
        (tmp_path / name).write_text("a stranger's")
    (tmp_path / "a.h5").write_text("mine")
    with whole_files(tmp_path / "b.h5", force=False) as (part,):
        part.write_text("b")
    assert (tmp_path / "a.h5").read_text() == "mine" and (tmp_path / "b.h5").read_text() == "b"
    assert all((tmp_path / name).read_text() == "a stranger's" for name in names)


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Without --force also at the end of the work; the pair is not parted, and nothing is left of it."""
    from trajvae.errors import OutputError

    with (
        pytest.raises(OutputError, match=r"a\.h5md' exists: another program made it"),
        whole_files(tmp_path / "a.pdb", tmp_path / "a.h5md", force=False) as parts,
    ):
        for part in parts:
            part.write_text("new")
        (tmp_path / "a.h5md").write_text("another's")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.h5md": "another's"}


def test_links_that_somebody_plants_are_not_followed(tmp_path: Path) -> None:
    """A temporary file that is replaced by a link meanwhile: what the link leads to stays, and nothing is renamed."""
    import h5py

    from trajvae.errors import OutputError
    from trajvae.store.hdf5_writer import create_file

    (tmp_path / "victim").write_text("precious")
    with (
        pytest.raises(OutputError, match=r"cannot write|removed or replaced"),
        whole_files(tmp_path / "a.h5", force=False) as (part,),
    ):
        part.unlink()
        part.symlink_to("victim")
        with create_file(part) as file:
            assert isinstance(file, h5py.File)
            file["a"] = 1
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"victim": "precious"}
    assert os.path.lexists(tmp_path / "a.h5") is False
