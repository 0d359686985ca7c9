"""`isthmus reproduce RUN`: train a run again from its own folder, and report whether the results match."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli.command import Command, add_overrides, run_folders
from isthmus.cli.tables import aligned, number, printable
from isthmus.common.errors import BadInput
from isthmus.common.messages import relative
from isthmus.runs.comparison.verdict import DIFFERENT, IDENTICAL, TOLERANCE, WITHIN
from isthmus.runs.execution import signals
from isthmus.runs.folder.json_text import as_json
from isthmus.runs.folder.lookup import find_run

if TYPE_CHECKING:
    from isthmus.runs.comparison.provenance_diff import Difference
    from isthmus.runs.comparison.run_diff import Comparison, Rows, Weights
    from isthmus.runs.comparison.verdict import Verdict
    from isthmus.runs.reproduce import Plan

DIFFERS = 3  # exit code for the verdict "different"


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus reproduce",
        description="Train a run again into a new folder, from its own config.yaml and with as many threads "
        "as it had, and compare: identical (the same bits), within tolerance (other hardware or threads), or "
        "different (exit code 3). With overrides that change the experiment, compare without a verdict. "
        "The verdict is kept as reproduction.json in the new folder.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run that is done")
    add_overrides(parser, "what differs now: data.path=..., latent.dim=8")
    parser.add_argument("--to", type=Path, metavar="DIR", help="the new folder; default: one below outputs/")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="relative, of each final metric, where hardware or threads differ (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON; what training prints goes to stderr")
    return parser


def run(argv: Sequence[str]) -> int:
    """Reproduce; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    arguments.run = find_run(arguments.run)
    if not arguments.tolerance >= 0:
        raise BadInput("--tolerance", arguments.tolerance, "must be a number of at least 0")

    from isthmus.runs.config.compose import is_follower
    from isthmus.runs.reproduce import prepare, reproduce

    signals.unwind()
    with _stdout_to_stderr() if arguments.json else nullcontext():
        plan = prepare(arguments.run, overrides=arguments.overrides, to=arguments.to)
        if not is_follower():
            print(beginning(plan), flush=True)
        done = reproduce(plan, tolerance=arguments.tolerance)
    if done is None:
        return 0
    folder, verdict = done
    if arguments.json:
        print(as_json(folder.read_json(folder.reproduction)), end="")
    else:
        print(f"\n{report(verdict)}")
    return exit_code(verdict)


def exit_code(verdict: Verdict) -> int:
    """The exit code for a verdict."""
    return DIFFERS if verdict.verdict == DIFFERENT else 0


def beginning(plan: Plan) -> str:
    """The report before training: the new folder, changed keys and known differences."""
    lines = [f"reproducing {printable(plan.original.folder.path)} in {printable(relative(plan.path))}"]
    if plan.changed:
        lines += ["changed:", *_changed(plan.changed)]
    found = plan.known
    nothing = "nothing else is known to differ" if plan.changed else "nothing is known to differ"
    lines += ["known to differ:", *_listed(found)] if found else [nothing]
    if plan.free:
        lines.append("trainer.deterministic=false: on a GPU, two runs need not have the same bits")
    return "\n".join(lines)


def report(verdict: Verdict) -> str:
    """The comparison and the verdict as text."""
    comparison = verdict.comparison
    lines = [_results(comparison), "", f"metrics.csv  {_rows(comparison.metrics)}"]
    lines += [f"{name + '.ckpt':<11}  {_weights(weights)}" for name, weights in comparison.weights.items()]
    return "\n".join([*lines, "", *_conclusion(verdict)])


def _results(comparison: Comparison) -> str:
    rows = [("", "original", "reproduced", "difference")]
    for metric in comparison.results:
        apart = "not comparable" if metric.difference is None else f"{metric.difference:.2g}"
        values = (_number(metric.original), _number(metric.reproduced))
        rows.append((printable(metric.name, 60), *values, "same" if metric.same else apart))
    return aligned(rows, right=(1, 2, 3))


def _rows(rows: Rows) -> str:
    if rows.first is None:
        return f"all {rows.original} rows the same"
    against = f" against {rows.reproduced}" if rows.original != rows.reproduced else ""
    first = rows.first
    values = " -> ".join(first[side] or "nothing" for side in ("original", "reproduced"))
    return (
        f"{rows.original} rows{against}, {rows.same} the same"
        f" ({rows.same_cells:,} of {rows.cells:,} numbers); the first that differs is"
        f" {printable(first['column'], 60)} at step {printable(first['step'], 20)}: {printable(values, 80)}"
    )


def _weights(weights: Weights) -> str:
    if not weights.differing:
        return f"the same bits in all {weights.tensors} tensors"
    text = f"{len(weights.differing)} of {weights.tensors} tensors differ"
    if weights.largest_difference is not None and weights.relative_distance is not None:
        text += (
            f", by at most {weights.largest_difference:.2g};"
            f" relative distance (L2) {weights.relative_distance:.2g}"
        )
    return text


def _conclusion(verdict: Verdict) -> Iterator[str]:
    off = _farthest(verdict)
    if verdict.verdict == IDENTICAL:
        yield "identical: the same bits in all weights, results.json and metrics.csv"
    elif verdict.verdict == WITHIN:
        why = [difference for difference in verdict.differences if difference.rounds]
        others = [difference for difference in verdict.differences if not difference.rounds]
        yield f"within tolerance: {off}; the tolerance is {verdict.tolerance:g}"
        yield "what rounds differently:"
        yield from _listed(why)
        if others:
            yield "what differs besides:"
            yield from _listed(others)
    elif verdict.verdict == DIFFERENT:
        yield f"different: {off}"
        if verdict.differences:
            yield "what differs:"
            yield from _listed(verdict.differences)
        else:
            yield "nothing is known to differ: not code, packages, hardware, threads, data, split or seed"
    else:
        yield "not judged, since the experiment was changed:"
        yield from _changed(verdict.changed)
        if verdict.differences:
            yield "what differs besides:"
            yield from _listed(verdict.differences)


def _farthest(verdict: Verdict) -> str:
    metric = verdict.farthest
    if metric is None:
        return "the final metrics are the same"
    name = printable(metric.name, 60)
    if metric.relative is None:
        return f"{name} is a number in one of the two alone"
    return f"the metric that differs most, {name}, differs by {metric.relative:.2g}"


def _changed(changed: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [
        f"  {printable(key, 60)}: {printable(old, 60)} -> {printable(new, 60)}"
        for key, (old, new) in changed.items()
    ]


def _listed(found: Sequence[Difference]) -> list[str]:
    return [f"  {printable(difference, 200)}" for difference in found]


def _number(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"{len(value)} numbers"
    return number(value) if isinstance(value, int | float) else printable(value, 20)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect stdout to stderr for this process and its children, so that stdout is JSON only."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


COMMAND = Command(
    summary="train a run again and compare it bit by bit: isthmus reproduce RUN",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
    trains=True,
)
