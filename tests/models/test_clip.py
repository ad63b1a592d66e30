"""CLIP: every part by its name, its features and scale, zero-shot classifiers, saved and loaded."""

import doctest
import json

import pytest
import torch
from torch.nn import functional as F

from mmcourse.losses import info_nce, sigmoid_loss
from mmcourse.models import CLIP, CLIPConfig, clip
from mmcourse.tokenizer import WordTokenizer

TEXTS = ["a red card", "no red card here", "blue"]
TOKENIZER = WordTokenizer.train(TEXTS)
SMALL = {"image_options": {"widths": [4, 8]}, "text_options": {"width": 8, "heads": 2}, "width": 6}
VIT = {"image_size": 32, "patch_size": 8, "width": 8, "depth": 1, "heads": 2}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
LOSSES = ["info_nce", "sigmoid"]


def pictures(count=3, size=32):
    return torch.randint(256, (count, 3, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def model(tokenizer=TOKENIZER, **changes):
    torch.manual_seed(0)
    return CLIP(CLIPConfig(**{**SMALL, **changes}), tokenizer).eval()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"image": "vit", "image_options": VIT, "text": "bag", "text_options": {"width": 12}},
        {"hidden": 5, "dropout": 0.2},
        {"dropout": 0.2},
        {"dropout": [0.2, 0.0], "standardize": True},
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_saved_models_load_with_equal_features(tmp_path, loss, parts, device):
    made = model(loss=loss, **parts)
    expected = made(pictures(), TEXTS)
    assert expected.images.shape == expected.texts.shape == (3, 6)
    torch.testing.assert_close(expected.images.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(expected.texts.norm(dim=1), torch.ones(3))
    with torch.no_grad():
        made.log_scale.add_(0.5)
    scale = made.scale.item()
    made.to(device).save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    for where in (None, device):
        loaded = CLIP.load(tmp_path / "model", where)
        assert not loaded.training
        assert {value.device.type for value in loaded.state_dict().values()} == {where or "cpu"}
        found = loaded(pictures(), TEXTS)
        assert loaded.config == made.config
        assert found.scale.item() == pytest.approx(scale)
        assert (found.bias is None) == (loss == "info_nce")
        for mine, wanted in zip(found[:2], expected[:2], strict=True):
            torch.testing.assert_close(mine.cpu(), wanted, rtol=0, atol=1e-6 if device == "cpu" else 1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_stays_behind_when_a_model_moves(tmp_path, loss):
    model(loss=loss).save(tmp_path)
    made = CLIP.load(tmp_path, "meta")  # where any tensor left on the CPU would be an error
    assert made.loss(made.train()(pictures(), TEXTS), negatives=torch.zeros(2, 6, device="meta")).is_meta


def test_the_loss_is_the_one_of_the_configuration():
    more = F.normalize(torch.randn(4, 6), dim=1)
    for name in LOSSES:
        made = model(loss=name)
        images, texts, scale, bias = features = made(pictures(), TEXTS)
        assert scale.item() == pytest.approx(10 if name == "sigmoid" else 1 / 0.07)
        for negatives in (None, more):
            if name == "sigmoid":
                wanted = sigmoid_loss(images, texts, scale=10.0, bias=-10.0, negatives=negatives)
                assert bias.item() == -10
            else:
                wanted = info_nce(images, texts, scale=1 / 0.07, negatives=negatives)
            torch.testing.assert_close(made.loss(features, negatives=negatives), wanted)


def test_the_scale_stays_between_1_and_100_and_comes_back():
    made = model()
    for start, end in ((7.0, 100.0), (-3.0, 1.0)):
        with torch.no_grad():
            made.log_scale.fill_(start)
        assert made.scale.item() == pytest.approx(end)
        made.log_scale.grad = None
        made.scale.backward()
        assert made.log_scale.grad.item() == pytest.approx(end)  # the slope of exp: not stuck at the end
        assert made.log_scale.item() == start, "to look at the scale changes nothing"
        made.train()(pictures(), TEXTS)
        assert made.log_scale.item() == start
        made.after_step()
        assert made.log_scale.exp().item() == pytest.approx(end)


def test_features_given_directly():
    """Features of any kind, computed beforehand, are trained and classified as pictures and texts are."""
    options = {"image_options": {"width": 5}, "text_options": {"width": 7}, "tokenizer": None}
    made = model(image="features", text="features", **options)
    images, texts = torch.randn(3, 5), torch.randn(3, 7)
    found = made(images, texts)
    torch.testing.assert_close(found.images, F.normalize(images @ made.image_projection.weight.T, dim=1))
    torch.testing.assert_close(made.embed_texts(texts, batch_size=2), found.texts.detach())
    seen = made.zero_shot_classifier({"one": texts[:1], "two": texts[1:]})
    torch.testing.assert_close(seen.weights[1], F.normalize(found.texts[1:].mean(0), dim=0).detach())
    assert seen.predict(images).probabilities.shape == (3, 2)
    with pytest.raises(ValueError, match="has no tokenizer for its text encoder 'features'"):
        made.zero_shot_classifier(["one", "two"])
    with pytest.raises(ValueError, match="texts for every class, or features for every class"):
        made.zero_shot_classifier({"one": texts, "two": ["two"]})


def test_the_example_runs():
    assert doctest.testmod(clip) == (0, 4)


def test_padding_changes_nothing():
    made = model()
    ids, mask = made.tokenize(TEXTS)
    longer = torch.cat((ids, torch.full((3, 2), 5)), dim=1)
    more = torch.cat((mask, torch.zeros(3, 2, dtype=torch.bool)), dim=1)
    torch.testing.assert_close(made.encode_text(longer, more), made.encode_text(TEXTS))
    torch.testing.assert_close(made.embed_texts(ids, mask, batch_size=2), made.encode_text(ids, mask).detach())


def test_features_are_measured_once_and_brought_to_one_scale():
    options = {"image": "features", "text": "features", "image_options": {"width": 6}, "text_options": {"width": 4}}
    made = model(None, **options, standardize=True, dropout=(0.5, 0.25), hidden=None)
    images = torch.randn(200, 6) * torch.tensor([0.1, 1, 2, 3, 4, 5]) + 7
    texts = torch.randn(150, 4) * torch.tensor([1.0, 1.0, 3.0, 3.0]) - 2
    made.measure(images, texts)
    first, second = made.image_projection[0](images), made.text_projection[0](texts)
    torch.testing.assert_close(first.mean(0), torch.zeros(6), rtol=0, atol=1e-4)
    torch.testing.assert_close(first.std(0), torch.ones(6), rtol=0.02, atol=0)
    torch.testing.assert_close(second.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(second.std(), torch.tensor(1.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(second.std(0) / second.std(0)[0], texts.std(0) / texts.std(0)[0])
    assert [tower[1].p for tower in (made.image_projection, made.text_projection)] == [0.5, 0.25]
    wanted = F.normalize(first @ made.image_projection[-1].weight.T, dim=1)
    torch.testing.assert_close(made.encode_image(images), wanted)


def test_prompt_ensembles_and_their_predictions():
    made = model(dropout=0.5).train()
    templates = ["a {}", "no {} here"]
    seen = made.zero_shot_classifier({"rot": ["red", "red card"], "blau": ["blue"]}, templates=templates)
    assert seen.names == ("rot", "blau")
    assert made.training
    made.eval()
    said = ["a red", "a red card", "no red here", "no red card here"], ["a blue", "no blue here"]
    wanted = torch.stack([F.normalize(made.encode_text(texts).mean(0), dim=0) for texts in said])
    torch.testing.assert_close(seen.weights, wanted.detach())
    found, parts = seen.predict(pictures(5)), seen.predict(pictures(5), batch_size=2)
    logits = made.scale * made.encode_image(pictures(5)) @ wanted.T
    torch.testing.assert_close(found.probabilities, logits.softmax(1).detach())
    torch.testing.assert_close(parts.probabilities, found.probabilities)
    assert found.labels == [seen.names[i] for i in logits.argmax(1)]
    plain = made.zero_shot_classifier(["red", "blue"])
    torch.testing.assert_close(plain.weights, made.encode_text(["red", "blue"]).detach())


@pytest.mark.parametrize(
    ("prompts", "templates", "message"),
    [
        ("red", ["{}"], r"must be lists of strings, got one string; write \[text\]"),
        (["red", "blue"], "a {}", "must be lists of strings"),
        (["red", "blue"], ["a"], "templates must hold {} where the text goes, got 'a'"),
        (["red"], ["{}"], r"prompts must name two classes or more, each once, got \['red'\]"),
        (["red", "red", "blue"], ["{}"], "each once"),
        ({"red": [], "blue": ["blue"]}, ["{}"], r"prompts for 'red' and templates must be lists of one text or more"),
        ({"red": "red", "blue": ["blue"]}, ["{}"], "got 'red'"),
        (["red", "blue"], [], "templates must be lists of one text or more"),
    ],
)
def test_prompts_that_say_nothing_are_refused(prompts, templates, message):
    with pytest.raises(ValueError, match=message):
        model().zero_shot_classifier(prompts, templates=templates)


def test_pretrained_towers_are_frozen_and_not_stored(tmp_path):
    parts = {"image": "efficientnet-lite0", "image_options": {"size": 64}, "text": "minilm", "text_options": {}}
    made = model(tokenizer=None, **parts)
    learning = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert learning == {"image_projection.weight", "text_projection.weight", "log_scale"}
    expected = made(pictures(), TEXTS)
    for part in (made.image_encoder.encoder, made.text_encoder.encoder):
        part.name = "both/towers"  # as those of a CLIP on the hub
    made.save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 100_000
    torch.testing.assert_close(CLIP.load(tmp_path)(pictures(), TEXTS).texts, expected.texts, rtol=0, atol=1e-6)
    content = json.loads((tmp_path / "config.json").read_text())
    assert len(set(content["pretrained"].values())) == 2
    content["pretrained"]["text_encoder.encoder"] = "another"
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the pretrained network 'minilm' is not the one"):
        CLIP.load(tmp_path)
    CLIP.load(tmp_path, check_pretrained=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "triplet"}, "loss must be one of info_nce, sigmoid, got 'triplet'"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"image": "cnm"}, "image must be one of cnn, vit, features, efficientnet-lite0 or a pretrained .*, got 'cnm'"),
        ({"text": "bagg"}, "text must be one of bag, transformer, .*minilm or a pretrained .*, got 'bagg'"),
        ({"image_options": {"width": 8}}, "image encoder 'cnn' has widths, stem, blocks, got the option 'width'"),
        ({"text_options": {"vocabulary_size": 3}}, f"vocabulary_size must be at least {len(TOKENIZER)}, .* got 3"),
        ({"tokenizer": None}, "text encoder 'transformer' needs text_options={'vocabulary_size': ...} or a tokenizer"),
    ],
)
def test_what_does_not_fit_is_refused(monkeypatch, changes, message):
    monkeypatch.setattr("mmcourse.encoders.pretrained.hub.answers", lambda url: False)  # no server, at once
    with pytest.raises(ValueError, match=message):
        model(**changes)


def test_calls_and_folders_that_do_not_fit_are_told(tmp_path):
    made = model()
    with pytest.raises(ValueError, match="images has 3 samples, tokens 2; want one text a picture"):
        made(pictures(), TEXTS[:2])
    made.save(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"config": {**content["config"], "loss": "sigmoid"}}, r"weights hold nothing for bias, config.json asks for"),
        ({"config": {**content["config"], "colour": 1}}, "config has the fields image, text, .*, got 'colour'"),
        ({"model": "Captioner"}, "holds Captioner in format 1, wanted CLIP in 1"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(content | change))
        with pytest.raises(ValueError, match=message):
            CLIP.load(tmp_path)
