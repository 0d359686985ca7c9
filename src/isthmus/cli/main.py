"""The command `isthmus`: dispatch to subcommands, and turn errors into one line and an exit code.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from isthmus.cli.command import Command
from isthmus.common.errors import cut
from isthmus.common.messages import did_you_mean, escaped
from isthmus.runs import BadInput, RunFailed, Stopped, TrainingDiverged
from isthmus.runs.errors import interruption_behind
from isthmus.runs.execution import gc_pause, signals
from isthmus.runs.execution.guarded_streams import guard_streams, write_error

COMMANDS = (
    *("train", "evaluate", "resume", "reproduce", "show", "report", "board"),
    *("embed", "detect", "denoise", "generate", "export", "pack", "completion"),
)

# options with which a training command prints text instead of training
PRINTING = ("-h", "--help", "--json", "--cfg", "-c", "--info", "-i", "--hydra-help")

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
LONGEST = 1_900  # characters of an error message, after escaping control characters


def find(name: str) -> Command:
    """The command called `name`: one of `COMMANDS` or ``complete``."""
    module, attribute = ("completion", "COMPLETE") if name == "complete" else (name, "COMMAND")
    found: Command = getattr(importlib.import_module(f"isthmus.cli.{module}"), attribute)
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
    """Entry point of the process `isthmus`: run the command in `sys.argv`, and exit."""
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
    """Run a command and return its exit code: 0 done, 1 failed, 2 user error, 130 interrupted."""
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
        hint = did_you_mean(name, COMMANDS) or f"commands: {', '.join(COMMANDS)}"
        return _say(f"there is no command {name}; {hint}", MISTAKE)
    try:
        os.getcwd()
    except OSError:
        return _say("the current folder is gone; change to another one", MISTAKE)
    # keeps the current folder off the front of sys.path in Python child processes
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        with gc_pause.postponed():
            found = find(name)
            return found.run(_trusting(rest) if found.opens_configs else rest)
    except (Exception, KeyboardInterrupt) as error:
        match interruption_behind(error) or error:
            case Stopped() as stop:
                return _say(str(stop), stop.exit_code)
            case KeyboardInterrupt():
                return _say("stopped", INTERRUPTED)
            case BadInput():
                return _say(cut(escaped(str(error)), LONGEST), MISTAKE)
            case TrainingDiverged() | RunFailed():
                return _say(f"training failed: {error}", FAILED)
        raise


def _trusting(arguments: Sequence[str]) -> list[str]:
    """Apply `trust=...` and remove it from the arguments.

    The current folder may be untrusted too, and its modules may shadow installed ones. So it is added to
    `sys.path` only if the user allows their own classes, and at the end.
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
    """Whether the output of a command is its only result."""
    trains = bool(arguments) and arguments[0] in COMMANDS and find(arguments[0]).trains
    return not trains or any(argument.partition("=")[0] in PRINTING for argument in arguments)


def _say(message: str, code: int) -> int:
    """Print the final message and return `code`; from now on a signal ends the process at once."""
    signals.leave_at_once()
    print(f"isthmus: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    command()
