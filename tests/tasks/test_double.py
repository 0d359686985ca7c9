"""A model that was trained in float64 is used in float64."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

import isthmus

KEYS = ["trainer.precision=64-true", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
KEYS += ["logger=csv", "callbacks.figures.summary=false"]


def test_what_is_computed_does_not_depend_on_the_batch(tmp_path, cache):
    run = isthmus.train([*KEYS, "trainer.progress_bar=none"], path=tmp_path / "run")
    x = load_digits().images[:50, None] / 16
    model = run.model
    assert next(model._engine.autoencoder.parameters()).dtype is torch.float64
    for method in (model.encode, model.reconstruct, model.score, model.explain):
        whole, single = method(x), np.concatenate([method(x, batch_size=1)])
        assert np.allclose(whole, single, rtol=1e-6, atol=1e-7)
    assert model.detect(x, false_alarm_rate=0.2).outlier.mean() < 0.6
    assert model.generate(3).shape == (3, 1, 8, 8)
