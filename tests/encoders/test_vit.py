"""The vision transformer beside torchvision's, and what holds for any of them."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer

from mmcourse.attention import MultiHeadAttention, record
from mmcourse.encoders.vit import ViT, ViTConfig, patchify

SMALL = {"image_size": 24, "patch_size": 6, "width": 32, "depth": 3, "heads": 4}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def scattered(model, seed=0, spread=0.3):
    """The model with every number at a value that a mix-up would show."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.normal_(std=spread, generator=generator)
    return model


def torchvision_vit(**changes):
    sizes = {"image_size": 24, "patch_size": 6, "num_layers": 3, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 100}
    theirs = scattered(VisionTransformer(**{**sizes, **changes})).eval()
    theirs.heads = nn.Identity()  # what the class token gathered, before the classifier
    return theirs


@pytest.mark.parametrize(
    "changes",
    [{}, {"patch_size": 24}, {"norm_layer": partial(nn.LayerNorm, eps=0.1)}, {"num_layers": 1, "dropout": 0.1}],
)
def test_features_equal_torchvision(changes):
    theirs = torchvision_vit(**changes)
    ours = ViT.from_torchvision(theirs)
    images = normal(5, 3, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-5)
    assert not ours.training
    assert (
        ours.config.parameters
        == sum(p.numel() for p in ours.parameters())
        == sum(p.numel() for p in theirs.parameters())
    )


def test_all_tokens_equal_torchvision_where_the_variance_is_tiny():
    """Tokens so even that the small number under the root decides: 1e-6 in both, where PyTorch's default is 1e-5."""
    theirs = torchvision_vit()
    for part in (theirs.conv_proj.weight, theirs.conv_proj.bias, theirs.class_token, theirs.encoder.pos_embedding):
        part.data.mul_(1e-3)
    ours, images = ViT.from_torchvision(theirs), normal(5, 3, 24, 24)
    kept = {}
    theirs.encoder.register_forward_hook(lambda *seen: kept.update(tokens=seen[-1]))
    with torch.no_grad():
        theirs(images)
        torch.testing.assert_close(ours.tokens(images), kept["tokens"], atol=1e-5, rtol=1e-5)
    assert {module.eps for module in ViT(ours.config).modules() if isinstance(module, nn.LayerNorm)} == {1e-6}


def test_gradients_equal_torchvision():
    theirs = torchvision_vit().double().train()
    ours = ViT.from_torchvision(theirs)
    assert ours.training
    images = normal(4, 3, 24, 24).double()
    weighing = normal(4, 32, seed=1).double()
    for model in (ours, theirs):
        (model(images) * weighing).sum().backward()
    torch.testing.assert_close(ours.patch_embedding.weight.grad, theirs.conv_proj.weight.grad.flatten(1))
    torch.testing.assert_close(ours.class_token.grad, theirs.class_token.grad[0, 0])
    torch.testing.assert_close(ours.positions.table.grad, theirs.encoder.pos_embedding.grad[0])
    first = theirs.encoder.layers[0]
    torch.testing.assert_close(ours.encoder.blocks[0].feed_forward.expand.weight.grad, first.mlp[0].weight.grad)


def test_the_copy_stands_on_its_own():
    theirs = torchvision_vit()
    ours, images = ViT.from_torchvision(theirs), normal(2, 3, 24, 24)
    with torch.no_grad():
        before = ours(images)
        scattered(theirs, seed=1)
        assert torch.equal(ours(images), before)


def test_a_stem_of_convolutions_is_refused():
    stem = [ConvStemConfig(8, 3, 2), ConvStemConfig(8, 3, 3)]
    with pytest.raises(ValueError, match=r"conv_stem_configs\); give a VisionTransformer of patches"):
        ViT.from_torchvision(VisionTransformer(24, 6, 1, 4, 32, 64, conv_stem_configs=stem))


def test_patches_are_cut_in_reading_order():
    images = normal(2, 3, 8, 12)
    patches = patchify(images, 4)
    assert patches.shape == (2, 6, 48)
    for number in range(6):
        row, column = divmod(number, 3)
        piece = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(patches[:, number], piece.flatten(1))
    weight = normal(5, 3, 4, 4, seed=1)  # a linear map of patches is a convolution whose windows do not overlap
    theirs = F.conv2d(images, weight, stride=4).flatten(2).mT  # (B, O, rows, columns) -> (B, P, O)
    torch.testing.assert_close(F.linear(patches, weight.flatten(1)), theirs, atol=1e-5, rtol=1e-5)


def test_the_recorded_model_is_the_same_model():
    model, images = scattered(ViT(ViTConfig(**SMALL))).eval(), normal(2, 3, 24, 24)
    with torch.no_grad():
        seen, tokens = record(model.tokens, images), model.tokens(images)
        torch.testing.assert_close(seen.output, tokens, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(images), tokens[:, 0])
    assert tokens.shape == (2, 17, 32)
    assert [tuple(weights.shape) for weights in seen.maps.values()] == [(2, 4, 17, 17)] * 3
    torch.testing.assert_close(seen.maps["encoder.blocks.1.attention"].sum(-1), torch.ones(2, 4, 17))


def test_without_positions_the_order_of_patches_is_lost():
    """The class token sees a bag of patches: moving them about changes it only through the positions."""
    model = scattered(ViT(ViTConfig(**SMALL))).double().eval()
    images = normal(1, 3, 24, 24).double()
    moved = images.roll(6, dims=-1)  # by one patch
    with torch.no_grad():
        assert not torch.allclose(model(images), model(moved), atol=1e-3)
        model.positions.table.zero_()
        torch.testing.assert_close(model(images), model(moved))


def test_dropout_is_random_in_training_only():
    model = scattered(ViT(ViTConfig(**SMALL, dropout=0.5)))
    images = normal(2, 3, 24, 24)
    assert not torch.equal(model(images), model(images))
    for part in model.encoder.modules():  # that of the tokens remains
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(part, MultiHeadAttention):
            part.dropout = 0.0
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("sizes", [(24, 7), (24, 48), (24, 0)])
def test_patches_must_fill_the_picture(sizes):
    with pytest.raises(ValueError, match=f"multiple of patch_size, got {sizes[0]} and {sizes[1]}"):
        ViTConfig(**{**SMALL, "image_size": sizes[0], "patch_size": sizes[1]})
    with pytest.raises(ValueError, match="sides that are multiples of 7"):
        patchify(normal(1, 3, 24, 24), 7)


@pytest.mark.parametrize(
    "images", [normal(1, 3, 24, 30), normal(3, 24, 24), normal(1, 1, 24, 24), torch.ones(1, 3, 24, 24).int()]
)
def test_pictures_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match=r"images must be floating-point \(B, 3, 24, 24\), got torch\."):
        ViT(ViTConfig(**SMALL))(images)
