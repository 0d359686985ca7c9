"""What is recorded of a person's own repository, in each of the forms that git gives it."""

from __future__ import annotations

import errno
import subprocess

import pytest

from isthmus.runs.comparison.provenance_diff import changed_files
from isthmus.runs.folder.git import LONGEST_DIFF, repository

IDENTITY = ("-c", "user.name=me", "-c", "user.email=me@here", "-c", "commit.gpgsign=false")
LIKES = """
    color.ui=always color.diff=always core.abbrev=40 core.quotePath=false diff.noprefix=true
    diff.mnemonicPrefix=true diff.context=9 diff.interHunkContext=9 diff.renames=false
    diff.submodule=log diff.algorithm=patience diff.colorMoved=zebra
    diff.suppressBlankEmpty=true diff.wordRegex=. diff.relative=true
    diff.ignoreSubmodules=all diff.wsErrorHighlight=all diff.external=false
    diff.dirstat=lines diff.statNameWidth=1 diff.indentHeuristic=false core.pager=false
    status.showUntrackedFiles=no status.relativePaths=true log.showSignature=true
    core.fsmonitor=true core.untrackedCache=true
"""
CLEAN = {"dirty": False, "untracked": [], "diff": "", "diff_cut": False}


@pytest.fixture(autouse=True)
def person(tmp_path, monkeypatch):
    """The person's own configuration, an empty file; not that of whoever runs the tests."""
    path = tmp_path / "gitconfig"
    path.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return path


def run(folder, *arguments):
    done = ("git", "-C", str(folder), *IDENTITY, *arguments)
    return subprocess.run(done, check=True, capture_output=True, text=True).stdout.strip()


def make(folder, *options):
    """A repository with two committed files and a folder."""
    run(folder.parent, "init", "--quiet", *options, str(folder))
    (folder / "inner").mkdir()
    for name in ("a.py", "b.py", "inner/c.py"):
        (folder / name).write_text("one\n")
    run(folder, "add", ".")
    run(folder, "commit", "--quiet", "-m", "first")
    return folder


@pytest.fixture
def mine(tmp_path):
    return make(tmp_path / "mine")


def test_a_repository_is_its_commit_and_what_was_not_committed(mine):
    commit = run(mine, "rev-parse", "HEAD")
    assert repository(mine) == {"commit": commit, **CLEAN}
    (mine / "a.py").write_text("two\n")
    (mine / "new.py").write_text("new\n")
    dirty = repository(mine)
    assert (dirty["commit"], dirty["dirty"], dirty["untracked"]) == (commit, True, ["new.py"])
    assert "+two" in dirty["diff"]
    assert list(changed_files(dirty["diff"])) == ["a.py"]
    assert repository(mine / "inner") == {**dirty, "untracked": []}  # those below the folder


def test_it_is_the_diff_that_git_shows(mine):
    (mine / "a.py").write_text("one\r\ntwo ä\n")
    run(mine, "mv", "b.py", "naïve name.py")
    (mine / "inner" / "c.py").unlink()
    (mine / "staged.py").write_text("staged\n")
    run(mine, "add", "staged.py")
    (mine / "staged.py").chmod(0o755)
    assert repository(mine)["diff"] == run(mine, "diff", "HEAD")


def test_no_repository_is_none(tmp_path, mine):
    assert repository(tmp_path) is None
    run(tmp_path, "init", "unborn")
    assert repository(tmp_path / "unborn") is None
    (mine / ".gitignore").write_text("venv\n")
    (mine / "venv").mkdir()
    assert repository(mine / "venv") is None  # packages in it are not of this repository


def worktree(mine):
    run(mine, "worktree", "add", "../other")
    return mine.parent / "other"


def submodule(mine):
    outer = make(mine.parent / "outer")
    run(outer, "-c", "protocol.file.allow=always", "submodule", "add", str(mine), "sub")
    return outer / "sub"


def worktree_of_submodule(mine):
    return worktree(submodule(mine))


def sparse(mine):
    run(mine, "sparse-checkout", "set", "--cone", "--sparse-index", "none")
    assert not (mine / "inner").exists()
    return mine


def split_index(mine):
    run(mine, "update-index", "--split-index")
    return mine


def windows(mine):
    run(mine, "config", "core.autocrlf", "true")
    (mine / "a.py").write_text("one\r\n")
    return mine


