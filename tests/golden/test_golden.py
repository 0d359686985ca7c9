"""The first losses of the presets are those that are checked in; see regenerate.py."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
REGENERATE = runpy.run_path(str(FOLDER / "regenerate.py"))


@pytest.mark.parametrize("model", REGENERATE["PRESETS"])
def test_first_losses(model, tmp_path):
    golden = json.loads((FOLDER / f"{model}.json").read_text(encoding="utf-8"))
    assert len(golden) == REGENERATE["STEPS"]
    # processors sum in other orders; 20 steps of Adam carry that a little further
    assert REGENERATE["losses"](model, tmp_path / "run") == pytest.approx(golden, rel=1e-4)
