"""Functions of a user's own, named as MODULE:FUNCTION.

A name is imported only where the user gave it in this call or on this command line. A file may come from anyone, and
the working folder may hold a module that came with it: a name that a file holds is never imported.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from trajvae.errors import OptionError

_GIVEN: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())


class StoredSettings(dict[str, Any]):
    """Hold settings that were read from a file: `names_given` finds no name in them."""


def names_given(settings: Mapping[str, Any]) -> list[str]:
    """Return the texts among settings that a user gave; no texts where a file gave them."""
    if isinstance(settings, StoredSettings):
        return []
    return [value for value in settings.values() if isinstance(value, str)]


@contextlib.contextmanager
def importing(names: Iterable[str]) -> Iterator[None]:
    """Allow `imported` to import these names meanwhile, and no others."""
    token = _GIVEN.set(frozenset(names))
    try:
        yield
    finally:
        _GIVEN.reset(token)


def import_function(text: str, what: str, wanted: str) -> Callable[..., Any]:
    """Return the function that a text names; its module may stand in the working folder.

    Parameters
    ----------
    text : str
        MODULE:FUNCTION.
    what : str
        What it would be, for errors.
    wanted : str
        What else there is.

    Raises
    ------
    OptionError
        A name that is not allowed (see `importing`), no such module or name, or no function.
    """
    if text not in _GIVEN.get():
        raise OptionError(
            f"the {what} '{text}' is not imported because a file names it: if it is your own, give it again"
        )
    module, _, name = text.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a console script does not look in the working folder
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # a user's module may raise anything
        raise OptionError(f"no {what} '{text}': {one_line(error)}; wanted {wanted}") from error
    if not callable(function):
        raise OptionError(f"no {what} '{text}': it is no function; wanted {wanted}")
    found: Callable[..., Any] = function
    return found


def one_line(error: Exception) -> str:
    """Return an error in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
