"""The exercises of chapter 16, in the order in which they are met."""

ORDER = (
    "spectrum",
    "frames",
    "pitch",
    "mel",
    "order",
    "over_time",
    "three_ways",
)
