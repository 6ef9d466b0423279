"""Checks of the training state in a checkpoint, before a training is resumed from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from trajvae.errors import ModelError
from trajvae.models.vae import VAE
from trajvae.training.optimiser import aligned_size
from trajvae.training.shares.states import RANKS, name_of, ranks_of
from trajvae.training.state import OF_A_LAG, History, Snapshot

_MOMENTS = ("exp_avg", "exp_avg_sq")
_MOST = 1e15  # epochs and steps: whole numbers that a float holds


def check_snapshot(at: Snapshot, vae: VAE, device: torch.device) -> None:
    """Compare shapes and types with those of the networks; the fused optimiser and generators do not check them.

    Raises
    ------
    ModelError
        Something is missing, or of another shape or type; or random numbers of another kind of device.
    """
    _alike("best", at.best, vae.state_dict())
    _check_numbers(at)
    _check_random(at, device)
    _check_optimiser(at.optimiser, vae)
    _check_sums(at)
    if at.latent.keys() != vae.latent.extra_state().keys():  # they become attributes
        raise ModelError(f"'latent' holds {_words(at.latent)}, wanted: {_words(vae.latent.extra_state())}")
    lengths = {name: len(column) for name, column in at.history.items() if column.ndim}
    if lengths.keys() | set(OF_A_LAG) != {f.name for f in fields(History)} or len(set(lengths.values())) > 1:
        raise ModelError("the columns of its history are not those of a training, or not of one length")


def _alike(what: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Whether there are these tensors and no others, of these shapes and types."""
    if tensors.keys() != wanted.keys():
        raise ModelError(f"'{what}' holds {_words(tensors)}, wanted: {_words(wanted)}")
    for name, tensor in tensors.items():
        own, other = (tuple(tensor.shape), tensor.dtype), (tuple(wanted[name].shape), wanted[name].dtype)
        if own != other:
            raise ModelError(f"'{what}/{name}' is {own}, wanted: {other}")


def _words(names: Mapping[str, object]) -> str:
    if not names:
        return "nothing"
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


def _check_optimiser(state: Mapping[str, Tensor], vae: VAE) -> None:
    """Check that each learned vector has all moments, or none before the first step."""
    networks = [p for name, p in vae.named_parameters() if not name.startswith("latent.")]
    flat = torch.empty(sum(map(aligned_size, networks)), dtype=networks[0].dtype, device="meta")
    average = {name: value for name, value in state.items() if name in ("average", "steps")}
    _alike("optimiser", average, {"average": flat, "steps": torch.tensor(0)})
    for i, p in enumerate((flat, *vae.latent.parameters())):
        own = {name: value for name, value in state.items() if name.startswith(f"{i}.")}
        if own:
            wanted = {f"{i}.step": torch.zeros(())} | {f"{i}.{name}": p for name in _MOMENTS}
            _alike("optimiser", own, wanted)


def _check_random(at: Snapshot, device: torch.device) -> None:
    """States of the random generators of each process."""
    if len(at.random) != ranks_of(at) * len(_generators(device)):
        raise ModelError(f"'random' holds {len(at.random)} states, wanted: two for each of {ranks_of(at)} processes")
    kinds = {name_of(name, k): kind for k in range(ranks_of(at)) for name, kind in _generators(device).items()}
    _alike("random", at.random, {name: torch.Generator(kind).get_state() for name, kind in kinds.items()})
    for name, kind in kinds.items():
        torch.Generator(kind).set_state(at.random[name].cpu())  # an error where it is none


def _generators(device: torch.device) -> dict[str, torch.device]:
    return {"noise": device, "order": torch.device("cpu")}


def _check_sums(at: Snapshot) -> None:
    """Sums of each process, which are added up where another number of processes goes on."""
    wanted = {name_of(name, k) for k in range(ranks_of(at)) for name in ("moment", "elbo")}
    sums = at.sums
    if (
        sums.keys() != wanted
        or not all(t.is_floating_point() for t in sums.values())
        or any(t.shape != sums["moment" if name.startswith("moment") else "elbo"].shape for name, t in sums.items())
        or sums["elbo"].ndim
    ):
        raise ModelError("its sums must be the residuals' moment and the ELBO")


def _check_numbers(at: Snapshot) -> None:
    """Counts are whole; a latent's numbers are finite."""
    if not 1.0 <= at.numbers["inflation"] < _MOST:
        raise ModelError(f"'inflation' of the covariance must be 1 or more, got {at.numbers['inflation']}")
    for name in ("epoch", "done", "best_epoch"):
        value = at.numbers[name]
        if not 0 <= value < _MOST or value != int(value):
            raise ModelError(f"'{name}' must be a number of epochs or steps, got {value}")
    if not 1 <= (ranks := at.numbers.get(RANKS, 1)) < _MOST or ranks != int(ranks):
        raise ModelError(f"'{RANKS}' must be a number of processes, got {ranks}")
    if not 0.0 <= (noise := at.numbers.get("pair_noise", 0.0)) < _MOST:
        raise ModelError(f"'pair_noise' must be 0 or more, got {noise}")
    if not all(math.isfinite(value) for value in at.latent.values()):
        raise ModelError("numbers of its latent space are not finite")
