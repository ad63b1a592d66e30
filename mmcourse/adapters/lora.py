"""LoRA: a linear map stays as it is and learns a correction of low rank beside it, W + (alpha / rank) · B A.

Hu et al., "LoRA: Low-rank adaptation of large language models" (2021, arXiv:2106.09685), section 4.1. Their A is `down`
(R, I) and begins as in their code; their B is `up` (O, R) and begins at zero, so that the start is the frozen map.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.runtime import full_precision

if TYPE_CHECKING:
    from transformers.pytorch_utils import Conv1D


def low_rank_update(x: Tensor, down: Tensor, up: Tensor, *, scale: float) -> Tensor:
    """What LoRA adds to the output of a linear map: scale · (x downᵀ) upᵀ, (…, I) -> (…, O).

    Args:
        down: (R, I), from the channels of the input to the rank.
        up: (O, R), from the rank to the channels of the output.
        scale: alpha / rank in the paper.
    Raises:
        ValueError: shapes do not fit together; the message says which.

    >>> low_rank_update(torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [0.0]]), scale=0.5)
    tensor([5.5000, 0.0000])
    """
    _check_ranks(down, up)
    if x.shape[-1] != down.shape[1]:
        raise ValueError(f"x has {x.shape[-1]} channels, down reads {down.shape[1]}")
    return F.linear(F.linear(x, down), up) * scale  # (…, I) -> (…, R) -> (…, O)


def merged_weight(weight: Tensor, down: Tensor, up: Tensor, *, scale: float) -> Tensor:
    """One weight that does what a frozen one and its correction do together: weight + scale · up down, (O, I).

    Computed in float32 at least, then rounded to the type of `weight`.

    Raises:
        ValueError: shapes do not fit together; the message says which.

    >>> merged_weight(torch.zeros(2, 2), torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [0.0]]), scale=0.5)
    tensor([[1.5000, 2.0000],
            [0.0000, 0.0000]])
    """
    _check_ranks(down, up)
    if weight.shape != (up.shape[0], down.shape[1]):
        raise ValueError(f"weight must be (O, I) = {(up.shape[0], down.shape[1])}, got {tuple(weight.shape)}")
    exact = torch.promote_types(weight.dtype, torch.float32)
    with full_precision(weight.device.type):  # autocast would round the correction before it is added
        return (weight.to(exact) + up.to(exact) @ down.to(exact) * scale).to(weight.dtype)  # (O, R) @ (R, I)


def _check_ranks(down: Tensor, up: Tensor) -> None:
    if down.dim() != 2 or up.dim() != 2 or down.shape[0] != up.shape[1]:
        raise ValueError(f"down must be (R, I) and up (O, R) of one R, got {tuple(down.shape)} and {tuple(up.shape)}")


class LoRALinear(nn.Module):
    """A frozen linear map with a correction of low rank that learns; type and device are those of the map.

    Args:
        base: an `nn.Linear`, or the `Conv1D` of transformers, which keeps its weight the other way round (I, O). From
            now on it is frozen.
        rank: R, channels between `down` and `up`.
        alpha: the correction counts alpha / rank.
        dropout: share of the input's channels that the correction does not see in training.
        generator: where `down` comes from; the same numbers on every device.
    Raises:
        ValueError: an argument is out of its range.
        TypeError: base is neither of the two.
    """

    def __init__(
        self,
        base: nn.Linear | Conv1D,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not is_linear(base):
            raise TypeError(f"base must be nn.Linear or transformers' Conv1D, got {type(base).__name__}")
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise ValueError(f"rank must be a whole number of at least 1, got {rank}")
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha must be finite and above 0, got {alpha}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        self.rank, self.alpha = rank, alpha
        self.transposed = not isinstance(base, nn.Linear)
        self.base = base.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Parameter(_random_down(rank, self.in_features, base.weight, generator))
        self.up = nn.Parameter(base.weight.new_zeros(self.out_features, rank))
        # The base weight of before a merge. No buffer, as it must keep every bit when the model changes its type.
        self._kept: Tensor | None = None
        self.train(base.training)

    @property
    def in_features(self) -> int:
        return channels(self.base)[0]

    @property
    def out_features(self) -> int:
        return channels(self.base)[1]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def merged(self) -> bool:
        """Whether the weight of `base` holds the correction at the moment."""
        return self._kept is not None

    @property
    def weight(self) -> Tensor:
        """The weight with its correction, for code that reads a layer's weight in place of calling it."""
        if self.merged:
            return self.base.weight
        if self.transposed:
            return merged_weight(self.base.weight.T, self.down, self.up, scale=self.scale).T
        return merged_weight(self.base.weight, self.down, self.up, scale=self.scale)

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) -> (…, O)."""
        if not self.merged:
            return self.base(x) + low_rank_update(self.dropout(x), self.down, self.up, scale=self.scale)
        if self.training and torch.is_grad_enabled():
            raise ValueError("the adapters are merged, so nothing would learn; call unmerge(model) before training")
        return self.base(x)

    @torch.no_grad()
    def merge(self) -> None:
        """Puts the correction into the weight of `base`; merged twice is merged once."""
        if not self.merged:
            weight = self.weight
            self._kept = self.base.weight.detach().clone()
            self.base.weight.copy_(weight)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Puts the weight of `base` back as it was, to the bit: it was kept, as a difference would be rounded."""
        if self._kept is not None:
            self.base.weight.copy_(self._kept)
            self._kept = None

    def extra_repr(self) -> str:
        return f"rank={self.rank}, alpha={self.alpha}, merged={self.merged}"

    def _save_to_state_dict(self, *args: Any, **options: Any) -> None:
        self._refuse_merged()
        super()._save_to_state_dict(*args, **options)

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        self._refuse_merged()
        super()._load_from_state_dict(*args, **options)

    def _refuse_merged(self) -> None:
        """Merged weights beside `down` and `up` would count the correction twice in whatever reads them."""
        if self.merged:
            raise ValueError(
                "the adapters are merged, so a state_dict would hold them twice; call unmerge(model) first, "
                "or remove_lora(model) for a plain model"
            )


def is_linear(module: nn.Module) -> bool:
    """Whether LoRA fits: no subclass, as what those add to a linear map is not known here."""
    # transformers takes a second to import; where nobody did, no module is of its classes
    loaded = sys.modules.get("transformers.pytorch_utils")
    return type(module) is nn.Linear or (loaded is not None and type(module) is loaded.Conv1D)


def channels(layer: nn.Linear | Conv1D) -> tuple[int, int]:
    """How many channels go into a linear layer and how many come out."""
    rows, columns = layer.weight.shape
    return (columns, rows) if isinstance(layer, nn.Linear) else (rows, columns)


def _random_down(rank: int, inputs: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """(R, I), uniform within ±1/√I: the paper's code starts A as PyTorch starts a linear layer."""
    down = torch.empty(rank, inputs, device="cpu" if generator is None else generator.device)
    return nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator).to(like)
