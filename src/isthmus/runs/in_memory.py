"""Trains on an array in memory, without a run folder, in the steps of `isthmus train`.

Batches, noise and weights are functions of the seed as in a run: after the same number of steps the weights
are the same to the bit. Lightning is left out, as an epoch of a small table takes less time than its hooks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from isthmus.common.errors import TrainingDiverged
from isthmus.core.seeding import default_generator, derive_seed
from isthmus.data.loading.samplers import EvaluationBatches, TrainBatches
from isthmus.data.loading.splits import Split, draw_split
from isthmus.data.module import DataModule
from isthmus.data.source import UNBOUNDED, TensorSource
from isthmus.runs.config.build import build
from isthmus.runs.config.data import plain
from isthmus.runs.config.validation import check
from isthmus.runs.packed.fitting import fitted
from isthmus.runs.packed.model_file import ModelFile
from isthmus.runs.packed.packing import model_file
from isthmus.training.inference import evaluating
from isthmus.training.module import AutoencoderModule
from isthmus.training.monitors.nonfinite import DivergenceGuard
from isthmus.training.step.capture import StepCapture
from isthmus.training.step.eager import EagerGradients
from isthmus.training.step.optimizers import make_optimizer
from isthmus.training.step.training_step import GradientSource, TrainingStep

VALIDATIONS = 60  # of a training of `trainer.max_steps`, at most
APART = 25  # optimizer steps between two validations, at least
SHORT = 500  # optimizer steps below which recording them takes longer than it saves
PATIENCE = 12  # validations without a lower loss, after which training ends
ADVICE = "lower lr"  # the parameter of the estimator


class History(NamedTuple):
    """Validations.

    Attributes:
        steps: the optimizer step of each.
        losses: of the validation rows.
    """

    steps: list[int]
    losses: list[float]

    @property
    def best(self) -> int:
        """The index of the first of the lowest losses."""
        return self.losses.index(min(self.losses))


def split_in_memory(rows: int, val_size: float | int, *, seed: int) -> Split:
    """Draw training and validation rows, at least one of each; there are no test rows."""
    return draw_split(rows, val_size=val_size, test_size=0, seed=seed)


def train_in_memory(
    cfg: DictConfig,
    x: np.ndarray,
    split: Split,
    *,
    bounded: bool,
    device: torch.device,
    report: Callable[[int, float], None] | None = None,
) -> tuple[ModelFile, History]:
    """Train on the rows of an array; the random numbers of the caller stay as they are.

    Args:
        cfg: the composed config; of the trainer only `max_steps` is used.
        x: values of the model. Shape: [N, F], float32.
        split: of the rows.
        bounded: whether the values are in [0, 1].
        device: where to train.
        report: called with the step and the loss of each validation.

    Returns:
        The model with the lowest validation loss, with thresholds and samplers. It is in float64: what is
        computed for an example then does not depend, within the precision of float32, on the examples that
        are computed with it.

    Raises:
        BadInput: the config cannot be built, or not for these data.
        TrainingDiverged: a loss or a weight is not finite.
    """
    check(cfg)
    source = TensorSource(torch.from_numpy(x), value_range=(0.0, 1.0) if bounded else UNBOUNDED)
    with isolate_rng():
        data = DataModule(
            source,
            split=split,
            seed=cfg.seed,
            **{key: cfg.data[key] for key in ("batch_size", "eval_batch_size", "val_size", "split_seed")},
            num_workers=0,
        )
        module = build(cfg, data).module.to(device)
        history = _fit(module, data, cfg.trainer.max_steps, report)
        exact = torch.float32 if device.type == "mps" else torch.float64  # that the device has
        weights = {name: each.cpu().to(exact) for name, each in module.state_dict().items()}
        run = {"checkpoint": "best", "epoch": None, "step": history.steps[history.best]}
        file = fitted(model_file(plain(cfg), data.describe(), weights, run), data, device)
    return file, history


def _fit(
    module: AutoencoderModule, data: DataModule, steps: int, report: Callable[[int, float], None] | None
) -> History:
    """Train, and load the best weights."""
    autoencoder, device = module.autoencoder.train(), module.device
    values = data.source.take(torch.arange(len(data.source))).to(device)
    parameters = autoencoder.parameters()
    optimizer = make_optimizer(
        module.make_optimizer, parameters, fused=module.loop.settings.fused, device=device
    )
    schedule: Any = module.schedule.build(optimizer, steps) or {"interval": None}
    gradients: GradientSource = StepCapture(autoencoder)
    if steps < SHORT:
        gradients = EagerGradients(autoencoder, Tensor.backward)
    step, guard = TrainingStep(gradients, [optimizer]), DivergenceGuard(ADVICE)
    batches = TrainBatches(data.split.train, batch_size=data.batch_size, seed=module.seed)
    every = max(len(batches), APART, -(-steps // VALIDATIONS))
    history, best = History([], []), autoencoder.state_dict()
    for made, (epoch, number, rows) in enumerate(islice(_forever(batches), steps), 1):
        default_generator(device).manual_seed(derive_seed(module.seed, "step", epoch, number, 0))
        progress = torch.tensor(epoch + number / len(batches), device=device)
        guard.add(made, step(module.scaling(values[rows]), epoch=progress))
        if schedule["interval"] == "step":
            schedule["scheduler"].step()
        if made % every and made != steps:
            continue
        guard.check()
        history.steps.append(made)
        history.losses.append(loss := _validate(module, data, values))
        if report is not None:
            report(made, loss)
        if schedule["interval"] == "epoch":
            schedule["scheduler"].step(loss)
        if history.best == len(history.losses) - 1:
            best = deepcopy(autoencoder.state_dict())
        elif len(history.losses) - history.best > PATIENCE:
            break
    guard.check_weights(autoencoder.parameters(), made)
    autoencoder.load_state_dict(best)
    return history


def _forever(batches: TrainBatches) -> Iterator[tuple[int, int, Tensor]]:
    """Epoch, number and rows of each batch."""
    for epoch in count():
        batches.set_epoch(epoch)
        for number, rows in batches:
            yield epoch, number, rows


def _validate(module: AutoencoderModule, data: DataModule, values: Tensor) -> float:
    """The loss of the validation rows, with the noise and the samples of a run's validation."""
    total = 0.0
    with evaluating(module.autoencoder):
        for number, rows in EvaluationBatches(data.split.val, batch_size=data.eval_batch_size):
            default_generator(module.device).manual_seed(derive_seed(module.seed, "evaluation", number))
            _, terms = module.autoencoder(module.scaling(values[rows]))
            total += terms.objective.item() * len(rows)
    if not math.isfinite(total):
        raise TrainingDiverged(f"the loss of the validation rows is {total}; {ADVICE}")
    return total / len(data.split.val)
