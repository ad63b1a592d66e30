"""Exercises of chapter 06, Fusion by MLP: what is asked, how an answer is checked, and the mistakes it recognizes."""

from __future__ import annotations

from itertools import pairwise

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch06_more import FILM, GATE, MODALITY_DROPOUT, SCORES_OF_A_CLASS


def _numbers(*values):
    return lambda generator: values


# --- the shapes of the classic network --------------------------------------------------------------------------------


def layer_shapes(image_width, text_width, classes):
    return [(512, image_width + text_width), (256, 512), (classes, 256)]


def _chain(*sizes):
    """The weights of linear maps from size to size."""
    return [(after, before) for before, after in pairwise(sizes)]


def _sizes(generator):
    """Two widths and a number of classes."""
    return tuple(int(torch.randint(low, 3 * low, (), generator=generator)) for low in (300, 1000, 12))


LAYER_SHAPES = Exercise(
    id="06-layer-shapes",
    title="The undefined dimensions",
    goal="say what concatenation does to the sizes of a network",
    stars=1,
    minutes=5,
    points=1,
    reference=layer_shapes,
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


# --- what a sum cannot do ---------------------------------------------------------------------------------------------


def interaction(scores):
    return scores[:, 0, 0] + scores[:, 1, 1] - scores[:, 0, 1] - scores[:, 1, 0]


def _blocks(count):
    return lambda generator: (torch.randn(count, 2, 2, generator=generator),)


def _sum_of_two(generator):
    pictures, sentences = torch.randn(6, 2, 1, generator=generator), torch.randn(6, 1, 2, generator=generator)
    return (pictures + sentences,)


INTERACTION = Exercise(
    id="06-interaction",
    title="Do they talk to each other?",
    goal="measure how much of a score belongs to both modalities together",
    stars=1,
    minutes=5,
    points=1,
    reference=interaction,
    cases=(
        Case(name="seven blocks", inputs=_blocks(7), atol=1e-5),
        Case(name="one block", inputs=_blocks(1), atol=1e-5),
        Case(name="0 where the score is a sum of two", inputs=_sum_of_two, atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="The sign is turned around: the diagonal (own sentences) counts plus, the rest minus.",
            answer=lambda s: -interaction(s),
        ),
        Mistake(
            message="This is the sum of all four scores. Two of them count minus.",
            answer=lambda s: s.sum(dim=(1, 2)),
        ),
        Mistake(
            message="This compares the two pictures (rows). What a picture adds by itself must cancel: diagonal minus "
            "the other diagonal.",
            answer=lambda s: s[:, 0].sum(1) - s[:, 1].sum(1),
        ),
        Mistake(
            message="This compares the two sentences (columns). What a sentence adds by itself must cancel: diagonal "
            "minus the other diagonal.",
            answer=lambda s: s[:, :, 0].sum(1) - s[:, :, 1].sum(1),
        ),
        Mistake(
            message="This is the determinant. It multiplies the scores of a diagonal; here they are added.",
            answer=lambda s: torch.linalg.det(s),
        ),
        Mistake(
            message="Only the diagonal is added up (the trace). The other two scores have to be subtracted.",
            answer=lambda s: s.diagonal(dim1=1, dim2=2).sum(1),
        ),
        Mistake(
            message="The blocks are averaged into one number. Return one number for each block.",
            answer=lambda s: interaction(s).mean(),
        ),
        Mistake(
            message="You took the absolute value. The sign tells which diagonal the model likes better: keep it.",
            answer=lambda s: interaction(s).abs(),
        ),
    ),
    hints=(
        "scores[:, p, s] is the score of picture p with sentence s, for every block at once.",
        "Whatever depends on the picture alone must cancel, and whatever depends on the sentence alone, too.",
        "Both scores of the diagonal plus, the other two minus.",
    ),
)

# --- late fusion ------------------------------------------------------------------------------------------------------


def late_fusion(image_logits, text_logits, weight):
    return weight * image_logits.softmax(dim=-1) + (1 - weight) * text_logits.softmax(dim=-1)


def _two_opinions(samples, classes, weight):
    def inputs(generator):
        image, text = 3 * torch.randn(2, samples, classes, generator=generator)
        return image, text, weight

    return inputs


LATE_FUSION = Exercise(
    id="06-late-fusion",
    title="Two opinions",
    goal="average what two classifiers say, as probabilities",
    stars=1,
    minutes=5,
    points=1,
    reference=late_fusion,
    cases=(
        Case(name="both count one half", inputs=_two_opinions(5, 4, 0.5)),
        Case(name="the picture counts 0.8", inputs=_two_opinions(4, 4, 0.8)),
        Case(name="the sentence alone counts", inputs=_two_opinions(3, 5, 0.0)),
    ),
    mistakes=(
        Mistake(
            message="You average the logits and take softmax after that: a product of opinions, in which one veto "
            "counts. Here the probabilities are averaged: softmax first.",
            answer=lambda i, t, w: (w * i + (1 - w) * t).softmax(dim=-1),
        ),
        Mistake(
            message="You average the logits. The result must be probabilities: softmax of each, then the average.",
            answer=lambda i, t, w: w * i + (1 - w) * t,
        ),
        Mistake(
            message="The softmax runs over the samples (dim=0). The classes of one sample compete: dim=-1.",
            answer=lambda i, t, w: w * i.softmax(dim=0) + (1 - w) * t.softmax(dim=0),
        ),
        Mistake(
            message="The weights are exchanged: `weight` belongs to the picture, 1 − weight to the sentence.",
            answer=lambda i, t, w: late_fusion(t, i, w),
        ),
        Mistake(
            message="The weight is not used: both count one half, whatever was asked for.",
            answer=lambda i, t, w: late_fusion(i, t, 0.5),
        ),
        Mistake(
            message="The probabilities are added up and the rows sum to 2. Weight them so that they sum to 1.",
            answer=lambda i, t, w: i.softmax(dim=-1) + t.softmax(dim=-1),
        ),
        Mistake(
            message="Softmax runs a second time over the averaged probabilities. They are probabilities already.",
            answer=lambda i, t, w: late_fusion(i, t, w).softmax(dim=-1),
        ),
        Mistake(
            message="The probabilities are multiplied. An average adds them.",
            answer=lambda i, t, w: i.softmax(dim=-1) * t.softmax(dim=-1),
        ),
        Mistake(
            message="These are the logarithms of the averaged probabilities. Return the probabilities.",
            answer=lambda i, t, w: late_fusion(i, t, w).log(),
        ),
    ),
    hints=(
        "Each classifier first turns its own logits into probabilities.",
        "`image_logits.softmax(dim=-1)` has rows that sum to 1; so has a weighted average with weights that sum to 1.",
        "weight · (probabilities of the picture) + (1 − weight) · (probabilities of the sentence)",
    ),
)

# --- a product of low rank --------------------------------------------------------------------------------------------


def low_rank_bilinear(x, y, u, v, p):
    return ((x @ u.T) * (y @ v.T)) @ p.T


def _bilinear_inputs(batch, image, text, rank, outputs):
    def inputs(generator):
        shapes = ((batch, image), (batch, text), (rank, image), (rank, text), (outputs, rank))
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    return inputs


LOW_RANK_BILINEAR = Exercise(
    id="06-low-rank-bilinear",
    title="A product that fits into memory",
    goal="multiply two modalities without writing the large tensor",
    stars=2,
    minutes=10,
    points=2,
    reference=low_rank_bilinear,
    cases=(
        Case(name="different widths", inputs=_bilinear_inputs(4, 5, 3, 6, 2), atol=1e-4),
        Case(name="all widths equal, where shapes forgive", inputs=_bilinear_inputs(4, 4, 4, 4, 4), atol=1e-4),
        Case(name="rank one", inputs=_bilinear_inputs(3, 6, 2, 1, 3), atol=1e-4),
    ),
    mistakes=(
        Mistake(
            message="You add the two projections. A sum is late fusion again: multiply them, channel by channel.",
            answer=lambda x, y, u, v, p: ((x @ u.T) + (y @ v.T)) @ p.T,
        ),
        Mistake(
            message="The last map p is missing: these are the products themselves, one for each rank.",
            answer=lambda x, y, u, v, p: (x @ u.T) * (y @ v.T),
        ),
        Mistake(
            message="The products are added up. The map p weighs them, another weight for every output.",
            answer=lambda x, y, u, v, p: ((x @ u.T) * (y @ v.T)).sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="p is applied to the picture before the product. Multiply first, then map.",
            answer=lambda x, y, u, v, p: (x @ u.T @ p.T) * (y @ v.T @ p.T),
        ),
        Mistake(
            message="u and v are exchanged: u belongs to the picture x, v to the sentence y.",
            answer=lambda x, y, u, v, p: ((x @ v.T) * (y @ u.T)) @ p.T,
        ),
        Mistake(
            message="The matrices are not transposed. Each row of u is one direction of the picture: x @ u.T.",
            answer=lambda x, y, u, v, p: ((x @ u) * (y @ v)) @ p,
        ),
        Mistake(
            message="Pictures of the batch meet the sentences of all others (a matrix product). Multiply "
            "elementwise: each picture with its own sentence.",
            answer=lambda x, y, u, v, p: (x @ u.T) @ (y @ v.T).T,
        ),
        Mistake(
            message="There is a ReLU or tanh too many. This form is exactly bilinear: doubling x doubles the result.",
            answer=lambda x, y, u, v, p: ((x @ u.T).tanh() * (y @ v.T).tanh()) @ p.T,
        ),
    ),
    hints=(
        "Project both to the same length R: `x @ u.T` is (B, R), and so is `y @ v.T`.",
        "Multiply the two elementwise: still (B, R).",
        "At the end `@ p.T` takes (B, R) to (B, K).",
    ),
)

EXERCISES = (
    LAYER_SHAPES,
    INTERACTION,
    LATE_FUSION,
    LOW_RANK_BILINEAR,
    FILM,
    GATE,
    SCORES_OF_A_CLASS,
    MODALITY_DROPOUT,
)
