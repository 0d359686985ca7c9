"""Training on data that a thread reads ahead: the bits of data in memory, and no thread is left."""

from __future__ import annotations

import csv
import json
import threading
from inspect import Parameter, signature

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from isthmus.core.types import BatchGroup
from isthmus.data import memory, module
from isthmus.data.arrays import Arrays
from isthmus.data.loading.keys import OPTIONAL_KEYS, REQUIRED_KEYS
from isthmus.data.loading.loaders import SourceDataset
from isthmus.data.loading.samplers import BatchRows
from isthmus.data.module import DataModule
from isthmus.data.source import Reading, TensorSource
from isthmus.runs.config.compose import compose
from isthmus.runs.errors import Stopped
from isthmus.runs.evaluate import evaluate
from isthmus.runs.resume import resume
from isthmus.runs.train import train
from isthmus.training.callbacks.checkpoints import Checkpoints

# batches of 33 rows of 77 numbers: in a group they do not begin where a tensor of their own would
SMALL = (
    *("data=arrays", "data.batch_size=33", "architecture.hidden=[10]", "latent.dim=3", "noise=gaussian"),
    *("trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none", "trainer.max_epochs=2"),
    "callbacks.figures.summary=false",
    *("trainer.log_every_n_steps=4", "logger=csv", "data.scaling=standardize"),
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).normal(5, 3, (700, 77)).astype(np.float32))
    return path


@pytest.fixture
def trained(tmp_path, file):
    def run(name, *typed):
        return train(compose([*SMALL, f"data.path={file}", *typed]), tmp_path / name)

    return run


def prefetching(threads):
    return any(thread.name.startswith("isthmus-data") for thread in threads)


def check_no_thread_is_left():
    assert not prefetching(threading.enumerate())


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    torch.set_num_threads(1)
    yield
    check_no_thread_is_left()


def kept(run):
    """The bits of the weights, and the metrics as text."""
    state = torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
    return {
        "metrics": run.metrics.read_text(),
        "results": json.dumps(run.read_json(run.results)),
        **{name: value.numpy().tobytes() for name, value in state.items()},
    }


MEMORY, MAPPED = "data.in_memory=true", "data.in_memory=false"


@pytest.mark.parametrize("typed", [("architecture=mlp",), ("trainer.max_steps=13", "data.val_size=0")])
def test_the_same_bits_in_memory_and_mapped(trained, typed):
    expected = kept(trained("memory", MEMORY, "trainer.steps_per_execution=1", *typed))
    for size in (1, 8):
        for where in (MEMORY, MAPPED):
            name = f"{where[-4:]}_{size}"
            assert kept(trained(name, where, f"trainer.steps_per_execution={size}", *typed)) == expected, name


def test_no_thread_is_left_when_training_stops_within_an_epoch(trained, monkeypatch, tmp_path):
    """And resuming reads what was read ahead once more."""
    expected = kept(trained("whole", MEMORY))
    agreed = Checkpoints._agreed

    def asked(self, trainer):
        return (15, False) if trainer.global_step == 5 else agreed(self, trainer)

    monkeypatch.setattr(Checkpoints, "_agreed", asked)
    with pytest.raises(Stopped):
        trained("run", MAPPED, "trainer.steps_per_execution=3")
    check_no_thread_is_left()
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert kept(resume(tmp_path / "run")) == expected


def test_no_thread_is_left_when_training_fails(trained, monkeypatch):
    def fail(self, trainer, *arguments):
        assert prefetching(threading.enumerate())
        raise ArithmeticError("in the main thread")

    monkeypatch.setattr(Callback, "on_train_batch_end", fail)
    with pytest.raises(ArithmeticError):
        trained("run", MAPPED, "data.batch_size=2", "trainer.steps_per_execution=1")


def test_what_the_thread_meets_is_raised(trained, monkeypatch):
    take = Arrays.take

    def failing(self, rows):
        if prefetching([threading.current_thread()]):
            raise EOFError("the file has become shorter")
        return take(self, rows)

    monkeypatch.setattr(Arrays, "take", failing)
    with pytest.raises(EOFError, match="become shorter"):
        trained("run", MAPPED)


def test_evaluation_reads_the_same(trained):
    runs = [trained(where[-4:], where) for where in (MEMORY, MAPPED)]
    one, other = (evaluate(run.path) for run in runs)
    assert one == other


