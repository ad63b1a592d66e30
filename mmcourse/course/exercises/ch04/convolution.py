"""04-convolution: every window a column, every kernel a row."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import cnn


def convolution(x, weight, stride, padding):
    return F.conv2d(x, weight, stride=stride, padding=padding)


def _pictures_and_kernels(x, weight, stride, padding):
    def inputs(generator):
        return torch.randn(x, generator=generator), torch.randn(weight, generator=generator), stride, padding

    return inputs


def _padded(mode):
    return lambda x, w, s, p: F.conv2d(F.pad(x, (p, p, p, p), mode=mode) if p else x, w, stride=s)


EXERCISE = Exercise(
    id="04-convolution",
    title="Convolution as one matrix product",
    goal="every window a column, every kernel a row",
    stars=3,
    minutes=15,
    points=3,
    reference=convolution,
    ready_made=(
        F.conv2d,
        cnn.convolve,
    ),
    cases=(
        Case(name="one kernel, one channel", inputs=_pictures_and_kernels((1, 1, 6, 6), (1, 1, 3, 3), 1, 0), atol=1e-5),
        Case(
            name="a batch of colored pictures, five kernels",
            inputs=_pictures_and_kernels((2, 3, 7, 9), (5, 3, 3, 3), 1, 1),
            atol=1e-5,
        ),
        Case(name="a stride of 2", inputs=_pictures_and_kernels((2, 3, 8, 8), (4, 3, 3, 3), 2, 1), atol=1e-5),
        Case(
            name="patches: kernel and stride of 4",
            inputs=_pictures_and_kernels((2, 3, 8, 12), (6, 3, 4, 4), 4, 0),
            atol=1e-5,
        ),
        Case(
            name="a kernel that is not square",
            inputs=_pictures_and_kernels((1, 2, 6, 7), (3, 2, 2, 5), 1, 2),
            atol=1e-5,
        ),
    ),
    mistakes=(
        Mistake(
            message="The kernel is mirrored. That is what a mathematician calls convolution; in deep learning the "
            "kernel is laid on as it is.",
            answer=lambda x, w, s, p: F.conv2d(x, w.flip(-2, -1), stride=s, padding=p),
        ),
        Mistake(
            message="The stride is ignored: the window moves by one pixel each time.",
            answer=lambda x, w, s, p: F.conv2d(x, w, padding=p),
        ),
        Mistake(
            message="The padding is ignored. Lay rows and columns of zeros around the picture first.",
            answer=lambda x, w, s, p: F.conv2d(x, w, stride=s),
        ),
        Mistake(
            message="The border is padded with copies of the edge. The agreement is zeros.",
            answer=_padded("replicate"),
        ),
        Mistake(
            message="The border is padded with a reflection. The agreement is zeros.",
            answer=_padded("reflect"),
        ),
        Mistake(
            message="Zeros are laid at the right and at the bottom only. Padding goes on all four sides.",
            answer=lambda x, w, s, p: F.conv2d(F.pad(x, (0, 2 * p, 0, 2 * p)), w, stride=s),
        ),
        Mistake(
            message="This is a mean over the window. Convolution is a sum of products.",
            answer=lambda x, w, s, p: convolution(x, w, s, p) / w[0].numel(),
        ),
        Mistake(
            message="The channels are not added up. Each kernel reaches through all channels and gives one number a "
            "place.",
            answer=lambda x, w, s, p: torch.stack(
                [F.conv2d(x[:, c : c + 1], w[:, c : c + 1], stride=s, padding=p) for c in range(x.shape[1])], dim=2
            ),
        ),
        Mistake(
            message="The places are still in one row: reshape (B, O, H′·W′) to (B, O, H′, W′).",
            answer=lambda x, w, s, p: convolution(x, w, s, p).flatten(2),
        ),
        Mistake(
            message="Height and width of the result are exchanged.",
            answer=lambda x, w, s, p: convolution(x, w, s, p).mT.contiguous(),
        ),
        Mistake(
            message="Numbers are in the wrong places: a reshape cannot exchange channels and places. First multiply "
            "weight (O, C·h·w) by the windows (B, C·h·w, P), which gives (B, O, P); then split P.",
            answer=lambda x, w, s, p: (
                convolution(x, w, s, p)
                .movedim(1, -1)
                .reshape(convolution(x, w, s, p).shape)  # (B, H', W', O) read as it lies
            ),
        ),
    ),
    hints=(
        "`F.unfold(x, weight.shape[-2:], stride=stride, padding=padding)` has shape (B, C·h·w, P): one column for each "
        "place.",
        "`weight.flatten(1)` is (O, C·h·w). A matrix product of the two gives (B, O, P).",
        "H′ = (H + 2·padding − h) // stride + 1, and W′ likewise; `.unflatten(-1, (H′, W′))` splits P.",
    ),
)
