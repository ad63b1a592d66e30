"""Late interaction against loops, and what it must not depend on."""

import pytest
import torch
from torch.nn import functional as F

from mmcourse.fusion.late_interaction import late_interaction


def tokens(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(patches, words, mask):
    scores = torch.zeros(len(patches), len(words), dtype=patches.dtype)
    for i, picture in enumerate(patches):
        for j, text in enumerate(words):
            found = [max(word @ patch for patch in picture) for word, real in zip(text, mask[j], strict=True) if real]
            scores[i, j] = sum(found) / len(found) if found else 0.0
    return scores


def test_all_pairs_equal_loops_forward_and_backward():
    patches, words = tokens(3, 5, 4).requires_grad_(), tokens(6, 4, 4, seed=1).requires_grad_()
    mask = torch.arange(4) < torch.tensor([4, 1, 2, 3, 0, 4])[:, None]
    ours, loops = late_interaction(patches, words, mask), by_loops(patches, words, mask)
    torch.testing.assert_close(ours, loops)
    weights = tokens(3, 6, seed=2)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), (patches, words)),
        torch.autograd.grad((loops * weights).sum(), (patches, words)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_own_texts_are_the_matching_entries_of_all_pairs():
    patches, words = tokens(3, 5, 4), tokens(3, 2, 4, 4, seed=1)
    mask = torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(2)) < 0.6
    every = late_interaction(patches, words.flatten(0, 1), mask.flatten(0, 1)).view(3, 3, 2)
    torch.testing.assert_close(late_interaction(patches, words, mask), every[range(3), range(3)])


def test_padding_changes_nothing_not_even_with_nan():
    patches, words = tokens(2, 5, 4), tokens(3, 4, 4, seed=1)
    padded = F.pad(words, (0, 0, 0, 2), value=float("nan"))
    mask = torch.arange(6).expand(3, 6) < 4
    torch.testing.assert_close(late_interaction(patches, padded, mask), late_interaction(patches, words))


def test_the_order_of_patches_and_words_does_not_count():
    patches, words = tokens(2, 5, 4), tokens(3, 4, 4, seed=1)
    torch.testing.assert_close(
        late_interaction(patches.flip(1), words[:, [2, 0, 3, 1]]), late_interaction(patches, words)
    )


def test_tokens_of_length_one_score_at_most_one():
    words = F.normalize(tokens(4, 3, 8), dim=-1)
    scores = late_interaction(torch.cat((words, F.normalize(tokens(4, 6, 8, seed=1), dim=-1)), dim=1), words)
    torch.testing.assert_close(scores.diagonal(), torch.ones(4, dtype=torch.float64))
    assert scores.abs().max() <= 1 + 1e-12


@pytest.mark.parametrize(
    ("patches", "words", "mask", "message"),
    [
        ((2, 5, 4), (3, 4, 6), None, "want patches"),
        ((5, 4), (3, 4, 4), None, "want patches"),
        ((2, 5, 4), (3, 2, 4, 4), None, "3 pictures, patches of 2"),
        ((2, 5, 4), (3, 4, 4), torch.ones(3, 4), "mask must be bool"),
        ((2, 5, 4), (3, 4, 4), torch.ones(3, 5, dtype=torch.bool), r"bool \(3, 4\)"),
    ],
)
def test_errors_name_what_does_not_fit(patches, words, mask, message):
    with pytest.raises(ValueError, match=message):
        late_interaction(tokens(*patches), tokens(*words), mask)
