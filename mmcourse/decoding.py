"""Decoding: how a row of tokens grows from a model that only says what may come next.

Nothing here knows a model. It knows a step: a function from the tokens so far (B, T) to the logits of the next one
(B, V). Prompts are tables (B, T) of equal length. A step with a state, such as a cache of keys and values, also has
`reorder(index)`, which beam search calls when rows change their place: row i becomes a copy of the old row index[i].

Top-k: Fan, Lewis and Dauphin, "Hierarchical neural story generation" (2018). Top-p: Holtzman et al., "The curious case
of neural text degeneration" (2020). Length penalty: Wu et al., "Google's neural machine translation system" (2016),
in the form score = log-probability / length^penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Step(Protocol):
    """What decoding needs of a model: tokens (B, T) in, logits of the next token (B, V) out."""

    def __call__(self, tokens: Tensor, /) -> Tensor: ...


class Decoded(NamedTuple):
    """Finished rows. B stands for (B, beams) in what `beam_candidates` returns.

    tokens: int64 (B, L) with the prompt; after the stop token comes padding.
    scores: (B,) the sum of the generated tokens' log-probabilities; beam search divides it by length^penalty.
    lengths: int64 (B,) tokens in each row, the prompt and the stop token counted.
    """

    tokens: Tensor
    scores: Tensor
    lengths: Tensor


def filter_logits(logits: Tensor, *, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Sets the logits (…, V) of unlikely tokens to -inf, so that they are never drawn.

    Args:
        top_k: keep the k likeliest; where several share the k-th place the smaller ids stay.
        top_p: keep the fewest of the likeliest whose probabilities add up to at least p; after top_k if both are given.

    >>> filter_logits(torch.tensor([0.1, 0.2, 0.7]).log(), top_p=0.8).exp()
    tensor([0.0000, 0.2000, 0.7000])
    """
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}; None switches it off")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}; None switches it off")
    if top_k is None and top_p is None:
        return logits
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)  # (…, V)
    if top_k is not None:
        ranked = ranked.index_fill(
            -1, torch.arange(top_k, max(top_k, ranked.shape[-1]), device=ranked.device), -torch.inf
        )
    if top_p is not None and top_p < 1:  # with 1, rounding could drop the last of them
        probabilities = ranked.to(torch.promote_types(ranked.dtype, torch.float32)).softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities  # what the likelier ones add up to; 0 for the first
        ranked = ranked.masked_fill(before >= top_p, -torch.inf)
    return torch.empty_like(logits).scatter(-1, order, ranked)


def greedy(
    step: Step, tokens: Tensor, *, max_length: int, stop_id: int | None = None, pad_id: int | None = None
) -> Decoded:
    """Always takes the likeliest token.

    Args:
        step: tokens (B, T) -> logits (B, V).
        tokens: the prompts, int64 (B, T), at least one token each.
        max_length: where a row ends at the latest, the prompt counted.
        stop_id: the token that ends a row; None: all rows go on to `max_length`.
        pad_id: what follows the stop token; `stop_id` if None.

    >>> count_up = lambda tokens: F.one_hot((tokens[:, -1] + 1) % 5, 5).float()
    >>> greedy(count_up, torch.tensor([[0], [2]]), max_length=6, stop_id=4).tokens
    tensor([[0, 1, 2, 3, 4],
            [2, 3, 4, 4, 4]])
    """
    return _generate(step, tokens, lambda logits: logits.argmax(dim=-1), max_length, stop_id, pad_id)


