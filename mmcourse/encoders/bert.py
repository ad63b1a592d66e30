"""BERT: an encoder of text, trained by guessing hidden words (Devlin et al., "BERT", 2019).

The blocks are those of Vaswani et al. (2017) with the normalization behind each part; every token sees every other.
A model of the BERT family that somebody else trained is read by `from_hf_bert` or `BERT.from_folder`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import LearnedPositions
from mmcourse.encoders.masked import MaskedTokens, mask_tokens
from mmcourse.pooling import check_mask, masked_max, masked_mean
from mmcourse.transformer import ACTIVATIONS, HF_ACTIVATIONS, Encoder, TransformerConfig

__all__ = ["BERT", "BERTConfig", "MaskedLanguageHead", "MaskedTokens", "from_hf_bert", "mask_tokens", "pool"]


@dataclass(frozen=True, kw_only=True)
class BERTConfig:
    """The size of a `BERT`; the defaults are those of bert-base-uncased.

    Args:
        vocabulary_size: number of tokens V.
        context: the longest text that it can read, in tokens.
        width, heads, depth, hidden, activation: of the blocks, see `mmcourse.transformer.TransformerConfig`.
        segments: how many kinds of text it tells apart, such as a question and its answer.
        dropout: of the embeddings and in the blocks.
        norm_eps: what the normalizations add to the variance.
    """

    vocabulary_size: int = 30_522
    context: int = 512
    width: int = 768
    heads: int = 12
    depth: int = 12
    hidden: int | None = None
    segments: int = 2
    dropout: float = 0.0
    norm_eps: float = 1e-12
    activation: str = "gelu"

    @property
    def stack(self) -> TransformerConfig:
        """The encoder inside."""
        sizes = {"depth": self.depth, "width": self.width, "heads": self.heads, "hidden": self.hidden}
        return TransformerConfig(**sizes, dropout=self.dropout, norm="post", activation=self.activation)

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return (self.vocabulary_size + self.context + self.segments + 2) * self.width + self.stack.parameters


class BERT(nn.Module):
    """An encoder that gives every token of a text a vector that knows the whole text.

    >>> model = BERT(BERTConfig(vocabulary_size=11, context=8, width=16, heads=2, depth=2)).eval()
    >>> model(torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool)).shape
    torch.Size([1, 3, 16])
    """

    def __init__(self, config: BERTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.segments = nn.Embedding(config.segments, config.width)
        self.positions = LearnedPositions(config.context, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(config.stack)
        _start(self, config)

    @classmethod
    def from_folder(cls, path: str | Path) -> BERT:
        """The BERT in a folder with the hub's layout: `config.json` and `model.safetensors`; in evaluation mode.

        Raises:
            FileNotFoundError: one of the two is not there.
            ValueError: the folder holds another kind of model.
        """
        from safetensors.torch import load_file

        missing = [name for name in ("config.json", "model.safetensors") if not (Path(path) / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{path} has no {' and no '.join(missing)}; give the folder of a saved BERT")
        model = cls(_read_config(json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))))
        return _fill(model, load_file(Path(path) / "model.safetensors")).eval()

    def forward(self, tokens: Tensor, mask: Tensor | None = None, *, segments: Tensor | None = None) -> Tensor:
        """The last hidden state (B, T, C) of `tokens` (B, T).

        Args:
            mask: bool (B, T), True = a token, False = padding, which nobody looks at; None = no padding.
            segments: the number of the part of text that each token belongs to (B, T); None = all to part 0.
        """
        return self.encoder(self._embed(tokens, mask, segments), mask=_for_attention(mask))

    def layers(
        self, tokens: Tensor, mask: Tensor | None = None, *, segments: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The embeddings and what each block makes of them: depth + 1 tensors (B, T, C), the last is `forward`'s."""
        hidden = [self._embed(tokens, mask, segments)]
        mask = _for_attention(mask)
        for block in self.encoder.blocks:
            hidden.append(block(hidden[-1], mask=mask))
        return tuple(hidden)

    def _embed(self, tokens: Tensor, mask: Tensor | None, segments: Tensor | None) -> Tensor:
        if tokens.dim() != 2 or tokens.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"tokens must be integers (batch, length), got {tokens.dtype} {tuple(tokens.shape)}")
        if tokens.shape[1] > self.config.context:
            raise ValueError(f"tokens have length {tokens.shape[1]}, the model reads {self.config.context}; cut them")
        if mask is not None:
            check_mask(mask, tokens.shape)
        part = self.segments.weight[0] if segments is None else self.segments(segments)
        return self.dropout(self.norm(self.positions(self.embedding(tokens) + part)))  # (B, T) -> (B, T, C)


