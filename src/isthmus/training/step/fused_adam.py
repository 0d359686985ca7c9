"""Adam's fused kernel, called directly: PyTorch's wrapper collects its arguments again at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer


class _Lists(NamedTuple):
    """A parameter group's settings, its kernel, and its tensors in the kernel's argument order."""

    group: dict[str, Any]
    kernel: Callable[..., None]
    parameters: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    counts: Tensor  # steps of each parameter
    steps: list[Tensor]  # views of `counts`, one per parameter


def is_fused_adam(optimizer: Optimizer) -> bool:
    """Whether an optimizer is PyTorch's Adam or AdamW in a form whose kernel can be called directly."""
    hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    return (
        type(optimizer) in (Adam, AdamW)
        and not hooked
        and all(
            group["fused"]
            and not group["amsgrad"]
            and not any(isinstance(setting, Tensor) for setting in (group["lr"], *group["betas"]))
            and len({(parameter.device, parameter.dtype) for parameter in group["params"]}) == 1
            and not any(parameter.is_complex() for parameter in group["params"])
            for group in optimizer.param_groups
        )
    )


class FusedAdam:
    """Bit-identical to `optimizer.step()`, on the optimizer's own state.

    Args:
        optimizer: see `is_fused_adam`.

    Attributes:
        parameters: of all groups, concatenated.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._lists: list[_Lists] | None = None
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        self.apply([parameter.grad for parameter in self.parameters])

    @torch.no_grad()
    def apply(self, gradients: list[Tensor | None]) -> None:
        """Make a step with these gradients of `parameters`, which need not be in their `grad`."""
        if self._lists is None or any(gradient is None for gradient in gradients):
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
            self.optimizer.step()  # creates the state at the first step
            self._lists = self._gathered()
            self.zero_grad()
            return
        first = 0
        for group, kernel, parameters, means, squares, counts, steps in self._lists:
            counts += 1
            last = first + len(parameters)
            kernel(
                parameters,
                gradients[first:last],
                means,
                squares,
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=group["maximize"],
            )
            first = last

    def _gathered(self) -> list[_Lists] | None:
        lists = []
        for group in self.optimizer.param_groups:
            states = [self.optimizer.state[p] for p in group["params"] if self.optimizer.state.get(p)]
            if len(states) < len(group["params"]):
                return None  # a parameter that never had a gradient
            counts = torch.stack([state["step"] for state in states])
            for state, step in zip(states, counts.unbind(), strict=True):
                state["step"] = step  # a view: one addition increments all
            names = ("exp_avg", "exp_avg_sq", "step")
            means, squares, steps = ([state[name] for state in states] for name in names)
            decoupled = group.get("decoupled_weight_decay", isinstance(self.optimizer, AdamW))
            kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
            lists.append(_Lists(group, kernel, group["params"], means, squares, counts, steps))
        return lists
