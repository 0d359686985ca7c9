"""Commands that train: each file operation in turn is the last one, comes after a signal, or fails."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from .configs import DIGITS
from .injector import Injector, Ran
from .same import check_same
from .whole import check_whole

TYPED = (
    *(*DIGITS, "trainer=cpu", "trainer.threads=1", "latent.dim=3", "data.val_size=0.3"),
    *("trainer.log_every_n_steps=5", "trainer.max_epochs=2", "model=vae", "noise=gaussian"),
    *("callbacks.checkpoint.every_n_steps=7", "callbacks.figures.every_n_epochs=1"),
)


class Command(NamedTuple):
    """A command that trains.

    Attributes:
        before: what is run before it.
        arguments: its own.
        runs: the folders that it writes.
    """

    before: tuple[tuple[str, ...], ...]
    arguments: tuple[str, ...]
    runs: tuple[str, ...]


TRAIN = ("train", *TYPED, "hydra.run.dir=run")
COMMANDS = {
    "train": Command((), TRAIN, ("run",)),
    # the first checkpoint is written in the middle of the first epoch
    "resume": Command((TRAIN,), ("resume", "run"), ("run",)),
    "resume further": Command((TRAIN,), ("resume", "run", "trainer.max_epochs=3"), ("run",)),
    "reproduce": Command((TRAIN,), ("reproduce", "run", "--to", "again"), ("again",)),
    "multirun": Command(
        (), ("train", "-m", "seed=0,1", *TYPED, "hydra.sweep.dir=runs"), ("runs/0", "runs/1")
    ),
}
INTERRUPTED_AT = 60  # of `train`: where what is resumed was killed
EVERY = {"SIGKILL": 1, "SIGTERM": 8, "SIGHUP": 12, "ENOSPC": 8, "EIO": 8}  # how many operations apart
BESIDES = ("warning: ", "Error executing job ")  # lines beside the one; Hydra says which job of a sweep it is
SLICES = 4  # of the operations of a command, for as many tests


class Scene:
    """A command, what it begins with, and what it comes to when nothing happens to it.

    Args:
        command: to be run.
        injector: runs it.
        keep: a folder for what it begins with and comes to.
        record: takes (what, details) for the summary.
    """

    def __init__(
        self,
        command: Command,
        injector: Injector,
        keep: Path,
        record: Callable[[str, str], None],
        *,
        cut: bool,
    ) -> None:
        self.command, self.injector, self.record = command, injector, record
        self.place = injector.place
        self.begins, self.ends = keep / "begins", keep / "ends"
        for arguments in command.before:
            injector.run(*arguments, at=INTERRUPTED_AT if cut else -1)
        shutil.copytree(self.place, self.begins)
        self.reference = injector.run(*command.arguments)
        assert self.reference.code == 0, self.reference.err
        shutil.copytree(self.place, self.ends)

    def inject(self, at: int, what: str) -> str | None:
        """Let something happen before a file operation, go on, and compare; returns what is wrong."""
        shutil.rmtree(self.place)
        shutil.copytree(self.begins, self.place)
        ran = self.injector.run(*self.command.arguments, at=at, what=what)
        try:
            self.check_end(ran, what)
            for run in self.command.runs:
                if (self.place / run).exists():
                    check_whole(self.place / run, interrupted=what not in ("SIGTERM", "SIGHUP"))
            self.go_on()
            for run in self.command.runs:
                check_same(self.place / run, self.ends / run)
        except Exception as error:
            return f"{what} at {at} of {self.reference.operations}: {error!r} after {ran.err[-300:]!r}"
        self.record("injected", what)
        return None

    def check_end(self, ran: Ran, what: str) -> None:
        """Assert that it was killed, says in one line what is wrong, or does not mind."""
        if what.startswith("SIG"):
            number = signal.Signals[what]
            assert ran.code in (0, -number if what == "SIGKILL" else 128 + number), (ran.code, ran.err)
        if ran.code > 0:
            assert what.startswith("SIG") or ran.code in (1, 2), (ran.code, ran.err)
            complaints = [line for line in ran.err.splitlines() if not line.startswith(BESIDES)]
            assert len(complaints) == 1, ran.err
            assert complaints[0].startswith("isthmus: "), ran.err

    def go_on(self) -> None:
        """Resume what was begun, and begin what was not, as a person would who reads `isthmus show`."""
        begun = [run for run in self.command.runs if (self.place / run / "config.yaml").exists()]
        for run in begun:
            self.again(*self.command.arguments if self.command.arguments[0] == "resume" else ("resume", run))
        if not begun:
            self.again(*self.command.arguments)
        for number, run in enumerate(self.command.runs):
            if begun and run not in begun:  # the jobs of a sweep that it had not come to
                self.again("train", *TYPED, f"seed={number}", f"hydra.run.dir={run}")

    def again(self, *arguments: str) -> None:
        ran = self.injector.run(*arguments)
        was_done = ran.code == 2 and "RUN=run: is done" in ran.err  # there is nothing further to train
        assert ran.code == 0 or was_done, f"isthmus {' '.join(arguments)}: {ran.err}"


@pytest.fixture
def scene(
    tmp_path: Path, record_property: Callable[[str, str], None]
) -> Iterator[Callable[[Command], Scene]]:
    """Sets the scene of a command."""
    place = tmp_path / "place"
    place.mkdir()
    injector = Injector(place)
    try:
        yield lambda command: Scene(
            command, injector, tmp_path / "keep", record_property, cut=command is COMMANDS["resume"]
        )
    finally:
        injector.close()


@pytest.mark.kill
@pytest.mark.parametrize("part", range(SLICES))
@pytest.mark.parametrize("what", EVERY)
@pytest.mark.parametrize("name", COMMANDS)
def test_before_each_operation(name, what, part, scene):
    set_up = scene(COMMANDS[name])
    step = EVERY[what]
    operations = range(part * step, set_up.reference.operations, SLICES * step)
    wrong = [failure for at in operations if (failure := set_up.inject(at, what))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("command", "happening"),
    [
        (Command((), (*TRAIN, "callbacks.figures.summary=false"), ("run",)), ("SIGKILL", "ENOSPC")),
        pytest.param(COMMANDS["train"], ("SIGKILL", "ENOSPC", "SIGTERM"), marks=pytest.mark.slow),
    ],
    ids=["without pictures", "train"],
)
def test_before_some_operations(command, happening, scene):
    """The short version: at the beginning, in the middle and at the end of training."""
    set_up = scene(command)
    end = set_up.reference.operations
    for what, at in product(happening, (3, 90, end - 8, end - 2)):
        assert set_up.inject(at, what) is None
