"""Figures that a model file holds: of the types that commands compute and print with, or an error that names one."""

from __future__ import annotations

from typing import Any

import pytest

from trajvae import Model
from trajvae.errors import ModelError
from trajvae.models.summary import check_summary
from trajvae.verdict import verdict_of

WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"rmsd": "/dev/zero"}, "'rmsd' of its summary is no number, but '/dev/zero'"),
    ({"rmsd": None}, "'rmsd'"),
    ({"epochs": 10**400}, "'epochs'"),
    ({"elbo": [1.0]}, "'elbo'"),
    ({"pca_rmsd": {}}, "'pca_rmsd'"),
    ({"kl": [1.0]}, "'kl' of its summary is not numbers by name"),
    ({"kl": {"a": "x"}}, "'kl'"),
    ({"feature_kind": 1}, "'feature_kind' of its summary is no text"),
    ({"verdict": "good", "reasons": 3}, "'reasons'"),
    ({"verdict": "good", "reasons": [{"name": "x"}]}, "'reasons'"),
    ({"verdict": "not usable", "reasons": []}, "'verdict' of its summary is not that of its reasons"),
    ({"verdict": "good", "reasons": [{"name": "a", "severity": "b", "text": "c", "step": "d"}]}, "'reasons'"),
)


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[str(change)[:40] for change, _ in WRONG])
def test_figures_of_other_types(tiny_model: Model, change: dict[str, Any], words: str) -> None:
    """Each is named."""
    check_summary(tiny_model.figures)
    with pytest.raises(ModelError, match=words):
        check_summary({**tiny_model.figures, **change})


def test_figures_that_older_and_later_files_have(tiny_model: Model) -> None:
    """What a version did not know yet, and what it does not know any more; numbers that are not finite."""
    known = {name: value for name, value in tiny_model.figures.items() if name not in ("verdict", "kl", "elbo_shape")}
    check_summary({**known, "prior_gap": None, "elbo": float("nan"), "of_later": [{"a": 1}]})


def test_a_verdict_that_is_none() -> None:
    """Of a file that is described without being loaded, one line says so."""
    for reasons in (3, [1], [{"name": "x"}], [{"name": "a", "severity": "b", "text": "c", "step": "d"}]):
        assert verdict_of({"verdict": "good", "reasons": reasons}) == ["verdict: damaged, by what the file says"]
