"""Checks a checkpoint's weights and training state against the model of its run, tensor by tensor.

It was read safely before: see `archive` and `content`. A checkpoint may come from anyone, and fused kernels
do not check shapes: where an optimizer's state has another shape than its weights, they write past the end of
a buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import torch
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor, nn

from isthmus.training.module import AutoencoderModule
from isthmus.training.progress import KEY
from isthmus.training.step.optimizers import make_optimizer

LARGEST = 2.0**53  # absolute value of a number: up to here a double has every integer
REALS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNELS = ("foreach", "fused")  # settings of an optimizer that choose its kernel; devices differ in them
OURS = ("isthmus.", "torch.")  # modules whose state is known


class OneOf(NamedTuple):
    """Alternatives in what is expected; a number matches only itself here."""

    options: tuple[Any, ...]


CALLBACKS: dict[str, Any] = {
    "Checkpoints": {
        "best": OneOf((float, None)),
        "judged_by": [OneOf((str, None)), str],
        "finished": OneOf(([int, int], None)),
    },
    "Figures": {"drawn_at": int},
    "EarlyStopping": {
        "wait_count": int,
        "stopped_epoch": int,
        "patience": int,
        "best_score": torch.zeros(()),
        "stopping_reason": OneOf(tuple(reason.value for reason in EarlyStoppingReason)),
        "stopping_reason_message": OneOf((str, None)),
    },
}
SINCE = ("judged_by", "stopping_reason", "stopping_reason_message")  # keys that older checkpoints lack


def is_count(value: Any) -> TypeGuard[int]:
    """Whether a value in a checkpoint can be a number of epochs, steps, rows or bytes."""
    return isinstance(value, int) and 0 <= value <= LARGEST


def check_weights(checkpoint: dict[str, Any], module: AutoencoderModule) -> None:
    """Raise `ValueError` where the weights in a checkpoint do not match `module`, or are not finite.

    Args:
        checkpoint: as `read_checkpoint` returns it.
        module: built from the config of the run.
    """
    weights = checkpoint.get("state_dict")
    _check(weights, dict(module.state_dict()), "state_dict")
    assert isinstance(weights, dict)
    for name, weight in weights.items():
        if not bool(weight.isfinite().all()):
            raise ValueError(f"state_dict.{name} is not finite")


def check_state(checkpoint: dict[str, Any], module: AutoencoderModule) -> None:
    """Like `check_weights`, for all that training resumes from: also means, callbacks, optimizer, schedule.

    Third-party optimizers and schedules are not checked: their state is not known.
    """
    check_weights(checkpoint, module)
    for key in ("epoch", "global_step"):
        _check(checkpoint.get(key), int, key)
    metrics = checkpoint.get("metrics")
    names = [name for name in metrics if isinstance(name, str)] if isinstance(metrics, dict) else []
    _check(metrics, dict.fromkeys(names, float), "metrics")
    for name, state in checkpoint["callbacks"].items():
        if (expected := CALLBACKS.get(str(name).partition("{")[0])) is not None:
            known = {key: value for key, value in expected.items() if key in state or key not in SINCE}
            _check(state, known, f"callbacks.{name}")
    if checkpoint[KEY]["batch"]:
        for means in checkpoint[KEY]["means"]:
            _check_means(means, module)
    if scaler := checkpoint.get("MixedPrecision"):
        _check(scaler, torch.amp.GradScaler("cpu").state_dict(), "MixedPrecision")
    made_by = getattr(module.make_optimizer, "func", module.make_optimizer)
    if made_by.__module__.startswith(OURS) and type(module.schedule).__module__.startswith(OURS):
        _check_optimizer(checkpoint, module)


def _check_means(means: Any, module: AutoencoderModule) -> None:
    """Check the means of one process over an unfinished epoch; see `training.progress.PendingMeans`."""
    terms = means.get("terms") if isinstance(means, dict) else None
    steps = len(terms) if isinstance(terms, Tensor) and terms.ndim else 0
    expected = {
        "sums": module.loop.means.sums,
        "total": module.loop.means.count,
        "terms": torch.empty(steps, len(module.loop.means.names)) if steps else torch.empty(0),
        "sizes": torch.empty(steps, dtype=torch.int64) if steps else torch.empty(0),
    }
    _check(means, expected, f"{KEY}.means")


def _check_optimizer(checkpoint: Mapping[str, Any], module: AutoencoderModule) -> None:
    optimizers, schedules = _after_a_step(module)
    found = checkpoint.get("optimizer_states")
    _check(checkpoint.get("lr_schedulers"), schedules, "lr_schedulers")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        raise ValueError("optimizer_states is not that of one optimizer")
    groups: Any = found[0].get("param_groups")
    state: Any = found[0].get("state")
    _check(groups, _settings(optimizers["param_groups"], groups), "optimizer_states.param_groups")
    if [group["params"] for group in groups] != [group["params"] for group in optimizers["param_groups"]]:
        raise ValueError("optimizer_states.param_groups names other weights")
    fresh = optimizers["state"]
    # weights that had no gradient yet have no state
    _check(state, {index: fresh.get(index) for index in state or ()}, "optimizer_states.state")
    buffers = [value for each in state.values() for value in each.values() if isinstance(value, Tensor)]
    places = {buffer.untyped_storage().data_ptr() for buffer in buffers if buffer.numel()}
    if len(places) < sum(buffer.numel() > 0 for buffer in buffers):
        raise ValueError("optimizer_states.state has tensors that share their memory")
    for index, each in state.items():
        if "step" in each and each["step"] < 0:
            raise ValueError(f"optimizer_states.state.{index}.step is negative")


def _after_a_step(module: AutoencoderModule) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The states of the optimizer and of the schedule after a step, on the meta device."""
    weights = [
        nn.Parameter(torch.zeros_like(weight, device="meta"), requires_grad=weight.requires_grad)
        for weight in module.autoencoder.parameters()
    ]
    optimizer = make_optimizer(module.make_optimizer, weights, fused=False, device=torch.device("meta"))
    schedule = module.schedule.build(optimizer, 1)
    for weight in weights:
        if weight.requires_grad:
            weight.grad = torch.zeros_like(weight)
    optimizer.step()
    return optimizer.state_dict(), [schedule["scheduler"].state_dict()] if schedule else []


