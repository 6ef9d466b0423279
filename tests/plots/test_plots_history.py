"""The epoch that is marked is the one whose weights were kept."""

from __future__ import annotations

import dataclasses

import numpy as np

from trajvae import Model, plots

RECORD = {
    "epoch": np.array([5, 10, 15, 20]),
    "train_elbo": np.array([-9.0, -4.0, -2.0, -1.0]),
    "held_out_elbo": np.array([-9.0, -5.0, -3.0, -6.0]),
}


def marked(kept: int | None) -> dict[str, list[float]]:
    """Lines by their label, and where they are."""
    ax = plots.history(RECORD, kept=kept)
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {str(line.get_label()) for line in ax.lines}
    return {str(line.get_label()): [*line.get_xdata(), *line.get_ydata()] for line in ax.lines}


def test_the_kept_epoch_is_marked() -> None:
    """Not the maximum of the curve."""
    assert marked(10)["kept (epoch 10)"] == [10, -5.0]


def test_an_epoch_between_rows_is_a_line() -> None:
    """Of those that the history has no figures of."""
    assert marked(12)["kept (epoch 12)"][:2] == [12, 12]


def test_an_older_model_marks_none() -> None:
    """And says so."""
    lines = marked(None)
    assert lines["kept epoch unknown"] == [] and not any(name.startswith("kept (") for name in lines)


def test_a_model_file_tells_it(tmp_path, tiny_model) -> None:
    """`plot model.h5` reads the figure `kept_epoch`."""
    record = dataclasses.replace(tiny_model.record, figures=dataclasses.replace(tiny_model.figures, kept_epoch=2))
    Model(tiny_model.pipeline, record, tiny_model.files, tiny_model.selection).save(tmp_path / "model.h5")
    (panel,) = plots.select_panels(plots.panels_of(plots.read(tmp_path / "model.h5")), ["history"])
    labels = [t.get_text() for t in panel[1]().get_legend().get_texts()]
    assert "kept (epoch 2)" in labels
