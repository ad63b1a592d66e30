"""Training: one readable loop with everything that a run needs to be trusted, stopped and taken up again.

`fit` asks for two functions: `batches(step)` gives the batch of a step, `loss(model, batch)` says how bad the model is
on it. A batch that depends on nothing but the step is what an interrupted run finds again.
"""

from mmcourse.distributed import Mean
from mmcourse.train.batches import Batches
from mmcourse.train.checkpoint import CheckpointError
from mmcourse.train.chunks import in_chunks
from mmcourse.train.loop import History, fit
from mmcourse.train.optimizer import make_optimizer, warmup_cosine
from mmcourse.train.options import Checkpointing, Computing, Schedule
from mmcourse.train.run import Evaluation
from mmcourse.train.watch import DivergedError

__all__ = [
    "Batches",
    "CheckpointError",
    "Checkpointing",
    "Computing",
    "DivergedError",
    "Evaluation",
    "History",
    "Mean",
    "Schedule",
    "fit",
    "in_chunks",
    "make_optimizer",
    "warmup_cosine",
]
