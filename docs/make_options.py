"""Write docs/options.md, the table of every option of the command line: `python docs/make_options.py`."""

from __future__ import annotations

from pathlib import Path

import click

from trajvae.latents import LATENTS, latent_options
from trajvae_cli import main
from trajvae_cli.grouped import ORDER, default_of, group_of

HEAD = """# Options

Made by `python docs/make_options.py` from the commands themselves; `trajvae COMMAND --help` says the same.
Options stand in the groups of the help. A default that depends on the data stands in words; options without one are
off, or none. `--help` (`-h`) shows the help of a command. What `--set` takes stands
[at the end](#set), and `trajvae info --options BACKEND` lists it.
"""


def rows(command: click.Command) -> list[str]:
    """One line of the table an option, group by group as in the command's help."""
    groups: dict[str, list[str]] = {}
    for option in command.params:
        if isinstance(option, click.Option):
            names = ", ".join(f"`{name}`" for name in option.opts)
            text, default = ((option.help or "").replace("|", "\\|"), default_of(option))
            default = default if " " in default or not default else f"`{default}`"
            groups.setdefault(group_of(option), []).append(f"| {names} | {text} | {default} |")
    own = [name for name in groups if name not in ORDER]
    out = []
    for name in (*own, *(name for name in ORDER if name in groups)):
        out += [f"| **{name or f'{command.name} itself'}** | | |", *groups[name]]
    return out


def settings() -> str:
    """The section on what each latent space is told by `--set`."""
    parts = [
        "## --set\n\nOptions of a latent space, as `--set KEY=VALUE`; in `compare` also `--set BACKEND.KEY=VALUE`.\n"
    ]
    for backend in LATENTS:
        lines = [f"### {backend}\n", "| key | what | unit | default |", "|---|---|---|---|"]
        for option in latent_options(backend):
            default = "" if option["default"] == "" else f"`{option['default']}`"
            text = option["help"].replace("|", "\\|")
            lines.append(f"| `{option['name']}` | {text} | {option['unit']} | {default} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        head = [f"## {name}\n", (command.help or "").split("\n")[0], "\n| option | what | default |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows(command)]) + "\n")
    return "\n".join([*parts, settings()])


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page())
