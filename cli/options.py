"""Options that commands share, each defined once."""

from __future__ import annotations

import contextlib
import glob
import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from trajvae.choices import GEOMETRIES

from . import grouped
from .grouped import F, in_group, stack
from .grouped import GroupedCommand as GroupedCommand
from .grouped import option as option
from .training_options import comparing as comparing
from .training_options import one_of as one_of
from .training_options import options_given as options_given
from .training_options import training as training
from .verbosity import verbose

if TYPE_CHECKING:
    from trajvae.cluster import DaskCluster
    from trajvae.model import Model
    from trajvae.readers.reading import Reading

PATH = click.Path(path_type=Path, readable=False)  # what cannot be read is told by who reads it
Choices: TypeAlias = dict[str, Any]  # options by name, as click gives them
LONGEST = 1e9  # seconds


class Number(click.FloatRange):
    """Take a number within a range; nan, which no range holds, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number of what is typed."""
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{found} is not in the range {self._describe_range()}.", param, ctx)
        return found


trajectories = click.argument("trajectories", nargs=-1, metavar="TRAJ...", type=str)
optional_trajectories = click.argument("trajectories", nargs=-1, metavar="[TRAJ]...", type=str)

_input, _model, _training, _output, _running = (in_group(group) for group in grouped.ORDER)

geometry = option(
    "--geometry",
    default=GEOMETRIES[0],
    show_default=True,
    metavar=one_of(GEOMETRIES),
    help="Bonds, angles and torsions of what a model of Cartesian features draws: those of the simulation, or as they "
    "are drawn from p(x|z).",
)
what_is_read = stack(
    _input("-s", "--topology", type=PATH, multiple=True, metavar="PATH",
           help="Topology: PSF, PDB, GRO, TPR or any that MDAnalysis reads; given several times, one for each "
           "trajectory."),
    _input("--select", help="Atoms, in MDAnalysis' selection language.",
           default_text="heavy atoms of protein and nucleic acid if any, else everything but solvent and ions"),
    _input("--start", type=int, help="First frame, from 0."),
    _input("--stop", type=int, help="Frame before which to stop."),
    _input("--step", type=int, help="Take every step-th frame."),
    _input("--bonds", metavar="FILE|none|guess",
           help="Take bonds from this topology file, ignore them, or guess them from distances.",
           default_text="bonds of the topology, completed by distance in residues whose atoms are not connected"),
    _input("--format", "format", metavar="NAME",
           help="Format of the trajectories, as MDAnalysis or mdtraj name it.", default_text="by the suffix"),
)  # fmt: skip
reading = stack(
    what_is_read,
    _input("--jobs", type=click.IntRange(1), metavar="N",
           help="Most processes that read XTC, TRR, DCD and NetCDF files, this one included; small files are read by "
           "one. The frames are the same, bit for bit.", default_text="the number of cores"),
)  # fmt: skip

weights = stack(
    _input("--weights", type=PATH, multiple=True, metavar="FILE",
           help="How much each frame counts: .npy, .npz, text with a column of weights or of time and weight, or a "
           "COLVAR file of PLUMED with biases; given several times, one for each trajectory.",
           default_text="all frames alike"),
    _input("--temperature", type=Number(0.0, LONGEST, min_open=True), metavar="KELVIN",
           help="Of the simulation, where --weights names a file of biases V: weights are exp(V / kT)."),
)  # fmt: skip

model = _model("-m", "--model", type=PATH, help="Model file.", default_text="model.h5 in this folder")

input_option, output_option = _input, _output
as_json = _output("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, nothing else.")


def output(default: str) -> Callable[[F], F]:
    """Add `-o` and `-f`, with the command's default name."""
    return stack(
        _output("-o", "--output", type=PATH, default=default, show_default=True, help="File to write."),
        _output("-f", "--force", is_flag=True, help="Replace the output if it exists."),
    )


def structures(default: str) -> Callable[[F], F]:
    """Add `-o` and `-f` of commands that write structures."""
    text = (
        "File to write: NAME.h5md, which opens in MDAnalysis with NAME.pdb, and in mdtraj; or NAME.xtc, NAME.dcd, "
        "NAME.nc (AMBER's NetCDF) or NAME.pdb (one model a structure), beside NAME.h5md, which keeps the numbers."
    )
    return stack(
        _output("-o", "--output", type=PATH, default=default, show_default=True, help=text),
        _output("-f", "--force", is_flag=True, help="Replace the files of that name if they exist."),
    )


