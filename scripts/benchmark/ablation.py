"""Ablation: isthmus against itself without one part of what makes it fast."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from contestants.ablated import COMPONENTS, CONTROL, EVERYTHING, STREAMED
from images import write_images
from report import Report, bullets, table
from settings import Settings
from startup import start
from turns import Rounds, spread, take_turns

# epochs and rows of a turn (0: all of them), for about two seconds of training: many short turns tell more
# than a few long ones where the machine's speed varies
TURNS = {"textbook": (1, 24_000), "conv_vae": (1, 6_000), "digits": (60, 0), STREAMED: (1, 24_000)}
SAME = 0.02  # relative difference of the test mse: channels_last alone sums in another order
STARTS = {EVERYTHING: "isthmus", "gc_pause": "isthmus_without_gc_pause"}


def measure(options: argparse.Namespace, report: Report) -> None:
    """Train on all cases without each component in turn, and report."""
    wanted = [
        name for name in COMPONENTS if not options.without or name in (EVERYTHING, CONTROL, *options.without)
    ]
    wanted = [name for name in wanted if COMPONENTS[name].threads <= options.threads]
    measured: dict[str, Rounds] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases or TURNS:
            names = [name for name in wanted if case in COMPONENTS[name].cases]
            if set(names) == {EVERYTHING, CONTROL}:
                continue
            epochs, rows = TURNS[case]
            streamed = case == STREAMED
            settings = Settings(
                case="" if streamed else case,
                epochs=options.epochs or epochs,
                rows=options.rows or rows,
                threads=options.threads,
                cores=os.cpu_count() or 1,
                device=options.device,
                file=str(write_images(Path(folder) / "images.npy", options.stream_rows)) if streamed else "",
            )
            print(f"\nablation, {case}: without {', '.join(names[1:])}", flush=True)
            where = {name: f"contestants.ablated:{name}" for name in names}
            measured[case] = rounds = take_turns(where, settings, turns=options.turns)
            for name, failure in rounds.failures.items():
                notes.append(report.complain(f"{case}, without {name}: failed: {failure}"))
            if EVERYTHING in rounds.answers:
                notes.append(_turns(case, settings, rounds))
                notes += _judged(case, rounds, report)
    if "gc_pause" in wanted:
        notes.append(_started(options))
    report.add(
        "Ablation",
        "What a component earns: the CPU seconds without it over those with everything in the same round, "
        "median (least to most) of the rounds, then the same for the seconds of the clock on the wall, which "
        "other processes lengthen. Above 1 a component helps; how far control is from 1 is chance. The "
        "recording of a step is not counted. The processes keep to no cores, so that the writer's thread may "
        "have one of its own. The test mse is the same to the last bit in each round, where nothing else is "
        "said below. No figure: it does nothing there, or was not measured.",
        table(["without", "what happens instead", *measured], _lines(wanted, measured)),
        bullets(notes),
    )


def _lines(wanted: list[str], measured: dict[str, Rounds]) -> list[list[str]]:
    lines = []
    for name in wanted:
        cells = [_cell(name, rounds) for rounds in measured.values()]
        title = "nothing" if name == EVERYTHING else name
        lines.append([title, COMPONENTS[name].instead, *cells])
    return lines


def _cell(name: str, rounds: Rounds) -> str:
    if name not in rounds.answers or EVERYTHING not in rounds.answers:
        return ""
    if name == EVERYTHING:
        return f"{rounds.speed(name):,.0f} images/s"
    clocks = ("cpu_seconds", "seconds")
    return "; wall ".join(spread(rounds.ratios(EVERYTHING, name, clock)) for clock in clocks)


def _turns(case: str, settings: Settings, rounds: Rounds) -> str:
    first, *_ = answers = rounds.answers[EVERYTHING]
    return (
        f"{case}: {len(answers)} rounds of {first['images']:,} images in {settings.epochs} epochs, "
        f"{rounds.median(EVERYTHING, 'seconds'):.1f} s; recording takes another "
        f"{rounds.median(EVERYTHING, 'recording'):.2f} s; test mse {rounds.median(EVERYTHING, 'mse'):.5f}"
    )


def _judged(case: str, rounds: Rounds, report: Report) -> list[str]:
    """Whose test mse differs from that with everything; each turn has the same seed for all."""
    wanted = [answer["mse"] for answer in rounds.answers[EVERYTHING]]
    found = []
    for name, answers in rounds.answers.items():
        off = max(abs(answer["mse"] / mse - 1) for answer, mse in zip(answers, wanted, strict=True))
        if off > SAME:
            found.append(report.complain(f"{case}, without {name}: the test mse differs by {off:.1%}"))
        elif off:
            found.append(f"{case}, without {name}: the test mse differs by {off:.3%} at most")
    return found


def _started(options: argparse.Namespace) -> str:
    """What gc_pause does for the start of the command, for which it is there."""
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for turn in range(options.turns + 1):
        for name in sorted(STARTS, reverse=turn % 2 == 1):
            taken = start(STARTS[name], options.threads)
            if turn:  # the first one reads the files into the page cache
                seconds[name].append(taken)
    ratios = [other / own for own, other in zip(*(seconds[name] for name in STARTS), strict=True)]
    return (
        f"gc_pause, start of `isthmus train data=digits` until its first step: {spread(ratios)}, "
        f"{statistics.median(seconds[EVERYTHING]):.2f} s with everything"
    )
