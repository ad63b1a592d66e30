"""Inputs that several exercises draw: each maker gives a function of a generator."""

from __future__ import annotations

import torch


def normal(*shapes):
    """Fresh standard normal tensors of these shapes."""
    return lambda generator: tuple(torch.randn(shape, generator=generator) for shape in shapes)


def logits_and_targets(samples, classes, *, size=1.0, shift=0.0):
    """Inputs: random logits (N, V) and random targets (N,)."""

    def inputs(generator):
        logits = size * torch.randn(samples, classes, generator=generator) + shift
        return logits, torch.randint(classes, (samples,), generator=generator)

    return inputs


def pictures(*shape):
    """Inputs: one uint8 tensor of random colors."""
    return lambda generator: torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def maps_and_masks(count, rows, columns, cell):
    """Maps that sum to 1 and round masks of many sizes, half of the time under the brightest cell."""

    def inputs(generator):
        maps = torch.rand(count, rows, columns, generator=generator) ** 4
        best = maps.flatten(1).argmax(dim=1)
        away = torch.randint(rows * columns, (count,), generator=generator)
        middle = torch.where(torch.rand(count, generator=generator) < 0.5, best, away)
        shift = cell * (torch.rand(count, 2, generator=generator) - 0.5)
        y = (middle // columns + 0.5) * cell + shift[:, 0]
        x = (middle % columns + 0.5) * cell + shift[:, 1]
        radius = cell * (0.3 + 0.6 * torch.rand(count, generator=generator))
        down = torch.arange(rows * cell)[None, :, None] - y[:, None, None]
        across = torch.arange(columns * cell)[None, None] - x[:, None, None]
        masks = down.square() + across.square() <= radius.square()[:, None, None]
        return maps / maps.sum(dim=(1, 2), keepdim=True), masks

    return inputs


WORDS = ("a", "cat", "dog", "sofa", "red", "on", "the", "two")


def draw_words(count, generator, words=WORDS):
    return [words[index] for index in torch.randint(len(words), (count,), generator=generator).tolist()]
