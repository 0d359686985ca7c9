"""benchmarks.md, whole after each part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from isthmus.common.atomic_files import write_text


class Report:
    """Grows by a section at a time; each is printed, and the file is written anew.

    Args:
        path: of the file.
        heading: its first lines.

    Attributes:
        complaints: what makes the exit status 1.
    """

    def __init__(self, path: Path, heading: str) -> None:
        self.path = path
        self.sections = [heading]
        self.complaints: list[str] = []
        print(heading, flush=True)

    def add(self, title: str, *paragraphs: str) -> None:
        """Add a section."""
        self.sections.append("\n\n".join([f"## {title}", *(text for text in paragraphs if text)]))
        print(f"\n{self.sections[-1]}\n", flush=True)
        write_text(self.path, "\n\n".join(self.sections) + "\n")

    def complain(self, what: str) -> str:
        """Note what went wrong; returns it for the report."""
        self.complaints.append(what)
        return what


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list in Markdown."""
    return "\n".join(f"- {line}" for line in lines)
