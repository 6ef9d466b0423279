"""JSON of a file that may come from anyone."""

from __future__ import annotations

import json

import pytest

from trajvae.store.json_text import parse_json


def test_ordinary_json_is_what_it_was() -> None:
    """Numbers, texts and nested lists, as `json` reads them."""
    value = {"a": [1, -2, 3.5, None, True, "é"], "b": {"c": 2**63}, "d": -(10**80)}
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[" * 40 + "]" * 40, "1" + "0" * 400, '{"a": -' + "9" * 101 + "}", "nothing"])
def test_what_no_figure_can_be_is_refused(text: str) -> None:
    """Deep nesting, integers that no float holds, and text that is not JSON."""
    with pytest.raises(ValueError):
        parse_json(text)
