"""What a name stands for: links, devices, modes, long and odd names, folders of others; as careful programs do."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from trajvae.errors import OutputError
from trajvae.store import check_outputs, whole_files

AS_ANOTHER = """
import os, sys, trajvae.store.output.atomic_output
from pathlib import Path
from trajvae.store import check_outputs
os.setuid(2345)
check_outputs([Path(sys.argv[1])], force=True)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of other users")


def write(path: Path, *, force: bool = False, text: str = "new") -> None:
    """Write one file as commands do."""
    with whole_files(path, force=force) as (part,):
        part.write_text(text)


def mode(path: Path) -> int:
    """Permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    """The file that it leads to is replaced, with --force alone, in the folder where that file is."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.h5").write_text("old")
    (tmp_path / "middle.h5").symlink_to("far/real.h5")
    (tmp_path / "a.h5").symlink_to("middle.h5")
    with pytest.raises(OutputError, match=r"a\.h5' exists"):
        write(tmp_path / "a.h5")
    write(tmp_path / "a.h5", force=True)
    assert (tmp_path / "a.h5").is_symlink() and (tmp_path / "middle.h5").is_symlink()
    assert (tmp_path / "far" / "real.h5").read_text() == "new" and len(list(tmp_path.rglob("*"))) == 4


def test_a_dangling_link_has_its_file_made(tmp_path: Path) -> None:
    """No --force is needed, as nothing is replaced; where its folder is missing, that is said."""
    (tmp_path / "far").mkdir()
    (tmp_path / "a.h5").symlink_to("far/real.h5")
    write(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").is_symlink() and (tmp_path / "far" / "real.h5").read_text() == "new"
    (tmp_path / "b.h5").symlink_to("none/real.h5")
    with pytest.raises(OutputError, match=r"folder '.*none' does not exist"):
        write(tmp_path / "b.h5", force=True)


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "a.h5").symlink_to("b.h5")
    (tmp_path / "b.h5").symlink_to("a.h5")
    with pytest.raises(OutputError, match="circle"):
        write(tmp_path / "a.h5", force=True)


def test_two_names_of_one_file_are_an_error(tmp_path: Path) -> None:
    """Both outputs would be one."""
    (tmp_path / "a.pdb").symlink_to("a.h5md")
    with pytest.raises(OutputError, match="are one file"):
        check_outputs([tmp_path / "a.pdb", tmp_path / "a.h5md"], force=True)


def test_what_is_no_regular_file_is_refused_and_stays(tmp_path: Path) -> None:
    """Devices, pipes and sockets, also behind links; streams such as /dev/stdout; before any work."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        kinds = {tmp_path / "pipe": "pipe", tmp_path / "link": "pipe", tmp_path / "socket": "socket"}
        for name in (Path("/dev/null"), tmp_path / "null", Path("/dev/zero")):
            kinds[name] = "device"
        for name in (Path("/dev/stdout"), Path("/dev/fd/1"), Path("/proc/self/fd/1")):
            kinds[name] = "an open stream|a pipe|a device"
        for path, kind in kinds.items():
            with pytest.raises(OutputError, match=f"{path}.*({kind}).*only write to regular files"):
                check_outputs([path], force=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o444, 0o666])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, permissions: int) -> None:
    """--force is asked for the content; it opens nothing to others."""
    (tmp_path / "a.h5").write_text("old")
    (tmp_path / "a.h5").chmod(permissions)
    for _ in range(2):
        write(tmp_path / "a.h5", force=True)
        assert mode(tmp_path / "a.h5") == permissions and (tmp_path / "a.h5").read_text() == "new"


@pytest.mark.parametrize(("mask", "permissions"), [(0o022, 0o644), (0o077, 0o600), (0o277, 0o400), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_allows(tmp_path: Path, mask: int, permissions: int) -> None:
    """As of any program, also while it is written."""
    before = os.umask(mask)
    try:
        with whole_files(tmp_path / "a.h5", force=False) as (part,):
            assert mode(part) & ~(permissions | 0o600) == 0
            part.write_text("new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a.h5") == permissions


@root_only
def test_root_leaves_a_file_to_its_owner(tmp_path: Path) -> None:
    """Owner and group of what is replaced stay."""
    (tmp_path / "a.h5").write_text("old")
    os.chown(tmp_path / "a.h5", 1234, 2345)
    write(tmp_path / "a.h5", force=True)
    status = (tmp_path / "a.h5").stat()
    assert (status.st_uid, status.st_gid) == (1234, 2345)


@root_only
@pytest.mark.parametrize("kind", ["file", "link"])
def test_sticky_folders_keep_what_is_others(kind: str) -> None:
    """Another user's file is not replaced, and their link is not followed: found out before the work."""
    with tempfile.TemporaryDirectory() as name:  # whose way other users may go, unlike that of pytest's own
        os.chmod(name, 0o755)
        folder = Path(name, "shared")
        folder.mkdir()
        folder.chmod(0o1777)
        if kind == "file":
            (folder / "a.h5").write_text("old")
        else:
            (folder / "a.h5").symlink_to(Path(name, "victim"))
        os.lchown(folder / "a.h5", 1234, 1234)
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, str(folder / "a.h5")], capture_output=True, text=True, cwd="/"
        )
    assert "another user" in done.stderr and "OutputError" in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["n" * 256, "é" * 128, "\0"])
def test_names_that_no_file_can_have_are_errors_before_the_work(tmp_path: Path, name: str) -> None:
    """One of the files of an output is enough."""
    with pytest.raises(OutputError, match="cannot write") as caught:
        check_outputs([tmp_path / "a.h5", tmp_path / name], force=True)
    assert "\n" not in str(caught.value)
