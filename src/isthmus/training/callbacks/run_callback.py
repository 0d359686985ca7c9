"""The base class of callbacks that use the run folder or the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from isthmus.common.errors import BadInput, one_of
from isthmus.training.module import AutoencoderModule
from isthmus.training.stop_requests import StopRequests
from isthmus.training.writers.background import Background

CheckpointHook = Callable[[AutoencoderModule, int, bool], None]
HIGHER_IS_BETTER = ("psnr", "ssim", "active_units")


@dataclass(frozen=True)
class RunContext:
    """What a run offers to its callbacks.

    Attributes:
        folder: of the run.
        data: its DataModule.
        config: the dotted keys that define the model and its data, which checkpoints contain.
        stops: requests to stop training.
        background: the writer thread.
        before_checkpoint: registers a hook that runs before each checkpoint by epochs or steps. It gets the
            module, the step and whether the checkpoint is the best so far.
    """

    folder: Path
    data: Any
    config: Mapping[str, Any]
    stops: StopRequests
    background: Background
    before_checkpoint: Callable[[CheckpointHook], None]


class RunCallback(Callback):
    """A Lightning callback whose constructor takes its config keys, and which is then attached to a run."""

    def attach(self, run: RunContext) -> None:
        """Called once, before training starts or resumes."""

    def on_run_end(self, trainer: Trainer, module: AutoencoderModule, results: Mapping[str, Any]) -> None:
        """Called after the test, with the best weights and the content of results.json."""


def check_monitor(monitor: Any) -> str:
    """A metric's name; raises `BadInput` for other values."""
    if not isinstance(monitor, str):
        raise BadInput("monitor", monitor, "must be the name of a metric, such as val/loss")
    return monitor


def resolve_mode(mode: Any, metric: str | None) -> str:
    """min or max; auto: whichever is better for the metric."""
    one_of("mode", mode, ("auto", "min", "max"))
    if mode != "auto":
        return str(mode)
    return "max" if str(metric).rpartition("/")[2] in HIGHER_IS_BETTER else "min"
