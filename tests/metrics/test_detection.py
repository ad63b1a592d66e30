"""Detections: overlaps equal torchvision's, average precision equals a slow reference and cases done by hand."""

import doctest
import sys

import pytest
import torch
import torchvision
from scipy import ndimage

from mmcourse.metrics import Detection, blobs, box_iou, detection


def boxes(count, seed):
    corners = 40 * torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed))
    return torch.cat((corners.amin(dim=1), corners.amax(dim=1)), dim=1)


def test_the_examples_run():
    assert doctest.testmod(sys.modules["mmcourse.metrics.detection"]) == (0, 4)


def test_overlaps_equal_torchvision_s():
    one, other = boxes(30, 0), boxes(20, 1)
    torch.testing.assert_close(box_iou(one[:, None], other), torchvision.ops.box_iou(one, other))
    assert box_iou(torch.zeros(4), torch.zeros(4)) == 0


WHOLE = torch.tensor([0.0, 0.0, 8.0, 8.0])
HALF, THIRD = torch.tensor([0.0, 0.0, 8.0, 4.0]), torch.tensor([0.0, 0.0, 8.0, 8 / 3])


@pytest.mark.parametrize(
    ("found", "mean_iou", "precision"),
    [
        ([(0.9, "cat", WHOLE), (0.8, "dog", WHOLE)], 1, 1),
        ([(0.9, "cat", HALF), (0.8, "dog", HALF)], 0.5, 1),  # just enough
        ([(0.9, "cat", THIRD), (0.8, "dog", WHOLE)], 2 / 3, 0.25),  # the first is wrong, the second right: 1/2 of 2
        ([(0.9, "cat", WHOLE), (0.8, "cat", WHOLE), (0.7, "dog", WHOLE)], 1, (1 + 2 / 3) / 2),  # claimed already
        ([(0.9, "cat", WHOLE), (0.1, "pig", WHOLE)], 0.5, 0.5),
        ([(0.9, "dog", HALF), (0.1, "dog", WHOLE)], 0.5, 0.5),  # the surer one claims it, the better one counts
        ([], 0, 0),
    ],
)
def test_cases_done_by_hand(found, mean_iou, precision):
    there = [[("cat", WHOLE), ("dog", WHOLE)]]
    scores = detection([[Detection(*each) for each in found]], there)
    assert scores.mean_iou == pytest.approx(mean_iou)
    assert scores.average_precision == pytest.approx(precision)


def slow(found, there, limit):
    """One pass over all detections for each of them, with no table."""
    free = [dict(enumerate(objects)) for objects in there]
    flat = [(each, picture) for picture, rows in enumerate(found) for each in rows]
    area, right = 0.0, 0
    for seen, (each, picture) in enumerate(sorted(flat, key=lambda pair: -pair[0].confidence), start=1):
        fitting = {
            key: torchvision.ops.box_iou(each.box[None], box[None]).item()
            for key, (label, box) in free[picture].items()
            if label == each.label
        }
        best = max(fitting, key=fitting.get, default=None)
        if best is not None and fitting[best] >= limit:
            del free[picture][best]
            right += 1
            area += right / seen
    return area / sum(map(len, there))


@pytest.mark.parametrize("limit", [0.2, 0.5])
def test_it_equals_a_slow_reference(limit):
    dice = torch.Generator().manual_seed(2)
    there = [[(k % 2, box) for k, box in enumerate(boxes(3, seed))] for seed in range(12)]
    there.append([])
    found = [
        [
            Detection(torch.rand((), generator=dice).item(), int(torch.randint(2, (), generator=dice)), box + shift)
            for box in boxes(3, seed)
            for shift in (0, 4)
        ]
        for seed in range(13)
    ]
    scores = detection(found, there, limit=limit)
    assert 0.05 < scores.average_precision == pytest.approx(slow(found, there, limit))


def test_what_does_not_fit_is_refused_in_one_sentence():
    for found, there, limit, message in (
        ([[]], [[], []], 0.5, "found and there must be lists"),
        ([[]], [[]], 0.5, "with objects"),
        ([[]], [[("cat", WHOLE)]], 0, "limit must be above 0 and at most 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            detection(found, there, limit=limit)
    with pytest.raises(ValueError, match=r"a grid \(rows, columns\), got \(4,\)"):
        blobs(torch.zeros(4), empty=0)


def test_blobs_are_the_connected_parts_that_scipy_finds():
    for seed in range(20):
        grid = torch.randint(4, (8, 9), generator=torch.Generator().manual_seed(seed))
        found = blobs(grid, empty=3)
        wanted = set()
        for label in range(3):
            parts, count = ndimage.label((grid == label).numpy())
            for part in range(1, count + 1):
                wanted.add((label, tuple(map(tuple, torch.tensor(parts == part).nonzero().tolist()))))
        assert {(label, tuple(map(tuple, cells.tolist()))) for label, cells in found} == wanted
        firsts = [tuple(cells[0].tolist()) for _, cells in found]
        assert firsts == sorted(firsts)
        assert all(cells.tolist() == sorted(cells.tolist()) for _, cells in found)
