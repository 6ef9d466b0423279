"""The keyword options of a training in Python, and the configuration and the reading that they say."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from trajvae.config import TrainConfig, TrainingOptions
from trajvae.errors import OptionError
from trajvae.readers.reading import Reading, ReadingOptions
from trajvae.runtime.progress_bar import ProgressBar
from trajvae.training.evaluation import Regulariser
from trajvae.training.trainer import Progress


class RunOptions(TypedDict, total=False):
    """Hold how a training is run: what is computed where, what is called and written meanwhile."""

    device: str
    regulariser: Regulariser | None
    progress: Progress | None
    verbose: bool
    checkpoint: str | Path | None
    every: float
    asked: Callable[[], bool]
    memory: str | float | None
    force: bool
    command: str


class ResumeOptions(TypedDict, total=False):
    """Hold how a training is continued."""

    asked_for: dict[str, Any] | None
    device: str
    regulariser: Regulariser | None
    progress: Progress | None
    verbose: bool
    every: float
    asked: Callable[[], bool]
    memory: str | float | None


class TrainOptions(TrainingOptions, ReadingOptions, RunOptions, total=False):
    """Hold all options of `Model.train`."""

    latent: str
    reading: Reading | None
    inputs: Any


RUN_DEFAULTS: dict[str, Any] = {
    "device": "auto",
    "verbose": False,
    "every": 60.0,
    "force": False,
}
CONFIG_DEFAULTS: dict[str, Any] = {
    f.name: {} if f.name == "settings" else f.default for f in dataclasses.fields(TrainConfig)
}
TRAIN_DEFAULTS = {**CONFIG_DEFAULTS, **RUN_DEFAULTS}


def config_of(config: TrainConfig | None, options: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration with the options that are given beside it.

    Raises
    ------
    OptionError
        Both `latent` and `backend`, or an option out of its range.
    """
    own = {name: options[name] for name in TrainingOptions.__annotations__ if name in options}
    if "latent" in options:
        if own.get("backend", options["latent"]) != options["latent"]:
            raise OptionError(
                f"latent and backend are the same option, got '{options['latent']}' and '{own['backend']}': give one"
            )
        own["backend"] = options["latent"]
    if not {"signature", "settings"}.isdisjoint(own):  # they may say the dimension, which the configuration has settled
        own.setdefault("latent_dim", None)
    return dataclasses.replace(config or TrainConfig(), **own)


def reading_of(options: Mapping[str, Any]) -> Reading:
    """Return the reading with the options that are given beside it."""
    own = {name: options[name] for name in ReadingOptions.__annotations__ if name in options}
    return dataclasses.replace(options.get("reading") or Reading(), **own)


@contextlib.contextmanager
def running(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the options of the run itself, with a progress bar where `verbose` asks for it, which ends with this."""
    own = {name: value for name, value in options.items() if name in RunOptions.__annotations__ or name == "asked_for"}
    shown = bool(own.pop("verbose", False)) and own.get("progress") is None
    with ProgressBar("training", "epoch", shown=shown) as bar:
        yield {**own, "progress": bar} if shown else own
