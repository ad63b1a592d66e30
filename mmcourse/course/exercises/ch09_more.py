"""Exercises of chapter 09, second part: clipped precision, ROUGE-L and the weights of CIDEr; listed in `ch09`."""

from __future__ import annotations

import math
from collections import Counter

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake

WORDS = ("a", "cat", "dog", "sofa", "red", "on", "the", "two")


def draw_words(count, generator, words=WORDS):
    return [words[index] for index in torch.randint(len(words), (count,), generator=generator).tolist()]


# --- clipped precision --------------------------------------------------------------------------------------------


def runs(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def clipped_precision(candidate, references, n):
    found = runs(candidate, n)
    most = Counter()
    for words in references:
        most |= runs(words, n)
    total = sum(found.values())
    return sum(min(count, most[run]) for run, count in found.items()) / total if total else 0.0


def _said(candidate, references, n):
    """Fixed sentences; no chance in them."""
    return lambda generator: (candidate.split(), [words.split() for words in references], n)


def _babble(length, lengths, n, words=WORDS[:4]):
    def inputs(generator):
        return draw_words(length, generator, words), [draw_words(each, generator, words) for each in lengths], n

    return inputs


def _precision(*, cut=runs, allowed=None, count=None, whole=None):
    """Clipped precision with other runs, other limits for each run, another count of hits, or another total."""

    def answer(candidate, references, n):
        found, known = cut(candidate, n), [cut(words, n) for words in references]
        limit = {run: max(each[run] for each in known) for run in found} if allowed is None else allowed(found, known)
        hits = sum(min(number, limit[run]) for run, number in found.items()) if count is None else count(found, limit)
        total = sum(found.values()) if whole is None else whole(candidate, references, n, found)
        return hits / total if total else 0.0

    return answer


def _unordered(words, n):
    return Counter(tuple(sorted(words[i : i + n])) for i in range(len(words) - n + 1))


def _in_steps(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(0, len(words) - n + 1, n))


def _one_short(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n))


def _mean_over_references(candidate, references, n):
    return sum(clipped_precision(candidate, [words], n) for words in references) / len(references)


CLIPPED_PRECISION = Exercise(
    id="09-clipped-precision",
    title="The the the the",
    goal="count which runs of words a caption shares with its references, without being fooled by repetition",
    stars=2,
    minutes=12,
    points=3,
    reference=clipped_precision,
    cases=(
        Case(
            name="“the the the the” beside two references",
            inputs=_said("the the the the", ["the cat on the sofa", "the cat by a sofa"], 1),
        ),
        Case(name="single words, two references", inputs=_babble(9, [7, 10], 1)),
        Case(name="pairs, three references", inputs=_babble(16, [13, 18, 15], 2, WORDS[:3])),
        Case(name="runs of three", inputs=_babble(24, [20, 22], 3, WORDS[:3])),
        Case(name="a caption shorter than the run", inputs=_said("a cat", ["a cat on a sofa"], 3)),
    ),
    mistakes=(
        Mistake(
            message="A run counts as often as it is said, so “the the the the” scores 1. It counts at most as often "
            "as in the one reference that has it most often.",
            answer=_precision(count=lambda found, limit: sum(n for run, n in found.items() if limit[run])),
        ),
        Mistake(
            message="Every run counts once, however often it is said and found. Clip at the count in the reference, "
            "not at 1.",
            answer=_precision(count=lambda found, limit: sum(limit[run] > 0 for run in found)),
        ),
        Mistake(
            message="Repeated runs are thrown away on both sides: that is a precision of the vocabulary. Count them.",
            answer=_precision(
                count=lambda found, limit: sum(limit[run] > 0 for run in found),
                whole=lambda candidate, references, n, found: len(found),
            ),
        ),
        Mistake(
            message="The references are added up: what each says once may then be said as often as there are "
            "references. Take the one that has the run most often.",
            answer=_precision(allowed=lambda found, known: {run: sum(each[run] for each in known) for run in found}),
        ),
        Mistake(
            message="Only the first reference counts. A run may stand in any of them.",
            answer=_precision(allowed=lambda found, known: known[0]),
        ),
        Mistake(
            message="A run must stand in every reference here. One is enough: take the largest count.",
            answer=_precision(allowed=lambda found, known: {run: min(each[run] for each in known) for run in found}),
        ),
        Mistake(
            message="The precisions of the references are averaged. All references together set the limit of each run.",
            answer=_mean_over_references,
        ),
        Mistake(
            message="This is recall: the hits are divided by the runs of the references. Divide by the runs of the "
            "caption.",
            answer=_precision(
                whole=lambda candidate, references, n, found: sum(max(len(r) - n + 1, 0) for r in references)
            ),
        ),
        Mistake(
            message="The hits are divided by the number of words. A caption of c words has c − n + 1 runs of n.",
            answer=_precision(whole=lambda candidate, references, n, found: len(candidate)),
        ),
        Mistake(
            message="The order inside a run is lost: “a cat” is not “cat a”. Keep the run as it stands.",
            answer=_precision(cut=_unordered),
        ),
        Mistake(
            message="The runs do not overlap. Each word begins a run, as long as n words are left.",
            answer=_precision(cut=_in_steps),
        ),
        Mistake(
            message="The last run is missing: c words have c − n + 1 runs of n.",
            answer=_precision(cut=_one_short),
        ),
    ),
    hints=(
        "`Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))` counts the runs of one sentence.",
        "For each run of the caption: its count, but at most the largest count that it has in one reference.",
        "`sum(min(count, max(each[run] for each in known)) for run, count in found.items())`, divided by the number "
        "of runs in the caption, or 0 if it has none.",
    ),
)

