"""Mutations of a valid file, as a Hypothesis strategy."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

MOST_EDITS = 4
LIMITS = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
LIES = [  # integers at the limits of their types, as formats store sizes and counts
    struct.pack(order + code, number)
    for code, width in (("B", 8), ("H", 16), ("I", 32), ("Q", 64))
    for order in "<>"
    for number in LIMITS
    if number < 1 << width
]


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Copies of `data` with one to four edits: flipped bits, lies, insertions, deletions, moved pieces.

    Half of the positions lie in the first or last 256 bytes, where formats have their headers and footers.
    """
    edge = min(256, len(data))
    position = st.one_of(
        st.integers(0, len(data)), st.integers(0, edge), st.integers(len(data) - edge, len(data))
    )
    flip = st.tuples(st.just("flip"), position, st.integers(1, 255))
    write = st.tuples(st.just("write"), position, st.sampled_from(LIES))
    insert = st.tuples(st.just("insert"), position, st.one_of(st.sampled_from(LIES), st.binary(max_size=64)))
    piece = st.tuples(st.sampled_from(["cut", "repeat", "move"]), position, st.tuples(position, position))
    truncate = st.tuples(st.just("truncate"), position, st.none())
    edits = st.lists(st.one_of(flip, write, insert, piece, truncate), min_size=1, max_size=MOST_EDITS)
    return edits.map(lambda chosen: _edited(data, chosen))


def _edited(data: bytes, edits: list[tuple]) -> bytes:
    for kind, at, value in edits:
        match kind:
            case "flip":
                data = data[:at] + bytes(byte ^ value for byte in data[at : at + 1]) + data[at + 1 :]
            case "write":
                data = data[:at] + value + data[at + len(value) :]
            case "insert":
                data = data[:at] + value + data[at:]
            case "truncate":
                data = data[:at]
            case _:
                start, end = sorted(value)
                piece = data[start:end]
                if kind == "cut":
                    data = data[:start] + data[end:]
                elif kind == "repeat":
                    data = data[:at] + piece + data[at:]
                else:
                    data = data[:at] + piece + data[at + len(piece) :]
    return data
