"""Twenty further answers to each of chapters 04 to 06, as people write them: right ones earn all, wrong ones do not."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import find


def convolve_by_loops(x, weight, stride, padding):
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    w = weight.numpy()
    rows, columns = ((n - k) // stride + 1 for n, k in zip(padded.shape[2:], w.shape[2:], strict=True))
    out = np.zeros((len(padded), len(w), rows, columns), dtype=padded.dtype)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, :, top : top + w.shape[2], left : left + w.shape[3]]
            out[:, :, row, column] = np.tensordot(window, w, axes=([1, 2, 3], [1, 2, 3]))
    return out


def field_backwards(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def patchify_by_unfold(images, size):
    return F.unfold(images, size, stride=size).mT


def patchify_by_lists(images, size):
    rows, columns = images.shape[2] // size, images.shape[3] // size
    cut = [
        images[:, :, size * r : size * (r + 1), size * c : size * (c + 1)].flatten(1)
        for r in range(rows)
        for c in range(columns)
    ]
    return torch.stack(cut, dim=1)


def features_by_hook(network, images):
    network.eval()
    seen = []
    handle = network[-1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    with torch.inference_mode():
        network(images)
    handle.remove()
    return seen[0].clone()


def embed_by_module(tokens, segments, words, positions, kinds):
    place = torch.arange(tokens.shape[1]).expand_as(tokens)
    tables = [nn.Embedding.from_pretrained(table) for table in (words, positions, kinds)]
    return sum(table(index) for table, index in zip(tables, (tokens, place, segments), strict=True))


def mean_with_nan(hidden, mask):
    return hidden.masked_fill(~mask[..., None].bool(), math.nan).nanmean(dim=1)


def mean_by_einsum(hidden, mask):
    return torch.einsum("btc,bt->bc", hidden, mask / mask.sum(dim=1, keepdim=True))


def cosine_by_pairs(x):
    i, j = torch.combinations(torch.arange(len(x))).T
    return F.cosine_similarity(x[i], x[j]).mean().item()


def search_by_numpy(query, table, k):
    a, b = table.numpy(), query.numpy()
    return np.argsort(-(a @ b) / np.linalg.norm(a, axis=1), kind="stable")[:k]


def name_step_by_step(name):
    steps = [
        ("embeddings.word_embeddings", "embedding"), ("embeddings.position_embeddings", "positions"),
        ("embeddings.token_type_embeddings", "segments"), ("embeddings.LayerNorm", "norm"),
        ("encoder.layer.", "blocks."), ("attention.output.dense", "attention.out"),
        ("attention.output.LayerNorm", "attention_norm"),
        ("attention.self.", "attention."), ("intermediate.dense", "feed_forward.expand"),
        ("output.dense", "feed_forward.contract"), ("output.LayerNorm", "feed_forward_norm"),
    ]  # fmt: skip
    for old, new in steps:
        name = name.replace(old, new)
    return name


def dropped_by_loop(image, text, share, draw):
    image, text = image.clone(), text.clone()
    for row, number in enumerate(draw.tolist()):
        if number < share:
            image[row] = 0
        elif number >= 1 - share:
            text[row] = 0
    return image, text


def gate_by_two_matrices(image, text, weight):
    first, second = weight.split([image.shape[1], text.shape[1]], dim=1)
    z = 1 / (1 + torch.exp(-(image @ first.T + text @ second.T)))
    return torch.lerp(text.tanh(), image.tanh(), z)


RIGHT = {
    "04-normalize": [
        lambda x, m, s: (x.double() / 255 - m.view(3, 1, 1)).div(s.view(3, 1, 1)).float(),
        lambda x, m, s: ((x.float().movedim(-3, -1) / 255 - m) / s).movedim(-1, -3),
    ],
    "04-color-histogram": [
        lambda x, n: torch.histogramdd(x.flatten(1).T.double(), [n] * 3, range=[0.0, 256.0] * 3).hist.flatten().float()
        / x[0].numel(),
    ],
    "04-fair-scaling": [
        lambda a, b: tuple((t - a.mean(0)) / torch.linalg.norm(a - a.mean(0), axis=1).mean() for t in (a, b)),
        lambda a, b: [(t.numpy() - a.numpy().mean(0)) / np.linalg.norm(a.numpy() - a.numpy().mean(0), axis=1).mean()
                      for t in (a, b)],
    ],
    "04-convolution": [convolve_by_loops],
    "04-receptive-field": [
        field_backwards,
        lambda layers: 1 + sum((k - 1) * math.prod(s for _, s in layers[:i]) for i, (k, _) in enumerate(layers)),
    ],
    "04-residual-block": [
        lambda x, a, b, c, s: (F.conv2d(F.conv2d(x, a, None, s, 1).clamp(min=0), b, None, 1, 1)
                               + F.conv2d(x, c, None, s)).clamp(min=0),
    ],
    "04-frozen-features": [features_by_hook],
    "04-patchify": [patchify_by_unfold, patchify_by_lists],
    "05-embed": [embed_by_module],
    "05-our-name": [name_step_by_step],
    "05-masked-mean": [mean_with_nan, mean_by_einsum],
    "05-search": [
        search_by_numpy,
        lambda q, t, k: F.cosine_similarity(t, q[None]).argsort(descending=True)[:k].tolist(),
    ],
    "05-mean-cosine": [
        cosine_by_pairs,
        lambda x: torch.corrcoef(torch.cat([x, -x], dim=1))[~torch.eye(len(x), dtype=torch.bool)].mean(),
    ],
    "06-layer-shapes": [
        lambda i, t, c: ((512, i + t), (256, 512), (c, 256)),
        lambda i, t, c: [layer.weight.shape for layer in map(nn.Linear, (i + t, 512, 256), (512, 256, c))],
    ],
    "06-interaction": [
        lambda s: s.diagonal(dim1=1, dim2=2).sum(1) - s.flip(2).diagonal(dim1=1, dim2=2).sum(1),
        lambda s: torch.einsum("npq,pq->n", s, torch.tensor([[1.0, -1], [-1, 1]], dtype=s.dtype)),
        lambda s: s.diff(dim=1).diff(dim=2).flatten(),
    ],
    "06-late-fusion": [
        lambda a, b, w: torch.lerp(F.softmax(b, 1), F.softmax(a, 1), w),
        lambda a, b, w: w * (a - a.logsumexp(1, True)).exp() + (1 - w) * (b - b.logsumexp(1, True)).exp(),
    ],
    "06-low-rank-bilinear": [
        lambda x, y, u, v, p: torch.einsum("bi,ri,bt,rt,kr->bk", x, u, y, v, p),
        lambda x, y, u, v, p: F.linear(F.linear(x, u) * F.linear(y, v), p),
    ],
    "06-film": [lambda x, t, a, b: x + F.linear(t, a) * x + F.linear(t, b)],
    "06-gate": [gate_by_two_matrices],
    "06-modality-dropout": [dropped_by_loop],
}  # fmt: skip


def features_in_training_mode(network, images):
    with torch.no_grad():
        return network[:-1](images)


def drop_in_place(image, text, share, draw):
    image[draw < share] = 0
    text[draw >= 1 - share] = 0
    return image, text


WRONG = {
    "04-normalize": [
        lambda x, m, s: (x / 255 - m[:, None, None]) / s.square()[:, None, None],
        lambda x, m, s: x / 255 - (m / s)[:, None, None],
    ],
    "04-color-histogram": [lambda x, n: torch.histc(x.float(), n**3, 0, 256) / x.numel()],
    "04-fair-scaling": [lambda a, b: ((a - a.mean()) / a.std(), (b - a.mean()) / a.std())],
    "04-convolution": [lambda x, w, s, p: F.conv2d(x, w, stride=s, padding=0)],
    "04-receptive-field": [lambda layers: sum(k for k, _ in layers), lambda layers: math.prod(k for k, _ in layers)],
    "04-frozen-features": [features_in_training_mode, lambda network, images: network.eval()(images).detach()],
    "04-patchify": [lambda x, n: F.unfold(x, n, stride=n)],
    "05-longest-match": [lambda word, vocabulary: [word] if word in vocabulary else list(word)],
    "05-embed": [
        lambda t, s, w, p, k: w[t] + p[t.clamp(max=len(p) - 1)] + k[s],
        lambda t, s, w, p, k: w[t] * p[: t.shape[1]] + k[s],
    ],
    "05-mask-tokens": [lambda t, o, lot, fate, x, m: (torch.where(lot < 0.15, m, t), torch.where(lot < 0.15, t, -100))],
    "05-masked-mean": [lambda h, m: h[:, 0], lambda h, m: (h * m[..., None]).mean(dim=1)],
    "05-search": [
        lambda q, t, k: (t @ q).topk(k + 1).indices[1:],
        lambda q, t, k: F.cosine_similarity(t, q[None]).topk(k),
    ],
    "05-mean-cosine": [lambda x: F.normalize(x.mean(0), dim=0).norm(), lambda x: F.normalize(x, dim=1).mean(0).norm()],
    "05-probe": [lambda x, y, a, b, c: (y.bincount().argmax() == b).float().mean()],
    "06-layer-shapes": [lambda i, t, c: [(i + t, 512), (512, 256), (256, c)]],
    "06-interaction": [lambda s: torch.linalg.det(s), lambda s: s.sum(dim=(1, 2))],
    "06-late-fusion": [lambda a, b, w: F.softmax(w * a + (1 - w) * b, dim=-1)],
    "06-film": [lambda x, t, a, b: (t @ a.T) * x + t @ b.T],
    "06-gate": [lambda i, t, w: torch.sigmoid(torch.cat((i, t), -1) @ w.T) * i + t],
    "06-scores-of-a-class": [lambda m, c: (m[c, c] / m.sum(), m[c, c] / m[c].sum().clamp(min=1), 0.0)],
    "06-modality-dropout": [lambda i, t, s, d: (i * (d >= s)[:, None], t * (d >= s)[:, None]), drop_in_place],
}


def rows(table):
    return [pytest.param(name, answer, id=f"{name}-{i}") for name, row in table.items() for i, answer in enumerate(row)]


@pytest.mark.parametrize(("exercise", "answer"), rows(RIGHT))
def test_right_answers_earn_all_points(exercise, answer):
    result = grade(find(exercise), answer)
    assert result.status == "done", result.message


@pytest.mark.parametrize(("exercise", "answer"), rows(WRONG))
def test_wrong_answers_do_not_and_are_told_something(exercise, answer):
    result = grade(find(exercise), answer)
    assert result.status in ("wrong", "error")
    assert result.points < result.max_points
    assert len(result.message) > 10
