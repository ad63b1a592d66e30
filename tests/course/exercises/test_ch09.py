"""Chapter 09's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math
from collections import Counter, defaultdict

import pytest
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse import decoding, metrics
from mmcourse.course.exercises import all_exercises, find
from mmcourse.lm import shift

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 09-shift-targets ---------------------------------------------------------------------------------------------


@right("09-shift-targets")
def shift_by_library(tokens, pad_id):
    return tuple(shift(tokens, pad_id=pad_id))


@right("09-shift-targets")
def shift_with_where(tokens, pad_id):
    wanted = tokens.roll(-1, dims=1)[:, :-1]
    return tokens.narrow(1, 0, tokens.shape[1] - 1), torch.where(wanted == pad_id, torch.tensor(-100), wanted)


@right("09-shift-targets")
def shift_with_a_loop(tokens, pad_id):
    rows = tokens.tolist()
    targets = [[-100 if token == pad_id else token for token in row[1:]] for row in rows]
    return torch.tensor([row[:-1] for row in rows]), torch.tensor(targets)


@wrong("09-shift-targets", "copy its input")
def shift_nothing(tokens, pad_id):
    inputs = tokens[:, :-1]
    return inputs, torch.where(inputs == pad_id, -100, inputs)


@wrong("09-shift-targets", "Padding is to be written")
def shift_with_padding(tokens, pad_id):
    return tokens[:, : tokens.shape[1] - 1], tokens[:, 1:].clone()


@wrong("09-shift-targets", "never learns to stop")
def shift_without_end(tokens, pad_id):
    targets = tokens[:, 1:].clone()
    for row, length in enumerate((targets != pad_id).sum(1).tolist()):
        targets[row, length - 1 :] = -100
    return tokens[:, :-1], targets


@wrong("09-shift-targets", "no embedding has such a row")
def shift_both_ignored(tokens, pad_id):
    marked = torch.where(tokens == pad_id, -100, tokens)
    return marked[:, :-1], marked[:, 1:]


@wrong("09-shift-targets", "where padding is *read*")
def shift_late(tokens, pad_id):
    return tokens[:, :-1], torch.where(tokens[:, :-1] == pad_id, -100, tokens[:, 1:])


# --- 09-greedy ----------------------------------------------------------------------------------------------------


@right("09-greedy")
def greedy_by_library(step, tokens, eos_id, pad_id, max_length):
    return decoding.greedy(step, tokens, max_length=max_length, stop_id=eos_id, pad_id=pad_id).tokens


@right("09-greedy")
def greedy_row_by_row(step, tokens, eos_id, pad_id, max_length):
    rows = []
    for row in tokens.tolist():
        while len(row) < max_length and eos_id not in row:
            row.append(step(torch.tensor([row]))[0].argmax().item())
        rows.append(row)
    longest = max(map(len, rows))
    return torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])


@right("09-greedy")
def greedy_with_for(step, tokens, eos_id, pad_id, max_length):
    for _ in range(max_length - tokens.shape[1]):
        ended = (tokens == eos_id).any(dim=1)
        if ended.all():
            break
        chosen = torch.where(ended, pad_id, step(tokens).max(dim=1).indices)
        tokens = torch.cat([tokens, chosen.unsqueeze(1)], dim=1)
    return tokens


@wrong("09-greedy", "goes on after its <eos>")
def greedy_talkative(step, tokens, eos_id, pad_id, max_length):
    while tokens.shape[1] < max_length and not (tokens == eos_id).any(dim=1).all():
        tokens = torch.cat((tokens, step(tokens).argmax(1, keepdim=True)), dim=1)
    return tokens


@wrong("09-greedy", "always runs to max_length")
def greedy_to_the_end(step, tokens, eos_id, pad_id, max_length):
    for _ in range(max_length - tokens.shape[1]):
        chosen = torch.where((tokens == eos_id).any(dim=1), pad_id, step(tokens).argmax(1))
        tokens = torch.cat((tokens, chosen[:, None]), dim=1)
    return tokens


@wrong("09-greedy", "max_length counts the whole row")
def greedy_too_long(step, tokens, eos_id, pad_id, max_length):
    return greedy_by_library(step, tokens, eos_id, pad_id, max_length + 1)


@wrong("09-greedy", "only the last word")
def greedy_forgetful(step, tokens, eos_id, pad_id, max_length):
    return greedy_by_library(lambda rows: step(rows[:, -1:]), tokens, eos_id, pad_id, max_length)


@wrong("09-greedy", "Use <pad>")
def greedy_many_ends(step, tokens, eos_id, pad_id, max_length):
    return greedy_by_library(step, tokens, eos_id, eos_id, max_length)


# --- 09-beam-step -------------------------------------------------------------------------------------------------


@right("09-beam-step")
def beam_by_sorting(beams, scores, log_probs):
    count, size = log_probs.shape
    every = [
        (scores[k] + log_probs[k, v], torch.cat((beams[k], torch.tensor([v]))))
        for k in range(count)
        for v in range(size)
    ]
    every.sort(key=lambda pair: -pair[0])
    return torch.stack([row for _, row in every[:count]]), torch.stack([score for score, _ in every[:count]])


@right("09-beam-step")
def beam_by_argsort(beams, scores, log_probs):
    totals = log_probs + scores.unsqueeze(1)
    order = totals.view(-1).argsort(descending=True)[: beams.shape[0]]
    parent = torch.div(order, log_probs.shape[1], rounding_mode="floor")
    return torch.hstack((beams[parent], (order - parent * log_probs.shape[1])[:, None])), totals.view(-1)[order]


@right("09-beam-step")
def beam_in_two_rounds(beams, scores, log_probs):
    """No beam has more than K children among the best K, so each may preselect its own."""
    own, tokens = log_probs.topk(min(len(beams), log_probs.shape[1]), dim=1)
    best, index = (own + scores[:, None]).flatten().topk(len(beams))
    return torch.cat((beams[index // own.shape[1]], tokens.flatten()[index][:, None]), 1), best


@wrong("09-beam-step", "greedy decoding K times")
def beam_of_greedy(beams, scores, log_probs):
    best = log_probs.max(dim=1)
    return torch.cat((beams, best.indices[:, None]), dim=1), scores + best.values


@wrong("09-beam-step", "Only the last word is scored")
def beam_without_past(beams, scores, log_probs):
    best, index = log_probs.flatten().topk(len(beams))
    size = log_probs.shape[1]
    return torch.cat((beams[index // size], (index % size)[:, None]), dim=1), best


@wrong("09-beam-step", "in their old order")
def beam_without_parents(beams, scores, log_probs):
    best, index = (scores[:, None] + log_probs).flatten().topk(len(beams))
    return torch.cat((beams, (index % log_probs.shape[1])[:, None]), dim=1), best


@wrong("09-beam-step", "logarithms add up")
def beam_of_products(beams, scores, log_probs):
    best, index = (scores[:, None] * log_probs).flatten().topk(len(beams))
    size = log_probs.shape[1]
    return torch.cat((beams[index // size], (index % size)[:, None]), dim=1), best


@wrong("09-beam-step", "The best beam comes last")
def beam_upside_down(beams, scores, log_probs):
    rows, best = beam_by_argsort(beams, scores, log_probs)
    return rows.flip(0), best.flip(0)


# --- 09-length-penalty --------------------------------------------------------------------------------------------


@right("09-length-penalty")
def pick_with_a_loop(token_scores, lengths, penalty):
    found = [
        row[:length].sum().item() / length**penalty for row, length in zip(token_scores, lengths.tolist(), strict=True)
    ]
    return found.index(max(found)), max(found)


@right("09-length-penalty")
def pick_with_cumsum(token_scores, lengths, penalty):
    sums = token_scores.cumsum(dim=1).gather(1, lengths[:, None] - 1)[:, 0]
    best = (sums * lengths.float().pow(-penalty)).max(dim=0)
    return best.indices, best.values


@wrong("09-length-penalty", "after the end of a sentence")
def pick_with_padding(token_scores, lengths, penalty):
    scores = token_scores.sum(1) / lengths**penalty
    return scores.argmax().item(), scores.max().item()


@wrong("09-length-penalty", "does not matter")
def pick_by_sum(token_scores, lengths, penalty):
    return pick_with_cumsum(token_scores, lengths, 0)


@wrong("09-length-penalty", "always the mean")
def pick_by_mean(token_scores, lengths, penalty):
    return pick_with_a_loop(token_scores, lengths, 1)


@wrong("09-length-penalty", "twice. Divide")
def pick_by_product(token_scores, lengths, penalty):
    return pick_with_a_loop(token_scores, lengths, -penalty)


# --- 09-clipped-precision -----------------------------------------------------------------------------------------


def cut(words, n):
    return [tuple(words[start : start + n]) for start in range(len(words) + 1 - n)]


@right("09-clipped-precision")
def precision_by_crossing_out(candidate, references, n):
    hits, mine = 0, cut(candidate, n)
    for run in set(mine):
        hits += min(mine.count(run), max(cut(words, n).count(run) for words in references))
    return hits / max(len(mine), 1)


@right("09-clipped-precision")
def precision_with_counters(candidate, references, n):
    mine, limit = Counter(cut(candidate, n)), Counter()
    for words in references:
        limit = limit | Counter(cut(words, n))
    return (mine & limit).total() / mine.total() if mine else 0


@right("09-clipped-precision")
def precision_by_library(candidate, references, n):
    return metrics.bleu([candidate], [references], n=n, smoothing="none").precisions[-1]


@wrong("09-clipped-precision", "the the the the")
def precision_unclipped(candidate, references, n):
    known = {run for words in references for run in cut(words, n)}
    mine = cut(candidate, n)
    return sum(run in known for run in mine) / max(len(mine), 1)


@wrong("09-clipped-precision", "references are added up")
def precision_of_sum(candidate, references, n):
    limit = sum((Counter(cut(words, n)) for words in references), Counter())
    mine = Counter(cut(candidate, n))
    return (mine & limit).total() / max(mine.total(), 1)


@wrong("09-clipped-precision", "precision of the vocabulary")
def precision_of_sets(candidate, references, n):
    mine = set(cut(candidate, n))
    return len(mine & {run for words in references for run in cut(words, n)}) / max(len(mine), 1)


@wrong("09-clipped-precision", "Only the first reference")
def precision_of_first(candidate, references, n):
    return precision_with_counters(candidate, references[:1], n)


@wrong("09-clipped-precision", "divided by the number of words")
def precision_by_words(candidate, references, n):
    return precision_with_counters(candidate, references, n) * max(len(candidate) - n + 1, 0) / len(candidate)


# --- 09-rouge-l ---------------------------------------------------------------------------------------------------


def combine(length, candidate, reference, beta):
    if not length:
        return 0.0
    precision, recall = length / len(candidate), length / len(reference)
    return (1 + beta**2) / (1 / precision * 1 + beta**2 / recall) if precision * recall else 0.0


@right("09-rouge-l")
def rouge_by_library(candidate, reference, beta):
    return metrics.rouge_l([candidate], [[reference]], beta=beta)


@right("09-rouge-l")
def rouge_by_recursion(candidate, reference, beta):
    known = {}

    def longest(i, j):
        if i == len(candidate) or j == len(reference):
            return 0
        if (i, j) not in known:
            same = candidate[i] == reference[j]
            known[i, j] = 1 + longest(i + 1, j + 1) if same else max(longest(i + 1, j), longest(i, j + 1))
        return known[i, j]

    return combine(longest(0, 0), candidate, reference, beta)


@right("09-rouge-l")
def rouge_with_a_table(candidate, reference, beta):
    table = defaultdict(int)
    for i, word in enumerate(candidate):
        for j, other in enumerate(reference):
            table[i, j] = max(table[i - 1, j - 1] + (word == other), table[i - 1, j], table[i, j - 1])
    return combine(table[len(candidate) - 1, len(reference) - 1], candidate, reference, beta)


@wrong("09-rouge-l", "order is ignored")
def rouge_of_bags(candidate, reference, beta):
    shared = sum(min(candidate.count(word), reference.count(word)) for word in set(candidate))
    return combine(shared, candidate, reference, beta)


@wrong("09-rouge-l", "unbroken run")
def rouge_of_substrings(candidate, reference, beta):
    best = 0
    for i in range(len(candidate)):
        for j in range(len(reference)):
            length = 0
            while candidate[i + length : i + length + 1] == reference[j + length : j + length + 1] != []:
                length += 1
            best = max(best, length)
    return combine(best, candidate, reference, beta)


@wrong("09-rouge-l", "first match is always taken")
def rouge_in_haste(candidate, reference, beta):
    rest, length = iter(reference), 0
    waiting = list(rest)
    for word in candidate:
        if word in waiting:
            waiting = waiting[waiting.index(word) + 1 :]
            length += 1
    return combine(length, candidate, reference, beta)


@wrong("09-rouge-l", "exchanged")
def rouge_turned(candidate, reference, beta):
    return rouge_by_library(reference, candidate, beta)


@wrong("09-rouge-l", "recall alone")
def rouge_recall(candidate, reference, beta):
    return rouge_by_library(candidate, reference, 1e9)


# --- 09-cider-weights ---------------------------------------------------------------------------------------------


@right("09-cider-weights")
def cider_with_tensors(candidate, reference, corpus):
    words = sorted(set(candidate + reference))
    has = torch.tensor([[float(any(w in caption for caption in known)) for known in corpus] for w in words])
    weight = (len(corpus) / has.sum(1).clamp(min=1)).double().log()
    vectors = [weight * torch.tensor([side.count(w) for w in words]) for side in (candidate, reference)]
    return F.cosine_similarity(*vectors, dim=0, eps=1e-30)


@right("09-cider-weights")
def cider_with_sets(candidate, reference, corpus):
    pictures = Counter(word for known in corpus for word in {word for caption in known for word in caption})

    def vector(side):
        return {word: n * math.log(len(corpus) / (pictures[word] or 1)) for word, n in Counter(side).items()}

    one, other = vector(candidate), vector(reference)
    norms = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(one[word] * other[word] for word in one.keys() & other.keys()) / norms if norms else 0


def weighed(candidate, reference, weight, norm=math.hypot):
    sides = [{word: n * weight(word) for word, n in Counter(side).items()} for side in (candidate, reference)]
    norms = norm(*sides[0].values()) * norm(*sides[1].values())
    return sum(value * sides[1].get(word, 0) for word, value in sides[0].items()) / norms if norms else 0.0


def pictures_with(word, corpus):
    return max(1, sum(any(word in caption for caption in known) for known in corpus))


@wrong("09-cider-weights", "weigh the same")
def cider_unweighed(candidate, reference, corpus):
    return weighed(candidate, reference, lambda word: 1)


@wrong("09-cider-weights", "logarithm is missing")
def cider_without_log(candidate, reference, corpus):
    return weighed(candidate, reference, lambda word: 1 / pictures_with(word, corpus))


@wrong("09-cider-weights", "Captions with the word")
def cider_of_captions(candidate, reference, corpus):
    def weight(word):
        return math.log(len(corpus) / max(1, sum(word in caption for known in corpus for caption in known)))

    return weighed(candidate, reference, weight)


@wrong("09-cider-weights", "long captions win")
def cider_without_norms(candidate, reference, corpus):
    return weighed(candidate, reference, lambda word: math.log(len(corpus) / pictures_with(word, corpus)), lambda *_: 1)


@wrong("09-cider-weights", "however often a caption says it")
def cider_of_sets(candidate, reference, corpus):
    return cider_with_sets(list(dict.fromkeys(candidate)), list(dict.fromkeys(reference)), corpus)


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("09"))


def test_references_are_those_of_the_library():
    """Where the library has the same thing, the exercise's reference is it, on inputs that no case has."""
    generator = torch.Generator().manual_seed(1)
    words = [ch09_words(generator, length) for length in (9, 7, 12)]
    found = find("09-rouge-l").reference(words[0], words[1], 1.2)
    assert found == pytest.approx(metrics.rouge_l([words[0]], [[words[1]]]))
    found = find("09-clipped-precision").reference(words[2], words[:2], 2)
    assert found == pytest.approx(metrics.bleu([words[2]], [words[:2]], n=2, smoothing="none").precisions[1])


