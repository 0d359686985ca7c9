"""Counts the values that a pickle unfolds into, before it is loaded. Imports no torch."""

from __future__ import annotations

from pickletools import OpcodeInfo, markobject
from typing import Any

MOST_VALUES = 5_000_000  # in a pickle; a tensor takes some 25
CHANGING = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")  # these change an existing value


class PickleValues:
    """The values that a pickle makes, as a graph of which value contains which.

    Sixty nested lists that each contain the next one twice take a few hundred bytes, but a traversal, such
    as the hash of a tuple or the text of an error, takes 2^60 steps.
    """

    def __init__(self) -> None:
        self._held: list[list[int] | tuple[()]] = [[]]  # children of each value; 0 is the root
        self._stack: list[int | None] = []  # None for a mark
        self._memo: dict[int, int | None] = {}

    def follow(self, operation: OpcodeInfo, argument: Any) -> None:
        """Process one opcode of the pickle.

        Raises:
            LookupError: the stack is empty, or the memo has no such entry.
            ValueError: there are more than `MOST_VALUES`.
        """
        match operation.name:
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "MARK":
                self._stack.append(None)
            case name:
                self._make(name, self._taken(operation), len(operation.stack_after))

    def _taken(self, operation: OpcodeInfo) -> list[int]:
        """The values that an opcode pops from the stack, the deepest last."""
        before, taken = operation.stack_before, []
        if markobject in before:
            before = before[: before.index(markobject)]
            while (value := self._stack.pop()) is not None:
                taken.append(value)
        taken += [value for _ in before if (value := self._stack.pop()) is not None]
        return taken

    def _make(self, name: str, taken: list[int], count: int) -> None:
        if name in CHANGING:
            changed = taken.pop()
            self._add(changed, taken)
            self._stack.append(changed)
        elif not count:
            self._add(0, taken)
        else:
            self._stack += range(len(self._held), len(self._held) + count)
            self._held += [taken or ()] * count
        if len(self._held) > MOST_VALUES:
            raise ValueError(f"it has more than {MOST_VALUES:,} values")

    def _add(self, value: int, inner: list[int]) -> None:
        held = self._held[value]
        if isinstance(held, list):
            held += inner
        else:
            self._held[value] = inner

    def check(self) -> None:
        """Raise `ValueError` where the values unfold into more than `MOST_VALUES`."""
        self._add(0, [value for value in self._stack if value is not None])
        sizes = [0] * len(self._held)
        waiting = [(0, False)]
        while waiting:
            value, inner_known = waiting.pop()
            if inner_known:
                sizes[value] = 1 + sum(sizes[inner] for inner in self._held[value])
                if sizes[value] > MOST_VALUES:
                    raise ValueError(f"it unfolds into more than {MOST_VALUES:,} values")
            elif not sizes[value]:
                sizes[value] = MOST_VALUES  # while it is counted: a cycle has no end
                waiting.append((value, True))
                waiting += [(inner, False) for inner in self._held[value] if not sizes[inner]]
