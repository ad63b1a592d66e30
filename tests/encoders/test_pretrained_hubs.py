"""Networks of the hubs: small ones with random weights where a download would leave them, and none at all.

Nothing here needs a network. The files lie as the hubs' own clients lay them out; libraries write them themselves.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error

import huggingface_hub
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torchvision import models as vision

from mmcourse.datasets import load_photos
from mmcourse.datasets.transforms import Preprocessing
from mmcourse.encoders.pretrained import EncoderUnavailableError, hub, load_image_encoder, load_text_encoder
from mmcourse.encoders.pretrained.image import TorchvisionEncoder

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
TEXTS = ["a cat on a mat", "dog", "a mat and a cat and a dog and a mat"]


@pytest.fixture
def hf_cache(tmp_path, monkeypatch):
    """An empty Hugging Face cache, set where the client looks: it reads `HF_HOME` only when it is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach a server fails the test."""

    def refuse(self, *address):
        raise AssertionError(f"somebody calls {address}")

    monkeypatch.setattr("socket.socket.connect", refuse)


def snapshot(cache, name):
    """The folder in which the Hugging Face cache keeps `name`, as its client lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = cache / f"models--{name.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    folder = home / "snapshots" / commit
    folder.mkdir(parents=True)
    return folder


def shake(network, seed=0):
    """Every weight gets a value that a mix-up would show."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.normal_(std=value[0].numel() ** -0.5 if value.dim() > 1 else 0.2, generator=generator)
            if "var" in name:
                value.abs_().add_(0.5)
    return network.eval()


def pictures(count=3, size=40, seed=0):
    return torch.randint(256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


@pytest.mark.parametrize(
    ("name", "width", "channels"), [("resnet18", 512, 512), ("mobilenet_v2", 1280, 1280), ("alexnet", 4096, 256)]
)
def test_torchvision_from_torch_hubs_folder(torch_home, no_network, name, width, channels):
    theirs = shake(vision.get_model(name, weights=None))
    stated = vision.get_model_weights(name).DEFAULT
    torch.save(theirs.state_dict(), torch_home / stated.url.rpartition("/")[2])
    encoder = load_image_encoder(name)
    images = pictures(2, 300)
    x = stated.transforms()(images)
    torch.testing.assert_close(encoder.preprocess(images), x, rtol=0, atol=0.02)  # one step of 255
    with torch.no_grad():
        torch.testing.assert_close(encoder.logits(x), theirs(x), rtol=1e-4, atol=1e-4)
        features, feature_map = encoder(x), encoder.feature_map(x)
    assert features.shape == (2, encoder.width) == (2, width)
    assert feature_map.shape[:2] == (2, channels)
    if name != "alexnet":  # which has further layers in between
        torch.testing.assert_close(feature_map.mean(dim=(2, 3)), features, rtol=1e-4, atol=1e-4)


def test_a_torchvision_file_that_runs_code_is_refused(torch_home, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    url = vision.get_model_weights("resnet18").DEFAULT.url
    torch.save({"conv1.weight": Trap()}, torch_home / url.rpartition("/")[2])
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        load_image_encoder("resnet18")
    assert not (tmp_path / "sprung").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_vision_transformer_of_torchvision_has_no_map(torch_home):
    theirs = vision.VisionTransformer(image_size=32, patch_size=16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8)
    encoder = TorchvisionEncoder(theirs.eval(), name="vit_tiny", preprocess=Preprocessing(size=32))
    assert encoder.encode(pictures()).shape == (3, 8)
    with pytest.raises(ValueError, match="vit_tiny has no map of features"):
        encoder.feature_map(torch.zeros(1, 3, 32, 32))


# --- timm


def save_timm(folder, architecture="test_resnet", *, safe=True, **facts):
    """A small network with seven classes, written by timm itself."""
    theirs = shake(timm.create_model(architecture, num_classes=7))
    theirs.pretrained_cfg.update(facts)
    timm.models.save_for_hf(theirs, folder, safe_serialization=safe)
    return theirs


@pytest.mark.parametrize("where", ["folder", "cache"])
def test_timm_from_a_folder_and_from_the_cache(tmp_path, hf_cache, no_network, where):
    name = str(tmp_path / "network") if where == "folder" else "somebody/network"
    folder = tmp_path / "network" if where == "folder" else snapshot(hf_cache, name)
    colors = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}
    facts = {"input_size": (3, 48, 48), "crop_pct": 0.8, "interpolation": "bilinear", **colors}
    theirs = save_timm(folder, safe=where == "cache", **facts)  # else an old pytorch_model.bin
    encoder = load_image_encoder(name)
    assert encoder.preprocess == Preprocessing(size=48, resize=60, interpolation="bilinear", **colors)
    x = encoder.preprocess(pictures(2))
    with torch.no_grad():
        torch.testing.assert_close(encoder.logits(x), theirs(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(encoder.feature_map(x), theirs.forward_features(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(encoder(x), encoder.feature_map(x).mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)
    assert encoder.name == name


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_resnet.r160_in1k", "timm/test_resnet", "timm/test_resnet.r160_in1k"]
)
def test_timm_by_name(hf_cache, no_network, name):
    theirs = shake(timm.create_model("test_resnet"))
    folder = snapshot(hf_cache, "timm/test_resnet.r160_in1k")
    timm.models.save_for_hf(theirs, folder, safe_serialization=True)
    encoder = load_image_encoder(name)
    x = encoder.preprocess(pictures(2))
    assert x.shape[-1] == 160
    with torch.no_grad():
        torch.testing.assert_close(encoder.logits(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_a_vision_transformer_of_timm_has_its_tokens_as_a_map(tmp_path):
    theirs = save_timm(tmp_path, "test_vit")
    encoder = load_image_encoder(str(tmp_path))
    x = encoder.preprocess(pictures(2))
    with torch.no_grad():
        tokens, feature_map = theirs.forward_features(x), encoder.feature_map(x)
        torch.testing.assert_close(encoder.logits(x), theirs(x), rtol=1e-4, atol=1e-4)
    assert feature_map.shape == (2, 64, 10, 10)
    torch.testing.assert_close(feature_map[:, :, 2, 3], tokens[:, 1 + 23], rtol=1e-4, atol=1e-4)


def test_where_two_libraries_know_a_name_torchvision_is_meant(torch_home, hf_cache, monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda url: pytest.fail(f"asked {url}"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert timm.is_model("resnet18")
    with pytest.raises(EncoderUnavailableError, match="'resnet18' is not on this machine"):
        load_image_encoder("resnet18")
    torch.save(vision.resnet18().state_dict(), torch_home / "resnet18-f37072fd.pth")
    assert type(load_image_encoder("resnet18")).__name__ == "TorchvisionEncoder"
    with pytest.raises(EncoderUnavailableError, match="HF_HUB_OFFLINE"):
        load_image_encoder("timm/resnet18")


# --- CLIP, BERT, GPT-2


def word_tokenizer(**special):
    """A tokenizer of whole words in the form that transformers saves."""
    words = [*special.values(), *sorted({word for text in TEXTS for word in text.split()}), "[UNK]"]
    words = list(dict.fromkeys(words))
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "cls_token" in special:
        ends = [(special[k], words.index(special[k])) for k in ("cls_token", "sep_token")]
        single = f"{special['cls_token']} $A {special['sep_token']}"
        inner.post_processor = processors.TemplateProcessing(single=single, special_tokens=ends)
    elif "bos_token" in special:
        ends = [(special[k], words.index(special[k])) for k in ("bos_token", "eos_token")]
        single = f"{special['bos_token']} $A {special['eos_token']}"
        inner.post_processor = processors.TemplateProcessing(single=single, special_tokens=ends)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", model_max_length=16, **special
    )


def save_bert(folder):
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    config = transformers.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=16, **SMALL)
    theirs = transformers.BertForMaskedLM(config).eval()  # with a head that nobody needs, and without a pooler
    theirs.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return theirs.bert


def save_gpt2(folder):
    torch.manual_seed(0)
    tokenizer = word_tokenizer(eos_token="<|endoftext|>")
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=16, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return theirs.transformer


def save_clip(folder):
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_token="[PAD]", bos_token="<s>", eos_token="</s>")
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = transformers.CLIPConfig(
        text_config={**SMALL, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 16},
        vision_config={**SMALL, "image_size": 64, "patch_size": 16},
        projection_dim=24,
    )
    theirs = transformers.CLIPModel(config).eval()
    theirs.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return theirs


def place(save, where, tmp_path, cache):
    name = str(tmp_path / "network") if where == "folder" else "somebody/network"
    return name, save(tmp_path / "network" if where == "folder" else snapshot(cache, name))


@pytest.mark.parametrize("where", ["folder", "cache"])
def test_bert(tmp_path, hf_cache, no_network, where, capfd):
    name, theirs = place(save_bert, where, tmp_path, hf_cache)
    capfd.readouterr()
    encoder = load_text_encoder(name)
    assert capfd.readouterr() == ("", "")  # no bar, no remark about the head
    ids, mask = encoder.tokenize(TEXTS)
    assert mask.sum(1).tolist() == [len(text.split()) + 2 for text in TEXTS]
    with torch.no_grad():
        expected = theirs(ids, mask.long()).last_hidden_state
        layers = encoder.layers(ids, mask)
    torch.testing.assert_close(encoder(ids, mask), expected)
    assert len(layers) == 3
    assert torch.equal(layers[-1], expected)
    torch.testing.assert_close(encoder.encode(TEXTS, normalize=False)[2], expected[2].mean(dim=0))  # the longest
    torch.testing.assert_close(encoder.encode(TEXTS, pooling="cls", normalize=False), expected[:, 0])
    assert encoder.fingerprint == load_text_encoder(name).fingerprint  # the pooler it lacks would be random each time


@pytest.mark.parametrize("where", ["folder", "cache"])
def test_gpt2(tmp_path, hf_cache, no_network, where):
    name, theirs = place(save_gpt2, where, tmp_path, hf_cache)
    encoder = load_text_encoder(name)
    features = encoder.encode(TEXTS, normalize=False)
    for row, text in zip(features, TEXTS, strict=True):  # alone, without padding
        ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            expected = theirs(ids).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(row, expected, rtol=1e-5, atol=1e-5)
    assert encoder.tokenize([TEXTS[2] + " cat" * 40]).ids.shape == (1, 16)
    with pytest.raises(FileNotFoundError, match=r"has no vocab\.txt"):
        _ = encoder.vocabulary_path


@pytest.mark.parametrize("where", ["folder", "cache"])
def test_both_sides_of_clip(tmp_path, hf_cache, no_network, where, capfd):
    name, theirs = place(save_clip, where, tmp_path, hf_cache)
    capfd.readouterr()
    eyes, ears = load_image_encoder(name), load_text_encoder(name)
    assert capfd.readouterr() == ("", "")
    assert eyes.width == ears.width == 24
    ids, mask = ears.tokenize(TEXTS)
    x = eyes.preprocess(pictures(3, 100))
    with torch.no_grad():
        output = theirs(input_ids=ids, attention_mask=mask.long(), pixel_values=x)
    torch.testing.assert_close(ears.encode(TEXTS), output.text_embeds)
    found = torch.nn.functional.normalize(eyes.encode(pictures(3, 100)), dim=-1)
    torch.testing.assert_close(found, output.image_embeds, rtol=1e-4, atol=1e-5)
    assert eyes.feature_map(x).shape == (3, 32, 4, 4)
    assert ears.encode(TEXTS, pooling="mean").shape == (3, 32)
    with pytest.raises(ValueError, match="has no classifier"):
        eyes.logits(x)


def test_clips_preprocessing_is_that_of_transformers(tmp_path):
    save_clip(tmp_path)
    photo = load_photos("cat")["cat"].image
    sizes = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    expected = transformers.CLIPImageProcessor(**sizes)(photo, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(load_image_encoder(str(tmp_path)).preprocess(photo[None]), expected, rtol=0, atol=0.02)


def test_weights_that_are_not_there_are_not_made_up(tmp_path):
    theirs = save_bert(tmp_path)
    weights = {f"bert.{k}": v for k, v in theirs.state_dict().items() if "layer.1.output" not in k}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack 4 of this network's, such as encoder\.layer\.1\.output"):
        load_text_encoder(str(tmp_path))


def test_a_network_of_another_kind(tmp_path):
    save_bert(tmp_path)
    with pytest.raises(ValueError, match="of kind 'bert'; an image encoder is one of timm, torchvision or CLIP"):
        load_image_encoder(str(tmp_path))


# --- not there


HUB_NAMES = [
    ("image", "resnet50"),
    ("image", "mobilenetv3_small_100"),
    ("image", "timm/resnet50"),
    ("image", "openai/clip-vit-base-patch32"),
    ("image", "resnet5O"),
    ("text", "bert-base-uncased"),
    ("text", "gpt2"),
    ("text", "openai/clip-vit-base-patch32"),
    ("text", "no such name"),
]
WARNINGS = ["-W", "error" if os.environ.get("MMCOURSE_STRICT") else "ignore"]  # of the packages that load
ASK = """
import sys, time
from mmcourse.encoders.pretrained import EncoderUnavailableError, load_image_encoder, load_text_encoder
for kind, name in {names}:
    start = time.monotonic()
    try:
        (load_image_encoder if kind == "image" else load_text_encoder)(name)
    except EncoderUnavailableError as error:
        print(f"{{kind}}\\t{{name}}\\t{{time.monotonic() - start}}\\t{{error}}")
