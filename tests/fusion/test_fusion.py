"""Fusions: gradients, slow references, and what must not matter (padding, the order of the patches, a missing view)."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn import functional as F

from mmcourse.attention import MultiHeadAttention, attention, padding_mask, record
from mmcourse.fusion import (
    FUSIONS,
    CrossAttentionLayer,
    ModalityDropout,
    Views,
    average_predictions,
    by_direction,
    film,
    low_rank_bilinear,
    make_fusion,
)
from mmcourse.pooling import masked_max, masked_mean

IMAGE, TEXT, WIDTH = 6, 4, 12
VARIANTS = [
    ("concat", {"hidden": (5,)}),
    ("late", {"hidden": (), "learned": True}),
    ("late", {"hidden": (5,), "learned": True, "how": "probabilities"}),
    ("gated", {}),
    ("bilinear", {"rank": 3}),
    ("bilinear", {"rank": 3, "bend": False}),
    ("film", {}),
    ("film", {"tokens": True}),
    ("cross_attention", {"heads": 2, "grid": (2, 3)}),
    ("cross_attention", {"heads": 2, "asks": "image", "self_attention": True, "depth": 2, "hidden": 5, "pool": "mean"}),
    ("co_attention", {"heads": 2, "grid": (2, 3), "positions": "learned", "depth": 2, "hidden": 5}),
]
ATTENTION = [variant for variant in VARIANTS if variant[0].endswith("attention")]


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def views(batch=2, patches=6, words=3, *, masks=True, seed=0):
    image, text = normal(batch, patches, IMAGE, seed=seed), normal(batch, words, TEXT, seed=seed + 1)
    masked = {"image_mask": padding_mask([6, 4]), "text_mask": padding_mask([2, 3])} if masks else {}
    return Views(image.mean(1), text.mean(1), image, text, **masked)


def fusion(name, seed=0, width=WIDTH, image=IMAGE, text=TEXT, **options):
    """In double precision, with every parameter at a value that a mix-up would show."""
    torch.manual_seed(seed)
    made = make_fusion(name, image, text, width, **options).double().eval()
    for parameter in made.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_gradients(name, options):
    made, given = fusion(name, **options), views()
    names, parameters = zip(*made.named_parameters(), strict=True)

    def run(image, text, image_tokens, text_tokens, *values):
        filled = given._replace(image=image, text=text, image_tokens=image_tokens, text_tokens=text_tokens)
        return functional_call(made, dict(zip(names, values, strict=True)), (filled,))

    inputs = [view.clone().requires_grad_() for view in given[:4]]
    output = run(*inputs, *parameters)
    assert output.shape == (2, WIDTH)
    assert (output != 0).any(-1).all(), "a gradient of nothing proves nothing"
    assert gradcheck(run, (*inputs, *parameters), fast_mode=True)
    run(*inputs, *parameters).square().sum().backward()
    assert all(parameter.grad is not None for parameter in parameters), "a parameter that nothing reads"
    read = [view.grad is not None for view in inputs]
    assert read[2:] == [made.uses_tokens, name.endswith("attention")]


@pytest.mark.parametrize(("name", "options"), ATTENTION)
def test_permuting_the_patches_permutes_the_attention(name, options):
    made, given, order = fusion(name, **{**options, "grid": None}), views(), torch.tensor([4, 2, 0, 5, 3, 1])
    other = given._replace(image_tokens=given.image_tokens[:, order], image_mask=given.image_mask[:, order])
    before, after = record(made, given), record(made, other)
    torch.testing.assert_close(after.output, before.output)
    moved = by_direction(after.maps)
    for direction, maps in by_direction(before.maps).items():
        for one, two in zip(maps, moved[direction], strict=True):
            one = one[..., order] if direction.endswith("image") else one
            one = one[..., order, :] if direction.startswith("image") else one
            torch.testing.assert_close(two, one)
    placed = fusion(name, **{**options, "grid": (2, 3)})
    assert (placed(given) - placed(other)).abs().max() > 1e-3, "with positions the order must matter"


@pytest.mark.parametrize(
    ("name", "options"), [variant for variant in VARIANTS if fusion(*variant[:1], **variant[1]).uses_tokens]
)
def test_a_masked_token_has_exactly_no_influence(name, options):
    made, given = fusion(name, **options), views()
    image, text = given.image_tokens.clone().requires_grad_(), given.text_tokens.clone().requires_grad_()
    output = made(given._replace(image_tokens=image, text_tokens=text))
    output.square().sum().backward()
    assert (image.grad[1, 4:] == 0).all()
    assert (image.grad[:, :4] != 0).any(-1).all()
    loud = given.image_tokens.masked_fill(~given.image_mask[..., None], 1e6)
    if name.endswith("attention"):
        assert (text.grad[0, 2:] == 0).all()
        assert (text.grad[:, :2] != 0).any(-1).all()
        loud_text = given.text_tokens.masked_fill(~given.text_mask[..., None], -1e6)
        assert torch.equal(made(given._replace(image_tokens=loud, text_tokens=loud_text)), output)
    assert torch.equal(made(given._replace(image_tokens=loud)), output)


@pytest.mark.parametrize(("name", "options"), ATTENTION)
def test_a_recording_shows_what_forward_computes(name, options):
    made, given = fusion(name, **options), views()
    output, maps = record(made, given)
    torch.testing.assert_close(output, made(given))
    seen = by_direction(maps)
    asks = ["text", "image"] if name == "co_attention" else [options.get("asks", "text")]
    count = {"image": 6, "text": 3}
    other = {"image": "text", "text": "image"}
    wanted = {f"{who}_to_{other[who]}": (2, 2, count[who], count[other[who]]) for who in asks}
    if options.get("self_attention"):
        wanted |= {f"{who}_to_{who}": (2, 2, count[who], count[who]) for who in asks}
    assert {direction: maps[0].shape for direction, maps in seen.items()} == wanted
    assert {len(maps) for maps in seen.values()} == {options.get("depth", 1)}
    for direction, maps in seen.items():
        torch.testing.assert_close(maps[-1].sum(-1), torch.ones_like(maps[-1].sum(-1)))
        if direction.endswith("image"):
            assert (maps[-1][1, ..., 4:] == 0).all()


def test_a_cross_attention_layer_equals_pytorch():
    torch.manual_seed(0)
    layer = CrossAttentionLayer(8, 2, hidden=12).double()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    nn.init.normal_(theirs.in_proj_bias)
    layer.attention = MultiHeadAttention.from_torch(theirs)
    nn.init.normal_(layer.context_norm.weight)
    x, context, seen = normal(2, 3, 8).requires_grad_(), normal(2, 5, 8, seed=1).requires_grad_(), padding_mask([5, 2])
    keys = layer.context_norm(context)
    attended, weights = theirs(layer.norm(x), keys, keys, key_padding_mask=~seen, average_attn_weights=False)
    expected = x + attended
    expected = expected + layer.feed_forward(layer.feed_forward_norm(expected))
    output = layer(x, context, context_mask=seen)
    torch.testing.assert_close(output, expected)
    direction = normal(2, 3, 8, seed=2)
    ours, reference = (torch.autograd.grad(y, (x, context), direction) for y in (output, expected))
    torch.testing.assert_close(ours, reference)
    output, maps = record(layer, x, context, context_mask=seen)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(maps["attention"], weights)
    assert list(maps) == ["attention"]


def test_identity_start_lets_like_attend_to_like():
    torch.manual_seed(0)
    words = normal(1, 3, 64, dtype=torch.float32)
    patches = torch.cat((normal(1, 5, 64, seed=1, dtype=torch.float32), words.flip(1)), dim=1)
    given = Views(None, None, patches, words)
    looks = {}
    for aligned in (True, False):
        made = make_fusion("cross_attention", 64, 64, 64, heads=2, identity_start=aligned)
        looks[aligned] = by_direction(record(made, given).maps)["text_to_image"][0].mean(1)[0]
    assert looks[True].argmax(-1).tolist() == [7, 6, 5]
    assert looks[True].max(-1).values.min() > 0.5
    assert looks[False].max() < 0.5
    layer = CrossAttentionLayer(64, 1, identity_start=True).attention
    torch.testing.assert_close(layer(words, patches), attention(words, patches, patches).output)
    with pytest.raises(
        ValueError, match=r"identity_start needs .* one size, got image_width 8, text_width 4 and width 8"
    ):
        make_fusion("cross_attention", 8, 4, 8, identity_start=True)


def test_positions_are_as_large_as_asked():
    for kind in ("sine", "learned"):
        made = make_fusion("cross_attention", 64, 64, 64, grid=(8, 8), positions=kind, position_size=0.5)
        assert made.positions.shape == (64, 64)
        assert 0.3 < made.positions.square().mean().sqrt() < 0.55
        assert ("positions" in made.state_dict()) == (kind == "learned")


def test_co_attention_of_one_direction_is_cross_attention():
    both = fusion("co_attention", image=4, heads=2)
    given = Views(None, None, normal(2, 6, 4), normal(2, 3, 4, seed=1))
    halves = []
    for asks in ("text", "image"):
        one = fusion("cross_attention", image=4, heads=2, asks=asks)
        one.inputs, one.norms, one.layers[0][asks] = both.inputs, both.norms, both.layers[0][asks]
        one.mlp = nn.Identity()
        halves.append(one(given))
    torch.testing.assert_close(both(given), both.mlp(torch.cat(halves, dim=-1)))


def test_low_rank_equals_the_full_bilinear_form():
    x, y = normal(3, 5), normal(3, 4, seed=1)
    u, v, p = normal(2, 5, seed=2), normal(2, 4, seed=3), normal(6, 2, seed=4)
    full = torch.einsum("kr,ri,rt->kit", p, u, v)
    slow = torch.stack([torch.stack([x[b] @ full[k] @ y[b] for k in range(6)]) for b in range(3)])
    torch.testing.assert_close(low_rank_bilinear(x, y, u, v, p), slow)
    made = fusion("bilinear", image=5, text=4, width=6, rank=2, bend=False)
    inside = low_rank_bilinear(
        F.pad(x, (0, 1), value=1.0),
        F.pad(y, (0, 1), value=1.0),
        torch.cat((made.image_in.weight, made.image_in.bias[:, None]), dim=1),
        torch.cat((made.text_in.weight, made.text_in.bias[:, None]), dim=1),
        made.out.weight,
    )
    torch.testing.assert_close(made(Views(x, y)), inside + made.out.bias)


def test_film_of_patches_is_film_of_each():
    x, scale, shift = normal(2, 3, 4), normal(2, 4, seed=1), normal(2, 4, seed=2)
    slow = torch.stack([torch.stack([(1 + scale[b]) * x[b, p] + shift[b] for p in range(3)]) for b in range(2)])
    torch.testing.assert_close(film(x, scale, shift), slow)
    torch.testing.assert_close(film(x[:, 1], scale, shift), slow[:, 1])
    assert torch.equal(film(x, 0 * scale, 0 * shift), x)


def test_a_gate_at_its_ends_lets_one_view_through():
    made, given = fusion("gated"), views()
    other = given._replace(text=given.text + 1)
    made.gate_in.weight.data.zero_()
    made.gate_in.bias.data.fill_(40.0)
    assert torch.equal(made(given), made(other))
    torch.testing.assert_close(made(given), made.image_in(given.image).tanh())
    made.gate_in.bias.data.fill_(-40.0)
    torch.testing.assert_close(made(given), made.text_in(given.text).tanh())


def test_averages_of_logits_and_of_probabilities():
    logits, weights = normal(3, 2, 5), torch.tensor([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]], dtype=torch.float64)
    slow = (logits.softmax(-1) * weights[..., None]).sum(1)
    torch.testing.assert_close(average_predictions(logits, weights, how="probabilities").exp(), slow)
    torch.testing.assert_close(average_predictions(logits, weights)[2], logits[2, 0])
    logits[2, 1] = torch.nan
    for how in ("logits", "probabilities"):
        assert average_predictions(logits, weights, how=how).isfinite().all()
    with pytest.raises(ValueError, match="how must be one of logits, probabilities, got 'votes'"):
        average_predictions(logits, weights, how="votes")


@pytest.mark.parametrize("how", ["logits", "probabilities"])
def test_late_fusion_listens_to_whoever_has_an_input(how):
    made, given = fusion("late", learned=True, how=how), views()
    given = given._replace(has_image=torch.tensor([True, False]), has_text=torch.tensor([True, True]))
    output = made(given)
    alone = made.text_head(given.text)[1]
    torch.testing.assert_close(output[1].softmax(-1), alone.softmax(-1))
    torch.testing.assert_close(made.weights(given)[0], made.log_weights.softmax(-1))
    assert torch.equal(made(given._replace(image=given.image * torch.tensor([[1.0], [9.0]])))[1], output[1])


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("missing", ["image", "text"])
def test_a_missing_view_is_a_placeholder_that_learns(name, options, missing):
    made, given = fusion(name, **options), views(masks=False)
    dropout = ModalityDropout(IMAGE, TEXT, learned=True).double()
    nn.init.normal_(getattr(dropout, missing))
    without = given._replace(**{missing: None, f"{missing}_tokens": None})
    output = made(dropout(without))
    assert output.shape == (2, WIDTH)
    flagged = given._replace(**{f"has_{missing}": torch.zeros(2, dtype=torch.bool)})  # there, but not to be looked at
    torch.testing.assert_close(made(dropout(flagged)), output)
    output.square().sum().backward()
    assert bool(getattr(dropout, missing).grad.abs().sum()) == (name != "late")
    with pytest.raises(ValueError, match=r"needs image(_tokens)? .*, got None"):
        made(Views(None, given.text, None, given.text_tokens))


def test_modality_dropout_takes_one_view_in_training_alone():
    torch.manual_seed(0)
    dropout, count = ModalityDropout(IMAGE, TEXT, share=0.25), 4000
    nn.init.ones_(dropout.image)
    given = Views(normal(count, IMAGE), normal(count, TEXT), normal(count, 3, IMAGE), None)
    dropped = dropout(given)
    lost_image, lost_text = ~dropped.has_image, ~dropped.has_text
    assert not (lost_image & lost_text).any()
    for lost in (lost_image, lost_text):
        assert 0.22 < lost.double().mean() < 0.28
    assert (dropped.image[lost_image] == 1).all()
    assert torch.equal(dropped.image[~lost_image], given.image[~lost_image])
    assert (dropped.text[lost_text] == 0).all()
    assert (dropped.image_tokens[lost_image] == 1).all()
    assert dropped.image_mask[lost_image].tolist() == [[True, False, False]] * int(lost_image.sum())
    assert dropped.image_mask[~lost_image].all()
    torch.manual_seed(0)
    quiet = dropout.eval()(given)
    assert quiet.image is given.image
    assert quiet.has_image.all()
    assert dropped.text_tokens is None
    only = dropout.train()(given._replace(text=None))  # the last view is never taken
    assert torch.equal(only.image, given.image)
    with pytest.raises(ValueError, match="image, text or both must be given"):
        dropout(Views())
    with pytest.raises(ValueError, match=r"share must lie between 0 and 0.5"):
        ModalityDropout(4, 4, share=0.6)


def test_masked_mean_and_max():
    x, mask = normal(3, 4, 2), padding_mask([4, 2, 0], 4)
    x[1, 2:] = torch.nan
    largest = masked_max(x, mask)
    torch.testing.assert_close(largest, torch.stack([x[0].amax(0), x[1, :2].amax(0), torch.zeros(2).double()]))
    torch.testing.assert_close(masked_max(x[:1]), largest[:1])
    mean = masked_mean(x, mask)
    torch.testing.assert_close(mean, torch.stack([x[0].mean(0), x[1, :2].mean(0), torch.zeros(2).double()]))
    torch.testing.assert_close(masked_mean(x[:1]), mean[:1])
    with pytest.raises(ValueError, match="mask must be bool"):
        masked_mean(x, mask.long())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_fusion("sum", 4, 4, 4), f"fusion must be one of {', '.join(FUSIONS)}, got 'sum'"),
        (lambda: make_fusion("concat", 4, 4, 4, heads=2), "'concat' has the options hidden, dropout, got 'heads'"),
        (lambda: make_fusion("late", 4, 4, 4, how="votes"), "how must be one of logits, probabilities, got 'votes'"),
        (lambda: make_fusion("cross_attention", 4, 4, 4, asks="me"), "asks must be one of text, image, got 'me'"),
        (lambda: make_fusion("cross_attention", 4, 4, 4, pool="sum"), "pool must be one of max, mean, got 'sum'"),
        (lambda: make_fusion("cross_attention", 4, 4, 6), "width 6 must be a multiple of heads, got 4 heads"),
        (
            lambda: make_fusion("co_attention", 4, 4, 4, grid=(2, 2), positions="sin"),
            "positions must be one of sine, learned, got 'sin'",
        ),
        (
            lambda: fusion("cross_attention", grid=(2, 2))(views()),
            "grid 2 × 2 has 4 patches, got 6",
        ),
        (lambda: fusion("gated")(Views(normal(2, 3), normal(2, 4))), r"image must have shape \(B, 6\), got \(2, 3\)"),
        (
            lambda: fusion("cross_attention")(Views(normal(2, 6), normal(2, 4))),
            r"CrossAttentionFusion needs image_tokens \(B, tokens, 6\), got None",
        ),
    ],
)  # fmt: skip
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
