"""The options of training: one for each field of `TrainConfig`, from which they have names, help and defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from typing import Any

import click

from trajvae.config import TrainConfig, choices_of, help_of

from . import grouped
from .grouped import F, in_group, stack

_model, _training = in_group(grouped.MODEL), in_group(grouped.TRAINING)


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"wanted KEY=VALUE, got '{value}'")
    return dict(value.split("=", 1) for value in values) or None


def _widths(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"wanted widths such as 256,256,256, got '{value}'") from error


_OF_THE_RUN = ("select", "seed")  # fields of `TrainConfig` that stand among other options of the commands
TRAINING = tuple(f.name for f in fields(TrainConfig) if f.name not in _OF_THE_RUN)
_NUMBERS: dict[str, type] = {"float": float, "int": int}
_FORMS: dict[str, dict[str, Any]] = {  # of options that are neither numbers nor one of some names
    "latent_dim": {
        "type": click.IntRange(min=1),
        "help": "Intrinsic dimension of the latent space.",
        "default_text": "2, or that of the signature or manifold",
    },
    "signature": {"metavar": "h2,s2:0.5,e2"},
    "hidden": {"callback": _widths, "metavar": "W,W,..."},
    "settings": {"multiple": True, "callback": _pairs, "metavar": "KEY=VALUE"},
}
_NAMES = {"backend": ("--backend", "--latent", "backend"), "settings": ("--set", "settings")}


def one_of(names: Iterable[str]) -> str:
    """Return the choices of an option as its help shows them: [a|b|c]."""
    return f"[{'|'.join(names)}]"


def _form(f: Field[Any], default: str | None) -> dict[str, Any]:
    """The help, the default and the form of an option of training, as `TrainConfig` has them."""
    text = help_of(f)
    text = text[0].upper() + text[1:] if not text.startswith("p(") else text
    plain = "" if f.default is None or f.default is MISSING else str(f.default)
    found: dict[str, Any] = {"help": f"{text}.", "default_text": default or f.metadata["default"] or plain}
    number = _NUMBERS.get(str(f.type).partition(" ")[0])
    if number is not None:
        found["type"] = number
    if choices_of(f):
        found["metavar"] = one_of(choices_of(f))
    return found | _FORMS.get(f.name, {})


def _of_training(*without: str, **defaults: str) -> Callable[[F], F]:
    """The options that set `TrainConfig`, in the order of its fields; `defaults` are those of a command's own."""
    found = [f for f in fields(TrainConfig) if f.name in TRAINING and f.name not in without]
    return stack(
        *(
            (_training if f.metadata["training"] else _model)(
                *_NAMES.get(f.name, (f"--{f.name.replace('_', '-')}",)), **_form(f, defaults.get(f.name))
            )
            for f in found
        )
    )


training = _of_training()


def _dimensions(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        dims = None if value is None else tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"wanted dimensions such as 1,2,4, got '{value}'") from error
    if dims is not None and min(dims) < 1:
        raise click.BadParameter(f"wanted dimensions of 1 or more, got '{value}'")
    return dims


comparing = stack(
    _model("--backend", "--latent", "backends", multiple=True, help="A latent space; once for each.",
           default_text="all"),
    _model("--latent-dim", callback=_dimensions, metavar="D,D,...",
           help="Intrinsic dimensions, each with every backend.", default_text="2"),
    _of_training("backend", "latent_dim", epochs="50"),
)  # fmt: skip


def options_given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the training options that stand on the command line."""
    from trajvae.errors import OptionError

    if options.get("latent_dim") is not None and options.get("signature") is not None:
        raise OptionError(
            f"--latent-dim {options['latent_dim']} and --signature '{options['signature']}' exclude each other: "
            "a signature says the dimension"
        )
    return {name: options[name] for name in TRAINING if options.get(name) is not None}
