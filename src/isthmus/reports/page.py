"""The page of a report: what its sections consist of, and how they become HTML.

All texts are plain, and may come from third parties: the template escapes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from isthmus.common.messages import escaped

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

WIDE = 1_000  # pixels
CODE = re.compile("`([^`]*)`")


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        head: names of the columns.
        rows: cells.
        numbers: the columns that are right-aligned.
        caption: what it shows; may be empty.
        notes: what the first cell of each row means; may be empty.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    caption: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG.

    Attributes:
        name: of the file.
        source: its data URI.
        width, height: in pixels, as it is shown.
        caption: what it shows.
        enlarged: whether it consists of small images, whose pixels are to be seen.
    """

    name: str
    source: str
    width: int
    height: int
    caption: str
    enlarged: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether it needs more room than text does."""
        return self.width > WIDE and self.width > 2 * self.height


@dataclass(frozen=True)
class Chart:
    """A line chart.

    Attributes:
        title: the metric.
        note: what it is; may be empty.
        svg: the lines.
    """

    title: str
    note: str
    svg: Markup


@dataclass
class Section:
    """A section of the page; without any content, it is left out.

    Attributes:
        name: its heading.
        text: paragraphs.
        charts, panels, pictures, tables: in this order; panels stand side by side where there is room.
        earlier: pictures that are folded.
        folded: (summary, text), as it is in a file.
    """

    name: str
    text: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    panels: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    earlier: list[Picture] = field(default_factory=list)
    folded: list[tuple[str, str]] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The fragment of its address."""
        return self.name.lower().replace(" ", "-")

    def __bool__(self) -> bool:
        return any(
            (
                *(self.text, self.charts, self.panels, self.tables),
                *(self.pictures, self.earlier, self.folded),
            ),
        )


def render(**content: Any) -> str:
    """The page as HTML; see page.html for its content."""
    return _template().render(**content)


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup, escape

    def shown(value: Any) -> Any:
        """Control characters, also those that reverse text, are made visible."""
        return value if isinstance(value, Markup) else escaped(str(value))

    def code(text: str) -> Markup:
        """Text whose parts in backticks are commands or names of files."""
        return Markup(CODE.sub(r"<code>\1</code>", str(escape(escaped(text)))))

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = code
    return environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
