"""What made a set of conformations: drawing from the model, an optimisation, or a path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from trajvae.results.base import floats
from trajvae.store import Quantity
from trajvae.store.schema import Tree
from trajvae.typing import Float64

Task: TypeAlias = Literal["generate", "optimize", "path"]
_TASKS: tuple[Task, ...] = ("generate", "optimize", "path")
_COMMAND = re.compile(r"(?:trajvae |Model\.)(\w+)")  # a command line, or a call


class Descent(NamedTuple):
    """Hold the points of an optimisation from its start to the optimum.

    Attributes
    ----------
    latent : ndarray, shape (steps + 1, ambient)
    expected : Quantity
        Expected objective at each of them, shape (steps + 1,).
    """

    latent: Float64
    expected: Quantity


def task_of(command: str, observables: Mapping[str, Quantity], extra: Tree) -> Task:
    """Return the command that made conformations, from its text.

    Where the text names none of the three, a speed tells a path, and the way of a descent an optimisation.

    Parameters
    ----------
    command : str
        The command line, or the Python call.
    observables, extra : mapping
        As of `Conformations`.
    """
    named = _COMMAND.match(command)
    for task in _TASKS:
        if named is not None and named[1] == task:
            return task
    if "speed" in observables:
        return "path"
    return "optimize" if "path" in extra else "generate"


def descent_of(extra: Tree) -> Descent | None:
    """Return the way of an optimisation, which stands in the group `path`; None where there is none."""
    way = extra.get("path")
    if not isinstance(way, Mapping):
        return None
    latent, expected = way.get("latent"), way.get("expected")
    if not (isinstance(latent, Quantity) and isinstance(expected, Quantity)):
        return None
    return Descent(floats(latent), expected)
