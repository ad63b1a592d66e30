"""Exercises of chapter 03, second part: the GPT, top-p, the cached step and the masking rule; listed in `ch03`."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake

# --- the GPT ----------------------------------------------------------------------------------------------------------


def gpt_logits(tokens, embedding, positions, blocks, norm):
    x = embedding[tokens] + positions[: tokens.shape[1]]
    for block in blocks:
        x = block(x)
    return norm(x) @ embedding.T


def _gpt(rows, length, depth):
    """Inputs: tokens, the two tables, and a matrix for each block."""

    def inputs(generator):
        size, width = 11, 8
        tokens = torch.randint(size, (rows, length), generator=generator)
        embedding = torch.randn(size, width, generator=generator)
        positions = torch.randn(length + 3, width, generator=generator)
        return tokens, embedding, positions, torch.randn(depth, width, width, generator=generator) / 3

    return inputs


def _run_gpt(answer, tokens, embedding, positions, matrices):
    """Gives the model simple blocks that look back, and a norm with a scale of its own."""

    def make(matrix):
        return lambda x: x + torch.tanh(x.cumsum(dim=1) @ matrix)

    gain = torch.linspace(0.5, 2.0, embedding.shape[1])
    return answer(
        tokens,
        embedding,
        positions,
        tuple(make(matrix) for matrix in matrices),
        lambda x: torch.layer_norm(x, x.shape[-1:]) * gain,
    )


def _variant(*, start=None, through=None, end=None):
    """A GPT of which one part is done in another way."""

    def usual_start(tokens, embedding, positions):
        return embedding[tokens] + positions[: tokens.shape[1]]

    def usual_through(x, blocks, positions):
        for block in blocks:
            x = block(x)
        return x

    def usual_end(x, embedding, norm):
        return norm(x) @ embedding.T

    def answer(tokens, embedding, positions, blocks, norm):
        x = (start or usual_start)(tokens, embedding, positions)
        return (end or usual_end)((through or usual_through)(x, blocks, positions), embedding, norm)

    return answer


def _positions_in_every_block(x, blocks, positions):
    for number, block in enumerate(blocks):
        x = block(x + positions[: x.shape[1]] if number else x)
    return x


def _reversed(x, blocks, positions):
    for block in reversed(blocks):
        x = block(x)
    return x


def _without_rest(x, blocks, positions):
    """Adds each block to a residual path that the block has inside already."""
    for block in blocks:
        x = x + block(x)
    return x


GPT_LOGITS = Exercise(
    id="03-gpt-logits",
    title="Put the GPT together",
    goal="go from tokens to logits through embedding, positions, blocks and a tied head",
    stars=3,
    minutes=15,
    points=3,
    reference=gpt_logits,
    cases=(
        Case(name="two sequences of five tokens, two blocks", inputs=_gpt(2, 5, 2), probe=_run_gpt, atol=1e-5),
        Case(name="one sequence of seven tokens, three blocks", inputs=_gpt(1, 7, 3), probe=_run_gpt, atol=1e-5),
        Case(name="a single token", inputs=_gpt(3, 1, 1), probe=_run_gpt, atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="The positions are missing: add the first T rows of their table to the embeddings.",
            answer=_variant(start=lambda t, e, p: e[t]),
        ),
        Mistake(
            message="The positions are looked up by token. Row 0 of their table belongs to the first place, row 1 to "
            "the second, whatever stands there.",
            answer=_variant(start=lambda t, e, p: e[t] + p[t.clamp(max=len(p) - 1)]),
        ),
        Mistake(
            message="The positions start at 1. The first token stands at place 0.",
            answer=_variant(start=lambda t, e, p: e[t] + p[1 : t.shape[1] + 1]),
        ),
        Mistake(
            message="The last T rows of the positions are used. Take the first T.",
            answer=_variant(start=lambda t, e, p: e[t] + p[-t.shape[1] :]),
        ),
        Mistake(
            message="The positions are added again before every block. They are added once, to the embeddings.",
            answer=_variant(through=_positions_in_every_block),
        ),
        Mistake(
            message="The blocks run in the wrong order: blocks[0] is the first.",
            answer=_variant(through=_reversed),
        ),
        Mistake(
            message="Only one block is used. Each reads what the one before it gave.",
            answer=_variant(through=lambda x, blocks, p: blocks[-1](x)),
        ),
        Mistake(
            message="Every block reads the embeddings, and what they add is summed. Pass x along: x = block(x).",
            answer=_variant(through=lambda x, blocks, p: x + sum(block(x) - x for block in blocks)),
        ),
        Mistake(
            message="x is added to what a block returns. The residual paths are inside the blocks already.",
            answer=_variant(through=_without_rest),
        ),
        Mistake(
            message="The last normalization is missing: pre-norm blocks leave the sum as it grew. Apply `norm` before "
            "the head.",
            answer=_variant(end=lambda x, e, norm: x @ e.T),
        ),
        Mistake(
            message="The norm comes after the head. Normalize the features (B, T, C), then score them.",
            answer=_variant(
                end=lambda x, e, norm: torch.layer_norm(x @ e.T, (e.shape[0],))  # its gain would not fit
            ),
        ),
        Mistake(
            message="These are probabilities. Return the logits: softmax is inside the loss.",
            answer=_variant(end=lambda x, e, norm: (norm(x) @ e.T).softmax(dim=-1)),
        ),
        Mistake(
            message="Only the last place is scored. In training every place predicts its next token: return (B, T, V).",
            answer=_variant(end=lambda x, e, norm: norm(x)[:, -1] @ e.T),
        ),
        Mistake(
            message="The head is missing: these are features (B, T, C). Take their dot products with every row of the "
            "embedding table.",
            answer=_variant(end=lambda x, e, norm: norm(x)),
        ),
        Mistake(
            message="The logits are divided by √C. Attention does that with its scores; the head does not.",
            answer=_variant(end=lambda x, e, norm: norm(x) @ e.T / x.shape[-1] ** 0.5),
        ),
    ),
    hints=(
        "`embedding[tokens]` looks up a row for every token: (B, T) -> (B, T, C).",
        "`positions[: tokens.shape[1]]` has shape (T, C) and is added to every sequence of the batch.",
        "After the loop `x = block(x)`: `norm(x) @ embedding.T` compares the result with every token, (B, T, V).",
    ),
)

# --- top-p ------------------------------------------------------------------------------------------------------------


def keep_top_p(logits, p):
    ranked, order = logits.sort(dim=-1, descending=True)
    probabilities = ranked.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    return torch.empty_like(logits).scatter(-1, order, ranked.masked_fill(before >= p, -torch.inf))


def _logits(rows, size, p, spread=2.0):
    return lambda generator: (spread * torch.randn(rows, size, generator=generator), p)


def _kept(keep):
    """Filters by keep(sorted probabilities, their sum up to and with each, p), which says what of the sorted stays."""

    def answer(logits, p):
        ranked, order = logits.sort(dim=-1, descending=True)
        chances = ranked.softmax(dim=-1)
        staying = keep(chances, chances.cumsum(dim=-1), p)
        return torch.empty_like(logits).scatter(-1, order, ranked.masked_fill(~staying, -torch.inf))

    return answer


def _sorted_order(logits, p):
    return keep_top_p(logits.sort(dim=-1, descending=True).values, p)


def _unsorted(logits, p):
    chances = logits.softmax(dim=-1)
    return logits.masked_fill(chances.cumsum(dim=-1) - chances >= p, -torch.inf)


def _misplaced(logits, p):
    """What is dropped in the sorted row is dropped at the same places of the unsorted one."""
    chances = logits.sort(dim=-1, descending=True).values.softmax(dim=-1)
    return logits.masked_fill(chances.cumsum(dim=-1) - chances >= p, -torch.inf)


TOP_P = Exercise(
    id="03-top-p",
    title="Keep the nucleus",
    goal="drop the unlikely tail, however many tokens that is",
    stars=3,
    minutes=15,
    points=3,
    reference=keep_top_p,
    cases=(
        Case(name="eight tokens, p = 0.8", inputs=_logits(1, 8, 0.8)),
        Case(name="three rows, each with a nucleus of its own", inputs=_logits(3, 12, 0.6)),
        Case(name="p so small that the likeliest token alone stays", inputs=_logits(2, 6, 0.01)),
        Case(name="nearly equal logits, p = 0.95", inputs=_logits(2, 10, 0.95, spread=0.2)),
    ),
    mistakes=(
        Mistake(
            message="The token that reaches p is dropped, so less than p is left, and for a small p nothing at all. "
            "Drop a token when the *likelier ones* already add up to p.",
            answer=_kept(lambda chances, sums, p: sums < p),
        ),
        Mistake(
            message="One token too many stays. Stop as soon as the sum has reached p.",
            answer=_kept(lambda chances, sums, p: sums - chances - chances.roll(1, -1) < p),
        ),
        Mistake(
            message="Tokens are added up in the order of the vocabulary. Sort them first, the likeliest in front.",
            answer=_unsorted,
        ),
        Mistake(
            message="The rows come back sorted, so the ids are lost. Put every logit back into its place: "
            "`scatter(-1, order, …)`.",
            answer=_sorted_order,
        ),
        Mistake(
            message="The tail was found among the sorted logits, and dropped at the same places of the unsorted ones. "
            "Bring it back to the old order: `scatter(-1, order, …)`.",
            answer=_misplaced,
        ),
        Mistake(
            message="Each probability is compared with p by itself. It is their running sum that has to reach p.",
            answer=_kept(lambda chances, sums, p: chances >= p),
        ),
        Mistake(
            message="The unlikely tail is kept and the nucleus dropped.",
            answer=_kept(lambda chances, sums, p: sums - chances >= p),
        ),
        Mistake(
            message="The dropped logits are 0, and exp(0) = 1 is a good chance. Set them to −∞.",
            answer=lambda logits, p: keep_top_p(logits, p).nan_to_num(neginf=0.0),
        ),
        Mistake(
            message="These are probabilities. Return logits, with −∞ for what is dropped.",
            answer=lambda logits, p: keep_top_p(logits, p).softmax(dim=-1),
        ),
        Mistake(
            message="The share p of the *tokens* is kept. Keep as many as their probabilities need to add up to p.",
            answer=_kept(lambda chances, sums, p: torch.arange(sums.shape[-1]).expand_as(sums) < p * sums.shape[-1]),
        ),
    ),
    hints=(
        "`ranked, order = logits.sort(dim=-1, descending=True)`, then softmax and cumsum of the ranked ones.",
        "The sum of the likelier ones, without the token itself, is `cumsum − probability`; it is 0 for the first. "
        "Drop where it is at least p.",
        "`torch.empty_like(logits).scatter(-1, order, ranked)` puts the ranked logits back into their places.",
    ),
)

# --- the cached step --------------------------------------------------------------------------------------------------


def cached_step(x, keys, values, W_q, W_k, W_v):
    keys = torch.cat([keys, x @ W_k])
    values = torch.cat([values, x @ W_v])
    scores = (x @ W_q) @ keys.T / keys.shape[1] ** 0.5
    return scores.softmax(dim=-1) @ values, keys, values


def _step(past, width=6, size=5):
    def inputs(generator):
        x, keys, values = (torch.randn(n, m, generator=generator) for n, m in ((1, width), (past, size), (past, size)))
        return x, keys, values, *torch.randn(3, width, size, generator=generator)

    return inputs


def _sequence(generator):
    return torch.randn(6, 6, generator=generator), *torch.randn(3, 6, 5, generator=generator)


def _token_by_token(answer, x, *weights):
    """Writes a whole sequence, beginning with an empty cache."""
    keys, values, outputs = torch.empty(0, 5), torch.empty(0, 5), []
    for token in x.split(1):
        output, keys, values = answer(token, keys, values, *weights)
        outputs.append(output)
    return torch.cat(outputs)


def _looking(seen, *, scale=True, kept=lambda old, new: new):
    """Attends to seen(old, new) instead of all keys and values, and gives back kept(old, new) of both."""

    def answer(x, keys, values, W_q, W_k, W_v):
        new_keys, new_values = torch.cat([keys, x @ W_k]), torch.cat([values, x @ W_v])
        scores = (x @ W_q) @ seen(keys, new_keys).T / (keys.shape[1] ** 0.5 if scale else 1)
        return (
            scores.softmax(dim=-1) @ seen(values, new_values),
            kept(keys, new_keys),
            kept(values, new_values),
        )

    return answer


def _in_front(x, keys, values, W_q, W_k, W_v):
    output, *_ = cached_step(x, keys, values, W_q, W_k, W_v)
    return output, torch.cat([x @ W_k, keys]), torch.cat([x @ W_v, values])


CACHED_STEP = Exercise(
    id="03-cached-step",
    title="One step with a cache",
    goal="let a new token attend to all earlier ones without computing them again",
    stars=2,
    minutes=15,
    points=2,
    reference=cached_step,
    cases=(
        Case(name="four tokens in the cache", inputs=_step(4)),
        Case(name="the first token: the cache is empty", inputs=_step(0)),
        Case(name="token by token equals the whole sequence", inputs=_sequence, probe=_token_by_token),
    ),
    mistakes=(
        Mistake(
            message="The new token does not see itself. Put its key and value into the cache first, then attend.",
            answer=_looking(lambda old, new: old),
        ),
        Mistake(
            message="The cache comes back as it was, so the next step forgets this token. Return the grown keys and "
            "values.",
            answer=_looking(lambda old, new: new, kept=lambda old, new: old),
        ),
        Mistake(
            message="The new token attends to itself alone. It may attend to everything in the cache.",
            answer=_looking(lambda old, new: new[-1:]),
        ),
        Mistake(
            message="The new key and value stand in front of the old ones. The order of time is the order of the rows: "
            "append at the end.",
            answer=_in_front,
        ),
        Mistake(
            message="The scores are not divided by √D.",
            answer=_looking(lambda old, new: new, scale=False),
        ),
        Mistake(
            message="The stored value is the key again: values come from W_v.",
            answer=lambda x, keys, values, W_q, W_k, W_v: cached_step(x, keys, values, W_q, W_k, W_k),
        ),
        Mistake(
            message="The key comes from W_q. Queries are never stored; keys come from W_k.",
            answer=lambda x, keys, values, W_q, W_k, W_v: cached_step(x, keys, values, W_q, W_q, W_v),
        ),
        Mistake(
            message="The scores are divided by the square root of the width C of x. It is √D, the size of a key.",
            answer=lambda x, keys, values, W_q, W_k, W_v: cached_step(
                x, keys, values, W_q * (keys.shape[1] / x.shape[1]) ** 0.5, W_k, W_v
            ),
        ),
        Mistake(
            message="A causal mask of the wrong shape: row 0 of it sees the first key alone. The new token is the last "
            "one and may see every key; no mask is needed.",
            answer=_looking(lambda old, new: new[:1]),
        ),
    ),
    hints=(
        "The new token has one query, one key and one value: x @ W_q, x @ W_k, x @ W_v, each (1, D).",
        "`torch.cat([keys, x @ W_k])` has shape (S + 1, D); the same for the values.",
        "Then plain attention with a single query: softmax(q @ keys.T / √D) @ values. No mask: nothing lies ahead.",
    ),
)

# --- masking ----------------------------------------------------------------------------------------------------------


def mask_tokens(tokens, chosen, dice, strangers, mask_id):
    hidden = chosen & (dice < 0.8)
    swapped = chosen & (dice >= 0.8) & (dice < 0.9)
    inputs = tokens.masked_fill(hidden, mask_id)
    return torch.where(swapped, strangers, inputs), tokens.masked_fill(~chosen, -100)


def _masking(rows, length, share):
    def inputs(generator):
        tokens, strangers = torch.randint(5, 50, (2, rows, length), generator=generator)
        chosen, dice = torch.rand(2, rows, length, generator=generator)
        dice[:, :2] = torch.tensor([0.8, 0.9])  # the text says what becomes of these two
        return tokens, chosen < share, dice, strangers, 4

    return inputs


def _masked(hide, swap, asked=lambda chosen, dice: chosen):
    """Another rule: which tokens are hidden, swapped and asked for, as functions of (chosen, dice)."""

    def answer(tokens, chosen, dice, strangers, mask_id):
        inputs = tokens.masked_fill(hide(chosen, dice), mask_id)
        inputs = torch.where(swap(chosen, dice), strangers, inputs)
        return inputs, tokens.masked_fill(~asked(chosen, dice), -100)

    return answer


def _hide(chosen, dice):
    return chosen & (dice < 0.8)


def _swap(chosen, dice):
    return chosen & (dice >= 0.8) & (dice < 0.9)


def _asks_the_changed(tokens, chosen, dice, strangers, mask_id):
    inputs, _ = mask_tokens(tokens, chosen, dice, strangers, mask_id)
    return inputs, inputs.masked_fill(~chosen, -100)


MASK_TOKENS = Exercise(
    id="03-mask-tokens",
    title="Hide some tokens",
    goal="make inputs and targets for a masked language model",
    stars=2,
    minutes=10,
    points=2,
    reference=mask_tokens,
    cases=(
        Case(name="four rows of twenty tokens", inputs=_masking(4, 20, 0.3)),
        Case(name="every token is chosen", inputs=_masking(2, 40, 1.1)),
        Case(name="no token is chosen", inputs=_masking(2, 6, 0.0)),
    ),
    mistakes=(
        Mistake(
            message="All chosen tokens are hidden. A tenth of them is swapped for another token and a tenth stays, so "
            "that the model must be right about visible words, too.",
            answer=_masked(lambda chosen, dice: chosen, lambda chosen, dice: chosen & False),
        ),
        Mistake(
            message="A fifth is swapped and none stays as it is. Swap from 0.8 to 0.9; from 0.9 on the token stays.",
            answer=_masked(_hide, lambda chosen, dice: chosen & (dice >= 0.8)),
        ),
        Mistake(
            message="Nothing is swapped: between 0.8 and 0.9 the token is replaced by the stranger.",
            answer=_masked(_hide, lambda chosen, dice: chosen & False),
        ),
        Mistake(
            message="Swapped and kept are exchanged: swap from 0.8 to 0.9, keep from 0.9 on.",
            answer=_masked(_hide, lambda chosen, dice: chosen & (dice >= 0.9)),
        ),
        Mistake(
            message="Every token is a target. The loss asks for the chosen ones alone; the rest is −100.",
            answer=_masked(_hide, _swap, lambda chosen, dice: chosen | True),
        ),
        Mistake(
            message="Only hidden tokens are targets. All chosen ones are, those that were swapped or kept as well.",
            answer=_masked(_hide, _swap, _hide),
        ),
        Mistake(
            message="Tokens that stay as they are have no target. All chosen ones have: the model must not learn that "
            "a visible word is always right.",
            answer=_masked(_hide, _swap, lambda chosen, dice: chosen & (dice < 0.9)),
        ),
        Mistake(
            message="The dice decide for tokens that were not chosen, too. First `chosen`, then the dice among those.",
            answer=_masked(lambda chosen, dice: dice < 0.8, lambda chosen, dice: (dice >= 0.8) & (dice < 0.9)),
        ),
        Mistake(
            message="The targets are turned around: they are −100 at the chosen tokens and ask for the rest.",
            answer=_masked(_hide, _swap, lambda chosen, dice: ~chosen),
        ),
        Mistake(
            message="The targets are taken from the changed tokens. They are the original ones, which the model must "
            "find again.",
            answer=_asks_the_changed,
        ),
    ),
    hints=(
        "Make two bool tables: hidden = chosen & (dice < 0.8), swapped = chosen & (0.8 ≤ dice < 0.9).",
        "`tokens.masked_fill(hidden, mask_id)` hides; `torch.where(swapped, strangers, …)` swaps.",
        "Targets: `tokens.masked_fill(~chosen, -100)`, the original tokens at the chosen places.",
    ),
)
