"""Options by name in Python: each stands in the signature, and a mistyped one is answered with its like."""

import dataclasses
import inspect

import MDAnalysis as mda
import numpy as np
import pytest

from trajvae import Embed, Model, Reading, TrainConfig, TrajVAE
from trajvae.comparison import candidates
from trajvae.errors import OptionError, TrajvaeError
from trajvae.outputs.drawing.repair import RepairOptions
from trajvae.outputs.generate import ConformationStream
from trajvae.training import prepare, resume

TRAINING = {f.name for f in dataclasses.fields(TrainConfig)}
READING = {f.name for f in dataclasses.fields(Reading)}
RUN = {"device", "inputs", "regulariser", "progress", "verbose", "checkpoint", "every", "asked", "memory", "force"}
SPELLED = {
    Model.train: TRAINING | READING | RUN | {"latent", "reading"},
    Model.fit: RUN - {"inputs"} | {"weights", "temperature"},
    Model.resume: {"source", "reading", "asked_for"} | RUN - {"inputs", "checkpoint", "force"},
    Model.generate: {f.name for f in dataclasses.fields(RepairOptions)}
    | {"seed", "mean", "sampler", "novelty", "at", "progress"},
    Model.drawing: {f.name for f in dataclasses.fields(RepairOptions)}
    | {"seed", "mean", "sampler", "novelty", "at", "progress"},
    TrajVAE: TRAINING - {"backend"} | {"latent", "device", "progress", "verbose", "weights", "temperature"},
    Embed: {"weights", "temperature", "verbose"},
    ConformationStream: {f.name for f in dataclasses.fields(RepairOptions)}
    | {"seed", "mean", "sampler", "novelty", "at", "progress"},
    prepare: {"config", "reading", "inputs", "device", "memory", "command"},
    candidates: TRAINING - {"backend", "latent_dim"} | {"dims"},
}
QUICK = {"epochs": 2, "hidden": (8,), "device": "cpu"}


