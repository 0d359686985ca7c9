"""A person's own Lightning callback is one YAML, and what the class may do is asked first."""

from __future__ import annotations

import pytest

PYTHON = """
from pytorch_lightning import Callback


class Printer(Callback):
    def __init__(self, word):
        self.word, self.epochs = word, 0

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs += 1
        print(self.word, self.epochs, f"{trainer.callback_metrics['train/loss']:.5g}")

    def state_dict(self):
        return {"epochs": self.epochs}

    def load_state_dict(self, state):
        self.epochs = state["epochs"]


class Faulty(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        raise KeyError("not there")


class Nothing:
    pass
"""
YAML = """
printer:
  _target_: own_callbacks.Printer
  word: seen
"""
ALLOWED = {"ISTHMUS_ALLOW": "own_callbacks,pytorch_lightning"}
TYPED = (
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "logger=csv",
    "hydra.run.dir=run",
    "callbacks.figures.summary=false",
)
CHOSEN = ("--config-dir", "conf", "callbacks=[default,printer]")


@pytest.fixture
def own(isthmus, tmp_path):
    """Run a command in a folder that has a callback and its YAML."""
    for name, text in (("conf/callbacks/printer.yaml", YAML), ("code/own_callbacks.py", PYTHON)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)

    def command(*arguments, env=None):
        return isthmus(*arguments, env={"PYTHONPATH": str(tmp_path / "code"), **(env or {})})

    return command


def test_it_sees_each_epoch_and_goes_on_when_resumed(own):
    ended = own("train", *CHOSEN, *TYPED, env=ALLOWED)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    losses = [line.split()[3] for line in lines if line.startswith("epoch ")]
    assert [line for line in lines if line.startswith("seen")] == [
        f"seen {number} {loss}" for number, loss in enumerate(losses, start=1)
    ]
    ended = own("resume", "run", "trainer.max_epochs=3", env=ALLOWED)
    assert ended.returncode == 0, ended.stderr
    assert "seen 3 " in ended.stdout


def test_it_must_be_allowed(own, tmp_path):
    ended = own("train", *CHOSEN, *TYPED)
    assert ended.returncode == 2
    assert "callbacks.printer._target_=own_callbacks.Printer" in ended.stderr
    assert "ISTHMUS_ALLOW=own_callbacks" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            ("+callbacks.x._target_=own_callbacks.Nothing",),
            "callbacks.x._target_=own_callbacks.Nothing: is not a Callback",
        ),
        (("+callbacks.x.enabled=true",), "callbacks.x={}: has no _target_"),
        (("+callbacks.x=3",), "callbacks.x=3: must hold the keys of a part"),
        ((*CHOSEN, "callbacks.printer.words=a"), "callbacks.printer.words"),
        (("callbacks.checkpoint._target_=own_callbacks.Printer",), "is not a Checkpoints"),
        (("~callbacks.checkpoint",), "callbacks.checkpoint"),
        (("+callbacks.x._target_=isthmus.training.callbacks.progress_bar.Bar",), "is a progress bar"),
        (("+callbacks.x._target_=isthmus.training.callbacks.latents.Latents",), "is there twice"),
        (("+callbacks.latents._x_=1",), "callbacks.latents._x_=1: there is no such key"),
        (
            (
                "+callbacks.x._target_=pytorch_lightning.callbacks.GradientAccumulationScheduler",
                "+callbacks.x.scheduling={0:2}",
            ),
            "set trainer.accumulate_grad_batches",
        ),
    ],
)
def test_what_cannot_be_one_is_refused(typed, says, own, tmp_path):
    ended = own("train", *typed, *TYPED, env=ALLOWED)
    assert ended.returncode == 2, ended.stderr
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_where_the_traceback_is_when_one_of_several_processes_fails(own):
    faulty = ("+callbacks.x._target_=own_callbacks.Faulty", "trainer=ddp_cpu", "trainer.devices=2")
    ended = own("train", *faulty, *TYPED, env=ALLOWED)
    assert ended.returncode == 1
    assert ended.stderr == ("isthmus: training failed: 'not there'; its traceback is in run/status.json\n")


def test_one_that_averages_weights_copies_the_model(isthmus):
    averaging = "pytorch_lightning.callbacks.EMAWeightAveraging"
    ended = isthmus(
        "train",
        f"+callbacks.average._target_={averaging}",
        *TYPED,
        env={"ISTHMUS_ALLOW": "pytorch_lightning"},
    )
    assert ended.returncode == 0, ended.stderr


def test_lightnings_model_checkpoint_writes_beside_ours(own, tmp_path):
    every = ("+callbacks.every._target_=pytorch_lightning.callbacks.ModelCheckpoint",)
    ended = own("train", *every, *TYPED, env=ALLOWED)
    assert ended.returncode == 0, ended.stderr
    written = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert written == ["best.ckpt", "epoch=1-step=80.ckpt", "last.ckpt"]
    ended = own("resume", "run", "trainer.max_epochs=3", env=ALLOWED)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "run" / "checkpoints" / "epoch=2-step=120.ckpt").is_file()


def test_a_callback_is_left_out(isthmus, tmp_path):
    ended = isthmus("train", "~callbacks.figures", "callbacks.latents.enabled=false", *TYPED)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "run" / "figures").exists()
    assert not (tmp_path / "run" / "latents").exists()
