"""The keys of a choice with their defaults and meanings, read from the comments of its YAML file."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?P<value>.*?)(?:(?:^|\s)#\s*(?P<comment>.*))?$")
MORE = re.compile(r"\s+#\s*(?P<comment>.*)$")
LISTED = re.compile(r"\s*-\s*(?P<name>\w+)\s*$")
WIDEST = 34  # characters of a key with its default, before the comment begins on a line of its own


class Key(NamedTuple):
    """A key, its default as written, and its meaning."""

    name: str
    default: str
    meaning: str


def keys_of(path: Path, above_it: Sequence[Path] = ()) -> list[Key]:
    """The keys in a YAML file, with those of the files that its defaults list; later ones replace earlier.

    Args:
        path: the file.
        above_it: the files that list it, which may list each other in a circle.
    """
    keys: dict[str, Key] = {}
    above: list[tuple[int, str]] = []
    last = None
    in_defaults = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if in_defaults and (listed := LISTED.match(line)):
            beside = path.with_name(f"{listed['name']}.yaml")
            if beside.is_file() and beside not in (path, *above_it):
                keys |= {key.name: key for key in keys_of(beside, (*above_it, path))}
            continue
        in_defaults = False
        if last and (more := MORE.match(line)):
            keys[last] = keys[last]._replace(meaning=f"{keys[last].meaning} {more['comment']}".strip())
            continue
        if not (found := LINE.match(line)):
            continue
        indent, value = len(found["indent"]), found["value"].strip()
        above = [each for each in above if each[0] < indent]
        in_defaults = not above and found["key"] == "defaults"
        last = None
        if in_defaults or found["key"].startswith("_"):
            continue
        name = ".".join([*(key for _, key in above), found["key"]])
        above.append((indent, found["key"]))
        if value or found["comment"]:
            last = name
            meaning = found["comment"] or (keys[name].meaning if name in keys else "")
            keys[name] = Key(name, value, meaning)
    return list(keys.values())


def describe(group: str, path: Path) -> Iterator[str]:
    """Lines for the keys of one choice of a group."""
    width = max(60, shutil.get_terminal_size().columns)
    for key in keys_of(path):
        left = f"  {group}.{key.name}={key.default}" if key.default else f"  {group}.{key.name}"
        if not key.meaning:
            yield left
            continue
        start = left.ljust(WIDEST) if len(left) < WIDEST else f"{left}\n{'':{WIDEST}}"
        yield (
            start
            + textwrap.fill(
                key.meaning, width, initial_indent=" " * WIDEST, subsequent_indent=" " * WIDEST
            ).lstrip()
        )


def chosen(argv: Sequence[str], groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The choices typed as GROUP=CHOICE or GROUP=[A,B]."""
    for argument in argv:
        group, equals, value = argument.partition("=")
        if equals and group in groups:
            yield from ((group, choice) for choice in value.strip("[]").split(",") if choice)
