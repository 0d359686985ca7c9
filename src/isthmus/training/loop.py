"""The loop over the batches that one call of Lightning's `training_step` gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.seeding import default_generator, derive_seed
from isthmus.training.metrics import Means
from isthmus.training.monitors.nonfinite import DivergenceGuard
from isthmus.training.progress import PendingMeans, Progress
from isthmus.training.step.optimizers import clip_gradients
from isthmus.training.step.training_step import make_step


@dataclass(frozen=True)
class StepSettings:
    """How batches become optimizer steps.

    Attributes:
        accumulate: batches whose gradients make one step.
        clip_value: largest norm or value of the gradients, or None.
        clip_algorithm: norm or value.
        fused: see `make_optimizer`.
        log_every_n_steps: optimizer steps between two per-step records.
        max_steps: optimizer steps after which training is over; -1 for no limit.
        compiled: whether noise, forward, loss and backward are compiled. Only the forward pass is compiled
            for third-party modules, with several processes, and with a loss scale.
    """

    accumulate: int = 1
    clip_value: float | None = None
    clip_algorithm: str = "norm"
    fused: bool | str = "auto"
    log_every_n_steps: int = 50
    max_steps: int = -1
    compiled: bool = False


class TrainingLoop:
    """Makes the training steps of a module and keeps the means of the epoch.

    Lightning's overhead per call exceeds a small network's arithmetic, so a call takes a group of batches.

    Args:
        autoencoder: the model.
        settings: how batches become optimizer steps.
        seed: noise, samples and dropout are functions of it, the epoch and the batch.

    Attributes:
        position: after the last optimizer step.
        means: of the terms read so far in this epoch.
        latest: terms of the last batch, or None before the first. Shape: [T].
    """

    def __init__(self, autoencoder: Autoencoder, settings: StepSettings, *, seed: int) -> None:
        self.autoencoder = autoencoder
        self.settings = settings
        self.seed = seed
        self.position = Progress(0, 0, 0)
        self.means = Means(["loss", "reconstruction", *autoencoder.regularizers])
        self.latest: Tensor | None = None
        self.guard = DivergenceGuard()
        self._warms_up = any(part.warmup_epochs for part in autoencoder.regularizers.values())
        self._pending: list[tuple[Tensor, int]] = []  # terms and number of examples of recent batches
        self._step_hooks: list[Callable[[], None]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainingLoop:
        """A loop that has not started: callbacks that average weights copy the module."""
        return TrainingLoop(deepcopy(self.autoencoder, memo), self.settings, seed=self.seed)

    def register_step_hook(self, hook: Callable[[], None]) -> None:
        """Call `hook` after each optimizer step, also between the batches of a group."""
        self._step_hooks.append(hook)

    def start(self, module: LightningModule, *, batches: int) -> None:
        """Prepare for training.

        Args:
            module: attached to its trainer, on its device.
            batches: of an epoch, in each process.
        """
        trainer, optimizers = module.trainer, module.optimizers()
        self._module = module
        self._batches = batches
        self._device = module.device
        self._generator = default_generator(module.device)
        self._rank, self._world_size = trainer.global_rank, trainer.world_size
        self._optimizers: list[Any] = optimizers if isinstance(optimizers, list) else [optimizers]
        self._schedulers = [c.scheduler for c in trainer.lr_scheduler_configs if c.interval == "step"]
        self.means.to(module.device)
        self._pending = [(terms.to(module.device), count) for terms, count in self._pending]
        self._step = make_step(
            module,
            self._optimizers,
            clip=None if self.settings.clip_value is None else self._clip,
            compiled=self.settings.compiled,
        )

    def run(self, examples: Sequence[Tensor], blocks: Sequence[int]) -> bool:
        """Train on a group of batches; returns whether the limit of steps is reached.

        Args:
            examples: of each batch, clean, as the model sees them. Shapes: [B, ...].
            blocks: number of each batch among the batches of all processes in this epoch, from 0.
        """
        epoch = self._module.current_epoch
        for x, block in zip(examples, blocks, strict=True):
            if self._is_over():
                break
            self._train(x, epoch, block // self._world_size)
        return self._is_over()

    def _is_over(self) -> bool:
        # Lightning's own max_steps skips the last validation, and on resume the end of the epoch.
        return 0 <= self.settings.max_steps <= self._module.global_step

    def _train(self, x: Tensor, epoch: int, batch_idx: int) -> None:
        self._generator.manual_seed(derive_seed(self.seed, "step", epoch, batch_idx, self._rank))
        progress = self._epochs_trained(epoch, batch_idx) if self._warms_up else None
        last = batch_idx + 1 == self._batches
        group = self.settings.accumulate
        complete = last or (batch_idx + 1) % group == 0
        share = 1 / min(group, self._batches - batch_idx // group * group)  # the last group may be smaller
        terms = self._step(x, epoch=progress, complete=complete, share=share)
        self.latest = terms
        self._pending.append((terms, x.shape[0]))
        step = self._module.global_step
        self.guard.add(step if complete else step + 1, terms)
        if complete:
            for scheduler in self._schedulers:
                scheduler.step()
            if step % self.settings.log_every_n_steps == 0:
                self._log(terms, epoch, step)
            self.position = Progress(epoch, batch_idx + 1, step)
            for hook in self._step_hooks:
                hook()

    def _epochs_trained(self, epoch: int, batch_idx: int) -> Tensor:
        return torch.tensor(epoch + batch_idx / self._batches, device=self._device)

    def _clip(self) -> None:
        assert self.settings.clip_value is not None
        for optimizer in self._optimizers:
            clip_gradients(
                self._module,
                optimizer,
                value=self.settings.clip_value,
                algorithm=self.settings.clip_algorithm,
            )

    def _log(self, terms: Tensor, epoch: int, step: int) -> None:
        self._read_terms()
        named = zip(self.means.names, terms.tolist(), strict=True)
        values = {f"train/{name}_step": value for name, value in named}
        for logger in self._module.loggers:
            logger.log_metrics({**values, "epoch": epoch + 1}, step=step)

    def _read_terms(self) -> None:
        # Reads many steps at once: each synchronization costs as much as a small network's step.
        self.guard.check()
        if self._pending:
            terms, counts = zip(*self._pending, strict=True)
            self.means.update_many(torch.stack(terms), torch.tensor(counts, device=self._device))
            self._pending.clear()

    def end_epoch(self, epoch: int) -> dict[str, Any]:
        """End the epoch with index `epoch`; returns its means, learning rate and regularizer weights.

        Raises:
            TrainingDiverged: a loss or a weight is not finite.
        """
        last = self._epochs_trained(epoch, self.position.batch - 1)
        self.position = Progress(epoch + 1, 0, self._module.global_step)
        self._read_terms()
        self.guard.check_weights(self.autoencoder.parameters(), self.position.step)
        metrics: dict[str, Any] = {f"train/{name}": mean for name, mean in self.means.compute().items()}
        self.means.reset()
        metrics["lr"] = self._optimizers[0].param_groups[0]["lr"]
        if self._warms_up:
            parts = self.autoencoder.regularizers.items()
            metrics |= {f"train/{name}_weight": part.weight_at(last) for name, part in parts}
        return metrics

    def pending_means(self) -> PendingMeans:
        """The state of the means, for a checkpoint. Raises `TrainingDiverged` if a loss is not finite."""
        self.guard.check()  # a checkpoint with NaN cannot be resumed
        return PendingMeans(
            self.means.sums,
            self.means.count,
            torch.stack([terms for terms, _ in self._pending]) if self._pending else torch.empty(0),
            torch.tensor([count for _, count in self._pending]),
        )

    def restore(self, position: Progress, pending: PendingMeans | None) -> None:
        """Resume from a position; `pending` within an epoch."""
        self.position = position
        if pending is not None:
            self.means.sums, self.means.count = pending.sums, pending.total
            self._pending = list(zip(pending.terms, pending.sizes.tolist(), strict=True))
