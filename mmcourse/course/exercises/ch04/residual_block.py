"""04-residual-block: the forward pass of a residual block with a stride."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import cnn


def residual_block(x, first, second, across, stride):
    y = F.conv2d(F.relu(F.conv2d(x, first, stride=stride, padding=1)), second, padding=1)
    return F.relu(y + F.conv2d(x, across, stride=stride))


def _block_inputs(channels_in, channels_out, stride, *size):
    def inputs(generator):
        shapes = ((2, channels_in, *size), (channels_out, channels_in, 3, 3), (channels_out, channels_out, 3, 3))
        across = torch.randn(channels_out, channels_in, 1, 1, generator=generator)
        return (*(torch.randn(shape, generator=generator) for shape in shapes), across, stride)

    return inputs


def _block(join, *, inner=F.relu, strides=(1, 0)):
    """Another block: `strides` says which of the two convolutions moves by the stride."""

    def answer(x, first, second, across, stride):
        y = inner(F.conv2d(x, first, stride=stride if strides[0] else 1, padding=1))
        y = F.conv2d(y, second, stride=stride if strides[1] else 1, padding=1)
        return join(y, F.conv2d(x, across, stride=stride))

    return answer


EXERCISE = Exercise(
    id="04-residual-block",
    title="Two convolutions and a way around them",
    goal="the forward pass of a residual block with a stride",
    stars=2,
    minutes=10,
    points=2,
    reference=residual_block,
    ready_made=(cnn.ResidualBlock.forward,),
    cases=(
        Case(name="4 channels to 6, stride 1", inputs=_block_inputs(4, 6, 1, 7, 7), rtol=1e-4, atol=1e-4),
        Case(name="4 channels to 8, stride 2", inputs=_block_inputs(4, 8, 2, 8, 8), rtol=1e-4, atol=1e-4),
        Case(name="an odd number of pixels, stride 2", inputs=_block_inputs(3, 5, 2, 7, 9), rtol=1e-4, atol=1e-4),
    ),
    mistakes=(
        Mistake(
            message="The way around is missing: add what came in, after the 1 × 1 convolution.",
            answer=_block(lambda y, s: F.relu(y)),
        ),
        Mistake(
            message="The last ReLU is missing. It comes after the sum.",
            answer=_block(lambda y, s: y + s),
        ),
        Mistake(
            message="ReLU comes before the sum, so the block can only ever add. First the sum, then ReLU.",
            answer=_block(lambda y, s: F.relu(y) + s),
        ),
        Mistake(
            message="There is a ReLU too many between the second convolution and the sum.",
            answer=_block(lambda y, s: F.relu(F.relu(y) + s)),
        ),
        Mistake(
            message="The way around has a ReLU of its own. It is only a 1 × 1 convolution.",
            answer=_block(lambda y, s: F.relu(y + F.relu(s))),
        ),
        Mistake(
            message="There is no ReLU between the two convolutions: two linear maps in a row are one linear map.",
            answer=_block(lambda y, s: F.relu(y + s), inner=lambda y: y),
        ),
        Mistake(
            message="The stride is in the second convolution. Let the first one take it: the second then has a quarter "
            "of the work.",
            answer=_block(lambda y, s: F.relu(y + s), strides=(0, 1)),
        ),
        Mistake(
            message="Both convolutions take the stride, so one path shrinks twice and the two no longer fit.",
            answer=_block(lambda y, s: F.relu(y + s), strides=(1, 1)),
        ),
        Mistake(
            message="The way around does not take the stride, so the two paths no longer fit.",
            answer=lambda x, first, second, across, stride: F.relu(
                F.conv2d(F.relu(F.conv2d(x, first, stride=stride, padding=1)), second, padding=1) + F.conv2d(x, across)
            ),
        ),
        Mistake(
            message="The two paths are laid side by side. A residual block adds them.",
            answer=_block(lambda y, s: F.relu(torch.cat((y, s), dim=1))),
        ),
    ),
    hints=(
        "One path: `F.conv2d(x, first, stride=stride, padding=1)`, ReLU, `F.conv2d(…, second, padding=1)`.",
        "The other path: `F.conv2d(x, across, stride=stride)`, without padding, because its kernel is 1 × 1.",
        "Add the two and take ReLU of the sum.",
    ),
)
