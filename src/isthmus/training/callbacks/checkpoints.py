"""Checkpoints: the best and the last, by epochs, steps and minutes, and at a request to stop."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NoReturn

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint

from isthmus.common.errors import check_float, check_int
from isthmus.training.callbacks.run_callback import (
    CheckpointHook,
    RunCallback,
    RunContext,
    check_monitor,
    resolve_mode,
)
from isthmus.training.checkpoint.content import CONFIG
from isthmus.training.checkpoint.io import ALSO
from isthmus.training.module import AutoencoderModule
from isthmus.training.stop_requests import Interruption

AGREE_EVERY = 8  # steps between two all-reduces: stop? is a checkpoint due?
AUTO = "auto"
BEST, LAST = "best.ckpt", "last.ckpt"


class Checkpoints(RunCallback, Checkpoint):
    """Keeps checkpoints/best.ckpt and checkpoints/last.ckpt.

    The best is chosen at the end of an epoch, among validated weights. The last is also written within an
    epoch, from where training resumes exactly. Lightning's ModelCheckpoint does not suit: it stores absolute
    paths, and compares an epoch without validation by the metric of an earlier one.

    Args:
        monitor: the metric that chooses the best. auto: val/loss; without validation, the last is the best.
        mode: min, max, or auto: whichever is better for the metric.
        every_n_epochs: epochs between two checkpoints, at least 1; the last epoch always has one.
        every_n_steps: optimizer steps between additional checkpoints, at least 1, or None.
        every_n_minutes: minutes without a checkpoint after which one is written, above 0, or None.

    Attributes:
        monitor: the metric that chooses the best; None: the last is the best.
    """

    state_key = "Checkpoints"

    def __init__(
        self,
        *,
        monitor: str,
        mode: str,
        every_n_epochs: int,
        every_n_steps: int | None,
        every_n_minutes: float | None,
    ) -> None:
        self.monitor: str | None = check_monitor(monitor)
        self.mode = resolve_mode(mode, monitor)
        self.every_n_epochs = check_int("every_n_epochs", every_n_epochs)
        self.every_n_steps = None if every_n_steps is None else check_int("every_n_steps", every_n_steps)
        self.every_n_minutes = (
            None if every_n_minutes is None else check_float("every_n_minutes", every_n_minutes, above=0.0)
        )
        self._best: float | None = None
        self._finished: list[int] | None = None  # the limits under which training has ended
        self._asked = 0
        self._due_at = float("inf")
        self._hooks: list[CheckpointHook] = []

    def attach(self, run: RunContext) -> None:
        self.folder = run.folder / "checkpoints"
        self._config = dict(run.config)
        self._stops = run.stops
        self._background = run.background
        if self.monitor == AUTO:
            # The training loss is no substitute: regularizer weights may still be warming up.
            self.monitor = "val/loss" if len(run.data.split.val) else None

    def register_hook(self, hook: CheckpointHook) -> None:
        """Call `hook(module, step, is_best)` before each checkpoint by epochs or steps."""
        self._hooks.append(hook)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "judged_by": [self.monitor, self.mode], "finished": self._finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        judged_by = state_dict.get("judged_by", [self.monitor, self.mode])
        # the value of another metric, or of a missing checkpoint, cannot be compared
        if judged_by == [self.monitor, self.mode] and (self.folder / BEST).is_file():
            self._best = state_dict["best"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[CONFIG] = self._config

    def setup(self, trainer: Trainer, pl_module: AutoencoderModule, stage: str) -> None:  # type: ignore[override]
        if stage == "fit":
            pl_module.loop.register_step_hook(partial(self._after_step, trainer, pl_module))

    def on_train_start(self, trainer: Trainer, pl_module: AutoencoderModule) -> None:  # type: ignore[override]
        self._restart_clock()

    def _after_step(self, trainer: Trainer, module: AutoencoderModule) -> None:
        step = trainer.global_step
        stop, late = self._agreed(trainer)
        planned = self.every_n_steps is not None and step % self.every_n_steps == 0
        if stop or late or planned:
            self._save(trainer, module=module if planned else None)
        if stop:
            self._stop(stop)

    def on_validation_batch_end(self, trainer: Trainer, *arguments: Any, **keywords: Any) -> None:
        stop, _ = self._agreed(trainer)
        if stop:
            self._save(trainer)
            self._stop(stop)

    def _stop(self, signum: int) -> NoReturn:
        self._background.flush()
        raise Interruption(signum)

    def on_test_batch_end(self, trainer: Trainer, *arguments: Any, **keywords: Any) -> None:
        stop, _ = self._agreed(trainer)
        if stop:
            self._stop(stop)  # last.ckpt is from the end of training already

    def on_train_end(self, trainer: Trainer, pl_module: AutoencoderModule) -> None:  # type: ignore[override]
        self._background.flush()
        trainer.strategy.barrier()  # the other processes read the files too

    def on_train_epoch_end(self, trainer: Trainer, pl_module: AutoencoderModule) -> None:  # type: ignore[override]
        epochs = trainer.current_epoch + 1
        ends = trainer.should_stop or epochs == trainer.max_epochs
        if ends or epochs % self.every_n_epochs == 0:
            self._finished = [trainer.max_epochs or -1, pl_module.loop.settings.max_steps] if ends else None
            self._save(trainer, module=pl_module, best=self._improved(trainer, pl_module, ends=ends))

    def _improved(self, trainer: Trainer, module: AutoencoderModule, *, ends: bool) -> bool:
        if self.monitor is None:
            return True
        # an epoch without validation has no value of its own
        if self.monitor.startswith("val/") and module.validated_at != trainer.global_step:
            return ends and self._best is None  # nothing was validated, so the last is the best
        value = float(trainer.callback_metrics[self.monitor])
        better = self._best is None or (value < self._best if self.mode == "min" else value > self._best)
        if better:
            self._best = value
        return better

    def _save(self, trainer: Trainer, *, module: AutoencoderModule | None = None, best: bool = False) -> None:
        """Write a checkpoint. `module` is given for one by epochs or steps, and passed to the hooks."""
        if module is not None:
            for hook in self._hooks:
                hook(module, trainer.global_step, best)
        also = {ALSO: self.folder / LAST} if best else None
        trainer.save_checkpoint(self.folder / (BEST if best else LAST), storage_options=also)
        self._restart_clock()

    def _restart_clock(self) -> None:
        if self.every_n_minutes is not None:
            self._due_at = time.monotonic() + 60 * self.every_n_minutes

    def _agreed(self, trainer: Trainer) -> tuple[int, bool]:
        """The signal that requests a stop, or 0, and whether a checkpoint is due: equal in all processes."""
        stop, late = self._stops.signum, time.monotonic() >= self._due_at
        if trainer.world_size == 1:
            return stop, late
        self._asked += 1
        if self._asked % AGREE_EVERY:
            return 0, False
        answers = torch.tensor([stop, int(late)])
        torch.distributed.all_reduce(answers, torch.distributed.ReduceOp.MAX)
        return int(answers[0]), bool(answers[1])
