"""Every `isthmus` command of the README is run, cut short."""

import re
import shlex
from pathlib import Path

import pytest

from isthmus.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SHORT = (
    *("trainer.max_steps=2", "trainer.accelerator=cpu", "trainer.threads=1"),
    "callbacks.figures.summary=false",
)

COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("isthmus ")
]


@pytest.fixture
def somewhere(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line):
    arguments = shlex.split(line)[1:]
    if arguments[0] == "train" and "--cfg" not in arguments:
        arguments += SHORT
    return main(arguments)


def trainings():
    """Those on 70,000 images are slow, but for the textbook's."""
    for line in COMMANDS:
        if line.startswith("isthmus train"):
            yield pytest.param(line, marks=[pytest.mark.slow] * ("fashion" in line))


@pytest.mark.parametrize("line", list(trainings()))
def test_train(line, somewhere, capsys):
    if re.search("fashion|textbook", line) and not FASHION_MNIST.is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    assert run(line) == 0
    if "--cfg" not in line:
        wanted = 4 if "--multirun" in line else 1
        assert len(list(somewhere.glob("outputs/**/results.json"))) == wanted


def test_commands_on_a_run(somewhere, capsys):
    lines = [line for line in COMMANDS if "RUN" in line]
    tasks = {"embed", "detect", "denoise", "generate", "report", "export", "pack"}
    assert {line.split()[1] for line in lines} == {"evaluate", "resume", "reproduce", "show", *tasks}
    table = ["data=table", "data.path=example:breast_cancer.csv", "data.label=diagnosis", "latent.dim=4"]
    assert main(["train", *table, "trainer.max_epochs=1", *SHORT[1:]]) == 0
    (results,) = somewhere.glob("outputs/*/*/results.json")
    for line in lines:
        short = re.sub(r"max_epochs=\d+", "max_epochs=2", line)
        assert run(short.replace("RUN", str(results.parent))) == 0


def test_python(somewhere):
    """The Python of the README, on the table that x stands for."""
    from sklearn.datasets import load_breast_cancer

    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    table = ["data=table", "data.path=example:breast_cancer.csv", "data.label=diagnosis", "latent.dim=4"]
    assert main(["train", *table, "trainer.max_epochs=1", "data.val_size=0.3", *SHORT[1:]]) == 0
    names = {"x": load_breast_cancer(as_frame=True).data}
    exec(block, names)
    assert names["codes"].shape == (569, 4)
    assert names["why"].shape == names["back"].shape == names["x"].shape
    assert names["found"].outlier.shape == (569,)
    assert names["new"].num_rows == 64


def test_every_choice_is_named():
    choices = [p for p in (Path(__file__).parents[1] / "conf").glob("*/*.yaml") if not p.name.startswith("_")]
    assert [str(p) for p in choices if f"`{p.stem}`" not in README] == []
