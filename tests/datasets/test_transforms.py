"""Preprocessing beside timm and torchvision, and random changes of pictures that can be repeated."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import ResNet50_Weights, ViT_B_16_Weights
from torchvision.transforms.v2 import functional

from mmcourse.datasets import Preprocessing, augment, load_photos, square, transforms

LITE = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}
# Both round to whole colors while they resize, in their own ways: pictures of the world agree to one color of 255.
ONE_COLOR = 1.01 / 255


@pytest.fixture(scope="module")
def photos():
    """Wide, square and tall photographs; the tall ones are wide ones on their side."""
    every = [photo.image for photo in load_photos().values()]
    return every + [image.mT for image in every if image.shape[1] != image.shape[2]]


def pictures(*shape, seed=0):
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def colors_apart(x, y, std):
    """The largest difference of two preprocessed pictures, in colors from 0 to 1."""
    assert x.shape == y.shape
    assert x.dtype == y.dtype
    return ((x - y) * torch.tensor(std)[:, None, None]).abs().max().item()


@pytest.mark.parametrize(
    "size", [{"size": 224}, {"size": 118}, {"size": 240, "resize": 272}, {"size": 64, "resize": 64}]
)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_equals_timm(photos, size, interpolation):
    ours = Preprocessing(**size, **LITE, interpolation=interpolation)
    share = ours.size / size["resize"] if "resize" in size else 0.875
    theirs = create_transform(ours.size, interpolation=interpolation, crop_pct=share, **LITE)
    for image in photos:
        assert colors_apart(ours(image), theirs(pillow(image)), ours.std) <= ONE_COLOR
    tiny = pictures(3, 1, 1)
    assert colors_apart(ours(tiny), theirs(pillow(tiny)), ours.std) <= ONE_COLOR


@pytest.mark.parametrize("weights", [ResNet50_Weights.IMAGENET1K_V2, ViT_B_16_Weights.IMAGENET1K_V1])
@pytest.mark.parametrize("read", [pillow, lambda image: image], ids=["pillow", "tensor"])
def test_equals_torchvision(photos, weights, read):
    theirs = weights.transforms()
    sizes = {"size": theirs.crop_size[0], "resize": theirs.resize_size[0]}
    ours = Preprocessing(**sizes, mean=theirs.mean, std=theirs.std, interpolation=theirs.interpolation.value)
    for image in photos:
        assert colors_apart(ours(image), theirs(read(image)), ours.std) <= ONE_COLOR


def test_the_picture_is_scaled_in_the_middle_and_normalized():
    image = torch.zeros(3, 40, 80, dtype=torch.uint8)
    image[0, :, 20:60] = 255
    x = Preprocessing(size=40, resize=40, mean=(0.5, 0.25, 0), std=(0.5, 0.5, 0.25))(image)
    expected = torch.tensor([1.0, -0.5, 0.0])[:, None, None].expand(3, 40, 40)
    torch.testing.assert_close(x, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(2, 24),
    st.integers(0, 9),
    st.lists(st.integers(0, 2), max_size=2),
)
def test_any_size_and_number_of_pictures(height, width, size, more, batch):
    ours = Preprocessing(size=size, resize=size + more)
    images = pictures(*batch, 3, height, width)
    x = ours(images)
    assert x.shape == (*batch, 3, size, size)
    assert x.dtype == torch.float32
    assert ours.undo(x).dtype == torch.uint8
    if math.prod(batch):
        one = images.reshape(-1, 3, height, width)[-1]
        torch.testing.assert_close(x.reshape(-1, 3, size, size)[-1], ours(one))


def test_undo_gives_the_colors_back():
    images = pictures(2, 3, 32, 32)
    ours = Preprocessing(size=32, resize=32)
    assert torch.equal(ours.undo(ours(images)), images)
    assert ours.undo(ours(images).half()).sub(images.float()).abs().max() <= 1
    assert ours.undo(torch.full((3, 1, 1), 100.0)).tolist() == [[[255]]] * 3


def test_the_key_tells_everything_apart():
    changes = [
        {}, {"size": 192}, {"resize": 300}, {"mean": (0.485, 0.456, 0.4060001)}, {"std": (0.229, 0.224, 0.2250001)},
        {"interpolation": "bilinear"},
    ]  # fmt: skip
    assert len({Preprocessing(**change).key for change in changes}) == len(changes)
    assert Preprocessing().key == Preprocessing(resize=256).key, "the same work, asked for in two ways"
    listed = json.loads(json.dumps({"mean": Preprocessing().mean, "std": Preprocessing().std}))
    assert Preprocessing(**listed) == Preprocessing()
    assert Preprocessing(mean=(0, 0, 0)).key == Preprocessing(mean=(0.0, 0.0, 0.0)).key


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pictures(1, 40, 40), r"one channel is gray, repeat it"),
        (pictures(5, 4, 40, 40), r"four channels have transparency"),
        (pictures(5, 40, 40, 3), r"write images\.movedim\(-1, -3\)"),
        (pictures(5, 40, 40, 7), r"got torch\.uint8 \(5, 40, 40, 7\); choose three channels"),
        (pictures(40, 40), "the dimension of the colors is missing"),
        (pictures(3, 0, 40), "there is no pixel in it"),
        (torch.rand(3, 40, 40), r"got torch\.float32 .* \(images \* 255\)\.round\(\)"),
    ],
)
def test_pictures_that_are_none_are_refused(images, message):
    for work in (Preprocessing(), lambda x: augment(x, generator=torch.Generator())):
        with pytest.raises(ValueError, match=message) as caught:
            work(images)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 1}, "want 2 <= size <= resize, got size 1 and resize 1"),
        ({"size": 64, "resize": 63}, "size 64 and resize 63"),
        ({"std": (0.1, 0.0, 0.1)}, "std must be above 0"),
        ({"mean": (0.1, 0.1)}, "mean must have a number for red, green and blue"),
        ({"interpolation": "nearest"}, "'bicubic' or 'bilinear', got 'nearest'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**settings)


def changed(images, seed=0, **options):
    return augment(images, generator=torch.Generator().manual_seed(seed), **options)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 5),
    st.integers(1, 20),
    st.integers(1, 20),
    st.booleans(),
    st.sampled_from([0, 0.3]),
    st.sampled_from([0, 0.3]),
)
def test_a_generator_repeats_every_change(count, height, width, flip, crop, color):
    images = pictures(count, 3, height, width)
    before = images.clone()
    options = {"flip": flip, "crop": crop, "color": color}
    first = changed(images, **options)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(first, changed(images, **options))
    assert torch.equal(images, before), "the pictures that came in stay as they were"


def test_each_picture_is_changed_in_its_own_way():
    same = pictures(1, 3, 16, 16).expand(64, -1, -1, -1)
    for options in ({"color": 0}, {"crop": 0}):
        assert len(changed(same, flip=False, **options).flatten(1).unique(dim=0)) == 64
    assert not torch.equal(changed(same, seed=0), changed(same, seed=1))


def test_left_and_right_change_only_where_it_is_allowed():
    images = pictures(200, 3, 5, 7)
    assert torch.equal(changed(images, flip=False, crop=0, color=0), images)
    mirrored = changed(images, crop=0, color=0)
    turned = (mirrored != images).any(dim=(1, 2, 3))
    assert torch.equal(mirrored, torch.where(turned[:, None, None, None], images.flip(-1), images))
    assert 70 <= turned.sum() <= 130  # half of 200, give or take four standard deviations
    # A ramp from dark on the left to bright on the right shows the side under every other change.
    ramp = torch.linspace(40, 200, 32).to(torch.uint8).expand(200, 3, 32, 32)
    rises = lambda x: x[..., -1].float().mean(dim=(1, 2)) > x[..., 0].float().mean(dim=(1, 2))  # noqa: E731
    assert rises(changed(ramp, flip=False, crop=0.5, color=0.5)).all()
    assert 70 <= rises(changed(ramp, crop=0.5, color=0.5)).sum() <= 130


def test_switching_one_change_off_leaves_the_others():
    images = pictures(8, 3, 12, 12)
    flipped = changed(images, color=0, crop=0)
    assert torch.equal(changed(flipped, flip=False, crop=0), changed(images, crop=0))
    assert torch.equal(changed(flipped, flip=False, color=0), changed(images, color=0))


def test_colors_equal_torchvision():
    images = pictures(16, 3, 9, 9)
    ours = changed(images, flip=False, crop=0, color=0.4)
    draws = torch.rand(16, 7, generator=torch.Generator().manual_seed(0))
    for image, result, draw in zip(images, ours, draws, strict=True):
        expected = image.float() / 255
        for change, number in zip(("brightness", "contrast", "saturation"), draw[4:].tolist(), strict=True):
            expected = getattr(functional, f"adjust_{change}")(expected, 1 + 0.4 * (2 * number - 1))
        assert (result - expected * 255).abs().max() <= 0.51  # rounded once, at the end


def test_windows_equal_torchvision():
    """A window of 24 of 32 pixels that begins between none and eight from each side, stretched to 32 again."""
    from mmcourse.datasets.transforms import _crop

    image = pictures(1, 3, 32, 32).float()
    for left, top in [(0, 0), (8, 0), (3, 6)]:
        ours = _crop(image, torch.tensor([0.75]), torch.tensor([[left, top]]) / 8)
        expected = functional.resized_crop(image, top, left, 24, 24, [32, 32], antialias=False)
        inside = (..., slice(1, -1), slice(1, -1))  # at the rim torchvision forgets the pixels around the window
        torch.testing.assert_close(ours[inside], expected[inside], atol=1e-3, rtol=0)


def test_windows_lie_in_the_picture_and_are_large_enough():
    """Each pixel holds its own column: the first and the last that are still seen tell the window."""
    columns = torch.arange(101, dtype=torch.uint8).expand(300, 3, 101, 101)
    seen = changed(columns, flip=False, crop=0.4, color=0)
    width = seen[:, 0, 0, -1].float() - seen[:, 0, 0, 0].float() + 1
    assert 59 <= width.min() <= 65
    assert 97 <= width.max() <= 101
    assert seen[..., 0].min() == 0
    assert seen[..., -1].max() == 100


@pytest.mark.parametrize("options", [{"crop": 1}, {"crop": -0.1}, {"color": 1}, {"color": -0.1}])
def test_amounts_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be at least 0 and below 1"):
        changed(pictures(2, 3, 8, 8), **options)
    with pytest.raises(ValueError, match=r"a batch \(B, 3, H, W\)"):
        changed(pictures(3, 8, 8))


def test_between_the_centers_of_the_outer_pixels_no_border_is_needed():
    """As on mps, where older versions of torch know no border."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 9, 14, generator=generator)
    grid = 2.4 * torch.rand(4, 6, 7, 2, generator=generator) - 1.2
    border = torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    inside = transforms._between_centers(grid, x.shape[-2:])
    torch.testing.assert_close(torch.nn.functional.grid_sample(x, inside, align_corners=False), border)
    zeros = torch.nn.functional.grid_sample(x, grid, align_corners=False)
    assert (zeros - border).abs().max() > 0.1


