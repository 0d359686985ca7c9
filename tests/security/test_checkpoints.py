"""Checkpoints are pickles inside of archives: none is unpickled further than to tensors and plain values."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.runs.compose import compose
from isthmus.runs.train import train
from isthmus.training.background import Background
from isthmus.training.checkpoint_io import AtomicCheckpointIO, read_checkpoint
from isthmus.training.latent_file import check_latents


@pytest.fixture(scope="module")
def _once(tmp_path_factory):
    """A run that was trained once, with figures and latents."""
    path = tmp_path_factory.mktemp("trained") / "run"
    typed = ("data.batch_size=140", "architecture.hidden=[8]", "latent.dim=2", "trainer.max_epochs=1")
    train(compose([*typed, "trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none"]), path)
    return path


@pytest.fixture
def trained(_once, tmp_path):
    """A copy of it."""
    return shutil.copytree(_once, tmp_path / "trained")


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
    weights_as_a_list: "weights do not fit",
    truncated: "is damaged",
    empty: "is damaged",
    another_archive: "no checkpoint of PyTorch",
    nothing_in_it: "no checkpoint of PyTorch",
}


@pytest.mark.parametrize("name", ["best", "last"])
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


def optimizer_of(state):
    return state["optimizer_states"][0]


def moments(tensor):
    """The first weight's moving average is another tensor."""

    def change(state):
        optimizer_of(state)["state"][0]["exp_avg"] = tensor(optimizer_of(state)["state"][0]["exp_avg"])

    return change


def settings(**values):
    return lambda state: optimizer_of(state)["param_groups"][0].update(values)


def shared(state):
    first = optimizer_of(state)["state"][0]
    first["exp_avg_sq"] = first["exp_avg"]


def swapped_weights(state):
    group = optimizer_of(state)["param_groups"][0]
    group["params"] = group["params"][::-1]


def first_weight(change):
    def damage(state):
        name = next(iter(state["state_dict"]))
        state["state_dict"][name] = change(state["state_dict"][name])

    return damage


def set_(*keys, value):
    def change(state):
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return change


STATES = {
    "a short moment": (moments(lambda old: torch.zeros(3)), r"state\.0\.exp_avg is float32 of shape \(3,\)"),
    "an empty moment": (moments(lambda old: torch.zeros(0)), r"exp_avg is float32 of shape \(0,\)"),
    "a long moment": (moments(lambda old: torch.zeros(4, *old.shape)), "exp_avg is float32 of shape"),
    "a repeated moment": (moments(lambda old: torch.zeros(1, 1).expand(old.shape)), "is a view of another"),
    "a huge moment": (moments(lambda old: torch.zeros(1).expand(10**12)), "is a view of another"),
    "a strided moment": (moments(lambda old: torch.zeros(*old.shape, 2)[..., 0]), "is a view of another"),
    "a complex moment": (moments(lambda old: old.to(torch.complex64)), "exp_avg is complex64"),
    "a conjugate moment": (moments(lambda old: old.to(torch.complex64).conj()), "is a view of another"),
    "a whole moment": (moments(torch.Tensor.long), "exp_avg is int64"),
    "a moment of NaN": (moments(lambda old: old * float("nan")), "exp_avg is NaN"),
    "a moment of text": (moments(lambda old: "x"), "exp_avg is 'x'"),
    "two in one": (shared, "share their memory"),
    "a negative step": (
        set_("optimizer_states", 0, "state", 0, "step", value=torch.tensor(-5.0)),
        "negative",
    ),
    "steps": (set_("optimizer_states", 0, "state", 0, "step", value=torch.zeros(5)), "step is float32"),
    "no step": (lambda state: optimizer_of(state)["state"][0].pop("step"), "lacks 'step'"),
    "a weight too many": (set_("optimizer_states", 0, "state", 99, value={}), "state.99 is a dict"),
    "no state": (set_("optimizer_states", value=[]), "that of one optimizer"),
    "a state of text": (set_("optimizer_states", 0, "state", value="x"), "state is 'x'"),
    "weights in another order": (swapped_weights, "names other weights"),
    "lr": (settings(lr=float("inf")), "lr is inf"),
    "lr as text": (settings(lr="0.1"), "lr is '0.1'"),
    "lr as a tensor": (settings(lr=torch.tensor(0.1)), "lr is float32"),
    "betas": (settings(betas=(0.9,)), "betas is a tuple of 1"),
    "uphill": (settings(maximize=True), "maximize is True"),
    "a new setting": (settings(evil=1), "has 'evil'"),
    "a schedule": (set_("lr_schedulers", value=[{"step": 1}]), "lr_schedulers is a list of 1"),
    "another best": (set_("callbacks", "Checkpoints", "best", value="x"), "best is 'x'"),
    "other limits": (set_("callbacks", "Checkpoints", "finished", value=[1]), "finished is a list"),
    "figures": (set_("callbacks", "Figures", value={}), "lacks 'drawn_at'"),
    "metrics": (set_("metrics", "val/mse", value="\x1b[31m"), "val/mse is"),
    "an epoch of text": (set_("epoch", value="1"), "epoch is '1'"),
    "an endless epoch": (set_("epoch", value=10**400), "epoch is a number above 9007199254740992"),
    "an endless metric": (set_("metrics", "val/mse", value=-(10**400)), "val/mse is a number below"),
    "a huge step": (set_("position", "step", value=10**30), "does not tell how far"),
    "no means": (set_("position", "means", value=[]), "does not tell how far"),
    "other means": (
        lambda state: state["position"].update(batch=1, means=[{"sums": torch.zeros(10**6)}]),
        "means lacks",
    ),
    "weights of NaN": (first_weight(lambda old: old * float("nan")), "is NaN in"),
    "infinite weights": (first_weight(lambda old: old / 0.0), "is not finite"),
    "weights of another shape": (first_weight(lambda old: old[:1].clone()), "of shape"),
    "complex weights": (first_weight(lambda old: old.to(torch.complex64)), "is complex64"),
}


