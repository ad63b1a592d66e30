"""`record`: the maps are those that made the output, and afterwards the model is as before."""

import pytest
import torch
from torch import nn

from mmcourse.attention import MultiHeadAttention, merge_heads, padding_mask, record, split_heads
from mmcourse.attention import layers as layers_module
from mmcourse.encoders.bert import BERT, BERTConfig
from mmcourse.encoders.vit import ViT, ViTConfig
from mmcourse.lm import GPT, GPTConfig
from mmcourse.models import CLIP, CLIPConfig
from mmcourse.transformer import Decoder, Encoder


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(got, expected):
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def watched(model):
    return [part.watchers for part in model.modules() if isinstance(part, MultiHeadAttention) and part.watchers]


def test_maps_bear_the_names_of_the_modules_in_their_order():
    decoder, x, context = Decoder(2, 8, 4, cross=True), normal(2, 5, 8), normal(2, 3, 8, seed=1)
    seen = record(decoder, x, context, context_mask=padding_mask([3, 1])[:, None, None, :])
    assert list(seen.maps) == [f"blocks.{i}.{kind}" for i in (0, 1) for kind in ("attention", "cross_attention")]
    assert all(isinstance(decoder.get_submodule(name), MultiHeadAttention) for name in seen.maps)
    assert seen.maps["blocks.0.attention"].shape == (2, 4, 5, 5)
    assert seen.maps["blocks.1.cross_attention"].shape == (2, 4, 5, 3)
    assert (seen.maps["blocks.1.cross_attention"][1, ..., 1:] == 0).all()
    assert seen.maps["blocks.0.attention"].triu(1).abs().max() == 0
    close(seen.output, decoder(x, context, context_mask=padding_mask([3, 1])[:, None, None, :]))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_weights_are_those_that_made_the_output(dropout, causal, masked):
    layer, x = MultiHeadAttention(8, 2, dropout=dropout), normal(2, 5, 8)
    mask = padding_mask([5, 3])[:, None, None, :] if masked else None
    torch.manual_seed(0)
    output, maps = record(layer, x, mask=mask, causal=causal)
    assert list(maps) == [""], "the model is the layer itself, whose name in named_modules() is empty"
    close(layer.out(merge_heads(maps[""] @ split_heads(layer.value(x), 2))), output)
    assert bool((maps[""].sum(-1) - 1).abs().max() > 0.1) == (dropout > 0)
    close(record(layer.eval(), x, mask=mask, causal=causal).output, layer(x, mask=mask, causal=causal))


def test_gradients_flow_through_output_and_maps():
    encoder = Encoder(2, 8, 2).double()
    x = normal(1, 4, 8).double().requires_grad_()
    seen = record(encoder, x)
    (expected,) = torch.autograd.grad(encoder(x).square().sum(), x)
    (got,) = torch.autograd.grad(seen.output.square().sum(), x, retain_graph=True)
    torch.testing.assert_close(got, expected)
    (moved,) = torch.autograd.grad(seen.maps["blocks.1.attention"][..., 0].sum(), x)
    assert moved.abs().max() > 0
    with torch.no_grad():
        assert not record(encoder, x).maps["blocks.0.attention"].requires_grad


def test_a_usual_pass_computes_no_weights_before_and_after(monkeypatch):
    encoder, x = Encoder(1, 8, 2), normal(1, 4, 8)
    record(encoder, x)

    def refuse(*inputs, **options):
        raise AssertionError("nobody asked for the weights")

    monkeypatch.setattr(layers_module, "attention", refuse)
    encoder(x)
    with pytest.raises(AssertionError, match="nobody asked"):
        record(encoder, x)


def test_an_error_leaves_nothing_behind():
    encoder, x = Encoder(2, 8, 2), normal(1, 4, 8)
    with pytest.raises(ValueError, match="x must have shape"):
        record(encoder, x[0])
    assert not watched(encoder)
    encoder.blocks[1].feed_forward = nn.Linear(7, 8)  # fails when the first map has been kept already
    with pytest.raises(RuntimeError):
        record(encoder, x)
    assert not watched(encoder)