# --- ROUGE-L ------------------------------------------------------------------------------------------------------


def common(first, second):
    row = [0] * (len(second) + 1)
    for word in first:
        new = [0]
        for place, other in enumerate(second, 1):
            new.append(row[place - 1] + 1 if word == other else max(row[place], new[place - 1]))
        row = new
    return row[-1]


def f_beta(precision, recall, beta):
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision) if precision and recall else 0.0


def rouge_l(candidate, reference, beta):
    length = common(candidate, reference)
    return f_beta(length / len(candidate), length / len(reference), beta)


def _longest_run(first, second):
    row, best = [0] * (len(second) + 1), 0
    for word in first:
        row = [0] + [row[place] + 1 if word == other else 0 for place, other in enumerate(second)]
        best = max(best, *row)
    return best


def _bag(first, second):
    return sum((Counter(first) & Counter(second)).values())


def _first_come(first, second):
    """Takes the next place where each word stands, and never goes back."""
    place, length = 0, 0
    for word in first:
        if word in second[place:]:
            place = second.index(word, place) + 1
            length += 1
    return length


def _word_twice(first, second):
    """Grows along one row of the table, so that one word of the caption is matched again and again."""
    row = [0] * (len(second) + 1)
    for word in first:
        for place, other in enumerate(second, 1):
            row[place] = row[place - 1] + 1 if word == other else max(row[place], row[place - 1])
    return min(row[-1], len(second))


def _rouge(*, length=common, score=None):
    """ROUGE-L with another count of common words, or another score from (count, candidate, reference, beta)."""

    def answer(candidate, reference, beta):
        found = length(candidate, reference)
        precision, recall = found / len(candidate), found / len(reference)
        return f_beta(precision, recall, beta) if score is None else score(precision, recall, beta)

    return answer


def _two(first, second, beta):
    return lambda generator: (first.split(), second.split(), beta)


def _two_random(first, second, beta, words=WORDS):
    return lambda generator: (draw_words(first, generator, words), draw_words(second, generator, words), beta)


