"""Which columns of a table are features, by name."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Mapping, Sequence

from isthmus.common.errors import BadInput
from isthmus.common.listing import some

MOST_NAMED = 20  # largest number of columns in an override that a message suggests


def check_roles(known: Sequence[str], path: str, roles: Mapping[str, str | None]) -> dict[str, str]:
    """The columns that have another use than as features, by key; raises `BadInput` for absent ones."""
    given = {key: str(name) for key, name in roles.items() if name is not None}
    for key, name in given.items():
        _check_there(key, [name], known, path)
    return given


def choose(
    known: Sequence[str],
    path: str,
    roles: Mapping[str, str],
    columns: Sequence[str] | None,
    drop: Sequence[str],
) -> list[str]:
    """The names of the columns that are wanted as features.

    Args:
        known: the columns of the file.
        path: the file, for messages.
        roles: from `check_roles`.
        columns: the wanted columns, in this order; None for all but those of `roles` and `drop`.
        drop: the unwanted columns.
    """
    chosen = list(known) if columns is None else names_in("columns", columns)
    dropped = names_in("drop", drop)
    _check_there("columns", chosen, known, path)
    _check_there("drop", dropped, known, path)
    if columns is not None:
        for key, names in (("drop", dropped), *((key, [name]) for key, name in roles.items())):
            if twice := [name for name in chosen if name in names]:
                raise BadInput("columns", some(twice), f"is in data.{key} as well; leave it out of one")
    left_out = {*roles.values(), *dropped}
    features = [name for name in chosen if name not in left_out]
    if not features:
        key, value = ("path", path) if columns is None else ("columns", list(columns))
        raise BadInput(key, value, "no feature column is left; name fewer in data.drop and data.label")
    return features


def names_in(key: str, names: Sequence[str]) -> list[str]:
    """A list of distinct names."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise BadInput(key, names, f"must be a list, as in data.{key}=[{names}]")
    # YAML reads the name 2019 as a number
    listed = [str(name) for name in names]
    if len(set(listed)) < len(listed):
        raise BadInput(key, listed, "names a column twice")
    return listed


def override(key: str, names: Sequence[str] | str) -> str:
    """The override that sets a key to columns, quoted for a shell; only the key if there are many."""
    if not isinstance(names, str) and len(names) > MOST_NAMED:
        return f"data.{key}"
    listed = [names] if isinstance(names, str) else names
    quoted = [
        name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name, ensure_ascii=False)
        for name in listed
    ]
    return shlex.quote(f"data.{key}=" + (quoted[0] if isinstance(names, str) else f"[{','.join(quoted)}]"))


def _check_there(key: str, names: Sequence[str], known: Sequence[str], path: str) -> None:
    absent = [name for name in names if name not in known]
    if len(absent) > 1:
        raise BadInput(key, some(absent), f"there are no such columns in {path}; it has {some([*known])}")
    if absent:
        near = difflib.get_close_matches(absent[0], known, n=1, cutoff=0.0)
        raise BadInput(key, absent[0], f"there is no such column in {path}; the nearest is {near[0]!r}")
