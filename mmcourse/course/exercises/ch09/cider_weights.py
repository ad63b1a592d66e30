"""09-cider-weights: compare two captions by words that tell pictures apart."""

from __future__ import annotations

import math
from collections import Counter

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import draw_words


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


EXERCISE = Exercise(
    id="09-cider-weights",
    title="Rare words weigh more",
    goal="compare two captions by words that tell pictures apart",
    stars=2,
    minutes=15,
    points=3,
    reference=cider_1,
    ready_made=(metrics.cider_d,),
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