def sample(
    step: Step,
    tokens: Tensor,
    *,
    max_length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    stop_id: int | None = None,
    pad_id: int | None = None,
) -> Decoded:
    """Draws each token by its probability; arguments as for `greedy` and `filter_logits`.

    Args:
        temperature: divides the logits, before top_k and top_p: below 1 bolder towards the likely, above 1 wilder.
        generator: where the randomness comes from; the global one of PyTorch if None.

    The scores are log-probabilities under the model itself, whatever the temperature and the filters.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}; greedy() is the limit at 0")
    filter_logits(torch.zeros(1), top_k=top_k, top_p=top_p)  # a wrong setting is told before the first step

    def choose(logits: Tensor) -> Tensor:
        behind = logits - logits.amax(dim=-1, keepdim=True)  # so that no temperature, however small, makes inf − inf
        scaled = behind / max(temperature, torch.finfo(behind.dtype).tiny)
        probabilities = filter_logits(scaled, top_k=top_k, top_p=top_p).softmax(dim=-1)
        if generator is not None:  # a generator draws on its own device only
            probabilities = probabilities.to(generator.device)
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1).to(logits.device)  # (B, 1) -> (B,)

    return _generate(step, tokens, choose, max_length, stop_id, pad_id)


@torch.no_grad()
def _generate(
    step: Step,
    tokens: Tensor,
    choose: Callable[[Tensor], Tensor],
    max_length: int,
    stop_id: int | None,
    pad_id: int | None,
) -> Decoded:
    """The loop that greedy decoding and sampling share; they differ in how they choose from the logits (B, V)."""
    pad_id = _check(tokens, max_length, stop_id, pad_id)
    rows, length = tokens.shape
    stopped = torch.zeros(rows, dtype=torch.bool, device=tokens.device)
    lengths = torch.full((rows,), length, device=tokens.device)
    scores = torch.zeros(rows, device=tokens.device)
    while length < max_length and not bool(stopped.all()):
        logits = _logits(step, tokens)  # (B, V)
        chosen = choose(logits)  # (B,)
        gained = logits.log_softmax(dim=-1).gather(-1, chosen[:, None]).squeeze(-1)  # (B, 1) -> (B,)
        scores = scores + gained.masked_fill(stopped, 0.0)
        tokens = torch.cat((tokens, chosen.masked_fill(stopped, pad_id)[:, None]), dim=1)  # (B, T + 1)
        length += 1
        lengths += ~stopped
        if stop_id is not None:
            stopped = stopped | (chosen == stop_id)
    return Decoded(tokens, scores, lengths)


def beam_search(
    step: Step,
    tokens: Tensor,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float = 1.0,
    early_stopping: bool | Literal["never"] = False,
    stop_id: int | None = None,
    pad_id: int | None = None,
) -> Decoded:
    """The best row that `beam_candidates` finds for each prompt: tokens (B, L), scores (B,), lengths (B,)."""
    found = beam_candidates(
        step,
        tokens,
        beam_size=beam_size,
        max_length=max_length,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        stop_id=stop_id,
        pad_id=pad_id,
    )
    lengths = found.lengths[:, 0]
    longest = int(lengths.max()) if len(lengths) else tokens.shape[1]
    return Decoded(found.tokens[:, 0, :longest], found.scores[:, 0], lengths)


@torch.no_grad()
def beam_candidates(
    step: Step,
    tokens: Tensor,
    *,
    beam_size: int,
    max_length: int,
    length_penalty: float = 1.0,
    early_stopping: bool | Literal["never"] = False,
    stop_id: int | None = None,
    pad_id: int | None = None,
) -> Decoded:
    """Keeps the `beam_size` likeliest beginnings at every step; returns as many finished rows, the best first.

    Gives tokens (B, beams, L), scores (B, beams) and lengths (B, beams). Where fewer rows than `beam_size` are possible
    at all, the rest has the score -inf. The rules, down to when to stop, are those of `generate` in transformers.

    Args:
        beam_size: how many beginnings stay alive.
        length_penalty: scores are divided by (generated tokens)^penalty: 0 favors short rows, 1 is the mean
            log-probability for each token, more favors long rows.
        early_stopping: when a prompt is done. True: with `beam_size` finished rows. "never": when no longer row can be
            better than those. False: when none would be better if it ended now, although it might still become so.
        step, tokens, max_length, stop_id, pad_id: as for `greedy`.
    """
    pad_id = _check(tokens, max_length, stop_id, pad_id)
    if beam_size < 1:
        raise ValueError(f"beam_size must be at least 1, got {beam_size}")
    if early_stopping not in (True, False, "never"):
        raise ValueError(f"early_stopping must be True, False or 'never', got {early_stopping!r}")
    prompts, prompt = tokens.shape
    best = _nothing(prompts, beam_size, max_length, pad_id, device=tokens.device)
    is_open = torch.ones(prompts, 1, dtype=torch.bool, device=tokens.device)
    # (B, beams, T) and (B, beams): a single beam as long as there is only the prompt
    running, running_scores = tokens[:, None], torch.zeros(prompts, 1, device=tokens.device)
    for length in range(prompt + 1, max_length + 1):
        # 1. Every beam goes on with every token; twice as many as needed stay, in case half of them end here.
        scores, parent, candidates = _grow(step, running, running_scores, 2 * beam_size)
        ends = torch.full_like(parent, length == max_length, dtype=torch.bool)
        if stop_id is not None:
            ends = ends | (candidates[..., -1] == stop_id)
        # 2. Those that end compete with the rows finished before, if they are among the best `beam_size` here.
        counts = ends & is_open & (torch.arange(ends.shape[1], device=ends.device) < beam_size)
        finished = Decoded(
            F.pad(candidates, (0, max_length - length), value=pad_id),
            (scores / (length - prompt) ** length_penalty).masked_fill(~counts, -torch.inf),
            torch.full_like(parent, length),
        )
        best = _best(best, finished, beam_size)
        # 3. The others go on, unless nothing can be won any more.
        running_scores, keep = scores.masked_fill(ends, -torch.inf).topk(min(beam_size, scores.shape[1]))
        hoped_for = max_length if early_stopping == "never" and length_penalty > 0 else length
        possible = running_scores[:, :1] / (hoped_for - prompt) ** length_penalty
        is_open = is_open & (possible > best.scores[:, -1:])
        if early_stopping is True:
            is_open = is_open & ~best.scores.isfinite().all(dim=1, keepdim=True)
        if length == max_length or not bool(is_open.any()):
            break
        _follow(step, _pick(parent, keep), beams=running.shape[1])
        running = _pick(candidates, keep)
    tokens = best.tokens.masked_fill(best.lengths[..., None] == 0, pad_id)  # rows that never finished show nothing
    return Decoded(tokens[..., : int(best.lengths.max())] if prompts else tokens, best.scores, best.lengths)


def _follow(step: Step, parent: Tensor, *, beams: int) -> None:
    """Lets what a step remembers follow the beams: `parent` (B, beams) says which of `beams` each one comes from."""
    if (reorder := getattr(step, "reorder", None)) is not None:
        offsets = torch.arange(len(parent), device=parent.device)[:, None] * beams
        reorder((parent + offsets).flatten())  # (B, beams) -> rows of the step's batch


def _grow(step: Step, running: Tensor, running_scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest rows one token longer: scores (B, count), parent beams (B, count), tokens (B, count, T + 1)."""
    logits = _logits(step, running.flatten(0, 1)).unflatten(0, running.shape[:2])  # (B·beams, V) -> (B, beams, V)
    totals = logits.log_softmax(dim=-1) + running_scores[..., None]
    beams, size = totals.shape[1:]
    scores, index = totals.flatten(1).topk(min(count, beams * size))  # (B, beams·V) -> (B, count)
    parent, token = index // size, index % size
    return scores, parent, torch.cat((_pick(running, parent), token[..., None]), dim=-1)


