"""Normalising flow over codes, sampled in place of the prior.

A neural spline flow: Durkan, Bekasov, Murray and Papamakarios 2019, "Neural spline flows" (arXiv:1906.04032),
by zuko. Fitting a density to the codes of a trained autoencoder: Ghosh et al., arXiv:1903.12436; Dai and
Wipf 2019, "Diagnosing and enhancing VAE models" (arXiv:1903.05789).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput
from isthmus.common.progress import track

PREFIX = "flow."  # of its numbers in a model file
MOST_DIM = 256  # coordinates of a code: work and numbers grow with their square
TRANSFORMS, HIDDEN, BINS = 3, (64, 64), 8
AUTOREGRESSIVE = 32  # coordinates up to which each depends on all before it; sampling takes a pass for each
LEAST_STEPS, MOST_STEPS, EPOCHS = 50, 1_000, 50
BATCH, RATE = 256, 5e-3
HELD_OUT, MOST_HELD_OUT = 0.1, 2_000  # of the codes: they choose the step
CHECKS = 10  # evaluations of the held-out codes
FEWEST = 20  # codes
DAMAGED = "is not as isthmus writes it; is the file damaged?"


class Flow(nn.Module):
    """A distribution of codes [D] that can be sampled, and whose density is known.

    Args:
        dim: D.

    Raises:
        BadInput: zuko is not installed, or D is larger than `MOST_DIM`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_flow(dim)
        from zuko.flows import NSF

        passes = None if dim <= AUTOREGRESSIVE else 2
        self.flow = NSF(dim, transforms=TRANSFORMS, hidden_features=HIDDEN, bins=BINS, passes=passes)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], dim: int) -> Flow:
        """The flow that `fit_flow` fitted to codes [D]; raises `BadInput` for other numbers."""
        with torch.random.fork_rng(devices=[]):  # the user's random numbers stay as they are
            flow = cls(dim)
        due: dict[str, Any] = flow.state_dict()
        for name in sorted({*due, *tensors}):
            if not _is_sound(tensors.get(name), due.get(name), positive=name == "std"):
                raise BadInput("MODEL", f"{PREFIX}{name}", DAMAGED)
        flow.load_state_dict(tensors)
        return flow.eval().requires_grad_(False)

    def energy(self, z: Tensor) -> Tensor:
        """Negative log density, in nats. Shapes: [B, D] -> [B]."""
        return -self.flow().log_prob((z - self.mean) / self.std) + self.std.log().sum()

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` codes, on the CPU, as the generator. Shape: [count, D]."""
        noise = torch.randn(count, len(self.mean), generator=generator)
        drawn = torch.cat([self.flow().transform.inv(part) for part in noise.split(BATCH * 8)])
        codes = drawn * self.std + self.mean
        if not bool(codes.isfinite().all()):
            raise BadInput(
                "MODEL", PREFIX.rstrip("."), "draws codes that are not finite; is the file damaged?"
            )
        return codes


def _is_sound(found: Tensor | None, due: Tensor | None, *, positive: bool) -> bool:
    """Whether a tensor of a file can take the place of that of a new flow; masks and orders are the same."""
    if found is None or due is None or (found.shape, found.dtype) != (due.shape, due.dtype):
        return False
    if not due.is_floating_point():
        return torch.equal(found, due)
    return bool(found.isfinite().all()) and not (positive and bool((found <= 0).any()))


def check_flow(dim: int) -> None:
    """Raise `BadInput` if zuko is not installed, or codes [D] are too large."""
    if find_spec("zuko") is None:
        raise BadInput("sampler", "flow", "zuko is not installed: pip install 'isthmus[flow]'")
    if dim > MOST_DIM:
        raise BadInput("sampler", "flow", f"codes of {dim} numbers are more than {MOST_DIM}; use mixture")


def fit_flow(codes: Tensor, *, seed: int = 0, steps: int | None = None) -> dict[str, Tensor]:
    """Fit a flow by maximum likelihood; the same codes and seed give the same flow.

    A tenth of the codes is held out; the flow is the one that gave them the highest likelihood, so that it
    does not follow single codes where there are few.

    Args:
        codes: Shape: [N, D].
        seed: of the random numbers.
        steps: of Adam, in batches of `BATCH`; None for `EPOCHS`, but at most `MOST_STEPS`.

    Returns:
        The numbers of the flow; see `Flow.of`.

    Raises:
        BadInput: as `check_flow` does; or there are fewer than `FEWEST` codes.
    """
    count, dim = codes.shape
    check_flow(dim)
    if count < FEWEST:
        raise BadInput("sampler", "flow", f"is fitted to {FEWEST} rows or more, not to {count}; use mixture")
    if steps is None:
        steps = min(MOST_STEPS, max(LEAST_STEPS, EPOCHS * count // BATCH))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        flow = Flow(dim)
        flow.mean, flow.std = codes.mean(0), codes.std(0, correction=0).clamp(min=1e-6)
        order = torch.randperm(count)
        held_out, rest = codes[order].tensor_split([min(MOST_HELD_OUT, math.ceil(HELD_OUT * count))])
        optimizer = torch.optim.Adam(flow.parameters(), lr=RATE)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        best, least = copy.deepcopy(flow.state_dict()), math.inf
        text = f"Fitting a normalising flow to {count:,} codes in {steps:,} steps"
        for step in track(range(1, steps + 1), text, of=steps):
            loss = flow.energy(rest[torch.randint(len(rest), (BATCH,))]).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            if step % max(1, steps // CHECKS) == 0 or step == steps:
                with torch.no_grad():
                    found = float(flow.energy(held_out).mean())
                if found < least:
                    best, least = copy.deepcopy(flow.state_dict()), found
    return best
