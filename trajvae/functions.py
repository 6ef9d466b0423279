"""Functions of a user's own, named as MODULE:FUNCTION."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trajvae.errors import OptionError


def imported(text: str, what: str, wanted: str) -> Callable[..., Any]:
    """The function that a text names; its module may stand in the working folder.

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
        No such module or name, or no function.
    """
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
    """An error in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
