"""Checkpoints are pickles inside of archives: none is unpickled further than to tensors and plain values."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from isthmus.training.checkpoint.io import AtomicCheckpointIO, read_checkpoint
from isthmus.training.writers.background import Background


class Touches:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, content, *, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def swapped(path, ending, data):
    """The archive with one member replaced."""
    packed(path, {name: data if name.endswith(ending) else old for name, old in members(path).items()})


def inside(path, canary, wrap):
    torch.save(wrap(torch.load(path, weights_only=True), Touches(canary)), path)


def in_the_weights(path, canary):
    inside(path, canary, lambda state, evil: {**state, "state_dict": {**state["state_dict"], "x": evil}})


def beside_the_weights(path, canary):
    inside(path, canary, lambda state, evil: {**state, "extra": [[{"deep": evil}]]})


def alone(path, canary):
    inside(path, canary, lambda state, evil: evil)


def legacy(path, canary):
    torch.save({"state_dict": Touches(canary)}, path, _use_new_zipfile_serialization=False)


def plain_pickle(path, canary):
    path.write_bytes(pickle.dumps(Touches(canary)))


def old_protocol(path, canary):
    path.write_bytes(f"cos\nsystem\n(S'touch {canary}'\ntR.".encode())


def pickle_in_the_archive(path, canary):
    swapped(path, "data.pkl", pickle.dumps(Touches(canary), protocol=2))


def torchscript(path, canary):
    packed(path, {**members(path), "x/constants.pkl": pickle.dumps(()), "x/code/evil.py": b"import os"})


def whole_module(path, canary):
    torch.save({"state_dict": {}, "module": torch.nn.Linear(2, 2)}, path)


def numpy_object(path, canary):
    torch.save({"state_dict": {"x": np.array([Touches(canary)], dtype=object)}}, path)


def asking_for(call):
    """A pickle of 100 bytes that asks for an object of a size of its choice."""

    def attack(path, canary):
        module, name = call.split(" ")
        pickled = f"\x80\x02c{module}\n{name}\n".encode("latin-1") + b"J\x00\x00\x00\x70\x85R."
        swapped(path, "data.pkl", pickled)

    attack.__name__ = f"asking_for_{call.replace(' ', '_')}"
    return attack


LARGE = {
    asking_for(call): f"names {call.replace(' ', '.')}"
    for call in (
        "builtins bytearray",
        "__builtin__ bytearray",
        "torch FloatTensor",
        "torch Tensor",
        "torch UntypedStorage",
        "torch.storage UntypedStorage",
        "torch.storage TypedStorage",
        "torch._utils _rebuild_meta_tensor_no_storage",
    )
}


def later_protocol(path, canary):
    swapped(path, "data.pkl", pickle.dumps(Touches(canary), protocol=4))


def many_names(path, canary):
    """The second of two pickles of the same name."""
    content = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr("other/data.pkl", pickle.dumps(Touches(canary), protocol=2))


def capital_letters(path, canary):
    """PyTorch does not tell them from small ones."""
    content = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            if name.endswith("data.pkl"):
                archive.writestr(name.upper(), b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x70\x85R.")
            archive.writestr(name, data)


def archive_behind_a_pickle(path, canary):
    path.write_bytes(b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x70\x85R." + path.read_bytes())


def encrypted(path, canary):
    """The pickle is said to be encrypted, in the directory of the archive and before its bytes."""
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.index(signature)
        data[at + flags] |= 1
    path.write_bytes(data)


def wrong_checksum(path, canary):
    data = bytearray(path.read_bytes())
    data[data.index(b"state_dict")] ^= 1
    path.write_bytes(data)


def compressed(path, canary):
    packed(path, members(path), method=zipfile.ZIP_DEFLATED)


def bomb(path, canary):
    content = members(path)
    content["archive/data/bomb"] = bytes(50 << 20)
    packed(path, content, method=zipfile.ZIP_DEFLATED)


def one_compressed(path, canary):
    content = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr("x/bomb", bytes(20 << 20), zipfile.ZIP_BZIP2)


def overlapping(path, canary):
    """Many names for the same bytes, which together are larger than the file."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(1 << 20))
        first = archive.infolist()[1]
        for number in range(1, 50):
            again = zipfile.ZipInfo(f"archive/data/{number}")
            for what in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, what, getattr(first, what))
            archive.filelist.append(again)


def short_weights(path, canary):
    """The weights are said to be longer than they are: what lies behind them in memory would be read."""
    swapped(path, "data/0", b"\0" * 4)


def long_name(path, canary):
    swapped(path, "data.pkl", b"\x80\x02c" + b"a\x1b" * 50_000 + b"\nb\n.")


def no_dict(path, canary):
    torch.save([1, 2], path)


def no_weights(path, canary):
    torch.save({"epoch": 1}, path)


def no_numbers(path, canary):
    torch.save({"state_dict": {}, "epoch": "x", "global_step": None}, path)


def endless_numbers(path, canary):
    inside(path, canary, lambda state, evil: {**state, "epoch": 10**400})


def weights_of_another(path, canary):
    inside(path, canary, lambda state, evil: {**state, "state_dict": {"a": torch.zeros(3)}})


def weights_that_are_none(path, canary):
    inside(path, canary, lambda state, evil: {**state, "state_dict": dict.fromkeys(state["state_dict"], "x")})


def weights_as_a_list(path, canary):
    inside(path, canary, lambda state, evil: {**state, "state_dict": [1, 2]})


def truncated(path, canary):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path, canary):
    path.write_bytes(b"")


def another_archive(path, canary):
    packed(path, {"../../../evil": b"x", "/etc/evil": b"x"})


