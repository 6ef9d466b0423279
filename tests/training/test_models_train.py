"""Training: held-out blocks, schedule, determinism, best weights, and a toy whose likelihood is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.errors import TrajvaeError
from trajvae.models import vae as vae_module
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.runtime.threads import small_work
from trajvae.training.batches import InMemoryBatches
from trajvae.training.evaluation import evaluate
from trajvae.training.schedule import (
    Schedule,
    default_batch,
    default_decay,
    default_epochs,
    default_patience,
    learning_rate_share,
)
from trajvae.training.state import Snapshot
from trajvae.training.trainer import Trainer

LOADINGS = np.array([[2.0, 1.0, 0.5, -1.0, 0.3, 0.0], [0.0, -0.5, 1.0, 0.2, 0.0, 0.7]])
SIGMA = 0.3


def _linear_data(n: int, seed: int) -> Tensor:
    """Frames of three atoms in the plane from a linear Gaussian model: x = z W + sigma noise."""
    random = np.random.default_rng(seed)
    flat = random.normal(size=(n, 2)) @ LOADINGS + SIGMA * random.normal(size=(n, 6))
    return torch.from_numpy(flat.reshape(n, 3, 2))


def _setup(
    n: int = 120, held: int = 40, seed: int = 0, likelihood: str = "isotropic", hidden: int = 8
) -> tuple[VAE, InMemoryBatches]:
    x = _linear_data(n + held, 1)
    alignment = Alignment("none", x.numpy().mean(axis=0), np.ones(3))
    config = TrainConfig(hidden=(hidden,), seed=seed)
    vae = build_vae(config, alignment, ModelSizes(6, likelihood, 1e-3, n))
    vae.features.set_components(vae.features.targets(x[:n]), 6, 0.1)
    targets = vae.features.targets(x)
    inputs, targets = vae.features.inputs(targets).float(), targets.float()
    return vae, InMemoryBatches(inputs[:n], targets[:n], inputs[n:], targets[n:])


def _weights(schedule: Schedule, **options: Any) -> dict[str, Tensor]:
    vae, data = _setup(seed=schedule.seed, **options)
    Trainer(vae, data, schedule).run()
    return vae.state_dict()


def test_default_batches_and_epochs_make_about_8000_steps() -> None:
    """Batches are powers of two from 16 to 128; epochs lie between 20 and 2000."""
    assert [default_batch(n) for n in (5, 320, 1280, 10**6)] == [16, 16, 64, 128]
    for n in (300, 2000, 9000):
        batch = default_batch(n)
        assert 6000 <= default_epochs(n, batch) * math.ceil(n / batch) <= 8000
    assert default_epochs(10, 16) == 2000
    assert default_epochs(10**7, 128) == 20
    assert [default_decay(n) for n in (5, 100, 1000, 10**6)] == [0.5, 0.3, 0.03, 0.01]


# --- determinism


@pytest.mark.parametrize("likelihood", ["isotropic", "full"])
def test_one_seed_gives_the_same_bits(likelihood: str) -> None:
    """Two trainings with one seed end in identical weights, whatever torch's own generator; other seeds differ."""
    first = _weights(Schedule(3, 16, seed=4), likelihood=likelihood)
    torch.manual_seed(123)
    again = _weights(Schedule(3, 16, seed=4), likelihood=likelihood)
    other = _weights(Schedule(3, 16, seed=5), likelihood=likelihood)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_a_look_is_deterministic() -> None:
    """Two calls with one seed agree to the bit; another seed draws other noise."""
    vae, data = _setup()
    first, kl, misfit, _ = evaluate(vae, data, 0)
    again, kl_again, misfit_again, _ = evaluate(vae, data, 0)
    assert (first, misfit) == (again, misfit_again)
    assert torch.equal(kl, kl_again)
    assert first != evaluate(vae, data, 1).elbo


