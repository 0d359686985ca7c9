"""Whatever a caller gives a model: the same numbers for the same data, or one line that says what to do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

import isthmus
from isthmus.common.errors import BadInput
from isthmus.core.scaling import Scaling
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.tasks.inputs.arrays import ArrayExamples
from isthmus.tasks.inputs.examples import Accepted

from .conftest import SHORT, write_visits

METHODS = ("encode", "reconstruct", "denoise", "score", "detect", "explain")
SAME = {
    "other order, more columns": lambda f: f.iloc[:, ::-1].assign(extra="x"),
    "object": lambda f: f.astype(object),
    "text": lambda f: f.astype(str),
    "category": lambda f: f.astype("category"),
    "nullable": lambda f: f.convert_dtypes(),
    "of pyarrow": lambda f: f.convert_dtypes(dtype_backend="pyarrow"),
    "dates": lambda f: f.assign(day=pd.to_datetime(f["day"])),
    "arrow": pa.Table.from_pandas,
    "record batch": lambda f: pa.RecordBatch.from_pandas(f),
    "array": lambda f: f.to_numpy(),
    "nested lists": lambda f: f.to_numpy().tolist(),
    "dicts": lambda f: f.to_dict("records"),
    "dict": lambda f: f.to_dict("list"),
}


@pytest.fixture
def visits(tmp_path):
    return pd.read_csv(write_visits(tmp_path / "new.csv", rows=12, seed=6))[["site", "day", "size", "smoker"]]


def test_a_warning_is_one_short_line(visits, model_of):
    with pytest.warns(UserWarning, match="ignored columns") as warned:
        model_of("visits").encode(visits.assign(**{"a\nb\x1b[31m" * 2_000: 1}))
    (said,) = (str(each.message) for each in warned)
    assert len(said) <= 300
    assert said.isprintable()
    assert "a\\nb\\x1b[31m" in said


@pytest.mark.parametrize("name", SAME)
def test_a_table_may_come_in_any_form(name, visits, model_of):
    model, given = model_of("visits"), SAME[name](visits)
    np.testing.assert_allclose(model.encode(given), model.encode(visits), atol=1e-5)
    assert len(model.reconstruct(given)) == 12


REFUSED = {
    "series": (lambda f: f.iloc[0], r"x=Series: .* x.to_frame\(\).T is one row"),
    "one row": (lambda f: f.to_numpy()[0], r"x=shape \[4\]: is one row; give a batch: x\[None\]"),
    "absent column": (lambda f: f.drop(columns="site"), "columns=site: the run was trained on it"),
    "text among numbers": (lambda f: f.assign(size="12 kg"), "x=size: has text.*'12 kg'"),
    "infinite": (lambda f: f.assign(size=np.inf), r"x=DataFrame: infinite.*correct them$"),
    "empty": (lambda f: f.iloc[:0], "is empty"),
    "no columns": (lambda f: f[[]], "is empty"),
    "other kind": (lambda f: f.assign(day=True), "x=DataFrame: 'day' holds bool.* trained on a date"),
    "groups": (lambda f: f.groupby("site"), "x=DataFrameGroupBy: is no array"),
    "a number": (lambda f: 5, "x=int: is no array"),
    "complex": (lambda f: torch.zeros(3, 4) + 1j, "x=values of type complex64"),
    "paths": (lambda f: ["new.csv"], "not trained on images; give one path"),
    "images": (lambda f: np.zeros((3, 8, 8), np.uint8), r"must be \[N, 4\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_such_table_is_refused_in_one_line_by_every_method(name, visits, model_of):
    make, message = REFUSED[name]
    model = model_of("visits")
    calls = [*(getattr(model, method) for method in METHODS), model.traverse]
    for call in calls:
        with pytest.raises(BadInput, match=message) as error:
            call(make(visits))
        assert "\n" not in str(error.value)


def test_numbers_may_be_objects_where_a_model_was_trained_on_an_array(model_of, run_of):
    model, x = model_of("scaled"), np.load(run_of("scaled").parent / "scaled.npy")[:9]
    frame = pd.DataFrame(x).convert_dtypes()
    for given in (frame, frame.astype(object), x.tolist()):
        np.testing.assert_allclose(model.encode(given), model.encode(x), atol=1e-5)
    with pytest.raises(BadInput, match="must be real numbers"):
        model.encode(frame.assign(extra="a"))


@pytest.mark.parametrize("z", [None, "text", np.zeros((2, 2)) + 1j, np.full((2, 2), "a")])
def test_what_is_no_code_is_refused_in_one_line(z, model_of):
    with pytest.raises(BadInput, match=r"^z="):
        model_of("visits").decode(z)


def test_codes_far_away_decode_to_dates_far_away(model_of):
    with np.errstate(all="raise"):
        assert model_of("visits").decode(np.full((2, 2), 1e30)).num_rows == 2


@pytest.mark.parametrize("size", [0, -1, "a", 2.0])
def test_every_method_checks_the_size_of_a_batch(size, visits, model_of):
    model = model_of("visits")
    for method in METHODS:
        with pytest.raises(BadInput, match="batch_size"):
            getattr(model, method)(visits, batch_size=size)
    with pytest.raises(BadInput, match="batch_size"):
        model.decode(np.zeros((2, 2)), batch_size=size)


@pytest.mark.parametrize("dims", [3, [], "ab"])
def test_coordinates_of_a_traversal_are_a_list(dims, visits, model_of):
    model = model_of("visits")
    with pytest.raises(BadInput, match="dims="):
        model.traverse(dims=dims)
    with pytest.raises(BadInput, match="x=12 examples: must be one"):
        model.traverse(visits)


def test_a_model_of_a_hugging_face_table_reads_files_and_frames_and_the_other_way_round(tmp_path, cache):
    datasets = pytest.importorskip("datasets")
    frame = load_breast_cancer(as_frame=True).frame.iloc[:200, [0, 1, 2, 30]]
    datasets.Dataset.from_pandas(frame).save_to_disk(tmp_path / "hub")
    frame.to_csv(tmp_path / "same.csv", index=False)
    for kind, path in (("huggingface", "hub"), ("table", "same.csv")):
        given = [f"data={kind}", f"data.path={tmp_path / path}", "data.label=target"]
        train(compose([*SHORT, *given]), tmp_path / kind)
        model = isthmus.load(tmp_path / kind, device="cpu")
        codes = model.encode(frame)
        for same in (tmp_path / "hub", tmp_path / "same.csv"):
            np.testing.assert_allclose(model.encode(same), codes, atol=1e-4)
        assert model.open_file(str(tmp_path / "same.csv"), options={"csv": {"separator": "comma"}})


def test_a_model_of_images_reads_those_of_a_saved_data_set(tmp_path, model_of):
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(image) for image in load_digits().images[:5].astype(np.uint8)]
    kinds = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": images}, features=kinds).save_to_disk(tmp_path / "hub")
    expected = model_of("digits").encode(load_digits().images[:5].astype(np.uint8))
    np.testing.assert_allclose(model_of("digits").encode(tmp_path / "hub"), expected, atol=1e-5)


@pytest.mark.parametrize(("dtype", "back"), [(np.uint8, [0, 128, 255]), (np.float32, [-0.2, 0.501, 1.3])])
def test_whole_pixels_are_rounded_and_clipped_and_others_are_as_decoded(dtype, back):
    accepted = Accepted((1, 1, 3), (0.0, 1.0), Scaling.unit(1 / 255), None, {})
    for given in (np.zeros((1, 1, 3), dtype), torch.from_numpy(np.zeros((1, 1, 3), dtype))):
        made = ArrayExamples(given, accepted).restored(torch.tensor([[[[-0.2, 0.501, 1.3]]]]))
        assert type(made) is type(given)
        assert made.dtype == given.dtype
        np.testing.assert_allclose(np.asarray(made).ravel(), back, rtol=1e-6)
