"""One writer a target: over threads, processes, containers and machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from trajvae.errors import OutputError
from trajvae.store import hold_outputs, whole_files
from trajvae.store.output.lock_holders import Holder
from trajvae.store.output.locks import TIME_TO_LIVE

HOLDING = """
import sys
from pathlib import Path
from trajvae.store import hold_outputs, whole_files
with hold_outputs([Path("a.h5")], force=True), whole_files(Path("a.h5"), force=True) as (part,):
    part.write_text("of the first")
    print("holds", flush=True)
    sys.stdin.readline()
"""
NEW_CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare() -> bool:
    """Whether this machine lets us number processes anew."""
    done = shutil.which("unshare") and subprocess.run([*NEW_CONTAINER, "true"], capture_output=True).returncode == 0
    return bool(done)


@contextmanager
def holding(folder: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes a.h5 until it is given a line."""
    command = [*before, sys.executable, "-c", HOLDING]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
        yield process
        if process.poll() is None:
            process.communicate("\n", timeout=60)


def names(folder: Path) -> set[str]:
    """All of a folder's names."""
    return {p.name for p in folder.iterdir()}


CONTAINERS = [
    (),
    pytest.param(tuple(NEW_CONTAINER), marks=pytest.mark.skipif(not can_unshare(), reason="unshare is not allowed")),
]


@pytest.mark.parametrize("before", CONTAINERS)
def test_the_second_is_told_who_writes(tmp_path: Path, before: tuple[str, ...]) -> None:
    """Of this container or another one, with --force as without; what the first writes stays and becomes whole."""
    with holding(tmp_path, *before) as process:
        begun, there = time.monotonic(), names(tmp_path)
        for force in (True, False):
            with pytest.raises(OutputError, match=r"a\.h5' is being written by process \d+.* since 20.*wait") as caught:
                with hold_outputs([tmp_path / "a.h5"], force=force):
                    pytest.fail("two hold one target")
        assert ("of another container" in str(caught.value)) == bool(before)
        assert time.monotonic() - begun < 5.0 and names(tmp_path) == there
        with whole_files(tmp_path / "b.h5", force=False) as (part,):  # other targets of the folder are free
            part.write_text("b")
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    assert names(tmp_path) == {"a.h5", "b.h5"} and (tmp_path / "a.h5").read_text() == "of the first"


def test_another_name_of_the_target_is_held_too(tmp_path: Path) -> None:
    """By a symbolic link from another folder."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link.h5").symlink_to("../a.h5")
    with holding(tmp_path), pytest.raises(OutputError, match="is being written"):
        with hold_outputs([tmp_path / "other" / "link.h5"], force=True):
            pytest.fail("two hold one target")


@pytest.mark.parametrize("before", CONTAINERS)
def test_a_killed_holder_blocks_nobody(tmp_path: Path, before: tuple[str, ...]) -> None:
    """What it left is removed at once."""
    with holding(tmp_path, *before) as process:
        process.kill()
        process.wait(timeout=60)
        assert len(names(tmp_path)) == 2
        with whole_files(tmp_path / "a.h5", force=False) as (part,):
            part.write_text("of the second")
    assert names(tmp_path) == {"a.h5"} and (tmp_path / "a.h5").read_text() == "of the second"


def _left_behind(folder: Path, age: float, **more: Any) -> list[Path]:
    """A lock and a temporary file of a machine that is elsewhere."""
    with hold_outputs([folder / "a.h5"]) as (lock,):
        path = lock.path
    values = {**json.loads(Holder.here("0123456789abcdef", False).text()), "host": "node7", "kernel": "another", **more}
    path.write_text(json.dumps(values))
    part = folder / ".trajvae-0123456789abcdef-0.part.h5"
    part.write_text("of another machine")
    os.utime(path, (time.time() - age,) * 2)
    return [path, part]


def test_another_machine_is_believed_to_live_for_a_time(tmp_path: Path) -> None:
    """Whose locks of the kernel are not seen here: nothing of it is touched."""
    left = _left_behind(tmp_path, TIME_TO_LIVE - 20.0)
    with pytest.raises(OutputError, match="on node7"), hold_outputs([tmp_path / "a.h5"]):
        pytest.fail("two hold one target")
    with whole_files(tmp_path / "b.h5", force=False) as (part,):
        part.write_text("b")
    assert all(path.exists() for path in left)


def test_another_machine_that_is_silent_is_dead(tmp_path: Path) -> None:
    """What it left is removed."""
    _left_behind(tmp_path, TIME_TO_LIVE + 20.0)
    with hold_outputs([tmp_path / "a.h5"]):
        pass
    assert names(tmp_path) == set()


def test_one_that_was_taken_to_be_dead_writes_nothing(tmp_path: Path) -> None:
    """Its lock is another's when it wakes up."""
    with pytest.raises(OutputError, match="another process took it"):
        with hold_outputs([tmp_path / "a.h5"]) as (lock,), whole_files(tmp_path / "a.h5", force=True) as (part,):
            part.write_text("late")
            lock.path.unlink()
            lock.path.write_text("")
    assert names(tmp_path) == {lock.path.name}


