"""Shape legend, and the named tuples that are passed between the parts.

Shape letters, used in every name and docstring:

- ``B`` examples in a batch, ``N`` in a data set
- ``H`` width of the encoder's output
- ``D`` size of the latent code
- ``...`` the shape of one example: ``C H W`` for images, ``F`` for tables
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

BOUNDARY = 512  # bytes to which PyTorch aligns new tensors on GPUs; on the CPU it is 64


class Batch(NamedTuple):
    """A batch from a loader.

    Attributes:
        x: examples as stored (uint8 stays uint8 until it is on the device). Shape: [B, ...].
        rows: the row of each example in its source. Shape: [B].
        block: number of the batch within the whole epoch. It does not depend on the number of processes, and
            so neither do random numbers that are seeded with it.
    """

    x: Tensor
    rows: Tensor
    block: int


class BatchGroup(NamedTuple):
    """Several training batches that are read from the source together.

    Attributes:
        x: their examples, concatenated; see `Batch`. Shape: [N, ...].
        rows: the row of each example in its source. Shape: [N].
        blocks: the number of each batch, as in `Batch`.
        sizes: examples in each batch; N in all.
    """

    x: Tensor
    rows: Tensor
    blocks: tuple[int, ...]
    sizes: tuple[int, ...]

    def split(self, x: Tensor) -> list[Tensor]:
        """Split `x`, a new tensor that was computed from `self.x` row by row, into the batches.

        Parts are views if they are aligned like new tensors, and copies otherwise: the last bits of a matrix
        product depend on the alignment of its factors, and must not depend on the group.

        Shapes: [N, ...] -> [B, ...] for each batch.
        """
        parts = x.split(self.sizes)
        width = x.element_size()
        return [part.clone() if part.storage_offset() * width % BOUNDARY else part for part in parts]


class EncoderDecoder(NamedTuple):
    """Result of an architecture.

    Attributes:
        encoder: [B, ...] -> [B, H].
        width: H.
        decoder: [B, D] -> [B, ...], raw outputs, which the loss maps to a reconstruction.
    """

    encoder: nn.Module
    width: int
    decoder: nn.Module


class DiagonalGaussian(NamedTuple):
    """A normal distribution with independent coordinates. Shapes: [B, D]."""

    mean: Tensor
    log_var: Tensor


class Code(NamedTuple):
    """Output of a latent.

    Attributes:
        z: the code; of a distribution, a sample (`Latent.forward`) or the mean (`encode`). Shape: [B, D].
        posterior: the distribution of z, or None.
    """

    z: Tensor
    posterior: DiagonalGaussian | None


class ForwardResult(NamedTuple):
    """One pass through the autoencoder.

    Attributes:
        x: the clean example, which is the target. Shape: [B, ...].
        noisy: the encoder's input. Shape: [B, ...].
        code: the latent's output.
        raw: the decoder's raw output. Shape: [B, ...].
    """

    x: Tensor
    noisy: Tensor
    code: Code
    raw: Tensor


class Terms(NamedTuple):
    """Loss terms of a pass. All are scalars.

    Attributes:
        objective: the scalar that is minimised.
        reconstruction: the reconstruction loss, mean over the batch.
        values: each regularizer's unweighted value, by its name.
        weights: the weight of each in the objective, by its name.
    """

    objective: Tensor
    reconstruction: Tensor
    values: dict[str, Tensor]
    weights: dict[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """The terms by the names under which they are logged: loss, reconstruction, one per regularizer."""
        return {"loss": self.objective, "reconstruction": self.reconstruction, **self.values}


class FeatureSpan(NamedTuple):
    """Features of an example that belong together.

    Attributes:
        start: the first.
        end: one behind the last.
        kind: "category" (one feature for each value), "boolean" or "number".
    """

    start: int
    end: int
    kind: str
