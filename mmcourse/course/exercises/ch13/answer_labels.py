"""13-answer-labels: let a language model learn its answers alone, no questions and no padding."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.models import vlm


def labels(ids, answer_starts, pad_id):
    after = ids[:, 1:]
    places = torch.arange(1, ids.shape[1])
    learned = (places >= answer_starts[:, None]) & (after != pad_id)
    return after.masked_fill(~learned, -100)


def _inputs(texts, length, *, padded=True):
    """The first answer begins at once, the others later; the last text fills its row."""

    def inputs(generator):
        pad_id = int(torch.randint(1, 5, (1,), generator=generator))
        ids = torch.randint(5, 90, (texts, length), generator=generator)
        sizes = torch.randint(length // 2 + 1, length, (texts,), generator=generator)
        sizes[-1] = length
        if not padded:
            sizes[:] = length
        # from 2 to the last token of the text
        starts = 2 + (torch.rand(texts, generator=generator) * (sizes - 2)).long()
        starts[0] = 1
        return ids.masked_fill(torch.arange(length) >= sizes[:, None], pad_id), starts, pad_id

    return inputs


def _last_token(generator):
    length = int(torch.randint(4, 9, (1,), generator=generator))
    return torch.randint(5, 90, (1, length), generator=generator), torch.tensor([length - 1]), 2


def _labelled(*, shift=1, starts=None, padding=None, nothing=-100):
    """Labels of tokens `shift` later, with other starts, another idea of padding, or another mark for nothing."""

    def answer(ids, answer_starts, pad_id):
        width = ids.shape[1] - 1
        places = torch.arange(width) + shift
        target = ids.roll(-shift, dims=1)[:, :width]
        begin = answer_starts if starts is None else starts(answer_starts)
        real = target != pad_id if padding is None else padding(ids, target, pad_id)
        learned = (places >= begin[:, None]) & real
        return torch.where(learned, target, pad_id if nothing is None else nothing)

    return answer


def _one_column_too_many(ids, answer_starts, pad_id):
    return torch.cat((labels(ids, answer_starts, pad_id), torch.full((len(ids), 1), -100)), dim=1)


def _in_place(ids, answer_starts, pad_id):
    after = ids[:, 1:]
    after[(torch.arange(1, ids.shape[1]) < answer_starts[:, None]) | (after == pad_id)] = -100
    return after


EXERCISE = Exercise(
    id="13-answer-labels",
    title="Only answers are learned",
    goal="let a language model learn its answers alone, no questions and no padding",
    stars=2,
    minutes=10,
    points=2,
    reference=labels,
    ready_made=(vlm.pack, vlm.pack_turns),
    cases=(
        Case(name="four texts with padding", inputs=_inputs(4, 10)),
        Case(name="six longer texts", inputs=_inputs(6, 15)),
        Case(name="three texts without padding", inputs=_inputs(3, 7, padded=False)),
        Case(name="one text, its last token is the answer", inputs=_last_token),
    ),
    mistakes=(
        Mistake(
            message="Nothing is shifted: target t is token t itself, which the model can copy. It must be the token "
            "after, `ids[:, 1:]`.",
            answer=_labelled(shift=0),
        ),
        Mistake(
            message="The shift goes the wrong way: target t is the token before. It must be the token after, "
            "`ids[:, 1:]`.",
            answer=_labelled(shift=-1),
        ),
        Mistake(
            message="The questions are learned, too. Only tokens from the start of the answer on count.",
            answer=_labelled(starts=lambda begin: torch.zeros_like(begin)),
        ),
        Mistake(
            message="The first token of every answer is left out: target t is token t + 1, so it is t + 1 that must "
            "have reached the start.",
            answer=_labelled(starts=lambda begin: begin + 1),
        ),
        Mistake(
            message="The last token of every question is learned: target t is token t + 1, and no later one.",
            answer=_labelled(starts=lambda begin: begin - 1),
        ),
        Mistake(
            message="All texts take the start of the first answer. Every row has its own: `answer_starts[:, None]`.",
            answer=_labelled(starts=lambda begin: begin[:1].expand_as(begin)),
        ),
        Mistake(
            message="Padding is learned. Where the target is `pad_id`, nothing must be asked.",
            answer=_labelled(padding=lambda ids, target, pad_id: torch.ones_like(target, dtype=torch.bool)),
        ),
        Mistake(
            message="The first padding behind an answer is learned: look whether the target is padding, not the token "
            "before it.",
            answer=_labelled(padding=lambda ids, target, pad_id: ids[:, :-1] != pad_id),
        ),
        Mistake(
            message="What does not count is 0, which is a token. Mark it by −100, as the loss leaves that out.",
            answer=_labelled(nothing=0),
        ),
        Mistake(
            message="What does not count is `pad_id`, and the loss would learn it. Mark it by −100.",
            answer=_labelled(nothing=None),
        ),
        Mistake(
            message="There is a column too many: nothing comes after the last token, so T tokens have T − 1 targets.",
            answer=_one_column_too_many,
        ),
        Mistake(
            message="The given ids are changed: `ids[:, 1:]` is a view of them. Use `masked_fill`, or a `clone()`.",
            answer=_in_place,
        ),
    ),
    hints=(
        "The token after token t is `ids[:, 1:][:, t]`, and it stands at the place t + 1.",
        "`torch.arange(1, T) >= answer_starts[:, None]` is True, row by row, where that place belongs to the answer.",
        "Both must hold, that and `ids[:, 1:] != pad_id`; everywhere else `masked_fill` puts −100.",
    ),
)
