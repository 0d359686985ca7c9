"""A stranger's git repository runs no program, shows no file from outside of it, and does not hang."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import struct
import subprocess

import pytest

from isthmus.runs.folder import git
from isthmus.runs.folder.git import repository

IDENTITY = ("-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false")
SECRET = "password-of-the-person"


def run(folder, *arguments, **options):
    done = ("git", "-C", str(folder), *IDENTITY, *arguments)
    return subprocess.run(
        done, check=True, capture_output=True, text=True, timeout=60, **options
    ).stdout.strip()


def make(folder):
    run(folder.parent, "init", "--quiet", str(folder))
    (folder / "folder").mkdir()
    for name in ("file.txt", "folder/inner.txt"):
        (folder / name).write_text("one\n")
    (folder / ".gitattributes").write_text("*.txt filter=theirs diff=theirs\n")
    run(folder, "add", ".")
    run(folder, "commit", "--quiet", "-m", "first")
    return folder


@pytest.fixture(autouse=True)
def person(tmp_path, monkeypatch):
    """The person's own configuration, an empty file."""
    path = tmp_path / "gitconfig"
    path.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return path


@pytest.fixture
def theirs(tmp_path):
    """A repository with an uncommitted change and a submodule that has one too."""
    home = make(tmp_path / "theirs")
    make(home / "sub")
    run(home, "add", "sub")
    run(home, "commit", "--quiet", "-m", "second")
    (home / "sub" / "file.txt").write_text("two\n")
    run(home / "sub", "commit", "--quiet", "--all", "-m", "second")
    for folder in (home, home / "sub"):
        (folder / "file.txt").write_text("three\n")
    return home


@pytest.fixture
def private(tmp_path):
    """A repository of the person's own, beside it, and a file."""
    (tmp_path / "secret").write_text(SECRET)
    home = make(tmp_path / "private")
    (home / "file.txt").write_text(SECRET)
    run(home, "commit", "--quiet", "--all", "-m", "second")
    return home


@pytest.fixture
def program(tmp_path, canary):
    """A program that makes the canary, under the names of hooks too."""
    folder = tmp_path / "programs"
    folder.mkdir()
    path = folder / "program"
    path.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    path.chmod(0o755)
    for hook in ("post-index-change", "reference-transaction", "pre-auto-gc", "post-checkout"):
        (folder / hook).symlink_to(path)
    return path


SETTINGS = [
    *("core.fsmonitor={program}", "core.hooksPath={folder}", "core.alternateRefsCommand={program}"),
    *("core.pager={program}", "pager.diff={program}", "pager.diff-index={program}", "pager.ls-files=true"),
    *("core.editor={program}", "core.askPass={program}", "core.sshCommand={program}"),
    *("alias.diff-index=!{program}", "alias.rev-parse=!{program}", "alias.config=!{program}"),
    *("diff.external={program}", "diff.submodule=diff", "diff.submodule=log", "diff.tool=theirs"),
    *("diff.theirs.command={program}", "diff.theirs.textconv={program}", "difftool.theirs.cmd={program}"),
    *("filter.theirs.clean={program}", "filter.theirs.smudge={program}", "filter.theirs.process={program}"),
    *("gpg.program={program}", "credential.helper=!{program}", "interactive.diffFilter={program}"),
    *("uploadpack.packObjectsHook={program}", "submodule.sub.update=!{program}", "submodule.sub.ignore=none"),
    *("trace2.eventTarget={canary}", "trace2.normalTarget={canary}", "trace2.perfTarget={canary}"),
    *("lfs.extension.theirs.clean={program}", "lfs.standaloneTransferAgent=theirs"),
    *("core.attributesFile={folder}/attributes", "include.path={folder}/included"),
    *(
        "includeIf.gitdir:**.path={folder}/included",
        "core.gitProxy={program}",
        "status.submoduleSummary=true",
    ),
]
ALL = "all of them"


@pytest.mark.parametrize("setting", [*SETTINGS, ALL])
@pytest.mark.parametrize("where", [".git/config", ".git/config.worktree"])
def test_none_of_its_programs_runs(setting, where, theirs, program, canary):
    """git runs what a repository's own config names; the changes are recorded all the same."""
    included = f'[filter "theirs"]\n\tclean = {program}\n\trequired\n[diff]\n\texternal = {program}\n'
    (program.parent / "included").write_text(included)
    (program.parent / "attributes").write_text("* filter=theirs diff=theirs\n")
    run(theirs, "config", "extensions.worktreeConfig", "true")
    named = {"program": program, "folder": program.parent, "canary": canary}
    for name, _, value in (each.partition("=") for each in (SETTINGS if setting is ALL else [setting])):
        for folder in (theirs, theirs / "sub"):
            run(folder, "config", "--file", where, "--add", name, value.format(**named))
    for file in ("config", "config.worktree"):  # of the submodule: what runs where git is run in it
        with (theirs / "sub" / ".git" / file).open("a") as config:
            config.write(included)
    found = repository(theirs)
    assert not canary.exists()
    assert found["dirty"]
    assert "+three" in found["diff"]
    assert "+Subproject commit" in found["diff"]
    assert len(found["commit"]) == 40


