"""Trainings in several processes, which are threads here: gradients, sums, and what is continued."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from thread_ranks import in_threads

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.latents import Context
from trajvae.models.partition import Partition
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.runtime.ranks import ALONE, Ranks
from trajvae.training.batches import Batch, InMemoryBatches
from trajvae.training.evaluation import evaluate, mean_moment
from trajvae.training.schedule import Schedule
from trajvae.training.selection import excess_over_principal
from trajvae.training.shares.share import share_of
from trajvae.training.shares.shared_batches import SharedBatches
from trajvae.training.shares.sums import mean_state
from trajvae.training.state import Snapshot
from trajvae.training.trainer import Trainer

N, HELD, SIZE = 96, 25, 16
EPOCHS = 4
SCHEDULE = Schedule(EPOCHS, SIZE, patience=1.0)


@dataclass(frozen=True)
class Case:
    """A latent space with options, and a likelihood."""

    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    likelihood: str = "isotropic"
    free_bits: float = 0.0


CASES = [
    Case("euclidean", likelihood="full", free_bits=1.5),
    Case("product", {"signature": "h2,s1"}, "lowrank"),
    Case("rhvae", {"settings": {"centroids": 10, "warmup": 0.3, "learn_step": True}}),
]


@pytest.fixture(params=CASES, ids=lambda c: f"{c.backend}-{c.likelihood}")
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


class _StopError(Exception):
    pass


def _vae(case: Case, ranks: Ranks = ALONE) -> tuple[VAE, InMemoryBatches | SharedBatches]:
    """A fresh model of four atoms, and the frames of one process."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(N + HELD, 4, 3)))
    config = TrainConfig(backend=case.backend, hidden=(8,), seed=3, **case.options)
    vae = build_vae(
        config, Alignment("none", x.numpy().mean(axis=0), np.ones(4)), ModelSizes(12, case.likelihood, 1e-3, N)
    )
    vae.features.set_components(vae.features.targets(x[:N]), 12, 0.1)
    targets = vae.features.targets(x)
    inputs, targets = vae.features.inputs(targets).float(), targets.float()
    share = share_of(Partition(np.repeat([0, 1], [N, HELD]).astype(np.int8)), ranks)
    own = InMemoryBatches(
        *(all_of[:N][share.training] for all_of in (inputs, targets)),
        *(all_of[N:][share.validation] for all_of in (inputs, targets)),
    )
    return vae, own if ranks.size == 1 else SharedBatches(own, ranks, HELD)


def _trainer(case: Case, ranks: Ranks = ALONE) -> tuple[VAE, Trainer]:
    vae, data = _vae(case, ranks)
    return vae, Trainer(vae, data, dataclasses.replace(SCHEDULE, free_bits=case.free_bits))


