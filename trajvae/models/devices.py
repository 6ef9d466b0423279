"""Devices that models run on."""

from __future__ import annotations

import torch

from trajvae.errors import OptionError


def choose_device(name: str) -> torch.device:
    """Return the device of `auto`, `cpu` or `cuda`.

    Raises
    ------
    OptionError
        Another name, or no CUDA device where one is asked for.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise OptionError(f"device must be auto, cpu or cuda, got '{name}'")
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("device 'cuda' was asked for and none is there: use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