ROUGE_L = Exercise(
    id="09-rouge-l",
    title="In the same order, with gaps",
    goal="find the longest row of words that two sentences share, and make one number of it",
    stars=3,
    minutes=18,
    points=3,
    reference=rouge_l,
    cases=(
        Case(name="a word in between", inputs=_two("a cat on a sofa", "a black cat on a red sofa", 1.2)),
        Case(name="a dog first, a cat first", inputs=_two("a dog and a cat on a sofa", "a cat and a dog", 1.2)),
        Case(name="a trap for the hasty", inputs=_two("red a cat on a sofa", "a cat on a sofa the red", 1.2)),
        Case(name="nothing in common", inputs=_two("two dog", "a cat", 1.2)),
        Case(name="fourteen words and nine", inputs=_two_random(14, 9, 2.0, WORDS[:4])),
        Case(name="eight words and seventeen, β = 1/2", inputs=_two_random(8, 17, 0.5, WORDS[:3])),
    ),
    mistakes=(
        Mistake(
            message="Only an unbroken run counts here. The common words may have gaps between them; when two words "
            "differ, keep the better of “without this word” and “without that one”.",
            answer=_rouge(length=_longest_run),
        ),
        Mistake(
            message="The order is ignored: this counts words in common. They must stand in the same order in both.",
            answer=_rouge(length=_bag),
        ),
        Mistake(
            message="The first match is always taken, and it may be a bad one: “red” far at the end uses up all that "
            "stands before it. A table of all beginnings tries everything.",
            answer=_rouge(length=_first_come),
        ),
        Mistake(
            message="A word is matched more than once: when two words are equal, go on from the entry before *both* of "
            "them, one up and one to the left.",
            answer=_rouge(length=_word_twice),
        ),
        Mistake(
            message="Precision and recall are exchanged. Precision is the share of the caption, recall that of the "
            "reference.",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(recall, precision, beta)),
        ),
        Mistake(
            message="β is not squared: F = (1 + β²) P R / (R + β² P).",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(precision, recall, beta**0.5)),
        ),
        Mistake(
            message="This is the plain harmonic mean, β = 1. Use the β that is given.",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(precision, recall, 1.0)),
        ),
        Mistake(
            message="This is recall alone. F needs both.",
            answer=_rouge(score=lambda precision, recall, beta: recall),
        ),
        Mistake(
            message="This is precision alone. F needs both.",
            answer=_rouge(score=lambda precision, recall, beta: precision),
        ),
        Mistake(
            message="The factor 1 + β² is missing, so a perfect caption does not get 1.",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(precision, recall, beta) / (1 + beta**2)),
        ),
        Mistake(
            message="This is the number of common words. Divide it by both lengths and combine the shares.",
            answer=lambda candidate, reference, beta: common(candidate, reference),
        ),
    ),
    hints=(
        "Keep a table: entry (i, j) is the answer for the first i words of one and the first j of the other.",
        "Equal words: entry (i − 1, j − 1) plus 1. Different words: the larger of (i − 1, j) and (i, j − 1).",
        "With l from the last entry: P = l / len(candidate), R = l / len(reference), F = (1 + β²) P R / (R + β² P), "
        "and 0 if l is 0.",
    ),
)

# --- the weights of CIDEr -----------------------------------------------------------------------------------------


def _vector(words, weights):
    return {word: count * weights[word] for word, count in Counter(words).items() if word in weights}


def _cosine(first, second):
    lengths = [math.sqrt(sum(value**2 for value in vector.values())) for vector in (first, second)]
    product = sum(value * second.get(word, 0.0) for word, value in first.items())
    return product / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def cider_1(candidate, reference, corpus):
    weights = {}
    for word in {*candidate, *reference}:
        pictures = sum(any(word in caption for caption in captions) for captions in corpus)
        weights[word] = math.log(len(corpus) / max(1, pictures))
    return _cosine(_vector(candidate, weights), _vector(reference, weights))


def _corpus(candidate, reference, pictures):
    """Fixed sentences; `pictures` has the captions of each picture, separated by a stroke."""
    corpus = [[caption.split() for caption in captions.split(" | ")] for captions in pictures]
    return lambda generator: (candidate.split(), reference.split(), corpus)


def _random_corpus(pictures, captions, length):
    def inputs(generator):
        corpus = [[draw_words(length, generator) for _ in range(captions)] for _ in range(pictures)]
        return draw_words(length + 2, generator), corpus[0][0], corpus

    return inputs


def _weighed(*, weigh=None, found=None, vector=_vector, compare=_cosine):
    """The cosine with other weights from (pictures, pictures with it), another count of those, or another vector."""

    def answer(candidate, reference, corpus):
        weights = {}
        for word in {*candidate, *reference}:
            if found is None:
                pictures = sum(any(word in caption for caption in captions) for captions in corpus)
            else:
                pictures = found(word, corpus)
            number = max(1, pictures)
            weights[word] = math.log(len(corpus) / number) if weigh is None else weigh(len(corpus), number)
        return compare(vector(candidate, weights), vector(reference, weights))

    return answer


