"""Which classes a config may name: those of isthmus, torch's optimizers, and those that the user allows.

Instantiating a class runs its code, and importing its module runs the module. So a name is checked as text
before the import, and the imported object before the call. Imports no torch.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Iterator
from typing import Any

from isthmus.common.dotted_keys import join, walk
from isthmus.common.errors import BadInput

TRUST = "ISTHMUS_TRUST"  # environment variable, inherited by workers and sweep jobs; 1 allows any code
ALLOW = "ISTHMUS_ALLOW"  # environment variable: comma-separated packages or modules whose classes are allowed

# group -> module or package of its parts
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
    "callbacks": "isthmus.training.callbacks",
}
OWN_OPTIMIZERS = "isthmus.training.optimizers"  # beside torch's
SEVERAL = ("regularizer", "logger", "callbacks")  # groups of named parts
BUILDERS = ("scheduler", "logger")  # groups whose parts share a method instead of a base class

TARGET = "_target_"
DIRECTIVES = ("_args_", "_partial_", "_recursive_", "_convert_")  # other keys that Hydra's instantiate obeys
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def trusted() -> bool:
    """Whether the user allows configs to run any code."""
    return os.environ.get(TRUST) == "1"


def allowed() -> tuple[str, ...]:
    """The packages and modules that the user allows."""
    return tuple(name for name in os.environ.get(ALLOW, "").replace(" ", "").split(",") if name)


def check_targets(content: Any, key: str = "") -> None:
    """Raise `BadInput` for the first class whose name is not allowed; imports nothing.

    Args:
        content: a config, or its value at `key`, as plain types with interpolations resolved.
        key: dotted key of `content`; "" for the whole config.
    """
    if trusted():
        return
    for found, node in _nodes(content, key):
        for directive in DIRECTIVES:
            if directive in node:
                raise BadInput(
                    join(found, directive),
                    node[directive],
                    "no part of isthmus takes it, and it changes what is called; leave it out, or add "
                    "trust=true if the config is yours",
                )
        if TARGET in node and node[TARGET] is not None:
            _check_name(found, node[TARGET])


def resolve(key: str, target: str, kind: type | None = None) -> Any:
    """Import and check the class that a target names, without calling it.

    Args:
        key: dotted key of the part.
        target: the full name of a class.
        kind: the required base class; None if its group shares no base class.

    Raises:
        BadInput: for a name that `check_targets` refuses or that cannot be imported, or if the object is not
            a class, is not a subclass of `kind`, or is defined under another name.
    """
    if not trusted():
        _check_name(key, target)
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(join(key, TARGET), target, f"cannot be found ({error})") from error
    if not trusted():
        _check_found(key, target, found, kind)
    return found


def check_nested(content: Any, key: str) -> None:
    """Raise `BadInput` for a class nested in a part's keys that must not be called; imports the classes."""
    for found, node in _nodes(content, key):
        if found != key and not trusted() and node.get(TARGET) is not None:
            resolve(found, node[TARGET])


def _check_name(key: str, target: Any) -> None:
    if not isinstance(target, str) or not DOTTED.fullmatch(target):
        raise BadInput(join(key, TARGET), target, "must be the full name of a class: package.module.Class")
    if any(_inside(target, package) for package in (*allowed(), *_homes(key))):
        return
    package = target.partition(".")[0]
    yours = f"add trust=true or set {ALLOW}={package}"
    if package == "isthmus":
        yours = "add trust=true"
    raise BadInput(
        join(key, TARGET),
        target,
        "is not one of isthmus' parts for this place, and running what a config names can run anyone's code; "
        f"if it is yours, {yours}",
    )


def _check_found(key: str, target: str, found: Any, kind: type | None) -> None:
    if not inspect.isclass(found):
        raise BadInput(join(key, TARGET), target, "is not a class; trust=true lets a config call it")
    own = f"{found.__module__}.{found.__qualname__}"
    # re-exported names are allowed there: torch.optim.Adam is torch.optim.adam.Adam
    packages = [*allowed(), *(home for home in _homes(key) if home == "torch.optim")]
    shortened = found.__name__ == target.rpartition(".")[2] and any(
        _inside(target, package) and _inside(own, package) for package in packages
    )
    if own != target and not shortened:
        raise BadInput(join(key, TARGET), target, f"is another name for {own}; give the class's own name")
    if kind is not None and not issubclass(found, kind):
        raise BadInput(join(key, TARGET), target, f"is not a {kind.__name__}")
    group = key.partition(".")[0]
    if group in BUILDERS and _is_part(key) and not callable(getattr(found, "build", None)):
        raise BadInput(join(key, TARGET), target, f"is not a {group}: it has no method build")


def _homes(key: str) -> tuple[str, ...]:
    """The packages of the part at `key`; none if `key` is not a part, such as a key inside one."""
    home = HOMES[key.partition(".")[0]] if _is_part(key) else None
    return () if home is None else (home, OWN_OPTIMIZERS) if home == "torch.optim" else (home,)


def _is_part(key: str) -> bool:
    group, _, name = key.partition(".")
    return group in HOMES and bool(name) == (group in SEVERAL) and not set(".[") & set(name)


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _nodes(content: Any, key: str) -> Iterator[tuple[str, dict[Any, Any]]]:
    """All mappings in `content`, at any depth, each with its dotted key; outermost first."""
    return ((found, node) for found, node in walk(content, key) if isinstance(node, dict))
