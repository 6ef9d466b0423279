"""A Dask cluster of processes: order, lost workers, and one line where something fails for good."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trajvae import Model
from trajvae.cluster import DaskCluster
from trajvae.errors import ClusterError, MissingPackageError, ReadError
from trajvae.typing import Floats

from dask_clusters import Cluster, dask_cluster, until
from squares import Square, held

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:no topology")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, which import this file and know nothing of the tests' own settings."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), environment={"PYTHONPATH": str(Path(__file__).parent)}) as made:
        yield made


@pytest.fixture(scope="module")
def connected(cluster: Cluster) -> Iterator[DaskCluster]:
    """The cluster by its file."""
    with DaskCluster.connect(cluster.file) as found:
        yield found


def test_results_come_in_order(connected: DaskCluster) -> None:
    """Of both workers, in the order of the items, of which few are taken ahead."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    found = []
    for result in connected.map(Square(0.01), items()):
        found.append(result)
        assert len(taken) - len(found) <= 4
    assert [r[:2] for r in found] == [(k, k * k) for k in range(40)]
    assert len({r[2] for r in found}) == 2 and os.getpid() not in {r[2] for r in found}


def test_errors_of_a_function(connected: DaskCluster) -> None:
    """trajvae's come as they were raised, others as one line; the cluster goes on."""
    with pytest.raises(ReadError, match=r"^frame -3 is no frame$"):
        list(connected.map(Square(), [1, -3, 2]))
    with pytest.raises(ClusterError, match=r"failed on a worker of '.*': ZeroDivisionError: by nothing$"):
        list(connected.map(Square(bad=2), range(4)))
    assert [r[1] for r in connected.map(Square(), [3])] == [9]


def test_what_is_left_early_is_cancelled(connected: DaskCluster) -> None:
    """Workers do nothing for an iterator that was closed, and forget its function."""
    numbers = connected.map(Square(0.2), range(1000))
    assert next(numbers)[0] == 0
    numbers.close()
    client = connected._client
    until(lambda: not any(client.processing().values()))
    assert not [name for names in client.run(held).values() for name in names]


def test_an_array_is_sent(connected: DaskCluster, tiny_model: Model, chain: Floats) -> None:
    """What workers cannot read goes to them chunk by chunk."""
    expected, found = tiny_model.encode(chain.copy()), tiny_model.encode(chain.copy(), cluster=connected)
    assert np.array_equal(found.latent, expected.latent) and found.figures == expected.figures


def test_a_lost_worker_s_items_are_done_again(cluster: Cluster, connected: DaskCluster) -> None:
    """One of two is killed: nothing is missing, nothing comes twice; a new worker joins in."""
    numbers, found = connected.map(Square(0.05), range(60)), []
    for result in numbers:
        found.append(result)
        if len(found) == 10:
            cluster.kill(0)
            cluster.add_worker()
    assert [r[0] for r in found] == list(range(60))
    assert {r[2] for r in found[-5:]} <= {w.pid for w in cluster.workers[1:]}
    connected._client.wait_for_workers(2, timeout=60)
    assert {r[2] for r in connected.map(Square(0.05), range(20))} == {w.pid for w in cluster.workers[1:]}


def test_what_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    """One line after as many workers as the scheduler allows; without any worker, after a while; without scheduler."""
    settings = {"PYTHONPATH": str(Path(__file__).parent), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with dask_cluster(tmp_path, 1, settings) as small, DaskCluster.connect(small.address, patience=60.0) as cluster:
        with pytest.raises(ClusterError, match=r"^1 workers of 'tcp://.*' ended while they computed the same range"):
            list(cluster.map(Square(worst=0), [0]))
        cluster.patience = 0.5
        with pytest.raises(ClusterError, match=r"has had no worker for 0\.5 s: start some with 'dask worker tcp://"):
            list(cluster.map(Square(), range(4)))
        small.scheduler.kill()
        with pytest.raises(ClusterError, match=r"the scheduler 'tcp://.*' was lost"):
            list(cluster.map(Square(), range(4)))


def test_schedulers_that_do_not_answer(tmp_path: Path) -> None:
    """A free port, a file that is none, and no file: one line each, with the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(ClusterError, match=f"no Dask scheduler answers at '{address}' within 0.5 s"),
        DaskCluster.connect(address, timeout=0.5),
    ):
        pass
    (tmp_path / "s.json").write_text("[]")
    for name, text in (("s.json", "is no file of a Dask scheduler"), ("t.json", "no scheduler file '.*t.json'")):
        with pytest.raises(ClusterError, match=text), DaskCluster.connect(tmp_path / name, timeout=0.5):
            pass


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingPackageError, match=r"pip install 'trajvae\[dask\]'"),
        DaskCluster.connect("tcp://127.0.0.1:1"),
    ):
        pass
