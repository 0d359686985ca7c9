"""The commit and the uncommitted changes of a git repository, which may be a stranger's.

A repository's own configuration can name programs for git to run and files elsewhere for it to read. So git
asks the repository only for its commit. Everything else is read through a temporary git directory: it has
the repository's commit, index and objects, and of its configuration the plain settings in `KEPT`. The
person's own configuration, such as Git LFS filters, applies as always.
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
LONGEST_LIST = 10_000_000  # characters of the names of files; an index of 1 MB can stand for gigabytes
SECONDS = 60  # for all of it; git would wait forever for a named pipe
KEPT = (  # how files on this disk compare with what is committed
    *("core.autocrlf", "core.checkstat", "core.eol", "core.filemode", "core.ignorecase"),
    *("core.precomposeunicode", "core.sparsecheckout", "core.sparsecheckoutcone", "core.symlinks"),
    "core.trustctime",
)
FIXED = (
    "core.fsmonitor=false",
    "core.bigFileThreshold=32m",  # larger files are compared by their hashes
    *("core.abbrev=auto", "core.quotePath=true", "diff.suppressBlankEmpty=false"),  # one text everywhere
)
# Other variables point git at a certain repository, as they do in hooks, or change the text of a diff.
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
        """What a command prints; of more than `most` characters the beginning.

        Raises:
            subprocess.CalledProcessError: where it fails or does not end in time.
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
    """Where a repository keeps what belongs to a work tree.

    Attributes:
        top: the folder that holds ``.git``.
        gitdir: its git directory; of a `git worktree`, and of a submodule, it is elsewhere.
        common: the git directory of all worktrees.
        object_format: ``sha1`` or ``sha256``.
        commit: the commit that is checked out.
        settings: all settings in force, names in lower case.
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
        None where there is no repository, or where it does not track the folder. With a key ``left_out``,
        the reason, where changes are not recorded: they might be of files outside of the repository.
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
    except OSError as error:  # such as a disk without room for the temporary directory
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
    """Git for the same work tree, index and objects, with a git directory of our own."""
    kept = ((name, place.settings[name]) for name in KEPT if name in place.settings)
    settings = tuple(name if value is None else f"{name}={value}" for name, value in kept)
    with tempfile.TemporaryDirectory(prefix="isthmus-git-", ignore_cleanup_errors=True) as name:
        own = Path(name)
        (own / "refs").mkdir()
        (own / "HEAD").write_text(f"{place.commit}\n")
        (own / "config").write_text(
            f"[core]\nrepositoryFormatVersion = 1\n[extensions]\nobjectFormat = {place.object_format}\n"
        )
        (own / "info").symlink_to(place.common / "info")  # patterns of ignored files, attributes
        for shared in place.gitdir.glob("sharedindex.*"):
            (own / shared.name).symlink_to(shared)
        environment = {
            "GIT_DIR": name,
            "GIT_INDEX_FILE": str(place.gitdir / "index"),
            "GIT_OBJECT_DIRECTORY": str(place.common / "objects"),
        }
        yield _Git(place.top, deadline, (*settings, *FIXED), environment)


def _changes(place: _Place, git: _Git, folder: Path) -> dict[str, Any]:
    """What differs from the commit; of untracked files those below `folder`."""
    try:
        _check(place, git)
        others = _names(git, "--others", "--exclude-standard", "--full-name", folder=folder)
        untracked = others.strip().splitlines()
        # diff-index, unlike diff, does not obey settings that change how a diff looks.
        how = ("-p", "-M", "--no-color", "--no-ext-diff", "--no-textconv")
        submodules = ("--submodule=short", "--ignore-submodules=dirty")  # else git is run inside of them
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
    """Refuse what could show files, or commits, of another folder or repository.

    Raises:
        _LeftOut: where there is such a thing.
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
    """The path that is in a small file, relative to its folder."""
    if not pointer.is_file():
        return None
    with pointer.open(encoding="utf-8", errors="replace") as file:
        return (pointer.parent / file.read(10_000).rstrip("\n")).resolve()


def _shares(objects: Path) -> bool:
    """Whether a folder of objects has some elsewhere."""
    waiting = [str(objects)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink() or entry.name == "alternates":
                    return True
                if entry.is_dir():
                    waiting.append(entry.path)
    return False
