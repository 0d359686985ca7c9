"""What the commands tell of themselves."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.cli.main import COMMANDS, find
from isthmus.runs.config.hydra.choices import groups


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_the_command_lists_its_subcommands(here, arguments):
    said = here(*arguments)
    assert said.code == 0
    assert all(name in said.out and find(name).summary in said.out for name in COMMANDS)


def test_version(here):
    from isthmus import __version__

    assert here("--version").out == f"isthmus {__version__}\n"


def test_train_lists_every_group_and_choice_with_its_meaning(here):
    said = here("train", "--help")
    assert said.code == 0
    lines = said.out.splitlines()
    for group, choices in groups().items():
        assert group in lines
        assert choices, group
        for choice, what in choices.items():
            assert what, f"{group}/{choice}.yaml begins without a comment"
            assert any(choice in line.split() and line.endswith(what) for line in lines), choice


@pytest.mark.parametrize(
    ("group", "default"), [("data", "digits"), ("architecture", "mlp"), ("regularizer", "none")]
)
def test_train_marks_the_defaults(here, group, default):
    lines = here("train", "--help").out.splitlines()
    section = lines[lines.index(group) + 1 :]
    assert next(line for line in section if line.strip().startswith("*")).split()[1] == default


@pytest.mark.parametrize("form", [("--config-dir", "mine"), ("--config-dir=mine",), ("-cd", "mine")])
def test_train_lists_the_choices_of_a_persons_own_folder(here, tmp_path, form):
    own = tmp_path / "mine" / "architecture"
    own.mkdir(parents=True)
    (own / "toy.yaml").write_text("# A toy of my own\n_target_: toy.Toy\n")
    assert "A toy of my own" in here("train", "--help", *form).out


@pytest.mark.parametrize("command", ["evaluate", "board"])
def test_other_commands_have_help(here, capsys, command):
    with pytest.raises(SystemExit) as end:
        here(command, "--help")
    assert end.value.code == 0
    assert f"usage: isthmus {command}" in capsys.readouterr().out


def test_every_file_of_a_command_is_listed():
    files = {path.stem for path in Path(main.__file__).parent.glob("*.py")}
    commands = {name for name in files if hasattr(importlib.import_module(f"isthmus.cli.{name}"), "COMMAND")}
    assert commands == set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "code"),
    [("--help", 0), ("train --help", 0), ("train --cfg job", 0), ("train latent.dim=0", 2)],
)
def test_what_needs_no_torch_does_not_import_it(typed, code, tmp_path):
    program = (
        "import sys; from isthmus.cli.main import main\n"
        f"code = main({typed.split()!r})\n"
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr


def test_ctrl_c_at_the_exit_of_python_says_nothing():
    program = (
        "import atexit, os, signal, sys, time; from isthmus.cli.main import command\n"
        "atexit.register(time.sleep, 0.1)\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['isthmus', '--version']; command()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
    assert ended.stdout.startswith("isthmus ")


def test_cfg_prints_the_composed_config(here):
    import yaml

    said = here("train", "latent.dim=3", "--cfg", "job", "model=vae")
    composed = yaml.safe_load(said.out)
    assert composed["latent"] == {"_target_": "isthmus.core.latents.gaussian.Gaussian", "dim": 3}
