"""Chapter 03's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

from collections import Counter, defaultdict
from itertools import pairwise

import torch
from answers import Answers

from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 03-count-pairs -----------------------------------------------------------------------------------------------


@right("03-count-pairs")
def pairs_by_counter(words):
    counts = Counter()
    for tokens, times in words.items():
        counts.update(dict.fromkeys(pairwise(tokens), 0))
        for place in range(1, len(tokens)):
            counts[tokens[place - 1], tokens[place]] += times
    return counts


@right("03-count-pairs")
def pairs_by_repetition(words):
    counts = defaultdict(int)
    for tokens, times in words.items():
        for _ in range(times):
            for pair in pairwise(tokens):
                counts[pair] += 1
    return dict(counts)


@wrong("03-count-pairs", "once, however often")
def pairs_without_times(words):
    return Counter(pair for tokens in words for pair in pairwise(tokens))


@wrong("03-count-pairs", "end of a word")
def pairs_of_the_whole_text(words):
    text = [token for tokens, times in words.items() for token in list(tokens) * times]
    return Counter(pairwise(text))


@wrong("03-count-pairs", "twice in one word is counted once")
def pairs_as_sets(words):
    counts = Counter()
    for tokens, times in words.items():
        for pair in set(pairwise(tokens)):
            counts[pair] += times
    return counts


@wrong("03-count-pairs", "order inside the pair")
def pairs_unordered(words):
    counts = Counter()
    for pair, times in pairs_by_counter(words).items():
        counts[min(pair), max(pair)] += times
    return counts


@wrong("03-count-pairs", "overwrite")
def pairs_overwritten(words):
    counts = {}
    for tokens, times in words.items():
        for pair in pairwise(tokens):
            counts[pair] = times
    return counts


@wrong("03-count-pairs", "not neighbors")
def pairs_of_all(words):
    counts = Counter()
    for tokens, times in words.items():
        for i in range(len(tokens)):
            for j in range(i + 1, len(tokens)):
                counts[tokens[i], tokens[j]] += times
    return counts


@wrong("03-count-pairs", "last pair of each word")
def pairs_but_the_last(words):
    counts = Counter()
    for tokens, times in words.items():
        for place in range(len(tokens) - 2):
            counts[tokens[place], tokens[place + 1]] += times
    return counts


# --- 03-merge -----------------------------------------------------------------------------------------------------


@right("03-merge")
def merge_by_looking_back(tokens, pair):
    merged, free = [], False
    for token in tokens:
        if free and (merged[-1], token) == pair:
            merged[-1] += token
            free = False
        else:
            merged.append(token)
            free = True
    return merged


@right("03-merge")
def merge_recursively(tokens, pair):
    if len(tokens) < 2:
        return list(tokens)
    if (tokens[0], tokens[1]) == tuple(pair):
        return ["".join(pair), *merge_recursively(tokens[2:], pair)]
    return [tokens[0], *merge_recursively(tokens[1:], pair)]


@wrong("03-merge", "used twice")
def merge_overlapping(tokens, pair):
    merged, covered = [], set()
    for place in range(len(tokens)):
        if tuple(tokens[place : place + 2]) == pair:
            merged.append("".join(pair))
            covered.update((place, place + 1))
        elif place not in covered:
            merged.append(tokens[place])
    return merged


@wrong("03-merge", "still there")
def merge_with_remains(tokens, pair):
    merged = []
    for place, token in enumerate(tokens):
        merged.append("".join(pair) if tuple(tokens[place : place + 2]) == pair else token)
    return merged


@wrong("03-merge", "Only the first place")
def merge_once(tokens, pair):
    tokens = list(tokens)
    for place in range(len(tokens) - 1):
        if (tokens[place], tokens[place + 1]) == pair:
            tokens[place : place + 2] = ["".join(pair)]
            break
    return tokens


@wrong("03-merge", "spells the same letters")
def merge_by_letters(tokens, pair):
    merged, place, goal = [], 0, "".join(pair)
    while place < len(tokens):
        two = "".join(tokens[place : place + 2])
        if two == goal and place + 1 < len(tokens):
            merged.append(goal)
            place += 2
        else:
            merged.append(tokens[place])
            place += 1
    return merged


@wrong("03-merge", "torn")
def merge_by_replacing(tokens, pair):
    return " ".join(tokens).replace(f"{pair[0]} {pair[1]}", pair[0] + pair[1]).split(" ")


@wrong("03-merge", "right to left")
def merge_backwards(tokens, pair):
    merged, place = [], len(tokens) - 1
    while place >= 0:
        if place and (tokens[place - 1], tokens[place]) == pair:
            merged.insert(0, "".join(pair))
            place -= 2
        else:
            merged.insert(0, tokens[place])
            place -= 1
    return merged


@wrong("03-merge", "last token is lost")
def merge_without_the_end(tokens, pair):
    merged, place = [], 0
    while place + 1 < len(tokens):
        if (tokens[place], tokens[place + 1]) == pair:
            merged.append("".join(pair))
            place += 1
        else:
            merged.append(tokens[place])
        place += 1
    return merged


# --- 03-encode ----------------------------------------------------------------------------------------------------


@right("03-encode")
def encode_by_merging(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = merge_by_looking_back(tokens, pair)
    return tokens


@right("03-encode")
def encode_by_the_lowest_rank(text, merges):
    rank = {pair: number for number, pair in reversed(list(enumerate(merges)))}
    tokens = [*text]
    while True:
        there = [pair for pair in pairwise(tokens) if pair in rank]
        if not there:
            return tokens
        tokens = merge_recursively(tokens, min(there, key=rank.get))


@right("03-encode")
def encode_in_place(text, merges):
    tokens = list(text)
    for first, second in merges:
        place = 0
        while place + 1 < len(tokens):
            if tokens[place] == first and tokens[place + 1] == second:
                tokens[place] += tokens.pop(place + 1)
            place += 1
    return tuple(tokens)


@right("03-encode")
def encode_recursively(text, merges):
    if not merges:
        return list(text)
    return merge_recursively(encode_recursively(text, merges[:-1]), merges[-1])


@right("03-encode")
def encode_by_the_library_step(text, merges):
    from mmcourse.tokenizer.byte_pair import merge_pair

    tokens = list(text)
    for pair in merges:
        tokens = merge_pair(tokens, pair, "".join(pair))
    return tokens


@wrong("03-encode", "from the last to the first")
def encode_backwards(text, merges):
    return encode_by_merging(text, list(merges)[::-1])


@wrong("03-encode", "longest token")
def encode_greedily(text, merges):
    known, tokens = {"".join(pair) for pair in merges}, []
    while text:
        size = next((n for n in range(len(text), 1, -1) if text[:n] in known), 1)
        tokens.append(text[:size])
        text = text[size:]
    return tokens


@wrong("03-encode", "one place only")
def encode_with_one_merge_each(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = merge_once(tokens, pair)
    return tokens


@wrong("03-encode", "fits nowhere")
def encode_giving_up(text, merges):
    tokens = list(text)
    for pair in merges:
        if pair not in set(pairwise(tokens)):
            return tokens
        tokens = merge_by_looking_back(tokens, pair)
    return tokens


@wrong("03-encode", "right to left")
def encode_from_the_right(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = merge_backwards(tokens, pair)
    return tokens


@wrong("03-encode", "last merge is not applied")
def encode_without_the_last(text, merges):
    return encode_by_merging(text, merges[: len(merges) - 1])


@wrong("03-encode", "single characters")
def encode_nothing(text, merges):
    return list(text)


@wrong("03-encode", "joined to a text")
def encode_as_text(text, merges):
    return " ".join(encode_by_merging(text, merges))


@wrong("03-encode")
def encode_used_twice(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = merge_overlapping(tokens, pair)
    return tokens


@wrong("03-encode", "Whatever spells")
def encode_by_letters(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = merge_by_letters(tokens, pair)
    return tokens


# --- 03-bigram ----------------------------------------------------------------------------------------------------


@right("03-bigram")
def bigram_row_by_row(counts, k):
    return torch.stack([(row + k) / (row.sum() + k * len(row)) for row in counts])


@right("03-bigram")
def bigram_by_logarithms(counts, k):
    return torch.softmax((counts + k).log(), dim=-1)


@wrong("03-bigram", "columns sum to 1")
def bigram_by_columns(counts, k):
    return (counts + k) / (counts.sum(0) + k * len(counts))


@wrong("03-bigram", "k is not used")
def bigram_unsmoothed(counts, k):
    return torch.stack([row / row.sum() for row in counts])


@wrong("03-bigram", "rows sum to more than 1")
def bigram_overfull(counts, k):
    return (counts + k) / counts.sum(1)[:, None]


@wrong("03-bigram", "once")
def bigram_one_k(counts, k):
    return torch.stack([(row + k) / (row.sum() + k) for row in counts])


@wrong("03-bigram", "added to the probabilities")
def bigram_k_afterwards(counts, k):
    return torch.stack([row / row.sum() for row in counts]) + k


@wrong("03-bigram", "whole table")
def bigram_of_pairs(counts, k):
    return (counts + k) / (counts.sum() + k * counts.numel())


@wrong("03-bigram", "keepdim")
def bigram_broadcast_wrongly(counts, k):
    weights = counts + k
    return weights / weights.sum(1)


@wrong("03-bigram", "softmax of the counts")
def bigram_by_softmax(counts, k):
    return torch.softmax(counts + k, -1)


# --- 03-shift -----------------------------------------------------------------------------------------------------


@right("03-shift")
def shift_by_where(tokens, pad_id):
    after = tokens.narrow(1, 1, tokens.shape[1] - 1)
    return tokens.narrow(1, 0, tokens.shape[1] - 1), torch.where(after == pad_id, -100, after)


@right("03-shift")
def shift_with_loops(tokens, pad_id):
    targets = torch.tensor([[-100 if t == pad_id else t for t in row[1:]] for row in tokens.tolist()])
    return tokens[:, :-1].clone(), targets


@wrong("03-shift", "asked for what it has been given")
def shift_not(tokens, pad_id):
    inputs = tokens[:, : tokens.shape[1] - 1]
    return inputs, torch.where(inputs == pad_id, -100, inputs)


@wrong("03-shift", "uncut")
def shift_not_cut(tokens, pad_id):
    return tokens, torch.where(tokens == pad_id, -100, tokens)


@wrong("03-shift", "wrong way")
def shift_backwards(tokens, pad_id):
    before = tokens[:, :-1]
    return tokens[:, 1:], torch.where(before == pad_id, -100, before)


@wrong("03-shift", "Padding is still")
def shift_with_padding(tokens, pad_id):
    return tokens[:, :-1], tokens[:, 1:]


@wrong("03-shift", "*input* is padding")
def shift_by_the_inputs(tokens, pad_id):
    inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
    targets[inputs == pad_id] = -100
    return inputs, targets


@wrong("03-shift", "rolled")
def shift_by_rolling(tokens, pad_id):
    rolled = torch.roll(tokens, -1, dims=1)
    return tokens, torch.where(rolled == pad_id, -100, rolled)


@wrong("03-shift", "two places")
def shift_twice(tokens, pad_id):
    return tokens[:, :-2], torch.where(tokens[:, 2:] == pad_id, -100, tokens[:, 2:])


@wrong("03-shift", "never learns to stop")
def shift_without_ends(tokens, pad_id):
    after = tokens[:, 1:]
    return tokens[:, :-1], torch.where((after == pad_id) | (after == 3), -100, after)


# --- 03-gpt-logits ------------------------------------------------------------------------------------------------


@right("03-gpt-logits")
def gpt_by_functional(tokens, embedding, positions, blocks, norm):
    from functools import reduce

    x = torch.nn.functional.embedding(tokens, embedding) + positions[torch.arange(tokens.shape[1])]
    return torch.nn.functional.linear(norm(reduce(lambda x, block: block(x), blocks, x)), embedding)


@right("03-gpt-logits")
def gpt_one_text_at_a_time(tokens, embedding, positions, blocks, norm):
    rows = []
    for row in tokens:
        x = torch.stack([embedding[token] + positions[place] for place, token in enumerate(row)])[None]
        for block in blocks:
            x = block(x)
        rows.append(torch.einsum("tc,vc->tv", norm(x)[0], embedding))
    return torch.stack(rows)


@wrong("03-gpt-logits", "positions are missing")
def gpt_without_positions(tokens, embedding, positions, blocks, norm):
    return gpt_by_functional(tokens, embedding, torch.zeros_like(positions), blocks, norm)


@wrong("03-gpt-logits", "start at 1")
def gpt_from_one(tokens, embedding, positions, blocks, norm):
    return gpt_by_functional(tokens, embedding, positions[1:], blocks, norm)


@wrong("03-gpt-logits", "wrong order")
def gpt_upside_down(tokens, embedding, positions, blocks, norm):
    return gpt_by_functional(tokens, embedding, positions, blocks[::-1], norm)


@wrong("03-gpt-logits", "last normalization")
def gpt_without_norm(tokens, embedding, positions, blocks, norm):
    return gpt_by_functional(tokens, embedding, positions, blocks, torch.nn.Identity())


@wrong("03-gpt-logits", "probabilities")
def gpt_with_softmax(tokens, embedding, positions, blocks, norm):
    return torch.softmax(gpt_by_functional(tokens, embedding, positions, blocks, norm), -1)


@wrong("03-gpt-logits", "last place")
def gpt_of_the_last(tokens, embedding, positions, blocks, norm):
    return gpt_by_functional(tokens, embedding, positions, blocks, norm)[:, -1, :]


@wrong("03-gpt-logits", "head is missing")
def gpt_without_head(tokens, embedding, positions, blocks, norm):
    x = embedding[tokens] + positions[: tokens.shape[-1]]
    for block in blocks:
        x = block(x)
    return norm(x)


@wrong("03-gpt-logits", "residual paths")
def gpt_with_double_residuals(tokens, embedding, positions, blocks, norm):
    doubled = [lambda x, block=block: x + block(x) for block in blocks]
    return gpt_by_functional(tokens, embedding, positions, doubled, norm)


@wrong("03-gpt-logits", "one block is used")
def gpt_losing_blocks(tokens, embedding, positions, blocks, norm):
    x = embedding[tokens] + positions[: tokens.shape[1]]
    for block in blocks:
        y = block(x)
    return norm(y) @ embedding.T


# --- 03-top-p -----------------------------------------------------------------------------------------------------


@right("03-top-p")
def top_p_row_by_row(logits, p):
    kept = torch.full_like(logits, -torch.inf)
    for row, (chances, old) in enumerate(zip(logits.softmax(-1), logits, strict=True)):
        total = 0.0
        for place in chances.argsort(descending=True):
            kept[row, place] = old[place]
            total += float(chances[place])
            if total >= p:
                break
    return kept


@right("03-top-p")
def top_p_by_comparison(logits, p):
    chances = logits.softmax(-1)
    likelier = (chances[:, None, :] > chances[:, :, None]).float()  # [row, token, other]
    return logits.masked_fill((likelier * chances[:, None, :]).sum(-1) >= p, -torch.inf)


@wrong("03-top-p", "reaches p is dropped")
def top_p_short(logits, p):
    chances = logits.softmax(-1)
    up_to = (chances[:, None, :] >= chances[:, :, None]).float()
    return logits.masked_fill((up_to * chances[:, None, :]).sum(-1) >= p, -torch.inf)


@wrong("03-top-p", "order of the vocabulary")
def top_p_unsorted(logits, p):
    chances = logits.softmax(-1)
    return logits.masked_fill(chances.cumsum(-1) - chances >= p, -torch.inf)


@wrong("03-top-p", "come back sorted")
def top_p_sorted(logits, p):
    return top_p_row_by_row(logits, p).sort(-1, descending=True).values


@wrong("03-top-p", "same places of the unsorted")
def top_p_misplaced(logits, p):
    dropped = top_p_row_by_row(logits, p).sort(-1, descending=True).values == -torch.inf
    return torch.where(dropped, -torch.inf, logits)


@wrong("03-top-p", "by itself")
def top_p_threshold(logits, p):
    return torch.where(logits.softmax(-1) >= p, logits, -torch.inf)


@wrong("03-top-p", "nucleus dropped")
def top_p_reversed(logits, p):
    return torch.where(top_p_row_by_row(logits, p) == -torch.inf, logits, -torch.inf)


@wrong("03-top-p", "exp(0) = 1")
def top_p_zeros(logits, p):
    return torch.where(top_p_row_by_row(logits, p) == -torch.inf, 0.0, logits)


@wrong("03-top-p", "These are probabilities")
def top_p_probabilities(logits, p):
    return top_p_row_by_row(logits, p).softmax(-1)


# --- 03-cached-step -----------------------------------------------------------------------------------------------


@right("03-cached-step")
def step_by_torch(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.vstack([keys, x @ W_k]), torch.vstack([values, x @ W_v])
    return torch.nn.functional.scaled_dot_product_attention((x @ W_q)[None], keys[None], values[None])[0], keys, values


@right("03-cached-step")
def step_with_a_loop(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.cat((keys, x @ W_k), 0), torch.cat((values, x @ W_v), 0)
    q = (x @ W_q)[0]
    weights = torch.stack([(q * key).sum().div(len(q) ** 0.5).exp() for key in keys])
    return (weights[:, None] * values).sum(0, keepdim=True) / weights.sum(), keys, values


def plain_attention(q, keys, values):
    return torch.softmax(q @ keys.mT / q.shape[-1] ** 0.5, -1) @ values


@wrong("03-cached-step", "does not see itself")
def step_blind_to_itself(x, keys, values, W_q, W_k, W_v):
    output = plain_attention(x @ W_q, keys, values)
    return output, torch.cat([keys, x @ W_k]), torch.cat([values, x @ W_v])


@wrong("03-cached-step", "forgets this token")
def step_forgetful(x, keys, values, W_q, W_k, W_v):
    return step_by_torch(x, keys, values, W_q, W_k, W_v)[0], keys, values


@wrong("03-cached-step", "itself alone")
def step_alone(x, keys, values, W_q, W_k, W_v):
    return x @ W_v, torch.cat([keys, x @ W_k]), torch.cat([values, x @ W_v])


@wrong("03-cached-step", "in front")
def step_in_front(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.cat([x @ W_k, keys]), torch.cat([x @ W_v, values])
    return plain_attention(x @ W_q, keys, values), keys, values


@wrong("03-cached-step", "not divided")
def step_unscaled(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.cat([keys, x @ W_k]), torch.cat([values, x @ W_v])
    return torch.softmax(x @ W_q @ keys.T, 1) @ values, keys, values


@wrong("03-cached-step", "values come from W_v")
def step_with_keys_as_values(x, keys, values, W_q, W_k, W_v):
    return step_by_torch(x, keys, values, W_q, W_k, W_k)


@wrong("03-cached-step", "row 0")
def step_with_a_wrong_mask(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.cat([keys, x @ W_k]), torch.cat([values, x @ W_v])
    scores = (x @ W_q) @ keys.T / keys.shape[1] ** 0.5
    mask = torch.ones(1, len(keys), dtype=torch.bool).tril()
    return scores.masked_fill(~mask, -torch.inf).softmax(-1) @ values, keys, values


# --- 03-mask-tokens -----------------------------------------------------------------------------------------------


@right("03-mask-tokens")
def mask_one_by_one(tokens, chosen, dice, strangers, mask_id):
    inputs, targets = tokens.clone(), torch.full_like(tokens, -100)
    for place in chosen.nonzero():
        place = tuple(place)
        targets[place] = tokens[place]
        if dice[place] < 0.8:
            inputs[place] = mask_id
        elif dice[place] < 0.9:
            inputs[place] = strangers[place]
    return inputs, targets


@right("03-mask-tokens")
def mask_by_where(tokens, chosen, dice, strangers, mask_id):
    changed = torch.where(dice < 0.8, mask_id, torch.where(dice < 0.9, strangers, tokens))
    return torch.where(chosen, changed, tokens), torch.where(chosen, tokens, -100)


@wrong("03-mask-tokens", "All chosen tokens are hidden")
def mask_all(tokens, chosen, dice, strangers, mask_id):
    return torch.where(chosen, mask_id, tokens), torch.where(chosen, tokens, -100)


@wrong("03-mask-tokens", "none stays")
def mask_or_swap(tokens, chosen, dice, strangers, mask_id):
    return torch.where(chosen, torch.where(dice < 0.8, mask_id, strangers), tokens), torch.where(chosen, tokens, -100)


@wrong("03-mask-tokens", "Nothing is swapped")
def mask_or_keep(tokens, chosen, dice, strangers, mask_id):
    return torch.where(chosen & (dice < 0.8), mask_id, tokens), torch.where(chosen, tokens, -100)


@wrong("03-mask-tokens", "Every token is a target")
def mask_asking_all(tokens, chosen, dice, strangers, mask_id):
    return mask_by_where(tokens, chosen, dice, strangers, mask_id)[0], tokens


@wrong("03-mask-tokens", "Only hidden tokens")
def mask_asking_the_hidden(tokens, chosen, dice, strangers, mask_id):
    inputs = mask_by_where(tokens, chosen, dice, strangers, mask_id)[0]
    return inputs, torch.where(inputs == mask_id, tokens, -100)


@wrong("03-mask-tokens", "First `chosen`")
def mask_everywhere(tokens, chosen, dice, strangers, mask_id):
    changed = torch.where(dice < 0.8, mask_id, torch.where(dice < 0.9, strangers, tokens))
    return changed, torch.where(chosen, tokens, -100)


@wrong("03-mask-tokens", "changed tokens")
def mask_asking_the_changed(tokens, chosen, dice, strangers, mask_id):
    inputs = mask_by_where(tokens, chosen, dice, strangers, mask_id)[0]
    return inputs, torch.where(chosen, inputs, -100)


@wrong("03-mask-tokens", "turned around")
def mask_asking_the_rest(tokens, chosen, dice, strangers, mask_id):
    return mask_by_where(tokens, chosen, dice, strangers, mask_id)[0], torch.where(chosen, -100, tokens)


# --- answers in other styles ---------------------------------------------------------------------------------------


@right("03-count-pairs")
def pairs_by_zip(words):
    pairs = [(pair, times) for word, times in words.items() for pair in pairwise(word)]
    return {pair: sum(times for other, times in pairs if other == pair) for pair, _ in pairs}


@wrong("03-count-pairs", "last pair of each word")
def pairs_short(words):
    counts = Counter()
    for word, times in words.items():
        for first, second in pairwise(word[:-1]):
            counts[first, second] += times
    return dict(counts)


@right("03-merge")
def merge_by_popping(tokens, pair):
    rest, merged = list(tokens)[::-1], []
    while rest:
        token = rest.pop()
        merged.append(token + rest.pop() if rest and (token, rest[-1]) == tuple(pair) else token)
    return merged


@wrong("03-merge", "unchanged")
def merge_comparing_with_a_list(tokens, pair):
    return [token for token in tokens if token != list(pair)]


@right("03-bigram")
def bigram_by_einsum(counts, k):
    weights = counts.double() + k
    return torch.einsum("ab,a->ab", weights, 1 / weights.sum(-1)).to(torch.float32)


@right("03-bigram")
def bigram_by_numpy(counts, k):
    table = counts.numpy() + k
    return torch.from_numpy(table / table.sum(axis=1, keepdims=True))


@wrong("03-bigram", "columns sum to 1")
def bigram_by_transposed_softmax(counts, k):
    return torch.softmax((counts + k).log(), 0)


@right("03-shift")
def shift_by_indexing(tokens, pad_id):
    inputs, targets = tokens[:, range(tokens.shape[1] - 1)], tokens[:, range(1, tokens.shape[1])].clone()
    targets[targets == pad_id] = -100
    return inputs, targets


@wrong("03-shift", "Padding is still")
def shift_by_unfold(tokens, pad_id):
    windows = tokens.unfold(1, 2, 1)  # (B, T − 1, 2)
    return windows[..., 0], windows[..., 1]


@right("03-gpt-logits")
def gpt_by_one_hot(tokens, embedding, positions, blocks, norm):
    y = torch.nn.functional.one_hot(tokens, len(embedding)).to(embedding.dtype)
    x = torch.einsum("btv,vc->btc", y, embedding) + positions.narrow(0, 0, tokens.shape[1])
    for number in range(len(blocks)):
        x = blocks[number](x)
    return torch.einsum("btc,vc->btv", norm(x), embedding)


@wrong("03-gpt-logits", "divided by √C")
def gpt_with_scaled_scores(tokens, embedding, positions, blocks, norm):
    return gpt_by_functional(tokens, embedding, positions, blocks, norm) * embedding.shape[1] ** -0.5


@right("03-top-p")
def top_p_by_threshold(logits, p):
    ranked = logits.softmax(-1).sort(-1, descending=True).values
    inside = (ranked.cumsum(-1) - ranked < p).sum(-1, keepdim=True)  # how many stay
    return logits.where(logits >= logits.sort(-1, descending=True).values.gather(-1, inside - 1), -torch.inf)


@wrong("03-top-p", "nucleus dropped")
def top_p_tail(logits, p):
    ranked, order = logits.sort(-1, descending=True)
    chances = ranked.softmax(-1)
    ranked = ranked.masked_fill(chances.cumsum(-1) - chances < p, -torch.inf)
    return torch.zeros_like(logits).scatter(-1, order, ranked)


@right("03-cached-step")
def step_by_einsum(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.cat([keys, x.mm(W_k)]), torch.cat([values, x.mm(W_v)])
    weights = torch.einsum("qc,cd,sd->qs", x, W_q, keys).div(keys.shape[-1] ** 0.5).softmax(-1)
    return torch.einsum("qs,sd->qd", weights, values), keys, values


@wrong("03-cached-step", "not divided by √D")
def step_by_scaled_down_scale(x, keys, values, W_q, W_k, W_v):
    keys, values = torch.vstack([keys, x @ W_k]), torch.vstack([values, x @ W_v])
    return ((x @ W_q) @ keys.T).softmax(-1) @ values, keys, values


@right("03-mask-tokens")
def mask_by_indices(tokens, chosen, dice, strangers, mask_id):
    inputs, targets = tokens.clone(), torch.full_like(tokens, -100)
    for row, column in chosen.nonzero().tolist():
        targets[row, column] = tokens[row, column]
        if dice[row, column] < 0.9:
            inputs[row, column] = mask_id if dice[row, column] < 0.8 else strangers[row, column]
    return inputs, targets


@wrong("03-mask-tokens", "Nothing is swapped")
def mask_in_place_of_strangers(tokens, chosen, dice, strangers, mask_id):
    return tokens.masked_fill(chosen & (dice < 0.8), mask_id), tokens.masked_fill(~chosen, -100)


# --- the tests ----------------------------------------------------------------------------------------------------


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("03"))


def test_references_are_those_of_the_library():
    from mmcourse.attention import KeyValueCache, attention
    from mmcourse.decoding import filter_logits
    from mmcourse.lm import GPT, Bigram, GPTConfig, shift
    from mmcourse.tokenizer.byte_pair import merge_pair

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(9, (2, 7), generator=generator)
    merged = find("03-merge").reference([str(t) for t in tokens[0].tolist()], ("3", "4"))
    assert [{34: "34"}.get(t, str(t)) for t in merge_pair(tokens[0].tolist(), (3, 4), 34)] == merged
    for ours, theirs in zip(find("03-shift").reference(tokens, 0), shift(tokens, pad_id=0), strict=True):
        assert torch.equal(ours, theirs)
    bigram = Bigram(9, k=0.5).count(*shift(tokens))
    probabilities = find("03-bigram").reference(bigram.counts.double(), 0.5)
    torch.testing.assert_close(probabilities, bigram.log_probabilities().exp())
    logits = torch.randn(4, 9, generator=generator)
    assert torch.equal(find("03-top-p").reference(logits, 0.7), filter_logits(logits, top_p=0.7))

    gpt = GPT(GPTConfig(vocabulary_size=9, context=8, width=8, heads=2, depth=2)).eval()
    blocks = [lambda x, block=block: block(x, causal=True) for block in gpt.decoder.blocks]
    tables = gpt.embedding.weight, gpt.positions.table
    torch.testing.assert_close(find("03-gpt-logits").reference(tokens, *tables, blocks, gpt.decoder.norm), gpt(tokens))

    x, W_q, W_k, W_v = torch.randn(4, 6, 6, generator=generator)
    cache = KeyValueCache()
    k, v = cache.append((x @ W_k)[None, None], (x @ W_v)[None, None])
    output = attention((x[-1:] @ W_q)[None, None], k, v).output[0, 0]
    found = find("03-cached-step").reference(x[-1:], k[0, 0, :-1], v[0, 0, :-1], W_q, W_k, W_v)
    for ours, theirs in zip(found, (output, k[0, 0], v[0, 0]), strict=True):
        torch.testing.assert_close(ours, theirs)
