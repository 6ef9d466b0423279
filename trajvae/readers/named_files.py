"""Find the files that a result names."""

from __future__ import annotations

from pathlib import Path

from trajvae.errors import ReadError


def find_named_file(name: str, beside: Path, holder: str, option: str = "--trajectory") -> str:
    """Return where a file is that a result names: as it was typed, or beside the result.

    Parameters
    ----------
    name : str
    beside : Path
        Folder of the result.
    holder : str
        Name of the result, for the error.
    option : str
        The option that says where the file is.

    Raises
    ------
    ReadError
        It is in neither place.
    """
    for path in (Path(name), beside / name, beside / Path(name).name):
        if path.is_file():
            return str(path)
    raise ReadError(f"'{holder}' is of '{name}', which is not there: say where it is with {option}")
