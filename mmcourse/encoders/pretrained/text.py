"""Pretrained networks that read text: the BERT family, GPT-2 and CLIP's text side, through transformers.

MiniLM-L6 (Wang et al., 2020), a BERT of six layers trained further to embed sentences, comes as a package and works
offline. B texts, T tokens of the longest, C width of the network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.encoders.bert import pool
from mmcourse.encoders.pretrained import hub

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.vocab")  # files of tokenizers, of which one must be there


class TokenBatch(NamedTuple):
    """ids: int64 (B, T), padded at the right; mask: bool (B, T), True where there is a token."""

    ids: Tensor
    mask: Tensor


class TextEncoder(nn.Module):
    """A frozen network that turns texts into features; `load_text_encoder` makes one. It stays in evaluation mode.

    Attributes:
        network: the transformers model; tokenizer: the transformers tokenizer; name: what it was asked for as;
        width: numbers in a feature; max_length: tokens that are read of a text, the rest is cut off;
        pooling: how `encode` makes one vector of a text unless told otherwise; folder: where its files lie.
    """

    def __init__(self, network: nn.Module, tokenizer: Any, *, name: str, folder: Path, max_length: int):
        super().__init__()
        self.network, self.tokenizer, self.name, self.folder = network, tokenizer, name, folder
        self.max_length = max_length
        self.projects = hasattr(network, "text_projection")
        self.pooling = "projection" if self.projects else "mean"
        self.width = network.config.projection_dim if self.projects else network.config.hidden_size
        self._rules = tokenizer.backend_tokenizer.to_str()  # now: each call changes how it pads

    def train(self, mode: bool = True) -> TextEncoder:
        """Stays in evaluation mode."""
        return super().train(False)

    @property
    def fingerprint(self) -> str:
        """A digest of weights, configuration and tokenizer, made anew each time: equal means equal features."""
        return hub.fingerprint(self.network, self.pooling, self.max_length, self._rules)

    @property
    def vocabulary_path(self) -> Path:
        """The file `vocab.txt`: one word piece a line, its line number is its id.

        Raises:
            FileNotFoundError: this network has none; only those with WordPiece do.
        """
        path = self.folder / "vocab.txt"
        if not path.is_file():
            raise FileNotFoundError(f"{self.name} has no vocab.txt; the BERT family has, such as 'minilm'")
        return path

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """Texts -> ids (B, T) and mask (B, T), with the special tokens that the network expects.

        Raises:
            TypeError: texts is one string; give a list.
        """
        if isinstance(texts, str):
            raise TypeError(f"texts must be a list of strings, got the string {texts[:30]!r}; write [text]")
        options = {"padding": True, "truncation": True, "max_length": self.max_length}
        batch = self.tokenizer(list(texts), **options, return_tensors="pt")
        here = next(self.parameters()).device
        return TokenBatch(batch["input_ids"].to(here), batch["attention_mask"].bool().to(here))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids (B, T), mask bool (B, T) -> the last layer's states (B, T, C)."""
        return self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state

    def layers(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """ids (B, T), mask bool (B, T) -> states (B, T, C) after the embedding and after each layer: depth + 1."""
        output = self.network(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return (
            *output.hidden_states[:-1],
            output.last_hidden_state,
        )  # the one behind the last norm

    @torch.no_grad()
    def encode(self, texts: Sequence[str], *, pooling: str | None = None, normalize: bool = True) -> Tensor:
        """Texts -> features (B, width), as one batch.

        Args:
            pooling: "mean", "cls" (the first token) or "max"; "projection" is CLIP's own and its default.
            normalize: scale every feature to length 1.
        Raises:
            ValueError: the network has no projection.
        """
        pooling = self.pooling if pooling is None else pooling
        if pooling == "projection" and not self.projects:
            raise ValueError(f"pooling 'projection' is CLIP's; {self.name} has 'mean', 'cls' and 'max'")
        if len(texts) == 0:
            width = self.width if pooling == "projection" else self.network.config.hidden_size
            return torch.zeros(0, width, device=next(self.parameters()).device)
        ids, mask = self.tokenize(texts)
        if pooling == "projection":
            features = self.network(input_ids=ids, attention_mask=mask.long()).text_embeds
        else:
            features = pool(self(ids, mask), mask, how=pooling)
        return F.normalize(features, dim=-1) if normalize else features


def from_folder(folder: Path, name: str) -> TextEncoder:
    """A network of transformers with its tokenizer.

    Raises:
        ValueError: the weights are not all there.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPTextModelWithProjection

    if not any(any(folder.glob(pattern)) for pattern in VOCABULARIES):  # an empty one would be made up
        raise ValueError(
            f"the folder {folder} has no tokenizer; copy tokenizer.json or vocab.txt from where it came from"
        )
    with hub.reading(folder), hub.silence():
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type in ("clip", "clip_text_model"):
        network = hub.clip_tower(CLIPTextModelWithProjection, "text_config", folder)
    else:
        network = hub.from_folder(AutoModel, folder)
    if tokenizer.pad_token is None:  # GPT-2: any token will do, as the mask hides it
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    max_length = min(tokenizer.model_max_length, _positions(network))
    stated = folder / "sentence_bert_config.json"
    if stated.is_file():  # sentence-transformers reads less than the network could
        max_length = min(max_length, json.loads(stated.read_text(encoding="utf-8")).get("max_seq_length") or max_length)
    return TextEncoder(network, tokenizer, name=name, folder=folder, max_length=max_length)


def _positions(network: nn.Module) -> int:
    """Tokens that the network has positions for; RoBERTa and its kin count theirs from behind the padding's id."""
    most = network.config.max_position_embeddings
    tables = [module for name, module in network.named_modules() if name.endswith("position_embeddings")]
    first = getattr(tables[0], "padding_idx", None) if tables else None
    return most if first is None else most - first - 1
