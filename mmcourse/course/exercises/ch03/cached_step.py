"""03-cached-step: let a new token attend to all earlier ones without computing them again."""

from __future__ import annotations

import torch

from mmcourse import attention
from mmcourse.course.exercise import Case, Exercise, Mistake


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


EXERCISE = Exercise(
    id="03-cached-step",
    title="One step with a cache",
    goal="let a new token attend to all earlier ones without computing them again",
    stars=2,
    minutes=15,
    points=2,
    reference=cached_step,
    ready_made=(
        attention.MultiHeadAttention.forward,
        attention.KeyValueCache.append,
    ),
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
