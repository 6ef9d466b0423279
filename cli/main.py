"""The group of commands, and how errors and warnings reach the user: one line on stderr, no traceback."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TextIO

import click

from trajvae._version import __version__
from trajvae.choices import Choice
from trajvae.errors import OptionError, TrajvaeError, TrajvaeWarning
from trajvae.runtime.system import system_reason

from . import bars
from .interrupts import own_process, sigterm_as_interrupt
from .streams import open_streams
from .together import only_first_speaks, refuse_several

COMMANDS: dict[str, Choice[click.Command]] = {  # by the first words of their help
    "train": Choice("Read, align and train; write a model.", "trajvae_cli.commands.train:train"),
    "embed": Choice("Write latent coordinates of every frame.", "trajvae_cli.commands.embed:embed"),
    "generate": Choice("Draw new conformations from the model.", "trajvae_cli.commands.generate:generate"),
    "marginals": Choice(
        "Compare simulation and model, observable by observable.", "trajvae_cli.commands.marginals:marginals"
    ),
    "optimize": Choice(
        "Find structures that optimise an observable, where the simulation has been.",
        "trajvae_cli.commands.optimize:optimize",
    ),
    "path": Choice(
        "Find the way between two conformations: a geodesic of the latent space, decoded.",
        "trajvae_cli.commands.path:path",
    ),
    "compare": Choice(
        "Compare latent spaces by held-out evidence, trained alike on the same frames.",
        "trajvae_cli.commands.compare:compare",
    ),
    "free-energy": Choice(
        "Estimate the free energy on the latent space with its errors, and find its basins.",
        "trajvae_cli.commands.free_energy:free_energy",
    ),
    "kinetics": Choice(
        "Measure how slow the latent coordinates are, beside TICA and PCA; estimate a Markov model.",
        "trajvae_cli.commands.kinetics:kinetics",
    ),
    "sensitivity": Choice(
        "Measure how much each atom and residue moves each latent coordinate.",
        "trajvae_cli.commands.sensitivity:sensitivity",
    ),
    "export": Choice(
        "Write the latent mean as a coordinate that engines load and bias.", "trajvae_cli.commands.export:export"
    ),
    "plot": Choice("Draw a figure of what one of trajvae's files holds.", "trajvae_cli.commands.plot:plot"),
    "info": Choice(
        "Say what one of trajvae's files holds, or which settings a latent space has.", "trajvae_cli.commands.info:info"
    ),
}


class WrongOption(click.ClickException):
    """Report an option whose value the library refuses."""

    exit_code = 2


def _of_the_system(error: Exception) -> click.ClickException | None:
    """What the system refused, as one line; of any other exception nothing: it is a defect."""
    refused = system_reason(error)
    if isinstance(error, OSError):
        what = f"cannot use '{error.filename}'" if error.filename else "cannot write"  # of no name is what is printed
        return click.ClickException(f"{what}: {refused or error.strerror or error}")
    return click.ClickException(refused) if refused else None


class Commands(click.Group):
    """Import a command when it is used; turn trajvae's errors into exit codes: 2 for an option, 1 for the rest."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """Run the program; without `args`, those of the command line, and then the process is nothing else."""
        if args is None:
            own_process()
            only_first_speaks()
        return super().main(args, *more, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        open_streams()
        with warnings.catch_warnings(), sigterm_as_interrupt(), bars.showing():
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", TrajvaeWarning)
            warnings.showwarning = functools.partial(_show, set())
            try:
                return super().invoke(ctx)
            except TrajvaeError as error:
                kind = WrongOption if isinstance(error, OptionError) else click.ClickException
                raise kind(str(error)) from error
            except BrokenPipeError:
                raise
            except (OSError, MemoryError, ImportError, RuntimeError) as error:
                refused = _of_the_system(error)
                if refused is None:
                    raise
                raise refused from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of their use."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names; for a mistyped one, suggest those like it."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            like = get_close_matches(name, COMMANDS, n=2)
            meant = " or ".join(f"'{other}'" for other in like)
            way = f"Did you mean {meant}?" if like else f"There are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{name}'. {way}")
        refuse_several(name)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name."""
        if cmd_name not in COMMANDS:
            return None
        return COMMANDS[cmd_name].load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, choice.summary) for name, choice in COMMANDS.items()])


def _show(
    said: set[str],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Each warning once: a source may be opened twice."""
    if str(message) not in said:
        said.add(str(message))
        with bars.aside():
            click.echo(f"warning: {message}", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="trajvae")
def main() -> None:
    """Variational autoencoders for molecular-simulation trajectories.

    \b
    In a folder with a trajectory:
      trajvae embed traj.dcd -s top.psf --select "name CA"   latent coordinates; trains model.h5 first
      trajvae generate -n 1000                               new conformations
      trajvae marginals traj.dcd -s top.psf                  simulation against model
      trajvae optimize --objective rg                        the most compact structure
      trajvae path --from 0 --to 97                          the way between two frames
      trajvae compare traj.dcd -s top.psf                    which latent space the data ask for
      trajvae free-energy embed.h5 --temperature 300         free energy with errors, and basins
      trajvae kinetics embed.h5 --lag 1ps,2ps,5ps            how slow the coordinates are, and a Markov model
      trajvae sensitivity traj.dcd -s top.psf                which atoms move the coordinates
      trajvae export --to plumed -s top.psf                  a coordinate to bias a simulation by
      trajvae plot embed.h5                                  a figure of any of these files
      trajvae info model.h5                                  what a file holds
    """
