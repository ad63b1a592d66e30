"""The exercises of chapter 14, in the order in which they are met."""

ORDER = (
    "integrated_gradients",
    "grad_cam",
    "rollout",
    "deletion_curve",
    "causal_score",
    "membership",
    "reweight",
)
