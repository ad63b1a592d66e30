"""The exercises of chapter 03, in the order in which they are met."""

ORDER = ("count_pairs", "merge", "encode", "bigram", "shift", "gpt_logits", "top_p", "cached_step", "mask_tokens")
