"""09-shift-targets: make what is read and what is to be written from one row of tokens."""

from __future__ import annotations

import torch

from mmcourse import lm
from mmcourse.course.exercise import Case, Exercise, Mistake


def shift_targets(tokens, pad_id):
    targets = tokens[:, 1:]
    return tokens[:, :-1], targets.masked_fill(targets == pad_id, -100)


def _sentences(lengths, pad_id, bos_id, eos_id):
    """Rows <bos> words <eos> of these lengths, filled up with padding; the words have other ids."""

    def inputs(generator):
        words = [index for index in range(12) if index not in (pad_id, bos_id, eos_id)]
        rows = torch.full((len(lengths), max(lengths)), pad_id)
        for row, length in zip(rows, lengths, strict=True):
            drawn = torch.randint(len(words), (length - 2,), generator=generator).tolist()
            row[:length] = torch.tensor([bos_id, *(words[index] for index in drawn), eos_id])
        return rows, pad_id

    return inputs


def _shifted(*, inputs=None, targets=None, ignored=None, value=-100):
    """Other inputs, other targets, other places that are ignored, or another number in them."""

    def answer(tokens, pad_id):
        read = tokens[:, :-1] if inputs is None else inputs(tokens, pad_id)
        wanted = tokens[:, 1:] if targets is None else targets(tokens, pad_id)
        where = wanted == pad_id if ignored is None else ignored(tokens, wanted, pad_id)
        return read, wanted.masked_fill(where, value)

    return answer


def _end_ignored(tokens, wanted, pad_id):
    """Padding, and the last token before it."""
    real = wanted != pad_id
    return ~real | (torch.arange(wanted.shape[1]) == real.sum(dim=1, keepdim=True) - 1)


EXERCISE = Exercise(
    id="09-shift-targets",
    title="What the teacher gives, what the pupil owes",
    goal="make what is read and what is to be written from one row of tokens",
    stars=1,
    minutes=8,
    points=2,
    reference=shift_targets,
    ready_made=(lm.shift,),
    cases=(
        Case(name="three sentences, <pad> is 0", inputs=_sentences([5, 3, 7], 0, 2, 3)),
        Case(name="equally long, nothing to ignore", inputs=_sentences([4, 4], 0, 2, 3)),
        Case(name="<pad> is 7, and 0 is a word", inputs=_sentences([6, 4, 8, 7], 7, 1, 2)),
    ),
    mistakes=(
        Mistake(
            message="The targets are what is read at the same place: the model would learn to copy its input. At "
            "place t it has read tokens up to t and owes token t + 1.",
            answer=_shifted(targets=lambda tokens, pad_id: tokens[:, :-1]),
        ),
        Mistake(
            message="The shift goes the wrong way: the model reads a word and owes the one before it. Inputs are "
            "tokens[:, :-1], targets tokens[:, 1:].",
            answer=_shifted(inputs=lambda tokens, pad_id: tokens[:, 1:], targets=lambda tokens, pad_id: tokens[:, :-1]),
        ),
        Mistake(
            message="Padding is to be written as well: a model that says <pad> a thousand times looks good. Set "
            "those targets to −100.",
            answer=lambda tokens, pad_id: (tokens[:, :-1], tokens[:, 1:]),
        ),
        Mistake(
            message="The places are ignored where padding is *read*. After the end it is *owed*: look for it in the "
            "targets.",
            answer=_shifted(ignored=lambda tokens, wanted, pad_id: tokens[:, :-1] == pad_id),
        ),
        Mistake(
            message="The end of the sentence is ignored, too: such a model never learns to stop. Ignore padding alone.",
            answer=_shifted(ignored=_end_ignored),
        ),
        Mistake(
            message="Padding is taken to be 0, whatever pad_id says.",
            answer=_shifted(ignored=lambda tokens, wanted, pad_id: wanted == 0),
        ),
        Mistake(
            message="The inputs hold −100, and no embedding has such a row. Only targets are set to −100; what is "
            "read at padding does not matter.",
            answer=_shifted(inputs=lambda tokens, pad_id: tokens[:, :-1].masked_fill(tokens[:, :-1] == pad_id, -100)),
        ),
        Mistake(
            message="One place too many: after the last token nothing is owed. Both results have one column less than "
            "the tokens.",
            answer=_shifted(
                inputs=lambda tokens, pad_id: tokens,
                targets=lambda tokens, pad_id: torch.cat((tokens[:, 1:], torch.full_like(tokens[:, :1], pad_id)), 1),
            ),
        ),
        Mistake(
            message="Inputs and targets come in the wrong order: return the inputs first.",
            answer=lambda tokens, pad_id: shift_targets(tokens, pad_id)[::-1],
        ),
        Mistake(
            message="Ignored targets are set to −1. What cross_entropy passes over is −100.",
            answer=_shifted(value=-1),
        ),
        Mistake(
            message="The targets are two words ahead. At place t the model owes token t + 1.",
            answer=_shifted(
                targets=lambda tokens, pad_id: torch.cat((tokens[:, 2:], torch.full_like(tokens[:, :1], pad_id)), 1)
            ),
        ),
        Mistake(
            message="<bos> is left out of the inputs: then nothing asks for the first word.",
            answer=_shifted(
                inputs=lambda tokens, pad_id: tokens[:, 1:-1], targets=lambda tokens, pad_id: tokens[:, 2:]
            ),
        ),
    ),
    hints=(
        "Write one sentence on paper: <bos> a cat <eos>. Having read <bos>, the model owes “a”. What does it owe last?",
        "Inputs are all columns but the last, targets all but the first.",
        "`targets.masked_fill(targets == pad_id, -100)` leaves the old tensor as it is.",
    ),
)
