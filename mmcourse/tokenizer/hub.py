"""Any tokenizer of the Hugging Face `tokenizers` library, as one of ours: for language models that others trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import tokenizers

from mmcourse.tokenizer.base import Tokenizer, in_order


class HubTokenizer(Tokenizer):
    """A `tokenizer.json` of whatever parts, run by the library that wrote it, so that all ids and texts are its own.

    The file that `save` writes says in that library's terms what pads and what stands around a text, so `load` needs
    nothing else.

    >>> from mmcourse.tokenizer import BytePairTokenizer
    >>> rules = json.dumps(BytePairTokenizer.train(["a cat and a cat"], 264)._to_json())
    >>> tokenizer = HubTokenizer(rules, pad="<pad>", eos="<eos>", special_tokens=["<image>"])
    >>> tokenizer.tokens("a cat<image>"), tokenizer.pad_id, len(tokenizer)
    (['a', 'Ġcat', '<image>'], 0, 265)
    """

    def __init__(
        self,
        rules: str,
        *,
        pad: str | None = None,
        bos: str | None = None,
        eos: str | None = None,
        special_tokens: Sequence[str] = (),
    ) -> None:
        """
        Args:
            rules: the text of a `tokenizer.json`.
            pad, bos, eos: the tokens that fill up, begin and end a text; None = what the file says.
            special_tokens: further ones; those that are new stand behind the vocabulary.
        Raises:
            ValueError: the text holds no tokenizer, nothing pads, or a token is not in the vocabulary.
        """
        try:
            self._core = tokenizers.Tokenizer.from_str(rules)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"rules holds no tokenizer: {error}") from None
        self._core.no_padding()
        self._core.no_truncation()
        self._core.add_special_tokens(list(special_tokens))
        added = self._core.get_added_tokens_decoder()
        special = [token.content for _, token in sorted(added.items()) if token.special]
        super().__init__(in_order(self._core.get_vocab(), "rules"), special)
        data = json.loads(rules)
        first, last = _around(data)
        roles = {
            "pad": pad or (data.get("padding") or {}).get("pad_token"),
            "unk": data["model"].get("unk_token"),
            "bos": bos or first,
            "eos": eos or last,
        }
        if roles["pad"] is None:
            raise ValueError("pad is missing: neither it nor the rules name a token that fills up shorter texts")
        for role, token in roles.items():
            if token is not None and token not in self.ids:
                raise ValueError(f"{role} is {token!r}, which is not a token of the vocabulary")
        self.special_names = tuple(roles.values())

    @classmethod
    def _reads(cls, data: dict[str, Any]) -> bool:
        return bool(data.get("padding"))  # files of our other kinds never say how to pad

    @classmethod
    def _from_data(cls, data: dict[str, Any], name: str) -> HubTokenizer:
        try:
            return cls(json.dumps(data))
        except ValueError as error:
            raise ValueError(f"{name} cannot be read: {error}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (json.dumps(self._to_json()),)

    @cached_property
    def _literal(self) -> tokenizers.Tokenizer:
        """The same rules for texts in which special tokens are words like any other."""
        core = tokenizers.Tokenizer.from_str(self._core.to_str())
        core.encode_special_tokens = True
        return core

    def _inside(self, text: str, spelled: bool) -> list[int]:
        return (self._core if spelled else self._literal).encode(text, add_special_tokens=False).ids

    def _split(self, text: str) -> list[str]:
        return [text]  # the library cuts it further

    def _piece_ids(self, piece: str) -> list[int]:
        return self._inside(piece, False)

    def _join(self, tokens: list[str]) -> str:
        return self._core.decode([self.ids[token] for token in tokens], skip_special_tokens=False)

    def _model(self) -> dict[str, Any]:
        return json.loads(self._core.to_str())["model"]

    def _to_json(self) -> dict[str, Any]:
        pad = self.special_names[0]
        padding = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_type_id": 0}
        return json.loads(self._core.to_str()) | {
            "padding": padding | {"pad_id": self.ids[pad], "pad_token": pad},
            "post_processor": self._template(),
        }


def _around(data: dict[str, Any]) -> tuple[str | None, str | None]:
    """The special tokens that a file puts first and last, where it says so in the form of a template."""
    parts = (data.get("post_processor") or {}).get("single") or [{}]
    first, last = (part.get("SpecialToken", {}).get("id") for part in (parts[0], parts[-1]))
    return first, last
