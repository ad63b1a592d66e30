"""Videos in and out: what was written comes back, evenly chosen, and whatever is no video is refused in a sentence."""

import sys

import pytest
import torch

from mmcourse.datasets import VideoFileError, VideoMissingError, load_video, make_clips, save_video

pytest.importorskip("av", reason="the extra mmcourse[video] is not installed")


@pytest.fixture(scope="module")
def clip():
    return make_clips(1, split="val", frames=12).frames[0]


def test_what_was_written_comes_back(clip, tmp_path):
    save_video(tmp_path / "new" / "clip.mp4", clip, rate=6)
    frames, rate = load_video(tmp_path / "new" / "clip.mp4", frames=None, side=None)
    assert frames.shape == clip.shape
    assert frames.dtype == torch.uint8
    assert rate == 6
    assert (frames.float() - clip.float()).abs().mean() < 8  # of 255; the format loses a little
    moved = (clip[0].float() - clip[-1].float()).abs().mean()
    assert (frames[-1].float() - clip[-1].float()).abs().mean() < moved  # in their order


def test_frames_are_chosen_from_the_first_to_the_last(clip, tmp_path):
    save_video(tmp_path / "clip.mp4", clip, rate=6)
    whole = load_video(tmp_path / "clip.mp4", frames=None).frames
    frames, rate = load_video(tmp_path / "clip.mp4", frames=4)
    assert torch.equal(frames, whole[[0, 4, 7, 11]])
    assert rate == 2
    assert torch.equal(load_video(tmp_path / "clip.mp4", frames=1).frames, whole[:1])


def test_frames_become_squares(tmp_path):
    wide = torch.zeros(3, 3, 48, 96, dtype=torch.uint8)
    wide[..., 48:] = 200
    save_video(tmp_path / "wide.mp4", wide)
    frames = load_video(tmp_path / "wide.mp4", frames=3, side=32).frames
    assert frames.shape == (3, 3, 32, 32)
    assert frames[..., :12].float().mean() < 20 < 180 < frames[..., 20:].float().mean()


def test_what_is_no_video_is_refused(clip, tmp_path):
    with pytest.raises(VideoFileError, match="there is no file"):
        load_video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(VideoFileError, match=r"text\.mp4 is damaged or no video"):
        load_video(tmp_path / "text.mp4")
    save_video(tmp_path / "whole.mp4", clip)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:400])
    with pytest.raises(VideoFileError, match=r"cut\.mp4 is damaged or no video"):
        load_video(tmp_path / "cut.mp4")


def test_a_long_video_is_refused(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("mmcourse.datasets.clips.files.MOST", 5)
    save_video(tmp_path / "clip.mp4", clip)
    with pytest.raises(VideoFileError, match="more than 5 frames; cut a short clip"):
        load_video(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("frames", "rate", "message"),
    [
        (torch.zeros(2, 3, 8, 8), 4, "frames must be uint8"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), 4, "frames must be uint8"),
        (torch.zeros(2, 3, 8, 9, dtype=torch.uint8), 4, "even sides"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 0, "rate must be a whole number"),
    ],
)
def test_bad_frames_are_refused(frames, rate, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_video(tmp_path / "clip.mp4", frames, rate=rate)
    assert not list(tmp_path.iterdir())


def test_a_number_of_frames_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        load_video(tmp_path / "clip.mp4", frames=0)


def test_without_the_package_a_sentence_says_what_to_type(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoMissingError, match=r"pip install 'mmcourse\[video\]'"):
        save_video(tmp_path / "clip.mp4", clip)
