"""The exercises of chapter 00, in the order in which they are met."""

ORDER = ("numbers", "to_tensor", "count_true", "chance", "best_sentence")
