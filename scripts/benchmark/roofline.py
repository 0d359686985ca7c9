"""How fast a GPU could train a network if it did nothing but multiply."""

from __future__ import annotations

import torch
from cases import Case
from clock import now
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SIZE = 8192  # of the square matrices whose product tells what the device can do
TIMES = 10


def flops_per_image(case: Case) -> float:
    """Operations of a training step for one image.

    A weight of a linear layer takes 6: a multiplication and an addition forward, two of each backward.
    Convolutions are counted as PyTorch runs them.
    """
    network = case.network()
    if not any(isinstance(layer, nn.Conv2d) for layer in network.modules()):
        return 6.0 * sum(p.numel() for p in network.parameters() if p.ndim == 2)
    with FlopCounterMode(display=False) as counter:
        case.objective(network, torch.rand(case.batch, 1, 28, 28)).backward()
    return counter.get_total_flops() / case.batch


def peak_flops() -> float:
    """Operations per second of a large product in the precision that training uses, float32 as it is set."""
    a, b = (torch.rand(SIZE, SIZE, device="cuda") for _ in range(2))
    a @ b
    began = now("cuda")
    for _ in range(TIMES):
        a @ b
    return TIMES * 2 * SIZE**3 / (now("cuda") - began)
