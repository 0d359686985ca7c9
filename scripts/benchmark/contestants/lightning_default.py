"""Lightning as its documentation shows it: automatic optimization over a DataLoader, logged and saved."""

from __future__ import annotations

import logging
import tempfile
import warnings

import torch
from cases import CASES, LEARNING_RATE, Case
from clock import now
from examples import examples
from networks import test_mse
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from settings import Settings, Turn
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


class Module(LightningModule):
    """The network of a case."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.network = case.network()
        self.objective = case.objective

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.objective(self.network, batch[0])
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)


class Lightning:
    """TensorBoard, CSV, progress bar and a checkpoint after each epoch."""

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        self.case = CASES[settings.case]
        self.device = settings.device
        self.train, self.test = examples(self.case)
        self.loader = DataLoader(TensorDataset(self.train), self.case.batch, shuffle=True)

    def turn(self, *, seed: int, epochs: int) -> Turn:
        torch.manual_seed(seed)
        module = Module(self.case)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                max_epochs=epochs,
                accelerator="gpu" if self.device == "cuda" else "cpu",
                devices=1,
                logger=[TensorBoardLogger(folder), CSVLogger(folder)],
                # the bar by name: Lightning takes a slower one where rich happens to be installed
                callbacks=[ModelCheckpoint(folder, every_n_epochs=1), TQDMProgressBar()],
                enable_model_summary=False,
            )
            began = now(self.device)
            trainer.fit(module, self.loader)
            seconds = now(self.device) - began
        network = module.network.to(self.test.device).eval()
        return Turn(seconds, epochs * len(self.train), test_mse(network, self.case.reconstruct, self.test))
