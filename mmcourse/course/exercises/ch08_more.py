"""Exercises of chapter 08, second part: recall, prompts, the sigmoid loss and hard negatives; listed in `ch08`."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake

# --- recall at k --------------------------------------------------------------------------------------------------


def recall_at_k(similarity, k):
    rank = (similarity >= similarity.diagonal()[:, None]).sum(dim=1)
    return (rank <= k).double().mean().item()


def _found(count, k, help_):
    """Random scores in which the right one is lifted a little, but not in the same way for both directions."""

    def inputs(generator):
        scores = torch.randn(count, count, generator=generator)
        return scores + help_ * torch.eye(count) + torch.randn(count, generator=generator), k

    return inputs


def _collapsed(count, k):
    return lambda generator: (torch.full((count, count), 0.5), k)


def _ranked(*, ranks=None, hit=None, end=None):
    """Recall with other ranks (of scores and of the right score), another test of a rank, or another summary."""

    def answer(similarity, k):
        right = similarity.diagonal()[:, None]
        rank = (similarity >= right).sum(dim=1) if ranks is None else ranks(similarity, right)
        hits = (rank <= k if hit is None else hit(rank, k)).double()
        return hits.mean().item() if end is None else end(hits, k)

    return answer


def _by_topk(similarity, k):
    return (similarity.topk(k, dim=1).indices == torch.arange(len(similarity))[:, None]).any(1).double().mean().item()


def _by_sorting(similarity, k):
    order = similarity.argsort(dim=1, descending=True, stable=True)[:, :k]
    return (order == torch.arange(len(similarity))[:, None]).any(dim=1).double().mean().item()


_TIES = (
    "Ties count as found: a model that gives every text the same score would look good for nothing. Of equal scores "
    "the wrong one ranks first, so count the scores that are at least as high as the right one."
)

RECALL_AT_K = Exercise(
    id="08-recall-at-k",
    title="Among the first k",
    goal="measure how often a search shows the right item among its first k",
    stars=2,
    minutes=10,
    points=2,
    reference=recall_at_k,
    cases=(
        Case(name="40 queries, the first place", inputs=_found(40, 1, 2.0)),
        Case(name="60 queries, the first five", inputs=_found(60, 5, 1.0)),
        Case(name="a collapsed model, all scores the same", inputs=_collapsed(6, 2)),
    ),
    mistakes=(
        Mistake(message=_TIES, answer=_ranked(ranks=lambda s, right: (s > right).sum(dim=1) + 1)),
        Mistake(message=_TIES, answer=_by_topk),
        Mistake(message=_TIES, answer=_by_sorting),
        Mistake(
            message="This is the other direction: each column looks for its row. The queries are the rows.",
            answer=lambda similarity, k: recall_at_k(similarity.T, k),
        ),
        Mistake(
            message="One place is missing: the first k places are the ranks 1 to k, so the test is rank ≤ k.",
            answer=_ranked(hit=lambda rank, k: rank < k),
        ),
        Mistake(
            message="One place too many: the best item has rank 1, not 0.",
            answer=_ranked(hit=lambda rank, k: rank <= k + 1),
        ),
        Mistake(
            message="Only place k itself counts here. Every place up to k is a hit.",
            answer=_ranked(hit=lambda rank, k: rank == k),
        ),
        Mistake(
            message="The ranking is turned round: the smallest score comes first. A high score means a good fit.",
            answer=_ranked(ranks=lambda s, right: (s <= right).sum(dim=1)),
        ),
        Mistake(
            message="This is divided by k, which makes it precision. Recall asks only whether the right item is there.",
            answer=_ranked(end=lambda hits, k: hits.mean().item() / k),
        ),
        Mistake(
            message="The hits are counted. Return their share, the mean over the queries.",
            answer=_ranked(end=lambda hits, k: hits.sum().item()),
        ),
        Mistake(
            message="The misses are counted: return the share of hits.",
            answer=_ranked(hit=lambda rank, k: rank > k),
        ),
        Mistake(
            message="This is the mean rank. Ask of each query whether its rank is at most k.",
            answer=lambda similarity, k: (similarity >= similarity.diagonal()[:, None]).sum(1).double().mean().item(),
        ),
    ),
    hints=(
        "The right item of row i stands on the diagonal. Its rank is the number of scores in the row that are at least "
        "as high, its own included.",
        "`similarity.diagonal()[:, None]` has shape (N, 1) and is compared with the whole row.",
        "`rank = (similarity >= similarity.diagonal()[:, None]).sum(dim=1)`, then the mean of `rank <= k`.",
    ),
)

# --- prompt ensembles ---------------------------------------------------------------------------------------------


def prompt_ensemble(features):
    return F.normalize(F.normalize(features, dim=-1).mean(dim=1), dim=-1)


def _prompted(classes, templates, width):
    """Text features before normalization; the templates differ in length as well as in direction."""

    def inputs(generator):
        means = torch.randn(classes, 1, width, generator=generator)
        lengths = 0.2 + 5 * torch.rand(classes, templates, 1, generator=generator) ** 2
        noise = 0.6 * torch.randn(classes, templates, width, generator=generator)
        return (lengths * (means + noise),)

    return inputs


PROMPT_ENSEMBLE = Exercise(
    id="08-prompt-ensemble",
    title="Several ways to say it",
    goal="turn several prompts for each class into one vector for each class",
    stars=1,
    minutes=8,
    points=2,
    reference=prompt_ensemble,
    cases=(
        Case(name="four classes, four templates, four channels", inputs=_prompted(4, 4, 4)),
        Case(name="three classes, seven templates", inputs=_prompted(3, 7, 8)),
        Case(name="a single template", inputs=_prompted(5, 1, 6)),
    ),
    mistakes=(
        Mistake(
            message="The mean is taken of features of any length: the longest prompt has the say. Normalize each "
            "prompt before the mean as well.",
            answer=lambda x: F.normalize(x.mean(dim=1), dim=-1),
        ),
        Mistake(
            message="The mean of unit vectors is shorter than 1, and shorter the more they differ: classes whose "
            "prompts disagree would lose. Normalize once more.",
            answer=lambda x: F.normalize(x, dim=-1).mean(dim=1),
        ),
        Mistake(
            message="Nothing is normalized. Bring every prompt to length 1, average, and bring the mean to length 1.",
            answer=lambda x: x.mean(dim=1),
        ),
        Mistake(
            message="The mean runs over the classes. Average over the templates, dim=1.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=0), dim=-1),
        ),
        Mistake(
            message="The mean runs over the channels. Average over the templates, dim=1.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=2), dim=-1),
        ),
        Mistake(
            message="The prompts are normalized along the templates. A feature runs along the last dimension.",
            answer=lambda x: F.normalize(F.normalize(x, dim=1).mean(dim=1), dim=-1),
        ),
        Mistake(
            message="The mean is normalized over the classes. A feature runs along the last dimension.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=1), dim=0),
        ),
        Mistake(
            message="Only the first template is used. Average over all of them.",
            answer=lambda x: F.normalize(x[:, 0], dim=-1),
        ),
        Mistake(
            message="The largest value of each channel is kept. Average over the templates.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).amax(dim=1), dim=-1),
        ),
        Mistake(
            message="All classes are averaged into one vector. Each class needs its own.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=(0, 1)), dim=-1),
        ),
    ),
    hints=(
        "Only directions mean something here. Bring every prompt to length 1 before you average.",
        "The mean of vectors of length 1 is shorter than 1. What has to happen to it?",
        "`F.normalize(F.normalize(features, dim=-1).mean(dim=1), dim=-1)`.",
    ),
)

# --- the sigmoid loss ---------------------------------------------------------------------------------------------


def sigmoid_loss(cosines, scale, bias):
    logits = scale * cosines + bias
    signs = 2 * torch.eye(len(cosines)) - 1
    return -F.logsigmoid(signs * logits).sum() / len(cosines)


def _asked(count, scale, bias):
    def inputs(generator):
        cosines = 2 * torch.rand(count, count, generator=generator) - 1
        return (cosines + 0.4 * torch.eye(count)).clamp(-1, 1), scale, bias

    return inputs


def _yes_or_no(*, logits=None, signs=None, each=None, end=None):
    """The sigmoid loss with other logits, signs, loss of an entry, or summary."""

    def answer(cosines, scale, bias):
        found = scale * cosines + bias if logits is None else logits(cosines, scale, bias)
        eye = torch.eye(len(cosines))
        signed = (2 * eye - 1 if signs is None else signs(eye)) * found
        losses = -F.logsigmoid(signed) if each is None else each(signed)
        return losses.sum() / len(cosines) if end is None else end(losses, eye)

    return answer


SIGMOID_LOSS = Exercise(
    id="08-sigmoid-loss",
    title="Yes or no, N² times",
    goal="ask of every picture and every text whether they belong together",
    stars=2,
    minutes=10,
    points=2,
    reference=sigmoid_loss,
    cases=(
        Case(name="four pairs at the usual start", inputs=_asked(4, 10.0, -10.0)),
        Case(name="six pairs, a gentle scale", inputs=_asked(6, 2.0, -1.0)),
        Case(name="scale 500: nothing becomes infinite", inputs=_asked(5, 500.0, -20.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the mean over all N² questions. The loss is their sum for one picture: divide by N.",
            answer=_yes_or_no(end=lambda losses, eye: losses.mean()),
        ),
        Mistake(
            message="This is the sum over all questions. Divide it by N, the number of pictures.",
            answer=_yes_or_no(end=lambda losses, eye: losses.sum()),
        ),
        Mistake(
            message="The bias is missing. It keeps the many “no” from ruling at the start.",
            answer=_yes_or_no(logits=lambda c, scale, bias: scale * c),
        ),
        Mistake(
            message="The bias is subtracted. It is negative already: add it.",
            answer=_yes_or_no(logits=lambda c, scale, bias: scale * c - bias),
        ),
        Mistake(
            message="The bias is multiplied by the scale. It is added after the scaling.",
            answer=_yes_or_no(logits=lambda c, scale, bias: scale * (c + bias)),
        ),
        Mistake(
            message="The cosines are divided by the scale. Scale is 1 / temperature: multiply by it.",
            answer=_yes_or_no(logits=lambda c, scale, bias: c / scale + bias),
        ),
        Mistake(
            message="All answers are taken to be yes. Off the diagonal the right answer is no: the sign is −1 there.",
            answer=_yes_or_no(signs=torch.ones_like),
        ),
        Mistake(
            message="The signs are turned round: +1 on the diagonal, −1 elsewhere.",
            answer=_yes_or_no(signs=lambda eye: 1 - 2 * eye),
        ),
        Mistake(
            message="Only the right pairs are asked. Without the “no” answers, saying yes to everything is best.",
            answer=_yes_or_no(end=lambda losses, eye: (losses * eye).sum() / len(losses)),
        ),
        Mistake(
            message="Only the wrong pairs are asked. The diagonal asks as well.",
            answer=_yes_or_no(end=lambda losses, eye: (losses * (1 - eye)).sum() / len(losses)),
        ),
        Mistake(
            message="The sign is 0 off the diagonal, which makes each “no” a constant log 2. It must be −1.",
            answer=_yes_or_no(signs=lambda eye: eye),
        ),
        Mistake(
            message="This is one minus the probability. Take minus the logarithm of the probability.",
            answer=_yes_or_no(each=lambda signed: 1 - signed.sigmoid()),
        ),
        Mistake(
            message="The sigmoid becomes exactly 0 for a large wrong logit, and its logarithm infinite. Use "
            "F.logsigmoid.",
            answer=_yes_or_no(each=lambda signed: -signed.sigmoid().log()),
        ),
    ),
    hints=(
        "A logit is scale · cosine + bias. The probability of yes is σ(logit), that of no is σ(−logit).",
        "`signs = 2 * torch.eye(N) - 1` is +1 on the diagonal and −1 elsewhere.",
        "`-F.logsigmoid(signs * logits).sum() / N`.",
    ),
)

# --- hard negatives -----------------------------------------------------------------------------------------------


def loss_with_negatives(images, texts, swapped, scale):
    target = torch.arange(len(images))
    rows = scale * images @ torch.cat((texts, swapped)).T
    columns = scale * texts @ images.T
    return (F.cross_entropy(rows, target) + F.cross_entropy(columns, target)) / 2


def _swapped(count, width, scale):
    """Pictures, their texts, and swapped texts that are nearly as close, all of length 1."""

    def inputs(generator):
        def draw():
            return torch.randn(count, width, generator=generator)

        images = draw()
        texts = images + 0.8 * draw()
        parts = images, texts, texts + 0.5 * draw()
        return *(F.normalize(part, dim=1) for part in parts), scale

    return inputs


def _with_negatives(*, rows=None, columns=None):
    """The loss with other logits of a picture or other logits of a text."""

    def answer(images, texts, swapped, scale):
        right = torch.arange(len(images))
        asked = rows(images, texts, swapped) if rows else images @ torch.cat((texts, swapped)).T
        back = columns(images, texts, swapped) if columns else texts @ images.T
        return (F.cross_entropy(scale * asked, right) + F.cross_entropy(scale * back, right)) / 2

    return answer


def _own_swapped(images, texts, swapped):
    return torch.cat((images @ texts.T, (images * swapped).sum(dim=1, keepdim=True)), dim=1)


def _swapped_texts_ask(images, texts, swapped, scale):
    right = torch.arange(len(images))
    both = torch.cat((texts, swapped))
    back = F.cross_entropy(scale * both @ images.T, right.repeat(2))
    return (F.cross_entropy(scale * images @ both.T, right) + back) / 2


def _choice_of_two(images, texts, swapped, scale):
    right = torch.arange(len(images))
    pair = torch.stack(((images * texts).sum(1), (images * swapped).sum(1)), dim=1)
    return F.cross_entropy(scale * pair, torch.zeros_like(right))


def _unscaled(images, texts, swapped):
    return torch.cat((images @ texts.T, images @ swapped.T / 10), dim=1)


HARD_NEGATIVES = Exercise(
    id="08-hard-negatives",
    title="Captions that are nearly right",
    goal="let every picture choose among the texts of the batch and their swapped versions",
    stars=2,
    minutes=12,
    points=2,
    reference=loss_with_negatives,
    cases=(
        Case(name="five pairs, five swapped texts", inputs=_swapped(5, 5, 10.0)),
        Case(name="a single pair: two texts to choose from", inputs=_swapped(1, 6, 10.0)),
        Case(name="eight pairs, another width", inputs=_swapped(8, 12, 10.0)),
    ),
    mistakes=(
        Mistake(
            message="The swapped texts are not used.",
            answer=_with_negatives(rows=lambda i, t, s: i @ t.T),
        ),
        Mistake(
            message="The swapped texts look for a picture as well, and their picture counts as right. But they are "
            "false: only the real texts ask in the other direction.",
            answer=_swapped_texts_ask,
        ),
        Mistake(
            message="Each picture meets its own swapped text alone. Those of the other pictures are wrong answers too: "
            "N + N texts to choose from.",
            answer=_with_negatives(rows=_own_swapped),
        ),
        Mistake(
            message="The swapped texts stand in place of the real ones, and count as right. Put them behind the real "
            "texts.",
            answer=_with_negatives(rows=lambda i, t, s: i @ s.T),
        ),
        Mistake(
            message="The swapped texts come first, so that row i takes swapped text i for the right answer. Put them "
            "behind the real texts.",
            answer=_with_negatives(rows=lambda i, t, s: i @ torch.cat((s, t)).T),
        ),
        Mistake(
            message="Only the pictures ask. The texts ask as well: take the mean of both directions.",
            answer=lambda i, t, s, scale: F.cross_entropy(scale * i @ torch.cat((t, s)).T, torch.arange(len(i))),
        ),
        Mistake(
            message="Only real and swapped text of the same picture are compared. The other texts of the batch stay "
            "wrong answers.",
            answer=_choice_of_two,
        ),
        Mistake(
            message="The texts are compared with the swapped texts. The pictures are what asks.",
            answer=_with_negatives(rows=lambda i, t, s: torch.cat((i @ t.T, t @ s.T), dim=1)),
        ),
        Mistake(
            message="The scale is applied to the real texts alone. All logits of a row need the same scale.",
            answer=_with_negatives(rows=_unscaled),
        ),
        Mistake(
            message="The scale is missing.",
            answer=lambda i, t, s, scale: loss_with_negatives(i, t, s, 1.0),
        ),
        Mistake(
            message="Both directions are added. Take their mean.",
            answer=lambda *inputs: 2 * loss_with_negatives(*inputs),
        ),
    ),
    hints=(
        "Row i has 2 N logits: first those of the N real texts, then those of the N swapped ones. Right is still i.",
        "`torch.cat((texts, swapped))` has 2 N rows. The other direction keeps its N × N logits.",
        "The mean of `cross_entropy(scale * images @ torch.cat((texts, swapped)).T, target)` and "
        "`cross_entropy(scale * texts @ images.T, target)`.",
    ),
)
