"""How good a map is, against what is known: where the object is, what removing pixels does, what removing objects does.

Where an object is tells where a map ought to look if the model does look there. Whether the model depends on what the
map shows is another question, which only a change of the picture answers: of pixels (Petsiuk et al., "RISE: randomized
input sampling for explanation of black-box models", 2018), or of whole objects, where a world can be drawn again
without one. A map that gives all places the same value gets what chance would.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.interpret.asking import Score, ask, check_images, nothing_like
from mmcourse.metrics import spearman
from mmcourse.pictures import covered


class Curve(NamedTuple):
    """`scores` (B, steps + 1) as pixels go or come, and `area` (B,), its mean over all shares of pixels from 0 to 1."""

    scores: Tensor
    area: Tensor


class Causal(NamedTuple):
    """How the map's mass in each object, `mass` (B, N), goes with what the object does to the score.

    spearman: (B,), whether both put the objects in the same order, from −1 to 1; NaN where there is no order, as with
        one object: take `nanmean`.
    cosine: (B,), whether both share themselves out alike, from −1 to 1; 0 where one of them is all zeros.
    """

    mass: Tensor
    spearman: Tensor
    cosine: Tensor


def pointing(maps: Tensor, masks: Tensor, *, share: float = 0.25) -> Tensor:
    """The pointing game: whether the peak of each map (B, h, w) lies in its mask (B, H, W), 1 or 0; (B,).

    Zhang et al., "Top-down neural attention by excitation backprop" (2016). Where several places are the highest, the
    share of them that lies inside counts: what pointing at one of them by chance would win.

    Args:
        masks: bool, as large as the maps or larger.
        share: of a cell of the map, how much the mask must cover for it to lie inside; a pixel does or does not.
    Raises:
        ValueError: shapes do not fit, a mask is empty, or a map holds NaN.

    >>> pointing(torch.tensor([[[0.1, 0.9]]]), torch.tensor([[[False, True]]])).tolist()
    [1.0]
    """
    _check(maps, masks, filled=True)
    peaks = maps == maps.amax(dim=(1, 2), keepdim=True)
    inside = covered(masks, maps.shape[1:]) >= share
    return ((peaks & inside).sum(dim=(1, 2)) / peaks.sum(dim=(1, 2))).to(maps)


def mass_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """The share of what is positive in each map (B, h, w) that lies in its mask (B, H, W); (B,), from 0 to 1.

    It is 0 where nothing is positive. A cell counts by the share of it that the mask covers, so a map that is the same
    everywhere gets the share of the picture that the mask covers: compare with that.

    Args:
        masks: bool, as large as the maps or larger.
    Raises:
        ValueError: shapes do not fit, a mask is empty, or a map holds NaN.

    >>> mass_inside(torch.tensor([[[3.0, 1.0, -2.0]]]), torch.tensor([[[True, False, False]]])).tolist()
    [0.75]
    """
    _check(maps, masks, filled=True)
    positive = maps.clamp(min=0)
    inside, total = ((positive * each).sum(dim=(1, 2)) for each in (covered(masks, maps.shape[1:]).to(maps), 1))
    return torch.where(total > 0, inside / total, 0.0)


def deletion(score: Score, images: Tensor, maps: Tensor, *, baseline: Tensor | float = 0.0, steps: int = 32) -> Curve:
    """The score as pixels are taken away, those highest in the map first: the smaller the area, the better the map.

    Petsiuk et al., "RISE" (2018). A picture with holes is like none that the model has learned from, which may lower
    the score as well: compare with `random_map`.

    Args:
        score: float images (B, C, H, W) -> (B,).
        images: (B, C, H, W).
        maps: (B, H, W); `enlarge` brings smaller ones to that size.
        baseline: what is there instead: a number, or a tensor that broadcasts to images.
        steps: in how many equal steps.
    Raises:
        ValueError: shapes do not fit, steps is not from 1 to the number of pixels, or a map holds NaN.
    """
    check_images(images)
    return _curve(score, images, nothing_like(images, baseline), maps, steps)


def insertion(score: Score, images: Tensor, maps: Tensor, *, baseline: Tensor | float = 0.0, steps: int = 32) -> Curve:
    """The score as pixels come back to a picture of nothing, highest first: the larger the area, the better the map.

    Petsiuk et al., "RISE" (2018), who begin with a blurred picture, such as that of torchvision's `gaussian_blur`: give
    it as the baseline. Arguments and errors as for `deletion`.
    """
    check_images(images)
    return _curve(score, nothing_like(images, baseline), images, maps, steps)


def _curve(score: Score, start: Tensor, end: Tensor, maps: Tensor, steps: int) -> Curve:
    """The score on the way from one picture to another, pixel by pixel in the order of the map."""
    if maps.shape != start[:, 0].shape or maps.isnan().any():
        wanted = tuple(start[:, 0].shape)
        raise ValueError(f"maps must be (B, H, W) = {wanted} like the images, without NaN, got {tuple(maps.shape)}")
    pixels = maps[0].numel()
    if not 1 <= steps <= pixels:
        raise ValueError(f"steps must be from 1 to {pixels}, the number of pixels, got {steps}")
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view_as(maps)[:, None]  # (B, 1, H, W): when each pixel has its turn
    turns = [round(step * pixels / steps) for step in range(steps + 1)]
    scores = torch.stack([ask(score, torch.where(rank < turn, end, start)) for turn in turns], dim=1)
    shares = torch.tensor(turns).to(scores) / pixels
    return Curve(scores, torch.trapezoid(scores, shares, dim=1))


def object_mass(maps: Tensor, masks: Tensor) -> Tensor:
    """What of each map (B, h, w) lies in each of N masks (B, N, H, W), with its sign: (B, N).

    Args:
        masks: bool, as large as the maps or larger.
    Raises:
        ValueError: shapes do not fit, or a map holds NaN.
    """
    _check(maps, masks)
    # Shares of cells times the pixels in a cell, so that mass does not hang on how finely a map is drawn.
    scale = masks.shape[-2] * masks.shape[-1] / maps[0].numel()
    return (maps[:, None] * covered(masks, maps.shape[1:]).to(maps)).sum(dim=(2, 3)) * scale


def effects(score: Score, images: Tensor, removed: Tensor) -> Tensor:
    """How far the score falls when each object is gone, which is what the object did: (B, N).

    Args:
        score: float images (B, C, H, W) -> (B,).
        images: (B, C, H, W).
        removed: the same pictures without each of N objects, (B, N, C, H, W); see `mmcourse.datasets.removals`.
    Raises:
        ValueError: shapes do not fit, or the score is not one number a sample.

    >>> images, empty = torch.ones(1, 3, 2, 2), torch.zeros(1, 1, 3, 2, 2)
    >>> effects(lambda images: images[:, 0, 0, 0], images, torch.cat((empty, images[:, None]), dim=1)).tolist()
    [[1.0, 0.0]]
    """
    check_images(images)
    if removed.dim() != 5 or (len(removed), *removed.shape[2:]) != images.shape or removed.dtype != images.dtype:
        wanted, got = f"{images.dtype} (B, N, C, H, W) of images {tuple(images.shape)}", tuple(removed.shape)
        raise ValueError(f"removed must be {wanted}, got {removed.dtype} {got}")
    before = ask(score, images)
    return torch.stack([before - ask(score, each) for each in removed.unbind(dim=1)], dim=1)


def causal(maps: Tensor, masks: Tensor, true: Tensor) -> Causal:
    """Whether a map (B, h, w) gives each object its due: its mass in the objects against their true effects.

    Args:
        masks: bool (B, N, H, W); an object whose mask is empty is not there and does not count.
        true: how far the score falls without each object, (B, N), as `effects` measures it.
    Raises:
        ValueError: shapes do not fit, a sample has no object, or a map or an effect is not finite.
    """
    mass = object_mass(maps, masks)
    if true.shape != mass.shape or not true.isfinite().all():
        wanted = tuple(mass.shape)
        raise ValueError(f"true must be finite effects (B, N) = {wanted}, one for each mask, got {tuple(true.shape)}")
    there = masks.flatten(2).any(dim=2)  # (B, N)
    if not there.any(dim=1).all():
        sample = int((~there.any(dim=1)).nonzero()[0])
        raise ValueError(f"masks must mark an object in each sample, all of sample {sample} are empty")
    known = torch.where(there, true.to(mass), 0.0)
    return Causal(mass, spearman(mass, known, mask=there).to(mass), F.cosine_similarity(mass, known, dim=1))


def _check(maps: Tensor, masks: Tensor, *, filled: bool = False) -> None:
    """That maps are float (B, h, w), and masks bool (B, H, W), or else (B, N, H, W); `filled`: that none is empty."""
    if maps.dim() != 3 or not maps.is_floating_point() or maps.isnan().any():
        raise ValueError(f"maps must be float (B, h, w) without NaN, got {maps.dtype} {tuple(maps.shape)}")
    wanted = "(B, H, W)" if filled else "(B, N, H, W)"
    fits = masks.dim() == (3 if filled else 4) and masks.dtype == torch.bool and len(masks) == len(maps)
    if not fits or any(large < small for large, small in zip(masks.shape[-2:], maps.shape[-2:], strict=True)):
        got = f"{masks.dtype} {tuple(masks.shape)} for maps {tuple(maps.shape)}"
        raise ValueError(f"masks must be bool {wanted}, one for each map and at least its size, got {got}")
    if filled and not masks.flatten(1).any(dim=1).all():
        sample = int((~masks.flatten(1).any(dim=1)).nonzero()[0])
        raise ValueError(f"masks must mark something in each sample, that of sample {sample} is empty")
