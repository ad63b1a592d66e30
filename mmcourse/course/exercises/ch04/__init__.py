"""The exercises of chapter 04, in the order in which they are met."""

ORDER = (
    "normalize",
    "color_histogram",
    "fair_scaling",
    "convolution",
    "receptive_field",
    "residual_block",
    "frozen_features",
    "patchify",
)
