"""isthmus: whole runs, with TensorBoard, CSV, progress bar, checkpoints, latents and figures on."""

from __future__ import annotations

from typing import ClassVar

from cases import CASES
from fitting import isthmus_train
from settings import Settings, Turn


class Isthmus:
    """`isthmus train` on a training case."""

    further: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Settings) -> None:
        self.case = CASES[settings.case]
        accelerator = "gpu" if settings.device == "cuda" else "cpu"
        self.overrides = (*self.case.overrides, *self.further, f"trainer.accelerator={accelerator}")
        self.parameters = sum(p.numel() for p in self.case.network().parameters())

    def turn(self, *, seed: int, epochs: int) -> Turn:
        turn, results = isthmus_train([*self.overrides, f"trainer.max_epochs={epochs}"], seed=seed)
        if results["parameters"] != self.parameters:
            raise RuntimeError(
                f"isthmus has {results['parameters']} parameters, the hand-written network {self.parameters}"
            )
        return turn


class Compiled(Isthmus):
    """The same with torch.compile; the training that is thrown away compiles."""

    further = ("trainer.compile=true",)
