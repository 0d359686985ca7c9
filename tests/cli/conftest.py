"""Commands run in this process, for what would not be worth three seconds of imports each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from isthmus.cli.main import main


class Said(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run `isthmus ARGUMENTS` in this process, in `tmp_path`."""
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
