"""How many processes read."""

from __future__ import annotations

import gc
import multiprocessing
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.readers import sources
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.parallel import jobs
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source
from trajvae.training.options import reading_of
from trajvae_cli.main import main


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
def test_a_number_below_one(chain, wrong):
    """Is an error that says what was expected and found."""
    with pytest.raises(OptionError, match="jobs must be the number of processes that read, 1 or more, got"):
        open_source(chain, Reading(jobs=wrong))


def test_on_the_command_line():
    """As for other numbers, it is wrong usage."""
    found = CliRunner().invoke(main, ["embed", "traj.xtc", "--jobs", "0"])
    assert found.exit_code == 2
    assert "'--jobs': 0 is not in the range x>=1" in found.output


def test_the_cores_that_there_are(monkeypatch):
    """Of this process, shared with the others that torchrun starts; one in a worker of another program."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert jobs.checked_jobs(None) == 12
    for ranks, expected in (("4", 3), ("24", 1), ("0", 12), ("many", 12)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert jobs.checked_jobs(None) == expected
    assert jobs.checked_jobs(7) == 7
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    assert jobs.checked_jobs(None) == jobs.checked_jobs(7) == 1


def test_no_more_than_pay():
    """Small files are read by one process, and each further one needs some seconds of work."""
    assert jobs.jobs_worth(8, 0.5) == 1
    assert jobs.jobs_worth(8, 1.3) == 2
    assert jobs.jobs_worth(8, 100.0) == 8
    assert jobs.jobs_worth(1, 100.0) == 1


def test_a_small_file_or_array(adk, chain):
    """Starts no process."""
    topology, trajectory = adk
    assert open_source(str(trajectory), Reading(topology=topology, jobs=8)).processes is None
    with pytest.warns(UserWarning, match="no topology"):
        assert open_source(chain, Reading(jobs=8)).processes is None


def test_a_reader_in_a_script(trajectories, slow):
    """Other processes cannot import it."""
    file = XTCFrames(trajectories["xtc"])
    own = type("Own", (XTCFrames,), {"__module__": "__main__"})(trajectories["xtc"])
    assert jobs.seconds_to_read([file], [range(10)]) == pytest.approx(0.05)
    assert jobs.seconds_to_read([file, own], [range(10), range(1)]) == 0.0
    assert jobs.seconds_to_read([file, own], [range(10), range(0)]) == pytest.approx(0.05)


def test_processes_start_while_the_topology_is_read(trajectories, monkeypatch):
    """Those of large files, of which all frames are read; they end where something is wrong with the topology."""
    monkeypatch.setattr(XTCFrames, "seconds_per_byte", 1.0)
    started, start = [], sources.start_for_files

    def noted(*arguments: object) -> object:
        started.append(arguments[3])
        return start(*arguments)

    monkeypatch.setattr(sources, "start_for_files", noted)
    xtc, both = str(trajectories["xtc"]), [str(trajectories["xtc"]), str(trajectories["dcd"])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        frames = open_source(xtc, Reading(jobs=2))
        assert started[-1] is frames.processes is not None
        assert len(open_source([xtc, xtc], Reading(jobs=2, stop=9)).processes.pids()) == 1
        assert started[-1] is None
    (pid,) = frames.processes.pids()
    del frames
    started.clear()
    assert not Path(f"/proc/{pid}").exists()
    assert sources.expected_reading(xtc)[0] == trajectories["xtc"].stat().st_size
    assert sources.expected_reading(xtc)[1] == ["mdtraj.formats", "trajvae.readers.file_formats.xtc"]
    assert "MDAnalysis.lib.formats.libdcd" in sources.expected_reading(both)[1]
    for other in ([xtc, str(trajectories["nc"])], ["missing.xtc"], np.zeros((3, 4, 3)), [], [np.zeros(3)]):
        assert sources.expected_reading(other)[0] == 0.0
    before = children()
    with pytest.raises(ReadError, match="no topology file"):
        open_source(xtc, Reading("missing.pdb", jobs=2))
    gc.collect()
    assert children() == before


def children() -> set[str]:
    """The numbers of the processes that this one has started."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_results_do_not_store_it():
    """What is read does not depend on it."""
    assert Reading("top.pdb", jobs=3).to_dict() == Reading("top.pdb").to_dict()
    assert "jobs" not in Reading().to_dict()
    assert reading_of(Reading("top.pdb"), {"jobs": 3}) == Reading("top.pdb", jobs=3)
