"""06-layer-shapes: say what concatenation does to the sizes of a network."""

from __future__ import annotations

from itertools import pairwise

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def _numbers(*values):
    return lambda generator: values


def layer_shapes(image_width, text_width, classes):
    return [(512, image_width + text_width), (256, 512), (classes, 256)]


def _chain(*sizes):
    """The weights of linear maps from size to size."""
    return [(after, before) for before, after in pairwise(sizes)]


def _sizes(generator):
    """Two widths and a number of classes."""
    return tuple(int(torch.randint(low, 3 * low, (), generator=generator)) for low in (300, 1000, 12))


EXERCISE = Exercise(
    id="06-layer-shapes",
    title="The undefined dimensions",
    goal="say what concatenation does to the sizes of a network",
    stars=1,
    minutes=5,
    points=1,
    reference=layer_shapes,
    nothing_ready="a few numbers to work out",
    cases=(
        Case(name="ResNet-50 and BERT, ten classes", inputs=_numbers(2048, 768, 10)),
        Case(
            name="EfficientNet and MiniLM, two classes",
            inputs=_numbers(1280, 384, 2),
        ),
        Case(name="two encoders of one size", inputs=_numbers(64, 64, 3)),
    ),
    fresh=(Case(name="sizes of chance", inputs=_sizes),),
    mistakes=(
        Mistake(
            message="The shapes are turned around. PyTorch stores the weight of Linear(inputs, outputs) as "
            "(outputs, inputs).",
            answer=lambda i, t, c: [(i + t, 512), (512, 256), (256, c)],
        ),
        Mistake(
            message="The first layer reads the picture alone. Concatenation puts both vectors end to end: it reads "
            "image_width + text_width numbers.",
            answer=lambda i, t, c: _chain(i, 512, 256, c),
        ),
        Mistake(
            message="The first layer reads the sentence alone. Concatenation puts both vectors end to end: it reads "
            "image_width + text_width numbers.",
            answer=lambda i, t, c: _chain(t, 512, 256, c),
        ),
        Mistake(
            message="The widths are multiplied. That is the size of an outer product; concatenation adds the widths.",
            answer=lambda i, t, c: _chain(i * t, 512, 256, c),
        ),
        Mistake(
            message="The picture comes with the 1000 logits of ImageNet. Its head has been removed: the picture has "
            "image_width numbers.",
            answer=lambda i, t, c: _chain(1000 + t, 512, 256, c),
        ),
        Mistake(
            message="The network ends at 256 numbers. A last layer makes one logit for each class.",
            answer=lambda i, t, c: _chain(i + t, 512, 256),
        ),
        Mistake(
            message="The layer from 512 to 256 is missing.",
            answer=lambda i, t, c: _chain(i + t, 512, c),
        ),
        Mistake(
            message="The last layer has one output. It needs one logit for each class.",
            answer=lambda i, t, c: _chain(i + t, 512, 256, 1),
        ),
        Mistake(
            message="Each vector has a layer of 512 of its own, and 1024 numbers go on. Here the vectors are joined "
            "first, and one layer of 512 reads both.",
            answer=lambda i, t, c: _chain(i + t, 1024, 256, c),
        ),
    ),
    hints=(
        "Two vectors end to end have as many numbers as both together.",
        "Linear(inputs, outputs) keeps a weight of shape (outputs, inputs); every layer reads what the one before it "
        "gave.",
        "`[(512, image_width + text_width), (256, 512), (classes, 256)]`",
    ),
)
