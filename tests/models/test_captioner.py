"""The captioner: several captions of a picture at once, generation that does not depend on how, and attention."""

import json
from dataclasses import replace

import pytest
import torch

from mmcourse.attention import record
from mmcourse.datasets import captions, chinese_captions, make_scenes, square
from mmcourse.models import Captioner, CaptionerConfig
from mmcourse.recipes import load_trained
from mmcourse.recipes.captioner import align, loss, pointing
from mmcourse.recipes.data.captions import Drawn, FreshScenes
from mmcourse.recipes.data.worlds import scene_texts
from mmcourse.tokenizer import CharacterTokenizer, WordTokenizer
from mmcourse.train import fit

SMALL = CaptionerConfig(width=32, seen=16, heads=2, decoder_depth=2, encoder_hidden=32, widths=(8, 16))


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer.train(scene_texts(0, 3000))


@pytest.fixture(scope="module")
def small(tokenizer, images):
    """A model that knows one caption of each picture by heart, so that sentences differ, and in length."""
    torch.manual_seed(0)
    model = Captioner(SMALL, tokenizer)
    sentences = [captions(scene)[i % 5] for i, scene in enumerate(make_scenes(24, split="val").scenes)]
    batches = Drawn(tokenizer, images, sentences, torch.arange(24), size=24, longest=16)
    fit(model, loss, batches, steps=150, learning_rate=5e-3, description=None)
    return model.eval()