@pytest.mark.parametrize("name", ["theirs", "a=b", 'a\\"b', "a.b", "ä b", "\x01"])
def test_a_filter_of_any_name(name, theirs, program, canary):
    with (theirs / ".git" / "config").open("a") as config:
        config.write(f'[filter "{name}"]\n\tclean = {program}\n\trequired\n')
    (theirs / ".gitattributes").write_text(f"*.txt filter={name}\n")
    assert "+three" in repository(theirs)["diff"]
    assert not canary.exists()


@pytest.mark.parametrize(
    "likes", ["diff.submodule=diff", "diff.submodule=log", "status.submoduleSummary=true"]
)
def test_a_person_who_looks_into_submodules(likes, theirs, program, canary, person):
    name, _, value = likes.partition("=")
    run(theirs, "config", "--global", name, value)
    run(theirs / "sub", "config", "diff.external", str(program))
    assert "+Subproject commit" in repository(theirs)["diff"]
    assert not canary.exists()


def test_a_repository_is_not_written_to(theirs):
    before = {path: path.lstat().st_mtime_ns for path in theirs.rglob("*")}
    (theirs / "file.txt").touch()
    before[theirs / "file.txt"] = (theirs / "file.txt").lstat().st_mtime_ns
    repository(theirs)
    assert {path: path.lstat().st_mtime_ns for path in theirs.rglob("*")} == before


def test_what_it_lacks_is_not_fetched(tmp_path, theirs, program, canary):
    """Of a partial clone git fetches what it misses, with a program that the repository names."""
    for name, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": str(theirs),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(program),
    }.items():
        run(theirs, "config", name, value)
    blob = run(theirs, "rev-parse", "HEAD:file.txt")
    (theirs / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    found = repository(theirs)
    assert (found["diff"], found["left_out"]) == ("", "git cannot read them")
    assert found["commit"] == run(theirs, "rev-parse", "HEAD")
    assert not canary.exists()
    program.write_text(program.read_text().replace("cat", "exit 1"))
    subprocess.run(["git", "-C", str(theirs), "diff", "HEAD"], capture_output=True, check=False, timeout=60)
    assert canary.exists(), "git alone runs it"


def write_index(home, *names):
    """An index with these names, which git itself would refuse to add."""
    blob = bytes.fromhex(run(home, "hash-object", "-w", "--stdin", input="none"))
    content = b"DIRC" + struct.pack(">II", 2, len(names))
    for name in sorted(name.encode() for name in names):
        entry = (
            bytes(24) + struct.pack(">I", 0o100644) + bytes(12) + blob + struct.pack(">H", len(name)) + name
        )
        content += entry + bytes(8 - len(entry) % 8)
    (home / ".git" / "index").write_bytes(content + hashlib.sha1(content).digest())


def points_elsewhere(home, private):
    run(home, "config", "core.worktree", "../..")
    write_index(home, "secret")


def climbs(home, private):
    write_index(home, "file.txt", "folder/../../secret")


def names_a_full_path(home, private):
    write_index(home, "file.txt", str(private.parent / "secret"))


def is_the_persons(home, private):
    shutil.rmtree(home / ".git")
    (home / ".git").write_text(f"gitdir: {private / '.git'}\n")


def is_a_link(home, private):
    shutil.rmtree(home / ".git")
    (home / ".git").symlink_to(private / ".git")


def is_a_worktree_of_the_persons(home, private):
    run(private, "worktree", "add", "../work")
    shutil.rmtree(home / ".git")
    shutil.copy(private.parent / "work" / ".git", home)


def has_its_common_folder_there(home, private):
    (home / ".git" / "commondir").write_text(f"{private / '.git'}\n")
    (home / ".git" / "HEAD").write_text(run(private, "rev-parse", "HEAD") + "\n")


def has_objects_there(home, private):
    (home / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (home / ".git" / "objects" / "info" / "alternates").write_text(f"{private / '.git' / 'objects'}\n")
    (home / ".git" / "HEAD").write_text(run(private, "rev-parse", "HEAD") + "\n")


def has_links_to_objects(home, private):
    shutil.rmtree(home / ".git" / "objects")
    (home / ".git" / "objects").symlink_to(private / ".git" / "objects")
    (home / ".git" / "HEAD").write_text(run(private, "rev-parse", "HEAD") + "\n")


def has_a_link_to_a_pack(home, private):
    run(private, "gc", "--quiet")
    for path in (private / ".git" / "objects" / "pack").iterdir():
        (home / ".git" / "objects" / "pack" / path.name).symlink_to(path)
    (home / ".git" / "HEAD").write_text(run(private, "rev-parse", "HEAD") + "\n")


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (points_elsewhere, "core.worktree names another folder"),
        (climbs, "its index names files of another folder"),
        (names_a_full_path, "its index names files of another folder"),
        (is_the_persons, "its git directory is in another folder"),
        (is_a_link, "its git directory is in another folder"),
        (is_a_worktree_of_the_persons, "its git directory is of another worktree"),
        (has_its_common_folder_there, "its git directory is of another worktree"),
        (has_objects_there, "it has objects of another repository"),
        (has_links_to_objects, "it has objects of another repository"),
        (has_a_link_to_a_pack, "it has objects of another repository"),
    ],
)
def test_files_outside_of_it_are_left_out(attack, why, theirs, private):
    attack(theirs, private)
    found = repository(theirs)
    assert SECRET not in json.dumps(found)
    assert (found["left_out"], found["diff"], found["untracked"]) == (why, "", [])
    assert len(found["commit"]) == 40