def _captions_with(word, corpus):
    return sum(word in caption for captions in corpus for caption in captions)


def _uses(word, corpus):
    return sum(caption.count(word) for captions in corpus for caption in captions)


def _present(words, weights):
    return {word: weights[word] for word in words}


def _dot(first, second):
    return sum(value * second.get(word, 0.0) for word, value in first.items())


def _reference_length_only(first, second):
    length = sum(value**2 for value in second.values())
    return _dot(first, second) / length if length else 0.0


def _absolute_lengths(first, second):
    lengths = [sum(abs(value) for value in vector.values()) for vector in (first, second)]
    return _dot(first, second) / (lengths[0] * lengths[1]) if all(lengths) else 0.0


PICTURES = (
    "a cat on a sofa | a black cat",
    "a dog on a sofa | a dog and a dog",
    "a red bus | a bus on a road",
    "a dog by a road | a brown dog",
)

CIDER_WEIGHTS = Exercise(
    id="09-cider-weights",
    title="Rare words weigh more",
    goal="compare two captions by words that tell pictures apart",
    stars=2,
    minutes=15,
    points=3,
    reference=cider_1,
    cases=(
        Case(name="the cat, rightly named", inputs=_corpus("a cat on a road", "a cat on a sofa", PICTURES)),
        Case(name="said twice", inputs=_corpus("a dog and a dog and a road", "a dog by a road", PICTURES)),
        Case(name="only words that all pictures have", inputs=_corpus("a a a", "a cat on a sofa", PICTURES)),
        Case(name="a word that no reference has", inputs=_corpus("a zebra on a sofa", "a cat on a sofa", PICTURES)),
        Case(name="nine pictures with two captions each", inputs=_random_corpus(9, 2, 5)),
    ),
    mistakes=(
        Mistake(
            message="All words weigh the same: “a” and “on” decide. Multiply each count by log(pictures / pictures "
            "with the word).",
            answer=_weighed(weigh=lambda pictures, number: 1.0),
        ),
        Mistake(
            message="The logarithm is missing: a word of all pictures then still weighs 1. It should weigh log 1 = 0.",
            answer=_weighed(weigh=lambda pictures, number: pictures / number),
        ),
        Mistake(
            message="Frequent words get the larger weight. The fraction is pictures / pictures with the word.",
            answer=_weighed(weigh=lambda pictures, number: math.log(1 + number)),
        ),
        Mistake(
            message="1 is added inside the logarithm, so that a word of all pictures weighs log 2. It should weigh 0.",
            answer=_weighed(weigh=lambda pictures, number: math.log(1 + pictures / number)),
        ),
        Mistake(
            message="Captions with the word are counted. A picture counts once, in however many of its captions the "
            "word stands.",
            answer=_weighed(found=_captions_with),
        ),
        Mistake(
            message="Every use of the word is counted. A picture counts once, however often the word is used.",
            answer=_weighed(found=_uses),
        ),
        Mistake(
            message="A word counts once, however often a caption says it. Multiply the weight by the count.",
            answer=_weighed(vector=_present),
        ),
        Mistake(
            message="The dot product is not divided by the lengths of the vectors: long captions win.",
            answer=_weighed(compare=_dot),
        ),
        Mistake(
            message="The dot product is divided by the squared length of the reference's vector. The cosine divides "
            "by the lengths of both.",
            answer=_weighed(compare=_reference_length_only),
        ),
        Mistake(
            message="The lengths are sums of absolute values. The cosine needs Euclidean lengths, roots of sums of "
            "squares.",
            answer=_weighed(compare=_absolute_lengths),
        ),
        Mistake(
            message="A word that no reference has gets the weight 0. It counts as if one picture had it: "
            "max(1, pictures with it), so a strange word makes the caption longer.",
            answer=_weighed(
                weigh=None,
                vector=lambda words, weights: _vector(words, {w: v for w, v in weights.items() if w != "zebra"}),
            ),
        ),
    ),
    hints=(
        "First the weight of each word: in how many pictures does at least one caption contain it?",
        "The vector of a caption has the entry count × log(pictures / max(1, pictures with the word)) for each word.",
        "Cosine: the sum of products over common words, divided by both lengths √Σx²; 0 if a length is 0.",
    ),
)
