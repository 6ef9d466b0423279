"""Write docs/options.md, the table of every option of the command line: `python docs/make_options.py`."""

from __future__ import annotations

from pathlib import Path

import click

from trajvae.latents import LATENTS, latent_options
from trajvae_cli import main

HEAD = """# Options

Made by `python docs/make_options.py` from the commands themselves; `trajvae COMMAND --help` says the same.
A default that depends on the data stands in words; options without one are off, or none. What `--set` takes stands
[at the end](#set), and `trajvae info --options BACKEND` lists it.
"""


def rows(command: click.Command) -> list[str]:
    """One line of the table an option."""
    out = []
    for option in command.params:
        if isinstance(option, click.Option):
            names = ", ".join(f"`{name}`" for name in option.opts)
            plain = option.default if isinstance(option.default, int | float | str | Path) else None
            default = "" if option.is_flag or plain is None or option.required else f"`{plain}`"
            text = (option.help or "").replace("|", "\\|")
            out.append(f"| {names} | {text} | {default} |")
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
