"""Every architecture on every shape it takes, and the refusals of what it does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.common.errors import BadInput
from isthmus.core.architectures.base import features
from isthmus.core.architectures.conv import Conv
from isthmus.core.architectures.layers import ACTIVATIONS, normalization_2d
from isthmus.core.architectures.linear import Linear
from isthmus.core.architectures.mlp import MLP
from isthmus.core.architectures.resnet import ResidualBlock, ResNet


def mlp(hidden=(16, 8), activation="relu", normalization="none", dropout=0.0):
    return MLP(hidden=hidden, activation=activation, normalization=normalization, dropout=dropout)


def conv(channels=(4, 6), activation="relu", normalization="none"):
    return Conv(channels=channels, activation=activation, normalization=normalization)


def resnet(channels=(4, 6), blocks=1, activation="silu", normalization="none"):
    return ResNet(channels=channels, blocks=blocks, activation=activation, normalization=normalization)


VARIANTS = {
    "linear": Linear,
    "mlp": mlp,
    "mlp-one-layer": lambda: mlp(hidden=[5]),
    "mlp-batch-dropout": lambda: mlp(normalization="batch", dropout=0.5),
    "mlp-layer": lambda: mlp(normalization="layer"),
    "conv": conv,
    "conv-one-stage": lambda: conv(channels=[3]),
    "conv-five-stages": lambda: conv(channels=[2, 3, 4, 5, 6]),
    "conv-batch": lambda: conv(normalization="batch"),
    "conv-group": lambda: conv(channels=[16, 24], normalization="group"),
    "resnet": resnet,
    "resnet-one-stage": lambda: resnet(channels=[3], blocks=2),
    "resnet-four-stages": lambda: resnet(channels=[2, 3, 4, 5]),
    "resnet-batch": lambda: resnet(normalization="batch"),
    "resnet-group": lambda: resnet(channels=[16, 24], normalization="group"),
}
IMAGES = [(1, 8, 8), (1, 28, 28), (3, 17, 23), (1, 5, 31), (2, 1, 1)]
TABLES = [(30,), (1,)]
ON_TABLES = [name for name in VARIANTS if name.startswith(("linear", "mlp"))]
CASES = [(name, shape) for name in VARIANTS for shape in IMAGES + (TABLES if name in ON_TABLES else [])]
LATENT_DIM = 3


def build(name, shape):
    torch.manual_seed(0)
    return VARIANTS[name]().build(shape, LATENT_DIM)


@pytest.mark.parametrize(("name", "shape"), CASES, ids=lambda case: str(case).replace(" ", ""))
def test_shapes_in_and_out(name, shape):
    coder = build(name, shape)
    x = torch.randn(4, *shape)
    h = coder.encoder(x)
    assert h.shape == (4, coder.width)
    assert coder.decoder(torch.randn(4, LATENT_DIM)).shape == x.shape
    assert h.isfinite().all()


@pytest.mark.parametrize(("name", "shape"), CASES, ids=lambda case: str(case).replace(" ", ""))
@pytest.mark.parametrize("batch", [0, 1])
def test_batches_of_none_and_of_one_in_evaluation(name, shape, batch):
    coder = build(name, shape)
    encoder, decoder = coder.encoder.eval(), coder.decoder.eval()
    assert encoder(torch.zeros(batch, *shape)).shape == (batch, coder.width)
    assert decoder(torch.zeros(batch, LATENT_DIM)).shape == (batch, *shape)


@pytest.mark.parametrize("name", VARIANTS)
def test_evaluation_judges_each_example_alone(name):
    """In evaluation, what an example becomes does not depend on the batch it is in."""
    coder = build(name, (1, 8, 8))
    x = torch.randn(6, 1, 8, 8)
    encoder = coder.encoder.eval().double()
    with torch.no_grad():
        together = encoder(x.double())
        alone = torch.cat([encoder(one[None].double()) for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)  # float64; other orders of summing


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_is_trained(name):
    coder = build(name, (1, 8, 8))
    z = nn.Linear(coder.width, LATENT_DIM)
    coder.decoder(z(coder.encoder(torch.randn(16, 1, 8, 8)))).square().sum().backward()
    parameters = [*coder.encoder.named_parameters(), *coder.decoder.named_parameters()]
    assert not [name for name, parameter in parameters if parameter.grad is None]


@pytest.mark.parametrize("name", VARIANTS)
def test_raw_outputs_are_unbounded(name):
    """The last layer is linear: the loss alone turns raw outputs into a reconstruction."""
    layers = [layer for layer in build(name, (1, 8, 8)).decoder.modules() if not list(layer.children())]
    assert not isinstance(layers[-1], tuple(ACTIVATIONS.values()))


def test_linear_is_affine_and_nothing_else():
    coder = Linear().build((2, 3), LATENT_DIM)
    x = torch.randn(4, 2, 3)
    assert torch.equal(coder.encoder(x), x.reshape(4, 6))
    assert [tuple(p.shape) for p in coder.decoder.parameters()] == [(6, LATENT_DIM), (6,)]


def test_mlp_decoder_mirrors_the_encoder():
    coder = mlp(hidden=[20, 10]).build((30,), LATENT_DIM)

    def widths(part):
        return [(layer.in_features, layer.out_features) for layer in part if isinstance(layer, nn.Linear)]

    assert widths(coder.encoder) == [(30, 20), (20, 10)]
    assert widths(coder.decoder) == [(LATENT_DIM, 10), (10, 20), (20, 30)]
    assert coder.width == 10


@pytest.mark.parametrize("build", [conv, resnet])
@pytest.mark.parametrize(("size", "inner"), [((28, 28), (7, 7)), ((17, 23), (5, 6)), ((5, 31), (2, 8))])
def test_each_stage_halves_rounding_up(build, size, inner):
    coder = build(channels=[4, 6]).build((1, *size), LATENT_DIM)
    assert coder.width == features((6, *inner))


def test_resnet_blocks_are_residual():
    """With the last convolution of each block at zero, a block is the identity."""
    block = ResidualBlock(4, activation_name="silu", normalization="group")
    nn.init.zeros_(block.residual[-1].weight)
    nn.init.zeros_(block.residual[-1].bias)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (7, 1), (16, 2), (24, 3), (64, 8), (20, 2), (30, 3)]
)
def test_groups_divide_the_channels(channels, groups):
    (layer,) = normalization_2d("group", channels)
    assert layer.num_groups == groups


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_takes_every_activation(name):
    for architecture in (mlp(activation=name), conv(activation=name), resnet(activation=name)):
        coder = architecture.build((1, 8, 8), LATENT_DIM)
        assert any(type(layer) is ACTIVATIONS[name] for layer in coder.encoder.modules())


@pytest.mark.parametrize("shape", [(30,), (8, 8), (1, 3, 8, 8)], ids=str)
@pytest.mark.parametrize(("name", "architecture"), [("conv", conv), ("resnet", resnet)])
def test_convolutions_refuse_what_is_no_image(name, architecture, shape):
    with pytest.raises(BadInput, match=r"needs images.*use architecture=mlp") as refusal:
        architecture().build(shape, LATENT_DIM)
    assert str(refusal.value.under("architecture")).startswith(f"architecture={name}: ")


def constructed_or_built(architecture, **arguments):
    architecture(**arguments).build((1, 8, 8), LATENT_DIM)


@pytest.mark.parametrize(
    ("architecture", "key", "value"),
    [
        *[(mlp, "hidden", value) for value in ([], 0, 256, 2.5, None, "256", [0], [16, -1], [2.5], [True])],
        *[(mlp, "dropout", value) for value in (-0.1, 1.0, 1.5, float("nan"), "0.1", True)],
        *[
            (architecture, "channels", value)
            for architecture in (conv, resnet)
            for value in ([], 0, 32, None, "32", 2.5, [0], [16, -1], [2.5], [True])
        ],
        *[(resnet, "blocks", value) for value in (0, -1, 1.5, True, None)],
        *[(architecture, "activation", "rleu") for architecture in (mlp, conv, resnet)],
        *[(architecture, "normalization", "instance") for architecture in (mlp, conv, resnet)],
        (mlp, "normalization", "group"),
        (conv, "normalization", "layer"),
        (resnet, "normalization", "layer"),
    ],
)
def test_refuses(architecture, key, value):
    with pytest.raises(BadInput) as refusal:
        constructed_or_built(architecture, **{key: value})
    assert refusal.value.key == key
