"""Two thin layers in the place of one: the nearest of that rank, by what comes out for the inputs that there are."""

import copy
import doctest

import pytest
import torch
from torch import nn

from mmcourse.deploy import count_operations, count_parameters, factorize_model, input_moments, low_rank, thin_factors
from mmcourse.recipes import load_trained


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_docstring_examples_run():
    found = doctest.testmod(low_rank)
    assert (found.failed, found.attempted) == (0, 5)


@pytest.mark.parametrize("shape", [(20, 30), (30, 20)])
def test_without_inputs_it_is_the_nearest_matrix(shape, generator):
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    tall, wide, importance = thin_factors(weight, rank=7)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(tall @ wide, left[:, :7] * values[:7] @ right[:7])
    torch.testing.assert_close(importance, values.square() / values.square().sum())
    whole = thin_factors(weight, rank=20)
    torch.testing.assert_close(whole.tall @ whole.wide, weight)


def test_with_inputs_no_other_matrix_of_that_rank_is_nearer_in_what_comes_out(generator):
    """A slow reference: gradient descent on the outputs, from several starts, ends no lower."""
    mixing = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    x = torch.randn(500, 12, generator=generator, dtype=torch.float64) @ mixing
    weight = torch.randn(9, 12, generator=generator, dtype=torch.float64)
    tall, wide, importance = thin_factors(weight, rank=3, moments=x.T @ x / len(x))

    def error(tall, wide):
        return ((x @ (tall @ wide - weight).T).square().sum() / (x @ weight.T).square().sum()).sqrt()

    ours, plain = error(tall, wide).item(), error(*thin_factors(weight, rank=3)[:2]).item()
    assert ours < 0.95 * plain
    assert ours**2 == pytest.approx(1 - importance[:3].sum().item(), rel=1e-2)
    for _ in range(3):
        parts = [torch.randn(shape, generator=generator, dtype=torch.float64) / 3 for shape in ((9, 3), (3, 12))]
        optimizer = torch.optim.LBFGS(
            [part.requires_grad_() for part in parts], max_iter=300, line_search_fn="strong_wolfe"
        )

        def closure(parts=parts, optimizer=optimizer):
            optimizer.zero_grad()
            value = error(*parts).square()
            value.backward()
            return value

        optimizer.step(closure)
        assert error(*parts).item() > ours - 1e-3


def test_moments_are_those_of_the_inputs_and_the_model_stays_as_it_was(generator):
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 4)
    ).train()
    images = torch.randn(5, 2, 8, 8, generator=generator)
    found = input_moments(model, [images])
    windows = nn.functional.unfold(images, 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1).double()
    torch.testing.assert_close(found["0"], windows.T @ windows / len(windows))
    x = model[0](images).flatten(1).double()
    torch.testing.assert_close(found["3"], x.T @ x / 5)
    assert model.training
    assert not any(layer._forward_hooks for layer in model)


@pytest.mark.parametrize("inputs", [False, True])
def test_a_layer_whose_rank_is_low_already_loses_nothing(inputs, generator):
    model = nn.Sequential(nn.Conv2d(16, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 64))
    images = torch.randn(6, 16, 8, 8, generator=generator)
    with torch.no_grad():
        for layer in (model[0], model[3]):
            thin = [torch.randn(shape, generator=generator) for shape in ((64, 5), (5, layer.weight[0].numel()))]
            layer.weight.copy_((thin[0] @ thin[1]).view_as(layer.weight) / 30)
    expected = model(images)
    operations = count_operations(model, images).total
    ranks = factorize_model(model, keep=0.3, inputs=[images] if inputs else None)
    assert min(ranks.values()) >= 5
    torch.testing.assert_close(model(images), expected, rtol=1e-3, atol=1e-3)
    assert count_operations(model, images).total < 0.8 * operations


def test_as_many_numbers_stay_as_were_asked_for_and_small_or_shared_layers_stay_whole():
    model = nn.Sequential(
        nn.Embedding(70, 64), nn.Linear(64, 256), nn.Linear(256, 64), nn.Linear(64, 70), nn.Linear(70, 3)
    )
    model[3].weight = model[0].weight
    before = copy.deepcopy(model)
    ranks = factorize_model(model, keep=0.4)
    assert set(ranks) == {"1", "2"}
    cut = sum(rank * (256 + 64) for rank in ranks.values())
    assert 0.38 * 2 * 256 * 64 < cut <= 0.4 * 2 * 256 * 64
    assert model[3].weight is model[0].weight
    assert count_parameters(model) == count_parameters(before) - 2 * 256 * 64 + cut
    torch.testing.assert_close(model[4].weight, before[4].weight)


def test_inputs_help_the_captioner_of_the_course():
    """With half of its numbers it says more of the same words than with ranks by the weights alone."""
    from mmcourse.datasets import make_scenes

    model = load_trained("captioner").model
    batch = make_scenes(48, split="val")
    texts = [f"a {scene.objects[0].noun} on a" for scene in batch.scenes]
    tokens = model.tokenizer.encode_batch(texts, add_special=True).ids
    expected = model(batch.images, tokens).argmax(dim=-1)
    same = []
    for inputs in (None, (batch.images, tokens)):
        small = copy.deepcopy(model)
        factorize_model(small, keep=0.5, inputs=inputs)
        same.append((small(batch.images, tokens).argmax(dim=-1) == expected).double().mean().item())
    assert same[1] > max(0.9, same[0] + 0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: thin_factors(torch.ones(3), rank=1), "weight must be a matrix of finite numbers"),
        (lambda: thin_factors(torch.tensor([[torch.nan]]), rank=1), "weight must be a matrix of finite numbers"),
        (lambda: thin_factors(torch.ones(3, 2), rank=3), "rank must be from 1 to 2, got 3"),
        (lambda: thin_factors(torch.ones(3, 2), rank=1, moments=torch.ones(3, 3)), r"moments must be \(I, I\)"),
        (lambda: factorize_model(nn.Linear(2, 2), keep=0.5), "has no linear or convolution layer with 4096 numbers"),
        (lambda: factorize_model(nn.Sequential(nn.Linear(99, 99)), keep=1.0), "keep must be above 0 and below 1"),
        (lambda: factorize_model(nn.Sequential(nn.Linear(99, 99, device="meta")), keep=0.5), "meta device"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
