"""Ablation of the training step alone: steps with and without a component alternate in this process.

A machine whose speed varies within seconds hides in whole runs what a component of the step earns. Here all
have their turns within a fraction of a second, so a slow moment is slow for each of them.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

import torch
from cases import CASES
from contestants.ablated import COMPONENTS, CONTROL, EVERYTHING
from report import Report, bullets, table

from isthmus.runs.config.build import build
from isthmus.runs.config.compose import compose
from isthmus.training.step import training_step
from isthmus.training.step.optimizers import make_optimizer

OF_THE_STEP = (
    *(EVERYTHING, CONTROL, "capture", "graph_passes", "leave_out", "fold_constants"),
    *("fast_calls", "fast_functions", "fused_adam", "direct_gradients", "fused"),
    "channels_last",
)
ROUNDS = 60
STEPS = {"textbook": 10, "conv_vae": 2, "digits": 60}  # of a component in a round
BATCHES = 8
RECORDED = 8  # steps until there is a recording which has been compared


def measure(options: argparse.Namespace, report: Report) -> None:
    """Take steps in turns, and report."""
    torch.set_num_threads(options.threads)
    found, notes = {}, []
    for case in CASES:
        if options.cases and case not in options.cases:
            continue
        print(f"\nsteps, {case}", flush=True)
        steps = {name: _step(case, name) for name in OF_THE_STEP if case in COMPONENTS[name].cases}
        found[case] = _taken(steps, STEPS[case])
        least = statistics.median(found[case][EVERYTHING])
        notes.append(f"{case}: {STEPS[case]} steps of each in a round, {least * 1e6:,.0f} us a step")
    report.add(
        "Ablation: the training step",
        "CPU seconds of a training step without a component over those with everything in the same round: "
        f"median (middle half) of {ROUNDS} rounds. All steps are in one process and alternate, so that "
        "a slow moment is slow for each. No data are loaded and nothing is logged.",
        table(
            ["without", *found],
            [[name, *(_cell(rounds, name) for rounds in found.values())] for name in OF_THE_STEP[1:]],
        ),
        bullets(notes),
    )


def _step(case: str, name: str) -> Callable[[], None]:
    """Trains a model of its own, without a component, on the next batch."""
    component = COMPONENTS[name]
    parts = build(compose([*CASES[case].overrides, *component.overrides, "trainer.accelerator=cpu"]))
    module, source, size = parts.module, parts.data.source, CASES[case].batch
    batches = module.scaling(source.take(parts.data.split.train[: BATCHES * size])).split(size)
    autoencoder = module.autoencoder.train()
    optimizer = make_optimizer(
        module.make_optimizer,
        autoencoder.parameters(),
        fused=module.loop.settings.fused,
        device=torch.device("cpu"),
    )
    taken = 0

    def step() -> None:
        nonlocal taken
        train(batches[taken % BATCHES], epoch=None)
        taken += 1

    with ExitStack() as stack:
        for what, instead in component.patches.items():
            stack.enter_context(mock.patch(what, instead))
        train = training_step.TrainingStep(
            training_step.StepCapture(autoencoder, compiled=False), [optimizer]
        )
        for _ in range(RECORDED):
            step()
    return step


def _taken(steps: dict[str, Callable[[], None]], count: int) -> dict[str, list[float]]:
    """CPU seconds of a step, by component, of each round; their order is another one in each."""
    gc.collect()
    order, shuffled = list(steps), random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        shuffled.shuffle(order)
        for name in order:
            began = time.process_time()
            for _ in range(count):
                steps[name]()
            seconds[name].append((time.process_time() - began) / count)
    return seconds


def _cell(rounds: dict[str, list[float]], name: str) -> str:
    if name not in rounds:
        return ""
    ratios = [other / own for other, own in zip(rounds[name], rounds[EVERYTHING], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
