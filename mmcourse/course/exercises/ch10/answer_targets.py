"""10-answer-targets: owe the answer and its end, and nothing of the question."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def answer_targets(tokens, ends, pad_id):
    targets = tokens[:, 1:]
    before = torch.arange(targets.shape[1]) < ends[:, None]  # what comes next still belongs to the question
    return tokens[:, :-1], targets.masked_fill(before | (targets == pad_id), -100)


def _dialogs(questions, answers, pad_id=0, bos_id=2, eos_id=3):
    """Rows <bos> question answer <eos>, filled up with padding; questions and answers have so many words."""

    def inputs(generator):
        words = [index for index in range(4, 20) if index not in (pad_id, bos_id, eos_id)]
        lengths = [asked + said + 2 for asked, said in zip(questions, answers, strict=True)]
        rows = torch.full((len(lengths), max(lengths)), pad_id)
        for row, length in zip(rows, lengths, strict=True):
            drawn = torch.randint(len(words), (length - 2,), generator=generator).tolist()
            row[:length] = torch.tensor([bos_id, *(words[index] for index in drawn), eos_id])
        return rows, torch.tensor(questions), pad_id  # after <bos>, the question mark is the last word of the question

    return inputs


def _owed(ignored):
    """Other places that are ignored: `ignored(place, end, targets, pad_id)` -> bool (B, T − 1)."""

    def answer(tokens, ends, pad_id):
        targets = tokens[:, 1:]
        place = torch.arange(targets.shape[1])
        return tokens[:, :-1], targets.masked_fill(ignored(place, ends[:, None], targets, pad_id), -100)

    return answer


def _without_eos(place, end, targets, pad_id):
    real = targets != pad_id
    return (place < end) | ~real | (place == real.sum(dim=1, keepdim=True) - 1)


EXERCISE = Exercise(
    id="10-answer-targets",
    title="What an answerer owes",
    goal="owe the answer and its end, and nothing of the question",
    stars=2,
    minutes=10,
    points=2,
    reference=answer_targets,
    nothing_ready="the library builds its targets row by row, while it puts question and answer together",
    cases=(
        Case(name="three questions with answers", inputs=_dialogs([4, 6, 3], [1, 2, 1])),
        Case(name="equally long", inputs=_dialogs([5, 5], [1, 1])),
        Case(name="<pad> is 7", inputs=_dialogs([3, 8, 5, 4], [2, 1, 2, 1], pad_id=7, bos_id=0, eos_id=1)),
    ),
    mistakes=(
        Mistake(
            message="The question is owed, too: the model would learn to ask, and most of its loss would be "
            "about that. "
            "Ignore every target that still belongs to the question.",
            answer=_owed(lambda place, end, targets, pad_id: targets == pad_id),
        ),
        Mistake(
            message="The first word of the answer is ignored. It is owed where the question mark is read, at place "
            "`ends`: ignore the places before it.",
            answer=_owed(lambda place, end, targets, pad_id: (place <= end) | (targets == pad_id)),
        ),
        Mistake(
            message="The question mark is owed as well. What is owed at place ends − 1 is the question mark itself.",
            answer=_owed(lambda place, end, targets, pad_id: (place < end - 1) | (targets == pad_id)),
        ),
        Mistake(
            message="Padding is owed. Set those targets to −100, too.",
            answer=_owed(lambda place, end, targets, pad_id: place < end),
        ),
        Mistake(
            message="Only the first word of the answer is owed. An answer may have two words, and its end is owed in "
            "any case, or the model never stops.",
            answer=_owed(lambda place, end, targets, pad_id: place != end),
        ),
        Mistake(
            message="The end of the answer is not owed: the model never learns to stop.", answer=_owed(_without_eos)
        ),
        Mistake(
            message="Everything is owed but the answer. The places *before* the question mark are to be ignored.",
            answer=_owed(lambda place, end, targets, pad_id: (place >= end) | (targets == pad_id)),
        ),
        Mistake(
            message="The targets are what is read at the same place. At place t the model owes token t + 1.",
            answer=lambda tokens, ends, pad_id: (
                tokens[:, :-1],
                tokens[:, :-1].masked_fill(
                    (torch.arange(tokens.shape[1] - 1) < ends[:, None]) | (tokens[:, :-1] == pad_id), -100
                ),
            ),
        ),
        Mistake(
            message="Inputs and targets come in the wrong order: return the inputs first.",
            answer=lambda tokens, ends, pad_id: answer_targets(tokens, ends, pad_id)[::-1],
        ),
    ),
    hints=(
        "Write one row down: <bos> what color ? green <eos>, with ends = 3. Where is “green” read off? And <eos>?",
        "Shift as in chapter 09: inputs are all columns but the last, targets all but the first.",
        "`torch.arange(targets.shape[1]) < ends[:, None]` marks the targets that belong to the question.",
    ),
)
