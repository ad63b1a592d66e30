"""The exercises of chapter 13, in the order in which they are met."""

ORDER = (
    "put_patches",
    "positions",
    "answer_labels",
    "lora",
    "merge",
    "probes",
    "invented",
)
