"""Several processes read what one reads, bit for bit, whatever happens to some of them."""

from __future__ import annotations

import contextlib
import copy
import errno
import gc
import os
import pickle
import shutil
import signal
import warnings
from dataclasses import fields

import numpy as np
import pytest

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.data_set import Chunk
from trajvae.readers.parallel import in_order, shared_frames
from trajvae.readers.parallel.processes import ReaderProcesses


def same(first: Chunk, second: Chunk) -> bool:
    """Whether two chunks have the same bits."""
    pairs = [(getattr(first, f.name), getattr(second, f.name)) for f in fields(Chunk)]
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def all_same(first: object, second: object) -> bool:
    """Whether two passes give the same chunks."""
    return all(same(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["xtc", "trr", "dcd", "nc"])
def test_the_same_bits(trajectories, opened, by_others, name):
    """Chunks of any size and stride, and the raw blocks with their boxes, are those of one process."""
    alone, shared = opened(trajectories[name], 1), opened(trajectories[name], 3)
    assert alone.processes is None
    assert len(shared.processes.pids()) == 2
    for step, size in ((1, None), (1, 100), (1, 7), (4, None), (4, 7)):
        by_others.clear()
        assert all_same(alone.every(step).chunks(size), shared.every(step).chunks(size))
        assert len(by_others) >= 2
        assert -1 not in by_others
    wanted = [in_order.FileToRead(alone.files[0], alone.ranges[0], np.arange(9), 50)]
    blocks = zip(in_order.read_in_order(wanted, None), in_order.read_in_order(wanted, shared.processes), strict=True)
    for (_, _, a), (_, _, b) in blocks:
        assert (a.boxes is None) == (b.boxes is None)
        assert a.boxes is None or a.boxes.tobytes() == b.boxes.tobytes()
        assert a.times.tobytes() == b.times.tobytes()


def test_several_files_are_one_run_after_another(trajectories, opened, by_others):
    """Parts of the next file are read while those of one are put together; files of several formats are shared too."""
    files = [str(trajectories[name]) for name in ("xtc", "trr", "nc", "xtc")]
    alone, shared = opened(files, 1, start=5, stop=-9), opened(files, 3, start=5, stop=-9)
    assert all_same(alone.chunks(), shared.chunks())
    assert all_same(alone.every(3).chunks(), shared.every(3).chunks())
    assert len(by_others) > 50
    assert -1 not in by_others


def test_a_thousand_files(trajectories, opened, tmp_path):
    """A thousand files as one data set are all read, and none stays open."""
    short = opened(trajectories["xtc"], 1).files[0]._offsets[2]
    data = trajectories["xtc"].read_bytes()[:short]
    for k in range(1000):
        (tmp_path / f"part{k:04}.xtc").write_bytes(data)
    gc.collect()  # what earlier tests have left to it
    before = len(os.listdir("/proc/self/fd"))
    shared = opened(str(tmp_path / "part*.xtc"), 2)
    pids = shared.processes.pids()
    found, first = shared.read(), opened(tmp_path / "part0000.xtc", 1).read()
    assert found.positions.tobytes() == np.tile(first.positions, (1000, 1, 1)).tobytes()
    assert (found.file == np.repeat(np.arange(1000), 2)).all()
    assert (found.frame == np.tile([0, 1], 1000)).all()
    del shared
    assert len(os.listdir("/proc/self/fd")) == before
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_process_that_is_killed(trajectories, opened):
    """Its frames are read again, with one warning; the next pass has a new process."""
    alone, shared = opened(trajectories["xtc"], 1), opened(trajectories["xtc"], 2)
    (pid,) = shared.processes.pids()
    chunks = shared.chunks(30)
    found = [next(chunks)]
    process = shared.processes._running[0]
    for chunk in chunks:
        found.append(chunk)
        if process.asked:  # on a busy machine this process may have read everything before the other one is ready
            break
    os.kill(pid, signal.SIGKILL)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found += chunks
    assert all_same(alone.chunks(30), found)
    assert len(caught) <= 1  # none where it had answered everything
    assert all("was ended (by signal 9)" in str(w.message) and w.category is TrajvaeWarning for w in caught)
    assert all_same(alone.chunks(30), shared.chunks(30))
    assert shared.processes.pids() != [pid]
    os.kill(shared.processes.pids()[0], signal.SIGKILL)  # between two passes
    assert all_same(alone.chunks(30), shared.chunks(30))


def test_a_damaged_frame_is_the_error_of_one_process(trajectories, opened, tmp_path):
    """The chunks before it come first, and the message is the same."""
    path = tmp_path / "damaged.xtc"
    offsets = opened(trajectories["xtc"], 1).files[0]._offsets
    data = bytearray(trajectories["xtc"].read_bytes())
    data[offsets[131] + 64 : offsets[131] + 84] = b"\x7f" * 20  # the bounds of the coordinates
    path.write_bytes(data)
    told = []
    for processes in (1, 3):
        count = 0
        with pytest.raises(ReadError) as caught:
            for chunk in opened(path, processes).chunks(60):
                count += len(chunk.file)
        told.append((count, str(caught.value)))
    assert told[0] == told[1]
    assert told[0][0] == 120


def test_a_file_that_changes_is_an_error(trajectories, opened, tmp_path):
    """A file that is cut while it is read is not read on, by any process."""
    path = tmp_path / "cut.trr"
    shutil.copy(trajectories["trr"], path)
    chunks = opened(path, 2).chunks(20)
    next(chunks)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ReadError, match="was changed while it was read"):
        list(chunks)


