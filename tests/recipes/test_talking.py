"""Talking about a picture with the language model that sees, and the command that does it."""

import io
import math
import sys

import pytest
import torch
from PIL import Image

from mmcourse.course import cli
from mmcourse.datasets import make_scenes, questions
from mmcourse.lm import GPTConfig
from mmcourse.models import VLM, PictureDecoderConfig, VLMConfig
from mmcourse.models.vlm import IMAGE
from mmcourse.recipes import RecipeError, Said, read_manifest, talk
from mmcourse.recipes.data.readings import DESCRIBE, TELL, reading_words
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.one_picture import HONEST
from mmcourse.recipes.seeing.talking import EXAMPLES, LONGEST

CONTEXT = 102
WHAT, COUNT = EXAMPLES[:2]
needs_the_file = pytest.mark.skipif("vlm" not in read_manifest(), reason="no trained vlm comes with this course yet")


def small(seed=0, context=CONTEXT):
    """A model that has learned nothing, but whose answers depend on picture and question."""
    torch.manual_seed(seed)
    language = GPTConfig(vocabulary_size=len(reading_words()), context=context, width=16, heads=2, depth=1)
    eyes = PictureDecoderConfig(width=16, seen=8, heads=2, encoder_hidden=16, widths=[8, 16])
    model = VLM(VLMConfig(language=language, features=16, patches=64, eyes=eyes), reading_words()).eval()
    for weight in model.language_model.parameters():
        weight.data.normal_(0, 0.5)
    return model


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    kept = tmp_path_factory.mktemp("vlm") / "kept"
    model.save(kept)
    return kept


def picture_file(path, start):
    pixels = make_scenes(1, split="val", start=start).images[0]
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    return path


@pytest.fixture
def picture(tmp_path):
    return picture_file(tmp_path / "a scene.png", 3)


def chat(folder, path, *words):
    """The exit code of the command."""
    return cli.main(["chat", str(path), *map(str, words), "--model", str(folder)])


# The library


def test_an_answer_is_what_the_model_writes_behind_picture_and_question(model, folder, picture):
    image = make_scenes(1, split="val", start=3).images
    (reply,) = model.generate(image, [f"{IMAGE} {WHAT}"], max_new_tokens=LONGEST)
    said = talk(picture, model=folder).ask(WHAT)
    assert said == Said(reply.text, pytest.approx(math.exp(reply.log_probability)), False, [])
    assert 0 < said.probability < 1
    (described,) = model.generate(image, [f"{IMAGE} {DESCRIBE}"], max_new_tokens=LONGEST)
    assert talk(picture, model=folder).ask(" Describe  it. ").text == described.text


def test_every_question_is_about_the_picture_alone(folder, picture, tmp_path):
    conversation = talk(picture, model=folder)
    first, other, again = (conversation.ask(question) for question in (WHAT, COUNT, WHAT))
    assert first == again
    assert first.probability != other.probability
    elsewhere = talk(picture_file(tmp_path / "other.png", 8), model=folder).ask(WHAT)
    assert elsewhere.probability != first.probability


def test_capitals_and_the_mark_at_the_end_change_nothing(folder, picture):
    conversation = talk(picture, model=folder)
    assert conversation.ask("  What is AT the center ? ") == conversation.ask(WHAT)
    assert conversation.ask("what is at the center") == conversation.ask(WHAT)
    assert conversation.ask("what is at the left") != conversation.ask(WHAT)


def test_below_the_threshold_it_abstains_and_tells_its_guess(folder, picture):
    conversation = talk(picture, model=folder)
    said = conversation.ask(WHAT)
    assert conversation.ask(WHAT, threshold=said.probability * 0.9) == said
    assert conversation.ask(WHAT, threshold=said.probability * 1.1) == said._replace(abstains=True)


def test_a_description_is_told_however_many_others_are_as_true(folder, picture):
    said = talk(picture, model=folder).ask("describe it", threshold=1)
    assert said.probability < 1
    assert not said.abstains


def test_unread_words_are_named_and_a_typed_placeholder_is_text(folder, picture):
    conversation = talk(picture, model=folder)
    assert conversation.ask("is there a Zebra, or a cat?").unknown == ["zebra"]
    assert conversation.ask("what is <image> <unk>").unknown == ["<", "image", ">", "<", "unk", ">"]
    assert conversation.ask("what is <IMAGE>").unknown == ["<", "image", ">"]
    assert conversation.ask("猫在哪里").unknown == list("猫在哪里")


def test_a_question_fits_with_its_answer_or_is_refused(folder, picture):
    conversation = talk(picture, model=folder)
    most = CONTEXT - 64 - 1 - (LONGEST - 1)  # patches, <bos>, and what is read of the answer
    assert conversation.ask(" ".join(["cat"] * (most - 1)))
    with pytest.raises(RecipeError, match=f"has {most + 1} tokens, the model reads {most} beside a picture"):
        conversation.ask(" ".join(["cat"] * most))


@pytest.mark.parametrize("question", ["", " ? ", "\n", "..."])
def test_an_empty_question_is_refused(folder, picture, question):
    with pytest.raises(RecipeError, match='the question is empty; ask for example "what is at the center'):
        talk(picture, model=folder).ask(question)


def test_the_size_is_that_of_the_file(folder, tmp_path):
    Image.new("RGB", (120, 70)).save(tmp_path / "wide.png")
    assert talk(tmp_path / "wide.png", model=folder).size == (120, 70)


