"""What bash asks for at each tab: `isthmus complete LINE` prints the words that may come next.

It reads the YAML files directly, since importing Hydra alone takes longer than a tab may.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isthmus.cli.choices import groups
from isthmus.cli.main import COMMANDS
from isthmus.runs.config.compose import conf_dir

OPTIONS = {
    "train": ("--cfg", "--config-dir", "--help", "--multirun", "--resolve"),
    "evaluate": ("--checkpoint", "--help", "--json"),
    "resume": ("--help",),
    "reproduce": ("--help", "--json", "--to", "--tolerance"),
    "show": ("--help", "--json"),
    "board": ("--help", "--host", "--port"),
}


def run(argv: Sequence[str]) -> int:
    """Print the candidates for the last word of a command line, one per line."""
    for candidate in candidates(argv[0] if argv else ""):
        print(candidate)
    return 0


def candidates(line: str) -> list[str]:
    """The words that may stand where `line` ends, the beginning that is typed included."""
    words = line.split(" ")
    typed = words[-1]
    if len(words) <= 2:
        return [name for name in COMMANDS if name.startswith(typed)]
    command = words[1]
    if typed.startswith("-"):
        return [option for option in OPTIONS.get(command, ()) if option.startswith(typed)]
    if command == "train":
        return sorted(word for word in _overrides(typed) if word.startswith(typed))
    if command in ("evaluate", "resume", "reproduce", "show"):
        return sorted(word for word in _runs() if word.startswith(typed))
    return ["bash"] if command == "completion" else []


def _overrides(typed: str) -> Iterator[str]:
    key, equals, _ = typed.partition("=")
    known = groups()
    if equals:
        yield from (f"{key}={choice}" for choice in known.get(key, ()))
        return
    group = key.partition(".")[0]
    if "." in key and group in known:
        yield from (f"{group}.{name}=" for name in _keys_of(group))
        return
    yield "seed="
    for name in known:
        yield f"{name}="
        yield f"{name}."


def _keys_of(group: str) -> set[str]:
    import yaml

    found: set[str] = set()
    for path in (conf_dir() / group).glob("*.yaml"):
        found |= set(
            _flat(yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        )
    return found


def _flat(keys: Any, prefix: str = "") -> Iterator[str]:
    for key, value in (keys or {}).items():
        if key == "defaults" or key.startswith("_"):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _runs() -> list[str]:
    return [str(path.parent) for path in Path("outputs").glob("**/status.json")]