class MaskedLanguageHead(nn.Module):
    """A BERT that guesses the hidden tokens; the table that reads tokens also scores them.

    >>> model = MaskedLanguageHead(BERT(BERTConfig(vocabulary_size=11, context=8, width=16, heads=2, depth=2)))
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 11])
    """

    def __init__(self, bert: BERT) -> None:
        super().__init__()
        config = bert.config
        self.activation = ACTIVATIONS[config.activation]
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        _start(self, config)
        self.bert = bert  # behind _start, which would throw its weights away

    @classmethod
    def from_hf(cls, theirs: Any) -> MaskedLanguageHead:
        """The same model as a transformers `BertForMaskedLM`, with copies of its weights."""
        if not theirs.config.tie_word_embeddings:
            raise ValueError("theirs scores tokens with another table than it reads them with; tie them first")
        return _copy(cls(BERT(_read_config(theirs.config.to_dict()))), theirs)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, *, segments: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) of the token that was at each place of `tokens` (B, T) before some were hidden."""
        return self.score(self.bert(tokens, mask, segments=segments))

    def score(self, hidden: Tensor) -> Tensor:
        """(…, C) -> logits (…, V); in training only those of the hidden tokens are needed: `hidden[targets >= 0]`."""
        return F.linear(self.norm(self.activation(self.dense(hidden))), self.bert.embedding.weight, self.bias)


def pool(hidden: Tensor, mask: Tensor, how: Literal["mean", "cls", "max"] = "mean") -> Tensor:
    """One vector for each text, (B, T, C) -> (B, C): the mean or maximum over its tokens, or its first token.

    Padding does not count, whatever it holds; a text without any token gives zeros.

    Args:
        mask: bool (B, T), True = a token, False = padding.
    """
    check_mask(mask, hidden.shape[:2])
    if how == "mean":
        return masked_mean(hidden, mask)
    if how == "max":
        return masked_max(hidden, mask)
    if how != "cls":
        raise ValueError(f"how must be 'mean', 'cls' or 'max', got {how!r}")
    first = hidden[torch.arange(len(hidden)), mask.int().argmax(dim=1)]  # the first True, wherever padding is
    return first.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)


def from_hf_bert(theirs: Any) -> BERT:
    """The same model as a transformers `BertModel`, with copies of its weights; its pooler is left out.

    Raises:
        ValueError: its configuration has something that `BERT` has not.
    """
    return _copy(BERT(_read_config(theirs.config.to_dict())), theirs)


def _start(model: nn.Module, config: BERTConfig) -> None:
    """BERT's start: small normal weights, no biases; and the eps of its normalizations."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.LayerNorm):
            module.eps = config.norm_eps


def _for_attention(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask[:, None, None, :]  # (B, S) -> (B, 1, 1, S)


# transformers' name of each part -> ours, applied one after the other.
_NAMES = {
    r"^bert\.": "",
    r"^cls\.predictions\.(transform\.)?": "head.",
    r"LayerNorm\.gamma$": "LayerNorm.weight",  # as the first BERTs were saved
    r"LayerNorm\.beta$": "LayerNorm.bias",
    r"^embeddings\.word_embeddings": "embedding",
    r"^embeddings\.token_type_embeddings": "segments",
    r"^embeddings\.position_embeddings\.weight": "positions.table",
    r"^embeddings\.LayerNorm": "norm",
    r"^encoder\.layer": "encoder.blocks",
    r"attention\.self": "attention",
    r"attention\.output\.dense": "attention.out",
    r"attention\.output\.LayerNorm": "attention_norm",
    r"intermediate\.dense": "feed_forward.expand",
    r"output\.dense": "feed_forward.contract",
    r"output\.LayerNorm": "feed_forward_norm",
    r"^head\.LayerNorm": "head.norm",
}


_SIZES = {
    "vocabulary_size": "vocab_size",
    "context": "max_position_embeddings",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "depth": "num_hidden_layers",
    "hidden": "intermediate_size",
    "segments": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "norm_eps": "layer_norm_eps",
}


def _read_config(theirs: Mapping[str, Any]) -> BERTConfig:
    """A `config.json` of the BERT family as ours."""
    kind, activation = theirs.get("model_type"), theirs.get("hidden_act", "gelu")
    odd = theirs.get("is_decoder") or theirs.get("position_embedding_type", "absolute") != "absolute"
    if kind != "bert" or odd or activation not in HF_ACTIVATIONS:
        raise ValueError(
            f"the model is no plain BERT (model_type {kind!r}, hidden_act {activation!r}); give one of type 'bert', no "
            f"decoder, with absolute positions and one of the activations {', '.join(HF_ACTIVATIONS)}"
        )
    sizes = {ours: theirs[name] for ours, name in _SIZES.items() if name in theirs}
    return BERTConfig(**sizes, activation=HF_ACTIVATIONS[activation])


def _fill(model: BERT | MaskedLanguageHead, weights: Mapping[str, Tensor]) -> Any:
    """Copies weights that are named as in transformers; what `model` has no place for, such as a pooler, is left."""
    ours = {}
    for name, weight in weights.items():
        for pattern, replacement in _NAMES.items():
            name = re.sub(pattern, replacement, name)
        ours[name] = weight
    if isinstance(model, MaskedLanguageHead):
        ours = {name[5:] if name.startswith("head.") else f"bert.{name}": weight for name, weight in ours.items()}
    wanted = model.state_dict()
    lacking = sorted(wanted.keys() - ours.keys())
    if lacking:
        raise ValueError(f"the weights lack {len(lacking)} parts of a BERT of this size, the first is {lacking[0]}")
    model.load_state_dict({name: ours[name] for name in wanted})
    return model


def _copy(model: BERT | MaskedLanguageHead, theirs: Any) -> Any:
    some = next(theirs.parameters())
    return _fill(model.to(some), theirs.state_dict()).train(theirs.training)
