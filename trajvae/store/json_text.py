"""Parsing JSON that may come from anyone, with limits on its nesting and its integers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_MOST_DEPTH = 32  # the topology of an mdtraj file has six levels
_MOST_DIGITS = 100  # of an integer; a float holds integers of up to 308


def parse_json(text: str | bytes) -> Any:
    """Return the value that a JSON text stands for.

    Recursive functions that go through the value would fail if it were nested hundreds of times.

    Raises
    ------
    ValueError, TypeError
        The text is not JSON, is nested more than 32 times, or has an integer of more than 100 digits.
    """
    value = json.loads(text, parse_int=_integer)
    level: list[object] = [value]
    for _ in range(_MOST_DEPTH):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return value
    raise ValueError(f"JSON is nested more than {_MOST_DEPTH} times")


def _integer(text: str) -> int:
    """Return the integer that a text stands for; raise ValueError if a float could not hold it."""
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"an integer has more than {_MOST_DIGITS} digits")
    return int(text)


def _inside(item: object) -> Iterable[object]:
    """Return the values of an object, the items of a list, and nothing of other values."""
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()
