"""Look-ups by name: an unknown name is answered with the known ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from trajvae.errors import OptionError

Item = TypeVar("Item")


def check_choice(name: str, names: Iterable[str], what: str, *, of: str = "", also: str = "") -> None:
    """Raise an error unless a name is one of the known names.

    Parameters
    ----------
    name : str
        The name that a user gave.
    names : iterable of str
        The known names.
    what : str
        What the names stand for, such as "sampler".
    of : str
        What the names belong to, such as " of internal features".
    also : str
        Other possibilities, which end the message.

    Raises
    ------
    OptionError
        The name is unknown.
    """
    known = list(names)
    if name not in known:
        raise OptionError(f"no {what} '{name}'{of}; there are {', '.join(known) or 'none'}{also}")


def choose(name: str, table: Mapping[str, Item], what: str, *, also: str = "") -> Item:
    """Return the item of a table that a name stands for.

    Raises
    ------
    OptionError
        The name is unknown; see `check_choice`.
    """
    check_choice(name, table, what, also=also)
    return table[name]
