"""Spectra beside PyTorch's, bands beside a slow reference and transformers', and the small network that reads them."""

import cmath
import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from transformers.audio_utils import mel_filter_bank

from mmcourse.datasets import SOUND_NOUNS, make_sounds
from mmcourse.encoders import AudioEncoder, audio, dft, mel_filters, spectrogram, stft
from mmcourse.encoders.audio import QUIET, changes, cut, hann_window, hertz_to_mel, mel_to_hertz

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def test_docstring_examples_run():
    results = doctest.testmod(audio)
    assert results.attempted > 5
    assert results.failed == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 64), st.integers(1, 40), st.integers(0, 200), st.sampled_from([torch.float32, torch.float64]))
def test_the_transform_equals_pytorch_forward_and_backward(size, hop, extra, dtype):
    wave = 0.1 * normal(2, size // 2 + 1 + extra, seed=size, dtype=dtype)
    window = torch.hann_window(size, dtype=dtype)
    found, gradients = [], []
    for function in (
        lambda x: stft(x, size=size, hop=hop),
        lambda x: torch.stft(x, size, hop, window=window, center=True, pad_mode="reflect", return_complex=True),
    ):
        leaf = wave.clone().requires_grad_()
        found.append(function(leaf))
        torch.view_as_real(found[-1]).pow(2).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=TOLERANCE[dtype])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4 if dtype == torch.float32 else 1e-9)


