"""05-mask-tokens: the 80/10/10 rule."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import masked


def hide_tokens(tokens, ordinary, lot, fate, others, mask_id):
    chosen = ordinary & (lot < 0.15)
    read = torch.where(chosen & (fate < 0.8), mask_id, tokens)
    read = torch.where(chosen & (fate >= 0.9), others, read)
    return read, torch.where(chosen, tokens, -100)


def _chances(batch, length):
    def inputs(generator):
        tokens = torch.randint(5, 30, (batch, length), generator=generator)
        tokens[:, 0], tokens[:, -1] = 2, 3
        lot, fate = torch.rand(2, batch, length, generator=generator)
        lot[0], lot[1], fate[1, 1:3] = 0.15, 0.1, torch.tensor([0.8, 0.9])  # the text says what becomes of these
        others = torch.randint(5, 30, (batch, length), generator=generator)
        return tokens, tokens > 4, lot, fate, others, 4

    return inputs


def _hide(chosen=None, masked=None, replaced=None, targets=None):
    """`hide_tokens` with one of its steps done otherwise."""

    def answer(tokens, ordinary, lot, fate, others, mask_id):
        at = (ordinary & (lot < 0.15)) if chosen is None else chosen(ordinary, lot)
        hole = (at & (fate < 0.8)) if masked is None else masked(at, fate)
        swap = (at & (fate >= 0.9)) if replaced is None else replaced(at, fate)
        read = torch.where(swap, others, torch.where(hole, mask_id, tokens))
        kept = torch.where(at, tokens, -100) if targets is None else targets(tokens, at, read, mask_id)
        return read, kept

    return answer


def _nothing(at, fate):
    return torch.zeros_like(at)


EXERCISE = Exercise(
    id="05-mask-tokens",
    title="Hide some words",
    goal="the 80/10/10 rule",
    stars=2,
    minutes=10,
    points=2,
    reference=hide_tokens,
    ready_made=(masked.mask_tokens,),
    cases=(
        Case(name="what is read, in 50 texts", inputs=_chances(50, 12), probe=lambda answer, *given: answer(*given)[0]),
        Case(name="what is asked, in 50 texts", inputs=_chances(50, 12), probe=lambda answer, *x: answer(*x)[1]),
        Case(name="both together, in 200 texts", inputs=_chances(200, 9)),
    ),
    mistakes=(
        Mistake(
            message="The targets hold what the model reads, [MASK] among it. They must hold what stood there before.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(at, read, -100)),
        ),
        Mistake(
            message="Only where [MASK] stands is something asked. All chosen tokens are asked for, also the replaced "
            "and the kept ones: that is what they are for.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(read == mask_id, tokens, -100)),
        ),
        Mistake(
            message="A target stands only where the text was changed. The chosen tokens that stay are asked for, too.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(read != tokens, tokens, -100)),
        ),
        Mistake(
            message="Every token is a target. Only the chosen ones are asked for, the others get −100: a model that "
            "may copy what it sees learns nothing.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: tokens),
        ),
        Mistake(
            message="Where nothing is asked the target is 0, which is a token. Use −100, which the loss leaves out.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(at, tokens, 0)),
        ),
        Mistake(
            message="Special tokens are hidden, too. Choose only where `ordinary` is True.",
            answer=_hide(chosen=lambda ordinary, lot: lot < 0.15),
        ),
        Mistake(
            message="85 percent are chosen instead of 15: choose where `lot` is *below* 0.15.",
            answer=_hide(chosen=lambda ordinary, lot: ordinary & (lot >= 0.15)),
        ),
        Mistake(
            message="All chosen tokens become [MASK]. Only 80 percent do; 10 percent become another token and 10 "
            "percent stay.",
            answer=_hide(masked=lambda at, fate: at, replaced=_nothing),
        ),
        Mistake(
            message="No token is replaced by another one. Where `fate` is 0.9 or more, the token of `others` is read.",
            answer=_hide(replaced=_nothing),
        ),
        Mistake(
            message="20 percent are replaced and none stays. Replace from 0.9 on; between 0.8 and 0.9 the token stays.",
            answer=_hide(replaced=lambda at, fate: at & (fate >= 0.8)),
        ),
        Mistake(
            message="The wrong tenth is replaced. From 0.8 to 0.9 the token stays; from 0.9 on, `others` is read.",
            answer=_hide(replaced=lambda at, fate: at & (fate >= 0.8) & (fate < 0.9)),
        ),
        Mistake(
            message="Tokens that were not chosen are replaced as well. Both steps are for chosen tokens only.",
            answer=_hide(replaced=lambda at, fate: fate >= 0.9),
        ),
        Mistake(
            message="Tokens that were not chosen become [MASK] as well. Both steps are for chosen tokens only.",
            answer=_hide(masked=lambda at, fate: fate < 0.8),
        ),
    ),
    hints=(
        "First a bool table of the chosen tokens: `ordinary & (lot < 0.15)`.",
        "`torch.where(condition, a, b)` takes a where the condition holds and b elsewhere. Use it once for each kind.",
        "The targets are the old tokens where chosen, and −100 elsewhere.",
    ),
)
