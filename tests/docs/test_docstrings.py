"""Docstrings of what docs/api.md shows: the names in them are the reader's own, of the reference, or of the program."""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest

import trajvae

DOCS = Path(__file__).parents[2] / "docs"
DIRECTIVE = re.compile(r"\.\. auto(?P<kind>class|function|module):: (?P<name>[\w.]+)")
NAME = re.compile(r"`+([A-Za-z_][\w.]*)`+")
# what options, files, figures and other libraries' things are called, as a reader knows them
KNOWN = {
    "generate", "embed", "auto", "prior", "aggregate", "metric", "rg", "e2", "kl", "random_floor", "held_out_floor",
    "jsd_train", "jsd_held_out", "jsd_pca", "jsd_resampled", "model.h5", "X.h5md", "X.pdb", "results.history",
    "mdtraj.Trajectory", "viridis", "in_support", "time",
}  # fmt: skip


def located(name):
    """The object of a dotted name."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:k]))
        except ImportError:
            continue
        for part in parts[k:]:
            found = getattr(found, part)
        return found
    raise LookupError(name)


def reference():
    """What docs/api.md shows, by its full name: the members of its modules one by one."""
    out = {}
    for match in DIRECTIVE.finditer((DOCS / "api.md").read_text()):
        found = located(match["name"])
        if match["kind"] != "module":
            out[match["name"]] = found
            continue
        for name in getattr(found, "__all__", [n for n in vars(found) if not n.startswith("_")]):
            member = getattr(found, name)
            if inspect.isclass(member) or inspect.isfunction(member):
                if getattr(member, "__module__", "").startswith("trajvae"):
                    out[f"{match['name']}.{name}"] = member
    return out


REFERENCE = reference()
SHORT = {name.rpartition(".")[2] for name in REFERENCE} | set(trajvae.__all__)


def own_names(thing):
    """Parameters, fields and members."""
    names = set()
    if inspect.isclass(thing):
        names |= {n for n in dir(thing) if not n.startswith("_")}
        names |= {f.name for f in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    try:
        names |= set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        pass
    return names


def documented(thing):
    """The object and its public members that have docstrings of their own."""
    yield thing
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            member = getattr(member, "__func__", getattr(member, "fget", member))
            if not name.startswith("_") and inspect.isfunction(member):
                yield member


def foreign(thing):
    """Names in the docstrings of an object that its reader would not find."""
    mine = own_names(thing)
    for part in documented(thing):
        for name in NAME.findall(part.__doc__ or ""):
            first, _, last = name.rpartition(".")
            here = mine | own_names(part)
            known = name in KNOWN or name in here or name.split(".")[0] in here
            shown = name in SHORT or name in REFERENCE or f"trajvae.{name}" in REFERENCE
            member = first in SHORT and any(
                last in own_names(found) for full, found in REFERENCE.items() if full.endswith(first)
            )
            if not (known or shown or member):
                yield f"{part.__qualname__}: `{name}`"


def test_the_reference_is_read():
    """There are classes, functions and the members of modules in it."""
    assert {"trajvae.Model", "trajvae.compare", "trajvae.errors.ReadError", "trajvae.plots.free_energy"} <= set(
        REFERENCE
    )


@pytest.mark.parametrize("name", REFERENCE)
def test_docstrings_name_what_is_public(name):
    """No name of a function or a parameter that its reader can neither call nor find in docs/api.md."""
    assert list(foreign(REFERENCE[name])) == []
