"""Retrieval: the nearest among many vectors, exactly, with inverted lists, and with a few bytes for each.

Shapes: N vectors and Q queries of width D, k neighbors.
"""

from mmcourse.retrieval.clusters import kmeans
from mmcourse.retrieval.codes import ProductQuantizer
from mmcourse.retrieval.index import Index, IndexConfig, rerank
from mmcourse.retrieval.lists import Lists, Searched, search_lists, sort_into_lists
from mmcourse.retrieval.neighbors import Neighbors, nearest
from mmcourse.retrieval.storing import IndexFileError, load_index, save_index

__all__ = [
    "Index",
    "IndexConfig",
    "IndexFileError",
    "Lists",
    "Neighbors",
    "ProductQuantizer",
    "Searched",
    "kmeans",
    "load_index",
    "nearest",
    "rerank",
    "save_index",
    "search_lists",
    "sort_into_lists",
]
