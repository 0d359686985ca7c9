"""Optimizers that PyTorch does not have, or has for some kinds of weights only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from isthmus.common.errors import check_float

# Of the polynomial that moves singular values towards 1, and how often it is applied (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
LEAST_NORM = 1e-7


class Muon(Optimizer):
    """Muon for matrices; PyTorch's AdamW for all other weights: biases, normalisations, convolutions.

    Muon replaces the averaged gradient of a matrix by the nearest matrix with orthogonal rows or columns, so
    that a step is as long in directions with small gradients as in others (Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon/). Its steps are scaled to the size that AdamW's have (Liu et
    al., arXiv:2502.16982), so that both share one learning rate. `torch.optim.Muon` with
    ``adjust_lr_fn="match_rms_adamw"`` makes the same steps of matrices, and takes no other weights.

    Args:
        parameters: to train.
        lr: learning rate of both, above 0.
        momentum: decay of the running mean of a matrix's gradient, in [0, 1).
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: decoupled decay of all weights, at least 0.
        fused: whether AdamW uses its fused kernel.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        momentum: float,
        betas: Sequence[float],
        eps: float,
        weight_decay: float,
        fused: bool,
    ) -> None:
        momentum = check_float("momentum", momentum, least=0.0, below=1.0)
        decay = check_float("weight_decay", weight_decay, least=0.0)
        given = list(parameters)
        matrices, others = ([p for p in given if (p.ndim == 2) is wanted] for wanted in (True, False))
        first, second = betas
        self._adamw = AdamW(
            others or [torch.zeros(0)], lr=lr, betas=(first, second), eps=eps, weight_decay=decay, fused=fused
        )
        groups: list[dict[str, Any]] = []
        if matrices:
            groups.append({"params": matrices, "lr": lr, "momentum": momentum, "weight_decay": decay})
        if others:
            groups += self._adamw.param_groups
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all weights that have a gradient; returns what `closure`, called before, does."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            if "momentum" in group:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, parameter.grad, group)
            else:  # loading a checkpoint replaces groups and state
                self._adamw.param_groups, self._adamw.state = [group], self.state
                self._adamw.step()
        return value

    def _move(self, matrix: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        direction = orthogonal(gradient.lerp(mean, group["momentum"]))  # Nesterov's
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(direction, alpha=-0.2 * math.sqrt(max(matrix.shape)) * group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values near 1: between 0.6 and 1.3.

    By Newton and Schulz' iteration in bfloat16, as `torch.optim.Muon` computes it. That adds by ``addmm``,
    which takes three times as long on CPUs as a product and a sum.

    Args:
        matrix: of any size. Shape: [N, M].

    Returns:
        In bfloat16. Shape: [N, M].
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / x.norm().clamp(min=LEAST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        change = (gram @ gram).mul_(c).add_(gram, alpha=b)
        x = (change @ x).add_(x, alpha=a)
    return x.T if tall else x