"""


def test_without_a_network_each_name_fails_soon_and_names_the_offline_choice(unplugged, tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = unplugged([sys.executable, *WARNINGS, "-c", ASK.format(names=HUB_NAMES)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert done.stderr == ""
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(kind, name) for kind, name, _, _ in lines] == HUB_NAMES
    for kind, name, seconds, message in lines:
        assert float(seconds) < 100
        choice = "load_image_encoder('efficientnet-lite0')" if kind == "image" else "load_text_encoder('minilm')"
        assert message.startswith(f"{kind} encoder {name!r} is")
        assert message.endswith(choice)


def test_a_cached_network_loads_with_the_network_off(unplugged, tmp_path):
    """The real `HF_HOME`, in a process that reads it from the start."""
    save_bert(snapshot(tmp_path / "hub", "bert-base-uncased"))
    code = "from mmcourse.encoders.pretrained import load_text_encoder as load; print(load('bert-base-uncased').width)"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = unplugged([sys.executable, *WARNINGS, "-c", code])
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert (done.stdout, done.stderr) == ("32\n", "")


@pytest.mark.parametrize("load", [lambda: load_image_encoder("resnet50"), lambda: load_text_encoder("gpt2")])
def test_a_network_that_swallows_everything(torch_home, hf_cache, monkeypatch, load):
    """Names that are never found and servers that never answer: nobody says no, so somebody has to stop waiting."""
    over = threading.Event()

    def look_up(*_, **__):
        over.wait(600)
        raise socket.gaierror("no such name")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    start = time.monotonic()
    try:
        with pytest.raises(EncoderUnavailableError, match=r"(pytorch\.org|huggingface\.co) does not answer"):
            load()
        assert time.monotonic() - start < 100
    finally:
        over.set()  # the thread that still waits must not outlive this test


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (urllib.error.HTTPError("https://example.org", 403, "no", None, None), True),
        (urllib.error.URLError(OSError("no route")), False),
        (TimeoutError(), False),
    ],
)
def test_a_refusal_is_an_answer(monkeypatch, error, answered):
    def urlopen(*_, **__):
        raise error

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(hub, "PROBE_SECONDS", 1.0)
    assert hub.answers("https://example.org/file") is answered


def test_what_the_server_lacks(hf_cache, monkeypatch):
    """The server is there, the network is not: its reason in one line."""
    monkeypatch.setattr(hub, "answers", lambda url: True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def snapshot_download(name, local_files_only=False, **options):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("nothing here")
        raise OSError("404: no such repository.\nMore about it on another line.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(EncoderUnavailableError) as caught:
        load_text_encoder("somebody/nothing")
    assert str(caught.value) == (
        "text encoder 'somebody/nothing' cannot be fetched (OSError: 404: no such repository); "
        "the choice that works offline is load_text_encoder('minilm')"
    )


def test_a_download_goes_where_the_next_start_looks(torch_home, monkeypatch):
    """The server's part is played by a function; everything else is real."""
    asked = []

    def download(url, path, hash_prefix, progress=True):
        asked.append((url, hash_prefix))
        torch.save(vision.resnet18().state_dict(), path)

    monkeypatch.setattr(hub, "answers", lambda url: True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    first, second = load_image_encoder("resnet18"), load_image_encoder("resnet18")
    assert first.fingerprint == second.fingerprint
    assert asked == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd")]


def test_a_folder_that_holds_no_network(tmp_path):
    with pytest.raises(EncoderUnavailableError, match="is a folder without a config"):
        load_text_encoder(str(tmp_path))


# --- as files arrive in life


def half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def pointer(file):
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 440449768\n")


def sentence(load, folder):
    """The whole message; one line that names the folder."""
    with pytest.raises(ValueError, match=re.escape(str(folder))) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("spoil", "said"), [(half, "was fetched in part; delete it"), (pointer, "`git lfs pull`")])
