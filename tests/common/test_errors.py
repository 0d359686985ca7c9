"""What the checks accept, what they refuse, and what they then say."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from isthmus.common.errors import BadInput, TrainingDiverged, check_float, check_int, one_of
from isthmus.common.held_folder import FolderLost
from isthmus.runs.errors import Carried, RunFailed, Stopped
from isthmus.training.stop_requests import Interruption

NO_NUMBERS = [True, False, None, "3", "nan", [3], 3j]
NOT_FINITE = [math.nan, math.inf, -math.inf, np.float32("nan")]


@pytest.mark.parametrize("value", [1, 3, 10**15, np.int64(3), np.uint8(3)])
def test_whole_accepts(value):
    result = check_int("dim", value)
    assert result == value
    assert type(result) is int


@pytest.mark.parametrize("value", [0, -3, 2.5, 3.0, np.float64(3), np.bool_(True), *NOT_FINITE, *NO_NUMBERS])
def test_whole_refuses(value):
    with pytest.raises(BadInput, match="must be a whole number of at least 1") as refusal:
        check_int("dim", value)
    assert refusal.value.key == "dim"
    assert refusal.value.value is value


@pytest.mark.parametrize("least", [-2, 0, 5])
def test_whole_starts_at_least(least):
    assert check_int("n", least, least=least) == least
    with pytest.raises(BadInput, match=f"of at least {least}"):
        check_int("n", least - 1, least=least)


@pytest.mark.parametrize("value", [0, -3, 2.5, 1e-300, -1e300, np.int64(3), np.float32(0.5), np.float64(0.1)])
def test_real_accepts(value):
    result = check_float("std", value)
    assert result == value
    assert type(result) is float


@pytest.mark.parametrize("bounds", [{}, {"least": 0.0}, {"above": 0.0}, {"most": 1.0}], ids=str)
@pytest.mark.parametrize("value", [*NOT_FINITE, *NO_NUMBERS, np.bool_(True)])
def test_real_refuses_what_is_no_finite_number(value, bounds):
    with pytest.raises(BadInput, match="must be a number") as refusal:
        check_float("std", value, **bounds)
    assert refusal.value.value is value


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "says"),
    [
        ({"least": 0.0}, [0, 1e-9, 5], [-1e-9, -3], "at least 0"),
        ({"above": 0.0}, [1e-9, 5], [0, -0.0, -3], "above 0"),
        ({"most": 1.0}, [1, -5], [1.0000001, 2], "at most 1"),
        ({"least": 0.0, "most": 1.0}, [0, 0.5, 1], [-0.1, 1.1], "at least 0 and at most 1"),
        ({"above": 0.0, "most": 0.5}, [0.1, 0.5], [0, 0.6], "above 0 and at most 0.5"),
        ({"below": 1.0}, [0.999, -5], [1, 1.5], "below 1"),
        ({"least": 0.0, "below": 1.0}, [0, 0.999], [-0.1, 1], "at least 0 and below 1"),
    ],
)
def test_real_keeps_its_bounds(bounds, inside, outside, says):
    for value in inside:
        assert check_float("p", value, **bounds) == value
    for value in outside:
        with pytest.raises(BadInput, match=f"^p={value}: must be a number {says}$"):
            check_float("p", value, **bounds)


def test_one_of():
    assert one_of("reduction", "sum", ("sum", "mean")) == "sum"


@pytest.mark.parametrize("value", ["Sum", "su", "", None, True, 0, ["sum"]])
def test_one_of_refuses(value):
    with pytest.raises(BadInput, match=r"must be one of sum, mean$"):
        one_of("reduction", value, ("sum", "mean"))


@pytest.mark.parametrize("long", ["key", "value", "fix"])
def test_bad_input_is_short_whatever_is_repeated_in_it(long):
    parts = {"key": "dim", "value": 3, "fix": "fix it", long: "x" * 100_000}
    line = str(BadInput(**parts))
    assert len(line) < 1_100
    assert f"{'x' * 300}..." in line or f"{'x' * 1_000}..." in line


def test_bad_input_is_one_line_with_key_value_and_fix():
    error = BadInput("dim", -3, "must be a whole number of at least 1")
    assert str(error) == "dim=-3: must be a whole number of at least 1"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(("value", "typed"), [(None, "null"), (True, "true"), (False, "false"), (1, "1")])
def test_values_are_shown_as_they_are_typed(value, typed):
    assert str(BadInput("p", value, "fix it")) == f"p={typed}: fix it"


def test_no_line_is_endless():
    line = str(BadInput("p", "x" * 10**6, f"there is no column {'y' * 10**6}"))
    assert len(line) < 1500
    assert line.startswith("p=xxx")
    assert "...: there is no column yyy" in line


@pytest.mark.parametrize(
    ("key", "full"), [("dim", "latent.dim"), ("kl.weight", "latent.kl.weight"), ("", "latent")]
)
def test_under_puts_the_group_before_the_key(key, full):
    error = BadInput(key, 0, "fix it")
    moved = error.under("latent")
    assert (moved.key, moved.value, moved.fix) == (full, 0, "fix it")
    assert str(moved) == f"{full}=0: fix it"
    assert error.key == key  # the first one is left as it was


def test_groups_nest():
    assert BadInput("weight", -1, "fix it").under("kl").under("regularizer").key == "regularizer.kl.weight"


@pytest.mark.parametrize(
    "error",
    [
        BadInput("latent.dim", 0, "fix it"),
        TrainingDiverged("at step 3", 3),
        TrainingDiverged("at some step"),
        RunFailed("the disk is full"),
        Stopped(15),
        Stopped(2, Path("outputs/run")),
        Interruption(15),
        FolderLost(Path("run"), None),
        FolderLost(Path("run"), Path("elsewhere")),
        Carried(BadInput("latent.dim", 0, "fix it")),
    ],
    ids=repr,
)
def test_errors_survive_the_way_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    kept, wanted = dict(vars(again)), dict(vars(error))
    if isinstance(error, Carried):
        inner, carried = kept.pop("error"), wanted.pop("error")
        assert (type(inner), vars(inner)) == (type(carried), vars(carried))
    assert kept == wanted
