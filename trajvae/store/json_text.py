"""JSON in a file that may come from anyone: not deeper nested than any of trajvae's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_DEPTH = 32  # a topology of mdtraj's has six


def parse_json(text: Any) -> Any:
    """Return what JSON says.

    Whoever goes through it by functions that call themselves would fail on what is nested hundreds of times.

    Raises
    ------
    ValueError, TypeError
        No JSON, or nested deeper than 32 times.
    """
    value = json.loads(text)
    level: list[Any] = [value]
    for _ in range(_DEPTH):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return value
    raise ValueError(f"JSON is nested more than {_DEPTH} times")


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()
