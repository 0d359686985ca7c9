"""Find a run folder by what a person types: a path, a name or "latest". Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.common.messages import did_you_mean
from isthmus.common.run_names import LATEST

OUTPUTS = Path("outputs")  # where `isthmus train` puts runs
STATUS = "status.json"
MODEL = "model.isthmus"  # the packed model in a run folder


def runs_in(folder: Path = OUTPUTS) -> Iterator[Path]:
    """All run folders below a folder."""
    return (status.parent for status in folder.glob(f"**/{STATUS}"))


def find_run(typed: Path) -> Path:
    """The run folder that is meant: an existing path, or a run of this name in outputs/.

    A folder that is no run, such as data of the same name, does not hide a run.

    Raises:
        BadInput: there is no run of that name in outputs/, or more than one.
    """
    try:
        exists = typed.exists()
        if len(typed.parts) != 1 or (exists and not (typed.is_dir() and not (typed / STATUS).exists())):
            return typed
    except OSError as error:
        raise BadInput("RUN", typed, f"cannot be looked up ({error.strerror})") from error
    runs = list(runs_in())
    if str(typed) == LATEST:
        if not runs:
            raise BadInput("RUN", typed, "there is no run in outputs/ yet; isthmus train makes one")
        return max(runs, key=_started)
    named = [run for run in runs if run.name == str(typed)]
    if len(named) > 1:
        raise BadInput("RUN", typed, f"there are several; give the path: {some(sorted(map(str, named)))}")
    if not named and exists:
        return typed
    if not named:
        names = {run.name for run in runs}
        hint = did_you_mean(str(typed), names) or "give a run folder, such as one below outputs/"
        raise BadInput("RUN", typed, f"there is no such folder, nor a run of this name; {hint}")
    return named[0]


def _started(run: Path) -> float:
    """When a run was made: its overrides.yaml is written once, at its beginning."""
    try:
        return (run / "overrides.yaml").stat().st_mtime
    except OSError:
        return 0.0