@pytest.mark.parametrize("function", SPELLED, ids=lambda f: f.__qualname__)
def test_every_option_stands_in_the_signature(function):
    """What `help` and completion show; none hides behind `**options`."""
    parameters = inspect.signature(function).parameters
    assert set(parameters) >= SPELLED[function]
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def test_signatures_show_the_defaults():
    """Those of the configuration, of the reading and of the run."""
    parameters = inspect.signature(Model.train).parameters
    assert parameters["backend"].default == "euclidean" and parameters["device"].default == "auto"
    assert parameters["epochs"].default is None and parameters["beta"].annotation == "float"
    assert inspect.signature(Model.generate).parameters["redraws"].default == RepairOptions().redraws


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, m: TrajVAE(x, latent_dimension=3), r"TrajVAE: .*'latent_dimension'; did you mean 'latent_dim'\?"),
        (lambda x, m: TrajVAE(x, backend="rhvae"), r"TrajVAE: unexpected option 'backend'; did you mean 'latent'\?"),
        (lambda x, m: Model.train(x, selection="all"), r"Model.train: .*'selection'; did you mean 'select'\?"),
        (lambda x, m: Model.train(x, qqq=1), "'qqq'; its options are source, config, .*epochs"),
        (lambda x, m: Model.train(x, epoch=1, seeds=2), "'epoch'; did you mean 'epochs'.*'seeds'; did you mean 'seed'"),
        (lambda x, m: Model.resume("model.h5", devise="cpu"), r"Model.resume: .*'devise'; did you mean 'device'\?"),
        (lambda x, m: Model.fit(None, None, None, progres=print), r"Model.fit: .*'progres'; did you mean 'progress'\?"),
        (lambda x, m: prepare(x, memmory="2GB"), r"prepare: .*'memmory'; did you mean 'memory'\?"),
        (lambda x, m: prepare(x).run(check="a.h5"), r"PreparedTraining.run: .*'check'; did you mean 'checkpoint'\?"),
        (lambda x, m: resume("model.h5", everi=1.0), r"resume: .*'everi'; did you mean 'every'\?"),
        (lambda x, m: m.generate(5, redraw=1), r"Model.generate: unexpected option 'redraw'; did you mean 'redraws'\?"),
        (lambda x, m: m.drawing(5, sampling="prior"), r"Model.drawing: .*'sampling'; did you mean 'sampler'\?"),
        (lambda x, m: candidates(["euclidean"], epoch=5), r"candidates: .*'epoch'; did you mean 'epochs'\?"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:no topology")
def test_an_unknown_option_is_named_with_its_like(call, words, chain, tiny_model):
    """One error that is both of Python's kind and of ours, and that names what the user called."""
    with pytest.raises(TypeError, match=words) as found:
        call(chain, tiny_model)
    assert isinstance(found.value, OptionError) and "\n" not in str(found.value)
    assert "train_frames" not in str(found.value) and "__init__" not in str(found.value)


def test_training_takes_the_options_of_the_command_line(examples):
    """Selection, frames and latent space by name, as `trajvae train` has them."""
    universe = mda.Universe(str(examples / "alanine_dipeptide.pdb"), str(examples / "alanine_dipeptide.xtc"))
    model = Model.train(universe, select="name C or name N or name CA", latent="hyperspherical", step=200, **QUICK)
    assert (model.config.select, model.config.backend) == ("name C or name N or name CA", "hyperspherical")
    assert model.figures["frames"] == 50 and model.topology.n_atoms == 6
    named = Model.train(
        examples / "alanine_dipeptide.xtc",
        topology=examples / "alanine_dipeptide.pdb",
        select="name C or name N or name CA",
        backend="hyperspherical",
        step=200,
        **QUICK,
    )
    np.testing.assert_array_equal(named.record.latent, model.record.latent)


@pytest.mark.filterwarnings("ignore:no topology")
def test_options_by_name_replace_those_of_the_objects(chain):
    """A configuration and a reading are where one begins; what a signature says of the dimension holds."""
    config, reading = TrainConfig(epochs=9, hidden=(8,), seed=3), Reading(step=8)
    model = Model.train(chain, config, reading=reading, epochs=2, backend="product", signature="s1,e2", stop=200)
    assert (model.config.seed, model.config.latent_dim, model.figures["frames"]) == (3, 3, 25)
    assert model.figures["epochs"] == 2
    with pytest.raises(OptionError, match="latent and backend are the same option, got 'rhvae' and 'euclidean'"):
        Model.train(chain, latent="rhvae", backend="euclidean")


@pytest.mark.filterwarnings("ignore:no topology")
def test_embed_takes_the_file_of_a_model(chain, tiny_model, tmp_path):
    """Its path, as text or `Path`, is as good as the model; what is neither is said."""
    tiny_model.save(tmp_path / "model.h5")
    latent = Embed(chain, tiny_model).run(stop=9).results.latent
    for path in (tmp_path / "model.h5", str(tmp_path / "model.h5")):
        np.testing.assert_array_equal(Embed(chain, path).run(stop=9).results.latent, latent)
    with pytest.raises(TrajvaeError, match=r"none\.h5"):
        Embed(chain, tmp_path / "none.h5")
    with pytest.raises(OptionError, match="Embed needs a Model or the path of its file, got dict"):
        Embed(chain, {})


@pytest.mark.filterwarnings("ignore:no topology")
def test_verbose_shows_the_training(chain, capfd):
    """A bar of epochs on standard error, as MDAnalysis' verbose has one of frames; without it nothing is written."""
    TrajVAE(chain, epochs=2, hidden=(8,)).run(step=4, verbose=True)
    said = capfd.readouterr()
    assert "training" in said.err and "2/2" in said.err and said.out == ""
    Model.train(chain, epochs=2, hidden=(8,), verbose=True)
    assert "training" in capfd.readouterr().err
    TrajVAE(chain, epochs=2, hidden=(8,), verbose=True).run(step=4)
    assert "training" in capfd.readouterr().err
    TrajVAE(chain, epochs=2, hidden=(8,)).run(step=4)
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:no topology")
def test_decisions_are_logged(chain, caplog):
    """What was selected, which features and how training ended, at level INFO of the logger `trajvae`."""
    with caplog.at_level("INFO", logger="trajvae"):
        Model.train(chain, features="auto", select="index 2:9", **QUICK)
    text = "\n".join(r.getMessage() for r in caplog.records if r.name == "trajvae")
    assert "selected 8 of 12 atoms (index 2:9), 400 of 400 frames of 1 files" in text
    assert "features " in text and "bits" in text
    assert "trained 2 epochs and kept epoch " in text and "ELBO" in text
