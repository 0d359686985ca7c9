"""The textbook autoencoder in isthmus is the textbook loop in plain PyTorch, step by step."""

from __future__ import annotations

import csv
from itertools import chain, islice

import pytest
import torch
from torch import nn

from isthmus.data.fashion_mnist import DEBIAN
from isthmus.runs.config.build import build
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train

STEPS = 100


def textbook_losses(weights, batches):
    """Forward, loss, zero_grad, backward, step: a loop that knows nothing of isthmus."""
    model = nn.Sequential(
        *(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32)),
        *(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid()),
    )
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.MSELoss()
    losses = []
    for x in batches:
        loss = criterion(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Fashion-MNIST is not here (Debian's dataset-fashion-mnist)")
def test_same_losses_as_the_textbook_loop(tmp_path):
    cfg = compose(
        [
            *("experiment=textbook", f"trainer.max_steps={STEPS}", "trainer.log_every_n_steps=1"),
            *("trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none"),
        ]
    )
    parts = build(cfg)
    weights = [parameter.detach().clone() for parameter in parts.module.autoencoder.parameters()]
    loaded = chain.from_iterable(group.x.split(group.sizes) for group in parts.data.train_dataloader())
    batches = [x.flatten(1) / 255 for x in islice(loaded, STEPS)]
    expected = textbook_losses(weights, batches)

    folder = train(cfg, tmp_path / "run")
    rows = csv.DictReader(folder.metrics.open())
    losses = [float(row["train/loss_step"]) for row in rows if row["train/loss_step"]]

    assert len(losses) == STEPS
    assert losses == pytest.approx(expected, rel=0, abs=1e-6)
    assert losses[-1] < 0.5 * losses[0]