def written(output: Path) -> str:
    """Return the files that structures were written to, and what each is."""
    topology, numbers = output.with_suffix(".pdb"), output.with_suffix(".h5md")
    if output == numbers:
        return f"{output}   topology: {topology}"
    return f"{output}   numbers: {numbers}" + ("" if output == topology else f"   topology: {topology}")


def _unverified(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Let the command read files whose checksums differ."""
    if value:
        from trajvae.store.checksums import verification

        ctx.with_resource(verification(wanted=False))


no_verify = _running("--no-verify", is_flag=True, expose_value=False, callback=_unverified,
                     help="Read models and results whatever their checksums say.")  # fmt: skip
seed = _running("--seed", type=click.IntRange(0, 2**63 - 2), default=0, metavar="INTEGER", help="Of all randomness.",
                default_text="0")  # fmt: skip
scheduler = _running(
    "--scheduler",
    metavar="ADDRESS",
    help="Compute by the workers of this Dask scheduler, range by range of the frames: tcp://HOST:PORT, or the file of "
    "'dask scheduler --scheduler-file'.",
    default_text="none: this process",
)
common = stack(
    as_json,
    no_verify,
    seed,
    _running("--device", default="auto", show_default=True, metavar="[auto|cpu|cuda]", help="Where to compute."),
    verbose,
)  # fmt: skip


running = stack(
    _training("--memory", metavar="AMOUNT", help="Such as 2GB: frames that take more while training are streamed "
              "through a file of features in TMPDIR.", default_text="half of this machine's"),
    _training("--checkpoint", type=Number(0.0, LONGEST), default=60.0, show_default=True, metavar="SECONDS",
              help="Time between checkpoints of a training; `train --resume` goes on from the last."),
)  # fmt: skip

READING = ("topology", "select", "start", "stop", "step", "bonds", "format")


def weights_of(options: Choices) -> Path | list[Path] | None:
    """Return the files of weights: one, several, or None."""
    files = list(options["weights"])
    return files if len(files) > 1 else next(iter(files), None)


def reading_of(options: Choices) -> Reading:
    """Return the reading options as `Reading`."""
    from trajvae.readers.reading import Reading

    chosen = {name: options[name] for name in READING if name != "topology"}
    return Reading(topology=options["topology"] or None, jobs=options.get("jobs"), **chosen)


def check_before_work(
    outputs: list[Path],
    options: Choices,
    names: tuple[str, ...] | list[str],
    *,
    force: bool,
    going_on: bool = False,
) -> None:
    """Refuse before any work what could not be written, or would replace what is read; no other may write it then.

    Parameters
    ----------
    outputs : list of Path
    options : dict
        Those that name further files that are read.
    names : tuple or list of str
        Files and globs that are read.
    force : bool
        Whether existing files may be replaced.
    going_on : bool
        They are this command's own, which goes on with them.
    """
    from trajvae.store import hold_outputs

    inputs = [Path(found) for name in names for found in [name, *glob.glob(name)]]
    inputs += [
        *options.get("topology", ()),
        *options.get("weights", ()),
        *([options["model"]] if options.get("model") is not None else []),
    ]
    held = hold_outputs(outputs, force=force, inputs=inputs, going_on=going_on)
    click.get_current_context().with_resource(held)


def need_trajectories(names: tuple[str, ...], command: str = "embed") -> list[str]:
    """Return the trajectories; refuse none."""
    if not names:
        raise click.UsageError(f"wanted at least one trajectory, as in: trajvae {command} traj.dcd -s top.psf")
    return list(names)


def load_model(path: Path | None, device: str) -> Model:
    """Return the model that is named, or `model.h5`."""
    from trajvae.errors import ReadError
    from trajvae.model import Model
    from trajvae.runtime.system import is_readable

    found = path or Path("model.h5")
    if not is_readable(found):
        raise ReadError(f"no model '{found}': make one with 'trajvae embed TRAJ...' or 'trajvae train TRAJ...'")
    return Model.load(found, device)


def cluster_of(address: str | None) -> DaskCluster | None:
    """Return the cluster of --scheduler, connected until the command ends; None without it."""
    if address is None:
        return None
    from trajvae.cluster import DaskCluster

    with contextlib.suppress(ImportError):
        import distributed  # noqa: F401  # which sets the levels of its loggers
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised, and told in one line
    return click.get_current_context().with_resource(DaskCluster.connect(address))


def command_line() -> str:
    """Return what was typed, as it is stored in outputs."""
    from trajvae.store import storable

    return storable(shlex.join(["trajvae", *sys.argv[1:]]))