def test_one_word_cider_is_that_of_the_library():
    """With one reference a picture and no repeated words, CIDEr-D of single words is 10 × the exercise's cosine."""
    references = ["a cat on the sofa", "a dog by two cars", "one red bus on a road"]
    corpus = [[text.split()] for text in references]
    candidate = ["a", "cat", "by", "the", "road"]
    known = metrics.cider_d([candidate] * 3, corpus, n=1, sigma=math.inf).per_caption
    for number in range(3):
        found = find("09-cider-weights").reference(candidate, corpus[number][0], corpus)
        assert 10 * found == pytest.approx(known[number].item())


def test_beam_steps_find_what_trying_everything_finds():
    """With as many beams as there are beginnings, nothing is lost: the best of all rows of three words."""
    table = torch.randn(5, 5, generator=torch.Generator().manual_seed(2)).log_softmax(dim=1)
    rows = torch.cartesian_prod(*[torch.arange(5)] * 3)
    sums = table[0, rows[:, 0]] + table[rows[:, 0], rows[:, 1]] + table[rows[:, 1], rows[:, 2]]
    beams, scores = torch.zeros(25, 1, dtype=torch.long), torch.full((25,), -torch.inf)
    scores[0] = 0.0
    for _ in range(3):
        beams, scores = find("09-beam-step").reference(beams, scores, table[beams[:, -1]])
    assert scores[0].item() == pytest.approx(sums.max().item())
    assert beams[0, 1:].tolist() == rows[sums.argmax()].tolist()


def ch09_words(generator, length):
    return [("a", "cat", "dog", "on")[i] for i in torch.randint(4, (length,), generator=generator).tolist()]
