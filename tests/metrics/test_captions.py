import doctest
import math
import warnings

import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from mmcourse.metrics import bleu, captions, cider_d, rouge_l

quick = settings(max_examples=100, deadline=None)
# Few words, so that they repeat within a caption and between captions; empty captions and single words come often.
CAPTION = st.lists(st.sampled_from(["a", "cat", "dog", "on", "left", "of", "the", "large"]), max_size=12)
WORDY = st.lists(st.sampled_from(["a", "cat", "dog", "on"]), min_size=1, max_size=12)


@st.composite
def corpora(draw, caption=CAPTION, pictures=8, references=5):
    """Candidates and their references; often one reference, often one that equals the candidate."""
    count = draw(st.integers(1, pictures))
    candidates = [draw(caption) for _ in range(count)]
    known = [draw(st.lists(caption, min_size=1, max_size=references)) for _ in range(count)]
    for i in range(count):
        if draw(st.booleans()):
            known[i][0] = candidates[i]
    return candidates, known


def as_coco(candidates, references):
    """The same tokens in the form that pycocoevalcap reads: (references, candidates) as text by picture."""
    join = " ".join
    return {i: [*map(join, known)] for i, known in enumerate(references)}, {
        i: [join(c)] for i, c in enumerate(candidates)
    }


def coco_bleu(candidates, references):
    return Bleu(4).compute_score(*as_coco(candidates, references), verbose=0)


def coco_cider(candidates, references):
    if not any(words for known in references for words in known):
        return 0.0, [0.0] * len(candidates)  # theirs takes the maximum of nothing
    return Cider().compute_score(*as_coco(candidates, references))


@quick
@given(corpora())
def test_bleu_equals_pycocoevalcap(corpus):
    scores, per_caption = coco_bleu(*corpus)
    found = bleu(*corpus)
    assert found.per_order == pytest.approx(scores, abs=1e-12)
    assert found.score == found.per_order[-1]
    alone = [bleu([c], [known]).score for c, known in zip(*corpus, strict=True)]
    assert alone == pytest.approx(per_caption[3], abs=1e-12)


@quick
@given(corpora())
def test_rouge_equals_pycocoevalcap(corpus):
    assert rouge_l(*corpus) == pytest.approx(Rouge().compute_score(*as_coco(*corpus))[0], abs=1e-12)


@quick
@given(corpora())
def test_cider_equals_pycocoevalcap(corpus):
    score, per_caption = coco_cider(*corpus)
    found = cider_d(*corpus)
    assert found.per_caption.dtype == torch.float64
    assert found.per_caption.tolist() == pytest.approx(list(per_caption), abs=1e-9)
    assert found.score == pytest.approx(score, abs=1e-9)


