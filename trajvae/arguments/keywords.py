"""Keyword options of Python functions: signatures that name all of them, and messages that correct a mistyped one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ParamSpec, TypedDict, TypeVar

from trajvae.errors import UnknownOptionError

P = ParamSpec("P")
R = TypeVar("R")

# names that users may expect from other programs or other functions: the options that they stand for here
_OTHER_NAMES = {
    "backend": ("latent",),
    "latent": ("backend",),
    "selection": ("select",),
    "atoms": ("select",),
    "dim": ("latent_dim",),
    "n_epochs": ("epochs",),
    "max_epochs": ("epochs",),
    "random_state": ("seed",),
    "top": ("topology",),
}


def unexpected(call: str, names: Iterable[str], known: Iterable[str]) -> str:
    """Return the message for options that a function does not have.

    Parameters
    ----------
    call : str
        What was called, as its user writes it.
    names : iterable of str
        The options that are unknown.
    known : iterable of str
        The options of the function.
    """
    known, parts = list(known), []
    for name in names:
        like = [other for other in _OTHER_NAMES.get(name, ()) if other in known]
        like = like or get_close_matches(name, known, n=1)
        way = f"did you mean '{like[0]}'?" if like else f"its options are {', '.join(known)}"
        parts.append(f"unexpected option '{name}'; {way}")
    return f"{call}: {' '.join(parts)}"


def spelled_out(options: type, defaults: Mapping[str, Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for functions with `**options`: their signature names each option, and names are checked.

    Parameters
    ----------
    options : TypedDict
        The names and types of the options.
    defaults : mapping
        What the signature shows as an option's default; None where it is left out.

    Raises
    ------
    UnknownOptionError
        When the function is called with another option.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        """Return the function with its new signature."""
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        types = {name: kind for name, kind in options.__annotations__.items() if name not in own.parameters}
        added = [_parameter(name, kind, defaults.get(name)) for name, kind in types.items()]
        known = [p.name for p in (*kept, *added) if p.name not in ("self", "cls")]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            """Check the names of the options, then call the function."""
            if wrong := [name for name in kwargs if name not in known]:
                raise UnknownOptionError(unexpected(_call(function, args), wrong, known))
            return function(*args, **kwargs)

        checked.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        return checked

    return decorate


def _call(function: Callable[..., object], args: Sequence[object]) -> str:
    """What was called, as its user writes it: a method by the class that it was called on, not the one it stands in."""
    first = next(iter(inspect.signature(function).parameters), "")
    if first not in ("self", "cls") or not args:
        return function.__qualname__
    owner = args[0] if isinstance(args[0], type) else type(args[0])
    return owner.__name__ if function.__name__ == "__init__" else f"{owner.__name__}.{function.__name__}"


class _NoMore(TypedDict):
    """Hold no option beside those in a signature."""


def check_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function refuse an unknown keyword argument, with a message that suggests the most similar one.

    Raises
    ------
    UnknownOptionError
        When the function is called with another keyword argument than its signature names.
    """
    return spelled_out(_NoMore, {})(function)


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    """A parameter of a signature; annotations of a TypedDict that are not evaluated stay text."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=getattr(kind, "__forward_arg__", kind)
    )
