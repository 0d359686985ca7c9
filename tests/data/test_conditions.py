"""Conditions on rows: NumPy's comparisons, and a line for each that is none."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.common.errors import BadInput
from isthmus.data.loading.conditions import evaluate

COLUMNS = {
    "age": np.array([30.0, 41.0, 41.5, np.nan]),
    "kind": np.array(["ill", "well", "well", ""], dtype=object),
    "label": np.array([0, 1, 2, 1]),
    "flag": np.array(["True", "False", "True", ""], dtype=object),
    "mean radius": np.array([1.0, 2.0, 3.0, 4.0]),
}


def column(name):
    if name not in COLUMNS:
        raise KeyError(", ".join(COLUMNS))
    return COLUMNS[name]


@pytest.mark.parametrize(
    ("condition", "meets"),
    [
        ("age > 40", [0, 1, 1, 0]),
        ("age <= 41", [1, 1, 0, 0]),
        ("30 <= age < 41.5", [1, 1, 0, 0]),
        ("kind == 'well'", [0, 1, 1, 0]),
        ('kind != "well"', [1, 0, 0, 1]),
        ("kind == 'well' and age > 41", [0, 0, 1, 0]),
        ("kind == 'ill' or label == 1", [1, 1, 0, 1]),
        ("not (kind == 'well')", [1, 0, 0, 1]),
        ("label in [0, 2]", [1, 0, 1, 0]),
        ("label not in (0, 2)", [0, 1, 0, 1]),
        ("kind in ['ill', 'well']", [1, 1, 1, 0]),
        ("`mean radius` > 2.5", [0, 0, 1, 1]),
        ("-1 < label", [1, 1, 1, 1]),
        ("age == age", [1, 1, 1, 0]),
        (" label==1 ", [0, 1, 0, 1]),
        ("age in [30, 41]", [1, 1, 0, 0]),
        ("age not in [30]", [0, 1, 1, 1]),
        ("age in ['30']", [1, 0, 0, 0]),
        ("label != '1'", [1, 0, 1, 0]),
        ("1 != label", [1, 0, 1, 0]),
        ("'well' == kind", [0, 1, 1, 0]),
        ("kind in []", [0, 0, 0, 0]),
        ("flag == true", [1, 0, 1, 0]),
        ("flag != 'TRUE'", [0, 1, 0, 1]),
        ("flag == False", [0, 1, 0, 0]),
    ],
)
def test_rows_that_meet_it(condition, meets):
    assert evaluate(condition, column).tolist() == [bool(each) for each in meets]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("", "is no condition"),
        ("age >", "is no condition"),
        ("age", "must be a condition"),
        ("1 < 2", "needs a column"),
        ("age + 1 > 3", "'age + 1' cannot be used here"),
        ("size > 3", "known: age, kind, label, flag, mean radius"),
        ("kind > 3", "a comparison of text with a number"),
        ("age is 3", "cannot be used here"),
        ("__import__('os').system('true') == 0", "cannot be used here"),
        ("(lambda: 1)() == 1", "cannot be used here"),
        ("[age for age in label]", "cannot be used here"),
        ("age.real > 1", "cannot be used here"),
        ("f'{age}' == '1'", "cannot be used here"),
        ("age > 1 and 3", "is neither true nor false"),
        ("(" * 500 + "age" + ")" * 500 + " > 1", "is no condition"),
        ("age > 1" + " or age > 1" * 300, "must be a condition"),
        (3, "must be a condition"),
        ("age in 3", "in takes a column and a list"),
        ("1 in [1]", "in takes a column and a list"),
        ("age == [[1], [2]]", "a list takes in"),
        ("age == 'ill'", "a comparison of numbers with the text"),
        ("age > 1" + "0" * 400, "is no condition"),
    ],
)
def test_what_is_no_condition(condition, says):
    with pytest.raises(BadInput) as caught:
        evaluate(condition, column)
    assert caught.value.key == "train_where"
    assert says in caught.value.fix
    assert len(str(caught.value).splitlines()) == 1
