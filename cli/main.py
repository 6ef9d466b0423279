"""The group of commands, and how errors and warnings reach the user: one line on stderr, no traceback."""

from __future__ import annotations

import functools
import warnings
from typing import Any, TextIO

import click

from trajvae._version import __version__
from trajvae.errors import OptionError, TrajvaeError, TrajvaeWarning

from .compare import compare
from .embed import embed
from .generate import generate
from .info import info
from .marginals import marginals
from .optimize import optimize
from .path import path
from .plot import plot
from .train import train


class WrongOption(click.ClickException):
    """An option whose value the library refuses."""

    exit_code = 2


class Commands(click.Group):
    """Turns trajvae's errors into exit codes: 2 for an option, 1 for anything else."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", TrajvaeWarning)
            warnings.showwarning = functools.partial(_show, set())
            try:
                return super().invoke(ctx)
            except TrajvaeError as error:
                kind = WrongOption if isinstance(error, OptionError) else click.ClickException
                raise kind(" ".join(str(error).split())) from error
            except OSError as error:  # the results themselves: a full disk behind stdout
                if isinstance(error, BrokenPipeError):
                    raise
                raise click.ClickException(f"cannot write: {error.strerror or error}") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of their use."""
        return list(self.commands)


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
      trajvae plot embed.h5                                  a figure of any of these files
      trajvae info model.h5                                  what a file holds
    """


for command in (train, embed, generate, marginals, optimize, path, compare, plot, info):
    main.add_command(command)