def test_the_transform_of_sounds_equals_pytorch():
    waves = make_sounds(8).waves
    theirs = torch.stft(waves, 256, 80, window=torch.hann_window(256), return_complex=True)
    torch.testing.assert_close(stft(waves), theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(stft(waves[0]), theirs[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 15, 64])
def test_the_matrix_equals_the_definition_and_the_fast_transform(size):
    frames = normal(3, size, dtype=torch.float64)
    found = dft(frames)
    torch.testing.assert_close(found, torch.fft.rfft(frames), rtol=0, atol=1e-12)
    for k in range(size // 2 + 1):
        expected = sum(frames[:, n] * cmath.exp(-2j * math.pi * k * n / size) for n in range(size))
        torch.testing.assert_close(found[:, k], expected, rtol=0, atol=1e-12)


def test_a_tone_stands_at_its_frequency_and_a_click_in_its_frame():
    place = torch.arange(8000) / 8000
    loudest = stft(torch.sin(2 * math.pi * 1000 * place)).abs().argmax(dim=0)
    assert (loudest[2:-2] == 1000 * 256 // 8000).all()
    click = torch.zeros(8000)
    click[4000] = 1
    assert stft(click).abs().sum(dim=0).argmax() == 4000 // 80


def test_windows_that_overlap_by_half_add_up_to_one():
    window = hann_window(64, dtype=torch.float64)
    torch.testing.assert_close(window, torch.hann_window(64, dtype=torch.float64))
    torch.testing.assert_close(window[:32] + window[32:], torch.ones(32, dtype=torch.float64))


def slow_filters(bands, size, rate):
    """Triangles one number at a time, in HTK's way: rising and falling straight lines over hertz."""

    def mel(hertz):
        return 1127.01048 * math.log(1 + hertz / 700)

    edges = [700 * (math.exp(mel(rate / 2) * i / (bands + 1) / 1127.01048) - 1) for i in range(bands + 2)]
    rows = []
    for band in range(bands):
        low, middle, high = edges[band : band + 3]
        row = []
        for k in range(size // 2 + 1):
            hertz = k * rate / size
            if low < hertz <= middle:
                row.append((hertz - low) / (middle - low))
            elif middle < hertz < high:
                row.append((high - hertz) / (high - middle))
            else:
                row.append(0.0)
        rows.append(row)
    return torch.tensor(rows)


@pytest.mark.parametrize(("bands", "size", "rate"), [(40, 256, 8000), (1, 8, 100), (26, 400, 16000), (20, 255, 8000)])
def test_bands_equal_a_slow_reference_and_transformers(bands, size, rate):
    found = mel_filters(bands, size=size, rate=rate)
    torch.testing.assert_close(found, slow_filters(bands, size, rate), rtol=0, atol=1e-5)
    if size % 2 == 0:  # transformers takes the last frequency for half the rate, which holds for even sizes
        theirs = mel_filter_bank(size // 2 + 1, bands, 0, rate / 2, rate, norm=None, mel_scale="htk")
        torch.testing.assert_close(found, torch.from_numpy(theirs).T.float(), rtol=0, atol=1e-5)


def test_mel_is_made_of_hertz_and_back():
    hertz = np.array([0.0, 440.0, 1000.0, 4000.0])
    assert mel_to_hertz(hertz_to_mel(hertz)) == pytest.approx(hertz)
    assert hertz_to_mel(hertz)[2] == pytest.approx(1000, abs=0.1)


def test_between_the_first_and_the_last_middle_bands_share_each_frequency():
    sums = mel_filters(20, size=512, rate=8000).sum(dim=0)
    torch.testing.assert_close(sums[10:230], torch.ones(220))


def test_a_spectrogram_is_the_logarithm_of_power_in_bands():
    waves = make_sounds(3).waves
    found = spectrogram(waves)
    power = torch.stft(waves, 256, 80, window=torch.hann_window(256), return_complex=True).abs() ** 2
    expected = (slow_filters(40, 256, 8000) @ power).clamp(min=QUIET).log()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(spectrogram(waves[1]), found[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(spectrogram(waves, filters=mel_filters(40, size=256, rate=8000)), found)
    assert (spectrogram(torch.zeros(800)) == torch.tensor(QUIET).log()).all()
    louder = spectrogram(normal(4000)), spectrogram(2 * normal(4000))
    torch.testing.assert_close(louder[1], louder[0] + math.log(4), rtol=0, atol=1e-4)


def test_half_precision_is_computed_in_full():
    waves = make_sounds(2).waves.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = spectrogram(waves)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, spectrogram(waves))
    assert spectrogram(waves.bfloat16()).dtype == torch.float32
    encoder = AudioEncoder((8, 16)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder(waves)
    torch.testing.assert_close(features.float(), encoder(waves), rtol=0.1, atol=0.1)
    features.float().sum().backward()
    assert waves.grad.isfinite().all()


def test_a_change_is_half_the_step_around_it():
    x = normal(2, 5)
    found = changes(x)
    for i in range(5):
        torch.testing.assert_close(found[:, i], (x[:, min(i + 1, 4)] - x[:, max(i - 1, 0)]) / 2)


def test_the_encoder_reads_sounds_of_any_length_and_hardly_minds_how_loud():
    torch.manual_seed(0)
    encoder = AudioEncoder((8, 16)).eval()
    assert encoder.width == 16
    assert "filters" not in encoder.state_dict()
    for samples in (129, 1000, 9600):
        assert encoder(normal(2, samples)).shape == (2, 16)
    waves = normal(3, 4000)
    with torch.no_grad():
        features = encoder(waves)
        torch.testing.assert_close(encoder(waves / 3), features, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(encoder(waves[1:2]), features[1:2], rtol=1e-4, atol=1e-4)
        assert encoder(torch.zeros(1, 4000)).isfinite().all()
    leaf = waves.requires_grad_()
    encoder(leaf).sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad.abs().sum() > 0


def test_it_learns_to_tell_sounds_apart():
    """Three voices of one kind of loudness and length: only how they sound tells them apart."""
    torch.manual_seed(0)
    batch = make_sounds(900)
    kinds = torch.tensor([SOUND_NOUNS.index(noun) for noun in ("bicycle", "drum", "penguin")])
    chosen = torch.isin(batch.labels, kinds).nonzero()[:, 0][:120]
    waves = batch.waves[chosen]
    labels = (batch.labels[chosen, None] == kinds).int().argmax(dim=1)
    model = nn.Sequential(AudioEncoder((8, 16)), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(15):
        loss = F.cross_entropy(model(waves[:80]), labels[:80])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert (model.eval()(waves[80:]).argmax(dim=1) == labels[80:]).float().mean() > 0.8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stft(torch.zeros(8, dtype=torch.int16)), r"floating-point \(…, T\), got torch\.int16 \(8,\)"),
        (lambda: stft(torch.zeros(128)), "longer than half a frame, 128 samples, got 128"),
        (lambda: cut(torch.zeros(9), size=1, hop=1), "a size of 2 and a hop of 1 at least, got 1 and 1"),
        (lambda: cut(torch.zeros(9), size=4, hop=0), "got 4 and 0"),
        (lambda: mel_filters(0, size=256, rate=8000), "got 0, 8000 and 256"),
        (lambda: mel_filters(200, size=256, rate=8000), "band 0 of 200 holds none; use a larger size"),
        (lambda: AudioEncoder(bands=30), "bands must be a multiple of 4, got 30"),
        (lambda: AudioEncoder((4,))(torch.zeros(9600)), r"waves must be floating-point \(B, T\), got .* \(9600,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
