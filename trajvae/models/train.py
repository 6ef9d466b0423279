"""Training: data resident on the device, M-step of the covariance, early stopping on the held-out ELBO."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trajvae.errors import TrajvaeError
from trajvae.latents import Context
from trajvae.models.schedule import Schedule
from trajvae.models.threads import small_work
from trajvae.models.vae import VAE, Terms

_MOMENT_DECAY = 0.98
_MOMENT_EVERY = 5
_CLIP = 5.0
_FAILED = "training failed at epoch {}: the ELBO is {}; check the frames"


@dataclass
class History:
    """What happened, one entry an evaluation."""

    epoch: list[int] = field(default_factory=list)
    train_elbo: list[float] = field(default_factory=list)
    held_out_elbo: list[float] = field(default_factory=list)
    kl: list[list[float]] = field(default_factory=list)
    curvature: list[list[float]] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All columns as arrays."""
        return {name: np.asarray(column) for name, column in vars(self).items()}


@dataclass(frozen=True, eq=False)
class Split:
    """Targets and inputs of training and held-out frames, on the device."""

    train_inputs: Tensor
    train_targets: Tensor
    held_inputs: Tensor
    held_targets: Tensor


Progress = Callable[[int, int, float], None]
Regulariser = Callable[[VAE, Terms], Tensor]


@torch.no_grad()
def held_out_elbo(
    vae: VAE, inputs: Tensor, targets: Tensor, seed: int, draws: int = 4, beta: float = 1.0
) -> tuple[float, Tensor]:
    """Mean ELBO and mean KL by part, with the same noise at every call."""
    generator = torch.Generator(inputs.device).manual_seed(seed)
    elbo, kl = 0.0, torch.zeros(len(vae.latent.parts), device=inputs.device)
    rows = vae.latent.rows_at_once
    for _ in range(draws):
        for x, y in zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True):
            terms = vae.terms(x, y, generator)
            share = len(x) / (len(inputs) * draws)
            elbo += float(terms.elbo(beta).double().mean()) * share
            kl = kl + terms.kl.mean(dim=0) * share
    return elbo, kl


@torch.no_grad()
def mean_moment(vae: VAE, inputs: Tensor, targets: Tensor, generator: torch.Generator, chunk: int = 0) -> Tensor:
    """The residuals' moment over all given frames."""
    total: Tensor | float = 0.0
    chunk = chunk or vae.latent.rows_at_once
    for i in range(0, len(inputs), chunk):
        residual = vae.terms(inputs[i : i + chunk], targets[i : i + chunk], generator).residual
        total = total + vae.likelihood.moment(residual) * (len(residual) / len(inputs))
    return torch.as_tensor(total)


