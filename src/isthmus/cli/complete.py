"""`isthmus complete LINE`, which bash calls at each Tab: print the completion candidates.

It reads the YAML files directly, because importing Hydra alone is too slow for a completion.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.cli.command import Command
from isthmus.cli.main import COMMANDS, find


def run(argv: Sequence[str]) -> int:
    """Print the candidates for the last word of a command line, one per line."""
    for candidate in candidates(argv[0] if argv else ""):
        print(candidate)
    return 0


def candidates(line: str) -> list[str]:
    """The words that may complete the last word of `line`."""
    words = line.split(" ")
    typed = words[-1]
    if len(words) <= 2:
        return [name for name in COMMANDS if name.startswith(typed)]
    return find(words[1]).completed(typed) if words[1] in COMMANDS else []


COMMAND = Command(summary="print what may come next on a command line", run=run)
