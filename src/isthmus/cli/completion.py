"""`isthmus completion bash`: the script that makes a shell complete commands, groups, choices and keys.

At each Tab it calls `isthmus complete LINE`, which prints the candidates. That reads the YAML files directly,
because importing Hydra alone is too slow for a completion.
"""

from __future__ import annotations

import argparse
import re
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
ZSH = r"""_isthmus() {
    local -a found
    found=("${(@f)$(isthmus complete "$LBUFFER" 2>/dev/null)}")
    [[ -n "${found[1]}" ]] || { _default; return }
    # a key goes on after = or .
    compadd -Q -S ' ' -- ${found:#*[=.]}
    compadd -Q -S '' -- ${(M)found:#*[=.]}
}
compdef _isthmus isthmus"""
FISH = "complete --command isthmus --arguments '(isthmus complete (commandline --cut-at-cursor))'"
PLAIN = re.compile(r"[\w./=,+:@%~-]*")  # a shell would act on others, such as ; in the name of a folder
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus completion",
        description='Print a completion script. bash, zsh: eval "$(isthmus completion bash)", '
        "in ~/.bashrc or ~/.zshrc for every shell; "
        "fish: isthmus completion fish > ~/.config/fish/completions/isthmus.fish",
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS))
    return parser


def run(argv: Sequence[str]) -> int:
    """Print the script; returns the exit code."""
    print(SCRIPTS[parser().parse_args(argv).shell])
    return 0


def complete(argv: Sequence[str]) -> int:
    """Print the candidates for the last word of a command line, one per line."""
    for candidate in candidates(argv[0] if argv else ""):
        print(candidate)
    return 0


def candidates(line: str) -> list[str]:
    """The words that may complete the last word of `line`."""
    return [word for word in _candidates(line) if PLAIN.fullmatch(word)]


def _candidates(line: str) -> list[str]:
    words = line.split(" ")
    typed = words[-1]
    if len(words) <= 2:
        return [name for name in COMMANDS if name.startswith(typed)]
    return find(words[1]).completed(typed, words[2:-1]) if words[1] in COMMANDS else []


COMMAND = Command(
    summary='complete commands and keys: eval "$(isthmus completion bash)"',
    run=run,
    parser=parser,
    words=lambda typed, before: SCRIPTS,
)
COMPLETE = Command(summary="print what may come next on a command line", run=complete)
