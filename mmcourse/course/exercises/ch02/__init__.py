"""The exercises of chapter 02, in the order in which they are met."""

ORDER = (
    "mean_surprise",
    "log_sum_exp",
    "cross_entropy",
    "gradient",
    "label_smoothing",
    "perplexity",
    "calibration_error",
)
