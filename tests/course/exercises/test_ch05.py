"""Chapter 05's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import itertools
import re

import numpy as np
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 05-longest-match ---------------------------------------------------------------------------------------------


@right("05-longest-match")
def pieces_by_recursion(word, vocabulary):
    def cut(rest, before):
        if not rest:
            return []
        for end in reversed(range(1, len(rest) + 1)):
            if before + rest[:end] in vocabulary:
                tail = cut(rest[end:], "##")
                return None if tail is None else [before + rest[:end], *tail]
        return None

    return cut(word, "") or ["[UNK]"]


@right("05-longest-match")
def pieces_by_while(word, vocabulary):
    found, rest, mark = [], word, ""
    while rest:
        piece = rest
        while piece and mark + piece not in vocabulary:
            piece = piece[:-1]
        if piece == "":
            return ["[UNK]"]
        found.append(mark + piece)
        rest, mark = rest[len(piece) :], "##"
    return found


@right("05-longest-match")
def pieces_by_library(word, vocabulary):
    from mmcourse.tokenizer.wordpiece import longest_pieces

    return longest_pieces(word, dict.fromkeys(vocabulary)) or ["[UNK]"]


@wrong("05-longest-match", "shortest piece")
def pieces_shortest(word, vocabulary):
    found, start = [], 0
    while start < len(word):
        for end in range(start + 1, len(word) + 1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                found.append(piece)
                start = end
                break
        else:
            return ["[UNK]"]
    return found


@wrong("05-longest-match", "lost their ##")
def pieces_unmarked(word, vocabulary):
    return [piece.replace("##", "") for piece in pieces_by_while(word, vocabulary)]


@wrong("05-longest-match", "looked up without ##")
def pieces_looked_up_unmarked(word, vocabulary):
    found, rest = [], word
    while rest:
        piece = next((rest[:end] for end in range(len(rest), 0, -1) if rest[:end] in vocabulary), None)
        if piece is None:
            return ["[UNK]"]
        found.append(piece)
        rest = rest[len(piece) :]
    return found


@wrong("05-longest-match", "dead end are returned")
def pieces_partial(word, vocabulary):
    found, rest, mark = [], word, ""
    while rest:
        piece = next((rest[:end] for end in range(len(rest), 0, -1) if mark + rest[:end] in vocabulary), None)
        if piece is None:
            break
        found, rest, mark = [*found, mark + piece], rest[len(piece) :], "##"
    return found


@wrong("05-longest-match", "in front of [UNK]")
def pieces_partial_and_unknown(word, vocabulary):
    found = pieces_partial(word, vocabulary)
    return found if sum(len(piece.replace("##", "")) for piece in found) == len(word) else [*found, "[UNK]"]


@wrong("05-longest-match", "never goes back")
def pieces_with_second_try(word, vocabulary):
    def cut(rest, mark):
        if rest == "":
            return []
        for end in range(len(rest), 0, -1):
            tail = cut(rest[end:], "##") if mark + rest[:end] in vocabulary else None
            if tail is not None:
                return [mark + rest[:end], *tail]
        return None

    return cut(word, "") or ["[UNK]"]


@wrong("05-longest-match", "whole words")
def pieces_whole_words(word, vocabulary):
    return [word if word in vocabulary else "[UNK]"]


# --- 05-embed -----------------------------------------------------------------------------------------------------


@right("05-embed")
def embed_by_functional(tokens, segments, words, positions, kinds):
    place = torch.arange(tokens.shape[1])
    return F.embedding(tokens, words) + F.embedding(place, positions)[None] + F.embedding(segments, kinds)


@right("05-embed")
def embed_by_one_hot(tokens, segments, words, positions, kinds):
    parts = [F.one_hot(tokens, len(words)).float() @ words, F.one_hot(segments, len(kinds)).float() @ kinds]
    return torch.stack([row + positions[t] for t, row in enumerate(sum(parts).unbind(1))], dim=1)


@wrong("05-embed", "positions are missing")
def embed_without_positions(tokens, segments, words, positions, kinds):
    return F.embedding(tokens, words) + F.embedding(segments, kinds)


@wrong("05-embed", "segments are missing")
def embed_without_segments(tokens, segments, words, positions, kinds):
    return F.embedding(tokens, words) + positions[torch.arange(tokens.size(1))]


@wrong("05-embed", "row 0 of the segment table")
def embed_with_first_segment(tokens, segments, words, positions, kinds):
    return embed_by_functional(tokens, torch.zeros_like(segments), words, positions, kinds)


@wrong("05-embed", "mean of the three")
def embed_mean(tokens, segments, words, positions, kinds):
    place = positions[: tokens.size(1)].expand(len(tokens), -1, -1)
    return torch.stack([words[tokens], place, kinds[segments]]).mean(0)


@wrong("05-embed", "counted from 1")
def embed_from_one(tokens, segments, words, positions, kinds):
    return embed_by_functional(tokens, segments, words, positions.roll(-1, 0), kinds)


@wrong("05-embed", "side by side")
def embed_concatenated(tokens, segments, words, positions, kinds):
    place = positions[: tokens.size(1)].repeat(len(tokens), 1, 1)
    return torch.cat((words[tokens], place, kinds[segments]), -1)


# --- 05-mask-tokens -----------------------------------------------------------------------------------------------


@right("05-mask-tokens")
def hide_in_place_of_copies(tokens, ordinary, lot, fate, others, mask_id):
    read, targets = tokens.clone(), torch.full_like(tokens, -100)
    chosen = (lot < 0.15).logical_and(ordinary)
    targets[chosen] = tokens[chosen]
    read[chosen & (fate < 0.8)] = mask_id
    swapped = chosen & (fate >= 0.9)
    read[swapped] = others[swapped]
    return read, targets


@right("05-mask-tokens")
def hide_one_by_one(tokens, ordinary, lot, fate, others, mask_id):
    read, targets = tokens.tolist(), (0 * tokens - 100).tolist()
    for b, row in enumerate(tokens.tolist()):
        for t, token in enumerate(row):
            if ordinary[b, t] and lot[b, t] < 0.15:
                targets[b][t] = token
                read[b][t] = mask_id if fate[b, t] < 0.8 else int(others[b, t]) if fate[b, t] >= 0.9 else token
    return torch.tensor(read), torch.tensor(targets)


def _hide_then(change):
    def answer(tokens, ordinary, lot, fate, others, mask_id):
        read, targets = hide_in_place_of_copies(tokens, ordinary, lot, fate, others, mask_id)
        return change(tokens, read, targets, mask_id)

    return answer


wrong("05-mask-tokens", "what stood there before")(
    _hide_then(lambda tokens, read, targets, mask_id: (read, torch.where(targets < 0, -100, read)))
)
wrong("05-mask-tokens", "Only where [MASK] stands")(
    _hide_then(lambda tokens, read, targets, mask_id: (read, targets.masked_fill(read != mask_id, -100)))
)
wrong("05-mask-tokens", "where the text was changed")(
    _hide_then(lambda tokens, read, targets, mask_id: (read, targets.masked_fill(read == tokens, -100)))
)
wrong("05-mask-tokens", "Every token is a target")(_hide_then(lambda tokens, read, targets, mask_id: (read, tokens)))
wrong("05-mask-tokens", "target is 0")(_hide_then(lambda tokens, read, targets, mask_id: (read, targets.clamp(min=0))))


@wrong("05-mask-tokens", "Special tokens")
def hide_special_tokens(tokens, ordinary, lot, fate, others, mask_id):
    return hide_in_place_of_copies(tokens, torch.ones_like(ordinary), lot, fate, others, mask_id)


@wrong("05-mask-tokens", "85 percent")
def hide_most(tokens, ordinary, lot, fate, others, mask_id):
    return hide_in_place_of_copies(tokens, ordinary & (lot >= 0.15), torch.zeros_like(lot), fate, others, mask_id)


@wrong("05-mask-tokens", "All chosen tokens become [MASK]")
def hide_all_by_mask(tokens, ordinary, lot, fate, others, mask_id):
    return hide_in_place_of_copies(tokens, ordinary, lot, torch.zeros_like(fate), others, mask_id)


@wrong("05-mask-tokens", "none stays")
def hide_none_stays(tokens, ordinary, lot, fate, others, mask_id):
    return hide_in_place_of_copies(tokens, ordinary, lot, torch.where(fate < 0.8, fate, 1.0), others, mask_id)


# --- 05-our-name --------------------------------------------------------------------------------------------------

TABLE = {
    r"^embeddings\.word_embeddings": "embedding",
    r"^embeddings\.position_embeddings": "positions",
    r"^embeddings\.token_type_embeddings": "segments",
    r"^embeddings\.LayerNorm": "norm",
    r"^encoder\.layer": "blocks",
    r"attention\.self": "attention",
    r"attention\.output\.dense": "attention.out",
    r"attention\.output\.LayerNorm": "attention_norm",
    r"intermediate\.dense": "feed_forward.expand",
    r"output\.dense": "feed_forward.contract",
    r"output\.LayerNorm": "feed_forward_norm",
}


@right("05-our-name")
def name_by_patterns(name):
    for pattern, ours in TABLE.items():
        name = re.sub(pattern, ours, name)
    return name


@right("05-our-name")
def name_by_ending(name):
    for pattern, ours in TABLE.items():
        name = name.replace(pattern.replace("\\", "").removeprefix("^"), ours)
    return name


@wrong("05-our-name", "“output.dense” was replaced first")
def name_dense_first(name):
    return name_by_patterns(name.replace("output.dense", "feed_forward.contract"))


@wrong("05-our-name", "“output.LayerNorm” was replaced first")
def name_norm_first(name):
    return name_by_patterns(name.replace("output.LayerNorm", "feed_forward_norm"))


@wrong("05-our-name", "Both short names")
def name_short_first(name):
    for pattern, ours in reversed(TABLE.items()):
        name = re.sub(pattern, ours, name)
    return name


@wrong("05-our-name", "Query and key are exchanged")
def name_swapped(name):
    swap = {"query": "key", "key": "query"}
    return re.sub("query|key", lambda found: swap[found[0]], name_by_patterns(name))


@wrong("05-our-name", "counted from 1")
def name_from_one(name):
    return re.sub(r"\d+", lambda found: str(int(found[0]) + 1), name_by_patterns(name))


@wrong("05-our-name", "ending .weight or .bias")
def name_without_kind(name):
    return ".".join(name_by_patterns(name).split(".")[:-1])


# --- 05-masked-mean -----------------------------------------------------------------------------------------------


@right("05-masked-mean")
def mean_one_by_one(hidden, mask):
    return torch.stack([row[kept].mean(0) for row, kept in zip(hidden, mask, strict=True)])


@right("05-masked-mean")
def mean_by_weights(hidden, mask):
    weights = mask / mask.sum(1, keepdim=True)
    return torch.einsum("bt,btc->bc", weights, hidden)


@wrong("05-masked-mean", "padding is counted")
def mean_over_all(hidden, mask):
    return torch.mean(hidden, 1)


@wrong("05-masked-mean", "still divide by T")
def mean_over_longest(hidden, mask):
    return hidden.masked_fill(~mask[:, :, None], 0).sum(1) / hidden.shape[1]


@wrong("05-masked-mean", "sum over the tokens")
def mean_not_divided(hidden, mask):
    return torch.einsum("bt,btc->bc", mask.float(), hidden)


@wrong("05-masked-mean", "takes part in the sum")
def mean_with_loud_padding(hidden, mask):
    return hidden.sum(1) / mask.float().sum(1)[:, None]


@wrong("05-masked-mean", "turned around")
def mean_of_the_padding(hidden, mask):
    return torch.einsum("bt,btc->bc", (~mask) / (~mask).sum(1, keepdim=True), hidden)


@wrong("05-masked-mean", "maximum")
def mean_as_maximum(hidden, mask):
    return torch.stack([row[kept].amax(0) for row, kept in zip(hidden, mask, strict=True)])


# --- 05-search ----------------------------------------------------------------------------------------------------


@right("05-search")
def search_by_sorting(query, table, k):
    cosines = (table @ query) / table.norm(dim=1) / query.norm()
    return torch.argsort(cosines, descending=True)[:k]


@right("05-search")
def search_by_distance_of_units(query, table, k):
    apart = torch.cdist(F.normalize(query[None], dim=1), F.normalize(table, dim=1))[0]
    return apart.topk(k, largest=False).indices


@wrong("05-search", "dot product")
def search_by_dot(query, table, k):
    return (table * query).sum(1).argsort(descending=True)[:k]


@wrong("05-search", "Euclidean")
def search_by_distance(query, table, k):
    return torch.cdist(query[None], table)[0].argsort()[:k]


@wrong("05-search", "farthest")
def search_for_the_worst(query, table, k):
    return F.cosine_similarity(table, query[None]).argsort()[:k]


@wrong("05-search", "turned around")
def search_worst_first(query, table, k):
    return F.cosine_similarity(table, query[None]).argsort()[-k:]


@wrong("05-search", "Return where they stand")
def search_cosines(query, table, k):
    return F.cosine_similarity(table, query[None]).sort(descending=True).values[:k]


# --- 05-mean-cosine -----------------------------------------------------------------------------------------------


@right("05-mean-cosine")
def cosine_by_loops(x):
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    return sum(F.cosine_similarity(x[i], x[j], dim=0).item() for i, j in pairs) / len(pairs)


@right("05-mean-cosine")
def cosine_by_triangle(x):
    unit = x / x.norm(dim=1, keepdim=True)
    return (unit @ unit.T)[tuple(torch.triu_indices(len(x), len(x), 1))].mean()


@wrong("05-mean-cosine", "with itself")
def cosine_with_diagonal(x):
    unit = x / x.norm(dim=1, keepdim=True)
    return (unit @ unit.T).mean()


@wrong("05-mean-cosine", "divide by N²")
def cosine_wrong_count(x):
    cosines = F.cosine_similarity(x[:, None], x[None], dim=-1)
    return cosines.fill_diagonal_(0).mean()


@wrong("05-mean-cosine", "dot products")
def cosine_as_dot(x):
    return (x @ x.T)[~torch.eye(len(x), dtype=torch.bool)].mean()


@wrong("05-mean-cosine", "Only neighbors")
def cosine_of_neighbors(x):
    return sum(F.cosine_similarity(a, b, dim=0) for a, b in itertools.pairwise(x)) / (len(x) - 1)


@wrong("05-mean-cosine", "centered first")
def cosine_centered(x):
    return cosine_by_triangle(x - x.mean(0, keepdim=True))


@wrong("05-mean-cosine", "a distance")
def cosine_distance(x):
    return torch.ones(()) - cosine_by_triangle(x)


# --- 05-probe -----------------------------------------------------------------------------------------------------


def fitted(x, y, new_x, classes, constant=True):
    x, new_x = (np.c_[part.numpy(), np.ones(len(part))] if constant else part.numpy() for part in (x, new_x))
    return new_x @ (np.linalg.pinv(x) @ np.eye(classes)[y.numpy()])


@right("05-probe")
def probe_by_numpy(x, y, new_x, new_y, classes):
    return float(np.mean(fitted(x, y, new_x, classes).argmax(1) == new_y.numpy()))


@right("05-probe")
def probe_by_sklearn(x, y, new_x, new_y, classes):
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(x.double().numpy(), np.eye(classes)[y.numpy()])
    return torch.tensor((model.predict(new_x.double().numpy()).argmax(1) == new_y.numpy()).mean()).float()


@right("05-probe")
def probe_by_centering(x, y, new_x, new_y, classes):
    mean, targets = x.mean(0), torch.eye(classes)[y]
    weights = torch.linalg.pinv(x - mean) @ (targets - targets.mean(0))
    return ((((new_x - mean) @ weights) + targets.mean(0)).argmax(1) == new_y).sum() / len(new_y)


@wrong("05-probe", "fitted to. Ask the unseen")
def probe_on_its_own(x, y, new_x, new_y, classes):
    return probe_by_numpy(x, y, x, y, classes)


@wrong("05-probe", "must not see them")
def probe_that_peeks(x, y, new_x, new_y, classes):
    return probe_by_numpy(new_x, new_y, new_x, new_y, classes)


@wrong("05-probe", "constant 1 is missing")
def probe_through_zero(x, y, new_x, new_y, classes):
    return float(np.mean(fitted(x, y, new_x, classes, constant=False).argmax(1) == new_y.numpy()))


@wrong("05-probe", "class *number*")
def probe_on_numbers(x, y, new_x, new_y, classes):
    x, new_x = (np.c_[part.numpy(), np.ones(len(part))] for part in (x, new_x))
    return float(np.mean(np.rint(new_x @ (np.linalg.pinv(x) @ y.numpy())) == new_y.numpy()))


@wrong("05-probe", "wrong answers")
def probe_error(x, y, new_x, new_y, classes):
    return 1 - probe_by_numpy(x, y, new_x, new_y, classes)


@wrong("05-probe", "own mean")
def probe_with_two_means(x, y, new_x, new_y, classes):
    return probe_by_numpy(x - x.mean(0), y, new_x - new_x.mean(0), new_y, classes)


# --- twenty more, from a demanding reader ---------------------------------------------------------------------------


@right("05-longest-match")
def pieces_by_sorting(word, vocabulary):
    by_length = sorted(vocabulary, key=len, reverse=True)
    found, at = [], 0
    while at < len(word):
        fits = [piece for piece in by_length if piece.startswith("##") == (at > 0)]
        piece = next((piece for piece in fits if word.startswith(piece.removeprefix("##"), at)), None)
        if piece is None:
            return ["[UNK]"]
        found.append(piece)
        at += len(piece.removeprefix("##"))
    return found


@wrong("05-longest-match", "from its end")
def pieces_from_the_end(word, vocabulary):
    found, end = [], len(word)
    while end > 0:
        for start in range(end):
            piece = word[start:end] if start == 0 else f"##{word[start:end]}"
            if piece in vocabulary:
                found.insert(0, piece)
                end = start
                break
        else:
            return ["[UNK]"]
    return found


@right("05-embed")
def embed_token_by_token(tokens, segments, words, positions, kinds):
    rows = [
        [
            words[token] + positions[place] + kinds[segment]
            for place, (token, segment) in enumerate(zip(*pair, strict=True))
        ]
        for pair in zip(tokens.tolist(), segments.tolist(), strict=True)
    ]
    return torch.stack([torch.stack(row) for row in rows])


@right("05-embed")
def embed_by_numpy(tokens, segments, words, positions, kinds):
    place = np.arange(tokens.shape[1])
    return words.numpy()[tokens.numpy()] + positions.numpy()[place] + kinds.numpy()[segments.numpy()]


@wrong("05-embed", "position 0")
def embed_at_the_first_place(tokens, segments, words, positions, kinds):
    return F.embedding(tokens, words) + positions[:1] + F.embedding(segments, kinds)


@right("05-mask-tokens")
def hide_by_arithmetic(tokens, ordinary, lot, fate, others, mask_id):
    chosen = (ordinary * (lot < 0.15)).long()
    hole, swap = chosen * (fate < 0.8), chosen * (fate >= 0.9)
    read = tokens * (1 - hole - swap) + mask_id * hole + others * swap
    return read, chosen * tokens - 100 * (1 - chosen)


@right("05-mask-tokens")
def hide_by_numpy(tokens, ordinary, lot, fate, others, mask_id):
    chosen = ordinary.numpy() & (lot.numpy() < np.float32(0.15))
    read = np.select([chosen & (fate.numpy() < np.float32(0.8)), chosen & (fate.numpy() >= np.float32(0.9))],
                     [np.full(tokens.shape, mask_id), others.numpy()], tokens.numpy())  # fmt: skip
    return read, np.where(chosen, tokens.numpy(), -100)


wrong("05-mask-tokens", "not chosen", "[MASK]")(
    lambda tokens, ordinary, lot, fate, others, mask_id: (
        torch.where(fate < 0.8, mask_id, torch.where(ordinary & (lot < 0.15) & (fate >= 0.9), others, tokens)),
        torch.where(ordinary & (lot < 0.15), tokens, -100),
    )
)


@right("05-our-name")
def name_by_parts(name):
    module, _, kind = name.rpartition(".")
    place = re.fullmatch(r"encoder\.layer\.(\d+)\.(.*)", module)
    inside = place[2] if place else module
    keys = sorted((pattern.replace("\\", "").lstrip("^") for pattern in TABLE), key=len, reverse=True)
    ours = {pattern.replace("\\", "").lstrip("^"): short for pattern, short in TABLE.items()}
    old = next(key for key in keys if inside.startswith(key))
    return f"{f'blocks.{place[1]}.' if place else ''}{ours[old]}{inside[len(old) :]}.{kind}"


@wrong("05-our-name", "first digit")
def name_with_one_digit(name):
    return re.sub(r"blocks\.(\d)\d*", r"blocks.\1", name_by_patterns(name))


@right("05-masked-mean")
def mean_by_selecting(hidden, mask):
    return torch.nanmean(hidden.masked_fill(~mask.unsqueeze(-1), torch.nan), dim=1)


@right("05-masked-mean")
def mean_by_numpy(hidden, mask):
    return np.ma.array(hidden, mask=np.repeat(~mask.numpy()[..., None], hidden.shape[2], axis=2)).mean(axis=1).data


@wrong("05-masked-mean", "whole batch")
def mean_over_the_batch(hidden, mask):
    return torch.einsum("btc,bt->bc", hidden, mask.float()) / mask.count_nonzero()


@right("05-search")
def search_by_numpy(query, table, k):
    cosines = table.numpy() @ query.numpy() / np.linalg.norm(table.numpy(), axis=1)
    return np.argsort(-cosines)[:k]


@right("05-search")
def search_as_a_list(query, table, k):
    cosines = [F.cosine_similarity(row, query, dim=0).item() for row in table]
    return sorted(range(len(table)), key=cosines.__getitem__, reverse=True)[:k]


@wrong("05-search", "sorted by their number")
def search_in_the_order_of_the_table(query, table, k):
    return torch.tensor(sorted(search_as_a_list(query, table, k)))


@right("05-mean-cosine")
def cosine_by_einsum(x):
    unit = F.normalize(x.double(), dim=-1)
    total = torch.einsum("ic,jc->", unit, unit)
    return ((total - len(x)) / (len(x) ** 2 - len(x))).item()


@wrong("05-mean-cosine", "mean vector")
def cosine_with_the_mean(x):
    unit = F.normalize(x, dim=1)
    return (unit @ F.normalize(x.mean(dim=0), dim=0)).mean()


@right("05-probe")
def probe_by_qr(x, y, new_x, new_y, classes):
    left, new = (torch.nn.functional.pad(part.double(), (0, 1), value=1.0) for part in (x, new_x))
    q, r = torch.linalg.qr(left)
    weights = torch.linalg.solve_triangular(r, q.T @ torch.eye(classes).double()[y], upper=True)
    return torch.eq((new @ weights).argmax(-1), new_y).double().mean().item()


@wrong("05-probe", "smallest score")
def probe_by_the_smallest(x, y, new_x, new_y, classes):
    return float(np.mean(fitted(x, y, new_x, classes).argmin(1) == new_y.numpy()))


# --- the tests ----------------------------------------------------------------------------------------------------


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("05"))


def test_references_are_those_of_the_library():
    from mmcourse.encoders.bert import BERT, BERTConfig, pool

    hidden, mask = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([5, 2, 3])[:, None]
    torch.testing.assert_close(find("05-masked-mean").reference(hidden, mask), pool(hidden, mask))
    bert = BERT(BERTConfig(vocabulary_size=20, context=6, width=8, heads=2, depth=1))
    tokens, segments = torch.randint(20, (3, 5)), torch.randint(2, (3, 5))
    tables = bert.embedding.weight, bert.positions.table, bert.segments.weight
    summed = find("05-embed").reference(tokens, segments, *tables)
    torch.testing.assert_close(bert.norm(summed), bert.layers(tokens, segments=segments)[0])


def test_the_table_of_names_covers_every_part_of_a_bert():
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 16}
    theirs = transformers.BertModel(transformers.BertConfig(vocab_size=9, **sizes), add_pooling_layer=False)
    names = [find("05-our-name").reference(name) for name in theirs.state_dict() if "position_ids" not in name]
    assert len(set(names)) == len(names) == 5 + 12 * 16
    assert not any("layer" in name or "LayerNorm" in name for name in names)
