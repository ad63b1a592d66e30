"""Short videos from files and into them, through PyAV: the libraries of FFmpeg, in one package, `av`."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.errors import OneSentence
from mmcourse.files import expanded, write_in_one_step
from mmcourse.pictures import square

MOST = 3_000  # frames that are read; a course's clip is short


class VideoFileError(OneSentence, ValueError):
    """A file that is no video, a damaged one, or one that is too long; the text is one sentence."""


class VideoMissingError(OneSentence, ImportError):
    """The package that reads and writes videos is not installed; the text says what to type."""


class Video(NamedTuple):
    """A clip, frames uint8 (T, 3, H, W), and how many of them a second has."""

    frames: Tensor
    rate: float


def load_video(path: str | Path, *, frames: int | None = 8, side: int | None = 64) -> Video:
    """Reads a short video of any kind that FFmpeg knows.

    Args:
        frames: how many are kept, evenly spread from the first to the last; None keeps all.
        side: of the squares that they are squeezed to, in pixels; None leaves them as they are.
    Raises:
        VideoMissingError: `av` is not installed.
        VideoFileError: there is no file, it is no video or damaged, or it has more than 3,000 frames.
        ValueError: frames or side is not positive.
    """
    for name, value in (("frames", frames), ("side", side)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    av, path = _av(), expanded(path)
    if not path.is_file():
        raise VideoFileError(f"there is no file {path}")
    pictures: list[Tensor] = []
    try:
        with av.open(str(path)) as file:
            rate = float(file.streams.video[0].average_rate or 0)
            for frame in file.decode(video=0):
                if len(pictures) == MOST:
                    raise VideoFileError(f"the file {path} has more than {MOST} frames; cut a short clip out of it")
                picture = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                pictures.append(picture if side is None else square(picture, side))
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoFileError(f"the file {path} is damaged or no video ({error})") from None
    if not pictures:
        raise VideoFileError(f"the file {path} has no frame that can be read")
    clip = torch.stack(pictures)
    if frames is not None:
        chosen = torch.linspace(0, len(clip) - 1, frames).round().long()
        clip, rate = clip[chosen], rate * frames / len(clip)
    return Video(clip, rate)


def save_video(path: str | Path, frames: Tensor, *, rate: int = 4) -> None:
    """Writes a clip as MP4 (MPEG-4) in one step, and makes the folders that it needs; colors change a little.

    Args:
        frames: uint8 (T, 3, H, W), with even H and W.
        rate: frames a second.
    Raises:
        VideoMissingError: `av` is not installed.
        ValueError: frames or rate is of another kind or range.
    """
    if frames.dtype != torch.uint8 or frames.dim() != 4 or frames.shape[1] != 3 or not len(frames):
        raise ValueError(f"frames must be uint8 (T, 3, H, W), got {frames.dtype} {tuple(frames.shape)}")
    if any(side % 2 for side in frames.shape[-2:]):
        raise ValueError(f"frames must have even sides, as MPEG-4 asks, got {tuple(frames.shape[-2:])}")
    if isinstance(rate, bool) or not isinstance(rate, int) or not 0 < rate <= 240:
        raise ValueError(f"rate must be a whole number of frames a second, 240 at most, got {rate!r}")
    av, content = _av(), io.BytesIO()
    with av.open(content, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames.shape[-2:]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for picture in frames.permute(0, 2, 3, 1).cpu().contiguous().numpy():
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    write_in_one_step(expanded(path), content.getvalue())


def _av() -> ModuleType:
    try:
        import av
    except ImportError:
        raise VideoMissingError("videos need the package av; install it with: pip install 'mmcourse[video]'") from None
    return av
