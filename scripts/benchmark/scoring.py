"""A trained model: opening it, and what its methods take beside the bare forward pass of its network."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from report import Report, table
from turns import spread

import isthmus
from isthmus.data.fashion_mnist import FashionMNIST
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.tasks.trained_model import TrainedModel

BARE = "bare"
BATCH = 4096  # rows of the bare pass
COLUMNS = 30
SHORT = ["logger=csv", "trainer.max_steps=200", "trainer.progress_bar=none", "trainer.accelerator=cpu"]
OPENING = """
import sys, time, torch
began, cpu = time.perf_counter(), time.process_time()
import isthmus
isthmus.load(sys.argv[1], device="cpu")
print(time.perf_counter() - began, time.process_time() - cpu)
"""


def measure(options: argparse.Namespace, report: Report) -> None:
    """Train two small models, let the methods of each work in turns, and report."""
    count = options.encode_rows
    print(f"\nscoring: {count:,} rows", flush=True)
    torch.set_num_threads(options.threads)
    images = FashionMNIST(root=None).values.reshape(-1, 28, 28).numpy()
    numbers = np.random.default_rng(0).normal(size=(20_000, COLUMNS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as place:
        np.save(Path(place) / "numbers.npy", numbers)
        table_keys = [f"data.path={place}/numbers.npy", "data.scaling=standardize"]
        kinds = {
            "images": (["data=fashion_mnist", "latent.dim=32"], images),
            "numbers": (["data=arrays", *table_keys, "latent.dim=8"], numbers),
        }
        rows, opened = [], []
        for name, (overrides, x) in kinds.items():
            train(compose([*SHORT, *overrides]), Path(place) / name)
            opened += [[name, *_opening(Path(place) / name, options)]]
            taken = _take_turns(isthmus.load(Path(place) / name, device="cpu"), _repeated(x, count), options)
            for method, seconds in taken.items():
                ratios = [bare / own for bare, own in zip(taken[BARE], seconds, strict=True)]
                speed = count / statistics.median(seconds)
                rows.append([name, method, f"{speed:,.0f}", spread(ratios)])
    report.add(
        "A trained model",
        "`isthmus.load`, after `import torch`, in a process of its own, files in the page cache.",
        table(["", "seconds", "CPU seconds"], opened),
        f"Methods on {count:,} rows in memory: images of 784 bytes, or {COLUMNS} numbers; MLP; rows per CPU "
        "second. bare: reconstructions of scaled values that are in memory, into a tensor that is there. "
        f"Turns: {options.turns}.",
        table(["data", "", "rows/s", f"times {BARE} (min to max)"], rows),
    )


def _opening(run: Path, options: argparse.Namespace) -> list[str]:
    """Median seconds and CPU seconds."""
    found = []
    for turn in range(options.turns + 1):
        done = subprocess.run(
            [sys.executable, "-c", OPENING, str(run)],
            env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
            capture_output=True,
            text=True,
            check=True,
        )
        if turn:  # the first one reads the files into the page cache
            found.append([float(each) for each in done.stdout.split()])
    return [f"{statistics.median(each):.3f}" for each in zip(*found, strict=True)]


def _take_turns(model: TrainedModel, x: np.ndarray, options: argparse.Namespace) -> Mapping[str, list[float]]:
    """CPU seconds of each method, turn by turn."""
    examples = model._engine.examples(x)
    values = torch.cat([examples.take(at, at + BATCH) for at in range(0, len(x), BATCH)])
    out, network = torch.empty_like(values), model._engine.autoencoder

    @torch.inference_mode()
    def bare() -> None:
        for at in range(0, len(x), BATCH):
            out[at : at + BATCH] = network.reconstruct(values[at : at + BATCH])

    methods: dict[str, Callable[[], object]] = {
        BARE: bare,
        "encode": lambda: model.encode(x),
        "reconstruct": lambda: model.reconstruct(x),
        "score": lambda: model.score(x),
        "detect": lambda: model.detect(x, false_alarm_rate=0.05),
    }
    taken: dict[str, list[float]] = {name: [] for name in methods}
    names = list(methods)
    for turn in range(options.turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = time.process_time()
            methods[name]()
            taken[name].append(time.process_time() - began)
    return taken


def _repeated(x: np.ndarray, count: int) -> np.ndarray:
    return x[np.arange(count) % len(x)]
