"""Exports: the latent mean of a model as files that engines load, in a folder."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from trajvae.arguments.lookup import check_choice
from trajvae.choices import ENGINES
from trajvae.display import Displayed, Summary
from trajvae.errors import DAMAGED, OutputError, ReadError
from trajvae.export.atoms import match_atoms, open_whole
from trajvae.export.coordinates import coordinates_of, with_slopes
from trajvae.export.description import CoordinateDescription
from trajvae.export.engine_inputs import colvars_input, plumed_input, readable_text
from trajvae.export.latent_cv import LatentCV
from trajvae.export.program import exported_program, torch_module, torchscript
from trajvae.figures import ExportFigures
from trajvae.model_base import ModelBase
from trajvae.models.model_file import hash_of
from trajvae.molecule.pdb import write_pdb
from trajvae.runtime.system import refusal
from trajvae.store import check_outputs, path_for_writing, whole_files
from trajvae.topology import Topology
from trajvae.typing import Int64

DESCRIPTION = "cv.json"
_PROGRAMS = ("cv.pt", "cv.pt2", "selection.pdb", "README.txt")
_INPUTS: dict[str, tuple[str, Callable[[CoordinateDescription], str]]] = {
    "plumed": ("plumed.dat", plumed_input),
    "colvars": ("colvars.in", colvars_input),
}
_UNIT = {"plumed": "nm"}  # that engines take by default; Å elsewhere


@dataclass(frozen=True, eq=False, repr=False)
class Export(Displayed):
    """Hold the files of an export.

    Attributes
    ----------
    figures : ExportFigures
    files : dict of bytes
        Contents of each file by its name; the last one is cv.json.
    """

    figures: ExportFigures
    files: dict[str, bytes]

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write all files into a folder, which is made if there is none: all of them, or none.

        Parameters
        ----------
        folder : str or Path
        force : bool
            Whether existing files of these names may be replaced.

        Raises
        ------
        OutputError
            A file exists and `force` is off, or the disk refused to write.
        """
        with _made(Path(folder)), whole_files(*(Path(folder, name) for name in self.files), force=force) as parts:
            for part, contents in zip(parts, self.files.values(), strict=True):
                path_for_writing(part).write_bytes(contents)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder that `save` wrote.

        Raises
        ------
        ReadError
            A file is missing, or cv.json is damaged.
        """
        damaged = f"'{folder}' holds no export of trajvae, or a damaged one"
        try:
            figures = ExportFigures.from_json(json.loads(Path(folder, DESCRIPTION).read_text(encoding="utf-8")))
            names = figures.files
            if DESCRIPTION not in names or any(Path(name).name != name for name in names):
                raise ReadError(f"{damaged}: '{DESCRIPTION}' does not name the files beside it")
            return cls(figures, {name: Path(folder, name).read_bytes() for name in names})
        except OSError as error:
            raise ReadError(f"{damaged}: {refusal(error)}") from error
        except DAMAGED as error:
            raise ReadError(f"{damaged}: {error}") from error

    def _summary(self) -> Summary:
        f = self.figures
        title = f"Export for {f.engine}, {len(f.outputs)} outputs of {f.atoms} atoms in {f.unit}, {f.dtype}"
        return Summary(title, [(name, f"{len(contents)} bytes") for name, contents in self.files.items()])


def export(
    model: ModelBase,
    engine: str = "torch",
    *,
    topology: str | Path | Topology | None = None,
    unit: str | None = None,
    dtype: str = "float32",
) -> Export:
    """Export the latent mean of a model as a collective variable.

    Parameters
    ----------
    model : Model
    engine : {"torch", "plumed", "colvars"}
        For whom an input file is written beside the programs.
    topology : str, Path or Topology, optional
        Of the whole simulation, whose atom numbers the engine's input has; wanted for PLUMED and Colvars.
    unit : {"nm", "angstrom"}, optional
        Of the positions that the coordinate takes; by default nm for PLUMED and Å for others.
    dtype : {"float32", "float64"}
        Precision of the network's layers.

    Returns
    -------
    Export

    Raises
    ------
    ModelError
        The model's latent points cannot drive a simulation, or its atoms are not in the topology.
    OptionError
        There is no such engine, unit or precision; or the engine needs a topology.
    """
    check_choice(engine, ENGINES, "engine")
    unit = unit or _UNIT.get(engine, "angstrom")
    names = (*_PROGRAMS, *(_INPUTS[engine][:1] if engine in _INPUTS else ()), DESCRIPTION)
    figures = ExportFigures(
        engine=engine,
        unit=unit,
        dtype=dtype,
        atoms=model.pipeline.n_atoms,
        outputs=with_slopes(coordinates_of(model), LatentCV(model), model.record.sample),
        files=names,
        model_hash=hash_of(model.pipeline),
    )
    described = CoordinateDescription.of(model, figures, _numbers(model, topology))
    texts = {"README.txt": readable_text(described), DESCRIPTION: json.dumps(described.to_json(), indent=1) + "\n"}
    if engine in _INPUTS:
        name, write = _INPUTS[engine]
        texts[name] = write(described)  # before what takes seconds: it may lack a topology
    module, reference = torch_module(model, unit=unit, dtype=dtype), described.reference
    contents = {name: text.encode() for name, text in texts.items()}
    contents["cv.pt"] = torchscript(module, reference)
    contents["cv.pt2"] = exported_program(module, reference, dtype)
    contents["selection.pdb"] = _pdb(described)
    return Export(figures, {name: contents[name] for name in names})


def check_folder(folder: Path, engine: str, *, force: bool) -> None:
    """Refuse, before any work, a folder whose files would be replaced without permission.

    Raises
    ------
    OutputError
        Names the file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file: choose another folder with -o/--output")
    if folder.is_dir():
        names = (*_PROGRAMS, *(_INPUTS[engine][:1] if engine in _INPUTS else ()), DESCRIPTION)
        check_outputs([folder / name for name in names], force=force)


def _numbers(model: ModelBase, topology: str | Path | Topology | None) -> Int64 | None:
    """Return the atoms' numbers in a simulation, from 1 on."""
    if topology is None:
        return None
    whole = topology if isinstance(topology, Topology) else open_whole(str(topology))
    name = "the topology" if isinstance(topology, Topology) else f"'{topology}'"
    return match_atoms(model.topology, whole, name) + 1


def _pdb(described: CoordinateDescription) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "selection.pdb")
        write_pdb(path, described.topology, described.reference)
        return path.read_bytes()


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder if there is none; it is removed again where nothing comes to stand in it."""
    try:
        folder.mkdir()
        new = True
    except FileExistsError:
        new = False
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}': {refusal(error)}") from error
    try:
        yield
    finally:
        if new:
            with contextlib.suppress(OSError):  # of a folder that holds files
                folder.rmdir()
