"""How close a caption is to those that people wrote: BLEU, ROUGE-L and CIDEr-D, counted over words.

None of the three looks at the picture. Each counts what words and runs of words a caption shares with its references,
and they differ in what they do with the counts. Captions are lists of words and each has one reference or more;
cutting text into words, lower case and punctuation are the caller's business, so that the numbers say what was counted.

Every number equals that of `pycocoevalcap`, the program behind most published results, and where it departs from the
papers, so do these; each function says where. Lin, Goyal et al., "Microsoft COCO captions" (2015).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SMOOTHINGS = ("tiny", "none", "exp")
_Words = Sequence[str]


class BLEU(NamedTuple):
    """Everything lies between 0 and 1."""

    score: float  # BLEU-n of the corpus
    per_order: tuple[float, ...]  # BLEU-1 to BLEU-n
    precisions: tuple[float, ...]  # of 1-grams to n-grams, smoothed
    brevity_penalty: float
    candidate_length: int  # words in all candidates
    reference_length: int  # words in the reference closest in length to each


class CIDEr(NamedTuple):
    """Between 0 and 10."""

    score: float  # the mean over the captions
    per_caption: Tensor  # (N,), float64


def bleu(
    candidates: Sequence[_Words], references: Sequence[Sequence[_Words]], *, n: int = 4, smoothing: str = "tiny"
) -> BLEU:
    """BP · (p₁ ⋯ pₙ)^(1/n): which share of the candidates' runs of 1 to n words stand in a reference, too.

    Counts are summed over all captions before anything is divided, so the score of a corpus is not the mean of the
    scores of its captions. A run counts at most as often as in the one reference that has it most often. The brevity
    penalty BP = exp(1 − r/c) punishes candidates of c words where the references have r > c; of several references
    the one closest in length counts, of two equally close the shorter.

    Args:
        candidates: N lists of words.
        references: for each candidate, its references, as lists of words.
        n: the longest run that counts.
        smoothing: what happens where no run of some length is found. "tiny": 1e-15 is added to each number of hits and
            1e-9 to each number of runs, as pycocoevalcap does, so that a score is hardly ever exactly 0 and a fourth
            root still shows 1e-4. "none": the score is 0, the definition of the paper. "exp": the first such precision
            is taken as 1/2 of one hit, the next as 1/4 and so on. The last two equal sacrebleu's methods of these names
            (which come in percent).
    Raises:
        ValueError: candidates or references are none, are not lists of words or do not fit each other; `n` or
            `smoothing` is impossible.
    Source: Papineni et al., "BLEU: a method for automatic evaluation of machine translation" (2002), equations 2 and 3;
        "exp": Chen and Cherry, "A systematic comparison of smoothing techniques for sentence-level BLEU" (2014).

    >>> found = bleu([["a", "cat", "on", "a", "sofa"]], [[["a", "cat", "on", "a", "chair"]]], n=2)
    >>> [round(value, 4) for value in found.precisions], round(found.score, 4)
    ([0.8, 0.75], 0.7746)
    """
    _check(candidates, references, n)
    if smoothing not in SMOOTHINGS:
        raise ValueError(f"smoothing must be one of {', '.join(map(repr, SMOOTHINGS))}, got {smoothing!r}")
    hits, runs, length, wanted = [0] * n, [0] * n, 0, 0
    for candidate, known in zip(candidates, references, strict=True):
        length += len(candidate)
        wanted += min((abs(len(words) - len(candidate)), len(words)) for words in known)[1]
        most: Counter = Counter()
        for words in known:
            most |= _runs(words, n)  # the union of counters keeps the larger count
        for run, count in _runs(candidate, n).items():
            hits[len(run) - 1] += min(count, most[run])
            runs[len(run) - 1] += count
    precisions = _precisions(hits, runs, smoothing)
    small = 1e-9 if smoothing == "tiny" else 0.0
    ratio = (length + 1e-15) / (wanted + small) if wanted + small else 1.0  # nothing wanted, nothing too short
    brevity = math.exp(min(0.0, 1 - 1 / ratio))
    per_order = [brevity * math.prod(precisions[:order]) ** (1 / order) for order in range(1, n + 1)]
    return BLEU(per_order[-1], tuple(per_order), precisions, brevity, length, wanted)


def rouge_l(candidates: Sequence[_Words], references: Sequence[Sequence[_Words]], *, beta: float = 1.2) -> float:
    """The mean of F = (1 + β²) P R / (R + β² P), for the longest common subsequence of a caption and a reference.

    That is the longest row of words that stand in both in the same order, whatever stands between them. Of `l` words,
    P = l / (words of the candidate) and R = l / (words of the reference).

    As in pycocoevalcap, the highest P and the highest R over the references are combined even where they come from two
    of them, β is 1.2 instead of the paper's choice to count recall alone, and an empty caption counts as one empty
    word: it scores 0, or 1 beside an empty reference.

    Raises:
        ValueError: candidates or references are none, are not lists of words or do not fit each other.
    Source: Lin, "ROUGE: a package for automatic evaluation of summaries" (2004), section 3.

    >>> round(rouge_l([["a", "cat", "on", "a", "sofa"]], [[["a", "black", "cat", "on", "a", "chair"]]]), 4)
    0.7155
    """
    _check(candidates, references)
    total = 0.0
    for candidate, known in zip(candidates, references, strict=True):
        candidate = candidate or [""]
        known = [words or [""] for words in known]
        common = [_common(candidate, words) for words in known]
        precision = max(common) / len(candidate)
        recall = max(length / len(words) for length, words in zip(common, known, strict=True))
        if precision:
            total += (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    return total / len(candidates)


def cider_d(
    candidates: Sequence[_Words], references: Sequence[Sequence[_Words]], *, n: int = 4, sigma: float = 6.0
) -> CIDEr:
    """10 × the mean cosine between tf-idf vectors of runs of 1 to n words, over the references of each caption.

    A run that is in the references of few pictures weighs log(pictures / pictures with it), a run that is in those of
    all weighs nothing. References alone are counted for that, and every one of the N captions is taken to be a picture
    of its own, so the score of one caption depends on the others, and a single caption always scores 0. The "D" stands
    for two changes of the paper that make the score harder to cheat: a word repeated more often than in the reference
    gains nothing, and a difference d in length costs a factor exp(−d² / 2σ²).

    As in pycocoevalcap, words are compared as they are, not stemmed.

    Args:
        candidates, references: as for `bleu`.
        n: the longest run that counts; each length weighs the same.
        sigma: the difference in length that is forgiven; infinity forgives all.
    Raises:
        ValueError: candidates or references are none, are not lists of words or do not fit each other.
    Source: Vedantam, Zitnick and Parikh, "CIDEr: consensus-based image description evaluation" (2015), section 8.

    >>> cats, dogs = [["a", "black", "cat"], ["a", "cat"]], [["a", "dog"], ["one", "brown", "dog"]]
    >>> cider_d([["a", "cat"], ["a", "cat"]], [cats, dogs], n=2).per_caption
    tensor([6.7434, 0.0000], dtype=torch.float64)
    """
    _check(candidates, references, n)
    counted = [[_runs(words, n) for words in known] for known in references]
    pictures = Counter(run for known in counted for run in set().union(*known))

    def weigh(runs: Counter) -> tuple[list[dict], list[float]]:
        """The vector for each length of run, and how long it is."""
        vectors: list[dict] = [{} for _ in range(n)]
        for run, count in runs.items():
            vectors[len(run) - 1][run] = count * (math.log(len(references)) - math.log(max(1, pictures[run])))
        return vectors, [math.sqrt(sum(weight**2 for weight in vector.values())) for vector in vectors]

    scores = []
    for candidate, known, known_runs in zip(candidates, references, counted, strict=True):
        vectors, norms = weigh(_runs(candidate, n))
        score = 0.0
        for words, runs in zip(known, known_runs, strict=True):
            difference = len(candidate) - len(words)
            cosines = sum(
                sum(min(weight, theirs.get(run, 0.0)) * theirs.get(run, 0.0) for run, weight in ours.items())
                / (norm * their_norm)
                for ours, norm, theirs, their_norm in zip(vectors, norms, *weigh(runs), strict=True)
                if norm and their_norm
            )
            score += cosines * math.exp(-(difference**2) / (2 * sigma**2))
        scores.append(10 * score / (n * len(known)))
    per_caption = torch.tensor(scores, dtype=torch.float64)
    return CIDEr(per_caption.mean().item(), per_caption)


def _runs(words: _Words, n: int) -> Counter:
    """How often each run of 1 to n words occurs."""
    return Counter(tuple(words[i : i + k]) for k in range(1, n + 1) for i in range(len(words) - k + 1))


def _precisions(hits: list[int], runs: list[int], smoothing: str) -> tuple[float, ...]:
    if smoothing == "tiny":
        return tuple((hit + 1e-15) / (count + 1e-9) for hit, count in zip(hits, runs, strict=True))
    precisions, missing = [], 0
    if not any(hits):
        return (0.0,) * len(hits)
    for hit, count in zip(hits, runs, strict=True):
        missing += hit == 0
        part = hit or (0.5**missing if smoothing == "exp" else 0.0)
        precisions.append(part / count if count else 0.0)
    return tuple(precisions)


def _common(first: _Words, second: _Words) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0  # the entry above and to the left
        for i, other in enumerate(second, 1):
            before, row[i] = row[i], before + 1 if word == other else max(row[i], row[i - 1])
    return row[-1]


def _check(candidates: Sequence[_Words], references: Sequence[Sequence[_Words]], n: int = 1) -> None:
    for name, value in (("candidates", candidates), ("references", references)):
        if isinstance(value, str):
            raise ValueError(f"{name} must be a list for each caption, got the text {value!r}")
    if len(candidates) != len(references):
        raise ValueError(f"candidates and references must be as many, got {len(candidates)} and {len(references)}")
    if len(candidates) == 0:
        raise ValueError("candidates must hold at least one caption, got none")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    for i, (candidate, known) in enumerate(zip(candidates, references, strict=True)):
        if isinstance(known, str) or len(known) == 0:
            raise ValueError(f"references[{i}] must be one list of words or more, got {known!r}")
        named = {f"candidates[{i}]": candidate} | {f"references[{i}][{j}]": words for j, words in enumerate(known)}
        for name, words in named.items():
            if isinstance(words, str):
                raise ValueError(f"{name} must be a list of words, got the text {words!r}; cut it, as by .split()")
