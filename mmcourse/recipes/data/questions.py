"""Questions about scenes, for models that answer: which are asked, the words of all, and batches to learn from."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.datasets import Question, Scene, make_scenes, questions, sample_scenes
from mmcourse.losses import IGNORED
from mmcourse.metrics import accuracy_by_kind
from mmcourse.models.vqa import VQA
from mmcourse.recipes.data import worlds
from mmcourse.tokenizer import Tokenizer, WordTokenizer

READ = 4_000  # scenes in whose questions every word and every answer comes
SIZE, EACH = 32, 6  # scenes of a step, and questions about each

Ask = Callable[[Scene], Sequence[Question]]


class QuestionWords(NamedTuple):
    """A tokenizer of captions, questions and answers, and every answer that the grammar gives, by the alphabet."""

    tokenizer: WordTokenizer
    answers: tuple[str, ...]


@cache  # many models begin with the same words, and reading them takes longer than loading a model
def question_words() -> QuestionWords:
    """Every word of the captions of scenes, of the questions about them and of the answers."""
    asked = [each for scene in sample_scenes(READ) for each in questions(scene)]
    texts = [text for each in asked for text in (each.text, each.answer)]
    tokenizer = WordTokenizer.train(worlds.scene_texts(0, worlds.READ) + texts)
    return QuestionWords(tokenizer, tuple(sorted({each.answer for each in asked})))


def draw_questions(
    asked: Sequence[Question], count: int, chance: random.Random, *, often: Mapping[str, float] | None = None
) -> list[Question]:
    """Some of the questions about a scene: each time a kind first, then one of this kind.

    Args:
        often: how often each kind is drawn, in proportion to the others that there are; all alike by default.
    """
    kinds: dict[str, list[Question]] = {}
    for each in asked:
        kinds.setdefault(each.kind, []).append(each)
    if often is None:
        return [chance.choice(kinds[chance.choice(list(kinds))]) for _ in range(count)]
    weights = [often[kind] for kind in kinds]
    return [chance.choice(kinds[chance.choices(list(kinds), weights)[0]]) for _ in range(count)]


def wrong_by_kind(said: Sequence[str], asked: Sequence[Question], name: str) -> dict[str, float]:
    """Shares of wrong answers: `f"{kind} {name}"` of the questions of each kind, and as `name` the mean over kinds."""
    right = torch.tensor([text == each.answer for text, each in zip(said, asked, strict=True)])
    kinds = accuracy_by_kind(right, [each.kind for each in asked])
    found = {f"{kind} {name}": 1 - value.accuracy for kind, value in kinds.items()}
    return found | {name: 1 - sum(value.accuracy for value in kinds.values()) / len(kinds)}


class QuestionBatch(NamedTuple):
    """What a `VQA` learns from: n questions about each of B pictures, rows b·n to b·n + n − 1 about picture b.

    memory: what is known of the pictures, (B, P, C).
    tokens: the questions with their answers behind them, int64 (B·n, T).
    ends: where the question mark of each stands, (B·n,).
    answers: the place of each answer in the list of the model, `IGNORED` if it is not in it, (B·n,).
    targets: the token that follows each of `tokens` where that belongs to the answer, else `IGNORED`, (B·n, T).
    """

    memory: Tensor
    tokens: Tensor
    ends: Tensor
    answers: Tensor
    targets: Tensor


def question_batch(model: VQA, memory: Tensor, asked: Sequence[Question]) -> QuestionBatch:
    """Questions with their right answers, as many about each of the pictures whose memory (B, P, C) is given."""
    tokenizer, places = model.tokenizer, {answer: place for place, answer in enumerate(model.config.answers)}
    rows = [(model.question_ids(each.text), _answer_ids(tokenizer, each.answer)) for each in asked]
    length = max(len(question) + len(answer) - 1 for question, answer in rows)  # the last token is written, not read
    tokens = torch.full((len(rows), length), tokenizer.pad_id)
    targets = torch.full((len(rows), length), IGNORED)
    for row, (question, answer) in enumerate(rows):
        end = len(question) - 1
        tokens[row, : end + len(answer)] = torch.tensor(question + answer[:-1])
        targets[row, end : end + len(answer)] = torch.tensor(answer)
    ends = torch.tensor([len(question) - 1 for question, _ in rows])
    answers = torch.tensor([places.get(each.answer, IGNORED) for each in asked])
    return QuestionBatch(memory, tokens, ends, answers, targets)


def _answer_ids(tokenizer: Tokenizer, answer: str) -> list[int]:
    return [*tokenizer.encode(answer), tokenizer.eos_id]


class FreshQuestions:
    """`batches(step)`: scenes that no other step sees, as memory, with questions about them.

    Args:
        model: the one that is to learn; its picture side stays as it is, and its words are the batch's.
        size: scenes of a batch.
        each: questions about each of them.
    """

    def __init__(self, model: VQA, *, size: int = SIZE, each: int = EACH) -> None:
        self.model, self.size, self.each = model, size, each

    def __call__(self, step: int) -> QuestionBatch:
        chance, batch = random.Random(step), make_scenes(self.size, start=step * self.size)
        asked = [each for scene in batch.scenes for each in draw_questions(questions(scene), self.each, chance)]
        return question_batch(self.model, self.model.remember(batch.images), asked)


class DrawnQuestions:
    """`batches(step)`: some of a fixed number of scenes, whose memory was computed once, with questions about them.

    Args:
        model: the one that is to learn; its words are the batch's.
        scenes, memory: N scenes, and what the model remembers of their pictures (N, P, C).
        size, each: as for `FreshQuestions`.
        ask: the questions to draw from for one scene.
    """

    def __init__(
        self,
        model: VQA,
        scenes: Sequence[Scene],
        memory: Tensor,
        *,
        size: int = SIZE,
        each: int = EACH,
        ask: Ask = questions,
    ) -> None:
        self.model, self.memory, self.size, self.each = model, memory, size, each
        self.asked = [list(ask(scene)) for scene in scenes]

    def __call__(self, step: int) -> QuestionBatch:
        chance = random.Random(step)
        rows = chance.sample(range(len(self.asked)), self.size)
        drawn = [each for row in rows for each in draw_questions(self.asked[row], self.each, chance)]
        return question_batch(self.model, self.memory[rows].float(), drawn)
