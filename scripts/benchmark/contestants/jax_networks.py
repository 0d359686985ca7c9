"""The networks of the training cases in JAX, from the weights of the hand-written PyTorch ones.

Parameters are a list of (weight, bias), one per layer, in PyTorch's order. Images are [B, H, W, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from torch import nn

from contestants.jax_convolutions import double, halve

Layers = list[tuple[Array, Array]]


class Model(NamedTuple):
    """A case in JAX.

    Attributes:
        objective: (layers, x, key) -> the scalar that is minimised.
        reconstruct: (layers, x) -> reconstructions without chance.
    """

    objective: Callable[[Layers, Array, Array], Array]
    reconstruct: Callable[[Layers, Array], Array]


def layers_of(network: nn.Module) -> Layers:
    """The weights of a PyTorch network, laid out for JAX."""
    layers = []
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        assert layer.bias is not None
        weight = layer.weight.detach().numpy()
        if isinstance(layer, nn.Linear):
            weight = weight.T
        elif isinstance(layer, nn.Conv2d):
            weight = weight.transpose(2, 3, 1, 0)
        else:  # a transposed convolution is one of the spread image with the kernel turned round
            weight = weight.transpose(2, 3, 0, 1)[::-1, ::-1]
        layers.append((jnp.array(weight), jnp.array(layer.bias.detach().numpy())))
    return layers


def _mlp(layers: Layers, x: Array) -> Array:
    """ReLU after the first layer of the encoder and of the decoder."""
    into, code, back, out = layers
    z = jax.nn.relu(x @ into[0] + into[1]) @ code[0] + code[1]
    return jax.nn.relu(z @ back[0] + back[1]) @ out[0] + out[1]


def _textbook(layers: Layers, x: Array) -> Array:
    return jax.nn.sigmoid(_mlp(layers, x))


def _encode(layers: Layers, x: Array) -> tuple[Array, Array]:
    h = jax.nn.relu(halve(jax.nn.relu(halve(x, layers[0])), layers[1]))
    # PyTorch flattens channels first
    flat = h.transpose(0, 3, 1, 2).reshape(len(x), -1)
    mean, log_var = jnp.split(flat @ layers[2][0] + layers[2][1], 2, axis=1)
    return mean, log_var


def _decode(layers: Layers, z: Array) -> Array:
    h = jax.nn.relu(z @ layers[3][0] + layers[3][1]).reshape(-1, 64, 7, 7).transpose(0, 2, 3, 1)
    return double(jax.nn.relu(double(h, layers[4])), layers[5])


def _negative_elbo(layers: Layers, x: Array, key: Array) -> Array:
    mean, log_var = _encode(layers, x)
    raw = _decode(layers, mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape))
    reconstruction = jnp.sum(jax.nn.softplus(raw) - x * raw)
    kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))
    return (reconstruction + kl) / len(x)


MODELS = {
    "textbook": Model(lambda layers, x, key: jnp.mean((_textbook(layers, x) - x) ** 2), _textbook),
    "digits": Model(lambda layers, x, key: jnp.sum((_mlp(layers, x) - x) ** 2) / len(x), _mlp),
    "conv_vae": Model(
        _negative_elbo, lambda layers, x: jax.nn.sigmoid(_decode(layers, _encode(layers, x)[0]))
    ),
}
