"""`isthmus show RUN`: print the config, state, metrics and files of a run."""

from __future__ import annotations

import argparse
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.cli.command import Command, add_run, run_folders
from isthmus.cli.tables import aligned, by_stage, command, file_size, printable, table
from isthmus.reports.provenance import facts
from isthmus.runs.folder.json_text import as_json
from isthmus.runs.folder.lookup import find_run

LONGEST = 4_000  # printed characters of the command and of the overrides; --json has all


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus show",
        description="Print a run: its status, provenance, config against the defaults, metrics and files. "
        "Works on a run that is running, failed or was killed.",
    )
    add_run(parser)
    parser.add_argument("--json", action="store_true", help="print everything that is known, as JSON")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all checkpoints and latents; exit code 1 if one is damaged",
    )
    return parser


def run(argv: Sequence[str]) -> int:
    """Show; returns the exit code."""
    arguments = parser().parse_args(argv)
    arguments.run = find_run(arguments.run)

    from isthmus.runs.show import damaged, describe

    run = describe(arguments.run)
    if arguments.verify:
        run["damaged"] = damaged(arguments.run)
    if arguments.json:
        print(as_json(run), end="")
    else:
        print("\n\n".join(section for section in sections(run) if section))
        if arguments.verify:
            lines = [printable(what, 200) for what in run["damaged"].values()]
            print("\n" + "\n".join(lines or ["all checkpoints and latents are as they were written"]))
    return int(bool(run.get("damaged")))


def sections(run: Mapping[str, Any]) -> Iterator[str]:
    """The paragraphs to print; some are empty."""
    yield _status(run)
    provenance = list(facts(run["provenance"]))
    typed = printable(" ".join(run["typed"]), LONGEST)
    typed_command = printable(run["provenance"].get("command", ""), LONGEST)
    rows = [("command", typed_command), ("overrides", typed), *provenance]
    yield aligned([row for row in rows if row[1]]) if any(row[1] for row in rows) else ""
    yield _config(run["config"])
    if columns := by_stage(run["results"] or run["latest"], ("train", "val", "test")):
        yield ("" if run["results"] else _latest(run["latest"])) + table(columns)
    yield _files(run["files"])


def _status(run: Mapping[str, Any]) -> str:
    from isthmus.runs.folder.migrations import RESUMABLE

    status, path = run["status"], run["path"]
    state = printable(status.get("status"), 20)
    # only completed epochs count
    counted = {unit: printable(status[unit], 20) for unit in ("epoch", "step") if unit in status}
    counts = " and ".join(f"{n} {unit}{'' if n == '1' else 's'}" for unit, n in counted.items())
    where = f" after {counts}" if counts else ""
    lines = [printable(path), f"{state}{where}, {printable(status.get('time', 'no time recorded'), 40)}"]
    process = f"process {printable(status.get('pid'), 20)} on {printable(status.get('host'), 60)}"
    if state == "killed":
        lines.append(f"its {process} is gone")
    elif state == "running":
        lines.append(f"by {process}")
    if error := str(status.get("error") or "").strip():
        lines.append(f"error: {printable(error.splitlines()[0], 200)}")
    following = {"done": ("evaluate", "reproduce"), "running": ()}.get(state, ("resume",))
    if following == ("resume",) and run["format"] < RESUMABLE:
        following = ("evaluate",)
    return "\n".join([*lines, *(f"next: {command('isthmus', verb, Path(path))}" for verb in following)])


def _latest(metrics: Mapping[str, float]) -> str:
    if "epoch" not in metrics or "step" not in metrics:
        return "latest metrics\n"
    return f"latest metrics: epoch {metrics['epoch']:.0f}, step {metrics['step']:.0f}\n"


def _config(config: Mapping[str, Mapping[str, Any]]) -> str:
    if not config:
        return "config: all defaults"
    longest = max(len(key) for key in config)
    width = max(20, (shutil.get_terminal_size().columns - min(longest, 60) - 4) // 2)
    rows = [
        (printable(key, 60), *(printable(_value(key, values[side]), width) for side in ("default", "here")))
        for key, values in config.items()
    ]
    return aligned([("config", "default", "this run"), *rows])


def _value(key: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "true", False: "false"}[value]
    return str(value).rpartition(".")[2] if key.endswith("_target_") else str(value)


def _files(sizes: Mapping[str, int]) -> str:
    """Sizes of top-level files and of checkpoints, and the total of each other subfolder."""
    single: dict[str, int] = {}
    inside: dict[str, list[int]] = defaultdict(list)
    for name, size in sizes.items():
        folder, slash, _ = name.partition("/")
        if slash and folder != "checkpoints":
            inside[folder].append(size)
        else:
            single[name] = size
    rows = [(printable(name, 80), file_size(size)) for name, size in single.items()]
    rows += [
        (f"{printable(name, 60)}/ ({len(each)} files)", file_size(sum(each))) for name, each in inside.items()
    ]
    return aligned([(f"{len(sizes)} files", file_size(sum(sizes.values()))), *sorted(rows)], right=(1,))


COMMAND = Command(
    summary="print a run: config, provenance, metrics, files: isthmus show RUN",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