def test_a_look_is_the_mean_over_draws_and_frames() -> None:
    """It equals the mean of as many draws made by hand; its KL sums to the closed form."""
    vae, data = _setup()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        terms = [vae.terms(data.validation_inputs, data.validation_targets, generator) for _ in range(4)]
    elbo, kl, misfit, penalty = evaluate(vae, data, 3)
    assert elbo == pytest.approx(float(torch.stack([t.elbo() for t in terms]).double().mean()), rel=1e-6)
    torch.testing.assert_close(kl, terms[0].kl.mean(dim=0))
    square = torch.stack([t.residual for t in terms]).double().square().mean() / vae.likelihood.sigma**2
    assert misfit == pytest.approx(float(square), rel=1e-6) and penalty == 0.0
    known = evaluate(vae, data, 3, regulariser=lambda vae, terms: terms.kl.sum(dim=1).mean())
    assert known.penalty == pytest.approx(float(kl.sum())) and known.score == known.elbo - known.penalty


# --- the schedule


@pytest.fixture
def betas(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The weights with which the loss asks for what is maximised."""
    seen: list[float] = []
    plain = vae_module.Terms.objective

    def spy(self: vae_module.Terms, *beta: float) -> Tensor:
        """Note the weight, if one is given."""
        seen.extend(beta if torch.is_grad_enabled() else ())
        return plain(self, *beta)

    monkeypatch.setattr(vae_module.Terms, "objective", spy)
    yield seen


def test_beta_warms_up_and_stays(betas: list[float]) -> None:
    """The KL's weight rises in even steps over the warm-up and is beta from then on."""
    vae, data = _setup()
    Trainer(vae, data, Schedule(10, 120, beta=2.0, warmup=4, patience=10**6)).run()
    assert betas == pytest.approx([0.5, 1.0, 1.5] + [2.0] * 7)


def test_a_large_beta_lowers_the_kl() -> None:
    """Trained with beta 20 the posterior says less than with beta 0.1."""
    found = {}
    for beta in (0.1, 20.0):
        vae, data = _setup()
        Trainer(vae, data, Schedule(40, 16, beta=beta, patience=10**6)).run()
        found[beta] = float(evaluate(vae, data, 0).kl.sum())
    assert found[20.0] < 0.5 * found[0.1]


def test_the_rate_rises_and_falls() -> None:
    """Over a twentieth of the steps up to the highest, then down to a hundredth of it."""
    vae, data = _setup()
    trainer = Trainer(vae, data, Schedule(100, 60, learning_rate=1.0))
    rates = [learning_rate_share(step, trainer.total) for step in range(trainer.total + 1)]
    top = int(np.argmax(rates))
    assert top in (trainer.total // 20 - 1, trainer.total // 20)
    assert max(rates) == pytest.approx(1.0)
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top + 1 :]) < 0).all()
    assert rates[-1] == pytest.approx(0.01)


# --- the run


