"""Checks of the values that the JSON of a file has: it may be damaged, or come from anyone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trajvae.errors import ModelError
from trajvae.verdict import Reason, Verdict

_LARGEST = 1e300  # an integer above it is no float

Check = Callable[[str, object], object]
"""From the name of a figure and its value in JSON to its value as an attribute; a ModelError names a wrong one."""


def wrong(name: str, what: str, found: object) -> ModelError:
    """Return the error that names a figure of another type."""
    return ModelError(f"'{name}' of its summary is {what}, but {repr(found)[:100]}")


def _is_number(value: object) -> bool:
    """Whether a value is a number that `float` takes; NaN and infinities are numbers too."""
    return isinstance(value, int | float) and not (isinstance(value, int) and abs(value) > _LARGEST)


def number(name: str, value: object) -> object:
    """Return a number."""
    if not _is_number(value):
        raise wrong(name, "no number", value)
    return value


def truth(name: str, value: object) -> object:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise wrong(name, "neither true nor false", value)
    return value


def text(name: str, value: object) -> object:
    """Return a text."""
    if not isinstance(value, str):
        raise wrong(name, "no text", value)
    return value


def numbers_by_name(name: str, value: object) -> object:
    """Return a mapping of names to numbers."""
    if not isinstance(value, dict) or not all(map(_is_number, value.values())):
        raise wrong(name, "not numbers by name", value)
    return value


def numbers(name: str, value: object) -> tuple[float, ...]:
    """Return a tuple of numbers."""
    if not isinstance(value, list) or not all(map(_is_number, value)):
        raise wrong(name, "not a list of numbers", value)
    return tuple(map(float, value))


def reasons(name: str, value: object) -> tuple[Reason, ...]:
    """Return the reasons of a verdict."""
    if not isinstance(value, list) or not all(isinstance(reason, Mapping) for reason in value):
        raise wrong(name, "not the reasons of a verdict", value)
    try:
        found = tuple(Reason(**reason) for reason in value)
        words = [Verdict(found).verdict, *(word for reason in found for word in vars(reason).values())]
    except (TypeError, ValueError) as error:
        raise wrong(name, "not the reasons of a verdict", value) from error
    if not all(isinstance(word, str) for word in words):
        raise wrong(name, "not the reasons of a verdict", value)
    return found


def or_none(check: Check) -> Check:
    """Return a check that lets null pass as None."""
    return lambda name, value: None if value is None else check(name, value)
