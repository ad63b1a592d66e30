"""Rank correlation: equal to scipy's, ties and all, row by row under a mask."""

import doctest
import sys
import warnings

import pytest
import torch
from scipy.stats import spearmanr

from mmcourse.metrics import spearman


def draw(*shape, seed=0, values=None):
    generator = torch.Generator().manual_seed(seed)
    if values is None:
        return torch.randn(*shape, generator=generator)
    return torch.randint(values, shape, generator=generator)


@pytest.mark.parametrize("values", [None, 2, 4, 50])  # fewer values, more ties
def test_it_equals_scipy(values):
    x, y = draw(30, 12, values=values), draw(30, 12, seed=1, values=values)
    found = spearman(x, y)
    assert found.dtype == torch.float64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows that are constant
        wanted = torch.tensor([spearmanr(a, b).statistic for a, b in zip(x.numpy(), y.numpy(), strict=True)])
    torch.testing.assert_close(found, wanted, equal_nan=True)


def test_what_the_mask_hides_does_not_count():
    x, y, mask = draw(40, 9, values=4), draw(40, 9, seed=1, values=4), draw(40, 9, seed=2) > -0.5
    found = spearman(x, y, mask=mask)
    wanted = [spearman(a[kept], b[kept]) for a, b, kept in zip(x, y, mask, strict=True)]
    torch.testing.assert_close(found, torch.stack(wanted), equal_nan=True)
    hidden = torch.where(mask, x.float(), torch.nan)
    torch.testing.assert_close(spearman(hidden, y, mask=mask), found, equal_nan=True)


def test_only_the_order_counts():
    x, y = draw(5, 20), draw(5, 20, seed=1)
    torch.testing.assert_close(spearman(x.exp(), y**3), spearman(x, y))
    torch.testing.assert_close(spearman(x, -y), -spearman(x, y))
    torch.testing.assert_close(spearman(x, x), torch.ones(5, dtype=torch.float64))


def test_without_an_order_it_is_no_number():
    for x in (torch.tensor([1.0]), torch.tensor([2.0, 2.0, 2.0]), torch.zeros(0)):
        assert spearman(x, torch.arange(len(x))).isnan()
    assert spearman(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]), mask=torch.tensor([True, False])).isnan()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3), torch.zeros(2), r"x, y and mask must be alike, \(…, N\), got \(3,\), \(2,\) and \(3,\)"),
        (torch.tensor(1.0), torch.tensor(1.0), "must be alike"),
        (torch.tensor([1.0, torch.nan]), torch.zeros(2), "x and y must be finite"),
        (torch.zeros(2), torch.tensor([1.0, torch.inf]), "x and y must be finite"),
    ],
)
def test_what_cannot_be_ranked_is_named(x, y, message):
    with pytest.raises(ValueError, match=message):
        spearman(x, y)


def test_docstring_examples_run():
    module = sys.modules["mmcourse.metrics.correlation"]
    assert doctest.testmod(module, extraglobs={"torch": torch}) == (0, 1)
