"""Pretrained networks that read pictures: one interface for those of timm, of torchvision, and CLIP's.

`image_sources` makes them. B pictures, S side of the square the network reads, C channels of its last map, h × w places
in that map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcourse.datasets.transforms import Preprocessing
from mmcourse.encoders.pretrained import hub


class ImageEncoder(nn.Module):
    """A frozen network that turns pictures into features; `load_image_encoder` makes one.

    It stays in evaluation mode whatever a model around it does: its batch statistics belong to its weights. Gradients
    flow through it to the picture, but never into it.

    Attributes:
        network: the network as its library built it; width: numbers in a feature; name: what it was asked for as;
        preprocess: the `Preprocessing` that it was trained with; assign another, such as
            `dataclasses.replace(encoder.preprocess, size=128)`, to read smaller pictures.
    """

    def __init__(self, network: nn.Module, *, name: str, width: int, preprocess: Preprocessing):
        super().__init__()
        # The colors of a pixel side by side in memory: the same numbers, up to 1.7 times as fast on a CPU.
        self.network = network.to(memory_format=torch.channels_last)
        self.name, self.width, self.preprocess = name, width, preprocess

    def train(self, mode: bool = True) -> ImageEncoder:
        """Stays in evaluation mode."""
        return super().train(False)

    @property
    def fingerprint(self) -> str:
        """A digest of weights, layers and preprocessing, made anew each time: equal means equal features."""
        return hub.fingerprint(self, type(self).__name__, self.preprocess.key)

    def forward(self, x: Tensor) -> Tensor:
        """Preprocessed pictures float (B, 3, S, S) -> features (B, width)."""
        raise NotImplementedError("load_image_encoder chooses the kind of encoder that knows this network")

    def feature_map(self, x: Tensor) -> Tensor:
        """Preprocessed pictures float (B, 3, S, S) -> the last map before the places are averaged, (B, C, h, w).

        Raises:
            ValueError: the network has no such map.
        """
        raise ValueError(f"{self.name} has no map of features, only one vector for the whole picture")

    def logits(self, x: Tensor) -> Tensor:
        """Preprocessed pictures float (B, 3, S, S) -> scores (B, classes), for ImageNet those of `imagenet_labels`.

        Raises:
            ValueError: the network has no classifier.
        """
        raise ValueError(f"{self.name} has no classifier; load_image_encoder('efficientnet-lite0') has one")

    @torch.no_grad()
    def encode(self, images: Tensor | Sequence[Tensor]) -> Tensor:
        """Pictures uint8 (B, 3, H, W), or a list of (3, H, W) of any sizes -> features (B, width), as one batch.

        For a whole dataset see `mmcourse.encoders.features.extract_features`.
        """
        here = next(self.parameters()).device
        if isinstance(images, Tensor):
            return self(self.preprocess(images.to(here)))
        if len(images) == 0:
            return torch.zeros(0, self.width, device=here)
        return self(torch.stack([self.preprocess(image.to(here)) for image in images]))


class TimmEncoder(ImageEncoder):
    """A network of timm."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network.forward_head(self.network.forward_features(_by_pixel(x)), pre_logits=True)

    def feature_map(self, x: Tensor) -> Tensor:
        features = self.network.forward_features(_by_pixel(x))
        if features.dim() == 3:  # a transformer's tokens, (B, prefix + h·w, C)
            return _tokens_to_map(features, getattr(self.network, "num_prefix_tokens", 0))
        if str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC"):
            features = features.permute(0, 3, 1, 2)  # (B, h, w, C) -> (B, C, h, w)
        return features.contiguous()

    def logits(self, x: Tensor) -> Tensor:
        return self.network(_by_pixel(x)) if self.network.num_classes else super().logits(x)


class ManyMapsEncoder(ImageEncoder):
    """EfficientNet-Lite0 with outlines and colors: the means of five of its maps, of the picture at two sizes.

    The last map was made to tell photographs of 1,000 classes apart; earlier ones keep what drawings live on.
    """

    BLOCKS = (2, 4, 5, 6)  # whose outputs are averaged, beside the last map
    SMALLER = 0.8  # the second size, beside the full one

    def forward(self, x: Tensor) -> Tensor:
        side = round(self.SMALLER * x.shape[-1])
        small = nn.functional.interpolate(x, (side, side), mode="bicubic", antialias=True)
        return torch.cat([self._means(picture) for picture in (x, small)], dim=1)  # (B, 2 · 1944)

    def _means(self, x: Tensor) -> Tensor:
        network, found = self.network, []
        x = network.bn1(network.conv_stem(_by_pixel(x)))
        for number, block in enumerate(network.blocks):
            x = block(x)
            if number in self.BLOCKS:
                found.append(x.mean(dim=(2, 3)))  # (B, C, h, w) -> (B, C)
        return torch.cat([network.bn2(network.conv_head(x)).mean(dim=(2, 3)), *found], dim=1)


class TorchvisionEncoder(ImageEncoder):
    """A classifier of torchvision without its last layer, which is kept beside it."""

    def __init__(self, network: nn.Module, *, name: str, preprocess: Preprocessing):
        last = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
        if not last:
            raise ValueError(f"{name} does not end in a linear layer, so it has no features before its classes")
        head = network.get_submodule(last[-1])
        parent, _, child = last[-1].rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())
        super().__init__(network, name=name, width=head.in_features, preprocess=preprocess)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.network(_by_pixel(x))

    def feature_map(self, x: Tensor) -> Tensor:
        pooling = [module for module in self.network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
        body = getattr(self.network, "features", None)  # where the averaging is a function and not a layer
        if not pooling and body is None:
            return super().feature_map(x)
        seen: list[Tensor] = []
        if pooling:
            hook = pooling[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        else:
            hook = body.register_forward_hook(lambda _, inputs, output: seen.append(output))
        with hook:
            self(x)
        return seen[-1].contiguous()

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self(x))


class CLIPImageEncoder(ImageEncoder):
    """The picture side of CLIP (Radford et al., 2021); its features lie in one space with those of its text side."""

    def forward(self, x: Tensor) -> Tensor:
        return self.network(pixel_values=x).image_embeds

    def feature_map(self, x: Tensor) -> Tensor:
        return _tokens_to_map(self.network(pixel_values=x).last_hidden_state, 1)


def _by_pixel(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _tokens_to_map(tokens: Tensor, prefix: int) -> Tensor:
    places = tokens[:, prefix:].transpose(1, 2)  # (B, prefix + h·w, C) -> (B, C, h·w)
    return places.unflatten(2, (round(places.shape[2] ** 0.5), -1)).contiguous()  # -> (B, C, h, w)
