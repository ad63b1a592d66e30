import pytest
import torch
from torch import nn

from mmcourse.attention import padding_mask, record
from mmcourse.transformer import Block, BlockCache, Decoder, Encoder, FeedForward, TransformerConfig


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(ours, theirs, tolerance=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def randomize(module):
    """Gives every parameter, norms and biases too, a value that a mix-up would show."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double()


OPTIONS = {"dim_feedforward": 20, "dropout": 0.0, "batch_first": True, "layer_norm_eps": 1e-2}


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [True, False])
def test_encoder_block_equals_pytorch(norm_first, activation, causal):
    theirs = nn.TransformerEncoderLayer(12, 3, activation=activation, norm_first=norm_first, **OPTIONS)
    theirs = randomize(theirs)
    ours = Block.from_torch(theirs)
    x, seen = normal(2, 5, 12), padding_mask([5, 3])
    future = ~torch.ones(5, 5, dtype=torch.bool).tril()
    ours_x, theirs_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = theirs(theirs_x, src_mask=future if causal else None, src_key_padding_mask=~seen)
    output = ours(ours_x, mask=seen[:, None, None, :], causal=causal)
    close(output, expected)
    output.square().sum().backward()
    expected.square().sum().backward()
    close(ours_x.grad, theirs_x.grad, 1e-8)
    close(ours.feed_forward.expand.weight.grad, theirs.linear1.weight.grad, 1e-8)


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder_block_equals_pytorch(norm_first):
    theirs = randomize(nn.TransformerDecoderLayer(12, 3, norm_first=norm_first, **OPTIONS))
    x, context, seen = normal(2, 5, 12), normal(2, 4, 12, seed=1), padding_mask([4, 2])
    future = ~torch.ones(5, 5, dtype=torch.bool).tril()
    expected = theirs(x, context, tgt_mask=future, memory_key_padding_mask=~seen)
    ours = Block.from_torch(theirs)
    close(ours(x, context, context_mask=seen[:, None, None, :], causal=True), expected)


def test_stack_equals_pytorch():
    layer = nn.TransformerEncoderLayer(12, 3, norm_first=True, activation="gelu", **OPTIONS)
    theirs = randomize(nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(12), enable_nested_tensor=False))
    ours = Encoder(3, 12, 3, hidden=20).double()
    ours.blocks = nn.ModuleList(Block.from_torch(part) for part in theirs.layers)
    ours.norm.load_state_dict(theirs.norm.state_dict())
    x = normal(2, 5, 12)
    close(ours(x), theirs(x))


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_cache_through_the_stack(rotary, cross, norm):
    decoder = randomize(Decoder(3, 8, 2, cross=cross, rotary=rotary, norm=norm))
    x, context = normal(2, 6, 8), normal(2, 4, 8, seed=1) if cross else None
    cache = decoder.new_cache()
    parts = [decoder(part, context, cache=cache) for part in (x[:, :3], x[:, 3:4], x[:, 4:])]
    close(torch.cat(parts, dim=1), decoder(x, context))
    assert [len(kept) for kept in cache] == [6, 6, 6]


def test_cache_follows_the_beams():
    decoder = randomize(Decoder(2, 8, 2, cross=True))
    x, context, index = normal(3, 5, 8), normal(3, 4, 8, seed=1), torch.tensor([1, 1, 2])
    cache = decoder.new_cache()
    decoder(x[:, :4], context, cache=cache)
    for kept in cache:
        kept.reorder(index)
    close(decoder(x[index, 4:], context[index], cache=cache), decoder(x[index], context[index])[:, 4:])


def test_decoder_does_not_see_the_future_and_encoder_does():
    x = normal(1, 6, 8)
    other = x.clone()
    other[:, 3:] = normal(1, 3, 8, seed=1)
    decoder, encoder = Decoder(2, 8, 2).double(), Encoder(2, 8, 2).double()
    close(decoder(other)[:, :3], decoder(x)[:, :3])
    assert not torch.allclose(encoder(other)[:, :3], encoder(x)[:, :3])


def test_a_recording_is_the_same_computation():
    decoder = Decoder(2, 8, 4, cross=True).double()
    x, context, seen = normal(2, 5, 8), normal(2, 3, 8, seed=1), padding_mask([3, 1])[:, None, None, :]
    output, maps = record(decoder, x, context, context_mask=seen)
    close(output, decoder(x, context, context_mask=seen))
    own, cross = ([maps[f"blocks.{number}.{kind}"] for number in (0, 1)] for kind in ("attention", "cross_attention"))
    assert [weights.shape for weights in own] == [(2, 4, 5, 5)] * 2
    assert [weights.shape for weights in cross] == [(2, 4, 5, 3)] * 2
    assert own[0].triu(1).abs().max() == 0
    assert (cross[1][1, :, :, 1:] == 0).all()
    assert list(record(Encoder(2, 8, 4).double(), x).maps) == ["blocks.0.attention", "blocks.1.attention"]


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("cross", [False, True])
def test_config_counts_its_parameters(norm, cross):
    config = TransformerConfig(depth=3, width=12, heads=4, cross=cross, norm=norm, hidden=20)
    decoder = Decoder(config)
    assert config.parameters == sum(parameter.numel() for parameter in decoder.parameters())
    assert (config.head_size, config.hidden_width) == (3, 20)
    assert TransformerConfig(depth=1, width=12, heads=4).hidden_width == 48
    assert (decoder.blocks[0].norm, decoder.blocks[0].cross, len(decoder.blocks)) == (norm, cross, 3)


@pytest.mark.parametrize("kind", [Block, Encoder, Decoder])
def test_a_configuration_and_its_fields_make_the_same_module(kind):
    options = {"cross": True, "hidden": 20, "dropout": 0.1, "norm": "post", "rotary": True, "activation": "silu"}
    fields = {"width": 8, "heads": 2} if kind is Block else {"depth": 2, "width": 8, "heads": 2}
    config = TransformerConfig(2, 8, 2, **options)
    made = kind(config), kind(*fields.values(), **options), kind(**fields, **options)
    assert len({repr(each) for each in made}) == 1
    block = made[0] if kind is Block else made[0].blocks[1]
    assert (block.cross, block.norm, block.attention.rotary, block.attention.dropout) == (True, "post", True, 0.1)
    assert (block.feed_forward.expand.out_features, block.dropout.p) == (20, 0.1)
    assert repr(kind(config, hidden=12)) == repr(kind(*fields.values(), **{**options, "hidden": 12}))
    with pytest.raises(TypeError):
        kind(config, 8)
    with pytest.raises(TypeError, match="colour"):
        kind(*fields.values(), colour="blue")


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("place", ["weights", "inside", "sum"])
def test_dropout_acts_in_three_places_in_training_only(norm, place):
    block, x = Block(8, 2, dropout=0.5, norm=norm).double(), normal(1, 4, 8)
    if place != "weights":
        block.attention.dropout = 0.0
    if place != "inside":
        block.feed_forward.dropout = nn.Identity()
    if place != "sum":
        block.dropout = nn.Identity()
    torch.manual_seed(0)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_feed_forward_works_on_each_token_alone():
    layer, x = FeedForward(6, activation="silu").double(), normal(2, 4, 6)
    assert layer.expand.out_features == 24
    close(layer(x)[:, 2], layer(x[:, 2]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: FeedForward(4, activation="tanh"),
            "activation must be one of gelu, gelu_tanh, relu, silu, got 'tanh'",
        ),
        (lambda: Block(8, 2, norm="none"), "norm must be 'pre' or 'post', got 'none'"),
        (lambda: Block(8, 2, cross=True)(torch.zeros(1, 2, 8)), "context is missing"),
        (lambda: Block(8, 2)(torch.zeros(1, 2, 8), torch.zeros(1, 2, 8)), "make it with cross=True"),
        (lambda: Decoder(2, 8, 2)(torch.zeros(1, 2, 8), cache=[BlockCache()]), "cache has 1 entries, .* 2 blocks"),
        (lambda: Block.from_torch(nn.TransformerEncoderLayer(8, 2, activation=torch.tanh)), "another activation"),
        (lambda: Block.from_torch(nn.TransformerEncoderLayer(8, 2, bias=False)), "layer has no biases"),
        (lambda: Decoder(2, 9, 2), "width 9 must be a multiple of heads"),
    ],
)
def test_what_is_wrong_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_from_torch_keeps_dropout_and_mode():
    theirs = nn.TransformerDecoderLayer(8, 2, dropout=0.3)
    ours = Block.from_torch(theirs)
    assert ours.training
    shares = (ours.dropout.p, ours.feed_forward.dropout.p, ours.attention.dropout, ours.cross_attention.dropout)
    assert shares == (0.3,) * 4
    assert not Block.from_torch(theirs.eval()).training
