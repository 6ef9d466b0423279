"""Functions that users write and name as MODULE:FUNCTION.

A name is imported only if the user gave it in this call or on this command line. A name that is read from a file is
never imported: the file may come from anyone, with a module beside it in the working folder.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeAlias

from trajvae.errors import OptionError

_ALLOWED: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())


UserFunction: TypeAlias = Callable[..., Any]  # whoever calls it checks what it returns


class FileSettings(dict[str, Any]):
    """Hold settings that were read from a file, whose names are not imported."""


def names_given(settings: Mapping[str, object]) -> list[str]:
    """Return the texts among settings if a user gave these; nothing if they were read from a file."""
    if isinstance(settings, FileSettings):
        return []
    return [value for value in settings.values() if isinstance(value, str)]


@contextlib.contextmanager
def importing(names: Iterable[str]) -> Iterator[None]:
    """Allow `import_function` to import these names and no others, as long as the context lasts."""
    token = _ALLOWED.set(frozenset(names))
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def import_function(text: str, what: str, wanted: str) -> UserFunction:
    """Import and return the function that a text names; its module may lie in the working folder.

    Parameters
    ----------
    text : str
        MODULE:FUNCTION.
    what : str
        What the function is used as, for messages.
    wanted : str
        What could be given instead, for messages.

    Raises
    ------
    OptionError
        The name is not allowed (see `importing`), there is no such module or name, or it is not a function.
    """
    if text not in _ALLOWED.get():
        raise OptionError(
            f"the {what} '{text}' is not imported because a file names it: if it is your own, give it again"
        )
    module, _, name = text.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a console script does not look in the working folder
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # all exceptions, since importing runs the user's module, which may raise any
        raise OptionError(f"no {what} '{text}': {one_line(error)}; wanted {wanted}") from error
    if not callable(function):
        raise OptionError(f"no {what} '{text}': it is not a function; wanted {wanted}")
    imported: UserFunction = function
    return imported


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]
