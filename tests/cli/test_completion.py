"""Bash completes commands, groups, choices, keys and run folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.cli.completion import BASH, candidates


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("isthmus tr", ["train"]),
        ("isthmus train latent=g", ["latent=gaussian"]),
        ("isthmus train data=fashion_mnist latent.", ["latent.dim="]),
        ("isthmus train noise=gaussian noise.s", ["noise.std="]),
        ("isthmus train noise.s", []),
        (
            "isthmus train regularizer=[kl] regularizer.kl.w",
            ["regularizer.kl.warmup_epochs=", "regularizer.kl.weight="],
        ),
        ("isthmus train model=vae regularizer.kl.we", ["regularizer.kl.weight="]),
        ("isthmus train experiment=textbook architecture.hi", ["architecture.hidden="]),
        ("isthmus train data=table data.csv.s", ["data.csv.separator=", "data.csv.skip_rows="]),
        ("isthmus train --mul", ["--multirun"]),
        ("isthmus train see", ["seed="]),
        ("isthmus completion ", ["bash", "fish", "zsh"]),
        ("isthmus show --", ["--help", "--json", "--verify"]),
        ("isthmus board --", ["--help", "--host", "--port"]),
        ("isthmus nothing --", []),
        ("isthmus train nothing.", []),
    ],
)
def test_candidates(line, expected):
    assert candidates(line) == expected


def test_run_folders(tmp_path, monkeypatch):
    run = tmp_path / "outputs" / "digits_ae" / "2026"
    run.mkdir(parents=True)
    (run / "status.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert candidates("isthmus evaluate out") == ["outputs/digits_ae/2026"]


@pytest.mark.parametrize(
    ("line", "replies"),
    [("isthmus train latent=", "gaussian plain"), ("isthmus train latent.d", "latent.dim=")],
)
def test_bash_itself(line, replies):
    """The script in a real bash, which splits words at the equals sign."""
    script = f"""
        {BASH}
        compopt() {{ :; }}
        COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; COMP_WORDBREAKS=$' \\t\\n"=:'
        _isthmus
        echo "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == replies
