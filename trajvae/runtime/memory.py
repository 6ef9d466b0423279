"""Parsing amounts of memory such as 2GB."""

from __future__ import annotations

import os

from trajvae.errors import OptionError

_UNITS = {"": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_memory(text: str | float | None) -> float:
    """Return the bytes that a text such as `2GB` or `500 MiB` means; for None, half of this machine's memory.

    Raises
    ------
    OptionError
        The text is not an amount of memory, or less than 10 MB.
    """
    if text is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    number = str(text).strip().lower()
    unit = number.lstrip("0123456789. ")
    try:
        value = float(number.removesuffix(unit)) * _UNITS[unit]
    except (KeyError, ValueError) as error:
        raise OptionError(f"memory must be an amount such as 2GB or 500MB, got '{text}'") from error
    if not value >= 1e7:
        raise OptionError(f"memory must be 10MB or more, got '{text}'")
    return value
