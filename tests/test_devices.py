"""On machines without a GPU: fake CUDA tensors, which refuse a mix of devices, go through every public module.

Left out is what looks at values, such as the check of targets in `cross_entropy`: fake tensors have none. So is what
goes backward, which torch does on a real device alone.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmcourse.attention import (
    KeyValueCache,
    MultiHeadAttention,
    attention,
    causal_mask,
    record,
    sinusoidal_positions_2d,
)
from mmcourse.encoders.audio import AudioEncoder, dft, spectrogram
from mmcourse.encoders.bert import BERT, BERTConfig
from mmcourse.encoders.cnn import CNN
from mmcourse.encoders.patches import PatchEncoder
from mmcourse.encoders.video import VideoEncoder
from mmcourse.encoders.vit import ViT, ViTConfig
from mmcourse.fusion import FUSIONS, Views, make_fusion
from mmcourse.fusion.late_interaction import late_interaction
from mmcourse.interpret import (
    center_map,
    effects,
    leave_one_out,
    occlusion,
    random_map,
    rollout_map,
)
from mmcourse.lm import GPT, GPTConfig
from mmcourse.losses import info_nce, sigmoid_loss
from mmcourse.models import (
    CLIP,
    Captioner,
    CaptionerConfig,
    CLIPConfig,
    Matcher,
    MatcherConfig,
    MultiModalConfig,
    MultiModalModel,
)
from mmcourse.pooling import masked_max, masked_mean
from mmcourse.tokenizer import WordTokenizer
from mmcourse.transformer import Decoder, Encoder

WORDS = WordTokenizer.train(["a cat left of a dog"])


@pytest.fixture(autouse=True)
def fake():
    with FakeTensorMode():
        yield


def there(make):
    """A module made with its parameters and buffers on the GPU."""
    with torch.device("cuda"):
        return make()


def tensors(*shape):
    return torch.randn(*shape, device="cuda")


def ids(rows=2, length=5):
    tokens = torch.zeros(rows, length, dtype=torch.int64, device="cuda")
    return tokens, torch.ones(rows, length, dtype=torch.bool, device="cuda")


def pictures(rows=2):
    return torch.zeros(rows, 3, 64, 64, dtype=torch.uint8, device="cuda")


def on_gpu(found):
    assert found.device.type == "cuda"


def test_a_mix_of_devices_is_refused_here():
    x = tensors(2, 6, 16)
    with pytest.raises(RuntimeError, match="device"):
        attention(x, x, x, mask=causal_mask(6))


@pytest.mark.parametrize("rotary", [False, True])
def test_attention(rotary):
    x, mask = tensors(2, 6, 16), causal_mask(6, device="cuda")
    on_gpu(attention(x, x, x, mask=mask).output)
    heads = there(lambda: MultiHeadAttention(16, 4, rotary=rotary))
    for found in (heads(x, mask=mask), heads(x, causal=True), heads.attend(x, mask=mask).output):
        on_gpu(found)
    cache = KeyValueCache()
    on_gpu(heads(x, cache=cache))
    on_gpu(heads(x[:, :1], cache=cache))
    on_gpu(x.unflatten(1, (2, 3)) + sinusoidal_positions_2d(2, 3, 16).view(2, 3, 16).to(x))


def test_blocks_and_language_models():
    x, (tokens, mask) = tensors(2, 6, 16), ids()
    on_gpu(there(lambda: Encoder(2, 16, 4))(x))
    decoder = there(lambda: Decoder(2, 16, 4, cross=True))
    on_gpu(decoder(x, x))
    on_gpu(record(decoder, x, x).output)
    gpt = there(lambda: GPT(GPTConfig(vocabulary_size=11, context=8, width=16, heads=2, depth=1)))
    on_gpu(gpt(tokens))
    config = BERTConfig(vocabulary_size=11, context=8, width=16, heads=2, depth=1, hidden=32)
    on_gpu(there(lambda: BERT(config))(tokens, mask))


def test_picture_encoders():
    on_gpu(there(lambda: CNN((8, 16))).feature_map(pictures().float()))
    on_gpu(there(lambda: PatchEncoder(5, widths=(8, 16), width=12))(pictures()))
    config = ViTConfig(image_size=64, patch_size=8, width=16, depth=1, heads=2)
    on_gpu(there(lambda: ViT(config)).tokens(pictures().float()))


@pytest.mark.parametrize("over_time", ["attention", "mean", "first"])
def test_video_encoders(over_time):
    clips = pictures()[:, None].expand(-1, 4, -1, -1, -1)
    on_gpu(there(lambda: VideoEncoder((8, 16), over_time=over_time))(clips))


@pytest.mark.parametrize("name", FUSIONS)
def test_fusions(name):
    options = {"grid": (3, 3)} if "attention" in name else {}
    views = Views(tensors(2, 16), tensors(2, 16), tensors(2, 9, 16), tensors(2, 4, 16), None, ids(2, 4)[1])
    on_gpu(there(lambda: make_fusion(name, 16, 16, 16, **options))(views))


@pytest.mark.parametrize("image", ["cnn", "vit"])
def test_models(image):
    tokens, mask = ids()
    shape = {"widths": (8, 16)} if image == "cnn" else {"width": 16, "heads": 2}
    options = {
        "image": image,
        "image_options": shape,
        "text": "transformer",
        "text_options": {"width": 16},
        "width": 16,
    }
    for loss in ("info_nce", "sigmoid"):
        towers = there(lambda loss=loss: CLIP(CLIPConfig(**options, loss=loss), WORDS))
        on_gpu(towers.loss(towers(pictures(), tokens, mask)))
    classifier = there(lambda: MultiModalModel(MultiModalConfig(**options, labels=("no", "yes")), WORDS))
    on_gpu(classifier(pictures(), tokens, mask))
    on_gpu(classifier(None, tokens, mask))


def test_captioner_and_matcher():
    tokens, mask = ids()
    config = CaptionerConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16))
    captioner = there(lambda: Captioner(config, WORDS))
    on_gpu(captioner(pictures(), tokens))
    on_gpu(captioner.eval().stepper(captioner.memory(pictures()))(tokens))
    options = {"image_options": {"width": 16}, "text_options": {"width": 16}, "width": 16}
    on_gpu(there(lambda: Matcher(MatcherConfig(**options), WORDS))(tensors(2, 64, 16), tokens, mask))


def test_maps_of_what_a_score_depends_on():
    config = ViTConfig(image_size=16, patch_size=8, width=16, depth=1, heads=2)
    vit, images = there(lambda: ViT(config)), tensors(2, 3, 16, 16)

    def score(images):
        return vit(images)[:, 0]

    on_gpu(occlusion(score, images, size=8))
    on_gpu(rollout_map(vit, images))
    on_gpu(effects(score, images, images[:, None]))
    on_gpu(leave_one_out(lambda tokens: tokens.float().mean(dim=1), ids()[0]))
    on_gpu(center_map(images))
    on_gpu(random_map(images))


def test_sounds():
    on_gpu(there(lambda: AudioEncoder((8, 16)))(tensors(2, 1000)))
    on_gpu(spectrogram(tensors(2, 1000)))
    on_gpu(dft(tensors(2, 16)))


def test_losses_and_pooling():
    _, mask = ids()
    unit = torch.nn.functional.normalize(tensors(4, 8), dim=1)
    on_gpu(info_nce(unit, unit, scale=10.0, negatives=unit))
    on_gpu(sigmoid_loss(unit, unit, scale=10.0, bias=-10.0))
    on_gpu(late_interaction(tensors(2, 9, 8), tensors(3, 5, 8)))
    on_gpu(masked_mean(tensors(2, 5, 8), mask) + masked_max(tensors(2, 5, 8), mask))
