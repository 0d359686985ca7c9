"""The pictures of the whole run, which it leaves at its end, and the grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.training.figures import summary
from isthmus.training.figures.colours import colouring
from isthmus.training.figures.curves import draw_curves
from isthmus.training.figures.drawing import pixels
from isthmus.training.figures.errors import (
    MOST_COLUMNS,
    ColumnErrors,
    column_errors,
    draw_column_errors,
    draw_error_histogram,
)
from isthmus.training.figures.latent_map import draw_map
from isthmus.training.figures.metrics_shown import metrics_to_draw
from isthmus.training.figures.pictures import PICTURES
from isthmus.training.figures.plane import coordinates, principal
from isthmus.training.writers.image_grid import image_grid

EVERY = ("curves", "error_histogram", "latent_map")
KINDS = {
    "images with a prior": (("model=vae", "latent.dim=3"), {*EVERY, "samples", "traversals"}),
    "images without one": (("data.val_size=0", "data.test_size=0"), {*EVERY}),
    "a table": (
        (
            *("data=table", "data.path=example:breast_cancer.csv", "data.label=diagnosis", "latent.dim=1"),
            *("data.train_where=\"diagnosis == 'benign'\"", "callbacks.latents.enabled=false"),
        ),
        {*EVERY, "error_per_column"},
    ),
}
draw = np.random.default_rng(0)


def shortly(kind, *more):
    typed = ("architecture.hidden=[8]", "trainer.max_epochs=1", "trainer=cpu", "trainer.threads=1")
    quiet = ("trainer.progress_bar=none", "callbacks.projector.enabled=false")
    return compose([*KINDS[kind][0], *typed, *quiet, *more])


def drawn(run):
    return {path.stem: path.read_bytes() for path in run.figures.glob("*.png") if path.stem in PICTURES}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_run_leaves(kind, tmp_path, cache, monkeypatch):
    groups, columns = {}, []
    monkeypatch.setattr(
        summary, "draw_error_histogram", lambda g, note: groups.update(g) or draw_error_histogram(g, note)
    )
    monkeypatch.setattr(
        summary, "draw_column_errors", lambda f, note: columns.append(f) or draw_column_errors(f, note)
    )
    run = train(shortly(kind), tmp_path / "run")
    made, results = drawn(run), run.read_json(run.results)
    assert made.keys() == KINDS[kind][1]
    for content in made.values():
        assert b"matplotlib" not in content.lower(), "a version would differ between machines"
    events = EventAccumulator(str(run.path), size_guidance={"images": 0})
    events.Reload()
    assert {f"figures/{name}" for name in made} <= set(events.Tags()["images"])
    width = Image.open(run.figures / "curves.png").width
    assert [each.width for each in events.Images("figures/curves")] == [width]

    split = run.read_provenance()["data"]["split"]
    errors = np.concatenate([each for name, each in groups.items() if name.startswith("test")] or [[]])
    assert len(errors) == split["test"]
    if split["test"]:
        assert errors.mean() == pytest.approx(results["test/mse"], rel=1e-4)
    if kind == "a table":
        assert [*groups] == ["validation", "test, classes trained on", "test, other classes"]
        (found,) = columns
        assert found.names[0] == "mean radius"
        assert found.errors.mean() == pytest.approx(results["test/mse"], rel=1e-4)
    elif not split["test"]:
        assert [*groups] == ["training"]
    again = train(shortly(kind), tmp_path / "again")
    assert drawn(again) == made


def test_none_is_drawn_where_they_are_off(tmp_path):
    run = train(shortly("images with a prior", "callbacks.figures.summary=false"), tmp_path / "run")
    assert not drawn(run)
    assert list(run.figures.glob("reconstruction_*.png"))


def test_one_that_fails_costs_a_warning_and_no_other_picture(tmp_path, monkeypatch, caplog):
    def broken(*arguments, **keywords):
        raise ValueError("it is\nbroken")

    monkeypatch.setattr(summary, "draw_curves", broken)
    monkeypatch.setattr(summary, "draw_map", broken)
    run = train(shortly("images with a prior"), tmp_path / "run")
    assert run.is_done
    assert drawn(run).keys() == {"error_histogram", "samples", "traversals"}
    warned = [each.getMessage() for each in caplog.records if "it is broken" in each.getMessage()]
    assert warned == ["warning: a figure could not be drawn (ValueError: it is broken); the run goes on"]


HISTORY = {
    "epoch": np.arange(1, 4),
    "train/loss": np.array([30.0, 3, 2]),
    "val/loss": np.array([9.0, np.nan, 1]),
}


def test_no_setting_of_the_user_changes_a_pixel():
    import matplotlib

    expected = pixels(lambda: draw_curves(HISTORY, 3))
    own = {"font.size": 30, "axes.facecolor": "red", "figure.autolayout": True, "lines.linewidth": 9}
    with matplotlib.rc_context(own):
        np.testing.assert_array_equal(pixels(lambda: draw_curves(HISTORY, 3)), expected)
        assert matplotlib.rcParams["font.size"] == 30


def test_the_loss_comes_first_and_what_is_not_finite_is_left_out():
    values = {"psnr": [np.inf, np.inf], "mse": [1, 0], "kl": [1, 2], "loss": [2, 1], "reconstruction": [1, 1]}
    history = {f"val/{name}": np.array(each) for name, each in values.items()}
    history |= {"epoch": np.arange(1, 3), "train/kl_weight": np.ones(2)}
    assert metrics_to_draw(history) == ["loss", "reconstruction", "kl", "kl_weight", "mse"]
    del history["val/kl"], history["train/kl_weight"]
    history["val/reconstruction"] = history["val/loss"]
    assert metrics_to_draw(history) == ["loss", "mse"]  # which is the reconstruction loss


def test_columns_have_the_sums_of_their_features():
    x = draw.normal(size=(50, 5))
    places = [("size", slice(0, 1)), ("colour", slice(1, 4)), ("age", slice(4, 5))]
    found = column_errors(places, (x**2).mean(0), x.var(0))
    np.testing.assert_allclose(found.errors, [(x[:, place] ** 2).sum(1).mean() for _, place in places])
    np.testing.assert_allclose(found.spreads, [x[:, place].var(0).sum() for _, place in places])


def test_principal_components_tell_their_shares():
    x = draw.normal(size=(400, 3)) * [10, 5, 1]
    plane = principal(x.astype(np.float32))
    shares = np.linalg.eigvalsh(np.cov(x.T))[::-1] / np.cov(x.T).trace()
    said = [f"PCA {number} ({share:.0%} of the variance)" for number, share in enumerate(shares[:2], 1)]
    assert list(plane.axes) == said
    assert principal(np.ones((5, 4), np.float32)).axes[0] == "PCA 1 (0% of the variance)"


def long_names(count):
    return [f"_ column ${number}$ <b>with a name of {'very ' * 9}many letters" for number in range(count)]


def of_classes(count, dim):
    codes, labels = draw.normal(size=(300, dim)).astype(np.float32), torch.arange(300) % count
    colours = colouring(labels, long_names(count), np.ones(300), "$class$")
    plane = coordinates(codes, np.ones(300)) or principal(codes)
    return draw_map(plane, colours, np.arange(300), title="_", note="$")


ODD = {
    "one epoch": lambda: draw_curves({name: each[:1] for name, each in HISTORY.items()}, 1),
    "no best epoch": lambda: draw_curves(HISTORY, None),
    "a loss below zero": lambda: draw_curves({**HISTORY, "val/loss": np.array([-1.0, -2, -3])}, 2),
    "a constant loss": lambda: draw_curves(
        {**HISTORY, "train/loss": np.zeros(3), "val/loss": np.zeros(3)}, 2
    ),
    "equal errors": lambda: draw_error_histogram({"validation": np.ones(3), "test": np.ones(1)}, ""),
    "no error": lambda: draw_error_histogram({"validation": np.zeros(3)}, ""),
    "errors of many sizes": lambda: draw_error_histogram({"a": 10.0 ** draw.normal(size=99)}, "$"),
    "one column": lambda: draw_column_errors(ColumnErrors(["$"], np.ones(1), np.ones(1)), ""),
    "no errors of columns": lambda: draw_column_errors(
        ColumnErrors(["a", "b"], np.zeros(2), np.zeros(2)), ""
    ),
    "many columns": lambda: draw_column_errors(ColumnErrors(long_names(60), np.arange(60), np.ones(60)), ""),
    "codes of one number": lambda: of_classes(2, 1),
    "codes of two numbers": lambda: of_classes(20, 2),
    "many classes": lambda: of_classes(100, 5),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_data_are_drawn(case):
    picture = pixels(ODD[case])
    assert picture.dtype == np.uint8
    assert (picture < 128).mean() > 0.001
    edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (edges == 255).all(), "nothing is cut off"


def test_the_worst_columns_are_drawn_and_the_others_are_counted():
    figure = draw_column_errors(ColumnErrors(long_names(60), np.arange(60.0), np.ones(60)), "of the test set")
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == list(np.arange(60.0)[-MOST_COLUMNS:])  # the largest at the top
    assert "the other 20 columns have at most 19" in figure.texts[1].get_text()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 40), (5, 2, 100)])
def test_the_names_of_rows_stand_beside_them(shape):
    rows = [torch.rand(4, *shape) for _ in range(2)]
    plain = image_grid(rows, value_range=(0.0, 1.0), names=["a", "b"])
    titled = image_grid(rows, value_range=(0.0, 1.0), title="four examples", names=["a", "b"])
    torch.testing.assert_close(titled[:, -plain.shape[1] :], plain)
    assert (titled[:, : -plain.shape[1]] < 0.5).any()
    count = 2 * (5 if shape[0] == 5 else 1)
    ink = (plain[0, :, :6] < 0.5).any(1).reshape(count, -1).any(1)
    assert ink.all(), "a letter beside each row"
