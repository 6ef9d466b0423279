"""`trajvae train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import options, report
from ..interrupts import Stopped, stoppable

CONTRACT = (
    "frames", "held_out", "atoms", "features", "feature_kind", "backend", "latent_dim", "elbo", "elbo_shape", "rmsd",
    "pca_rmsd", "epochs", "seconds", "kl", "active_units", "collapsed", "mutual_information", "prior_gap", "copies",
    "unlike_blocks", "trained", "validation", "kept_epoch", "verdict", "reasons",
)  # fmt: skip
OF_TRAINING = ("elbo_shape", "copies", "unlike_blocks")  # says nothing of frames that a model is applied to


def unfinished(path: Path) -> bool:
    """Return whether a model file holds a training that stopped."""
    from trajvae.store import model_status

    return path.exists() and model_status(path) == "training"


def train_model(
    names: list[str], choices: dict[str, Any], path: Path, *, force: bool, note: str | None = None, go_on: bool = False
) -> Any:
    """Read, align, train and save; `go_on` takes up the training that `path` holds."""
    from trajvae.errors import StoppedError

    options.check_before_work([path], choices, names, force=force, going_on=go_on)
    if go_on and not unfinished(path):  # another command has completed it since we looked
        report.say(f"the training of '{path}' is complete")
        return options.load_model(path, choices["device"])
    with stoppable() as heard:
        extra = {
            "device": choices["device"],
            "memory": choices["memory"],
            "every": choices["checkpoint"],
            "asked": lambda: bool(heard()),
            "progress": report.bar("training", "epoch"),
        }
        try:
            model = (
                _resumed(path, names, choices, extra) if go_on else _trained(path, names, choices, extra, note, force)
            )
        except StoppedError as error:
            raise Stopped(str(error), heard()) from error
        heard()  # the model is whole: it is written first
        _save(model, path, force=force)
        if heard():
            raise Stopped(f"stopped; the training of '{path}' is complete", heard())
    return model


def _save(model: Any, path: Path, *, force: bool) -> None:
    """Save a model over its own checkpoint; where the disk refuses, the checkpoint stays."""
    from trajvae.errors import OutputError

    try:
        model.save(path, force=force)
    except OutputError as error:
        way = f"; make room, and 'trajvae train --resume -o {path}' goes on from its last checkpoint"
        raise OutputError(f"{error}{way if unfinished(path) else ''}") from error


def _trained(
    path: Path, names: list[str], choices: dict[str, Any], extra: dict[str, Any], note: str | None, force: bool
) -> Any:
    from trajvae.config import TrainConfig
    from trajvae.model import Model
    from trajvae.readers.sources import open_source
    from trajvae.runtime.memory import parse_memory
    from trajvae.training.session import open_frame_source, train_frames

    config = TrainConfig(**options.options_given(choices), select=choices["select"], seed=choices["seed"])
    reading, memory = options.reading_of(choices), parse_memory(choices["memory"])
    frames = open_source(names, reading)
    lines = [note, f"selected: {frames.selection} ({frames.topology.n_atoms} atoms, {frames.n_frames} frames)"]
    supply = open_frame_source(frames, config.features, memory)
    if supply.streamed:
        lines.append(f"training from a file of features: all frames at once would take more than {memory / 1e9:.3g} GB")
    for line in lines:
        if line is not None:
            report.say(line)
    extra |= {"reading": reading, "command": options.command_line(), "checkpoint": path, "force": force}
    return Model(*train_frames(frames, supply, config, **extra))


def _resumed(path: Path, names: list[str], choices: dict[str, Any], extra: dict[str, Any]) -> Any:
    from trajvae.model import Model

    heard, said = extra["asked"], list[bool]()

    def asked() -> bool:
        """Say once that the training continues: the first step is made when the file and the frames are accepted."""
        if not said:
            said.append(True)
            report.say(f"going on with the training that '{path}' holds")
        return bool(heard())

    extra = {**extra, "asked": asked}
    reading = options.reading_of(choices)
    given = any(choices[name] not in (None, ()) for name in options.READING)
    asked_for = {**options.options_given(choices), **({"seed": choices["seed"]} if choices["seed"] else {})}
    return Model.resume(path, names or None, reading=reading if given else None, asked_for=asked_for, **extra)


@click.command(
    cls=options.GroupedCommand,
    epilog='Example: trajvae train "run*.xtc" -s top.gro --select "name CA" --latent-dim 3 -o ca.h5',
)
@options.trajectories
@options.reading
@options.training
@options.running
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the training that the output holds, to the same weights; begin where there is none.",
)
@options.output("model.h5")
@options.common
def train(
    trajectories: tuple[str, ...], resume: bool, output: Path, force: bool, as_json: bool, **choices: Any
) -> None:
    """Read, align and train; write a model.

    Several trajectories and globs are one data set. Training needs no option: the defaults are those of the
    figures in docs/benchmarks.md. What was reached is kept every minute: after Ctrl-C, a crash or the end of
    a job the same command with --resume goes on, where TRAJ and all options may also be left out.
    """
    resume = resume and output.exists()
    if resume and not unfinished(output):
        model = options.load_model(output, choices["device"])
        report.say(f"the training of '{output}' is complete")
    else:
        names = list(trajectories) if resume else options.need_trajectories(trajectories)
        model = train_model(names, choices, output, force=force, go_on=resume)
    figures = {key: model.figures[key] for key in (*CONTRACT, "feature_choice") if key in model.figures}
    lines = [*report.training_lines(model.figures), f"model: {output}"]
    report.result({**figures, "model": str(output)}, lines, as_json=as_json)