def test_a_model_without_eyes_cannot_talk(picture, tmp_path):
    language = GPTConfig(vocabulary_size=len(reading_words()), context=CONTEXT, width=16, heads=2, depth=1)
    VLM(VLMConfig(language=language, features=16, patches=64), reading_words()).save(tmp_path / "blind")
    with pytest.raises(RecipeError, match="the model has no eyes"):
        talk(picture, model=tmp_path / "blind")


# The command


def test_questions_on_the_command_line_are_answered_in_turn(folder, picture, capsys):
    assert chat(folder, picture, WHAT, COUNT, "describe it", "--threshold", "0") == 0
    conversation = talk(picture, model=folder)
    told = [conversation.ask(question) for question in (WHAT, COUNT, "describe it")]
    said = capsys.readouterr()
    assert said.out == "".join(f"{each.text} ({each.probability:.0%})\n" for each in told)
    assert said.err == "", "a model of one's own has seen what one's own course showed it"


def test_what_it_does_not_know_is_said(folder, picture, capsys):
    assert chat(folder, picture, "is there a zebra?", "--threshold", "1") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("I do not know; my best guess is ")
    assert second == "I have never read 'zebra', so this is about the other words of the question."


class Terminal(io.StringIO):
    """Where somebody types: the text, and then what is pressed."""

    def __init__(self, text, pressed=None):
        super().__init__(text)
        self.pressed = pressed

    def isatty(self):
        return True

    def readline(self, *limits):
        line = super().readline(*limits)
        if not line and self.pressed is not None:
            raise self.pressed
        return line


def test_a_piped_conversation_gives_nothing_but_answers_on_stdout(folder, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{WHAT}\n{COUNT}"))
    assert chat(folder, picture, "--threshold", "0") == 0
    piped = capsys.readouterr()
    assert chat(folder, picture, WHAT, COUNT, "--threshold", "0") == 0
    assert piped.out == capsys.readouterr().out
    introduction = piped.err.splitlines()
    assert introduction[0] == f"{picture}: 64 × 64 pixels, which the model sees as 64 × 64."
    assert introduction[1] == f"Ask for example: {WHAT} · {COUNT} · {DESCRIBE} · {TELL}"
    assert ">" not in piped.out


def test_an_empty_line_ends_a_conversation(folder, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal(f"{WHAT}\n \n{COUNT}\n"))
    assert chat(folder, picture) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{picture}: 64 × 64 pixels")
    assert said.out.count("> ") == 2
    assert said.out.endswith("> Goodbye.\n")
    assert said.err == ""


@pytest.mark.parametrize("pressed", [None, KeyboardInterrupt()], ids=["Ctrl-D", "Ctrl-C"])
def test_ctrl_d_and_ctrl_c_end_a_conversation_politely(folder, picture, capsys, monkeypatch, pressed):
    monkeypatch.setattr(sys, "stdin", Terminal(f"{WHAT}\n", pressed))
    assert chat(folder, picture) == 0
    said = capsys.readouterr()
    assert said.out.endswith("\n> \nGoodbye.\n"), "on a line of its own"
    assert said.err == ""


def test_a_question_that_is_refused_does_not_end_a_conversation(folder, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{'is there a cat ' * 20}\n ? \n{WHAT}\n"))
    assert chat(folder, picture, "--threshold", "0") == 0
    said = capsys.readouterr()
    assert [line.partition(",")[0] for line in said.err.splitlines()[3:]] == [
        "mmcourse: the question has 81 tokens",
        'mmcourse: the question is empty; ask for example "what is at the center?"',
    ]
    assert len(said.out.splitlines()) == 1


def test_bytes_that_are_no_text_are_words_that_nobody_has_read(folder, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"is there a \xff?\n"), encoding="utf-8"))
    assert chat(folder, picture) == 0
    assert "I have never read '\ufffd'" in capsys.readouterr().out


def test_mistakes_get_one_sentence(folder, picture, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    broken = tmp_path / "broken"
    small(1).save(broken)
    (broken / "model.safetensors").write_bytes(b"half")
    file = bundled.bundled_dir() / "captioner.safetensors"
    for model, path, words, message in (
        (folder, tmp_path / "none.png", [WHAT], "there is no picture"),
        (folder, tmp_path / "text.png", [], "text.png"),
        (folder, picture, [" ? "], "the question is empty"),
        (folder, picture, ["is there a cat " * 20], "the question has 81 tokens, the model reads 20"),
        (folder, picture, ["\udcff"], "half of a surrogate pair"),
        (folder, picture, [WHAT, "--threshold", "2"], "--threshold must be from 0 to 1, got 2"),
        (tmp_path / "none", picture, [WHAT], "there is no file"),
        (picture, picture, [WHAT], "is damaged or no safetensors file"),
        (file, picture, [WHAT], "holds captioner, not vlm"),
        (broken, picture, [WHAT], "broken' is damaged"),
    ):
        assert chat(model, path, *words) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert (said.out, said.err.count("\n")) == ("", 1)


def test_without_a_stdin_questions_are_asked_for(folder, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert chat(folder, picture) == 2
    assert "give them behind the picture" in capsys.readouterr().err


def test_help_says_that_nothing_is_remembered(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["chat", "--help"])
    assert "Every question is about the picture alone" in " ".join(capsys.readouterr().out.split())


@needs_the_file
def test_the_bundled_model_answers_and_says_what_it_has_never_seen(picture, capsys):
    scene = make_scenes(1, split="val", start=3).scenes[0]
    assert cli.main(["chat", str(picture), "What color is the background"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{scene.background} (")
    assert HONEST in said.err
    conversation = talk(picture)
    right = [conversation.ask(each.text).text == each.answer for each in questions(scene)]
    assert sum(right) >= 0.8 * len(right)