EDGES = {
    "empty caption": (["", "a cat"], [["a cat"], ["a cat", "the cat"]]),
    "every caption empty": (["", ""], [["a cat"], ["a dog"]]),
    "empty reference": (["a cat", "a dog"], [["", "a cat"], [""]]),
    "both empty": (["", "a dog"], [[""], ["a dog"]]),
    "one reference, one caption": (["a cat on a sofa"], [["a cat on a chair"]]),
    "repeated words": (["the the the the the the the", "a a a a"], [["the cat is on the mat"], ["a a", "a a a a a a"]]),
    "repeated run": (["a cat a cat a cat", "a dog"], [["a cat a dog", "one cat a cat"], ["a dog"]]),
    "one word": (["cat", "dog"], [["cat"], ["a dog"]]),
    "two references equally close": (["a b c d", "x"], [["a b c d e f", "a b"], ["x y"]]),
    "unknown words": (["q r s t", "a dog"], [["a cat"], ["a dog"]]),
    "far too long": (["a cat " * 40, "a dog"], [["a cat"], ["a dog"]]),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_equal_pycocoevalcap(name):
    candidates = [text.split() for text in EDGES[name][0]]
    references = [[text.split() for text in known] for known in EDGES[name][1]]
    assert bleu(candidates, references).per_order == pytest.approx(coco_bleu(candidates, references)[0], abs=1e-12)
    assert rouge_l(candidates, references) == pytest.approx(
        Rouge().compute_score(*as_coco(candidates, references))[0], abs=1e-12
    )
    expected = coco_cider(candidates, references)[1]
    assert cider_d(candidates, references).per_caption.tolist() == pytest.approx(list(expected), abs=1e-9)


def test_a_large_corpus_equals_pycocoevalcap():
    generator = torch.Generator().manual_seed(5)

    def caption():
        length = int(torch.randint(3, 15, (), generator=generator))
        return [f"w{int(i)}" for i in (torch.rand(length, generator=generator) ** 3 * 60).long()]

    references = [[caption() for _ in range(5)] for _ in range(200)]
    candidates = [known[0][:4] + caption() for known in references]
    scores, _ = coco_bleu(candidates, references)
    assert scores[3] > 0.1
    assert bleu(candidates, references).per_order == pytest.approx(scores, abs=1e-12)
    assert rouge_l(candidates, references) == pytest.approx(
        Rouge().compute_score(*as_coco(candidates, references))[0], abs=1e-12
    )
    score, per_caption = coco_cider(candidates, references)
    assert cider_d(candidates, references).per_caption.tolist() == pytest.approx(per_caption.tolist(), abs=1e-9)
    assert score > 0.5


@quick
@given(corpora(WORDY), st.sampled_from(["none", "exp"]), st.integers(1, 5))
def test_bleu_equals_sacrebleu(corpus, smoothing, n):
    candidates, references = corpus
    width = max(map(len, references))
    streams = [[" ".join(known[k]) if k < len(known) else None for known in references] for k in range(width)]
    peer = sacrebleu.metrics.BLEU(tokenize="none", smooth_method=smoothing, max_ngram_order=n, force=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = peer.corpus_score([" ".join(words) for words in candidates], streams)
    found = bleu(candidates, references, n=n, smoothing=smoothing)
    assert 100 * found.score == pytest.approx(expected.score, abs=1e-9)
    assert [100 * value for value in found.precisions] == pytest.approx(expected.precisions, abs=1e-9)
    assert found.brevity_penalty == pytest.approx(expected.bp, abs=1e-12)
    assert (found.candidate_length, found.reference_length) == (expected.sys_len, expected.ref_len)


def test_the_default_bleu_is_that_of_the_paper_where_every_run_is_found():
    corpus = [["a", "cat", "on", "a", "sofa"]], [[["a", "cat", "on", "a", "sofa", "at", "the", "left"]]]
    expected = sacrebleu.corpus_bleu(
        ["a cat on a sofa"], [["a cat on a sofa at the left"]], tokenize="none", force=True
    ).score
    assert 100 * bleu(*corpus).score == pytest.approx(expected, abs=1e-5)
    assert bleu(*corpus).brevity_penalty == pytest.approx(math.exp(1 - 8 / 5), abs=1e-9)


def test_bleu_by_hand():
    """The examples of the paper: 7 times "the" is right twice of seven; the brevity penalty is of the corpus."""
    mat = [[["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]]
    found = bleu([["the", "the", "the", "the", "the", "the", "the"]], mat, smoothing="none")
    assert found.precisions == (2 / 7, 0, 0, 0)
    assert found.per_order == pytest.approx((2 / 7, 0, 0, 0))
    assert (found.candidate_length, found.reference_length) == (7, 7)
    short = bleu([["a"], ["a", "b", "c"]], [[["a", "b"]], [["a", "b"]]], n=1, smoothing="none")
    assert short.brevity_penalty == 1  # 4 words where 4 were wanted
    assert short.score == 3 / 4


def test_smoothing_by_hand():
    """Of 5 words one is right, and no run of 2, 3 or 4: each next missing precision is half as likely."""
    corpus = [["a", "b", "c", "d", "e"]], [[["v", "w", "a", "x", "y"]]]
    found = bleu(*corpus, smoothing="exp")
    assert found.precisions == (1 / 5, 1 / 2 / 4, 1 / 4 / 3, 1 / 8 / 2)
    sentence = sacrebleu.sentence_bleu("a b c d e", ["v w a x y"], tokenize="none", use_effective_order=False)
    assert 100 * found.score == pytest.approx(sentence.score, abs=1e-9)
    assert bleu(*corpus, smoothing="none").score == 0
    assert bleu(*corpus).score == pytest.approx((1 / 5 * 1e-15**3 / 24) ** (1 / 4), rel=1e-6)
    for smoothing in ("none", "exp"):
        nothing = bleu([[]], [[[]]], smoothing=smoothing)
        assert (nothing.score, nothing.brevity_penalty) == (0, 1)


def test_rouge_by_hand_combines_the_best_precision_and_the_best_recall():
    candidate = ["a", "b", "c", "d"]
    assert rouge_l([candidate], [[["a", "c", "x", "d"]]], beta=1) == pytest.approx(3 / 4)
    both = [["a"], ["a", "b", "c", "x", "y", "z"]]  # recall 1 of the first, precision 3/4 of the second
    assert rouge_l([candidate], [both], beta=1) == pytest.approx(2 * 0.75 / 1.75)
    assert rouge_l([candidate, ["q"]], [[candidate], [["a"]]]) == pytest.approx(0.5)


def test_cider_by_hand():
    """Words in every picture weigh nothing; what is left is a cosine, and repetition gains nothing."""
    references = [[["a", "black", "cat"]], [["a", "dog"]], [["a", "pig"]]]
    found = cider_d([["a", "cat"], ["a", "dog"], ["a"]], references, n=1, sigma=math.inf)
    assert found.per_caption.tolist() == pytest.approx([10 / math.sqrt(2), 10, 0])
    assert found.score == pytest.approx((10 / math.sqrt(2) + 10) / 3)
    twice = cider_d([["a", "cat"], ["dog", "dog"], ["a"]], references, n=1, sigma=math.inf).per_caption
    assert twice[1] == pytest.approx(5)  # the vector is twice as long, what counts of it is not
    longer = cider_d([["a", "cat"], ["a", "a", "a", "dog"], ["a"]], references, n=1, sigma=2.0).per_caption
    assert longer[1] == pytest.approx(10 * math.exp(-(2**2) / 8))


@quick
@given(corpora(WORDY))
def test_a_caption_that_is_a_reference_scores_full(corpus):
    _, references = corpus
    candidates = [known[-1] for known in references]
    assert rouge_l(candidates, references) == pytest.approx(1)
    found = bleu(candidates, references, n=1, smoothing="none")
    assert found.score == pytest.approx(1)
    scores = cider_d(candidates, [known[-1:] for known in references]).per_caption
    assert (scores <= 10 + 1e-9).all()
    assert (scores >= 0).all()


@given(corpora(), st.randoms())
@quick
def test_order_of_references_does_not_matter(corpus, chance):
    candidates, references = corpus
    mixed = [chance.sample(known, len(known)) for known in references]
    assert bleu(candidates, mixed).per_order == pytest.approx(bleu(candidates, references).per_order, abs=1e-12)
    assert rouge_l(candidates, mixed) == pytest.approx(rouge_l(candidates, references), abs=1e-12)
    assert cider_d(candidates, mixed).score == pytest.approx(cider_d(candidates, references).score, abs=1e-9)


WORDS = [["a", "cat"]]


@pytest.mark.parametrize("metric", [bleu, rouge_l, cider_d])
@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "at least one caption"),
        (WORDS, [], "must be as many, got 1 and 0"),
        ("a cat", [WORDS], "candidates must be a list for each caption, got the text 'a cat'"),
        (WORDS, "a", "references must be a list for each caption"),
        (["a cat"], [WORDS], r"candidates\[0\] must be a list of words, got the text 'a cat'"),
        (WORDS, [["a cat", "a dog"]], r"references\[0\]\[0\] must be a list of words"),
        (WORDS * 2, [WORDS, [["a"], "b"]], r"references\[1\]\[1\] must be a list of words"),
        (WORDS, [[]], r"references\[0\] must be one list of words or more, got \[\]"),
        (WORDS, ["a cat"], r"references\[0\] must be one list of words or more, got 'a cat'"),
    ],
)
def test_bad_captions_are_told(metric, candidates, references, message):
    with pytest.raises(ValueError, match=message):
        metric(candidates, references)


def test_bad_options_are_told():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        bleu(WORDS, [WORDS], n=0)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        cider_d(WORDS, [WORDS], n=0)
    with pytest.raises(ValueError, match="smoothing must be one of 'tiny', 'none', 'exp', got True"):
        bleu(WORDS, [WORDS], smoothing=True)
    assert bleu(WORDS, [WORDS], n=2).score == pytest.approx(1)


def test_the_examples_run():
    assert doctest.testmod(captions) == (0, 5)
