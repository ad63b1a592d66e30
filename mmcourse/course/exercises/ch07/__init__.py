"""The exercises of chapter 07, in the order in which they are met."""

ORDER = (
    "words_ask_patches",
    "padded_words",
    "co_attention",
    "positions_2d",
    "identity_start",
    "pointing_game",
    "attention_mass",
)