class Largest(TorchDispatchMode):
    """Sees how many numbers the largest tensor has that is made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for value in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(value, torch.Tensor) and not value._is_view():
                self.numbers = max(self.numbers, value.numel())
        return made


@pytest.mark.parametrize("shape", [(20_000, 1), (1, 20_000), (3, 3_000)])
def test_memory_follows_what_is_read_and_not_the_picture(shape):
    image = pictures(1, 3, *shape)[0]
    with Largest() as largest:
        read = Preprocessing(size=64)(image)
    assert read.shape == (3, 64, 64)
    assert 64 * 64 * 3 <= largest.numbers <= 40 * 64 * 64 * 3


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(400, 10), (401, 10), (8, 900), (8, 901)])
def test_the_middle_of_a_long_strip_looks_as_if_the_whole_were_resized(monkeypatch, shape, interpolation):
    image = pictures(1, 3, *shape)[0]
    preprocess = Preprocessing(size=32, resize=40, interpolation=interpolation)
    read = preprocess(image)
    monkeypatch.setattr(transforms, "STRIP", 10_000)
    whole = preprocess(image)
    assert (read - whole).abs().max() < 0.02 * (whole.max() - whole.min())  # two colors of 255, from rounding


def test_a_large_picture_is_squeezed_in_parts_to_the_same_square(monkeypatch):
    image = pictures(1, 3, 900, 700)[0]
    whole = torch.nn.functional.interpolate(image[None].float(), (64, 64), mode="bilinear", antialias=True)[0]
    monkeypatch.setattr("mmcourse.pictures.ROOM", 50_000)
    with Largest() as largest:
        small = square(image, 64)
    assert (small.float() - whole).abs().max() <= 0.5 + 1e-3
    assert largest.numbers <= 900 * 64 * 3
