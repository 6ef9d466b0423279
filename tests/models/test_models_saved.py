"""Models whose files were altered: each is refused in one line, and takes no memory for what it claims."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import warnings

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.errors import ModelError, OptionError, TrajvaeError
from trajvae.models.model_file_checks import Budget
from trajvae.topology import GROUPS


@pytest.fixture(scope="module")
def saved(tiny_model, chain, tmp_path_factory):
    """A folder of sound models: one of each kind whose file has something of its own."""
    folder = tmp_path_factory.mktemp("saved")
    tiny_model.save(folder / "plain.h5")
    settings = {"rhvae": {"centroids": 5}, "product": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, given in settings.items():
            config = TrainConfig(backend=name, epochs=2, hidden=(8,), settings=given)
            Model.train(chain[:60].copy(), config, device="cpu").save(folder / f"{name}.h5")
        space = np.random.default_rng(0).normal(size=(60, 6, 3)) * 0.05 + 1.5 * np.arange(6)[None, :, None] ** [1, 0, 0]
        space += np.arange(6)[None, :, None] % 2 * [0.0, 1.0, 0.3]
        config = TrainConfig(features="internal", epochs=2, hidden=(8,))
        Model.train(space, config, device="cpu").save(folder / "internal.h5")
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """Gives a copy of a sound model that may be altered."""

    def made(name):
        return shutil.copy(saved / f"{name}.h5", tmp_path / "model.h5")

    return made


def values(name, number, at=0):
    """One number of an array is another."""

    def change(file):
        array = file[f"trajvae/{name}"]
        flat = array[()].reshape(-1)
        flat[at] = number
        array[...] = flat.reshape(array.shape)

    return change


def shorter(file, name):
    """An array has one number less."""
    less = file[f"trajvae/{name}"][:-1]
    del file[f"trajvae/{name}"]
    file[f"trajvae/{name}"] = less


def bonds(*pairs):
    """The topology has these."""

    def change(file):
        del file["trajvae/topology/bonds"]
        file["trajvae/topology/bonds"] = np.array(pairs)

    return change


def config(*path, value=None):
    """A word of its config is another, or is gone."""

    def change(file):
        whole = json.loads(file["trajvae"].attrs["config"])
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        file["trajvae"].attrs["config"] = json.dumps(whole)

    return change


def attribute(name, value):
    """A text of its header is another."""
    return lambda file: file["trajvae"].attrs.__setitem__(name, value)


NUMBERS = {
    "a weight that is none": ("plain", values("weights/decoder.head.bias", np.nan), "decoder.head.bias.*not finite"),
    "a weight without end": ("plain", values("weights/encoder.head.weight", np.inf), "encoder.head.weight.*not finite"),
    "a mass below zero": ("plain", values("topology/masses", -1.0), "masses of its atoms must not be negative"),
    "no mass at all": (
        "plain",
        lambda f: f["trajvae/topology/masses"].write_direct(np.zeros(12)),
        "one must be above 0",
    ),
    "residues without some arrays": ("plain", lambda f: f["trajvae/topology"].pop("icodes"), "lacks icodes"),
    "residues that leave out a number": ("plain", values("topology/residues", 2, -1), "residues.*grow by 0 or 1"),
    "segments that begin elsewhere": ("plain", values("topology/segments", -1), "segments.*begin with 0"),
    "a residue of two chains": ("plain", values("topology/chain_indices", 1, -1), "chain_indices.*within a residue"),
    "a weight of the alignment below zero": ("plain", values("weighting", -1.0), "above 0"),
    "a frame beyond the last": ("plain", values("training/sample_index", 400), "between 0 and 399, has .* to 400"),
    "a frame before the first": ("plain", values("training/sample_index", -1), "between 0 and 399, has -1"),
    "a file that is none": ("plain", values("training/file", 1), "'training/file' must lie between 0 and 0"),
    "a bond to no atom": ("internal", values("validity/bonds", 6, -1), "'validity/bonds' must lie between 0 and 5"),
    "a bond of an atom with itself": ("plain", bonds([2, 2]), "two different atoms"),
    "a bond twice": ("plain", bonds([0, 1], [1, 0]), "none twice"),
    "an angle of no atom": ("plain", values("validity/angles", -1), "'validity/angles'"),
    "an element that is none": ("plain", values("validity/kinds", 10**9), "'validity/kinds'"),
    "contacts of all": ("plain", values("validity/contact", 1e9), "'validity/contact' must lie between 0 and 6"),
    "a four of no atom": ("internal", values("validity/fours", 6, -1), "'validity/fours' must lie between 0 and 5"),
    "a kind of fours that is none": ("internal", values("validity/four_kind", 3), "'validity/four_kind'"),
    "a bond without a spread": ("plain", values("validity/bond_spread", 0.0), "'validity/bond_spread' must be above 0"),
    "a range with one end": (
        "plain",
        lambda f: shorter(f, "validity/stretch"),
        "'validity/stretch' must hold 2 numbers",
    ),
    "ranges of two kinds": (
        "internal",
        lambda f: [shorter(f, f"validity/chain_{end}") for end in ("low", "high")],
        "'validity/chain_low' must hold 3 numbers, holds 2",
    ),
    "a tree with two roots": ("internal", values("weights/features.references", -1, -3), "do not form a tree"),
    "a tree with a loop": ("internal", values("weights/features.references", 5, -3), "circle"),
    "a reference to no atom": ("internal", values("weights/features.references", 77, -3), "damaged"),
    "another torsion that turns": ("internal", lambda f: flip(f["trajvae/weights/features.flexible"]), "flexible"),
}
WORDS = {
    "a layer of a million": ("plain", config("hidden", value=[10**6]), "more numbers than it has"),
    "a layer of a billion": ("plain", config("hidden", value=[10**9]), "widths of 1 to 1000000"),
    "a million layers": ("plain", config("hidden", value=[1] * 10**6), "1 to 100 hidden layers"),
    "ten thousand dimensions": ("plain", config("latent_dim", value=10**4), "the encoder gives 4 numbers"),
    "a billion dimensions": ("plain", config("latent_dim", value=10**9), "latent_dim must be 1 or more, up to 100000"),
    "a product of a million": ("product", config("signature", value=",".join(["e1"] * 10**6)), "at most 100 factors"),
    "a billion centroids": ("rhvae", config("settings", "centroids", value=10**9), "more numbers than it has"),
    "a million steps": ("rhvae", config("settings", "steps", value=10**6), "steps"),
    "a million draws": ("product", config("settings", "n_samples", value=10**6), "n_samples"),
    "a billion inputs": ("plain", config("sizes", "n_inputs", value=10**9), "more numbers than it has"),
    "a billion torsions": ("internal", config("sizes", "n_angular", value=10**9), "damaged"),
    "inputs below zero": ("plain", config("sizes", "n_inputs", value=-5), "damaged"),
    "a number as text": ("plain", config("latent_dim", value="2"), "latent_dim wants int, got '2'"),
    "a fraction of a dimension": ("plain", config("latent_dim", value=2.5), "latent_dim wants int, got 2.5"),
    "truth for a number": ("plain", config("latent_dim", value=True), "latent_dim wants int, got True"),
    "a number for the selection": ("plain", config("select", value=7), "select wants str"),
    "a list for the settings": ("plain", config("settings", value=[1]), "settings wants dict"),
    "text for a width": ("plain", config("hidden", value=["16"]), "damaged"),
    "a fraction of a width": ("plain", config("hidden", value=[16.5]), "damaged"),
    "a size that is none": ("plain", config("sizes", "colour", value=1), "colour"),
    "sizes that are text": ("plain", config("sizes", "n_train", value="9"), "n_train wants int"),
    "no precision": ("plain", config("sizes", "floor", value=-1.0), "floor"),
    "no sizes": ("plain", config("sizes"), "sizes"),
    "no such backend": ("plain", config("backend", value="foo"), "no backend 'foo'"),
    "no such likelihood": ("plain", config("sizes", "likelihood", value="foo"), "no likelihood 'foo'"),
    "another alignment": ("plain", config("align", value="foo"), "foo"),
    "a list for the config": ("plain", attribute("config", "[1]"), "must be JSON objects"),
    "deep JSON": ("plain", attribute("config", "[" * 10**5), "damaged"),
    "a number of 5000 digits": ("plain", attribute("summary", f'{{"elbo": {"9" * 5000}}}'), "damaged"),
    "text for a figure": ("plain", attribute("summary", '{"epochs": "many"}'), "'epochs' of its summary"),
    "no figures": ("plain", attribute("summary", "{}"), "'atoms' of its summary is no number, but None"),
}


def flip(array):
    """Truths turned round."""
    array[...] = ~array[()]


def check_refused(path, change, words, edited):
    """Loading is an error of that model's, in one line, with those words."""
    with edited(path) as file:
        change(file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TrajvaeError, match=words) as caught:
        Model.load(path, device="cpu")
    assert str(path) in str(caught.value) and str(caught.value).isprintable()
    assert not isinstance(caught.value, OptionError)  # what the user typed is not at fault
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("name, change, words", NUMBERS.values(), ids=NUMBERS)
def test_altered_numbers(copy, name, change, words, edited):
    """Weights, indices and ranges that are none."""
    check_refused(copy(name), change, words, edited)


