"""Convolutions of 3 x 3 pixels and stride 2 in JAX, and the transposed ones. Images are [B, H, W, C].

On a GPU they are XLA's own. On the CPU XLA's are several times slower inside of a scan than outside, so there
they are products of matrices with the 9 shifted images side by side.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

Layer = tuple[Array, Array]  # weight [3, 3, inputs, outputs] and bias
ORDER = ("NHWC", "HWIO", "NHWC")


def halve(x: Array, layer: Layer) -> Array:
    """[B, 2H, 2W, inputs] -> [B, H, W, outputs], as nn.Conv2d with padding 1."""
    weight, bias = layer
    if jax.default_backend() == "cpu":
        return _shifted(x) @ weight.reshape(-1, weight.shape[-1]) + bias
    return lax.conv_general_dilated(x, weight, (2, 2), ((1, 1), (1, 1)), dimension_numbers=ORDER) + bias


def double(x: Array, layer: Layer) -> Array:
    """[B, H, W, inputs] -> [B, 2H, 2W, outputs], as nn.ConvTranspose2d with padding and output padding 1."""
    weight, bias = layer
    if jax.default_backend() == "cpu":
        inputs, outputs = weight.shape[2:]
        # what `halve` gathers, its transpose scatters; the weight is laid out for a convolution: turned round
        spread = x @ weight[::-1, ::-1].transpose(2, 0, 1, 3).reshape(inputs, -1)
        image = jax.ShapeDtypeStruct((len(x), 2 * x.shape[1], 2 * x.shape[2], outputs), x.dtype)
        return jax.linear_transpose(_shifted, image)(spread)[0] + bias
    padding = ((1, 2), (1, 2))
    return (
        lax.conv_general_dilated(x, weight, (1, 1), padding, lhs_dilation=(2, 2), dimension_numbers=ORDER)
        + bias
    )


def _shifted(x: Array) -> Array:
    """Every second pixel with its 3 x 3 neighbours. Shapes: [B, 2H, 2W, C] -> [B, H, W, 9 C]."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    views = [padded[:, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(views, axis=-1)
