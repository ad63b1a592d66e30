"""The recipe of the patch encoder: labels of cells, what counts in training, the file that comes with the course."""

import pytest
import torch
from torch.nn import functional as F

from mmcourse import recipes
from mmcourse.datasets import lexicon, make_scenes
from mmcourse.recipes import patches
from mmcourse.recipes.engine.base import read_trained, write_trained

NOTHING = len(lexicon())


def small():
    torch.manual_seed(0)
    return patches.build({"widths": [8, 16], "width": 12})[0].eval()


def test_cell_labels_equal_counting_pixels_one_by_one():
    batch = make_scenes(30, split="val", masks=True)
    labels = patches.cell_labels(batch).view(30, 8, 8)
    for scene, masks, found in zip(batch.scenes, batch.masks, labels, strict=True):
        for row in range(8):
            for column in range(8):
                cell = masks[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].sum(dim=(1, 2)).tolist()
                most = max(cell)
                names = {scene.objects[k].noun for k in range(len(scene.objects)) if cell[k] == most}
                expected = names if most >= 16 else {None}  # a quarter of 64 pixels
                label = int(found[row, column])
                assert (None if label == NOTHING else lexicon()[label].name) in expected
    assert (labels < NOTHING).any(2).any(1).all(), "an object that covers no cell"


def test_tokens_come_in_reading_order():
    """What changes in one cell changes the token of that cell most."""
    model = recipes.load_trained("patches").model
    images = torch.full((1, 3, 64, 64), 200, dtype=torch.uint8)
    changed = images.clone()
    changed[:, :, 8:16, 40:48] = 30  # row 1, column 5
    with torch.no_grad():
        moved = (model.tokens(changed) - model.tokens(images)).norm(dim=-1)[0]
    assert moved.argmax() == 8 + 5


def test_batches_are_a_pure_function_of_the_step():
    for first, second in zip(patches.batches(3), patches.batches(3), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(patches.batches(3)[0], patches.batches(4)[0])


def test_empty_cells_count_a_fifth():
    model = small()
    images, labels = (part[:8] for part in patches.batches(0))
    losses = F.cross_entropy(model(images).flatten(0, 1), labels.flatten(), reduction="none")
    weights = torch.where(labels.flatten() == NOTHING, 0.2, 1.0)
    torch.testing.assert_close(patches.loss(model, (images, labels)), (losses * weights).sum() / weights.sum())


def test_a_file_gives_the_model_back(tmp_path):
    made = patches.train(steps=2, checkpoint=tmp_path / "run.pt")
    write_trained(tmp_path / "patches.safetensors", patches.RECIPE, made, steps=2)
    again = read_trained(tmp_path / "patches.safetensors", patches.RECIPE).model
    images = make_scenes(2).images
    torch.testing.assert_close(again.tokens(images), made.model.cpu().eval().tokens(images), atol=0.02, rtol=0)


@pytest.mark.parametrize("split", ["test", "compositional"])
def test_the_bundled_encoder_names_objects_that_it_has_not_seen_in_training(split):
    trained = recipes.load_trained("patches")
    batch = make_scenes(300, split=split, masks=True)
    labels = patches.cell_labels(batch)
    with torch.no_grad():
        right = trained.model(batch.images).argmax(dim=-1) == labels
    assert right[labels < NOTHING].float().mean() > 0.95
    assert right[labels == NOTHING].float().mean() > 0.95
