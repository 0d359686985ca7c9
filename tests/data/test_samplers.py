"""Each row once, the same blocks for any number of processes, the same number of steps on each."""

from __future__ import annotations

import pytest
import torch

from isthmus.data.loading.samplers import BatchGroups, EvaluationBatches, TrainBatches

SIZES = [1, 2, 7, 8, 20, 97]  # below, at and beside multiples of the batch sizes and numbers of processes
BATCH_SIZES = [1, 4, 50]
WORLDS = [1, 2, 3, 8]


def rows(count):
    """Rows that are not their own positions."""
    return torch.arange(count) * 3 + 100


def train(count, *, batch_size=4, seed=0, epoch=0, rank=0, world_size=1):
    batches = TrainBatches(rows(count), batch_size=batch_size, seed=seed, rank=rank, world_size=world_size)
    batches.set_epoch(epoch)
    return batches


def evaluation(count, *, batch_size=4, rank=0, world_size=1):
    return EvaluationBatches(rows(count), batch_size=batch_size, rank=rank, world_size=world_size)


def order(batches):
    return torch.cat([block.rows for block in batches]).tolist()


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", [train, evaluation])
def test_all_ranks_take_the_same_number_of_steps(kind, count, batch_size, world_size):
    ranks = [kind(count, batch_size=batch_size, rank=r, world_size=world_size) for r in range(world_size)]
    steps = [len(list(rank)) for rank in ranks]
    assert len(set(steps)) == 1
    assert [len(rank) for rank in ranks] == steps
    assert steps[0] > 0


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("count", SIZES)
def test_evaluation_takes_each_row_once_over_all_ranks(count, batch_size, world_size):
    seen = [
        row
        for rank in range(world_size)
        for row in order(evaluation(count, batch_size=batch_size, rank=rank, world_size=world_size))
    ]
    assert sorted(seen) == rows(count).tolist()


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("count", SIZES)
def test_evaluation_blocks_do_not_depend_on_the_number_of_ranks(count, batch_size, world_size):
    def contents(world_size):
        blocks = [
            block
            for rank in range(world_size)
            for block in evaluation(count, batch_size=batch_size, rank=rank, world_size=world_size)
        ]
        assert len({block.number for block in blocks}) == len(blocks)
        return {block.number: block.rows.tolist() for block in blocks if len(block.rows)}

    alone = contents(1)
    assert contents(world_size) == alone
    assert list(alone) == list(range(len(alone)))
    assert [row for block in alone.values() for row in block] == rows(count).tolist()


def test_a_rank_without_a_batch_gets_an_empty_one():
    first, second = (list(evaluation(10, batch_size=4, rank=rank, world_size=2)) for rank in (0, 1))
    assert [len(block.rows) for block in first] == [4, 2]
    assert [len(block.rows) for block in second] == [4, 0]
    assert second[1].rows.dtype == torch.int64


def test_no_rows_make_no_batches():
    assert len(evaluation(0)) == 0
    assert not list(evaluation(0))


def test_evaluation_is_repeatable():
    batches = evaluation(10)
    assert order(batches) == order(batches) == rows(10).tolist()


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("count", SIZES)
def test_training_shares_are_equal_and_together_the_whole_epoch(count, world_size):
    """Every row at least once; the surplus, less than one row per rank, is the start of the permutation."""
    shares = [order(train(count, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    dealt = [row for turn in zip(*shares, strict=True) for row in turn]
    alone = order(train(count))
    assert dealt[:count] == alone
    assert sorted(alone) == rows(count).tolist()
    filled = dealt[count:]
    assert len(filled) < world_size
    assert filled == (alone * world_size)[: len(filled)]


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("count", SIZES)
def test_only_the_last_training_batch_has_another_size(count, batch_size):
    """It is smaller; or larger by one row, which is never left alone."""
    batches = train(count, batch_size=batch_size)
    sizes = [len(block.rows) for block in batches]
    assert sum(sizes) == count
    assert len(batches) == len(sizes)
    assert set(sizes[:-1]) <= {batch_size}
    assert min(2, count, batch_size) <= sizes[-1] <= batch_size + (batch_size > 1)


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {
        (seed, epoch): order(train(97, seed=seed, epoch=epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)
    }
    assert len({tuple(one) for one in orders.values()}) == len(orders)

    batches = train(97, seed=1, epoch=0)
    for epoch in (2, 0, 1):  # whatever came before, as after a resume
        batches.set_epoch(epoch)
        assert order(batches) == order(batches) == orders[1, epoch]


def test_the_order_is_no_matter_of_batch_size_or_torchs_own_generator():
    before = torch.get_rng_state()
    assert order(train(97, batch_size=4)) == order(train(97, batch_size=50))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_position_is_equally_likely():
    """Over 2000 epochs each of 5 rows comes first in a fifth of them, within 5 standard deviations."""
    firsts = torch.tensor([order(train(5, epoch=epoch))[0] for epoch in range(2000)])
    counts = torch.stack([(firsts == row).sum() for row in rows(5)])
    assert ((counts - 400).abs() < 5 * (2000 * 0.2 * 0.8) ** 0.5).all()


@pytest.mark.parametrize("world_size", WORLDS)
def test_ranks_are_dealt_one_permutation_in_turn(world_size):
    shares = [order(train(24, epoch=3, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert [row for turn in zip(*shares, strict=True) for row in turn] == order(train(24, epoch=3))


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("skip", range(7))
def test_a_resumed_epoch_gives_the_rest_of_its_groups(size, skip):
    """Of 6 batches; the groups are cut where they are cut in a whole epoch."""

    def groups(*, skip=0):
        batches = TrainBatches(rows(24), batch_size=4, seed=0, epoch=2)
        return BatchGroups(batches, size, skip=skip)

    whole = [[block.rows.tolist() for block in group] for group in groups()]
    resumed = groups(skip=skip)
    rest = [[block.rows.tolist() for block in group] for group in resumed]
    kept = [group[max(0, skip - size * number) :] for number, group in enumerate(whole)]
    assert rest == [group for group in kept if group] or (skip == 6 and rest == [[]])
    assert len(resumed) == len(whole) == resumed.skipped + len(rest)
    resumed.set_epoch(3)
    assert sum(map(len, resumed)) == 6, "the next epoch is whole"


def test_training_blocks_are_numbered_in_their_order():
    assert [block.number for block in train(20, batch_size=4)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("world_size", [2, 3])
def test_training_blocks_of_all_ranks_have_numbers_of_their_own(world_size):
    """Else the ranks draw the same noise for different examples."""
    numbers = [
        block.number for rank in range(world_size) for block in train(20, rank=rank, world_size=world_size)
    ]
    assert len(set(numbers)) == len(numbers)
