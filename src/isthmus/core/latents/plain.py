"""Plain latent: the code is a linear map of the encoder's output, z = W h + b."""

from __future__ import annotations

from torch import Tensor, nn

from isthmus.core.latents.base import Latent
from isthmus.core.types import Code


class Plain(Latent):
    """A deterministic code for each example. See `Latent` for the arguments."""

    probabilistic = False

    def __init__(self, *, dim: int, width: int) -> None:
        super().__init__(dim=dim, width=width)
        self.code = nn.Linear(width, self.dim)

    def encode(self, h: Tensor) -> Code:
        return Code(self.code(h), None)

    def forward(self, h: Tensor) -> Code:
        return self.encode(h)
