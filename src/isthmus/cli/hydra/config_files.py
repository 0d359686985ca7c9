"""Check the YAML files of a config folder before Hydra reads them. Imports no torch.

A config folder may be untrusted. YAML aliases let a few lines expand beyond the available memory, and
``oc.env`` copies environment variables, which may be secrets, into the files of a run.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isthmus.common.errors import BadInput
from isthmus.common.messages import first_line
from isthmus.runs.config.allowlist import trusted
from isthmus.runs.config.hydra.misread import Loader
from isthmus.runs.folder.untrusted import MOST_VALUES, MOST_YAML

# ${oc.env:NAME}, or a resolver whose name is itself interpolated
RESOLVER = re.compile(r"\$\{\s*(oc\.)?env\s*:|\$\{[^}:]*\$\{.*:", re.DOTALL)


def check_config_files(folder: Path) -> None:
    """Raise `BadInput` for the first file that is invalid YAML, too large, or reads the environment."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and path.is_dir() and not trusted():
            raise BadInput(
                "--config-dir",
                path,
                "is a link to a folder, which may lead anywhere; put the folder itself there, or add "
                "trust=true if the configs are yours",
            )
        if path.suffix != ".yaml":
            continue
        try:
            if path.exists() and not (path.is_file() or path.is_dir()):  # opening a named pipe would block
                raise BadInput("--config-dir", path, "is not a file")
            with path.open("rb") as file:
                content = file.read(MOST_YAML + 1)
            if len(content) > MOST_YAML:
                raise BadInput("--config-dir", path, f"is larger than {MOST_YAML >> 20} MB")
            node = yaml.compose(content, Loader=Loader)
            values = 0 if node is None else _size(node, {})
            if values <= MOST_VALUES:
                if not isinstance(node, yaml.MappingNode | None):
                    kind = "a list" if isinstance(node, yaml.SequenceNode) else "a value"
                    fix = (
                        f"has {kind} in line {node.start_mark.line + 1}, where it must hold keys: KEY: VALUE"
                    )
                    raise BadInput("--config-dir", path, fix)
                OmegaConf.load(io.BytesIO(content))  # also refuses duplicate keys and tags
        except OSError as error:
            raise BadInput("--config-dir", path, f"cannot be read ({error.strerror})") from error
        except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput("--config-dir", path, f"is not valid YAML: {_reason(error, content)}") from error
        if values > MOST_VALUES:
            raise BadInput("--config-dir", path, f"unfolds into more than {MOST_VALUES:,} values")
        if not trusted() and (found := _resolver(node)):
            raise BadInput(
                "--config-dir",
                path,
                f"looks up {found[:80]}, which may copy a secret of this machine into the run; type the "
                "value on the command line, or add trust=true if the configs are yours",
            )


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values in a node with all aliases expanded; aliases of a node are the same object."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES + 1  # while counting: a node that contains itself is infinite
        sizes[id(node)] = 1 + sum(_size(each, sizes) for each in _children(node))
    return sizes[id(node)]


def _resolver(node: yaml.Node | None) -> str | None:
    """The first string that reads the environment, or may do so through a composed resolver name."""
    waiting, seen = [] if node is None else [node], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, yaml.ScalarNode) and RESOLVER.search(each.value):
            return str(each.value)
        waiting += _children(each)
    return None


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _reason(error: Exception, content: bytes) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark else ""
    if isinstance(error, yaml.reader.ReaderError):
        line = content.count(b"\n", 0, error.position) + 1
        return f"{first_line(error)} in line {line}"
    reason = getattr(error, "problem", None) or first_line(error)
    context = getattr(error, "context", None)
    if context and not context.startswith("while"):  # then the problem alone is an incomplete sentence
        reason = f"{context}, {reason}"
    return f"{reason}{where}"
