"""Fusion of one vector for the picture with one for the sentence: each way as a function first, where it has one.

Concatenation is the fusion of tutorials; gates follow Arevalo et al., "Gated multimodal units" (2017), the low-rank
bilinear form Kim et al., "Hadamard product for low-rank bilinear pooling" (2017), and FiLM Perez et al., "FiLM: visual
reasoning with a general conditioning layer" (2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcourse.fusion.views import Fusion, Views, mlp
from mmcourse.losses import log_softmax, log_sum_exp
from mmcourse.pooling import masked_mean

AVERAGES = ("logits", "probabilities")


class ConcatFusion(Fusion):
    """Both vectors end to end through an MLP; with a linear head the classic 512-256-classes network.

    Args:
        hidden: the layers before the last, which has `width` channels.
    """

    def __init__(
        self,
        image_width: int,
        text_width: int,
        width: int = 256,
        *,
        hidden: Sequence[int] = (512,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(image_width, text_width, width)
        self.mlp = mlp((image_width + text_width, *hidden, width), dropout=dropout)

    def forward(self, views: Views) -> Tensor:
        """(B, width)."""
        return self.mlp(torch.cat((self._read(views, "image"), self._read(views, "text")), dim=-1))


def average_predictions(logits: Tensor, weights: Tensor, *, how: str = "logits") -> Tensor:
    """What several predictors say together: logits (B, M, V), weights (B, M) that sum to 1 -> logits (B, V).

    Args:
        how: "logits" averages them (a product of the opinions: one veto counts), "probabilities" averages
            softmax(logits) (a sum of the opinions) and returns its logarithm.

    >>> average_predictions(torch.tensor([[[0.0, 4.0], [2.0, 0.0]]]), torch.tensor([[0.5, 0.5]]))
    tensor([[1., 2.]])
    """
    if how not in AVERAGES:
        raise ValueError(f"how must be one of {', '.join(AVERAGES)}, got {how!r}")
    silent = weights[..., None] == 0  # what has no weight has no influence, not even by a NaN
    if how == "logits":
        return (logits.masked_fill(silent, 0) * weights[..., None]).sum(dim=1)  # (B, M, V) -> (B, V)
    weighted = (
        log_softmax(logits.masked_fill(silent, 0)) + weights.clamp(min=torch.finfo(weights.dtype).tiny).log()[..., None]
    )
    return log_sum_exp(weighted.masked_fill(silent, -torch.inf), dim=1)


class LateFusion(Fusion):
    """Two classifiers that never meet, one a modality, and a weighted average of what they say: `width` is the classes.

    A classifier whose input is missing says nothing, and the other decides alone.

    Args:
        hidden: layers of each classifier before its last.
        how: average "logits" or "probabilities", see `average_predictions`.
        learned: the weights of the two are learned; otherwise both count one half.
    """

    gives_logits = True

    def __init__(
        self,
        image_width: int,
        text_width: int,
        width: int,
        *,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.0,
        how: str = "logits",
        learned: bool = False,
    ) -> None:
        super().__init__(image_width, text_width, width)
        if how not in AVERAGES:
            raise ValueError(f"how must be one of {', '.join(AVERAGES)}, got {how!r}")
        self.how = how
        self.image_head = mlp((image_width, *hidden, width), dropout=dropout, bend_last=False)
        self.text_head = mlp((text_width, *hidden, width), dropout=dropout, bend_last=False)
        self.log_weights = nn.Parameter(torch.zeros(2), requires_grad=learned)

    def forward(self, views: Views) -> Tensor:
        """Logits (B, width)."""
        image, text = self._read(views, "image"), self._read(views, "text")
        logits = torch.stack((self.image_head(image), self.text_head(text)), dim=1)  # two of (B, V) -> (B, 2, V)
        return average_predictions(logits, self.weights(views), how=self.how)

    def weights(self, views: Views) -> Tensor:
        """How much picture and sentence count: (B, 2), which sums to 1."""
        everyone = views.image.new_ones(len(views.image), dtype=torch.bool)
        has = [everyone if has is None else has for has in (views.has_image, views.has_text)]
        logits = self.log_weights.expand(len(everyone), -1)  # (2,) -> (B, 2)
        return logits.masked_fill(~torch.stack(has, dim=1), torch.finfo(logits.dtype).min).softmax(dim=-1)


class GatedFusion(Fusion):
    """A gate decides, for each sample and each channel, whether the picture or the sentence is let through."""

    def __init__(self, image_width: int, text_width: int, width: int = 256) -> None:
        super().__init__(image_width, text_width, width)
        self.image_in = nn.Linear(image_width, width)
        self.text_in = nn.Linear(text_width, width)
        self.gate_in = nn.Linear(image_width + text_width, width)

    def forward(self, views: Views) -> Tensor:
        """(B, width): z · tanh(W image) + (1 − z) · tanh(W' text), with the gate z."""
        gate = self.gate(views)
        return torch.lerp(self.text_in(views.text).tanh(), self.image_in(views.image).tanh(), gate)

    def gate(self, views: Views) -> Tensor:
        """z (B, width), from 0 (the sentence alone) to 1 (the picture alone)."""
        return self.gate_in(torch.cat((self._read(views, "image"), self._read(views, "text")), dim=-1)).sigmoid()


def low_rank_bilinear(x: Tensor, y: Tensor, u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    """P (U x ∘ V y): every output is a bilinear form xᵀ W_k y with W_k = Σ_r p_kr u_r v_rᵀ, never written out.

    Args:
        x, y: (B, I) and (B, T).
        u, v, p: (R, I), (R, T) and (K, R). A full form would hold K·I·T numbers instead of R·(I + T + K).
    Source: Kim et al. (2017).
    """
    return ((x @ u.T) * (y @ v.T)) @ p.T  # (B, R) ∘ (B, R) -> (B, R) -> (B, K)


class BilinearFusion(Fusion):
    """Low-rank bilinear pooling: picture and sentence are multiplied channel by channel, P (tanh(U x) ∘ tanh(V y)).

    Args:
        rank: how many products; `width` by default.
        bend: tanh before the product, as in the paper; without it the form is exactly bilinear in (x, 1) and (y, 1).
    """

    def __init__(
        self, image_width: int, text_width: int, width: int = 256, *, rank: int | None = None, bend: bool = True
    ) -> None:
        super().__init__(image_width, text_width, width)
        rank = width if rank is None else rank
        self.image_in = nn.Linear(image_width, rank)
        self.text_in = nn.Linear(text_width, rank)
        self.out = nn.Linear(rank, width)
        self.bend = bend

    def forward(self, views: Views) -> Tensor:
        """(B, width)."""
        x, y = self.image_in(self._read(views, "image")), self.text_in(self._read(views, "text"))
        return self.out(x.tanh() * y.tanh() if self.bend else x * y)


def film(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(1 + scale) ∘ x + shift: the sentence turns every feature of the picture up, down or off.

    Args:
        x: (B, C), or (B, P, C) patch by patch.
        scale, shift: (B, C), computed from the sentence; at 0 nothing changes.
    """
    if x.dim() == 3:
        scale, shift = scale[:, None], shift[:, None]  # (B, C) -> (B, 1, C)
    return (1 + scale) * x + shift


class FiLMFusion(Fusion):
    """Feature-wise linear modulation: relu(film(W image)), its scale and shift computed from the sentence.

    Args:
        tokens: modulate every patch and take the mean after the ReLU, which sees more than modulating the mean.
    """

    def __init__(self, image_width: int, text_width: int, width: int = 256, *, tokens: bool = False) -> None:
        super().__init__(image_width, text_width, width)
        self.uses_tokens = tokens
        self.image_in = nn.Linear(image_width, width)
        self.scale_and_shift = nn.Linear(text_width, 2 * width)

    def forward(self, views: Views) -> Tensor:
        """(B, width)."""
        x = self.image_in(self._read(views, "image_tokens" if self.uses_tokens else "image"))
        x = film(x, *self.scale_and_shift(self._read(views, "text")).chunk(2, dim=-1)).relu()
        return masked_mean(x, views.image_mask) if self.uses_tokens else x
