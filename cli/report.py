"""What is printed: progress on stderr, results on stdout as lines or as one JSON object."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from trajvae.errors import ModelError, TrajvaeWarning, printable
from trajvae.figures.training import TrainingFigures
from trajvae.verdict import Verdict

from . import bars

if TYPE_CHECKING:
    from trajvae.typing import JSON

_PARTS = 8  # of the divergence that are listed
_PRINTED = (
    "likelihood",
    "elbo_shape",
    "kl",
    "active_units",
    "mutual_information",
    "collapsed",
)  # that older files lack


def bar(what: str, unit: str) -> Callable[..., None]:
    """Return a progress callback (done, total[, figure]); it shows nothing where stderr is not a terminal."""
    started: list[bars.Bar] = []

    def show(done: int, total: int, figure: float | None = None) -> None:
        display = bars.display()
        if display is None:
            return
        if not started:
            started.append(bars.Bar(what, unit, total))
            display.begin(started[0])
        display.update(started[0], done, figure)
        if done >= total:
            display.end(started[0])

    return show


def say(text: str) -> None:
    """Write a note to stderr."""
    with bars.aside():
        click.echo(printable(text), err=True)


def notes(said: list[warnings.WarningMessage]) -> list[str]:
    """Return the texts of caught warnings of trajvae, each once, and write them to stderr."""
    found = dict.fromkeys(str(w.message) for w in said if issubclass(w.category, TrajvaeWarning))
    for text in found:
        say(f"warning: {text}")
    return list(found)


def result(figures: Mapping[str, JSON], lines: list[str], *, as_json: bool) -> None:
    """Print the figures as JSON, or the lines."""
    with bars.aside():
        click.echo(json.dumps(plain(figures)) if as_json else "\n".join(map(printable, lines)))


def plain(value: JSON) -> JSON:
    """Return values without numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def training_lines(figures: TrainingFigures) -> list[str]:
    """Return the figures of a training, for people.

    Raises
    ------
    ModelError
        They come from a file that lacks some of them.
    """
    for name in _PRINTED:
        if name not in figures:
            raise ModelError(f"the model's summary is damaged: it has no figure '{name}'")
    try:
        lines = [*_held_out_lines(figures), *_choice_lines(figures), *_shape_lines(figures), *_latent_lines(figures)]
    except TypeError as error:  # a number that the file says is null
        raise ModelError(f"the model's summary is damaged: {error}") from error
    return [*lines, *([] if figures.verdict is None else Verdict(figures.reasons).lines())]


def _held_out_lines(f: TrainingFigures) -> list[str]:
    trained = f.frames - f.held_out if f.trained is None else f.trained
    chose = "" if f.validation is None else f"{f.validation} decided when to stop, "
    return [
        f"trained on {trained} of {f.frames} frames, {chose}{f.held_out} held out; {f.atoms} atoms, "
        f"{f.features} features, "
        f"likelihood {f.likelihood}, {f.epochs} epochs in {f.seconds:.0f} s",
        f"held-out frames: ELBO {f.elbo:.2f} nats, RMSD {f.rmsd:.3f} Å "
        f"(PCA of the same dimension {f.pca_rmsd:.3f} Å); "
        f"the validity test accepts {100 * f.held_out_valid:.1f} % of these simulated frames",
    ]


def _choice_lines(f: TrainingFigures) -> list[str]:
    if f.feature_choice is None:
        return []
    from trajvae.training.choose_features import CLEARLY

    found = ", ".join(f"{kind} {value:.3f}" for kind, value in f.feature_choice.items())
    return [
        f"features {f.feature_kind}, by draws of quickly fitted models, which are off by (bits): {found}; Cartesian "
        f"ones must be better by {CLEARLY}"
    ]


def _shape_lines(f: TrainingFigures) -> list[str]:
    if f.elbo_shape_note:
        return [f"as a density of shapes: not known, {f.elbo_shape_note}"]
    if f.feature_kind == "cartesian" and f.elbo_shape == f.elbo:
        return []
    return [f"as a density of shapes, beside other features and alignments: ELBO {f.elbo_shape:.2f} nats"]


def _latent_lines(f: TrainingFigures) -> list[str]:
    parts = ", ".join(f"{name} {nats:.2f}" for name, nats in list(f.kl.items())[:_PARTS])
    lines = [
        f"latent space: {f.active_units} of {f.latent_dim} dimensions in use, "
        f"KL {sum(f.kl.values()):.2f} nats ({parts}), "
        f"mutual information {f.mutual_information:.2f} nats" + (": COLLAPSED" if f.collapsed else "")
    ]
    if f.vamp2 is not None:
        lag = f"{f.lag_frames} frames" if f.lag is None else f"{f.lag:.6g} ps"
        worth = "" if f.slowness is None else f"; a score of 1 was worth {f.slowness:.3g} nats"
        lines.append(f"held-out frames at a lag of {lag}: VAMP-2 score {f.vamp2:.3f}{worth}")
    if f.spectrum and f.spread is not None:
        lines.append(
            f"draws over training frames: total variance {f.spread:.2f}, largest {len(f.spectrum)} motions "
            f"{min(f.spectrum):.2f} to {max(f.spectrum):.2f}"
            + ("" if f.novelty is None else f", distance to the nearest training frame {f.novelty:.2f} of new frames'")
        )
    if f.frame_jump is not None:
        lines.append(
            f"largest jump between neighbouring frames: {f.frame_jump:.3f} Å as aligned, "
            f"{f.frame_jump_optimal:.3f} Å optimally superposed"
        )
    return lines