def _settings(expected: list[dict[str, Any]], found: Any) -> list[dict[str, Any]]:
    """The optimizer settings that a checkpoint must have, without switches that newer PyTorch adds."""
    if not isinstance(found, list) or len(found) != len(expected):
        return expected
    return [
        {
            key: OneOf((True, False, None)) if key in KERNELS else value
            for key, value in group.items()
            if not (value is None or isinstance(value, bool)) or key in there
        }
        for group, there in zip(expected, found, strict=True)
        if isinstance(there, dict)
    ]


def _check(found: Any, expected: Any, where: str) -> None:
    """Raise `ValueError` where `found` does not match `expected`.

    Args:
        found: plain values and tensors.
        expected: the same nesting. A type matches any value of it (float any number), a number any finite
            one, a tensor those of its shape and dtype; text, switches and None match themselves.
        where: names `found`.

    The precision of floating-point tensors may differ: loading converts it.
    """
    if isinstance(expected, OneOf):
        like = [option for option in expected.options if _is_like(found, option)]
        if not any(found == option if isinstance(option, int) else True for option in like):
            raise ValueError(f"{where} is {_short(found)}")
    elif isinstance(expected, dict):
        if not isinstance(found, dict) or found.keys() != expected.keys():
            raise ValueError(f"{where} {_names_differ(found, expected)}")
        for key, value in expected.items():
            _check(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(expected):
            raise ValueError(f"{where} is {_short(found)}, and not a list of {len(expected)}")
        for index, value in enumerate(expected):
            _check(found[index], value, f"{where}[{index}]")
    elif not _is_like(found, expected):
        raise ValueError(f"{where} is {_short(found)}, and not {_short(expected)}")


def _is_like(found: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_is_like, found, expected))
    if isinstance(expected, Tensor):
        if not isinstance(found, Tensor) or found.shape != expected.shape:
            return False
        kinds = REALS if expected.dtype in REALS else (expected.dtype,)
        return found.dtype in kinds and not bool(found.isnan().any())
    if isinstance(expected, type):
        kind = (int, float) if expected is float else expected
        endless = isinstance(found, int) and abs(found) > LARGEST
        return isinstance(found, kind) and not isinstance(found, bool) and not endless
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        return number and (abs(found) <= LARGEST or found == expected)
    return type(found) is type(expected) and found == expected


def _names_differ(found: Any, expected: Mapping[Any, Any]) -> str:
    if not isinstance(found, dict):
        return f"is {_short(found)}"
    unknown = [key for key in found if key not in expected]
    return (
        f"has {_short(unknown[0])}"
        if unknown
        else f"lacks {_short(next(k for k in expected if k not in found))}"
    )


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        what = f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
        return f"NaN in {what}" if value.device.type != "meta" and bool(value.isnan().any()) else what
    if isinstance(value, type):
        return {float: "a number", int: "a whole number", str: "text"}[value]
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"a number {'below -' if value < 0 else 'above '}{LARGEST:.0f}"
    return ascii(value)[:60]
