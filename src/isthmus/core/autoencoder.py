"""The autoencoder: noise, encoder, latent, decoder, loss, regularizers and objective as one module."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from isthmus.core.latents.base import Latent
from isthmus.core.losses.base import Loss
from isthmus.core.noise.base import Noise
from isthmus.core.objectives.base import Objective
from isthmus.core.regularizers.base import Regularizer
from isthmus.core.types import Code, EncoderDecoder, ForwardResult, Terms


class Autoencoder(nn.Module):
    """Composes the parts; contains no mathematics itself.

    Args:
        coder: encoder [B, ...] -> [B, H] and decoder [B, D] -> [B, ...].
        latent: [B, H] -> code [B, D].
        loss: maps the decoder's raw output to a reconstruction and compares it with x.
        regularizers: by name; may be empty.
        objective: combines the terms.
        noise: corrupts what the encoder sees.
    """

    def __init__(
        self,
        *,
        coder: EncoderDecoder,
        latent: Latent,
        loss: Loss,
        regularizers: Mapping[str, Regularizer],
        objective: Objective,
        noise: Noise,
    ) -> None:
        super().__init__()
        self.encoder = coder.encoder
        self.latent = latent
        self.decoder = coder.decoder
        self.loss = loss
        self.regularizers: Mapping[str, Regularizer] = nn.ModuleDict(regularizers)  # type: ignore[assignment]
        self.objective = objective
        self.noise = noise

    def forward(self, x: Tensor, *, epoch: Tensor | None = None) -> tuple[ForwardResult, Terms]:
        """Corrupt, encode, sample, decode and compute the loss.

        Args:
            x: clean examples. Shape: [B, ...].
            epoch: epochs trained so far, for weights that warm up; None uses the full weights.
        """
        noisy = self.noise(x)
        code = self.latent(self.encoder(noisy))
        result = ForwardResult(x, noisy, code, self.decoder(code.z))
        return result, self.compute_terms(result, epoch)

    def compute_terms(self, result: ForwardResult, epoch: Tensor | None = None) -> Terms:
        """The objective of a pass and its terms; see `forward` for `epoch`."""
        reconstruction = self.loss(result.raw, result.x)
        weights, values, penalties = {}, {}, []
        for name, part in self.regularizers.items():
            weights[name] = part.weight_at(epoch)
            value = part.value(result)
            values[name] = value.mean()
            penalties.append(part.penalty(result, value))
        objective = self.objective(reconstruction, penalties, list(weights.values()))
        return Terms(objective, reconstruction.mean(), values, weights)

    def encode(self, x: Tensor) -> Code:
        """Deterministic codes of clean examples."""
        return self.latent.encode(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """Reconstructions of codes. Shapes: [B, D] -> [B, ...]."""
        return self.loss.reconstruction(self.decoder(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the deterministic codes. Shapes: [B, ...] -> [B, ...]."""
        return self.decode(self.encode(x).z)
