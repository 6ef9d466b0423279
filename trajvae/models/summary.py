"""The summary of a training that a file holds: figures by name, of the types that are computed and printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trajvae.errors import ModelError
from trajvae.verdict import Reason, Verdict

_WANTED = ("epochs", "held_out_valid", "rmsd")
_NUMBERS = (
    *_WANTED, "frames", "trained", "validation", "held_out", "atoms", "features", "latent_dim", "elbo", "elbo_shape",
    "pca_rmsd", "frame_jump", "frame_jump_optimal", "degenerate", "active_units", "mutual_information", "prior_gap",
    "train_rmsd", "kept_epoch", "seconds", "batch_size", "copies",
)  # fmt: skip
_BY_NAME = ("kl", "curvatures", "diagnostics")
_TEXTS = ("backend", "feature_kind", "likelihood", "geometry")
_LARGEST = 1e300


def check_summary(summary: Mapping[str, Any]) -> None:
    """Refuse figures that are of other types than those of a training; those of later versions are left alone.

    Raises
    ------
    ModelError
        Names the figure.
    """
    for name in _WANTED:
        if not _is_number(summary.get(name)):
            raise _wrong(name, "no number", summary.get(name))
    for name in _NUMBERS:
        if summary.get(name) is not None and not _is_number(summary[name]):
            raise _wrong(name, "no number", summary[name])
    for name in _BY_NAME:
        held = summary.get(name, {})
        if not isinstance(held, dict) or not all(map(_is_number, held.values())):
            raise _wrong(name, "not numbers by name", held)
    for name in _TEXTS:
        if not isinstance(summary.get(name, ""), str):
            raise _wrong(name, "no text", summary[name])
    _check_verdict(summary)


def _is_number(value: Any) -> bool:
    """Return whether a value is a number that `float` takes; what is not finite is one too."""
    return isinstance(value, int | float) and not (isinstance(value, int) and abs(value) > _LARGEST)


def _wrong(name: str, what: str, found: Any) -> ModelError:
    return ModelError(f"'{name}' of its summary is {what}, but {repr(found)[:100]}")


def _check_verdict(summary: Mapping[str, Any]) -> None:
    """Compare the verdict with its reasons, if there is one."""
    if "verdict" not in summary:
        return
    try:
        reasons = tuple(Reason(**reason) for reason in summary["reasons"])
        texts = all(isinstance(value, str) for reason in reasons for value in vars(reason).values())
        if not texts or Verdict(reasons).verdict != summary["verdict"]:
            raise _wrong("verdict", "not that of its reasons", summary["verdict"])
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong("reasons", "not the reasons of a verdict", summary.get("reasons")) from error
