"""Exercises of chapter 09: captioning, how a sentence is written; those about scores are in `ch09_more`."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch09_more import CIDER_WEIGHTS, CLIPPED_PRECISION, ROUGE_L

# --- teacher forcing ----------------------------------------------------------------------------------------------


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


SHIFT_TARGETS = Exercise(
    id="09-shift-targets",
    title="What the teacher gives, what the pupil owes",
    goal="make what is read and what is to be written from one row of tokens",
    stars=1,
    minutes=8,
    points=2,
    reference=shift_targets,
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

# --- greedy -------------------------------------------------------------------------------------------------------


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


GREEDY = Exercise(
    id="09-greedy",
    title="Always the likeliest word",
    goal="write several sentences at once, each until its own end",
    stars=2,
    minutes=12,
    points=3,
    reference=greedy,
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

# --- one step of beam search --------------------------------------------------------------------------------------


def beam_step(beams, scores, log_probs):
    totals = scores[:, None] + log_probs  # (K, V)
    best, index = totals.flatten().topk(len(beams))
    parent, token = index // log_probs.shape[1], index % log_probs.shape[1]
    return torch.cat((beams[parent], token[:, None]), dim=1), best


def _beams(count, length, size, *, dead=0):
    """Beams with scores that differ less than the next words do; the last `dead` of them are impossible."""

    def inputs(generator):
        beams = torch.randint(size, (count, length), generator=generator)
        scores = -5 + 1.5 * torch.randn(count, generator=generator)
        scores[count - dead :] = -torch.inf
        logits = 1.5 * torch.randn(count, size, generator=generator)
        return beams, scores, logits.log_softmax(dim=1)

    return inputs


def _stepped(*, totals=None, split=None, parents=None, largest=True):
    """A step with other totals, another reading of the index, or other parents for the new rows."""

    def answer(beams, scores, log_probs):
        size = log_probs.shape[1]
        summed = scores[:, None] + log_probs if totals is None else totals(scores, log_probs)
        best, index = summed.flatten().topk(len(beams), largest=largest)
        parent, token = (index // size, index % size) if split is None else split(index, size)
        parent = parent if parents is None else parents(parent)
        return torch.cat((beams[parent], token[:, None]), dim=1), best

    return answer


def _each_goes_on(beams, scores, log_probs):
    best, token = (scores[:, None] + log_probs).max(dim=1)
    order = best.argsort(descending=True)
    return torch.cat((beams[order], token[order, None]), dim=1), best[order]


def _each_in_place(beams, scores, log_probs):
    best, token = (scores[:, None] + log_probs).max(dim=1)
    return torch.cat((beams, token[:, None]), dim=1), best


def _likeliest_word_in_place(beams, scores, log_probs):
    """The same where a beam is possible; of an impossible one it takes the likeliest word and not the first."""
    best, token = log_probs.max(dim=1)
    return torch.cat((beams, token[:, None]), dim=1), scores + best


def _all_children(beams, scores, log_probs):
    count = len(beams)
    best, token = (scores[:, None] + log_probs).topk(min(count, log_probs.shape[1]), dim=1)
    rows = beams.repeat_interleave(best.shape[1], dim=0)
    return torch.cat((rows, token.flatten()[:, None]), dim=1), best.flatten()


def _worst_first(beams, scores, log_probs):
    rows, best = beam_step(beams, scores, log_probs)
    return rows.flip(0), best.flip(0)


BEAM_STEP = Exercise(
    id="09-beam-step",
    title="K beginnings, one word longer",
    goal="let all continuations of all beams compete, and remember whose child each winner is",
    stars=3,
    minutes=15,
    points=3,
    reference=beam_step,
    cases=(
        Case(name="four beams, four words", inputs=_beams(4, 3, 4)),
        Case(name="six beams, five words", inputs=_beams(6, 2, 5)),
        Case(name="two of five beams are impossible", inputs=_beams(5, 4, 5, dead=2)),
    ),
    mistakes=(
        Mistake(
            message="Every beam keeps exactly one child. Let all K · V continuations compete: a good beginning may "
            "have several among the best, a bad one none.",
            answer=_each_goes_on,
        ),
        Mistake(
            message="Every beam takes its own likeliest word: that is greedy decoding K times. Let all K · V "
            "continuations compete.",
            answer=_each_in_place,
        ),
        Mistake(
            message="Every beam takes its own likeliest word: that is greedy decoding K times. Let all K · V "
            "continuations compete.",
            answer=_likeliest_word_in_place,
        ),
        Mistake(
            message="All children are kept, so the beams become more at every step. Keep the K best of all.",
            answer=_all_children,
        ),
        Mistake(
            message="Only the last word is scored. Add the score of the beginning that it continues.",
            answer=_stepped(totals=lambda scores, log_probs: log_probs),
        ),
        Mistake(
            message="The scores are multiplied. Probabilities multiply, their logarithms add up.",
            answer=_stepped(totals=lambda scores, log_probs: scores[:, None] * log_probs),
        ),
        Mistake(
            message="The scores are added along the wrong axis: scores[k] belongs to row k of log_probs, so it needs "
            "the shape (K, 1).",
            answer=_stepped(
                totals=lambda scores, log_probs: (
                    log_probs + (scores.repeat(log_probs.shape[1])[: log_probs.numel()].view_as(log_probs))
                )
            ),
        ),
        Mistake(
            message="Parent and word are swapped. In a flat table of K rows with V entries, entry i is in row i // V "
            "and column i % V.",
            answer=_stepped(split=lambda index, size: (index % size, index // size)),
        ),
        Mistake(
            message="The index is divided by K. The rows of the table have V entries.",
            answer=lambda beams, scores, log_probs: _stepped(
                split=lambda index, size: ((index // len(beams)).clamp(max=len(beams) - 1), index % len(beams))
            )(beams, scores, log_probs),
        ),
        Mistake(
            message="The words are appended to the beams in their old order. Winner i continues beam parent[i]: take "
            "`beams[parent]`.",
            answer=_stepped(parents=lambda parent: torch.arange(len(parent))),
        ),
        Mistake(
            message="All winners continue the first beam. Take `beams[parent]`.",
            answer=_stepped(parents=lambda parent: torch.zeros_like(parent)),
        ),
        Mistake(
            message="The worst continuations are kept: log-probabilities are negative, and the largest is the best.",
            answer=_stepped(largest=False),
        ),
        Mistake(message="The best beam comes last. Sort the best to the front.", answer=_worst_first),
    ),
    hints=(
        "`scores[:, None] + log_probs` is the score of every continuation: (K, V).",
        "`.flatten().topk(K)` gives scores and flat indices; a row of the table has V entries.",
        "parent = index // V, token = index % V, then `torch.cat((beams[parent], token[:, None]), dim=1)`.",
    ),
)

# --- length penalty -----------------------------------------------------------------------------------------------


def pick(token_scores, lengths, penalty):
    real = torch.arange(token_scores.shape[1]) < lengths[:, None]
    scores = (token_scores * real).sum(dim=1) / lengths**penalty
    return int(scores.argmax()), scores.max().item()


def _finished(lengths, penalty, typical):
    """Log-probabilities of finished sentences; what stands after the end of a row is rubbish."""

    def inputs(generator):
        shape = len(lengths), max(lengths)
        scores = -typical * (0.3 + torch.rand(shape, generator=generator))
        return scores, torch.tensor(lengths), penalty

    return inputs


def _picked(*, total=None, divide=None, choose=None, report=None):
    """Another sum over the words, another treatment of the length, another winner, or another score of it."""

    def answer(token_scores, lengths, penalty):
        real = torch.arange(token_scores.shape[1]) < lengths[:, None]
        sums = (token_scores * real).sum(dim=1) if total is None else total(token_scores, lengths, real)
        scores = sums / lengths**penalty if divide is None else divide(sums, lengths, penalty)
        best = int((scores if choose is None else choose(scores, sums)).argmax())
        return best, (scores if report is None else report(scores, sums))[best].item()

    return answer


LENGTH_PENALTY = Exercise(
    id="09-length-penalty",
    title="Long sentences have many factors",
    goal="choose among finished sentences of different lengths",
    stars=2,
    minutes=8,
    points=2,
    reference=pick,
    cases=(
        Case(name="penalty 1: the mean of a token", inputs=_finished([3, 9, 6, 12], 1.0, 0.6)),
        Case(name="penalty 0: the sum, short ones win", inputs=_finished([7, 3, 10], 0.0, 0.4)),
        Case(name="penalty 0.5: in between", inputs=_finished([4, 8, 5, 11, 2], 0.5, 0.8)),
        Case(name="penalty 2: long ones win", inputs=_finished([5, 4, 13, 9], 2.0, 0.7)),
    ),
    mistakes=(
        Mistake(
            message="What stands after the end of a sentence is counted. Sentence i has lengths[i] tokens; the rest of "
            "its row is padding.",
            answer=_picked(total=lambda scores, lengths, real: scores.sum(dim=1)),
        ),
        Mistake(
            message="The last token is left out. The end of the sentence has a probability, too.",
            answer=_picked(
                total=lambda scores, lengths, real: (
                    scores * (torch.arange(scores.shape[1]) < lengths[:, None] - 1)
                ).sum(dim=1)
            ),
        ),
        Mistake(
            message="The length does not matter here. Divide each sum by length ** penalty.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums),
        ),
        Mistake(
            message="The sums are multiplied by length ** penalty: that punishes long sentences twice. Divide.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums * lengths**penalty),
        ),
        Mistake(
            message="The sums are divided by length · penalty. The penalty is an exponent.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums / (lengths * max(penalty, 1e-9))),
        ),
        Mistake(
            message="This is always the mean. The exponent decides how much the length counts.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums / lengths),
        ),
        Mistake(
            message="This is the formula ((5 + length) / 6) ** penalty, which some systems use. Here it is "
            "length ** penalty.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums / ((5 + lengths) / 6) ** penalty),
        ),
        Mistake(
            message="The winner is chosen before the lengths are taken into account. Compare the divided scores.",
            answer=_picked(choose=lambda scores, sums: sums),
        ),
        Mistake(
            message="The sentence with the lowest score is chosen. Scores are negative; the largest is the best.",
            answer=_picked(choose=lambda scores, sums: -scores),
        ),
        Mistake(
            message="The right sentence, but its plain sum. Return the score that won.",
            answer=_picked(report=lambda scores, sums: sums),
        ),
    ),
    hints=(
        "`torch.arange(T) < lengths[:, None]` is True where a token belongs to its sentence.",
        "Set the rest to 0, add up each row, divide by `lengths ** penalty`.",
        "`scores.argmax()` is the place of the winner, `scores.max()` its score.",
    ),
)

EXERCISES = (
    SHIFT_TARGETS,
    GREEDY,
    BEAM_STEP,
    LENGTH_PENALTY,
    CLIPPED_PRECISION,
    ROUGE_L,
    CIDER_WEIGHTS,
)
