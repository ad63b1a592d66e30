"""Chapter 07's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math

import pytest
import torch
from answers import Answers
from torch import nn
from torch.nn import functional as F

from mmcourse.attention import attention, padding_mask, sinusoidal_positions, sinusoidal_positions_2d
from mmcourse.course.exercises import all_exercises, find
from mmcourse.fusion import CrossAttentionLayer

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 07-words-ask-patches -----------------------------------------------------------------------------------------


@right("07-words-ask-patches")
def cross_by_library(words, patches, w_query, w_key, w_value):
    found = attention(words @ w_query, patches @ w_key, patches @ w_value)
    return found.output, found.weights


@right("07-words-ask-patches")
def cross_with_einsum(words, patches, w_query, w_key, w_value):
    q, k, v = words.matmul(w_query), patches.matmul(w_key), patches.matmul(w_value)
    weights = torch.softmax(torch.einsum("btd,bpd->btp", q, k) / math.sqrt(w_query.shape[1]), 2)
    return torch.einsum("btp,bpd->btd", weights, v), weights


@right("07-words-ask-patches")
def cross_with_a_loop(words, patches, w_query, w_key, w_value):
    outputs, maps = [], []
    for t in range(words.shape[1]):
        scores = ((words[:, t : t + 1] @ w_query) * (patches @ w_key)).sum(-1) * w_query.shape[1] ** -0.5
        maps.append(F.softmax(scores, dim=1))
        outputs.append((maps[-1][..., None] * (patches @ w_value)).sum(1))
    return torch.stack(outputs, 1), torch.stack(maps, 1)


@wrong("07-words-ask-patches", "roles are swapped")
def cross_swapped(words, patches, w_query, w_key, w_value):
    return cross_by_library(patches, words, w_query, w_key, w_value)


@wrong("07-words-ask-patches", "words ask themselves")
def cross_self(words, patches, w_query, w_key, w_value):
    return cross_by_library(words, words, w_query, w_key, w_value)


@wrong("07-words-ask-patches", "softmax runs over the words")
def cross_wrong_axis(words, patches, w_query, w_key, w_value):
    scores = (words @ w_query) @ (patches @ w_key).transpose(1, 2) / math.sqrt(w_query.shape[1])
    weights = F.softmax(scores, dim=1)
    return weights @ (patches @ w_value), weights


@wrong("07-words-ask-patches", "not divided by √D")
def cross_unscaled(words, patches, w_query, w_key, w_value):
    found = attention(words @ w_query, patches @ w_key, patches @ w_value, scale=1.0)
    return found.output, found.weights


@wrong("07-words-ask-patches", "w_key and w_value are swapped")
def cross_maps_swapped(words, patches, w_query, w_key, w_value):
    return cross_by_library(words, patches, w_query, w_value, w_key)


@wrong("07-words-ask-patches", "width of the queries")
def cross_scaled_by_width(words, patches, w_query, w_key, w_value):
    found = attention(words @ w_query, patches @ w_key, patches @ w_value, scale=words.shape[-1] ** -0.5)
    return found.output, found.weights


@wrong("07-words-ask-patches", "output first")
def cross_turned(words, patches, w_query, w_key, w_value):
    output, weights = cross_by_library(words, patches, w_query, w_key, w_value)
    return weights, output


# --- 07-padded-words ----------------------------------------------------------------------------------------------


@right("07-padded-words")
def padded_by_library(q, k, v, lengths):
    real = torch.arange(k.shape[1])[None] < lengths[:, None]
    return attention(q, k, v, mask=real[:, None]).output


@right("07-padded-words")
def padded_one_by_one(q, k, v, lengths):
    rows = []
    for one, keys, values, n in zip(q, k, v, lengths.tolist(), strict=True):
        weights = torch.softmax(one @ keys[:n].T / math.sqrt(q.shape[-1]), -1)
        rows.append(weights @ values[:n] if n else torch.zeros(len(one), v.shape[-1]))
    return torch.stack(rows)


@right("07-padded-words")
def padded_with_nan_to_num(q, k, v, lengths):
    real = (torch.arange(k.shape[1]) < lengths[:, None]).unsqueeze(1)
    scores = torch.where(real, q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ v


def _padded(q, k, v, mask):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@wrong("07-padded-words", "Nothing is masked")
def padded_unmasked(q, k, v, lengths):
    return F.scaled_dot_product_attention(q, k, v)


@wrong("07-padded-words", "inverted")
def padded_inverted(q, k, v, lengths):
    real = (torch.arange(k.shape[1]) >= lengths[:, None])[:, None]
    return attention(q, k, v, mask=real).output


@wrong("07-padded-words", "One word too many")
def padded_off_by_one(q, k, v, lengths):
    return attention(q, k, v, mask=(torch.arange(k.shape[1]) <= lengths[:, None])[:, None]).output


@wrong("07-padded-words", "patches instead of words")
def padded_wrong_side(q, k, v, lengths):
    real = torch.arange(q.shape[1]) < lengths[:, None]
    return attention(q, k, v, mask=real[:, :, None].expand(-1, -1, k.shape[1])).output


@wrong("07-padded-words", "gives NaN")
def padded_nan(q, k, v, lengths):
    real = (torch.arange(k.shape[1]) < lengths[:, None])[:, None]
    return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~real, float("-inf")).softmax(-1) @ v


@wrong("07-padded-words", "after the softmax")
def padded_late(q, k, v, lengths):
    real = (torch.arange(k.shape[1]) < lengths[:, None])[:, None]
    return ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) * real) @ v


@wrong("07-padded-words", "cut at the longest")
def padded_to_the_longest(q, k, v, lengths):
    n = int(lengths.max())
    return F.scaled_dot_product_attention(q, k[:, :n], v[:, :n])


# --- 07-co-attention ----------------------------------------------------------------------------------------------


@right("07-co-attention")
def co_by_the_book(words, patches, words_ask, patches_ask):
    found_words = words_ask(words, patches)
    found_patches = patches_ask(patches, words)
    return words + found_words, patches + found_patches


@right("07-co-attention")
def co_with_copies(words, patches, words_ask, patches_ask):
    old = words.clone()
    words = torch.add(words, words_ask(words, patches))
    return words, torch.add(patches_ask(patches, old), patches)


@wrong("07-co-attention", "words that have already been updated")
def co_words_first(words, patches, words_ask, patches_ask):
    words = words_ask(words, patches) + words
    return words, patches_ask(patches, words) + patches


@wrong("07-co-attention", "patches that have already been updated")
def co_patches_first(words, patches, words_ask, patches_ask):
    patches = patches_ask(patches, words) + patches
    return words_ask(words, patches) + words, patches


@wrong("07-co-attention", "residual")
def co_without_residual(words, patches, words_ask, patches_ask):
    return words_ask(words, patches), patches_ask(patches, words)


@wrong("07-co-attention", "wrong order")
def co_turned(words, patches, words_ask, patches_ask):
    return patches + patches_ask(patches, words), words + words_ask(words, patches)


@wrong("07-co-attention", "attentions are swapped")
def co_swapped(words, patches, words_ask, patches_ask):
    return words + patches_ask(words, patches), patches + words_ask(patches, words)


# --- 07-positions-2d ----------------------------------------------------------------------------------------------


@right("07-positions-2d")
def positions_by_library(rows, columns, width):
    return sinusoidal_positions_2d(rows, columns, width)


@right("07-positions-2d")
def positions_patch_by_patch(rows, columns, width):
    down, across = sinusoidal_positions(rows, width // 2), sinusoidal_positions(columns, width // 2)
    return torch.stack([torch.cat((down[p // columns], across[p % columns])) for p in range(rows * columns)])


@right("07-positions-2d")
def positions_with_repeat(rows, columns, width):
    down, across = sinusoidal_positions(rows, width // 2), sinusoidal_positions(columns, width // 2)
    return torch.cat((down.repeat_interleave(columns, 0), across.repeat(rows, 1)), dim=1)


@wrong("07-positions-2d", "in one line")
def positions_flat(rows, columns, width):
    return sinusoidal_positions(rows * columns, width)


@wrong("07-positions-2d", "column comes first")
def positions_column_first(rows, columns, width):
    return sinusoidal_positions_2d(rows, columns, width).roll(width // 2, dims=1)


@wrong("07-positions-2d", "column by column")
def positions_column_order(rows, columns, width):
    return sinusoidal_positions_2d(rows, columns, width).view(rows, columns, width).transpose(0, 1).reshape(-1, width)


@wrong("07-positions-2d", "added")
def positions_added(rows, columns, width):
    down, across = sinusoidal_positions(rows, width), sinusoidal_positions(columns, width)
    return (down[:, None] + across).reshape(rows * columns, width)


@wrong("07-positions-2d", "twice as wide")
def positions_wide(rows, columns, width):
    down, across = sinusoidal_positions(rows, width), sinusoidal_positions(columns, width)
    return torch.cat((down.repeat_interleave(columns, 0), across.repeat(rows, 1)), dim=1)


@wrong("07-positions-2d", "as a grid")
def positions_grid(rows, columns, width):
    return sinusoidal_positions_2d(rows, columns, width).unflatten(0, (rows, columns))


# --- 07-identity-start --------------------------------------------------------------------------------------------


@right("07-identity-start")
def start_with_init(width):
    layers = [nn.Linear(width, width) for _ in range(2)]
    for layer in layers:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return tuple(layers)


@right("07-identity-start")
def start_with_parameters(width):
    def make():
        layer = nn.Linear(width, width)
        layer.weight, layer.bias = nn.Parameter(torch.eye(width)), nn.Parameter(torch.zeros(width))
        return layer

    return make(), make()


def _with(weight, bias=True):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    layer.weight = nn.Parameter(weight)
    if bias:
        nn.init.constant_(layer.bias, 0.0)
    return layer


@wrong("07-identity-start", "all 1")
def start_with_ones(width):
    return _with(torch.ones(width, width)), _with(torch.ones(width, width))


@wrong("07-identity-start", "all 0")
def start_with_zeros(width):
    return _with(torch.zeros(width, width)), _with(torch.zeros(width, width))


@wrong("07-identity-start", "no bias")
def start_without_bias(width):
    return _with(torch.eye(width), bias=False), _with(torch.eye(width), bias=False)


@wrong("07-identity-start", "one and the same")
def start_shared(width):
    return (_with(torch.eye(width)),) * 2


@wrong("07-identity-start", "frozen")
def start_frozen(width):
    query, key = start_with_init(width)
    for parameter in (*query.parameters(), *key.parameters()):
        parameter.requires_grad = False
    return query, key


@wrong("07-identity-start", "√width")
def start_scaled(width):
    return _with(torch.eye(width) / math.sqrt(width)), _with(torch.eye(width) / math.sqrt(width))


# --- 07-pointing-game ---------------------------------------------------------------------------------------------


def _shares(maps, masks):
    height = masks.shape[1] // maps.shape[1]
    width = masks.shape[2] // maps.shape[2]
    return masks.float().unflatten(1, (-1, height)).unflatten(3, (-1, width)).mean(dim=(2, 4))


@right("07-pointing-game")
def pointing_with_a_loop(maps, masks):
    hits = 0
    for one, mask in zip(maps, masks, strict=True):
        row, column = divmod(int(one.argmax()), maps.shape[2])
        tall, wide = masks.shape[1] // maps.shape[1], masks.shape[2] // maps.shape[2]
        cell = mask[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide]
        hits += bool(cell.double().mean() >= 0.25)
    return torch.tensor(hits / len(maps))


@right("07-pointing-game")
def pointing_with_comparison(maps, masks):
    at_peak = maps == maps.amax(dim=(1, 2), keepdim=True)
    return ((_shares(maps, masks) >= 0.25) & at_peak).any(2).any(1).float().mean()


@wrong("07-pointing-game", "One touching pixel")
def pointing_touching(maps, masks):
    at_peak = maps == maps.amax(dim=(1, 2), keepdim=True)
    return ((_shares(maps, masks) > 0) & at_peak).any(2).any(1).float().mean()


@wrong("07-pointing-game", "shares of covered pixels")
def pointing_shares(maps, masks):
    at_peak = maps == maps.amax(dim=(1, 2), keepdim=True)
    return (_shares(maps, masks) * at_peak).sum(dim=(1, 2)).mean()


@wrong("07-pointing-game", "are counted")
def pointing_counted(maps, masks):
    return pointing_with_comparison(maps, masks) * len(maps)


@wrong("07-pointing-game", "very cell")
def pointing_same_cell(maps, masks):
    return (maps.flatten(1).argmax(1) == _shares(maps, masks).flatten(1).argmax(1)).float().mean()


@wrong("07-pointing-game", "inside the object only")
def pointing_inside(maps, masks):
    shares = _shares(maps, masks)
    best = torch.where(shares > 0, maps, torch.zeros(())).flatten(1).argmax(1)
    return (shares.flatten(1)[torch.arange(len(maps)), best] >= 0.25).float().mean()


# --- 07-attention-mass --------------------------------------------------------------------------------------------


@right("07-attention-mass")
def mass_by_pixels(maps, masks):
    tall, wide = masks.shape[1] // maps.shape[1], masks.shape[2] // maps.shape[2]
    large = maps.repeat_interleave(tall, 1).repeat_interleave(wide, 2) / (tall * wide)
    return (large * masks).sum() / len(maps)


@right("07-attention-mass")
def mass_with_einsum(maps, masks):
    return torch.einsum("nij,nij->n", maps, _shares(maps, masks)).mean()


@wrong("07-attention-mass", "touches counts in full")
def mass_touching(maps, masks):
    return maps[_shares(maps, masks) > 0].sum() / len(maps)


@wrong("07-attention-mass", "quarter")
def mass_quarter(maps, masks):
    return maps[_shares(maps, masks) >= 0.25].sum() / len(maps)


@wrong("07-attention-mass", "whole weight of its cell")
def mass_enlarged(maps, masks):
    tall, wide = masks.shape[1] // maps.shape[1], masks.shape[2] // maps.shape[2]
    return (maps.repeat_interleave(tall, 1).repeat_interleave(wide, 2) * masks).sum() / len(maps)


@wrong("07-attention-mass", "mean over the cells")
def mass_mean(maps, masks):
    return torch.mean(maps * _shares(maps, masks))


@wrong("07-attention-mass", "divided by the size")
def mass_density(maps, masks):
    shares = _shares(maps, masks)
    return torch.einsum("nij,nij->n", maps, shares).div(shares.sum((1, 2))).mean()


# --- twenty more, from a demanding reader ---------------------------------------------------------------------------


@right("07-words-ask-patches")
def cross_in_double(words, patches, w_query, w_key, w_value):
    words, patches, w_query, w_key, w_value = (x.double() for x in (words, patches, w_query, w_key, w_value))
    scores = torch.einsum("btc,cd,bpe,ed->btp", words, w_query, patches, w_key) * w_query.shape[1] ** -0.5
    weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
    return torch.einsum("btp,bpc,cd->btd", weights, patches, w_value).float(), weights.float()


@right("07-words-ask-patches")
def cross_as_a_list(words, patches, w_query, w_key, w_value):
    return list(cross_with_a_loop(words, patches, w_query, w_key, w_value))


@wrong("07-words-ask-patches", "patches themselves are mixed")
def cross_without_values(words, patches, w_query, w_key, w_value):
    weights = cross_with_einsum(words, patches, w_query, w_key, w_value)[1]
    return weights @ patches, weights


@wrong("07-words-ask-patches", "softmax is missing")
def cross_with_scores(words, patches, w_query, w_key, w_value):
    scores = torch.einsum("btd,bpd->btp", words @ w_query, patches @ w_key) / math.sqrt(w_query.shape[1])
    return scores @ (patches @ w_value), scores


@right("07-padded-words")
def padded_by_sums(q, k, v, lengths):
    real = torch.arange(k.shape[1]).expand(len(k), -1) < lengths.unsqueeze(1)
    scores = torch.einsum("bpd,btd->bpt", q, k) / q.shape[-1] ** 0.5
    shares = (scores - scores.amax(dim=-1, keepdim=True)).double().exp() * real[:, None]
    return (shares @ v.double() / shares.sum(dim=-1, keepdim=True).clamp(min=1e-300)).float()


@right("07-padded-words")
def padded_by_pytorch(q, k, v, lengths):
    real = (torch.arange(k.shape[1]) < lengths[:, None])[:, None].expand(-1, q.shape[1], -1)
    some = (lengths > 0)[:, None, None]
    return torch.where(some, F.scaled_dot_product_attention(q, k, v, attn_mask=real | ~some), 0.0)


@wrong("07-padded-words", "set to 0, but")
def padded_with_zero_scores(q, k, v, lengths):
    real = torch.arange(k.shape[1]) < lengths[:, None]
    return torch.softmax(torch.einsum("bpd,btd->bpt", q, k) / q.shape[-1] ** 0.5 * real[:, None], dim=2) @ v


@wrong("07-padded-words", "mean of its padding")
def padded_without_the_end(q, k, v, lengths):
    real = torch.arange(k.shape[1]) < lengths[:, None]
    return torch.softmax((q @ k.mT / math.sqrt(q.shape[-1])) + torch.where(real, 0.0, -1e9)[:, None], dim=-1) @ v


@right("07-co-attention")
def co_as_a_list(words, patches, words_ask, patches_ask):
    found = [words_ask(words, patches), patches_ask(patches, words)]
    return [old + new for old, new in zip((words, patches), found, strict=True)]


@wrong("07-co-attention", "asks itself")
def co_with_itself(words, patches, words_ask, patches_ask):
    return torch.add(words, words_ask(words, words)), torch.add(patches, patches_ask(patches, patches))


@wrong("07-co-attention", "Only the words are updated")
def co_of_words_alone(words, patches, words_ask, patches_ask):
    return words_ask(words, patches).add(words), patches.clone()


@right("07-positions-2d")
def positions_by_broadcast(rows, columns, width):
    table = torch.empty(rows, columns, width)
    table[..., : width // 2] = sinusoidal_positions(rows, width // 2)[:, None]
    table[..., width // 2 :] = sinusoidal_positions(columns, width // 2)
    return table.flatten(0, 1)


@right("07-positions-2d")
def positions_by_indexing(rows, columns, width):
    row, column = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).T
    both = sinusoidal_positions(rows, width // 2)[row], sinusoidal_positions(columns, width // 2)[column]
    return torch.hstack(both).numpy()


@wrong("07-positions-2d", "swapped")
def positions_turned(rows, columns, width):
    down, across = sinusoidal_positions(columns, width // 2), sinusoidal_positions(rows, width // 2)
    return torch.cat((down.repeat_interleave(rows, 0), across.repeat(columns, 1)), dim=1)


@right("07-identity-start")
def start_as_a_list(width):
    def make():
        layer = nn.Linear(width, width)
        layer.load_state_dict({"weight": torch.eye(width), "bias": torch.zeros(width)})
        return layer

    return [make(), make()]


@wrong("07-identity-start", "biases start at random")
def start_with_random_bias(width):
    layers = nn.Linear(width, width), nn.Linear(width, width)
    for layer in layers:
        nn.init.eye_(layer.weight)
    return layers


@right("07-pointing-game")
def pointing_by_pixels(maps, masks):
    large = F.interpolate(maps[:, None], size=masks.shape[1:], mode="nearest")[:, 0]
    at_peak = large == large.amax(dim=(1, 2), keepdim=True)
    covered = (at_peak & masks).sum(dim=(1, 2)) / at_peak.sum(dim=(1, 2))
    return (covered >= 0.25).double().mean().item()


@wrong("07-pointing-game", "half or more")
def pointing_half(maps, masks):
    at_peak = maps == maps.amax(dim=(1, 2), keepdim=True)
    return ((_shares(maps, masks) >= 0.5) & at_peak).any(2).any(1).float().mean()


@right("07-attention-mass")
def mass_one_by_one(maps, masks):
    size = masks[0].numel() // maps[0].numel()
    large = F.interpolate(maps[:, None], size=masks.shape[1:], mode="nearest")[:, 0]
    return sum(one[mask].sum().item() / size for one, mask in zip(large, masks, strict=True)) / len(maps)


@wrong("07-attention-mass", "outside the object")
def mass_outside(maps, masks):
    return torch.einsum("nij,nij->n", maps, 1 - _shares(maps, masks)).mean()


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("07"))


def test_references_are_those_of_the_library():
    words, patches, w_query, w_key, w_value = torch.randn(2, 3, 4), torch.randn(2, 5, 4), *torch.randn(3, 4, 4)
    found = find("07-words-ask-patches").reference(words, patches, w_query, w_key, w_value)
    library = attention(words @ w_query, patches @ w_key, patches @ w_value)
    torch.testing.assert_close(found, tuple(library))
    lengths, mask = torch.tensor([1, 3]), padding_mask([1, 3])
    found = find("07-padded-words").reference(patches, words, words, lengths)
    torch.testing.assert_close(found, attention(patches, words, words, mask=mask[:, None]).output)
    torch.testing.assert_close(find("07-positions-2d").reference(3, 5, 8), sinusoidal_positions_2d(3, 5, 8))
    layer = CrossAttentionLayer(6, 1, identity_start=True)
    for linear, start in zip(
        find("07-identity-start").reference(6), (layer.attention.query, layer.attention.key), strict=True
    ):
        assert torch.equal(linear.weight, start.weight)
        assert torch.equal(linear.bias, start.bias)


def test_pointing_and_mass_agree_on_maps_that_are_all_or_nothing():
    """With all attention in one cell, a hit is a mass of a quarter or more."""
    masks = torch.zeros(3, 16, 16, dtype=torch.bool)
    masks[0, :2, :2], masks[1, 4:8, 4:8], masks[2, 8:12, :1] = True, True, True
    maps = torch.zeros(3, 4, 4)
    maps[0, 0, 0], maps[1, 1, 1], maps[2, 3, 3] = 1, 1, 1
    assert find("07-pointing-game").reference(maps, masks).item() == pytest.approx(2 / 3)
    assert find("07-attention-mass").reference(maps, masks).item() == pytest.approx((1 / 4 + 1) / 3)
