"""The history of a training: its figures at every evaluation, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Displayed, Summary
from trajvae.typing import AnyArray

if TYPE_CHECKING:
    from pandas import DataFrame


class TrainingHistory(Displayed, dict[str, AnyArray]):
    """Hold the columns of a training's history by name: a dict of arrays, one row an evaluation.

    Parameters
    ----------
    columns : mapping of str to ndarray
    parts : sequence of str
        Names of the parts of the KL divergence, the columns of `kl`.
    """

    def __init__(self, columns: Mapping[str, AnyArray], parts: Sequence[str] = ()) -> None:
        super().__init__(columns)
        self.parts = tuple(parts)

    def _summary(self) -> Summary:
        rows = [(name, *self._ends(column)) for name, column in self.items() if len(column) and column.ndim == 1]
        n = max(map(len, self.values()), default=0)
        return Summary(f"TrainingHistory of {n} evaluations: {', '.join(self)}", rows, ("", "first", "last"))

    @staticmethod
    def _ends(column: AnyArray) -> tuple[object, object]:
        return column[0].item(), column[-1].item()

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row an evaluation; needs the package pandas.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        columns: dict[str, AnyArray] = {}
        for name, column in self.items():
            if name == "kl" and np.ndim(column) == 2 and column.shape[1] == len(self.parts):
                columns |= {f"kl_{part}": column[:, k] for k, part in enumerate(self.parts)}
            else:
                columns[name] = column
        return dataframe(columns)
