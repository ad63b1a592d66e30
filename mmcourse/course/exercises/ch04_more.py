"""The later exercises of chapter 04: networks, patches and frozen features; listed in `ch04`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from mmcourse.course.compare import clone
from mmcourse.course.exercise import Case, Exercise, Mistake

# --- residual block ---------------------------------------------------------------------------------------------------


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


RESIDUAL_BLOCK = Exercise(
    id="04-residual-block",
    title="Two convolutions and a way around them",
    goal="the forward pass of a residual block with a stride",
    stars=2,
    minutes=10,
    points=2,
    reference=residual_block,
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

# --- patches ----------------------------------------------------------------------------------------------------------


def _cut(images, size):
    """(B, C, H, W) -> (B, rows, columns, C, size, size)."""
    return images.unflatten(-1, (-1, size)).unflatten(-3, (-1, size)).permute(0, 2, 4, 1, 3, 5)


def patchify(images, size):
    return _cut(images, size).flatten(3).flatten(1, 2)


def _images_and_size(size, *shape):
    return lambda generator: (torch.randn(shape, generator=generator), size)


def _reordered(*order):
    """The axes after the batch in another order: 1 rows, 2 columns, 3 channels, 4 and 5 inside the patch."""
    return lambda images, size: _cut(images, size).permute(0, *order).flatten(3).flatten(1, 2)


PATCHIFY = Exercise(
    id="04-patchify",
    title="A picture as a sentence of patches",
    goal="cut pictures into patches in reading order",
    stars=2,
    minutes=10,
    points=2,
    reference=patchify,
    cases=(
        Case(name="one gray picture of 4 × 4, patches of 2", inputs=_images_and_size(2, 1, 1, 4, 4)),
        Case(name="colored pictures, wider than high", inputs=_images_and_size(4, 2, 3, 8, 12)),
        Case(name="higher than wide", inputs=_images_and_size(3, 2, 3, 12, 6)),
    ),
    mistakes=(
        Mistake(
            message="A reshape alone reads the pixels row by row, so a “patch” is a strip of the picture. Split height "
            "and width, move the axes with `permute`, and flatten then.",
            answer=lambda images, size: images.reshape(len(images), -1, images.shape[1] * size * size),
        ),
        Mistake(
            message="The last two axes are exchanged: `F.unfold` gives (B, C·s·s, P), but we want (B, P, C·s·s).",
            answer=lambda images, size: F.unfold(images, size, stride=size),
        ),
        Mistake(
            message="The patches run down the columns. Reading order is row by row.",
            answer=_reordered(2, 1, 3, 4, 5),
        ),
        Mistake(
            message="Inside each patch the pixels are transposed: rows come before columns.",
            answer=_reordered(1, 2, 3, 5, 4),
        ),
        Mistake(
            message="The colors stand last inside each patch. Keep (C, s, s), as in a kernel: then a kernel, "
            "flattened, is a row of the patch embedding.",
            answer=_reordered(1, 2, 4, 5, 3),
        ),
        Mistake(
            message="Each “patch” takes every n-th pixel of the whole picture. Split an axis of length rows · s into "
            "(rows, s), in this order.",
            answer=lambda images, size: (
                images.unflatten(-1, (size, -1))
                .unflatten(-3, (size, -1))
                .permute(0, 3, 5, 1, 2, 4)
                .flatten(3)
                .flatten(1, 2)
            ),
        ),
        Mistake(
            message="Rows and columns of the grid are still apart. Flatten them: (B, P, C·s·s).",
            answer=lambda images, size: _cut(images, size).flatten(3),
        ),
        Mistake(
            message="The patches are not flattened. Flatten each to one vector: (B, P, C·s·s).",
            answer=lambda images, size: _cut(images, size).flatten(1, 2),
        ),
        Mistake(
            message="The batch is mixed into the patches. Keep B as the first axis.",
            answer=lambda images, size: patchify(images, size).flatten(0, 1),
        ),
    ),
    hints=(
        "An axis of length H is rows · s: `images.unflatten(2, (-1, s))` splits it, here and for the width.",
        "Then the axes are (B, C, rows, s, columns, s). Bring them to (B, rows, columns, C, s, s).",
        "`.permute(0, 2, 4, 1, 3, 5)`, then flatten the last three, then rows with columns.",
    ),
)

# --- frozen features --------------------------------------------------------------------------------------------------


def frozen_features(network, images):
    network.eval()
    with torch.no_grad():
        return network[:-1](images)


def _network_and_images(count):
    """A small trained classifier, as training leaves it: its last layer gives the classes."""

    def inputs(generator):
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
        )  # fmt: skip
        with torch.no_grad():
            for values in network.state_dict().values():
                if values.is_floating_point():
                    values.copy_(torch.rand(values.shape, generator=generator) + 0.1)
        return network.train(), torch.randn(count, 3, 8, 8, generator=generator)

    return inputs


def _look(answer, network, images):
    """The features, whether they drag a graph along, and whether the network is still the same."""
    before = [type(part) for part in network], clone(network.state_dict())
    features = answer(network, images)
    parts, numbers = [type(part) for part in network], network.state_dict()
    same = parts == before[0] and all(torch.equal(numbers[name], value) for name, value in before[1].items())
    return {"features": features, "ready for a backward pass": bool(getattr(features, "requires_grad", False)),
            "statistics of the network untouched": same}  # fmt: skip


def _run(keep, *, evaluation, gradient):
    """Some other use of the network: `keep` computes from (network, images)."""

    def answer(network, images):
        network.train(not evaluation)
        with torch.set_grad_enabled(gradient):
            return keep(network, images)

    return answer


def _body(network, images):
    return network[:-1](images)


_TRAINING = (
    "The network is in training mode: batch normalization uses the mean of this batch (and changes the stored one), "
    "and dropout deletes numbers. Call `network.eval()` first."
)
_HEAD = (
    "The classifier is left on: these are scores of the old classes. Leave the last layer out, "
    "`network[:-1](images)`, to get what it reads."
)

FROZEN_FEATURES = Exercise(
    id="04-frozen-features",
    title="Take the head off",
    goal="features from a trained classifier, without changing it",
    stars=2,
    minutes=10,
    points=2,
    reference=frozen_features,
    cases=(
        Case(name="a batch of 5", inputs=_network_and_images(5), probe=_look),
        Case(name="a batch of 2, another network", inputs=_network_and_images(2), probe=_look),
        Case(name="one picture alone", inputs=_network_and_images(1), probe=_look),
    ),
    mistakes=(
        Mistake(
            message="The numbers are right, but they drag along the whole graph for a backward pass: memory for every "
            "layer. Compute them inside `with torch.no_grad():`.",
            answer=_run(_body, evaluation=True, gradient=True),
        ),
        Mistake(message=_TRAINING, answer=_run(_body, evaluation=False, gradient=False)),
        Mistake(message=_TRAINING, answer=_run(_body, evaluation=False, gradient=True)),
        Mistake(message=_HEAD, answer=_run(lambda n, x: n(x), evaluation=True, gradient=False)),
        Mistake(message=_HEAD, answer=_run(lambda n, x: n(x), evaluation=True, gradient=True)),
        Mistake(
            message=f"{_HEAD} And the network is in training mode: call `network.eval()`.",
            answer=_run(lambda n, x: n(x), evaluation=False, gradient=False),
        ),
        Mistake(
            message=f"{_HEAD} And the network is in training mode: call `network.eval()`.",
            answer=_run(lambda n, x: n(x), evaluation=False, gradient=True),
        ),
        Mistake(
            message="These are probabilities of the old classes. Leave the last layer and softmax out.",
            answer=_run(lambda n, x: n(x).softmax(dim=-1), evaluation=True, gradient=False),
        ),
        Mistake(
            message="You stopped before the pooling: it still has a vector for every place. Only the last layer goes.",
            answer=_run(lambda n, x: n[:4](x), evaluation=True, gradient=False),
        ),
        Mistake(
            message="The features are scaled to length 1. That may be useful later; here it throws their size away.",
            answer=_run(lambda n, x: F.normalize(_body(n, x), dim=1), evaluation=True, gradient=False),
        ),
    ),
    hints=(
        "An `nn.Sequential` can be sliced like a list: `network[:-1]` is everything but the last layer.",
        "Before you use a trained network, `network.eval()`; batch normalization and dropout need to know.",
        "`with torch.no_grad():` around the call; otherwise PyTorch keeps every layer's result for a backward pass.",
    ),
)

# --- fair scaling -----------------------------------------------------------------------------------------------------


def fair_scaling(train, test):
    center = train.mean(dim=0)
    size = (train - center).norm(dim=1).mean()
    return (train - center) / size, (test - center) / size


def _two_tables(rows, more, width):
    def inputs(generator):
        train = 3 * torch.randn(rows, width, generator=generator) + 2 * torch.rand(width, generator=generator)
        return train, 1 + 2 * torch.randn(more, width, generator=generator)

    return inputs


def _scaled(center, size):
    """Both tables scaled by other numbers: center(train, test) first, then size(centered train, train)."""

    def answer(train, test):
        middle = center(train, test)
        length = size(train - middle, train)
        return (train - middle) / length, (test - middle) / length

    return answer


def _length(rows, train=None):
    return rows.norm(dim=1).mean()


FAIR_SCALING = Exercise(
    id="04-fair-scaling",
    title="Scale by what you may know",
    goal="bring features to one size with the statistics of the training rows alone",
    stars=1,
    minutes=5,
    points=1,
    reference=fair_scaling,
    cases=(
        Case(name="eight rows to train on, four to test", inputs=_two_tables(8, 4, 5)),
        Case(name="more features than rows", inputs=_two_tables(6, 10, 20)),
        Case(name="a single row to test", inputs=_two_tables(12, 1, 3)),
    ),
    mistakes=(
        Mistake(
            message="The test rows are scaled by their own statistics. The two tables no longer mean the same, and a "
            "single test row would always become 0. Use the training rows for both.",
            answer=lambda train, test: (fair_scaling(train, train)[0], fair_scaling(test, test)[0]),
        ),
        Mistake(
            message="The statistics come from training and test rows together: a leak. What you report must not know "
            "the test set.",
            answer=_scaled(
                lambda train, test: torch.cat((train, test)).mean(dim=0),
                lambda rows, train: _length(rows),
            ),
        ),
        Mistake(
            message="The statistics come from training and test rows together: a leak. What you report must not know "
            "the test set.",
            answer=lambda train, test: fair_scaling(torch.cat((train, test)), torch.cat((train, test)))[0].split(
                (len(train), len(test))
            ),
        ),
        Mistake(
            message="Nothing is centered. Subtract the mean of the training rows from both tables first.",
            answer=_scaled(lambda train, test: torch.zeros(train.shape[1]), lambda rows, train: _length(rows)),
        ),
        Mistake(
            message="The length is measured before the mean is subtracted. Center first; then measure.",
            answer=_scaled(lambda train, test: train.mean(dim=0), lambda rows, train: _length(train)),
        ),
        Mistake(
            message="Every row is scaled to length 1 by itself. Divide all rows by one number, the mean length of the "
            "centered training rows.",
            answer=lambda train, test: (
                F.normalize(train - train.mean(dim=0), dim=1),
                F.normalize(test - train.mean(dim=0), dim=1),
            ),
        ),
        Mistake(
            message="The mean runs over the features of each row. It runs over the rows: dim=0, one number a feature.",
            answer=lambda train, test: tuple(
                (t - t.mean(dim=1, keepdim=True)) / _length(train - train.mean(dim=1, keepdim=True))
                for t in (train, test)
            ),
        ),
        Mistake(
            message="Each feature is divided by its own standard deviation. With a handful of rows many features never "
            "change, and you divide by 0. Divide by one number.",
            answer=_scaled(lambda train, test: train.mean(dim=0), lambda rows, train: train.std(dim=0)),
        ),
        Mistake(
            message="Both tables are centered, but not scaled. Divide by the mean length of the centered train rows.",
            answer=_scaled(lambda train, test: train.mean(dim=0), lambda rows, train: torch.tensor(1.0)),
        ),
        Mistake(
            message="Only the training rows are scaled. The test rows have to go the same way, with the same numbers.",
            answer=lambda train, test: (fair_scaling(train, test)[0], test),
        ),
    ),
    hints=(
        "`train.mean(dim=0)` has one number a feature; subtract it from both tables.",
        "`(train - center).norm(dim=1).mean()` is one number: how long a centered training row is on average.",
        "Divide both centered tables by that number, and return them as a pair.",
    ),
)
