"""`--weights` and `--temperature`, by real processes: what is made with them, what is said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import weighted_chain as chain

from processes import Forked, json_of

SHORT = ("--epochs", "2", "--hidden", "8")
N = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trajectory with times from 10 ps on, its COLVAR at a tenth of its stride, and a model that was made of both."""
    out = tmp_path_factory.mktemp("weights")
    x, v = chain.biased_chain(N)
    np.savez(out / "traj.npz", positions=x, time=10.0 + np.arange(N))
    time = 0.1 * np.arange(10 * (N + 20))
    fine = np.zeros(len(time))
    fine[100 : 100 + 10 * N : 10] = v
    chain.write_colvar(out / "COLVAR", time, fine)
    said = json_of(out, "train", "traj.npz", "--weights", "COLVAR", "--temperature", "300", *SHORT)
    (out / "said.json").write_text(json.dumps(said))
    return out


def size(v: np.ndarray) -> float:
    w = np.exp((v - v.max()) / chain.KT)
    return float(w.sum() ** 2 / (w**2).sum())


def answered(forked: Forked, folder: Path, *arguments: str) -> tuple[dict, str]:
    """The JSON of a command, and what it says beside it."""
    done = forked(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def told(path: Path) -> dict:
    with h5py.File(path) as file:
        return json.loads(file["trajvae"].attrs["weights"])


def test_train(folder: Path):
    said, v = json.loads((folder / "said.json").read_text()), chain.biased_chain(N)[1]
    assert said["effective_sample_size"] == pytest.approx(size(v), rel=1e-5)
    assert told(folder / "model.h5") == {
        "file": "COLVAR", "column": "metad.bias", "effective_sample_size": said["effective_sample_size"]
    }  # fmt: skip
    with h5py.File(folder / "model.h5") as file:
        np.testing.assert_allclose(file["trajvae/training/weight"], np.exp((v - v.max()) / chain.KT), rtol=1e-5)


def test_info_shows_weights(folder: Path, forked: Forked):
    shown = forked(folder, "info", "model.h5").stdout
    assert "weights:" in shown and "file: COLVAR" in shown and "column: metad.bias" in shown
    found = answered(forked, folder, "info", "model.h5")[0]["weights"]
    assert found["effective_sample_size"] == pytest.approx(size(chain.biased_chain(N)[1]), rel=1e-5)


def test_embed_with_a_model(folder: Path, forked: Forked):
    said, beside = answered(forked, folder, "embed", "traj.npz", "--weights", "COLVAR", "--temperature", "300", "-f")
    assert "weights of 'COLVAR' (metad.bias): 300 frames are worth" in beside
    assert said["effective_sample_size"] == pytest.approx(size(chain.biased_chain(N)[1]), rel=1e-5)
    assert told(folder / "embed.h5")["column"] == "metad.bias"
    with h5py.File(folder / "embed.h5") as file:
        weight = file["observables/weight/value"][()]
        assert said["rmsd"] == pytest.approx(np.average(file["observables/rmsd/value"], weights=weight))


def test_embed_that_trains_first(folder: Path, tmp_path: Path, forked: Forked):
    (tmp_path / "traj.npz").symlink_to(folder / "traj.npz")
    w = np.linspace(0.5, 1.5, N)
    np.savetxt(tmp_path / "w.txt", w)
    said, _ = answered(forked, tmp_path, "embed", "traj.npz", "--weights", "w.txt", *SHORT)
    assert said["effective_sample_size"] == pytest.approx(w.sum() ** 2 / (w**2).sum())
    for name in ("model.h5", "embed.h5"):
        assert told(tmp_path / name)["file"] == "w.txt"


def test_marginals(folder: Path, forked: Forked):
    given, _ = answered(forked, folder, "marginals", "traj.npz", "--weights", "COLVAR", "--temperature", "300", "-f")
    known, _ = answered(forked, folder, "marginals", "traj.npz", "-f", "-o", "known.h5")
    for said in (given, known):
        assert said["effective_sample_size"] == pytest.approx(size(chain.biased_chain(N)[1]), rel=1e-5)
        assert said["draws"] < said["frames"]
    assert told(folder / "marginals.h5")["file"] == told(folder / "known.h5")["file"] == "COLVAR"
    shown = forked(folder, "marginals", "-f").stdout
    assert "with their weights all frames are worth" in shown


def test_compare(folder: Path, forked: Forked):
    command = ("compare", "traj.npz", "--weights", "COLVAR", "--temperature", "300", "--backend", "euclidean")
    shown = forked(folder, *command, "--draws", "10", *SHORT, "-f").stdout
    assert "means are weighted: all frames are worth" in shown
    assert told(folder / "compare.h5")["file"] == "COLVAR"


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--weights", "COLVAR"), "give the temperature", 2),
        (("--weights", "absent"), "no file of weights 'absent'", 1),
        (("--temperature", "300"), "no weights are given", 2),
        (("--temperature", "0"), "0.0 is not in the range", 2),
        (("--weights", "COLVAR", "--temperature", "300", "--weights", "COLVAR"), "one for each (1), got 2", 2),
    ],
)
def test_what_is_refused(folder: Path, forked: Forked, arguments: tuple[str, ...], message: str, code: int):
    done = forked(folder, "train", "traj.npz", "-o", "other.h5", *arguments)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "other.h5").exists()


def test_a_time_without_partner_is_named(folder: Path, forked: Forked):
    chain.write_colvar(folder / "short", np.arange(10.0, 200.0), np.zeros(190))
    done = forked(folder, "train", "traj.npz", "-o", "other.h5", "--weights", "short", "--temperature", "300")
    assert done.returncode == 1
    assert "'short' has no row at 200 ps, the time of frame 190 of 'traj.npz' (110 of 300 frames" in done.stderr


def test_weights_are_not_written_over(folder: Path, forked: Forked):
    done = forked(folder, "train", "traj.npz", "-o", "COLVAR", "-f", "--weights", "COLVAR", "--temperature", "300")
    assert done.returncode == 1 and "COLVAR" in done.stderr
    assert (folder / "COLVAR").read_text().startswith("#! FIELDS")