@pytest.mark.parametrize("text", ["", "{}", "[" * 4000, '{"host": 1}', "x" * 100_000])
def test_a_lock_that_nobody_wrote_does_not_block_for_long(tmp_path: Path, text: str) -> None:
    """An old file of any content in its place is removed."""
    (path,) = _left_behind(tmp_path, 0.0)[:1]
    path.write_text(text)
    os.utime(path, (time.time() - 100.0,) * 2)
    with hold_outputs([tmp_path / "a.h5"]):
        pass
    assert path.name not in names(tmp_path)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_stands_in_the_place_of_a_lock_is_named(tmp_path: Path, kind: str) -> None:
    """It is neither followed, nor read, nor waited for."""
    path = _left_behind(tmp_path, 0.0)[0]
    path.unlink()
    (tmp_path / "victim").write_text("precious")
    {"link": lambda: path.symlink_to("victim"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(OutputError, match=rf"{path.name}.*remove it"), hold_outputs([tmp_path / "a.h5"]):
        pytest.fail("no lock, and held")
    assert (tmp_path / "victim").read_text() == "precious"


def test_threads_that_save_to_one_name_wait_for_each_other(tmp_path: Path) -> None:
    """Every file that is seen is whole, and none of them fails."""
    wrong: list[str] = []

    def work(letter: str) -> None:
        for _ in range(10):
            try:
                with whole_files(tmp_path / "a.h5", force=True) as (part,):
                    for _ in range(100):
                        with part.open("a") as file:
                            file.write(letter)
                text = (tmp_path / "a.h5").read_text()
                wrong.extend([] if len(text) == 100 and len(set(text)) == 1 else [text])
            except OutputError as error:
                wrong.append(str(error))

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and names(tmp_path) == {"a.h5"}


def test_a_thread_does_not_write_what_another_one_trains(tmp_path: Path) -> None:
    """The right to write is of the thread that took it."""
    said: list[str] = []

    def work() -> None:
        try:
            with whole_files(tmp_path / "a.h5", force=True):
                said.append("wrote")
        except OutputError as error:
            said.append(str(error))

    with hold_outputs([tmp_path / "a.h5"]):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert "is being written by process" in said[0]


def test_a_forked_process_holds_nothing(tmp_path: Path) -> None:
    """A worker that outlives its parent does not keep the lock, nor does its end remove it."""
    with hold_outputs([tmp_path / "a.h5"]) as (lock,):
        child = os.fork()
        if not child:
            os._exit(lock.number != -1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert lock.stands()
    assert names(tmp_path) == set()


def test_a_file_that_was_made_under_the_lock_may_be_made_again(tmp_path: Path) -> None:
    """As checkpoints are, without --force; one that another program made in between may not."""
    with hold_outputs([tmp_path / "a.h5"]):
        for text in ("one", "two"):
            with whole_files(tmp_path / "a.h5", force=False) as (part,):
                part.write_text(text)
        (tmp_path / "a.h5").unlink()
        (tmp_path / "a.h5").write_text("another's")
        with pytest.raises(OutputError, match="exists"), whole_files(tmp_path / "a.h5", force=False):
            pytest.fail("it was replaced")
    assert (tmp_path / "a.h5").read_text() == "another's"
