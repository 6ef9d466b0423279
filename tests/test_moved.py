"""Names of earlier versions: modules that were documented are found where they were."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from trajvae._moved import MOVED, RENAMED


@pytest.mark.parametrize("name", sorted(MOVED))
def test_a_module_is_found_by_its_old_name(name: str) -> None:
    """It has the contents of the module that holds them now, and a warning says where that is."""
    code = f"import warnings; warnings.simplefilter('error'); import {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert f"DeprecationWarning: '{name}' is now '{MOVED[name]}'" in done.stderr
    new = importlib.import_module(MOVED[name])
    with pytest.warns(DeprecationWarning, match="is now"):
        sys.modules.pop(name, None)
        old = importlib.import_module(name)
    public = [n for n in vars(new) if not n.startswith("_")]
    assert public and all(getattr(old, n) is getattr(new, n) for n in public)


def test_old_names_give_the_classes_that_replaced_them() -> None:
    """Also where the class has another name now."""
    for module, names in RENAMED.items():
        sys.modules.pop(module, None)
        with pytest.warns(DeprecationWarning, match="is now"):
            old = importlib.import_module(module)
        for before, after in names.items():
            assert getattr(old, before) is getattr(importlib.import_module(MOVED[module]), after)
    from trajvae.geometry.geodesic import Descent, GeodesicOptions
    from trajvae.outputs.generate import ConformationStream, Drawing
    from trajvae.training import resume
    from trajvae.training.session import resume as now

    assert Descent is GeodesicOptions and Drawing is ConformationStream and resume is now


def test_other_names_are_not_found() -> None:
    """A module that never was is an ImportError, as ever."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("trajvae.outputs.no_such_module")
