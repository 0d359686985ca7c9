"""The LightningModule: scales each batch, trains on it or evaluates it, and logs the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from isthmus.training.loop import StepSettings, TrainingLoop
from isthmus.training.memory_format import follow_weights
from isthmus.training.metrics import LatentUse, Means, reported
from isthmus.training.monitors.posterior_collapse import CollapseWarning, kl_record
from isthmus.training.progress import KEY, loop_state, record, recorded
from isthmus.training.schedulers import Schedule
from isthmus.training.step.optimizers import make_optimizer


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
        self.seed = seed
        self.watched_loss = watched_loss
        self.kl_per_dimension: Tensor | None = None
        self.validated_at = -1  # optimizer step of the last validation
        self.loop = TrainingLoop(autoencoder, settings, seed=seed)
        self._loaded_at: tuple[int, int] | None = None  # epoch and step of the weights that are tested
        self.make_optimizer = optimizer
        self.schedule = schedule
        self._warned = WarnOnFailure("a histogram of the KL could not be written")
        warmups = [part.warmup_epochs for part in autoencoder.regularizers.values()]
        self._collapse = CollapseWarning(after_epochs=max(warmups, default=0.0))

        low, high = autoencoder.loss.low, autoencoder.loss.high
        self._probabilities = (low, high) == (0.0, 1.0)
        errors = error_names(shape, value_range=value_range, probabilities=self._probabilities)
        self.evaluation_means = Means([*self.loop.means.names, *errors])
        self.latent_use = LatentUse(autoencoder.latent.dim) if autoencoder.latent.probabilistic else None

    def metric_names(self, *, validates: bool) -> list[str]:
        """The names of the metrics that every epoch logs."""
        evaluation = list(
            reported(dict.fromkeys(self.evaluation_means.names, torch.ones(())), value_range=(0, 1))
        )
        if self.latent_use is not None:
            evaluation.append("active_units")
        return [
            *(f"train/{name}" for name in self.loop.means.names),
            *(f"val/{name}" for name in evaluation if validates),
        ]

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(
            self.make_optimizer,
            self.autoencoder.parameters(),
            fused=self.loop.settings.fused,
            device=self.device,
        )
        schedule = self.schedule.build(optimizer, self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": schedule} if schedule else optimizer

    def _total_steps(self) -> int:
        trainer = self.trainer
        trainer.fit_loop.setup_data()  # the number of batches is known from here on
        epochs, limit = trainer.max_epochs or -1, self.loop.settings.max_steps
        if epochs < 0:
            return limit
        steps = epochs * -(-self._batches_per_epoch() // self.loop.settings.accumulate)
        return min(steps, limit) if limit > 0 else steps

    def _batches_per_epoch(self) -> int:
        return self.trainer.datamodule.train_batches  # type: ignore[attr-defined]

    def on_fit_start(self) -> None:
        self.loop.start(self, batches=self._batches_per_epoch())

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:  # their state has been restored by now
            follow_weights(optimizer)

    def training_step(self, group: BatchGroup, batch_idx: int) -> None:
        if self.loop.run(group.split(self.scaling(group.x)), group.blocks):
            self.trainer.should_stop = True

    def end_epoch(self) -> None:
        """Log the metrics of the training epoch; called before any callback's `on_train_epoch_end`."""
        metrics = self.loop.end_epoch(self.current_epoch)
        self._record(metrics)
        if self.watched_loss in metrics or self.validated_at == self.global_step:
            watched = {**self.trainer.callback_metrics, **metrics}[self.watched_loss]
            for config in self.trainer.lr_scheduler_configs:
                if config.interval == "epoch":
                    config.scheduler.step(watched)

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
            self.loop.guard.check()  # names the first step that was not finite
            raise TrainingDiverged(f"{stage}/loss is {metrics['loss'].item()} at step {self._logged_at()[1]}")
        named = {f"{stage}/{name}": value.float() for name, value in metrics.items()}
        if self.latent_use is not None:
            self.kl_per_dimension, active = self.latent_use.compute()
            named[f"{stage}/active_units"] = active.float()
            named |= kl_record(self.kl_per_dimension, stage)
            writer = tensorboard_of(self.trainer.loggers)
            if writer is not None:
                with self._warned:
                    writer.add_histogram(f"{stage}_kl/all", self.kl_per_dimension.cpu(), self._logged_at()[1])
            if self.trainer.is_global_zero:
                final = stage == "test"
                self._collapse.look(int(active), self.kl_per_dimension, epoch=self.current_epoch, final=final)
        self._record(named)

    def _record(self, metrics: dict[str, Any]) -> None:
        # Lightning's log_dict would log them after the checkpoint, which records the extent of the logs, at
        # steps that count batches, and takes longer than a short epoch. But `trainer.test` returns what
        # log_dict got: with loggers, which get them below, it must not log.
        if self.trainer.state.fn != TrainerFn.FITTING:
            self.log_dict(metrics, logger=False if self.loggers else None)
        self.trainer.callback_metrics.update(
            {name: torch.as_tensor(value) for name, value in metrics.items()}
        )
        epoch, step = self._logged_at()
        for logger in self.loggers:
            logger.log_metrics({**metrics, "epoch": epoch}, step=step)

    def _logged_at(self) -> tuple[int, int]:
        """The epoch, counted from 1, and the optimizer step of the weights in use."""
        if self.trainer.state.fn == TrainerFn.FITTING or self._loaded_at is None:
            return self.current_epoch + 1, self.global_step
        return self._loaded_at

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the position in training, the extent of the logs, and the epoch's metrics, so that a
        checkpoint records how good it is.
        """
        checkpoint[KEY] = record(self.loop.position, self.loop.pending_means())
        checkpoint["logs"] = {log.marked_as: log.mark() for log in self.loggers if isinstance(log, Marked)}
        stale = () if self.validated_at == self.global_step else ("val/", "val_kl/")
        checkpoint["metrics"] = {
            name: value.item()
            for name, value in self.trainer.callback_metrics.items()
            if "/" in name and not name.startswith(stale)
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make Lightning resume at the position in training that a checkpoint records."""
        position, pending = recorded(checkpoint, rank=self.global_rank)
        calls = self.trainer.datamodule.start_at(position.epoch, position.batch)  # type: ignore[attr-defined]
        checkpoint["loops"] = {"fit_loop": loop_state(position, calls=calls)}
        self.loop.restore(position, pending)

    def load_weights(self, weights: Mapping[str, Tensor], *, epoch: int, step: int) -> None:
        """Load weights of this epoch, counted from 1, and step, at which a test is then logged."""
        self.load_state_dict(weights)
        self._loaded_at = epoch, step
