"""Tables as pandas' data frames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trajvae.errors import MissingPackageError

if TYPE_CHECKING:
    from pandas import DataFrame


def dataframe(
    columns: Mapping[str, Any], index: Sequence[Any] | None = None, index_name: str | None = None
) -> DataFrame:
    """Return columns as a data frame.

    Parameters
    ----------
    columns : mapping of str to array_like
        Columns of equal length; one of shape (n, k) becomes k columns, `name_0` to `name_{k-1}`.
    index : sequence, optional
        Names of the rows.
    index_name : str, optional
        What they name.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    MissingPackageError
        pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingPackageError(
            "a data frame needs the package pandas, which is not installed: pip install pandas"
        ) from error
    flat: dict[str, Any] = {}
    for name, column in columns.items():
        values = np.asarray(column)
        if values.ndim < 2:
            flat[name] = values
        else:
            flat |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
    rows = None if index is None else pandas.Index(list(index), name=index_name)
    return pandas.DataFrame(flat, index=rows)
