"""The composition: what is added to what, where noise goes, and that models can be stacked."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

from isthmus.core.architectures.mlp import MLP
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.latents.gaussian import Gaussian as GaussianLatent
from isthmus.core.latents.plain import Plain
from isthmus.core.losses.bce import BCE
from isthmus.core.losses.mse import MSE
from isthmus.core.noise.gaussian import Gaussian as GaussianNoise
from isthmus.core.noise.none import NoNoise
from isthmus.core.objectives.elbo import ELBO
from isthmus.core.regularizers.kl import KL, kl_to_standard_normal
from isthmus.core.regularizers.l1_activity import L1Activity

SHAPE = (1, 4, 5)


def build(*, latent=Plain, loss=None, regularizers=None, noise=None, seed=0):
    torch.manual_seed(seed)
    coder = MLP(hidden=[8], activation="tanh", normalization="none", dropout=0.0).build(SHAPE, 3)
    return Autoencoder(
        coder=coder,
        latent=latent(dim=3, width=coder.width),
        loss=loss or MSE(reduction="sum"),
        regularizers=regularizers or {},
        objective=ELBO(),
        noise=noise or NoNoise(),
    )


def vae(*, warmup_epochs=0.0, free_bits=0.0, noise=None):
    return build(
        latent=GaussianLatent,
        loss=BCE(reduction="sum"),
        regularizers={
            "kl": KL(weight=0.5, warmup_epochs=warmup_epochs, free_bits=free_bits),
            "sparse": L1Activity(weight=2.0, warmup_epochs=0),
        },
        noise=noise,
    )


@pytest.fixture
def x():
    return torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(99))


def test_the_objective_is_reconstruction_plus_weighted_penalties(x):
    model = vae()
    result, terms = model(x)
    reconstruction = BCE(reduction="sum")(result.raw, x).mean()
    kl = kl_to_standard_normal(result.code.posterior).sum(1).mean()
    sparse = result.code.z.abs().sum(1).mean()

    torch.testing.assert_close(terms.reconstruction, reconstruction)
    torch.testing.assert_close(terms.values, {"kl": kl, "sparse": sparse})
    torch.testing.assert_close(terms.objective, reconstruction + 0.5 * kl + 2.0 * sparse)
    assert all(term.shape == () for term in terms.named().values())


def test_the_sample_is_decoded(x):
    model = vae()
    result, _ = model(x)
    assert torch.equal(result.raw, model.decoder(result.code.z))
    assert not torch.equal(result.raw, model.decoder(result.code.posterior.mean))


def test_the_penalty_is_minimised_and_the_value_is_reported(x):
    """Free bits change the first and not the second."""
    model = vae(free_bits=100.0)
    result, terms = model(x)
    kl = kl_to_standard_normal(result.code.posterior).sum(1).mean()
    torch.testing.assert_close(terms.values["kl"], kl)
    torch.testing.assert_close(
        terms.objective, terms.reconstruction + 0.5 * 3 * 100.0 + 2.0 * terms.values["sparse"]
    )


def test_without_regularizers_the_objective_is_the_reconstruction(x):
    terms = build()(x)[1]
    assert terms.objective.item() == terms.reconstruction.item()
    assert terms.values == terms.weights == {}
    assert list(terms.named()) == ["loss", "reconstruction"]


def test_terms_go_by_the_regularizers_names(x):
    terms = vae()(x)[1]
    assert list(terms.values) == list(terms.weights) == ["kl", "sparse"]
    assert list(terms.named()) == ["loss", "reconstruction", "kl", "sparse"]
    assert terms.named()["loss"] is terms.objective


def test_weights_follow_the_epoch_in_training_and_are_full_without_one(x):
    model = vae(warmup_epochs=4)
    result, full = model(x)
    assert {name: weight.item() for name, weight in full.weights.items()} == {"kl": 0.5, "sparse": 2.0}

    for epoch, weight in [(0.0, 0.0), (1.0, 0.125), (2.5, 0.3125), (9.0, 0.5)]:
        terms = model.compute_terms(result, torch.tensor(epoch))
        assert terms.weights["kl"].item() == weight
        assert terms.weights["sparse"].item() == 2.0
        expected = terms.reconstruction + weight * terms.values["kl"] + 2.0 * terms.values["sparse"]
        torch.testing.assert_close(terms.objective, expected)
    assert torch.equal(
        model.compute_terms(result).objective, full.objective
    )  # training did not advance anything


def test_the_encoder_sees_noise_and_the_target_is_clean(x):
    model = build(noise=GaussianNoise(std=0.5))
    before = x.clone()
    torch.manual_seed(3)
    result, terms = model(x)
    torch.manual_seed(3)
    assert torch.equal(result.noisy, GaussianNoise(std=0.5)(x))
    assert torch.equal(result.code.z, model.encode(result.noisy).z)
    assert torch.equal(result.x, before)
    assert torch.equal(x, before)
    torch.testing.assert_close(terms.objective, (result.raw - before).square().flatten(1).sum(1).mean())


def test_encoding_and_reconstructing_add_no_noise(x):
    clean, noisy = vae(), vae(noise=GaussianNoise(std=5.0))
    assert torch.equal(noisy.encode(x).z, clean.encode(x).z)
    assert torch.equal(noisy.reconstruct(x), clean.reconstruct(x))
    assert torch.equal(noisy.reconstruct(x), noisy.reconstruct(x))  # and no chance of the latent's


def test_reconstruction_is_what_the_loss_makes_of_the_decoder(x):
    model = vae()
    z = model.encode(x).z
    raw = model.decoder(z)
    assert torch.equal(model.decode(z), torch.sigmoid(raw))
    assert torch.equal(model.reconstruct(x), torch.sigmoid(raw))


def test_random_numbers_of_a_pass_come_from_the_default_generator(x):
    model = vae(noise=GaussianNoise(std=0.5))
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(model(x)[0])
    first, again, other = results
    assert torch.equal(first.raw, again.raw)
    assert not torch.equal(first.raw, other.raw)
    assert not torch.equal(first.noisy, other.noisy)


def test_hyperparameters_are_not_part_of_the_weights():
    """They come from the config: a checkpoint does not bring back another noise or weight."""
    names = vae(noise=GaussianNoise(std=0.5)).state_dict()
    assert {name.split(".")[0] for name in names} == {"encoder", "latent", "decoder"}


def test_stacked_models_train_as_separate_ones(x):
    """One functional_call under vmap gives each model's objective and gradients."""
    models = [build(seed=seed) for seed in (0, 1)]
    parameters, buffers = stack_module_state(models)
    skeleton = build().to("meta")

    def objective(parameters, buffers):
        return functional_call(skeleton, (parameters, buffers), (x,))[1].objective

    together = vmap(objective)(parameters, buffers)
    gradients = vmap(grad(objective))(parameters, buffers)
    assert together[0] != together[1]
    for number, model in enumerate(models):
        alone = model(x)[1].objective
        alone.backward()
        # float32; a batched product sums in another order than a single one
        torch.testing.assert_close(together[number], alone, rtol=1e-5, atol=1e-6)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][number], parameter.grad, rtol=1e-5, atol=1e-5)


def test_stacked_models_may_differ_in_their_hyperparameters(x):
    """Weights are buffers, so one stack holds several of them."""
    weights = (0.0, 0.25, 3.0)
    models = [build(regularizers={"sparse": L1Activity(weight=w, warmup_epochs=2)}, seed=1) for w in weights]
    parameters, buffers = stack_module_state(models)
    assert buffers["regularizers.sparse.weight"].tolist() == list(weights)

    def objective(parameters, buffers):
        return functional_call(models[0], (parameters, buffers), (x,), {"epoch": torch.tensor(1.0)})[
            1
        ].objective

    together = vmap(objective)(parameters, buffers)
    alone = torch.stack([model(x, epoch=torch.tensor(1.0))[1].objective for model in models])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)  # float32, another order of summing


def test_survives_the_way_between_processes(x):
    model = build()
    assert torch.equal(pickle.loads(pickle.dumps(model)).reconstruct(x), model.reconstruct(x))


def test_reconstructing_leaves_torchs_generator_alone(x):
    model, before = vae(), torch.get_rng_state()
    model.reconstruct(x)
    assert torch.equal(torch.get_rng_state(), before)
