"""Trainings that stop anywhere and go on from a snapshot end in the same bits, for every latent space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.latents import LATENTS
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.training.batches import InMemoryBatches
from trajvae.training.schedule import Schedule
from trajvae.training.state import Snapshot
from trajvae.training.trainer import Trainer

N, HELD, SIZE = 96, 24, 16
SCHEDULE = Schedule(8, SIZE, patience=1.0)
STEPS = 8 * 6


@dataclass(frozen=True)
class Case:
    """A latent space with options, and a likelihood."""

    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    likelihood: str = "isotropic"


CASES = [
    Case("euclidean"),
    Case("euclidean", likelihood="full"),
    Case("hyperspherical"),
    Case("product", {"signature": "h2,s1"}, "lowrank"),
    Case("rhvae", {"settings": {"centroids": 10, "warmup": 0.3, "learn_step": True}}),
    Case("embedded"),
]


@pytest.fixture(params=CASES, ids=lambda c: f"{c.backend}-{c.likelihood}")
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


class _StopError(Exception):
    pass


def _trainer(case: Case) -> tuple[VAE, Trainer]:
    """A fresh training of ten atoms."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(N + HELD, 4, 3)))
    config = TrainConfig(backend=case.backend, hidden=(8,), seed=3, **case.options)
    vae = build_vae(
        config, Alignment("none", x.numpy().mean(axis=0), np.ones(4)), ModelSizes(12, case.likelihood, 1e-3, N)
    )
    vae.features.set_components(vae.features.targets(x[:N]), 12, 0.1)
    targets = vae.features.targets(x)
    inputs, targets = vae.features.inputs(targets).float(), targets.float()
    return vae, Trainer(vae, InMemoryBatches(inputs[:N], targets[:N], inputs[N:], targets[N:]), SCHEDULE)


def _stopped(case: Case, after: int) -> Snapshot:
    """What a training that stops after so many steps has reached."""
    found: list[Snapshot] = []
    left = [after]

    def checkpoint(take: Callable[[], Snapshot]) -> None:
        left[0] -= 1
        if not left[0]:
            found.append(take())
            raise _StopError

    with pytest.raises(_StopError):
        _trainer(case)[1].run(checkpoint=checkpoint)
    return found[0]


def test_every_latent_space_has_a_row() -> None:
    """The table covers all backends."""
    assert {c.backend for c in CASES} == set(LATENTS)


@pytest.mark.parametrize("after", [1, 19, 24, STEPS])
def test_gone_on_with_ends_in_the_same_bits(case: Case, after: int) -> None:
    """Weights, covariance and history equal those of an uninterrupted run, stopped within an epoch or after one."""
    vae, trainer = _trainer(case)
    history = trainer.run()
    other, again = _trainer(case)
    again.restore(_stopped(case, after))
    found = again.run()
    assert all(torch.equal(a, other.state_dict()[name]) for name, a in vae.state_dict().items())
    assert {k: v.tolist() for k, v in found.arrays().items()} == {k: v.tolist() for k, v in history.arrays().items()}
    assert vae.latent.diagnostics() == other.latent.diagnostics()


def test_a_snapshot_is_of_its_moment(case: Case) -> None:
    """Later steps do not change a snapshot that was taken."""
    _, trainer = _trainer(case)
    taken: list[Snapshot] = []
    trainer.run(checkpoint=lambda take: taken.append(take()) if len(taken) < 2 else None)
    assert any(not torch.equal(taken[0].weights[k], taken[1].weights[k]) for k in taken[0].weights)
    first = _stopped(case, 1)
    assert all(torch.equal(first.weights[name], value) for name, value in taken[0].weights.items())
    assert all(torch.equal(first.optimiser[name], value) for name, value in taken[0].optimiser.items())
