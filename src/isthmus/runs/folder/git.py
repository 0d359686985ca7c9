"""Read the commit and the uncommitted changes of a git repository, which may be untrusted.

A repository's own configuration can name programs for git to run and outside files for it to read. So only
the commit and the settings are read from the repository directly. Everything else is read through a temporary
git directory with the repository's commit, index and objects, and only those of its settings that are in
`KEPT`. The user's own configuration, such as Git LFS filters, still applies.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

LONGEST_DIFF = 1_000_000  # characters
LONGEST_LIST = 10_000_000  # characters of file names; an index of 1 MB can expand to gigabytes
SECONDS = 60  # for all git commands; git would block forever on a named pipe
KEPT = (  # settings that affect the comparison of files with the commit
    *("core.autocrlf", "core.checkstat", "core.eol", "core.filemode", "core.ignorecase"),
    *("core.precomposeunicode", "core.sparsecheckout", "core.sparsecheckoutcone", "core.symlinks"),
    "core.trustctime",
)
FIXED = (
    "core.fsmonitor=false",
    "core.bigFileThreshold=32m",  # larger files are compared by their hashes
    *("core.abbrev=auto", "core.quotePath=true", "diff.suppressBlankEmpty=false"),  # same text everywhere
)
# GIT_ variables to keep. Others select a repository, as in hooks, or change the text of a diff.
PERSONAL = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
OFFLINE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}


class _LeftOut(Exception):
    """The reason why changes are not recorded."""


class _Git(NamedTuple):
    """Git, run at the top of a work tree until a deadline."""

    top: Path
    deadline: float
    settings: tuple[str, ...] = FIXED
    environment: Mapping[str, str] = {}

    def __call__(self, *arguments: str, folder: Path | None = None, most: int = -1) -> str:
        """The output of a command, truncated to `most` characters.

        Raises:
            subprocess.CalledProcessError: if it fails or exceeds the deadline.
        """
        settings = [part for setting in self.settings for part in ("-c", setting)]
        personal = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith(PERSONAL)}
        with subprocess.Popen(
            ["git", "-C", str(folder or self.top), *settings, *arguments],
            env={**personal, **OFFLINE, "GIT_WORK_TREE": str(self.top), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            timer = threading.Timer(max(0, self.deadline - time.monotonic()), process.kill)
            timer.start()
            try:
                said = process.stdout.read(most)
                if len(said) != most and process.wait():
                    raise subprocess.CalledProcessError(process.returncode, process.args)
            finally:
                timer.cancel()
                process.kill()
        return said


class _Place(NamedTuple):
    """The locations, commit and settings of a work tree.

    Attributes:
        top: the folder that contains ``.git``.
        gitdir: its git directory; for a `git worktree` or a submodule, it is elsewhere.
        common: the git directory shared by all worktrees.
        object_format: ``sha1`` or ``sha256``.
        commit: the commit that is checked out.
        settings: all effective settings, names in lower case.
    """

    top: Path
    gitdir: Path
    common: Path
    object_format: str
    commit: str
    settings: Mapping[str, str | None]


def repository(folder: Path) -> dict[str, Any] | None:
    """Commit and uncommitted changes of the git repository around `folder`.

    Returns:
        None if there is no repository, or it does not track the folder. If changes are not recorded, because
        they may be of files outside the repository or cannot be read, ``left_out`` is the reason.
    """
    folder = folder.resolve()
    top = next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), None)
    if top is None:
        return None
    deadline = time.monotonic() + SECONDS
    try:
        place = _find(_Git(top, deadline))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    try:
        with _without_its_configuration(place, deadline) as git:
            git("ls-files", "--error-unmatch", ".", folder=folder, most=1)
            return {"commit": place.commit, **_changes(place, git, folder)}
    except (ValueError, subprocess.CalledProcessError):
        return None
    except OSError as error:  # such as no disk space for the temporary directory
        return {"commit": place.commit, **_nothing(f"they cannot be read: {error.strerror}")}


def _find(git: _Git) -> _Place:
    said = git("rev-parse", "--absolute-git-dir", "--git-common-dir", "--show-object-format", "HEAD")
    gitdir, common, object_format, commit = said.splitlines()
    pairs = (entry.partition("\n") for entry in git("config", "--list", "-z").split("\0"))
    settings = {name: value if has_value else None for name, has_value, value in pairs}
    top = git.top
    return _Place(top, Path(gitdir).resolve(), (top / common).resolve(), object_format, commit, settings)


@contextmanager
def _without_its_configuration(place: _Place, deadline: float) -> Iterator[_Git]:
    """Git for the same work tree, index and objects, with a temporary git directory."""
    kept = ((name, place.settings[name]) for name in KEPT if name in place.settings)
    settings = tuple(name if value is None else f"{name}={value}" for name, value in kept)
    with tempfile.TemporaryDirectory(prefix="isthmus-git-", ignore_cleanup_errors=True) as name:
        own = Path(name)
        (own / "refs").mkdir()
        (own / "HEAD").write_text(f"{place.commit}\n")
        (own / "config").write_text(
            f"[core]\nrepositoryFormatVersion = 1\n[extensions]\nobjectFormat = {place.object_format}\n"
        )
        (own / "info").symlink_to(place.common / "info")  # ignore patterns, attributes
        for shared in place.gitdir.glob("sharedindex.*"):
            (own / shared.name).symlink_to(shared)
        environment = {
            "GIT_DIR": name,
            "GIT_INDEX_FILE": str(place.gitdir / "index"),
            "GIT_OBJECT_DIRECTORY": str(place.common / "objects"),
        }
        yield _Git(place.top, deadline, (*settings, *FIXED), environment)


def _changes(place: _Place, git: _Git, folder: Path) -> dict[str, Any]:
    """Changes since the commit, and untracked files below `folder`."""
    try:
        _check(place, git)
        others = _names(git, "--others", "--exclude-standard", "--full-name", folder=folder)
        untracked = others.strip().splitlines()
        # Unlike diff, diff-index ignores settings that change the format of a diff.
        how = ("-p", "-M", "--no-color", "--no-ext-diff", "--no-textconv")
        submodules = ("--submodule=short", "--ignore-submodules=dirty")  # otherwise git runs inside them
        diff = git("diff-index", *how, *submodules, "HEAD", "--", most=LONGEST_DIFF + 2).strip()
    except subprocess.CalledProcessError:
        late = time.monotonic() >= git.deadline
        return _nothing(f"git takes longer than {SECONDS} s" if late else "git cannot read them")
    except _LeftOut as why:
        return _nothing(str(why))
    return {
        "dirty": bool(diff or untracked),
        "untracked": untracked,
        "diff": diff[:LONGEST_DIFF],
        "diff_cut": len(diff) > LONGEST_DIFF,
    }


def _nothing(why: str) -> dict[str, Any]:
    return {"dirty": None, "untracked": [], "diff": "", "diff_cut": False, "left_out": why}


def _check(place: _Place, git: _Git) -> None:
    """Refuse a repository that could expose files or commits of another folder or repository.

    Raises:
        _LeftOut: with the reason.
    """
    top, gitdir, common = place.top, place.gitdir, place.common
    linked = common != gitdir  # a `git worktree`
    worktree = None if linked else place.settings.get("core.worktree")
    if worktree is not None and (gitdir / worktree).resolve() != top:
        raise _LeftOut("core.worktree names another folder")
    if linked and (common != gitdir.parent.parent or _names_file(gitdir / "gitdir") != top / ".git"):
        raise _LeftOut("its git directory is of another worktree")
    if not linked and worktree is None and not gitdir.is_relative_to(top):
        raise _LeftOut("its git directory is in another folder")
    objects = common / "objects"
    if objects.is_symlink() or _shares(objects):
        raise _LeftOut("it has objects of another repository")
    names = _names(git, "-z").split("\0")
    if any(name.startswith("/") or ".." in name.split("/") for name in names):
        raise _LeftOut("its index names files of another folder")


def _names(git: _Git, *arguments: str, folder: Path | None = None) -> str:
    said = git("ls-files", *arguments, folder=folder, most=LONGEST_LIST)
    if len(said) == LONGEST_LIST:
        raise _LeftOut("it has too many files")
    return said


def _names_file(pointer: Path) -> Path | None:
    """The path stored in a small file, resolved against the file's folder; None if there is no file."""
    if not pointer.is_file():
        return None
    with pointer.open(encoding="utf-8", errors="replace") as file:
        return (pointer.parent / file.read(10_000).rstrip("\n")).resolve()


def _shares(objects: Path) -> bool:
    """Whether an object folder refers to objects elsewhere, through symbolic links or alternates."""
    waiting = [str(objects)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink() or entry.name == "alternates":
                    return True
                if entry.is_dir():
                    waiting.append(entry.path)
    return False
