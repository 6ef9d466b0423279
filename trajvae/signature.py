"""Parsing the names of latent spaces.

The signature "h2,s2:0.5,e2" of a product is a hyperbolic plane, a sphere of curvature 0.5 and a plane; the compact
manifold "torus:2" is the product of two circles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trajvae.errors import OptionError

SIGNS = {"h": -1.0, "s": 1.0, "e": 0.0}
LARGEST = 20.0  # |K|; beyond it coordinates of a hyperboloid overflow, and a sphere is smaller than the prior
MOST_FACTORS = 100
_FACTOR = re.compile(r"([hse])([1-9]\d{0,4})(?::([0-9.eE+-]+))?")


@dataclass(frozen=True)
class FactorSpec:
    """Hold one factor of a signature: its letter, its dimension, and its curvature if that is fixed."""

    letter: str
    dim: int
    curvature: float | None

    @property
    def name(self) -> str:
        """Name of the factor: letter and dimension, as in the signature."""
        return f"{self.letter}{self.dim}"


def parse_signature(text: str) -> list[FactorSpec]:
    """Return the factors of a signature such as "h2,s2:0.5,e2".

    Raises
    ------
    OptionError
        The text is not a signature, or a curvature has the wrong sign.
    """
    out = []
    if text.count(",") >= MOST_FACTORS:
        raise OptionError(f"a signature has at most {MOST_FACTORS} factors, got {text.count(',') + 1}")
    for part in text.replace(" ", "").split(","):
        match = _FACTOR.fullmatch(part)
        if match is None:
            raise OptionError(f"signature '{text}': wanted factors such as h2, s2:0.5 or e3 with commas, got '{part}'")
        letter, dim, given = match[1], int(match[2]), match[3]
        out.append(FactorSpec(letter, dim, None if given is None else _curvature(text, letter, given)))
    return out


def _curvature(text: str, letter: str, given: str) -> float:
    """Return the curvature of a factor, which a text gives with the letter's sign or without a sign."""
    try:
        value = float(given)
    except ValueError as error:
        raise OptionError(f"signature '{text}': '{given}' is not a number") from error
    wrong = (value < 0 and letter != "h") or (given.startswith("+") and letter == "h")
    if letter == "e" or wrong or not 0.0 < abs(value) <= LARGEST:
        raise OptionError(
            f"signature '{text}': '{given}' is not a curvature of a factor '{letter}': wanted a number up to "
            f"{LARGEST:g} for h and s (the prior's width is 1), none for e"
        )
    return abs(value) * SIGNS[letter]


@dataclass(frozen=True)
class ManifoldSpec:
    """Hold what the name of a compact manifold gives: its kind, and its dimension if the name has one."""

    kind: str
    dim: int | None


def parse_manifold(text: str) -> ManifoldSpec:
    """Return the manifold that "circle", "torus:2", "sphere:3", "so3" or "MODULE:FUNCTION" names.

    Raises
    ------
    OptionError
        The text is not the name of a manifold.
    """
    kind, _, rest = text.strip().partition(":")
    fixed = {"circle": 1, "so3": 3}
    if kind in fixed and not rest:
        return ManifoldSpec(kind, fixed[kind])
    if kind in ("torus", "sphere") and rest.isdecimal() and 0 < int(rest) <= 1000:
        return ManifoldSpec(kind, int(rest))
    if kind and rest and kind not in (*fixed, "torus", "sphere"):
        return ManifoldSpec("function", None)
    raise OptionError(f"no manifold '{text}': wanted circle, torus:K, sphere:N, so3 or MODULE:FUNCTION")
