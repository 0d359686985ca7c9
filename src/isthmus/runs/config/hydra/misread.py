"""Find the YAML file of a config folder that Hydra cannot use. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from isthmus.common.errors import BadInput

TEXT, NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def misread_by_hydra(folders: Sequence[Path]) -> BadInput | None:
    """The error for the first file in checked folders whose defaults or header comment Hydra cannot use.

    Call this only after Hydra failed: unused files may belong to other programs and need not be valid.
    """
    for path in sorted(path for folder in folders for path in folder.rglob("*.yaml")):
        content = path.read_bytes()
        problem = _bad_header(content) or _bad_defaults(yaml.compose(content, Loader=Loader))
        if problem is not None:
            line, reason = problem
            return BadInput("--config-dir", path, f"{reason} in line {line}")
    return None


def _bad_header(content: bytes) -> tuple[int, str] | None:
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if line.strip() and not re.match(r"\s*#\s*@", line):
            break
        if line.strip() and len(line.strip().lstrip("#").split()) != 2:
            return number, f"has {line.strip()!r}, which must be two words, as in '# @package _global_',"
    return None


def _bad_defaults(root: yaml.Node | None) -> tuple[int, str] | None:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    listed = next((value for key, value in pairs if key.value == "defaults"), None)
    if listed is None:
        return None
    if not isinstance(listed, yaml.SequenceNode):
        return listed.start_mark.line + 1, "has defaults that are not a list"
    for entry in listed.value:
        if not _is_default(entry):
            reason = "has among its defaults what is neither CHOICE nor GROUP: CHOICE"
            return entry.start_mark.line + 1, reason
    return None


def _is_default(entry: yaml.Node) -> bool:
    if not isinstance(entry, yaml.MappingNode):
        return bool(entry.tag == TEXT)
    values = [value for _, value in entry.value]
    if len(values) != 1:
        return False
    (value,) = values
    chosen = value.value if isinstance(value, yaml.SequenceNode) else [value]
    return value.tag == NULL or all(choice.tag == TEXT for choice in chosen)
