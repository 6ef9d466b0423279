"""Checks of the contents of a model file before it is used: it may be damaged, or made to do harm."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from trajvae.errors import ModelError, TrajvaeError
from trajvae.molecule.validity import NEAR
from trajvae.molecule.validity.handedness import KINDS
from trajvae.store import Quantity
from trajvae.store.schema import Tree
from trajvae.topology import GROUPS
from trajvae.typing import AnyArray, JSONObject

_Arguments = tuple[Any, ...]  # of any of torch's functions
_SMALL = 2**20  # numbers that any model may have beside its weights
_MOST_NEIGHBOURS = 1000  # frames whose residuals a draw combines
_TERMS = ("bonds", "angles", "centres", "omega", "planes", "fours", "rings")
_INDICES = (
    *("topology/bonds", *(f"validity/{term}" for term in _TERMS)),
    *("local_geometry/bonds", "local_geometry/angles", "local_geometry/torsions"),
)


@contextlib.contextmanager
def damaged(path: str) -> Iterator[None]:
    """Turn errors about parts that do not fit each other into one error that names the file.

    Raises
    ------
    ModelError
    """
    try:
        yield
    except (
        TrajvaeError,
        KeyError,
        ValueError,
        RuntimeError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
    ) as error:
        raise ModelError(f"'{path}' is damaged: {str(error) or type(error).__name__}") from error


class Budget(TorchFunctionMode):
    """Limit how many numbers the tensors that are made within it may hold.

    The options of a model say how large its networks are. With twice the numbers of its weights, masks and the like
    have room, and options that ask for other networks take no memory.

    Parameters
    ----------
    numbers : int
        Of the weights.
    """

    _of_shape = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.left = 2 * numbers + _SMALL

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: _Arguments = (), kwargs: JSONObject | None = None
    ) -> object:
        """Count the numbers that a function is about to make."""
        kwargs = kwargs or {}
        self.left -= self._asked(func, args, kwargs)
        if self.left < 0:
            raise ModelError("its options ask for more numbers than it has")
        return func(*args, **kwargs)

    def _asked(self, func: Callable[..., object], args: _Arguments, kwargs: JSONObject) -> int:
        if func is torch.eye:
            return math.prod((*args, *args)[:2])
        if func in self._of_shape:
            shape = kwargs["size"] if "size" in kwargs else args[0] if not isinstance(args[0], int) else args
            return math.prod(shape)
        return 0


def numbers_in(weights: Mapping[str, AnyArray]) -> int:
    """Return how many numbers all arrays hold."""
    return sum(int(np.size(w)) for w in weights.values())


def flat(groups: Tree, place: str = "") -> Iterator[tuple[str, AnyArray]]:
    """Yield all arrays of nested groups with their names."""
    for name, item in groups.items():
        if isinstance(item, Mapping):
            yield from flat(item, f"{place}{name}/")
        else:
            yield place + name, np.asarray(item.value if isinstance(item, Quantity) else item)


def check_values(groups: Tree) -> None:
    """Check the numbers of a model's groups.

    Raises
    ------
    ModelError
        Numbers that are not finite outside the history, invalid weights of the alignment, or an index of an atom, a
        frame or a file that does not exist.
    """
    arrays = dict(flat(groups))
    _check_atoms(arrays)
    if "optimiser" in groups:  # a training that goes on has no record yet
        return
    _within("validity/kinds", arrays["validity/kinds"], len(arrays["validity/contact"]))
    _within("training/sample_index", arrays["training/sample_index"], len(arrays["training/latent"]))
    _within("training/file", arrays["training/file"], len(arrays["training/files"]))
    _check_validity(arrays)
    neighbours = arrays.get("local_geometry/neighbours", np.zeros(1))  # files of earlier versions have none
    if neighbours.shape != (1,) or not 0 <= neighbours[0] < _MOST_NEIGHBOURS:
        raise ModelError(f"'local_geometry/neighbours' must be one number from 0 on, has {neighbours}")


def _check_validity(arrays: Mapping[str, AnyArray]) -> None:
    """Check the numbers of the validity test that are no indices of atoms."""
    if "validity/fours" in arrays:  # files of earlier versions have none
        _within("validity/four_kind", arrays["validity/four_kind"], len(KINDS))
        for name in ("validity/chain_low", "validity/chain_high"):
            if len(arrays[name]) != len(KINDS):
                raise ModelError(f"'{name}' must hold {len(KINDS)} numbers, holds {len(arrays[name])}")
    if "validity/stretch" in arrays:
        if len(arrays["validity/stretch"]) not in (0, 2):
            raise ModelError(f"'validity/stretch' must hold 2 numbers, holds {len(arrays['validity/stretch'])}")
        if not (arrays["validity/bond_spread"] > 0.0).all():
            raise ModelError("'validity/bond_spread' must be above 0")
    for name in ("validity/contact", "validity/contact_14"):
        if not 0.0 <= arrays[name].min() <= arrays[name].max() <= NEAR:
            raise ModelError(f"'{name}' must lie between 0 and {NEAR} Å")


def _check_atoms(arrays: Mapping[str, AnyArray]) -> None:
    """Check what every model has: finite numbers, weights and indices of atoms."""
    for name, values in arrays.items():
        kept = name.startswith(("history/", "optimiser/"))
        if values.dtype.kind == "f" and not kept and not np.isfinite(values).all():
            raise ModelError(f"'{name}' holds numbers that are not finite")
    atoms, weighting = len(arrays["topology/names"]), arrays["weighting"]
    for what, values in (("masses", arrays["topology/masses"]), ("weights", weighting)):
        if atoms < 1 or values.min() < 0.0 or not values.sum() > 0.0:
            raise ModelError(f"{what} of its atoms must not be negative, and one must be above 0")
    _check_groups(arrays)
    for name in (n for n in _INDICES if n in arrays):
        _within(name, arrays[name], atoms)
    bonds = np.sort(arrays["topology/bonds"], axis=1)
    if (bonds[:, 0] == bonds[:, 1]).any() or len(np.unique(bonds, axis=0)) < len(bonds):  # angles are of pairs of them
        raise ModelError("'topology/bonds' must join two different atoms each, and none twice")


def _check_groups(arrays: Mapping[str, AnyArray]) -> None:
    """Residues, segments and chains: all arrays or none, indices that run from 0, residues that cross no border."""
    found = {name: arrays[f"topology/{name}"] for name in GROUPS if f"topology/{name}" in arrays}
    if not found:  # a file of an earlier version
        return
    if len(found) < len(GROUPS):
        raise ModelError(f"its topology lacks {', '.join(name for name in GROUPS if name not in found)}")
    for name in ("residues", "segments", "chain_indices"):
        steps = np.diff(found[name].astype(np.int64))
        if found[name][0] != 0 or not np.isin(steps, (0, 1)).all():
            raise ModelError(f"'topology/{name}' must begin with 0 and grow by 0 or 1 from one atom to the next")
    inside = np.diff(found["residues"].astype(np.int64)) == 0
    for name in ("segments", "chain_indices"):
        if (np.diff(found[name].astype(np.int64))[inside] != 0).any():
            raise ModelError(f"'topology/{name}' must not change within a residue")


def _within(name: str, values: AnyArray, size: int) -> None:
    if values.size and not 0 <= values.min() <= values.max() < size:
        raise ModelError(f"'{name}' must lie between 0 and {size - 1}, has {values.min()} to {values.max()}")