@pytest.mark.parametrize("name, change, words", WORDS.values(), ids=WORDS)
def test_altered_words(copy, name, change, words, edited):
    """Options and figures that are none, or that ask for more than the file has."""
    check_refused(copy(name), change, words, edited)


def test_a_function_named_in_a_model_is_not_imported(copy, monkeypatch, tmp_path, edited):
    """A manifold of a user's own is imported for training, by the user's word; never by a file's."""
    (tmp_path / "canary.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    path = copy("plain")
    settings = {"manifold": "canary:draw", "ambient": 3}
    with edited(path) as file:
        config("backend", value="embedded")(file)
        config("settings", value=settings)(file)
    with pytest.raises(ModelError):
        Model.load(path, device="cpu")
    assert "canary" not in sys.modules


def test_a_device_that_is_none_is_an_option(saved):
    """And not the file's fault."""
    with pytest.raises(OptionError, match="toaster"):
        Model.load(saved / "plain.h5", device="toaster")


@pytest.mark.filterwarnings("ignore:no topology")
def test_weights_that_lead_nowhere_are_an_error(copy, chain, edited):
    """Finite ones that overflow: said when frames are encoded."""
    path = copy("plain")
    with edited(path) as file:
        file["trajvae/weights/decoder.head.weight"][...] = 3e38
    with pytest.raises(ModelError, match="not finite numbers"):
        Model.load(path, device="cpu").encode(chain[:5].copy())


@pytest.mark.parametrize("ask", [lambda n: torch.zeros(n, n), lambda n: torch.full((n, n), 1.0), torch.eye])
def test_a_budget_counts_before_it_gives(ask):
    """All that is asked for together; what fits is given."""
    with Budget(10**6):
        assert ask(1000).numel() == 10**6
        with pytest.raises(ModelError, match="more numbers"):
            ask(10**7)
    with Budget(10**6), pytest.raises(ModelError):
        [ask(1000) for _ in range(4)]


def test_a_massless_atom_loads(copy, edited):
    """A mass of 0 is a virtual site's."""
    path = copy("plain")
    with edited(path) as file:
        values("topology/masses", 0.0)(file)
    assert Model.load(path).topology.masses.tolist() == [0.0] + [1.0] * 11


def test_a_file_without_residues_segments_and_chains_loads(copy, edited):
    """As earlier versions wrote it: the identifiers tell them."""
    path = copy("plain")
    with edited(path) as file:
        for name in GROUPS:
            del file[f"trajvae/topology/{name}"]
    assert Model.load(path).topology.residues.tolist() == [0] * 12
