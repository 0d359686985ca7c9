"""Build the parts of a run from its config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, seed_everything
from pytorch_lightning.callbacks import GradientAccumulationScheduler, ProgressBar
from pytorch_lightning.utilities.seed import isolate_rng
from torch.optim import Optimizer

from isthmus.common.errors import BadInput
from isthmus.common.messages import first_line
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.types import FeatureSpan
from isthmus.data.module import DataModule
from isthmus.runs.config.data import build_data, plain
from isthmus.runs.config.model import make_autoencoder
from isthmus.runs.config.model_size import check_fits
from isthmus.runs.config.parts import part
from isthmus.training.callbacks.checkpoints import AUTO, Checkpoints
from isthmus.training.devices import device_type
from isthmus.training.inference import evaluating
from isthmus.training.loop import StepSettings
from isthmus.training.memory_format import set_memory_format
from isthmus.training.module import AutoencoderModule
from isthmus.training.step.optimizers import make_optimizer

ABOUT_SHAPES = re.compile("shape|size|channel|dimension")  # matches PyTorch's shape errors on any device


class Parts(NamedTuple):
    """What a config builds."""

    data: DataModule
    module: AutoencoderModule
    callbacks: Mapping[str, Callback]


def build(cfg: DictConfig, data: DataModule | None = None) -> Parts:
    """Build every part once; `data` if it is not built yet.

    Raises:
        BadInput: a part cannot be built; names its key.
    """
    data = data or build_data(cfg)
    check_fits(lambda: build_autoencoder(cfg, data.source.shape, data.source.value_range, data.source.spans))
    seed_everything(cfg.seed, verbose=False)
    autoencoder = build_autoencoder(cfg, data.source.shape, data.source.value_range, data.source.spans)
    check_shapes(cfg, autoencoder, data.source.shape)
    set_memory_format(
        autoencoder,
        channels_last=cfg.trainer.channels_last,
        accelerator=device_type(cfg.trainer.accelerator),
        precision=cfg.trainer.precision,
    )
    optimizer = plain(cfg.optimizer)
    fused = optimizer.pop("fused", False)
    make = part("optimizer", optimizer, Optimizer, _partial_=True)
    check_optimizer(cfg, make, fused)
    module = AutoencoderModule(
        autoencoder=autoencoder,
        scaling=data.scaling,
        shape=data.source.shape,
        value_range=data.source.value_range,
        optimizer=make,
        schedule=part("scheduler", plain(cfg.scheduler), object),
        settings=StepSettings(
            accumulate=cfg.trainer.accumulate_grad_batches,
            clip_value=cfg.trainer.gradient_clip_val,
            clip_algorithm=cfg.trainer.gradient_clip_algorithm,
            fused=fused,
            log_every_n_steps=cfg.trainer.log_every_n_steps,
            max_steps=cfg.trainer.max_steps,
            compiled=cfg.trainer.compile,
        ),
        seed=cfg.seed,
        watched_loss=watched_loss(data),
    )
    for name, keys in cfg.logger.items():
        part(f"logger.{name}", plain(keys), object)
    parts = Parts(data, module, build_callbacks(cfg))
    check_monitors(cfg, parts)
    return parts


def build_callbacks(cfg: DictConfig) -> dict[str, Callback]:
    """The enabled callbacks by name; the disabled ones are checked too."""
    callbacks: dict[str, Callback] = {}
    for name, keys in cfg.callbacks.items():
        own, enabled = plain(keys), True
        if name != "checkpoint":
            enabled = own.pop("enabled", True)
        kind = Checkpoints if name == "checkpoint" else Callback
        callback = part(f"callbacks.{name}", own, kind)
        if enabled:
            _check_alone(f"callbacks.{name}", callback, callbacks.values())
            callbacks[str(name)] = callback
    return callbacks


def _check_alone(key: str, callback: Callback, others: Iterable[Callback]) -> None:
    """Raise `BadInput` for a callback that cannot be used, or not together with the others."""
    target = f"{type(callback).__module__}.{type(callback).__qualname__}"
    if isinstance(callback, ProgressBar):
        raise BadInput(f"{key}._target_", target, "is a progress bar; trainer.progress_bar=true shows one")
    if isinstance(callback, GradientAccumulationScheduler):
        raise BadInput(f"{key}._target_", target, "cannot be used; set trainer.accumulate_grad_batches")
    if any(callback.state_key == other.state_key for other in others):
        raise BadInput(
            f"{key}._target_", target, "is there twice; a class with a state of its own can be there once"
        )


def build_autoencoder(
    cfg: DictConfig,
    shape: tuple[int, ...],
    value_range: tuple[float, float],
    spans: Sequence[FeatureSpan] = (),
) -> Autoencoder:
    """See `model.make_autoencoder`."""
    return make_autoencoder(plain(cfg), shape, value_range, spans)


def check_optimizer(cfg: DictConfig, make: Any, fused: bool | str) -> None:
    """Raise `BadInput` for settings that the optimizer refuses; tries them on a dummy parameter."""
    try:
        make_optimizer(make, [torch.zeros(1)], fused=fused, device=torch.device("cpu"))
    except BadInput as error:
        raise error.under("optimizer") from error
    except Exception as error:  # settings of the wrong type can raise any error
        settings = {str(key): value for key, value in cfg.optimizer.items() if key != "_target_"}
        raise BadInput("optimizer", settings, f"{cfg.optimizer._target_} refuses these: {error}") from error


def watched_loss(data: DataModule) -> str:
    """The loss to watch: on the validation set if there is one, or else on the training set."""
    return "val/loss" if len(data.split.val) else "train/loss"


def check_monitors(cfg: DictConfig, parts: Parts) -> None:
    """Raise `BadInput` for a monitored metric that no epoch of this run will log."""
    validates = bool(len(parts.data.split.val))
    known = parts.module.metric_names(validates=validates)
    for name, callback in parts.callbacks.items():
        metric = getattr(callback, "monitor", None)
        resolved_later = isinstance(callback, Checkpoints) and metric == AUTO
        if not resolved_later and metric not in (None, *known):
            why = "" if validates else " (there is no validation: data.val_size=0)"
            raise BadInput(
                f"callbacks.{name}.monitor",
                metric,
                f"is not logged by this run{why}; it logs {', '.join(known)}",
            )


def check_shapes(cfg: DictConfig, model: Autoencoder, shape: tuple[int, ...]) -> None:
    """Raise `BadInput` if the encoder or the decoder returns a wrong shape for examples of `shape`.

    Passes zeros through the model; its weights and the states of all random generators stay as they are.
    """
    try:
        with isolate_rng(include_cuda=False), evaluating(model):
            _pass_zeros(cfg, model, shape)
    except BadInput:
        raise
    except Exception as error:
        reason = first_line(error)
        if device_type(cfg.trainer.accelerator) != "cpu" and not ABOUT_SHAPES.search(reason):
            return  # the model may need another device
        given = f"data of shape {list(shape)} and latent.dim={cfg.latent.dim}"
        raise _misshapen(cfg, f"fails on {given}: {reason}") from error


def _pass_zeros(cfg: DictConfig, model: Autoencoder, shape: tuple[int, ...]) -> None:
    count = 2
    h, due = _shape_of(model.encoder(torch.zeros(count, *shape))), [count, model.latent.width]
    if h != due:
        raise _misshapen(cfg, f"its encoder gives {h} for {count} examples, but with its width {due} is due")
    raw = model.decoder(torch.zeros(count, model.latent.dim))
    given = _shape_of(model.loss.reconstruction(raw) if isinstance(raw, torch.Tensor) else raw)
    due = [count, *shape]
    if given != due:
        raise _misshapen(cfg, f"its decoder gives {given} for {count} codes, but for these data {due} is due")


def _shape_of(output: Any) -> list[int] | str:
    return list(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"


def _misshapen(cfg: DictConfig, fix: str) -> BadInput:
    return BadInput("architecture._target_", cfg.architecture._target_, fix)


def check_normalization(cfg: DictConfig, data: DataModule, *, processes: int) -> None:
    """Raise `BadInput` if training would apply batch normalization to a batch of one example, which fails.

    Images are also normalized over their pixels, and a last batch never has only one example; see
    `TrainBatches`.

    Args:
        cfg: the config that `data` was built from.
        data: the training data.
        processes: number of processes that share the data.
    """
    share = -(-len(data.split.train) // processes)
    if min(data.batch_size, share) > 1:
        return
    try:
        with torch.device("meta"), torch.no_grad():
            model = build_autoencoder(
                cfg, data.source.shape, data.source.value_range, data.source.spans
            ).train()
            model.encoder(torch.zeros(1, *data.source.shape))
            model.decoder(torch.zeros(1, model.latent.dim))
    except Exception as error:
        if "more than 1 value per channel" not in str(error):
            return
        fix = "use at least 2" if share > 1 else "there is one example to train on in each process; use more"
        if "normalization" in cfg.architecture:
            fix += ", or architecture.normalization=none"
        why = "leaves batch normalisation a batch of one example, without a variance"
        raise BadInput("data.batch_size", data.batch_size, f"{why}; {fix}") from error
