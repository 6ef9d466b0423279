"""`--verbose`: what the library decides, as it logs it, on stderr."""

from __future__ import annotations

import logging

import click

from . import bars
from .grouped import RUNNING, option


class _Lines(logging.Handler):
    """Writes each message as one line on stderr, beside a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        from trajvae.errors import printable

        with bars.aside():
            click.echo(f"{record.levelname.lower()}: {printable(record.getMessage())}", err=True)


def _listen(ctx: click.Context, param: click.Parameter, on: bool) -> None:
    """Show the messages of the logger `trajvae` on stderr until the command ends."""
    if not on or ctx.resilient_parsing:
        return
    logger, handler = logging.getLogger("trajvae"), _Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def silence() -> None:
        """Leave the logger as it was."""
        logger.removeHandler(handler)
        logger.setLevel(before)

    ctx.call_on_close(silence)


verbose = option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_listen,
    group=RUNNING,
    help="Say on stderr what is decided: atoms and features chosen, the epoch kept.",
)
