"""Encoders: what turns pictures and words into features.

Import from the parts: `cnn`, `vit` and `patches` for pictures, `bert` and `masked` for words, `pretrained` for networks
that were trained elsewhere, and `features` to run one of them over a whole dataset. Letters as in `mmcourse.attention`;
pictures are (B, 3, height, width).
"""
