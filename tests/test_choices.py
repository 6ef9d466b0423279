"""Names that the command line takes: tables that nothing heavy is imported for, and lists of what is made elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trajvae import choices
from trajvae.features import FEATURES
from trajvae.latents import Latent
from trajvae.likelihoods.torsions import TORSIONS
from trajvae.outputs.drawing.samplers import SAMPLERS
from trajvae_cli.main import COMMANDS

DOCS = Path(__file__).parents[1] / "docs"


def first_cells(page: str, heading: str) -> list[str]:
    """The names in the first column of the table below a heading, or of the page's first one."""
    text = (DOCS / page).read_text()
    table = text[text.index(heading) :].split("\n\n")
    rows = next(part for part in table if part.lstrip().startswith("|")).splitlines()[2:]
    return [re.findall(r"`([\w-]+)`", row.split("|")[1])[0] for row in rows]


@pytest.mark.parametrize("name", choices.LATENTS)
def test_latents_are_classes_of_their_names(name: str) -> None:
    """Each entry loads a latent space and says what it is."""
    choice = choices.LATENTS[name]
    assert issubclass(choice.load(), Latent) and choice.summary


@pytest.mark.parametrize("name", choices.LIKELIHOODS)
def test_likelihoods_can_be_called(name: str) -> None:
    """Each entry loads something to call, for kinds of features that there are."""
    choice = choices.LIKELIHOODS[name]
    assert callable(choice.load()) and choice.summary and set(choice.features) <= set(FEATURES)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_their_names(name: str) -> None:
    """Each entry loads the command that it names."""
    assert COMMANDS[name].load().name == name


def test_lists_of_names_are_those_of_the_tables() -> None:
    """Names stand apart from their tables only where those cannot be imported for a help text."""
    assert choices.FEATURES == tuple(FEATURES)
    assert choices.TORSIONS == (*TORSIONS, "spatial")
    assert choices.SAMPLERS == tuple(SAMPLERS)


def test_pages_name_what_the_tables_hold() -> None:
    """The tables of docs/ have a row for each latent space and each likelihood, and no other."""
    assert first_cells("backends.md", "# Which") == list(choices.LATENTS)
    assert set(first_cells("generating.md", "likelihood")) == set(choices.LIKELIHOODS)


def test_names_in_a_sentence() -> None:
    """With commas and an "or"."""
    assert choices.any_of(["a"]) == "a"
    assert choices.any_of(["a", "b", "c"]) == "a, b or c"