def _nothing(prompts: int, beam_size: int, max_length: int, pad_id: int, *, device: torch.device) -> Decoded:
    """No finished rows yet: room for them, with the score -inf."""
    tokens = torch.full((prompts, beam_size, max_length), pad_id, device=device)
    scores = torch.full((prompts, beam_size), -torch.inf, device=device)
    return Decoded(tokens, scores, tokens.new_zeros(prompts, beam_size))


def _best(old: Decoded, new: Decoded, count: int) -> Decoded:
    """The best `count` rows of two tables, the best first."""
    tokens, scores, lengths = (torch.cat(pair, dim=1) for pair in zip(old, new, strict=True))
    scores, index = scores.topk(count)
    return Decoded(_pick(tokens, index), scores, _pick(lengths, index).masked_fill(scores == -torch.inf, 0))


def _pick(table: Tensor, index: Tensor) -> Tensor:
    """Rows index (B, M) of a table (B, N, …) -> (B, M, …)."""
    return table[torch.arange(len(table), device=table.device)[:, None], index]


def _logits(step: Step, tokens: Tensor) -> Tensor:
    """One step, checked: (B, T) -> logits (B, V), in float32 or better."""
    logits = step(tokens)
    if logits.ndim != 2 or len(logits) != len(tokens):
        shapes = f"{tuple(logits.shape)} for tokens {tuple(tokens.shape)}, expected ({len(tokens)}, V)"
        raise ValueError(f"step gave logits {shapes}: the next token's only, logits[:, -1]")
    if bool(logits.isnan().any()):
        raise ValueError(f"step gave NaN for tokens {tuple(tokens.shape)}; look at the model, it may have diverged")
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _check(tokens: Tensor, max_length: int, stop_id: int | None, pad_id: int | None) -> int:
    """Refuses what cannot be decoded; returns the id to pad with."""
    if not isinstance(tokens, Tensor):
        raise TypeError(f"tokens must be a tensor int64 (B, T), got {type(tokens).__name__}")
    if tokens.ndim != 2 or tokens.dtype != torch.int64 or tokens.shape[1] < 1:
        found = f"{tuple(tokens.shape)} of {tokens.dtype}"
        raise ValueError(f"tokens must be int64 (B, T) with at least one token in each row, got {found}")
    if max_length <= tokens.shape[1]:
        raise ValueError(f"max_length is {max_length}, but the prompt has {tokens.shape[1]} tokens already; give more")
    return pad_id if pad_id is not None else stop_id if stop_id is not None else 0
