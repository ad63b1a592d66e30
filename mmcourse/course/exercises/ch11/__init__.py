"""The exercises of chapter 11, in the order in which they are met."""

ORDER = (
    "nearest",
    "dot_as_distance",
    "kmeans_step",
    "search_lists",
    "code_scores",
    "merge_shards",
    "average_precision",
)
