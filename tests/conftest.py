"""What many tests need: a cache of their own, and whole commands as a person runs them."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import isthmus
from isthmus.cli.main import main

SCRIPTS = Path(sys.executable).parent
# What would make a command believe that torchrun or Slurm started it.
LAUNCHED = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "GROUP_RANK",
    "TORCHELASTIC_RUN_ID",
)
MODE = ("hydra.mode", "hydra.searchpath", "--config", "-cp", "-cn", "-cd")  # arguments that can set it
os.environ["HF_HUB_OFFLINE"] = "1"  # without a network each name would be tried for half a minute


class Said(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


def start(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, program: str = "isthmus"
) -> subprocess.Popen[str]:
    """Start a console script of this environment in a process group of its own."""
    clean = {k: v for k, v in os.environ.items() if k not in LAUNCHED and not k.startswith("SLURM_")}
    return subprocess.Popen(
        [str(SCRIPTS / program), *arguments],
        cwd=cwd,
        env={**clean, "COLUMNS": "200", "OMP_NUM_THREADS": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], *, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Wait for what `start` started; it ends with its whole group where it takes too long."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session", autouse=True)
def _heeded_signals() -> Iterator[None]:
    """Signals as in a terminal, which commands inherit: a job in the background of a shell ignores some."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGTERM: signal.SIG_DFL,
    }
    ignored = [number for number in usual if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, usual[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_done_twice() -> Iterator[None]:
    """What each training in this process would do again: a third of the time of a small one.

    Hydra composes a config once more, only to see whether it sets hydra.mode. The installed packages and the
    commit of isthmus stay as they are. No test takes the power away, so nothing has to reach the disk.
    """
    from hydra._internal.hydra import Hydra

    from isthmus.runs.folder import provenance

    own, mode_of, repository = Path(isthmus.__file__).parent, Hydra.get_mode, provenance.repository
    of_isthmus = functools.cache(lambda: repository(own))

    def mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        can_be_set = any(word in typed for typed in sys.argv for word in MODE)
        return mode_of(self, config_name, overrides) if can_be_set else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", mode)
        patch.setattr(provenance, "packages", functools.cache(provenance.packages))
        patch.setattr(
            provenance, "repository", lambda folder: of_isthmus() if folder == own else repository(folder)
        )
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for the whole session in place of the person's own."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def starting() -> Callable[..., subprocess.Popen[str]]:
    """`start`."""
    return start


@pytest.fixture(scope="session")
def ending() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`finished`."""
    return finished


@pytest.fixture(name="isthmus")
def _isthmus(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `isthmus ARGUMENTS` in `tmp_path` to its end."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return finished(start(*arguments, cwd=tmp_path, env=env))

    return run


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run `isthmus ARGUMENTS` in this process, in `tmp_path`: that saves seconds of imports."""
    from hydra.core.global_hydra import GlobalHydra

    def run(*arguments: str) -> Said:
        GlobalHydra.instance().clear()
        capsys.readouterr()
        code = main(arguments)
        GlobalHydra.instance().clear()
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["isthmus"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # that the command sets it ends with the test
    return run


@pytest.fixture
def importing() -> Callable[..., tuple[str, set[str]]]:
    """Run `isthmus ARGUMENTS` in a process of its own; what it prints, and the modules that it imports."""

    def run(*arguments: str, cwd: Path | None = None) -> tuple[str, set[str]]:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "isthmus", *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout, {
            line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line
        }

    return run
