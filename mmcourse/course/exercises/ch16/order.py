"""16-order: say which of two things moves first.

`moves_first(places, threshold)` of (B, T, 2, 2), where two things are in each frame, as (x, y), gives int64 (B,): 0 or
1, the thing that moves first, or −1 if both begin in the same frame or neither moves. A thing has moved in the first
frame in which it is more than `threshold` from where it was in frame 0, as the crow flies.
"""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def moves_first(places, threshold):
    far = (places - places[:, :1]).norm(dim=-1) > threshold
    begins = torch.where(far.any(dim=1), far.long().argmax(dim=1), far.shape[1])
    first = begins.argmin(dim=1)
    return torch.where(begins[:, 0] == begins[:, 1], -1, first)


_WAYS = torch.tensor([[3.0, 4.0], [4.0, 3.0], [5.0, 0.0], [0.0, 5.0]])  # all of length 5


def _begun(kind, frames, generator):
    """When each of the two begins, in frames; `frames` is never."""
    one, other = (1 + torch.randperm(frames - 2, generator=generator)[:2]).tolist()
    return {"both": (one, other), "same": (one, one), "first": (one, frames), "second": (frames, other)}.get(
        kind, (frames, frames)
    )


def _path(begin, frames, generator):
    """Trembles by 0 to 5 around its place, then goes off, slowly or quickly, and sometimes comes back at the end."""

    def one_of(choices):
        return choices[torch.randint(len(choices), (1,), generator=generator)]

    way = one_of(_WAYS) * _signs(2, generator)
    sizes = torch.tensor([0.0, 0.2, 0.6, 1.0])[torch.randint(4, (frames, 1), generator=generator)]
    path = (way * sizes * _signs(frames, generator)[:, None]).round()  # 5 away at most, which is not more
    path[0] = 0.0
    end = 1.5 + 2 * torch.rand(1, generator=generator)
    path[begin:] = way * (1.1 + (end - 1.1) * torch.arange(frames - begin)[:, None] / frames)
    if begin < frames - 1 and one_of(torch.tensor([True, False])):
        path[-1] = 0.0
    return path


def _signs(count, generator):
    return torch.randint(2, (count,), generator=generator) * 2.0 - 1


def _inputs(kinds, frames):
    """A clip of each kind, in any order, with a threshold of 5, which some reach and do not cross."""

    def inputs(generator):
        clips = []
        for place in torch.randperm(len(kinds), generator=generator).tolist():
            begins = _begun(kinds[place], frames, generator)
            home = torch.randint(10, 50, (2, 2), generator=generator).float()
            clips.append(home + torch.stack([_path(begin, frames, generator) for begin in begins], dim=1))
        return torch.stack(clips), 5.0

    return inputs


def _ordered(*, distance=None, far=None, begins=None, result=None):
    """The same with another distance, another comparison, another beginning, or another result of the beginnings."""

    def answer(places, threshold):
        moved = (places - places[:, :1]).norm(dim=-1) if distance is None else distance(places)
        beyond = moved > threshold if far is None else far(moved, threshold)
        at = _first(beyond) if begins is None else begins(beyond)
        return _winner(at) if result is None else result(at, moved)

    return answer


def _first(beyond):
    return torch.where(beyond.any(dim=1), beyond.long().argmax(dim=1), beyond.shape[1])


def _winner(begins):
    return torch.where(begins[:, 0] == begins[:, 1], -1, (begins[:, 1] < begins[:, 0]).long())


def _steps(places):
    """How far from the frame before; 0 in the first."""
    return torch.cat([places[:, :1] - places[:, :1], places.diff(dim=1)], dim=1).norm(dim=-1)


