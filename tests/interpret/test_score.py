"""Scores of maps: by hand on small ones, against slow loops, and on scenes whose objects can be taken away."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from mmcourse.datasets import make_scenes, removals
from mmcourse.interpret import (
    Causal,
    causal,
    center_map,
    deletion,
    effects,
    insertion,
    mass_inside,
    object_mass,
    occlusion,
    pointing,
    random_map,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mask_of(*shape, seed=0):
    return draw(*shape, seed=seed) > 0


# Where the object is.


def test_pointing_by_hand():
    masks = torch.tensor([[[True, False], [False, False]]]).expand(4, 2, 2)
    maps = torch.tensor(
        [[[3.0, 2], [1, 0]], [[0, 2.0], [1, 0]], [[-1.0, -2], [-3, -4]], [[3.0, 3], [1, 0]]]
    )  # a hit, a miss, a hit below zero, and a tie with a place outside
    assert pointing(maps, masks).tolist() == [1, 0, 1, 0.5]


def test_a_tie_inside_is_a_hit_and_a_flat_map_gets_what_chance_would():
    masks = torch.tensor([[[True, True, False, False, False]]] * 2)
    found = pointing(torch.tensor([[[1.0, 1, 0, 0, 0]], [[1.0, 1, 1, 1, 1]]]), masks)
    torch.testing.assert_close(found, torch.tensor([1, 0.4]))


def test_a_cell_lies_inside_by_its_covered_share():
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 0, :2] = True  # half of the first cell of four
    maps = torch.tensor([[[1.0, 0], [0, 0]]])
    for share, hit in ((0.25, 1), (0.5, 1), (0.51, 0)):
        assert pointing(maps, masks, share=share).tolist() == [hit]
    assert mass_inside(maps, masks).item() == 0.5
    assert object_mass(maps, masks[:, None]).item() == 2  # pixels


def test_mass_inside_equals_a_slow_loop_and_knows_the_flat_map():
    maps, masks = draw(3, 5, 7), mask_of(3, 5, 7, seed=1)
    for sample, found in enumerate(mass_inside(maps, masks)):
        inside = total = 0.0
        for row in range(5):
            for column in range(7):
                value = max(maps[sample, row, column].item(), 0)
                total += value
                inside += value if masks[sample, row, column] else 0
        assert found.item() == pytest.approx(inside / total, rel=1e-5)
    flat = mass_inside(torch.ones(3, 5, 7), masks)
    torch.testing.assert_close(flat, masks.flatten(1).float().mean(dim=1))
    assert mass_inside(-torch.ones(3, 5, 7), masks).tolist() == [0, 0, 0]


# What removing pixels does.


def test_curves_equal_a_slow_loop():
    images, maps = draw(2, 3, 4, 5), draw(2, 4, 5, seed=1)
    base = draw(3, 4, 5, seed=2)

    def score(images):
        return images.square().sum(dim=(1, 2, 3)).sin()

    deleted = deletion(score, images, maps, baseline=base, steps=20)
    inserted = insertion(score, images, maps, baseline=base, steps=20)
    for sample in range(2):
        down, up = images[sample].clone(), base.clone()
        first, second = [score(down[None]).item()], [score(up[None]).item()]
        for place in sorted(range(20), key=lambda place: -maps[sample].flatten()[place].item()):
            row, column = divmod(place, 5)
            down[:, row, column] = base[:, row, column]
            up[:, row, column] = images[sample, :, row, column]
            first.append(score(down[None]).item())
            second.append(score(up[None]).item())
        for curve, wanted in ((deleted, first), (inserted, second)):
            torch.testing.assert_close(curve.scores[sample], torch.tensor(wanted))
            area = sum((a + b) / 2 for a, b in pairwise(wanted)) / 20
            assert curve.area[sample].item() == pytest.approx(area, abs=1e-5)


def test_steps_that_do_not_divide_the_pixels_still_end_at_the_end():
    images = torch.ones(1, 1, 1, 7)
    curve = deletion(lambda images: images.mean(dim=(1, 2, 3)), images, draw(1, 1, 7), steps=3)
    torch.testing.assert_close(curve.scores, torch.tensor([[7.0, 5, 2, 0]]) / 7)
    assert curve.area.item() == pytest.approx(0.5)  # the share that is left, at any steps


def test_no_order_beats_the_true_one():
    """Of a sum of pixels the pixels themselves are the best map: deletion is never lower, insertion never higher."""
    images = draw(4, 1, 6, 6)

    def score(images):
        return images.sum(dim=(1, 2, 3))

    best = [curve(score, images, images[:, 0], steps=36).area for curve in (deletion, insertion)]
    assert (best[0] < best[1]).all()
    for seed in range(5):
        other = random_map(images, generator=torch.Generator().manual_seed(seed))
        assert (deletion(score, images, other, steps=36).area > best[0]).all()
        assert (insertion(score, images, other, steps=36).area < best[1]).all()
    worst = deletion(score, images, -images[:, 0], steps=36).area
    torch.testing.assert_close(worst, best[1])  # taking the best away last is bringing it back first, told backwards


# What removing objects does.


@pytest.fixture(scope="module")
def scenes():
    """Scenes as floats from −1 to 1, and the same without each of their objects."""
    batch = make_scenes(24, masks=True)
    return batch, batch.images.float() / 127.5 - 1, removals(batch.scenes).float() / 127.5 - 1


def weighted(masks):
    """A score that depends on objects by known weights, one after the other, and on nothing else."""
    weights = torch.tensor([3.0, -1.0, 2.0])

    def score(images):
        darker = (1 - images).mean(dim=1)  # the drawings are not white
        return (darker[:, None] * masks * weights[:, None, None]).sum(dim=(1, 2, 3))

    return score


def test_effects_equal_a_loop(scenes):
    _, images, removed = scenes
    kernel = draw(3, 64, 64)

    def score(images):
        return (images * kernel).sum(dim=(1, 2, 3)).tanh()

    found = effects(score, images, removed)
    for i in range(len(images)):
        for k in range(3):
            wanted = score(images[i : i + 1]) - score(removed[i, k][None])
            torch.testing.assert_close(found[i, k], wanted[0], atol=1e-5, rtol=1e-5)


def test_an_object_that_is_not_there_has_no_effect(scenes):
    batch, images, removed = scenes
    found = effects(lambda images: images.mean(dim=(1, 2, 3)), images, removed)
    for scene, row in zip(batch.scenes, found, strict=True):
        assert not row[len(scene.objects) :].any()
        assert row[: len(scene.objects)].all()


def test_the_map_that_says_what_each_object_did_is_right_and_its_opposite_wrong(scenes):
    batch, images, removed = scenes
    true = effects(weighted(batch.masks), images, removed)
    area = batch.masks.sum(dim=(2, 3)).clamp(min=1)
    maps = (batch.masks * (true / area)[..., None, None]).sum(dim=1)  # each effect, spread over its object
    there = torch.tensor([len(scene.objects) for scene in batch.scenes])
    for sign in (1, -1):
        found = causal(sign * maps, batch.masks, true)
        torch.testing.assert_close(found.mass, sign * true * batch.masks.flatten(2).any(dim=2), atol=1e-2, rtol=1e-4)
        assert torch.equal(found.spearman.isnan(), there == 1)
        torch.testing.assert_close(found.spearman[there > 1], torch.full((int((there > 1).sum()),), float(sign)))
        torch.testing.assert_close(found.cosine, torch.full((24,), float(sign)))


def test_occlusion_is_nearer_to_the_truth_than_maps_that_know_nothing(scenes):
    batch, images, removed = scenes
    score = weighted(batch.masks)
    true = effects(score, images, removed)
    maps = {
        "occlusion": occlusion(score, images, size=8, baseline=1.0),
        "center": center_map(images),
        "random": random_map(images, generator=torch.Generator().manual_seed(0)),
    }
    found = {name: causal(each, batch.masks, true) for name, each in maps.items()}
    ranks = {name: each.spearman.nanmean() for name, each in found.items()}
    cosines = {name: each.cosine.mean() for name, each in found.items()}
    assert ranks["occlusion"] > 0.8 > max(ranks["center"], ranks["random"])
    assert cosines["occlusion"] > 0.95 > max(cosines["center"], cosines["random"])


def test_causal_by_hand():
    masks = torch.eye(4, dtype=torch.bool).view(1, 4, 2, 2)[:, :3]  # three objects of a pixel, and one pixel of none
    maps = torch.tensor([[[1.0, 2.0], [3.0, 100.0]]])
    found = causal(maps, masks, torch.tensor([[1.0, 5.0, 4.0]]))
    assert isinstance(found, Causal)
    assert found.mass.tolist() == [[1, 2, 3]]
    assert found.spearman.item() == pytest.approx(0.5)  # ranks 1 2 3 against 1 3 2
    assert found.cosine.item() == pytest.approx(23 / (14 * 42) ** 0.5)


def test_objects_that_are_not_there_do_not_count():
    masks = torch.eye(4, dtype=torch.bool).view(1, 4, 2, 2).clone()
    masks[0, 3] = False
    maps, true = draw(1, 2, 2), torch.tensor([[1.0, 5.0, 4.0, -50.0]])
    whole, cut = causal(maps, masks, true), causal(maps, masks[:, :3], true[:, :3])
    assert torch.equal(whole.spearman, cut.spearman)
    torch.testing.assert_close(whole.cosine, cut.cosine)


def test_mass_does_not_hang_on_how_finely_a_map_is_drawn():
    maps, masks = draw(2, 4, 4), mask_of(2, 3, 16, 16, seed=1)
    fine = F.interpolate(maps[:, None], scale_factor=4, mode="nearest")[:, 0]
    torch.testing.assert_close(object_mass(maps, masks), object_mass(fine, masks))
    torch.testing.assert_close(mass_inside(maps, masks[:, 0]), mass_inside(fine, masks[:, 0]))


# What cannot be scored.

MAPS, MASKS = torch.rand(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool)
HALF_EMPTY = torch.stack((torch.ones(4, 4), torch.zeros(4, 4))).bool()
NAN = torch.full((2, 4, 4), torch.nan)
IMAGES = torch.zeros(2, 3, 4, 4)


def total(images):
    return images.sum(dim=(1, 2, 3))


@pytest.mark.parametrize("measure", [pointing, mass_inside])
@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (MAPS, HALF_EMPTY, "masks must mark something in each sample, that of sample 1 is empty"),
        (NAN, MASKS, r"maps must be float \(B, h, w\) without NaN"),
        (MAPS[0], MASKS, r"maps must be float \(B, h, w\).*got torch.float32 \(4, 4\)"),
        (MAPS, MASKS.float(), r"masks must be bool \(B, H, W\).*got torch.float32"),
        (MAPS, MASKS[:1], r"one for each map.*got torch.bool \(1, 4, 4\) for maps \(2, 4, 4\)"),
        (MAPS, MASKS[:, :2], "at least its size"),
        (MAPS, MASKS[:, None], r"\(2, 1, 4, 4\)"),
    ],
)
def test_what_does_not_fit_is_named(measure, maps, masks, message):
    with pytest.raises(ValueError, match=message):
        measure(maps, masks)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deletion(total, IMAGES, MAPS[:, :2]), r"maps must be \(B, H, W\) = \(2, 4, 4\).*got \(2, 2, 4\)"),
        (lambda: insertion(total, IMAGES, NAN), "without NaN"),
        (lambda: deletion(total, IMAGES, MAPS, steps=17), "steps must be from 1 to 16, the number of pixels, got 17"),
        (lambda: insertion(total, IMAGES, MAPS, steps=0), "steps must be from 1 to 16, the number of pixels, got 0"),
        (lambda: deletion(total, IMAGES.byte(), MAPS), "images must be float"),
        (lambda: deletion(torch.sum, IMAGES, MAPS, steps=4), "score must give one float for each sample"),
        (lambda: effects(total, IMAGES, IMAGES), r"removed must be .* \(B, N, C, H, W\) .* got torch.float32 \(2, 3"),
        (lambda: effects(total, IMAGES, IMAGES[:, None].byte()), r"removed must be torch.float32.*got torch.uint8"),
        (lambda: object_mass(MAPS, MASKS), r"masks must be bool \(B, N, H, W\)"),
        (lambda: causal(MAPS, MASKS[:, None], torch.ones(2)), r"true must be .* = \(2, 1\).*got \(2,\)"),
        (lambda: causal(MAPS, MASKS[:, None], torch.full((2, 1), torch.inf)), "true must be finite"),
        (
            lambda: causal(MAPS, HALF_EMPTY[:, None], torch.ones(2, 1)),
            "masks must mark an object in each sample, all of sample 1 are empty",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
