"""16-mel: make bands that are as wide as the ear's.

`mel_filters(bands, size, rate)` gives (bands, K), K = size // 2 + 1: how much frequency k, of k · rate / size Hz,
counts in each band. On the mel scale of HTK, 2595 · log₁₀(1 + f / 700), bands + 2 edges are evenly spread from 0 to
half the rate. Band b rises from edge b to 1 at edge b + 1 and falls to 0 at edge b + 2, on straight lines in Hz, and
is 0 elsewhere.
"""

from __future__ import annotations

import math

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import audio


def mel_filters(bands, size, rate):
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    hertz = torch.arange(size // 2 + 1) * rate / size
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clamp(min=0)


def _inputs(bands, size, lowest, highest):
    """A rate by chance, between the two."""
    return lambda generator: (bands, size, int(torch.randint(lowest, highest, (1,), generator=generator)))


def _to_mel(hertz):
    return 2595 * torch.log10(1 + torch.as_tensor(hertz) / 700)


def _to_hertz(mel):
    return 700 * (10 ** (mel / 2595) - 1)


def _slaney(bands, rate):
    """Straight up to 1000 Hz and logarithmic above, the other mel scale in use."""
    step, ratio = 200 / 3, math.log(6.4) / 27
    top = 15 + math.log(rate / 2 / 1000) / ratio
    mel = torch.linspace(0, top, bands + 2)
    return torch.where(mel < 15, step * mel, 1000 * (ratio * (mel - 15)).exp())


def _spread(bands, rate, *, low=0.0, high=None, more=2):
    return _to_hertz(torch.linspace(_to_mel(low), _to_mel(rate / 2 if high is None else high), bands + more))


def _minimum(hertz, low, middle, high):
    return torch.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clamp(min=0)


def _made(*, edges=None, hertz=None, moved=None, shape=None, result=None):
    """The same with other edges of (bands, rate), other frequencies, both moved, other sides, or another result."""

    def answer(bands, size, rate):
        ends = _spread(bands, rate) if edges is None else edges(bands, rate)
        places = torch.arange(size // 2 + 1) * rate / size if hertz is None else hertz(size, rate)
        if moved is not None:
            ends, places = moved(ends, rate / size), moved(places, rate / size)
        parts = places, ends[:-2, None], ends[1:-1, None], ends[2:, None]
        filters = _minimum(*parts) if shape is None else shape(*parts)
        return filters if result is None else result(filters, ends)

    return answer


def _to_bins(hertz, step):
    return (hertz / step + 1e-3).floor()


EXERCISE = Exercise(
    id="16-mel",
    title="Bands like the ear's",
    goal="make bands that are as wide as the ear's",
    stars=3,
    minutes=15,
    points=3,
    reference=mel_filters,
    ready_made=(audio.mel_filters,),
    cases=(
        Case(name="six bands, frames of 128", inputs=_inputs(6, 128, 7000, 9000), rtol=1e-4, atol=3e-4),
        Case(name="ten bands, frames of 501", inputs=_inputs(10, 501, 15000, 17000), rtol=1e-4, atol=3e-4),
        Case(name="a single band", inputs=_inputs(1, 64, 20000, 24000), rtol=1e-4, atol=3e-4),
    ),
    mistakes=(
        Mistake(
            message="The edges are evenly spread in Hz. They are on the mel scale: half of the bands lie in the "
            "lowest third.",
            answer=_made(edges=lambda bands, rate: torch.linspace(0, rate / 2, bands + 2)),
        ),
        Mistake(
            message="The edges stay in mel, but frequencies are in Hz. Bring the edges back: "
            "700 · (10^(mel / 2595) − 1).",
            answer=_made(edges=lambda bands, rate: _to_mel(_spread(bands, rate))),
        ),
        Mistake(
            message="The mel scale has a natural logarithm with the factor 2595. That factor goes with log₁₀ (1127 "
            "goes with the natural one).",
            answer=_made(
                edges=lambda bands, rate: _to_hertz(2595 * torch.linspace(0, math.log1p(rate / 1400), bands + 2))
            ),
        ),
        Mistake(
            message="This is Slaney's mel scale, straight up to 1000 Hz, which librosa has by default. HTK's is "
            "2595 · log₁₀(1 + f / 700).",
            answer=_made(edges=_slaney),
        ),
        Mistake(
            message="The edges go up to the rate. The highest frequency that a sound can hold is half of it.",
            answer=_made(edges=lambda bands, rate: _spread(bands, rate, high=rate)),
        ),
        Mistake(
            message="The frequencies of the bins go up to the rate. The last of the K is half of it: k · rate / size.",
            answer=_made(hertz=lambda size, rate: torch.linspace(0, rate, size // 2 + 1)),
        ),
        Mistake(
            message="The sides are straight lines in mel. Here they are straight in Hz.",
            answer=_made(moved=lambda hertz, step: _to_mel(hertz)),
        ),
        Mistake(
            message="The edges are cut off to whole bins, and narrow bands lose their shape. Leave them where they "
            "are.",
            answer=_made(moved=_to_bins, shape=lambda *parts: _minimum(*parts).nan_to_num(0.0).clamp(0, 1)),
        ),
        Mistake(
            message="Bands go below 0 outside of their triangle. They are 0 there: `clamp(min=0)`.",
            answer=_made(
                shape=lambda k, low, middle, high: torch.minimum(
                    (k - low) / (middle - low), (high - k) / (high - middle)
                )
            ),
        ),
        Mistake(
            message="The larger of the two lines is taken, which grows without end on one side. The triangle lies "
            "below both: the smaller.",
            answer=_made(
                shape=lambda k, low, middle, high: torch.maximum(
                    (k - low) / (middle - low), (high - k) / (high - middle)
                ).clamp(min=0)
            ),
        ),
        Mistake(
            message="Bands are boxes, 1 from edge to edge. They are triangles, so that a tone between two bands is "
            "shared by both.",
            answer=_made(shape=lambda k, low, middle, high: ((k > low) & (k < high)).float()),
        ),
        Mistake(
            message="The triangles rise and do not fall: they end at their middle. There is a second side.",
            answer=_made(
                shape=lambda k, low, middle, high: ((k - low) / (middle - low)).where((k > low) & (k <= middle), 0.0)
            ),
        ),
        Mistake(
            message="Each band is divided by its width, as librosa does it by default, so that all have one area. Here "
            "all are 1 high.",
            answer=_made(result=lambda filters, ends: filters * 2 / (ends[2:] - ends[:-2])[:, None]),
        ),
        Mistake(
            message="Each band is divided by its sum. Here all are 1 high.",
            answer=_made(result=lambda filters, ends: filters / filters.sum(dim=1, keepdim=True)),
        ),
        Mistake(
            message="Bands lie in columns. They are rows: (bands, K).",
            answer=_made(result=lambda filters, ends: filters.T),
        ),
        Mistake(
            message="Two bands are missing: each needs three edges, so there are bands + 2 of them.",
            answer=_made(edges=lambda bands, rate: _spread(bands, rate, more=0)),
        ),
        Mistake(
            message="A band is missing: each needs three edges, so there are bands + 2 of them.",
            answer=_made(edges=lambda bands, rate: _spread(bands, rate, more=1)),
        ),
    ),
    hints=(
        "`torch.linspace(0, top, bands + 2)` are the edges in mel, where top is the mel of half the rate; f is "
        "700 · (10^(mel / 2595) − 1).",
        "Of each band low, middle and high are `edges[:-2, None]`, `edges[1:-1, None]` and `edges[2:, None]`, "
        "(bands, 1), beside frequencies (K,).",
        "One side is (f − low) / (middle − low), the other (high − f) / (high − middle). The smaller of both, not "
        "below 0, is the triangle.",
    ),
)
