"""The text files of a run folder: nothing in them is looked up, called or unfolded beyond the limits."""

from __future__ import annotations

import os
import shutil

import pytest
from omegaconf import OmegaConf

from isthmus.common.csv_rows import read_rows
from isthmus.common.errors import BadInput
from isthmus.runs.folder import untrusted
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.folder.untrusted import check_inside, read_config, read_json

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join(f'*{before}' for _ in range(9))}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)

YAML = {
    "billion laughs": (LAUGHS, "anchors or aliases"),
    "an alias": ("a: &a {x: 1}\nb: *a\n", "anchors or aliases"),
    "an anchor": ("a: &a 1\n", "anchors or aliases"),
    "a merge key": ("a: &a {x: 1}\nb:\n  <<: *a\n", "anchors or aliases"),
    "python/object/apply": (
        "seed: !!python/object/apply:os.system ['touch canary']\n",
        "python/object/apply",
    ),
    "python/object/new": ("seed: !!python/object/new:os.system ['touch canary']\n", "python/object/new"),
    "python/name": ("seed: !!python/name:os.system\n", "python/name"),
    "python/module": ("seed: !!python/module:evil_parts\n", "python/module"),
    "a path object": ("seed: !!python/object/apply:pathlib.PosixPath [/etc]\n", "pathlib.PosixPath"),
    "a local tag": ("seed: !evil 1\n", "tag !evil"),
    "a binary": ("seed: !!binary aGk=\n", "binary"),
    "the environment": ("seed: ${oc.env:HOME}\n", "${oc.env:HOME}"),
    "another key": ("seed: ${data.batch_size}\n", "${data.batch_size}"),
    "a reference in a list": ("a: [1, [x, '${oc.env:HOME}']]\n", "${oc.env:HOME}"),
    "a reference in a key": ("${oc.env:HOME}: 1\n", "${oc.env:HOME}"),
    "an escaped reference": ('a: "\\x24{oc.env:HOME}"\n', "${oc.env:HOME}"),
    "deep brackets": ("a: " + "[" * 5000 + "]" * 5000, "nested more than"),
    "deep braces": ("{a: " * 100 + "1" + "}" * 100, "nested more than"),
    "many values": ("a: [" + "[]," * 250_000 + "]", "more than 200,000 values"),
    "a large file": ("# " + "x" * (4 << 20), "larger than 4 MB"),
    "a list": ("- 1\n", "must hold keys and values"),
    "a number": ("7\n", "cannot be read as YAML"),
    "several documents": ("a: 1\n---\nb: 2\n", "cannot be read as YAML"),
    "a long number": ("seed: 0x" + "f" * 10_000 + "\n", "a number of more than 1,000 digits"),
    "a long number in base 60": ("seed: 1" + ":59" * 1_000_000 + "\n", "a number of more than 1,000 digits"),
    "a key twice": ("a: 1\na: 2\n", "cannot be read as YAML"),
    "no YAML": ("a: [1,\n", "cannot be read as YAML"),
    "a tab": ("a:\n\t- 1\n", "cannot be read as YAML"),
    "no text": (b"\xff\xfe\x00", "is not text"),
    "a control character": ("a: \x1b[2J\n", "cannot be read as YAML"),
}

JSON = {
    "a list": ("[]", "must hold a JSON object"),
    "a number": ("7", "must hold a JSON object"),
    "deep": ("[" * 200_000, "nested too deeply"),
    "deep objects": ('{"a":' * 200_000, "nested too deeply"),
    "deeper than is walked through": ('{"a":' * 101 + "1" + "}" * 101, "nested too deeply"),
    "a long number": ('{"a": ' + "9" * 100_000 + "}", "cannot be read as JSON"),
    "no JSON": ("{", "cannot be read as JSON"),
    "no text": (b"\xff\xfe\x00", "is not text"),
}


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_config(name, run, refused):
    content, says = YAML[name]
    written(run / "config.yaml", content)
    refused("evaluate", run, says=(f"RUN={run / 'config.yaml'}: ", says))


@pytest.mark.parametrize("name", JSON)
def test_hostile_json(name, run, refused):
    content, says = JSON[name]
    written(run / "status.json", content)
    refused("evaluate", run, says=(f"RUN={run / 'status.json'}: ", says))


def test_large_json(tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "MOST_JSON", 1 << 20)
    written(tmp_path / "x.json", '{"a": "' + "x" * (1 << 20) + '"}')
    with pytest.raises(BadInput, match="larger than 1 MB"):
        read_json(tmp_path / "x.json")


def test_a_config_that_is_no_file(run, refused):
    (run / "config.yaml").unlink()
    (run / "config.yaml").symlink_to("/dev/zero")
    refused("evaluate", run, says=(f"RUN={run}: ", "config"))


