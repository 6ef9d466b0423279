"""Help by groups: a command whose options stand under headings, each with its default after its meaning."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

INPUT, MODEL, TRAINING, OUTPUT, RUNNING = "Input", "Model", "Training", "Output", "Running"
ORDER = (INPUT, MODEL, TRAINING, OUTPUT, RUNNING)  # in the help; the command's own options come before them


class GroupedOption(click.Option):
    """Describe an option that knows its group, and the default that its user gets.

    Parameters
    ----------
    group : str
        The heading that it stands under.
    default_text : str
        The default in words, where click does not know it: None stands for what the data or another option decide.
    """

    def __init__(self, *names: Any, group: str = "", default_text: str = "", **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group, self.default_text = group, default_text

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's names, and its help with the default in words."""
        record = super().get_help_record(ctx)
        if record is None or not self.default_text:
            return record
        text, _, limits = record[1].rpartition("  [") if record[1].endswith("]") else (record[1], "", "]")
        return record[0], f"{text}  [default: {self.default_text}{'; ' if limits != ']' else ''}{limits}"


class GroupedCommand(click.Command):
    """Show a command's options under headings in its help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group; those of no group are the command's own."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                groups.setdefault(group_of(param), []).append(record)
        own = [name for name in groups if name not in ORDER]
        for name in (*own, *(name for name in ORDER if name in groups)):
            with formatter.section(name or f"Options of {self.name}"):
                formatter.write_dl(groups[name])


def group_of(option: click.Parameter) -> str:
    """Return the heading that an option stands under; empty for one of the command's own."""
    if isinstance(option, GroupedOption):
        return option.group
    return RUNNING if "--help" in option.opts else ""


def default_of(option: click.Option) -> str:
    """Return the default that a user gets, as text; empty where an option is off, or none."""
    if isinstance(option, GroupedOption) and option.default_text:
        return option.default_text
    plain = isinstance(option.default, int | float | str) or hasattr(option.default, "__fspath__")
    return str(option.default) if plain and not option.is_flag and not option.required else ""


option: Callable[..., Callable[[F], F]] = partial(click.option, cls=GroupedOption)


def in_group(group: str) -> Callable[..., Callable[[F], F]]:
    """Return `option` for options that stand under a heading."""
    return partial(option, group=group)


def stack(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that does what several do, the first outermost."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply
