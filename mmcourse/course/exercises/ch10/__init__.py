"""The exercises of chapter 10, in the order in which they are met."""

ORDER = ("at_the_end", "answer_targets", "mean_over_kinds", "two_experts", "risk_at_coverage", "vqa_accuracy")
