"""Names of array types, whose shapes and units stand in the docstrings, and of what JSON holds."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]  # of numbers, truth values or text
AnyType = np.dtype[Any]  # the type of its elements
Floats = NDArray[np.floating[Any]]  # of float32 or float64
Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int8 = NDArray[np.int8]
UInt64 = NDArray[np.uint64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Text = NDArray[np.str_]

JSON: TypeAlias = Mapping[str, "JSON"] | Sequence["JSON"] | str | int | float | bool | None
JSONObject: TypeAlias = dict[str, Any]  # an object of JSON, whose keys are known where it is made

# Objects of MDAnalysis and mdtraj. Both libraries have no types, so the type checker knows nothing of these objects.
AtomGroup: TypeAlias = Any  # MDAnalysis.AtomGroup
ResidueGroup: TypeAlias = Any  # MDAnalysis.ResidueGroup
Universe: TypeAlias = Any  # MDAnalysis.Universe
TrajectoryReader: TypeAlias = Any  # MDAnalysis.coordinates.base.ProtoReader
Timestep: TypeAlias = Any  # MDAnalysis.coordinates.timestep.Timestep
MdtrajTrajectory: TypeAlias = Any  # mdtraj.Trajectory
MdtrajFile: TypeAlias = Any  # an open file of mdtraj.formats
