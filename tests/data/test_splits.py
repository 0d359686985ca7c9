"""Splits are disjoint, complete, of the sizes asked for, and a function of the seed and the rows alone."""

from __future__ import annotations

import math

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.data.loading.splits import amount, draw_split

OFFICIAL = torch.tensor([50, 3, 4, 99, 17])


def draw(rows=100, *, test_rows=None, val_size=0.1, test_size=0.2, seed=0):
    return draw_split(rows, test_rows=test_rows, val_size=val_size, test_size=test_size, seed=seed)


@pytest.mark.parametrize(
    ("rows", "test_rows", "val_size", "test_size", "sizes"),
    [
        (100, None, 0.1, 0.2, (70, 10, 20)),
        (100, None, 10, 20, (70, 10, 20)),
        (100, None, 10, 0.2, (70, 10, 20)),
        (100, None, 0, 0, (100, 0, 0)),
        (100, None, 0.0, 0.0, (100, 0, 0)),
        (101, None, 0.1, 0.2, (71, 10, 20)),
        (3, None, 1, 1, (1, 1, 1)),
        (100, OFFICIAL, 0.2, None, (76, 19, 5)),  # of the 95 rows that are not official test rows
        (100, OFFICIAL, 94, None, (1, 94, 5)),
        (100, OFFICIAL, 0, None, (95, 0, 5)),
        (1, None, 0, 0, (1, 0, 0)),
    ],
)
def test_sizes_disjoint_and_complete(rows, test_rows, val_size, test_size, sizes):
    split = draw(rows, test_rows=test_rows, val_size=val_size, test_size=test_size)
    assert tuple(len(part) for part in split) == sizes
    assert torch.cat(split).sort().values.tolist() == list(range(rows))
    for part in split:
        assert part.dtype == torch.int64
        assert part.tolist() == sorted(part.tolist())


def test_official_test_rows_stay_the_test_set():
    before = OFFICIAL.clone()
    for seed in range(3):
        assert draw(test_rows=OFFICIAL, test_size=None, seed=seed).test.tolist() == [3, 4, 17, 50, 99]
    assert torch.equal(OFFICIAL, before)


@pytest.mark.parametrize("test_rows", [None, OFFICIAL], ids=["drawn", "official"])
def test_depends_on_the_seed_alone(test_rows):
    first = draw(test_rows=test_rows, seed=1)
    torch.rand(3)  # torch's own generator has no say
    again, other = draw(test_rows=test_rows, seed=1), draw(test_rows=test_rows, seed=2)
    for part, same in zip(first, again, strict=True):
        assert torch.equal(part, same)
    assert not torch.equal(first.val, other.val)
    assert not torch.equal(first.train, other.train)


def test_drawing_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    draw()
    assert torch.equal(torch.get_rng_state(), before)


def test_another_validation_size_leaves_the_test_rows_as_they_are():
    assert torch.equal(draw(val_size=0.1).test, draw(val_size=0.5).test)


def test_every_row_is_equally_likely_to_test():
    """Over 2000 seeds each of 10 rows is one of 3 drawn in 600 of them, within 5 standard deviations."""
    counts = torch.zeros(10)
    for seed in range(2000):
        counts[draw(10, val_size=0, test_size=3, seed=seed).test] += 1
    assert ((counts - 600).abs() < 5 * (2000 * 0.3 * 0.7) ** 0.5).all()


def test_fingerprints_tell_splits_apart():
    same = draw().fingerprint()
    assert draw().fingerprint() == same
    assert len(same) == 64
    split = draw()
    others = [
        draw(seed=1),
        draw(val_size=0.2),
        draw(rows=101),
        split._replace(val=split.test, test=split.val),
        # the same rows one after another, divided elsewhere
        split._replace(train=split.train[:-1], val=torch.cat([split.train[-1:], split.val])),
    ]
    assert len({same, *(other.fingerprint() for other in others)}) == 6


@pytest.mark.parametrize("key", ["val_size", "test_size"])
@pytest.mark.parametrize("size", [-1, -0.1, 1.0, 1.5, 100, 1000, math.nan, math.inf, True, "0.1", None, [10]])
def test_refuses_sizes_that_are_none(key, size):
    with pytest.raises(BadInput, match="must be a fraction in") as refusal:
        draw(**{key: size})
    assert refusal.value.key == key
    assert "100 rows" in refusal.value.fix


@pytest.mark.parametrize(
    "sizes",
    [
        {"val_size": 0.5, "test_size": 0.5},
        {"val_size": 50, "test_size": 60},
        {"val_size": 0.999, "test_size": 0},
    ],
    ids=str,
)
def test_refuses_to_leave_nothing_to_train_on(sizes):
    with pytest.raises(BadInput, match="leaves nothing to train on"):
        draw(**sizes)


def test_official_rows_count_for_nothing_in_the_validation_size():
    with pytest.raises(BadInput, match="below the 95 rows"):
        draw(test_rows=OFFICIAL, val_size=95, test_size=None)


@pytest.mark.parametrize(
    ("size", "total", "count"),
    [(0.5, 7, 4), (0.1, 1797, 180), (0.0, 5, 0), (4, 5, 4), (0, 1, 0), (1e-3, 100, 1), (0.1, 3, 1)],
)
def test_amounts(size, total, count):
    assert amount("val_size", size, total) == count
