"""Training: from frames to a trained model, with checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trajvae.training.session import prepare, resume

__all__ = ["prepare", "resume"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from trajvae.training import session  # torch is loaded when it is used

    return getattr(session, name)
