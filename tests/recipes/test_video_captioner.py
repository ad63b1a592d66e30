"""The recipe of the captioner of clips: its sentences, its start as the captioner, and the bundled file."""

import torch

from mmcourse import recipes
from mmcourse.datasets import clip_caption_is_true, make_clips, sample_clips
from mmcourse.recipes import captioner, video_captioner
from mmcourse.recipes.engine import bundled


def test_the_sentences_tell_what_happens_and_are_true():
    told = [(clip, text) for clip in sample_clips(200) for text in video_captioner.happenings(clip)]
    assert all(clip_caption_is_true(clip, text) for clip, text in told)
    verbs = {"moves", "enters", "leaves", "grows", "shrinks", "turns", "stands"}
    assert all(verbs & set(text.split()) for _, text in told)


def test_all_words_are_known():
    known = set(recipes.load_trained("video-captioner").model.tokenizer.ids)
    for split in ("train", "compositional"):
        for clip in sample_clips(600, split=split, start=90_000):
            assert {word for text in video_captioner.happenings(clip) for word in text.split()} <= known


def test_a_batch_is_that_of_its_step():
    model, _ = video_captioner.untrained()
    batches = video_captioner.FreshClips(model.tokenizer, size=3, each=2)
    one, again, other = batches(5), batches(5), batches(6)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert one.images.shape == (3, 8, 3, 64, 64)
    assert len(one.inputs) == len(one.targets) == 6
    assert not torch.equal(one.images, other.images)


def test_it_begins_as_the_captioner_and_the_eyes_stay(tmp_path):
    writer = bundled.load(captioner.RECIPE).model
    made = video_captioner.train(steps=2, checkpoint=tmp_path / "run.pt")
    for name in ("cnn", "narrow", "encoder"):
        for key, value in getattr(writer, name).state_dict().items():
            assert torch.equal(getattr(made.model, name).state_dict()[key], value)
    begun, _ = video_captioner.untrained()
    cat = begun.embedding.weight[begun.tokenizer.ids["cat"]]
    assert torch.equal(cat, writer.embedding.weight[writer.tokenizer.ids["cat"]])
    assert not torch.equal(made.model.joined.weight, begun.joined.weight)  # but the rest learns


def test_the_bundled_model_says_what_happens_and_watches():
    model, batch = recipes.load_trained("video-captioner").model, make_clips(120, split="val", start=5_000)
    said = [caption.text for caption in model.generate(batch.frames, **video_captioner.LIKELIEST)]
    assert _true(batch.clips, said) >= 0.93
    assert _true(batch.clips[1:] + batch.clips[:1], said) <= 0.1
    told = {word for text in said for word in text.split()}
    assert {"moves", "enters", "leaves", "grows", "shrinks", "turns", "left", "right", "up", "down"} <= told
    assert bundled.read_manifest()["video-captioner"]["quality"]["value"] <= 0.03


def _true(clips, said):
    return sum(bool(clip_caption_is_true(*each)) for each in zip(clips, said, strict=True)) / len(said)
