"""Training: the contestants' speed on one case, and whether all learned the same."""

from __future__ import annotations

import argparse

from cases import Case
from registry import CONTESTANTS, REFERENCE, TOLERANCE, Entry
from report import Report, bullets, table
from settings import Settings
from turns import Rounds, spread, take_turns


def measure(case: Case, options: argparse.Namespace, report: Report) -> Rounds:
    """Let all contestants train in turns, and report."""
    entries, notes = _present(case, options)
    epochs = options.epochs or case.epochs
    settings = Settings(
        case=case.name,
        epochs=epochs,
        warm_epochs=min(epochs, 2),
        rows=options.rows or 0,
        threads=options.threads,
        device=options.device,
    )
    print(f"\n{case.name}: {', '.join(entries)}; {epochs} epochs a turn", flush=True)
    rounds = take_turns({name: entry.where for name, entry in entries.items()}, settings, turns=options.turns)
    for name, failure in rounds.failures.items():
        notes.append(report.complain(f"{case.name}, {name}: failed: {failure}"))
    notes += [_judged(case, name, rounds, report) for name in rounds.answers if name != REFERENCE]
    compiled = ", ".join(
        f"{name} {rounds.ready[name]['warm_seconds']:.0f} s"
        for name in ("jax", "isthmus_compiled")
        if name in rounds.answers
    )
    if compiled:
        notes.append(f"not counted: compilation, with the training that is thrown away: {compiled}")
    report.add(
        f"Training: {case.name}",
        f"{case.title}. Epochs in a turn: {epochs}; turns: {options.turns}.",
        table(*_table(entries, rounds, gpu=options.device == "cuda")),
        bullets(note for note in notes if note),
    )
    return rounds


def _present(case: Case, options: argparse.Namespace) -> tuple[dict[str, Entry], list[str]]:
    """The contestants that can take part, and why others cannot."""
    entries, notes = {}, []
    for name, entry in CONTESTANTS.items():
        wanted = not options.contestants or name in (*options.contestants, REFERENCE)
        if not wanted or case.name not in entry.cases or (options.device == "cuda" and not entry.gpu):
            continue
        if not entry.installed:
            notes.append(
                f"{name} is left out: {entry.needs} is not installed; "
                "pip install -c constraints.txt '.[benchmark]'"
            )
            print(notes[-1])
            continue
        entries[name] = entry
    return entries, notes


def _judged(case: Case, name: str, rounds: Rounds, report: Report) -> str:
    """What there is to say about a contestant's error beside the reference's."""
    if REFERENCE not in rounds.answers:
        return ""
    off = rounds.median(name, "mse") / rounds.median(REFERENCE, "mse") - 1
    if abs(off) <= TOLERANCE:
        return ""
    said = f"{name}: its test mse is {abs(off):.0%} {'above' if off > 0 else 'below'} that of {REFERENCE}"
    if excuse := CONTESTANTS[name].excuse:
        return f"{said}, and need not be the same: {excuse}"
    return report.complain(f"{case.name}, {said}, more than the {TOLERANCE:.0%} allowed")


def _table(entries: dict[str, Entry], rounds: Rounds, *, gpu: bool) -> tuple[list[str], list[list[str]]]:
    head = [
        "contestant",
        "what it is",
        "images/s",
        f"times {REFERENCE} (min to max)",
        "test mse",
        "peak memory, MB",
    ]
    if gpu:
        head.append("of the roofline")
    lines = []
    for name in rounds.answers:
        speed = rounds.speed(name)
        line = [
            name,
            entries[name].what,
            f"{speed:,.0f}",
            spread(rounds.ratios(name, REFERENCE)),
            f"{rounds.median(name, 'mse'):.5f}",
            f"{rounds.median(name, 'peak_mb'):,.0f}",
        ]
        if gpu:
            ready = rounds.ready[name]
            line.append(f"{speed * ready['flops_per_image'] / ready['peak_flops']:.1%}")
        lines.append(line)
    return head, lines
