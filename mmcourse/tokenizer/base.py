"""What all tokenizers share: a vocabulary, special tokens, batches with padding, and the file on disk.

The file has the JSON form of the Hugging Face `tokenizers` library (`tokenizers.Tokenizer.from_file` reads it). As
there, a special token that is spelled out in a text is taken for the special token.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from mmcourse.tokenizer.texts import check_characters, several_texts

SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")
T = TypeVar("T", bound="Tokenizer")


class EncodedBatch(NamedTuple):
    """Several texts as one table: `ids` int64 (B, T), padded on the right, and `mask` bool (B, T), True = a token."""

    ids: Tensor
    mask: Tensor


class Tokenizer(ABC):
    """A text as a list of ids. Use one of its subclasses; `Tokenizer.load` finds the right one for a file.

    Attributes:
        vocabulary: every token, in the order of the ids.
        ids: the id of each token.
        special_tokens: the tokens that stand for no text, such as `<pad>`.
    """

    # What `tokenizers` calls the parts of this tokenizer; each subclass names its own.
    model_type: ClassVar[str]
    model_settings: ClassVar[tuple[str, ...]]  # the settings of the model that change what is encoded
    pre_tokenizer: ClassVar[dict[str, Any]]
    decoder: ClassVar[dict[str, Any] | None]
    normalizer: dict[str, Any] | None = None
    special_names: ClassVar[tuple[str, ...]] = SPECIAL_TOKENS  # what padding, unknown, first and last are called here
    second_segment: ClassVar[int] = 0  # how `tokenizers` numbers the second text of a pair

    def __init__(self, vocabulary: Sequence[str], special_tokens: Sequence[str] = ()) -> None:
        self.vocabulary, self.special_tokens = tuple(vocabulary), tuple(special_tokens)
        self.ids = {token: index for index, token in enumerate(self.vocabulary)}
        if len(self.ids) != len(self.vocabulary):
            twice = next(token for index, token in enumerate(self.vocabulary) if self.ids[token] != index)
            raise ValueError(f"vocabulary holds {twice!r} twice; every token needs one id")
        for token in self.special_tokens:
            if not token or token not in self.ids:
                raise ValueError(f"special_tokens holds {token!r}, which is not a token of the vocabulary")
        # The longest first, so that `<end>` does not hide `<end>2`.
        longest = sorted(self.special_tokens, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest)) + ")") if longest else None

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tokens)"

    @property
    def pad_id(self) -> int | None:
        """The id of `<pad>`, or None where there is no such token; the same holds for the other three."""
        return self.ids.get(self.special_names[0])

    @property
    def unk_id(self) -> int | None:
        return self.ids.get(self.special_names[1])

    @property
    def bos_id(self) -> int | None:
        return self.ids.get(self.special_names[2])

    @property
    def eos_id(self) -> int | None:
        return self.ids.get(self.special_names[3])

    def encode(self, text: str, *, add_special: bool = False, spelled: bool = True) -> list[int]:
        """The ids of a text; with `add_special` between `<bos>` and `<eos>`, where the vocabulary has them.

        Args:
            spelled: a special token that the text spells out is taken for the special token. With False it is text
                like any other, as it should be in what strangers write: their `<eos>` would end it.
        Raises:
            TypeError: `text` is not a str.
            ValueError: `text` holds half of a surrogate pair, which is no character.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}; encode_batch takes several texts")
        check_characters(text)
        inside = self._inside(text, spelled)
        first, last = self._ends() if add_special else ([], [])
        return [self.ids[token] for token in first] + inside + [self.ids[token] for token in last]

    def tokens(self, text: str, *, add_special: bool = False) -> list[str]:
        """The same as `encode`, as tokens: for people to look at."""
        return [self.vocabulary[index] for index in self.encode(text, add_special=add_special)]

    def encode_batch(self, texts: Iterable[str], *, add_special: bool = False, spelled: bool = True) -> EncodedBatch:
        """Several texts as one table, shorter ones filled up with `<pad>` on the right."""
        rows = [self.encode(text, add_special=add_special, spelled=spelled) for text in several_texts(texts)]
        longest = max(map(len, rows), default=0)
        if self.pad_id is None and any(len(row) < longest for row in rows):
            pad = self.special_names[0]
            raise ValueError(f"texts differ in length, and the vocabulary has no {pad!r} to fill up the shorter ones")
        fill = 0 if self.pad_id is None else self.pad_id
        ids = torch.full((len(rows), longest), fill, dtype=torch.int64)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[i, : len(row)] = True
        return EncodedBatch(ids, mask)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that become `<unk>`, in their order; none where a tokenizer can spell every word."""
        if self.unk_id is None:
            return []
        return [piece for piece in self._split(text) if self.unk_id in self._piece_ids(piece)]

    def decode(self, ids: Iterable[int] | Tensor | int, *, skip_special: bool = False) -> str:
        """The text of a row of ids (a list, or a tensor (T,)); special tokens are written out unless skipped."""
        row = ids.tolist() if isinstance(ids, Tensor) else ids
        row = [row] if isinstance(row, Integral | float) else list(row)
        for index in row:
            if not isinstance(index, Integral):
                raise TypeError(f"ids must be one row of whole numbers, got {type(index).__name__} in it")
            if not 0 <= index < len(self):
                raise ValueError(f"ids holds {index}, the vocabulary has the ids 0 to {len(self) - 1}")
        tokens = [self.vocabulary[index] for index in row]
        return self._join([token for token in tokens if not (skip_special and token in self.special_tokens)])

    def save(self, path: str | Path) -> None:
        """Writes the tokenizer as JSON, for `load` and for `tokenizers.Tokenizer.from_file`."""
        Path(path).write_text(json.dumps(self._to_json(), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls: type[T], path: str | Path) -> T:
        """Reads what `save` wrote, or what `tokenizers` wrote of a tokenizer with the same parts.

        Raises:
            ValueError: the file holds something else; the message says what.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            kind = data["model"]["type"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise ValueError(f"{Path(path).name} is no tokenizer file: it holds no JSON with a model") from None
        fits = [each for each in _kinds(cls) if each._reads(data)]
        if not fits:
            raise ValueError(f"{Path(path).name} holds a {kind} tokenizer whose parts are not those of {cls.__name__}")
        return fits[0]._from_data(data, Path(path).name)

    @classmethod
    def _reads(cls, data: dict[str, Any]) -> bool:
        """Whether a file holds a tokenizer of this kind; one that says how to pad is another library's."""
        return cls.model_type == data["model"]["type"] and _same(cls.pre_tokenizer, data) and not data.get("padding")

    @classmethod
    def _from_data(cls: type[T], data: dict[str, Any], name: str) -> T:
        """The tokenizer that a file called `name` holds."""
        added = data.get("added_tokens") or []
        vocabulary = in_order({**data["model"]["vocab"], **{token["content"]: token["id"] for token in added}}, name)
        tokenizer = cls._from_model(
            data["model"] | {"normalizer": data.get("normalizer")}, vocabulary, [token["content"] for token in added]
        )
        strange = tokenizer._strange_parts(data)
        if strange:
            raise ValueError(f"{name} has settings that {cls.__name__} does not know: {strange}")
        return tokenizer

    def _strange_parts(self, data: dict[str, Any]) -> str:
        """The settings in a file that would make `tokenizers` encode otherwise than we do."""
        ours = self._to_json()
        found = [name for name in ("normalizer", "truncation") if data.get(name) != ours[name]]
        for name in self.model_settings:
            if (data["model"].get(name) or None) != (ours["model"][name] or None):
                found.append(f"model.{name}")
        around = data.get("post_processor")
        if around is not None and around.get("type") != "ByteLevel" and around != ours["post_processor"]:
            found.append("post_processor")
        flags = ("single_word", "lstrip", "rstrip")
        found += [
            f"added token {token['content']!r}"
            for token in data.get("added_tokens") or []
            if not token["special"] or any(token[flag] for flag in flags)
        ]
        return ", ".join(found)

    def _inside(self, text: str, spelled: bool) -> list[int]:
        """The ids of a text, without what stands before and behind it."""
        return [index for part in self._parts(text, spelled) for index in self._part_ids(part)]

    def _parts(self, text: str, spelled: bool) -> Iterator[str]:
        """The special tokens that a text spells out, and what the text between them splits into."""
        for index, part in enumerate(self._special.split(text) if spelled and self._special else [text]):
            if index % 2:  # re.split puts what it matched at the odd places
                yield part
            else:
                yield from self._split(part)

    def _part_ids(self, part: str) -> Sequence[int]:
        return (self.ids[part],) if part in self.special_tokens else self._piece_ids(part)

    def _ends(self) -> tuple[list[str], list[str]]:
        """What stands before and behind a text with `add_special`."""
        first, last = ([name] if name in self.ids else [] for name in self.special_names[2:])
        return first, last

    def _to_json(self) -> dict[str, Any]:
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": self.ids[token], "content": token, **flags} for token in self.special_tokens],
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self._template(),
            "decoder": self.decoder,
            "model": {"type": self.model_type, **self._model()},
        }

    def _template(self) -> dict[str, Any] | None:
        """`<bos>` text `<eos>`, as `tokenizers` writes it."""
        first, last = ([{"SpecialToken": {"id": token, "type_id": 0}} for token in side] for side in self._ends())
        if not first and not last:
            return None
        segments = {"A": 0, "B": self.second_segment}
        text, second = ({"Sequence": {"id": name, "type_id": segment}} for name, segment in segments.items())
        end = [{"SpecialToken": part["SpecialToken"] | {"type_id": self.second_segment}} for part in last]
        names = [part["SpecialToken"]["id"] for part in first + last]
        return {
            "type": "TemplateProcessing",
            "single": [*first, text, *last],
            "pair": [*first, text, *last, second, *end],
            "special_tokens": {name: {"id": name, "ids": [self.ids[name]], "tokens": [name]} for name in names},
        }

    @classmethod
    def _from_model(cls: type[T], model: dict[str, Any], vocabulary: list[str], special_tokens: list[str]) -> T:
        return cls(vocabulary, special_tokens)

    @abstractmethod
    def _split(self, text: str) -> list[str]:
        """Cuts a text without special tokens into pieces that are encoded one by one."""

    @abstractmethod
    def _piece_ids(self, piece: str) -> Sequence[int]:
        """The ids of one piece."""

    @abstractmethod
    def _join(self, tokens: list[str]) -> str:
        """The text that tokens stand for."""

    @abstractmethod
    def _model(self) -> dict[str, Any]:
        """The vocabulary and the settings, as `tokenizers` writes them."""


def in_order(ids: Mapping[str, int], name: str) -> list[str]:
    """The tokens in the order of their ids, which must leave out none; `name` is that of their file."""
    vocabulary = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in vocabulary] != list(range(len(ids))):
        raise ValueError(f"{name} leaves out ids; they must run from 0 to {len(ids) - 1}")
    return vocabulary


def _kinds(cls: type[T]) -> list[type[T]]:
    """The class itself, or those below it that have none below themselves."""
    below = [kind for each in cls.__subclasses__() for kind in _kinds(each)]
    return below or [cls]


def _same(ours: dict[str, Any], data: dict[str, Any]) -> bool:
    """Whether a file cuts texts as we do; trim_offsets says only where a token is in the text."""
    return {**ours, "trim_offsets": None} == {**(data.get("pre_tokenizer") or {}), "trim_offsets": None}
