"""Language models that count, the baselines that a network has to beat; as in Shannon (1948), section 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.losses import IGNORED


class _Counts(nn.Module):
    """What the two counting models share: counts that are buffers, so that they are saved and moved like weights."""

    counts: Tensor

    def __init__(self, shape: Sequence[int], k: float) -> None:
        super().__init__()
        if k < 0:
            raise ValueError(f"k must not be negative, got {k}")
        self.k = k
        self.register_buffer("counts", torch.zeros(*shape, dtype=torch.int64))

    @property
    def vocabulary_size(self) -> int:
        return self.counts.shape[-1]

    def count(self, inputs: Tensor, targets: Tensor) -> _Counts:
        """Adds the pairs of a `Shifted` to the counts; ignored targets are left out. Returns the model itself."""
        seen = targets != IGNORED
        before, after = inputs[seen], targets[seen]
        self._check(before)
        self._check(after)
        self._add(before, after)
        return self

    def log_probabilities(self) -> Tensor:
        """ln of (count + k) / (sum of counts + k·V), the last dimension summing to 1; all alike if nothing is known."""
        exact = torch.float32 if self.counts.device.type == "mps" else torch.float64  # which mps does not have
        weights = self.counts.to(exact) + self.k
        total = weights.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, weights / total, 1.0 / self.vocabulary_size).log()

    def stepper(self) -> Callable[[Tensor], Tensor]:
        """A step function for `mmcourse.decoding`: all tokens so far (B, T) -> logits (B, V) of the next."""
        return lambda tokens: self(tokens[:, -1:])[:, -1]

    def _add(self, before: Tensor, after: Tensor) -> None:
        raise AssertionError("a counting model says how it counts")

    def _check(self, tokens: Tensor) -> None:
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.vocabulary_size:
            found = f"{int(tokens.min())} to {int(tokens.max())}"
            raise ValueError(f"tokens must lie between 0 and {self.vocabulary_size - 1}, got {found}")


class Unigram(_Counts):
    """P(token) from how often each token occurs, with k added to every count (k = 1 is Laplace's rule).

    >>> from mmcourse.lm import shift
    >>> model = Unigram(3).count(*shift(torch.tensor([[0, 1, 1, 2]])))
    >>> (6 * model.log_probabilities().exp()).round().tolist()
    [1.0, 3.0, 2.0]
    """

    def __init__(self, vocabulary_size: int, *, k: float = 1.0) -> None:
        super().__init__((vocabulary_size,), k)

    def _add(self, before: Tensor, after: Tensor) -> None:
        self.counts += torch.bincount(after, minlength=self.vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V): log-probabilities, the same everywhere."""
        return self.log_probabilities().float().expand(*tokens.shape, -1)


class Bigram(_Counts):
    """P(token | the token before it) from counts of pairs, with k added to every count.

    >>> from mmcourse.lm import shift
    >>> model = Bigram(2, k=0.0).count(*shift(torch.tensor([[0, 1, 0, 0]])))
    >>> model.log_probabilities().exp()
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000]], dtype=torch.float64)
    """

    def __init__(self, vocabulary_size: int, *, k: float = 1.0) -> None:
        super().__init__((vocabulary_size, vocabulary_size), k)

    def _add(self, before: Tensor, after: Tensor) -> None:
        size = self.vocabulary_size
        self.counts += torch.bincount(before * size + after, minlength=size * size).view(size, size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V): log-probabilities of the token after each."""
        return F.embedding(tokens, self.log_probabilities().float())
