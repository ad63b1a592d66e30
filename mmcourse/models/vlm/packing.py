"""Conversations as tables: where the patches of a picture stand in a text, and what the model is asked to say.

As in Liu et al., "Visual instruction tuning" (LLaVA, 2023), section 4.2, only the tokens of answers are learned:
pictures and prompts are given, so nothing is asked there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mmcourse.losses import IGNORED
from mmcourse.tokenizer import Tokenizer
from mmcourse.tokenizer.texts import several_texts

IMAGE = "<image>"
Side = Literal["left", "right"]


class Packed(NamedTuple):
    """Conversations of different lengths side by side.

    tokens: int64 (B, T), a placeholder for each patch of a picture.
    mask: bool (B, T), True = a token, False = padding.
    targets: int64 (B, T), the token after each, where it belongs to an answer; elsewhere −100 (`IGNORED`).
    """

    tokens: Tensor
    mask: Tensor
    targets: Tensor


def image_id_of(tokenizer: Tokenizer) -> int:
    """The id of the placeholder.

    Raises:
        ValueError: the tokenizer has none.
    """
    if IMAGE not in tokenizer.ids:
        raise ValueError(f"tokenizer has no {IMAGE}, which stands for a patch of the picture; add it to special_tokens")
    return tokenizer.ids[IMAGE]


def pack(
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    answers: Sequence[str] | None = None,
    *,
    patches: int,
    padding_side: Side = "right",
) -> Packed:
    """Prompts and their answers as tables: <bos>, the prompt, the answer, <eos>, and padding on one side.

    Args:
        tokenizer: with the special token <image>.
        prompts: texts in which <image>, once, says where the picture stands; it becomes one placeholder for each patch.
            Without it a text is about no picture. All other special tokens are text here, whoever writes them.
        answers: what the model learns to say; None = prompts alone, still to be answered.
        patches: P, of each picture.
        padding_side: "left" or "right".
    Raises:
        ValueError: a prompt names two pictures, there is not one answer a prompt, or a token is missing.

    >>> from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer
    >>> tokenizer = WordTokenizer.train(["what? cat"], special_tokens=[*SPECIAL_TOKENS, IMAGE])
    >>> tokens, mask, targets = pack(tokenizer, ["<image> what?"], ["cat"], patches=2)
    >>> [tokenizer.vocabulary[i] for i in tokens[0]]
    ['<bos>', '<image>', '<image>', 'what', '?', 'cat']
    >>> [tokenizer.vocabulary[i] if i >= 0 else "" for i in targets[0]]
    ['', '', '', '', 'cat', '<eos>']
    """
    prompts = several_texts(prompts)
    if answers is None:
        asked = [prompt_ids(tokenizer, prompt, patches=patches) for prompt in prompts]
        return _table([(row, [IGNORED] * len(row)) for row in asked], tokenizer.pad_id, padding_side)
    if len(answers) != len(prompts):
        raise ValueError(f"prompts has {len(prompts)} texts, answers {len(answers)}; want one for each")
    turns = [[("", answer)] for answer in several_texts(answers)]
    return pack_turns(tokenizer, prompts, turns, patches=patches, padding_side=padding_side)


def pack_turns(
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    turns: Sequence[Sequence[tuple[str, str]]],
    *,
    patches: int,
    padding_side: Side = "right",
) -> Packed:
    """Conversations of several turns: behind each prompt requests with their answers, each answer with an <eos>.

    Args:
        prompts: how each begins; see `pack`.
        turns: requests and answers of each conversation. Only answers are learned.

    >>> from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer
    >>> tokenizer = WordTokenizer.train(["what? cat"], special_tokens=[*SPECIAL_TOKENS, IMAGE])
    >>> tokens, _, _ = pack_turns(tokenizer, ["<image>"], [[("what?", "cat"), ("cat?", "cat")]], patches=1)
    >>> [tokenizer.vocabulary[i] for i in tokens[0]]
    ['<bos>', '<image>', 'what', '?', 'cat', '<eos>', 'cat', '?', 'cat']
    """
    if len(turns) != len(prompts):
        raise ValueError(f"prompts has {len(prompts)} texts, turns {len(turns)}; want one for each")
    if tokenizer.eos_id is None:
        raise ValueError("tokenizer has no <eos>; an answer needs an end")
    rows = []
    for prompt, exchanges in zip(prompts, turns, strict=True):
        ids = prompt_ids(tokenizer, prompt, patches=patches)
        # The last token of a request is where its answer begins, as each target is the token after.
        targets = [IGNORED] * (len(ids) - 1)
        for request, answer in exchanges:
            asked, said = (tokenizer.encode(text, spelled=False) for text in (request, answer))
            ids += [*asked, *said, tokenizer.eos_id]
            targets += [IGNORED] * len(asked) + [*said, tokenizer.eos_id]
        rows.append((ids[:-1], targets))
    return _table(rows, tokenizer.pad_id, padding_side)


def prompt_ids(tokenizer: Tokenizer, prompt: str, *, patches: int) -> list[int]:
    """The ids of one prompt behind <bos>, with a placeholder for each patch of its picture."""
    image_id = image_id_of(tokenizer)
    if patches < 0:
        raise ValueError(f"patches must not be negative, got {patches}")
    before, *others = prompt.split(IMAGE)
    if len(others) > 1:
        raise ValueError(f"a prompt has at most one {IMAGE}, got {len(others)} in {prompt!r}")
    ids = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    ids += tokenizer.encode(before, spelled=False)
    for after in others:
        ids += [image_id] * patches + tokenizer.encode(after, spelled=False)
    if not ids:
        raise ValueError("a prompt is empty, and the tokenizer has no <bos> to begin with; give it a word")
    return ids


def _table(conversations: list[tuple[list[int], list[int]]], pad_id: int | None, side: Side) -> Packed:
    """Rows of ids and of targets, filled up to one length."""
    if side not in ("left", "right"):
        raise ValueError(f"padding_side must be 'left' or 'right', got {side!r}")
    rows, targets = [ids for ids, _ in conversations], [wanted for _, wanted in conversations]
    longest = max(map(len, rows), default=0)
    if pad_id is None and any(len(row) < longest for row in rows):
        raise ValueError("prompts differ in length, and the tokenizer has no <pad> to fill up the shorter ones")

    def padded(table: list[list[int]], fill: int) -> Tensor:
        filled = []
        for row in table:
            rest = [fill] * (longest - len(row))
            filled.append(rest + row if side == "left" else row + rest)
        return torch.tensor(filled, dtype=torch.int64).reshape(len(table), longest)

    ones = [[1] * len(row) for row in rows]
    return Packed(padded(rows, 0 if pad_id is None else pad_id), padded(ones, 0) == 1, padded(targets, IGNORED))
