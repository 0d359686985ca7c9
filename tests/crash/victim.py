"""A run that is interrupted again and again, checked each time, and compared at its end."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from isthmus.runs.folder.run_folder import RunFolder

from .kill import Ended, Moment, Reference, Stop, killing, run_until
from .same import check_same
from .whole import check_checkpoints, check_whole


class Victim:
    """A run of the config of `reference`.

    Args:
        reference: the same run, uninterrupted.
        place: a folder for it.
        start: starts `isthmus` with these arguments.
        record: takes (what, details) for the summary.
    """

    def __init__(
        self,
        reference: Reference,
        place: Path,
        start: Callable[..., subprocess.Popen[str]],
        record: Callable[[str, str], None],
    ) -> None:
        self.reference = reference
        self.run = place / "run"
        self.start = start
        self.record = record
        self.kills = 0

    def go_on(self, stop: Stop = lambda process, pace: False) -> Ended:
        """Train, or resume what is there, until `stop` ends it."""
        train = ("train", *self.reference.typed, f"hydra.run.dir={self.run}")
        command = ("resume", str(self.run)) if self.run.exists() else train
        ended = run_until(lambda: self.start(*command), self.run, stop)
        # what is left of a command that is killed may complain in Python's words
        assert ended.code == -signal.SIGKILL or "Traceback" not in ended.err, ended.err
        return ended

    def kill(self, moment: Moment) -> None:
        """Go on until a moment. One that comes after the end is no kill."""
        ended = self.go_on(killing(moment, self.reference.pace))
        if ended.code == 0:
            self.compare()
            return
        assert ended.code == -signal.SIGKILL, ended.err
        check_whole(self.run, interrupted=True)
        if not (self.run / "config.yaml").exists():
            self.kills += 1
            self.record("killed", "before the config")
            self.forget()
        elif RunFolder(self.run).read_json(self.run / "status.json")["status"] != "done":
            self.kills += 1
            self.record("killed", moment.kind)
            self.check("killed")

    def check(self, status: str) -> None:
        """Assert that everybody is told the status, and that the checkpoints that there are load."""
        said, err = self.start("show", str(self.run)).communicate(timeout=60)
        assert said.splitlines()[1].startswith(status), said + err
        assert RunFolder.open(self.run).read_status()["status"] == status
        check_checkpoints(self.run)

    def forget(self) -> None:
        """Remove a run that was killed before it began; it says that there is nothing to resume."""
        ended = self.go_on()
        assert ended.code == 2
        check_one_line(ended.err, "RUN=")
        shutil.rmtree(self.run)

    def compare(self) -> None:
        """Compare a run that is done with the one that was never interrupted, and remove it."""
        check_whole(self.run, interrupted=False)
        check_same(self.run, self.reference.run)
        self.record("same", "")
        shutil.rmtree(self.run)

    def finish(self) -> None:
        """Let it come to its end, and compare."""
        if self.run.exists():
            ended = self.go_on()
            assert ended.code == 0, ended.err
            self.compare()


def check_one_line(err: str, *parts: str) -> None:
    """Assert that a command complained in one line, with these parts."""
    assert err.startswith("isthmus: "), err
    assert err.count("\n") == 1, err
    assert all(part in err for part in parts), err
