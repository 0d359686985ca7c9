"""What is done to a run folder, and something else in place of its files and folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from hypothesis import strategies as st

from .places import KINDS, become


class Change(NamedTuple):
    """What is done to a run folder.

    Attributes:
        writes: file -> its new content.
        becomes: file -> what is in its place, of `places.KINDS`.
    """

    writes: Mapping[str, bytes] = MappingProxyType({})
    becomes: Mapping[str, str] = MappingProxyType({})

    def __call__(self, run: Path) -> None:
        for name, content in self.writes.items():
            (run / name).unlink(missing_ok=True)
            (run / name).write_bytes(content)
        for name, kind in self.becomes.items():
            become(run / name, kind)


def of(name: str, contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[Change]:
    return contents.map(lambda content: Change({name: content}))


def kinds(run: Path) -> st.SearchStrategy[Change]:
    """Something else in place of files and folders, and names that no run gives."""
    names = [path.relative_to(run).as_posix() for path in run.rglob("*")]
    odd = ["\x1b[31m", "\udcff", "x" * 200, "a\nb", ".x.1.2.part", ".last.ckpt.1.2.part"]
    places = ["", "checkpoints/", "latents/"]
    odd = [*odd, *(f"{place}{name}" for place in places for name in odd), "checkpoints/\x1b.ckpt"]
    odd += [
        "latents/\x1b\udcff.safetensors",
        ".lock",
        "events.out.tfevents.1",
        "reproduction.json",
        "wandb_run_id",
    ]
    return st.dictionaries(
        st.sampled_from([*names, *odd]), st.sampled_from(list(KINDS)), min_size=1, max_size=2
    ).map(lambda becomes: Change(becomes=dict(sorted(becomes.items(), reverse=True))))