@pytest.mark.parametrize("name", STATES)
def test_what_training_would_resume_from(name, trained, refused):
    """Fused kernels write where an optimizer's state says, as far as the weights go."""
    change, said = STATES[name]
    for path in (trained / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)
    line = refused("resume", trained, "trainer.max_epochs=9", says=(f"RUN={trained}: ",))
    assert re.search(said, line), line


def test_an_old_version_is_not_migrated(trained, command):
    """Lightning would take the file for one of a version that kept other things in other places."""
    for path in (trained / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        torch.save({**content, "pytorch-lightning_version": "0.0.1\n", "hparams": "x"}, path)
    assert command("resume", trained, "trainer.max_epochs=2").code == 0


FLIPS = 18


@pytest.mark.parametrize("name", ["best", "last"])
def test_flipped_bits(name, trained):
    """Each is noticed that would change what is read."""
    path = trained / "checkpoints" / f"{name}.ckpt"
    whole = path.read_bytes()
    content = read_checkpoint(path)
    for place in torch.linspace(100, len(whole) - 100, FLIPS).long().tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        noticed = False
        try:
            again = read_checkpoint(path)
        except ValueError as error:
            noticed = "is damaged" in str(error)
        if not noticed:
            assert_same(again, content)


@pytest.mark.parametrize("flipped", ["nothing", "checkpoints/last.ckpt", "latents"])
def test_show_verifies(flipped, trained, command):
    path = trained / flipped
    if path.is_dir():
        path = next(path.iterdir())
    if path.is_file():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    said = command("show", trained, "--verify")
    last = said.out.splitlines()[-1]
    if flipped == "nothing":
        assert (said.code, last) == (0, "all checkpoints and latents are as they were written")
    else:
        assert said.code == 1
        assert f"{path.name} is damaged" in last
    assert command("show", trained).code == 0


def sparse(path):
    with path.open("wb") as file:
        file.truncate(64 << 30)


@pytest.mark.parametrize("kind", [Path.mkdir, os.mkfifo, sparse])
@pytest.mark.parametrize("name", ["checkpoints/x.ckpt", "latents/x.safetensors"])
def test_show_verifies_what_is_no_file_of_a_run(name, kind, trained, command):
    kind(trained / name)
    said = command("show", trained, "--verify")
    what = "is damaged" if kind is sparse else "is not a file"
    assert (said.code, f"{Path(name).name} {what}" in said.out.splitlines()[-1]) == (1, True)


def test_each_flipped_bit_of_latents_is_noticed(trained):
    path = next((trained / "latents").iterdir())
    whole = path.read_bytes()
    for place in (*range(600), *range(600, len(whole), 997)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 7]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="is damaged"):
            check_latents(path)


def assert_same(found, expected):
    """In the gaps between the members of the archive nothing is kept."""
    torch.testing.assert_close(found["state_dict"], expected["state_dict"], rtol=0, atol=0)
    torch.testing.assert_close(
        found["optimizer_states"][0]["state"], expected["optimizer_states"][0]["state"], rtol=0, atol=0
    )
