"""No garbage is collected while a command starts, and it is again while one trains and when one ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from pytorch_lightning import Callback, Trainer

from isthmus.cli import main as command
from isthmus.runs.execution import gc_pause


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_postponed_until_it_goes_on():
    with gc_pause.postponed():
        assert not gc.isenabled()
        gc_pause.go_on()
        assert gc.isenabled()
        assert gc.get_freeze_count()
    assert gc.isenabled()


class Made:
    """What a job made."""


def test_the_next_job_lets_go_of_what_the_first_one_made():
    with gc_pause.postponed():
        circle = [Made()]
        circle.append(circle)
        gone = weakref.ref(circle[0])
        gc_pause.go_on()
        del circle
        gc.collect()
        assert gone() is not None
        gc_pause.go_on()
        gc.collect()
        assert gone() is None


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with gc_pause.postponed():
        gc_pause.go_on()
        assert not gc.isenabled()
        assert not gc.get_freeze_count()


def test_a_refused_command_leaves_it_on():
    assert command.main(["train", "latent.dim=0"]) == command.MISTAKE
    assert gc.isenabled()


def test_it_is_on_while_training(tmp_path, monkeypatch):
    seen = []

    class Look(Callback):
        def on_train_start(self, trainer, pl_module):
            seen.append(gc.isenabled())

    fit = Trainer.fit

    def watched(trainer, *arguments, **keys):
        trainer.callbacks.append(Look())
        return fit(trainer, *arguments, **keys)

    monkeypatch.setattr(Trainer, "fit", watched)
    monkeypatch.chdir(tmp_path)
    typed = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "callbacks.figures.summary=false")
    assert command.main(["train", *typed]) == 0
    assert seen == [True]
