"""Clips: how they are drawn by chance, what one frame gives away, and their pixels."""

import doctest
import hashlib
import itertools
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch

from mmcourse.datasets import scenes
from mmcourse.datasets.clips import DIRECTIONS, MOTIONS, make_clips, render_clips, sample_clips
from mmcourse.datasets.clips.grammar import DISTANCES, PLACES, ROOM, between, times, way
from mmcourse.datasets.scenes import SPLITS, sample_scenes
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.datasets.scenes.render import render

SIDE = 64


@pytest.mark.parametrize(("part", "examples"), [("grammar", 4), ("truth", 1), ("render", 1)])
def test_the_examples_run(part, examples):
    assert doctest.testmod(sys.modules[f"mmcourse.datasets.clips.{part}"]) == (0, examples)


def test_the_example_of_the_room_runs():
    assert doctest.testmod(sys.modules["mmcourse.datasets.clips"]) == (0, 2)


@pytest.mark.parametrize("split", SPLITS)
def test_a_clip_depends_on_split_and_index_alone(split):
    batch = make_clips(20, split=split, start=10, masks=True)
    assert batch.frames.shape == (20, 8, 3, 64, 64)
    assert batch.frames.dtype == torch.uint8
    assert batch.masks.shape == (20, 8, 3, 64, 64)
    assert len(batch) == 20
    again = make_clips(20, split=split, start=10)
    assert torch.equal(again.frames, batch.frames)
    assert again.masks is None
    for i in (0, 7, 19):
        alone = make_clips(1, split=split, start=10 + i, masks=True)
        assert alone.clips[0] == batch.clips[i]
        assert torch.equal(alone.frames[0], batch.frames[i])
        assert torch.equal(alone.masks[0], batch.masks[i])


def test_the_bytes_are_the_same_on_every_machine():
    batch = make_clips(100, masks=True)
    digest = hashlib.sha256(batch.frames.numpy().tobytes() + batch.masks.numpy().tobytes()).hexdigest()
    assert digest == "5ece57654243fd047a2a0b5361a55a8e13a205175a0a732c9e9a3a38c46bd6df"
    text = "\n".join(str(clip) for split in SPLITS for clip in sample_clips(100, split=split))
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "8278d4d0fe662836b98f66b20120d11bfd79ee69c5b0a2b40f5c85941d4bb221"
    )


def test_clips_take_over_the_splits_of_the_scenes():
    """And with them the words that never meet outside of `compositional`."""
    shown = {}
    for split in SPLITS:
        clips, casts = sample_clips(500, split=split, start=5), sample_scenes(500, split=split, start=5)
        for clip, cast in zip(clips, casts, strict=True):
            assert clip.cast == cast
            assert [thing.noun for thing in clip.things] == [thing.noun for thing in cast.objects]
            pairs = itertools.combinations([thing.noun for thing in clip.things], 2)
            held_out = any(scenes.held_out_pair(*pair) for pair in pairs)
            held_out |= any(scenes.held_out_background(thing.noun, clip.background) for thing in clip.things)
            assert held_out == (split == "compositional")
        shown[split] = {str(clip).split(" ", 1)[1] for clip in clips}
    for first, second in itertools.combinations(shown.values(), 2):
        assert len(first & second) < 0.01 * 500


def test_more_frames_show_the_same():
    short, long = sample_clips(50), sample_clips(50, frames=16)
    for clip, other in zip(short, long, strict=True):
        assert (clip.length, other.length) == (8, 16)
        assert [thing[:3] for thing in clip.things] == [thing[:3] for thing in other.things]
        for thing, twin in zip(clip.things, other.things, strict=True):
            assert (thing.path[0], thing.path[-1]) == (twin.path[0], twin.path[-1])


def test_everything_happens_and_things_pass_each_other():
    clips = sample_clips(1000)
    seen = Counter((thing.motion, thing.direction) for clip in clips for thing in clip.things)
    assert {motion for motion, _ in seen} == set(MOTIONS)
    for motion in ("moves", "enters", "leaves"):
        assert all(seen[motion, direction] > 30 for direction in DIRECTIONS)
    opposite = [{"left", "right"}, {"up", "down"}]
    assert sum({thing.direction for thing in clip.things} in opposite for clip in clips) > 100


# What one frame, or all of them without their order, give away.


@pytest.mark.parametrize("distance", range(DISTANCES[0], DISTANCES[1] + 1))
def test_every_place_is_once_the_first_and_once_the_last_of_either_way(distance):
    forth = [way(distance, start)[:2] for start in range(-distance, PLACES)]
    back = [(end, begin) for begin, end in forth]
    for paths in (forth, back):
        for end in (0, 1):
            inside = [path[end] for path in paths if 0 <= path[end] < PLACES]
            assert sorted(inside) == list(range(PLACES))
        for path in paths:
            assert any(0 <= place < PLACES for place in path)
            assert all(0 <= place < PLACES or place in (-ROOM, SIDE) for place in path)
    mirrored = [(PLACES - 1 - begin, PLACES - 1 - end) for begin, end in forth]
    assert sorted(mirrored) == sorted(back)


