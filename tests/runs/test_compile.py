"""Runs whose training step is compiled."""

import json
import os
import shutil

import pytest

from isthmus.cli.main import main

SHORT = (
    "trainer=cpu",
    "trainer.threads=1",
    "trainer.max_epochs=2",
    "data.batch_size=100",
    "callbacks.figures.summary=false",
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX") or "g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize(
    "config",
    [
        (),
        ("architecture=conv", "architecture.channels=[4,8]", "model=vae", "trainer.gradient_clip_val=1"),
    ],
    ids=["mlp", "conv VAE"],
)
def test_a_compiled_run_learns_the_same(config, tmp_path, monkeypatch, capsys):
    """Losses agree with those of the plain run as far as drawn numbers, which are others, let them."""
    monkeypatch.chdir(tmp_path)
    found = {}
    for compiled in ("false", "true"):
        folder = tmp_path / compiled
        typed = ("train", *config, *SHORT, f"trainer.compile={compiled}", f"hydra.run.dir={folder}")
        assert main([*typed]) == 0
        said = capsys.readouterr().out
        assert ("compiling; the first step waits" in said) == (compiled == "true")
        found[compiled] = json.loads((folder / "results.json").read_text())
    assert found["true"]["step"] == found["false"]["step"]
    close = 0.02 if config else 1e-4
    for name in ("train/loss", "val/loss", "test/loss"):
        assert found["true"][name] == pytest.approx(found["false"][name], rel=close)
