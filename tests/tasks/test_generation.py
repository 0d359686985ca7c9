"""New examples: samples, interpolations and traversals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from isthmus.common.errors import BadInput
from isthmus.tasks.coding.paths import linear, spherical


@pytest.mark.parametrize("sampler", ["prior", "mixture"])
def test_samples_are_examples_and_depend_on_the_seed(sampler, model_of):
    model = model_of("photos")
    images = model.generate(5, sampler=sampler, seed=1)
    assert images.shape == (5, 3, 24, 24)
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_array_equal(images, model.generate(5, sampler=sampler, seed=1))
    assert (images != model.generate(5, sampler=sampler, seed=2)).any()


def test_the_codes_of_a_mixture_are_distributed_like_those_of_the_data(model_of):
    model = model_of("digits")
    codes = model.encode(load_digits().images.astype(np.uint8))
    drawn = model.sample_codes(20_000)
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.2 * codes.std(0).max())
    np.testing.assert_allclose(drawn.std(0), codes.std(0), rtol=0.15)


def test_new_rows_of_a_table_are_a_table(model_of):
    rows = model_of("visits").generate(30).to_pandas()
    assert len(rows) == 30
    assert set(rows["site"]) <= {"a", "b", "c"}


def test_a_model_without_prior_says_so(model_of):
    with pytest.raises(BadInput, match=r"sampler=prior: the latent has no prior; give sampler=mixture"):
        model_of("digits").generate(3, sampler="prior")
    with pytest.raises(BadInput, match="must be one of prior, mixture, flow"):
        model_of("digits").generate(3, sampler="uniform")


def test_an_interpolation_begins_and_ends_with_the_reconstructions(model_of):
    for kind, x in (
        ("digits", load_digits().images.astype(np.uint8)),
        ("photos", np.random.default_rng(0).integers(0, 255, (8, 24, 24, 3), np.uint8)),
    ):
        model = model_of(kind)
        path = model.interpolate(x[:3], x[3:6], steps=5)
        assert path.shape == (3, 5, *model.shape)
        np.testing.assert_allclose(path[:, 0], model.decode(model.encode(x[:3])), atol=1e-3)
        np.testing.assert_allclose(path[:, -1], model.decode(model.encode(x[3:6])), atol=1e-3)
    with pytest.raises(BadInput, match="must be as many as in start: 3"):
        model.interpolate(x[:3], x[:2])
    table = model_of("cancer").interpolate(*[load_breast_cancer().data[rows] for rows in ([0, 1], [2, 3])])
    assert table.num_rows == 16


def test_a_traversal_moves_one_coordinate(model_of):
    model = model_of("digits")
    x = load_digits().images.astype(np.uint8)[:1]
    images = model.traverse(x, dims=[2, 5], steps=3, span=1.5)
    assert images.shape == (2, 3, 1, 8, 8)
    assert model.traverse().shape == (10, 7, 1, 8, 8)
    for dims in ([16], [-1], ["a"]):
        with pytest.raises(BadInput, match="dims="):
            model.traverse(dims=dims)


def test_a_spherical_path_keeps_the_norm_and_turns_evenly():
    generator = torch.Generator().manual_seed(0)
    start, end = (torch.nn.functional.normalize(torch.randn(4, 6, generator=generator)) for _ in range(2))
    path = spherical(start, end, 9)
    assert torch.allclose(path.norm(dim=2), torch.ones(4, 9), atol=1e-5)
    turns = (path[:, 1:] * path[:, :-1]).sum(2)
    assert torch.allclose(turns, turns[:, :1].expand_as(turns), atol=1e-5)
    assert torch.allclose(path[:, -1], end, atol=1e-5)


def test_where_no_great_circle_is_defined_the_path_is_straight():
    zero, some = torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 3.0]])
    for start, end in ((some, some), (some, -some), (some, 2 * some)):
        assert torch.allclose(spherical(start, end, 5), linear(start, end, 5), atol=1e-3)
    assert spherical(zero, some, 5).isfinite().all()
