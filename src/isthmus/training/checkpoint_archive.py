"""The archive of a checkpoint, checked before PyTorch reads it. Imports no torch.

PyTorch's format is a zip archive that is not compressed, with a pickle and the numbers of each tensor. It is
read without comparing checksums, and `weights_only` allows more names than a checkpoint needs.
"""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError
from pickletools import OpcodeInfo, genops, markobject
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

CHUNK = 1 << 20  # bytes
MOST_PICKLE = 16 << 20  # bytes; a tensor takes some 200 besides its numbers
MOST_VALUES = 5_000_000  # in a pickle; a tensor takes some 25
CHANGING = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")  # a value that is there
# What tensors, parameters and plain values are made of.
NEEDED = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.Size|torch\.device"
    r"|torch\.(?!Untyped|Typed)[A-Za-z0-9]+Storage"
)


def check_archive(path: Path) -> None:
    """Raise `ValueError` for a file that is damaged or no checkpoint of PyTorch, could unpack to any size, or
    names more than tensors and plain values are made of.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path.name} is not a file")
    try:
        archive = ZipFile(path)
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"{path.name} is damaged, or not in PyTorch's zip format ({first_line(error)})"
        ) from error
    with archive:
        members = archive.infolist()
        pickles = [member for member in members if member.filename.lower().endswith("data.pkl")]
        code = any(member.filename.endswith("constants.pkl") for member in members)  # TorchScript's
        if not pickles or code or not _begins_as_archive(path):
            raise ValueError(f"{path.name} is a zip archive, but no checkpoint of PyTorch")
        stored = all(member.compress_type == ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError(f"{path.name} is compressed, which a checkpoint never is; it is not read")
        for member in members:
            _check_sum(path, archive, member)
        for member in pickles:  # PyTorch takes any of them, in capital letters too
            _check_pickle(path, archive, member)


def _begins_as_archive(path: Path) -> bool:
    """PyTorch reads what begins otherwise as its older format, whatever archive comes after it."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _check_sum(path: Path, archive: ZipFile, member: ZipInfo) -> None:
    """Compare the bytes of a member with the CRC-32 that the archive has of them; PyTorch does not."""
    try:
        with archive.open(member) as file:
            while file.read(CHUNK):
                pass
    except (ValueError, BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error)})") from error


def _check_pickle(path: Path, archive: ZipFile, member: ZipInfo) -> None:
    """Refuse names that a checkpoint has no use for, of which some that PyTorch allows make objects of any
    size, and values inside of values without end.
    """
    if member.file_size > MOST_PICKLE:
        raise ValueError(
            f"{path.name} holds more than {MOST_PICKLE >> 20} MB besides tensors; it is not read"
        )
    named = []
    values = _Values()
    try:
        for operation, argument, _ in genops(archive.read(member)):
            if operation.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
                named.append(str(argument).replace(" ", "."))
            values.follow(operation, argument)
        values.check()
    except (ValueError, LookupError, UnpicklingError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error)})") from error
    for name in named:
        if not NEEDED.fullmatch(name):
            raise ValueError(f"{path.name} names {name[:100]}, which could run anyone's code; it is not read")


class _Values:
    """The values that a pickle makes, as far as which of them holds which.

    A list that holds another one twice, and so on sixty times, takes a few hundred bytes, and whatever goes
    through it, such as the hash of a tuple or the text of an error, 2^60 steps.
    """

    def __init__(self) -> None:
        self._held: list[list[int] | tuple[()]] = [[]]  # by each value; by the first, what nothing else holds
        self._stack: list[int | None] = []  # None for a mark
        self._memo: dict[int, int | None] = {}

    def follow(self, operation: OpcodeInfo, argument: Any) -> None:
        """Take a step of the pickle.

        Raises:
            LookupError: there is nothing on the stack, or at that place of the memo.
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
        """The values that an operation takes from the stack, the deepest last."""
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
        """Raise `ValueError` where they unfold into more than `MOST_VALUES`."""
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
                sizes[value] = MOST_VALUES  # while it is counted: one that holds itself has no end
                waiting.append((value, True))
                waiting += [(inner, False) for inner in self._held[value] if not sizes[inner]]


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
