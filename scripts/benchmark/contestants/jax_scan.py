"""JAX: a whole epoch is one compiled program that scans over the batches of a resident array."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from cases import CASES, LEARNING_RATE
from examples import examples
from jax import Array, lax
from settings import Settings, Turn

from contestants.jax_networks import MODELS, Layers, layers_of

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # PyTorch's defaults


class State(NamedTuple):
    """What a step changes: weights, Adam's two moments and the number of steps."""

    layers: Layers
    first: Layers
    second: Layers
    steps: Array


def adam(state: State, gradients: Layers) -> State:
    """One step of Kingma and Ba (arXiv:1412.6980), as PyTorch computes it."""
    steps = state.steps + 1
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, state.first, gradients)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, state.second, gradients)
    rate = LEARNING_RATE / (1 - BETA1**steps)
    correction = jnp.sqrt(1 - BETA2**steps)
    layers = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) / correction + EPSILON), state.layers, first, second
    )
    return State(layers, first, second, steps)


class JaxScan:
    """Compiled in the training that is thrown away."""

    def __init__(self, settings: Settings) -> None:
        self.case = CASES[settings.case]
        self.model = MODELS[settings.case]
        if settings.device == "cuda":
            if jax.default_backend() != "gpu":
                raise RuntimeError("this jax has no GPU; pip install 'jax[cuda13]'")
            # PyTorch multiplies matrices in full float32 unless told otherwise; JAX does not
            jax.config.update("jax_default_matmul_precision", "highest")
        train, test = (
            part.numpy() if self.case.flat else part.permute(0, 2, 3, 1).numpy()
            for part in examples(self.case)
        )
        self.train, self.test = jnp.array(train), test
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.reconstruct = jax.jit(self.model.reconstruct)

    def _step(self, x: Array, state: State, given: tuple[Array, Array]) -> tuple[State, None]:
        rows, key = given
        return adam(state, jax.grad(self.model.objective)(state.layers, x[rows], key)), None

    def _epoch(self, state: State, x: Array, order: Array, key: Array) -> State:
        size = self.case.batch
        batches = len(order) // size
        *keys, last = jax.random.split(key, batches + 1)
        whole = order[: batches * size].reshape(batches, size)
        state, _ = lax.scan(partial(self._step, x), state, (whole, jnp.stack(keys)))
        if len(order) % size:
            state, _ = self._step(x, state, (order[batches * size :], last))
        return state

    def turn(self, *, seed: int, epochs: int) -> Turn:
        torch.manual_seed(seed)
        layers = layers_of(self.case.network())
        first, second = (jax.tree.map(jnp.zeros_like, layers) for _ in range(2))
        state = jax.block_until_ready(State(layers, first, second, jnp.zeros((), jnp.int32)))
        key = jax.random.key(seed)
        rng = np.random.default_rng(seed)
        began = time.perf_counter()
        for _ in range(epochs):
            key, own = jax.random.split(key)
            state = self.epoch(state, self.train, rng.permutation(len(self.train)), own)
        jax.block_until_ready(state)
        seconds = time.perf_counter() - began
        squares = [
            np.square(np.asarray(self.reconstruct(state.layers, x)) - x).sum(dtype=np.float64)
            for x in np.array_split(self.test, 10)
        ]
        return Turn(seconds, epochs * len(self.train), float(sum(squares)) / self.test.size)
