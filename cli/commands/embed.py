"""`trajvae embed`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .. import options, report
from .sensitivity import sensitivity_lines
from .train import CONTRACT, LAGGED, OF_TRAINING, train_model, unfinished

if TYPE_CHECKING:
    from trajvae.figures import EmbeddingFigures
    from trajvae.frame_weights import FrameWeights
    from trajvae.model import Model
    from trajvae.readers.data_set import Frames
    from trajvae.results.applied import Applied
    from trajvae.results.sensitivity import Sensitivity
    from trajvae.training.frame_source import FrameSource


class _ToEmbed(NamedTuple):
    """A model, and the frames that it is applied to with their weights."""

    model: Model
    frames: Frames | FrameSource
    weights: FrameWeights | None


@click.command(
    cls=options.GroupedCommand, epilog='Example: trajvae embed traj.dcd -s top.psf --select "name CA" -o ca.h5'
)
@options.trajectories
@options.reading
@options.weights
@options.model
@options.training
@options.running
@options.output("embed.h5")
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Also measure and store how much each atom and residue moves each "
    "latent coordinate; frames are read twice more.",
)
@options.scheduler
@options.common
def embed(
    trajectories: tuple[str, ...],
    model: Path | None,
    output: Path,
    force: bool,
    sensitivity: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Write latent coordinates of every frame.

    With -m that model is applied, otherwise model.h5 in this folder. If there is none, one is trained first; if its
    training was stopped, it is resumed.
    """
    from trajvae.cluster.frame_ranges import reader_at
    from trajvae.outputs.embed import embed_to

    since = time.monotonic()
    names = options.need_trajectories(trajectories)
    path = model or Path("model.h5")
    options.check_before_work([output], {**choices, "model": path}, names, force=force)
    cluster = options.cluster_of(choices["scheduler"])
    begun = model is None and unfinished(path)
    existing = path.exists() and not begun
    if existing or model is not None:
        found = _apply(model, names, choices)
    else:
        found = _train(path, names, choices, go_on=begun)
    trained = found.model
    applied_to = _applied(trained, path, choices)
    moved = _moved(found) if sensitivity else None
    embedded = embed_to(
        output,
        trained.pipeline,
        found.frames,
        report.bar("embedding", "frame"),
        command=options.command_line(),
        seed=choices["seed"],
        force=force,
        record=trained.record,
        applied=applied_to,
        weights=found.weights,
        moved=moved,
        place=cluster,
        reader=reader_at(cluster, found.frames, names, options.reading_of(choices)),
    )
    applied = {**embedded, "held_out": 0, "epochs": 0, "seconds": round(time.monotonic() - since, 2)}
    figures = {**_of_training(trained, existing=existing), **(applied if existing else {})}
    figures |= _beside(embedded, moved)
    figures |= {"model": str(path), "model_hash": applied_to.model_hash, "output": str(output)}
    lines = _lines(trained, embedded, moved, existing=existing)
    lines.append(f"model: {path}   latent coordinates: {output}")
    report.result(figures, lines, as_json=as_json)


def _lines(trained: Model, embedded: EmbeddingFigures, moved: Sensitivity | None, *, existing: bool) -> list[str]:
    """What is printed: of the training, where it was done now, and of the frames."""
    return [
        *([] if existing else report.training_lines(trained.figures)),
        *_embedding_lines(embedded),
        *(embedded.verdict_lines() if existing else []),
        *([] if moved is None else sensitivity_lines(moved.figures)),
    ]


def _of_training(trained: Model, *, existing: bool) -> dict[str, object]:
    """The figures of the training; of a model that existed, without those that stand for other frames."""
    figures = {key: trained.figures.get(key) for key in CONTRACT if not (existing and key in OF_TRAINING)}
    return figures | ({} if existing else {key: trained.figures[key] for key in LAGGED if key in trained.figures})


def _beside(embedded: EmbeddingFigures, moved: Sensitivity | None) -> dict[str, object]:
    """Figures of the embedding that training has none of; without those that were not asked for."""
    figures: dict[str, object] = {"in_support": embedded.in_support}
    if embedded.effective_sample_size is not None:
        figures["effective_sample_size"] = embedded.effective_sample_size
    if moved is not None:
        figures["sensitivity"] = moved.figures.to_json()
    return figures


def _moved(found: _ToEmbed) -> Sensitivity:
    """How much each atom and residue moves each latent coordinate over the frames."""
    from trajvae.sensitivity import sensitivity

    return sensitivity(found.model, found.frames, report.bar("differentiating", "frame"), found.weights)


def _weights(frames: Frames, choices: options.Choices) -> FrameWeights | None:
    """The weights of frames that a model is applied to, after a line on what they are worth."""
    from trajvae.frame_weights import read_weights

    found = read_weights(options.weights_of(choices), frames, choices["temperature"])
    if found is not None:
        report.say(found.describe())
    return found


def _embedding_lines(f: EmbeddingFigures) -> list[str]:
    """Return how well frames are reconstructed, and how many lie where training frames are."""
    lines = [f"embedded {f.frames} frames"]
    if f.rmsd is not None and f.pca_rmsd is not None:
        lines[0] += f": RMSD {f.rmsd:.3f} Å (PCA of the same dimension {f.pca_rmsd:.3f} Å)"
    if f.in_support is not None:
        lines.append(f"in the support of the training frames: {100.0 * f.in_support:.1f} % of them")
    return lines


def _applied(trained: Model, path: Path, choices: options.Choices) -> Applied:
    """Which model is applied and how trajectories are opened, for the file."""
    from trajvae.models.model_file import hash_of
    from trajvae.results.applied import Applied

    reading = options.reading_of(choices)
    reading = replace(reading, select=reading.select if reading.select is not None else trained.config.select)
    return Applied(hash_of(trained.pipeline), str(path), reading)


def _train(path: Path, names: list[str], choices: options.Choices, *, go_on: bool) -> _ToEmbed:
    """The model that is trained first, and its frames, which are read once where it was trained on them now."""
    note = f"no model in this folder: training '{path}' first"
    trained, known = train_model(names, choices, path, force=False, note=note, go_on=go_on)
    if known is not None and choices["scheduler"] is None:
        return _ToEmbed(trained, known, trained.record.frame_weights)
    frames = trained.open(names, options.reading_of(choices))
    if known is not None:
        return _ToEmbed(trained, frames, trained.record.frame_weights)
    return _ToEmbed(trained, frames, _weights(frames, choices))


def _apply(model: Path | None, names: list[str], choices: options.Choices) -> _ToEmbed:
    """The existing model, and the frames that it is applied to."""
    path = model or Path("model.h5")
    trained = options.load_model(path, choices["device"])
    if (
        options.options_given(choices) and trained.command != options.command_line()
    ):  # else it was stopped while it embedded
        flags = ", ".join(
            "--" + name.replace("_", "-").replace("settings", "set") for name in options.options_given(choices)
        )
        raise click.UsageError(
            f"{flags} would need a training, but '{path}' exists: use 'trajvae train' for a new model"
        )
    frames = trained.open(names, options.reading_of(choices))
    if model is None:
        report.say(f"using the model '{path}' of this folder (trained by: {trained.command})")
    report.say(f"selected: {frames.selection} ({frames.topology.n_atoms} atoms, {frames.n_frames} frames)")
    return _ToEmbed(trained, frames, _weights(frames, choices))
