"""The recipe of the judge of drawings: labels, what it reads, its training step."""

import torch

from mmcourse.datasets import BACKGROUNDS, SIZES, lexicon, make_scenes
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.encoders.scene_reader import SceneReader, SceneScores
from mmcourse.losses import IGNORED
from mmcourse.recipes.drawing import scene_reader
from mmcourse.recipes.engine.base import read_trained, write_trained


class Oracle(SceneReader):
    """Says what it was told."""

    def __init__(self, nouns, sizes, background):
        super().__init__((8, 8, 8), hidden=8)
        self.told = SceneScores(
            torch.nn.functional.one_hot(nouns, 65).float(),
            torch.nn.functional.one_hot(sizes.clamp(min=0), 3).float(),
            torch.nn.functional.one_hot(background, 8).float(),
        )

    def forward(self, images):
        return self.told


def test_labels_name_each_thing_at_its_place():
    scene = arrange([("dog", "small", "right"), ("cat", "large", "top left")], "pink")
    nouns, sizes, background = scene_reader.labels((scene,))
    names = [noun.name for noun in lexicon()]
    assert nouns[0].tolist() == [1 + names.index("cat"), 0, 0, 0, 0, 1 + names.index("dog"), 0, 0, 0]
    assert sizes[0, [0, 5]].tolist() == [list(SIZES).index("large"), list(SIZES).index("small")]
    assert (sizes[0, [1, 2, 3, 4, 6, 7, 8]] == IGNORED).all()
    assert background.tolist() == [list(BACKGROUNDS).index("pink")]


def test_reading_is_labeling_backwards():
    batch = make_scenes(40, split="val")
    read = Oracle(*scene_reader.labels(batch.scenes)).read(scene_reader.small_pictures(batch.images))
    for found, scene in zip(read, batch.scenes, strict=True):
        assert found.background == scene.background
        wanted = [(thing.noun, thing.size, thing.cell) for thing in scene.objects]
        assert sorted((thing.noun, thing.size, thing.cell) for thing in found.objects) == sorted(wanted)


def test_nothing_and_too_much_are_no_scene():
    nouns = torch.zeros(2, 9, dtype=torch.int64)
    nouns[1, :4] = 7
    read = Oracle(nouns, torch.zeros_like(nouns), torch.zeros(2, dtype=torch.int64)).read(torch.zeros(2, 3, 32, 32))
    assert read == [None, None]


def test_each_place_is_read_by_the_same_weights_from_a_window_of_its_own():
    torch.manual_seed(0)
    reader = SceneReader((8, 8, 8), hidden=8).eval()
    images = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    changed = images.clone()
    changed[..., :4, :4] = 20  # far in the corner
    with torch.no_grad():
        moved = (reader(images).nouns - reader(changed).nouns).abs().amax(dim=-1)[0]
    assert moved[0] > 1e-4
    assert moved[8] == 0


def test_batches_are_a_pure_function_of_the_step_and_a_file_gives_the_model_back(tmp_path):
    for first, second in zip(scene_reader.batches(3), scene_reader.batches(3), strict=True):
        assert torch.equal(first, second)
    made = scene_reader.train(steps=2, checkpoint=tmp_path / "run.pt")
    write_trained(tmp_path / "file.safetensors", scene_reader.RECIPE, made, steps=2)
    again = read_trained(tmp_path / "file.safetensors", scene_reader.RECIPE).model
    images = scene_reader.small_pictures(make_scenes(2).images)
    assert images.shape == (2, 3, 32, 32)
    torch.testing.assert_close(again(images).nouns, made.model.cpu().eval()(images).nouns, atol=0.02, rtol=0.02)
