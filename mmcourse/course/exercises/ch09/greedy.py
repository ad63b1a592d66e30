"""09-greedy: write several sentences at once, each until its own end."""

from __future__ import annotations

import torch

from mmcourse import decoding
from mmcourse.course.exercise import Case, Exercise, Mistake


def greedy(step, tokens, eos_id, pad_id, max_length):
    ended = torch.zeros(len(tokens), dtype=torch.bool)
    while tokens.shape[1] < max_length and not ended.all():
        chosen = step(tokens).argmax(dim=-1).masked_fill(ended, pad_id)
        tokens = torch.cat((tokens, chosen[:, None]), dim=1)
        ended = ended | (chosen == eos_id)
    return tokens


EOS, PAD = 3, 0


def _run_greedy(answer, starts, table, mixing, hurry, max_length):
    """Lets the answer decode with a step whose logits hang on all tokens so far and that is in a hurry to end."""

    def step(tokens):
        age = torch.arange(tokens.shape[1] - 1, -1, -1)
        state = (table[tokens] * (0.7**age)[:, None]).sum(dim=1)  # (B, T, C) -> (B, C)
        logits = state @ mixing
        logits[:, EOS] += hurry * (tokens.shape[1] - 4)
        return logits

    return answer(step, starts[:, None], EOS, PAD, max_length)


def _rows(count, max_length, hurry, *, size=10, width=6):
    def inputs(generator):
        def draw(*shape):
            return torch.randn(shape, generator=generator)

        starts = torch.randint(4, size, (count,), generator=generator)
        return starts, draw(size, width), draw(width, size), hurry, max_length

    return inputs


def _loop(*, choose=None, fill=None, done=None, more=0, read=None, finish=None):
    """Decoding with another choice, another filling after the end, another stop, or another input of the step."""

    def answer(step, tokens, eos_id, pad_id, max_length):
        ended = torch.zeros(len(tokens), dtype=torch.bool)
        while tokens.shape[1] < max_length + more and not (ended.all() if done is None else done(ended)):
            logits = step(tokens if read is None else read(tokens))
            chosen = logits.argmax(dim=-1) if choose is None else choose(logits)
            kept = chosen.masked_fill(ended, pad_id) if fill is None else fill(chosen, ended, eos_id)
            tokens = torch.cat((tokens, kept[:, None]), dim=1)
            ended = ended | (kept == eos_id)
        return tokens if finish is None else finish(tokens, eos_id, pad_id)

    return answer


EXERCISE = Exercise(
    id="09-greedy",
    title="Always the likeliest word",
    goal="write several sentences at once, each until its own end",
    stars=2,
    minutes=12,
    points=3,
    reference=greedy,
    ready_made=(
        decoding.greedy,
        decoding.beam_search,
    ),
    cases=(
        Case(name="four sentences that end at different places", inputs=_rows(4, 20, 0.7), probe=_run_greedy),
        Case(name="a short max_length cuts some of them", inputs=_rows(5, 5, 0.5), probe=_run_greedy),
        Case(name="a single sentence", inputs=_rows(1, 15, 0.6), probe=_run_greedy),
    ),
    mistakes=(
        Mistake(
            message="A sentence goes on after its <eos>. Once a row has ended, fill it with <pad>, whatever the step "
            "says.",
            answer=_loop(fill=lambda chosen, ended, eos_id: chosen),
        ),
        Mistake(
            message="What has ended is filled with more <eos>. Use <pad>.",
            answer=_loop(fill=lambda chosen, ended, eos_id: chosen.masked_fill(ended, eos_id)),
        ),
        Mistake(
            message="The loop always runs to max_length. When every row has ended there is nothing left to write.",
            answer=_loop(done=lambda ended: False),
        ),
        Mistake(
            message="All rows stop when the first one ends. Go on until every row has: `ended.all()`.",
            answer=_loop(done=lambda ended: bool(ended.any())),
        ),
        Mistake(
            message="One word too many: max_length counts the whole row, the first token included.",
            answer=_loop(more=1),
        ),
        Mistake(
            message="One word is missing: rows may have max_length tokens.",
            answer=_loop(more=-1),
        ),
        Mistake(
            message="The step gets only the last word. It must see the whole beginning, or the model forgets what it "
            "has said.",
            answer=_loop(read=lambda tokens: tokens[:, -1:]),
        ),
        Mistake(
            message="The step always gets the first token alone. Hand it what has been written since.",
            answer=_loop(read=lambda tokens: tokens[:, :1]),
        ),
        Mistake(
            message="The unlikeliest word is taken: argmax, not argmin.",
            answer=_loop(choose=lambda logits: logits.argmin(dim=-1)),
        ),
        Mistake(
            message="The second likeliest word is taken.",
            answer=_loop(choose=lambda logits: logits.topk(2, dim=-1).indices[:, 1]),
        ),
        Mistake(
            message="The <eos> is missing from the result. It belongs to the sentence: only what comes after is <pad>.",
            answer=_loop(finish=lambda tokens, eos_id, pad_id: tokens.masked_fill(tokens == eos_id, pad_id)),
        ),
        Mistake(
            message="The first token is cut off. Return the whole rows, beginning with what was given.",
            answer=_loop(finish=lambda tokens, eos_id, pad_id: tokens[:, 1:]),
        ),
    ),
    hints=(
        "`step(tokens)` gives logits (B, V); `.argmax(dim=-1)` the next token of each row. Append it as a column.",
        "Keep a row of flags `ended` (B,), False at first. `chosen.masked_fill(ended, pad_id)` silences finished rows.",
        "`while tokens.shape[1] < max_length and not ended.all():` choose, fill, `torch.cat`, then "
        "`ended = ended | (chosen == eos_id)`.",
    ),
)
