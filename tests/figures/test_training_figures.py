"""Figures of a training: as attributes, as a mapping, as JSON, and as other versions or anyone else wrote them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from trajvae import Model
from trajvae.errors import ModelError
from trajvae.figures.frame_findings import FrameFindings, UnlikeBlock
from trajvae.figures.training import TrainingFigures
from trajvae.verdict import verdict_lines_of

WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"rmsd": "/dev/zero"}, "'rmsd' of its summary is no number, but '/dev/zero'"),
    ({"rmsd": None}, "'rmsd'"),
    ({"epochs": 10**400}, "'epochs'"),
    ({"elbo": [1.0]}, "'elbo'"),
    ({"pca_rmsd": {}}, "'pca_rmsd'"),
    ({"drift": "x"}, "'drift' of its summary is no number"),
    ({"spectrum": 1.0}, "'spectrum' of its summary is not a list of numbers"),
    ({"spectrum": ["a"]}, "'spectrum'"),
    ({"collapsed": 1}, "'collapsed' of its summary is neither true nor false"),
    ({"kl": [1.0]}, "'kl' of its summary is not numbers by name"),
    ({"kl": {"a": "x"}}, "'kl'"),
    ({"feature_choice": {"a": "x"}}, "'feature_choice'"),
    ({"feature_kind": 1}, "'feature_kind' of its summary is no text"),
    ({"unlike_blocks": 1}, "'unlike_blocks' of its summary is not blocks of frames"),
    ({"unlike_blocks": [{"file": "a", "first": 1}]}, "'unlike_blocks'"),
    (
        {"unlike_blocks": [{"file": "a", "first": 1, "last": "b", "times": 1.0, "elbo": 1.0}]},
        "'unlike_blocks' of its summary is no number, but 'b'",
    ),
    ({"verdict": "good", "reasons": 3}, "'reasons'"),
    ({"verdict": "good", "reasons": [{"name": "x"}]}, "'reasons'"),
    ({"verdict": "not usable", "reasons": []}, "'verdict' of its summary is not that of its reasons"),
    ({"verdict": "good", "reasons": [{"name": "a", "severity": "b", "text": "c", "step": "d"}]}, "'reasons'"),
    ({"reasons": [{"name": 1, "severity": "not usable", "text": "c", "step": "d"}]}, "'reasons'"),
)
JSON_KEYS = (
    "frames", "trained", "validation", "held_out", "atoms", "features", "feature_kind", "backend", "latent_dim", "elbo",
    "elbo_shape", "elbo_shape_note", "rmsd", "pca_rmsd", "held_out_valid", "frame_jump", "frame_jump_optimal",
    "degenerate", "kl", "active_units", "collapsed", "mutual_information", "prior_gap", "unlike_blocks", "curvatures",
    "geometry", "diagnostics", "train_rmsd", "draws_valid", "spread", "mean_rmsd", "drift", "crossings", "molecules",
    "apart", "within", "order", "spectrum", "novelty", "verdict", "reasons", "epochs", "kept_epoch", "seconds",
    "batch_size", "likelihood", "copies",
)  # fmt: skip


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[str(change)[:40] for change, _ in WRONG])
def test_figures_of_other_types(tiny_model: Model, change: dict[str, Any], words: str) -> None:
    """Each is named, in one line."""
    held = tiny_model.figures.to_json()
    assert TrainingFigures.from_json(held) == tiny_model.figures
    with pytest.raises(ModelError, match=words) as error:
        TrainingFigures.from_json({**held, **change})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["epochs", "frames", "elbo"])
def test_figures_that_every_version_has_are_needed(tiny_model: Model, name: str) -> None:
    """A file without one is damaged."""
    held = {key: value for key, value in tiny_model.figures.items() if key != name}
    with pytest.raises(ModelError, match=f"'{name}' of its summary is no number, but None"):
        TrainingFigures.from_json(held)


def test_figures_that_older_and_later_files_have(tiny_model: Model) -> None:
    """What a version did not know yet is None, or empty; what it does not know any more stays; NaN is a number."""
    left_out = ("verdict", "reasons", "kl", "elbo_shape", "kept_epoch", "spectrum", "novelty")
    held = {name: value for name, value in tiny_model.figures.items() if name not in left_out}
    held |= {"prior_gap": None, "elbo": float("nan"), "of_later": [{"a": 1}]}
    found = TrainingFigures.from_json(held)
    assert (found.verdict, found.reasons, found.kl, found.elbo_shape, found.kept_epoch) == (None, (), {}, None, None)
    assert found.spectrum == () and found.novelty is None
    assert found.prior_gap is None and found.elbo != found.elbo and found["of_later"] == [{"a": 1}]
    assert not set(left_out) & set(found) and "kept_epoch" not in found and found.get("kept_epoch") is None
    assert json.dumps(found.to_json(), sort_keys=True) == json.dumps(held, sort_keys=True)


def test_they_are_a_mapping_that_is_read_only(tiny_model: Model) -> None:
    """Scripts look figures up by the names that the JSON has; nothing can be changed."""
    figures = tiny_model.figures
    assert isinstance(figures, Mapping) and figures["elbo"] == figures.elbo and figures.get("no such") is None
    assert len(figures) == len(list(figures)) and "feature_choice" not in figures
    assert dict(figures) == figures.to_json() == json.loads(json.dumps(figures.to_json()))
    with pytest.raises(KeyError, match="absent"):
        figures["absent"]
    with pytest.raises(TypeError):
        figures["elbo"] = 0.0  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        figures.elbo = 0.0  # type: ignore[misc]


def test_the_json_has_its_names_in_their_order(tiny_model: Model) -> None:
    """With the choice of features, where there was one, before the copies."""
    assert tuple(tiny_model.figures.to_json()) == JSON_KEYS
    chosen = dataclasses.replace(tiny_model.figures, feature_choice={"cartesian": 0.1, "internal": 0.2})
    assert tuple(chosen) == (*JSON_KEYS[:-1], "feature_choice", "copies")


def test_parts_are_json_too(tiny_model: Model) -> None:
    """Blocks and reasons come back from JSON as they were."""
    block = UnlikeBlock("a.xtc", 10, 14, 2.35, -3.14)
    figures = dataclasses.replace(tiny_model.figures, unlike_blocks=(block,))
    held = json.loads(json.dumps(figures.to_json()))
    assert held["unlike_blocks"] == [{"file": "a.xtc", "first": 10, "last": 14, "times": 2.35, "elbo": -3.14}]
    again = TrainingFigures.from_json(held)
    assert again == figures and again.unlike_blocks == (block,) and again.reasons == figures.reasons


def test_findings_of_frames_are_json() -> None:
    """As a checkpoint has them, of any version; other types are refused."""
    for found in (FrameFindings(3), FrameFindings(0, {"cartesian": 0.5}), FrameFindings(None)):
        assert FrameFindings.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert list(FrameFindings(0, {"cartesian": 0.5}).to_json()) == ["feature_choice", "copies"]
    with pytest.raises(ModelError, match="'copies'"):
        FrameFindings.from_json({"copies": "many"})


def test_a_verdict_that_is_none() -> None:
    """Of a file that is described without being loaded, one line says so."""
    for reasons in (3, [1], [{"name": "x"}], [{"name": "a", "severity": "b", "text": "c", "step": "d"}]):
        assert verdict_lines_of({"verdict": "good", "reasons": reasons}) == [
            "verdict: unreadable (the file's stored verdict is damaged)"
        ]
