"""Parts of error messages, and dotted keys."""

import pytest

from isthmus.common.dotted_keys import flatten, walk
from isthmus.common.messages import did_you_mean, first_line


@pytest.mark.parametrize(("name", "said"), [("dmi", "did you mean latent.dim?"), ("zzz", "")])
def test_did_you_mean(name, said):
    assert did_you_mean(name, ("dim", "width"), prefix="latent.") == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("\nwhat is wrong\nand why"), "what is wrong"),
        (ValueError("x" * 300), "x" * 200),
        (KeyError(), "KeyError"),
    ],
)
def test_the_first_line_of_an_error(error, said):
    assert first_line(error) == said


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, 2: [{}]}) == {"a.b.c": 1, "a.d": {}, "2": [{}]}
    assert flatten({}) == {}


def test_walk():
    inner = [{"b": 1}]
    assert list(walk({"a": inner})) == [
        *(("", {"a": inner}), ("a", inner), ("a[0]", inner[0]), ("a[0].b", 1)),
    ]
