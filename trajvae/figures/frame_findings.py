"""What is found of the frames of a training: copies, the features that suit them, and blocks of another state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from trajvae.figures.json_checks import number, numbers_by_name, or_none, text, wrong


@dataclass(frozen=True)
class UnlikeBlock:
    """Hold a block of held-out frames whose conformations occur nowhere else in the trajectory.

    Attributes
    ----------
    file : str
        Name of its trajectory.
    first, last : int
        Its first and its last frame, counted from 0 in that file.
    times : float
        Distance of its frames to the nearest frame elsewhere, divided by the usual distance.
    elbo : float
        Its mean ELBO minus that of the median block, in nats a frame.
    """

    file: str
    first: int
    last: int
    times: float
    elbo: float


@dataclass(frozen=True)
class FrameFindings:
    """Hold what is found of frames before the first step of a training.

    Attributes
    ----------
    copies : int or None
        Number of frames that equal an earlier one; None in a checkpoint of a version that did not count them.
    feature_choice : mapping of str to float, or None
        What is wrong with draws of a quickly fitted model in each kind of features, in bits, where `auto` chose
        between them: divergences of pair distances and of torsions, and the share of draws that stay invalid.
    """

    copies: int | None
    feature_choice: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, object]:
        """Return what was found as JSON takes it."""
        both = {"feature_choice": self.feature_choice and dict(self.feature_choice), "copies": self.copies}
        return {name: value for name, value in both.items() if value is not None}

    @classmethod
    def from_json(cls, held: Mapping[str, object]) -> Self:
        """Return what a checkpoint holds.

        Raises
        ------
        ModelError
            It is of another type.
        """
        checks = {"copies": or_none(number), "feature_choice": or_none(numbers_by_name)}
        found: dict[str, Any] = {name: check(name, held.get(name)) for name, check in checks.items()}
        return cls(**found)


def unlike_blocks(name: str, value: object) -> tuple[UnlikeBlock, ...]:
    """Return the blocks that the JSON of a file has; a ModelError names the figure where they are none."""
    if not isinstance(value, list):
        raise wrong(name, "not blocks of frames", value)
    return tuple(_block(name, held) for held in value)


def _block(name: str, held: object) -> UnlikeBlock:
    if not isinstance(held, dict) or not held.keys() >= UnlikeBlock.__dataclass_fields__.keys():
        raise wrong(name, "not blocks of frames", held)
    for key in UnlikeBlock.__dataclass_fields__:
        (text if key == "file" else number)(name, held[key])
    return UnlikeBlock(held["file"], held["first"], held["last"], held["times"], held["elbo"])