def test_of_links_the_name_is_recorded(theirs, private):
    (theirs / "file.txt").unlink()
    (theirs / "file.txt").symlink_to("../secret")
    shutil.rmtree(theirs / "folder")
    (private / "folder" / "inner.txt").write_text(SECRET)
    (theirs / "folder").symlink_to("../private/folder")
    (theirs / "more").symlink_to(private)
    found = repository(theirs)
    assert SECRET not in json.dumps(found)
    assert "+../secret" in found["diff"]
    assert found["untracked"] == ["folder", "more"]


@pytest.mark.parametrize(
    "place",
    [
        *("file.txt", "folder", ".gitattributes", ".gitmodules", ".gitignore", "untracked", "sub/.git"),
        *(".git/index", ".git/HEAD", ".git/config", ".git/info/exclude", ".git/gitdir", ".git/packed-refs"),
        *("link", "include"),
    ],
)
def test_a_named_pipe_does_not_hang_it(place, theirs, monkeypatch):
    monkeypatch.setattr(git, "SECONDS", 1)
    if place == "link":  # to its git directory, with a pipe where that of a worktree is named
        (theirs / ".git" / "commondir").write_text(".\n")
        (theirs / ".git").rename(theirs.parent / "elsewhere")
        (theirs / ".git").write_text("gitdir: ../elsewhere\n")
        os.mkfifo(theirs.parent / "elsewhere" / "gitdir")
    elif place == "include":
        os.mkfifo(theirs / "pipe")
        run(theirs, "config", "include.path", "../pipe")
    else:
        path = theirs / place
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        os.mkfifo(path)
    found = repository(theirs)
    assert found is None or len(found["commit"]) == 40


def test_objects_deep_inside_of_folders(theirs):
    place = theirs / ".git" / "objects"
    for _ in range(600):
        place /= "d"
    os.makedirs(place)
    assert repository(theirs)["commit"] == run(theirs, "rev-parse", "HEAD")


def test_an_index_of_many_long_names_is_not_read_whole(theirs, monkeypatch):
    monkeypatch.setattr(git, "LONGEST_LIST", 10)
    found = repository(theirs)
    assert (found["left_out"], found["untracked"]) == ("it has too many files", [])


def test_a_long_diff_is_not_read_whole(theirs, frugal):
    with (theirs / "file.txt").open("w") as file:
        file.writelines(itertools.repeat("a line of text\n", 2_000_000))
    assert repository(theirs)["diff_cut"]


def test_commands_record_it(command, theirs, private, monkeypatch):
    points_elsewhere(theirs, private)
    monkeypatch.chdir(theirs)
    quick = (
        "trainer=cpu",
        "trainer.max_epochs=1",
        "trainer.threads=1",
        "trainer.progress_bar=none",
        "callbacks.figures.summary=false",
    )
    said = command("train", "data=digits", "logger=csv", *quick, "hydra.run.dir=run")
    assert said.code == 0, said.err
    text = (theirs / "run" / "provenance.json").read_text()
    assert SECRET not in text
    assert json.loads(text)["code"]["working_directory"]["left_out"] == "core.worktree names another folder"
    shown = command("show", "run").out
    assert "changes not recorded: core.worktree names another folder" in shown