@pytest.mark.parametrize("kind", ["bert", "clip", "timm", "timm bin"])
def test_weights_that_arrived_in_part_are_named(tmp_path, kind, spoil, said):
    if kind.startswith("timm"):
        save_timm(tmp_path, safe=kind == "timm")
    else:
        {"bert": save_bert, "clip": save_clip}[kind](tmp_path)
    (file,) = [file for file in tmp_path.iterdir() if file.suffix in (".bin", ".safetensors")][:1]
    for each in tmp_path.iterdir():
        if each != file and each.suffix in (".bin", ".safetensors"):
            each.unlink()
    spoil(file)
    message = sentence(load_text_encoder if kind == "bert" else load_image_encoder, tmp_path)
    assert file.name in message
    assert said in message


def test_weights_of_another_size_are_named(tmp_path):
    save_bert(tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    (tmp_path / "bert" / "config.json").write_text(json.dumps({**config, "intermediate_size": 40}))
    assert "cannot be used (" in sentence(load_text_encoder, tmp_path / "bert")
    theirs = save_timm(tmp_path / "timm")
    weights = {name: value[:1].clone() for name, value in theirs.state_dict().items() if value.dim()}
    save_file(weights, tmp_path / "timm" / "model.safetensors", metadata={"format": "pt"})
    assert "cannot be used (" in sentence(load_image_encoder, tmp_path / "timm")


def test_a_text_encoder_without_its_tokenizer_is_told(tmp_path):
    save_bert(tmp_path)
    for file in tmp_path.glob("token*"):
        file.unlink()
    assert "has no tokenizer; copy tokenizer.json or vocab.txt" in sentence(load_text_encoder, tmp_path)


def test_a_misspelled_name_with_a_valid_beginning(no_network):
    with pytest.raises(EncoderUnavailableError, match=r"for resnet18 timm has weights .*a1_in1k.*, not 'a1_in1kk'"):
        load_image_encoder("resnet18.a1_in1kk")


def test_long_texts_are_cut_at_what_roberta_can_read(tmp_path):
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    tokenizer.model_max_length = 10**30  # as where nobody stated it
    options = {**SMALL, "pad_token_id": 1, "vocab_size": len(tokenizer), "max_position_embeddings": 16}
    transformers.RobertaModel(transformers.RobertaConfig(**options)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = load_text_encoder(str(tmp_path))
    assert encoder.max_length == 14  # 16 positions, of which the first two are for the padding
    word = TEXTS[0].split()[0]
    assert encoder.encode([f"{word} " * 100]).isfinite().all()


def test_a_classifier_of_another_size_is_not_left_random(tmp_path):
    save_timm(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "num_classes": 9}))
    said = sentence(load_image_encoder, tmp_path)
    assert "has a classifier of 7 classes" in said
    assert "mend num_classes" in said
