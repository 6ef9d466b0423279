"""Names of array types. Shapes and units stand in the docstrings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]  # of numbers, truth values or text
Floats = NDArray[np.floating[Any]]  # of float32 or float64
Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int8 = NDArray[np.int8]
UInt64 = NDArray[np.uint64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Text = NDArray[np.str_]
