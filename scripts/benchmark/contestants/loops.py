"""Hand-written loops in plain PyTorch: over a DataLoader, and over one tensor in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from cases import CASES, LEARNING_RATE
from clock import now
from examples import examples
from networks import test_mse
from settings import Settings, Turn
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


class Loop:
    """The loop of every textbook."""

    fused: ClassVar[bool]

    def __init__(self, settings: Settings) -> None:
        self.case = CASES[settings.case]
        self.device = settings.device
        self.train, self.test = examples(self.case, self.device)

    def batches(self) -> Iterator[Tensor]:
        """Those of one epoch, shuffled."""
        raise NotImplementedError

    def turn(self, *, seed: int, epochs: int) -> Turn:
        torch.manual_seed(seed)
        objective = self.case.objective
        model = self.case.network().to(self.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=self.fused)
        began = now(self.device)
        for _ in range(epochs):
            for batch in self.batches():
                loss = objective(model, batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        seconds = now(self.device) - began
        return Turn(seconds, epochs * len(self.train), test_mse(model, self.case.reconstruct, self.test))


class OverDataLoader(Loop):
    """A shuffled DataLoader in this process and plain Adam."""

    fused = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.loader = DataLoader(TensorDataset(self.train.cpu()), self.case.batch, shuffle=True)

    def batches(self) -> Iterator[Tensor]:
        return (batch.to(self.device) for (batch,) in self.loader)


class Resident(Loop):
    """Batches by index out of one tensor on the device, and fused Adam: the loop to be measured against."""

    fused = True

    def batches(self) -> Iterator[Tensor]:
        order = torch.randperm(len(self.train), device=self.device)
        return (self.train[rows] for rows in order.split(self.case.batch))
