"""Training: steps, the M-step of the covariance, early stopping, and going on after a stop.

The covariance of the residual is set from training frames, whose residuals are smaller than those of frames that the
networks were not fitted to, by the more the fewer frames there are. Looks at validation frames measure by how much, and
the covariance is inflated by that factor while training goes on. Without it a model of few frames is certain of what it
learned by heart: its ELBO on other frames falls by hundreds of nats, and the KL, which is weighed against the
covariance, no longer holds the networks back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from trajvae.errors import TrajvaeError
from trajvae.latents import Context
from trajvae.models.vae import VAE
from trajvae.runtime.threads import small_work
from trajvae.training.batches import Batches
from trajvae.training.evaluation import Evaluation, Regulariser, look, mean_moment
from trajvae.training.optimiser import Optimiser
from trajvae.training.schedule import Schedule
from trajvae.training.state import History, Snapshot, copied

_MOMENT_DECAY = 0.98
_MOMENT_EVERY = 5
_LOOKS = 200  # at the validation frames, about
_NOTHING = 1e-3  # of an inflation, that is left out
_GAIN = 0.2  # nats a frame that an inflation of the covariance is worth, at least
_MEMORY = 100.0  # optimiser steps that the inflation of the covariance is averaged over
_EARLY = 2.0  # nats a frame
_FAILED = "training failed at epoch {}: the ELBO is {}; check the frames"

Progress = Callable[[int, int, float], None]
Checkpoint = Callable[[Callable[[], Snapshot]], None]


class Trainer:
    """Trains a VAE on data; `run` returns the history and leaves the best weights in the VAE.

    A regulariser, if there is one, gives a scalar in nats a frame that is added to the loss and to what decides which
    weights are kept, where it is evaluated without gradients; not to the ELBO that is reported.
    """

    def __init__(self, vae: VAE, data: Batches, schedule: Schedule, regulariser: Regulariser | None = None) -> None:
        self.vae, self.data, self.schedule, self.regulariser = vae, data, schedule, regulariser
        self.latent, self.likelihood = vae.latent, vae.likelihood  # a look into a module is a call each time
        vae.latent.prepare(data.sample(), schedule.seed)
        self.generator = torch.Generator(data.device).manual_seed(schedule.seed)
        self.shuffle = torch.Generator().manual_seed(schedule.seed + 1)
        self.batches = max(1, -(-data.n_train // schedule.batch_size))
        self.total = schedule.epochs * self.batches
        networks = [p for name, p in vae.named_parameters() if not name.startswith("latent.")]
        self.optimiser = Optimiser(networks, list(vae.latent.parameters()), schedule.weight_decay, self.total)
        self.history = History()
        self.epoch, self.done, self.sum = 1, 0, torch.zeros((), device=data.device)
        self.order = self.shuffle.get_state()
        self.best, self.best_epoch, self.best_weights = -math.inf, 0, copied(vae.state_dict())
        self.inflation = 1.0
        self.moment = mean_moment(vae, data, self.generator)
        try:
            vae.likelihood.set_moment(self.moment, 0.0)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise TrajvaeError(_FAILED.format(0, "not finite")) from error

    def snapshot(self) -> Snapshot:
        """Return the state of the training, between two steps."""
        numbers: dict[str, float] = {"epoch": self.epoch, "done": self.done, "best_epoch": self.best_epoch}
        numbers["inflation"] = self.inflation
        if self.best_epoch:
            numbers["best"] = self.best
        return Snapshot(
            copied(self.vae.state_dict()),
            copied(self.best_weights),
            copied(self.optimiser.state()),
            {"noise": self.generator.get_state(), "order": self.order.clone()},
            {"moment": self.moment.clone(), "elbo": self.sum.clone()},
            numbers,
            self.latent.extra_state(),
            self.history.arrays(),
        )

    def restore(self, at: Snapshot) -> None:
        """Go on from a snapshot of a training of the same data and schedule, bit for bit."""
        device = self.data.device
        self.vae.load_state_dict(at.weights)
        self.best_weights = {name: value.to(device) for name, value in at.best.items()}
        self.optimiser.load(at.optimiser)
        self.generator.set_state(at.random["noise"].cpu())
        self.order = at.random["order"].cpu()
        self.moment, self.sum = at.sums["moment"].to(device), at.sums["elbo"].to(device)
        self.epoch, self.done = int(at.numbers["epoch"]), int(at.numbers["done"])
        self.best, self.best_epoch = float(at.numbers.get("best", -math.inf)), int(at.numbers["best_epoch"])
        self.inflation = float(at.numbers["inflation"])
        self.latent.load_extra_state(at.latent)
        self.history = History(**{name: column.tolist() for name, column in at.history.items()})

    def _rate(self, step: int) -> float:
        """The learning rate's share of its highest: a rise, then a cosine."""
        rise = max(1, self.total // 20)
        if step < rise:
            return (step + 1) / rise
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / max(1, self.total - rise))))

    def run(self, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> History:
        """Train.

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
                self._look(self._epoch(checkpoint))
                if progress is not None:
                    latest = self.history.held_out_elbo[-1] if self.history.epoch else math.nan
                    progress(self.epoch, self.schedule.epochs, latest)
                self.epoch, self.done, self.order = self.epoch + 1, 0, self.shuffle.get_state()
                self.sum = torch.zeros_like(self.sum)
            self.optimiser.release()
            self.vae.load_state_dict(self.best_weights)
            with torch.no_grad():
                self.latent.finish(Context(self.generator, encode=self.vae.encode))
            self._last_moment()
        return self.history

    def _stale(self) -> bool:
        """Whether the best epoch is long ago, counted from when all that comes in gradually is there."""
        schedule = self.schedule
        whole = max(self.latent.elbo_valid_after, schedule.structure[1] if self.likelihood.has_covariance else 0.0)
        since = max(self.best_epoch * self.batches, whole * self.total, schedule.warmup)
        return bool(self.best_epoch) and (self.epoch - 1) * self.batches - since > schedule.patience

    def _due(self) -> bool:
        """Whether to look after this epoch: after each of the first, then a few hundred times in all."""
        every = max(1, self.schedule.epochs // _LOOKS)
        return self.epoch < every or self.epoch % every == 0 or self.epoch == self.schedule.epochs

    def _look(self, train: float) -> None:
        """Look at the validation frames where that is due; keep the averaged weights if none were better."""
        if not self._due():
            return
        before = self.history.epoch[-1] if self.history.epoch else 0
        with self.optimiser.averaged():
            try:
                seen, misfit = self._calibrated()
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                raise TrajvaeError(_FAILED.format(self.epoch, "not finite")) from error
            self._record(train, seen)
            score = seen.score - self._early()
            if self.epoch >= self.latent.elbo_valid_after * self.schedule.epochs and score > self.best:
                self.best, self.best_epoch, self.best_weights = score, self.epoch, copied(self.vae.state_dict())
        share = 1.0 - math.exp(-(self.epoch - before) * self.batches / _MEMORY)
        wanted = self._wanted(self.inflation * misfit)
        inflation = self.inflation * (wanted / self.inflation) ** share
        self.inflation = inflation if inflation > 1.0 + _NOTHING else 1.0

    def _early(self) -> float:
        """Nats by which weights must be better to be kept while the KL's weight rises.

        A likelihood that can do without the latent space has nearly the same ELBO before it uses it.
        """
        rising = self.epoch * self.batches < self.schedule.warmup
        return _EARLY if self.likelihood.warmup > 0.0 and rising else 0.0

    def _calibrated(self) -> tuple[Evaluation, float]:
        """A look with the covariance that suits the averaged weights, and the misfit of the one that training has."""
        first = self._seen()
        factor = self.inflation * first.misfit
        if not math.isfinite(factor) or self._wanted(factor) == 1.0 == self.inflation:
            return first, first.misfit
        self.likelihood.set_moment(self.moment * self._wanted(factor), self._structure())
        second = self._seen()
        if second.score >= first.score:
            return second, first.misfit
        self.likelihood.set_moment(self.moment * self.inflation, self._structure())
        return first, first.misfit

    def _wanted(self, factor: float) -> float:
        """The inflation of the covariance for validation residuals that exceed training residuals by a factor.

        None where the ELBO gains little by it, as with many frames: it would only widen draws.
        """
        gain = 0.5 * self.likelihood.size * (factor - 1.0 - math.log(factor)) if factor > 1.0 else 0.0
        return factor if gain > _GAIN else 1.0

    def _structure(self) -> float:
        """How far the covariance has gone from spherical to its own structure."""
        first, last = self.schedule.structure
        return min(1.0, max(0.0, (self.epoch / self.schedule.epochs - first) / (last - first)))

    def _seen(self) -> Evaluation:
        schedule = self.schedule
        return look(self.vae, self.data, schedule.seed, beta=schedule.beta, regulariser=self.regulariser)

    def _record(self, train: float, seen: Evaluation) -> None:
        if not (math.isfinite(seen.elbo) and math.isfinite(seen.misfit)):
            raise TrajvaeError(_FAILED.format(self.epoch, seen.elbo))
        history = self.history
        history.epoch.append(self.epoch)
        history.train_elbo.append(train)
        history.held_out_elbo.append(seen.elbo)
        history.kl.append(seen.kl.tolist())
        history.curvature.append(list(self.latent.curvatures().values()))
        history.learning_rate.append(self.schedule.learning_rate * self._rate(self.epoch * self.batches))
        history.inflation.append(self.inflation)

    def _epoch(self, checkpoint: Checkpoint | None = None) -> float:
        """What is left of a pass over the training frames; returns the mean training ELBO (beta 1)."""
        self.shuffle.set_state(self.order)
        context = Context(self.generator, encode=self.vae.encode, progress=self.epoch / self.schedule.epochs)
        for inputs, targets in self.data.batches(self.schedule.batch_size, self.shuffle, self.done):
            try:
                self._step(inputs, targets, context)
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # a covariance that is not finite
                raise TrajvaeError(_FAILED.format(self.epoch, "not finite")) from error
            self.done += 1
            if checkpoint is not None:
                checkpoint(self.snapshot)
        return float(self.sum) / self.data.n_train

    def _step(self, inputs: Tensor, targets: Tensor, context: Context) -> None:
        schedule, latent = self.schedule, self.latent
        step = (self.epoch - 1) * self.batches + self.done
        beta = schedule.beta * min(1.0, (step + 1) / max(1, schedule.warmup))
        terms = self.vae.terms(inputs, targets, self.generator)
        loss = terms.loss(beta, schedule.free_bits)
        if self.regulariser is not None:
            loss = loss + self.regulariser(self.vae, terms)
        rate = schedule.learning_rate * self._rate(step)
        own_rate = rate * latent.learning_rate_factor if step >= latent.burn_in * self.total else 0.0
        self.optimiser.step(loss / self.likelihood.size, rate, own_rate)
        with torch.no_grad():
            self.sum += terms.log_likelihood.sum() - terms.kl.sum()
            latent.update(context)
            self._track(terms.residual)

    def _track(self, residual: Tensor) -> None:
        self.moment = torch.lerp(self.moment, self.likelihood.moment(residual), 1.0 - _MOMENT_DECAY)
        if self.done % max(_MOMENT_EVERY, self.likelihood.size // 20) == 0:  # a decomposition costs size cubed
            self.likelihood.set_moment(self.moment * self.inflation, self._structure())

    def _last_moment(self) -> None:
        """Take the covariance of all training frames under the best weights, inflated to what validation frames show.

        It is kept if the ELBO of the validation frames agrees.
        """
        likelihood = self.likelihood
        state, before = copied(likelihood.state_dict()), self._seen().score
        moment = mean_moment(self.vae, self.data, self.generator)
        likelihood.set_moment(moment)
        likelihood.set_moment(moment * self._wanted(self._seen().misfit))
        if self._seen().score < before:
            likelihood.load_state_dict(state)
