"""Parts of messages to the user that several places need. Imports no torch."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

# C0 except tab and newline; DEL and C1; text direction controls; line separators; lone surrogates
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""`text` with terminal control characters escaped, such as ``\x1b`` or ``\u202e``."""
    return UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def printable(value: Any, width: int | None = None) -> str:
    """`value`, which may come from a third-party file, as one line of at most `width` characters."""
    text = escaped(str(value)).replace("\n", "\\n").replace("\t", "\\t")
    return text if width is None or len(text) <= width else f"{text[: width - 3]}..."


def number(value: float) -> str:
    """`value` to six digits; infinity for integers beyond float range, which untrusted files may contain."""
    try:
        return f"{value:.6g}"
    except OverflowError:
        return "inf" if value > 0 else "-inf"


def remark(kind: str, text: str) -> str:
    """A line about the data or the model, such as "split      100 train"."""
    return f"{kind:<10} {escaped(text)}".replace("\n", "\\n")


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


def unknown_key(key: str, known: Sequence[str], prefix: str = "") -> str:
    """The error message for a key that does not exist."""
    hint = did_you_mean(key, known, prefix=prefix, cutoff=0.5) or f"known: {', '.join(known) or 'none'}"
    return f"there is no such key; {hint}"


def first_line(error: BaseException, most: int = 200) -> str:
    """At most `most` characters of the first line of an error message; the error's class if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:most]


def relative(path: Path) -> Path:
    """`path` relative to the current folder if it is inside it, or else unchanged."""
    here = Path(os.path.relpath(path))
    return path if here.parts[:1] == ("..",) else here


def command_line(*words: object) -> str:
    """A shell-quoted command line. A path that begins with ``-`` gets ``./``, so that it is not an option."""
    return shlex.join(
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words
    )
