"""A stranger's run folder, and commands that open it in this process.

The canary is a file that an attack makes when it succeeds. `evil_parts` is a module that makes it when it is
imported, and parts that make it when they are called.
"""

from __future__ import annotations

import os
import shutil
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.common.errors import BadInput
from isthmus.data import memory
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_v1"

EVIL = """
import os
from pathlib import Path
from typing import Any

from isthmus.core.losses.mse import MSE

CANARY = Path(os.environ["CANARY"])
CANARY.touch()


class Evil(MSE):
    pass


def evil(**settings):
    CANARY.touch()
"""


@pytest.fixture(autouse=True)
def untrusted(monkeypatch):
    """Nobody said that anything is trusted, and what a command sets ends with its test."""
    for name, value in {"ISTHMUS_TRUST": "0", "ISTHMUS_ALLOW": "", "PYTHONSAFEPATH": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["isthmus"])


@pytest.fixture
def canary(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "canary"
    monkeypatch.setenv("CANARY", str(path))
    return path


@pytest.fixture
def evil_parts(tmp_path, canary, monkeypatch):
    """The module, which can be imported from anywhere."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "evil_parts.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield
    sys.modules.pop("evil_parts", None)


@pytest.fixture
def run(tmp_path) -> Path:
    """A finished run, as somebody sends it."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "run"))


@pytest.fixture
def command(here, tmp_path, monkeypatch) -> Callable[..., Any]:
    """Run `isthmus ARGUMENTS` in this process, in a folder of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *arguments: here(*map(str, arguments))


@pytest.fixture
def refused(command, tmp_path, canary) -> Callable[..., str]:
    """Run a command that must be refused in one line, which is given back; nothing may have changed."""

    def attempt(*arguments: object, says: tuple[str, ...]) -> str:
        before = state_of(tmp_path)
        said = command(*arguments)
        assert not canary.exists(), said.err
        assert said.code == 2, said.err
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith("isthmus: ")
        assert len(line) < 500
        for part in says:
            assert part in line
        assert state_of(tmp_path) == before
        return line

    return attempt


@pytest.fixture
def change(run) -> Callable[..., None]:
    """Set a key of the run's config, whether there is one or not."""

    def set_(key: str, value: object) -> None:
        content = yaml.load((run / "config.yaml").read_text(), Loader=yaml.CSafeLoader)
        *groups, last = key.split(".")
        inner = content
        for group in groups:
            inner[group] = inner[group] if isinstance(inner.get(group), dict) else {}
            inner = inner[group]
        inner[last] = value
        (run / "config.yaml").write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))

    return set_


@pytest.fixture
def small(monkeypatch):
    """A machine with 20 MB of free memory."""
    monkeypatch.setattr(memory, "available_memory", lambda: 20 << 20)


@pytest.fixture
def frugal():
    """The test takes less than 12 MB, besides what it begins with."""
    tracemalloc.start()
    yield
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 << 20


@pytest.fixture
def unusable() -> Callable[..., None]:
    """Make a source of data, which must be refused in one line."""

    def attempt(make: Callable[[], object], *says: str) -> None:
        with pytest.raises(BadInput) as caught:
            make()
        line = str(caught.value)
        assert "\n" not in line
        assert len(line) < 500
        for part in says:
            assert part in line

    return attempt


def state_of(folder: Path) -> dict[str, tuple[int, int] | None]:
    """What is in a folder, but for what Python compiles; files with their time and size."""
    found: dict[str, tuple[int, int] | None] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found |= {os.path.join(parent, name): None for name in folders}
        for name in files:
            told = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (told.st_mtime_ns, told.st_size)
    return found


@pytest.fixture(scope="session")
def _once(tmp_path_factory):
    """A run that was trained once, with figures and latents."""
    path = tmp_path_factory.mktemp("trained") / "run"
    typed = ("data.batch_size=140", "architecture.hidden=[8]", "latent.dim=2", "trainer.max_epochs=1")
    train(compose([*typed, "trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none"]), path)
    return path


@pytest.fixture
def trained(_once, tmp_path):
    """A copy of it."""
    return shutil.copytree(_once, tmp_path / "trained")
