"""Public modules and names of earlier versions, which scripts may still import.

`MOVED` maps the name of a module that was documented to the module that holds its contents now, and `RENAMED` the names
in it that have changed. An import of an old name works and gives a `DeprecationWarning`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "trajvae.observables": "trajvae.molecule.observables",
    "trajvae.memory": "trajvae.runtime.memory",
    "trajvae.readers.align": "trajvae.alignment.align",
    "trajvae.outputs.conformations": "trajvae.results.conformations",
    "trajvae.outputs.history": "trajvae.results.history",
    "trajvae.outputs.mending": "trajvae.outputs.drawing.repair",
    "trajvae.outputs.histograms": "trajvae.outputs.judging.histograms",
    "trajvae.outputs.objectives": "trajvae.outputs.searching.objectives",
    "trajvae.outputs.objective_table": "trajvae.outputs.searching.objective_table",
    "trajvae.plots.files": "trajvae.results.files",
    "trajvae.outputs.trials": "trajvae.outputs.judging.trials",
}
RENAMED = {
    "trajvae.plots.files": {"read": "load", "read_points": "load_latent_points"},
    "trajvae.outputs.mending": {"Mending": "RepairOptions"},
    "trajvae.outputs.trials": {"Plan": "ComparisonPlan"},
}


class _MovedModule(ModuleType):
    """Give the contents of a module under the name that it had."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module(MOVED[self.__name__]), RENAMED.get(self.__name__, {}).get(name, name))


class MovedModules(MetaPathFinder, Loader):
    """Find modules by the names that they had in earlier versions."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a specification for the name of a module that has moved, None for any other."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that looks names up in the one that holds them now."""
        warnings.warn(f"'{spec.name}' is now '{MOVED[spec.name]}'", DeprecationWarning, stacklevel=2)
        return _MovedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: contents are looked up when they are used."""


def install() -> None:
    """Let `import` find modules by their old names, once in a process."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
