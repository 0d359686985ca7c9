"""The pictures of `isthmus detect`."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from isthmus.tasks import score_figure
from isthmus.tasks.inputs.opening import examples_of
from isthmus.tasks.ranking import rankings
from isthmus.tasks.score_figure import (
    MOST_IMAGES,
    draw_anomalies,
    draw_precision_recall,
    draw_roc,
    draw_scores,
)
from isthmus.training.figures.errors import BINS, bins

from .test_maps import Labelled

draw = np.random.default_rng(0)
SCALES = {
    "alike": ("linear", draw.normal(50, 5, 500)),
    "orders of magnitude": ("log", 10 ** draw.normal(0, 2, 500)),
    "orders of magnitude below zero, too": (
        "asinh",
        np.concatenate([draw.normal(-20, 10, 500), [1e6, 1e5] * 5]),
    ),
    "negative": ("linear", draw.normal(-50, 5, 500)),
    "with zeros": ("asinh", np.concatenate([[0.0], 10 ** draw.normal(0, 2, 500)])),
    "all zero": ("linear", np.zeros(9)),
    "one": ("linear", np.ones(1)),
    "none": ("linear", np.zeros(0)),
    "infinite": ("linear", np.array([1.0, 2, np.inf, np.nan, -np.inf])),
    "as large as floats are": ("log", np.array([1e-38, 1.0, 3e38], np.float32)),
}


@pytest.mark.parametrize("case", SCALES)
@pytest.mark.parametrize("threshold", [np.nan, 60.0, -60.0, 1e9])
def test_scales_follow_the_data_and_show_all_of_them(case, threshold, tmp_path):
    scale, values = SCALES[case]
    edges, given = bins(values)
    assert given.get("value", "linear") == scale
    assert len(edges) == BINS + 1
    assert (np.diff(edges) > 0).all()
    finite = values[np.isfinite(values)]
    if len(finite):
        assert edges[0] == pytest.approx(finite.min(), rel=1e-5)
        if scale != "linear":
            assert edges[-1] == pytest.approx(finite.max(), rel=1e-5)
    path = draw_scores(tmp_path / "x.png", {"$rows$": values}, threshold=threshold, score="mse", title="_$")
    assert (np.asarray(Image.open(path).convert("L")) < 128).mean() > 0.005


def test_the_threshold_is_inside_and_named(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(score_figure, "save_figure", lambda figure, path: kept.append(figure) or path)
    draw_scores(tmp_path / "x.png", {"rows": np.arange(9.0)}, threshold=20.0, score="mse", title="")
    (axes,) = kept[0].axes
    assert [text.get_text() for text in axes.texts] == ["threshold 20"]
    low, high = axes.get_xlim()
    assert low < 20 < high
    assert axes.lines[0].get_xdata()[0] == 20


def test_classes_beyond_the_colours_are_counted_and_names_are_plain(tmp_path):
    names = [f"$\\frac{{{number}$ <script>\n" for number in range(14)]
    labels = [*range(14)] * 3
    ranked = rankings(Labelled(labels, names), np.arange(42.0), [])
    assert len(ranked) == 14
    for function in (draw_roc, draw_precision_recall):
        assert Image.open(function(tmp_path / "x.png", ranked, title="$x$" * 99)).size == (672, 504)


@pytest.mark.parametrize("kind", ["digits", "photos"])
def test_anomalies_are_shown_with_their_reconstructions_and_shares(kind, model_of, monkeypatch, tmp_path):
    model, kept = model_of(kind), []
    monkeypatch.setattr(
        score_figure, "draw_images", lambda rows, **more: kept.append(rows) or original(rows, **more)
    )
    x = draw.random((20, *model.shape)).astype(np.float32)
    scores = model.score(x)
    scores[3] = np.nan
    draw_anomalies(tmp_path / "x.png", model, model.explain, examples_of(x, model.accepted), scores)
    order = np.argsort(-scores)[:MOST_IMAGES]
    for (name, (image, back, heat)), row in zip(kept[0], order, strict=True):
        assert name == f"row {row}\nscore {scores[row]:.4g}"
        channels = np.moveaxis(x[row], 0, 2)
        np.testing.assert_allclose(image.reshape(channels.shape), channels, atol=1e-5)
        made = np.moveaxis(model.reconstruct(x[row][None])[0], 0, 2).clip(0, 1)
        np.testing.assert_allclose(back.reshape(channels.shape), made, atol=1e-4)
        share = model.explain(x[row][None])[0].sum(0)
        brightest = np.unravel_index(share.argmax(), share.shape)
        assert heat[brightest].tolist() == list(colormaps["inferno"](1.0)[:3])
    assert Image.open(tmp_path / "x.png").size[0] > 400


original = score_figure.draw_images
