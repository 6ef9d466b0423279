"""What the first process hands on to the others: the parts of a training, as a checkpoint has them, in bytes."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import numpy as np

from trajvae.models.model_file_checks import flat
from trajvae.store import Header, ModelContents


def to_bytes(contents: ModelContents) -> bytes:
    """Return the contents of a model file as bytes: arrays in NumPy's format and JSON, no code."""
    text = {
        "header": dataclasses.asdict(contents.header),
        "status": contents.status,
        "config": contents.config,
        "summary": contents.summary,
        "frame_weights": contents.frame_weights,
    }
    arrays = dict(flat(contents.groups))
    buffer = io.BytesIO()
    for array in (np.array(json.dumps(text)), np.array(json.dumps(list(arrays))), contents.reference, *arrays.values()):
        np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def from_bytes(data: bytes) -> ModelContents:
    """Return what `to_bytes` was given."""
    buffer = io.BytesIO(data)
    text, names = (json.loads(str(np.load(buffer, allow_pickle=False))) for _ in range(2))
    reference = np.load(buffer, allow_pickle=False)
    groups: dict[str, Any] = {"optimiser": {}}  # a training that has not begun has no state
    for name in names:
        *path, last = name.split("/")
        at = groups
        for step in path:
            at = at.setdefault(step, {})
        at[last] = np.load(buffer, allow_pickle=False)
    return ModelContents(Header(**text.pop("header")), reference=reference, groups=groups, **text)
