"""The LightningModule: passes batches to the training step, and logs the terms it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from isthmus.common.errors import TrainingDiverged
from isthmus.common.failures import WarnOnFailure
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.metrics.reconstruction import error_names, reconstruction_errors
from isthmus.core.scaling import Scaling
from isthmus.core.seeding import default_generator, derive_seed
from isthmus.core.types import Batch, BatchGroup
from isthmus.training.distributed import agree_on
from isthmus.training.loggers import Marked, tensorboard_of
from isthmus.training.memory_format import follow_weights
from isthmus.training.metrics import LatentUse, Means, reported
from isthmus.training.monitors.nonfinite import DivergenceGuard
from isthmus.training.monitors.posterior_collapse import CollapseWarning, kl_record
from isthmus.training.progress import KEY, PendingMeans, Progress, loop_state, record, recorded
from isthmus.training.schedulers import Schedule
from isthmus.training.step.engines import make_step
from isthmus.training.step.optimizers import clip_gradients, make_optimizer


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
        compiled: whether noise, forward, loss and backward are compiled; only the forward pass with
            third-party modules, several processes or a loss scale.
    """

    accumulate: int = 1
    clip_value: float | None = None
    clip_algorithm: str = "norm"
    fused: bool | str = "auto"
    log_every_n_steps: int = 50
    max_steps: int = -1
    compiled: bool = False


