"""Chapter 01's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math

import numpy as np
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 01-attend-one ------------------------------------------------------------------------------------------------


@right("01-attend-one")
def attend_one_with_a_loop(query, keys, values):
    scores = [float(key.dot(query)) for key in keys]
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    total = torch.zeros(values.shape[1])
    for share, value in zip(shares, values, strict=True):
        total += share / sum(shares) * value
    return total


@right("01-attend-one")
def attend_one_by_einsum(query, keys, values):
    weights = F.softmax(torch.einsum("d,sd->s", query, keys), dim=-1)
    return torch.einsum("s,se->e", weights, values)


@wrong("01-attend-one", "raw scores", "softmax")
def attend_one_raw(query, keys, values):
    return sum(torch.dot(query, key) * value for key, value in zip(keys, values, strict=True))


@wrong("01-attend-one", "never exponentiated")
def attend_one_plain_share(query, keys, values):
    z = torch.mv(keys, query)
    return torch.mv(values.T, z / torch.sum(z))


@wrong("01-attend-one", "not divided by their sum")
def attend_one_unnormalized(query, keys, values):
    e = torch.exp(torch.mv(keys, query))
    return (e.unsqueeze(1) * values).sum(0)


@wrong("01-attend-one", "argmax")
def attend_one_hard(query, keys, values):
    best = max(range(len(keys)), key=lambda i: float(keys[i] @ query))
    return values[best].clone()


@wrong("01-attend-one", "averages the keys")
def attend_one_keys(query, keys, values):
    w = F.softmax((keys * query).sum(1), dim=0)
    return (w[:, None] * keys).sum(0)


@wrong("01-attend-one", "plain mean")
def attend_one_mean(query, keys, values):
    return values.sum(0) / len(values)


@wrong("01-attend-one", "already divide")
def attend_one_scaled(query, keys, values):
    return F.scaled_dot_product_attention(query[None], keys, values)[0]


# --- 01-scaled-attention ------------------------------------------------------------------------------------------


@right("01-scaled-attention")
def scaled_fused(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


@right("01-scaled-attention")
def scaled_by_einsum(q, k, v):
    weights = torch.einsum("...td,...sd->...ts", q * q.shape[-1] ** -0.5, k).exp()
    return torch.einsum("...ts,...se->...te", weights / weights.sum(-1, keepdim=True), v)


@wrong("01-scaled-attention", "not divided by √d")
def scaled_not(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=1.0)


@wrong("01-scaled-attention", "over the queries")
def scaled_wrong_axis(q, k, v):
    e = (torch.einsum("...td,...sd->...ts", q, k) / math.sqrt(q.size(-1))).exp()
    return e / e.sum(-2, keepdim=True) @ v


@wrong("01-scaled-attention", "divided by d")
def scaled_by_d(q, k, v):
    d = q.size(-1)
    return F.softmax(torch.matmul(q / d, k.mT), -1) @ v


@wrong("01-scaled-attention", "multiplied by √d")
def scaled_up(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=math.sqrt(q.size(-1)))


@wrong("01-scaled-attention", "number of keys")
def scaled_by_keys(q, k, v):
    return F.softmax(q @ k.mT / math.sqrt(k.size(-2)), -1) @ v


@wrong("01-scaled-attention", "after the softmax")
def scaled_late(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, scale=1.0) / math.sqrt(q.size(-1))


@wrong("01-scaled-attention", "softmax is missing")
def scaled_without_softmax(q, k, v):
    return torch.einsum("...td,...sd,...se->...te", q, k, v) / math.sqrt(q.size(-1))


# --- 01-softmax-backward ------------------------------------------------------------------------------------------


@right("01-softmax-backward")
def backward_with_jacobian(weights, grad):
    jacobian = torch.diag_embed(weights) - weights.unsqueeze(-1) * weights.unsqueeze(-2)
    return (jacobian @ grad.unsqueeze(-1)).squeeze(-1)


@right("01-softmax-backward")
def backward_by_autograd(weights, grad):
    scores = weights.log().requires_grad_()
    return torch.autograd.grad(F.softmax(scores, dim=-1), scores, grad)[0]


@wrong("01-softmax-backward", "diagonal of the Jacobian alone")
def backward_diagonal(weights, grad):
    return grad * (weights - weights**2)


@wrong("01-softmax-backward", "p · g alone")
def backward_product(weights, grad):
    return torch.mul(grad, weights)


@wrong("01-softmax-backward", "plain mean")
def backward_mean(weights, grad):
    return weights * grad - weights * grad.sum(-1, keepdim=True) / grad.shape[-1]


@wrong("01-softmax-backward", "factor p in front")
def backward_without_p(weights, grad):
    return grad - torch.einsum("...s,...s->...", weights, grad)[..., None]


@wrong("01-softmax-backward", "sign")
def backward_sign(weights, grad):
    return -backward_with_jacobian(weights, grad)


@wrong("01-softmax-backward", "whole tensor")
def backward_whole_sum(weights, grad):
    return weights * grad - weights * torch.sum(weights * grad)


# --- 01-causal-mask -----------------------------------------------------------------------------------------------


@right("01-causal-mask")
def causal_by_loops(length):
    return torch.tensor([[column <= row for column in range(length)] for row in range(length)])


@right("01-causal-mask")
def causal_from_triu(length):
    return ~torch.triu(torch.full((length, length), True), diagonal=1)


@wrong("01-causal-mask", "inverted")
def causal_inverted(length):
    return torch.triu(torch.ones(length, length), diagonal=1).bool()


@wrong("01-causal-mask", "turned over")
def causal_future(length):
    i = torch.arange(length)
    return i[None] >= i[:, None]


@wrong("01-causal-mask", "diagonal is missing")
def causal_strict(length):
    i = torch.arange(length)
    return i.view(1, -1) < i.view(-1, 1)


@wrong("01-causal-mask", "Everything is allowed")
def causal_everything(length):
    return torch.full((length, length), True)


@wrong("01-causal-mask", "as numbers")
def causal_floats(length):
    return torch.tril(torch.ones(length, length))


@wrong("01-causal-mask", "added to scores")
def causal_additive(length):
    return torch.triu(torch.full((length, length), -math.inf), diagonal=1)


# --- 01-masked-attention ------------------------------------------------------------------------------------------


@right("01-masked-attention")
def masked_nan_to_num(q, k, v, mask):
    return torch.nan_to_num(F.softmax((q @ k.mT / math.sqrt(q.size(-1))).masked_fill(~mask, -math.inf), -1)) @ v


@right("01-masked-attention")
def masked_renormalized(q, k, v, mask):
    e = (q @ k.mT / math.sqrt(q.size(-1))).exp() * mask
    return e @ v / e.sum(-1, keepdim=True).clamp_min(1e-30)


@wrong("01-masked-attention", "inverted")
def masked_inverted(q, k, v, mask):
    s = torch.where(mask, torch.tensor(-1e9), q @ k.mT / math.sqrt(q.size(-1)))
    return F.softmax(s, -1) @ v


@wrong("01-masked-attention", "after the softmax")
def masked_after(q, k, v, mask):
    return torch.where(mask, F.softmax(q @ k.mT / math.sqrt(q.size(-1)), -1), torch.tensor(0.0)) @ v


@wrong("01-masked-attention", "exp(0) = 1")
def masked_with_zero(q, k, v, mask):
    return F.softmax((q @ k.mT / math.sqrt(q.size(-1))).masked_fill(mask.logical_not(), 0.0), -1) @ v


@wrong("01-masked-attention", "added to the scores as 0 and 1")
def masked_added(q, k, v, mask):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.float())


@wrong("01-masked-attention", "not used")
def masked_forgotten(q, k, v, mask):
    return F.scaled_dot_product_attention(q, k, v)


@wrong("01-masked-attention", "NaN", "0 by 0")
def masked_minus_infinity(q, k, v, mask):
    s = q @ k.mT / math.sqrt(q.size(-1))
    return F.softmax(torch.where(mask, s, torch.tensor(-math.inf)), -1) @ v


@wrong("01-masked-attention", "averages all values")
def masked_minus_a_billion(q, k, v, mask):
    s = q @ k.mT / math.sqrt(q.size(-1))
    return F.softmax(torch.where(mask, s, torch.tensor(-1e9)), -1) @ v


@wrong("01-masked-attention", "not divided by √d")
def masked_unscaled(q, k, v, mask):
    return torch.nan_to_num(F.softmax((q @ k.mT).masked_fill(~mask, -math.inf), -1)) @ v


# --- 01-merge-heads -----------------------------------------------------------------------------------------------


@right("01-merge-heads")
def merge_by_concatenation(x):
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=-1)


@right("01-merge-heads")
def merge_by_permutation(x):
    return x.permute(0, 2, 1, 3).contiguous().view(x.size(0), x.size(2), -1)


@wrong("01-merge-heads", "without transposing")
def merge_without_transposing(x):
    b, h, t, d = x.size()
    return x.contiguous().view(b, t, h * d)


@wrong("01-merge-heads", "interleaved")
def merge_interleaved(x):
    return torch.stack(list(x.unbind(1)), dim=-1).reshape(x.size(0), x.size(2), -1)


@wrong("01-merge-heads", "averaged")
def merge_averaged(x):
    return sum(x.unbind(1)) / x.size(1)


@wrong("01-merge-heads", "added up")
def merge_added(x):
    return torch.einsum("bhtd->btd", x)


@wrong("01-merge-heads", "along the tokens")
def merge_along_tokens(x):
    return torch.cat(x.unbind(1), dim=1)


@wrong("01-merge-heads", "not merged")
def merge_half_way(x):
    return x.swapaxes(1, 2).contiguous()


# --- 01-parameter-count -------------------------------------------------------------------------------------------

right("01-parameter-count")(1_050_624)
right("01-parameter-count")(sum(p.numel() for p in torch.nn.MultiheadAttention(512, 8).parameters()))
wrong("01-parameter-count", "biases are missing")(1_048_576)
wrong("01-parameter-count", "output map")(787_968)
wrong("01-parameter-count", "map and the biases")(786_432)
wrong("01-parameter-count", "number of heads")(8_404_992)
wrong("01-parameter-count", "reads all 512 channels")(133_120)
wrong("01-parameter-count", "single map")(262_656)


# --- 01-block -----------------------------------------------------------------------------------------------------


@right("01-block")
def block_in_one_expression(x, attend, feed_forward, norm_1, norm_2):
    return (mixed := attend(norm_1(x)) + x) + feed_forward(norm_2(mixed))


@right("01-block")
def block_with_a_loop(x, attend, feed_forward, norm_1, norm_2):
    for part, norm in ((attend, norm_1), (feed_forward, norm_2)):
        x = torch.add(x, part(norm(x)))
    return x


@wrong("01-block", "post-norm")
def block_post_norm(x, attend, feed_forward, norm_1, norm_2):
    for part, norm in ((attend, norm_1), (feed_forward, norm_2)):
        x = norm(x + part(x))
    return x


@wrong("01-block", "residual paths are missing")
def block_chain(x, attend, feed_forward, norm_1, norm_2):
    for step in (norm_1, attend, norm_2, feed_forward):
        x = step(x)
    return x


@wrong("01-block", "second residual path is missing")
def block_one_residual(x, attend, feed_forward, norm_1, norm_2):
    h = attend(norm_1(x))
    return feed_forward(norm_2(h + x))


@wrong("01-block", "replaced the residual path")
def block_normalized_stream(x, attend, feed_forward, norm_1, norm_2):
    for part, norm in ((attend, norm_1), (feed_forward, norm_2)):
        x = norm(x)
        x = x + part(x)
    return x


@wrong("01-block", "norm_1 is used twice")
def block_one_norm(x, attend, feed_forward, norm_1, norm_2):
    x = x + attend(norm_1(x))
    return x + feed_forward(norm_1(x))


@wrong("01-block", "before the attention")
def block_parallel(x, attend, feed_forward, norm_1, norm_2):
    return sum((attend(norm_1(x)), feed_forward(norm_2(x))), start=x)


@wrong("01-block", "attention is lost")
def block_lost_attention(x, attend, feed_forward, norm_1, norm_2):
    h = x + attend(norm_1(x))
    h = feed_forward(norm_2(h))
    return h + x


@wrong("01-block", "normalization is missing")
def block_without_norms(x, attend, feed_forward, norm_1, norm_2):
    x = x + attend(x)
    return x + feed_forward(x)


# --- more of each: NumPy, loops, einsum, float64 ------------------------------------------------------------------


@right("01-attend-one")
def attend_one_by_numpy(query, keys, values):
    scores = keys.numpy() @ query.numpy()
    shares = np.exp(scores - scores.max())
    return shares @ values.numpy() / shares.sum()


@right("01-attend-one")
def attend_one_by_logsumexp(query, keys, values):
    scores = (keys * query).sum(dim=1)
    return torch.einsum("s,se->e", (scores - scores.logsumexp(0)).exp(), values)


@wrong("01-attend-one", "plain mean")
def attend_one_mean_by_numpy(query, keys, values):
    return values.numpy().mean(axis=0)


@wrong("01-attend-one", "argmax")
def attend_one_best_by_numpy(query, keys, values):
    return values.numpy()[np.argmax(keys.numpy() @ query.numpy())]


@right("01-scaled-attention")
def scaled_by_rows(q, k, v):
    rows = [(row.unsqueeze(-2) @ k.mT / row.shape[-1] ** 0.5).softmax(-1) @ v for row in q.unbind(-2)]
    return torch.cat(rows, dim=-2)


@right("01-scaled-attention")
def scaled_on_both_sides(q, k, v):
    root = q.shape[-1] ** 0.25
    return torch.softmax((q / root) @ (k / root).swapaxes(-1, -2), dim=-1) @ v


@wrong("01-scaled-attention", "not divided by √d")
def scaled_not_by_einsum(q, k, v):
    return torch.einsum("...ts,...se->...te", torch.einsum("...td,...sd->...ts", q, k).softmax(-1), v)


@wrong("01-scaled-attention", "over the queries")
def scaled_along_the_first(q, k, v):
    return torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, dim=-2) @ v


@right("01-softmax-backward")
def backward_by_einsum(weights, grad):
    return weights * grad - weights * torch.einsum("...s,...s->...", weights, grad).unsqueeze(-1)


@right("01-softmax-backward")
def backward_by_numpy(weights, grad):
    p, g = weights.numpy(), grad.numpy()
    return p * (g - np.sum(p * g, axis=-1, keepdims=True))


@wrong("01-softmax-backward", "p · g alone")
def backward_product_by_numpy(weights, grad):
    return weights.numpy() * grad.numpy()


@wrong("01-softmax-backward", "sign")
def backward_turned(weights, grad):
    return weights * ((weights * grad).sum(-1, keepdim=True) - grad)


@right("01-causal-mask")
def causal_by_numpy(length):
    return np.tril(np.ones((length, length), dtype=bool))


@right("01-causal-mask")
def causal_by_counting(length):
    return torch.eye(length).cumsum(dim=0).bool()


@wrong("01-causal-mask", "diagonal is missing")
def causal_strict_by_numpy(length):
    return np.tril(np.ones((length, length), dtype=bool), k=-1)


@wrong("01-causal-mask", "turned over")
def causal_upper_by_numpy(length):
    return np.triu(np.ones((length, length), dtype=bool))


@right("01-masked-attention")
def masked_by_where(q, k, v, mask):
    weights = torch.where(mask, q @ k.mT / q.shape[-1] ** 0.5, -torch.inf).softmax(-1)
    return torch.where(mask, weights, 0.0) @ v


@wrong("01-masked-attention", "not used")
def masked_forgotten_by_hand(q, k, v, mask):
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


@right("01-merge-heads")
def merge_by_einsum(x):
    return torch.einsum("bhtd->bthd", x).reshape(x.shape[0], x.shape[2], -1)


@right("01-merge-heads")
def merge_by_numpy(x):
    b, h, t, d = x.shape
    return np.swapaxes(x.numpy(), 1, 2).reshape(b, t, h * d)


@wrong("01-merge-heads", "averaged")
def merge_averaged_by_numpy(x):
    return x.numpy().mean(axis=1)


right("01-parameter-count")(np.int64(4 * 512 * 513))
wrong("01-parameter-count", "biases are missing")(4 * 512**2.0)


@right("01-block")
def block_with_names(x, attend, feed_forward, norm_1, norm_2):
    change = attend(norm_1(x))
    middle = x.clone().add_(change)
    return middle + feed_forward(norm_2(middle))


# --- the tests ----------------------------------------------------------------------------------------------------


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("01"))


def test_the_gradient_that_the_exercise_asks_for_is_the_one_of_autograd():
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weights, grad = scores.softmax(-1), torch.randn(3, 5, dtype=torch.float64)
    (expected,) = torch.autograd.grad(weights, scores, grad)
    torch.testing.assert_close(find("01-softmax-backward").reference(weights.detach(), grad), expected)


def test_the_parameter_count_is_the_one_of_the_library():
    from mmcourse.attention import MultiHeadAttention

    count = sum(parameter.numel() for parameter in MultiHeadAttention(512, 8).parameters())
    assert count == find("01-parameter-count").reference


def test_the_block_is_the_one_of_the_library():
    from mmcourse.transformer import Block

    block, x = Block(8, 2), torch.randn(2, 4, 8)
    parts = (block.attention, block.feed_forward, block.attention_norm, block.feed_forward_norm)
    torch.testing.assert_close(find("01-block").reference(x, *parts), block(x))
