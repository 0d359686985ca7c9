"""Names of classes; and lists of names or rows for messages: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SHOWN = 5


def some(names: Sequence[object], separator: str = ", ") -> str:
    """The first `SHOWN` names and the number of the others, or "none"."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(str(name) for name in names[:SHOWN]) + rest or "none"


def class_name(number: int, names: Sequence[str] | None) -> str:
    """What a class is called: its name, or its number if the classes have none."""
    return str(number) if names is None else names[number]


class Rows:
    """Row numbers for a message; keeps only the first few and their count."""

    def __init__(self) -> None:
        self.first: list[int] = []
        self.count = 0

    def add(self, rows: np.ndarray) -> None:
        self.first += rows[: SHOWN - len(self.first)].tolist()
        self.count += len(rows)

    def __str__(self) -> str:
        more = f" and {self.count - SHOWN} more" if self.count > SHOWN else ""
        return f"row{'s' * (self.count > 1)} {', '.join(map(str, self.first))}{more} (the first is 0)"
