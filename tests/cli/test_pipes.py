"""Nobody has to read what a command prints, and nothing that is printed steers a terminal."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import pytest

from isthmus.cli import main as cli
from isthmus.common.messages import escaped
from isthmus.runs.execution.guarded_streams import GuardedStream

RUN = Path(__file__).parents[1] / "fixtures" / "run_v3"

SMALL = (
    *("architecture.hidden=[8]", "latent.dim=2", "trainer=cpu", "trainer.threads=1"),
    *("callbacks.figures.enabled=false", "callbacks.projector.enabled=false", "hydra.run.dir=run"),
)


def status_of(folder):
    return json.loads((folder / "status.json").read_text())["status"]


def test_training_goes_on_without_its_reader(starting, tmp_path):
    process = starting("train", "trainer.max_epochs=30", *SMALL, cwd=tmp_path)
    assert any(line.startswith("epoch 1/30") for line in process.stdout)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(240) == 0
    assert status_of(tmp_path / "run") == "done"


@pytest.mark.slow
def test_it_stops_without_its_reader(starting, tmp_path):
    process = starting("train", "trainer.max_epochs=3000", *SMALL, cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 130
    assert status_of(tmp_path / "run") == "stopped"


@pytest.mark.slow
def test_a_failure_is_told_by_the_exit_code(starting, tmp_path):
    process = starting("train", "optimizer=sgd", "optimizer.lr=1e9", *SMALL, cwd=tmp_path)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(240) == 1
    assert status_of(tmp_path / "run") == "failed"
    told = json.loads((tmp_path / "run" / "status.json").read_text())
    assert f"at step {told['step']};" in told["error"]


@pytest.mark.parametrize("arguments", [["--help"], ["show", "nothing"], ["train", "--help"]])
def test_commands_that_only_print(arguments, starting, tmp_path):
    """With nobody there from the beginning, they end as they would."""
    process = starting(*arguments, cwd=tmp_path)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == (2 if "nothing" in arguments else 0)


@contextmanager
def full():
    """A stdout on a full disk."""
    with suppress(OSError), Path("/dev/full").open("w") as stream, redirect_stdout(stream):
        yield


@pytest.mark.parametrize("bar", ["true", "auto", "none"])
def test_training_ends_well_on_a_full_disk_for_logs(bar, here, tmp_path):
    with full():
        said = here("train", "trainer.max_epochs=1", f"trainer.progress_bar={bar}", *SMALL)
    assert (said.code, said.err) == (0, "")
    assert status_of(tmp_path / "run") == "done"


@pytest.mark.parametrize(
    "typed", [["--help"], ["--version"], ["show", str(RUN)], ["show", "--help"], ["train", "--cfg", "job"]]
)
def test_a_command_whose_text_is_lost_fails(typed, here, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["isthmus", *typed])
    with full(), pytest.raises(SystemExit) as ended:
        cli.command()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "isthmus: cannot write to stdout (No space left on device)\n"


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["cpu", "ddp_cpu"])
@pytest.mark.parametrize("place", ["> /dev/full 2>&1", ">&- 2>&- <&-", "2>&-", "| head -n 1"])
def test_training_in_a_shell(place, trainer, tmp_path, shell):
    ended = shell(f"trainer={trainer}", place)
    assert ended.returncode == 0, ended.stderr
    assert status_of(tmp_path / "run") == "done"


@pytest.fixture
def shell(tmp_path):
    """Train in a shell that redirects what is printed."""

    def run(trainer, place):
        typed = " ".join([*SMALL, trainer, "trainer.max_epochs=1"])
        program = f"{sys.executable} -m isthmus train {typed} {place}"
        return subprocess.run(program, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=240)

    return run


def test_training_goes_on_without_its_terminal(tmp_path):
    """With the progress bar, which asks the terminal for its width."""
    ours, theirs = pty.openpty()
    typed = ("train", "trainer.max_epochs=30", *SMALL)
    process = subprocess.Popen(
        [sys.executable, "-m", "isthmus", *typed],
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(theirs)
    shown = os.read(ours, 1000)
    assert b"\r" in shown
    os.close(ours)
    assert process.wait(240) == 0
    assert status_of(tmp_path / "run") == "done"


class Broken(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EIO, "the terminal is gone"), True),
        (BlockingIOError(errno.EAGAIN, "nobody reads"), True),
        (ValueError("I/O operation on closed file"), True),
        (BrokenPipeError(errno.EPIPE, "the reader is gone"), False),
    ],
)
def test_what_cannot_be_written_is_remembered(error, told):
    stream = GuardedStream(Broken(error))
    print("one", "two", file=stream, flush=True)
    assert stream.failure is (error if told else None)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_stdout_lacks(encoding, monkeypatch):
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding=encoding))
    assert cli.main(["there", "is", "none"]) == 2  # guards the streams
    print("ä🎉")
    sys.stdout.flush()
    assert kept.getvalue() == "ä🎉\n".encode(encoding, "backslashreplace")


def test_nothing_steers_the_terminal():
    stream = GuardedStream(kept := io.StringIO())
    evil = "\x1b[2J\x9b31m\r\b\x7f\u202e\u2066\u200f\u2028\udc80"
    stream.write(evil)
    stream.writelines(["\x07", "a\n\tb"])
    assert kept.getvalue() == evil.encode("unicode_escape").decode() + "\\x07a\n\tb"
    stream.unescaped().write("\r\x1b[A")
    assert kept.getvalue().endswith("\r\x1b[A")


@pytest.mark.parametrize("text", ["äöü ß é", "日本\u3000語", "👨\u200d👩\u200d👧 ❤\ufe0f", "1\u202f000 €"])
def test_text_of_any_language_stays(text):
    assert escaped(text) == text
