"""Search beside FAISS on the same vectors, one thread each: exact, and in inverted lists with the same centers.

Ratios are peer time / our time, so above 1 is faster.
"""

import sys
from pathlib import Path

import faiss
import torch

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.retrieval import Index, IndexConfig
from mmcourse.retrieval.engine import FaissIndex

WIDTH, COUNT, LISTS = 64, 100_000, 1024
TARGETS = {"flat": 0.9, "lists": 0.5}


def main():
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(500, WIDTH, generator=generator)
    groups = torch.randint(500, (COUNT,), generator=generator)
    table = centers[groups] + 0.5 * torch.randn(COUNT, WIDTH, generator=generator)
    met = []
    for kind, target in TARGETS.items():
        index = Index(IndexConfig(width=WIDTH, kind=kind, metric="dot", lists=LISTS), generator=generator)
        index.add(table)
        theirs = FaissIndex(index, apart=False)
        for queries in (1, 64):
            asked = table[:queries] + 0.1 * torch.randn(queries, WIDTH, generator=generator)
            ours = lambda index=index, asked=asked: index.search(asked, 10, probes=16)  # noqa: E731
            peer = lambda theirs=theirs, asked=asked: theirs.search(asked, 10, probes=16)  # noqa: E731
            met.append(report(f"{kind}, {COUNT:,} vectors, {queries} queries", compare(ours, peer), target=target))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
