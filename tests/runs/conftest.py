"""A run to tamper with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isthmus.runs.folder.run_folder import RunFolder


@pytest.fixture
def original(trained: Path, tmp_path: Path) -> RunFolder:
    """A copy, called `run`, of the run that the fixture `trained` of a test file gives."""
    return RunFolder(Path(shutil.copytree(trained, tmp_path / "run")))
