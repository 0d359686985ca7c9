"""Mutations of JSON and YAML documents that keep their form, so that what reads the values is reached.

JSON: RFC 8259. YAML: https://yaml.org/spec/1.1, of which JSON is nearly a part.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

MOST_EDITS = 4
TEXTS = (
    *("", " ", "\0", "\n", "\r\n\t", "\x1b[31mred\x1b]0;title\x07", "\x9b2J\u202eback", "\u2028", "\ud800"),
    *("x" * 301, "x" * 100_000, "\U0001f600" * 5_000, "\x1b" * 5_000, "9" * 5_000, "1e400", "nan", "-inf"),
    *("/dev/zero", "../../outside", "~", "$HOME", "${oc.env:HOME}", "${seed}"),
    *("a.b", "a[0]", "*", "%s", "{0}"),
    *("os.mkdir", "os.system", "builtins.exec", "isthmus.core.losses.mse.MSE", "torch.optim.SGD", "a=b"),
)
WORDS = (
    *("running", "killed", "done", "stopped", "failed"),
    *("auto", "none", "cpu", "gpu", "min", "max", "_target_"),
)
NUMBERS = (
    *(0, 1, 2, 3, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, 10**400),
    *(-1, -(2**31), -(2**63), -(10**400), 0.5, -0.5, 1e-320, 1e-45, 3.5e38, 1e308),
    *(float("nan"), float("inf"), float("-inf")),
)
# what no value of Python's would be written as
TOKENS = (
    *("1e400", "-1e400", "1" * 4_000, "1" * 5_000, "-0", "0." + "1" * 5_000, "1e-5000", "1E+2", "tru", ""),
    *(f"{'[' * depth}{']' * depth}" for depth in (20, 40, 500, 2_000, 100_000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (20, 40, 500, 2_000, 100_000)),
    *("[" * 100_000, "[" + "0," * 100_000 + "0]", '"\\u001b"', '{"a":1,"a":2}', '{"":{"":""}}'),
)
YAML = (
    *("0x" + "f" * 10_000, "0b" + "1" * 40_000, "1" + ":59" * 3_000, "1_000", "0777", "010", ".inf", "-.inf"),
    *(".nan", "~", "yes", "2001-01-01", "2001-99-99", "2001-01-01 00:00:00 +99:99"),
    *("=", "<<", "{<<: {a: 1}}"),
    *("!!python/object/apply:os.mkdir [fallen]", "!!binary AAAA", "!!set {a, b}", "! a", "&a [*a]", "*a"),
    *("{1: 2}", "{null: 1}", "{true: 1}", "{1.5: 1}", "{[a]: 1}", "{? a}", "[a: b]", "|", "'", "# x", "???"),
)

plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


class Token:
    """Text that is written as it is.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Token({self.text[:40]!r}, {len(self.text)} characters)"


def documents(content: Any, tokens: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Copies of a JSON document, written as JSON, with one to four values or keys replaced, added or removed.

    Args:
        content: the document.
        tokens: more that may be written in place of a value; `YAML` for what is read as YAML.
    """
    hostile = st.one_of(
        st.sampled_from([*TEXTS, *WORDS, *NUMBERS, None, True, False, [], {}]),
        st.sampled_from([Token(text) for text in (*TOKENS, *tokens)]),
        plain,
    )
    return edited(content, hostile, st.sampled_from([*TEXTS, *WORDS])).map(written)


def edited(
    content: Any, hostile: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Copies of nested dicts and lists with one to four edits.

    Args:
        content: the nesting.
        hostile: values for any place in it.
        keys: for any dict in it.
    """
    edit = st.tuples(
        st.sampled_from(["replace", "replace", "replace", "remove", "rename", "add"]),
        st.sampled_from(list(_paths(content))),
        keys,
        hostile,
    )
    return st.lists(edit, min_size=1, max_size=MOST_EDITS).map(lambda edits: _edited(content, edits))


def written(content: Any) -> bytes:
    """JSON, with tokens as they are."""
    tokens: list[str] = []

    def placeholder(token: Token) -> str:
        tokens.append(token.text)
        return f"\0{len(tokens) - 1}\0"

    text = json.dumps(content, default=placeholder)
    return re.sub(r'"\\u0000(\d+)\\u0000"', lambda found: tokens[int(found[1])], text).encode()


def _paths(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if not isinstance(content, dict | list):
        return
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield from _paths(value, (*path, key))


def _edited(content: Any, edits: Sequence[tuple[str, tuple[Any, ...], Any, Any]]) -> Any:
    content = copy.deepcopy(content)
    for kind, path, key, value in edits:
        if not path and kind == "replace":
            content = value
            continue
        holder, last = _holder(content, path if kind != "add" else (*path, key))
        try:
            if kind == "remove":
                del holder[last]
            elif kind == "rename":
                holder[key] = holder.pop(last)
            else:
                holder[last] = value
        except (LookupError, TypeError, AttributeError):  # an earlier edit took the place
            continue
    return content


def _holder(content: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
    for key in path[:-1]:
        try:
            content = content[key]
        except (LookupError, TypeError):
            return None, None
    return content, path[-1] if path else None
