"""Every command that opens a run folder, called on a folder of which a file was changed.

A command exits with 0, with a code that it documents, or with 2 and one line. It writes nothing outside
of the folder, and in it only its own files.
"""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from isthmus.cli.hydra import sweep_folder
from isthmus.cli.main import main
from isthmus.common.errors import BadInput
from isthmus.runs.config import keys, model_size
from isthmus.runs.config.compose import compose
from isthmus.runs.execution import fit, launch, slurm
from isthmus.runs.folder.json_text import as_json
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.callbacks.checkpoints import Checkpoints
from isthmus.training.stop_requests import StopRequests
from isthmus.training.writers.background import Background

from .harness import bounded
from .places import tree

FREE = 200 << 20  # bytes of memory that a model may believe in
LONGEST = 2_000  # characters of the line that refuses
WIDEST = 10_000  # characters of any line
DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # of text: UAX 9
LOCK = ".lock"
REPORT = "report.html"
RECORDED = ("status.json", LOCK)  # a run whose process is gone is put right when it is looked at
RESUMED = (
    *(*RECORDED, "config.yaml", "provenance.json", "results.json", "reproduction.json", "metrics.csv"),
    "model.isthmus",
)
RUNS_CODE = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "pty.spawn",
    "socket.connect",
    "subprocess.Popen",
)
SMALL = (
    *("trainer=cpu", "trainer.max_epochs=1", "trainer.threads=1", "trainer.progress_bar=none"),
    "callbacks.figures.summary=false",
    *("data=digits", "data.batch_size=256", "architecture.hidden=[8]", "latent.dim=2"),
    *("model=vae", "loss=bce", "scheduler=cosine", "callbacks.early_stopping.enabled=true"),
)


