"""What the tests of reproductions share."""

from __future__ import annotations

import contextlib
import json
import sys

import pytest

from isthmus.runs.folder import provenance


@contextlib.contextmanager
def inside(place):
    """Commands run in `place` with one thread, as from no repository; nothing stays set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(sys, "argv", ["isthmus"])
        patch.setenv("HYDRA_FULL_ERROR", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(provenance, "repository", lambda folder: None)
        yield


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