@pytest.mark.parametrize("free_bits", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("size", [2, 4])
def test_gradients_of_parts_are_those_of_the_whole_batch(
    size: int, free_bits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient of a batch, and the weights after a step of it, to rounding; also where the KL is partly free."""
    monkeypatch.setattr(torch, "randn", lambda *shape, **kind: torch.full(shape[0], 0.3, dtype=kind.get("dtype")))
    case = Case("euclidean", likelihood="full", free_bits=free_bits)

    def one_step(ranks: Ranks) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        vae, trainer = _trainer(case, ranks)
        whole = _vae(case)[1]
        part = SIZE // ranks.size
        rows = slice(ranks.rank * part, (ranks.rank + 1) * part)
        batch = Batch(whole.train_inputs[:SIZE][rows], whole.train_targets[:SIZE][rows])
        trainer.done = 1  # the KL's weight is not 0
        trainer._step(batch, Context(trainer.generator, encode=vae.encode))
        return trainer.optimiser.gradient, trainer.optimiser.weights, ranks.mean(trainer.moment)

    alone = one_step(ALONE)
    for found in in_threads(size, one_step):
        for part, whole in zip(found, alone, strict=True):
            assert torch.allclose(part, whole, rtol=1e-4, atol=2e-6 * float(whole.abs().max()))


@pytest.mark.parametrize("size", [2, 3])
def test_sums_are_those_of_one_process(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ELBO, KL and misfit of validation frames, moments of residuals, and errors beside principal components."""
    monkeypatch.setattr(torch, "randn", lambda *shape, **kind: torch.full(shape[0], 0.3, dtype=kind.get("dtype")))
    case = Case("euclidean", likelihood="full")

    def measured(ranks: Ranks) -> list[float]:
        vae, data = _vae(case, ranks)
        found, generator = evaluate(vae, data, 0), torch.Generator()
        moments = [mean_moment(vae, data, generator, validation=which) for which in (True, False)]
        numbers = [found.elbo, found.misfit, *found.kl.tolist(), excess_over_principal(vae, data)]
        return [*numbers, *torch.cat([m.flatten() for m in moments]).tolist()]

    alone = measured(ALONE)
    for found in in_threads(size, measured):
        assert found == pytest.approx(alone, rel=1e-5, abs=1e-5)


def test_all_processes_have_the_same_weights(case: Case) -> None:
    """To the last bit, at the end of a training in three processes, with the same history."""

    def trained(ranks: Ranks) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        vae, trainer = _trainer(case, ranks)
        trainer.run()
        return vae.state_dict(), {name: column.tolist() for name, column in trainer.history.arrays().items()}

    (first, history), *others = in_threads(3, trained)
    for weights, same in others:
        assert all(torch.equal(value, first[name]) for name, value in weights.items())
        assert same == history


def _stopped(case: Case, ranks: Ranks, after: int) -> Snapshot:
    """What a training that stops after so many steps has reached."""
    found: list[Snapshot] = []
    left = [after]

    def checkpoint(take: Callable[[], Snapshot]) -> None:
        left[0] -= 1
        if not left[0]:
            found.append(take())
            raise _StopError

    with pytest.raises(_StopError):
        _trainer(case, ranks)[1].run(checkpoint=checkpoint)
    return found[0]


def test_a_latent_space_goes_by_the_draws_of_all() -> None:
    """What it counts of its draws is the mean of all processes' counts."""

    def counted(ranks: Ranks) -> dict[str, float]:
        latent = _vae(CASES[2])[0].latent
        latent.load_extra_state({name: 0.1 * ranks.rank for name in latent.extra_state()})
        mean_state(latent, ranks)
        return latent.extra_state()

    assert all(value == pytest.approx(0.1) for found in in_threads(3, counted) for value in found.values())


def test_as_many_processes_go_on_to_the_same_bits(case: Case) -> None:
    """Weights and history of two processes that were stopped equal those of two that were not."""

    def both(ranks: Ranks) -> None:
        vae, trainer = _trainer(case, ranks)
        history = trainer.run()
        other, again = _trainer(case, ranks)
        again.restore(_stopped(case, ranks, 15))
        found = again.run()
        assert all(torch.equal(a, other.state_dict()[name]) for name, a in vae.state_dict().items())
        assert {k: v.tolist() for k, v in found.arrays().items()} == {
            k: v.tolist() for k, v in history.arrays().items()
        }

    in_threads(2, both)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3), (3, 2)])
def test_another_number_of_processes_goes_on(before: int, after: int) -> None:
    """From the same weights, moment and history, to the end."""
    case = CASES[0]
    snapshots = (
        in_threads(before, lambda ranks: _stopped(case, ranks, 15)) if before > 1 else [_stopped(case, ALONE, 15)]
    )
    at = snapshots[0]

    def gone_on(ranks: Ranks) -> None:
        trainer = _trainer(case, ranks)[1]
        trainer.restore(at)
        moments = torch.stack([at.sums[name] for name in at.sums if name.startswith("moment")])
        assert torch.allclose(ranks.mean(trainer.moment), moments.mean(dim=0))
        elbo = sum(float(at.sums[name]) for name in at.sums if name.startswith("elbo"))
        assert float(ranks.sum(trainer.sum)) == pytest.approx(elbo, rel=1e-5)
        assert trainer.run().epoch == list(range(1, EPOCHS + 1))

    if after > 1:
        in_threads(after, gone_on)
    else:
        gone_on(ALONE)
