"""Charts: every point is inside, the extremes are kept, and ticks have round values."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from isthmus.reports.curves import curves
from isthmus.reports.line_chart import HEIGHT, WIDTH, Line, line_chart
from isthmus.training.figures.metrics_shown import is_drawn, is_logarithmic
from isthmus.training.writers.metrics_reader import read_history

VALUES = {
    "falling": [5.0, 3.0, 2.0, 1.5],
    "constant": [7.0] * 5,
    "zero": [0.0, 0.0],
    "one point": [3.0],
    "gaps": [math.nan, 1.0, math.inf, 2.0, -math.inf],
    "negative": [-1.0, -50.0, 3.0],
    "decades": [1e4, 30.0, 1e-3],
    "many decades": [1e300, 1.0, 1e-300],
    "large": [1e308, -1e308, 1e299, -1e299],
    "small": [1e-320, 2e-320],
    "nearly constant": [1e9, 1e9 + 1e-6],
    "many": list(np.sin(np.arange(50_000))),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_points_are_inside(values):
    lines = [Line("train", range(1, len(values) + 1), values), Line("val", [1], [values[-1]])]
    svg = line_chart("of <it>", [line for line in lines if any(map(is_drawn, line.y))], x_label="epoch")
    assert 'aria-label="of &lt;it&gt;"' in svg
    for points in re.findall(r'points="([^"]*)"', svg):
        for x, y in (point.split(",") for point in points.split()):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= HEIGHT
    assert len(svg) < 20_000
    labels = re.findall(r'text-anchor="end">([^<]*)<', svg)
    assert len(labels) <= 9


def test_the_extremes_of_many_points_are_kept():
    values = np.random.default_rng(0).normal(size=10_000)
    values[[1234, 7777]] = 50, -60
    svg = line_chart("", [Line("train", range(10_000), values.tolist())], x_label="epoch")
    (points,) = re.findall(r'points="([^"]*)"', svg)
    heights = [float(point.split(",")[1]) for point in points.split()]
    # of a scale from -60 to 50 with a margin of 5% at both ends, in pixels from the top
    assert max(heights) - min(heights) == pytest.approx((HEIGHT - 44) / 1.1, abs=0.2)
    assert len(heights) <= 401


def test_points_are_where_their_values_are():
    svg = line_chart("", [Line("train", [1, 2, 3], [0.0, 10.0, 5.0])], x_label="epoch")
    (points,) = re.findall(r'points="([^"]*)"', svg)
    (x1, y1), (x2, y2), (x3, y3) = (map(float, point.split(",")) for point in points.split())
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.11)
    assert y1 - y3 == pytest.approx(y3 - y2, abs=0.11)
    assert y2 < y3 < y1
    ticks = re.findall(r'y="([\d.]+)" text-anchor="end">(\d+)<', svg)
    slopes = [(float(y) - 3.5 - y1) / float(value) for y, value in ticks if float(value)]
    assert slopes == pytest.approx([(y2 - y1) / 10] * len(slopes), abs=0.1)


def test_scales():
    assert is_logarithmic([100.0, 1.0, math.nan])
    assert not is_logarithmic([10.0, 1.0])
    assert not is_logarithmic([100.0, 0.0])


def test_history(tmp_path):
    path = tmp_path / "metrics.csv"
    lines = ("epoch,lr,train/loss,train/loss_step,val/loss,test/loss", "1,,,9,,", "1,0.1,5,,,", "1,,,,4,")
    path.write_text("\n".join([*lines, "2,0.1,3,,x,", "2,,,,,8", ""]))
    found = read_history(path)
    assert found.pop("val/loss") == pytest.approx([4, math.nan], nan_ok=True)
    assert found == {"epoch": [1, 2], "lr": [0.1, 0.1], "train/loss": [5, 3]}
    assert read_history(tmp_path / "missing.csv") == {"epoch": []}


def test_which_metrics_are_drawn():
    columns = {
        name: [1.0, 2.0] for name in ("train/loss", "val/loss", "train/reconstruction", "val/mae", "val/x")
    }
    history = {"epoch": [1, 2], **columns, "val/reconstruction": [1.0, 2.0], "lr": [0.1, 0.1]}
    charts, others = curves(history, ["x"], 2)
    assert [chart.title for chart in charts] == ["loss", "x"]
    assert charts[1].note == "a regularizer, unweighted"
    assert 'class="mark"' in charts[0].svg
    history |= {"lr": [0.1, 0.01], "train/reconstruction": [0.5, 0.5]}
    assert [chart.title for chart in curves(history, [], None)[0]] == ["loss", "reconstruction", "x", "lr"]
    many = {"epoch": [1], **{f"val/{at:02}": [1.0] for at in range(40)}}
    charts, others = curves(many, [], None)
    assert len(charts) + len(others) == 40
    assert len(charts) == 12
