"""Losses of classification: softmax, cross-entropy and its gradient, Kullback–Leibler divergence, entropy.

Logits have the shape (…, V), V classes last; N counts the samples, the product of the dimensions before. All logarithms
are natural, so the results are in nats. Float16 and bfloat16 are computed in, and come back as, float32.

Cross-entropy and the numerically stable softmax follow Goodfellow, Bengio and Courville, "Deep Learning" (2016),
sections 3.13, 4.1 and 6.2.2; label smoothing follows Szegedy et al., "Rethinking the Inception architecture" (2016).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

REDUCTIONS = ("mean", "sum", "none")
IGNORED = -100  # the target that no loss counts, as in PyTorch


def log_sum_exp(x: Tensor, dim: int = -1) -> Tensor:
    """log Σ exp(x) over `dim`, which is removed: m + log Σ exp(x − m) with m = max x, so that nothing overflows.

    Numbers that are all −inf (the logarithms of zeros) sum to −inf, with zero gradients.
    Source: Goodfellow et al. (2016), section 4.1.

    >>> log_sum_exp(torch.tensor([1000.0, 1000.0]))  # 1000 + log 2
    tensor(1000.6932)
    """
    maximum, rest = _log_sum_exp(_exact(x, "x"), dim)
    return (maximum + rest).squeeze(dim)


def _log_sum_exp(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """m = max x and log Σ exp(x − m), with `dim` kept. Two, as the sum of 10,000 and a little loses the little."""
    maximum = x.detach().amax(dim, keepdim=True)  # a constant: moving m changes nothing, so neither does its gradient
    maximum = maximum.masked_fill(maximum.isinf(), 0.0)  # inf − inf would be NaN
    total = (x - maximum).exp().sum(dim, keepdim=True)
    nothing = total == 0  # the slope of log at 0 is infinite, so 0 never gets there
    return maximum, total.masked_fill(nothing, 1.0).log().masked_fill(nothing, -torch.inf)


def log_softmax(logits: Tensor, *, temperature: float = 1.0, dim: int = -1) -> Tensor:
    """Logarithms of the probabilities, z − log Σ exp(z) with z = logits / temperature; same shape as `logits`.

    Source: Goodfellow et al. (2016), equation 6.30; temperature as in Hinton et al., "Distilling the knowledge" (2015).

    >>> log_softmax(torch.tensor([0.0, -10000.0]))  # log(softmax) would be −inf on the right
    tensor([     0., -10000.])
    """
    scaled = _scaled(logits, temperature)
    maximum, rest = _log_sum_exp(scaled, dim)
    return (scaled - maximum) - rest


def softmax(logits: Tensor, *, temperature: float = 1.0, dim: int = -1) -> Tensor:
    """Probabilities exp(z) / Σ exp(z) with z = logits / temperature; same shape as `logits`.

    Source: Goodfellow et al. (2016), equation 6.29.

    >>> softmax(torch.tensor([0.0, 0.0, 1e4, 1e4]))
    tensor([0.0000, 0.0000, 0.5000, 0.5000])
    """
    return log_softmax(logits, temperature=temperature, dim=dim).exp()


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = IGNORED,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """−(1/N) Σₙ Σ_c yₙc log softmax(logitsₙ)_c: a sum over the classes c, a mean over the samples n.

    yₙ is 1 at the target and 0 elsewhere, so the inner sum is the one term −log pₙ(target). Smoothing moves the share
    `label_smoothing` of the 1 evenly to all classes; class weights multiply y, and the mean divides by the weights of
    the targets. Equals `torch.nn.functional.cross_entropy`, with one exception: a batch in which nothing counts (all
    ignored, all of weight zero, or empty) gives 0 with zero gradients, where PyTorch gives NaN.

    Args:
        logits: (…, V).
        targets: int64 (…), each a class from 0 to V − 1 or `ignore_index`.
        ignore_index: targets of this value count for nothing; their logits are not even looked at.
        weight: (V,), how much each class counts.
        temperature: divides the logits.
        reduction: "mean", "sum", or "none" for one loss a sample, (…), 0 where ignored.
    Raises:
        ValueError: shapes, types or settings do not fit; the message says which.

    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, -100]))  # log 4
    tensor(1.3863)
    """
    _check_reduction(reduction)
    rows, classes, keep, weight = _samples(logits, targets, ignore_index, weight, label_smoothing)
    losses = _CrossEntropy.apply(_scaled(rows, temperature), classes, weight, label_smoothing)
    if reduction == "none":
        if keep is not None:
            losses = losses.new_zeros(targets.numel()).index_copy(0, keep, losses)
        return losses.reshape(targets.shape)
    return losses.sum() if reduction == "sum" else losses.sum() / _count(classes, weight)


def cross_entropy_gradient(
    logits: Tensor,
    targets: Tensor,
    *,
    ignore_index: int = IGNORED,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """How the mean `cross_entropy` changes with each logit: (p − y) / N by hand, without autograd; shape of `logits`.

    p = softmax(logits), y as in `cross_entropy`; ignored samples get zeros and are not counted in N. A temperature
    divides the result once more, and class weights, which multiply y, make it (p Σ_c y_c − y) / N.
    Source: Bishop, "Pattern Recognition and Machine Learning" (2006), equation 4.109.

    >>> cross_entropy_gradient(torch.zeros(1, 4), torch.tensor([1]))
    tensor([[ 0.2500, -0.7500,  0.2500,  0.2500]])
    """
    rows, classes, keep, weight = _samples(logits, targets, ignore_index, weight, label_smoothing)
    slope = _slope(_scaled(rows, temperature), classes, weight, label_smoothing)
    slope = slope / (_count(classes, weight) * temperature)
    if keep is not None:
        slope = slope.new_zeros(targets.numel(), slope.shape[1]).index_copy(0, keep, slope)
    return slope.reshape(logits.shape)


class _CrossEntropy(torch.autograd.Function):
    """One loss a row, (N, V) -> (N,), whose backward pass is the formula p − y rather than a chain of operations.

    It keeps the logits alone for the backward pass, not the (N, V) intermediates that autograd would.
    """

    @staticmethod
    def forward(logits: Tensor, classes: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
        log_p = logits.log_softmax(-1)  # PyTorch's fused kernel of the function above
        losses = -_hit(logits, classes, weight, smoothing) * log_p.gather(1, classes[:, None])[:, 0]  # (N, V) -> (N,)
        if smoothing:
            everywhere = log_p.sum(-1) if weight is None else log_p @ weight  # (N, V) -> (N,)
            losses -= smoothing / log_p.shape[1] * everywhere
        return losses

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        logits, classes, weight, ctx.smoothing = inputs
        ctx.save_for_backward(logits, classes, weight)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        logits, classes, weight = ctx.saved_tensors
        return _slope(logits, classes, weight, ctx.smoothing).mul_(upstream[:, None]), None, None, None


def _slope(logits: Tensor, classes: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """p Σ_c y_c − y for every row, (N, V); without class weights Σ_c y_c is 1."""
    p, share = logits.softmax(-1), smoothing / logits.shape[1]
    hit = _hit(logits, classes, weight, smoothing)  # (N,)
    if weight is not None:
        p = p * (hit + share * weight.sum())[:, None]
    if smoothing:
        p = p - (share if weight is None else share * weight)
    # In place saves a third of the time; a second derivative needs p as it was.
    subtract = torch.scatter_add if torch.is_grad_enabled() else Tensor.scatter_add_
    return subtract(p, 1, classes[:, None], -hit[:, None])


def _hit(logits: Tensor, classes: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """What y holds at the target, apart from the share that smoothing gives to every class: (N,)."""
    full = 1 - smoothing
    return logits.new_full(classes.shape, full) if weight is None else weight[classes] * full


def _count(classes: Tensor, weight: Tensor | None) -> Tensor | int:
    """What the mean divides by: the number of samples or their weights, and never 0."""
    if weight is None:
        return max(len(classes), 1)
    total = weight[classes].sum()
    return total.masked_fill(total == 0, torch.inf)  # anything / inf is 0, and so is its gradient


def kl_divergence(p_logits: Tensor, q_logits: Tensor, *, reduction: str = "mean") -> Tensor:
    """Σ_c p_c (log p_c − log q_c) with p = softmax(p_logits), q = softmax(q_logits): the nats that believing q costs.

    Args:
        p_logits: (…, V), of the distribution the data come from.
        q_logits: the same shape, of the model. A class with p = 0 adds 0; one with q = 0 < p makes it infinite.
        reduction: "mean" over all distributions, "sum", or "none" for (…).
    Raises:
        ValueError: shapes or reduction do not fit.
    Source: Goodfellow et al. (2016), equation 3.50.

    >>> kl_divergence(torch.tensor([0.0, -torch.inf]), torch.tensor([0.0, 0.0]))  # log 2
    tensor(0.6931)
    """
    _check_reduction(reduction)
    if p_logits.shape != q_logits.shape:
        raise ValueError(
            f"p_logits have shape {tuple(p_logits.shape)}, q_logits {tuple(q_logits.shape)}; want the same"
        )
    log_p, log_q = log_softmax(p_logits), log_softmax(q_logits)
    p = log_p.exp()
    divergences = (p * (log_p - log_q).masked_fill(p == 0, 0.0)).sum(-1)  # (…, V) -> (…)
    if reduction == "none":
        return divergences
    return divergences.sum() if reduction == "sum" else divergences.mean()


def entropy(logits: Tensor) -> Tensor:
    """−Σ_c p_c log p_c with p = softmax(logits): (…, V) -> (…), in nats; a class with p = 0 adds 0.

    Source: Goodfellow et al. (2016), equation 3.49, written out as a sum.

    >>> entropy(torch.tensor([[0.0, 0.0], [0.0, -torch.inf]]))  # a fair coin, and one that always shows the same
    tensor([0.6931, 0.0000])
    """
    log_p = log_softmax(logits)
    p = log_p.exp()
    return (p * -log_p.masked_fill(p == 0, 0.0)).sum(-1)  # (…, V) -> (…)


def _exact(x: Tensor, name: str) -> Tensor:
    """Float32 for half precision, which would lose digits or overflow at 65,504; everything else as it is."""
    if not x.dtype.is_floating_point:
        raise ValueError(f"{name} must be floating-point numbers, got {x.dtype}; write {name}.float()")
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    logits = _exact(logits, "logits")
    return logits if temperature == 1 else logits / temperature


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")


def _samples(
    logits: Tensor, targets: Tensor, ignore_index: int, weight: Tensor | None, smoothing: float
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """The rows (N, V) and classes (N,) that count, which they are (None for all), and the weights in their dtype."""
    if logits.dim() < 1 or logits.shape[:-1] != targets.shape:
        wanted = f"(…, V) with targets (…), classes last, got {tuple(logits.shape)} and {tuple(targets.shape)}"
        hint = "; PyTorch's (B, V, T) is written logits.transpose(1, 2)" if logits.dim() == 3 else ""
        raise ValueError(f"logits must have shape {wanted}{hint}")
    if targets.dtype != torch.int64:
        raise ValueError(f"targets must be int64 class numbers, got {targets.dtype}; write targets.long()")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing must lie between 0 and 1, got {smoothing}")
    size = logits.shape[-1]
    if weight is not None:
        if weight.shape != (size,):
            raise ValueError(f"weight must have shape ({size},), one a class, got {tuple(weight.shape)}")
        weight = weight.detach().to(_exact(logits, "logits"))
    rows, classes = logits.reshape(-1, size), targets.reshape(-1)  # (…, V) -> (N, V), (…) -> (N,)
    keep, (low, high) = None, _range(classes)
    if low <= ignore_index <= high:
        keep = (classes != ignore_index).nonzero()[:, 0]
        rows, classes = rows.index_select(0, keep), classes[keep]  # whose backward is faster than that of rows[keep]
        low, high = _range(classes)
    if low < 0 or high >= size:
        wrong = low if low < 0 else high
        raise ValueError(f"targets must be classes 0 to {size - 1} or ignore_index {ignore_index}, got {wrong}")
    return rows, classes, keep, weight


def _range(classes: Tensor) -> tuple[int, int]:
    """Smallest and largest, read in one go, as each reading waits for an accelerator; for no classes (0, −1)."""
    low, high = torch.stack(classes.aminmax()).tolist() if len(classes) else (0, -1)
    return low, high
