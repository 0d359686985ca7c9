"""Splits are disjoint, complete, of the sizes asked for, and a function of the seed and the rows alone."""

from __future__ import annotations

import math

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.data.loading.splits import all_in_test, amount, draw_split, split_rows
from isthmus.data.source import Grouping, TensorSource

OFFICIAL = torch.tensor([50, 3, 4, 99, 17])


def draw(rows=100, *, test_rows=None, val_size=0.1, test_size=0.2, seed=0):
    parts = None
    if test_rows is not None:
        parts = torch.zeros(rows, dtype=torch.int8)
        parts[test_rows] = 2
    return draw_split(rows, val_size=val_size, test_size=test_size, seed=seed, grouping=Grouping(parts=parts))


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


def grouped(**rules):
    return draw_split(100, val_size=0.1, test_size=0.2, seed=3, grouping=Grouping(**rules))


def test_rows_of_a_group_are_in_one_part():
    groups = torch.arange(100) % 17
    split = grouped(groups=groups)
    parts = [set(groups[rows].tolist()) for rows in split]
    assert sum(map(len, parts)) == 17
    assert torch.cat(split).sort().values.tolist() == list(range(100))
    assert abs(len(split.test) - 20) <= 3
    assert abs(len(split.val) - 10) <= 3


def test_the_latest_rows_are_tested():
    times = torch.randperm(100, generator=torch.Generator().manual_seed(0)).double()
    split = grouped(times=times)
    assert times[split.train].max() < times[split.val].min()
    assert times[split.val].max() < times[split.test].min()
    assert (len(split.train), len(split.val), len(split.test)) == (70, 10, 20)


@pytest.mark.parametrize("shares", [(90, 10), (50, 30, 20), (98, 2)])
def test_parts_have_the_same_share_of_each_class(shares):
    strata = torch.cat([torch.full((count,), at) for at, count in enumerate(shares)])
    split = grouped(strata=strata)
    for rows in split:
        for at, count in enumerate(shares):
            assert abs((strata[rows] == at).sum().item() - len(rows) * count / 100) <= 1
    assert torch.cat(split).sort().values.tolist() == list(range(100))


def test_given_parts_are_kept_and_the_others_drawn():
    parts = torch.zeros(100, dtype=torch.int8)
    parts[10:30] = 2
    split = grouped(parts=parts)
    assert split.test.tolist() == list(range(10, 30))
    assert len(split.val) == 8  # of the 80 rows that are left
    parts[40:45] = 1
    split = grouped(parts=parts)
    assert split.val.tolist() == list(range(40, 45))
    assert len(split.train) == 75


def test_unusable_rows_are_in_no_part():
    usable = torch.arange(100) % 4 != 0
    split = grouped(usable=usable)
    assert torch.cat(split).sort().values.tolist() == usable.nonzero().squeeze(1).tolist()
    assert all_in_test(100, Grouping(usable=usable)).test.tolist() == usable.nonzero().squeeze(1).tolist()


def test_rows_of_the_same_time_are_in_one_part():
    times = torch.arange(100).div(7, rounding_mode="floor").double()
    grouping = Grouping(times=times)
    split = draw_split(100, val_size=0.2, test_size=0.2, seed=0, grouping=grouping)
    parts = [set(times[rows].tolist()) for rows in split]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert max(parts[0]) < min(parts[1]) < max(parts[1]) < min(parts[2])


def test_groups_and_times_together_are_refused():
    values = torch.rand(20, 2)
    source = TensorSource(values)
    grouping = Grouping(groups=torch.arange(20) % 4, times=torch.arange(20).double())
    source.grouping = lambda: grouping
    with pytest.raises(BadInput, match=r"cannot be had together with data\.group_column"):
        split_rows(source, val_size=0.2, test_size=0.2, split_seed=0)


def test_a_group_in_two_given_parts_is_refused():
    parts = torch.tensor([0] * 10 + [2] * 5, dtype=torch.int8)
    grouping = Grouping(parts=parts, groups=torch.arange(15) % 10)
    with pytest.raises(BadInput, match="5 groups have rows in two of the parts"):
        draw_split(15, val_size=0, test_size=0.2, seed=0, grouping=grouping)
    apart = Grouping(parts=parts, groups=torch.arange(15))
    assert len(draw_split(15, val_size=0, test_size=0.2, seed=0, grouping=apart).test) == 5
