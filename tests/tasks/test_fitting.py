"""What is fitted at the end of a run must not cost the run."""

from __future__ import annotations

import numpy as np
import pytest

import isthmus
from isthmus.common.errors import BadInput
from isthmus.runs.config.compose import compose
from isthmus.runs.execution import fit
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.packed import fitting
from isthmus.runs.packed.fitting import fit_mixture
from isthmus.runs.train import train

from .conftest import SHORT


def test_a_run_whose_codes_cannot_be_fitted_is_done_all_the_same(tmp_path, monkeypatch, caplog):
    def fails(*arguments):
        raise ValueError("codes are not finite")

    monkeypatch.setattr(fit, "fitted", fails)
    train(compose(SHORT), tmp_path / "run")
    assert RunFolder(tmp_path / "run").is_done
    assert "thresholds and samplers could not be fitted" in caplog.text
    model = isthmus.load(tmp_path / "run", device="cpu")
    digits = np.zeros((2, 8, 8), np.uint8)
    assert model.score(digits, score="mse").shape == (2,)
    with pytest.raises(BadInput, match="packs it again"):
        model.detect(digits)


def test_the_mixture_is_fitted_to_training_rows_alone(monkeypatch, tmp_path):
    """Held-out rows set the thresholds, and would be likelier than new ones if they had been fitted to."""
    fitted_to = []

    def noted(codes, **options):
        fitted_to.append(len(codes))
        return fit_mixture(codes, **options)

    monkeypatch.setattr(fitting, "fit_mixture", noted)
    train(compose([*SHORT, "data.val_size=300"]), tmp_path / "run")
    split = RunFolder(tmp_path / "run").read_provenance()["data"]["split"]
    assert fitted_to == [split["train"]] * 2  # a mixture, and a single normal distribution
