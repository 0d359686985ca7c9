"""The shape legend, and the named results that the parts hand each other.

Shape letters, used in every name and docstring:

- ``B`` examples in a batch, ``N`` in a data set
- ``H`` width of what an encoder hands to the latent
- ``D`` size of the latent code
- ``...`` the shape of one example: ``C H W`` for images, ``F`` for tables
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

BOUNDARY = 512  # bytes; PyTorch's own tensors begin at multiples of 64 on the CPU, and of this on GPUs


class Batch(NamedTuple):
    """What a loader gives.

    Attributes:
        x: examples as stored (uint8 stays uint8 until it is on the device). Shape: [B, ...].
        rows: the row of each example in its source. Shape: [B].
        block: the number of this batch within the whole epoch, the same however many processes
            share the epoch, so that randomness drawn from it does not depend on their number.
    """

    x: Tensor
    rows: Tensor
    block: int


class BatchGroup(NamedTuple):
    """Several training batches, taken from the source together.

    Attributes:
        x: their examples one after another, as in `Batch`. Shape: [N, ...].
        rows: the row of each example in its source. Shape: [N].
        blocks: the number of each batch, as in `Batch`.
        sizes: examples in each batch; N in all.
    """

    x: Tensor
    rows: Tensor
    blocks: tuple[int, ...]
    sizes: tuple[int, ...]

    def split(self, x: Tensor) -> list[Tensor]:
        """What each batch has of `x`, a new tensor that was computed from `self.x` row by row.

        They are views where these begin as a tensor of their own would, else copies: the last bits of a
        matrix product depend on where its factors lie, and must not depend on who else is in the group.

        Shapes: [N, ...] -> [B, ...] for each batch.
        """
        parts = x.split(self.sizes)
        width = x.element_size()
        return [part.clone() if part.storage_offset() * width % BOUNDARY else part for part in parts]


class EncoderDecoder(NamedTuple):
    """What an architecture builds.

    Attributes:
        encoder: [B, ...] -> [B, H].
        width: H.
        decoder: [B, D] -> [B, ...], raw outputs: the loss turns them into a reconstruction.
    """

    encoder: nn.Module
    width: int
    decoder: nn.Module


class DiagonalGaussian(NamedTuple):
    """A normal distribution with independent coordinates. Shapes: [B, D]."""

    mean: Tensor
    log_var: Tensor


class Code(NamedTuple):
    """What a latent makes of the encoder's output.

    Attributes:
        z: the code that is decoded; of a distribution, a sample in training and else its mean. Shape: [B, D].
        posterior: the distribution that z came from, or None.
    """

    z: Tensor
    posterior: DiagonalGaussian | None


class ForwardResult(NamedTuple):
    """One pass through the autoencoder.

    Attributes:
        x: the clean example, which is the target. Shape: [B, ...].
        noisy: what the encoder saw. Shape: [B, ...].
        code: its code.
        raw: the decoder's raw output. Shape: [B, ...].
    """

    x: Tensor
    noisy: Tensor
    code: Code
    raw: Tensor


class Terms(NamedTuple):
    """What a pass costs. All are scalars.

    Attributes:
        objective: the number that is minimised.
        reconstruction: the reconstruction loss, mean over the batch.
        values: each regularizer's unweighted value, by its name.
        weights: the weight each had in the objective, by its name.
    """

    objective: Tensor
    reconstruction: Tensor
    values: dict[str, Tensor]
    weights: dict[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """The terms under the names they are logged by: loss, reconstruction, then one per regularizer."""
        return {"loss": self.objective, "reconstruction": self.reconstruction, **self.values}
