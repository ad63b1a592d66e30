"""Small steps that several references and mistakes share."""

from __future__ import annotations

from torch.nn import functional as F


def picked(rows, targets):
    return rows.gather(1, targets[:, None]).squeeze(1)


def covered(masks, grid):
    """How much of each cell belongs to the object: bool (N, H, W) -> (N, rows, columns)."""
    return F.adaptive_avg_pool2d(masks.float(), grid)


def unit(x):
    return F.normalize(x, dim=1)
