"""Encoders: what turns pictures and words into features.

`CNN`, `ViT` and `PatchEncoder` read pictures, `VideoEncoder` clips, `AudioEncoder` sounds and `BERT` words;
`load_image_encoder` and `load_text_encoder` bring networks that were trained elsewhere, and `extract_features` runs one
of them over a whole dataset. Letters as in `mmcourse.attention`; pictures are (B, 3, height, width), clips
(B, T, 3, height, width), sounds (B, samples).
"""

from mmcourse.encoders.audio import AudioEncoder, dft, mel_filters, spectrogram, stft
from mmcourse.encoders.bert import BERT, BERTConfig, MaskedLanguageHead, from_hf_bert, pool
from mmcourse.encoders.cnn import CNN, ResidualBlock, convolve
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.masked import MaskedTokens, mask_tokens
from mmcourse.encoders.patches import PatchEncoder
from mmcourse.encoders.pretrained import (
    EncoderUnavailableError,
    ImageEncoder,
    TextEncoder,
    TokenBatch,
    imagenet_labels,
    load_image_encoder,
    load_text_encoder,
)
from mmcourse.encoders.video import VideoEncoder
from mmcourse.encoders.vit import ViT, ViTConfig, patchify

__all__ = [
    "BERT",
    "CNN",
    "AudioEncoder",
    "BERTConfig",
    "EncoderUnavailableError",
    "ImageEncoder",
    "MaskedLanguageHead",
    "MaskedTokens",
    "PatchEncoder",
    "ResidualBlock",
    "TextEncoder",
    "TokenBatch",
    "ViT",
    "ViTConfig",
    "VideoEncoder",
    "convolve",
    "dft",
    "extract_features",
    "from_hf_bert",
    "imagenet_labels",
    "load_image_encoder",
    "load_text_encoder",
    "mask_tokens",
    "mel_filters",
    "patchify",
    "pool",
    "spectrogram",
    "stft",
]
