"""What a run is, as the sentence of the nouns: data, noise, architecture, latent, loss, regularizers.

A config of a third party may have any values, and parts of any class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from isthmus.common.messages import number, printable

TIMES = " \u00d7 "  # between the sides of an image
LONGEST = 60  # characters of a name or a value
NOISES = {
    "none": ("", "with no noise added", ""),
    "gaussian": ("with ", "Gaussian noise of standard deviation {std}", " added"),
    "masking": ("with each value ", "masked with probability {p}", ""),
    "salt_and_pepper": ("with ", "salt-and-pepper noise of probability {p}", ""),
}
ARCHITECTURES = {
    "mlp": "an MLP",
    "linear": "a linear map",
    "conv": "a convolutional network",
    "resnet": "a residual network",
}
LATENTS = {"plain": "plain code", "gaussian": "Gaussian code"}
LOSSES = {
    "mse": "the squared error",
    "bce": "the binary cross-entropy",
    "l1": "the absolute error",
    "huber": "the Huber loss",
    "gaussian": "the Gaussian likelihood",
    "mixed": "the squared error of numbers and the cross-entropy of categories",
}
REGULARIZERS = {"kl": "the KL divergence from the prior", "l1_activity": "the L1 norm of the codes"}
COMMON = ("_target_", "reduction", "output_activation", "dim")


class Words(NamedTuple):
    """A piece of a sentence.

    Attributes:
        text: the piece.
        strong: whether it names a choice.
    """

    text: str
    strong: bool = False


def sentence(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[Words]:
    """The pieces of the sentence.

    Args:
        config: resolved.
        provenance: from which number and shape of the examples are taken; may be empty.
    """
    groups = {name: group if isinstance(group, Mapping) else {} for name, group in config.items()}
    data, noise, architecture, latent, loss, regularizer = (
        groups.get(name, {}) for name in ("data", "noise", "architecture", "latent", "loss", "regularizer")
    )
    facts = provenance.get("data")
    return [
        *_data(data, facts if isinstance(facts, Mapping) else {}),
        Words(", "),
        *_noise(noise),
        Words(", go through the encoder of "),
        Words(_architecture(architecture), True),
        Words(" into "),
        *_latent(latent, facts if isinstance(facts, Mapping) else {}),
        Words(", come back through the decoder, and are judged by "),
        Words(LOSSES.get(choice(loss), f"{choice(loss)}{_parameters(loss)}"), True),
        *_regularizers(regularizer),
        Words("."),
    ]


def choice(group: Mapping[str, Any]) -> str:
    """The name of a choice: of isthmus, the module of its class; else the class."""
    target = str(group.get("_target_") or "none")
    *packages, name = target.split(".")
    own = packages[:1] == ["isthmus"] and len(packages) > 1
    return printable(packages[-1] if own else name, LONGEST)


def regularizers(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The regularizers of a config by name."""
    group = config.get("regularizer")
    own = group.items() if isinstance(group, Mapping) else ()
    return {str(name): each for name, each in own if isinstance(each, Mapping)}


def _data(data: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Words]:
    name, shape, rows = choice(data), _shape(facts), facts.get("rows")
    if path := data.get("path"):
        file = str(path).replace("\\", "/").rstrip("/").rpartition("/")[2].removeprefix("example:")
        name = printable(file, LONGEST)
    if not shape or not isinstance(rows, int):
        yield Words("Examples of ")
        yield Words(name, True)
        return
    size = TIMES.join(map(str, shape[1:] if len(shape) == 3 and shape[0] == 1 else shape))
    what = f"images of {size} pixels" if len(shape) == 3 else f"rows of {size} features"
    yield Words(f"{rows:,} {what} from ")
    yield Words(name, True)


def _noise(noise: Mapping[str, Any]) -> Iterator[Words]:
    before, text, after = NOISES.get(
        choice(noise), ("with ", f"{choice(noise)} noise{_parameters(noise)}", "")
    )
    values = {name: _value(noise.get(name)) for name in ("std", "p")}
    yield Words(before)
    yield Words(text.format_map(values) if choice(noise) in NOISES else text, choice(noise) != "none")
    yield Words(after)


def _latent(latent: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Words]:
    kind = LATENTS.get(choice(latent), f"{choice(latent)} code")
    yield Words(f"{_article(kind)} {kind} of {_value(latent.get('dim'))} numbers", True)
    if shape := _shape(facts):
        yield Words(f" (instead of {math.prod(shape):,})")


def _regularizers(group: Mapping[str, Any]) -> Iterator[Words]:
    own = regularizers({"regularizer": group})
    if not own:
        yield Words(" alone")
    for at, (name, each) in enumerate(own.items()):
        yield Words(" plus " if at == 0 else " and ")
        said = REGULARIZERS.get(name, printable(name, LONGEST))
        yield Words(f"{said} (weight {_value(each.get('weight'))})", True)


def _shape(facts: Mapping[str, Any]) -> list[int]:
    shape = facts.get("shape")
    whole = isinstance(shape, list) and all(isinstance(each, int) and abs(each) < 1 << 40 for each in shape)
    return shape[:8] if whole and isinstance(shape, list) else []


def _architecture(architecture: Mapping[str, Any]) -> str:
    """Its name, and the sizes of the layers where they are a list."""
    name = choice(architecture)
    said = ARCHITECTURES.get(name, f"{_article(name)} {name}")
    for key, what in (("hidden", "hidden width"), ("channels", "channels")):
        widths = architecture.get(key)
        if isinstance(widths, list) and widths:
            many = "s" * (key == "hidden" and len(widths) > 1)
            return f"{said} with {what}{many} {_value(', '.join(map(str, widths)))}"
    return said


def _parameters(group: Mapping[str, Any]) -> str:
    own = [
        f"{printable(name, LONGEST)} {_value(value)}" for name, value in group.items() if name not in COMMON
    ]
    return f" ({', '.join(own[:5])})" if own else ""


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return printable(value, LONGEST)


def _article(name: str) -> str:
    return "an" if name[:1].lower() in "aeiou" else "a"
