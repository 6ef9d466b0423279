"""Transition states are frames of the trajectory, written as models of a PDB file."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import MDAnalysis
import numpy as np
import pytest
from made_kinetics import committor_of, walk

from trajvae import Model
from trajvae.errors import OutputError, ReadError
from trajvae.kinetic_analysis.transition_states import MOST, write_transition_states, written_rows
from trajvae.results import Committor, Embedding
from trajvae.typing import Float32

EVEN = np.array([[0.9, 0.1, 0.0], [0.15, 0.7, 0.15], [0.0, 0.1, 0.9]])


@pytest.fixture(scope="module")
def committor() -> Committor:
    """A walk with a transition state, of as many frames as the chain has."""
    return committor_of(walk(EVEN, 2000, 4))


def test_no_more_than_a_hundred_are_written(committor: Committor) -> None:
    """Spread evenly, the first and the last among them."""
    rows, all_rows = written_rows(committor), committor.transition_states
    assert len(rows) == MOST < len(all_rows) and len(np.unique(rows)) == MOST
    assert rows[0] == all_rows[0] and rows[-1] == all_rows[-1] and np.isin(rows, all_rows).all()


@pytest.mark.filterwarnings("ignore:no topology")
def test_models_are_the_frames(committor: Committor, tiny_model: Model, chain: Float32, tmp_path: Path) -> None:
    """In order; an existing file is kept, a missing trajectory is named, and where there is none nothing is written."""
    np.save(tmp_path / "chain.npy", np.tile(chain, (20, 1, 1))[:2000])
    points: Embedding = tiny_model.encode(str(tmp_path / "chain.npy"))
    order = np.arange(2000)[::-1].copy()  # frames of the committor run backwards through the points
    found = write_transition_states(committor, points, order, tmp_path)
    assert found.structures == str(tmp_path / "transition_states.pdb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = MDAnalysis.Universe(found.structures)
        models = np.stack([read.atoms.positions.copy() for _ in read.trajectory])
    wanted = np.tile(chain, (20, 1, 1))[order[written_rows(committor)]]
    assert len(models) == MOST
    np.testing.assert_allclose(models[..., :2], wanted[..., :2], atol=2e-3)
    with pytest.raises(OutputError, match="exists"):
        write_transition_states(committor, points, order, tmp_path)
    (tmp_path / "chain.npy").unlink()
    with pytest.raises(ReadError, match=r"chain\.npy"):
        write_transition_states(committor, points, order, tmp_path, force=True)
    none = replace(committor, value=np.zeros(2000))
    assert write_transition_states(none, points, order, tmp_path / "nowhere") is none
