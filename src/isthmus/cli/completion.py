"""`isthmus completion bash`: the script that makes bash complete commands, groups, choices and keys."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from isthmus.cli.command import Command

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


COMMAND = Command(
    summary='complete commands and keys: eval "$(isthmus completion bash)"',
    run=run,
    parser=parser,
    words=lambda typed: ("bash",),
)
