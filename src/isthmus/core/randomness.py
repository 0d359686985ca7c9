"""Random numbers in the shape of a tensor.

torch.compile and torch.func.vmap support the default generator (None) only: PyTorch cannot trace a call with
a `generator` argument, even if it is the default one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def normal_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers, one for each of x."""
    if generator is None:
        return torch.randn_like(x)
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1), one for each of x."""
    if generator is None:
        return torch.rand_like(x)
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