class Trainer:
    """Trains a VAE on a split; `run` returns the history and leaves the best weights in the VAE.

    A regulariser, if there is one, gives a scalar in nats a frame that is added to the loss, not to what is reported.
    """

    def __init__(self, vae: VAE, data: Split, schedule: Schedule, regulariser: Regulariser | None = None) -> None:
        self.vae, self.data, self.schedule, self.regulariser = vae, data, schedule, regulariser
        vae.latent.prepare(data.train_inputs, schedule.seed)
        self.generator = torch.Generator(data.train_inputs.device).manual_seed(schedule.seed)
        self.shuffle = torch.Generator().manual_seed(schedule.seed + 1)
        self.batches = max(1, -(-len(data.train_inputs) // schedule.batch_size))
        self.total = schedule.epochs * self.batches
        self.optimiser, self.scheduler = self._optimiser()
        self.moment = mean_moment(vae, data.train_inputs, data.train_targets, self.generator)
        try:
            vae.likelihood.set_moment(self.moment, 0.0)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise TrajvaeError(_FAILED.format(0, "not finite")) from error

    def _optimiser(self) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
        """Networks, and beside them the latent's own parameters with a rate and a burn-in of their own."""
        schedule, latent = self.schedule, self.vae.latent
        own = list(latent.parameters())
        networks = [p for name, p in self.vae.named_parameters() if not name.startswith("latent.")]
        groups: list[dict[str, Any]] = [
            {"params": networks},
            {"params": own, "lr": schedule.learning_rate * latent.own_rate, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(
            groups[: 1 + bool(own)], lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
        )
        burnt_in = latent.burn_in * self.total
        rates = [self._rate, lambda step: self._rate(step) if step >= burnt_in else 0.0]
        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, rates[: 1 + bool(own)])

    def _rate(self, step: int) -> float:
        rise = max(1, self.total // 20)
        if step < rise:
            return (step + 1) / rise
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / max(1, self.total - rise))))

    def run(self, progress: Progress | None = None, checkpoint: Callable[[int], None] | None = None) -> History:
        """Train.

        Parameters
        ----------
        progress : callable, optional
            Called with (epoch, epochs, held-out ELBO) after every epoch.
        checkpoint : callable, optional
            Called with the epoch after every evaluation.

        Raises
        ------
        TrajvaeError
            The ELBO is not finite.
        """
        size = sum(p.numel() for p in self.vae.parameters())
        with small_work(3.0 * size * self.schedule.batch_size):
            return self._run(progress, checkpoint)

    def _run(self, progress: Progress | None, checkpoint: Callable[[int], None] | None) -> History:
        schedule, history = self.schedule, History()
        every = max(1, schedule.epochs // 200)
        settled = max(
            schedule.warmup, self.vae.latent.settled, schedule.structure[1] if self.vae.likelihood.structured else 0.0
        )
        best, best_epoch, best_state = -math.inf, 0, copy.deepcopy(self.vae.state_dict())
        for epoch in range(1, schedule.epochs + 1):
            looks = epoch % every == 0 or epoch == schedule.epochs
            try:
                train = self._epoch(epoch)
                held, kl = self._held_out() if looks else (math.nan, torch.zeros(0))
            except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # a covariance that is not finite
                raise TrajvaeError(_FAILED.format(epoch, "not finite")) from error
            if looks:
                self._record(history, epoch, train, held, kl)
                if epoch >= settled * schedule.epochs and held > best:
                    best, best_epoch, best_state = held, epoch, copy.deepcopy(self.vae.state_dict())
                if checkpoint is not None:
                    checkpoint(epoch)
            if progress is not None:
                progress(epoch, schedule.epochs, history.held_out_elbo[-1] if history.epoch else math.nan)
            if best_epoch and epoch - best_epoch > schedule.patience * schedule.epochs:
                break
        self.vae.load_state_dict(best_state)
        with torch.no_grad():
            self.vae.latent.finish(Context(self.generator, encode=self.vae.encode))
        self._last_moment(best)
        return history

    def _held_out(self) -> tuple[float, Tensor]:
        data, schedule = self.data, self.schedule
        return held_out_elbo(self.vae, data.held_inputs, data.held_targets, schedule.seed, beta=schedule.beta)

    def _record(self, history: History, epoch: int, train: float, held: float, kl: Tensor) -> None:
        if not math.isfinite(held):
            raise TrajvaeError(_FAILED.format(epoch, held))
        history.epoch.append(epoch)
        history.train_elbo.append(train)
        history.held_out_elbo.append(held)
        history.kl.append(kl.tolist())
        history.curvature.append(list(self.vae.latent.curvatures().values()))
        history.learning_rate.append(float(self.scheduler.get_last_lr()[0]))

    def _epoch(self, epoch: int) -> float:
        """One pass over the training frames; returns the mean training ELBO (beta 1)."""
        schedule, data = self.schedule, self.data
        beta = schedule.beta * min(1.0, epoch / max(1.0, schedule.warmup * schedule.epochs))
        order = torch.randperm(len(data.train_inputs), generator=self.shuffle).to(data.train_inputs.device)
        total = torch.zeros((), device=data.train_inputs.device)
        context = Context(self.generator, encode=self.vae.encode, progress=epoch / schedule.epochs)
        for k in range(self.batches):
            rows = order[k * schedule.batch_size : (k + 1) * schedule.batch_size]
            terms = self.vae.terms(data.train_inputs[rows], data.train_targets[rows], self.generator)
            loss = terms.loss(beta, schedule.free_bits)
            if self.regulariser is not None:
                loss = loss + self.regulariser(self.vae, terms)
            self.optimiser.zero_grad(set_to_none=True)
            (loss / self.vae.likelihood.size).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.vae.parameters(), _CLIP)
            self.optimiser.step()
            self.scheduler.step()
            with torch.no_grad():
                total += terms.elbo().sum()
                self.vae.latent.update(context)
                self._track(terms.residual, epoch, k)
        return float(total) / len(data.train_inputs)

    def _track(self, residual: Tensor, epoch: int, k: int) -> None:
        self.moment = _MOMENT_DECAY * self.moment + (1.0 - _MOMENT_DECAY) * self.vae.likelihood.moment(residual)
        if k % max(_MOMENT_EVERY, self.vae.likelihood.size // 20) == 0:  # a decomposition costs size cubed
            first, last = self.schedule.structure
            structure = (epoch / self.schedule.epochs - first) / (last - first)
            self.vae.likelihood.set_moment(self.moment, min(1.0, max(0.0, structure)))

    def _last_moment(self, best: float) -> None:
        """The covariance over all training frames under the best weights, kept if the held-out ELBO agrees."""
        state = copy.deepcopy(self.vae.likelihood.state_dict())
        data = self.data
        self.vae.likelihood.set_moment(mean_moment(self.vae, data.train_inputs, data.train_targets, self.generator))
        if self._held_out()[0] < best:
            self.vae.likelihood.load_state_dict(state)
