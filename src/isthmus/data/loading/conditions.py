"""Conditions on the columns of a row, such as ``"diagnosis == 'benign' and age > 40"``.

The syntax is Python's for comparisons, `and`, `or`, `not` and `in`, over columns, numbers and texts; names
with other characters than letters, digits and _ are put in backticks, as in pandas' `DataFrame.query`. A
condition is parsed, not executed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.common.errors import BadInput

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
LONGEST = 2000  # characters; a deeply nested condition would exhaust the parser's stack
EXAMPLE = "as in data.train_where=\"diagnosis == 'benign'\""


def evaluate(condition: str, column: Callable[[str], np.ndarray]) -> np.ndarray:
    """Which rows meet a condition. Shape: [N], bool.

    Args:
        condition: see above.
        column: the values of a column by its name, text or numbers; raises KeyError with the known names.

    Raises:
        BadInput: it is not such a condition, or refers to a column that does not exist.
    """
    if not isinstance(condition, str) or len(condition) > LONGEST:
        raise BadInput("train_where", condition, f"must be a condition, {EXAMPLE}")
    quoted: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return quoted.setdefault(found.group(1), f"_column_{len(quoted)}_")

    text = re.sub("`([^`]+)`", name, condition)
    names = {made: original for original, made in quoted.items()}
    try:
        met = _Evaluation(lambda made: column(names.get(made, made))).of(
            ast.parse(text.strip(), mode="eval").body
        )
    except KeyError as error:
        fix = f"refers to what is no column; known: {error.args[0]}"
        raise BadInput("train_where", condition, fix) from error
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error) or "too deep"
        raise BadInput("train_where", condition, f"is no condition ({reason}); {EXAMPLE}") from error
    if not isinstance(met, np.ndarray) or met.dtype != np.bool_:
        raise BadInput("train_where", condition, f"must be a condition, {EXAMPLE}")
    return met


class _Evaluation:
    def __init__(self, column: Callable[[str], np.ndarray]) -> None:
        self.column = column

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.Name(id="true" | "false" as name):
                return name == "true"
            case ast.Name(id=name):
                return self.column(name)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return [self.of(each) for each in elements]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.of(operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._rows(operand)
            case ast.BoolOp(op=ast.And(), values=values):
                return np.logical_and.reduce([self._rows(each) for each in values])
            case ast.BoolOp(op=ast.Or(), values=values):
                return np.logical_or.reduce([self._rows(each) for each in values])
            case ast.Compare(left=left, ops=operators, comparators=others):
                sides = [self.of(each) for each in (left, *others)]
                pairs = zip(operators, sides[:-1], sides[1:], strict=True)
                return np.logical_and.reduce([_compare(type(sign), a, b) for sign, a, b in pairs])
        raise ValueError(f"{ast.unparse(node)!r} cannot be used here")

    def _rows(self, node: ast.expr) -> np.ndarray:
        met = self.of(node)
        if not isinstance(met, np.ndarray) or met.dtype != np.bool_:
            raise ValueError(f"{ast.unparse(node)!r} is neither true nor false")
        return met


def _compare(sign: type[ast.cmpop], left: Any, right: Any) -> np.ndarray:
    """Which rows meet a comparison; one side is a column. Shape: [N], bool."""
    if sign in (ast.In, ast.NotIn):
        if not isinstance(left, np.ndarray) or not isinstance(right, list):
            raise ValueError("in takes a column and a list, as in kind in ['a', 'b']")
        equal = [_equal(left, each) for each in right]
        met = np.logical_or.reduce(equal) if equal else np.zeros(len(left), np.bool_)
        return met if sign is ast.In else ~met
    if isinstance(left, list) or isinstance(right, list):
        raise ValueError("a list takes in, or not in")
    if not isinstance(left, np.ndarray) and not isinstance(right, np.ndarray):
        raise ValueError("a comparison needs a column")
    if sign in (ast.Eq, ast.NotEq):
        column, other = (left, right) if isinstance(left, np.ndarray) else (right, left)
        met = _equal(column, other)
        return met if sign is ast.Eq else ~met
    if sign not in COMPARISONS:
        raise ValueError("is and is not cannot be used here")
    texts = [
        side.dtype == object if isinstance(side, np.ndarray) else isinstance(side, str)
        for side in (left, right)
    ]
    if texts[0] != texts[1]:
        raise ValueError("a comparison of text with a number")
    return np.asarray(COMPARISONS[sign](left, right), dtype=np.bool_)


def _equal(column: np.ndarray, other: Any) -> np.ndarray:
    """Which cells are equal; a number and the text of it are. Shape: [N], bool."""
    if isinstance(other, np.ndarray):
        return np.asarray(column == other, dtype=np.bool_)
    if column.dtype == object:  # as the names of classes, which may be numbers
        text = str(other).strip()
        if text.casefold() in ("true", "false"):
            return np.array([cell.casefold() == text.casefold() for cell in column], dtype=np.bool_)
        return np.asarray(column == text, dtype=np.bool_)
    if isinstance(other, str):
        try:
            other = float(other)
        except ValueError:
            raise ValueError(f"a comparison of numbers with the text {other!r}") from None
    return np.asarray(column == other, dtype=np.bool_)
