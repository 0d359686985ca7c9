"""Two runs compared bit by bit, and the verdict over it, on a real run of an older isthmus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from isthmus.runs.comparison.provenance_diff import Difference
from isthmus.runs.comparison.run_diff import compare, compare_weights, read_record, same_bits
from isthmus.runs.comparison.verdict import (
    DIFFERENT,
    IDENTICAL,
    NOT_JUDGED,
    TOLERANCE,
    WITHIN,
    compute_verdict,
)
from isthmus.runs.folder.run_folder import RunFolder

V1 = Path(__file__).parents[1] / "fixtures" / "run_v1"
OTHER_THREADS = Difference("threads", 1, 2, rounds=True)
OTHER_DATA = Difference("data", "a", "b")
OTHER_PACKAGE = Difference("torch", "2.12", "2.13")

SPECIAL = torch.tensor([0.0, -0.0, float("nan"), float("inf"), 1e-45])
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_a_copy_has_the_same_bits(dtype, shape):
    tensor = torch.randint(0, 2, shape).to(dtype)
    assert same_bits(tensor, tensor.clone())
    assert tensor.numel() == 0 or not same_bits(tensor, torch.logical_not(tensor).to(dtype))
    assert not same_bits(tensor, tensor.unsqueeze(0))
    assert not same_bits(tensor, tensor.to(torch.complex64))


def test_bits_are_compared_and_not_values():
    assert same_bits(SPECIAL, SPECIAL.clone())
    for place in range(len(SPECIAL)):
        other = SPECIAL.clone()
        other.view(torch.int32)[place] ^= 1 << 31
        assert not same_bits(SPECIAL, other)
    matrix = torch.arange(6.0).reshape(2, 3)
    assert same_bits(matrix.T, matrix.T.contiguous())


def test_distances_of_weights():
    ones = {"a": torch.ones(3), "b": torch.zeros(4), "n": torch.tensor(5)}
    other = {"a": torch.tensor([1.0, 1.0, 1.5]), "b": torch.zeros(4), "n": torch.tensor(6)}
    found = compare_weights(ones, other)
    assert (found.tensors, found.differing) == (3, ["a", "n"])
    assert found.largest_difference == 0.5
    assert found.relative_distance == pytest.approx(0.5 / 3**0.5)
    missing = compare_weights(ones, {"a": torch.ones(3), "c": torch.zeros(4), "n": torch.ones(2)})
    assert missing.differing == ["b", "n", "c"]
    assert missing.largest_difference == 0.0


def test_an_old_run_is_identical_to_itself():
    record = read_record(RunFolder(V1))
    comparison = compare(record, read_record(RunFolder(V1)))
    assert comparison.identical
    assert comparison.metrics.original == comparison.metrics.same == 4
    assert comparison.weights["best"].tensors > 4
    shorter = compare(record, record._replace(rows=record.rows[:-1]))
    assert not shorter.identical
    assert (shorter.metrics.first["step"], shorter.metrics.first["reproduced"]) == ("50", None)


def against(**results):
    """The old run against itself with other results."""
    record = read_record(RunFolder(V1))
    other = {name.replace("_", "/", 1): value for name, value in results.items()}
    return compare(record, record._replace(results={**record.results, **other}))


MSE = json.loads((V1 / "results.json").read_text())["test/mse"]


@pytest.mark.parametrize(
    ("results", "found", "verdict"),
    [
        ({}, [], IDENTICAL),
        ({}, [OTHER_PACKAGE], IDENTICAL),
        ({"test_mse": MSE * 1.001}, [OTHER_THREADS], WITHIN),
        ({"test_mse": MSE * 1.001}, [OTHER_THREADS, OTHER_PACKAGE], WITHIN),
        ({"test_mse": MSE * 1.001}, [], DIFFERENT),
        ({"test_mse": MSE * 1.001}, [OTHER_PACKAGE], DIFFERENT),
        ({"test_mse": MSE * 1.001}, [OTHER_THREADS, OTHER_DATA], DIFFERENT),
        ({"test_mse": MSE * (1 + 2 * TOLERANCE)}, [OTHER_THREADS], DIFFERENT),
        ({"test_mse": None}, [OTHER_THREADS], DIFFERENT),
        ({"test_mse": 10**400}, [OTHER_THREADS], DIFFERENT),
        ({"test_new": 1.0}, [OTHER_THREADS], DIFFERENT),
        ({"test_kl_per_dimension": [1.0, 2.0]}, [OTHER_THREADS], WITHIN),
        ({"epoch": 7}, [OTHER_THREADS], WITHIN),
    ],
)
def test_verdicts(results, found, verdict):
    comparison = against(**results)
    judged = compute_verdict(comparison, found, changed={})
    assert judged.verdict == verdict
    moved = [name.replace("_", "/", 1) for name in results if name in ("test_mse", "test_new")]
    assert [judged.farthest.name] == moved if moved else judged.farthest is None
    assert compute_verdict(comparison, found, changed={"latent.dim": (1, 2)}).verdict == NOT_JUDGED


@pytest.mark.parametrize(
    ("original", "reproduced", "relative"),
    [(1.0, 1.1, 0.1 / 1.1), (0.0, 0.0, 0.0), (0.0, 1e-9, 1.0), (-2.0, 2.0, 2.0), ([1, 4], [2, 4], 0.25)],
)
def test_relative_differences(original, reproduced, relative):
    record = read_record(RunFolder(V1))
    pair = (record._replace(results={"test/x": value}) for value in (original, reproduced))
    (metric,) = compare(*pair).results
    assert metric.relative == pytest.approx(relative)
    assert metric.same is (relative == 0)
    assert metric.has_tolerance is not isinstance(original, list)
