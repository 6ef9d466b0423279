"""`trajvae train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import options, report

CONTRACT = (
    "frames", "held_out", "atoms", "features", "feature_kind", "backend", "latent_dim", "elbo", "elbo_shape", "rmsd",
    "pca_rmsd", "epochs", "seconds", "kl", "active_units", "collapsed", "mutual_information", "prior_gap", "copies",
    "unlike_blocks",
)  # fmt: skip
OF_TRAINING = ("elbo_shape", "copies", "unlike_blocks")  # says nothing of frames that a model is applied to


def train_model(
    names: list[str], choices: dict[str, Any], path: Path, *, force: bool, note: str | None = None
) -> tuple[Any, Any]:
    """Read, align, train and save; gives the model and the opened frames."""
    from trajvae.config import TrainConfig
    from trajvae.model import Model
    from trajvae.readers.sources import open_source

    options.ready([path], choices, names, force=force)
    config = TrainConfig(**options.given(choices), select=choices["select"], seed=choices["seed"])
    frames = open_source(names, options.reading_of(choices))
    for line in (note, f"selected: {frames.selection} ({frames.topology.n_atoms} atoms, {frames.n_frames} frames)"):
        if line is not None:
            report.say(line)
    model = Model.fit(
        frames,
        frames.read(),
        config,
        device=choices["device"],
        progress=report.bar("training", "epoch"),
        command=options.command_line(),
    )
    model.save(path, force=force)
    return model, frames


@click.command(epilog='Example: trajvae train "run*.xtc" -s top.gro --select "name CA" --latent-dim 3 -o ca.h5')
@options.trajectories
@options.reading
@options.training
@options.output("model.h5")
@options.common
def train(trajectories: tuple[str, ...], output: Path, force: bool, as_json: bool, **choices: Any) -> None:
    """Read, align and train; write a model.

    Several trajectories and globs are one data set. Training needs no option: the defaults are those that the
    figures in the README were made with.
    """
    model, _ = train_model(options.need_trajectories(trajectories), choices, output, force=force)
    figures = {key: model.figures[key] for key in (*CONTRACT, "feature_choice") if key in model.figures}
    lines = [*report.training_lines(model.figures), f"model: {output}"]
    report.result({**figures, "model": str(output)}, lines, as_json=as_json)
