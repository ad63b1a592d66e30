"""The exercises of chapter 12, in the order in which they are met."""

ORDER = (
    "on_line",
    "cloud_velocity",
    "midpoint_step",
    "order",
    "guided",
    "drop_captions",
    "nearest_training",
)
