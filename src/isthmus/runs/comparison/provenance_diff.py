"""Differences between the provenances of two runs. The JSON that it reads is untrusted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from isthmus.common.listing import some

FIELDS = ("isthmus", "python", "threads", "interop_threads", "processes", "seed")
# Fields that change the order of summation, or the instructions used for it.
ROUNDING = (
    *("threads", "processes", "hardware.machine", "hardware.processor", "hardware.cores"),
    *("hardware.cpu_capability", "hardware.mkl", "hardware.onednn", "hardware.gpus"),
)
RECORDED_AGAIN = ("isthmus", "python", "code", "packages", "hardware", "threads", "processes")  # on resume
DATA = ("data", "split")


class Difference(NamedTuple):
    """One difference between two provenances.

    Attributes:
        what: name of the entry, such as ``torch`` of the packages, or ``hardware.cores``.
        original: its value in the original.
        reproduced: its value in the reproduction; None if `original` lists all that differs.
        rounds: whether it explains rounding differences.
    """

    what: str
    original: Any
    reproduced: Any
    rounds: bool = False

    @property
    def concerns_data(self) -> bool:
        """Whether the training or test examples differ."""
        return self.what in DATA

    def __str__(self) -> str:
        if isinstance(self.original, list) and isinstance(self.reproduced, list):
            return f"{self.what}: {_listed(self.original)} -> {_listed(self.reproduced)}"
        if self.reproduced is None and isinstance(self.original, list):
            return f"{self.what}: {_listed(self.original)}"
        return f"{self.what}: {_short(self.original)} -> {_short(self.reproduced)}"


def differences(original: Mapping[str, Any], reproduced: Mapping[str, Any]) -> list[Difference]:
    """All entries that differ between two provenances; entries that one of them lacks are skipped."""
    return [
        *_data(original, reproduced),
        *_code(_mapping(original, "code"), _mapping(reproduced, "code")),
        *_packages(_mapping(original, "packages"), _mapping(reproduced, "packages")),
        *_fields("", FIELDS, original, reproduced),
        *_hardware(_mapping(original, "hardware"), _mapping(reproduced, "hardware")),
        *_resumed(original),
    ]


def _fields(prefix: str, names: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in names:
        if name in old and name in new and old[name] != new[name]:
            what = f"{prefix}{name}"
            yield Difference(what, old[name], new[name], rounds=what in ROUNDING)


def _hardware(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    return _fields("hardware.", [name for name in new if name != "threads"], old, new)


def _data(original: Mapping[str, Any], reproduced: Mapping[str, Any]) -> Iterator[Difference]:
    old, new = _mapping(original, "data"), _mapping(reproduced, "data")
    for what, key, size in (("data", "fingerprint", "rows"), ("split", "split_fingerprint", "split")):
        if key in old and key in new and old[key] != new[key]:
            then, now = (f"{str(side[key])[:12]} ({_size(side.get(size))})" for side in (old, new))
            yield Difference(what, then, now)


def _size(rows: Any) -> str:
    if isinstance(rows, Mapping):
        return ", ".join(f"{name} {count}" for name, count in rows.items())
    return f"{rows} rows"


def _code(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    names = [name for name in ("isthmus", "working_directory") if name in old and name in new]
    seen: list[tuple[Any, Any]] = []
    for name in names:
        pair = (old[name], new[name])
        if pair in seen:  # isthmus runs from its own repository
            continue
        seen.append(pair)
        yield from _repository(f"code.{name}", *pair)


def _repository(what: str, old: Any, new: Any) -> Iterator[Difference]:
    then, now = _commit(old), _commit(new)
    if then != now:
        yield Difference(f"{what}.commit", then, now)
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return
    before, after = changed_files(old.get("diff")), changed_files(new.get("diff"))
    changed = sorted(file for file in {*before, *after} if before.get(file) != after.get(file))
    if changed:
        yield Difference(f"{what}: uncommitted changes differ in", changed, None)
    elif old.get("left_out") or new.get("left_out"):
        yield Difference(f"{what}: uncommitted changes not recorded", [], None)
    elif old.get("diff_cut") or new.get("diff_cut"):
        yield Difference(f"{what}: uncommitted changes too long to be recorded whole", [], None)
    had, has = _names(old.get("untracked")), _names(new.get("untracked"))
    if had != has:
        yield Difference(f"{what}: untracked files", sorted(had - has), sorted(has - had))


def _commit(repository: Any) -> str:
    return str(repository.get("commit"))[:12] if isinstance(repository, Mapping) else "not in git"


def changed_files(diff: Any) -> dict[str, str]:
    """The part of a diff that concerns each file."""
    parts = re.split(r"^(?=diff --git )", diff if isinstance(diff, str) else "", flags=re.MULTILINE)
    named = ((re.match(r'diff --git .* "?b/([^"\n]*)', part), part) for part in parts)
    return {match.group(1): part.rstrip("\n") for match, part in named if match}


def _names(names: Any) -> set[str]:
    return {str(name) for name in names} if isinstance(names, list) else set()


def _packages(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    if not old or not new:
        return
    for name in sorted({*old, *new}, key=str.lower):
        if old.get(name) != new.get(name):
            yield Difference(name, old.get(name, "not installed"), new.get(name, "not installed"))


def _resumed(original: Mapping[str, Any]) -> Iterator[Difference]:
    """Changes made when the original was resumed: then it has no single config or environment."""
    entries = original.get("resumed")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Mapping):
            continue
        where = f"resumed at step {entry.get('step')}"
        if overrides := entry.get("overrides"):
            yield Difference(f"{where} with", [str(o) for o in overrides], None)
        for name in RECORDED_AGAIN:
            if name in entry:
                rounds = name == "hardware" or name in ROUNDING
                yield Difference(f"{where} with other", [name], None, rounds=rounds)


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def _listed(names: list[Any]) -> str:
    return some([_short(name) for name in names])


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
