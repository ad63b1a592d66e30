"""01-block: order residual paths and normalization as modern transformers do."""

from __future__ import annotations

import torch

from mmcourse import transformer
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import normal


def block(x, attend, feed_forward, norm_1, norm_2):
    x = x + attend(norm_1(x))
    return x + feed_forward(norm_2(x))


def _post_norm(x, attend, feed_forward, norm_1, norm_2):
    x = norm_1(x + attend(x))
    return norm_2(x + feed_forward(x))


def _no_residual(x, attend, feed_forward, norm_1, norm_2):
    return feed_forward(norm_2(attend(norm_1(x))))


def _normalized_stream(x, attend, feed_forward, norm_1, norm_2):
    x = norm_1(x)
    x = norm_2(x + attend(x))
    return x + feed_forward(x)


def _run_block(answer, x, mix, expand, shrink, gain_1, gain_2):
    """Gives the block simple parts of the right shape, made of tensors."""
    width = x.shape[-1]
    return answer(
        x,
        lambda tokens: mix @ tokens,
        lambda tokens: torch.relu(tokens @ expand) @ shrink,
        lambda tokens: torch.layer_norm(tokens, (width,)) * gain_1,
        lambda tokens: torch.layer_norm(tokens, (width,)) * gain_2,
    )


EXERCISE = Exercise(
    id="01-block",
    title="Put the block together",
    goal="order residual paths and normalization as modern transformers do",
    stars=2,
    minutes=10,
    points=2,
    reference=block,
    ready_made=(transformer.Block.forward,),
    cases=(
        Case(
            name="one sequence of 4 tokens, width 6",
            inputs=normal((1, 4, 6), (4, 4), (6, 12), (12, 6), (6,), (6,)),
            probe=_run_block,
        ),
        Case(
            name="a batch of 3",
            inputs=normal((3, 5, 8), (5, 5), (8, 16), (16, 8), (8,), (8,)),
            probe=_run_block,
        ),
    ),
    mistakes=(
        Mistake(
            message="This is the post-norm order of 2017: normalize after adding. Here each part reads a normalized "
            "copy, and the sum itself is left alone.",
            answer=_post_norm,
        ),
        Mistake(
            message="The residual paths are missing: add x to what each part returns.",
            answer=_no_residual,
        ),
        Mistake(
            message="The second residual path is missing: add the tokens to what the feed-forward part returns.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: feed_forward(norm_2(x + attend(norm_1(x)))),
        ),
        Mistake(
            message="The normalized tokens replaced the residual path. Keep x as it is and normalize only the copy "
            "that goes into each part.",
            answer=_normalized_stream,
        ),
        Mistake(
            message="norm_1 is used twice. Each part has its own: norm_2 belongs to the feed-forward part.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: block(x, attend, feed_forward, norm_1, norm_1),
        ),
        Mistake(
            message="The feed-forward part reads the tokens from before the attention, not the updated ones.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: x + attend(norm_1(x)) + feed_forward(norm_2(x)),
        ),
        Mistake(
            message="The result of the attention is lost: the second sum must start from the updated x.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: x + feed_forward(norm_2(x + attend(norm_1(x)))),
        ),
        Mistake(
            message="The normalization is missing: each part reads a normalized copy of x.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: block(
                x, attend, feed_forward, lambda t: t, lambda t: t
            ),
        ),
    ),
    hints=(
        "There are two steps of the same form: x = x + part(norm(x)).",
        "The first part is `attend` with `norm_1`, the second `feed_forward` with `norm_2`.",
        "x = x + attend(norm_1(x)), then return x + feed_forward(norm_2(x)).",
    ),
)
