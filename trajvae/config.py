"""What a user may choose when a model is made: one frozen dataclass, stored in the model file as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, TypedDict

from trajvae.arguments.lookup import check_choice
from trajvae.arguments.user_functions import FileSettings
from trajvae.choices import ALIGNMENTS, AUTO, CENTERS, FEATURES, LATENTS, LIKELIHOODS, TORSIONS, any_of
from trajvae.errors import OptionError
from trajvae.lagged_pairs import Lag
from trajvae.signature import parse_manifold, parse_signature

WIDTHS: dict[str, tuple[int, ...]] = {"internal": (128, 128)}


MOST_LAYERS = 100
MOST_WEIGHT = 1e6  # of beta, and nats of free bits: beyond it float32 has nothing left of the rest
_MOST = {"epochs": 10**9, "batch_size": 10**9, "latent_dim": 10**5}
_WIDEST = 10**6
_TYPES: dict[str, tuple[type, ...]] = {"float": (int, float), "tuple": (tuple, list)}
_NAMED: dict[str, type] = {"str": str, "int": int, "dict": dict, "None": type(None)}


def check_types(kind: Any, values: dict[str, Any]) -> None:
    """Refuse values, such as a file's, that have other types than the fields of a dataclass say.

    Raises
    ------
    OptionError
        Which one.
    """
    for f in fields(kind):
        allowed: list[type] = []
        for name in (part.partition("[")[0] for part in str(f.type).split(" | ")):
            allowed += _TYPES.get(name, (_NAMED[name],) if name in _NAMED else ())
        value = values.get(f.name, f.default)
        if f.name in values and value is not f.default and (type(value) not in allowed):
            raise OptionError(f"{f.name} wants {f.type}, got {value!r}")


def _option(
    default: Any,
    text: str | Callable[[], str],
    depends: str = "",
    *,
    choices: Callable[[], Iterable[str]] | None = None,
    training: bool = False,
) -> Any:
    """A field with its help; `depends` says in words what None stands for.

    Help and choices that come from a table are functions: a user's own entries are in them where they were made first.
    """
    return field(default=default, metadata={"help": text, "default": depends, "choices": choices, "training": training})


def _likelihood_help() -> str:
    """The likelihoods, those of all kinds of features first."""
    common = [name for name, choice in LIKELIHOODS.items() if set(FEATURES) <= set(choice.features)]
    own = [f", of {kind} features, {any_of(names)}" for kind in FEATURES if (names := _own_likelihoods(kind))]
    return f"p(x|z): {', '.join(common)} or{''.join(own)}" if own else f"p(x|z): {any_of(common)}"


def _own_likelihoods(kind: str) -> list[str]:
    return [name for name, choice in LIKELIHOODS.items() if choice.features == (kind,)]


def help_of(option: Field[Any]) -> str:
    """Return the help of an option, a field of `TrainConfig`."""
    text = option.metadata["help"]
    return str(text() if callable(text) else text)


def choices_of(option: Field[Any]) -> list[str]:
    """Return the names that an option, a field of `TrainConfig`, takes; none where it takes other values."""
    names = option.metadata["choices"]
    return [] if names is None else list(names())


class AlikeOptions(TypedDict, total=False):
    """Hold options of training that compared latent spaces share, as `TrainConfig` explains them."""

    signature: str | None
    features: str
    likelihood: str | None
    torsions: str | None
    free_bits: float | None
    align: str
    center: str
    beta: float
    lag: str | None
    slowness: float | None
    epochs: int | None
    batch_size: int | None
    hidden: tuple[int, ...] | None


class NetworkOptions(AlikeOptions, total=False):
    """Hold options of training beside the latent space, the atoms and the seed, as `TrainConfig` explains them."""

    settings: dict[str, Any]


class CandidateOptions(AlikeOptions, total=False):
    """Hold options of training beside the latent space, as `TrainConfig` explains them."""

    select: str | None
    seed: int


class TrainingOptions(NetworkOptions, total=False):
    """Hold all options of training by name, as `TrainConfig` explains them."""

    backend: str
    latent_dim: int | None
    select: str | None
    seed: int


@dataclass(frozen=True)
class TrainConfig:
    """Set the options of `trajvae train`, by the same names in Python.

    None stands for a default that depends on the data.
    """

    backend: str = _option("euclidean", lambda: f"latent space: {any_of(LATENTS)}")
    latent_dim: int = _option(None, "intrinsic dimension of the latent space", "2, or that of signature or manifold")
    signature: str | None = _option(
        None, "factors of a product space, such as h2,s2,e2 or s2:0.5; replaces the latent dimension"
    )
    features: str = _option(
        "cartesian",
        "coordinates that are modelled: cartesian (shape space), internal (bonds, angles, torsions), or auto, which "
        "takes the one in which draws of a quickly fitted model are nearer to the simulation",
        choices=lambda: (*FEATURES, AUTO),
    )
    likelihood: str | None = _option(
        None,
        _likelihood_help,
        "full; for cartesian features springs with fewer than 10 frames a feature (up to 3000 features; isotropic "
        "without bonds), and lowrank above 1000 features otherwise; for internal ones isotropic (in units of their "
        "spread) above 1000",
        choices=lambda: LIKELIHOODS,
    )
    torsions: str | None = _option(
        None,
        "flexible torsions of internal coordinates, given z: spatial (each given those before and the atoms that "
        "they place), autoregressive (each given those before), or independent",
        "spatial for more than 8 of them, up to 5000 torsions times atoms; else autoregressive up to 100 of them",
        choices=lambda: TORSIONS,
    )
    free_bits: float | None = _option(
        None, "nats of the KL divergence that cost nothing", "4 for internal and conditional, else 0", training=True
    )
    align: str = _option(
        "superpose",
        "how rotation is taken out: superpose on a mean structure, principal axes, or none (aligned already)",
        choices=lambda: ALIGNMENTS,
    )
    center: str = _option("geometry", "weights of the centre and of the superposition", choices=lambda: CENTERS)
    beta: float = _option(1.0, "weight of the KL divergence after its warm-up", training=True)
    lag: str | None = _option(
        None,
        "time between frames of which the latent space shall follow what is slow, such as 10ps, 2ns or 5 (frames)",
        "none: the latent space follows what is large",
        training=True,
    )
    slowness: float | None = _option(
        None,
        "nats a frame that a VAMP-2 score of 1 at the lag time is worth against the ELBO",
        "25 with a lag time",
        training=True,
    )
    epochs: int | None = _option(
        None, "at most; early stopping may end before", "about 8000 optimiser steps", training=True
    )
    batch_size: int | None = _option(None, "frames a step", "16 to 128, by the number of frames", training=True)
    hidden: tuple[int, ...] | None = _option(
        None,
        "widths of the hidden layers, of encoder and decoder alike",
        "256,256,256, and 128,128 for internal coordinates, whose likelihood has networks of its own",
    )
    select: str | None = _option(None, "atoms, in MDAnalysis' selection language")
    seed: int = _option(0, "of initial weights, batches and noise")
    settings: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "an option of the latent space; `trajvae info --options BACKEND` lists them",
            "default": "",
            "choices": None,
            "training": False,
        },
    )

    def __post_init__(self) -> None:
        self._settle_dimension()
        if self.hidden is not None and (
            not 0 < len(self.hidden) <= MOST_LAYERS or not 1 <= min(self.hidden) <= max(self.hidden) <= _WIDEST
        ):
            raise OptionError(
                f"1 to {MOST_LAYERS} hidden layers need widths of 1 to {_WIDEST}, got {list(self.hidden)}"
            )
        for name in ("epochs", "batch_size", "latent_dim"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= _MOST[name]:
                raise OptionError(f"{name} must be 1 or more, up to {_MOST[name]}, got {value}")
        for name in ("beta", "free_bits", "slowness"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= MOST_WEIGHT:
                raise OptionError(f"{name} must be a number from 0 to {MOST_WEIGHT:.0f}, got {value}")
        self._check_lag()
        check_choice(self.center, CENTERS, "center")
        if not 0 <= self.seed < 2**63 - 1:
            raise OptionError(f"the seed must be a number from 0 on, got {self.seed}")

    def _check_lag(self) -> None:
        """A lag is kept as it is written; without one there is nothing that slowness could weigh."""
        if self.lag is not None:
            Lag.parse(self.lag)
            object.__setattr__(self, "lag", str(self.lag))
        elif self.slowness is not None:
            raise OptionError(
                f"slowness weighs the VAMP-2 score at a lag time, and none is given (slowness {self.slowness}): give "
                "--lag TIME, such as --lag 10ps"
            )

    def _settle_dimension(self) -> None:
        """Once made, a configuration has a dimension; a signature excludes another one."""
        if "signature" in self.settings:
            raise OptionError("a signature is an option of its own: --signature, or signature=... in Python")
        given: int | None = self.latent_dim
        if self.signature is None:
            manifold = self.settings.get("manifold")
            implied = parse_manifold(str(manifold)).dim if manifold else None
            if implied is not None and given not in (None, implied):
                raise OptionError(f"latent_dim {given} and manifold '{manifold}' exclude each other")
            wanted = given if implied is None else implied
            object.__setattr__(self, "latent_dim", 2 if wanted is None else wanted)
            return
        if self.backend != "product":
            raise OptionError(f"a signature needs the backend 'product', got '{self.backend}'")
        size = sum(factor.dim for factor in parse_signature(self.signature))
        if given not in (None, size):
            raise OptionError(f"latent_dim {given} and signature '{self.signature}' exclude each other")
        object.__setattr__(self, "latent_dim", size)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers: those given, or the default of the features."""
        return self.hidden if self.hidden is not None else WIDTHS.get(self.features, (256, 256, 256))

    def latent_settings(self) -> dict[str, Any]:
        """Return the settings of the latent space other than its dimension, by name."""
        return self.settings if self.signature is None else {**self.settings, "signature": self.signature}

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Return the options of `to_dict`, for files; names that this version does not know are ignored."""
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        check_types(cls, known)
        if "settings" in known:
            known["settings"] = FileSettings(known["settings"])
        if known.get("hidden") is not None:
            known["hidden"] = tuple(known["hidden"])
        return cls(**known)
