"""`--scheduler`: the same files as one process writes, from a cluster of two processes, one of which is killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trajvae import Model

from dask_clusters import Cluster, dask_cluster, until
from processes import Forked, finished, started

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

_OWN = ("created", "command", "checksum")  # of a file, whatever computed it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model, examples: Path) -> Path:
    """A model, a long trajectory of beads, and a short one."""
    path = tmp_path_factory.mktemp("scheduler")
    tiny_model.save(path / "model.h5")
    with np.load(examples / "chain2d.npz") as arrays:
        beads = arrays["positions"]
    np.save(path / "long.npy", np.concatenate([beads] * (120_000 // len(beads))))
    np.save(path / "short.npy", beads[:5000])
    return path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, in folders of their own."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made


def contents(path: Path) -> dict[str, Any]:
    """Every dataset's bytes and every attribute of a file, but for its own time, command and checksums."""
    out: dict[str, Any] = {}

    def look(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and name != "trajvae/checksums":
            out[name] = (item.dtype.str, item.shape, np.asarray(item[()]).tolist() if item.dtype.kind == "O" else
                         np.asarray(item[()]).tobytes())  # fmt: skip
        out.update({f"{name}@{k}": np.asarray(v).tolist() for k, v in item.attrs.items() if k not in _OWN})

    with h5py.File(path) as file:
        file.visititems(look)
    return out


def when(cluster: Cluster, true: Callable[[list[int]], bool]) -> None:
    """Wait until it is true of the numbers of the ranges that workers have."""
    with distributed.Client(cluster.address, set_as_default=False) as client:

        def numbers() -> list[int]:
            keys = [str(key) for keys in client.processing().values() for key in keys]
            return [int(key.rpartition("-")[2]) for key in keys if key.startswith("trajvae-")]

        until(lambda: true(numbers()))


def test_a_worker_is_killed_in_the_middle(folder: Path, cluster: Cluster) -> None:
    """The file is that of one process, bit for bit; no frame is lost, and none comes twice."""
    arguments = ("embed", "long.npy", "-m", "model.h5", "--json", "-f")
    alone = json.loads(finished(folder, *arguments, "-o", "one.h5").stdout)
    running = started(folder, *arguments, "-o", "two.h5", "--scheduler", str(cluster.file))
    when(cluster, lambda numbers: max(numbers, default=0) >= 8)
    cluster.kill(0)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert [line for line in err.splitlines() if "no topology" not in line and not line.startswith("selected")] == []
    varying = ("seconds", "output")
    said = {k: v for k, v in json.loads(out).items() if k not in varying}
    assert said == {k: v for k, v in alone.items() if k not in varying}
    one, two = contents(folder / "one.h5"), contents(folder / "two.h5")
    assert [name for name in one if one[name] != two.get(name)] == [] and len(one) == len(two) > 30
    with h5py.File(folder / "two.h5") as file:
        assert np.array_equal(file["trajvae/frame"][()], np.arange(alone["frames"]))


@pytest.mark.parametrize(
    ("command", "name"),
    [("generate -n 9000 --seed 3", "drawn.h5md"), ("marginals short.npy --seed 3", "compared.h5")],
    ids=["generate", "marginals"],
)
def test_draws_are_those_of_one_process(folder: Path, cluster: Cluster, command: str, name: str) -> None:
    """Several batches, drawn by workers, are those that threads of one process draw."""
    arguments = (*command.split(), "-m", "model.h5", "--json", "-o")
    alone = json.loads(finished(folder, *arguments, f"one-{name}").stdout)
    said = json.loads(finished(folder, *arguments, f"two-{name}", "--scheduler", cluster.address).stdout)
    assert {**said, "output": alone["output"]} == alone
    one, two = contents(folder / f"one-{name}"), contents(folder / f"two-{name}")
    assert [key for key in one if one[key] != two.get(key)] == [] and len(one) == len(two) > 10


def test_ctrl_c_ends_it(folder: Path, cluster: Cluster) -> None:
    """One line, no file, and no range is left on the cluster."""
    arguments = ["embed", "long.npy", "-m", "model.h5", "-o", "stopped.h5", "--scheduler", cluster.address]
    running = started(folder, *arguments)
    when(cluster, lambda numbers: max(numbers, default=0) >= 6)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGINT and err.splitlines()[-1].startswith("stopped"), err
    assert "Traceback" not in err and not [p for p in folder.iterdir() if "stopped" in p.name]
    when(cluster, lambda numbers: not numbers)


def test_a_file_that_is_no_scheduler_s_is_one_line(folder: Path, forked: Forked) -> None:
    """Exit 1 before anything is begun."""
    done = forked(folder, "embed", "short.npy", "-m", "model.h5", "-o", "x.h5", "--scheduler", "short.npy")
    assert done.returncode == 1 and "'short.npy' is no file of a Dask scheduler" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (folder / "x.h5").exists()
