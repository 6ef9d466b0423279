"""Copies among training frames, and held-out blocks of a state that is met nowhere else."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.figures.frame_findings import UnlikeBlock
from trajvae.models.partition import partition
from trajvae.molecule.observables import dihedral
from trajvae.readers import open_source
from trajvae.readers.data_set import Chunk, join_chunks
from trajvae.topology import Topology
from trajvae.training.frame_source import InMemoryFrames
from trajvae.training.prepared import prepare_frames
from trajvae.training.unlike_blocks import (
    BlockRows,
    blocks_of,
    describe_unlike,
    fingerprints,
    first_of_kind,
    split,
    unlike_blocks,
)

QUICK = TrainConfig(epochs=2, hidden=(8,))
NAMELESS = pytest.mark.filterwarnings("ignore:no topology:trajvae.errors.TrajvaeWarning")
SAMPLE = 2000


def chunk_of(*files):
    """Frames of several files as they are read."""
    parts = [Chunk.of_run(x) for x in files]
    return join_chunks([replace(part, file=part.file + k) for k, part in enumerate(parts)])


def _trained(chunk, config):
    """A model of a chain of twelve beads and its record."""
    return prepare_frames(InMemoryFrames(chunk), Topology.anonymous(12), config, device="cpu").run()


def divided(chunk, names=()):
    """Which frames are held out, and the number of copies."""
    return split(fingerprints(chunk.positions), chunk.file, chunk.frame, names)


def told(chunk, names=()):
    """What is held out, the number of copies, and the one warning."""
    with pytest.warns(TrajvaeWarning) as caught:
        held, copies = divided(chunk, names)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    return held, copies, str(caught[0].message)


def test_fingerprints_are_equal_for_equal_frames_alone(chain):
    """Either precision, either sign of zero; a change in the last bit is another frame."""
    x = chain[:50].copy()
    marks = fingerprints(x)
    assert len(set(marks.tolist())) == 50
    assert np.array_equal(marks, fingerprints(x.astype(np.float64)))
    y = x.copy()
    y[7, 3, 1] = np.nextafter(y[7, 3, 1], np.float32(9.0))
    assert np.flatnonzero(fingerprints(y) != marks).tolist() == [7]
    zero = np.zeros((2, 3, 3), dtype=np.float32)
    zero[1] *= -1.0
    assert len(set(fingerprints(zero).tolist())) == 1


def test_every_frame_knows_the_first_that_equals_it(chain):
    """Whatever the distance between them."""
    x = chain[[0, 1, 2, 1, 1, 5, 0]]
    assert first_of_kind(fingerprints(x)).tolist() == [0, 1, 2, 1, 1, 5, 0]


def test_frames_that_differ_are_held_out_as_ever(chain):
    """No copies, no word."""
    parts, copies = divided(chunk_of(chain))
    assert np.array_equal(parts.part, partition(len(chain)).part) and copies == 0


def test_an_overlap_of_two_files_is_named(chain):
    """A restart that repeats what was written: frames of which file repeat which."""
    _, copies, said = told(chunk_of(chain[:200], chain[170:300]), ["one.dcd", "two.dcd"])
    assert copies == 30
    assert "30 of 330 frames are exact copies" in said
    assert "frames 0 to 29 of 'two.dcd' repeat frames 170 to 199 of 'one.dcd'" in said
    assert "--stop" in said


def test_one_frame_and_a_frozen_run_are_named(chain):
    """The singular, and many copies of one frame."""
    x = chain[:100].copy()
    x[60:70] = x[60]
    x[90] = x[3]
    _, copies, said = told(chunk_of(x))
    assert copies == 10
    assert "frames 61 to 69 of file 0 repeat frame 60 of file 0" in said
    assert "frame 90 of file 0 repeats frame 3 of file 0" in said


@pytest.mark.parametrize("cut", [150, 251, 400])
def test_no_copy_of_a_held_out_frame_is_trained_on(chain, cut):
    """A trajectory read twice, or part of it: what is held out stays unseen."""
    chunk = chunk_of(chain, chain[:cut])
    parts, copies, said = told(chunk)
    marks = fingerprints(chunk.positions)
    known, chosen, held = (set(marks[m].tolist()) for m in (parts.training, parts.validation, parts.held_out))
    assert not held & known and not held & chosen and not chosen & known
    assert copies == cut and "are not trained on" in said and parts.training.mean() > 0.4
    assert np.array_equal(parts.held_out, partition(len(chunk.file)).held_out)


def test_a_run_that_stands_still_does_not_hold_everything_out(chain):
    """More than half of all frames equal one of the held-out: they stay, and it is said that figures suffer."""
    x = chain.copy()
    x[:350] = x[0]
    parts, copies, said = told(chunk_of(x))
    assert np.array_equal(parts.part, partition(400).part) and copies == 349
    assert "better than they should be" in said


def test_fewer_different_frames_than_can_be_learned_from_are_refused(chain):
    """A hundred frames of which four differ."""
    with pytest.raises(ReadError, match="at least 5 different frames, got 4 in 100"):
        divided(chunk_of(chain[:4][np.arange(100) % 4]))


def test_training_reports_copies(chain):
    """In the figures, and no held-out frame among those trained on."""
    with pytest.warns(TrajvaeWarning, match="are exact copies"):
        copied = _trained(chunk_of(chain, chain[:100]), QUICK)
    assert copied.record.figures["copies"] == 100
    assert _trained(chunk_of(chain), QUICK).record.figures["copies"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent_dim": 5}, "training frames, 3, got 5: --latent-dim 3"),
        ({"backend": "hyperspherical", "latent_dim": 5}, "training frames, 3, got 5: --latent-dim 3"),
        ({"backend": "product", "signature": "s2,h2,e1"}, "training frames, 3, got 5: a --signature of fewer"),
        ({"backend": "embedded", "settings": {"manifold": "torus:5"}}, "training frames, 3, got 5: --latent-dim 3"),
        ({"backend": "rhvae", "latent_dim": 5}, "training frames, 3, got 5: --latent-dim 3"),
    ],
)
def test_more_latent_dimensions_than_frames_are_refused(chain, options, words):
    """Of five frames one is for validation and one is held out; whatever says the dimension."""
    with pytest.raises(OptionError, match=words):
        _trained(chunk_of(chain[:5]), TrainConfig(epochs=1, hidden=(8,), **options))


@pytest.fixture(scope="module")
def dipeptide(examples):
    """Alanine dipeptide's heavy atoms, every third frame whose peptide bonds are trans; those with one cis."""
    reading = Reading(examples / "alanine_dipeptide.pdb")
    x = open_source(examples / "alanine_dipeptide.xtc", reading).read().positions
    names = open_source(examples / "alanine_dipeptide.xtc", reading).topology.names.tolist()
    four = [names.index("CA"), names.index("CA") + 2, len(names) - 2, len(names) - 1]
    cis = np.abs(dihedral(torch.from_numpy(x.astype(np.float64)), *four).numpy()) < 90.0
    assert 400 < cis.sum() < 600
    return x[~cis][::3], x[cis]


