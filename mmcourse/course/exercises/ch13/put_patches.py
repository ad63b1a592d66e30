"""13-put-patches: put the patches of pictures where their texts have placeholders."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.models import vlm


def put_patches(embeddings, ids, patches, image_id):
    filled = embeddings.clone()
    filled[ids == image_id] = patches.flatten(0, 1)
    return filled


def _inputs(texts, length, count, width, *, apart=False):
    """Texts with `count` placeholders each, side by side or apart from each other, at another place in every text."""

    def inputs(generator):
        image_id = int(torch.randint(20, 30, (1,), generator=generator))
        ids = torch.randint(20, (texts, length), generator=generator)
        starts = torch.randperm(length - count + 1, generator=generator)
        for row in range(texts):
            start = int(starts[row % len(starts)])
            places = torch.randperm(length, generator=generator)[:count] if apart else slice(start, start + count)
            ids[row, places] = image_id
        embeddings = torch.randn(texts, length, width, generator=generator)
        return embeddings, ids, torch.randn(texts, count, width, generator=generator), image_id

    return inputs


def _put(*, places=None, patches=None, words=None):
    """The same with other places, other patches, or another use of (embeddings, places, what stands there)."""

    def answer(embeddings, ids, given, image_id):
        where = ids == image_id if places is None else places(ids == image_id, given)
        new = (given if patches is None else patches(given)).flatten(0, 1)
        if words is not None:
            return words(embeddings, where, new)
        filled = embeddings.clone()
        filled[where] = new
        return filled

    return answer


def _in_front(where, patches):
    return (torch.arange(where.shape[1]) < patches.shape[1]).expand_as(where)


def _added(embeddings, where, new):
    filled = embeddings.clone()
    filled[where] += new
    return filled


def _in_place(embeddings, where, new):
    embeddings[where] = new
    return embeddings


def _words_lost(embeddings, where, new):
    filled = torch.zeros_like(embeddings)
    filled[where] = new
    return filled


EXERCISE = Exercise(
    id="13-put-patches",
    title="Patches in the place of words",
    goal="put the patches of pictures where their texts have placeholders",
    stars=2,
    minutes=10,
    points=2,
    reference=put_patches,
    ready_made=(vlm.put_patches,),
    cases=(
        Case(name="three texts, four patches, at different places", inputs=_inputs(3, 9, 4, 5)),
        Case(name="five texts, their placeholders apart from each other", inputs=_inputs(5, 8, 3, 4, apart=True)),
        Case(name="one text, two patches", inputs=_inputs(1, 6, 2, 3)),
        Case(name="nothing but the pictures", inputs=_inputs(2, 4, 4, 3)),
    ),
    mistakes=(
        Mistake(
            message="The patches stand at the beginning of every text. Put them where `ids == image_id`.",
            answer=_put(places=_in_front),
        ),
        Mistake(
            message="All texts take the places of the first text. Every row has its own placeholders.",
            answer=_put(places=lambda where, patches: where[:1].expand_as(where)),
        ),
        Mistake(
            message="Every patch stands one place too late.",
            answer=_put(places=lambda where, patches: where.roll(1, dims=1)),
        ),
        Mistake(
            message="The patches stand in the order from last to first.",
            answer=_put(patches=lambda given: given.flip(1)),
        ),
        Mistake(
            message="The first patch stands at every placeholder. Placeholder p takes patch p.",
            answer=_put(patches=lambda given: given[:, :1].expand_as(given)),
        ),
        Mistake(
            message="The mean of the patches stands at every placeholder. Placeholder p takes patch p.",
            answer=_put(patches=lambda given: given.mean(dim=1, keepdim=True).expand_as(given)),
        ),
        Mistake(
            message="All texts show the first picture. Each text has its own.",
            answer=_put(patches=lambda given: given[:1].expand_as(given)),
        ),
        Mistake(
            message="The pictures are mixed: the first patches of all of them come before the second ones. Put all of "
            "one picture before the next: `patches.flatten(0, 1)`.",
            answer=_put(patches=lambda given: given.transpose(0, 1)),
        ),
        Mistake(
            message="The patches are added to the embedding of the placeholder. Put them in its place.",
            answer=_put(words=_added),
        ),
        Mistake(
            message="The given embeddings are changed, and the caller still needs them. Change a `clone()`.",
            answer=_put(words=_in_place),
        ),
        Mistake(
            message="The words are lost: wherever no placeholder stands, the embedding stays as it was.",
            answer=_put(words=_words_lost),
        ),
        Mistake(
            message="The patches stand before the whole text, which becomes longer. Put them in the place of the "
            "placeholders.",
            answer=lambda embeddings, ids, patches, image_id: torch.cat((patches, embeddings), dim=1),
        ),
    ),
    hints=(
        "`ids == image_id` is True at the placeholders: a mask (B, T), which picks rows out of (B, T, C).",
        "A mask goes through the first text, then through the second, and so on; `patches.flatten(0, 1)` has its rows "
        "(B · P, C) in that order.",
        "Take `filled = embeddings.clone()`, so that the caller's own stay as they are, and set `filled[mask] = …`.",
    ),
)
