"""Docstrings: everything public has one, its own or that of the method it overrides, in plain English."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import trajvae

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "trajvae").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])
MODULES = ["trajvae", *(found.name for found in pkgutil.walk_packages(trajvae.__path__, "trajvae."))]
# what readers of these docstrings could not parse
RIDDLES = ("what it is of", "that is none", "told", "mended", "of those that", "what is said")
# words that no verb begins with: what a function returns, where what it does was meant
NO_VERBS = "The A An What Of How Whether Where Which Those As By From With Its All Some One Both".split()
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def public(namespace: dict[str, object], module: str) -> dict[str, object]:
    """Return the public classes and functions that a module defines itself, by name."""
    kinds = (type, type(public))
    found = {name: thing for name, thing in namespace.items() if isinstance(thing, kinds) and name[0] != "_"}
    return {name: thing for name, thing in found.items() if getattr(thing, "__module__", "") == module}


def methods(cls: type) -> list[str]:
    """Return the names of the public methods and properties that a class defines itself."""
    kinds = (type(public), classmethod, staticmethod, property)
    return [name for name, member in vars(cls).items() if isinstance(member, kinds) and name[0] != "_"]


def own_docstring(thing: object) -> str:
    """Return a docstring that somebody wrote: none of a base class, and not the signature that dataclasses write."""
    text = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    written = text and not (isinstance(thing, type) and text.startswith(f"{thing.__name__}("))
    return text if written else ""


def described(cls: type, name: str) -> bool:
    """Return whether help() shows a docstring of a method: its own, or that of a class of its package."""
    package = cls.__module__.split(".")[0]
    ours = [base for base in cls.__mro__ if base.__module__.split(".")[0] == package]
    written = any(vars(base)[name].__doc__ for base in ours if name in vars(base))
    return written and bool(inspect.getdoc(getattr(cls, name)))


def undescribed(namespace: dict[str, object], module: str) -> list[str]:
    """Return the names of public classes, functions and methods of a module that have no docstring."""
    out = []
    for name, thing in public(namespace, module).items():
        out += [] if own_docstring(thing) else [name]
        if isinstance(thing, type):
            out += [f"{name}.{method}" for method in methods(thing) if not described(thing, method)]
    return out


def nouns(namespace: dict[str, object], module: str) -> list[str]:
    """Return the names of public functions and methods of a module whose own docstrings begin with no verb."""
    found = dict(public(namespace, module))
    for name, cls in [item for item in found.items() if isinstance(item[1], type)]:
        del found[name]
        members = {method: inspect.getattr_static(cls, method) for method in methods(cls)}
        found |= {f"{name}.{m}": member for m, member in members.items() if not isinstance(member, property)}
    return [name for name, thing in found.items() if (thing.__doc__ or "Return").split()[0] in NO_VERBS]


def first_sentence(text: str) -> str:
    """Return a docstring up to its first full stop, or its first paragraph where that has none."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph, maxsplit=1)[0]


def riddles(text: str) -> list[str]:
    """Return the riddles in a text, as whole words."""
    return [phrase for phrase in RIDDLES if re.search(rf"\b{phrase}\b", text)]


def unclear(text: str) -> list[str]:
    """Return what is wrong with the first sentence of a docstring: 'See X', and the riddles in it."""
    first = first_sentence(text)
    return riddles(first) + (["See"] if first.startswith("See ") else [])


def docstrings(tree: ast.Module) -> list[tuple[int, str]]:
    """Return the docstrings of a file with their lines: of the module, and of every class and function in it."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, DEFINITIONS)]
    return [(node.body[0].lineno, text) for node in nodes if (text := ast.get_docstring(node))]


def texts(tree: ast.Module) -> list[tuple[int, str]]:
    """Return the texts in a file's code with their lines: error messages and help, without docstrings."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in statements]
    return [(node.lineno, node.value) for node in found if isinstance(node.value, str)]


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_is_described(module):
    """Classes and functions have docstrings, methods have or inherit them."""
    assert not undescribed(vars(importlib.import_module(module)), module)


@pytest.mark.parametrize("module", [name for name in MODULES])
def test_functions_are_described_by_verbs(module):
    """A function's docstring says what it does: "Return the mean", not "The mean"."""
    assert not nouns(vars(importlib.import_module(module)), module)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_sentences_are_plain(path):
    """No docstring sends its reader elsewhere, and none begins with a riddle."""
    found = [(line, unclear(text)) for line, text in docstrings(ast.parse(path.read_text()))]
    assert not [(line, phrases) for line, phrases in found if phrases]


EXAMPLE = """
from dataclasses import dataclass

import torch


class Base(torch.nn.Module):
    '''Base.'''

    def known(self):
        '''Do it.'''

    @property
    def size(self):
        '''Size.'''


class Own(Base):
    '''Own.'''

    def known(self): ...

    @property
    def size(self): ...

    def forward(self): ...

    def new(self): ...

    @classmethod
    def made(cls): ...


class Silent(Base): ...


@dataclass
class Record:
    number: int


def function(): ...


def noun():
    '''The sum.'''
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_are_plain(path):
    """No error message, warning or help text holds a riddle."""
    found = [(line, riddles(text)) for line, text in texts(ast.parse(path.read_text()))]
    assert not [(line, phrases) for line, phrases in found if phrases]


def test_the_walk_finds_what_is_missing(tmp_path, monkeypatch):
    """A method inherits a docstring of its package; one of another library's, or a dataclass's signature, is none."""
    (tmp_path / "silent_example.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    example = importlib.import_module("silent_example")
    missing = {"Own.forward", "Own.new", "Own.made", "Silent", "Record", "function"}
    assert set(undescribed(vars(example), "silent_example")) == missing
    assert nouns(vars(example), "silent_example") == ["noun"]


def test_the_phrases_are_found():
    """Phrases count in the first sentence, as whole words."""
    assert unclear("Return the sum\nof those that count. More.") == ["of those that"]
    assert unclear("See `Latent`: none.") == ["See"]
    assert not unclear("Return the recommended sum. The caller is told.")
    tree = ast.parse("'''One.'''\nclass A:\n    '''Two.'''\nraise ValueError(f'{A} is told')\n")
    assert docstrings(tree) == [(1, "One."), (3, "Two.")]
    assert [riddles(text) for _, text in texts(tree)] == [["told"]]
