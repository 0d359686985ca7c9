"""Run folders of which a file was mutated, against every command that opens one: it works, or says one line.

The cases of a file run in a process of their own, on a run that is trained there. `FUZZ_CASES` says how many.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st

from .binaries import checkpoint_bytes, checkpoint_members, checkpoint_values, events, latents
from .change import Change, kinds
from .harness import cases, explore, run_alone
from .texts import config, metrics, overrides, provenance, reproduction, results, status

CASES = cases(10)


class Target(NamedTuple):
    """A kind of damage.

    Attributes:
        changes: draws it, for a valid run folder.
        trains: whether a run that is resumed is trained.
        middle: whether its checkpoints are of the middle of an epoch.
    """

    changes: Callable[[Path], st.SearchStrategy[Change]]
    trains: bool = False
    middle: bool = False


TARGETS: dict[str, Target] = {
    "config": Target(config),
    "overrides": Target(overrides),
    "status": Target(status),
    "provenance": Target(provenance),
    "reproduction": Target(reproduction),
    "results": Target(results),
    "metrics": Target(metrics, trains=True),
    "checkpoint bytes": Target(checkpoint_bytes, trains=True),
    "checkpoint members": Target(checkpoint_members, trains=True),
    "checkpoint values": Target(checkpoint_values, trains=True),
    "checkpoint values within an epoch": Target(checkpoint_values, trains=True, middle=True),
    "latents": Target(latents),
    "events": Target(events, trains=True),
    "kinds": Target(kinds),
}


@pytest.mark.fuzz
@pytest.mark.parametrize("target", TARGETS)
def test_mutated_run_folder(target, tmp_path):
    run_alone("test_run_folder", target, tmp_path, count=CASES)


def fuzz(target: Target, folder: Path) -> None:
    from .commands import Home

    home = Home(folder / "home", middle=target.middle)
    home.check(Change(), trains=target.trains)
    explore(target.changes(home.valid), lambda change: home.check(change, trains=target.trains), count=CASES)


if __name__ == "__main__":
    fuzz(TARGETS[sys.argv[1]], Path(sys.argv[2]))
