"""Write docs/options.md, the table of every option of the command line: `python docs/make_options.py`."""

from __future__ import annotations

from pathlib import Path

import click

from trajvae_cli import main

HEAD = """# Options

Made by `python docs/make_options.py` from the commands themselves; `trajvae COMMAND --help` says the same.
What `--set` takes is listed by `trajvae info --options BACKEND`.
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


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        head = [f"## {name}\n", (command.help or "").split("\n")[0], "\n| option | what | default |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows(command)]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page())