def test_history_has_a_row_an_evaluation() -> None:
    """All columns are equally long; the epochs count up; callbacks hear of each."""
    vae, data = _setup()
    heard: list[tuple[int, int, float]] = []
    saved: list[tuple[float, float]] = []

    def checkpoint(take: Callable[[], Snapshot]) -> None:
        numbers = take().numbers
        saved.append((numbers["epoch"], numbers["done"]))

    history = Trainer(vae, data, Schedule(6, 16, patience=10**6)).run(lambda *a: heard.append(a), checkpoint)
    columns = history.arrays()
    assert set(columns) == {"epoch", "train_elbo", "held_out_elbo", "kl", "curvature", "learning_rate", "inflation"}
    assert {len(c) for c in columns.values()} == {6}
    assert columns["kl"].shape == (6, 2)
    assert columns["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert saved == [(epoch, step) for epoch in range(1, 7) for step in range(1, 9)]
    assert heard == [(e, 6, h) for e, h in zip(history.epoch, history.held_out_elbo, strict=True)]
    assert all(np.isfinite(c).all() for c in columns.values())


def test_the_best_weights_are_kept() -> None:
    """The weights left behind are at least as good on the validation frames as at any look, the first ones included."""
    vae, data = _setup(n=12, hidden=64)
    schedule = Schedule(400, 16, learning_rate=0.02, patience=10**6, weight_decay=0.0)
    trainer = Trainer(vae, data, schedule)
    found = np.asarray(trainer.run().held_out_elbo)
    assert evaluate(vae, data, schedule.seed).elbo >= found.max() - 1e-9
    assert trainer.best_epoch == trainer.history.epoch[int(found.argmax())]
    assert found[-1] < found.max()  # the last epoch was not the best: keeping mattered


@pytest.mark.parametrize(("likelihood", "settled"), [("isotropic", 0.0), ("full", 0.6)])
def test_training_ends_early_where_nothing_improves(likelihood: str, settled: float) -> None:
    """It stops where no look was better for as many steps as patience has, counted once the covariance is whole."""
    vae, data = _setup(n=40, likelihood=likelihood)
    schedule = Schedule(400, 16, learning_rate=0.05, warmup=30, patience=30)
    trainer = Trainer(vae, data, schedule)
    trainer.run()
    since = max(trainer.best_epoch, settled * 400, 10)
    assert trainer.best_epoch < 380
    assert trainer.epoch - 1 == since + 11


def test_patience_is_counted_in_steps() -> None:
    """A fifth of a training, from 400 to 1600 steps; but four epochs where those are long."""
    assert [default_patience(*x) for x in ((2000, 4), (1000, 4), (5, 7), (20, 700), (20, 10**5))] == [
        1600,
        800,
        400,
        2800,
        400_000,
    ]


def test_the_covariance_of_few_frames_is_that_of_frames_not_trained_on() -> None:
    """Thirty frames learned by heart: their own residuals are far smaller than what the likelihood foresees."""
    vae, data = _setup(n=30, held=400, hidden=64)
    trainer = Trainer(vae, data, Schedule(300, 16, patience=10**6))
    history = trainer.run()
    assert history.inflation[0] == 1.0 and max(history.inflation) > 1.3
    assert evaluate(vae, data, 7).misfit == pytest.approx(1.0, abs=0.15)


def test_training_raises_the_elbo() -> None:
    """The held-out ELBO ends far above where it began."""
    vae, data = _setup()
    before = evaluate(vae, data, 0).elbo
    Trainer(vae, data, Schedule(30, 16)).run()
    after = evaluate(vae, data, 0).elbo
    assert after > before + 1.0


@pytest.mark.parametrize("likelihood", ["isotropic", "full"])
def test_an_elbo_that_is_not_finite_is_a_clear_error(likelihood: str) -> None:
    """A training that explodes ends in one line that says so, whatever the likelihood."""
    vae, data = _setup(likelihood=likelihood)
    with pytest.raises(TrajvaeError, match="training failed at epoch") as caught:
        Trainer(vae, data, Schedule(10, 16, learning_rate=1e30)).run()
    assert "\n" not in str(caught.value)


def test_threads_are_given_back() -> None:
    """One thread within small work, as many as before after it, also after an error."""
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), small_work(1.0):
        assert torch.get_num_threads() == 1
        raise ValueError("stop")
    assert torch.get_num_threads() == before
    with small_work(1e12):
        assert torch.get_num_threads() == before


def test_elbo_of_a_linear_model_reaches_its_known_likelihood() -> None:
    """Frames of a linear Gaussian model: the trained ELBO is below the exact log-likelihood, by less than 0.5 nat."""
    vae, data = _setup(n=3000, held=2000, hidden=32)
    Trainer(vae, data, Schedule(40, 64)).run()
    covariance = torch.from_numpy(LOADINGS.T @ LOADINGS + SIGMA**2 * np.eye(6))
    frames = _linear_data(5000, 1)[3000:].flatten(1)
    exact = td.MultivariateNormal(torch.zeros(6, dtype=torch.float64), covariance).log_prob(frames)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        pair = data.validation_inputs, data.validation_targets
        elbo = torch.stack([vae.terms(*pair, generator).elbo() for _ in range(20)])
    gap = exact - elbo.double().mean(dim=0)
    error = float(gap.std()) / math.sqrt(len(gap))
    assert float(gap.mean()) > -3.0 * error
    assert float(gap.mean()) < 0.5
