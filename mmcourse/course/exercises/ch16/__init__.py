"""The exercises of chapter 16, in the order in which they are met."""

ORDER = (
    "frames",
    "spectrum",
    "mel",
    "pitch",
    "order",
    "over_time",
    "three_ways",
)