def wild(tokenizer, seed):
    """A model that knows nothing and is sure of it: logits are far apart."""
    torch.manual_seed(seed)
    model = Captioner(SMALL, tokenizer)
    torch.nn.init.normal_(model.embedding.weight, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def images():
    return make_scenes(24, split="val").images


def ids(captions):
    return [caption.tokens for caption in captions]


# What it computes


def test_captions_side_by_side_are_as_if_each_were_alone(small, images, tokenizer):
    scenes = make_scenes(3, split="val").scenes
    batch = tokenizer.encode_batch([text for i in range(3) for text in make_scenes(3, split="val").captions(i)])
    tokens = torch.cat([torch.full((15, 1), tokenizer.bos_id), batch.ids], dim=1)
    assert len(scenes) == 3
    together = small(images[:3], tokens)
    for row in range(15):
        alone = small(images[row // 5, None], tokens[row, None])
        torch.testing.assert_close(together[row, None], alone, atol=1e-4, rtol=1e-4)


def test_a_token_does_not_see_those_after_it_nor_another_caption(small, images, tokenizer):
    tokens = torch.randint(4, len(tokenizer), (4, 8), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 5] = (tokens[0, 5] + 1 - 4) % (len(tokenizer) - 4) + 4
    before, after = small(images[:2], tokens), small(images[:2], changed)
    torch.testing.assert_close(before[0, :5], after[0, :5], atol=1e-5, rtol=0)
    torch.testing.assert_close(before[1:], after[1:], atol=1e-5, rtol=0)
    assert not torch.allclose(before[0, 5:], after[0, 5:], atol=1e-3)


def test_memory_stands_for_pictures_and_depends_on_them(small, images):
    tokens = torch.full((2, 1), small.tokenizer.bos_id)
    torch.testing.assert_close(small(small.memory(images[:2]), tokens), small(images[:2], tokens))
    assert not torch.allclose(small(images[:2], tokens), small(images[2:4], tokens), atol=1e-3)


def test_patches_know_where_they_are(small):
    """A plain picture looks the same everywhere; what differs between its inner patches is the position signal."""
    plain = torch.full((1, 3, 64, 64), 200, dtype=torch.uint8)
    inner = small.patches(plain)[0].unflatten(0, (8, 8))[3:5, 3:5].flatten(0, 1)
    assert torch.allclose(inner[:, : SMALL.seen], inner[:1, : SMALL.seen], atol=1e-4)
    assert torch.pdist(inner[:, SMALL.seen :]).min() > 0.5


# Generation


@pytest.mark.parametrize("options", [{"method": "greedy"}, {"method": "beam", "beam_size": 4}, {"method": "sample"}])
def test_cached_and_uncached_write_the_same(small, images, options):
    def run(cached):
        generator = torch.Generator().manual_seed(3) if options["method"] == "sample" else None
        return small.generate(images, cached=cached, generator=generator, **options)

    assert ids(run(True)) == ids(run(False))
    assert len(set(map(str, ids(run(True))))) > 1


@pytest.mark.parametrize("options", [{"method": "greedy"}, {"method": "beam", "beam_size": 3}])
def test_a_batch_writes_what_each_picture_alone_gets(small, images, options):
    together = small.generate(images, **options)
    alone = [small.generate(image[None], **options)[0] for image in images]
    assert ids(together) == ids(alone)
    for one, other in zip(together, alone, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
    assert len({len(caption.tokens) for caption in together}) > 1, "all rows ended at once: nothing was tested"


@pytest.mark.parametrize("seed", range(3))
def test_one_beam_is_greedy(tokenizer, images, seed):
    from mmcourse.decoding import beam_search, greedy

    model = wild(tokenizer, seed)
    memory = model.memory(images)
    prompt = torch.full((len(images), 1), tokenizer.bos_id)
    ends = {"max_length": 12, "stop_id": tokenizer.eos_id, "pad_id": tokenizer.pad_id}
    one = beam_search(model.stepper(memory), prompt, beam_size=1, **ends)
    best = greedy(model.stepper(memory), prompt, **ends)
    assert torch.equal(one.tokens, best.tokens[:, : one.tokens.shape[1]])
    assert ids(model.generate(images, method="beam", beam_size=1)) == ids(model.generate(images))


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0])
def test_beam_never_scores_below_greedy_under_its_own_objective(tokenizer, images, penalty):
    longest, gained = 9, []

    def score(caption):
        written = min(len(caption.tokens) + 1, longest - 1)  # with <eos>, unless the sentence was cut off
        return caption.log_probability / written**penalty

    for seed in range(4):
        model = wild(tokenizer, seed)
        best = model.generate(images, max_length=longest)
        for size in (2, 4):
            found = model.generate(images, method="beam", beam_size=size, length_penalty=penalty, max_length=longest)
            gained += [score(one) - score(other) for one, other in zip(found, best, strict=True)]
    assert min(gained) >= -1e-5
    assert max(gained) > 1e-3


def test_log_probability_is_that_of_the_sentence(small, images, tokenizer):
    for method in ("greedy", "beam"):
        for image, caption in zip(images[:6], small.generate(images[:6], method=method), strict=True):
            row = torch.tensor([[tokenizer.bos_id, *caption.tokens, tokenizer.eos_id]])
            logits = small(image[None], row[:, :-1]).log_softmax(dim=-1)
            expected = logits.gather(-1, row[:, 1:, None]).sum().item()
            assert caption.log_probability == pytest.approx(expected, abs=1e-3)
            assert caption.text == tokenizer.decode(caption.tokens)


def test_sampling_draws_by_its_generator(small, images):
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return ids(small.generate(images, method="sample", top_p=0.95, generator=generator))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_mistakes_are_named(small, images, tokenizer):
    with pytest.raises(ValueError, match="method must be one of greedy, sample, beam, got 'best'"):
        small.generate(images, method="best")
    with pytest.raises(ValueError, match="max_length must be from 2 to 17"):
        small.generate(images, max_length=18)
    with pytest.raises(ValueError, match="tokens has 3 rows for 2 pictures"):
        small(images[:2], torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="images must be uint8"):
        small.generate(images[0])
    with pytest.raises(ValueError, match="width - seen must be a multiple of 4"):
        Captioner(CaptionerConfig(width=32, seen=31), tokenizer)
    with pytest.raises(ValueError, match="tokenizer has no <bos>, <eos>"):
        Captioner(SMALL, WordTokenizer(["<pad>", "<unk>", "a"], ["<pad>", "<unk>"]))
    dropping = Captioner(CaptionerConfig(dropout=0.1), tokenizer)
    with pytest.raises(ValueError, match=r"call model.eval\(\)"):
        dropping.stepper(dropping.memory(images))


# Attention


def test_attention_is_returned_by_name_and_is_the_one_of_forward(small, images, tokenizer):
    tokens = torch.tensor([[tokenizer.bos_id, 5, 6], [tokenizer.bos_id, 7, 8]])
    output, seen = record(small, images[:2], tokens)
    torch.testing.assert_close(output, small(images[:2], tokens))
    kinds = "attention", "cross_attention"
    names = {"encoder.blocks.0.attention", *(f"decoder.blocks.{i}.{kind}" for i in (0, 1) for kind in kinds)}
    assert set(seen) == names
    assert seen["encoder.blocks.0.attention"].shape == (2, 2, 64, 64)
    assert seen["decoder.blocks.0.attention"].shape == (2, 2, 3, 3)
    assert seen["decoder.blocks.1.cross_attention"].shape == (2, 2, 3, 64)
    for weights in seen.values():
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    # a model that is blind where attention says it looks gives other logits: without values, the picture is gone
    block = small.decoder.blocks[1].cross_attention
    expected = block.attend(torch.randn(1, 3, 32), small.memory(images[:1])).weights
    assert expected.shape == seen["decoder.blocks.1.cross_attention"][:1].shape


def test_word_maps_are_the_rows_that_wrote_the_words(small, images, tokenizer):
    text = small.generate(images[:1])[0].text
    words, maps = small.word_maps(images[0], text)
    assert words == text.split()
    assert maps.shape == (len(words), 8, 8)
    tokens = torch.tensor([[tokenizer.bos_id, *tokenizer.encode(text)]])
    seen = record(small, images[:1], tokens).maps
    weights = seen["decoder.blocks.1.cross_attention"][0]
    torch.testing.assert_close(maps[2], weights[:, 2].mean(dim=0).view(8, 8))  # row 2 has read two words and writes one
    head = small.word_maps(images[0], text, layer=0, head=1).maps
    torch.testing.assert_close(head[0], seen["decoder.blocks.0.cross_attention"][0, 1, 0].view(8, 8))


def test_pointing_counts_nouns_that_are_there(small):
    batch = make_scenes(12, split="val", masks=True)
    noun = batch.scenes[0].objects[0].noun
    true = [f"a {scene.objects[0].noun} at the top" for scene in batch.scenes]
    assert len(pointing(small, batch, true)) == 12
    assert pointing(small, batch, ["a unicorn"] * 12) == []
    found = {}

    def everywhere_but(place):
        class Looker:
            def word_maps(self, image, text, *, layer, head):
                maps = torch.zeros(4, 8, 8)
                maps[1].view(-1)[place] = 1.0
                return ["a", noun, "at", "left"], maps

        return Looker()

    such = [number for number, thing in enumerate(batch.scenes[0].objects) if thing.noun == noun]
    shown = batch.masks[0, such].any(dim=0, keepdim=True).float()
    covered = torch.nn.functional.adaptive_avg_pool2d(shown, 8).flatten()
    one = make_scenes(1, split="val", masks=True)
    for place in (int(covered.argmax()), int(covered.argmin())):
        found[place] = pointing(everywhere_but(place), one, [f"a {noun} at left"])
    assert found[int(covered.argmax())] == [True]
    assert found[int(covered.argmin())] == [False]


# The start in one space


def test_aligned_start_is_the_patch_encoder_and_nouns_find_their_objects(tokenizer):
    patches = load_trained("patches").model
    torch.manual_seed(0)
    model = align(Captioner(CaptionerConfig(), tokenizer), patches).eval()
    batch = make_scenes(60, split="val", masks=True)
    with torch.no_grad():
        torch.testing.assert_close(
            model.patches(batch.images)[..., :64], patches.tokens(batch.images), atol=1e-4, rtol=0
        )
    hits, chance = [], []
    for scene, image, masks in zip(batch.scenes, batch.images, batch.masks, strict=True):
        noun = scene.objects[0].noun
        mine = masks[[k for k, thing in enumerate(scene.objects) if thing.noun == noun]].any(dim=0)
        covered = torch.nn.functional.adaptive_avg_pool2d(mine[None].float(), 8).flatten() >= 0.25
        tokens = torch.tensor([[tokenizer.bos_id, *tokenizer.encode(f"a {noun}")]])
        maps = record(model, image[None], tokens).maps
        peak = maps["decoder.blocks.0.cross_attention"][0, :, 2].mean(dim=0).argmax()
        hits.append(bool(covered[peak]))
        chance.append(covered.float().mean().item())
    assert sum(hits) / len(hits) > 0.8 > 4 * sum(chance) / len(chance)


# Files, other languages, other pictures


def test_a_folder_gives_the_model_back(small, images, tmp_path):
    small.save(tmp_path / "model")
    again = Captioner.load(tmp_path / "model")
    assert again.generate(images) == small.generate(images)
    assert replace(again.config, widths=tuple(again.config.widths)) == replace(SMALL, widths=tuple(SMALL.widths))
    file = tmp_path / "model" / "config.json"
    earlier = {key: value for key, value in json.loads(file.read_text()).items() if key != "pretrained"}
    file.write_text(json.dumps(earlier))  # as captioners were saved before they shared a way with the other models
    assert Captioner.load(tmp_path / "model").generate(images) == small.generate(images)
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no tokenizer\.json"):
        Captioner.load(tmp_path / "model")


def test_chinese_captions_go_through_the_same_model(images):
    batch = make_scenes(200)
    sentences = [text for scene in batch.scenes for text in chinese_captions(scene)]
    characters = CharacterTokenizer.train(sentences)
    assert all(characters.decode(characters.encode(text)) == text for text in sentences)
    longest = max(len(characters.encode(text, add_special=True)) for text in sentences)
    torch.manual_seed(0)
    model = Captioner(CaptionerConfig(**{**vars(SMALL), "max_length": longest}), characters)
    batches = FreshScenes(characters, size=16, each=2, captions=lambda batch, i: chinese_captions(batch.scenes[i]))
    history = fit(model, loss, batches, steps=40, learning_rate=5e-3, description=None)
    assert sum(history.losses[-5:]) < 0.75 * sum(history.losses[:5])
    assert all(" " not in caption.text for caption in model.eval().generate(images[:4]))


def test_any_picture_becomes_a_square(small):
    for height, width in ((64, 64), (30, 200), (500, 333), (1, 1)):
        picture = torch.randint(256, (3, height, width), dtype=torch.uint8)
        assert square(picture, 64).shape == (3, 64, 64)
    assert torch.equal(square(picture := make_scenes(1).images[0], 64), picture)
    assert small.generate(square(torch.zeros(3, 7, 9, dtype=torch.uint8), 64)[None])
