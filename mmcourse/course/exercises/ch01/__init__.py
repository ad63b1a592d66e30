"""The exercises of chapter 01, in the order in which they are met."""

ORDER = (
    "attend_one",
    "scaled_attention",
    "softmax_backward",
    "causal_mask",
    "masked_attention",
    "merge_heads",
    "parameter_count",
    "block",
)
