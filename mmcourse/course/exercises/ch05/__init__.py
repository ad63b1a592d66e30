"""The exercises of chapter 05, in the order in which they are met."""

ORDER = ("longest_match", "embed", "mask_tokens", "our_name", "masked_mean", "search", "mean_cosine", "probe")
