"""Codes and scores of many images: isthmus' `encode_all`, and a bare forward pass over the same weights."""

from __future__ import annotations

import time

import torch
from networks import mlp
from settings import Settings, Turn

from contestants.streams import NETWORK
from isthmus.runs.config.build import build
from isthmus.runs.config.compose import compose
from isthmus.training.inference import encode_all


class EncodeAll:
    """isthmus, over the loader that its runs use. The weights are fresh: they cost what trained ones do."""

    def __init__(self, settings: Settings) -> None:
        overrides = [*NETWORK, f"data.path={settings.file}", "data.in_memory=true", "data.test_size=0"]
        self.data, self.module = build(compose(overrides))
        self.rows = torch.arange(len(self.data.source))

    def turn(self, *, seed: int, epochs: int) -> Turn:
        began = time.perf_counter()
        found = encode_all(self.module, self.data.whole_loader(self.rows))
        seconds = time.perf_counter() - began
        return Turn(seconds, len(self.rows), found["mse"].double().mean().item())


class Bare(EncodeAll):
    """Slices of the tensor through plain layers, into arrays that are there already."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        network = mlp(784, 256, 32, sigmoid=True).eval()
        weights = self.module.autoencoder.parameters()
        with torch.no_grad():
            for own, other in zip(network.parameters(), weights, strict=True):
                own.copy_(other)
        self.encoder, self.decoder = network[:3], network[3:]
        self.images = self.data.source.take(self.rows)
        self.codes, self.mse = torch.empty(len(self.rows), 32), torch.empty(len(self.rows))

    @torch.no_grad()
    def turn(self, *, seed: int, epochs: int) -> Turn:
        size = self.data.eval_batch_size
        began = time.perf_counter()
        for start in range(0, len(self.images), size):
            part = slice(start, start + size)
            x = self.images[part].float() * (1 / 255)
            z = self.encoder(x)
            self.codes[part] = z
            self.mse[part] = (self.decoder(z) - x).square().mean(1)
        seconds = time.perf_counter() - began
        return Turn(seconds, len(self.images), self.mse.double().mean().item())
