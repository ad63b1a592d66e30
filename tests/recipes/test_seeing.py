"""The recipe answer-lm, and the exam for whatever answers about scenes that it reads or sees."""

import random
from dataclasses import asdict

import pytest
import torch

from mmcourse import recipes
from mmcourse.attention import record
from mmcourse.datasets import lexicon, questions, sample_scenes
from mmcourse.lm import GPTConfig
from mmcourse.models.vlm import IMAGE
from mmcourse.recipes import tiny_lm
from mmcourse.recipes.data.readings import DESCRIBE, TELL, Readings, in_notes, in_words, reading_words
from mmcourse.recipes.engine.base import write_trained
from mmcourse.recipes.seeing import answer_lm
from mmcourse.recipes.seeing.exam import RIVALS, exam, mistakes, probes_of
from mmcourse.train import fit

WORDS = reading_words()
CONFIG = {
    "model": asdict(GPTConfig(vocabulary_size=len(WORDS), context=260, width=32, heads=2, depth=2, rotary=True)),
    "vocabulary": WORDS.vocabulary,
    "special_tokens": WORDS.special_tokens,
}
needs_the_file = pytest.mark.skipif(
    "answer-lm" not in recipes.read_manifest(), reason="no trained answer-lm comes with this course yet"
)


@pytest.fixture(scope="module")
def reader():
    return answer_lm.reader(recipes.load_trained("answer-lm"))


def test_an_exam_is_the_same_each_time_and_has_one_yes_for_each_no():
    sheet, again = exam(40, split="val"), exam(40, split="val")
    assert sheet == again
    assert sheet.scenes == sample_scenes(40, split="val")
    for scene, asked in zip(sheet.scenes, sheet.asked, strict=True):
        assert set(asked) <= set(questions(scene))
    for rows in sheet.probes.values():
        said = [probe.there for row in rows for probe in row]
        assert sum(said) * 2 == len(said)


@pytest.mark.parametrize("how", RIVALS)
def test_probes_name_what_is_there_and_what_is_not(how):
    groups = {noun.name: noun.group for noun in lexicon()}
    for scene in sample_scenes(60):
        found = {thing.noun for thing in scene.objects}
        probes = probes_of(scene, how, random.Random(0))
        names = [probe.text.removeprefix("is there a ").removesuffix("?") for probe in probes]
        assert [name in found for name in names] == [probe.there for probe in probes]
        assert set(names[::2]) == found
        if how == "alike":
            assert all(groups[real] == groups[rival] for real, rival in zip(names[::2], names[1::2], strict=True))


def test_probes_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="how must be one of random, alike, got 'popular'"):
        probes_of(sample_scenes(1)[0], "popular", random.Random(0))


class Oracle:
    """Stands where a model does and knows the answers by what stands before a question."""

    def __init__(self, known):
        self.known = known

    def generate(self, features, prompts, **options):
        return [type("Reply", (), {"text": self.known[prompt]}) for prompt in prompts]


def test_who_knows_all_makes_no_mistakes_and_who_says_yes_fails_half_of_the_probes():
    sheet = exam(30, split="test")
    begin = [f"scene {row}" for row in range(30)]
    known = {
        f"{start} {DESCRIBE}": f"a {scene.objects[0].noun}" for start, scene in zip(begin, sheet.scenes, strict=True)
    }
    known |= {
        f"{start} {TELL}": in_words(scene, random.Random(0)) for start, scene in zip(begin, sheet.scenes, strict=True)
    }
    for start, asked in zip(begin, sheet.asked, strict=True):
        known |= {f"{start} {each.text}": each.answer for each in asked}
    for rows in sheet.probes.values():
        for start, row in zip(begin, rows, strict=True):
            known |= {f"{start} {probe.text}": "yes" if probe.there else "no" for probe in row}
    assert set(mistakes(Oracle(known), None, sheet, split="x", begin=begin).values()) == {0.0}
    found = mistakes(Oracle(dict.fromkeys(known, "yes")), None, sheet, split="x", begin=begin)
    assert {found[f"{how} probes wrong in x"] for how in RIVALS} == {0.5}
    assert found["captions not true in x"] == found["not all told in x"] == 1
    assert 0.5 < found["wrong in x"] < 1


@needs_the_file
def test_the_reader_answers_about_what_it_read(reader):
    """On the test split, which nobody looked at while the recipe was written."""
    sheet, chance = exam(150, split="test"), random.Random(1)
    told = [in_notes(scene, chance) for scene in sheet.scenes]
    found = mistakes(reader, None, sheet, begin=told, split="test")
    claimed = recipes.read_manifest()["answer-lm"]["quality"]["value"]
    assert found["wrong in test"] <= claimed + 0.05
    other = mistakes(reader, None, sheet, begin=told[1:] + told[:1], split="test")
    assert other["wrong in test"] > 0.4, "what it says comes from what it read"


def test_a_new_reader_looks_back_and_a_run_gives_one_that_loads(tmp_path):
    made = answer_lm.train(steps=2, checkpoint=tmp_path / "run.pt")
    model = answer_lm.new(made.config).eval()
    text = torch.randint(len(made.config["vocabulary"]), (1, 30), generator=torch.Generator().manual_seed(0))
    first = next(iter(record(model, text).maps.values()))[0]  # (H, T, T)
    assert all(head.diagonal(-back).mean() > 0.5 for back, head in enumerate(first, start=1))
    path = tmp_path / "answer-lm.safetensors"
    write_trained(path, answer_lm.RECIPE, made, steps=2)
    reader = answer_lm.reader(recipes.load_trained("answer-lm", path=path))
    (reply,) = reader.generate(None, [f"{in_notes(sample_scenes(1)[0], random.Random(0))} {DESCRIBE}"])
    assert set(reply.text.split()) <= set(reader.tokenizer.vocabulary)
    assert reader.tokenizer.ids[IMAGE] == reader.image_id


def test_plurals_lie_beside_their_singulars_all_equally_far():
    model, _ = answer_lm.build(CONFIG)
    before = model.embedding.weight.detach().clone()
    answer_lm.relate_plurals(model, WORDS)
    after = model.embedding.weight.detach()
    pairs = [(WORDS.ids[noun.name], WORDS.ids[noun.plural]) for noun in lexicon() if noun.name != noun.plural]
    one, many = torch.tensor(pairs).T
    differences = after[many] - after[one]
    torch.testing.assert_close(differences, (before[many] - before[one]).mean(dim=0).expand_as(differences))
    others = torch.ones(len(before), dtype=torch.bool).index_fill(0, many, False)
    assert torch.equal(after[others], before[others])


def test_a_few_readings_are_learned_by_heart():
    model, tokenizer = answer_lm.build(CONFIG)
    batch = Readings(tokenizer, size=4)(0)
    history = fit(model, tiny_lm.loss, lambda step: batch, steps=150, learning_rate=3e-3, description=None)
    assert history.losses[-1] < 0.6 < 2 < history.losses[0]
