"""The code blocks of README.md and of these pages, run as a reader would: `python docs/run_blocks.py [PAGE...]`.

Blocks of a page run in order in one folder, empty at first, with the repository beside it as `../trajvae`. Blocks of
`bash` are given to bash, those of `python` to Python; there is none that is left alone. One of `text` is what the block
before it says: every line must be there, any number standing for any other. A picture `figures/PAGE_NAME.png` is the
file NAME.png that the page's blocks leave, and is kept in docs/figures/.

Comments of the page, right above a block, may say two things of it. `<!-- before: COMMANDS -->` are commands of bash
that run first, such as those that bring the files that the reader has. Below `<!-- in tests:` stand lines
`OLD => NEW`, up to `-->`: where a block would take minutes, or install, the tests put NEW for OLD (fewer epochs, a dry
run); OLD must be in the block.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
BLOCK = re.compile(r"^(?P<notes>(?:<!--(?:(?!-->).)*-->\n)*)```(?P<language>\S*)\n(?P<code>.*?)^```$", re.M | re.S)
NOTE = re.compile(r"<!-- (before|in tests):\s*(.*?)\s*-->", re.S)
PICTURE = re.compile(r"!\[[^\]]+\]\(figures/(?P<name>\w+\.png)\)")
NUMBER = re.compile(r"-?\d[\d.,]*(e[+-]?\d+)?")
# in a row of divergences, which observable is worst and how close it is go by numbers that processors round otherwise
WORST = re.compile(r"\b(?:agrees|close|differs) (# # #(?: [^\s\w]| Å)?) (?:\S+: .+|\w+)$")
SHELLS = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


class Block(NamedTuple):
    """A fenced block: its language, its text, the line it begins at, what runs first, and what tests change in it."""

    language: str
    code: str
    line: int
    before: str
    changes: tuple[tuple[str, str], ...]

    def in_tests(self, place: str) -> Block:
        """The block as the tests run it."""
        code = self.code
        for old, new in self.changes:
            if old not in code:
                raise PageError(f"{place}: tests would put '{new}' for '{old}', which is not in the block")
            code = code.replace(old, new)
        return self._replace(code=code)


class PageError(Exception):
    """A block failed, or says something else than the page."""


def source(page: str) -> Path:
    """The file of a page; README.md stands above these."""
    return DOCS.parent / "README.md" if page == "README" else DOCS / f"{page}.md"


def pages() -> list[str]:
    """The pages with blocks that are run."""
    names = ["README", *(p.stem for p in sorted(DOCS.glob("*.md")))]
    return [name for name in names if any(b.language in SHELLS for b in blocks(name))]


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, but for Sphinx's own directives."""
    text, found = source(page).read_text(), []
    for m in BLOCK.finditer(text):
        notes = dict(NOTE.findall(m["notes"]))
        changes = (line.partition(" => ") for line in notes.get("in tests", "").splitlines())
        line = text.count("\n", 0, m.start("language")) + 1
        pairs = tuple((old, new) for old, _, new in changes)
        found.append(Block(m["language"], m["code"], line, notes.get("before", ""), pairs))
    return [block for block in found if not block.language.startswith("{")]


def pictures(page: str) -> list[str]:
    """Files that a page's blocks leave and that it shows."""
    found = [m["name"] for m in PICTURE.finditer(source(page).read_text())]
    if not all(name.startswith(f"{page}_") for name in found):
        raise PageError(f"{page}.md shows a picture of another page, whose commands do not stand beside it")
    return [name.removeprefix(f"{page}_") for name in found]


def run_page(page: str, work: Path, *, testing: bool = False) -> Iterator[tuple[Block, str]]:
    """Run a page's blocks in the folder `work/PAGE`, as tests have them or as they stand; each with what it said.

    Raises
    ------
    PageError
        Names the page and the line.
    """
    folder = work / page
    folder.mkdir(parents=True)
    (work / "trajvae").symlink_to(DOCS.parent)
    said = ""
    for block in blocks(page):
        place = f"{page}.md, line {block.line}"
        if block.language == "text":
            check_said(block.code, said, place)
        elif block.language in SHELLS:
            if block.before:
                run_block(block._replace(language="bash", code=block.before), folder, place)
            said = run_block(block.in_tests(place) if testing else block, folder, place)
            yield block, said
        else:
            raise PageError(f"{place}: a block of '{block.language}' is neither run nor compared")
    if missing := [file for file in pictures(page) if not (folder / file).is_file()]:
        raise PageError(f"{page}.md: its blocks did not make {', '.join(missing)}")


def run_block(block: Block, folder: Path, place: str) -> str:
    """What a block prints, on either stream."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*SHELLS[block.language], block.code],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    if done.returncode:
        raise PageError(f"{place}: exit status {done.returncode}\n{block.code}\n{done.stdout}")
    return done.stdout


def check_said(wanted: str, said: str, place: str) -> None:
    """Every line of a page's output is in what was said, whatever its numbers; a line `...` stands for others."""
    there = {_masked(line) for line in said.splitlines()}
    for line in wanted.splitlines():
        if line.strip() not in ("", "...") and _masked(line) not in there:
            raise PageError(f"{place}: no such line was printed: {line}\n{said}")


def _masked(line: str) -> str:
    return WORST.sub(r"(as found) \1 (the worst)", " ".join(NUMBER.sub("#", line).split()))


def main(names: list[str]) -> None:
    """Run pages, show what blocks say, and keep the pictures."""
    (DOCS / "figures").mkdir(exist_ok=True)
    for page in names or [page for page in pages() if page != "README"]:
        with tempfile.TemporaryDirectory() as work:
            for block, said in run_page(page, Path(work)):
                print(f"== {page}.md, line {block.line}\n{block.code}-- says\n{said}", flush=True)
            for file in pictures(page):
                shutil.copy(Path(work, page, file), DOCS / "figures" / f"{page}_{file}")


if __name__ == "__main__":
    main(sys.argv[1:])
