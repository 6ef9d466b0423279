"""The keyword arguments of a training in Python, and the configuration and the reading that they make."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from trajvae.config import TrainConfig, TrainingOptions
from trajvae.errors import OptionError
from trajvae.readers.reading import Reading, ReadingOptions
from trajvae.runtime.progress_bar import ProgressBar
from trajvae.training.trainer import Progress
from trajvae.typing import JSONObject


class TrainOptions(TrainingOptions, ReadingOptions, total=False):
    """Hold the fields of `TrainConfig` and of `Reading`, which `Model.train` takes by name."""

    latent: str


CONFIG_DEFAULTS: JSONObject = {
    f.name: {} if f.name == "settings" else f.default for f in dataclasses.fields(TrainConfig)
}


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


def reading_of(reading: Reading | None, options: Mapping[str, Any]) -> Reading:
    """Return the reading with the options that are given beside it."""
    own = {name: options[name] for name in ReadingOptions.__annotations__ if name in options}
    return dataclasses.replace(reading or Reading(), **own)


@contextlib.contextmanager
def training_progress(progress: Progress | None, *, verbose: bool) -> Iterator[Progress | None]:
    """Yield the callable that a training reports to: a progress bar where `verbose` asks for one and none is given."""
    shown = verbose and progress is None
    with ProgressBar("training", "epoch", shown=shown) as bar:
        yield bar if shown else progress