class AutoencoderModule(LightningModule):
    """Trains and evaluates an autoencoder.

    Training uses the regularizer weights as they warm up; validation and test use the full weights.
    Reconstruction metrics are those of the deterministic code; the loss is that of a sample, drawn from the
    same seed at each validation.

    Args:
        autoencoder: the model, with its noise and loss.
        scaling: stored values to model values.
        shape: of one example.
        value_range: lowest and highest value of the data.
        optimizer: makes the optimizer from parameters.
        schedule: of the learning rate.
        settings: how batches become optimizer steps.
        seed: noise, samples and dropout are functions of it, the epoch and the batch.
        watched_loss: the metric that a plateau schedule watches.
    """

    def __init__(
        self,
        *,
        autoencoder: Autoencoder,
        scaling: Scaling,
        shape: tuple[int, ...],
        value_range: tuple[float, float],
        optimizer: Callable[..., Optimizer],
        schedule: Schedule,
        settings: StepSettings,
        seed: int,
        watched_loss: str,
    ) -> None:
        super().__init__()
        # Lightning's automatic mode allows one optimizer and one step per batch.
        self.automatic_optimization = False
        self.autoencoder = autoencoder
        self.scaling = scaling
        self.shape = shape
        self.value_range = value_range
        self.settings = settings
        self.seed = seed
        self.watched_loss = watched_loss
        self.latest: Tensor | None = None  # terms of the last batch, the loss first
        self.kl_per_dimension: Tensor | None = None
        self.validated_at = -1  # optimizer step of the last validation
        self.after_step: Callable[[], None] | None = None  # called after each optimizer step
        self._place = Progress(0, 0, 0)
        self.make_optimizer = optimizer
        self.schedule = schedule
        self._guard = DivergenceGuard()
        self._pending_terms: list[tuple[Tensor, int]] = []  # terms and number of examples of recent steps
        self._warned = WarnOnFailure("a histogram of the KL could not be written")
        warmups = [part.warmup_epochs for part in autoencoder.regularizers.values()]
        self._warms_up = any(warmups)
        self._collapse = CollapseWarning(after_epochs=max(warmups, default=0.0))

        low, high = autoencoder.loss.low, autoencoder.loss.high
        self._probabilities = (low, high) == (0.0, 1.0)
        terms = ["loss", "reconstruction", *autoencoder.regularizers]
        errors = error_names(shape, value_range=value_range, probabilities=self._probabilities)
        self.train_means = Means(terms)
        self.evaluation_means = Means([*terms, *errors])
        self.latent_use = LatentUse(autoencoder.latent.dim) if autoencoder.latent.probabilistic else None

    def metric_names(self, *, validates: bool) -> list[str]:
        """The names of the metrics that every epoch logs."""
        evaluation = list(
            reported(dict.fromkeys(self.evaluation_means.names, torch.ones(())), value_range=(0, 1))
        )
        if self.latent_use is not None:
            evaluation.append("active_units")
        return [
            *(f"train/{name}" for name in self.train_means.names),
            *(f"val/{name}" for name in evaluation if validates),
        ]

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(
            self.make_optimizer, self.autoencoder.parameters(), fused=self.settings.fused, device=self.device
        )
        schedule = self.schedule.build(optimizer, self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": schedule} if schedule else optimizer

    def _total_steps(self) -> int:
        trainer = self.trainer
        trainer.fit_loop.setup_data()  # the number of batches is known from here on
        epochs, limit = trainer.max_epochs or -1, self.settings.max_steps
        if epochs < 0:
            return limit
        steps = epochs * -(-self._batches_per_epoch() // self.settings.accumulate)
        return min(steps, limit) if limit > 0 else steps

    def _batches_per_epoch(self) -> int:
        return self.trainer.datamodule.train_batches  # type: ignore[attr-defined]

    def on_fit_start(self) -> None:
        self._generator = default_generator(self.device)
        self._batches = self._batches_per_epoch()
        self._rank = self.global_rank
        self._pending_terms = [(terms.to(self.device), count) for terms, count in self._pending_terms]
        optimizers = self.optimizers()
        self._optimizers: list[Any] = optimizers if isinstance(optimizers, list) else [optimizers]
        configs = self.trainer.lr_scheduler_configs
        self._step_schedulers = [c.scheduler for c in configs if c.interval == "step"]
        self._epoch_schedulers = [c.scheduler for c in configs if c.interval == "epoch"]
        self._step = make_step(
            self,
            self._optimizers,
            clip=None if self.settings.clip_value is None else self._clip,
            compiled=self.settings.compiled,
        )

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:  # their state has been restored by now
            follow_weights(optimizer)

    def training_step(self, group: BatchGroup, batch_idx: int) -> None:
        # Lightning's overhead per call exceeds a small network's arithmetic, so a call takes several batches.
        epoch, world_size = self.current_epoch, self.trainer.world_size
        for x, block in zip(group.split(self.scaling(group.x)), group.blocks, strict=True):
            if self._is_over():
                break
            self._train(x, epoch, block // world_size)
        if self._is_over():
            self.trainer.should_stop = True

    def _is_over(self) -> bool:
        # Lightning's own max_steps skips the last validation, and on resume the end of the epoch.
        return 0 <= self.settings.max_steps <= self.global_step

    def _train(self, x: Tensor, epoch: int, batch_idx: int) -> None:
        self._generator.manual_seed(derive_seed(self.seed, "step", epoch, batch_idx, self._rank))
        progress = self._epochs_trained(batch_idx) if self._warms_up else None
        last = batch_idx + 1 == self._batches
        group = self.settings.accumulate
        complete = last or (batch_idx + 1) % group == 0
        share = 1 / min(group, self._batches - batch_idx // group * group)  # the last group may be smaller
        terms = self._step(x, epoch=progress, complete=complete, share=share)
        self.latest = terms
        self._pending_terms.append((terms, x.shape[0]))
        step = self.global_step
        self._guard.add(step if complete else step + 1, terms)
        if complete:
            for scheduler in self._step_schedulers:
                scheduler.step()
            if step % self.settings.log_every_n_steps == 0:
                self._log_step(terms, step)
            self._place = Progress(epoch, batch_idx + 1, step)
            if self.after_step is not None:
                self.after_step()

    def _epochs_trained(self, batch_idx: int) -> Tensor:
        return torch.tensor(self.current_epoch + batch_idx / self._batches, device=self.device)

    def _clip(self) -> None:
        assert self.settings.clip_value is not None
        for optimizer in self._optimizers:
            clip_gradients(
                self, optimizer, value=self.settings.clip_value, algorithm=self.settings.clip_algorithm
            )

    def _read_terms(self) -> None:
        # Reads many steps at once: each synchronization costs as much as a small network's step.
        self._guard.check()
        if self._pending_terms:
            terms, counts = zip(*self._pending_terms, strict=True)
            self.train_means.update_many(torch.stack(terms), torch.tensor(counts, device=self.device))
            self._pending_terms.clear()

    def _log_step(self, terms: Tensor, step: int) -> None:
        self._read_terms()
        names = self.train_means.names
        values = {f"train/{name}_step": value for name, value in zip(names, terms.tolist(), strict=True)}
        for logger in self.loggers:
            logger.log_metrics({**values, "epoch": self.current_epoch}, step=step)

    def on_train_epoch_end(self) -> None:
        last_batch = self._place.batch - 1
        self._place = Progress(self.current_epoch + 1, 0, self.global_step)
        self._read_terms()
        self._guard.check_weights(self.autoencoder.parameters(), self.global_step)
        metrics: dict[str, Any] = {f"train/{name}": mean for name, mean in self.train_means.compute().items()}
        self.train_means.reset()
        metrics["lr"] = self._optimizers[0].param_groups[0]["lr"]
        if self._warms_up:
            progress = self._epochs_trained(last_batch)
            parts = self.autoencoder.regularizers.items()
            metrics |= {f"train/{name}_weight": part.weight_at(progress) for name, part in parts}
        self._record(metrics)
        if self.watched_loss in metrics or self.validated_at == self.global_step:
            for scheduler in self._epoch_schedulers:
                scheduler.step({**self.trainer.callback_metrics, **metrics}[self.watched_loss])

    def on_validation_epoch_start(self) -> None:
        # Running statistics differ between processes; checkpoints contain those of rank 0.
        agree_on(self.autoencoder.buffers())
        self.evaluation_means.reset()
        if self.latent_use is not None:
            self.latent_use.reset()

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def _evaluate(self, batch: Batch) -> None:
        default_generator(self.device).manual_seed(derive_seed(self.seed, "evaluation", batch.block))
        result, terms = self.autoencoder(self.scaling(batch.x))
        if not len(batch.x):
            return
        posterior = result.code.posterior
        if posterior is None:
            reconstruction = self.autoencoder.loss.reconstruction(result.raw)
        else:
            reconstruction = self.autoencoder.decode(posterior.mean.to(result.code.z.dtype))
            assert self.latent_use is not None
            self.latent_use.update(posterior)
        errors = reconstruction_errors(
            reconstruction, result.x, value_range=self.value_range, probabilities=self._probabilities
        )
        means = [*terms.named().values(), *(error.mean() for error in errors.values())]
        self.evaluation_means.update(torch.stack([mean.float() for mean in means]), len(batch.x))

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")
        self.validated_at = self.global_step

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        metrics = reported(self.evaluation_means.compute(), value_range=self.value_range)
        if not metrics["loss"].isfinite():
            self._guard.check()  # names the first step that was not finite
            raise TrainingDiverged(f"{stage}/loss is {metrics['loss'].item()} at step {self.global_step}")
        named = {f"{stage}/{name}": value.float() for name, value in metrics.items()}
        if self.latent_use is not None:
            self.kl_per_dimension, active = self.latent_use.compute()
            named[f"{stage}/active_units"] = active.float()
            named |= kl_record(self.kl_per_dimension, stage)
            writer = tensorboard_of(self.trainer.loggers)
            if writer is not None:
                with self._warned:
                    writer.add_histogram(f"{stage}_kl/all", self.kl_per_dimension.cpu(), self.global_step)
            if self.trainer.is_global_zero:
                final = stage == "test"
                self._collapse.look(int(active), self.kl_per_dimension, epoch=self.current_epoch, final=final)
        self._record(named)

    def _record(self, metrics: dict[str, Any]) -> None:
        # Lightning would log them after the checkpoint, which would lack them, and by batches; per-step
        # records count optimizer steps. Its accounting takes longer than a short epoch; but `trainer.test`
        # returns only what `log_dict` got, and without loggers only what is meant for them.
        if self.trainer.state.fn != TrainerFn.FITTING:
            self.log_dict(metrics, logger=False if self.loggers else None)
        self.trainer.callback_metrics.update(
            {name: torch.as_tensor(value) for name, value in metrics.items()}
        )
        row = {**metrics, "epoch": self.current_epoch}
        for logger in self.loggers:
            logger.log_metrics(row, step=self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the position in training, the extent of the logs, and the epoch's metrics, so that a
        checkpoint records how good it is.
        """
        self._guard.check()  # a run cannot recover from a checkpoint with NaN
        unread = PendingMeans(
            self.train_means.sums,
            self.train_means.count,
            torch.stack([terms for terms, _ in self._pending_terms])
            if self._pending_terms
            else torch.empty(0),
            torch.tensor([count for _, count in self._pending_terms]),
        )
        checkpoint[KEY] = record(self._place, unread)
        checkpoint["logs"] = {log.marked_as: log.mark() for log in self.loggers if isinstance(log, Marked)}
        stale = () if self.validated_at == self.global_step else ("val/", "val_kl/")
        checkpoint["metrics"] = {
            name: value.item()
            for name, value in self.trainer.callback_metrics.items()
            if "/" in name and not name.startswith(stale)
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make Lightning resume at the position in training that a checkpoint records."""
        self._place, unread = recorded(checkpoint, rank=self.global_rank)
        calls = self.trainer.datamodule.start_at(self._place.epoch, self._place.batch)  # type: ignore[attr-defined]
        checkpoint["loops"] = {"fit_loop": loop_state(self._place, calls=calls)}
        if unread is not None:
            self.train_means.sums, self.train_means.count = unread.sums, unread.total
            self._pending_terms = list(zip(unread.terms, unread.sizes.tolist(), strict=True))
