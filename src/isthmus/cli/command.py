"""The description of a command, used by help, dispatch and completion."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.common.run_names import LATEST
from isthmus.runs.folder.lookup import runs_in

OVERRIDE = re.compile(r"[+~]*\w+(\.\w+)+=")
DATED = re.compile(r"\d{4}-\d\d-\d\d_")


def no_words(typed: str, before: Sequence[str]) -> Iterable[str]:
    """No candidates: the command has no arguments to complete."""
    return ()


def run_folders(typed: str, before: Sequence[str]) -> Iterable[str]:
    """The run folders in outputs/, the names that are not dates, and "latest"."""
    runs = list(runs_in())
    names = [run.name for run in runs if not DATED.match(run.name)]
    return (*map(str, runs), *names, *([LATEST] if runs else []))


def add_run(parser: ArgumentParser) -> None:
    """Add the argument ``run`` of a command that needs a run folder."""
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run folder, the name of a run in outputs/, or latest"
    )


def add_model(parser: ArgumentParser) -> None:
    """Add the argument ``run`` of a command that needs a trained model, but not its training data."""
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="a run folder, the name of a run in outputs/, latest, or a packed model (.isthmus)",
    )


def add_data(parser: ArgumentParser, *, otherwise: str) -> None:
    """Add the arguments ``data`` and ``overrides`` of a command that reads new rows, or those of the run.

    `data_of` reads them. `otherwise` says what is read if DATA is left out.
    """
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help=f"a file, or a folder of images, like those of training; default: {otherwise}",
    )
    add_overrides(parser, "what differs from training: data.missing=mean")


def data_of(arguments: Namespace) -> tuple[str | None, list[str]]:
    """DATA, or None if it was left out; and the overrides. See `add_data`."""
    data, overrides = arguments.data, list(arguments.overrides)
    return (None, [data, *overrides]) if data is not None and is_override(data) else (data, overrides)


def is_override(word: str) -> bool:
    """Whether an argument is KEY=VALUE rather than a place."""
    return OVERRIDE.match(word) is not None and not Path(word).exists()


def add_output(parser: ArgumentParser, task: str) -> None:
    """Add the option ``--output`` of a command that writes results to a folder."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"a new folder for the results; default: {task}/ in the run folder",
    )


def add_score(parser: ArgumentParser) -> None:
    """Add the options ``--false-alarm-rate`` and ``--score`` of a command that decides what is an anomaly."""
    parser.add_argument(
        "--false-alarm-rate",
        type=float,
        metavar="R",
        help="share of normal rows that may be taken for anomalies; default: 0.01, or the least possible",
    )
    parser.add_argument(
        "--score",
        default="combined",
        choices=(
            *("combined", "mse", "likelihood", "whitened", "residual"),
            *("code", "code_mahalanobis", "code_knn"),
        ),
        help="of the reconstruction: mse, likelihood (the loss), whitened or residual (errors in units of "
        "those of normal rows, alone or as they go together); of the code: its density under a Gaussian "
        "mixture (code) or one normal distribution (code_mahalanobis), or its distance to the nearest codes "
        "(code_knn); default: combined, of residual and code",
    )


def add_device(parser: ArgumentParser) -> None:
    """Add the option ``--device`` of a command that computes."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps; default: a GPU if there is one")


def add_overrides(parser: ArgumentParser, help: str) -> None:
    """Add the argument ``overrides`` of a command that opens a run: any number of KEY=VALUE."""
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=help)


@dataclass(frozen=True)
class Command:
    """A command of `isthmus`; the module `isthmus.cli.NAME` defines it as `COMMAND`.

    Attributes:
        summary: its line in `isthmus --help`.
        run: takes the arguments after the command name and returns the exit code.
        parser: makes the parser whose options are completed; None if `options` lists them.
        options: the options of a command without a parser.
        words: takes the typed prefix of an argument, and the words before it, and returns completion
            candidates.
        opens_configs: whether it runs code that a config names, and so accepts ``trust=true``.
        trains: whether its result is a run folder rather than its output.
    """

    summary: str
    run: Callable[[Sequence[str]], int]
    parser: Callable[[], ArgumentParser] | None = None
    options: tuple[str, ...] = ()
    words: Callable[[str, Sequence[str]], Iterable[str]] = no_words
    opens_configs: bool = False
    trains: bool = False

    def completed(self, typed: str, before: Sequence[str] = ()) -> list[str]:
        """The options or arguments that begin with `typed`, sorted."""
        if typed.startswith("-"):
            actions = self.parser()._actions if self.parser else ()
            options = [option for action in actions for option in action.option_strings]
            found: Iterable[str] = (option for option in (*self.options, *options) if option[:2] == "--")
        else:
            found = self.words(typed, before)
        return sorted(word for word in found if word.startswith(typed))