@pytest.mark.parametrize("frames", range(8, 17))
def test_a_clip_played_backward_is_one_of_the_others(frames):
    last = frames - 1
    for parts in (1, 2, 3):
        spans = times(parts, frames)
        assert [(last - end, last - start) for start, end in reversed(spans)] == spans
        assert all(end - start >= 2 for start, end in spans)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        for (start, end), ends in itertools.product(spans, ((-21, 9), (3, 20), (4, 0), (0, 4))):
            there = [between(*ends, (start, end), frame) for frame in range(frames)]
            back = [between(*ends[::-1], (last - end, last - start), frame) for frame in range(frames)]
            assert there == back[::-1]
            assert (there[0], there[-1]) == ends


def spot(thing, frame):
    """Roughly where a thing is in a frame: "out", or one of three parts of the picture along its way."""
    left, top, right, bottom = thing.path[frame].box
    start, end = (left, right) if thing.direction in ("left", "right") else (top, bottom)
    return "out" if end <= 0 or start >= SIDE else int((start + end) / 2 * 3 // SIDE)


@pytest.mark.parametrize("frame", [0, -1])
def test_where_a_thing_stands_first_or_last_does_not_tell_its_way(frame):
    counts = Counter()
    for clip in sample_clips(4000):
        for thing in clip.things:
            if thing.direction is not None:
                forth = thing.direction in ("right", "down")
                counts[thing.direction in ("left", "right"), spot(thing, frame), forth] += 1
    for sideways, place in itertools.product((True, False), ("out", 0, 1, 2)):
        back, forth = (counts[sideways, place, forth] for forth in (False, True))
        assert back + forth > 100
        assert abs(back - forth) < 4 * (back + forth) ** 0.5  # four standard deviations of a fair coin


# Pixels.


def test_nothing_hides_anything():
    """Each thing covers the same pixels when the others are gone, at the sides of the picture too."""
    batch = make_clips(60, masks=True)
    assert batch.masks.sum(2).max() == 1
    for clip, masks in zip(batch.clips, batch.masks, strict=True):
        for k, thing in enumerate(clip.things):
            _, alone = render_clips([replace(clip, things=(thing,))], masks=True)
            assert torch.equal(alone[:, 0], masks[:, k])


def test_only_what_acts_changes():
    batch = make_clips(60, masks=True)
    frames = batch.frames.int()
    for i, clip in enumerate(batch.clips):
        for k, thing in enumerate(clip.things):
            mask = batch.masks[i, :, k].any(0)
            steps = (frames[i, 1:] != frames[i, :-1]).any(1)[:, mask].any(1)  # (T - 1,)
            assert not steps[: thing.start].any()
            assert not steps[thing.end :].any()
            assert steps.any() == (thing.motion != "stands still")
        empty = torch.ones(SIDE, SIDE, dtype=torch.bool)
        for left, top, right, bottom in (drawing.box for thing in clip.things for drawing in thing.path):
            empty[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = False
        assert (frames[i][:, :, empty] == frames[i, 0][:, empty]).all()


@pytest.mark.parametrize(("right", "down"), [(-50, 0), (9, -7), (0, 45), (30, 30), (-64, 0), (0, 64), (200, -200)])
def test_what_hangs_over_a_side_is_cut_off(right, down):
    """A scene whose thing was moved looks like the moved picture of the scene."""
    scene = replace(arrange([("cat", "large", "center")], "pink"), difficulty="easy")
    thing = scene.objects[0]
    left, top, end, bottom = thing.box
    moved = replace(thing, box=(left + right, top + down, end + right, bottom + down))
    image, mask = render([replace(scene, objects=(moved,))], masks=True)
    (whole, solid), wide = render([scene], masks=True), 256
    pink = whole[0, :, :1, :1].expand(3, wide, wide).clone()
    shape = torch.zeros(wide, wide, dtype=torch.bool)
    rows, columns = (slice(max(96 + d, 0), max(96 + d, 0) + SIDE) for d in (down, right))
    if max(abs(right), abs(down)) <= SIDE:
        pink[:, rows, columns], shape[rows, columns] = whole[0], solid[0, 0]
    assert torch.equal(image[0], pink[:, 96:160, 96:160])
    assert torch.equal(mask[0, 0], shape[96:160, 96:160])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": 7}, "frames must be from 8 to 16, got 7"),
        ({"frames": 17}, "frames must be from 8 to 16, got 17"),
        ({"split": "all"}, "split must be one of train, val, test, compositional; got 'all'"),
        ({"start": -1}, "got n=2 scenes from start=-1"),
    ],
)
def test_wrong_arguments_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        make_clips(2, **given)


def test_no_clips():
    assert make_clips(0, masks=True).frames.shape == (0, 8, 3, 64, 64)
