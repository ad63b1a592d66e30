"""The captioner of clips: its two kinds of input, its eyes that stay as they are, and time, which it must see."""

import pytest
import torch

from mmcourse.attention import sinusoidal_positions
from mmcourse.datasets import clip_captions, make_clips
from mmcourse.models import VideoCaptioner, VideoCaptionerConfig
from mmcourse.models.picture_decoder import EYES
from mmcourse.pictures import centered
from mmcourse.recipes import captioner
from mmcourse.recipes.data.captions import CaptionBatch
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import fit

SMALL = {"width": 16, "seen": 8, "heads": 2, "decoder_depth": 1, "widths": (8, 16), "encoder_hidden": 16, "motion": 8}


def new(**options):
    torch.manual_seed(0)
    tokenizer = WordTokenizer.train([text for clip in make_clips(40).clips for text in clip_captions(clip)])
    return VideoCaptioner(VideoCaptionerConfig(**SMALL | {"time_hidden": 16} | options), tokenizer).eval()


@pytest.fixture(scope="module")
def model():
    return new()


@pytest.fixture(scope="module")
def clips():
    return make_clips(3, split="val").frames


@pytest.fixture(scope="module")
def tokens(model):
    return torch.tensor([model.tokenizer.encode("a cat moves", add_special=True)[:-1]] * 3)


def test_clips_and_their_memory_give_the_same_each_by_itself(model, clips, tokens):
    with torch.no_grad():
        wanted = model(clips, tokens)
        torch.testing.assert_close(model(model.over_time(clips), tokens), wanted)
        torch.testing.assert_close(model(clips[1:2], tokens[:1])[0], wanted[1], rtol=1e-4, atol=1e-5)


def test_squares_join_what_is_there_and_what_changes(model, clips, monkeypatch):
    """What goes into attention over time, computed once more for one square of one frame."""
    given = []
    monkeypatch.setattr(model.time, "forward", lambda x: given.append(x) or x)
    with torch.no_grad():
        model.over_time(clips)
        now, then = centered(clips[1, 3]), centered(clips[1, 4])
        moved = model.motion(torch.cat((now, then - now))[None])[0]  # (motion, 8, 8)
        shown = model.memory(clips[1, 3][None])[0].T.unflatten(1, (8, 8))  # (C, 8, 8)
        both = torch.cat((shown, moved))[:, 4:6, 6:8]  # third row and fourth column of 4 × 4 squares
        wanted = model.joined(both.flatten(1).T.flatten()) + sinusoidal_positions(8, 16)[3]
    torch.testing.assert_close(given[0][1, 3 * 16 + 2 * 4 + 3], wanted, rtol=1e-4, atol=1e-5)


def test_a_picture_that_lasts_begins_as_what_a_captioner_reads(clips):
    """Where nothing changes and nothing was learned yet, a square holds the mean of its patches, beside the time."""
    model = new(time_depth=0)
    torch.nn.init.zeros_(model.motion[-2].weight)
    torch.nn.init.zeros_(model.motion[-2].bias)
    with torch.no_grad():
        model.joined.weight.copy_(_only_known(model))
        still = model.over_time(clips[:1, :1])[0].unflatten(0, (8, 4, 4))
        patches = model.memory(clips[0, :1])[0].unflatten(0, (8, 8))
    wanted = patches.unflatten(0, (4, 2)).unflatten(2, (4, 2)).mean(dim=(1, 3)) + sinusoidal_positions(8, 16)[5]
    torch.testing.assert_close(still[5], model.time(wanted[None])[0], rtol=1e-4, atol=1e-4)


def _only_known(model):
    fresh = torch.eye(16) / 4
    return torch.cat((fresh, torch.zeros(16, model.config.motion)), dim=1).repeat(1, 4)


def test_the_order_of_frames_is_seen(model, clips):
    with torch.no_grad():
        forth, back = (model.over_time(each).mean(dim=1) for each in (clips, clips.flip(1)))
    assert (forth - back).abs().max() > 1e-3


def test_frames_are_chosen_evenly_from_clips_of_any_length(clips):
    model, long = new(frames=4), make_clips(2, split="val", frames=16).frames
    with torch.no_grad():
        torch.testing.assert_close(model.over_time(long), model.over_time(long[:, [0, 5, 10, 15]]))
        assert model.over_time(clips[:, :1]).shape == model.over_time(clips).shape == (3, 4 * 16, 16)


def test_the_eyes_stay_as_they_are(clips, tokens):
    model = new()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = CaptionBatch(clips, tokens, tokens)
    fit(model, captioner.loss, lambda step: batch, steps=3, description=None)
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"motion", "joined", "time", "embedding", "positions", "decoder"}
    model.train()
    assert not any(part.training for name in EYES for part in getattr(model, name).modules())


def test_sentences_come_from_clips_as_from_their_memory(model, clips):
    memory = model.watch(clips)
    assert not memory.requires_grad
    torch.testing.assert_close(memory, model.over_time(clips).detach(), rtol=1e-4, atol=1e-5)
    from_clips, from_memory = (model.generate(each, method="beam") for each in (clips, memory))
    assert [one.text for one in from_clips] == [one.text for one in from_memory]


def test_each_word_looks_at_places_in_frames(model, clips):
    words, maps = model.word_maps(clips[0], "a cat moves left")
    assert words == ["a", "cat", "moves", "left"]
    assert maps.shape == (4, 8, 4, 4)
    torch.testing.assert_close(maps.sum(dim=(1, 2, 3)), torch.ones(4))


def test_a_folder_gives_the_same_model_again(model, clips, tokens, tmp_path):
    model.save(tmp_path / "teller")
    again = VideoCaptioner.load(tmp_path / "teller")
    with torch.no_grad():
        assert torch.equal(again(clips, tokens), model(clips, tokens))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), "clips must be uint8"),
        (torch.zeros(2, 8, 3, 64, 64), "clips must be uint8"),
        (torch.zeros(2, 0, 3, 64, 64, dtype=torch.uint8), "clips must be uint8"),
        (torch.zeros(2, 8, 1, 64, 64, dtype=torch.uint8), "clips must be uint8"),
    ],
)
def test_what_is_no_clip_is_refused(model, clips, message):
    with pytest.raises(ValueError, match=message):
        model.generate(clips)


@pytest.mark.parametrize("options", [{"frames": 1}, {"merge": 0}])
def test_sizes_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="frames must be at least 2 and merge at least 1"):
        new(**options)