class Said(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


def said(*arguments: str) -> Said:
    """Run `isthmus ARGUMENTS` in this process."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err = io.StringIO(), io.StringIO()
    try:
        code = main(arguments)
    finally:
        sys.stdout, sys.stderr = before
    return Said(code, out.getvalue(), err.getvalue())


class Home:
    """A folder with a run in it, and beside it whatever a command must not touch.

    Args:
        path: the folder, which is made. The current folder is a folder in it.
        middle: whether the checkpoints are of the middle of an epoch.

    Attributes:
        valid: the run.
        run: a copy of it, to change.
    """

    def __init__(self, path: Path, *, middle: bool = False) -> None:
        self.path = path
        self.valid, self.run, self.again = path.parent / "valid", path / "run", path / "again"
        self.aside = path / "aside"
        self.here = path / "here"
        self.here.mkdir(parents=True)
        os.chdir(self.here)
        typed = [*SMALL, f"hydra.run.dir={self.valid}"]
        with patch.object(Checkpoints, "on_train_epoch_end", _nothing) if middle else _as_it_is():
            more = ["callbacks.checkpoint.every_n_steps=3", "trainer.steps_per_execution=1"] if middle else []
            assert said("train", *typed, *more).code == 0
        (self.valid / LOCK).unlink()

    def check(self, change: Callable[[Path], None], *, trains: bool = False) -> None:
        """Change a copy of the run, and see whether all commands obey the law.

        Args:
            change: called with the folder.
            trains: whether a run that is resumed is trained, and not only made ready for it.
        """
        shutil.rmtree(self.path)
        self.here.mkdir(parents=True)
        os.chdir(self.here)
        self.aside.write_bytes(b"nobody's")
        shutil.copytree(self.valid, self.run)
        change(self.run)
        run = "../run"
        self.law("show", run)
        shown = self.law("show", run, "--json", "--verify", codes=(0, 1))
        if shown is not None:
            json.loads(shown, parse_constant=_no_number)
        if self.law("report", run, made=REPORT) is not None:
            assert not any(map(_steers, (self.run / REPORT).read_text()))
            (self.run / REPORT).unlink()
        self.law("evaluate", run)
        evaluated = self.law("evaluate", run, "--json", "--checkpoint", "last")
        if evaluated is not None:
            json.loads(evaluated, parse_constant=_no_number)
        self.law("reproduce", run, "--to", str(self.again), codes=(0, 3), fit=self.finish, other=self.again)
        self.call(self.overwrite)
        self.call(self.requeue)
        self.call(self.sweep)
        fitting, codes = (fit.fit_and_test, (0, 1, 3)) if trains else (self.finish, (0, 3))
        for overrides in ([], ["trainer.max_epochs=2"]):
            self.law("resume", run, *overrides, codes=codes, fit=fitting, changes=True)

    def law(
        self,
        *arguments: str,
        codes: tuple[int, ...] = (0,),
        fit: Callable[..., None] | None = None,
        changes: bool = False,
        other: Path | None = None,
        made: str | None = None,
    ) -> str | None:
        """Run a command, and check what it did; returns what it printed, or None where it refused.

        Args:
            arguments: of isthmus.
            codes: exit codes that it documents, besides 2.
            fit: called in place of training.
            changes: whether it trains in the folder.
            other: a folder that it makes.
            made: a file that it makes in the folder.
        """
        before, around = tree(self.run), tree(self.path, without=(self.run, other))
        with patch.object(launch, "fit_and_test", fit or launch.fit_and_test), _watched(), bounded():
            code, out, err = said(*arguments)
        assert code in (*codes, 2), (arguments, code, out, err)
        refused = code == 2
        lines = [line for line in err.splitlines(keepends=True) if not line.startswith("warning: ")]
        assert len(lines) == (refused or (changes and code == 1)), (arguments, code, err)
        for line in lines:
            assert line.startswith("isthmus: "), (arguments, err)
            assert line.endswith("\n"), (arguments, err)
            assert len(line) < LONGEST, (arguments, len(line), line)
        for text in (out, err):
            assert not any(map(_steers, text)), (arguments, text)
        if "--json" not in arguments:
            assert all(len(line) < WIDEST for line in out.splitlines()), (arguments, out)
        assert tree(self.path, without=(self.run, other)) == around, arguments
        allowed = RESUMED if changes and not refused else RECORDED
        after = tree(self.run)
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        if changes and not refused:
            allowed += tuple(
                name
                for name in changed
                if f"{name}/".startswith(("events.", *FOLDERS))
                or any(part.endswith(".part") for part in Path(name).parts)
            )
        assert changed <= {*allowed, made}, (arguments, code, err, changed)
        if "status.json" in changed and not (changes and not refused):
            self._put_right(before["status.json"][1], after["status.json"][1])
        if other is not None and other.exists():
            shutil.rmtree(other)
        return None if refused else out

    def call(self, function: Callable[[], object]) -> None:
        """The same for what is called without a command."""
        before = tree(self.path)
        with _watched(), bounded():
            function()
        after = tree(self.path)
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        assert changed <= {f"run/{LOCK}"}, changed

    def overwrite(self) -> None:
        """A new run in the folder is refused."""
        with pytest.raises(BadInput) as refused:
            RunFolder.create(self.run)
        assert len(str(refused.value)) < LONGEST

    def requeue(self) -> None:
        """A job that is in the queue again looks for its run beside another's."""
        job = {"SLURM_RESTART_COUNT": "1", "SLURM_JOB_ID": "1"}
        with patch.dict(os.environ, job), suppress(BadInput):
            slurm.requeued(compose(), self.path / "mine")

    def sweep(self) -> None:
        """A sweep looks whether it may have the folder."""
        try:
            with suppress(BadInput):
                sweep_folder.claim(self.run)
        finally:
            sweep_folder.release()

    def finish(self, cfg: Any, parts: Any, folder: RunFolder, start: Any) -> None:
        """In place of training: all of it but the steps."""
        with Background() as background:
            fit.config_row(cfg)
            fit._trainer(cfg, parts, folder, StopRequests(), start, background)
        folder.checkpoints.mkdir(exist_ok=True)
        for name in ("metrics.csv", "results.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
            (folder.path / name).unlink(missing_ok=True)
            shutil.copyfile(self.valid / name, folder.path / name)
        folder.write_status("done")

    @staticmethod
    def _put_right(before: bytes, after: bytes) -> None:
        """A status that says running may become killed, and nothing else in it changes."""
        old, new = json.loads(before), json.loads(after)
        assert (old.pop("status"), new.pop("status")) == ("running", "killed")
        assert json.loads(as_json(old)) == new


FOLDERS = ("checkpoints/", "latents/", "figures/", "projector/", "projector_config.pbtxt")


def _steers(character: str) -> bool:
    """Whether a terminal would act on a character, or write others in another direction."""
    steers = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t"
    return steers or unicodedata.bidirectional(character) in DIRECTIONS


def _nothing(*arguments: object) -> None:
    """In place of a method."""


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _no_number(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


_watching = False


@contextmanager
def _watched() -> Iterator[None]:
    """Fail where a program is run or a connection made; git, which says where a run comes from, may run."""
    global _watching
    _watching = True
    try:
        with patch.object(model_size, "available_memory", lambda: FREE):
            yield
    finally:
        _watching = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in RUNS_CODE and not (event == "subprocess.Popen" and arguments[0] == "git"):
        raise AssertionError(f"{event} {arguments}")


sys.addaudithook(_audit)
keys.compose = functools.cache(compose)  # the defaults, which no case changes
