"""`trajvae train`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .. import options, report
from ..interrupts import Stopped, stoppable
from ..together import help_first, lost_is_said, together

if TYPE_CHECKING:
    from trajvae.model import Model
    from trajvae.runtime.ranks import Ranks
    from trajvae.training.frame_source import FrameSource
    from trajvae.training.prepared import PreparedTraining

CONTRACT = (
    "frames", "held_out", "atoms", "features", "feature_kind", "backend", "latent_dim", "elbo", "elbo_shape", "rmsd",
    "pca_rmsd", "epochs", "seconds", "kl", "active_units", "collapsed", "mutual_information", "prior_gap", "copies",
    "unlike_blocks", "trained", "validation", "kept_epoch", "verdict", "reasons",
)  # fmt: skip
LAGGED = ("lag", "lag_frames", "slowness", "vamp2")  # of a training with a lag time
FURTHER = ("feature_choice", "effective_sample_size", *LAGGED)  # of some trainings
OF_TRAINING = ("elbo_shape", "copies", "unlike_blocks")  # says nothing of frames that a model is applied to


def unfinished(path: Path) -> bool:
    """Return whether a model file holds a training that stopped."""
    from trajvae.store import model_status

    return path.exists() and model_status(path) == "training"


class Trained(NamedTuple):
    """Hold a model that this command has, and its frames where it trained on them: `embed` reads them once.

    Attributes
    ----------
    model : Model
    frames : FrameSource or None
        None where another command completed the training, or began it, perhaps on other frames.
    """

    model: Model
    frames: FrameSource | None


def train_model(
    names: list[str],
    choices: options.Choices,
    path: Path,
    *,
    force: bool,
    note: str | None = None,
    go_on: bool = False,
    ranks: Ranks | None = None,
) -> Trained:
    """Read, align, train and save; `go_on` continues the training that `path` holds.

    With `ranks`, other processes, which call `help_first`, train with this one.
    """
    from trajvae.errors import StoppedError
    from trajvae.model import Model
    from trajvae.runtime.ranks import ALONE

    ranks = ranks or ALONE

    options.check_before_work([path], choices, names, force=force, going_on=go_on)
    if go_on and not unfinished(path):  # another command has completed it since we looked
        report.say(f"the training of '{path}' is complete")
        return Trained(options.load_model(path, choices["device"]), None)
    with stoppable() as heard, lost_is_said(ranks, path):
        try:
            prepared = _prepared_to_resume(path, names, choices) if go_on else _prepared(names, choices, note)
            for line in _process_lines(prepared, ranks.size):
                report.say(line)
            parts = prepared.run(
                progress=report.bar("training", "epoch"),
                checkpoint=path,
                every=choices["checkpoint"],
                asked=_going_on(path, heard) if go_on else lambda: bool(heard()),
                force=force,
                ranks=ranks,
            )
        except StoppedError as error:  # perhaps since another process has heard a signal
            raise Stopped(str(error), heard() or signal.SIGTERM) from error
        model = Model(*parts)
        heard()  # the model is whole: it is written first
        _save(model, path, force=force)
        if heard():
            raise Stopped(f"stopped; the training of '{path}' is complete", heard())
    return Trained(model, None if go_on else prepared.frame_source)


def _process_lines(prepared: PreparedTraining, size: int) -> list[str]:
    """What there is to say of the number of processes."""
    stopped = prepared.stopped
    before = size if stopped is None else stopped.processes
    lines = [f"training in {size} processes"] if size > 1 else []
    if before != size:
        lines.append(
            f"note: the training began in {before} process{'es' if before > 1 else ''}, and goes on in {size}: the "
            "weights are not bit-identical to those of one that was not stopped"
        )
    return lines


def _save(model: Model, path: Path, *, force: bool) -> None:
    """Save a model over its own checkpoint; where the disk refuses, the checkpoint stays."""
    from trajvae.errors import OutputError

    try:
        model.save(path, force=force)
    except OutputError as error:
        way = f"; make room, and 'trajvae train --resume -o {path}' goes on from its last checkpoint"
        raise OutputError(f"{error}{way if unfinished(path) else ''}") from error


def _prepared(names: list[str], choices: options.Choices, note: str | None) -> PreparedTraining:
    """A new training, after a few lines on what it will be done on."""
    from trajvae.config import TrainConfig
    from trajvae.training.session import prepare

    prepared = prepare(
        names,
        TrainConfig(**options.options_given(choices), select=choices["select"], seed=choices["seed"]),
        reading=options.reading_of(choices),
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
        device=choices["device"],
        memory=_memory(choices),
        command=options.command_line(),
    )
    for line in [*([note] if note is not None else []), *prepared.describe().lines()]:
        report.say(line)
    return prepared


def _memory(choices: options.Choices) -> str | float | None:
    """The memory of this process: by default the processes on this machine share half of it."""
    from trajvae.runtime.launched import launched
    from trajvae.runtime.memory import parse_memory

    shared = launched().local_size
    return parse_memory(None) / shared if choices["memory"] is None and shared > 1 else choices["memory"]


def _prepared_to_resume(path: Path, names: list[str], choices: options.Choices) -> PreparedTraining:
    """The training that a file holds; options that are given must be those it began with."""
    from trajvae.training.session import prepare_to_resume

    given = any(choices[name] not in (None, ()) for name in options.READING)
    return prepare_to_resume(
        path,
        names or None,
        options.reading_of(choices) if given else None,
        asked_for={**options.options_given(choices), **({"seed": choices["seed"]} if choices["seed"] else {})},
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
        device=choices["device"],
        memory=choices["memory"],
        jobs=choices["jobs"],
    )


def _going_on(path: Path, heard: Callable[[], int]) -> Callable[[], bool]:
    """Return a function that says once that the training continues, and whether a signal came to stop it.

    The first step is made when the file and the frames are accepted.
    """
    said = list[bool]()

    def asked() -> bool:
        """Return whether a signal came."""
        if not said:
            said.append(True)
            report.say(f"going on with the training that '{path}' holds")
        return bool(heard())

    return asked


def _trained(
    trajectories: list[str], choices: options.Choices, output: Path, ranks: Ranks, *, resume: bool, force: bool
) -> Model:
    """The model that the output holds, or will hold."""
    if resume and not unfinished(output):
        report.say(f"the training of '{output}' is complete")
        return options.load_model(output, choices["device"])
    names = trajectories if resume else options.need_trajectories(tuple(trajectories))
    return train_model(names, choices, output, force=force, go_on=resume, ranks=ranks).model


@click.command(
    cls=options.GroupedCommand,
    epilog='Example: trajvae train "run*.xtc" -s top.gro --select "name CA" --latent-dim 3 -o ca.h5',
)
@options.trajectories
@options.reading
@options.weights
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
    with together(output, choices["device"]) as ranks:
        if not ranks.first:
            help_first(ranks, output, choices["device"], list((choices["settings"] or {}).values()))
            return
        model = _trained(list(trajectories), choices, output, ranks, resume=resume and output.exists(), force=force)
    figures = {key: model.figures[key] for key in (*CONTRACT, *FURTHER) if key in model.figures}
    lines = [*report.training_lines(model.figures), f"model: {output}"]
    report.result({**figures, "model": str(output)}, lines, as_json=as_json)
