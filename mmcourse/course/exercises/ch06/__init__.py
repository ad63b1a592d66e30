"""The exercises of chapter 06, in the order in which they are met."""

ORDER = (
    "layer_shapes",
    "interaction",
    "late_fusion",
    "low_rank_bilinear",
    "film",
    "gate",
    "scores_of_a_class",
    "modality_dropout",
)
