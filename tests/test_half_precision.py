"""Under autocast, which `fit` uses on a GPU, every public model computes, learns and stays close to full precision."""

import math

import pytest
import torch
from torch import nn

from mmcourse.attention import MultiHeadAttention, attention, causal_mask, padding_mask, record
from mmcourse.fusion import FUSIONS, Views, make_fusion
from mmcourse.fusion.late_interaction import late_interaction
from mmcourse.lm import GPT, GPTConfig
from mmcourse.losses import cross_entropy, info_nce, sigmoid_loss
from mmcourse.models import CLIP, Captioner, CaptionerConfig, CLIPConfig, Matcher, MatcherConfig
from mmcourse.runtime import evaluating, seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.transformer import Decoder, Encoder

WORDS = WordTokenizer.train(["a cat left of a dog"])


def half():
    return torch.autocast("cpu", torch.bfloat16)


def close_and_learning(run, *inputs, model=None, tolerance=0.1):
    """The output in half precision lies near that in full precision, and a gradient comes back, finite everywhere."""
    expected = run(*inputs)
    with half():
        found = run(*inputs)
    assert found.isfinite().all()
    scale = expected.detach().abs().max().clamp(min=1)
    assert ((found.float() - expected).abs() / scale).max() < tolerance
    learning = [x for x in (inputs if model is None else model.parameters()) if x.requires_grad]
    gradients = torch.autograd.grad(found.float().sum(), learning, allow_unused=True)
    assert any(g is not None for g in gradients)
    assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("mask", [None, causal_mask(5), padding_mask([5, 0])[:, None, None, :]])
@pytest.mark.parametrize("size", [1.0, 300.0])
def test_attention(mask, size):
    q, k, v = (torch.randn(2, 3, 5, 8, requires_grad=True) for _ in range(3))
    close_and_learning(lambda q, k, v: attention(size * q, size * k, v, mask=mask).output, q, k, v)
    with half():
        weights = attention(size * q, size * k, v, mask=mask).weights
        inside = attention(*(x.bfloat16() for x in (size * q, size * k, v)), mask=mask)
    assert weights.isfinite().all()
    assert inside.output.isfinite().all()


@pytest.mark.parametrize("rotary", [False, True])
def test_heads_and_blocks(rotary):
    seed_everything(0)
    x, mask = torch.randn(2, 6, 16), padding_mask([6, 3])[:, None, None, :]
    heads = MultiHeadAttention(16, 4, rotary=rotary)
    close_and_learning(lambda x: heads(x, mask=mask), x, model=heads)
    close_and_learning(lambda x: heads.attend(x, mask=mask).output, x, model=heads)
    encoder, decoder = Encoder(2, 16, 4), Decoder(2, 16, 4, cross=True)
    close_and_learning(lambda x: encoder(x, mask=mask), x, model=encoder)
    close_and_learning(lambda x: decoder(x, x), x, model=decoder)
    close_and_learning(lambda x: record(decoder, x, x).output, x, model=decoder)


@pytest.mark.parametrize("name", FUSIONS)
def test_fusions(name):
    seed_everything(0)
    tokens = {"image_tokens": torch.randn(3, 9, 16), "text_tokens": torch.randn(3, 4, 16)}
    masks = {"text_mask": padding_mask([4, 2, 1])}
    views = Views(torch.randn(3, 16), torch.randn(3, 16), **tokens, **masks)
    fusion = make_fusion(name, 16, 16, 16)
    close_and_learning(lambda: fusion(views), model=fusion)


def test_models():
    seed_everything(0)
    pictures = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    ids, mask = WORDS.encode_batch(["a cat", "a dog left of a cat", "a dog"])
    options = {"image_options": {"widths": (8, 16)}, "text_options": {"width": 16}}
    for loss in ("info_nce", "sigmoid"):
        towers = CLIP(CLIPConfig(image="cnn", text="transformer", **options, width=16, loss=loss), WORDS)
        close_and_learning(lambda towers=towers: towers.loss(towers(pictures, ids, mask)), model=towers)
    matcher = Matcher(MatcherConfig(image_options={"width": 16}, text_options={"width": 16}, width=16), WORDS)
    patches = torch.randn(3, 64, 16)
    close_and_learning(lambda: matcher(patches, ids, mask), model=matcher)
    captioner = Captioner(CaptionerConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16)), WORDS)
    close_and_learning(lambda: captioner(pictures, ids), model=captioner, tolerance=0.3)
    gpt = GPT(GPTConfig(vocabulary_size=11, context=8, width=16, heads=2, depth=1))
    tokens = torch.randint(11, (2, 8))
    close_and_learning(lambda: gpt(tokens), model=gpt)


def test_losses():
    logits, targets = torch.randn(4, 7, requires_grad=True), torch.randint(7, (4,))
    close_and_learning(lambda x: cross_entropy(100 * x, targets), logits)
    images, texts = (torch.randn(4, 8).div(math.sqrt(8)).requires_grad_() for _ in range(2))
    close_and_learning(lambda a, b: info_nce(a, b, scale=100.0), images, texts)
    close_and_learning(lambda a, b: sigmoid_loss(a, b, scale=100.0, bias=-10.0), images, texts)
    patches, words = torch.randn(2, 5, 8, requires_grad=True), torch.randn(3, 4, 8)
    close_and_learning(lambda p: late_interaction(p, words, padding_mask([4, 1, 0])), patches)


def states(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_nothing_that_infers_changes_a_model_or_depends_on_its_neighbors():
    """In training mode, where a model is after construction, batch normalization would do both."""
    seed_everything(0)
    pictures = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    captioner = Captioner(
        CaptionerConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16), dropout=0.1), WORDS
    )
    options = {"image_options": {"widths": (8, 16)}, "text_options": {"width": 16}}
    towers = CLIP(CLIPConfig(image="cnn", text="transformer", **options, width=16, dropout=0.1), WORDS)
    asks = {
        captioner: [
            lambda x: [found.tokens for found in captioner.generate(x)],
            lambda x: [found.tokens for found in captioner.generate(x, method="beam")],
            lambda x: [captioner.word_maps(one, "a cat").maps.tolist() for one in x],
        ],
        towers: [
            lambda x: towers.embed_images(x).mul(1e4).round().tolist(),
            lambda x: towers.zero_shot_classifier(["cat", "dog"]).predict(x).labels,
        ],
    }
    for model, calls in asks.items():
        assert model.training
        before = states(model)
        for call in calls:
            together, alone = call(pictures), [call(pictures[i : i + 1])[0] for i in range(4)]
            assert together == alone
        assert model.training
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_evaluating_gives_each_part_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()
    with evaluating(model):
        assert not model[0].training
        assert not torch.is_grad_enabled()
    assert (model.training, model[0].training, model[1].training) == (True, True, False)


def test_an_empty_caption_has_no_maps():
    captioner = Captioner(CaptionerConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16)), WORDS)
    found = captioner.word_maps(torch.zeros(3, 64, 64, dtype=torch.uint8), "")
    assert found.words == []
    assert found.maps.shape == (0, 8, 8)
