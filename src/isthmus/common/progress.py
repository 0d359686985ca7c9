"""Says on stderr what takes longer than a few seconds: a bar on a terminal, or else a line before it.

stdout has results alone. Imports no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

DELAY = 2.0  # seconds before a bar appears


def say(text: str) -> None:
    """Say what is done next: "Fitting t-SNE to 3,000 codes"."""
    print(f"{text} ...", file=sys.stderr, flush=True)


def track(items: Iterable[Item], text: str, *, of: int, long: bool = True) -> Iterator[Item]:
    """Yield items, and say how many are done.

    Args:
        items: what is worked on.
        text: what is done; see `say`.
        of: the number of items.
        long: whether it may take longer than a few seconds, so that there is a line where there is no bar.
    """
    if not sys.stderr.isatty():
        if long:
            say(text)
        yield from items
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    stderr: Any = sys.stderr
    # the usual stream of a command escapes the control characters that move the cursor
    file = stderr.unescaped() if hasattr(stderr, "unescaped") else stderr
    yield from tqdm(items, desc=text, total=of, file=file, delay=DELAY, leave=False, dynamic_ncols=True)