def test_a_pass_that_is_given_up(trajectories, opened, by_others):
    """What was asked for in it does not come in the next one."""
    alone, shared = opened(trajectories["xtc"], 1), opened(trajectories["xtc"], 3)
    pids = shared.processes.pids()
    for taken in (1, 2, 5):
        chunks = shared.chunks(20)
        for _ in range(taken):
            next(chunks)
        chunks.close()
        assert all_same(alone.every(2).chunks(15), shared.every(2).chunks(15))
    assert shared.processes.pids() == pids
    assert by_others


def test_two_passes_at_once(trajectories, opened):
    """The second reads alone while the first has the processes."""
    alone, shared = opened(trajectories["xtc"], 1), opened(trajectories["xtc"], 2)
    pairs = zip(alone.chunks(20), shared.chunks(20), shared.chunks(20), strict=True)
    assert all(same(a, b) and same(a, c) for a, b, c in pairs)


@pytest.mark.parametrize("refused", ["memory", "room", "processes", "python"])
def test_where_the_system_refuses_one_process_reads(trajectories, opened, monkeypatch, refused):
    """No memory to share, no room in it, no further process, no path of Python: all frames are read all the same."""

    def refuse(*arguments: object, **options: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if refused == "memory":
        monkeypatch.setattr(shared_frames, "_anonymous_file", refuse)
    elif refused == "room":
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    elif refused == "processes":
        monkeypatch.setattr("subprocess.Popen", refuse)
    else:
        monkeypatch.setattr("sys.executable", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="no topology")
        shared = opened(trajectories["xtc"], 2)
        found = list(shared.chunks())
    assert all_same(opened(trajectories["xtc"], 1).chunks(), found)


def test_memory_in_a_folder(trajectories, opened, monkeypatch, by_others):
    """Where the system has no files in memory, one without a name in TMPDIR serves."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.delattr(os, "posix_fallocate")
    shared = opened(trajectories["xtc"], 2)
    assert all_same(opened(trajectories["xtc"], 1).chunks(), shared.chunks())
    assert by_others


def test_copies_of_a_data_set_have_no_processes(trajectories, opened):
    """Whether it is copied, or sent to a worker; the processes end with the last data set that has them."""
    shared = opened(trajectories["xtc"], 2)
    assert copy.deepcopy(shared).processes is None
    assert pickle.loads(pickle.dumps(shared.files[0])).n_frames == 240
    (pid,) = shared.processes.pids()
    some = shared.every(5)
    del shared
    assert os.path.exists(f"/proc/{pid}")
    del some
    assert not os.path.exists(f"/proc/{pid}")


def test_a_fork_reads_alone(trajectories, opened):
    """It neither uses nor ends the processes of the one that it is a copy of."""
    alone, shared = opened(trajectories["xtc"], 1), opened(trajectories["xtc"], 2)
    chunks = shared.chunks(60)
    first = next(chunks)
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            code = (
                0 if all_same(alone.chunks(), shared.chunks()) and all_same(alone.chunks(60), [first, *chunks]) else 2
            )
            del shared, chunks
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all_same(alone.chunks(60), [first, *chunks])
    assert all_same(alone.chunks(60), shared.chunks(60))


def test_processes_that_never_start(trajectories, opened, monkeypatch):
    """A process that cannot import what it needs ends, and this one reads alone."""
    alone = opened(trajectories["xtc"], 1)
    wanted = [in_order.FileToRead(alone.files[0], alone.ranges[0], np.arange(9), 50)]
    processes = ReaderProcesses(1, ["no_such_module"])
    found = [b.block.positions for b in in_order.read_in_order(wanted, processes)]
    expected = [b.block.positions for b in in_order.read_in_order(wanted, None)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))
