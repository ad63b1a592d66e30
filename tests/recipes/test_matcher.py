"""The recipe of the matcher: statements that are what they say, the test of order, and the bundled file."""

import csv
import random
from collections import Counter

import pytest
import torch

from mmcourse import recipes
from mmcourse.content import content_dir
from mmcourse.datasets import caption_is_true, make_scenes, sample_scenes
from mmcourse.recipes import matcher
from mmcourse.recipes.data import statements
from mmcourse.recipes.engine.base import read_trained, write_trained

SCENES = sample_scenes(400, split="val")


# Statements


@pytest.mark.parametrize("kind", statements.KINDS)
def test_statements_are_what_they_say_and_half_of_them_true(kind):
    chance, truths = random.Random(0), []
    for scene in SCENES:
        if statements.true_sentence(scene, kind, chance) is None:
            assert kind in ("relation", "comparison")
            assert len({thing.noun for thing in scene.objects}) == 1
            continue
        text, true = statements.statement(scene, {kind: 1.0}, chance)
        assert bool(caption_is_true(scene, text)) is true, text
        assert caption_is_true(scene, text).truth.value != "unparseable", text
        truths.append(true)
    assert 0.4 < sum(truths) / len(truths) < 0.6
    assert len(truths) >= 200


def test_no_word_has_two_meanings():
    words = [word for phrases in statements.PHRASES.values() for word in phrases]
    assert len(set(words)) == len(words)


def test_a_false_sentence_differs_in_one_phrase_or_in_the_order():
    chance, kinds = random.Random(0), Counter()
    for scene in SCENES:
        text = statements.true_sentence(scene, "caption", chance)
        false = statements.false_sentence(scene, text, chance)
        if false is None:
            continue
        if false == statements.swapped(text):
            kinds["order"] += 1
            continue
        spots = [list(statements.PHRASE.finditer(each)) for each in (text, false)]
        assert [spot.lastgroup for spot in spots[0]] == [spot.lastgroup for spot in spots[1]]
        (different,) = [a.lastgroup for a, b in zip(*spots, strict=True) if a[0] != b[0]]
        kinds[different] += 1
    assert set(kinds) >= {"order", "relation", "comparison", "place", "background", "size", "noun"}, kinds


def test_words_alone_say_nothing():
    """A reader who sees no picture and knows how often each word is in a true statement stays near one half."""
    chance, counts, right = random.Random(0), Counter(), []
    said = [statements.statement(scene, matcher.ALL, chance) for scene in sample_scenes(6000)]
    for text, true in said[:5000]:
        counts.update(dict.fromkeys(set(text.split()), 1 if true else -1))
    for text, true in said[5000:]:
        right.append((sum(counts[word] for word in set(text.split())) > 0) is true)
    assert sum(right) / len(right) < 0.58


def test_swapped():
    assert statements.swapped("a cat larger than a dog") == "a dog larger than a cat"
    assert statements.swapped("a small cat above a dog") is None
    assert statements.swapped("a cat at the top left") is None


def test_a_scene_without_such_a_kind_is_an_error():
    alone = next(scene for scene in SCENES if len(scene.objects) == 1)
    with pytest.raises(ValueError, match="kinds must hold one that the scene has, got"):
        statements.statement(alone, {"relation": 1.0}, random.Random(0))


# The test of order


def test_swap_pairs_are_true_and_false_of_the_same_two_things():
    pairs = matcher.swap_pairs(SCENES)
    assert len(pairs.pictures) == len(pairs.true) == len(pairs.false) > 200
    for row, true, false in zip(pairs.pictures.tolist(), pairs.true, pairs.false, strict=True):
        assert sorted(true.split()) == sorted(false.split())
        assert caption_is_true(SCENES[row], true)
        assert not caption_is_true(SCENES[row], false)
        words = true.split()
        assert {words[1], words[-1]} <= {thing.noun for thing in SCENES[row].objects}
    assert matcher.swap_pairs(SCENES).true == pairs.true, "the same scenes give the same pairs"
    assert matcher.swap_pairs(SCENES, seed=1).true != pairs.true
    with pytest.raises(ValueError, match=r"must be \(N,\) with N ≥ 1, got \(0,\) and \(0,\)"):
        matcher.swap_accuracy(torch.zeros(0), torch.zeros(0))


# Training


def test_batches_are_a_pure_function_of_the_step_and_begin_with_the_easy_kinds():
    made = recipes.load_trained("matcher")
    batches = matcher.StatementBatches(matcher.load_patches(), made.tokenizer, begin=1)
    for first, second in zip(batches(1), batches(1), strict=True):
        assert torch.equal(first, second)
    relations = {made.tokenizer.ids[word] for word in ("above", "below", "larger")}
    easy, later = (set(batches(step)[1].flatten().tolist()) for step in (0, 1))
    assert not easy & relations
    assert later & relations


def test_nouns_begin_as_what_the_eye_calls_them():
    eye = matcher.load_patches()
    made = matcher.train(steps=1)
    model, tokenizer = matcher.build(made.config)
    matcher.align(model, eye)
    table = model.text_encoder.embedding.weight
    torch.testing.assert_close(table[tokenizer.ids["cat"]], eye.noun_vectors()[0])
    torch.testing.assert_close(table[tokenizer.ids["cats"]], eye.noun_vectors()[0])


def test_a_file_gives_the_model_back_and_an_interrupted_run_goes_on(tmp_path):
    whole = matcher.train(steps=3, checkpoint=tmp_path / "run.pt")
    again = matcher.train(steps=3, checkpoint=tmp_path / "run.pt")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value)
    write_trained(tmp_path / "matcher.safetensors", matcher.RECIPE, whole, steps=3)
    read = read_trained(tmp_path / "matcher.safetensors", matcher.RECIPE).model
    patches = matcher.see(matcher.load_patches(), make_scenes(2).images)
    texts = ["a cat left of a dog", "a cat"]
    found, expected = read.scores(patches, texts), whole.model.cpu().scores(patches, texts)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("split", ["test", "compositional"])
def test_the_bundled_matcher_tells_swapped_relations_apart(split):
    trained = recipes.load_trained("matcher")
    assert trained.facts["bytes"] <= 1_500_000
    batch = make_scenes(800, split=split)
    patches, pairs = matcher.see(matcher.load_patches(), batch.images), matcher.swap_pairs(batch.scenes)
    true, false = (trained.model.match(patches[pairs.pictures], texts) for texts in (pairs.true, pairs.false))
    assert matcher.swap_accuracy(true, false) >= 0.9
    blind = patches.mean(dim=1, keepdim=True).expand_as(patches)  # the same things, and no places
    true, false = (trained.model.match(blind[pairs.pictures], texts) for texts in (pairs.true, pairs.false))
    assert matcher.swap_accuracy(true, false) < 0.65


def test_the_table_of_cures_is_whole():
    with (content_dir("data") / "cures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = Counter((row["cure"], row["seed"]) for row in rows)
    assert set(seeds.values()) == {1}
    assert {seed for _, seed in seeds} == {"0", "1", "2"}
    assert len(rows) == 3 * len({row["cure"] for row in rows}) == 18
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("swap", "recall_1", "recall_1_twins"))
