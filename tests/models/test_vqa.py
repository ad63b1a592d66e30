"""Answering questions: both ways against a slow reference, batches of questions of different length, abstaining."""

from dataclasses import replace

import pytest
import torch

from mmcourse.attention import record
from mmcourse.datasets import make_scenes, questions
from mmcourse.models import VQA, VQAConfig
from mmcourse.recipes.data.questions import question_batch
from mmcourse.recipes.vqa import loss
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import fit

SCENES = make_scenes(12, split="val")
ASKED = [questions(scene)[:6] for scene in SCENES.scenes]
TEXTS = [about[number % len(about)].text for number, about in enumerate(ASKED)]
SMALL = VQAConfig(
    width=32, seen=16, heads=2, encoder_hidden=32, widths=(8, 16), answers=("yes", "no", "two", "top left", "cat")
)


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer.train(text for about in ASKED for each in about for text in (each.text, each.answer))


@pytest.fixture(scope="module")
def model(tokenizer):
    """A model that knows some of the answers by heart, so that answers differ."""
    torch.manual_seed(0)
    model = VQA(SMALL, tokenizer)
    batch = question_batch(model, model.remember(SCENES.images), [each for about in ASKED for each in about])
    fit(model, loss, lambda step: batch, steps=120, learning_rate=5e-3, description=None)
    return model.eval()


def test_choosing_is_the_likeliest_of_the_list(model):
    found = model.answer(SCENES.images, TEXTS)
    for image, text, answer in zip(SCENES.images, TEXTS, found, strict=True):
        with torch.no_grad():
            features = model.features(image[None], torch.tensor([model.question_ids(text)]))
        chances = model.classifier(features[0, -1]).softmax(dim=-1)
        assert answer.text == SMALL.answers[chances.argmax()]
        assert answer.probability == pytest.approx(chances.max().item(), abs=1e-4)
    assert len({answer.text for answer in found}) > 1


def test_writing_is_the_likeliest_word_one_after_the_other(model, tokenizer):
    found = model.answer(SCENES.images, TEXTS, method="write")
    for image, text, answer in zip(SCENES.images, TEXTS, found, strict=True):
        ids, chance, written = model.question_ids(text), 1.0, []
        while len(written) < 3 and tokenizer.eos_id not in written:
            with torch.no_grad():
                chances = model(image[None], torch.tensor([ids + written]))[0, -1].softmax(dim=-1)
            written.append(int(chances.argmax()))
            chance *= chances.max().item()
        assert answer.text == tokenizer.decode(written, skip_special=True)
        assert answer.probability == pytest.approx(chance, abs=1e-4)
    assert len({answer.text for answer in found}) > 1


@pytest.mark.parametrize("method", ["classify", "write"])
def test_a_question_is_answered_as_if_it_came_alone(model, method):
    assert len({len(model.question_ids(text)) for text in TEXTS}) > 2, "all are of one length: nothing is tested"
    together = model.answer(SCENES.images, TEXTS, method=method, batch_size=3)
    memory = model.remember(SCENES.images, batch_size=5)
    for number, text in enumerate(TEXTS):
        (alone,) = model.answer(SCENES.images[number, None], [text], method=method)
        (again,) = model.answer(memory[number, None], [text], method=method)
        assert alone.text == again.text == together[number].text
        for other in (again, together[number]):
            assert other.probability == pytest.approx(alone.probability, abs=1e-4)


def test_what_is_learned_from_is_what_answers(model, tokenizer):
    """`both` reads each question with its answer behind it; its logits are those of the question alone."""
    flat = [each for about in ASKED for each in about]
    batch = question_batch(model, model.remember(SCENES.images), flat)
    with torch.no_grad():
        logits = model.both(*batch[:3])
        again = model.classify(batch.memory, batch.tokens, batch.ends)
    torch.testing.assert_close(again, logits.answers)
    for row, each in enumerate(flat):
        ids, end = model.question_ids(each.text), int(batch.ends[row])
        assert batch.tokens[row, : end + 1].tolist() == ids
        with torch.no_grad():
            alone = model.classify(SCENES.images[row // 6, None], torch.tensor([ids]))[0]
        torch.testing.assert_close(logits.answers[row], alone, atol=1e-4, rtol=1e-4)
        counted = batch.targets[row][batch.targets[row] >= 0].tolist()
        assert tokenizer.decode(counted[:-1]) == each.answer
        assert counted[-1] == tokenizer.eos_id
        assert batch.targets[row, end] == counted[0], "the question mark is where the answer begins"
        place = batch.answers[row]
        assert (place < 0 and each.answer not in SMALL.answers) or SMALL.answers[place] == each.answer


def test_abstaining_keeps_the_guess(model):
    every = model.answer(SCENES.images, TEXTS)
    middle = sorted(answer.probability for answer in every)[6]
    some = model.answer(SCENES.images, TEXTS, threshold=middle)
    assert [answer._replace(abstains=False) for answer in some] == every
    assert [answer.abstains for answer in some] == [answer.probability < middle for answer in every]
    assert 0 < sum(answer.abstains for answer in some) < len(some)


def test_capitals_marks_and_spaces_do_not_matter(model, tokenizer):
    ids = model.question_ids("what is at the center?")
    for text in ("What is at the center?", " what is  at the center", "WHAT IS AT THE CENTER ??"):
        assert model.question_ids(text) == ids
    assert model.question_ids("<eos> <bos>").count(tokenizer.eos_id) == 0, "a spelled end is text"
    assert model.unknown_words("Is there a zebra in Spain?") == ["zebra", "in", "spain"]


def test_maps_are_those_of_the_question(model):
    words, maps = model.word_maps(SCENES.images[0], "what is at the center")
    assert words == ["what", "is", "at", "the", "center", "?"]
    seen = record(model, SCENES.images[:1], torch.tensor([model.question_ids("what is at the center?")])).maps
    torch.testing.assert_close(maps[-1].flatten(), seen["decoder.blocks.1.cross_attention"][0, :, -1].mean(dim=0))
    torch.testing.assert_close(maps.sum(dim=(1, 2)), torch.ones(6))


def test_a_folder_gives_the_model_back(model, tmp_path):
    model.save(tmp_path)
    again = VQA.load(tmp_path)
    assert again.answer(SCENES.images, TEXTS) == model.answer(SCENES.images, TEXTS)
    assert tuple(again.config.answers) == SMALL.answers


def test_mistakes_are_named(model, tokenizer):
    images = SCENES.images[:1]
    for arguments, options, message in (
        ((images, TEXTS[:1]), {"method": "guess"}, "method must be one of classify, write, got 'guess'"),
        ((images, TEXTS[:1]), {"threshold": 1.5}, "threshold must be from 0 to 1, got 1.5"),
        ((images, TEXTS[:2]), {}, "images has 1 samples, questions 2"),
        ((images, ["is there a cat " * 9]), {}, "question has 37 words and marks, the model reads 13"),
    ):
        with pytest.raises(ValueError, match=message):
            model.answer(*arguments, **options)
    for answers in ((), ("yes", "yes")):
        with pytest.raises(ValueError, match="answers must be at least one, each once"):
            replace(SMALL, answers=answers)
    assert model.answer(images[:0], []) == []
