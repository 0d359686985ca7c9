"""A person's own Lightning callback is one YAML, and what the class may do is asked first."""

from __future__ import annotations

import sys

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
ALLOWED = "own_callbacks,pytorch_lightning"
TYPED = (
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "logger=csv",
    "hydra.run.dir=run",
    "callbacks.figures.summary=false",
)
CHOSEN = ("--config-dir", "conf", "callbacks=[default,printer]")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder that has a callback and its YAML."""
    for name, text in (("conf/callbacks/printer.yaml", YAML), ("code/own_callbacks.py", PYTHON)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield str(tmp_path / "code")
    sys.modules.pop("own_callbacks", None)


@pytest.fixture
def allowed(own, monkeypatch):
    """The callback may be used."""
    monkeypatch.setenv("ISTHMUS_ALLOW", ALLOWED)


def test_it_sees_each_epoch_and_goes_on_when_resumed(here, allowed):
    said = here("train", *CHOSEN, *TYPED)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    losses = [line.split()[3] for line in lines if line.startswith("epoch ")]
    assert [line for line in lines if line.startswith("seen")] == [
        f"seen {number} {loss}" for number, loss in enumerate(losses, start=1)
    ]
    said = here("resume", "run", "trainer.max_epochs=3")
    assert said.code == 0, said.err
    assert "seen 3 " in said.out


def test_it_must_be_allowed(here, own, tmp_path):
    said = here("train", *CHOSEN, *TYPED)
    assert said.code == 2
    assert "callbacks.printer._target_=own_callbacks.Printer" in said.err
    assert "ISTHMUS_ALLOW=own_callbacks" in said.err
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
def test_what_cannot_be_one_is_refused(typed, says, here, allowed, tmp_path):
    said = here("train", *typed, *TYPED)
    assert said.code == 2, said.err
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_where_the_traceback_is_when_one_of_several_processes_fails(own, isthmus):
    faulty = ("+callbacks.x._target_=own_callbacks.Faulty", "trainer=ddp_cpu", "trainer.devices=2")
    ended = isthmus("train", *faulty, *TYPED, env={"PYTHONPATH": own, "ISTHMUS_ALLOW": ALLOWED})
    assert ended.returncode == 1
    assert ended.stderr == ("isthmus: training failed: 'not there'; its traceback is in run/status.json\n")


def test_one_that_averages_weights_copies_the_model(here, allowed):
    averaging = "pytorch_lightning.callbacks.EMAWeightAveraging"
    said = here("train", f"+callbacks.average._target_={averaging}", *TYPED)
    assert said.code == 0, said.err


def test_lightnings_model_checkpoint_writes_beside_ours(here, allowed, tmp_path):
    every = ("+callbacks.every._target_=pytorch_lightning.callbacks.ModelCheckpoint",)
    said = here("train", *every, *TYPED)
    assert said.code == 0, said.err
    written = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert written == ["best.ckpt", "epoch=1-step=80.ckpt", "last.ckpt"]
    said = here("resume", "run", "trainer.max_epochs=3")
    assert said.code == 0, said.err
    assert (tmp_path / "run" / "checkpoints" / "epoch=2-step=120.ckpt").is_file()


def test_a_callback_is_left_out(here, tmp_path):
    typed = [each for each in TYPED if "figures" not in each]
    said = here("train", "~callbacks.figures", "callbacks.latents.enabled=false", *typed)
    assert said.code == 0, said.err
    assert not (tmp_path / "run" / "figures").exists()
    assert not (tmp_path / "run" / "latents").exists()
