"""PyOD's AutoEncoder with the widths of the textbook network.

Its network differs a little: it has a ReLU on the code and no sigmoid at the end. It leaves out the last
batch of an epoch where that is not full. What is timed is its training; the scores that its `fit` computes
afterwards are not.
"""

from __future__ import annotations

import time
from typing import Any

from cases import CASES, LEARNING_RATE
from examples import examples
from networks import test_mse, through
from pyod.models.auto_encoder import AutoEncoder
from settings import Settings, Turn


class Timed(AutoEncoder):
    """Notes how long training takes."""

    seconds = 0.0

    def train(self, train_loader: Any) -> None:
        began = time.perf_counter()
        super().train(train_loader)
        self.seconds = time.perf_counter() - began


class PyOD:
    """PyOD's own loop over its own data set."""

    def __init__(self, settings: Settings) -> None:
        self.case = CASES[settings.case]
        self.train, self.test = examples(self.case)

    def turn(self, *, seed: int, epochs: int) -> Turn:
        detector = Timed(
            preprocessing=False,
            lr=LEARNING_RATE,
            epoch_num=epochs,
            batch_size=self.case.batch,
            optimizer_params={},
            hidden_neuron_list=[256, 32],
            batch_norm=False,
            dropout_rate=0.0,
            random_state=seed,
            device="cpu",
        )
        detector.fit(self.train.numpy())
        trained = len(self.train) // self.case.batch * self.case.batch
        return Turn(detector.seconds, epochs * trained, test_mse(detector.model, through, self.test))
