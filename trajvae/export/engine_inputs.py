"""Input files of engines: a PLUMED file, a Colvars file, and a text for people."""

from __future__ import annotations

from collections.abc import Sequence

from trajvae._version import __version__
from trajvae.export.coordinates import bias_range
from trajvae.export.description import CoordinateDescription

_LINE = 100  # characters, about, of a list of numbers


def plumed_input(d: CoordinateDescription) -> str:
    """Return a PLUMED file that computes and prints the coordinate.

    Raises
    ------
    OptionError
        The atoms' numbers in the simulation are not known.
    """
    outputs, serials = [f"cv.node-{k}" for k in range(len(d.figures.outputs))], d.serials.tolist()
    args, ranges = ",".join(outputs), [bias_range(c) for c in d.figures.outputs]
    sigma = ",".join(f"{c.width:.4g}" for c in d.figures.outputs)
    low, high = (",".join(f"{r[k]:.4g}" for r in ranges) for k in (0, 1))
    positions = ",".join(f"p{n}.{axis}" for n in serials for axis in "xyz")
    return "\n".join(
        [
            *_head(d),
            *(["UNITS LENGTH=A  # the coordinate takes Å"] if d.figures.unit == "angstrom" else []),
            "# the list joins each atom to the one before it: in the reference neighbours are at most "
            f"{d.gap:.1f} Å apart,",
            "# which must be less than half of the box",
            f"WHOLEMOLECULES ENTITY0={','.join(map(str, serials))}",
            "# NOPBC: without it PLUMED would take each atom's nearest image to the origin, and break the molecule",
            *(f"p{n}: POSITION ATOM={n} NOPBC" for n in serials),
            f"cv: PYTORCH_MODEL FILE=cv.pt ARG={positions}",
            f"PRINT ARG={args} STRIDE=500 FILE=COLVAR",
            "# widths and ranges from the training frames; height and pace are yours to choose:",
            f"# METAD ARG={args} SIGMA={sigma} HEIGHT=1.0 PACE=500 BIASFACTOR=10 TEMP=300 "
            f"GRID_MIN={low} GRID_MAX={high}",
            f"# OPES_METAD ARG={args} PACE=500 BARRIER=40 TEMP=300",
            "",
        ]
    )


def colvars_input(d: CoordinateDescription) -> str:
    """Return a Colvars file with a variable for each component.

    Raises
    ------
    OptionError
        The atoms' numbers in the simulation are not known.
    """
    numbers = _wrapped(d.serials.tolist(), 10)
    lines = [*_head(d), "# positions in the unit of the engine: nm in GROMACS, Å in NAMD and LAMMPS (real units)"]
    for k, c in enumerate(d.figures.outputs):
        low, high = bias_range(c)
        lines += [
            "colvar {",
            f"  name {c.name}",
            f"  width {c.width:.4g}",
            f"  lowerBoundary {low:.4g}",
            f"  upperBoundary {high:.4g}",
            "  torchANN {",
            "    modelFile cv.pt",
            f"    output_component {k}  # m_output_index in older versions",
            "    doubleInputTensor on",
            "    cartesian {",
            "      atoms {",
            "        atomNumbers {",
            *numbers,
            "        }",
            "      }",
            "    }",
            "  }",
            "}",
        ]
    return "\n".join([*lines, ""])


def readable_text(d: CoordinateDescription) -> str:
    """Return what the folder holds, for people."""
    f = d.figures
    rows = [f"  {c.name}: {c.low:.4g} to {c.high:.4g}, mean {c.mean:.4g}, spread {c.spread:.4g}" for c in f.outputs]
    invariant = (
        "It does not change when the molecule is turned or shifted."
        if d.alignment != "none"
        else "It takes frames as they come, since the model was trained on aligned ones: align them before."
    )
    return "\n".join(
        [
            "A latent coordinate of trajvae, for simulations",
            "",
            f"cv.pt is TorchScript, cv.pt2 a graph of torch.export ({f.dtype} input). Both take (1, {3 * f.atoms}) "
            f"positions in {'Å' if f.unit == 'angstrom' else 'nm'}, x1 y1 z1",
            f"x2 and so on, of whole molecules, and return (1, {len(f.outputs)}) numbers. {invariant}",
            f"Components: {d.components}. Over the training frames:",
            *rows,
            "",
            f"atoms: {f.atoms} ({d.selection}), in the order of selection.pdb"
            + ("" if d.numbers is None else "; their numbers in the simulation stand in cv.json"),
            f"model: {d.backend}, {d.features} features, trained on {', '.join(d.trained_on)}",
            f"SHA-256 of the model: {f.model_hash}",
            f"SHA-256 of its training frames, as far as it keeps them: {d.hashes['training']}",
            f"made by trajvae {__version__}",
            "",
        ]
    )


def _head(d: CoordinateDescription) -> list[str]:
    return [
        f"# made by trajvae {__version__} of a model with {d.backend} latent space, {d.figures.atoms} atoms",
        f"# cv.pt takes positions in {d.figures.unit}; model {d.figures.model_hash[:16]}",
    ]


def _wrapped(numbers: Sequence[int], indent: int) -> list[str]:
    """Return numbers in lines of limited length."""
    words, lines = [str(n) for n in numbers], [""]
    for word in words:
        lines = [*lines[:-1], f"{lines[-1]} {word}"] if len(lines[-1]) < _LINE else [*lines, f" {word}"]
    return [" " * (indent - 1) + line for line in lines]
