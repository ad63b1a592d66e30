"""The recipe that draws: its scenes and sentences, its loss, and the judge."""

import doctest
import math

import pytest
import torch

from mmcourse.datasets import caption_is_true, captions, make_scenes
from mmcourse.datasets.scenes import UnparseableError
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.flow import flow_matching_loss
from mmcourse.models import Text2ImageConfig
from mmcourse.recipes.data.worlds import scene_tokenizer
from mmcourse.recipes.drawing import text2image
from mmcourse.recipes.drawing.text2image import Drawings, clauses, in_full, judge, simple_scenes


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return text2image.Text2Image(Text2ImageConfig(channels=16, width=32), scene_tokenizer())


class Reads:
    """A reader that finds the scenes it was given."""

    def __init__(self, scenes):
        self.scenes = scenes

    def read(self, images):
        return self.scenes


def test_scenes_have_one_thing_and_their_sentences_say_everything():
    for scene in simple_scenes(300):
        (thing,) = scene.objects
        text = in_full(scene)
        assert text == captions(scene)[4]
        assert caption_is_true(scene, text)
        for changed in (text.replace(thing.position, "center"), text.replace(scene.background, "gray")):
            assert changed == text or not caption_is_true(scene, changed)


def test_only_sentences_of_the_world_have_clauses():
    joined = "a large cat at the left and a small dog at the right on a pink background"
    assert len(clauses(joined)) == 2
    assert clauses("two cats and a dog on a pink background") == ["two cats and a dog on a pink background"]
    with pytest.raises(UnparseableError):
        clauses("a large cat and at the left")
    assert doctest.testmod(text2image) == (0, 2)


def test_batches_are_full_and_a_pure_function_of_the_step(model):
    batches = Drawings(model)
    for first, second in zip(batches(5), batches(5), strict=True):
        assert torch.equal(first, second)
    batch = batches(6)
    assert len(batch.images) == text2image.BATCH
    assert not torch.equal(batch.images, batches(5).images)
    assert batch.images.min() >= -1
    assert batch.images.max() <= 1
    lengths = torch.cat([batches(step).mask.sum(dim=1) for step in range(40)])
    assert 0.05 < (lengths == 2).double().mean() < 0.15  # of "" only the beginning and the end are there


def test_given_scenes_are_drawn_again_and_again(model):
    scenes = simple_scenes(60)[:5]
    batches = Drawings(model, scenes=scenes, size=4, dropped=0.0)
    assert torch.equal(batches(3).images, batches(3).images)
    seen = torch.cat([batches(step).images for step in range(20)]).unique(dim=0)
    assert len(seen) == 5
    assert (batches(0).mask.sum(dim=1) > 2).all()


def test_the_loss_is_that_of_the_goal(model):
    """Where the velocity leads by the end, against the picture; with a network that says 0, what is left of the way."""
    batch = Drawings(model, size=8)(0)
    still = lambda x, times, tokens, mask: torch.zeros_like(x)  # noqa: E731
    t = batch.times[:, None, None, None]
    wanted = ((1 - t) * (batch.images - batch.noise)).square().mean()
    torch.testing.assert_close(text2image.loss(still, batch), wanted)
    right = lambda x, times, tokens, mask: batch.images - batch.noise  # noqa: E731
    assert text2image.loss(right, batch) == 0
    assert flow_matching_loss(lambda x, times: torch.zeros_like(x), batch.images) > 0


def test_it_is_judged_by_what_is_read():
    asked = ["a cat left of a dog"] * 2 + ["a small cat on a pink background", "two cats on a gray background"]
    drawn = [
        arrange([("cat", "small", "left"), ("dog", "large", "right")]),
        arrange([("dog", "small", "left"), ("cat", "large", "right")]),  # all there, the wrong way round
        arrange([("cat", "large", "left")], "pink"),
        arrange([("cat", "large", "left")], "gray"),  # one of two
    ]
    found = judge(Reads(drawn), torch.zeros(4, 3, 32, 32), asked)
    assert found == pytest.approx((5 / 6, math.nan, 1.0, 1 / 4), nan_ok=True)
    assert judge(Reads([None] * 4), torch.zeros(4, 3, 32, 32), asked)[2:] == (0, 0)
    asked = ["a large cat at the left", "a large cat at the right"]
    assert judge(Reads([drawn[3]] * 2), torch.zeros(2, 3, 32, 32), asked).placed == 0.5
    both = ["a small cat at the left and a small dog at the right on a pink background"]
    half = Reads([arrange([("cat", "small", "left"), ("dog", "small", "top")], "pink")])
    assert judge(half, torch.zeros(1, 3, 32, 32), both) == (1.0, 0.5, 1.0, 0.0)
    assert judge(Reads([arrange([("cat", "small", "left")])]), torch.zeros(1, 3, 32, 32), asked[:1]).placed == 1.0
    with pytest.raises(ValueError, match="4 pictures and 1 texts"):
        judge(Reads(drawn), torch.zeros(4, 3, 32, 32), asked[:1])


def test_a_scene_makes_its_own_sentences_true():
    batch = make_scenes(50, split="val")
    texts = [captions(scene)[row % 5] for row, scene in enumerate(batch.scenes)]
    assert judge(Reads(list(batch.scenes)), batch.images, texts) == (1, 1, 1, 1)


def test_two_steps_of_training(tmp_path):
    made = text2image.train(steps=2, checkpoint=tmp_path / "run.pt")
    assert made.model.draw(["a cat on a pink background"], steps=2).shape == (1, 3, 32, 32)
