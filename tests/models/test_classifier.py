"""MultiModalModel: every part by its name, saved and loaded, and the recipe for a folder of one's own."""

import json

import pytest
import torch
from PIL import Image

from mmcourse.attention import record
from mmcourse.datasets.folder import labeled_folder
from mmcourse.fusion import FUSIONS, by_direction
from mmcourse.losses import cross_entropy
from mmcourse.metrics import accuracy
from mmcourse.models import MultiModalConfig, MultiModalModel
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Batches, fit

TEXTS = ["a red card", "no red card here", "blue"]
TOKENIZER = WordTokenizer.train(TEXTS)
SMALL = {
    "labels": ("no", "maybe", "yes"),
    "image_options": {"widths": [4, 8]},
    "text_options": {"width": 8},
    "width": 8,
}
VIT = {"image_size": 32, "patch_size": 8, "width": 8, "depth": 1, "heads": 2}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def pictures(count=3, size=32):
    return torch.randint(256, (count, 3, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def model(tokenizer=TOKENIZER, **changes):
    torch.manual_seed(0)
    return MultiModalModel(MultiModalConfig(**{**SMALL, **changes}), tokenizer).eval()


def run(made, texts=TEXTS, images=None):
    images = pictures() if images is None else images
    device = made.missing.image.device
    with torch.no_grad():
        return made(images.to(device), *(part.to(device) for part in made.tokenize(texts))).cpu()


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"image": "vit", "image_options": VIT, "text": "transformer", "text_options": {"width": 12, "heads": 2}},
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_saved_models_load_with_equal_outputs(tmp_path, fusion, parts, device):
    options = {"film": {"tokens": True}, "co_attention": {"grid": (4, 4), "positions": "learned"}}.get(fusion, {})
    made = model(fusion=fusion, fusion_options=options, modality_dropout=0.1, learned_placeholder=True, **parts)
    expected = run(made)
    assert expected.shape == (3, 3)
    made.to(device).save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    loaded = MultiModalModel.load(tmp_path / "model")
    assert not loaded.training
    assert loaded.config.labels == made.config.labels
    torch.testing.assert_close(run(loaded), expected, rtol=0, atol=1e-6)
    there = MultiModalModel.load(tmp_path / "model", device)
    assert {value.device.type for value in there.state_dict().values()} == {device}
    torch.testing.assert_close(run(there), expected, rtol=0, atol=1e-6 if device == "cpu" else 1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_nothing_stays_behind_when_a_model_moves(tmp_path, fusion):
    options = {"fusion_options": {"grid": (4, 4)}} if fusion.endswith("attention") else {}
    model(fusion=fusion, text="transformer", text_options={"width": 8}, **options).save(tmp_path)
    made = MultiModalModel.load(tmp_path, "meta")  # where any tensor left on the CPU would be an error
    ids, mask = TOKENIZER.encode_batch(TEXTS)
    for images, tokens in ((pictures(), ids), (None, ids), (pictures(), None)):
        given = [
            None if part is None else part.to("meta") for part in (images, tokens, None if tokens is None else mask)
        ]
        assert made.train()(*given).is_meta
    with pytest.raises(ValueError, match="meta device"):
        made.save(tmp_path / "nowhere")


def test_features_given_directly():
    made = model(
        image="features", image_options={"width": 5}, text="features", text_options={"width": 7}, tokenizer=None
    )
    patches, words = torch.randn(3, 4, 5), torch.randn(3, 2, 7)
    mask = torch.tensor([[True, False], [True, True], [True, True]])
    pooled = torch.stack([words[0, 0], words[1].mean(0), words[2].mean(0)])
    torch.testing.assert_close(made(patches, words, mask), made(patches.mean(1), pooled))
    assert made.predict(patches, words).probabilities.shape == (3, 3)
    with pytest.raises(
        ValueError, match=r"features must be float \(B, 5\) or \(B, tokens, 5\), got torch.float32 \(3, 4\)"
    ):
        made(torch.zeros(3, 4), words)
    with pytest.raises(ValueError, match="has no tokenizer for its text encoder 'features'"):
        made.tokenize(["a"])


def test_padding_changes_nothing():
    for text in ("bag", "transformer"):
        made = model(text=text, fusion="cross_attention")
        ids, mask = TOKENIZER.encode_batch(TEXTS)
        longer = torch.cat((ids, torch.full((3, 2), 5)), dim=1)
        more = torch.cat((mask, torch.zeros(3, 2, dtype=torch.bool)), dim=1)
        torch.testing.assert_close(made(pictures(), longer, more), made(pictures(), ids, mask))


def test_a_bag_forgets_the_order_and_a_transformer_does_not():
    bag, transformer = model(), model(text="transformer")
    orders = ["red no card here", "here card no red", "no red here card"]
    same = pictures(1).expand(3, -1, -1, -1)
    torch.testing.assert_close(run(bag, orders, same), run(bag, orders[:1] * 3, same))
    assert (run(transformer, orders, same).diff(dim=0).abs().amax(1) > 1e-4).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_missing_input(fusion):
    made = model(fusion=fusion)
    ids, mask = TOKENIZER.encode_batch(TEXTS)
    for logits in (made(None, ids, mask), made(pictures(), None)):
        assert logits.shape == (3, 3)
        assert logits.isfinite().all()
    for call in (made, made.predict):
        with pytest.raises(ValueError, match="or both must be given, got None for both"):
            call(None, None)
    with pytest.raises(ValueError, match="images has 3 samples, tokens 2"):
        made(pictures(), ids[:2])


def test_a_recording_gives_the_same_logits_and_the_maps():
    made = model(fusion="co_attention")
    ids, mask = TOKENIZER.encode_batch(TEXTS)
    seen = record(made, pictures(), ids, mask)
    torch.testing.assert_close(seen.output, made(pictures(), ids, mask))
    maps = by_direction(seen.maps)
    assert maps["text_to_image"][0].shape == (3, 4, 4, 16)
    assert maps["image_to_text"][0].shape == (3, 4, 16, 4)
    with pytest.raises(ValueError, match="has no attention to record: MultiModalModel holds no MultiHeadAttention"):
        record(model(), pictures(), ids, mask)
    seen = record(model(text="transformer", text_options={"width": 8}), pictures(), ids, mask)
    with pytest.raises(ValueError, match="no fusion by attention; cross_attention and co_attention look"):
        by_direction(seen.maps)


def test_predictions_do_not_depend_on_batches_and_leave_the_mode_alone():
    made = model(dropout=0.5, modality_dropout=0.3).train()
    whole, parts = made.predict(pictures(), TEXTS), made.predict(pictures(), TEXTS, batch_size=2)
    torch.testing.assert_close(parts.probabilities, whole.probabilities)
    assert parts.labels == [made.config.labels[i] for i in whole.probabilities.argmax(1)]
    assert made.training
    assert made.predict(pictures()[:0], []).labels == []


def test_pretrained_encoders_are_frozen_named_and_not_stored(tmp_path):
    made = model(
        image="efficientnet-lite0",
        image_options={"size": 64},
        text="minilm",
        text_options={},
        fusion="cross_attention",
        tokenizer=None,
    )
    learning = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert learning
    assert not [name for name in learning if "encoder" in name]
    made.train()(pictures(), *made.tokenize(TEXTS)).sum().backward()
    assert made.fusion.inputs["image"].weight.grad.abs().sum() > 0
    expected = run(made.eval())
    assert by_direction(record(made, pictures(), *made.tokenize(TEXTS)).maps)["text_to_image"][0].shape[-1] == 4
    made.save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 1_000_000
    assert not (tmp_path / "tokenizer.json").exists()
    torch.testing.assert_close(run(MultiModalModel.load(tmp_path)), expected, rtol=0, atol=1e-6)
    content = json.loads((tmp_path / "config.json").read_text())
    paths = {"image_encoder.encoder": "efficientnet-lite0", "text_encoder.encoder": "minilm"}
    assert content["pretrained"].keys() == paths.keys()
    earlier = {name: content["pretrained"][path] for path, name in paths.items()}  # as the first versions wrote them
    (tmp_path / "config.json").write_text(json.dumps({**content, "pretrained": earlier}))
    MultiModalModel.load(tmp_path)
    content["pretrained"]["text_encoder.encoder"] = "another"
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the pretrained network 'minilm' is not the one"):
        MultiModalModel.load(tmp_path)
    MultiModalModel.load(tmp_path, check_pretrained=False)


def test_a_pretrained_vector_equals_encode():
    made = model(image="efficientnet-lite0", image_options={"size": 64}).train()
    images = pictures(2, 80)
    torch.testing.assert_close(made.image_encoder(images).vector, made.image_encoder.encoder.encode(images))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion": "sum"}, f"fusion must be one of {', '.join(FUSIONS)}, got 'sum'"),
        ({"image": "cnm"}, "image must be one of cnn, vit, features, efficientnet-lite0 or a pretrained .*, got 'cnm'"),
        ({"image_options": {"width": 8}}, "image encoder 'cnn' has widths, stem, blocks, got the option 'width'"),
        ({"fusion_options": {"rank": 8}}, "fusion 'concat' has the options hidden, dropout, got 'rank'"),
        ({"image": "features", "image_options": {}}, "image encoder 'features' needs image_options={'width': ...}"),
        ({"fusion": "cross_attention", "width": 9}, "width 9 must be a multiple of heads, got 4 heads"),
        ({"labels": ("yes",)}, r"labels must be the names of two classes or more, each once, got \('yes',\)"),
        ({"labels": "yes"}, "labels must be the names"),
        ({"labels": ("yes", "yes")}, "labels must be the names"),
        ({"text_options": {"vocabulary_size": 3}}, f"vocabulary_size must be at least {len(TOKENIZER)}, .* got 3"),
        ({"tokenizer": None}, "text encoder 'bag' needs text_options={'vocabulary_size': ...} or a tokenizer"),
        ({"modality_dropout": 0.7}, "share must lie between 0 and 0.5"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes)


def test_an_unknown_text_encoder_is_refused(without_server):
    with pytest.raises(
        ValueError, match=r"text must be one of bag, transformer, features, minilm or a pre.*, got 'bagg'"
    ):
        model(text="bagg")


@pytest.fixture
def without_server(monkeypatch):
    """No server answers, at once."""
    monkeypatch.setattr("mmcourse.encoders.pretrained.hub.answers", lambda url: False)


def test_damaged_folders_are_told(tmp_path):
    made = model()

    def changed(**changes):
        made.save(tmp_path)
        content = json.loads((tmp_path / "config.json").read_text())
        content["config"] |= changes.pop("config", {})
        (tmp_path / "config.json").write_text(json.dumps(content | changes))

    def said(kind=ValueError):
        with pytest.raises(kind) as caught:
            MultiModalModel.load(tmp_path)
        return str(caught.value)

    assert "holds no config.json; give one that save wrote" in said(FileNotFoundError)
    changed(config={"width": 16})
    assert said() == "weights hold (8,) for fusion.mlp.3.bias, config.json asks for (16,); save both again"
    changed(config={"fusion": "gated"})
    assert said().startswith("weights hold nothing for fusion.gate_in.bias")
    changed(config={"colour": 1})
    assert said().startswith("config has the fields labels, image, text, fusion,")
    assert said().endswith("got 'colour'")
    changed(config={"fusion": "sum"})
    assert said().startswith("fusion must be one of concat,")
    changed(model="Captioner")
    assert "holds Captioner in format 1, wanted MultiModalModel in 1" in said()
    made.save(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:-5])
    assert "is damaged" in said()
    (tmp_path / "model.safetensors").unlink()
    assert "holds no model.safetensors" in said(FileNotFoundError)
    assert not list(tmp_path.glob("*.part"))


def write_folder(folder, count, seed):
    """Red and blue cards with "show me" or "never show me": the label depends on both."""
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir()
    lines = []
    for i in range(count):
        red, wanted = (bool(torch.randint(2, (), generator=generator)) for _ in range(2))
        shade = int(torch.randint(150, 256, (), generator=generator))
        size = (40 + i % 7, 30)
        Image.new("RGB", size, (shade, 0, 0) if red else (0, 0, shade)).save(folder / f"{i}.png")
        text = "show me red" if wanted else "show me blue"
        lines.append(json.dumps({"file_name": f"{i}.png", "text": text, "label": "fits" if red == wanted else "wrong"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def test_the_recipe_for_a_folder_of_your_own(tmp_path):
    write_folder(tmp_path / "train", 96, 0)
    write_folder(tmp_path / "test", 32, 1)
    data = labeled_folder(tmp_path / "train", size=16, quiet=True)
    unseen = labeled_folder(tmp_path / "test", size=16, labels=data.labels, quiet=True)
    tokenizer = WordTokenizer.train(data.texts)
    torch.manual_seed(0)
    config = MultiModalConfig(labels=data.labels, fusion="gated", image_options={"widths": [8, 16]}, width=32)
    made = MultiModalModel(config, tokenizer)
    batches = Batches(data.images, *tokenizer.encode_batch(data.texts), data.targets, size=32)
    fit(
        made,
        lambda model, batch: cross_entropy(model(*batch[:3]), batch[3]),
        batches,
        steps=60,
        learning_rate=5e-3,
        description=None,
    )
    made.save(tmp_path / "model")
    found = MultiModalModel.load(tmp_path / "model").predict(unseen.images, unseen.texts)
    assert accuracy(found.probabilities.argmax(-1), unseen.targets) > 0.9
    assert [data.labels.index(label) for label in found.labels] == found.probabilities.argmax(-1).tolist()
    alone = made.predict(unseen.images, None).probabilities.argmax(-1)
    assert accuracy(alone, unseen.targets) < 0.8, "the label can be read from the picture alone"
