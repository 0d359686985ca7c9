"""The pages that commands write, opened from disk in headless Chromium: report.html and map.html."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from .chromium import BROWSER

pytestmark = BROWSER

COMMANDS = (
    "train model=vae loss=bce noise=gaussian latent.dim=3 trainer.max_epochs=3 hydra.run.dir=run",
    "embed run --map pca",
    "detect run",
    "denoise run --levels 0.2,0.4",
    "generate run",
    "report run",
)
# of what is read, the contrast with what is behind it (WCAG 2.2, 1.4.3: at least 4.5)
CONTRASTS = """() => {
    const channels = text => (text.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = channels(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
    };
    const read = "h1, h2, h3, p, th, td, a, code, summary, figcaption, dt, dd, .status, svg text";
    return [...document.querySelectorAll(read)]
        .map(element => {
            const style = getComputedStyle(element);
            const ink = light(channels(element.matches("svg *") ? style.fill : style.color));
            const back = light(behind(element));
            return [element.tagName, (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05)];
        });
}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which everything was made."""
    folder = tmp_path_factory.mktemp("pages")
    for line in COMMANDS:
        command = [sys.executable, "-m", "isthmus", *line.split()]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_report(
    opened: Callable[[Path], Any], page: Any, run: Path, screenshots: Path, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    opened(run / "report.html")
    names = page.locator("h2").all_inner_texts()
    assert names[:2] == ["Results", "Training"]
    assert {"Reconstructions", "Codes", "Anomalies", "Denoising", "Samples", "Provenance"} <= set(names)
    for _ in range(2):  # as it is opened, and with all that is folded
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true; })")
    pictures = page.locator("img")
    assert pictures.count() >= 8
    assert pictures.evaluate_all("all => all.every(each => each.complete && each.naturalWidth > 0)")
    inside = "all => all.every(each => each.getBoundingClientRect().right <= innerWidth)"
    assert page.locator("img, svg, p, h1, h2, .scroll, pre").evaluate_all(inside)
    assert page.locator("polyline.train").count() >= 1
    assert page.locator("polyline.val").count() >= 4
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    poor = [(tag, contrast) for tag, contrast in page.evaluate(CONTRASTS) if contrast < 4.5]
    assert poor == []
    panels = page.locator(".panels figure").evaluate_all(
        "all => all.map(each => Math.round(each.getBoundingClientRect().top))"
    )
    assert len(panels) == 3
    assert len(set(panels)) == (3 if width == 400 else 1), "below each other on a phone"
    for scroll in page.locator(".scroll").all():  # what does not fit is reached by scrolling the table
        reached = "each => { each.scrollLeft = 1e6; const last = each.querySelector('tr').lastElementChild;"
        reached += "return last.getBoundingClientRect().right - each.getBoundingClientRect().right; }"
        assert scroll.evaluate(reached) <= 1
    page.locator("nav a").last.click()
    assert page.url.endswith("#provenance")
    page.screenshot(path=screenshots / f"report-{width}-{scheme}.png", full_page=True)


def test_map(opened: Callable[[Path], Any], page: Any, run: Path, screenshots: Path) -> None:
    """The example under the mouse is shown, with what codes.parquet says of it."""
    from playwright.sync_api import expect

    opened(run / "embed" / "own" / "map.html")
    expect(page.locator("#plot .scatterlayer")).to_be_visible()
    rows = pq.read_table(run / "embed" / "own" / "codes.parquet").to_pandas()
    for row in (rows.loc[rows["x"].idxmax()], rows.loc[rows["y"].idxmin()]):
        place = page.evaluate(
            """([x, y]) => {
                const plot = document.getElementById("plot"), {xaxis, yaxis} = plot._fullLayout;
                const {left, top} = plot.getBoundingClientRect();
                return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
            }""",
            [float(row["x"]), float(row["y"])],
        )
        page.mouse.move(*place)
        shown = page.locator("aside table tr").filter(has=page.get_by_text("row", exact=True))
        expect(shown.locator("td")).to_have_text(str(row["row"]))
        names, texts = (page.locator(f"aside {tag}").all_inner_texts() for tag in ("th", "td"))
        cells = dict(zip(names, texts, strict=True))
        assert cells["label"] == str(row["label"])
        assert float(cells["mse"]) == pytest.approx(row["mse"], rel=1e-3)
        image = page.locator("aside img")
        assert image.evaluate("each => each.complete && each.naturalWidth") == 8
    page.screenshot(path=screenshots / "map.png")
    assert np.isfinite(rows["x"]).all()


@pytest.mark.parametrize("width", [400, 1280])
def test_every_class_is_in_the_legend_of_the_map(
    opened: Callable[[Path], Any], page: Any, run: Path, screenshots: Path, width: int
) -> None:
    """On a phone below the map, whose points still have most of the width."""
    from playwright.sync_api import expect

    page.set_viewport_size({"width": width, "height": 900})
    opened(run / "embed" / "own" / "map.html")
    entries = page.locator(".legendtext")
    expect(entries.first).to_be_visible()
    assert entries.all_text_contents() == [str(digit) for digit in range(10)]
    inside = "all => all.every(each => each.getBoundingClientRect().right <= innerWidth)"
    assert entries.evaluate_all(inside)
    plot, legend = (page.locator(name).bounding_box() for name in ("#plot .nsewdrag", "#plot .legend"))
    if width == 400:
        assert legend["y"] >= plot["y"] + plot["height"]
        assert plot["width"] > 0.75 * width
    else:
        assert legend["x"] >= plot["x"] + plot["width"]
    page.screenshot(path=screenshots / f"map-{width}.png")
