"""What is done to pictures before a network reads them, and to masks of what they show."""

import pytest
import torch

from mmcourse.datasets import lexicon, make_scenes, noun_numbers
from mmcourse.pictures import centered, covered


def test_every_color_has_its_number():
    colors = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    numbers = centered(colors)
    assert numbers.dtype == torch.float32
    assert numbers.flatten()[[0, 255]].tolist() == [-1.0, 1.0]
    assert (numbers.flatten().diff() > 0).all()
    torch.testing.assert_close((numbers + 1) * 127.5, colors.float())


@pytest.mark.parametrize("grid", [(8, 8), (4, 16), (1, 1), (64, 64)])
def test_covered_counts_the_pixels_of_each_cell(grid):
    masks = make_scenes(3, masks=True).masks  # (B, 3, 64, 64)
    shares = covered(masks, grid)
    assert shares.shape == (3, 3, *grid)
    height, width = 64 // grid[0], 64 // grid[1]
    for row in range(grid[0]):
        for column in (0, grid[1] // 2, grid[1] - 1):
            cell = masks[..., row * height : (row + 1) * height, column * width : (column + 1) * width]
            assert torch.equal(shares[..., row, column], cell.sum(dim=(-2, -1)) / (height * width))


def test_nouns_are_numbered_as_the_lexicon_lists_them():
    assert [lexicon()[number].name for number in noun_numbers().values()] == list(noun_numbers())
    assert list(noun_numbers().values()) == list(range(64))
