"""Sound files: nothing is lost on the way, scipy reads and writes the same, and what cannot be read says why."""

import io
import re
import wave

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from mmcourse.datasets.sounds import WaveFileError, load_wave, make_sounds, save_wave


def written(path, samples, *, width, channels=1, rate=8000):
    """A file of the standard library with these bytes as samples."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(samples)
    return path


def test_a_sound_comes_back_as_it_was(tmp_path):
    for number, sound in enumerate(make_sounds(5).waves):
        path = tmp_path / "new" / f"{number}.wav"
        save_wave(path, sound, 8000)
        found = load_wave(path)
        assert found.rate == 8000
        assert found.wave.dtype == torch.float32
        assert torch.equal(found.wave, sound)
    assert [file.name for file in sorted((tmp_path / "new").iterdir())] == [f"{n}.wav" for n in range(5)]


def test_scipy_reads_what_we_write_and_we_read_what_it_writes(tmp_path):
    values = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    save_wave(tmp_path / "ours.wav", values, 16000)
    rate, found = wavfile.read(tmp_path / "ours.wav")
    assert rate == 16000
    assert found.dtype == np.int16
    steps = [min(round(value * 32768), 32767) for value in values.tolist()]
    assert found.tolist() == steps
    wavfile.write(tmp_path / "theirs.wav", 11025, np.array(steps, dtype=np.int16))
    assert load_wave(tmp_path / "theirs.wav").rate == 11025
    assert (load_wave(tmp_path / "theirs.wav").wave * 32768).tolist() == steps


def test_the_ends_of_each_width(tmp_path):
    one = written(tmp_path / "1.wav", bytes([0, 64, 128, 255]), width=1)
    assert load_wave(one).wave.tolist() == [-1, -0.5, 0, 127 / 128]
    whole = [-(2**15), -1, 0, 1, 2**15 - 1]
    two = written(tmp_path / "2.wav", b"".join(n.to_bytes(2, "little", signed=True) for n in whole), width=2)
    assert load_wave(two).wave.tolist() == [n / 2**15 for n in whole]
    whole = [-(2**23), -1, 0, 1, 1234567, 2**23 - 1]
    three = written(tmp_path / "3.wav", b"".join(n.to_bytes(3, "little", signed=True) for n in whole), width=3)
    assert load_wave(three).wave.tolist() == [n / 2**23 for n in whole]


def test_two_channels_are_one_where_they_are_the_same(tmp_path):
    same = np.repeat(np.array([1, -2, 3], dtype="<i2"), 2)
    path = written(tmp_path / "same.wav", same.tobytes(), width=2, channels=2)
    assert (load_wave(path).wave * 32768).tolist() == [1, -2, 3]
    other = same.copy()
    other[3] = 9
    path = written(tmp_path / "other.wav", other.tobytes(), width=2, channels=2)
    with pytest.raises(WaveFileError, match="has 2 channels that differ; save it with one"):
        load_wave(path)


def test_a_sound_of_no_samples(tmp_path):
    save_wave(tmp_path / "none.wav", torch.zeros(0), 8000)
    assert load_wave(tmp_path / "none.wav").wave.shape == (0,)


def test_a_file_cut_anywhere_is_seen(tmp_path):
    path = tmp_path / "whole.wav"
    save_wave(path, torch.zeros(50), 8000)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WaveFileError, match=r"is damaged or no WAV file|is cut: 50 samples"):
            load_wave(path)


def test_what_cannot_be_read_says_why_in_one_sentence(tmp_path):
    with pytest.raises(WaveFileError, match=r"there is no file .*missing\.wav"):
        load_wave(tmp_path / "missing.wav")
    with pytest.raises(WaveFileError, match="damaged or no WAV file"):
        load_wave(tmp_path)
    (tmp_path / "text.wav").write_text("a cat calls twice, again and again")
    with pytest.raises(WaveFileError, match="damaged or no WAV file"):
        load_wave(tmp_path / "text.wav")
    four = written(tmp_path / "4.wav", bytes(8), width=4)
    with pytest.raises(WaveFileError, match="has 32 bits a sample; save it with 8, 16 or 24"):
        load_wave(four)
    floats = io.BytesIO()
    wavfile.write(floats, 8000, np.zeros(4, dtype=np.float32))
    (tmp_path / "floats.wav").write_bytes(floats.getvalue())
    with pytest.raises(WaveFileError, match="damaged or no WAV file") as caught:
        load_wave(tmp_path / "floats.wav")
    assert caught.value._render_traceback_() == [f"WaveFileError: {caught.value}"]


@pytest.mark.parametrize(
    ("sound", "rate", "message"),
    [
        (torch.zeros(1, 8), 8000, "wave must be floating-point (T,), got torch.float32 (1, 8)"),
        (torch.zeros(8, dtype=torch.int16), 8000, "wave must be floating-point (T,), got torch.int16 (8,)"),
        (torch.tensor([0.0, 1.5]), 8000, "wave must lie between -1 and 1, got 0 to 1.5"),
        (torch.tensor([0.0, float("nan")]), 8000, "wave must lie between -1 and 1"),
        (torch.zeros(8), 0, "rate must be a whole number of samples a second, got 0"),
        (torch.zeros(8), 8000.0, "rate must be a whole number of samples a second, got 8000.0"),
        (torch.zeros(8), True, "rate must be a whole number of samples a second, got True"),
    ],
)
def test_what_cannot_be_written_is_refused_and_the_file_stays(tmp_path, sound, rate, message):
    path = tmp_path / "old.wav"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=re.escape(message)):
        save_wave(path, sound, rate)
    assert path.read_bytes() == b"old"
