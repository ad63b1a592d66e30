"""Chapter 13's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

from collections import Counter

import numpy as np
import pytest
import torch
from answers import Answers
from sklearn.metrics import accuracy_score, precision_score, recall_score
from torch import nn
from torch.nn import functional as F

from mmcourse import adapters, metrics
from mmcourse.course.exercises import all_exercises, find
from mmcourse.losses import IGNORED
from mmcourse.models import vlm
from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 13-put-patches -----------------------------------------------------------------------------------------------


@right("13-put-patches")
def patches_by_library(embeddings, ids, patches, image_id):
    return vlm.put_patches(embeddings, ids, patches, image_id=image_id)


@right("13-put-patches")
def patches_with_loops(embeddings, ids, patches, image_id):
    filled = embeddings.clone()
    for row, own in enumerate(ids.tolist()):
        number = 0
        for place, token in enumerate(own):
            if token == image_id:
                filled[row, place] = patches[row, number]
                number += 1
    return filled


@right("13-put-patches")
def patches_by_counting(embeddings, ids, patches, image_id):
    places = ids == image_id
    number = (places.cumsum(dim=1) - 1).clamp(min=0)[..., None].expand(-1, -1, patches.shape[2])
    return torch.where(places[..., None], patches.gather(1, number), embeddings)


@right("13-put-patches")
def patches_with_numpy(embeddings, ids, patches, image_id):
    filled = embeddings.numpy().copy()
    filled[ids.numpy() == image_id] = patches.numpy().reshape(-1, patches.shape[2])
    return filled


@wrong("13-put-patches", "at the beginning of every text")
def patches_in_front(embeddings, ids, patches, image_id):
    return torch.cat((patches, embeddings[:, patches.shape[1] :]), dim=1)


@wrong("13-put-patches", "places of the first text")
def patches_at_the_places_of_the_first(embeddings, ids, patches, image_id):
    filled = embeddings.clone()
    filled[:, (ids[0] == image_id).nonzero()[:, 0]] = patches
    return filled


@wrong("13-put-patches", "from last to first")
def patches_turned(embeddings, ids, patches, image_id):
    return patches_with_loops(embeddings, ids, patches.flip(1), image_id)


@wrong("13-put-patches", "The first patch stands")
def patches_all_the_first(embeddings, ids, patches, image_id):
    return torch.where((ids == image_id)[..., None], patches[:, :1], embeddings)


@wrong("13-put-patches", "The mean of the patches")
def patches_averaged(embeddings, ids, patches, image_id):
    return torch.where((ids == image_id)[..., None], patches.mean(1)[:, None], embeddings)


@wrong("13-put-patches", "show the first picture")
def patches_of_the_first_picture(embeddings, ids, patches, image_id):
    return patches_with_loops(embeddings, ids, patches[0].repeat(len(ids), 1, 1), image_id)


@wrong("13-put-patches", "pictures are mixed")
def patches_mixed(embeddings, ids, patches, image_id):
    return embeddings.masked_scatter((ids == image_id)[..., None], patches.transpose(0, 1).contiguous())


@wrong("13-put-patches", "are added to the embedding")
def patches_added(embeddings, ids, patches, image_id):
    filled = patches_with_loops(embeddings, ids, patches, image_id)
    return torch.where((ids == image_id)[..., None], embeddings + filled, embeddings)


@wrong("13-put-patches", "given embeddings are changed")
def patches_in_place(embeddings, ids, patches, image_id):
    return embeddings.masked_scatter_((ids == image_id)[..., None], patches)


@wrong("13-put-patches", "which becomes longer")
def patches_before(embeddings, ids, patches, image_id):
    return torch.hstack((patches, embeddings))


# --- 13-positions -------------------------------------------------------------------------------------------------


@right("13-positions")
def positions_by_library(mask):
    return vlm.positions_of(mask).masked_fill(~mask, 0)


@right("13-positions")
def positions_with_loops(mask):
    table = []
    for row in mask.tolist():
        number, places = 0, []
        for real in row:
            places.append(number if real else 0)
            number += real
        table.append(places)
    return table


@right("13-positions")
def positions_scattered(mask):
    found = torch.zeros(mask.shape, dtype=torch.long)
    for row, real in enumerate(mask):
        found[row, real] = torch.arange(int(real.sum()))
    return found


@right("13-positions")
def positions_with_numpy(mask):
    return np.where(mask, np.cumsum(mask, axis=1) - 1, 0)


def columns_of(mask):
    return torch.arange(mask.shape[1]).repeat(len(mask), 1)


@wrong("13-positions", "Padding must not count")
def positions_of_columns(mask):
    return columns_of(mask)


@wrong("13-positions", "and yet it is counted")
def positions_of_columns_masked(mask):
    return columns_of(mask).masked_fill(~mask, 0)


@wrong("13-positions", "on the left alone")
def positions_of_left_padding(mask):
    first = mask.shape[1] - mask.sum(dim=1)
    return F.relu(columns_of(mask) - first[:, None]) * mask


@wrong("13-positions", "begin at 1")
def positions_from_one(mask):
    return mask.cumsum(1).where(mask, torch.tensor(0))


@wrong("13-positions", "knows no place −1")
def positions_with_minus_one_in_front(mask):
    return mask.long().cumsum(-1) - 1


@wrong("13-positions", "place of the last token")
def positions_unmasked(mask):
    return vlm.positions_of(mask)


@wrong("13-positions", "Padding gets −1")
def positions_minus_one(mask):
    return torch.tensor(positions_with_loops(mask)).masked_fill(~mask, -1)


@wrong("13-positions", "as some libraries have it")
def positions_as_elsewhere(mask):
    return (mask.long().cumsum(-1) - 1).masked_fill_(mask == 0, 1)


@wrong("13-positions", "across the texts")
def positions_down(mask):
    return (mask.cumsum(0) - 1).masked_fill(~mask, 0)


@wrong("13-positions", "from the end")
def positions_backwards(mask):
    return (mask.sum(dim=1, keepdim=True) - mask.cumsum(dim=1)) * mask


@wrong("13-positions", "True is a token")
def positions_of_padding(mask):
    return torch.tensor(positions_with_loops(~mask))


@wrong("13-positions", "floating-point")
def positions_as_floats(mask):
    return (mask.float().cumsum(1) - 1) * mask


# --- 13-answer-labels ---------------------------------------------------------------------------------------------


@right("13-answer-labels")
def labels_with_loops(ids, answer_starts, pad_id):
    table = []
    for row, start in zip(ids.tolist(), answer_starts.tolist(), strict=True):
        places = range(1, len(row))
        table.append([row[place] if place >= start and row[place] != pad_id else -100 for place in places])
    return torch.tensor(table)


@right("13-answer-labels")
def labels_filled_before_the_shift(ids, answer_starts, pad_id):
    own = ids.clone()
    own[ids == pad_id] = -100
    for row, start in enumerate(answer_starts):
        own[row, :start] = -100
    return own[:, 1:]


@right("13-answer-labels")
def labels_with_numpy(ids, answer_starts, pad_id):
    after = ids.numpy()[:, 1:]
    early = np.arange(after.shape[1])[None] < answer_starts.numpy()[:, None] - 1
    return np.where(early | (after == pad_id), -100, after)


def filled(ids, answer_starts, pad_id, nothing=-100):
    """The ids of answers, where they stand."""
    early = torch.arange(ids.shape[1]) < answer_starts[:, None]
    return ids.masked_fill(early | (ids == pad_id), nothing)


@wrong("13-answer-labels", "Nothing is shifted")
def labels_not_shifted(ids, answer_starts, pad_id):
    return filled(ids, answer_starts, pad_id)[:, :-1]


@wrong("13-answer-labels", "wrong way")
def labels_shifted_back(ids, answer_starts, pad_id):
    own = filled(ids, answer_starts, pad_id)
    return torch.cat((torch.full((len(ids), 1), -100), own[:, :-2]), dim=1)


@wrong("13-answer-labels", "questions are learned")
def labels_of_everything(ids, answer_starts, pad_id):
    return ids[:, 1:].masked_fill(ids[:, 1:] == pad_id, -100)


@wrong("13-answer-labels", "first token of every answer")
def labels_one_late(ids, answer_starts, pad_id):
    early = torch.arange(ids.shape[1] - 1) < answer_starts[:, None]
    return ids[:, 1:].masked_fill(early | (ids[:, 1:] == pad_id), -100)


@wrong("13-answer-labels", "last token of every question")
def labels_one_early(ids, answer_starts, pad_id):
    return labels_with_loops(ids, answer_starts - 1, pad_id)


@wrong("13-answer-labels", "start of the first answer")
def labels_with_one_start(ids, answer_starts, pad_id):
    return labels_with_loops(ids, answer_starts[:1].repeat(len(ids)), pad_id)


@wrong("13-answer-labels", "Padding is learned")
def labels_of_padding(ids, answer_starts, pad_id):
    return labels_with_loops(ids, answer_starts, None)


@wrong("13-answer-labels", "first padding behind an answer")
def labels_of_one_padding(ids, answer_starts, pad_id):
    asked = ids[:, :-1] == pad_id
    return labels_with_loops(ids, answer_starts, None).masked_fill(asked, -100)


@wrong("13-answer-labels", "is 0, which is a token")
def labels_with_zero(ids, answer_starts, pad_id):
    return filled(ids, answer_starts, pad_id, 0)[:, 1:]


@wrong("13-answer-labels", "is `pad_id`")
def labels_with_padding(ids, answer_starts, pad_id):
    return filled(ids, answer_starts, pad_id, pad_id)[:, 1:]


@wrong("13-answer-labels", "column too many")
def labels_too_wide(ids, answer_starts, pad_id):
    return F.pad(filled(ids, answer_starts, pad_id)[:, 1:], (0, 1), value=-100)


@wrong("13-answer-labels", "given ids are changed")
def labels_in_place(ids, answer_starts, pad_id):
    after = ids[:, 1:]
    after.masked_fill_(labels_with_loops(ids, answer_starts, pad_id) == -100, -100)
    return after


# --- 13-lora ------------------------------------------------------------------------------------------------------


@right("13-lora")
def lora_by_library(x, weight, a, b, alpha):
    return F.linear(x, weight) + adapters.low_rank_update(x, a, b, scale=alpha / len(a))


@right("13-lora")
def lora_merged(x, weight, a, b, alpha):
    return x @ (weight + b @ a * (alpha / a.shape[0])).T


@right("13-lora")
def lora_with_einsum(x, weight, a, b, alpha):
    return torch.einsum("bc,dc->bd", x, weight) + alpha / len(a) * torch.einsum("bc,rc,dr->bd", x, a, b)


@right("13-lora")
def lora_of_layers(x, weight, a, b, alpha):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight
    wrapped = adapters.LoRALinear(layer, rank=len(a), alpha=alpha)
    wrapped.down.data, wrapped.up.data = a, b
    return wrapped(x).detach()


def scaled(x, weight, a, b, scale):
    return F.linear(x, weight) + scale * F.linear(F.linear(x, a), b)


@wrong("13-lora", "multiplied by alpha. Take")
def lora_alpha(x, weight, a, b, alpha):
    return scaled(x, weight, a, b, alpha)


@wrong("13-lora", "alpha / √R")
def lora_root(x, weight, a, b, alpha):
    return scaled(x, weight, a, b, alpha / np.sqrt(a.shape[0]))


@wrong("13-lora", "Divide by the rank")
def lora_times_rank(x, weight, a, b, alpha):
    return scaled(x, weight, a, b, alpha * b.shape[1])


@wrong("13-lora", "The scale is missing")
def lora_unscaled(x, weight, a, b, alpha):
    return x @ (weight + b @ a).T


@wrong("13-lora", "divided by the channels of x")
def lora_by_channels(x, weight, a, b, alpha):
    return scaled(x, weight, a, b, alpha / x.shape[1])


@wrong("13-lora", "frozen weight is replaced")
def lora_alone(x, weight, a, b, alpha):
    return alpha / len(a) * F.linear(F.linear(x, a), b)


@wrong("13-lora", "frozen map alone")
def lora_without(x, weight, a, b, alpha):
    return F.linear(x, weight)


@wrong("13-lora", "frozen part is scaled")
def lora_of_all(x, weight, a, b, alpha):
    return (x @ weight.T + x @ a.T @ b.T) * (alpha / len(a))


@wrong("13-lora", "bends between")
def lora_bent(x, weight, a, b, alpha):
    return F.linear(x, weight) + alpha / len(a) * F.linear(F.relu(F.linear(x, a)), b)


@wrong("13-lora", "b comes before a")
def lora_turned(x, weight, a, b, alpha):
    return x @ weight.T + x @ b @ a * alpha / len(a)


# --- 13-merge -----------------------------------------------------------------------------------------------------


@right("13-merge")
def merge_by_library(weight, a, b, alpha):
    return adapters.merged_weight(weight, a, b, scale=alpha / len(a))


@right("13-merge")
def merge_of_outer_products(weight, a, b, alpha):
    return weight + sum(torch.outer(b[:, r], a[r]) for r in range(len(a))) * alpha / len(a)


@right("13-merge")
def merge_in_a_copy(weight, a, b, alpha):
    merged = weight.clone()
    merged += alpha / b.shape[1] * b @ a
    return merged


@wrong("13-merge", "given weight is changed")
def merge_in_place(weight, a, b, alpha):
    return weight.add_(b @ a, alpha=alpha / len(a))


@wrong("13-merge", "multiplied by alpha. Take")
def merge_alpha(weight, a, b, alpha):
    return torch.addmm(weight, b, a, alpha=alpha)


@wrong("13-merge", "The scale is missing")
def merge_unscaled(weight, a, b, alpha):
    return torch.addmm(weight, b, a)


@wrong("13-merge", "is unmerged")
def merge_taken_away(weight, a, b, alpha):
    return torch.addmm(weight, b, a, alpha=-alpha / len(a))


@wrong("13-merge", "correction alone")
def merge_alone(weight, a, b, alpha):
    return b @ a * (alpha / len(a))


@wrong("13-merge", "weight is scaled")
def merge_of_all(weight, a, b, alpha):
    return (weight + b @ a) * alpha / len(a)


@wrong("13-merge", "transposed")
def merge_transposed(weight, a, b, alpha):
    return weight + alpha / len(a) * (b @ a).T


@wrong("13-merge", "channels in")
def merge_by_channels(weight, a, b, alpha):
    return torch.addmm(weight, b, a, alpha=alpha / weight.shape[1])


# --- 13-probes ----------------------------------------------------------------------------------------------------


@right("13-probes")
def probes_by_library(said, true):
    return metrics.probes(said, true)


@right("13-probes")
def probes_by_another_library(said, true):
    asked = true.numpy(), said.numpy()
    scores = precision_score(*asked, zero_division=0.0), recall_score(*asked, zero_division=0.0)
    return accuracy_score(*asked), *scores, said.numpy().mean()


@right("13-probes")
def probes_with_tensors(said, true):
    both, yes, there = (said & true).sum(), said.sum().clamp(min=1), true.sum().clamp(min=1)
    return (said == true).float().mean(), both / yes, both / there, said.float().mean()


@right("13-probes")
def probes_with_a_loop(said, true):
    seen = Counter(zip(said.tolist(), true.tolist(), strict=True))
    yes, there = seen[True, True] + seen[True, False], seen[True, True] + seen[False, True]
    total = len(said)
    shares = [seen[True, True] / whole if whole else 0.0 for whole in (yes, there)]
    return (seen[True, True] + seen[False, False]) / total, *shares, yes / total


def counts(said, true):
    return (said & true).sum(), said.sum(), true.sum()


@wrong("13-probes", "exchanged")
def probes_exchanged(said, true):
    accuracy, precision, recall, rate = metrics.probes(said, true)
    return accuracy, recall, precision, rate


@wrong("13-probes", "0 / 0 is no number")
def probes_undefined(said, true):
    both, yes, there = counts(said, true)
    return (said == true).double().mean(), both / yes, both / there, said.double().mean()


@wrong("13-probes", "Where nobody says yes")
def probes_undefined_precision(said, true):
    both, yes, _ = counts(said, true)
    return metrics.probes(said, true)._replace(precision=both / yes)


@wrong("13-probes", "Where nothing is there")
def probes_undefined_recall(said, true):
    both, _, there = counts(said, true)
    return metrics.probes(said, true)._replace(recall=both / there)


@wrong("13-probes", "counts as 1")
def probes_of_one(said, true):
    asked = true.numpy(), said.numpy()
    found = metrics.probes(said, true)
    return found._replace(
        precision=precision_score(*asked, zero_division=1.0), recall=recall_score(*asked, zero_division=1.0)
    )


@wrong("13-probes", 'scores of "no"')
def probes_of_no(said, true):
    return metrics.probes(said.logical_not(), true.logical_not())


@wrong("13-probes", "Only right answers of yes")
def probes_of_right_yes(said, true):
    return metrics.probes(said, true)._replace(accuracy=(said * true).double().mean())


@wrong("13-probes", "how often the thing is there")
def probes_with_the_share_there(said, true):
    return metrics.probes(said, true)._replace(yes_rate=true.double().mean())


@wrong("13-probes", "is F1")
def probes_with_f1(said, true):
    return (*metrics.probes(said, true)[:3], metrics.probes(said, true).f1)


@wrong("13-probes", "percent")
def probes_in_percent(said, true):
    return [100 * score for score in metrics.probes(said, true)]


# --- 13-invented --------------------------------------------------------------------------------------------------


@right("13-invented")
def invented_by_library(named, shown):
    return metrics.invented(named, shown)


@right("13-invented")
def invented_with_a_loop(named, shown):
    strange = mentions = captions = 0
    for nouns, there in zip(named, shown, strict=True):
        wrong_here = [noun for noun in nouns if noun not in there]
        strange, mentions, captions = strange + len(wrong_here), mentions + len(nouns), captions + bool(wrong_here)
    return strange / max(mentions, 1), captions / len(named)


@right("13-invented")
def invented_of_pairs(named, shown):
    rows = [(number, noun in shown[number]) for number, nouns in enumerate(named) for noun in nouns]
    strange = [number for number, there in rows if not there]
    return torch.tensor([len(strange) / (len(rows) or 1), len(set(strange)) / len(named)], dtype=torch.float64)


@right("13-invented")
def invented_with_counters(named, shown):
    each = [Counter(nouns) for nouns in named]
    for counter, there in zip(each, shown, strict=True):
        for noun in there:
            counter.pop(noun, None)
    total = sum(map(len, named))
    return sum(c.total() for c in each) / total if total else 0.0, np.mean([bool(c) for c in each])


def strange_of(named, shown):
    return [[noun for noun in nouns if noun not in there] for nouns, there in zip(named, shown, strict=True)]


def share_of_captions(named, shown):
    return metrics.invented(named, shown).captions


def over(part, whole):
    return part / whole if whole else 0.0


@wrong("13-invented", "Repeats are left out")
def invented_without_repeats(named, shown):
    each = [(set(nouns) - set(there), set(nouns)) for nouns, there in zip(named, shown, strict=True)]
    share = over(sum(len(wrong_here) for wrong_here, _ in each), sum(len(nouns) for _, nouns in each))
    return share, share_of_captions(named, shown)


@wrong("13-invented", "then the mean")
def invented_of_each(named, shown):
    shares = [over(len(s), len(nouns)) for s, nouns in zip(strange_of(named, shown), named, strict=True)]
    return sum(shares) / len(shares), share_of_captions(named, shown)


@wrong("13-invented", "leave out")
def invented_missed(named, shown):
    missed = strange_of(shown, named)
    return sum(map(len, missed)) / sum(map(len, shown)), share_of_captions(named, shown)


@wrong("13-invented", "may be named again")
def invented_with_repeats(named, shown):
    more = 0
    for nouns, there in zip(named, shown, strict=True):
        left = list(there)
        for noun in nouns:
            if noun in left:
                left.remove(noun)
            else:
                more += 1
    return over(more, sum(map(len, named))), share_of_captions(named, shown)


@wrong("13-invented", "any picture shows it")
def invented_in_all_pictures(named, shown):
    everything = {noun for there in shown for noun in there}
    return metrics.invented(named, [everything] * len(named))


@wrong("13-invented", "really there")
def invented_turned(named, shown):
    total, found = sum(map(len, named)), metrics.invented(named, shown)
    return over(total - sum(map(len, strange_of(named, shown))), total), found.captions


@wrong("13-invented", "invent nothing. Count those that do")
def invented_of_good_captions(named, shown):
    mentions, captions = metrics.invented(named, shown)
    return mentions, 1 - captions


@wrong("13-invented", "name nothing are left out")
def invented_of_speaking_captions(named, shown):
    pairs = [(nouns, there) for nouns, there in zip(named, shown, strict=True) if nouns]
    return metrics.invented(*zip(*pairs, strict=True)) if pairs else (0.0, 0.0)


@wrong("13-invented", "how many things a caption invents")
def invented_per_caption(named, shown):
    return metrics.invented(named, shown).mentions, np.mean([len(s) for s in strange_of(named, shown)])


@wrong("13-invented", "other order")
def invented_swapped(named, shown):
    mentions, captions = metrics.invented(named, shown)
    return captions, mentions


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("13"))


def test_patches_are_put_as_the_library_puts_them():
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[1, 9, 9, 2, 3], [9, 4, 5, 9, 6]])
    embeddings = torch.randn(2, 5, 3, generator=generator)
    patches = torch.randn(2, 2, 3, generator=generator)
    known = vlm.put_patches(embeddings, ids, patches, image_id=9)
    assert torch.equal(find("13-put-patches").reference(embeddings, ids, patches, 9), known)
    assert torch.equal(known[0, 1:3], patches[0])


def test_labels_are_the_targets_that_the_library_packs():
    texts = ["<image> what is this ? a red cat", "what ? a dog"]
    tokenizer = WordTokenizer.train(texts, special_tokens=[*SPECIAL_TOKENS, vlm.IMAGE])
    prompts, answers = ["<image> what is this?", "what?"], ["a red cat", "a dog"]
    packed = vlm.pack(tokenizer, prompts, answers, patches=3)
    starts = torch.tensor([len(vlm.prompt_ids(tokenizer, prompt, patches=3)) for prompt in prompts])
    # whole texts with their <eos>; the library's tables stop one token earlier
    whole = torch.full((2, packed.tokens.shape[1] + 1), tokenizer.pad_id)
    for row, (tokens, mask) in enumerate(zip(packed.tokens, packed.mask, strict=True)):
        size = int(mask.sum())
        whole[row, :size], whole[row, size] = tokens[:size], tokenizer.eos_id
    assert torch.equal(find("13-answer-labels").reference(whole, starts, tokenizer.pad_id), packed.targets)
    assert (packed.targets != IGNORED).sum() == 3 + 1 + 2 + 1


def test_a_merged_weight_does_what_the_corrected_map_does():
    generator = torch.Generator().manual_seed(2)
    shapes = (5, 7), (4, 7), (3, 7), (4, 3)
    x, weight, a, b = (torch.randn(shape, generator=generator) for shape in shapes)
    merged = find("13-merge").reference(weight, a, b, 6.0)
    torch.testing.assert_close(x @ merged.T, find("13-lora").reference(x, weight, a, b, 6.0), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(merged, weight)


def test_probes_and_inventions_are_those_of_the_library():
    generator = torch.Generator().manual_seed(3)
    said, true = (torch.rand(50, generator=generator) < share for share in (0.7, 0.4))
    assert find("13-probes").reference(said, true) == pytest.approx(metrics.probes(said, true))
    named, shown = [["cat", "cat", "dog"], [], ["cup"]], [["dog"], ["cat"], ["cup"]]
    assert find("13-invented").reference(named, shown) == pytest.approx((2 / 4, 1 / 3))
    assert metrics.invented(named, shown) == pytest.approx((2 / 4, 1 / 3))
