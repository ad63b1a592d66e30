"""15-count: say what a transformer block costs before it runs.

`block_operations(tokens, width, heads)` counts the multiply–adds of one text: four maps of attention, the scores and
the sums of values of all heads, and a feed-forward of 4C. Norms, activations, biases and the softmax are left out, as
they are little beside that; a causal mask saves nothing, as what it hides is computed, too.
"""

from __future__ import annotations

import torch

from mmcourse import deploy
from mmcourse.course.exercise import Case, Exercise, Mistake


def block_operations(tokens, width, heads):
    maps = 4 * tokens * width**2
    attention = 2 * tokens**2 * width
    feed_forward = 8 * tokens * width**2
    return maps + attention + feed_forward


def _inputs(lowest, highest, heads, head_width):
    """A text of a random length; the width is that of all heads together."""

    def inputs(generator):
        tokens = int(torch.randint(lowest, highest, (1,), generator=generator))
        return tokens, heads * head_width, heads

    return inputs


def _counted(*, maps=4, forward=8, attention=None, total=None):
    """The same with other counts of C × C maps, or another T² part or total of (tokens, width, heads)."""

    def answer(tokens, width, heads):
        inside = 2 * tokens**2 * width if attention is None else attention(tokens, width, heads)
        sum_ = (maps + forward) * tokens * width**2 + inside
        return sum_ if total is None else total(sum_, tokens, width)

    return answer


EXERCISE = Exercise(
    id="15-count",
    title="What a block costs",
    goal="say what a transformer block costs before it runs",
    stars=2,
    minutes=8,
    points=2,
    reference=block_operations,
    ready_made=(deploy.count_operations,),
    cases=(
        Case(name="some 50 tokens, four heads of 16", inputs=_inputs(40, 60, 4, 16), rtol=0, atol=0),
        Case(name="some 2,000 tokens, eight heads of 8", inputs=_inputs(1900, 2100, 8, 8), rtol=0, atol=0),
        Case(name="some 300 tokens, twelve heads of 64", inputs=_inputs(250, 350, 12, 64), rtol=0, atol=0),
        Case(name="one token, three heads of 10", inputs=lambda generator: (1, 30, 3), rtol=0, atol=0),
    ),
    mistakes=(
        Mistake(
            message="The T² part is missing: every token looks at every token, T² scores of C products over all heads, "
            "and the values once more.",
            answer=_counted(attention=lambda tokens, width, heads: 0),
        ),
        Mistake(
            message="Only the scores are counted. The sums of the values cost as much again: T · T · C.",
            answer=_counted(attention=lambda tokens, width, heads: tokens**2 * width),
        ),
        Mistake(
            message="The T² part is multiplied by the heads. Each is C / H wide, so together they cost what one of "
            "width C would.",
            answer=_counted(attention=lambda tokens, width, heads: 2 * tokens**2 * width * heads),
        ),
        Mistake(
            message="The T² part is that of one head. There are H of them.",
            answer=_counted(attention=lambda tokens, width, heads: 2 * tokens**2 * (width // heads)),
        ),
        Mistake(
            message="The scores are counted as T² numbers. Each of them is a sum of products over the width.",
            answer=_counted(attention=lambda tokens, width, heads: 2 * tokens**2),
        ),
        Mistake(
            message="Attention is counted as T · C, one look at each token. T tokens look at T tokens.",
            answer=_counted(attention=lambda tokens, width, heads: 2 * tokens * width),
        ),
        Mistake(
            message="Half of the T² part is left out, as if hidden by a causal mask. What it hides is computed, too.",
            answer=_counted(attention=lambda tokens, width, heads: tokens * (tokens + 1) * width),
        ),
        Mistake(
            message="The map behind the heads is left out: with query, key and value there are four maps of C × C.",
            answer=_counted(maps=3),
        ),
        Mistake(
            message="Attention has one map of C × C here. It has four: query, key, value, and one behind the heads.",
            answer=_counted(maps=1),
        ),
        Mistake(
            message="Only one map of the feed-forward is counted. It goes up from C to 4C and down again: 8 · C².",
            answer=_counted(forward=4),
        ),
        Mistake(
            message="The feed-forward is counted as two maps of C × C. It is 4C wide inside.",
            answer=_counted(forward=2),
        ),
        Mistake(
            message="These are twice as many: a multiply–add is one operation here, a product with its sum.",
            answer=_counted(total=lambda sum_, tokens, width: 2 * sum_),
        ),
        Mistake(
            message="These are the numbers in the weights. Each is used once for every token, and attention adds its "
            "T² part.",
            answer=_counted(total=lambda sum_, tokens, width: 12 * width**2),
        ),
        Mistake(
            message="This is the cost of a token. There are T.",
            answer=_counted(total=lambda sum_, tokens, width: sum_ // tokens),
        ),
    ),
    hints=(
        "A linear map of T tokens from C numbers to D costs T · C · D. Attention has four from C to C.",
        "Scores: for each pair of tokens the products of all heads together, C of them. The sums of values: as many.",
        "The feed-forward has a map from C to 4C and one back. Together: 12 · T · C² + 2 · T² · C.",
    ),
)
