"""Text to image: velocities about sentences, guidance, drawing, and a folder to live in."""

import pytest
import torch

from mmcourse.flow import flow_matching_loss, sample
from mmcourse.models import Text2Image, Text2ImageConfig
from mmcourse.models.text2image import from_pixels, to_pixels
from mmcourse.models.text2image.unet import LATEST
from mmcourse.tokenizer import WordTokenizer

TEXTS = ["a red cat", "a dog", "a small cat at the left"]


@pytest.fixture(scope="module", params=[1, 2])
def model(request):
    torch.manual_seed(0)
    config = Text2ImageConfig(size=16, channels=16, width=32, depth=request.param)
    model = Text2Image(config, WordTokenizer.train(TEXTS)).eval()
    for part in model.unet.modules():  # what begins at zero would hide what comes before it
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=0.1)
    return model


def noise(count, seed=0):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def test_a_sentence_counts_alike_alone_and_beside_longer_ones(model):
    x, times = noise(3), torch.tensor([0.1, 0.5, 0.9])
    together = model(x, times, *model.tokenize(TEXTS))
    assert together.shape == x.shape
    for row, text in enumerate(TEXTS):
        alone = model(x[row : row + 1], times[row : row + 1], *model.tokenize([text]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_time_and_words_matter(model):
    x, words = noise(1).expand(2, -1, -1, -1), model.tokenize(["a dog", "a red"])
    same = torch.full((2,), 0.3)
    first, second = model(x, same, *words)
    assert (first - second).abs().max() > 1e-3
    first, second = model(x, torch.tensor([0.3, 0.4]), words.ids[:1].expand(2, -1), words.mask[:1].expand(2, -1))
    assert (first - second).abs().max() > 1e-3


@torch.no_grad()
def test_near_the_end_the_time_that_is_left_is_never_taken_to_be_shorter_than_a_twentieth(model):
    velocity, x = model.velocity(["a dog"]), noise(1)
    last = velocity(x, torch.tensor([1.0]))
    assert last.isfinite().all()
    goal = x + (1 - LATEST) * last
    assert goal.abs().max() < 3 * (x + 0.5 * velocity(x, torch.tensor([0.5]))).abs().max()


@torch.no_grad()
def test_guidance_is_a_line_through_without_and_with(model):
    x, times = noise(2), torch.tensor([0.2, 0.7])
    texts = ["a dog", "a red cat"]
    with_words = model.velocity(texts)(x, times)
    without = model.velocity(["", ""])(x, times)
    torch.testing.assert_close(model.velocity(texts, guidance=0)(x, times), without, atol=1e-4, rtol=1e-4)
    stronger = model.velocity(texts, guidance=2.5)(x, times)
    torch.testing.assert_close(stronger, without + 2.5 * (with_words - without), atol=1e-3, rtol=1e-3)


def test_drawing_is_following_the_velocity(model):
    states = list(model.drawing(["a dog", "a red cat"], steps=3, guidance=2.0, generator=seeded()))
    assert len(states) == 4
    assert states[0].dtype == torch.uint8
    with torch.no_grad():
        end = sample(model.velocity(["a dog", "a red cat"], guidance=2.0), noise(2), steps=3)
    assert torch.equal(states[-1], to_pixels(end))


def test_the_seed_decides_and_parts_do_not(model):
    options = {"steps": 2, "guidance": 2.0}
    drawn = model.draw(TEXTS, generator=seeded(), **options)
    assert drawn.shape == (3, 3, 16, 16)
    assert torch.equal(drawn, model.draw(TEXTS, generator=seeded(), **options))
    assert not torch.equal(drawn, model.draw(TEXTS, generator=seeded(1), **options))
    parts = model.draw(TEXTS, batch_size=2, generator=seeded(), **options)
    assert (parts.int() - drawn.int()).abs().max() <= 1  # rounding
    assert model.draw([]).shape == (0, 3, 16, 16)


def test_a_folder_brings_the_same_model_back(model, tmp_path):
    model.save(tmp_path)
    again = Text2Image.load(tmp_path)
    first, second = (each.draw(TEXTS, steps=2, generator=seeded()) for each in (model, again))
    assert torch.equal(first, second)


def test_it_learns():
    torch.manual_seed(0)
    model = Text2Image(Text2ImageConfig(size=16, channels=16, width=32), WordTokenizer.train(TEXTS))
    colors = (
        torch.tensor([[-1.0, 1.0, 0.0], [1.0, -0.5, 0.5]])[:, :, None, None].expand(-1, -1, 16, 16).repeat(8, 1, 1, 1)
    )
    words = model.tokenize(["a dog", "a red cat"] * 8)
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(150):
        loss = flow_matching_loss(lambda x, times: model(x, times, *words), colors, generator=seeded(len(losses)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.25 * sum(losses[:10])
    drawn = model.draw(["a dog", "a red cat"], steps=10, guidance=1.0, generator=seeded())
    means = from_pixels(drawn, 1)[:, :, 0, 0]
    assert (means - colors[:2, :, 0, 0]).abs().max() < 0.35


def test_pixels_there_and_back():
    images = torch.arange(0, 256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    assert torch.equal(to_pixels(from_pixels(images, 16)), images)
    assert from_pixels(images, 4).shape == (1, 3, 4, 4)
    assert to_pixels(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_what_does_not_fit_is_named(model):
    tokenizer = model.tokenizer
    assert model.unknown_words("a purple cat at the zoo") == ["purple", "zoo"]
    with pytest.raises(ValueError, match="at most 14 words"):
        model.tokenize(["a dog", "a cat " * 10])
    for wrong in ({"size": 30}, {"channels": 20}, {"width": 36}):
        with pytest.raises(ValueError, match="size must be a multiple of 4, channels and width of 8"):
            Text2Image(Text2ImageConfig(**wrong), tokenizer)
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        Text2Image(Text2ImageConfig(depth=0), tokenizer)
    with pytest.raises(ValueError, match="<pad>"):
        Text2Image(Text2ImageConfig(), WordTokenizer(["<unk>", "a"], special_tokens=("<unk>",)))
