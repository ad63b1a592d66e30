"""Gradient caching: the loss and gradients of the whole batch, with the memory of a chunk."""

import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse.losses import info_nce
from mmcourse.train import Batches, fit, in_chunks


class Tower(nn.Module):
    """Notes how many of its largest tensors are alive at any time."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.inside, self.dropout, self.out = nn.Linear(6, 50), nn.Dropout(dropout), nn.Linear(50, 4)
        self.alive, self.most = weakref.WeakSet(), 0

    def forward(self, x, mask=None):
        wide = self.inside(x).tanh()
        self.alive.add(wide)
        self.most = max(self.most, sum(len(each) for each in self.alive))
        wide = wide if mask is None else wide * mask
        return F.normalize(self.out(self.dropout(wide).square()), dim=-1)


def gradients(chunk, *, dropout=0.0, mask=True):
    towers = nn.ModuleList([Tower(dropout), Tower(dropout)])
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, 6, generator=generator, requires_grad=True)
    y = torch.randn(12, 6, generator=generator)
    marks = torch.rand(12, 1, generator=generator).round() if mask else None
    scale = torch.tensor(9.0, requires_grad=True)
    torch.manual_seed(5)
    u = in_chunks(towers[0], x, marks, chunk=chunk)
    v = in_chunks(towers[1], y, marks, chunk=chunk)
    loss = info_nce(u, v, scale=scale)
    loss.backward()
    return [loss.detach(), x.grad, scale.grad, *(parameter.grad for parameter in towers.parameters())], towers


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("chunk", [1, 4, 5, 12, 100])
def test_chunks_give_the_loss_and_gradients_of_the_whole(chunk, mask):
    whole, _ = gradients(None, mask=mask)
    found, _ = gradients(chunk, mask=mask)
    for ours, theirs in zip(found, whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert all(gradient.abs().max() > 0 for gradient in whole)


def test_the_memory_is_that_of_a_chunk():
    whole, split = gradients(None)[1], gradients(3)[1]
    assert all(tower.most == 12 for tower in whole)
    assert all(3 <= tower.most <= 6 for tower in split), "at most one chunk and the one before it, on its way out"


def test_what_is_dropped_is_the_same_in_both_passes():
    """Otherwise the gradient would belong to another function than the loss."""
    tower, x = Tower(0.5).double(), torch.randn(6, 6, dtype=torch.float64)

    def loss(x):
        torch.manual_seed(3)
        return in_chunks(tower, x, chunk=2).square().mul(torch.arange(24.0).view(6, 4)).sum()

    assert torch.autograd.gradcheck(loss, x.requires_grad_())


def test_a_run_in_chunks_ends_where_the_whole_one_does():
    weights = []
    for chunk in (None, 3):
        model = nn.ModuleList([Tower(), Tower()])
        data = torch.randn(40, 2, 6, generator=torch.Generator().manual_seed(0))

        def loss(model, batch, chunk=chunk):
            u, v = (in_chunks(tower, part, chunk=chunk) for tower, part in zip(model, batch[0].unbind(1), strict=True))
            return info_nce(u, v, scale=10.0)

        fit(model, loss, Batches(data, size=8), steps=20, description=None)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(weights[1], weights[0], atol=1e-5, rtol=0)


def test_a_chunk_must_hold_something():
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        in_chunks(Tower(), torch.zeros(2, 6), chunk=0)
