"""isthmus on a file of images: read from the disk by each batch, or held in memory."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from fitting import isthmus_train
from settings import Settings, Turn

# the textbook network for rows of 784 values
NETWORK = (
    "data.val_size=0",
    "architecture.hidden=[256]",
    "latent.dim=32",
    "loss.reduction=mean",
    "loss.output_activation=sigmoid",
    "trainer.accelerator=cpu",
)


class Streamed:
    """`data.in_memory=false`."""

    in_memory: ClassVar[str] = "false"
    data: ClassVar[tuple[str, ...]] = ("data=arrays",)
    suffix: ClassVar[str] = ".npy"

    def __init__(self, settings: Settings) -> None:
        self.overrides = (
            *self.data,
            *NETWORK,
            "data.test_size=1000",
            f"data.path={Path(settings.file).with_suffix(self.suffix)}",
            f"data.in_memory={self.in_memory}",
            *settings.overrides,
        )

    def turn(self, *, seed: int, epochs: int) -> Turn:
        turn, _ = isthmus_train([*self.overrides, f"trainer.max_epochs={epochs}"], seed=seed)
        return turn


class Held(Streamed):
    """`data.in_memory=true`."""

    in_memory = "true"


class StreamedTable(Streamed):
    """`data.in_memory=false` of a Parquet file."""

    data = ("data=table", "data.scaling=none", "data.prune=false")
    suffix = ".parquet"
