"""The exercises of chapter 15, in the order in which they are met."""

ORDER = (
    "quantize",
    "per_channel",
    "prune",
    "distill",
    "count",
    "sharded_step",
    "power_law",
)
