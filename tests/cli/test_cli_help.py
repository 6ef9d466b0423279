"""Help: of the group and of each command, with an example, every option, and without a heavy import."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import trajvae
from trajvae.outputs.judging.trials import EPOCHS

COMMON = ("--output", "--force", "--seed", "--device", "--json", "--verbose")
READING = ("--topology", "--select", "--start", "--stop", "--step")
TRAINING = (
    "--backend", "--latent", "--latent-dim", "--signature", "--features", "--likelihood", "--align", "--center",
    "--beta", "--epochs", "--batch-size", "--hidden", "--set",
)  # fmt: skip
OPTIONS = {
    "train": (*COMMON, *READING, *TRAINING),
    "embed": (*COMMON, *READING, *TRAINING, "--model"),
    "generate": (*COMMON, "--number", "--mean", "--model"),
    "marginals": (*COMMON, *READING, "--model"),
    "optimize": (*COMMON, *READING, "--model", "--objective", "--goal", "--of"),
    "path": (*COMMON, *READING, "--model", "--from", "--to", "--metric", "--frames"),
    "compare": (*COMMON, *READING, *TRAINING, "--with", "--draws", "--held-out", "--repeats", "--jobs"),
    "free-energy": (
        "--output",
        "--force",
        "--json",
        "--seed",
        "--temperature",
        "--pair",
        "--bins",
        "--resamples",
        "--weights",
    ),
    "kinetics": (
        *READING,
        *("--lag", "--states", "--weights", "--temperature", "--model", "--output", "--force", "--seed", "--json"),
    ),
    "sensitivity": (*READING, "--weights", "--temperature", "--model", "--output", "--force", "--json"),
    "export": ("--to", "--topology", "--model", "--unit", "--dtype", "--output", "--force", "--json"),
    "plot": ("--output", "--force", "--json", "--temperature", "--bins", "--observable", "--only", "--over", "--dpi"),
    "info": ("--options", "--json"),
}
SHORT = {"train": "-s -o -f", "embed": "-s -m -o -f", "generate": "-n -m -o -f", "marginals": "-s -m -o -f"}


def help_of(*command):
    """What `trajvae COMMAND --help` prints."""
    full = [sys.executable, "-m", "trajvae_cli", *command]
    done = subprocess.run(full, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout


def test_group():
    """Every command with a word about it, and the commands to begin with."""
    text = help_of("--help")
    assert "trajvae embed traj.dcd" in text and "trajvae generate -n 1000" in text
    for command in OPTIONS:
        assert f"\n  {command} " in text
    assert help_of("-h") == text


@pytest.mark.parametrize("command", OPTIONS)
def test_command(command):
    """Every option of the contract, and an example that begins with the command itself."""
    text = help_of(command, "--help")
    words = text.replace(",", " ").split()
    assert set(OPTIONS[command]) <= set(words)
    assert set(SHORT.get(command, "").split()) <= set(words)
    assert "Example" in text and f"trajvae {command}" in text.split("Example")[1]


@pytest.mark.parametrize("command", OPTIONS)
def test_the_list_of_commands_says_what_they_say_of_themselves(command):
    """The group's one line is the first sentence of the command's own help."""
    line = next(line for line in help_of("--help").splitlines() if line.startswith(f"  {command} "))
    said = line.split(None, 1)[1]
    assert said in " ".join(help_of(command, "--help").split())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["trian", "traj.dcd"], "No such command 'trian'. Did you mean 'train'?"),
        (["optimise"], "No such command 'optimise'. Did you mean 'optimize'?"),
        (["xyzzy"], f"No such command 'xyzzy'. There are {', '.join(OPTIONS)}."),
        (["train", "--epoch", "5", "traj.dcd"], "'--epochs'"),
        (["--versoin"], "'--version'"),
    ],
)
def test_what_is_mistyped_is_answered_with_its_like(typed, said):
    """Exit 2 and a line with the command or option that was probably meant."""
    done = subprocess.run([sys.executable, "-m", "trajvae_cli", *typed], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and said in done.stderr


GROUPS = {
    "Input": ("--topology", "--select", "--step", "--format"),
    "Model": ("--model", "--backend", "--latent-dim", "--set", "--features", "--likelihood", "--hidden"),
    "Training": ("--beta", "--epochs", "--batch-size", "--memory"),
    "Output": ("--output", "--force", "--json"),
    "Running": ("--seed", "--device", "--verbose", "--help"),
}


def grouped(command):
    """The options of each group, as the help of a command has them."""
    found, group = {}, ""
    for line in help_of(command, "--help").partition("\n  Example")[0].splitlines():
        if line.endswith(":") and not line.startswith(" "):
            group = line[:-1]
        elif group and line.startswith("  -"):
            names = line[2:].partition("  ")[0]
            found.setdefault(group, []).extend(w.strip(",") for w in names.split() if w.startswith("--"))
    return found


@pytest.mark.parametrize("command", OPTIONS)
def test_options_stand_in_groups(command):
    """Each under one heading, in one order: those of the command itself first."""
    found = grouped(command)
    own = f"Options of {command}"
    assert list(found) == [name for name in (own, *GROUPS) if name in found]
    placed = {option: name for name, options in found.items() for option in options}
    assert sum(map(len, found.values())) == len(placed)
    for name, options in GROUPS.items():
        for option in options:
            assert placed.get(option, name) == name, option
    assert not set(found.get(own, ())) & {*READING, *TRAINING, *COMMON}


def test_verbose_tells_decisions(examples, tmp_path):
    """What the library logs goes to stderr, one line each; stdout holds the result alone."""
    files = [str(examples / "alanine_dipeptide.xtc"), "-s", str(examples / "alanine_dipeptide.pdb"), "--step", "200"]
    typed = ["train", *files, "--epochs", "2", "--hidden", "8", "--json", "-o", str(tmp_path / "model.h5")]
    quiet, told = (
        subprocess.run(
            [sys.executable, "-m", "trajvae_cli", *typed, *more], capture_output=True, text=True, timeout=120
        )
        for more in ([], ["-v", "--force"])
    )
    assert quiet.returncode == told.returncode == 0 and "info:" not in quiet.stderr
    assert "info: selected 10 of 22 atoms" in told.stderr and "info: trained 2 epochs" in told.stderr
    assert json.loads(told.stdout)["frames"] == 50


def test_only_the_command_that_is_used_is_imported():
    """The group's help imports no command, a command's help its own."""
    code = (
        "import sys, trajvae_cli\n"
        "try:\n    trajvae_cli.main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join(n.split('.')[-1] for n in sys.modules if n.startswith('trajvae_cli.')))\n"
    )
    for arguments, wanted in ((["--help"], set()), (["path", "--help"], {"path"})):
        full = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(full, capture_output=True, text=True, timeout=60)
        assert set(done.stderr.split()) & set(OPTIONS) == wanted


def test_defaults_are_told():
    """Help states the defaults that a user gets."""
    text = " ".join(help_of("train", "--help").split())
    for default in ("euclidean", "256,256,256", "superpose", "model.h5"):
        assert f"default: {default}" in text


def test_the_default_epochs_of_compare_are_its_own():
    """Its trainings are shorter than those of `train`."""
    text = " ".join(help_of("compare", "--help").split())
    assert f"At most; early stopping may end before. [default: {EPOCHS}]" in text


def test_version():
    """The package's own version, by the installed script too."""
    assert trajvae.__version__ in help_of("--version")
    script = Path(sys.executable).with_name("trajvae")
    done = subprocess.run([str(script), "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and trajvae.__version__ in done.stdout


def test_nothing_heavy_is_imported():
    """Help comes at once: neither torch nor the trajectory libraries nor HDF5 are loaded for it."""
    code = (
        "import sys, trajvae, trajvae_cli\n"
        "try:\n    trajvae_cli.main(['train', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "--epochs" in done.stdout
    assert not set(done.stderr.split()) & {"torch", "MDAnalysis", "mdtraj", "h5py", "scipy"}


def test_the_table_of_options_is_up_to_date():
    """docs/options.md says what the commands say; `python docs/make_options.py` writes it."""
    docs = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("make_options", docs / "make_options.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (docs / "options.md").read_text() == module.page()
    rows = [line.split(" | ") for line in module.page().splitlines() if line.startswith("| `-")]
    assert not [row for row in rows if "default" in row[1]]
    told = {row[0]: row[2] for row in reversed(rows)}  # those of `train`, which comes first
    assert told["| `--select`"].startswith("heavy atoms") and told["| `--epochs`"].startswith("about 8000")
    assert told["| `--backend`, `--latent`"] and told["| `-m`, `--model`"].startswith("model.h5")
