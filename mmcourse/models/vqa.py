"""`VQA`: a picture and a question in, an answer out, in two ways over the same picture and the same words.

The question is read word by word by a decoder that looks into the picture (see `PictureDecoder`). What its question
mark has found is read in two ways:

- *classify*: one linear map gives each answer of a fixed list its logit (Antol et al., "VQA: Visual question
  answering", 2015);
- *write*: the decoder goes on after the question mark, word by word, and can say what is in no list (as in Li et al.,
  "BLIP", 2022).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse.decoding import greedy
from mmcourse.models.picture_decoder import PictureDecoder, PictureDecoderConfig, WordMaps
from mmcourse.runtime import evaluating, on_best_device
from mmcourse.tokenizer import Tokenizer

METHODS: tuple[Literal["classify", "write"], ...] = ("classify", "write")
LONGEST_ANSWER = 3  # tokens that are written, <eos> counted


@dataclass(frozen=True, kw_only=True)
class VQAConfig(PictureDecoderConfig):
    """The size of a `VQA`, and the answers that it can choose from.

    Args:
        answers: the list of the classifier.
    Raises:
        ValueError: the list is empty, or an answer comes twice.
    """

    answers: Sequence[str] = ("yes", "no")

    def __post_init__(self) -> None:
        if not self.answers or len(set(self.answers)) != len(self.answers):
            raise ValueError(f"answers must be at least one, each once, got {list(self.answers)}")


class Answer(NamedTuple):
    """The likeliest answer, its probability, and whether the model abstains because that is too small."""

    text: str
    probability: float
    abstains: bool


class VQALogits(NamedTuple):
    """Of the answers in the list (B, A), and of the token after each token (B, T, V)."""

    answers: Tensor
    tokens: Tensor


class VQA(PictureDecoder):
    """Pictures and questions in, answers out.

    >>> from mmcourse.tokenizer import WordTokenizer
    >>> tokenizer = WordTokenizer.train(["is there a cat?", "yes", "no"])
    >>> config = VQAConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16))
    >>> model = VQA(config, tokenizer).eval()
    >>> model.answer(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), ["Is there a cat?"])[0].text in ("yes", "no")
    True
    """

    Config: ClassVar[type] = VQAConfig

    def __init__(self, config: VQAConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.classifier = nn.Linear(config.width, len(config.answers))

    def classify(self, images: Tensor, tokens: Tensor, ends: Tensor | None = None) -> Tensor:
        """Logits (B, A) of the answers in the list.

        Args:
            images: as in `features`.
            tokens: ids (B, T) of questions, see `question_ids`; what comes after the question does not matter.
            ends: int64 (B,), where the question mark of each stands; None = in the last column.
        """
        return self.classifier(self._at_the_end(self.features(images, tokens), ends))

    def both(self, images: Tensor, tokens: Tensor, ends: Tensor) -> VQALogits:
        """Both kinds of logits for questions with their answers behind them, from one pass; see `classify`."""
        features = self.features(images, tokens)
        return VQALogits(self.classifier(self._at_the_end(features, ends)), self.score(features))

    def answer(
        self,
        images: Tensor,
        questions: Sequence[str],
        *,
        method: Literal["classify", "write"] = "classify",
        threshold: float = 0.0,
        batch_size: int = 256,
    ) -> list[Answer]:
        """Answers one question about each picture.

        Args:
            images: uint8 (N, 3, H, W), or their memory (N, P, C).
            questions: N texts; capitals and a missing question mark do not matter.
            method: "classify" takes the likeliest answer of the list, "write" the likeliest word, one after the other.
            threshold: below this probability the model abstains; its guess is told all the same.
        Raises:
            ValueError: there is not one question a picture, a question is too long, or an option is unknown.
        """
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {threshold}")
        if len(images) != len(questions):
            raise ValueError(f"images has {len(images)} samples, questions {len(questions)}; want one for each")
        found = {}
        with on_best_device(self) as place, evaluating(self):
            for rows, tokens in self._alike([self.question_ids(text) for text in questions], batch_size):
                memory = self._memory(images[rows].to(place))
                answers = (self._choose if method == "classify" else self._write)(memory, tokens.to(place))
                found |= dict(zip(rows, answers, strict=True))
        return [Answer(*found[row], found[row][1] < threshold) for row in range(len(questions))]

    def question_ids(self, question: str) -> list[int]:
        """<bos> and the ids of a question, written as the model has learned it: small letters, one question mark.

        Raises:
            ValueError: it is longer than the model can read.
        """
        words = self.tokenizer.encode(f"{question.strip().rstrip('? ').lower()}?", spelled=False)
        longest = self.config.max_length - LONGEST_ANSWER
        if len(words) > longest:
            raise ValueError(f"question has {len(words)} words and marks, the model reads {longest}: {question!r}")
        return [self.tokenizer.bos_id, *words]

    def unknown_words(self, question: str) -> list[str]:
        """The words of a question that the model has never read, in their order."""
        return self.tokenizer.unknown_words(question.lower())

    def word_maps(self, image: Tensor, question: str, *, layer: int = -1, head: int | None = None) -> WordMaps:
        """Where each word of a question looks in one picture uint8 (3, H, W); the question mark is what answers."""
        ids = self.question_ids(question)
        maps = self.maps(image, torch.tensor(ids), layer=layer, head=head)[1:]
        return WordMaps([self.tokenizer.vocabulary[i] for i in ids[1:]], maps)

    @staticmethod
    def _at_the_end(features: Tensor, ends: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, C)."""
        if ends is None:
            return features[:, -1]
        return features[torch.arange(len(ends), device=ends.device), ends]

    @staticmethod
    def _alike(questions: list[list[int]], batch_size: int) -> Iterator[tuple[list[int], Tensor]]:
        """Questions of the same length together, so that none needs padding: their rows, and a table (n, T)."""
        rows: dict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(questions):
            rows[len(ids)].append(row)
        for same in rows.values():
            for start in range(0, len(same), batch_size):
                part = same[start : start + batch_size]
                yield part, torch.tensor([questions[row] for row in part])

    def _choose(self, memory: Tensor, tokens: Tensor) -> list[tuple[str, float]]:
        best = self.classify(memory, tokens).softmax(dim=-1).max(dim=-1)
        chosen = [self.config.answers[index] for index in best.indices.tolist()]
        return list(zip(chosen, best.values.tolist(), strict=True))

    def _write(self, memory: Tensor, tokens: Tensor) -> list[tuple[str, float]]:
        ends = {"stop_id": self.tokenizer.eos_id, "pad_id": self.tokenizer.pad_id}
        asked = tokens.shape[1]
        found = greedy(self.stepper(memory), tokens, max_length=asked + LONGEST_ANSWER, **ends)
        texts = [self.tokenizer.decode(row, skip_special=True) for row in found.tokens[:, asked:].tolist()]
        return list(zip(texts, found.scores.exp().tolist(), strict=True))