def found_in(x):
    """What the test says of frames of which all have one ELBO."""
    held = ~partition(len(x)).training
    index = np.unique(np.linspace(0, len(x) - 1, min(SAMPLE, len(x))).astype(np.int64))
    return held, unlike_blocks(np.zeros(len(x)), held, x[index], index)


@pytest.mark.parametrize("n", [600, 3000])
def test_a_tenth_in_another_state_is_told(dipeptide, n):
    """The last tenth cis: its two blocks and no other."""
    trans, cis = dipeptide
    x = np.concatenate([trans[: n - n // 10], cis[: n // 10]])
    held, found = found_in(x)
    last = [[int(b[0]), int(b[-1])] for b in blocks_of(held) if b[0] >= n - n // 10]
    assert [[b.first, b.last] for b in found] == last and len(last) == 2
    assert all(b.times > 2.0 for b in found)


def test_a_state_that_only_the_held_out_block_has_is_told(dipeptide):
    """One block of fifteen frames, whichever it is."""
    trans, cis = dipeptide
    for k in (0, 7, 19):
        x = trans[:3000].copy()
        rows = blocks_of(~partition(3000).training)[k]
        x[rows] = cis[: len(rows)]
        assert [[b.first, b.last] for b in found_in(x)[1]] == [[int(rows[0]), int(rows[-1])]]


def test_a_state_that_comes_back_is_no_news(dipeptide):
    """The same frames, spread over the run, are part of it."""
    trans, cis = dipeptide
    x = trans[:3000].copy()
    x[::10] = cis[:300]
    assert found_in(x)[1] == []


@pytest.mark.parametrize("name", ["chain2d", "chain2d_close", "chain3d", "chain3d_close"])
def test_the_chains_are_silent(examples, name):
    """Equilibrium, near and far in time."""
    x = np.load(examples / f"{name}.npz")["positions"]
    assert found_in(x)[1] == []


def test_proteins_are_silent(examples, adk):
    """A folding peptide in equilibrium, and a transition that goes one way: each stretch is as far as the others."""
    peptide = open_source(examples / "peptide.xtc", Reading(examples / "peptide.pdb", select="backbone", step=3))
    assert found_in(peptide.read().positions)[1] == []
    assert found_in(open_source(adk[1], Reading(adk[0], select="name CA")).read().positions)[1] == []


def test_blocks_are_named_by_file_and_frame():
    """JSON, and one warning; a block that lies in two files by its part in the first."""
    file, frame = np.repeat([0, 1], 50), np.tile(np.arange(50), 2)
    blocks = [BlockRows(10, 14, 2.345, -3.14159), BlockRows(48, 52, 3.0, 0.0)]
    with pytest.warns(TrajvaeWarning, match=r"frames 10 to 14 of 'a' \(2.3 x\), frames 48 to 49 of 'a' \(3.0 x\) are"):
        out = describe_unlike(blocks, file, frame, ["a", "b"])
    assert out[0] == UnlikeBlock("a", first=10, last=14, times=2.35, elbo=-3.14)
    assert (out[1].first, out[1].last) == (48, 49)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert describe_unlike([], file, frame) == ()


@NAMELESS
def test_training_tells_and_keeps_them(dipeptide, tmp_path):
    """From the array to the model file and back."""
    trans, cis = dipeptide
    with pytest.warns(TrajvaeWarning, match="unlike all frames elsewhere"):
        model = Model.train(np.concatenate([trans[:540], cis[:60]]), QUICK, device="cpu")
    blocks = model.figures.unlike_blocks
    assert [b.first for b in blocks] == [550, 580] and blocks[0].file == "the array"
    model.save(tmp_path / "model.h5")
    assert Model.load(tmp_path / "model.h5").figures.unlike_blocks == blocks
