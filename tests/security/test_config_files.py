"""A folder of configs is checked before Hydra reads it: one line says the file and what is wrong with it."""

from __future__ import annotations

import os
import shutil

import pytest

from isthmus.runs.config.compose import conf_dir

HEAD = "# @package _global_\n"
LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
FILES = {
    "syntax": (HEAD + "seed: [1\n", "is not valid YAML", "in line 3"),
    "a key twice": (HEAD + "seed: 1\nseed: 2\n", "is not valid YAML", "found duplicate key seed in line 3"),
    "a tag": (HEAD + "seed: !!python/object/apply:os.getcwd []\n", "is not valid YAML", "in line 2"),
    "a tab": (HEAD + "data:\n\tseed: 1\n", "is not valid YAML", "cannot start any token in line 3"),
    "an anchor twice": (HEAD + "seed: &a 1\nb: &a 2\n", "found duplicate anchor", "occurrence in line 3"),
    "no anchor": (HEAD + "seed: *a\n", "is not valid YAML", "found undefined alias in line 2"),
    "two documents": ("seed: 1\n---\nseed: 2\n", "expected a single document", "in line 2"),
    "binary": ("\0\1\2", "is not valid YAML", "control characters", "in line 1"),
    "another encoding": (b"a: 1\nseed: \xff\xfe\xfa\n", "is not valid YAML", "in line 2"),
    "no keys": (HEAD + "- 1\n- 2\n", "has a list in line 2", "KEY: VALUE"),
    "a word": (HEAD + "seed\n", "has a value in line 2", "KEY: VALUE"),
    "a number": ("3", "has a value in line 1", "KEY: VALUE"),
    "deep": (HEAD + "a: " + "[" * 5000 + "]" * 5000, "is not valid YAML"),
    "a list": ("- 1\n- &a [*a]\n", "unfolds into more than"),
    "aliases that multiply": (LAUGHS, "unfolds into more than"),
    "large": ("a: 1 # " + "x" * (5 << 20), "is larger than 4 MB"),
    "the environment": (HEAD + "data:\n  path: ${oc.env:HOME}\n", "looks up ${oc.env:HOME}", "trust=true"),
    "by another name": (HEAD + "a: oc.env\ndata:\n  path: ${${a}:HOME}\n", "looks up", "trust=true"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used(name, refused, tmp_path):
    content, *says = FILES[name]
    path = tmp_path / "theirs" / "experiment" / "x.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for chosen in ("experiment=x", "latent.dim=2"):
        typed = ("train", "--config-dir", tmp_path / "theirs", chosen)
        refused(*typed, says=(f"--config-dir={path}: ", *says))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        *((f"a: 1\ndefaults: {listed}\n", 2) for listed in ("7", "text", "null", "{loss: mse}")),
        *(
            (f"defaults:\n  - _self_\n  - {entry}\n", 3)
            for entry in (
                "1",
                "null",
                "[a]",
                "{}",
                "{a: 1, b: 2}",
                "{loss: 7}",
                "{loss: {a: b}}",
                "{loss: [1]}",
            )
        ),
        ("\n# @package 3 4\nseed: 1\n", 2),
        ("# @package\nseed: 1\n", 1),
    ],
)
def test_what_hydra_cannot_use_is_refused_where_it_is_chosen(content, line, refused, command, tmp_path):
    """Elsewhere it may be a file of another program."""
    path = tmp_path / "mine" / "experiment" / "x.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    (path.parent / "a.yaml").write_text("defaults:\n  - optional /loss: null\n  - override /noise: [none]\n")
    typed = ("train", "--config-dir", tmp_path / "mine", "--cfg", "job")
    refused(*typed, "experiment=x", says=(f"--config-dir={path}: has ", f"in line {line}"))
    assert command(*typed).code == 0
    assert command("train", "--help", "--config-dir", tmp_path / "mine").code == 0


def test_a_folder_in_place_of_a_file(refused, tmp_path):
    (tmp_path / "theirs" / "loss" / "x.yaml").mkdir(parents=True)
    refused("train", "--config-dir", tmp_path / "theirs", says=("x.yaml", "Is a directory"))


def test_a_pipe_is_not_waited_for(refused, command, tmp_path):
    (tmp_path / "theirs" / "loss").mkdir(parents=True)
    os.mkfifo(tmp_path / "theirs" / "loss" / "x.yaml")
    refused("train", "--config-dir", tmp_path / "theirs", says=("x.yaml", "is not a file"))
    (tmp_path / "theirs" / "loss" / "y.yaml").write_bytes(b"# \xff")
    (tmp_path / "theirs" / "loss" / "z.yaml").symlink_to("/dev/zero")
    assert command("train", "--help", "--config-dir", tmp_path / "theirs").code == 0


def test_a_link_to_another_folder(refused, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.yaml").write_text(HEAD + "data:\n  root: ${oc.env:HOME}\n")
    (tmp_path / "theirs" / "experiment").symlink_to("../elsewhere")
    says = ("theirs/experiment: is a link to a folder", "trust=true")
    refused("train", "--config-dir", tmp_path / "theirs", "experiment=x", says=says)


@pytest.mark.parametrize("form", ["--config-dir", "--config-path", "hydra.searchpath"])
def test_what_is_put_together_reads_no_environment(form, refused, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_PIN", "57")
    path = tmp_path / "theirs"
    shutil.copytree(conf_dir(), path)
    text = "'{oc.env:SECRET_PIN}'" if form == "--config-dir" else "${oc.env:SECRET_PIN}"
    seed = "${oc.decode:${oc.decode:'$${callbacks.early_stopping.monitor}'}}"
    (path / "experiment" / "x.yaml").write_text(
        f'{HEAD}callbacks:\n  early_stopping:\n    monitor: {text}\nseed: "{seed}"\n'
    )
    named = [f"{form}=[file://{path}]"] if form == "hydra.searchpath" else [form, path]
    refused("train", *named, "experiment=x", says=("looks up the environment's SECRET_PIN", "trust=true"))


def test_what_is_innocent(command, tmp_path):
    """Aliases, references to other keys, and what is trusted."""
    path = tmp_path / "mine" / "experiment" / "x.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(HEAD + "architecture:\n  hidden: &sizes [8]\nlatent:\n  dim: ${data.batch_size}\n")
    said = command("train", "--config-dir", tmp_path / "mine", "experiment=x", "--cfg", "job", "--resolve")
    assert (said.code, "dim: 32" in said.out) == (0, True)
    path.write_text(HEAD + "data:\n  batch_size: ${oc.decode:${oc.env:OMP_NUM_THREADS,7}}\n")
    assert (
        command("train", "trust=true", "--config-dir", tmp_path / "mine", "experiment=x", "--cfg", "job").code
        == 0
    )
