"""The exercises of chapter 09, in the order in which they are met."""

ORDER = ("shift_targets", "greedy", "beam_step", "length_penalty", "clipped_precision", "rouge_l", "cider_weights")
