"""Checkpoints hold what training held when they were asked for, in kinds that can be read."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, namedtuple

import pytest
import torch
from torch import nn

from isthmus.training.checkpoint.io import ALSO, AtomicCheckpointIO, read_checkpoint
from isthmus.training.writers.background import Background

Pair = namedtuple("Pair", "one other")


@pytest.fixture
def written(tmp_path):
    """Writes a checkpoint and reads it."""

    def there_and_back(content, after=lambda: None):
        with Background() as background:
            io = AtomicCheckpointIO(background, before=lambda: None)
            io.save_checkpoint(content, tmp_path / "last.ckpt")
            after()
        return read_checkpoint(tmp_path / "last.ckpt")

    return there_and_back


def test_kinds_that_are_read(written):
    content = {
        "milestones": Counter({30: 1, 60: 2}),
        "of": defaultdict(list, {"a": [1]}),
        "pair": Pair(1, (2.0, None)),
        "size": torch.Size([2, 3]),
        "state": OrderedDict(a=torch.ones(2)),
        "list": [True, "x"],
    }
    read = written(content)
    assert read["milestones"] == {30: 1, 60: 2}
    assert read["of"] == {"a": [1]}
    assert read["pair"] == (1, (2.0, None))
    assert read["size"] == (2, 3)
    assert isinstance(read["state"], OrderedDict)
    assert read["list"] == [True, "x"]


def test_tensors_are_those_of_the_moment(written):
    weight = torch.zeros(1000)
    assert written({"weight": weight}, after=lambda: weight.fill_(1))["weight"].sum() == 0


def test_tied_weights_are_written_once(written, tmp_path):
    layer = nn.Linear(100, 100)
    tied = nn.Sequential(layer, layer)
    read = written({"state_dict": tied.state_dict()})["state_dict"]
    assert (tmp_path / "last.ckpt").stat().st_size < 1.5 * 40_000
    assert read["0.weight"].data_ptr() == read["1.weight"].data_ptr()
    assert torch.equal(read["1.weight"], layer.weight)
    assert read._metadata == tied.state_dict()._metadata


def test_a_schedule_with_milestones_goes_on(written):
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], gamma=0.1)
    held = written({"schedule": schedule.state_dict()})["schedule"]
    again = torch.optim.lr_scheduler.MultiStepLR(optimizer, [7])
    again.load_state_dict(held)
    rates = []
    for _ in range(3):
        optimizer.step()
        again.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1.0, 0.1, 0.01])


def test_one_checkpoint_at_two_places(tmp_path):
    with Background() as background:
        io = AtomicCheckpointIO(background, before=lambda: None)
        best, last = tmp_path / "best.ckpt", tmp_path / "last.ckpt"
        io.save_checkpoint({"step": 1}, last)
        io.save_checkpoint({"step": 2}, best, storage_options={ALSO: last})
    assert read_checkpoint(best) == read_checkpoint(last) == {"step": 2}