def deep_tuple(path, canary):
    """A key that holds a tuple twice, which holds another one twice, and so on."""
    data = next(data for name, data in members(path).items() if name.endswith("data.pkl"))
    tuples = b"K\x01" + b"".join(b"q%cq%ch%c\x86" % (at, at, at) for at in range(200, 250))
    swapped(path, "data.pkl", data[:-1] + tuples + b"K\x01s.")


def deep_list(path, canary):
    """The same of lists, which are no keys."""
    content = [1]
    for _ in range(60):
        content = [content, content]
    inside(path, canary, lambda state, evil: {**state, "config": content})


def list_in_itself(path, canary):
    content = []
    content.append(content)
    inside(path, canary, lambda state, evil: {**state, "config": content})


def list_as_a_function(path, canary):
    """PyTorch would say which list it cannot call."""
    lists = b"".join(b"]q%ch%cah%ca" % (at, at - 1, at - 1) for at in range(2, 60))
    swapped(path, "data.pkl", b"\x80\x02]q\x01K\x01a" + lists + b")R.")


class Grown:
    """A tensor whose memory is not of the file: PyTorch makes it larger while it reads."""

    def __init__(self, shape):
        self.shape = shape

    def __reduce_ex__(self, protocol):
        empty = torch._utils._rebuild_tensor_v2
        storage = torch.zeros(1).untyped_storage()
        typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
        strides = tuple(torch.empty(self.shape, device="meta").stride())
        inner = Reset(empty, (typed, 0, (1,), (1,), False, OrderedDict()), ())
        return empty, (typed, 0, (1,), (1,), False, OrderedDict()), (inner, 0, self.shape, strides)


class Reset:
    def __init__(self, *how):
        self.how = how

    def __reduce_ex__(self, protocol):
        return self.how


def memory_of_the_process(path, canary):
    def changed(state, evil):
        state["state_dict"]["autoencoder.encoder.1.bias"] = Grown((8,))
        return state

    inside(path, canary, changed)


def many_values(path, canary):
    swapped(path, "data.pkl", b"\x80\x02](" + b"N" * 6_000_000 + b"e.")


def nothing_in_it(path, canary):
    packed(path, {})


ATTACKS = {
    in_the_weights: "names posix.system",
    beside_the_weights: "names posix.system",
    alone: "names posix.system",
    pickle_in_the_archive: "names posix.system",
    whole_module: "names torch.nn.modules.linear.Linear",
    numpy_object: "could run anyone's code",
    legacy: "not in PyTorch's zip format",
    plain_pickle: "not in PyTorch's zip format",
    old_protocol: "not in PyTorch's zip format",
    **LARGE,
    later_protocol: "could run anyone's code",
    encrypted: "is damaged",
    wrong_checksum: "is damaged",
    many_names: "names posix.system",
    capital_letters: "names builtins.bytearray",
    archive_behind_a_pickle: "no checkpoint of PyTorch",
    torchscript: "no checkpoint of PyTorch",
    compressed: "is compressed",
    bomb: "is compressed",
    one_compressed: "is compressed",
    overlapping: "is compressed",
    short_weights: "is damaged",
    long_name: "which could run anyone's code",
    no_dict: "no checkpoint",
    no_weights: "no checkpoint",
    no_numbers: "no checkpoint",
    endless_numbers: "no checkpoint",
    weights_of_another: "weights do not fit",
    weights_that_are_none: "weights do not fit",
    weights_as_a_list: "no checkpoint",
    truncated: "is damaged",
    empty: "is damaged",
    another_archive: "no checkpoint of PyTorch",
    nothing_in_it: "no checkpoint of PyTorch",
    deep_tuple: "unfolds into more than 5,000,000 values",
    deep_list: "unfolds into more than 5,000,000 values",
    list_in_itself: "unfolds into more than 5,000,000 values",
    list_as_a_function: "unfolds into more than 5,000,000 values",
    memory_of_the_process: "holds a tensor without numbers in the file",
    many_values: "has more than 5,000,000 values",
}


@pytest.mark.parametrize("name", ["best", pytest.param("last", marks=pytest.mark.slow)])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_hostile_checkpoint(attack, name, run, refused, canary):
    attack(run / "checkpoints" / f"{name}.ckpt", canary)
    refused("evaluate", run, "--checkpoint", name, says=(f"RUN={run}: ", ATTACKS[attack]))


def test_a_pickle_of_another_protocol_is_read_in_silence(tmp_path, recwarn):
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt", pickle_protocol=3)
    assert read_checkpoint(tmp_path / "x.ckpt") == {"state_dict": {}}
    assert not recwarn.list


def test_the_pickle_would_touch_the_canary(tmp_path, canary):
    torch.save(Touches(canary), tmp_path / "x.ckpt")
    torch.load(tmp_path / "x.ckpt", weights_only=False)
    assert canary.exists()


def test_lightning_reads_them_in_the_same_way(run, canary):
    path = run / "checkpoints" / "last.ckpt"
    reader = AtomicCheckpointIO(Background(), before=lambda: None)
    assert reader.load_checkpoint(path).keys() == read_checkpoint(path).keys()
    in_the_weights(path, canary)
    with pytest.raises(ValueError, match=r"posix\.system"):
        reader.load_checkpoint(path, weights_only=False)
    assert not canary.exists()


def test_what_torch_writes_is_read(tmp_path):
    state = {"state_dict": {"a": torch.arange(5.0)}, "epoch": 3, "list": [1, "x", None]}
    torch.save(state, tmp_path / "x.ckpt")

    again = read_checkpoint(tmp_path / "x.ckpt")
    assert torch.equal(again.pop("state_dict")["a"], state.pop("state_dict")["a"])
    assert again == state
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "z.ckpt")
