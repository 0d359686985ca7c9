"""The attributes that the states in a checkpoint can have change nothing of what is loaded."""

from __future__ import annotations

import pytest
import torch

from isthmus.training.checkpoint.io import read_checkpoint

ATTRIBUTES = {
    "_metadata": [5, {"": 7}, {"autoencoder.encoder.1": {"assign_to_params_buffers": True, "version": 1}}],
    "values": [5],
    "keys": [5],
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_of_a_state_do_not_count(name, run, command):
    """PyTorch would put tensors in the place of parameters, or fail."""
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    expected = command("evaluate", run, "--json").out
    for value in ATTRIBUTES[name]:
        vars(content["state_dict"])[name] = value
        torch.save(content, path)
        assert set(vars(read_checkpoint(path)["state_dict"])) <= {"_metadata"}
        said = command("evaluate", run, "--json")
        assert (said.code, said.out) == (0, expected), said.err