def without_modes(mine):
    run(mine, "config", "core.fileMode", "false")
    (mine / "a.py").chmod(0o755)
    return mine


def excluded(mine):
    (mine / ".git" / "info" / "exclude").write_text("notes.txt\n")
    (mine / "notes.txt").write_text("mine\n")
    return mine


def touched(mine):
    (mine / "a.py").write_text("one\n")
    return mine


def packed(mine):
    run(mine, "gc", "--quiet")
    return mine


def sha256(mine):
    return make(mine.parent / "long", "--object-format=sha256")


@pytest.mark.parametrize(
    "kind",
    [
        *(worktree, submodule, worktree_of_submodule, sparse, split_index, windows, without_modes),
        *(excluded, touched, packed, sha256),
    ],
)
def test_kinds_of_repositories(kind, mine):
    home = kind(mine)
    clean = {"commit": run(home, "rev-parse", "HEAD"), **CLEAN}
    assert repository(home) == clean
    (home / "b.py").write_text("two\n")
    found = repository(home)
    assert list(changed_files(found["diff"])) == ["b.py"]
    assert "left_out" not in found


def test_a_commit_of_a_submodule_is_a_change(mine):
    sub = submodule(mine)
    run(sub.parent, "commit", "--quiet", "-m", "sub")
    (sub / "a.py").write_text("two\n")
    assert repository(sub.parent)["diff"] == ""  # it is another repository
    run(sub, "commit", "--quiet", "--all", "-m", "second")
    assert f"+Subproject commit {run(sub, 'rev-parse', 'HEAD')}" in repository(sub.parent)["diff"]


def test_a_hook_is_no_other_repository(mine, tmp_path, monkeypatch):
    """In hooks git sets variables that make every git command use the hook's repository."""
    other = make(tmp_path / "other")
    run(other, "commit", "--quiet", "--allow-empty", "-m", "second")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    found = repository(mine)
    monkeypatch.undo()
    assert found["commit"] == run(mine, "rev-parse", "HEAD")


def test_the_persons_own_filters_apply(mine, person):
    person.write_text('[filter "mine"]\n\tclean = tr a-z A-Z\n\trequired = true\n')
    (mine / ".gitattributes").write_text("*.py filter=mine\n")
    (mine / "a.py").write_text("two\n")
    assert "+TWO" in repository(mine)["diff"]


@pytest.mark.parametrize("variable", [False, True])
def test_how_a_person_likes_diffs_does_not_change_the_record(variable, mine, person, monkeypatch):
    (mine / "a.py").write_text("\n".join(map(str, range(20))))
    (mine / "ä.py").write_text("new")
    run(mine, "add", ".")
    run(mine, "commit", "--quiet", "-m", "second")
    run(mine, "mv", "b.py", "moved.py")
    (mine / "ä.py").write_text("newer")
    (mine / "a.py").write_text("\n".join(map(str, [*range(5), "", *range(6, 20)])))
    plain = repository(mine)
    assert list(changed_files(plain["diff"])) == ["a.py", "moved.py", "\\303\\244.py"]
    likes = dict(word.split("=") for word in LIKES.split()) | {"diff.orderFile": str(person)}
    if variable:
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(likes)))
        for number, (name, value) in enumerate(likes.items()):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
        monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=9")
        monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    else:
        for name, value in likes.items():
            run(mine, "config", "--global", name, value)
    assert repository(mine) == plain


@pytest.mark.parametrize("much", [b"a line of text\n" * 1_000_000, b"x" * 40_000_000])
def test_a_long_diff_is_cut(much, mine):
    (mine / "b.py").write_bytes(much)
    found = repository(mine)
    assert len(found["diff"]) <= LONGEST_DIFF
    assert found["diff_cut"] == (len(much) < 32 << 20)  # larger files are compared by their hashes
    assert list(changed_files(found["diff"])) == ["b.py"]


def test_without_room_for_a_temporary_folder_the_commit_is_recorded(mine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    found = repository(mine)
    assert found["commit"] == run(mine, "rev-parse", "HEAD")
    assert (found["dirty"], found["diff"]) == (None, "")
    assert found["left_out"] == "they cannot be read: No such file or directory"


def test_a_temporary_folder_that_cannot_be_removed_loses_nothing(mine, tmp_path, monkeypatch):
    whole = repository(mine)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def refuse(path, *, dir_fd=None):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.unlink", refuse)
    assert repository(mine) == whole
