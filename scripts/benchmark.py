"""Time `isthmus train` against hand-written loops: same network, data, batches and number of epochs.

Contestants, in turns within one process, so that a machine that slows down slows all of them:

- dataloader: the textbook loop over a shuffled DataLoader, Adam
- resident: the same loop over batches indexed from one tensor, fused Adam, nothing logged
- isthmus: the whole training of `isthmus train experiment=textbook`, with TensorBoard, CSV, progress bar,
  checkpoints, latents and figures

What is timed is training: for the loops all epochs, for isthmus Lightning's `fit` from start to end. The test
error of each shows that all three learned the same thing.

    python scripts/benchmark.py --turns 3 --epochs 10
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from isthmus.data.fashion_mnist import FashionMNIST
from isthmus.runs.compose import compose
from isthmus.runs.train import train

BATCH = 128
TRAINED = 60_000


def network() -> nn.Sequential:
    """784-256-32-256-784."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32)),
        *(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid()),
    )


def loop(
    x: Tensor, epochs: int, batches: Callable[[], Iterator[Tensor]], *, fused: bool
) -> tuple[float, nn.Module]:
    """The loop of every textbook; returns seconds and the trained network."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    criterion = nn.MSELoss()
    began = time.perf_counter()
    for _ in range(epochs):
        for batch in batches():
            loss = criterion(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - began, model


def with_isthmus(epochs: int) -> tuple[float, float]:
    """Seconds of training and the test error of a whole run."""
    seconds = 0.0
    fit = Trainer.fit

    def timed(*arguments: object, **keywords: object) -> None:
        nonlocal seconds
        began = time.perf_counter()
        fit(*arguments, **keywords)
        seconds = time.perf_counter() - began

    config = compose(["experiment=textbook", f"trainer.max_epochs={epochs}", "trainer.progress_bar=true"])
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(Trainer, "fit", timed),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        run = train(config, Path(folder) / "run")
        error = run.read_json(run.results)["test/mse"]
    return seconds, error


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()

    source = FashionMNIST(root=None)
    images = source.values.reshape(-1, 784).float() / 255
    x, test = images[:TRAINED], images[TRAINED:]

    def shuffled() -> Iterator[Tensor]:
        return (batch for (batch,) in DataLoader(TensorDataset(x), BATCH, shuffle=True))

    def indexed() -> Iterator[Tensor]:
        return (x[rows] for rows in torch.randperm(len(x)).split(BATCH))

    @torch.no_grad()
    def error(model: nn.Module) -> float:
        return nn.functional.mse_loss(model(test), test).item()

    def plain(batches: Callable[[], Iterator[Tensor]], *, fused: bool) -> tuple[float, float]:
        seconds, model = loop(x, arguments.epochs, batches, fused=fused)
        return seconds, error(model)

    contestants: dict[str, Callable[[], tuple[float, float]]] = {
        "dataloader": lambda: plain(shuffled, fused=False),
        "resident": lambda: plain(indexed, fused=True),
        "isthmus": lambda: with_isthmus(arguments.epochs),
    }
    speed: dict[str, list[float]] = {name: [] for name in contestants}
    errors: dict[str, float] = {}
    for turn in range(arguments.turns):
        for name, contestant in contestants.items():
            seconds, errors[name] = contestant()
            speed[name].append(arguments.epochs * TRAINED / seconds)
        print(
            f"turn {turn + 1}: " + "  ".join(f"{name} {values[-1]:,.0f}" for name, values in speed.items()),
            flush=True,
        )

    print(
        f"\n{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{time.strftime('%Y-%m-%d')}; {arguments.epochs} epochs, medians of {arguments.turns} turns\n"
    )
    print("| loop | images/s | times the DataLoader loop (min to max) | test mse |\n|---|---|---|---|")
    for name, values in speed.items():
        ratios = [own / other for own, other in zip(values, speed["dataloader"], strict=True)]
        print(
            f"| {name} | {statistics.median(values):,.0f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) | {errors[name]:.4f} |"
        )


if __name__ == "__main__":
    main()
