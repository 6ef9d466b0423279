"""The evidence of shapes: never above the known density of a distribution, whatever the alignment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from trajvae import Model, TrainConfig
from trajvae.alignment.align import mean_structure, superpose
from trajvae.alignment.rigid_moves import rigid_moves
from trajvae.features.cartesian import constraints
from trajvae.models.shape_evidence import shape_bound
from trajvae.typing import Float64

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ATOMS, WIDTHS = 8, np.geomspace(0.4, 0.05, 18)


def _body() -> Float64:
    x = 2.0 * np.random.default_rng(3).normal(size=(ATOMS, 3))
    return np.asarray(x - x.mean(axis=0))


def _known(n: int, seed: int) -> tuple[Float64, Float64]:
    """Frames of eight atoms, normal in shape space, and their log density there."""
    body, random = _body(), np.random.default_rng(seed)
    rows = constraints(body, np.ones(ATOMS), "superpose")
    shape = np.linalg.svd(rows)[2][6:]
    noise = random.normal(size=(n, 18))
    density = -0.5 * (noise**2).sum(axis=1) - np.log(WIDTHS).sum() - 9.0 * np.log(2.0 * np.pi)
    return body + ((noise * WIDTHS) @ shape).reshape(n, ATOMS, 3), density


def _log_volume(frames: Float64, reference: Float64) -> Float64:
    """How the conditions of superposition on a reference change under turn and shift, log |det|."""
    rows = constraints(reference, np.ones(ATOMS), "superpose")
    x = torch.from_numpy(superpose(frames, reference, np.ones(ATOMS)))
    return np.asarray(torch.linalg.slogdet(rigid_moves(x).flatten(2) @ torch.from_numpy(rows.T)).logabsdet.numpy())


def _turned(frames: Float64, seed: int, shift: float) -> Float64:
    random = np.random.default_rng(seed)
    turns = Rotation.random(len(frames), random_state=seed).as_matrix()
    return np.asarray(frames @ turns.transpose(0, 2, 1) + shift * random.normal(size=(len(frames), 1, 3)))


@pytest.fixture(scope="module", params=["superpose", "principal", "none"])
def trained(request: Any) -> tuple[str, Model]:
    """A model of the known distribution; frames that no alignment will turn come superposed already."""
    frames = _known(600, 0)[0]
    given = frames if request.param == "none" else _turned(frames, 1, 5.0)
    config = TrainConfig(align=request.param, latent_dim=2, epochs=60, hidden=(32,), batch_size=32)
    return request.param, Model.train(given, config, device="cpu")


def test_it_is_never_above_the_known_density(trained: tuple[str, Model]) -> None:
    """The reported figure, and that of fresh frames beside the density on the same reference: 3 standard errors."""
    kind, model = trained
    fresh, density = _known(200, 9)
    weights = np.ones(ATOMS)
    reference = mean_structure(_known(600, 0)[0], weights)
    density = density - _log_volume(fresh, _body()) + _log_volume(fresh, reference)
    held = model.figures["elbo_shape"]
    error = density.std() / model.figures["held_out"] ** 0.5
    assert held < density.mean() + 3.0 * error
    if kind == "superpose":
        return
    found = shape_bound(model.pipeline, _known(200, 5)[0], fresh, reference)
    assert found is not None and found.shape == (200,)
    behind = density - found
    assert behind.mean() > -3.0 * behind.std() / 200**0.5
    assert behind.mean() < 10.0  # and it says something: turns and shifts were nine nats and more
    assert model.figures["elbo"] > density.mean() + 3.0 * error


def test_turning_what_is_judged_changes_nothing(trained: tuple[str, Model]) -> None:
    """Turning or shifting what is judged changes nothing but by chance where the alignment takes it away."""
    kind, model = trained
    if kind != "principal":
        return
    fresh, reference = _known(60, 9)[0], mean_structure(_known(600, 0)[0], np.ones(ATOMS))
    some = [shape_bound(model.pipeline, _known(50, 5)[0], x, reference) for x in (fresh, _turned(fresh, 2, 3.0))]
    assert some[0] is not None and some[1] is not None
    assert some[0].mean() == pytest.approx(some[1].mean(), abs=0.5)


def test_atoms_in_one_line_have_none() -> None:
    """No turn about the line can be told: the figure is missing, with the reason."""
    x = np.zeros((60, 4, 3))
    x[:, :, 0] = np.arange(4) * 1.5
    x[:, :, 0] += 0.05 * np.random.default_rng(0).normal(size=(60, 4))
    x += 1e-9 * np.random.default_rng(1).normal(size=x.shape)
    model = Model.train(x, TrainConfig(align="none", latent_dim=1, epochs=2, hidden=(8,)), device="cpu")
    assert model.figures["elbo_shape"] is None and "one line" in model.figures["elbo_shape_note"]
