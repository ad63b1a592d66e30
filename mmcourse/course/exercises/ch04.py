"""Exercises of chapter 04, Pictures to features: what is asked, how an answer is checked, and the mistakes it knows."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch04_more import FAIR_SCALING, FROZEN_FEATURES, PATCHIFY, RESIDUAL_BLOCK

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def pictures(*shape):
    """Inputs: one uint8 tensor of random colors."""
    return lambda generator: torch.randint(256, shape, generator=generator, dtype=torch.uint8)


# --- normalize --------------------------------------------------------------------------------------------------------


def prepare_image(image, mean, std):
    return (image / 255 - mean[:, None, None]) / std[:, None, None]


def _prepared(*shape):
    return lambda generator: (pictures(*shape)(generator), MEAN, STD)


def _columns(values):
    return values[:, None, None]


NORMALIZE = Exercise(
    id="04-normalize",
    title="Ready for the network",
    goal="from 0–255 to what a pretrained network expects",
    stars=1,
    minutes=5,
    points=1,
    reference=prepare_image,
    cases=(
        Case(name="a picture of 8 × 6 pixels", inputs=_prepared(3, 8, 6)),
        Case(name="a picture that is 3 pixels wide", inputs=_prepared(3, 5, 3)),
        Case(name="a batch of 4", inputs=_prepared(4, 3, 7, 5)),
    ),
    mistakes=(
        Mistake(
            message="The pixels still run from 0 to 255. Divide by 255 first: mean and std are those of numbers in "
            "[0, 1].",
            answer=lambda x, m, s: (x.float() - _columns(m)) / _columns(s),
        ),
        Mistake(
            message="mean and std run along the width, not along the colors. PyTorch lines up the last dimension: give "
            "them the shape (3, 1, 1) first.",
            answer=lambda x, m, s: (x / 255 - m) / s,
        ),
        Mistake(
            message="The mean is subtracted, but nothing is divided by std.",
            answer=lambda x, m, s: x / 255 - _columns(m),
        ),
        Mistake(
            message="You multiply by std. A color that varies a lot has to be made smaller: divide.",
            answer=lambda x, m, s: (x / 255 - _columns(m)) * _columns(s),
        ),
        Mistake(
            message="The order is turned around: first subtract the mean, then divide all of it by std.",
            answer=lambda x, m, s: x / 255 / _columns(s) - _columns(m),
        ),
        Mistake(
            message="mean and std are taken from this picture. That erases its brightness and its tint. The network "
            "learned with one fixed mean and std: use those that are given.",
            answer=lambda x, m, s: (
                (x / 255 - (x / 255).mean(dim=(-2, -1), keepdim=True)) / (x / 255).std(dim=(-2, -1), keepdim=True)
            ),
        ),
        Mistake(
            message="The picture is normalized twice. Once is enough, and twice fails without an error.",
            answer=lambda x, m, s: (prepare_image(x, m, s) - _columns(m)) / _columns(s),
        ),
        Mistake(
            message="The colors are in the order blue, green, red. Ours are red, green, blue: do not flip them.",
            answer=lambda x, m, s: prepare_image(x.flip(-3), m, s),
        ),
        Mistake(
            message="You divide by 256. The brightest pixel is 255 and must become 1.",
            answer=lambda x, m, s: (x / 256 - _columns(m)) / _columns(s),
        ),
        Mistake(
            message="The colors stand last. PyTorch expects (…, 3, H, W), as the picture came.",
            answer=lambda x, m, s: prepare_image(x, m, s).movedim(-3, -1),
        ),
        Mistake(
            message="This scales to [−1, 1] and does not use mean and std. Some networks want that, this one does not.",
            answer=lambda x, m, s: x / 127.5 - 1,
        ),
    ),
    hints=(
        "Three steps in this order: divide by 255, subtract the mean, divide by std.",
        "mean has shape (3,), the picture (3, H, W). Colors must meet colors: `mean[:, None, None]` is (3, 1, 1).",
        "`(image / 255 - mean[:, None, None]) / std[:, None, None]`",
    ),
)

# --- color histogram --------------------------------------------------------------------------------------------------


def _boxes(image, bins):
    return image.long() * bins // 256  # (3, H, W), numbers from 0 to bins − 1


def _joint(boxes, bins):
    red, green, blue = boxes
    return torch.bincount((red * bins**2 + green * bins + blue).flatten(), minlength=bins**3)


def color_histogram(image, bins):
    return _joint(_boxes(image, bins), bins).float() / image[0].numel()


def _picture_and_bins(bins, *shape):
    return lambda generator: (pictures(*shape)(generator), bins)


def _little_red(generator):
    """Nothing in the upper half of red, so that the last boxes are empty: a count must not end before them."""
    image = pictures(3, 9, 20)(generator)
    image[0] //= 2
    return image, 4


_WRAPPED = (
    "The arithmetic runs in uint8, which ends at 255: 200 · 4 becomes 32, and 256 becomes 0. Call `.long()` first."
)

COLOR_HISTOGRAM = Exercise(
    id="04-color-histogram",
    title="Which colors, how often",
    goal="a feature that forgets where things are",
    stars=2,
    minutes=10,
    points=2,
    reference=color_histogram,
    cases=(
        Case(name="two boxes a color, 16 × 16 pixels", inputs=_picture_and_bins(2, 3, 16, 16)),
        Case(name="four boxes a color, 9 × 20 pixels", inputs=_little_red),
        Case(name="a white picture", inputs=lambda generator: (torch.full((3, 4, 4), 255, dtype=torch.uint8), 3)),
    ),
    mistakes=(
        Mistake(
            message="These are counts. Divide by the number of pixels, so that a large picture is like a small one.",
            answer=lambda x, n: _joint(_boxes(x, n), n).float(),
        ),
        Mistake(
            message="These are counts. Divide by the number of pixels, so that a large picture is like a small one.",
            answer=lambda x, n: _joint(_boxes(x, n), n),
        ),
        Mistake(
            message="You divide by 3·H·W. Every pixel counts once, with its three colors together: divide by H·W.",
            answer=lambda x, n: color_histogram(x, n) / 3,
        ),
        Mistake(
            message="These are three histograms side by side. They cannot tell purple from red beside blue. Count how "
            "often the three colors of a pixel come together: bins³ numbers.",
            answer=lambda x, n: torch.cat(
                [torch.bincount(c.flatten(), minlength=n).float() / c.numel() for c in _boxes(x, n)]
            ),
        ),
        Mistake(message=_WRAPPED, answer=lambda x, n: _joint((x * n // 256).long(), n).float() / x[0].numel()),
        Mistake(message=_WRAPPED, answer=lambda x, n: _joint((x * n / 256).long(), n).float() / x[0].numel()),
        Mistake(
            message="Blue comes first. Put the colors in the order r · bins² + g · bins + b.",
            answer=lambda x, n: color_histogram(x.flip(0), n),
        ),
        Mistake(
            message="You divide by 255, so the value 255 falls into a box of its own behind the last. Divide by 256.",
            answer=lambda x, n: _joint(x.long() * n // 255, n).float() / x[0].numel(),
        ),
        Mistake(
            message="`image // bins` gives 256/bins boxes. You want bins of them: `image.long() * bins // 256`.",
            answer=lambda x, n: _joint(x.long() // n, n).float() / x[0].numel(),
        ),
        Mistake(
            message="The histogram still has three dimensions. Return it flat, with shape (bins³,).",
            answer=lambda x, n: color_histogram(x, n).view(n, n, n),
        ),
    ),
    hints=(
        "`image.long() * bins // 256` gives the number of the box, from 0 to bins − 1, for every color of every pixel.",
        "One number for a pixel: r · bins² + g · bins + b, from 0 to bins³ − 1. Then count.",
        "`torch.bincount(numbers.flatten(), minlength=bins**3)` counts; divide by how many pixels there are.",
    ),
)

# --- convolution ------------------------------------------------------------------------------------------------------


def convolution(x, weight, stride, padding):
    return F.conv2d(x, weight, stride=stride, padding=padding)


def _pictures_and_kernels(x, weight, stride, padding):
    def inputs(generator):
        return torch.randn(x, generator=generator), torch.randn(weight, generator=generator), stride, padding

    return inputs


def _padded(mode):
    return lambda x, w, s, p: F.conv2d(F.pad(x, (p, p, p, p), mode=mode) if p else x, w, stride=s)


CONVOLUTION = Exercise(
    id="04-convolution",
    title="Convolution as one matrix product",
    goal="every window a column, every kernel a row",
    stars=3,
    minutes=15,
    points=3,
    reference=convolution,
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

# --- receptive field --------------------------------------------------------------------------------------------------


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


RECEPTIVE_FIELD = Exercise(
    id="04-receptive-field",
    title="How far one number sees",
    goal="the receptive field of a stack of layers",
    stars=2,
    minutes=10,
    points=2,
    reference=receptive_field,
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

EXERCISES = (
    NORMALIZE,
    COLOR_HISTOGRAM,
    FAIR_SCALING,
    CONVOLUTION,
    RECEPTIVE_FIELD,
    RESIDUAL_BLOCK,
    FROZEN_FEATURES,
    PATCHIFY,
)
