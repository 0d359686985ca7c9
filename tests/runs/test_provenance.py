"""What a run records of where it comes from, and what two such records say differently."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from isthmus.runs.comparison.provenance_diff import differences
from isthmus.runs.folder.provenance import environment, provenance, recorded_threads
from isthmus.runs.reproduce import DEFAULT_EXPERIMENT, experiment_name

DATA = {"fingerprint": "a" * 64, "rows": 10, "split_fingerprint": "b" * 64, "split": {"train": 8, "test": 2}}


@pytest.fixture(scope="module")
def record():
    return provenance(seed=3, data=DATA, experiment="mine", threads=2, processes=4)


def test_it_is_plain_and_complete(record):
    assert json.loads(json.dumps(record)) == record
    assert record["packages"]["torch"] == torch.__version__
    assert (record["seed"], record["experiment"], record["data"]) == (3, "mine", DATA)
    assert (record["threads"], record["processes"]) == (2, 4)
    assert record["interop_threads"] == torch.get_num_interop_threads()
    hardware = record["hardware"]
    assert hardware["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert hardware["cuda"] == torch.version.cuda
    assert len(hardware["gpus"]) == torch.cuda.device_count()
    assert hardware["processor"]
    assert hardware["cores"] >= 1
    assert all(isinstance(hardware[key], bool) for key in ("mkl", "onednn"))


def test_the_environment_is_all_but_the_experiment(record):
    now = environment(threads=2, processes=4)
    assert set(record) - set(now) == {"seed", "data", "experiment"}
    assert {key: record[key] for key in now} == now


def test_nothing_differs_from_itself(record):
    assert differences(record, copy.deepcopy(record)) == []


def set_in(record, path, value):
    *groups, last = path.split("/")
    for group in groups:
        record = record[group]
    record[last] = value


CODE = {"commit": "c" * 40, "untracked": ["x.py"], "diff": "diff --git a/f b/f\n+1\n", "diff_cut": False}
CHANGES = [
    # where, then, now, what it is called, whether it rounds
    ("data/fingerprint", "a" * 64, "d" * 64, "data", False),
    ("data/split_fingerprint", "b" * 64, "d" * 64, "split", False),
    ("packages/torch", "2.12.0", "2.13.0", "torch", False),
    ("python", "3.11.1", "3.12.1", "python", False),
    ("isthmus", "0.1", "0.2", "isthmus", False),
    ("seed", 1, 2, "seed", False),
    ("threads", 1, 2, "threads", True),
    ("processes", 1, 2, "processes", True),
    ("hardware/processor", "this", "that", "hardware.processor", True),
    ("hardware/machine", "x86_64", "aarch64", "hardware.machine", True),
    ("hardware/cores", 2, 4, "hardware.cores", True),
    ("hardware/cpu_capability", "AVX2", "AVX512", "hardware.cpu_capability", True),
    ("hardware/gpus", [], ["H100"], "hardware.gpus", True),
    ("hardware/system", "Linux-5", "Linux-6", "hardware.system", False),
    ("code/isthmus", None, CODE, "code.isthmus.commit", False),
    ("code/isthmus", CODE, {**CODE, "commit": "d" * 40}, "code.isthmus.commit", False),
    ("code/working_directory", CODE, {**CODE, "untracked": []}, "code.working_directory: untracked", False),
    ("code/isthmus", CODE, {**CODE, "diff": ""}, "code.isthmus: uncommitted", False),
    ("code/isthmus", {**CODE, "diff_cut": True}, CODE, "code.isthmus: uncommitted", False),
    ("code/isthmus", CODE, {**CODE, "left_out": "why"}, "code.isthmus: uncommitted", False),
]


@pytest.mark.parametrize(("where", "then", "now", "what", "rounds"), CHANGES)
def test_what_differs_is_named(where, then, now, what, rounds, record):
    old, new = copy.deepcopy(record), copy.deepcopy(record)
    set_in(old, where, then)
    set_in(new, where, now)
    (found,) = differences(old, new)
    assert found.what.startswith(what)
    assert found.rounds is rounds
    assert found.concerns_data is (what in ("data", "split"))
    assert str(found).startswith(what)


def test_a_package_that_is_gone_is_named(record):
    old, new = copy.deepcopy(record), copy.deepcopy(record)
    del new["packages"]["numpy"]
    (found,) = differences(old, new)
    assert str(found) == f"numpy: {old['packages']['numpy']} -> not installed"


def test_of_changes_the_files_are_named_and_not_their_content(record):
    old, new = copy.deepcopy(record), copy.deepcopy(record)
    for side, changes in (
        (old, {"gone": 1, "kept": 1, "other": 1}),
        (new, {"kept": 1, "new": 1, "other": 2}),
    ):
        diff = "".join(f"diff --git a/{file} b/{file}\n+secret {what}\n" for file, what in changes.items())
        side["code"]["isthmus"] = {**CODE, "diff": diff}
    (found,) = differences(old, new)
    assert str(found) == "code.isthmus: uncommitted changes differ in: gone, new, other"


def test_the_same_repository_is_named_once(record):
    old, new = copy.deepcopy(record), copy.deepcopy(record)
    for name in ("isthmus", "working_directory"):
        old["code"][name], new["code"][name] = CODE, {**CODE, "commit": "e" * 40}
    assert [found.what for found in differences(old, new)] == ["code.isthmus.commit"]


def test_a_resumed_run_has_no_single_config(record):
    old = {**record, "resumed": [{"step": 7, "overrides": ["trainer.max_epochs=9"], "threads": 5}]}
    found = {str(difference): difference.rounds for difference in differences(old, record)}
    assert found == {
        "resumed at step 7 with: trainer.max_epochs=9": False,
        "resumed at step 7 with other: threads": True,
    }


def test_what_one_does_not_record_does_not_differ(record):
    assert differences({}, record) == []
    assert differences(record, {}) == []


@pytest.mark.parametrize("key", ["data", "code", "packages", "hardware", "resumed", "threads"])
@pytest.mark.parametrize("value", [None, 1, "text", [1], {"isthmus": [1], "fingerprint": {}}])
def test_nonsense_is_read_without_an_error(key, value, record):
    assert all(str(found) for found in differences({**record, key: value}, record))


@pytest.mark.parametrize(
    ("recorded", "processes", "threads"),
    [
        ({"threads": 3}, 2, 3),
        ({"hardware": {"threads": 3}}, 1, 3),  # as runs of format 1 have it
        ({"hardware": {"threads": 3}}, 2, None),
        ({}, 1, None),
        ({"threads": "many"}, 1, None),
        ({"threads": -1}, 1, None),
        ({"threads": True}, 1, None),
    ],
)
def test_recorded_threads(recorded, processes, threads):
    assert recorded_threads(recorded, processes=processes) == threads


@pytest.mark.parametrize("name", ["..", ".", "...", "../x", "a/b", "/tmp", "", None, 3, ["x"], "a\x1b"])
def test_a_name_that_is_no_name_is_not_taken(name):
    assert experiment_name({"experiment": name}) == DEFAULT_EXPERIMENT


@pytest.mark.parametrize("name", ["textbook", "digits_vae", "my-2.nd"])
def test_a_plain_name_is_taken(name):
    assert experiment_name({"experiment": name}) == name
