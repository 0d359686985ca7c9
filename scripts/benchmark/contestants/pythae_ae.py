"""pythae's AE with the textbook network, trained by its BaseTrainer.

Its loss is the sum over pixels where the others take the mean: 784 times as large, which Adam, whose steps do
not depend on the scale of the loss, trains alike. It keeps the weights of the epoch with the smallest loss.
"""

from __future__ import annotations

import tempfile
import time

import torch
from cases import CASES, LEARNING_RATE
from examples import examples
from networks import test_mse
from pythae.data.datasets import BaseDataset
from pythae.models import AE, AEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from settings import Settings, Turn
from torch import Tensor, nn


class Encoder(BaseEncoder):
    """784 -> 32."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    """32 -> 784."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def reconstruct(model: AE, x: Tensor) -> Tensor:
    """Without a loss."""
    return model.decoder(model.encoder(x).embedding).reconstruction


class Pythae:
    """pythae's own loop over its own data set."""

    def __init__(self, settings: Settings) -> None:
        self.case = CASES[settings.case]
        self.train, self.test = examples(self.case)
        self.data = BaseDataset(self.train, torch.zeros(len(self.train)))

    def turn(self, *, seed: int, epochs: int) -> Turn:
        torch.manual_seed(seed)
        layers = list(self.case.network().children())
        encoder, decoder = nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:])
        config = AEConfig(input_dim=(784,), latent_dim=32)
        model = AE(config, Encoder(encoder), Decoder(decoder))
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=self.case.batch,
                num_epochs=epochs,
                learning_rate=LEARNING_RATE,
                seed=seed,
                no_cuda=True,
            )
            trainer = BaseTrainer(model, self.data, training_config=settings)
            began = time.perf_counter()
            trainer.train()
            seconds = time.perf_counter() - began
        model.eval()
        return Turn(seconds, epochs * len(self.train), test_mse(model, reconstruct, self.test))
