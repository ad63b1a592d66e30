"""Training in several processes at once, on the cores of one machine or on many GPUs.

    torchrun --nproc-per-node 4 train.py

starts the same program four times. Inside `start()` the four know each other: `mmcourse.train.fit` gives each its rows
of every batch and averages their gradients, and `gather` shows a loss the features of all. A program that is started
without torchrun is one process, and nothing in it changes.
"""

from mmcourse.distributed.processes import (
    ElsewhereError,
    LostProcessError,
    is_main,
    on_main,
    rank,
    start,
    world_size,
)
from mmcourse.distributed.tensors import (
    Mean,
    average,
    average_gradients,
    averaged,
    copy_from_first,
    gather,
    refuse_own_statistics,
    share_of,
    whole_mean,
    whole_parts,
)

__all__ = [
    "ElsewhereError",
    "LostProcessError",
    "Mean",
    "average",
    "average_gradients",
    "averaged",
    "copy_from_first",
    "gather",
    "is_main",
    "on_main",
    "rank",
    "refuse_own_statistics",
    "share_of",
    "start",
    "whole_mean",
    "whole_parts",
    "world_size",
]
