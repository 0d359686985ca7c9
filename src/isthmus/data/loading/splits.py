"""The split of the rows into training, validation and test set."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import LARGEST_SEED, BadInput, check_bool, check_int
from isthmus.data.loading.conditions import evaluate
from isthmus.data.source import Grouping, Source, sha256_of

NO_GROUPING = Grouping()


class Split(NamedTuple):
    """Row numbers, disjoint. Shapes: [*], int64, val and test ascending."""

    train: Tensor
    val: Tensor
    test: Tensor

    def fingerprint(self) -> str:
        """SHA-256 of the three lists of rows."""
        return sha256_of(*(rows for part in self for rows in (torch.tensor([len(part)]), part)))


def amount(key: str, size: object, total: int) -> int:
    """A fraction (float in [0, 1)) or count (int) of `total` rows as a count."""
    if isinstance(size, float) and 0 <= size < 1:
        return max(1, round(size * total)) if size else 0
    if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < total:
        return size
    raise BadInput(key, size, f"must be a fraction in [0, 1) or a count below the {total} rows there are")


def evenly_spaced(rows: Tensor, count: int) -> Tensor:
    """At most `count` of some rows, in their order."""
    # float32 would not tell the rows of large data apart
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows)), dtype=torch.float64).long()]


def split_rows(
    source: Source,
    *,
    val_size: float | int,
    split_seed: int,
    test_size: float | int | None = None,
    stratify: bool = False,
    train_where: str | None = None,
) -> Split:
    """Split the rows of a source; for the arguments see `DataModule`."""
    grouping = source.grouping()
    if check_bool("stratify", stratify):
        if source.labels is None:
            raise BadInput("stratify", stratify, "needs the classes of the rows; give data.label or labels")
        if grouping.groups is not None or grouping.times is not None:
            raise BadInput("stratify", stratify, "cannot be had together with a split by group or by time")
        grouping = grouping._replace(strata=source.labels)
    if grouping.groups is not None and grouping.times is not None:
        raise BadInput("time_column", "", "cannot be had together with data.group_column; give one of them")
    seed = check_int("split_seed", split_seed, least=0, most=LARGEST_SEED)
    split = draw_split(len(source), val_size=val_size, test_size=test_size, seed=seed, grouping=grouping)
    if train_where is None:
        return split
    meets = torch.from_numpy(evaluate(train_where, source.column))
    train, val = split.train[meets[split.train]], split.val[meets[split.val]]
    if not len(train):
        raise BadInput("train_where", train_where, "is met by no training row")
    return split._replace(train=train, val=val)


def draw_split(
    rows: int,
    *,
    val_size: float | int,
    test_size: float | int | None,
    seed: int,
    grouping: Grouping = NO_GROUPING,
) -> Split:
    """Draw a split, which depends only on these arguments.

    Args:
        rows: N.
        val_size: fraction of the rows that are not in a fixed test set, or a count; 0 for none.
        test_size: the same for the test set; None if it is fixed.
        seed: of the permutation.
        grouping: see there.

    Raises:
        BadInput: a size is invalid, no row is left for training, or a class is too small to be in all parts.
    """
    fixed = grouping.parts if grouping.parts is not None else torch.zeros(rows, dtype=torch.int8)
    usable = grouping.usable if grouping.usable is not None else torch.ones(rows, dtype=torch.bool)
    if grouping.groups is not None and (fixed != 0).any():
        _check_apart(grouping.groups, fixed)
    pool = ((fixed == 0) & usable).nonzero().squeeze(1)
    val_rows, test_rows = (((fixed == part) & usable).nonzero().squeeze(1) for part in (1, 2))
    test = 0 if len(test_rows) else amount("test_size", test_size, len(pool))
    val = 0 if len(val_rows) else amount("val_size", val_size, len(pool))
    order = pool[_order(pool, seed, grouping)]
    together = grouping.groups if grouping.groups is not None else grouping.times
    if together is not None:
        test, val = _whole_groups(together[order], test, val)
    elif grouping.strata is not None:
        order = _stratified(order, grouping.strata[order], test, val)
    if test + val >= len(pool):
        larger = ("val_size", val_size) if val >= test else ("test_size", test_size)
        raise BadInput(
            *larger,
            f"leaves nothing to train on: {val} of {len(pool)} rows to validate "
            f"and {test} to test; make val_size or test_size smaller",
        )
    return Split(
        order[test + val :].sort().values,
        val_rows if len(val_rows) else order[test : test + val].sort().values,
        test_rows if len(test_rows) else order[:test].sort().values,
    )


def _check_apart(groups: Tensor, parts: Tensor) -> None:
    """Raise `BadInput` if rows of one group are given for two parts."""
    pairs = torch.stack([groups, parts.long()], dim=1).unique(dim=0)
    both = len(pairs) - len(groups.unique())
    if both:
        fix = f"{both} groups have rows in two of the parts that files or data.split_column give; mend these"
        raise BadInput("group_column", "", fix)


def _order(pool: Tensor, seed: int, grouping: Grouping) -> Tensor:
    """The order in which the rows of `pool` are taken, those of the test set first."""
    if grouping.times is not None:
        return grouping.times[pool].argsort(descending=True, stable=True)
    generator = torch.Generator().manual_seed(seed)
    if grouping.groups is None:
        return torch.randperm(len(pool), generator=generator)
    _, numbers = grouping.groups[pool].unique(return_inverse=True)
    return torch.randperm(int(numbers.max()) + 1, generator=generator)[numbers].argsort(stable=True)


def _whole_groups(groups: Tensor, test: int, val: int) -> tuple[int, int]:
    """The sizes of test and validation set, changed to the nearest ends of groups, or of equal times."""
    ends = (groups.diff() != 0).nonzero().squeeze(1) + 1

    def nearest(size: int, after: int) -> int:
        later = ends[ends > after]
        return int(later[(later - size).abs().argmin()]) if len(later) else len(groups)

    end = nearest(test, 0) if test else 0
    return end, nearest(end + val, end) - end if val else 0


def _stratified(order: Tensor, strata: Tensor, test: int, val: int) -> Tensor:
    """The rows of `order` such that its beginning has each stratum in proportion."""
    count = len(order)
    place = torch.empty(count, dtype=torch.float64)
    for stratum in strata.unique():
        mine = (strata == stratum).nonzero().squeeze(1)
        place[mine] = (torch.arange(len(mine), dtype=torch.float64) + 0.5) / len(mine)
    return order[place.argsort(stable=True)]


def all_in_test(rows: int, grouping: Grouping) -> Split:
    """All usable rows as the test set."""
    every = torch.arange(rows) if grouping.usable is None else grouping.usable.nonzero().squeeze(1)
    return Split(every[:0], every[:0], every)
