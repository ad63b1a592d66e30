"""Ours against theirs, fairly: both timed in turn in one run, and the ratio taken pair by pair.

A machine that slows down for a second slows both, so the median of the paired ratios moves far less than either time.
"""

import statistics
import time
from typing import NamedTuple

import torch


class Ratio(NamedTuple):
    """Medians of one comparison; `ratio` is peer time / our time, above 1 when ours is faster."""

    ours: float  # seconds a call
    peer: float  # seconds a call
    ratio: float
    low: float  # the middle half of the paired ratios lies between low and high
    high: float


def compare(ours, peer, *, seconds=3.0, slice_seconds=0.01):
    """Times two functions without arguments in alternating short slices for about `seconds`."""
    calls = max(1, round(slice_seconds / max(_slice(ours, 3), 1e-9)))
    times = ([], [])
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < 10:
        order = (0, 1) if turn % 2 == 0 else (1, 0)  # who goes first alternates, as the first warms the caches
        for index in order:
            times[index].append(_slice((ours, peer)[index], calls))
        turn += 1
    ratios = [theirs / mine for mine, theirs in zip(*times, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    return Ratio(statistics.median(times[0]), statistics.median(times[1]), ratio, low, high)


def _slice(function, calls):
    """Seconds for one call, over a slice of several."""
    _finish()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    _finish()
    return (time.perf_counter() - start) / calls


def _finish():
    """Waits for what the accelerator still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def report(title, result, *, target):
    """Prints one line of a table and returns whether the target is met."""
    met = result.ratio >= target
    print(
        f"{title:<58}{result.ours * 1e3:9.3f} ms{result.peer * 1e3:9.3f} ms{result.ratio:7.2f}x"
        f"  [{result.low:.2f}, {result.high:.2f}]  {'ok' if met else f'below {target}'}"
    )
    return met
