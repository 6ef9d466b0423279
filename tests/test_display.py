"""What results show: one short line at a prompt, an escaped table in a notebook, a data frame of all rows."""

import copy
import html.parser
import sys

import numpy as np
import pytest

from trajvae import Embed, TrajVAE, plots
from trajvae.display import Summary, html_table
from trajvae.errors import MissingPackageError, ReadError

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


class Tables(html.parser.HTMLParser):
    """Rows of the tables of a text; a tag that is not closed is an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Note it."""
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        """It closes the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """A cell."""
        if self.open[-1] in ("th", "td"):
            self.rows[-1].append(data)


@pytest.fixture(scope="module")
def results(made, tiny_model, chain):
    """Every kind of result, by its class."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = TrajVAE(chain, epochs=2, hidden=(8,)).run(step=4)
        unused = Embed(chain, tiny_model)
    marginals, comparison = made["marginals.h5"], made["compare.h5"]
    things = [
        *made.values(),
        next(iter(marginals.table.values())),
        next(iter(comparison.entries.values())),
        tiny_model.history,
        tiny_model.drawing(5),
        run,
        unused,
    ]
    return {type(thing).__name__: thing for thing in things}


def test_a_line_stays_short_whatever_is_named(results):
    """Names of files and selections may be of any length."""
    model = copy.copy(results["Model"])
    model.selection = "name CA or " * 1000
    assert len(repr(model)) < 250 and repr(model).endswith("…>")


FILES = ("model.h5", "embed.h5", "generate.h5md", "marginals.h5", "optimize.h5md", "path.h5md", "compare.h5")
KINDS = (
    "Model", "Embedding", "Conformations", "Marginals", "Comparison", "Marginal", "Entry", "TrainingHistory",
    "ConformationStream",
    "TrajVAE", "Embed",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_one_short_line(results, kind):
    """The line begins with the class and holds no array."""
    text = repr(results[kind])
    assert text.startswith(f"<{kind}") and len(text) < 250 and "array(" not in text and "\n" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_a_short_table_in_a_notebook(results, kind):
    """Well-formed, with the same title."""
    text = results[kind]._repr_html_()
    assert Tables(text).rows or kind == "Embed"
    assert len(text) < 5000 and kind in text and "array(" not in text and "<script" not in text


def test_what_results_are_made_of_is_short_too(tiny_model, written, chain):
    """Sizes of the arrays that a model, a reading and the files for plots hold, never their numbers."""
    frames, record = tiny_model.open(chain), tiny_model.record
    inside = [frames, frames.read(), tiny_model.topology, record, record.validity, tiny_model.pipeline.alignment]
    read = [plots.read(written / name) for name in FILES]
    for thing in (*inside, *read):
        text = repr(thing)
        assert text.startswith(f"<{type(thing).__name__}") and len(text) < 300 and "array(" not in text
    assert "latent (400, 2)" in repr(record)


def test_texts_of_a_table_are_escaped_and_long_ones_cut():
    """A file may be called anything; what is left out is counted."""
    rows = [("<b>&", "<script>alert(1)</script>")] + [(f"row {k}", float(k)) for k in range(30)] + [("x", "y" * 500)]
    text = html_table(Summary("<i>title</i>", rows))
    assert "<script" not in text and "<b>" not in text and "<i>" not in text and "&lt;script&gt;" in text
    assert Tables(text).rows[-1] == ["and 20 more"]
    assert "yyy" not in text and len(html_table(Summary("t", rows[-1:]))) < 300


def test_an_embedding_as_a_data_frame(results):
    """One row a frame, one column a coordinate."""
    embedding = results["Embedding"]
    table = embedding.to_dataframe()
    assert len(table) == len(embedding.latent)
    np.testing.assert_array_equal(table[["latent_0", "latent_1"]].to_numpy(), embedding.latent)
    np.testing.assert_array_equal(table["rmsd"], embedding.rmsd)
    assert table["file"].iloc[0] == embedding.files[0] and table["frame"].tolist() == embedding.frame.tolist()


def test_a_run_as_a_data_frame(results):
    """The embedding of its frames; before it ran there is none."""
    run = results["TrajVAE"]
    np.testing.assert_array_equal(run.to_dataframe()["latent_1"], run.results.latent[:, 1])
    with pytest.raises(ReadError, match="call run"):
        results["Embed"].to_dataframe()


def test_marginals_as_a_data_frame(results):
    """One row an observable, figures of other pairs of sets among them."""
    marginals = results["Marginals"]
    table = marginals.to_dataframe()
    assert table.index.tolist() == list(marginals.table) and table.index.name == "observable"
    assert table.loc["rg", "jsd"] == marginals.table["rg"].jsd and table.loc["rg", "unit"] == "Angstrom"
    assert table.loc["rg", "jsd_pca"] == marginals.table["rg"].others["jsd_pca"]


def test_a_comparison_as_a_data_frame(results):
    """One row a candidate, best first."""
    found = results["Comparison"]
    table = found.to_dataframe()
    assert table.index.tolist() == list(found.entries) and table.index[0] == found.best
    assert table.loc[found.best, "iwae"] == found.entries[found.best].figures["iwae"]
    assert {"rmsd", "latent_dim", "behind"} <= set(table)


def test_a_history_as_a_data_frame(results, tiny_model):
    """One row an evaluation; the KL divergence by the names of its parts. It is a dict of arrays as before."""
    history = results["TrainingHistory"]
    table = history.to_dataframe()
    assert len(table) == len(history["epoch"]) and {"held_out_elbo", "kl_z0", "kl_z1"} <= set(table)
    assert isinstance(history, dict) and history.keys() == tiny_model.record.history.keys()
    assert results["TrajVAE"].results.history.to_dataframe()["epoch"].tolist() == [1, 2]


def test_conformations_as_a_data_frame(results):
    """One row a conformation."""
    made = results["Conformations"]
    table = made.to_dataframe()
    assert len(table) == len(made) and table["valid"].tolist() == made.valid.tolist()


def test_without_pandas_it_is_said(results, monkeypatch):
    """One line that names the package and how to install it; nothing else needs it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match=r"needs the package pandas, .*: pip install pandas"):
        results["Embedding"].to_dataframe()
    assert results["Embedding"]._repr_html_()
