"""What a VLM asks of a causal language model, of the course or of transformers: read vectors in place of tokens."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from mmcourse.lm import GPT


class Language(ABC):
    """A language model by what can be asked of it, whoever made it; `language_of` finds the right kind.

    It holds no weights: the network stays the part of the VLM that it is, under its own names.
    """

    def __init__(self, network: Any) -> None:
        self.network = network

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels C of its embeddings."""

    @property
    @abstractmethod
    def context(self) -> int | None:
        """The longest sequence that it can read; None where nothing limits it."""

    @property
    @abstractmethod
    def table(self) -> nn.Embedding:
        """The embeddings of its tokens, (V, C)."""

    @abstractmethod
    def read(
        self, x: Tensor, mask: Tensor, positions: Tensor, *, cache: Any = None, columns: Tensor | None = None
    ) -> Tensor:
        """Logits (B, K, V) of the token after each vector.

        Args:
            x: (B, T, C), the embeddings, or what is put in their place.
            mask: bool (B, S), True = a token, False = padding; S counts the vectors in the cache and these.
            positions: int64 (B, T), see `positions_of`.
            cache: from `new_cache`; it takes these vectors in.
            columns: int64 (K,), the columns of `x` whose logits are wanted, as a large vocabulary makes them dear;
                None = all T.
        """

    @abstractmethod
    def new_cache(self) -> Any:
        """An empty key–value cache for one batch."""

    @abstractmethod
    def reorder(self, cache: Any, index: Tensor) -> None:
        """Makes row i of a cache a copy of row index[i]."""


class OwnLanguage(Language):
    """A `mmcourse.lm.GPT`."""

    network: GPT

    @property
    def width(self) -> int:
        return self.network.config.width

    @property
    def context(self) -> int:
        return self.network.config.context

    @property
    def table(self) -> nn.Embedding:
        return self.network.embedding

    def read(
        self, x: Tensor, mask: Tensor, positions: Tensor, *, cache: Any = None, columns: Tensor | None = None
    ) -> Tensor:
        features = self.network.read(x, mask=mask, positions=positions, cache=cache)
        return self.network.score(features if columns is None else features[:, columns])

    def new_cache(self) -> Any:
        return self.network.new_cache()

    def reorder(self, cache: Any, index: Tensor) -> None:
        for block in cache:
            block.reorder(index)


class HubLanguage(Language):
    """A causal language model of transformers, as `AutoModelForCausalLM` gives it."""

    @property
    def width(self) -> int:
        return self.table.embedding_dim

    @property
    def context(self) -> int | None:
        return getattr(self.network.config, "max_position_embeddings", None)

    @property
    def table(self) -> nn.Embedding:
        return self.network.get_input_embeddings()

    def read(
        self, x: Tensor, mask: Tensor, positions: Tensor, *, cache: Any = None, columns: Tensor | None = None
    ) -> Tensor:
        names = inspect.signature(self.network.forward).parameters
        kept = {"cache" if "cache" in names else "past_key_values": cache}  # renamed in transformers 5.24
        found = self.network(
            inputs_embeds=x, attention_mask=mask.long(), position_ids=positions, **kept,
            use_cache=cache is not None, logits_to_keep=0 if columns is None else columns,
        )  # fmt: skip
        return found.logits

    def new_cache(self) -> Any:
        from transformers import DynamicCache  # takes seconds to import, which the course's own model spares

        return DynamicCache(config=self.network.config)

    def reorder(self, cache: Any, index: Tensor) -> None:
        cache.reorder_cache(index)


def language_of(network: nn.Module) -> Language:
    """What a VLM can ask of a language model.

    Raises:
        ValueError: it is neither a `GPT` nor a causal language model of transformers.
    """
    if isinstance(network, GPT):
        return OwnLanguage(network)
    config = getattr(network, "config", None)
    if not hasattr(network, "get_input_embeddings") or not hasattr(config, "to_dict") or not _has_head(network):
        wanted = "a mmcourse.lm.GPT or a causal language model of transformers"
        raise ValueError(f"language_model must be {wanted}, got {type(network).__name__}")
    return HubLanguage(network)


def positions_of(mask: Tensor) -> Tensor:
    """Where each token stands when only tokens count: bool (B, T) -> int64 (B, T); padding has the place 0 or the last.

    >>> import torch
    >>> positions_of(torch.tensor([[False, False, True, True], [True, True, False, False]]))
    tensor([[0, 0, 0, 1],
            [0, 1, 1, 1]])
    """
    return (mask.cumsum(dim=-1) - 1).clamp(min=0)


def _has_head(network: Any) -> bool:
    return network.get_output_embeddings() is not None
