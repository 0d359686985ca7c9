"""Run folders to report on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isthmus.runs import show

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of an older isthmus that is done."""
    return Path(shutil.copytree(FIXTURES / "run_v4", tmp_path / "run"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Composes no defaults, which takes most of the time of a report, where a test is not of the config."""
    monkeypatch.setattr(show, "against_defaults", lambda cfg: {})
