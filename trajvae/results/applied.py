"""Which model was applied to which trajectories, as `embed.h5` says it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trajvae.store import Contents

if TYPE_CHECKING:
    from trajvae.readers.reading import Reading


def default_reading(**options: Any) -> Reading:
    """Return how trajectories were opened; the readers are imported when they are needed, not by every figure."""
    from trajvae.readers.reading import Reading

    return Reading(**options)


@dataclass(frozen=True)
class Applied:
    """Hold which model was applied to what: attributes of the file, by which a figure finds the trajectory again.

    Attributes
    ----------
    model_hash : str
        SHA-256 of what decides which latent point a frame has; empty where the model is not known.
    model : str
        Name of the model's file, where it was read from one.
    reading : Reading
        How the trajectories were opened; its selection is the model's unless another was given.
    """

    model_hash: str = ""
    model: str = ""
    reading: Reading = field(default_factory=default_reading)

    def attributes(self) -> dict[str, str]:
        """Return the attributes as they stand in the file, the reading as JSON."""
        names = ("select", "bonds", "format")
        opened = {"topology": list(self.reading.topologies), **{k: getattr(self.reading, k) for k in names}}
        return {"model_hash": self.model_hash, "model": self.model, "reading": json.dumps(opened, default=str)}

    @classmethod
    def from_contents(cls, contents: Contents) -> Applied:
        """Return what `attributes` wrote; files of earlier versions hold a part of it, or nothing."""
        opened = contents.json("reading")
        known = {name: opened[name] for name in ("select", "bonds", "format") if opened.get(name) is not None}
        named = opened.get("topology")
        topology = [str(name) for name in named] or None if isinstance(named, list) else None
        reading = default_reading(topology=topology, **{name: str(value) for name, value in known.items()})
        return cls(contents.text("model_hash"), contents.text("model"), reading)
