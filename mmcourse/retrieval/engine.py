"""The same search by FAISS, the engine for whoever outgrows ours (Douze et al., "The Faiss library", 2024).

It is imported only when it is asked for: `pip install faiss-cpu`. On macOS, where torch and FAISS in one process can
crash over their two copies of OpenMP, it runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.retrieval.index import Index
from mmcourse.retrieval.neighbors import Neighbors, check

_held: Any = None  # the index of FAISS, in a process that exists for it


class FaissIndex:
    """An `Index` of kind flat or lists, searched by FAISS with the same centers and vectors.

    Args:
        index: what to hand over; its vectors are copied.
        apart: in a process of its own; by default on macOS.
    Raises:
        ImportError: FAISS is not installed.
        ValueError: the index holds codes.
    """

    def __init__(self, index: Index, *, apart: bool = sys.platform == "darwin") -> None:
        if index.config.kind == "codes":
            raise ValueError(
                "an index of codes cannot be handed to FAISS, which has codes of its own; use flat or lists"
            )
        self.config, self.count = index.config, len(index)
        lists = None if index.lists is None else [table.numpy() for table in index.lists]
        given = (index.vectors.float().numpy(), lists, index.config.metric)
        self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) if apart else None
        if self.pool is None:
            self.faiss = _build(*given)
        else:
            self.pool.submit(_hold, *given).result()

    def __len__(self) -> int:
        return self.count

    def search(self, queries: Tensor, k: int, *, probes: int = 16) -> Neighbors:
        """As `Index.search`; of equal scores any may come first."""
        check(queries, self.config.width, k, self.config.metric)
        queries = F.normalize(queries, dim=1) if self.config.metric == "cosine" else queries
        asked = queries.float().numpy(), k, probes
        scores, ids = _search(self.faiss, *asked) if self.pool is None else self.pool.submit(_ask, *asked).result()
        scores = torch.from_numpy(scores)
        scores = -scores if self.config.metric == "euclidean" else scores
        ids = torch.from_numpy(ids)
        return Neighbors(scores.masked_fill(ids < 0, -torch.inf), ids)

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self.pool is not None:
            self.pool.shutdown()


def _build(vectors: np.ndarray, lists: list[np.ndarray] | None, metric: str) -> Any:
    """The index of FAISS."""
    try:
        import faiss
    except ImportError:
        raise ImportError("FAISS is not installed; `pip install faiss-cpu` brings it") from None
    kind = faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
    flat = faiss.IndexFlat(vectors.shape[1], kind)
    if lists is None:
        flat.add(vectors)
        return flat
    centers, starts, order = lists
    flat.add(centers)
    made = faiss.IndexIVFFlat(flat, vectors.shape[1], len(centers), kind)
    for number, (start, end) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
        if end > start:
            part = np.ascontiguousarray(vectors[start:end])
            ids = np.ascontiguousarray(order[start:end])
            codes = part.view(np.uint8)
            made.invlists.add_entries(number, end - start, faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    made.ntotal, made.is_trained = len(vectors), True
    return made


def _search(index: Any, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(index, "nprobe"):
        index.nprobe = probes
    return index.search(np.ascontiguousarray(queries), k)


def _hold(*given: Any) -> None:
    """Builds in the process of its own: an index of FAISS cannot be sent back."""
    global _held
    _held = _build(*given)


def _ask(*asked: Any) -> tuple[np.ndarray, np.ndarray]:
    return _search(_held, *asked)
