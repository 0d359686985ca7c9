"""Runs that nobody killed, to compare with, and the sum of all kills at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from sklearn.datasets import load_digits

from isthmus.data.examples import locate

from .configs import CONFIGS, EVERYTHING
from .kill import Pace, Reference, run_until
from .victim import Victim
from .whole import check_whole

BEGAN = time.monotonic()
EAGER = Path(__file__).with_name("eager")


@pytest.fixture(scope="session")
def starting(starting: Callable[..., Any]) -> Callable[..., Any]:
    """`start`, of commands that do not rest between two checkpoints: there would be little to kill at."""

    def eagerly(*arguments: str, env: dict[str, str] | None = None, **further: Any) -> Any:
        return starting(*arguments, env={"PYTHONPATH": str(EAGER), **(env or {})}, **further)

    return eagerly


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Gives a folder that the workers of pytest-xdist share, locked while it is being filled."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-") else base

    @contextmanager
    def folder(name: str) -> Iterator[Path]:
        with FileLock(base / f".{name}.lock"):
            (base / name).mkdir(exist_ok=True)
            yield base / name

    return folder


@pytest.fixture(scope="session")
def typed(shared: Callable[[str], Any]) -> Callable[[str], list[str]]:
    """The overrides of one of the configs."""

    def overrides(name: str) -> list[str]:
        with shared("photos") as photos:
            if not any(photos.iterdir()):
                for number, file in enumerate(sorted(locate("example:photos").rglob("*.png"))[::3]):
                    shutil.copyfile(file, photos / f"{number:03}.png")
        with shared("rows") as folder:
            rows = folder / "rows.npy"
            if not rows.exists():
                np.save(rows, load_digits().data.astype(np.uint8))
        return [typed.format(photos=photos, rows=rows) for typed in (*EVERYTHING, *CONFIGS[name])]

    return overrides


@pytest.fixture(scope="session")
def reference(
    shared: Callable[[str], Any], typed: Callable[[str], list[str]], starting: Callable[..., Any]
) -> Callable[[str], Reference]:
    """An uninterrupted run of one of the configs, trained once."""

    def trained(name: str) -> Reference:
        overrides = typed(name)
        with shared(f"reference_{name}") as place:
            run, known = place / "run", place / "pace.json"
            if not known.exists():
                command = ("train", *overrides, f"hydra.run.dir={run}")
                ended = run_until(lambda: starting(*command, cwd=place), run)
                assert ended.code == 0, ended.err
                check_whole(run, interrupted=False)
                known.write_text(json.dumps(ended.pace))
            return Reference(overrides, run, Pace(*json.loads(known.read_text())))

    return trained


@pytest.fixture
def victim(
    reference: Callable[[str], Reference],
    tmp_path: Path,
    starting: Callable[..., Any],
    record_property: Callable[[str, Any], None],
) -> Callable[..., Victim]:
    """A run of one of the configs, to be interrupted."""

    def of(name: str, *, place: Path = tmp_path, start: Callable[..., Any] | None = None) -> Victim:
        started = start or (lambda *arguments: starting(*arguments, cwd=tmp_path))
        return Victim(reference(name), place, started, record_property)

    return of


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many kills there were, at what moments, and what came of them."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    said = [each for report in reports for each in report.user_properties]
    injected = Counter(value for name, value in said if name == "injected")
    if injected:
        cases = ", ".join(f"{count} {what}" for what, count in injected.most_common())
        terminalreporter.write_line(
            f"{injected.total()} file operations ({cases}), each gone on from to the same bits"
        )
    kills = Counter(value for name, value in said if name == "killed")
    if kills:
        moments = ", ".join(f"{count} {kind}" for kind, count in kills.most_common())
        same = sum(name == "same" for name, _ in said)
        terminalreporter.write_line(
            f"{kills.total()} kills ({moments}); {same} runs resumed to the same bits, "
            f"{len(terminalreporter.stats.get('failed', []))} tests failed; {time.monotonic() - BEGAN:.0f} s"
        )
