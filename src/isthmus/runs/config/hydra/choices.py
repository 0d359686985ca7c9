"""Config groups and their choices, read from the YAML files without Hydra."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from isthmus.runs.config.compose import conf_dir

LONGEST = 10_000  # characters at the start of a YAML file that are searched for its comment
# display order; the user's own groups come after these
ORDER = (
    "experiment",
    "model",
    "data",
    "architecture",
    "latent",
    "loss",
    "regularizer",
    "objective",
    "noise",
    "optimizer",
    "scheduler",
    "trainer",
    "logger",
    "callbacks",
)


def config_dirs(argv: Sequence[str]) -> list[Path]:
    """The folders given with --config-dir in `argv`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", action="append", default=[], nargs="?", type=Path)
    found: list[Path | None] = parser.parse_known_args(argv)[0].config_dir
    return [folder for folder in found if folder is not None]


def groups(config_dirs: Sequence[Path] = ()) -> dict[str, dict[str, str]]:
    """Group -> choice -> description: the first comment of its YAML file."""
    found: dict[str, dict[str, str]] = {name: {} for name in ORDER}
    for root in (conf_dir(), *config_dirs):
        for path in sorted(root.glob("*/*.yaml")):
            if not path.name.startswith("_"):
                found.setdefault(path.parent.name, {})[path.stem] = summary(path)
    return found


def summary(path: Path) -> str:
    """The first comment line of a YAML file that is not a Hydra directive; "" if there is none."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(LONGEST).splitlines()
    for line in lines:
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ")
        if line and not line.startswith("#"):
            break
    return ""
