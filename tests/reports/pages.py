"""A reader of the page that knows nothing of how it is made, and what a run folder may have for it."""

from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image

VOID = ("meta", "link", "img", "line", "polyline", "circle", "br")


class Page(HTMLParser):
    """The tags and texts of a page.

    Attributes:
        tags: name and attributes of each.
        texts: (tag around it, text), without white space around it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(self.html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert max(Counter(name for name, _ in attrs).values(), default=1) == 1
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data.strip()))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the tags of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def headings(self) -> list[str]:
        """Of the sections."""
        return [text for tag, text in self.texts if tag == "h2"]

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(text for tag, text in self.texts if tag not in ("style", "title"))

    def check_alone(self) -> None:
        """Assert that it loads nothing, runs nothing, and can be read without seeing it."""
        assert not {"script", "iframe", "object", "embed", "form", "base", "audio", "video"} & {
            tag for tag, _ in self.tags
        }
        for _, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on")]
            assert str(attributes.get("src", "data:image/png;base64,")).startswith("data:image/png;base64,")
            assert str(attributes.get("href", "#")).startswith(("#", "data:,"))
        assert "url(" not in self.html
        assert "@import" not in self.html
        policy = next(each for each in self.named("meta") if each.get("http-equiv"))
        assert str(policy["content"]).startswith("default-src 'none';")
        assert all(each.get("alt") for each in self.named("img"))
        assert all(each.get("aria-label") and each.get("role") == "img" for each in self.named("svg"))
        assert all(each.get("scope") in ("col", "row") for each in self.named("th"))
        assert self.named("html") == [{"lang": "en"}]
        assert len(self.named("h1")) == 1
        ids = [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {str(each["href"])[1:] for each in self.named("a")} <= set(ids)


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def png(path: Path, size: tuple[int, int] = (20, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size).save(path)
    return path


def fill(run: Path) -> None:
    """What all commands leave, with numbers that are easy to find."""
    for name in ("curves", "error_histogram", "error_per_column", "latent_map", "samples", "my_own"):
        png(run / "figures" / f"{name}.png")
    png(run / "embed" / "own" / "map.png")
    (run / "embed" / "own" / "map.html").write_text("<html>")
    quality = {"autoencoder": {"mse": 0.1234, "knn": 0.9}, "pca": {"mse": 0.4321, "knn": None}}
    (run / "embed" / "own" / "quality.json").write_text(json.dumps({**quality, "pca_components": 2}))
    png(run / "detect" / "test_scores.png")
    rows = [
        f"{row},s{row},{row / 7},0.5,{'true' if row > 17 else 'false'},pixel {row},0.25" for row in range(20)
    ]
    head = "row,name,score,p_value,outlier,cause_1,share_1"
    (run / "detect" / "test_scores.csv").write_text("\n".join([head, *rows]) + "\n")
    png(run / "denoise" / "test" / "denoising.png")
    png(run / "denoise" / "test" / "denoised.png")
    denoising = (
        "level,method,rows,mse,psnr,ssim\n0.1,noisy,9,0.01,20.125,0.5\n0.1,autoencoder,9,0.001,31.5,0.9\n"
    )
    (run / "denoise" / "test" / "denoising.csv").write_text(denoising)
    for name in ("samples", "interpolations", "traversals"):
        png(run / "generate" / "prior" / f"{name}.png")
    (run / "generate" / "mixture").mkdir()
    (run / "generate" / "mixture" / "samples.csv").write_text("a,b\n1.5,x\n2.5,y\n")
