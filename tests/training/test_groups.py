"""Several optimizer steps per Lightning step change the speed and nothing else."""

from __future__ import annotations

import csv

import pytest
import torch

from isthmus.data.loading.samplers import BatchGroups, TrainBatches
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train


@pytest.fixture
def trained(tmp_path):
    def run(size, *overrides):
        config = compose(
            [
                *("model=vae", "noise=gaussian", "scheduler=cosine", "trainer.log_every_n_steps=7"),
                *("trainer.max_epochs=2", "trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none"),
                *(f"trainer.steps_per_execution={size}", *overrides),
            ]
        )
        folder = train(config, tmp_path / str(size))
        weights = torch.load(folder.checkpoint("last"), weights_only=True)["state_dict"]
        with folder.metrics.open(newline="") as file:
            return weights, list(csv.DictReader(file))

    return run


@pytest.mark.parametrize("overrides", [(), ("trainer.accumulate_grad_batches=3",), ("trainer.max_steps=45",)])
def test_same_weights_and_metrics(trained, overrides):
    (one, metrics), (other, same_metrics) = trained(1, *overrides), trained(8, *overrides)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert metrics == same_metrics


@pytest.mark.parametrize("size", [1, 4, 100])
def test_groups_hold_the_batches_in_order(size):
    batches = TrainBatches(torch.arange(23), batch_size=3, seed=0)
    groups = list(BatchGroups(batches, size))
    assert len(groups) == len(BatchGroups(batches, size))
    flat = [block for group in groups for block in group]
    assert [block.number for block in flat] == list(range(len(batches)))
    assert torch.equal(torch.cat([block.rows for block in flat]).sort().values, torch.arange(23))
