"""The command `isthmus`: finds the subcommand and turns errors into one line and an exit code.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from isthmus.cli.command import Command
from isthmus.common.errors import cut
from isthmus.runs import BadInput, RunFailed, Stopped, TrainingDiverged
from isthmus.runs.execution import gc_pause, signals
from isthmus.runs.execution.broken_pipes import escaped, guard_streams, write_error

COMMANDS = ("train", "evaluate", "resume", "reproduce", "show", "board", "completion")

# options with which a command that trains prints text instead
PRINTING = ("-h", "--help", "--json", "--cfg", "-c", "--info", "-i", "--hydra-help")

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
LONGEST = 1_900  # characters of what is wrong, after those that a terminal would act on are escaped


def find(name: str) -> Command:
    """The command of a name, which must be one of `COMMANDS` or ``complete``."""
    found: Command = importlib.import_module(f"isthmus.cli.{name}").COMMAND
    return found


def usage() -> str:
    """What `isthmus --help` prints."""
    lines = [f"  {name:<12}{find(name).summary}" for name in COMMANDS]
    return "\n".join(
        [
            "usage: isthmus COMMAND ...",
            "",
            "Config-driven experiments with autoencoders.",
            "",
            *lines,
            "",
            "`isthmus COMMAND --help` tells more. `isthmus --version` prints the version.",
        ]
    )


def command() -> NoReturn:
    """The process `isthmus`: runs the command that was typed, and exits."""
    signals.handle()
    arguments = sys.argv[1:]
    try:
        code = main(arguments)
    except SystemExit as ended:  # argparse has printed help
        if ended.code:
            raise
        code = DONE
    if code == DONE and _is_for_reading(arguments) and (error := write_error()):
        code = _say(f"cannot write to stdout ({error})", FAILED)
    signals.release()
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 done, 1 failed, 2 the person's mistake, 130 interrupted."""
    guard_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return DONE
    name, *rest = arguments
    if name == "--version":
        from isthmus import __version__

        print(f"isthmus {__version__}")
        return DONE
    if name not in (*COMMANDS, "complete"):
        import difflib

        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"commands: {', '.join(COMMANDS)}"
        return _say(f"there is no command {name}; {hint}", MISTAKE)
    try:
        os.getcwd()
    except OSError:
        return _say("the current folder is gone; change to another one", MISTAKE)
    # Python processes that this one starts would otherwise look for their modules here first
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        with gc_pause.postponed():
            found = find(name)
            return found.run(_trusting(rest) if found.opens_configs else rest)
    except BadInput as error:
        return _say(cut(escaped(str(error)), LONGEST), MISTAKE)
    except (TrainingDiverged, RunFailed) as error:
        return _say(f"training failed: {error}", FAILED)
    except Stopped as stop:
        return _say(str(stop), stop.exit_code)
    except KeyboardInterrupt:
        return _say("stopped", INTERRUPTED)


def _trusting(arguments: Sequence[str]) -> list[str]:
    """Take `trust=...` out of what was typed, and act on it.

    The folder the command runs in may be a stranger's as well: modules in it, which may be called as those
    of others, are found where a person's own classes are wanted, and after all others.
    """
    from isthmus.runs.config.allowlist import TRUST, allowed, trusted

    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "trust":
            if value.lower() not in ("true", "false"):
                raise BadInput(key, value, "must be true or false")
            os.environ[TRUST] = "1" if value.lower() == "true" else "0"
    if trusted() or allowed():
        sys.path.append(os.getcwd())
    return [argument for argument in arguments if argument.partition("=")[0] != "trust"]


def _is_for_reading(arguments: Sequence[str]) -> bool:
    """Whether what a command prints is all that it produces."""
    trains = bool(arguments) and arguments[0] in COMMANDS and find(arguments[0]).trains
    return not trains or any(argument.partition("=")[0] in PRINTING for argument in arguments)


def _say(message: str, code: int) -> int:
    """Say how the command ends; from now on a signal ends the process at once."""
    signals.leave_at_once()
    print(f"isthmus: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    command()
