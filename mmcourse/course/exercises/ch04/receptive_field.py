"""04-receptive-field: the receptive field of a stack of layers."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def receptive_field(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


def _walk(start, grow):
    """Some other rule: `grow(field, step, kernel, stride)` gives the next field and step."""

    def answer(layers):
        field, step = start, 1
        for kernel, stride in layers:
            field, step = grow(field, step, kernel, stride)
        return field

    return answer


def _layers(generator):
    """Kernels of 2 to 7, strides of 1 to 3; the first and the last have a stride."""
    kernels = torch.randint(2, 8, (6,), generator=generator).tolist()
    strides = torch.randint(1, 4, (6,), generator=generator).tolist()
    return (list(zip(kernels, [2, *strides[1:5], 3], strict=True)),)


EXERCISE = Exercise(
    id="04-receptive-field",
    title="How far one number sees",
    goal="the receptive field of a stack of layers",
    stars=2,
    minutes=10,
    points=2,
    reference=receptive_field,
    nothing_ready="nothing in the library or in torch computes it",
    cases=(
        Case(name="two 3 × 3 convolutions", inputs=lambda generator: ([(3, 1), (3, 1)],)),
        Case(name="a stride of 2 between them", inputs=lambda generator: ([(3, 1), (3, 2), (3, 1), (3, 1)],)),
        Case(name="the chapter's network", inputs=lambda generator: ([(4, 4), (3, 1), (3, 1), (3, 2), (3, 1)],)),
        Case(name="a single 1 × 1 convolution", inputs=lambda generator: ([(1, 1)],)),
        Case(name="ResNet's beginning", inputs=lambda generator: ([(7, 2), (3, 2), (3, 1), (3, 1)],)),
    ),
    fresh=(Case(name="six layers of chance", inputs=_layers),),
    mistakes=(
        Mistake(
            message="The strides are ignored. Behind a stride of 2, one step to the side is two pixels of the picture.",
            answer=_walk(1, lambda field, step, kernel, stride: (field + kernel - 1, step)),
        ),
        Mistake(
            message="A layer's own stride is already used for that layer. It widens the steps of the layers *behind* "
            "it: grow the field first, then multiply the step.",
            answer=_walk(1, lambda field, step, kernel, stride: (field + (kernel - 1) * step * stride, step * stride)),
        ),
        Mistake(
            message="This adds whole kernels. A window of k pixels adds k − 1 to what its middle saw already.",
            answer=_walk(1, lambda field, step, kernel, stride: (field + kernel * step, step * stride)),
        ),
        Mistake(
            message="This adds up the kernels. Windows overlap: the first gives its size, each further one adds k − 1 "
            "steps.",
            answer=_walk(0, lambda field, step, kernel, stride: (field + kernel, step)),
        ),
        Mistake(
            message="This multiplies the kernels. Windows of neighbors overlap, so the field grows by (k − 1) steps.",
            answer=_walk(1, lambda field, step, kernel, stride: (field * kernel, step)),
        ),
        Mistake(
            message="The field starts at 0. Without any layer, one number sees one pixel: start at 1.",
            answer=_walk(0, lambda field, step, kernel, stride: (field + (kernel - 1) * step, step * stride)),
        ),
        Mistake(
            message="The recursion field = (field − 1) · stride + kernel is right from the *last* layer back to the "
            "first. You go forwards.",
            answer=_walk(1, lambda field, step, kernel, stride: ((field - 1) * stride + kernel, step)),
        ),
        Mistake(
            message="The strides do not multiply here: after two strides of 2 the step is 4 pixels, neither 2 nor 3.",
            answer=_walk(1, lambda field, step, kernel, stride: (field + (kernel - 1) * step, stride)),
        ),
        Mistake(
            message="This is the step between neighbors, the product of the strides, and not how many pixels are seen.",
            answer=_walk(1, lambda field, step, kernel, stride: (field * stride, step)),
        ),
    ),
    hints=(
        "Keep two numbers: the field, which starts at 1, and the step between neighbors in pixels, which starts at 1.",
        "A layer with kernel k adds (k − 1) steps to the field.",
        "Afterwards, its stride multiplies the step for the layers behind it.",
    ),
)
