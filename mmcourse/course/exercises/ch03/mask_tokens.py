"""03-mask-tokens: make inputs and targets for a masked language model."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import masked


def mask_tokens(tokens, chosen, dice, strangers, mask_id):
    hidden = chosen & (dice < 0.8)
    swapped = chosen & (dice >= 0.8) & (dice < 0.9)
    inputs = tokens.masked_fill(hidden, mask_id)
    return torch.where(swapped, strangers, inputs), tokens.masked_fill(~chosen, -100)


def _masking(rows, length, share):
    def inputs(generator):
        tokens, strangers = torch.randint(5, 50, (2, rows, length), generator=generator)
        chosen, dice = torch.rand(2, rows, length, generator=generator)
        dice[:, :2] = torch.tensor([0.8, 0.9])  # the text says what becomes of these two
        return tokens, chosen < share, dice, strangers, 4

    return inputs


def _masked(hide, swap, asked=lambda chosen, dice: chosen):
    """Another rule: which tokens are hidden, swapped and asked for, as functions of (chosen, dice)."""

    def answer(tokens, chosen, dice, strangers, mask_id):
        inputs = tokens.masked_fill(hide(chosen, dice), mask_id)
        inputs = torch.where(swap(chosen, dice), strangers, inputs)
        return inputs, tokens.masked_fill(~asked(chosen, dice), -100)

    return answer


def _hide(chosen, dice):
    return chosen & (dice < 0.8)


def _swap(chosen, dice):
    return chosen & (dice >= 0.8) & (dice < 0.9)


def _asks_the_changed(tokens, chosen, dice, strangers, mask_id):
    inputs, _ = mask_tokens(tokens, chosen, dice, strangers, mask_id)
    return inputs, inputs.masked_fill(~chosen, -100)


EXERCISE = Exercise(
    id="03-mask-tokens",
    title="Hide some tokens",
    goal="make inputs and targets for a masked language model",
    stars=2,
    minutes=10,
    points=2,
    reference=mask_tokens,
    ready_made=(masked.mask_tokens,),
    cases=(
        Case(name="four rows of twenty tokens", inputs=_masking(4, 20, 0.3)),
        Case(name="every token is chosen", inputs=_masking(2, 40, 1.1)),
        Case(name="no token is chosen", inputs=_masking(2, 6, 0.0)),
    ),
    mistakes=(
        Mistake(
            message="All chosen tokens are hidden. A tenth of them is swapped for another token and a tenth stays, so "
            "that the model must be right about visible words, too.",
            answer=_masked(lambda chosen, dice: chosen, lambda chosen, dice: chosen & False),
        ),
        Mistake(
            message="A fifth is swapped and none stays as it is. Swap from 0.8 to 0.9; from 0.9 on the token stays.",
            answer=_masked(_hide, lambda chosen, dice: chosen & (dice >= 0.8)),
        ),
        Mistake(
            message="Nothing is swapped: between 0.8 and 0.9 the token is replaced by the stranger.",
            answer=_masked(_hide, lambda chosen, dice: chosen & False),
        ),
        Mistake(
            message="Swapped and kept are exchanged: swap from 0.8 to 0.9, keep from 0.9 on.",
            answer=_masked(_hide, lambda chosen, dice: chosen & (dice >= 0.9)),
        ),
        Mistake(
            message="Every token is a target. The loss asks for the chosen ones alone; the rest is −100.",
            answer=_masked(_hide, _swap, lambda chosen, dice: chosen | True),
        ),
        Mistake(
            message="Only hidden tokens are targets. All chosen ones are, those that were swapped or kept as well.",
            answer=_masked(_hide, _swap, _hide),
        ),
        Mistake(
            message="Tokens that stay as they are have no target. All chosen ones have: the model must not learn that "
            "a visible word is always right.",
            answer=_masked(_hide, _swap, lambda chosen, dice: chosen & (dice < 0.9)),
        ),
        Mistake(
            message="The dice decide for tokens that were not chosen, too. First `chosen`, then the dice among those.",
            answer=_masked(lambda chosen, dice: dice < 0.8, lambda chosen, dice: (dice >= 0.8) & (dice < 0.9)),
        ),
        Mistake(
            message="The targets are turned around: they are −100 at the chosen tokens and ask for the rest.",
            answer=_masked(_hide, _swap, lambda chosen, dice: ~chosen),
        ),
        Mistake(
            message="The targets are taken from the changed tokens. They are the original ones, which the model must "
            "find again.",
            answer=_asks_the_changed,
        ),
    ),
    hints=(
        "Make two bool tables: hidden = chosen & (dice < 0.8), swapped = chosen & (0.8 ≤ dice < 0.9).",
        "`tokens.masked_fill(hidden, mask_id)` hides; `torch.where(swapped, strangers, …)` swaps.",
        "Targets: `tokens.masked_fill(~chosen, -100)`, the original tokens at the chosen places.",
    ),
)