EXERCISE = Exercise(
    id="16-order",
    title="Which moves first",
    goal="say which of two things moves first",
    stars=2,
    minutes=10,
    points=2,
    reference=moves_first,
    nothing_ready="the library knows when things begin from how a clip was made, not from where they are seen",
    cases=(
        Case(name="one after the other, in twelve clips of nine frames", inputs=_inputs(["both"] * 12, 9)),
        Case(name="both in the same frame, in some of eight", inputs=_inputs(["both", "same"] * 4, 8)),
        Case(name="one of them never moves, in six of seven", inputs=_inputs(["first", "second"] * 3 + ["both"], 16)),
        Case(name="neither moves, in two of seven", inputs=_inputs(["neither"] * 2 + ["both"] * 5, 8)),
    ),
    mistakes=(
        Mistake(
            message="A thing that never moves is taken to begin in frame 0, as `argmax` says where nothing is True. It "
            "begins after all others: ask `any` first.",
            answer=_ordered(begins=lambda beyond: beyond.long().argmax(dim=1)),
        ),
        Mistake(
            message="Where both begin in the same frame, or neither does, one of them is named. Nobody was first: −1.",
            answer=_ordered(result=lambda begins, moved: begins.argmin(dim=1)),
        ),
        Mistake(
            message="Where one of the two never moves, −1 comes back. Then the other was first.",
            answer=_ordered(
                result=lambda begins, moved: _winner(begins).where((begins < moved.shape[1]).all(dim=1), -1)
            ),
        ),
        Mistake(
            message="The two are exchanged: this is the thing that moves last.",
            answer=_ordered(result=lambda begins, moved: torch.where(_winner(begins) < 0, -1, 1 - _winner(begins))),
        ),
        Mistake(
            message="Places are compared with the frame before, and a thing that goes back and forth seems to move. "
            "Compare with frame 0.",
            answer=_ordered(distance=_steps),
        ),
        Mistake(
            message="The distance is the sum over x and y. As the crow flies, it is the root of the sum of squares.",
            answer=_ordered(distance=lambda places: (places - places[:, :1]).abs().sum(dim=-1)),
        ),
        Mistake(
            message="The distance is the larger of x and y. As the crow flies, it is the root of the sum of squares.",
            answer=_ordered(distance=lambda places: (places - places[:, :1]).abs().amax(dim=-1)),
        ),
        Mistake(
            message="Only x is looked at. Things move up and down, too.",
            answer=_ordered(distance=lambda places: (places - places[:, :1])[..., 0].abs()),
        ),
        Mistake(
            message="The square of the distance is compared with the threshold. Take the root, or square both.",
            answer=_ordered(distance=lambda places: (places - places[:, :1]).square().sum(dim=-1)),
        ),
        Mistake(
            message="Places are compared with the threshold. How far they are from frame 0 counts.",
            answer=_ordered(distance=lambda places: places.norm(dim=-1)),
        ),
        Mistake(
            message="What is exactly at the threshold counts as moved. It must be more.",
            answer=_ordered(far=lambda moved, threshold: moved >= threshold),
        ),
        Mistake(
            message="The threshold is not used, so that the least tremble is a move.",
            answer=_ordered(far=lambda moved, threshold: moved > 0),
        ),
        Mistake(
            message="This is which of the two is farther from its place at the end. When it began was asked.",
            answer=_ordered(result=lambda begins, moved: moved[:, -1].argmax(dim=1)),
        ),
        Mistake(
            message="This is which of the two goes farther. When it began was asked.",
            answer=_ordered(result=lambda begins, moved: _winner(-moved.amax(dim=1))),
        ),
        Mistake(
            message="The last frame beyond the threshold is looked for. A thing begins in the first.",
            answer=_ordered(
                begins=lambda beyond: torch.where(
                    beyond.any(dim=1), beyond.shape[1] - 1 - beyond.flip(1).long().argmax(dim=1), beyond.shape[1]
                )
            ),
        ),
        Mistake(
            message="These are the frames in which both begin. Say which of the two is earlier.",
            answer=_ordered(result=lambda begins, moved: begins),
        ),
    ),
    hints=(
        "`(places - places[:, :1]).norm(dim=-1)` is how far each thing is from its first place, (B, T, 2).",
        "Of True and False as whole numbers, `argmax(dim=1)` gives the first that is True; where none is, it says 0, "
        "so put T there with `torch.where` and `any(dim=1)`.",
        "Both beginnings, (B, 2), are compared: equal ones give −1, else `argmin(dim=1)` is the answer.",
    ),
)
