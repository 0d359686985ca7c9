"""Maps of codes, their colours, and which rows PCA is compared on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from isthmus.common.errors import BadInput
from isthmus.tasks.embedding import mapping
from isthmus.tasks.embedding.division import divide
from isthmus.tasks.embedding.mapping import METHODS, map_codes
from isthmus.tasks.embedding.rows import Rows
from isthmus.tasks.inputs.examples import Examples
from isthmus.training.figures.colours import MOST_CLASSES, OTHER, classes_of, colouring
from isthmus.training.figures.drawing import save_figure
from isthmus.training.figures.latent_map import draw_map, emphasis


@pytest.mark.parametrize(
    "method", [pytest.param(each, marks=[pytest.mark.slow] * (each == "umap")) for each in METHODS]
)
def test_the_same_seed_gives_the_same_map(method):
    if method == "umap":
        pytest.importorskip("umap")
    codes = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    first, again = (map_codes(codes, codes[:, 0], method=method, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.xy, again.xy)
    assert first.xy.shape == (80, 2)
    assert first.xy.std() > 0


def test_groups_of_codes_are_groups_on_the_default_map(monkeypatch):
    monkeypatch.setattr(mapping, "MOST_FITTED", 100)
    groups = np.arange(400) % 3
    draw = np.random.default_rng(0)
    codes = draw.normal(size=(400, 5)) + 20 * np.eye(5)[groups]
    made = map_codes(codes.astype(np.float32), np.zeros(400))
    assert made.title == "t-SNE"
    assert len(made.fitted) == 100
    knn = KNeighborsClassifier(5).fit(made.xy[made.fitted], groups[made.fitted])
    assert knn.score(made.xy, groups) == 1  # of the rows that the map was not fitted to, too


def test_pca_is_the_closed_form_of_numpy():
    x = np.random.default_rng(0).normal(size=(50, 4)) * [4, 3, 2, 1] * 1e30  # squares would overflow
    made = map_codes(x.astype(np.float32), np.zeros(50), method="pca").xy
    left, sizes, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    expected = left[:, :2] * sizes[:2]
    np.testing.assert_allclose(np.abs(made), np.abs(expected), rtol=1e-3, atol=1e27)


def test_codes_of_one_and_two_numbers_are_their_own_map():
    codes, mse = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32), np.arange(9.0)
    made = map_codes(codes, mse)
    np.testing.assert_array_equal(made.xy, codes)
    assert made.axes == ("z_0", "z_1")
    made = map_codes(codes[:, :1], mse)
    np.testing.assert_array_equal(made.xy, np.column_stack([codes[:, 0], mse]))


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_few_rows_and_codes_that_are_all_alike_have_a_map(rows):
    codes = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    assert map_codes(codes, np.zeros(rows)).title == "PCA"
    alike = map_codes(np.ones((40, 3), np.float32), np.zeros(40))
    assert not alike.xy.any()
    for few in (codes, np.ones((40, 3), np.float32)):
        with pytest.raises(BadInput, match="give --map pca"):
            map_codes(few, np.zeros(len(few)), method="tsne")


def test_umap_that_is_not_installed_is_named_with_the_command(here, run_of, monkeypatch, tmp_path):
    monkeypatch.setattr(mapping, "find_spec", lambda name: None)
    code, _, err = here("embed", run_of("digits"), "--map", "umap", "-o", "new")
    assert code == 2
    assert "pip install 'isthmus[umap]'" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "new").exists()
    assert map_codes(np.eye(12, dtype=np.float32), np.zeros(12)).title == "t-SNE"


class Labelled(Examples):
    """Rows of which nothing but the labels is asked."""

    def __init__(self, labels, names):
        self.labels = None if labels is None else torch.tensor(labels)
        self.label_names = names

    def __len__(self):
        return 40 if self.labels is None else len(self.labels)

    def take(self, start, stop):
        raise NotImplementedError

    def restored(self, x):
        raise NotImplementedError


def rows_with(labels, names=None, parts=None):
    return Rows(Labelled(labels, names), parts)


def test_more_classes_than_colours_are_the_largest_and_others():
    labels = [number for number in range(30) for _ in range(40 - number)]
    names = [f"class {number}" for number in range(30)]
    found = colouring(torch.tensor(labels), names, np.zeros(len(labels)), "kind")
    assert found.classes == [*names[:MOST_CLASSES], "10 other classes"]
    np.testing.assert_array_equal(found.values, np.minimum(labels, MOST_CLASSES))
    looks = {(found.colour(number), found.marker(number)) for number in range(MOST_CLASSES + 1)}
    assert len(looks) == MOST_CLASSES + 1
    assert found.colour(MOST_CLASSES) == OTHER
    twenty = colouring(torch.arange(20), None, np.zeros(20), "kind")
    assert twenty.classes == [str(number) for number in range(20)]


def test_rare_classes_are_drawn_on_top_of_frequent_ones():
    counts = {"half": 50, "rare": 10, "most": 100, "single": 1}
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor([*counts.values()]))
    found = colouring(labels, [*counts], np.zeros(len(labels)), "kind")
    assert found.levels().tolist() == [0, 3, 0, 6]  # halvings of the largest class
    plane = map_codes(np.random.default_rng(0).normal(size=(161, 2)).astype(np.float32), np.zeros(161)).plane
    (axes,) = draw_map(plane, found, np.arange(161), title="", note="").axes
    assert [len(each.get_offsets()) for each in axes.collections] == [150, 10, 1]
    for looks in (
        [each.get_sizes()[0] for each in axes.collections],
        [each.get_alpha() for each in axes.collections],
    ):
        assert looks[0] < looks[1] < looks[2]


def test_classes_that_stand_for_several_are_below_all_others_and_no_measure_of_rarity():
    labels = torch.cat([torch.arange(100).repeat_interleave(5), torch.zeros(5, dtype=torch.int64)])
    found = colouring(labels, [f"class {number}" for number in range(100)], np.zeros(505), "kind")
    assert found.levels().tolist() == [0, *[0] * (MOST_CLASSES - 1), -1]
    assert emphasis(-1, 505).scale < emphasis(0, 505).scale < emphasis(3, 505).scale
    assert emphasis(-1, 505).alpha < emphasis(0, 505).alpha < emphasis(3, 505).alpha <= 1


@pytest.mark.parametrize("names", [None, [str(number / 2) for number in range(50)]])
def test_many_numbers_are_a_colour_bar_and_no_classes(names):
    found = colouring(torch.arange(50), names, np.zeros(50), "age")
    assert found.classes is None
    assert found.title == "age"
    np.testing.assert_array_equal(found.values, np.arange(50) / (2 if names else 1))
    assert classes_of(torch.arange(50), names) == (None, "the labels are numbers")


def test_without_labels_colours_are_errors_and_infinite_ones_are_drawn_too(tmp_path):
    mse = np.arange(40.0)
    mse[3] = np.inf
    found = colouring(None, None, mse, "class")
    assert found.title == "mse"
    assert np.isfinite(found.limits).all()
    made = map_codes(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32), mse)
    figure = draw_map(made.plane, found, np.arange(40), title="$", note="_")
    save_figure(figure, tmp_path / "map.png")
    assert Image.open(tmp_path / "map.png").size[0] > 1000


def test_rows_are_divided_without_overlap_and_with_the_share_of_each_class():
    labels = [0] * 50 + [1] * 30 + [2] * 20
    found = divide(rows_with(labels), 4, seed=0)
    assert sorted([*found.fitted, *found.scored]) == list(range(100))
    assert np.bincount(np.array(labels)[found.scored]).tolist() == [10, 6, 4]
    single = divide(rows_with([0] * 50 + [1]), 4, seed=0)  # cannot be stratified
    assert len(single.scored) == 11
    assert "stratified" not in single.text
    parts = np.array([0] * 60 + [1] * 40, np.int8)
    own = divide(rows_with(labels, parts=parts), 4, seed=0)
    assert own.fitted.tolist() == list(range(60))
    assert "val rows" in own.text
    assert divide(rows_with([0, 1] * 4), 4, seed=0) is None
