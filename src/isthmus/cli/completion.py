"""`isthmus completion bash`: the script that makes bash complete commands, groups, choices and keys.

At each Tab it calls `isthmus complete LINE`, which prints the candidates. That reads the YAML files directly,
because importing Hydra alone is too slow for a completion.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from isthmus.cli.command import Command
from isthmus.cli.main import COMMANDS, find

BASH = r"""_isthmus() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local typed="${line##* }"
    mapfile -t COMPREPLY < <(isthmus complete "$line" 2>/dev/null)
    # bash replaces only what follows the last =
    if [[ "$typed" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then
        local kept="${typed%=*}="
        COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    fi
    # a key goes on after = or .
    if [[ ${#COMPREPLY[@]} -gt 0 && "${COMPREPLY[0]}" == *[=.] ]]; then
        compopt -o nospace
    fi
}
complete -o default -F _isthmus isthmus"""


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus completion",
        description='Print a completion script. For this shell: eval "$(isthmus completion bash)"; '
        "for every shell: add that line to ~/.bashrc.",
    )
    parser.add_argument("shell", choices=("bash",))
    return parser


def run(argv: Sequence[str]) -> int:
    """Print the script; returns the exit code."""
    parser().parse_args(argv)
    print(BASH)
    return 0


def complete(argv: Sequence[str]) -> int:
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


COMMAND = Command(
    summary='complete commands and keys: eval "$(isthmus completion bash)"',
    run=run,
    parser=parser,
    words=lambda typed: ("bash",),
)
COMPLETE = Command(summary="print what may come next on a command line", run=complete)
