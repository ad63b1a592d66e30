"""The patch encoder: pictures as tokens, and classes in the space of the tokens."""

import pytest
import torch
from torch import nn

from mmcourse.encoders.patches import PatchEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return PatchEncoder(7, widths=(8, 16), width=12).eval()


@pytest.fixture
def images():
    return torch.randint(256, (3, 3, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_tokens_and_noun_vectors_have_mean_zero_and_variance_one(encoder, images):
    for vectors in (encoder.tokens(images).detach(), encoder.noun_vectors()):
        torch.testing.assert_close(vectors.mean(-1), torch.zeros(vectors.shape[:-1]), atol=1e-5, rtol=0)
        torch.testing.assert_close(vectors.var(-1, correction=0), torch.ones(vectors.shape[:-1]), atol=1e-2, rtol=0)
    assert encoder.noun_vectors().shape == (6, 12)
    assert not encoder.noun_vectors().requires_grad


def test_logits_are_one_for_each_class_and_patch_and_reach_every_weight(encoder, images):
    logits = encoder(images)
    assert logits.shape == (3, 8 * 6, 7)
    torch.testing.assert_close(logits, encoder.tokens(images) @ encoder.classes.weight.T + encoder.classes.bias)
    logits.square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in encoder.parameters())


@pytest.mark.parametrize(("widths", "patch"), [((4,), 4), ((4, 4), 8), ((4, 4, 4), 16)])
def test_every_stage_after_the_first_doubles_the_side_of_a_patch(images, widths, patch):
    assert PatchEncoder(2, widths=widths).tokens(images).shape == (3, (64 // patch) * (48 // patch), 64)


def test_tokens_come_in_reading_order(encoder, images):
    """A mark in one cell of the feature map is found in the token that is counted row by row."""
    encoder.narrow = nn.Linear(16, 12, bias=False)
    encoder.cnn.feature_map = lambda pixels: torch.zeros(1, 16, 8, 6).index_put_(
        tuple(torch.tensor([[0], [3], [2], [5]])), torch.tensor(1.0)
    )
    assert encoder.tokens(images[:1])[0].abs().sum(dim=-1).nonzero().tolist() == [[2 * 6 + 5]]
