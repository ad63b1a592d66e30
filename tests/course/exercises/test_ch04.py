"""Chapter 04's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import numpy as np
import pytest
import torch
from answers import Answers, label
from torch import nn
from torch.nn import functional as F

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 04-normalize -------------------------------------------------------------------------------------------------


@right("04-normalize")
def normalize_by_torchvision(image, mean, std):
    from torchvision.transforms.v2 import functional

    x = functional.to_dtype(image, torch.float32, scale=True)
    return functional.normalize(x, mean.tolist(), std.tolist())


@right("04-normalize")
def normalize_channel_by_channel(image, mean, std):
    x = image.double() / 255
    for c in range(3):
        x[..., c, :, :] = (x[..., c, :, :] - float(mean[c])) / float(std[c])
    return x


@wrong("04-normalize", "0 to 255")
def normalize_unscaled(image, mean, std):
    return (image.float() - mean.view(3, 1, 1)) / std.view(3, 1, 1)


@wrong("04-normalize", "nothing is divided by std")
def normalize_without_std(image, mean, std):
    return image.float() / 255 - mean.view(3, 1, 1)


@wrong("04-normalize", "multiply by std")
def normalize_multiplied(image, mean, std):
    return torch.mul(image / 255 - mean.view(3, 1, 1), std.view(3, 1, 1))


@wrong("04-normalize", "order is turned around")
def normalize_in_the_wrong_order(image, mean, std):
    return image / (255 * std.view(3, 1, 1)) - mean.view(3, 1, 1)


@wrong("04-normalize", "taken from this picture")
def normalize_each_picture(image, mean, std):
    x = image / 255
    spread, middle = torch.std_mean(x, dim=(-1, -2), keepdim=True)
    return (x - middle) / spread


@wrong("04-normalize", "normalized twice")
def normalize_twice(image, mean, std):
    return normalize_by_torchvision(image, mean, std).sub(mean.view(3, 1, 1)).div(std.view(3, 1, 1))


@wrong("04-normalize", "blue, green, red")
def normalize_as_opencv(image, mean, std):
    return normalize_by_torchvision(image[..., [2, 1, 0], :, :], mean, std)


@wrong("04-normalize", "256")
def normalize_by_256(image, mean, std):
    return (image.float().div(256) - mean.view(3, 1, 1)) / std.view(3, 1, 1)


@wrong("04-normalize", "stand last")
def normalize_colors_last(image, mean, std):
    return (image.movedim(-3, -1) / 255 - mean) / std


@wrong("04-normalize", "[−1, 1]")
def normalize_to_minus_one(image, mean, std):
    return image.float() / 255 * 2 - 1


# --- 04-color-histogram -------------------------------------------------------------------------------------------


@right("04-color-histogram")
def histogram_with_numpy(image, bins):
    pixels = image.reshape(3, -1).T.numpy()
    counts, _ = np.histogramdd(pixels, bins=(bins,) * 3, range=[(0, 256)] * 3)
    return torch.from_numpy(counts).flatten() / len(pixels)


@right("04-color-histogram")
def histogram_with_a_loop(image, bins):
    counts = torch.zeros(bins, bins, bins)
    for red, green, blue in image.flatten(1).T.tolist():
        counts[red * bins // 256, green * bins // 256, blue * bins // 256] += 1
    return (counts / counts.sum()).flatten()


@wrong("04-color-histogram", "counts")
def histogram_of_counts(image, bins):
    return histogram_with_a_loop(image, bins) * image.shape[1] * image.shape[2]


@wrong("04-color-histogram", "three histograms side by side")
def histogram_each_color(image, bins):
    return torch.cat([torch.histc(c.float(), bins, 0, 256) / c.numel() for c in image])


@wrong("04-color-histogram", "3·H·W")
def histogram_over_all_numbers(image, bins):
    return histogram_with_a_loop(image, bins) * image[0].numel() / image.numel()


@wrong("04-color-histogram", "uint8")
def histogram_wrapped(image, bins):
    red, green, blue = ((image * bins) / 256).floor().int()
    numbers = (red * bins + green) * bins + blue
    return torch.bincount(numbers.flatten(), minlength=bins**3) / numbers.numel()


@wrong("04-color-histogram", "Blue comes first")
def histogram_blue_first(image, bins):
    return histogram_with_a_loop(image, bins).view(bins, bins, bins).permute(2, 1, 0).flatten()


@wrong("04-color-histogram", "still has three dimensions")
def histogram_cube(image, bins):
    return histogram_with_a_loop(image, bins).view(bins, bins, bins)


# --- 04-convolution -----------------------------------------------------------------------------------------------


@right("04-convolution")
def convolution_with_loops(x, weight, stride, padding):
    x = F.pad(x, (padding,) * 4)
    height, width = weight.shape[-2:]
    rows = range(0, x.shape[2] - height + 1, stride)
    columns = range(0, x.shape[3] - width + 1, stride)
    y = x.new_zeros(len(x), len(weight), len(rows), len(columns))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            window = x[:, None, :, top : top + height, left : left + width]
            y[:, :, i, j] = (window * weight).sum(dim=(2, 3, 4))
    return y


@right("04-convolution")
def convolution_by_shifts(x, weight, stride, padding):
    x = F.pad(x, (padding,) * 4)
    height, width = x.shape[2] - weight.shape[2] + 1, x.shape[3] - weight.shape[3] + 1
    y = 0
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            y = y + torch.einsum("bchw,oc->bohw", x[:, :, i : i + height, j : j + width], weight[:, :, i, j])
    return y[:, :, ::stride, ::stride]


@right("04-convolution")
def convolution_of_the_library(x, weight, stride, padding):
    from mmcourse.encoders.cnn import convolve

    return convolve(x, weight, stride=stride, padding=padding)


@wrong("04-convolution", "mirrored")
def convolution_mirrored(x, weight, stride, padding):
    return convolution_with_loops(x, torch.flip(weight, (2, 3)), stride, padding)


@wrong("04-convolution", "stride is ignored")
def convolution_without_stride(x, weight, stride, padding):
    return convolution_by_shifts(x, weight, 1, padding)


@wrong("04-convolution", "padding is ignored")
def convolution_without_padding(x, weight, stride, padding):
    return convolution_by_shifts(x, weight, stride, 0)


@wrong("04-convolution", "copies of the edge")
def convolution_replicating(x, weight, stride, padding):
    x = F.pad(x, (padding,) * 4, mode="replicate")
    return convolution_by_shifts(x, weight, stride, 0)


@wrong("04-convolution", "right and at the bottom")
def convolution_padded_on_one_side(x, weight, stride, padding):
    x = F.pad(x, (0, 2 * padding, 0, 2 * padding))
    return convolution_with_loops(x, weight, stride, 0)


@wrong("04-convolution", "mean over the window")
def convolution_as_a_mean(x, weight, stride, padding):
    return convolution_with_loops(x, weight / weight[0].numel(), stride, padding)


@wrong("04-convolution", "not added up")
def convolution_depthwise(x, weight, stride, padding):
    many = weight.flatten(0, 1)[:, None]  # (O·C, 1, h, w)
    channels = x.shape[1]
    y = F.conv2d(x.repeat(1, len(weight), 1, 1), many, stride=stride, padding=padding, groups=len(many))
    return y.unflatten(1, (-1, channels))


@wrong("04-convolution", "still in one row")
def convolution_left_flat(x, weight, stride, padding):
    return weight.flatten(1) @ F.unfold(x, weight.shape[-2:], stride=stride, padding=padding)


@wrong("04-convolution", "Numbers are in the wrong places")
def convolution_reshaped_badly(x, weight, stride, padding):
    y = F.unfold(x, weight.shape[-2:], stride=stride, padding=padding).mT @ weight.flatten(1).T  # (B, P, O)
    return y.reshape(convolution_by_shifts(x, weight, stride, padding).shape)


# --- 04-receptive-field -------------------------------------------------------------------------------------------


@right("04-receptive-field")
def field_from_behind(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


@right("04-receptive-field")
def field_by_gradient(layers):
    """Which pixels one number in the middle depends on."""
    x = torch.zeros(1, 1, 401, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    y[0, 0, y.shape[2] // 2].backward()
    return int((x.grad != 0).sum())


@wrong("04-receptive-field", "strides are ignored")
def field_without_strides(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers)


@wrong("04-receptive-field", "own stride")
def field_with_own_stride(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        step *= stride
        field += (kernel - 1) * step
    return field


@wrong("04-receptive-field", "whole kernels")
def field_of_whole_kernels(layers):
    field, step = 1, 1
    for kernel, stride in layers:
        field, step = field + kernel * step, step * stride
    return field


@wrong("04-receptive-field", "adds up the kernels")
def field_as_a_sum(layers):
    return sum(kernel for kernel, _ in layers)


@wrong("04-receptive-field", "multiplies the kernels")
def field_as_a_product(layers):
    return int(np.prod([kernel for kernel, _ in layers]))


@wrong("04-receptive-field", "starts at 0")
def field_from_zero(layers):
    return field_from_behind(layers) - 1


@wrong("04-receptive-field", "*last* layer")
def field_in_the_wrong_direction(layers):
    return field_from_behind(layers[::-1])


@wrong("04-receptive-field", "step between neighbors")
def field_as_steps(layers):
    return int(np.prod([stride for _, stride in layers]))


# --- 04-residual-block --------------------------------------------------------------------------------------------


def two_paths(x, first, second, across, stride):
    y = F.conv2d(x, first, stride=stride, padding=1).relu()
    return F.conv2d(y, second, padding=1), F.conv2d(x[:, :, ::stride, ::stride], across)


@right("04-residual-block")
def block_by_slices(*inputs):
    one, other = two_paths(*inputs)
    return (one + other).clamp(min=0)


@right("04-residual-block")
def block_with_a_matrix_product(x, first, second, across, stride):
    y, _ = two_paths(x, first, second, across, stride)
    few = x[:, :, ::stride, ::stride]
    return torch.relu(y + (across[:, :, 0, 0] @ few.flatten(2)).view_as(y))


@wrong("04-residual-block", "way around is missing")
def block_without_shortcut(*inputs):
    return two_paths(*inputs)[0].relu()


@wrong("04-residual-block", "last ReLU is missing")
def block_without_last_relu(*inputs):
    return sum(two_paths(*inputs))


@wrong("04-residual-block", "only ever add")
def block_relu_too_early(*inputs):
    one, other = two_paths(*inputs)
    return one.relu() + other


@wrong("04-residual-block", "ReLU too many")
def block_two_relus(*inputs):
    one, other = two_paths(*inputs)
    return (one.relu() + other).relu()


@wrong("04-residual-block", "between the two convolutions")
def block_linear(x, first, second, across, stride):
    y = F.conv2d(F.conv2d(x, first, stride=stride, padding=1), second, padding=1)
    return (y + two_paths(x, first, second, across, stride)[1]).relu()


@wrong("04-residual-block", "stride is in the second")
def block_late_stride(x, first, second, across, stride):
    y = F.conv2d(F.conv2d(x, first, padding=1).relu(), second, stride=stride, padding=1)
    return (y + two_paths(x, first, second, across, stride)[1]).relu()


@wrong("04-residual-block", "side by side")
def block_concatenated(*inputs):
    return torch.cat(two_paths(*inputs), dim=1).relu()


# --- 04-patchify --------------------------------------------------------------------------------------------------


@right("04-patchify")
def patches_by_unfold(images, size):
    return F.unfold(images, size, stride=size).mT


@right("04-patchify")
def patches_by_loops(images, size):
    height, width = images.shape[-2:]
    corners = [(top, left) for top in range(0, height, size) for left in range(0, width, size)]
    return torch.stack([images[..., t : t + size, u : u + size].flatten(1) for t, u in corners], dim=1)


@right("04-patchify")
def patches_of_the_library(images, size):
    from mmcourse.encoders.vit import patchify

    return patchify(images, size)


@wrong("04-patchify", "reshape alone")
def patches_by_reshape(images, size):
    return images.contiguous().view(images.shape[0], -1, size * size * images.shape[1])


@wrong("04-patchify", "last two axes")
def patches_not_turned(images, size):
    return patches_by_loops(images, size).transpose(1, 2)


@wrong("04-patchify", "down the columns")
def patches_by_columns(images, size):
    height, width = images.shape[-2:]
    corners = [(top, left) for left in range(0, width, size) for top in range(0, height, size)]
    return torch.stack([images[..., t : t + size, u : u + size].flatten(1) for t, u in corners], dim=1)


@wrong("04-patchify", "transposed")
def patches_turned_inside(images, size):
    return patches_by_loops(images, size).unflatten(2, (-1, size, size)).mT.flatten(2)


@wrong("04-patchify", "colors stand last")
def patches_colors_last(images, size):
    return patches_by_loops(images, size).unflatten(2, (-1, size * size)).mT.flatten(2)


@wrong("04-patchify", "every n-th pixel")
def patches_strided(images, size):
    rows, columns = images.shape[2] // size, images.shape[3] // size
    starts = [(r, c) for r in range(rows) for c in range(columns)]
    return torch.stack([images[:, :, r::rows, c::columns].flatten(1) for r, c in starts], dim=1)


@wrong("04-patchify", "Rows and columns of the grid")
def patches_in_a_grid(images, size):
    return patches_by_loops(images, size).unflatten(1, (-1, images.shape[3] // size))


# --- 04-frozen-features -------------------------------------------------------------------------------------------


@right("04-frozen-features")
def features_by_detaching(network, images):
    return network.eval()[:-1](images).detach()


@right("04-frozen-features")
@torch.inference_mode()
def features_by_a_hook(network, images):
    seen = []
    hook = network[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network.eval()(images)
    hook.remove()
    return seen[0]


@right("04-frozen-features")
def features_by_an_identity(network, images):
    body = nn.Sequential(*list(network.children())[:-1], nn.Identity())
    with torch.no_grad():
        return body.eval()(images)


@wrong("04-frozen-features", "whole graph")
def features_with_a_graph(network, images):
    return network.eval()[:-1](images)


@wrong("04-frozen-features", "training mode", "batch normalization")
def features_in_training_mode(network, images):
    return network[:-1](images).detach()


@wrong("04-frozen-features", "classifier is left on")
def features_with_the_head(network, images):
    return network.eval()(images).detach()


@wrong("04-frozen-features", "classifier is left on", "training mode")
def features_as_in_many_tutorials(network, images):
    return network(images)


@wrong("04-frozen-features", "probabilities of the old classes")
def features_as_probabilities(network, images):
    return torch.softmax(network.eval()(images), 1).detach()


@wrong("04-frozen-features", "before the pooling")
def features_of_every_place(network, images):
    return network.eval()[:-3](images).detach()


# --- 04-fair-scaling ----------------------------------------------------------------------------------------------


@right("04-fair-scaling")
def scaling_with_a_loop(train, test):
    center = sum(train) / len(train)
    size = sum(float(torch.linalg.vector_norm(row - center)) for row in train) / len(train)
    return [torch.stack([(row - center) / size for row in table]) for table in (train, test)]


@right("04-fair-scaling")
def scaling_by_subtraction(train, test):
    train, test = train - train.mean(0, keepdim=True), test - train.mean(0, keepdim=True)
    size = train.square().sum(1).sqrt().mean()
    return train.div(size), test.div(size)


@wrong("04-fair-scaling", "their own statistics")
def scaling_each_by_itself(train, test):
    return tuple((t - t.mean(0)) / (t - t.mean(0)).norm(dim=1).mean() for t in (train, test))


@wrong("04-fair-scaling", "leak")
def scaling_with_a_leak(train, test):
    both = torch.cat((train, test))
    both = both - both.mean(0)
    both = both / both.norm(dim=1).mean()
    return both[: len(train)], both[len(train) :]


@wrong("04-fair-scaling", "Nothing is centered")
def scaling_uncentered(train, test):
    size = train.norm(dim=1).mean()
    return train / size, test / size


@wrong("04-fair-scaling", "before the mean is subtracted")
def scaling_measured_too_early(train, test):
    size = train.norm(dim=1).mean()
    return (train - train.mean(0)) / size, (test - train.mean(0)) / size


@wrong("04-fair-scaling", "by itself")
def scaling_row_by_row(train, test):
    center = train.mean(0)
    return tuple((t - center) / (t - center).norm(dim=1, keepdim=True) for t in (train, test))


@wrong("04-fair-scaling", "standard deviation")
def scaling_each_feature(train, test):
    spread, center = torch.std_mean(train, dim=0)
    return (train - center) / spread, (test - center) / spread


@wrong("04-fair-scaling", "not scaled")
def scaling_centered_only(train, test):
    return train - train.mean(0), test - train.mean(0)


# --- the tests ----------------------------------------------------------------------------------------------------


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("04"))


def normalize_along_the_width(image, mean, std):
    return image.float().div(255).sub(mean).div(std)


def histogram_in_uint8(image, bins):
    return histogram_with_a_loop(image * bins // 256, bins)


def block_with_a_wide_shortcut(x, first, second, across, stride):
    return F.relu(two_paths(x, first, second, across, stride)[0] + F.conv2d(x, across))


@pytest.mark.parametrize(
    ("exercise_id", "words", "answer"),
    [
        ("04-normalize", "along the width", normalize_along_the_width),
        ("04-color-histogram", "256 becomes 0", histogram_in_uint8),
        ("04-residual-block", "does not take the stride", block_with_a_wide_shortcut),
    ],
    ids=label,
)
def test_answers_that_cannot_run_hear_why(exercise_id, words, answer):
    result = grade(find(exercise_id), answer)
    assert result.status == "error"
    assert words in result.message


def test_references_are_those_of_the_library():
    from mmcourse.datasets.transforms import Preprocessing
    from mmcourse.encoders import cnn, vit

    image = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    preprocess = Preprocessing(size=32, resize=32)
    ready = find("04-normalize").reference(image, torch.tensor(preprocess.mean), torch.tensor(preprocess.std))
    torch.testing.assert_close(ready, preprocess(image))

    block = cnn.ResidualBlock(4, 6, stride=2).eval()  # fresh batch normalization changes nothing but a factor
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    x = torch.randn(2, 4, 8, 8)
    weights = (block.first.weight, block.second.weight, block.shortcut[0].weight)
    torch.testing.assert_close(find("04-residual-block").reference(x, *weights, 2), block(x))

    images = torch.randn(2, 3, 8, 12)
    torch.testing.assert_close(find("04-patchify").reference(images, 4), vit.patchify(images, 4))
    weight = torch.randn(5, 3, 3, 3)
    ours = find("04-convolution").reference(images, weight, 2, 1)
    torch.testing.assert_close(cnn.convolve(images, weight, stride=2, padding=1), ours, rtol=1e-4, atol=1e-5)
