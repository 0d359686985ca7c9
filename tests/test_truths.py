"""The whole path, from config to results.json, against a truth that does not come from it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from isthmus.runs.config.compose import compose
from isthmus.runs.config.data import build_data
from isthmus.runs.train import train

DIM = 16


def test_a_linear_autoencoder_finds_the_subspace_of_pca(tmp_path):
    overrides = [
        *("data=digits", "architecture=linear", "loss=mse", f"latent.dim={DIM}", "data.batch_size=128"),
        *("optimizer.lr=0.03", "scheduler=cosine", "trainer.max_epochs=100", "logger=csv"),
        *("trainer.check_val_every_n_epoch=50", "callbacks.checkpoint.every_n_epochs=100"),
        *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
        *("trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none"),
    ]
    cfg = compose(overrides)
    folder = train(cfg, tmp_path / "run")
    learned = folder.read_json(folder.results)["test/mse"]

    data = build_data(cfg)
    fitted, test = (
        data.scaling(data.source.take(rows)).flatten(1).double().numpy()
        for rows in (data.split.train, data.split.test)
    )
    pca = PCA(DIM).fit(fitted)
    truth = np.mean((pca.inverse_transform(pca.transform(test)) - test) ** 2)
    assert learned == pytest.approx(truth, rel=0.01)
