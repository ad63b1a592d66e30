"""The exercises of chapter 08, in the order in which they are met."""

ORDER = (
    "similarity",
    "info_nce",
    "temperature_gradient",
    "recall_at_k",
    "prompt_ensemble",
    "sigmoid_loss",
    "hard_negatives",
)
