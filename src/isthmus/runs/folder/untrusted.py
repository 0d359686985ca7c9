"""Read the files of a run folder as untrusted input: with size limits, and without running any of it.

YAML: https://yaml.org/spec/1.1. Its aliases let a few lines expand beyond the available memory, its tags name
Python objects, and OmegaConf's interpolations read environment variables. A resolved config needs none of
them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isthmus.common.errors import BadInput
from isthmus.common.messages import first_line

MOST_YAML = 4 << 20  # bytes
MOST_JSON = 64 << 20  # bytes
MOST_VALUES = 200_000  # in a config: OmegaConf needs some kilobytes for each
FOLDERS = ("checkpoints", "latents", "figures", "projector")
FILES = (
    "*.isthmus",
    "report.html",
    "*.json",
    "*.yaml",
    "*.csv",
    "*.pbtxt",
    "events.*",
    "checkpoints/*.ckpt",
    "latents/*.safetensors",
    "figures/*.png",
)
DEEPEST = 30  # levels of nested groups
DEEPEST_JSON = 100
LONGEST_NUMBER = 1_000  # characters of a number in YAML
DIGITS = "+-0123456789"  # that a number begins with


def read_config(path: Path) -> DictConfig:
    """The resolved config in a YAML file of a run folder.

    Raises:
        BadInput: the file is missing, too large or nested too deeply, is not a plain YAML mapping, or
            contains aliases, tags or interpolations.
    """
    cfg = _parsed(path, lambda text: OmegaConf.load(io.StringIO(text)))
    if not isinstance(cfg, DictConfig):
        raise _refused(path, "must hold keys and values")
    return cfg


def read_strings(path: Path) -> list[str]:
    """The strings in a YAML file that contains a list; other list items are skipped.

    Raises:
        BadInput: as `read_config` does.
    """
    content = _parsed(path, yaml.safe_load, references=True)
    return [text for text in content if isinstance(text, str)] if isinstance(content, list) else []


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a run folder.

    Raises:
        BadInput: the file is missing, too large, nested too deeply, or contains no JSON object.
    """
    try:
        content = json.loads(_text(path, MOST_JSON))
    except RecursionError as error:
        raise _refused(path, "is nested too deeply") from error
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise _refused(path, f"cannot be read as JSON ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise _refused(path, "must hold a JSON object")
    if _is_deeper(content, DEEPEST_JSON):
        raise _refused(path, "is nested too deeply")
    return content


def within(folder: Path, name: str) -> Path | None:
    """The regular file `name` of a run folder; None if missing, or reached by a link out of it."""
    path = folder / name
    return path if _within(path, folder.resolve()) and path.is_file() else None


def names_in(folder: Path, name: str, most: int = 1_000) -> list[str]:
    """The first `most` names in the subfolder `name` of a run folder, sorted; none in a link out of it."""
    path = folder / name
    if not _within(path, folder.resolve()) or not path.is_dir():
        return []
    return sorted(islice((entry.name for entry in path.iterdir()), most))


def check_shown(folder: Path, files: Iterable[Path]) -> None:
    """Raise `BadInput` if a file of a run, which is going to be shown, is a link out of the run folder."""
    home = folder.resolve()
    for path in files:
        if path.is_symlink() and not _within(path, home):
            raise _refused(path, "is a link that leads out of the run folder, and would be shown; remove it")


def check_inside(folder: Path) -> None:
    """Raise `BadInput` if writing into `folder` would write elsewhere, or block until a pipe is read.

    Refuses symbolic links that lead out of the folder, entries that are neither file nor folder, files in
    place of folders, and folders in place of files.
    """
    home = folder.resolve()
    for name in FOLDERS:
        if (folder / name).exists() and not (folder / name).is_dir():
            raise _refused(folder / name, "is a file, and a run keeps a folder there; remove it")
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                if not _within(path, home):
                    raise _refused(
                        path,
                        "is a link that leads out of the run folder, and would be written through; remove it",
                    )
            elif not (path.is_dir() or path.is_file()):
                raise _refused(path, "is neither a file nor a folder; remove it")
    for pattern in FILES:
        for path in folder.glob(pattern):
            if path.is_dir():
                raise _refused(path, "is a folder, and a run keeps a file there; remove it")


def _parsed(path: Path, parse: Callable[[str], Any], *, references: bool = False) -> Any:
    """The result of `parse` on a YAML file that passes `_check_yaml`."""
    text = _text(path, MOST_YAML)
    try:
        _check_yaml(path, text, references=references)
        return parse(text)
    except BadInput:
        raise
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
        raise _refused(path, f"cannot be read as YAML ({first_line(error)})") from error


def _check_yaml(path: Path, text: str, *, references: bool = False) -> None:
    """Refuse YAML features that a resolved config does not need, before parsing it into objects.

    Args:
        path: for the error message.
        text: content of the file.
        references: whether ${...} is allowed, because it will not be resolved.
    """
    depth = values = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refused(path, "holds YAML anchors or aliases, which a run's config never does")
        if getattr(event, "tag", None) and event.tag != "!":
            raise _refused(path, f"holds the YAML tag {event.tag}, which a run's config never does")
        if isinstance(event, yaml.ScalarEvent):
            if not references and "${" in event.value:
                raise _refused(
                    path,
                    f"refers to {event.value[:80]}; a run's config is resolved, and looks nothing up",
                )
            # in base 16 or 60, it may exceed Python's limit for printing or, in base 60, be slow to read
            if event.implicit[0] and len(event.value) > LONGEST_NUMBER and event.value[0] in DIGITS:
                raise _refused(path, f"holds a number of more than {LONGEST_NUMBER:,} digits")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        values += isinstance(event, yaml.NodeEvent)
        if depth > DEEPEST:
            raise _refused(path, f"is nested more than {DEEPEST} deep")
        if values > MOST_VALUES:
            raise _refused(path, f"holds more than {MOST_VALUES:,} values")


def _is_deeper(content: Any, most: int) -> bool:
    """Whether lists and dicts are nested more than `most` deep; if not, recursive code can process them."""
    level = [content]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _text(path: Path, most: int) -> str:
    if not path.is_file():
        raise _refused(path, "there is no such file")
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise _refused(path, f"is larger than {most >> 20} MB")
        return content.decode("utf-8")
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _refused(path, "is not text") from error


def _within(path: Path, home: Path) -> bool:
    try:
        return path.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # a symbolic link to itself
        return False


def _refused(path: Path, fix: str) -> BadInput:
    return BadInput("RUN", path, fix)
