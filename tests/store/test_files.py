"""Files are whole or absent, and what exists is not replaced unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from trajvae.errors import OutputError
from trajvae.store import check_outputs, whole_files

from helpers import raises_nothing_for_a_user


def contents(folder):
    """All files of a folder with their text."""
    return {p.name: p.read_text() for p in folder.iterdir()}


def test_files_appear_under_their_names(tmp_path):
    """All of them, and nothing else is left."""
    with whole_files(tmp_path / "a.pdb", tmp_path / "a.h5md", force=False) as parts:
        for part, text in zip(parts, ("one", "two"), strict=True):
            part.write_text(text)
        assert not (tmp_path / "a.pdb").exists() and not (tmp_path / "a.h5md").exists()
    assert contents(tmp_path) == {"a.pdb": "one", "a.h5md": "two"}


def test_temporary_names_keep_the_endings_and_the_folder(tmp_path):
    """Libraries go by the ending, and a rename must not cross file systems."""
    with whole_files(tmp_path / "a.pdb", tmp_path / "a.h5md", force=False) as parts:
        assert [p.suffix for p in parts] == [".pdb", ".h5md"] and {p.parent for p in parts} == {tmp_path}
        assert len(set(parts)) == 2
        for part in parts:
            part.touch()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("existing", [True, False])
def test_an_exception_leaves_nothing_behind(tmp_path, error, existing):
    """Old files keep their content; half-written ones are gone. An OSError of the disk becomes an OutputError."""
    if existing:
        (tmp_path / "a.pdb").write_text("old")
        (tmp_path / "a.h5md").write_text("old too")
    before = contents(tmp_path)
    with (
        pytest.raises(OutputError if error is OSError else error),
        whole_files(tmp_path / "a.pdb", tmp_path / "a.h5md", force=True) as parts,
    ):
        parts[0].write_text("half")
        parts[1].write_text("half")
        raise error("in the middle")
    assert contents(tmp_path) == before


def test_force_replaces(tmp_path):
    """And only then."""
    (tmp_path / "a.h5").write_text("old")
    with pytest.raises(OutputError, match=r"a\.h5' exists.*--force"), whole_files(tmp_path / "a.h5", force=False):
        pytest.fail("the body ran though the file exists")
    assert contents(tmp_path) == {"a.h5": "old"}
    with whole_files(tmp_path / "a.h5", force=True) as (part,):
        part.write_text("new")
        assert (tmp_path / "a.h5").read_text() == "old"
    assert contents(tmp_path) == {"a.h5": "new"}


def test_one_of_two_existing_files_is_enough_to_refuse(tmp_path):
    """The .pdb beside an .h5md counts as much."""
    (tmp_path / "a.pdb").write_text("someone's")
    with pytest.raises(OutputError, match=r"a\.pdb"):
        check_outputs([tmp_path / "a.pdb", tmp_path / "a.h5md"], force=False)
    check_outputs([tmp_path / "a.pdb", tmp_path / "a.h5md"], force=True)


def test_folders_that_cannot_be_written_to_are_errors(tmp_path):
    """Missing, a file in place of a folder, or a folder in place of the file: before any work, with its name."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "a.h5", tmp_path / "file" / "a.h5", tmp_path):
        with pytest.raises(OutputError, match=str(path)) as caught:
            check_outputs([path], force=True)
        assert "\n" not in str(caught.value)
    assert contents(tmp_path) == {"file": ""}


def test_a_read_only_folder_is_an_error(tmp_path):
    """Before any work, for a user who is not the superuser."""
    tmp_path.chmod(0o500)

    def refused():
        with pytest.raises(OutputError, match=r"[Pp]ermission"):
            check_outputs([tmp_path / "a.h5"], force=False)

    assert raises_nothing_for_a_user(refused)
    assert not raises_nothing_for_a_user((tmp_path / "b.h5").touch)  # the folder is really read-only
    tmp_path.chmod(0o700)


def test_a_folder_that_refuses_is_an_error():
    """/proc takes no files, not even root's."""
    with pytest.raises(OutputError, match=r"cannot write '/proc/a.h5'"):
        check_outputs([Path("/proc/a.h5")], force=False)


def test_checking_leaves_nothing_behind(tmp_path):
    """No probe file stays."""
    check_outputs([tmp_path / "a.h5"], force=False)
    assert contents(tmp_path) == {}


def test_relative_names_are_of_the_working_folder(tmp_path, monkeypatch):
    """As the command line gives them."""
    monkeypatch.chdir(tmp_path)
    with whole_files(Path("a.h5"), force=False) as (part,):
        part.write_text("x")
    assert contents(tmp_path) == {"a.h5": "x"}


@pytest.mark.parametrize("exists", [True, False])
def test_what_is_read_is_never_replaced(tmp_path, exists):
    """By whatever name, with `force`, and also where the input is still to be made."""
    if exists:
        (tmp_path / "a.h5").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="is read by this command"):
        check_outputs([tmp_path / "folder" / ".." / "a.h5"], force=True, inputs=[tmp_path / "a.h5"])
