"""08-hard-negatives: let every picture choose among the texts of the batch and their swapped versions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse import losses
from mmcourse.course.exercise import Case, Exercise, Mistake


def loss_with_negatives(images, texts, swapped, scale):
    target = torch.arange(len(images))
    rows = scale * images @ torch.cat((texts, swapped)).T
    columns = scale * texts @ images.T
    return (F.cross_entropy(rows, target) + F.cross_entropy(columns, target)) / 2


def _swapped(count, width, scale):
    """Pictures, their texts, and swapped texts that are nearly as close, all of length 1."""

    def inputs(generator):
        def draw():
            return torch.randn(count, width, generator=generator)

        images = draw()
        texts = images + 0.8 * draw()
        parts = images, texts, texts + 0.5 * draw()
        return *(F.normalize(part, dim=1) for part in parts), scale

    return inputs


def _with_negatives(*, rows=None, columns=None):
    """The loss with other logits of a picture or other logits of a text."""

    def answer(images, texts, swapped, scale):
        right = torch.arange(len(images))
        asked = rows(images, texts, swapped) if rows else images @ torch.cat((texts, swapped)).T
        back = columns(images, texts, swapped) if columns else texts @ images.T
        return (F.cross_entropy(scale * asked, right) + F.cross_entropy(scale * back, right)) / 2

    return answer


def _own_swapped(images, texts, swapped):
    return torch.cat((images @ texts.T, (images * swapped).sum(dim=1, keepdim=True)), dim=1)


def _swapped_texts_ask(images, texts, swapped, scale):
    right = torch.arange(len(images))
    both = torch.cat((texts, swapped))
    back = F.cross_entropy(scale * both @ images.T, right.repeat(2))
    return (F.cross_entropy(scale * images @ both.T, right) + back) / 2


def _choice_of_two(images, texts, swapped, scale):
    right = torch.arange(len(images))
    pair = torch.stack(((images * texts).sum(1), (images * swapped).sum(1)), dim=1)
    return F.cross_entropy(scale * pair, torch.zeros_like(right))


def _unscaled(images, texts, swapped):
    return torch.cat((images @ texts.T, images @ swapped.T / 10), dim=1)


EXERCISE = Exercise(
    id="08-hard-negatives",
    title="Captions that are nearly right",
    goal="let every picture choose among the texts of the batch and their swapped versions",
    stars=2,
    minutes=12,
    points=2,
    reference=loss_with_negatives,
    ready_made=(losses.info_nce,),
    cases=(
        Case(name="five pairs, five swapped texts", inputs=_swapped(5, 5, 10.0)),
        Case(name="a single pair: two texts to choose from", inputs=_swapped(1, 6, 10.0)),
        Case(name="eight pairs, another width", inputs=_swapped(8, 12, 10.0)),
    ),
    mistakes=(
        Mistake(
            message="The swapped texts are not used.",
            answer=_with_negatives(rows=lambda i, t, s: i @ t.T),
        ),
        Mistake(
            message="The swapped texts look for a picture as well, and their picture counts as right. But they are "
            "false: only the real texts ask in the other direction.",
            answer=_swapped_texts_ask,
        ),
        Mistake(
            message="Each picture meets its own swapped text alone. Those of the other pictures are wrong answers too: "
            "N + N texts to choose from.",
            answer=_with_negatives(rows=_own_swapped),
        ),
        Mistake(
            message="The swapped texts stand in place of the real ones, and count as right. Put them behind the real "
            "texts.",
            answer=_with_negatives(rows=lambda i, t, s: i @ s.T),
        ),
        Mistake(
            message="The swapped texts come first, so that row i takes swapped text i for the right answer. Put them "
            "behind the real texts.",
            answer=_with_negatives(rows=lambda i, t, s: i @ torch.cat((s, t)).T),
        ),
        Mistake(
            message="Only the pictures ask. The texts ask as well: take the mean of both directions.",
            answer=lambda i, t, s, scale: F.cross_entropy(scale * i @ torch.cat((t, s)).T, torch.arange(len(i))),
        ),
        Mistake(
            message="Only real and swapped text of the same picture are compared. The other texts of the batch stay "
            "wrong answers.",
            answer=_choice_of_two,
        ),
        Mistake(
            message="The texts are compared with the swapped texts. The pictures are what asks.",
            answer=_with_negatives(rows=lambda i, t, s: torch.cat((i @ t.T, t @ s.T), dim=1)),
        ),
        Mistake(
            message="The scale is applied to the real texts alone. All logits of a row need the same scale.",
            answer=_with_negatives(rows=_unscaled),
        ),
        Mistake(
            message="The scale is missing.",
            answer=lambda i, t, s, scale: loss_with_negatives(i, t, s, 1.0),
        ),
        Mistake(
            message="Both directions are added. Take their mean.",
            answer=lambda *inputs: 2 * loss_with_negatives(*inputs),
        ),
    ),
    hints=(
        "Row i has N + K logits: first those of the N real texts, then those of the K negatives. Right is still i.",
        "`torch.cat((texts, negatives))` has N + K rows. The other direction keeps its N × N logits.",
        "The mean of `cross_entropy(scale * images @ torch.cat((texts, negatives)).T, target)` and "
        "`cross_entropy(scale * texts @ images.T, target)`.",
    ),
)