@pytest.mark.parametrize("read", [read_config, read_json])
def test_a_file_that_is_not_there(read, tmp_path):
    with pytest.raises(BadInput, match="there is no such file"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LAUGHS, "anchors or aliases"),
        ("- &a {x: 1}\n- <<: *a\n", "anchors or aliases"),
        ("- !!python/object/apply:os.system ['touch canary']\n", "python/object/apply"),
        ("[" * 100_000, "nested more than"),
        ("- [\n", "cannot be read as YAML"),
        (b"\xff", "is not text"),
    ],
)
@pytest.mark.parametrize("verb", ["show", "reproduce"])
def test_hostile_overrides(verb, content, says, run, refused):
    written(run / "overrides.yaml", content)
    refused(verb, run, says=(f"RUN={run / 'overrides.yaml'}: ", says))


def test_what_was_typed_may_refer_to_other_keys(run):
    (run / "overrides.yaml").write_text("- latent.dim=${seed}\n- 3\n")
    assert untrusted.read_strings(run / "overrides.yaml") == ["latent.dim=${seed}"]


def long_line(path):
    path.write_text("train/loss,step\n" + "1" * (2 << 20))


def huge(path):
    with path.open("wb") as file:
        file.truncate(6 << 30)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def surplus(path):
    path.write_text("train/loss,step\n1,2,3\n")


def lack(path):
    path.write_text("train/loss,step\n1\n")


ROWS = {
    long_line: "has a line too long to read",
    huge: "is larger than 1 GB",
    pipe: "is not a file",
    surplus: "has a row with more or fewer cells",
    lack: "has a row with more or fewer cells",
}


@pytest.mark.parametrize("attack", ROWS, ids=lambda attack: attack.__name__)
def test_hostile_metrics(attack, run, command):
    """They are shown as far as they can be, and not compared."""
    attack(run / "metrics.csv")
    (run / "results.json").unlink()
    assert command("show", run).code == 0
    with pytest.raises(ValueError, match=ROWS[attack]):
        list(read_rows(run / "metrics.csv"))


def test_a_process_number_that_cannot_be(run, command):
    content = read_json(run / "status.json")
    RunFolder.write_json(
        run / "status.json",
        {**content, "status": "running", "pid": 1 << 70, "host": os.uname().nodename, "format": "x"},
    )
    assert "killed" in command("show", run).out


def test_a_secret_is_not_looked_up(run, command, change, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    (run / "config.yaml").write_text((run / "config.yaml").read_text() + "extra: ${oc.env:SECRET}\n")
    said = command("evaluate", run)
    assert said.code == 2
    assert "hunter2" not in said.out + said.err


def test_what_is_said_cannot_steer_the_terminal(run, command, change):
    change("loss._target_", "evil\x1b]0;title\x07\nisthmus: all is well")
    said = command("evaluate", run)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert "\\x1b]0;title\\x07" in said.err
    assert said.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "place", ["checkpoints", "latents", "metrics.csv", "status.json", "figures/new", ".lock"]
)
@pytest.mark.parametrize("target", ["outside", "missing", "itself"])
def test_links_that_lead_out(place, target, run, tmp_path):
    link = run / place
    if link.is_dir():
        link.rename(tmp_path / "moved")
    link.unlink(missing_ok=True)
    (tmp_path / "outside").mkdir()
    to = {"outside": tmp_path / "outside", "missing": tmp_path / "x" / "y", "itself": link}
    link.symlink_to(to[target])
    with pytest.raises(BadInput, match="link that leads out of the run folder") as caught:
        check_inside(run)
    assert caught.value.value == link


def test_a_pipe_that_would_be_waited_for(run):
    os.mkfifo(run / "figures" / "pipe")
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        check_inside(run)


def test_links_within_the_folder_are_let_be(run, tmp_path):
    (run / "wandb").mkdir()
    (run / "wandb" / "run-1").mkdir()
    (run / "wandb" / "latest-run").symlink_to("run-1")
    check_inside(run)
    (tmp_path / "link").symlink_to(run)
    check_inside(tmp_path / "link")


def test_what_isthmus_writes_is_read(run):
    cfg = read_config(run / "config.yaml")
    assert cfg == OmegaConf.load(run / "config.yaml")
    assert read_json(run / "status.json")["status"] == "done"


@pytest.mark.parametrize(
    "name", ["results.json", "metrics.csv", "events.out.tfevents.1", "latents/x.safetensors"]
)
def test_a_folder_in_place_of_a_file(name, run):
    """Training would write there, after everything else in the folder has changed."""
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir(parents=True)
    with pytest.raises(BadInput, match=f"{name}: is a folder"):
        check_inside(run)


@pytest.mark.parametrize("name", ["checkpoints", "latents", "figures", "projector"])
def test_a_file_in_place_of_a_folder(name, run):
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).touch()
    with pytest.raises(BadInput, match=f"{name}: is a file"):
        check_inside(run)
