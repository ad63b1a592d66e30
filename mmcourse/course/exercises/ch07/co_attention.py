"""07-co-attention: update words and patches from what both were before."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def co_attend(words, patches, words_ask, patches_ask):
    return words + words_ask(words, patches), patches + patches_ask(patches, words)


def _run_co_attention(answer, words, patches, word_map, patch_map):
    """Gives the answer two different attentions, each a function of (who asks, who is asked)."""

    def make(matrix):
        return lambda x, context: (x @ matrix @ context.mT).softmax(dim=-1) @ context

    return answer(words, patches, make(word_map), make(patch_map))


def _pair(batch, words, patches, width):
    def inputs(generator):
        def draw(*shape):
            return torch.randn(shape, generator=generator)

        return draw(batch, words, width), draw(batch, patches, width), draw(width, width), draw(width, width)

    return inputs


def _words_first(words, patches, words_ask, patches_ask):
    words = words + words_ask(words, patches)
    return words, patches + patches_ask(patches, words)


def _patches_first(words, patches, words_ask, patches_ask):
    patches = patches + patches_ask(patches, words)
    return words + words_ask(words, patches), patches


def _swapped_functions(words, patches, words_ask, patches_ask):
    return words + patches_ask(words, patches), patches + words_ask(patches, words)


EXERCISE = Exercise(
    id="07-co-attention",
    title="Both ask at once",
    goal="update words and patches from what both were before",
    stars=2,
    minutes=8,
    points=2,
    reference=co_attend,
    nothing_ready="the attentions are handed in; the library's layer makes its own",
    cases=(
        Case(name="three words and five patches", inputs=_pair(2, 3, 5, 4), probe=_run_co_attention),
        Case(name="as many words as patches", inputs=_pair(1, 4, 4, 6), probe=_run_co_attention),
    ),
    mistakes=(
        Mistake(
            message="The patches ask words that have already been updated. Both sides ask at once: keep the old words "
            "until the patches have asked.",
            answer=_words_first,
        ),
        Mistake(
            message="The words ask patches that have already been updated. Both sides ask at once: keep the old "
            "patches until the words have asked.",
            answer=_patches_first,
        ),
        Mistake(
            message="The residual paths are missing: add what came in to what was found.",
            answer=lambda x, y, f, g: (f(x, y), g(y, x)),
        ),
        Mistake(
            message="Each side asks itself. The second argument is who is asked: the other side.",
            answer=lambda x, y, f, g: (x + f(x, x), y + g(y, y)),
        ),
        Mistake(
            message="The two attentions are swapped: words_ask is for the words.",
            answer=_swapped_functions,
        ),
        Mistake(
            message="One attention is used for both directions. Each direction has its own weights.",
            answer=lambda x, y, f, g: (x + f(x, y), y + f(y, x)),
        ),
        Mistake(
            message="One attention is used for both directions. Each direction has its own weights.",
            answer=lambda x, y, f, g: (x + g(x, y), y + g(y, x)),
        ),
        Mistake(
            message="Only the words are updated. The patches ask as well.",
            answer=lambda x, y, f, g: (x + f(x, y), y),
        ),
        Mistake(
            message="Only the patches are updated. The words ask as well.",
            answer=lambda x, y, f, g: (x, y + g(y, x)),
        ),
        Mistake(
            message="The arguments of the attentions are turned round: first who asks, then who is asked.",
            answer=lambda x, y, f, g: (x + f(y, x), y + g(x, y)),
        ),
        Mistake(
            message="Words and patches come back in the wrong order.",
            answer=lambda *inputs: co_attend(*inputs)[::-1],
        ),
    ),
    hints=(
        "`words_ask(words, patches)` is what the words find; it has the shape of the words.",
        "Compute both findings from the old words and the old patches before you change either.",
        "`return words + words_ask(words, patches), patches + patches_ask(patches, words)`.",
    ),
)
