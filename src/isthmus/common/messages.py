"""Parts of error messages that several places need. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "", cutoff: float = 0.6) -> str:
    """A question with the known name that is nearest to `name`; "" if none is near.

    Args:
        name: as typed.
        known: the names that exist.
        prefix: shown before the known name.
        cutoff: similarity that a known name must have, in [0, 1].
    """
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"did you mean {prefix}{nearest[0]}?" if nearest else ""


def first_line(error: BaseException, most: int = 200) -> str:
    """At most `most` characters of the first line of an error message; the error's class if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:most]
