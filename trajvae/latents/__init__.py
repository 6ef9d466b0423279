"""Latent spaces. A new one is one class and one entry of the table `LATENTS`, in `trajvae.choices`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from trajvae.choices import LATENTS, Choice
from trajvae.errors import OptionError
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params, Settings
from trajvae.latents.embedded import Embedded
from trajvae.latents.euclidean import Euclidean
from trajvae.latents.hamiltonian import RiemannianHamiltonian
from trajvae.latents.product import Product
from trajvae.latents.sphere import Sphere
from trajvae.signature import parse_manifold
from trajvae.typing import JSONObject

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

__all__ = [
    "LATENTS",
    "Choice",
    "Context",
    "Embedded",
    "Euclidean",
    "Latent",
    "LatentDraw",
    "LatentSample",
    "Params",
    "Product",
    "RiemannianHamiltonian",
    "Settings",
    "Sphere",
    "latent_options",
    "make_latent",
    "resolve_settings",
    "user_function",
]


def latent_options(backend: str) -> list[JSONObject]:
    """Return every option of a backend: name, type, unit, default, help.

    Raises
    ------
    OptionError
        No such backend.
    """
    return [
        {"name": f.name, "type": str(f.type), "default": f.default, **f.metadata}
        for f in fields(_latent_class(backend).options_type)
        if not f.metadata.get("own")
    ]


def make_latent(backend: str, dim: int, settings: Settings) -> Latent:
    """Build a latent space by name.

    Parameters
    ----------
    backend : str
    dim : int
        Intrinsic dimension.
    settings : dict
        Values, or their text, by option name.

    Raises
    ------
    OptionError
        The backend or an option is unknown, or a value has the wrong type.
    """
    kind = _latent_class(backend)
    known = {f.name: f for f in fields(kind.options_type)}
    values = {}
    for name, value in settings.items():
        if name not in known:
            raise OptionError(f"backend '{backend}' has no option '{name}'; it has {', '.join(known) or 'none'}")
        try:
            values[name] = _as(known[name].default, value)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise OptionError(f"option '{name}' of '{backend}' wants {known[name].type}, got '{value}'") from error
    if dim < 1:
        raise OptionError(f"the latent dimension must be 1 or more, got {dim}")
    made = cast(Callable[[int, object], Latent], kind)
    return made(dim, kind.options_type(**values))


def resolve_settings(backend: str, settings: Settings) -> Settings:
    """Return the settings as a model keeps them, completed by `Latent.resolve`."""
    return _latent_class(backend).resolve(settings)


def user_function(settings: Mapping[str, object]) -> str | None:
    """Return the MODULE:FUNCTION that settings name, if they name one."""
    name = str(settings.get("manifold") or "")
    return name if name and parse_manifold(name).kind == "function" else None


def _as(default: Any, value: Any) -> Any:
    """Return a value, which may be given as text, in the type of the default."""
    if isinstance(default, bool):
        return value if isinstance(value, bool) else _WORDS[str(value).lower()]
    made = type(default)(value)
    if isinstance(default, int) and not isinstance(value, str) and made != value:
        raise ValueError
    return made


def _latent_class(backend: str) -> type[Latent]:
    if backend not in LATENTS:
        raise OptionError(f"no backend '{backend}'; there are {', '.join(LATENTS)}")
    found: type[Latent] = LATENTS[backend].load()
    return found