@pytest.mark.slow
def test_two_processes(isthmus, file, tmp_path):
    found = []
    for name, where in (("memory", MEMORY), ("mapped", MAPPED)):
        typed = [*SMALL, "trainer=ddp_cpu", f"data.path={file}", where, f"hydra.run.dir={name}"]
        ended = isthmus("train", *typed)
        assert ended.returncode == 0, ended.stderr
        with (tmp_path / name / "metrics.csv").open(newline="") as opened:
            found.append(list(csv.DictReader(opened)))
    assert found[0] == found[1]


def data_module(source, **options):
    sizes = {"batch_size": 7, "eval_batch_size": 9, "val_size": 9, "test_size": 11}
    return DataModule(source, **{**sizes, "split_seed": 0, "num_workers": 0, "seed": 0, **options})


def source(rows=50):
    return TensorSource(torch.arange(rows * 3, dtype=torch.uint8).view(rows, 3))


@pytest.mark.parametrize("lengths", [[3, 4, 1], [5], [], [0]])
def test_a_group_is_its_batches(lengths):
    blocks = [BatchRows(10 + k, torch.arange(k, k + length)) for k, length in enumerate(lengths)]
    batches = SourceDataset(source())
    group = batches[blocks]
    assert isinstance(group, BatchGroup)
    assert (group.blocks, group.sizes) == (tuple(range(10, 10 + len(lengths))), tuple(lengths))
    assert group.x.shape == (sum(lengths), 3)
    parts = group.split(group.x.double())
    for part, block in zip(parts, blocks, strict=True):
        assert torch.equal(part, batches[block].x.double())
        assert part.data_ptr() % 64 == 0


def test_aligned_batches_are_views():
    group = BatchGroup(torch.zeros(384, 3), torch.arange(384), (0, 1, 2), (128, 128, 128))
    assert [part.storage_offset() for part in group.split(group.x)] == [0, 384, 768]


@pytest.mark.parametrize("on_device", ["auto", True])
def test_batches_taken_on_the_device_are_those_of_the_host(monkeypatch, on_device):
    """With the CPU in the place of the GPU."""
    calls = []
    monkeypatch.setattr(module, "fits_on_device", lambda *arguments: not calls.append(arguments))
    held, usual = data_module(source(), on_device=on_device), data_module(source(), on_device=False)
    loaders = [(each.train_dataloader(), each.val_dataloader()) for each in (held, usual)]
    assert calls[0] == (150, torch.device("cpu"), on_device)
    for one, other in zip(*loaders, strict=True):
        assert one.dataset.values is held.source.values
        for first, second in zip(one, other, strict=True):
            assert torch.equal(first.x, second.x)
            assert torch.equal(first.rows, second.rows)


@pytest.mark.parametrize(
    ("on_device", "fits"), [("auto", [True, False]), (True, [True] * 2), (False, [False] * 2)]
)
def test_a_quarter_of_the_free_memory_of_the_device(monkeypatch, on_device, fits):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400, 1000))
    cuda = torch.device("cuda", 0)
    assert [memory.fits_on_device(size, cuda, on_device) for size in (99, 100)] == fits
    assert not memory.fits_on_device(1, torch.device("cpu"), on_device)


def test_the_loading_keys_are_those_of_the_data_module():
    parameters = signature(DataModule).parameters
    others = ("source", "seed", "steps_per_execution", "split")  # not of this group of the config
    defaults = {key: each.default for key, each in parameters.items() if key not in others}
    assert set(REQUIRED_KEYS) == {key for key, default in defaults.items() if default is Parameter.empty}
    assert set(OPTIONAL_KEYS) == set(defaults) - set(REQUIRED_KEYS)


def test_on_device_is_checked(file):
    with pytest.raises(ValueError, match="on_device=maybe: must be one of auto, true, false"):
        data_module(source(), on_device="maybe")
    mapped = Arrays(path=str(file), labels=None, key=None, in_memory=False, scaling="none")
    assert mapped.reading is Reading.MAPPED
    with pytest.raises(ValueError, match=r"on_device=true: needs the data in memory"):
        data_module(mapped, on_device=True)
    data_module(mapped, on_device="auto")
