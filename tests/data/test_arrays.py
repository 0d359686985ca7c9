"""NumPy files: equal to NumPy in every shape and type, on disk as in memory, and a line for each refusal."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.data import source as source_module
from isthmus.data.arrays import Arrays
from isthmus.data.formats import array_scan
from isthmus.data.module import DataModule
from isthmus.data.source import UNBOUNDED, Reading

RNG = np.random.default_rng(0)
ROWS = torch.tensor([7, 0, 7, 3])
OPTIONS = {"labels": None, "key": None, "in_memory": False, "scaling": "none"}


def source(path: object, **options) -> Arrays:
    return Arrays(path=None if path is None else str(path), **{**OPTIONS, **options})


def save(tmp_path: Path, values: np.ndarray, kind: str = "npy") -> Path:
    path = tmp_path / ("x.npy" if kind == "npy" else "x.npz")
    {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[kind](path, values)
    return path


def message(caught) -> str:
    said = str(caught.value.under("data"))
    assert "\n" not in said
    return said


@pytest.mark.parametrize("in_memory", [True, False, "auto"])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        ((9, 5), (5,)),
        ((9, 6, 5), (1, 6, 5)),
        ((9, 6, 5, 1), (1, 6, 5)),
        ((9, 6, 5, 3), (3, 6, 5)),
        ((9, 6, 5, 4), (4, 6, 5)),
        ((9, 3, 6, 5), (3, 6, 5)),
    ],
)
def test_shapes_equal_numpy(tmp_path: Path, stored, shape, kind, in_memory):
    values = RNG.standard_normal(stored).astype(np.float32)
    data = source(save(tmp_path, values, kind), in_memory=in_memory)
    first = (
        values.transpose(0, 3, 1, 2) if shape[0] == stored[-1] != stored[1] and len(shape) == 3 else values
    )
    assert data.shape == shape
    assert len(data) == 9
    assert (data.reading is Reading.MEMORY) == (in_memory is not False or kind == "compressed")
    assert data.value_range == (values.min(), values.max())
    taken = data.take(ROWS)
    assert taken.is_contiguous()
    np.testing.assert_array_equal(taken.numpy(), first.reshape(9, *shape)[ROWS.numpy()])
    assert data.take(ROWS[:0]).shape == (0, *shape)


@pytest.mark.parametrize(
    ("stored", "layout", "shape", "axes"),
    [
        ((9, 2, 6, 5), "NCHW", (2, 6, 5), (0, 1, 2, 3)),
        ((9, 2, 6, 5), "NHWC", (5, 2, 6), (0, 3, 1, 2)),
        ((9, 3, 6, 3), "NHWC", (3, 3, 6), (0, 3, 1, 2)),
        ((9, 6, 5), "NHW", (1, 6, 5), (0, 1, 2)),
        ((9, 5), "NF", (5,), (0, 1)),
    ],
)
def test_a_layout_that_is_told(tmp_path: Path, stored, layout, shape, axes):
    values = RNG.standard_normal(stored).astype(np.float32)
    data = source(save(tmp_path, values), layout=layout)
    np.testing.assert_array_equal(data.take(ROWS), values.transpose(axes).reshape(9, *shape)[ROWS])


@pytest.mark.parametrize(
    ("stored", "layout", "says"),
    [
        ((9, 3, 6, 3), "auto", "images of 3 x 6 pixels and 3 channels or of 6 x 3 pixels and 3 channels"),
        ((9, 16, 16, 5), "auto", "give data.layout=NHWC or data.layout=NCHW"),
        ((9, 6, 5), "NCHW", "data.layout=NCHW needs 4 axes"),
        ((9, 5), "NWH", "must be one of auto, NF, NHW, NCHW, NHWC"),
    ],
)
def test_a_layout_in_doubt(tmp_path: Path, stored, layout, says):
    with pytest.raises(BadInput) as caught:
        source(save(tmp_path, np.zeros(stored)), layout=layout)
    assert says in message(caught)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_minmax_maps_the_range_of_the_array_to_0_and_1(tmp_path: Path, dtype):
    values = np.array([[0, 3], [200, 50], [7, 9]], dtype)
    data = source(save(tmp_path, values), scaling="minmax")
    x = data.scaling(torch.arange(1))(data.take(torch.arange(3)))
    np.testing.assert_allclose(x, values / 200.0, rtol=1e-6)
    assert data.value_range == (0, 1)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("dtype", "given", "unit"),
    [
        ("u1", torch.uint8, 1 / 255),
        ("?", torch.uint8, 1.0),
        *[(dtype, torch.float32, 1.0) for dtype in ("i1", "<i8", "u2", "<f2", "f4", ">f4", "f8")],
    ],
)
def test_types(tmp_path: Path, dtype, given, unit, in_memory):
    values = (RNG.random((9, 5)) * 100 - (50 if dtype[-2:-1] in ("i", "f") else 0)).astype(dtype)
    data = source(save(tmp_path, values), in_memory=in_memory)
    taken = data.take(ROWS)
    assert taken.dtype == given
    np.testing.assert_array_equal(taken.numpy(), values[ROWS.numpy()].astype(np.float32))
    x = data.scaling(torch.arange(5))(taken)
    np.testing.assert_allclose(x.numpy(), values[ROWS.numpy()] * np.float64(unit), rtol=1e-6)
    lowest, highest = data.value_range
    assert lowest <= x.min()
    assert x.max() <= highest
    if given == torch.uint8:
        assert data.value_range == (0.0, 1.0)


@pytest.mark.parametrize("order", ["C", "F"])
def test_many_chunks_give_what_one_gives(tmp_path: Path, monkeypatch, order):
    values = np.asarray(RNG.standard_normal((50, 7)), order=order)
    path = save(tmp_path, values)
    whole = source(path)
    monkeypatch.setattr(array_scan, "CHUNK", 100)
    pieces = source(path, in_memory=True)
    assert (pieces.fingerprint, pieces.value_range) == (whole.fingerprint, whole.value_range)
    assert torch.equal(pieces.values, torch.from_numpy(values).float())


def test_the_fingerprint_is_of_the_content(tmp_path: Path):
    values = np.arange(60, dtype=np.float32).reshape(10, 6)
    np.save(tmp_path / "y.npy", np.arange(10))
    seen = [source(save(tmp_path, values, kind)).fingerprint for kind in ("npy", "npz", "compressed")]
    assert len(set(seen)) == 1
    path = tmp_path / "x.npy"
    others = [source(path, labels=str(tmp_path / "y.npy")).fingerprint]
    for changed in (values.reshape(10, 2, 3), values.astype(np.float64), np.where(values == 59, 58, values)):
        np.save(path, changed)
        others.append(source(path).fingerprint)
    assert len({*seen, *others}) == 5


def test_standardize_uses_the_train_rows_alone(tmp_path: Path, monkeypatch):
    values = RNG.normal(1000, 3, (400, 2, 3)).astype(np.float32)
    values[:, 0, 0] = 0.1  # constant, and not exact in binary
    monkeypatch.setattr(source_module, "CHUNK", 1000)
    data = source(save(tmp_path, values), scaling="standardize")
    train = torch.arange(0, 300)
    x = data.scaling(train)(data.take(torch.arange(400))).numpy().reshape(400, 6)
    flat = values.reshape(400, 6).astype(np.float64)
    std = flat[:300].std(0)
    std[0] = 1
    np.testing.assert_allclose(x, (flat - flat[:300].mean(0)) / std, atol=1e-4)
    assert np.abs(x[:, 0]).max() < 1e-6
    assert data.value_range == UNBOUNDED


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_workers_map_the_file_anew(tmp_path: Path, monkeypatch, kind):
    values = RNG.integers(0, 256, (3000, 6, 5, 3), dtype=np.uint8)
    path = save(tmp_path, values, kind)
    monkeypatch.chdir(tmp_path)
    data = source(path.name)
    sent = pickle.dumps(data)
    assert len(sent) < 5000
    monkeypatch.chdir("/")
    assert torch.equal(pickle.loads(sent).take(ROWS), data.take(ROWS))
    sizes = {"batch_size": 256, "eval_batch_size": 256, "val_size": 0, "test_size": 0.1}
    batches = {}
    for in_memory in (True, False):
        module = DataModule(source(path, in_memory=in_memory), **sizes, split_seed=0, num_workers=2, seed=1)
        batches[in_memory] = list(module.train_dataloader())
    assert len(batches[False]) == 11
    for held, read in zip(batches[True], batches[False], strict=True):
        assert torch.equal(held.rows, read.rows)
        assert torch.equal(held.x, read.x)
        np.testing.assert_array_equal(read.x.numpy(), values.transpose(0, 3, 1, 2)[read.rows.numpy()])


@pytest.mark.parametrize(
    ("stored", "labels", "names"),
    [
        (np.array([3, 1, 3]), [3, 1, 3], None),
        (np.array([True, False, True]), [1, 0, 1], None),
        (np.array(["cat", "ant", "cat"]), [1, 0, 1], ["ant", "cat"]),
        (np.array([b"cat", b"ant", b"cat"]), [1, 0, 1], ["ant", "cat"]),
    ],
)
def test_labels(tmp_path: Path, stored, labels, names):
    np.savez(tmp_path / "x.npz", anything=np.zeros((3, 2)), y=stored)
    np.save(tmp_path / "y.npy", stored)
    for given in ("y", str(tmp_path / "y.npy")):
        data = source(tmp_path / "x.npz", labels=given, key=None if given == "y" else "anything")
        assert data.labels.tolist() == labels
        assert data.labels.dtype == torch.int64
        assert data.label_names == names


@pytest.mark.parametrize(
    ("names", "key", "chosen"),
    [
        (["only"], None, 0),
        (["y_train", "x_train", "x_test"], None, 1),
        (["data", "x"], None, 1),
        (["x", "0"], "0", 1),
    ],
)
def test_which_array_of_an_npz(tmp_path: Path, names, key, chosen):
    np.savez(tmp_path / "x.npz", **{name: np.full((2, 2), number) for number, name in enumerate(names)})
    assert source(tmp_path / "x.npz", key=key).take(ROWS[1:2])[0, 0] == chosen


def test_examples_are_found(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("isthmus.data.arrays.locate", {"example:it": save(tmp_path, np.ones((2, 3)))}.get)
    assert source("example:it").shape == (3,)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("dtype", "bad", "count", "rows"),
    [
        ("f4", {4: np.nan}, 1, "4;"),
        ("f8", {2: np.inf, 40: -np.inf}, 2, "2, 40;"),
        ("f8", {3: 1e300}, 1, "3;"),
        ("f4", dict.fromkeys(range(10, 20), np.nan), 10, "10, 11, 12, 13, 14, ...;"),
    ],
)
def test_values_that_are_not_numbers(tmp_path: Path, monkeypatch, in_memory, dtype, bad, count, rows):
    monkeypatch.setattr(array_scan, "CHUNK", 100)
    values = np.zeros((50, 3), dtype)
    for row, value in bad.items():
        values[row, 1] = value
    with pytest.raises(BadInput) as caught:
        source(save(tmp_path, values), in_memory=in_memory)
    assert f"in {count} of 50 rows ({rows} the first is 0)" in message(caught)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cut(path: Path, bytes_kept: int) -> Path:
    return written(path, path.read_bytes()[:bytes_kept])


def damaged(path: Path) -> Path:
    """Bytes changed inside the compressed content."""
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(40)
    return written(path, bytes(content))


def unlike_npz(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", "text")
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda t: None, "give data.path=FILE.npy"),
        (lambda t: "???", "give data.path=FILE.npy"),
        (lambda t: t / "none.npy", "there is no such file"),
        (lambda t: t, "is a folder; give a .npy or .npz file"),
        (lambda t: written(t / "x.csv", b"1,2"), "must be a .npy or .npz file"),
        (lambda t: written(t / "x.npy", b""), "is an empty file"),
        (lambda t: written(t / "x.npz", b""), "is an empty file"),
        (lambda t: written(t / "x.npy", b"1,2\n3,4\n5,6"), "not in the .npy format: the magic string"),
        (lambda t: written(t / "x.npz", b"1,2\n3,4"), "is truncated, or no .npz file"),
        (lambda t: cut(save(t, np.ones((9, 5))), 470), "is truncated: 18 bytes are missing"),
        (lambda t: cut(save(t, np.ones((9, 5))), 40), "is truncated, or not in the .npy format: EOF"),
        (lambda t: cut(save(t, np.ones((9, 5)), "npz"), 300), "is truncated, or no .npz file"),
        (lambda t: damaged(save(t, RNG.random((9, 5)), "compressed")), "the array arr_0 cannot be read"),
        (lambda t: unlike_npz(t / "x.npz"), "not in the .npy format: the magic string"),
        (lambda t: save(t, np.array([[{}], [[]]], dtype=object)), "holds Python objects"),
        (lambda t: save(t, np.array([[{}], [[]]], dtype=object), "npz"), "holds Python objects"),
        (lambda t: save(t, np.array([[{}], [[]]], dtype=object), "compressed"), "holds Python objects"),
        (lambda t: save(t, np.ones(4)), r"has the shape \[4\]; give \[N, F\]"),
        (lambda t: save(t, np.float64(4)), r"has the shape \[\]; give"),
        (lambda t: save(t, np.ones((2, 2, 2, 2, 2))), r"has the shape \[2, 2, 2, 2, 2\]; give"),
        (lambda t: save(t, np.ones((0, 4))), r"has the shape \[0, 4\]: there is nothing in it"),
        (lambda t: save(t, np.ones((4, 0)), "compressed"), r"has the shape \[4, 0\]: there is nothing"),
        (lambda t: save(t, np.ones((4, 2), complex)), "holds values of type complex128"),
        (lambda t: save(t, np.array([["a"], ["b"]])), "holds values of type <U1"),
        (lambda t: save(t, np.zeros((3, 1), [("a", "f4")])), "holds values of type"),
    ],
)
def test_paths_that_are_refused(tmp_path: Path, make, says):
    path = make(tmp_path)
    with pytest.raises(BadInput, match=says) as caught:
        source(path)
    assert message(caught).startswith(f"data.path={'null' if path is None else path}: ")


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ({"key": "z"}, "data.key=z: there is no such array; there are a, b, y"),
        ({"key": None}, "data.key=null: say which array to take; there are a, b, y"),
        ({"labels": "y"}, "data.key=null: say which array to take; there are a, b"),
        ({"key": "a", "labels": "z"}, "data.labels=z: must be a .npy file or one of the arrays a, b, y"),
        ({"key": "a", "labels": "z.npy"}, "data.labels=z.npy: there is no such file"),
        ({"key": "a", "labels": "y"}, "data.labels=y: has the shape [4]; the data have 3 rows, so give [3]"),
        ({"key": "a", "labels": "b"}, "data.labels=b: has the shape [3, 2]"),
        ({"key": "a", "labels": "f"}, "data.labels=f: holds values of type float64"),
        ({"key": "a", "labels": "o"}, "data.labels=o: holds Python objects"),
        ({"key": "a", "in_memory": "maybe"}, "data.in_memory=maybe: must be one of"),
        ({"key": "a", "scaling": "robust"}, "data.scaling=robust: must be one of none, standardize, minmax"),
    ],
)
def test_options_that_are_refused(tmp_path: Path, monkeypatch, options, starts):
    monkeypatch.chdir(tmp_path)
    arrays = {"a": np.zeros((3, 2)), "b": np.zeros((3, 2)), "y": np.arange(4)}
    np.savez("x.npz", **arrays, f=np.zeros(3), o=np.array([None] * 3))
    with pytest.raises(BadInput) as caught:
        source("x.npz", **options)
    assert message(caught).startswith(starts)


def test_key_is_for_npz(tmp_path: Path):
    with pytest.raises(BadInput, match="key=a: names an array"):
        source(save(tmp_path, np.ones((2, 2))), key="a")


def test_labels_of_an_npy_are_a_file(tmp_path: Path):
    with pytest.raises(BadInput, match=r"labels=y: must be a .npy file"):
        source(save(tmp_path, np.ones((2, 2))), labels="y")


def test_a_signalling_nan_is_refused_without_a_warning(tmp_path, recwarn):
    values = np.zeros((4, 3))
    values.view(np.uint64)[1, 2] = 0x7FF0_0000_0000_0001
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(BadInput, match="NaN"):
        Arrays(path=str(tmp_path / "x.npy"), key=None, labels=None, scaling="none", in_memory=True)
    assert not recwarn.list
