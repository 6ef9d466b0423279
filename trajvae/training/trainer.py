"""The training loop: optimiser steps, updates of the likelihood's covariance, early stopping, and snapshots.

The covariance of the residuals is estimated from training frames. Their residuals are smaller than those of other
frames, since the networks were fitted to them, and the more so the fewer frames there are. So the residuals of
validation frames are measured now and then, and the covariance is inflated by the factor between them. Without the
inflation a model of few frames overfits: its ELBO on other frames falls by hundreds of nats, since the KL no longer
balances the likelihood of the training frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from trajvae.errors import TrajvaeError
from trajvae.latents import Context
from trajvae.models.vae import VAE
from trajvae.runtime.threads import small_work
from trajvae.torch_types import LinAlgError
from trajvae.training.batches import Batch, Batches
from trajvae.training.evaluation import (
    WEIGH_EVERY,
    Evaluation,
    Regulariser,
    evaluate,
    mean_moment,
    useful_inflation,
    weigh,
)
from trajvae.training.lagged.slowness import Slowness
from trajvae.training.optimiser import Optimiser
from trajvae.training.schedule import Schedule, learning_rate_share
from trajvae.training.selection import Selection
from trajvae.training.shares.states import OwnState, gathered, numbers_of, own_state
from trajvae.training.shares.sums import copy_vae, mean_of_all, mean_state
from trajvae.training.state import History, Snapshot, copy_weights

_MOMENT_DECAY, _MOMENT_EVERY = 0.98, 5  # in a step of the residuals' moment; steps between updates of the covariance
_LEAST_INFLATION = 1e-3  # over one; a smaller inflation is dropped
_INFLATION_STEPS = 100.0  # optimiser steps that the inflation of the covariance is averaged over
_WARMUP_MARGIN = 2.0  # nats a frame by which weights must be better to be kept while the KL's weight rises
_FAILED = "training failed at epoch {}: the ELBO is {}; check the frames"

Progress = Callable[[int, int, float], None]
Checkpoint = Callable[[Callable[[], Snapshot]], None]


class Trainer:
    """Train a VAE; `run` returns the history and leaves the best weights in the VAE.

    Parameters
    ----------
    vae : VAE
    data : Batches
    schedule : Schedule
    regulariser : callable, optional
        Returns a scalar in nats a frame for a VAE and its terms, which frames' weights have multiplied. It is added to
        the loss, and, computed without gradients, subtracted from the score that decides which weights are kept, but
        not from the reported ELBO.
    slowness : Slowness, optional
        What the score of pairs of frames adds to the ELBO, in the loss and in the score that decides.
    """

    def __init__(
        self,
        vae: VAE,
        data: Batches,
        schedule: Schedule,
        regulariser: Regulariser | None = None,
        slowness: Slowness | None = None,
    ) -> None:
        self.vae, self.data, self.schedule, self.regulariser = vae, data, schedule, regulariser
        self.ranks = data.ranks
        self.slowness, self.vamp2 = slowness, math.nan
        self.latent, self.likelihood = vae.latent, vae.likelihood  # looking up an attribute of a module is slow
        vae.latent.prepare(data.sample(), schedule.seed)
        copy_vae(vae, self.ranks)
        if slowness is not None:
            slowness.begin(vae)
        self.generator = torch.Generator(data.device).manual_seed(self.ranks.seed(schedule.seed))
        self.shuffle = torch.Generator().manual_seed(self.ranks.seed(schedule.seed + 1))
        self.batches = max(1, -(-data.n_train // schedule.batch_size))
        self.total = schedule.epochs * self.batches
        networks = [p for name, p in vae.named_parameters() if not name.startswith("latent.")]
        own = list(vae.latent.parameters())
        self.optimiser = Optimiser(networks, own, schedule.weight_decay, self.total, self.ranks)
        self.history = History()
        self.epoch, self.done, self.sum = 1, 0, torch.zeros((), device=data.device)
        self.order = self.shuffle.get_state()
        self.best, self.best_epoch, self.best_weights = -math.inf, 0, copy_weights(vae.state_dict())
        self.inflation, self._useful_inflation = 1.0, partial(useful_inflation, vae.likelihood.size)
        self.moment = mean_moment(vae, data, self.generator)
        try:
            vae.likelihood.set_moment(self.moment, 0.0)
        except LinAlgError as error:
            raise TrajvaeError(_FAILED.format(0, "not finite")) from error

    def snapshot(self) -> Snapshot:
        """Return the state of the training, between two steps; all processes call this after the same one."""
        numbers: dict[str, float] = {"epoch": self.epoch, "done": self.done, "best_epoch": self.best_epoch}
        numbers["inflation"] = self.inflation
        if self.slowness is not None:
            numbers["pair_noise"] = self.slowness.noise
        if self.best_epoch:
            numbers["best"] = self.best
        numbers |= numbers_of(self.ranks)
        random, sums = gathered(OwnState(self.generator.get_state(), self.order, self.moment, self.sum), self.ranks)
        return Snapshot(
            copy_weights(self.vae.state_dict()),
            copy_weights(self.best_weights),
            copy_weights(self.optimiser.state()),
            copy_weights(random),
            copy_weights(sums),
            numbers,
            self.latent.extra_state(),
            self.history.arrays(),
        )

    def restore(self, at: Snapshot) -> None:
        """Continue from a snapshot of a training with the same data and schedule, bit for bit."""
        device = self.data.device
        self.vae.load_state_dict(at.weights)
        self.best_weights = {name: value.to(device) for name, value in at.best.items()}
        self.optimiser.load(at.optimiser)
        noise, self.order, self.moment, self.sum = own_state(at, self.ranks, self.schedule.seed, device)
        self.generator.set_state(noise)
        self.epoch, self.done = int(at.numbers["epoch"]), int(at.numbers["done"])
        self.best, self.best_epoch = float(at.numbers.get("best", -math.inf)), int(at.numbers["best_epoch"])
        self.inflation = float(at.numbers["inflation"])
        if self.slowness is not None:
            self.slowness.noise = float(at.numbers.get("pair_noise", self.slowness.noise))
        self.latent.load_extra_state(at.latent)
        self.history = History(**{name: column.tolist() for name, column in at.history.items()})

    def run(self, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> History:
        """Train the VAE and return the history.

        Parameters
        ----------
        progress : callable, optional
            Called with (epoch, epochs, ELBO of the validation frames) after every epoch.
        checkpoint : callable, optional
            Called after every step with `snapshot`, which it calls when a snapshot is due.

        Raises
        ------
        TrajvaeError
            The ELBO is not finite.
        """
        size = sum(p.numel() for p in self.vae.parameters())
        with small_work(3.0 * size * self.schedule.batch_size):
            while self.epoch <= self.schedule.epochs and not self._stale():
                self._evaluate_if_due(self._epoch(checkpoint))
                if progress is not None:
                    latest = self.history.held_out_elbo[-1] if self.history.epoch else math.nan
                    progress(self.epoch, self.schedule.epochs, latest)
                self.epoch, self.done, self.order = self.epoch + 1, 0, self.shuffle.get_state()
                self.sum = torch.zeros_like(self.sum)
            self.optimiser.release()
            self.vae.load_state_dict(self.best_weights)
            with torch.no_grad():
                self.latent.finish(Context(self.generator, encode=self.vae.encode))
            Selection(
                *(self.vae, self.data, self._evaluate, self._useful_inflation, self.generator, self.schedule.seed),
                principal=self.slowness is None,
            ).run()
        return self.history

    def _stale(self) -> bool:
        """Return whether the best epoch is long ago.

        Steps count from when the latent space, the covariance and the KL's weight have their final form.
        """
        schedule = self.schedule
        final = max(self.latent.elbo_valid_after, schedule.structure[1] if self.likelihood.has_covariance else 0.0)
        since = max(self.best_epoch * self.batches, final * self.total, schedule.warmup)
        return bool(self.best_epoch) and (self.epoch - 1) * self.batches - since > schedule.patience

    def _evaluate_if_due(self, train: float) -> None:
        """Evaluate the averaged weights on the validation frames if that is due, and keep them if they are the best."""
        if not self.schedule.due(self.epoch):
            return
        before = self.history.epoch[-1] if self.history.epoch else 0
        self.moment = self.ranks.mean(self.moment)
        self.optimiser.copy_first()
        with self.optimiser.averaged():
            try:
                if self.likelihood.shrinks and len(self.history.epoch) % WEIGH_EVERY == 0 < self.schedule.structure_at(
                    self.epoch
                ):
                    weigh(self.vae, self.data, self.moment, self.schedule.seed)
                    self.likelihood.set_moment(self.moment * self.inflation, self.schedule.structure_at(self.epoch))
                evaluation, misfit = self._calibrate()
            except LinAlgError as error:
                raise TrajvaeError(_FAILED.format(self.epoch, "not finite")) from error
            self._record(train, evaluation)
            score = evaluation.score - self._warmup_margin()
            if self.epoch >= self.latent.elbo_valid_after * self.schedule.epochs and score > self.best:
                self.best, self.best_epoch, self.best_weights = score, self.epoch, copy_weights(self.vae.state_dict())
        share = 1.0 - math.exp(-(self.epoch - before) * self.batches / _INFLATION_STEPS)
        target = self._useful_inflation(self.inflation * misfit)
        inflation = self.inflation * (target / self.inflation) ** share
        self.inflation = inflation if inflation > 1.0 + _LEAST_INFLATION else 1.0

    def _warmup_margin(self) -> float:
        """Return the nats by which weights must be better to be kept now.

        While the KL's weight rises, a likelihood that can do without the latent space may have nearly the same ELBO as
        later, before it uses the latent space.
        """
        rising = self.epoch * self.batches < self.schedule.warmup
        return _WARMUP_MARGIN if self.likelihood.warmup > 0.0 and rising else 0.0

    def _calibrate(self) -> tuple[Evaluation, float]:
        """Set the covariance that suits the averaged weights; return its evaluation, and the misfit before."""
        first = self._evaluate()
        factor = self.inflation * first.misfit
        inflation = self._useful_inflation(factor) if math.isfinite(factor) else 1.0
        if not math.isfinite(factor) or inflation == 1.0 == self.inflation:
            return first, first.misfit
        self.likelihood.set_moment(self.moment * inflation, self.schedule.structure_at(self.epoch))
        second = self._evaluate()
        if second.score >= first.score:
            return second, first.misfit
        self.likelihood.set_moment(self.moment * self.inflation, self.schedule.structure_at(self.epoch))
        return first, first.misfit

    def _evaluate(self) -> Evaluation:
        """Evaluate the VAE on the validation frames; what their VAMP-2 score is worth counts as a negative penalty."""
        schedule = self.schedule
        found = evaluate(self.vae, self.data, schedule.seed, beta=schedule.beta, regulariser=self.regulariser)
        if self.slowness is None:
            return found
        self.vamp2 = self.slowness.validation_score(self.vae)
        return found._replace(penalty=found.penalty - self.slowness.weight * self.vamp2)

    def _record(self, train: float, evaluation: Evaluation) -> None:
        """Add an evaluation to the history; raise an error if it is not finite."""
        if not (math.isfinite(evaluation.elbo) and math.isfinite(evaluation.misfit)):
            raise TrajvaeError(_FAILED.format(self.epoch, evaluation.elbo))
        self.history.add(
            self.epoch,
            train_elbo=train,
            held_out_elbo=evaluation.elbo,
            kl=evaluation.kl.tolist(),
            curvature=list(self.latent.curvatures().values()),
            learning_rate=self.schedule.learning_rate * learning_rate_share(self.epoch * self.batches, self.total),
            inflation=self.inflation,
            vamp2=None if self.slowness is None else self.vamp2,
        )

    def _epoch(self, checkpoint: Checkpoint | None = None) -> float:
        """Make the steps left in this epoch, and return the mean ELBO of the training frames (beta 1)."""
        self.shuffle.set_state(self.order)
        context = Context(self.generator, encode=self.vae.encode, progress=self.epoch / self.schedule.epochs)
        for batch in self.data.batches(self.schedule.batch_size, self.shuffle, self.done):
            try:
                self._step(batch, context)
            except LinAlgError as error:  # the covariance is not finite
                raise TrajvaeError(_FAILED.format(self.epoch, "not finite")) from error
            self.done += 1
            if checkpoint is not None:
                checkpoint(self.snapshot)
        return float(self.ranks.sum(self.sum)) / self.data.n_train

    def _step(self, batch: Batch, context: Context) -> None:
        """Make one optimiser step with a batch."""
        schedule, latent = self.schedule, self.latent
        step = (self.epoch - 1) * self.batches + self.done
        beta = schedule.beta * min(1.0, (step + 1) / max(1, schedule.warmup))
        terms = self.vae.terms(batch.inputs, batch.targets, self.generator).weighted(batch.weights)
        loss = terms.loss(beta, schedule.free_bits, mean_of_all(self.ranks))
        if self.regulariser is not None:
            loss = loss + self.regulariser(self.vae, terms)
        if self.slowness is not None:
            loss = self.slowness.loss(self.vae, loss, step)
        rate = schedule.learning_rate * learning_rate_share(step, self.total)
        own_rate = rate * latent.learning_rate_factor if step >= latent.burn_in * self.total else 0.0
        self.optimiser.step(loss / self.likelihood.size, rate, own_rate)
        with torch.no_grad():
            self.sum += terms.log_likelihood.sum() - terms.kl.sum()
            mean_state(latent, self.ranks)
            latent.update(context)
            self._track(terms.residual)

    def _track(self, residual: Tensor) -> None:
        """Average the moment of the residuals, and update the covariance, which takes long, now and then."""
        self.moment = torch.lerp(self.moment, self.likelihood.moment(residual), 1.0 - _MOMENT_DECAY)
        if ((self.epoch - 1) * self.batches + self.done) % max(_MOMENT_EVERY, self.likelihood.size // 20) == 0:
            self.moment = self.ranks.mean(self.moment)
            self.likelihood.set_moment(self.moment * self.inflation, self.schedule.structure_at(self.epoch))
