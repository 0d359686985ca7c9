"""Which classes a config may name: those of isthmus, torch's optimizers, and what the person allows.

Naming a class makes it run, and importing the module that it is said to be in runs that. So names are judged
as text first, and what they lead to before it is called. Imports no torch.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Iterator
from typing import Any

from isthmus.common.errors import BadInput

TRUST = "ISTHMUS_TRUST"  # environment, so that workers and the jobs of a sweep inherit it: 1 runs anything
ALLOW = "ISTHMUS_ALLOW"  # environment: packages or modules whose classes may be named, between commas

# group -> where its parts are
HOMES = {
    "data": "isthmus.data",
    "architecture": "isthmus.core.architectures",
    "latent": "isthmus.core.latents",
    "loss": "isthmus.core.losses",
    "regularizer": "isthmus.core.regularizers",
    "objective": "isthmus.core.objectives",
    "noise": "isthmus.core.noise",
    "optimizer": "torch.optim",
    "scheduler": "isthmus.training.schedulers",
    "logger": "isthmus.training.loggers",
}
SEVERAL = ("regularizer", "logger")  # groups that hold parts by name, where the others are one part
BUILDERS = ("scheduler", "logger")  # groups whose parts share a method instead of a base class

TARGET = "_target_"
DIRECTIVES = ("_args_", "_partial_", "_recursive_", "_convert_")  # that Hydra would follow as well
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def trusted() -> bool:
    """Whether the person said that what is opened may run code of its own."""
    return os.environ.get(TRUST) == "1"


def allowed() -> tuple[str, ...]:
    """The packages and modules that the person named."""
    return tuple(name for name in os.environ.get(ALLOW, "").replace(" ", "").split(",") if name)


def check_targets(content: Any, key: str = "") -> None:
    """Raise `BadInput` for the first class that must not be named, judged by its name; imports nothing.

    Args:
        content: a config, or what is under `key` of one: plain, references to other keys filled in.
        key: as people type it; "" for the whole config.
    """
    if trusted():
        return
    for found, node in _nodes(content, key):
        for directive in DIRECTIVES:
            if directive in node:
                raise BadInput(
                    _under(found, directive),
                    node[directive],
                    "no part of isthmus takes it, and it changes what is called; leave it out, or add "
                    "trust=true if the config is yours",
                )
        if TARGET in node and node[TARGET] is not None:
            _check_name(found, node[TARGET])


def resolve(key: str, target: str, kind: type | None = None) -> Any:
    """What a target names, which nobody has called yet.

    Args:
        key: of the part, as people type it.
        target: the full name of a class.
        kind: what it must be a subclass of; None where its group shares no base class.

    Raises:
        BadInput: for a name that `check_targets` refuses, one that leads nowhere, or to something else
            than a class of the kind which is defined where its name says.
    """
    if not trusted():
        _check_name(key, target)
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(_under(key, TARGET), target, f"cannot be found ({error})") from error
    if not trusted():
        _check_found(key, target, found, kind)
    return found


def check_nested(content: Any, key: str) -> None:
    """Raise `BadInput` for a class that a part's own keys name and that must not be called; imports them."""
    for found, node in _nodes(content, key):
        if found != key and not trusted() and node.get(TARGET) is not None:
            resolve(found, node[TARGET])


def _check_name(key: str, target: Any) -> None:
    if not isinstance(target, str) or not DOTTED.fullmatch(target):
        raise BadInput(_under(key, TARGET), target, "must be the full name of a class: package.module.Class")
    home = _home(key)
    if any(_inside(target, package) for package in (*allowed(), *([home] if home else []))):
        return
    package = target.partition(".")[0]
    yours = f"add trust=true or set {ALLOW}={package}"
    if package == "isthmus":
        yours = "add trust=true"
    raise BadInput(
        _under(key, TARGET),
        target,
        "is not one of isthmus' parts for this place, and running what a config names can run anyone's code; "
        f"if it is yours, {yours}",
    )


def _check_found(key: str, target: str, found: Any, kind: type | None) -> None:
    if not inspect.isclass(found):
        raise BadInput(_under(key, TARGET), target, "is not a class; trust=true lets a config call it")
    own = f"{found.__module__}.{found.__qualname__}"
    home = _home(key)
    # there, a class may be named where it is imported to: torch.optim.Adam is torch.optim.adam.Adam
    packages = [*allowed(), *([home] if home == "torch.optim" else [])]
    shortened = found.__name__ == target.rpartition(".")[2] and any(
        _inside(target, package) and _inside(own, package) for package in packages
    )
    if own != target and not shortened:
        raise BadInput(_under(key, TARGET), target, f"is another name for {own}; give the class's own name")
    if kind is not None and not issubclass(found, kind):
        raise BadInput(_under(key, TARGET), target, f"is not a {kind.__name__}")
    group = key.partition(".")[0]
    if group in BUILDERS and _is_part(key) and not callable(getattr(found, "build", None)):
        raise BadInput(_under(key, TARGET), target, f"is not a {group}: it has no method build")


def _home(key: str) -> str | None:
    """Where the part at `key` is looked for; None where isthmus has no part, such as inside of one."""
    return HOMES[key.partition(".")[0]] if _is_part(key) else None


def _is_part(key: str) -> bool:
    group, _, name = key.partition(".")
    return group in HOMES and bool(name) == (group in SEVERAL) and not set(".[") & set(name)


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _nodes(content: Any, key: str) -> Iterator[tuple[str, dict[Any, Any]]]:
    """All mappings in `content`, at any depth, each with its key; the outermost first."""
    if isinstance(content, dict):
        yield key, content
        for name, value in content.items():
            yield from _nodes(value, _under(key, str(name)))
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from _nodes(value, f"{key}[{place}]")


def _under(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
