"""Checks of what a user must give again, or may not change, when a training is resumed from its checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from trajvae.errors import ModelError, OptionError
from trajvae.latents import user_function
from trajvae.readers.reading import Reading

_NO_FILES = (None, "none", "guess")  # values of `bonds` that name no file


def check_function(path: str, settings: object, given: Mapping[str, object]) -> None:
    """Refuse a training that needs a user's function, unless the user names the same one in this call.

    Parameters
    ----------
    path : str
        The checkpoint.
    settings
        Those of the latent space in the checkpoint, where they are a mapping.
    given : mapping
        Settings of the latent space that were given in this call.

    Raises
    ------
    OptionError
        The function was not named, or is another.
    """
    name: str | None = None
    with contextlib.suppress(OptionError):  # a manifold that is none is an error of the file
        name = user_function(settings) if isinstance(settings, Mapping) else None
    if name is not None and given.get("manifold") != name:
        raise OptionError(
            f"the training of '{path}' draws points by the function '{name}', which is not imported because a file "
            f"names it: if it is your own, give it again with --set manifold={name}"
        )


def check_asked(path: str, asked_for: Mapping[str, object], before: Mapping[str, object]) -> None:
    """Refuse an option that is not the one that a training began with; of settings, those that are given count.

    Raises
    ------
    OptionError
        Names the option and both values.
    """
    for name, value in asked_for.items():
        known = before.get(name)
        if name == "settings" and isinstance(known, dict) and isinstance(value, dict):
            known = {key: known.get(key) for key in value}
        if name in before and _as_list(value) != _as_list(known):
            raise OptionError(f"'{path}' was begun with {name} {known}, got {value}: --force starts anew")


def _as_list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def check_names(path: str, source: object, reading: Reading | None, stored: Mapping[str, Any]) -> None:
    """Refuse to open files by the names that a checkpoint of another user holds.

    Parameters
    ----------
    path : str
        The checkpoint.
    source, reading : optional
        What was given in this call; what is None comes from the checkpoint.
    stored : mapping
        Fields of the reading in the checkpoint.

    Raises
    ------
    ModelError
        Trajectories, topologies or a file of bonds were not given, and the checkpoint names them.
    """
    missing = ["TRAJ"] if source is None else []
    if reading is None:
        missing += ["-s/--topology"] if Reading(**stored).topologies else []
        missing += ["--bonds"] if stored.get("bonds") not in _NO_FILES else []
    if missing:
        raise ModelError(
            f"'{path}' was not written by this user on this machine, and files that it names are not opened: give "
            f"{' and '.join(missing)} again"
        )
