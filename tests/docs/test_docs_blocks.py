"""README.md and the pages of docs/: every block runs and says what stands below it, and makes the pages' pictures."""

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load():
    """docs/run_blocks.py, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("run_blocks", DOCS / "run_blocks.py")
    module = sys.modules["run_blocks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUNNER = load()


@pytest.mark.parametrize("page", RUNNER.pages())
def test_blocks_run_and_say_what_the_page_says(page, tmp_path):
    """In order, in an empty folder beside the repository; pictures of the page are among what they leave."""
    ran = [block for block, _ in RUNNER.run_page(page, tmp_path, testing=True)]
    assert ran == [block for block in RUNNER.blocks(page) if block.language in ("bash", "python")]


def test_pictures_are_those_of_the_pages():
    """What the pages show is in docs/figures/ and small, and nothing else is there."""
    shown = {f"{page.stem}_{file}" for page in DOCS.glob("*.md") for file in RUNNER.pictures(page.stem)}
    there = {path.name: path.stat().st_size for path in (DOCS / "figures").iterdir()}
    assert set(there) == shown
    assert max(there.values()) < 100_000


def test_a_picture_stands_on_the_page_that_makes_it(tmp_path, monkeypatch):
    """One of another page is refused, and so is one that no block makes."""
    monkeypatch.setattr(RUNNER, "DOCS", tmp_path)
    (tmp_path / "one.md").write_text("```bash\ntrue\n```\n![x](figures/two_x.png)\n")
    with pytest.raises(RUNNER.PageError, match="picture of another page"):
        RUNNER.pictures("one")
    (tmp_path / "one.md").write_text("```bash\ntrue\n```\n![x](figures/one_x.png)\n")
    with pytest.raises(RUNNER.PageError, match=r"did not make x\.png"):
        list(RUNNER.run_page("one", tmp_path / "work"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```bash\nfalse\n```\n", "line 1: exit status 1"),
        ("```python\nraise SystemExit(3)\n```\n", "line 1: exit status 3"),
        ("```bash\necho 4 nats\n```\n```text\n5.5 nats\n```\n```text\n5.5 bits\n```\n", "line 7: no such line"),
        ("```sh\ntrue\n```\n", "line 1: a block of 'sh' is neither run nor compared"),
        ("```\ntrue\n```\n", "line 1: a block of '' is neither run nor compared"),
        ("<!-- in tests:\n3 => 4\n-->\n```bash\ntrue 5\n```\n", "line 4: tests would put '4' for '3', which is not"),
        ("<!-- before: false -->\n```bash\ntrue\n```\n", "line 2: exit status 1"),
    ],
)
def test_what_is_wrong_is_found(text, words, tmp_path, monkeypatch):
    """A block that fails, one that says something else (numbers aside), and one that nobody would run."""
    monkeypatch.setattr(RUNNER, "DOCS", tmp_path)
    (tmp_path / "one.md").write_text(text)
    with pytest.raises(RUNNER.PageError, match=words):
        list(RUNNER.run_page("one", tmp_path / "work", testing=True))


def test_a_block_is_run_as_its_page_has_it_or_smaller(tmp_path, monkeypatch):
    """What is changed for tests is changed in tests alone; what brings the reader's files runs before."""
    monkeypatch.setattr(RUNNER, "DOCS", tmp_path)
    notes = "<!-- before: echo 7 > file -->\n<!-- in tests:\necho 100 => echo 2\n-->\n"
    (tmp_path / "one.md").write_text(f"{notes}```bash\ncat file; echo 100\n```\n")
    said = {
        testing: [s for _, s in RUNNER.run_page("one", tmp_path / str(testing), testing=testing)] for testing in (0, 1)
    }
    assert said == {0: ["7\n100\n"], 1: ["7\n2\n"]}


def test_every_fenced_block_of_code_is_found():
    """None is run by nobody because its fence is another one, in README.md and in docs/."""
    for page in ("README", *(path.stem for path in DOCS.glob("*.md"))):
        fences = [
            line for line in RUNNER.source(page).read_text().splitlines() if line.lstrip().startswith(("```", "~~~"))
        ]
        directives = [line for line in fences if line.startswith("```{")]
        assert len(fences) == 2 * (len(RUNNER.blocks(page)) + len(directives)), page


def test_each_extension_is_thirty_lines():
    """What is added to the package, and how, stands on as much as one sees at a time."""
    sections = RUNNER.source("extending").read_text().split("\n## ")[1:]
    parts = ("observable", "objective", "latent space", "likelihood", "reader of a file format", "plot", "command")
    assert [section.splitlines()[0].partition(" ")[2] for section in sections] == list(parts)
    lines = [[line for line in section.splitlines() if line.strip()] for section in sections]
    assert max(map(len, lines)) <= 30
