"""Chapter 16's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math

import numpy as np
import pytest
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse import losses
from mmcourse.attention import fused_attention
from mmcourse.course.exercises import all_exercises, find
from mmcourse.datasets.clips import sample_clips
from mmcourse.encoders import audio

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 16-frames ----------------------------------------------------------------------------------------------------


@right("16-frames")
def frames_with_a_loop(wave, size, hop):
    window = [math.sin(math.pi * n / size) ** 2 for n in range(size)]
    starts = range(0, len(wave) - size + 1, hop)
    return [[w * x for w, x in zip(window, wave[start : start + size].tolist(), strict=True)] for start in starts]


@right("16-frames")
def frames_with_numpy(wave, size, hop):
    rows = np.lib.stride_tricks.sliding_window_view(wave.numpy(), size)[::hop]
    return rows * np.hanning(size + 1)[:-1]


@right("16-frames")
def frames_by_index(wave, size, hop):
    count = (len(wave) - size) // hop + 1
    places = hop * torch.arange(count)[:, None] + torch.arange(size)
    return wave[places] * torch.hann_window(size)


def rows_of(wave, size, hop):
    return torch.stack([wave[at : at + size] for at in range(0, len(wave) - size + 1, hop)])


@wrong("16-frames", "no window")
def frames_without_window(wave, size, hop):
    return rows_of(wave, size, hop)


@wrong("16-frames", "N − 1")
def frames_under_a_symmetric_window(wave, size, hop):
    return rows_of(wave, size, hop) * torch.hann_window(size, periodic=False)


@wrong("16-frames", "Hamming")
def frames_under_another_window(wave, size, hop):
    return rows_of(wave, size, hop) * torch.hamming_window(size)


@wrong("16-frames", "every `size` samples")
def frames_side_by_side(wave, size, hop):
    return wave[: len(wave) // size * size].view(-1, size) * torch.hann_window(size)


@wrong("16-frames", "last frame is missing")
def frames_but_one(wave, size, hop):
    return [wave[f * hop : f * hop + size] * audio.hann_window(size) for f in range((len(wave) - size) // hop)] or (
        torch.zeros(0, size)
    )


@wrong("16-frames", "mirrored at both ends")
def frames_by_the_library(wave, size, hop):
    return audio.cut(wave, size=size, hop=hop) * audio.hann_window(size)


@wrong("16-frames", "(F, N)")
def frames_in_columns(wave, size, hop):
    return (rows_of(wave, size, hop) * torch.hann_window(size)).mT


# --- 16-spectrum --------------------------------------------------------------------------------------------------


@right("16-spectrum")
def spectrum_with_torch(frame):
    return torch.fft.rfft(frame).abs()


@right("16-spectrum")
def spectrum_with_loops(frame):
    numbers, size = frame.tolist(), len(frame)
    return [
        abs(sum(x * np.exp(-2j * np.pi * k * n / size) for n, x in enumerate(numbers))) for k in range(size // 2 + 1)
    ]


@right("16-spectrum")
def spectrum_with_complex_numbers(frame):
    n = torch.arange(len(frame), dtype=torch.float64)
    turns = torch.outer(n[: len(frame) // 2 + 1], n) / len(frame)
    return (torch.polar(torch.ones_like(turns), -2 * torch.pi * turns) @ frame.to(torch.complex128)).abs()


@wrong("16-spectrum", "Only the cosines")
def spectrum_of_cosines(frame):
    return torch.fft.rfft(frame).real.abs()


@wrong("16-spectrum", "power")
def spectrum_of_powers(frame):
    return np.abs(np.fft.rfft(frame.numpy())) ** 2


@wrong("16-spectrum", "complex numbers")
def spectrum_complex(frame):
    return audio.dft(frame)


@wrong("16-spectrum", "half the rate, is missing")
def spectrum_but_one(frame):
    return torch.fft.fft(frame)[: len(frame) // 2].abs()


@wrong("16-spectrum", "All N frequencies")
def spectrum_of_all(frame):
    return torch.fft.fft(frame).abs()


@wrong("16-spectrum", "divided by √N")
def spectrum_orthonormal(frame):
    return torch.fft.rfft(frame, norm="ortho").abs()


# --- 16-mel -------------------------------------------------------------------------------------------------------


@right("16-mel")
def mel_by_library(bands, size, rate):
    return audio.mel_filters(bands, size=size, rate=rate)


@right("16-mel")
def mel_with_loops(bands, size, rate):
    top = 1127.01048 * math.log(1 + rate / 1400)
    edges = [700 * (math.exp(top * i / (bands + 1) / 1127.01048) - 1) for i in range(bands + 2)]
    filters = torch.zeros(bands, size // 2 + 1)
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(size // 2 + 1):
            hertz = k * rate / size
            if low < hertz <= middle:
                filters[band, k] = (hertz - low) / (middle - low)
            elif middle < hertz < high:
                filters[band, k] = (high - hertz) / (high - middle)
    return filters


@right("16-mel")
def mel_by_interpolation(bands, size, rate):
    edges = htk_edges(0, rate / 2, bands + 2)
    hertz = np.arange(size // 2 + 1) * rate / size
    return np.stack([np.interp(hertz, edges, row) for row in np.eye(bands + 2)[1:-1]])


def htk_edges(low, high, count):
    return audio.mel_to_hertz(np.linspace(audio.hertz_to_mel(low), audio.hertz_to_mel(high), count))


def mel_from(edges, bands, hertz):
    return np.stack([np.interp(hertz, edges, row, left=0, right=0) for row in np.eye(len(edges))[1:-1]])


def bins(size, rate):
    return np.linspace(0, rate / 2, size // 2 + 1) * (1 if size % 2 == 0 else (size - 1) / size)


@wrong("16-mel", "evenly spread in Hz")
def mel_linear(bands, size, rate):
    return mel_from(np.linspace(0, rate / 2, bands + 2), bands, bins(size, rate))


@wrong("16-mel", "edges go up to the rate")
def mel_up_to_the_rate(bands, size, rate):
    return mel_from(htk_edges(0, rate, bands + 2), bands, bins(size, rate))


@wrong("16-mel", "straight lines in mel")
def mel_straight_in_mel(bands, size, rate):
    edges = np.linspace(0, audio.hertz_to_mel(rate / 2), bands + 2)
    return mel_from(edges, bands, audio.hertz_to_mel(bins(size, rate)))


@wrong("16-mel", "divided by its width")
def mel_of_one_area(bands, size, rate):
    edges = htk_edges(0, rate / 2, bands + 2)
    return mel_from(edges, bands, bins(size, rate)) * (2 / (edges[2:] - edges[:-2]))[:, None]


@wrong("16-mel", "below 0")
def mel_below_zero(bands, size, rate):
    edges, hertz = htk_edges(0, rate / 2, bands + 2)[:, None], bins(size, rate)
    steps = np.diff(edges, axis=0)
    return np.minimum((hertz - edges[:-2]) / steps[:-1], (edges[2:] - hertz) / steps[1:])


@wrong("16-mel", "(bands, K)")
def mel_in_columns(bands, size, rate):
    return mel_by_library(bands, size, rate).T


@wrong("16-mel", "A band is missing")
def mel_but_one(bands, size, rate):
    edges = htk_edges(0, rate / 2, bands + 1)
    filters = mel_from(edges, bands - 1, bins(size, rate)) if bands > 1 else np.zeros((0, size // 2 + 1))
    return filters.astype(np.float32)


# --- 16-pitch -----------------------------------------------------------------------------------------------------


@right("16-pitch")
def pitch_by_polyfit(spectrum, rate):
    k = int(np.argmax(spectrum.numpy()))
    a, b, _ = np.polyfit([-1, 0, 1], np.log(spectrum.double().numpy()[k - 1 : k + 2]), 2)
    return (k - b / (2 * a)) * rate / 2 / (len(spectrum) - 1)


@right("16-pitch")
def pitch_in_decibels(spectrum, rate):
    k = spectrum.argmax()
    a, b, c = 20 * spectrum.double()[torch.stack([k - 1, k, k + 1])].log10()
    width = rate / (2 * len(spectrum) - 2)
    return (k + 0.5 * (a - c) / (a - 2 * b + c)) * width


def top(left, middle, right):
    return (left - right) / (left - 2 * middle + right) / 2


def around(spectrum):
    k = int(spectrum.argmax())
    return k, spectrum.double().numpy()[k - 1 : k + 2]


@wrong("16-pitch", "middle of the loudest bin")
def pitch_of_a_bin(spectrum, rate):
    return np.fft.rfftfreq(2 * len(spectrum) - 2, 1 / rate)[int(spectrum.argmax())]


@wrong("16-pitch", "sizes themselves")
def pitch_of_sizes(spectrum, rate):
    k, three = around(spectrum)
    return (k + top(*three)) * rate / (2 * len(spectrum) - 2)


@wrong("16-pitch", "wrong sign")
def pitch_away(spectrum, rate):
    k, three = around(spectrum)
    return (k - top(*np.log(three))) * rate / (2 * len(spectrum) - 2)


@wrong("16-pitch", "octave too high")
def pitch_an_octave_up(spectrum, rate):
    return 2 * pitch_by_polyfit(spectrum, rate)


@wrong("16-pitch", "number of bins")
def pitch_in_bins(spectrum, rate):
    k, three = around(spectrum)
    return k + top(*np.log(three))


@wrong("16-pitch", "center of mass of three")
def pitch_by_mass(spectrum, rate):
    k, three = around(spectrum)
    return (np.arange(k - 1, k + 2) @ three / three.sum()) * rate / (2 * len(spectrum) - 2)


# --- 16-order -----------------------------------------------------------------------------------------------------


def beginnings(clip, threshold, never=math.inf):
    """When each of the two has moved, by plain loops."""
    found = []
    for thing in range(2):
        path = clip[:, thing].tolist()
        far = [frame for frame, place in enumerate(path) if math.dist(place, path[0]) > threshold]
        found.append(far[0] if far else never)
    return found


@right("16-order")
def order_with_loops(places, threshold):
    answers = []
    for one, other in (beginnings(clip, threshold) for clip in places):
        answers.append(-1 if one == other else int(other < one))
    return answers


@right("16-order")
def order_with_numpy(places, threshold):
    paths = places.numpy()
    ever = np.cumsum(((paths - paths[:, [0]]) ** 2).sum(axis=3) > threshold**2, axis=1) > 0
    still = (~ever).sum(axis=1)
    return np.where(still[:, 0] == still[:, 1], -1, still.argmin(axis=1))


@right("16-order")
def order_frame_by_frame(places, threshold):
    found = torch.full((len(places),), -2)
    for frame in range(places.shape[1]):
        one, other = torch.linalg.vector_norm(places[:, frame] - places[:, 0], dim=-1).gt(threshold).unbind(dim=1)
        new = torch.where(one & other, -1, torch.where(one, 0, torch.where(other, 1, -2)))
        found = torch.where(found == -2, new, found)
    return found.clamp(min=-1)


@wrong("16-order", "never moves is taken to begin in frame 0")
def order_without_never(places, threshold):
    answers = [beginnings(clip, threshold, never=0) for clip in places]
    return [-1 if one == other else int(other < one) for one, other in answers]


@wrong("16-order", "Nobody was first")
def order_without_ties(places, threshold):
    return [int(other < one) for one, other in (beginnings(clip, threshold) for clip in places)]


@wrong("16-order", "the thing that moves last")
def order_exchanged(places, threshold):
    return order_with_loops(places.flip(2), threshold)


@wrong("16-order", "frame before")
def order_by_steps(places, threshold):
    far = places.diff(dim=1, prepend=places[:, :1]).norm(dim=-1) > threshold
    begins = [[(row.nonzero().flatten().tolist() or [99])[0] for row in clip.T] for clip in far]
    return [-1 if one == other else int(other < one) for one, other in begins]


@wrong("16-order", "exactly at the threshold")
def order_at_the_threshold(places, threshold):
    return order_with_loops(places, threshold - 1e-3)


@wrong("16-order", "Only x")
def order_of_x(places, threshold):
    return order_with_loops(places * torch.tensor([1.0, 0.0]), threshold)


@wrong("16-order", "Where one of the two never moves")
def order_only_of_both(places, threshold):
    answers = [beginnings(clip, threshold) for clip in places]
    return [-1 if one == other or math.inf in (one, other) else int(other < one) for one, other in answers]


# --- 16-over-time -------------------------------------------------------------------------------------------------


@right("16-over-time")
def over_time_by_library(frames, query):
    return fused_attention(query.expand(len(frames), 1, -1), frames, frames).squeeze(1)


@right("16-over-time")
def over_time_with_einsum(frames, query):
    weights = torch.einsum("btc,c->bt", frames, query).div(math.sqrt(frames.shape[2])).log_softmax(1).exp()
    return torch.einsum("bt,btc->bc", weights, frames)


@right("16-over-time")
def over_time_with_loops(frames, query):
    rows = []
    for clip in frames.double().numpy():
        scores = np.array([frame @ query.double().numpy() for frame in clip]) / len(query) ** 0.5
        weights = np.exp(scores - scores.max())
        rows.append(sum(weight * frame for weight, frame in zip(weights, clip, strict=True)) / weights.sum())
    return np.stack(rows)


@wrong("16-over-time", "does not know the query")
def over_time_mean(frames, query):
    return frames.sum(1) / frames.shape[1]


@wrong("16-over-time", "not divided by √C")
def over_time_unscaled(frames, query):
    return torch.einsum("bt,btc->bc", (frames @ query).softmax(-1), frames)


@wrong("16-over-time", "clips of the batch")
def over_time_of_clips(frames, query):
    weights = F.softmax(frames @ query / query.numel() ** 0.5, dim=0)
    return (frames * weights.unsqueeze(2)).sum(1)


@wrong("16-over-time", "Each channel")
def over_time_by_channel(frames, query):
    return (frames * F.softmax(frames * query / query.numel() ** 0.5, dim=1)).sum(1)


@wrong("16-over-time", "sigmoid")
def over_time_sigmoid(frames, query):
    return ((frames @ query / query.numel() ** 0.5).sigmoid()[:, None] @ frames)[:, 0]


@wrong("16-over-time", "T times too small")
def over_time_averaged(frames, query):
    return over_time_by_library(frames, query) / frames.shape[1]


@wrong("16-over-time", "Only the best frame")
def over_time_best(frames, query):
    return frames[torch.arange(len(frames)), (frames @ query).argmax(1)]


# --- 16-three-ways ------------------------------------------------------------------------------------------------


def lengths_of_one(*features):
    return [each / each.norm(dim=1, keepdim=True) for each in features]


@right("16-three-ways")
def three_ways_by_library(sounds, clips, texts, temperature):
    a, b, c = lengths_of_one(sounds, clips, texts)
    return sum(losses.info_nce(x, y, scale=1 / temperature) for x, y in ((a, b), (b, c), (c, a))) / 3


@right("16-three-ways")
def three_ways_with_one_matrix(sounds, clips, texts, temperature):
    features, count = torch.cat(lengths_of_one(sounds, clips, texts)), len(texts)
    blocks = (features @ features.T / temperature).view(3, count, 3, count).transpose(1, 2)  # (3, 3, B, B)
    found = -blocks.log_softmax(dim=-1).diagonal(dim1=2, dim2=3).mean(dim=-1)
    return (found.sum() - found.trace()) / 6


@right("16-three-ways")
def three_ways_with_numpy(sounds, clips, texts, temperature):
    total, three = 0.0, [each.double().numpy() for each in lengths_of_one(sounds, clips, texts)]
    for i, one in enumerate(three):
        for j, other in enumerate(three):
            if i != j:
                scores = one @ other.T / temperature
                total += np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    return total / 6


def pairs_of(a, b, c, temperature, pairs):
    features = {"s": a, "c": b, "t": c}
    each = [losses.info_nce(features[x], features[y], scale=1 / temperature) for x, y in pairs]
    return torch.stack(each).mean()


@wrong("16-three-ways", "keep their lengths")
def three_ways_of_any_length(sounds, clips, texts, temperature):
    return pairs_of(sounds, clips, texts, temperature, ("sc", "st", "ct"))


@wrong("16-three-ways", "sounds and clips: they meet only through their texts")
def three_ways_around_texts(sounds, clips, texts, temperature):
    return pairs_of(*lengths_of_one(sounds, clips, texts), temperature, ("ts", "tc"))


@wrong("16-three-ways", "Take their mean")
def three_ways_summed(sounds, clips, texts, temperature):
    return 3 * three_ways_by_library(sounds, clips, texts, temperature)


@wrong("16-three-ways", "multiplied by the temperature")
def three_ways_turned(sounds, clips, texts, temperature):
    return three_ways_by_library(sounds, clips, texts, 1 / temperature)


@wrong("16-three-ways", "one direction only")
def three_ways_of_rows(sounds, clips, texts, temperature):
    a, b, c = lengths_of_one(sounds, clips, texts)
    target = torch.arange(len(a))
    return sum(F.cross_entropy(x @ y.T / temperature, target) for x, y in ((a, b), (a, c), (b, c))) / 3


@wrong("16-three-ways", "with itself")
def three_ways_with_themselves(sounds, clips, texts, temperature):
    return pairs_of(*lengths_of_one(sounds, clips, texts), temperature, ("ss", "sc", "st", "cc", "ct", "tt"))


@wrong("16-three-ways", "temperature is not used")
def three_ways_lukewarm(sounds, clips, texts, temperature):
    return three_ways_by_library(sounds, clips, texts, 1)


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("16"))


def tone(hertz, *, rate=8000, size=512, begin=0.3):
    return torch.sin(2 * math.pi * hertz * torch.arange(size, dtype=torch.float64) / rate + begin)


def test_frames_and_their_spectra_are_those_of_torch():
    wave = torch.randn(500, generator=torch.Generator().manual_seed(1))
    rows = find("16-frames").reference(wave, 64, 20)
    mine = torch.stack([find("16-spectrum").reference(row) for row in rows])
    theirs = torch.stft(wave, 64, 20, window=torch.hann_window(64), center=False, return_complex=True).abs().T
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_frames_that_overlap_by_half_add_up_to_the_sound():
    """What one whole period of a window is for."""
    wave = torch.randn(64, generator=torch.Generator().manual_seed(2))
    total = torch.zeros(64)
    for number, row in enumerate(find("16-frames").reference(wave, 16, 8)):
        total[8 * number : 8 * number + 16] += row
    torch.testing.assert_close(total[8:-8], wave[8:-8])


@pytest.mark.parametrize(("bands", "size", "rate"), [(40, 256, 8000), (80, 2048, 16000), (1, 9, 44100)])
def test_bands_are_those_of_the_library(bands, size, rate):
    mine = find("16-mel").reference(bands, size, rate)
    torch.testing.assert_close(mine, audio.mel_filters(bands, size=size, rate=rate), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("hertz", [110.0, 261.63, 440.0, 1234.5])
def test_a_pitch_is_found_between_the_bins(hertz):
    """To a fiftieth of a bin, where the middle of the loudest is up to half a bin off."""
    sizes = find("16-spectrum").reference(find("16-frames").reference(tone(hertz), 512, 512)[0].float())
    width = 8000 / 512
    assert find("16-pitch").reference(sizes, 8000) == pytest.approx(hertz, abs=width / 50)


def test_a_query_that_is_not_asked_begins_at_the_mean_and_learns():
    frames = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(3))
    query = torch.zeros(8, requires_grad=True)
    found = find("16-over-time").reference(frames, query)
    torch.testing.assert_close(found, frames.mean(dim=1))
    found[:, 0].sum().backward()
    assert query.grad.abs().max() > 0.01  # so it leaves the mean by itself


def test_the_order_of_real_clips_is_that_of_their_grammar():
    """Of two things that move one after the other, where they are seen says which is first."""
    moves_first, asked = find("16-order").reference, 0
    for clip in sample_clips(300, frames=16):
        movers = [thing for thing in clip.things if thing.motion == "moves"][:2]
        if len(movers) < 2 or movers[0].start == movers[1].start:
            continue
        places = torch.tensor(
            [[[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] for box in (one.path[t].box for one in movers)]
             for t in range(16)]
        )  # fmt: skip
        assert moves_first(places[None], 0.9).item() == int(movers[1].start < movers[0].start)
        asked += 1
    assert asked >= 10


def test_three_ways_of_the_same_features_are_one():
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(4))
    unit = F.normalize(x, dim=1)
    expected = losses.info_nce(unit, unit, scale=5.0)
    torch.testing.assert_close(find("16-three-ways").reference(x, 2 * x, 3 * x, 0.2), expected)
