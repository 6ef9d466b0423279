"""JSON in a file that may come from anyone: not deeper nested than any of trajvae's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_DEPTH = 32  # a topology of mdtraj's has six
_DIGITS = 100  # of an integer; floats hold up to 308


def parse_json(text: Any) -> Any:
    """Return what JSON says.

    Whoever goes through it by functions that call themselves would fail on what is nested hundreds of times.

    Raises
    ------
    ValueError, TypeError
        No JSON, nested deeper than 32 times, or with an integer of more than 100 digits.
    """
    value = json.loads(text, parse_int=_integer)
    level: list[Any] = [value]
    for _ in range(_DEPTH):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return value
    raise ValueError(f"JSON is nested more than {_DEPTH} times")


def _integer(text: str) -> int:
    """Return an integer that a float can hold."""
    if len(text) > _DIGITS:
        raise ValueError(f"an integer has more than {_DIGITS} digits")
    return int(text)


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()
