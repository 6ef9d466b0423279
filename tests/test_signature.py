"""The grammar of product spaces."""

from __future__ import annotations

import pytest

from trajvae.errors import OptionError
from trajvae.signature import FactorSpec, parse_signature


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e3", [("e", 3, None)]),
        ("h2,s2,e2", [("h", 2, None), ("s", 2, None), ("e", 2, None)]),
        ("s2:0.5", [("s", 2, 0.5)]),
        ("h2:-0.5, s1 : 2e-1", [("h", 2, -0.5), ("s", 1, 0.2)]),
        ("h2:0.5", [("h", 2, -0.5)]),
        ("s12,s1", [("s", 12, None), ("s", 1, None)]),
    ],
)
def test_signatures_are_read(text: str, expected: list[tuple[str, int, float | None]]) -> None:
    """Letters, dimensions, curvatures with or without their sign; spaces do not matter."""
    assert parse_signature(text) == [FactorSpec(*e) for e in expected]


@pytest.mark.parametrize(
    "text",
    ["", "x2", "h", "h0", "2h", "h2;s2", "h2,,s2", "h2,", "s2:", "s2:-1", "h2:+1", "e2:1", "e2:0", "s2:0", "s2:nan",
     "s2:1e9", "s2:1.2.3", "H2", "s2:--1"],
)  # fmt: skip
def test_others_are_refused_with_the_text(text: str) -> None:
    """The message shows the signature that came."""
    with pytest.raises(OptionError, match="signature '"):
        parse_signature(text)
