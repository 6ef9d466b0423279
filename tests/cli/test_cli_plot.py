"""`trajvae plot`, by real processes: every kind of file in every format, and what is refused."""

import json
import shutil
import subprocess
import sys

import pytest

PANELS = {
    "embed.h5": ["latent", "free_energy", "frame_jumps"],
    "model.h5": ["history", "divergence", "latent", "free_energy", "reconstruction"],
    "marginals.h5": ["marginal", "marginal", "marginal", "divergences"],
    "generate.h5md": ["latent", "validity", "distribution", "distribution", "distribution"],
    "optimize.h5md": ["optimisation", "way"],
    "path.h5md": ["way", "path_distance", "path_speed", "along"],
    "compare.h5": ["evidence", "bounds"],
}
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF"}
REFUSED = {  # a line, its exit code, and what the message names
    "embed.h5 -o figure.jpg": (1, ".png, .svg, .pdf"),
    "embed.h5 -o figure": (1, "figure"),
    "embed.h5 -o taken.png": (1, "--force"),
    "embed.h5 -o nowhere/figure.png": (1, "nowhere"),
    "input.png -f": (1, "is read by this command"),
    "nothing.h5": (1, "no file 'nothing.h5'"),
    "text.h5": (1, "not a readable HDF5"),
    "cut.h5": (1, "cut.h5"),
    "bare.h5": (1, "damaged or incomplete"),
    "embed.h5 --temperature 0": (2, "temperature"),
    "embed.h5 --bins 1": (2, "bins"),
    "embed.h5 --only heat": (2, "latent, free_energy, frame_jumps"),
    "embed.h5 --observable sasa": (2, "rmsd"),
    "model.h5 --over embed.h5": (2, "only embeddings, a path and an optimisation"),
    "embed.h5 path.h5md": (2, "only where each is an embed.h5"),
    "embed.h5 other.h5": (2, "of different models"),
    "embed.h5 --over other.h5": (2, "of different models"),
    "embed.h5 other.h5 --over model.h5": (2, "of different models"),
    "path.h5md --over other.h5": (2, "another model"),
    "embed.h5 --color sasa": (2, "there are end_to_end, frame_jump, in_support, rg, rmsd, time, trajectory"),
    "embed.h5 --color nowhere.npy": (1, "no file 'nowhere.npy'"),
    "embed.h5 --color text.h5": (1, "no columns of numbers"),
    "embed.h5 --color distance:0,5": (1, "say where it is with --trajectory"),
    "marginals.h5 --color rg": (2, "--color is of the latent points"),
    "marginals.h5 --observable sasa": (2, "no observable 'sasa'"),
    "path.h5md --over marginals.h5": (1, "embed.h5 or a model.h5"),
    "path.h5md --over curved.h5": (2, "another latent space"),
}


# imports once, then forks a child a command: each is a process of its own
DRIVER = """
import json, os, sys, tempfile
import trajvae.plots, trajvae_cli
found = []
for folder, arguments in json.load(sys.stdin):
    files = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if not child:
        os.dup2(files[0].fileno(), 1)
        os.dup2(files[1].fileno(), 2)
        os.chdir(folder)
        sys.argv = ["trajvae", "plot", *arguments]
        try:
            trajvae_cli.main()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for file in files:
        file.seek(0)
    found.append([code, *(file.read().decode() for file in files)])
print(json.dumps(found))
"""


def run_all(folder, lines):
    """Exit code, stdout and stderr of each `trajvae plot LINE` in a folder."""
    jobs = json.dumps([[str(folder), line.split()] for line in lines])
    done = subprocess.run([sys.executable, "-c", DRIVER], input=jobs, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(zip(lines, json.loads(done.stdout), strict=True))


@pytest.fixture(scope="module")
def figures(written, tmp_path_factory):
    """A folder with a figure of every kind of file in every format, and what was said of each."""
    folder = tmp_path_factory.mktemp("figures")
    lines = [f"{written / name} -o {name}.{ending} --dpi 60 --json" for name in PANELS for ending in MAGIC]
    return folder, run_all(folder, lines)


@pytest.mark.parametrize("name", PANELS)
def test_every_kind_in_every_format(name, figures, written):
    """Files of the three formats, whole; JSON names the panels; the file says what made it."""
    folder, said = figures
    for ending, magic in MAGIC.items():
        code, out, err = said[f"{written / name} -o {name}.{ending} --dpi 60 --json"]
        assert (code, err) == (0, "")
        output = f"{name}.{ending}"
        files = [str(written / name)]
        wanted = {"file": files[0], "panels": PANELS[name], "output": output, "files": files, "notes": []}
        assert json.loads(out) == wanted
        data = (folder / output).read_bytes()
        assert data.startswith(magic) and len(data) > 5000
        assert ending == "pdf" or b"trajvae plot" in data
    assert len(list(folder.glob(f"{name}.*"))) == 3
    assert "<text" in (folder / f"{name}.svg").read_text()


def test_as_typed(written, tmp_path):
    """By a process of its own: the file's name in this folder, one line; a second time only with force."""
    command = [sys.executable, "-m", "trajvae_cli", "plot", written / "path.h5md", "--over", written / "embed.h5"]
    command += ["--only", "way"]
    for code, more in ((0, []), (1, []), (0, ["--force", "--temperature", "600"])):
        before = (tmp_path / "path.png").read_bytes() if (tmp_path / "path.png").exists() else b""
        full = list(map(str, [*command, *more]))
        done = subprocess.run(full, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        assert done.stdout == ("" if code else "way: path.png\n") and done.stderr.count("\n") == code
        assert ("--force" in done.stderr) == (code == 1)
        assert ((tmp_path / "path.png").read_bytes() == before) == (code == 1)
    assert [p.name for p in tmp_path.iterdir()] == ["path.png"]


@pytest.fixture(scope="module")
def wrong(written, tmp_path_factory, edited):
    """Files that are none, or of another latent space, beside good ones."""
    folder = tmp_path_factory.mktemp("wrong")
    for name in ("embed.h5", "model.h5", "marginals.h5", "path.h5md"):
        shutil.copy(written / name, folder)
    whole = (folder / "embed.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "text.h5").write_text("this is no HDF5")
    (folder / "taken.png").write_bytes(b"an older figure")
    (folder / "input.png").write_bytes(whole)  # of a wrong name, and its own default output
    for name in ("bare.h5", "curved.h5", "other.h5"):
        (folder / name).write_bytes(whole)
    with edited(folder / "bare.h5") as file:
        del file["observables/latent"]
    with edited(folder / "curved.h5") as file:
        file["observables/latent/value"].attrs["geometry"] = "s1:1.0"
    with edited(folder / "other.h5") as file:
        file["trajvae"].attrs["model_hash"] = 64 * "0"
    return folder


def test_what_is_refused(wrong):
    """One line that names the cause, the exit code of its kind, and every file as it was."""
    before = {p.name: p.read_bytes() for p in wrong.iterdir()}
    for line, (code, out, err) in run_all(wrong, list(REFUSED)).items():
        assert (code, out) == (REFUSED[line][0], ""), (line, err)
        assert "Traceback" not in err and REFUSED[line][1] in err.splitlines()[-1], (line, err)
        assert err.splitlines()[-1].startswith("Error: ")
    assert {p.name: p.read_bytes() for p in wrong.iterdir()} == before