class Twice(nn.Module):
    """The same layer runs twice, under a second name as well, and a third layer never."""

    def __init__(self):
        super().__init__()
        self.layer, self.unused = MultiHeadAttention(8, 2), MultiHeadAttention(8, 2)
        self.again = self.layer

    def forward(self, x):
        return self.again(self.layer(x))


def test_of_a_layer_that_runs_twice_the_last_map_is_kept():
    model, x = Twice(), normal(1, 4, 8)
    maps = record(model, x).maps
    assert list(maps) == ["layer"], "one layer, by its first name; one that did not run has no map"
    close(maps["layer"], model.layer.attend(model.layer(x)).weights)
    assert not torch.allclose(maps["layer"], model.layer.attend(x).weights)


class Curious(nn.Module):
    """A model that looks at its own attention while it runs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Encoder(1, 8, 2), Encoder(1, 8, 2)

    def forward(self, x):
        self.inner = record(self.first, x)
        return self.second(self.inner.output)


def test_a_recording_inside_a_recording():
    model, x = Curious(), normal(1, 4, 8)
    seen = record(model, x)
    assert list(seen.maps) == ["first.blocks.0.attention", "second.blocks.0.attention"]
    assert torch.equal(seen.maps["first.blocks.0.attention"], model.inner.maps["blocks.0.attention"])
    assert not watched(model)


def test_methods_are_recorded_as_well():
    config = ViTConfig(image_size=16, patch_size=8, width=8, depth=2, heads=2)
    vit, images = ViT(config).eval(), normal(2, 3, 16, 16)
    seen = record(vit.tokens, images)
    close(seen.output, vit.tokens(images))
    assert list(seen.maps) == ["encoder.blocks.0.attention", "encoder.blocks.1.attention"]
    assert seen.maps["encoder.blocks.1.attention"].shape == (2, 2, 5, 5)


def test_with_a_cache_the_row_of_the_last_token_is_kept():
    decoder, x = Decoder(1, 8, 2).eval(), normal(1, 4, 8)
    cache = decoder.new_cache()
    whole = record(decoder, x).maps["blocks.0.attention"]
    for step, token in enumerate(x.split(1, dim=1)):
        row = record(decoder, token, cache=cache).maps["blocks.0.attention"]
        assert row.shape == (1, 2, 1, step + 1)
        close(row, whole[:, :, step : step + 1, : step + 1])


def test_models_of_the_course():
    sizes = {"width": 8, "depth": 1, "heads": 2}
    tokens, mask = torch.tensor([[1, 2, 3]]), torch.tensor([[True, True, False]])
    gpt = GPT(GPTConfig(vocabulary_size=11, context=8, **sizes)).eval()
    bert = BERT(BERTConfig(vocabulary_size=11, context=8, **sizes)).eval()
    options = {"image_options": {"image_size": 16, **sizes}, "text_options": {"vocabulary_size": 11, **sizes}}
    clip = CLIP(CLIPConfig(image="vit", text="transformer", **options, width=4)).eval()
    for model, inputs in ((gpt, (tokens,)), (bert, (tokens, mask)), (clip, (normal(1, 3, 16, 16), tokens, mask))):
        seen = record(model, *inputs)
        for got, expected in zip(seen.output, model(*inputs), strict=True):
            if expected is not None:
                close(got, expected)
        for name, weights in seen.maps.items():
            close(weights.sum(-1), torch.ones(weights.shape[:-1]))
            if "text" in name or model is bert:
                assert (weights[..., 2] == 0).all(), "padding is not looked at"
    towers = ["image_encoder.network.encoder.blocks.0.attention", "text_encoder.encoder.blocks.0.attention"]
    assert list(seen.maps) == towers


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Linear(2, 2), "model has no attention to record: Linear holds no MultiHeadAttention"),
        (lambda x: x, "model must be a module or one of its methods, such as vit.tokens, got <function"),
        ([].append, "model must be a module or one of its methods"),
    ],
)
def test_what_is_wrong_is_named(model, words):
    with pytest.raises(ValueError, match=words):
        record(model, torch.zeros(1, 2))
