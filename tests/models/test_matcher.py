"""Matcher: pairs against a slow loop, padding, saving, and what order of words it can and cannot see; re-ranking."""

import json

import pytest
import torch

from mmcourse.attention import record
from mmcourse.fusion import by_direction
from mmcourse.models import Matcher, MatcherConfig, rerank
from mmcourse.tokenizer import WordTokenizer

TEXTS = ["a cat left of a dog", "a dog left of a cat", "a cat"]
TOKENIZER = WordTokenizer.train(TEXTS)
SIZES = {"image_options": {"width": 8}, "text_options": {"width": 8, "depth": 0}, "width": 8}
ATTENTION = {"heads": 2, "self_attention": True, "grid": (2, 2), "position_size": 2.0}


def model(**changes):
    torch.manual_seed(0)
    return Matcher(MatcherConfig(**{**SIZES, "fusion_options": ATTENTION, **changes}), TOKENIZER).eval()


def patches(count=3):
    return torch.randn(count, 4, 8, generator=torch.Generator().manual_seed(1))


def test_scores_equal_a_loop_over_pairs():
    made, images = model(), patches()
    table = made.scores(images, TEXTS, batch_size=4)
    assert table.shape == (3, 3)
    for row in range(3):
        for column, text in enumerate(TEXTS):
            ids, mask = made.tokenize([text])
            with torch.no_grad():
                alone = made(images[row : row + 1], ids, mask)[0]
            torch.testing.assert_close(table[row, column], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(made.match(images, TEXTS, batch_size=2), table.diagonal(), atol=1e-5, rtol=0)
    assert made.scores(images[:0], TEXTS).shape == (0, 3)
    assert made.match(images[:0], []).shape == (0,)


def test_padding_changes_nothing_and_masks_are_needed():
    made, images = model(), patches(1)
    ids, mask = made.tokenize(["a cat"])
    longer, seen = torch.nn.functional.pad(ids, (0, 4)), torch.nn.functional.pad(mask, (0, 4))
    with torch.no_grad():
        expected = made(images, ids, mask)
        torch.testing.assert_close(made(images, longer, seen), expected, atol=1e-5, rtol=0)
        assert (made(images, longer) - expected).abs() > 1e-4


def test_it_sees_the_order_of_words_and_of_patches():
    """Two towers that average their tokens see neither; without positions a matcher does not see that of patches."""
    made, images = model(), patches(1)
    assert (made.match(images, TEXTS[:1]) - made.match(images, TEXTS[1:2])).abs() > 1e-4
    moved = images[:, [2, 0, 3, 1]]
    assert (made.match(images, TEXTS[:1]) - made.match(moved, TEXTS[:1])).abs() > 1e-4
    blind = model(fusion_options={**ATTENTION, "grid": None})
    torch.testing.assert_close(blind.match(images, TEXTS[:1]), blind.match(moved, TEXTS[:1]), atol=1e-5, rtol=0)


def test_gradients_reach_everything_that_is_used():
    made = model().train()
    made(patches(), *made.tokenize(TEXTS)).square().sum().backward()
    without = [name for name, value in made.named_parameters() if value.grad is None or not value.grad.isfinite().all()]
    assert not without


def test_a_recording_gives_the_same_logits_and_maps_whose_rows_sum_to_one():
    made, images = model(), patches()
    ids, mask = made.tokenize(TEXTS)
    with torch.no_grad():
        seen = record(made, images, ids, mask)
        torch.testing.assert_close(seen.output, made(images, ids, mask), atol=1e-5, rtol=0)
    (weights,) = by_direction(seen.maps)["text_to_image"]
    assert weights.shape == (3, 2, ids.shape[1], 4)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, ids.shape[1]))


def test_match_leaves_the_mode_alone_and_works_without_gradients():
    made = model(fusion_options={**ATTENTION, "dropout": 0.5}).train()
    first, second = made.match(patches(), TEXTS), made.match(patches(), TEXTS)
    assert torch.equal(first, second), "dropout is off"
    assert made.training
    assert not first.requires_grad


def test_saved_matchers_load_with_equal_scores(tmp_path):
    made = model()
    made.save(tmp_path / "matcher")
    again = Matcher.load(tmp_path / "matcher")
    torch.testing.assert_close(again.scores(patches(), TEXTS), made.scores(patches(), TEXTS))
    assert json.loads((tmp_path / "matcher" / "config.json").read_text())


def test_pictures_can_be_read_as_pixels():
    made = model(image="cnn", image_options={"widths": [4, 8]}, fusion_options={"heads": 2, "grid": (4, 4)})
    images = torch.randint(256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert made.scores(images, TEXTS).shape == (2, 3)


def test_mistakes_are_named():
    made = model()
    with pytest.raises(ValueError, match="images has 3 samples, texts 2; want one text a picture"):
        made.match(patches(), TEXTS[:2])
    with pytest.raises(ValueError, match="images has 2 samples, tokens 3; want one text a picture"):
        made(patches(2), *made.tokenize(TEXTS))
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        MatcherConfig(width=0)


# Re-ranking


def test_rerank_equals_sorting_by_hand():
    generator = torch.Generator().manual_seed(2)
    similarity, better = torch.rand(6, 9, generator=generator), torch.rand(6, 9, generator=generator)
    asked = []

    def score(query, items):
        asked.append(len(items))
        return better[query, items]

    order = rerank(similarity, score, first=4).argsort(dim=1, descending=True).tolist()
    assert asked == [4] * 6, "no more is scored than asked for"
    for query in range(6):
        ranked = sorted(range(9), key=lambda item, query=query: -similarity[query, item])
        head = sorted(ranked[:4], key=lambda item, query=query: -better[query, item])
        assert order[query] == head + ranked[4:]


def test_rerank_of_few_items_and_of_the_first_alone():
    similarity = torch.tensor([[0.1, 0.9], [0.8, 0.3]])
    everything = rerank(similarity, lambda query, items: -similarity[query, items], first=10)
    assert everything.tolist() == [[1, 0], [0, 1]]
    alone = rerank(similarity, lambda query, items: torch.zeros(1), first=1)
    assert alone.tolist() == [[0, 1], [1, 0]]


def test_rerank_names_mistakes():
    table = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"similarity must have shape \(Q, G\), got \(3,\)"):
        rerank(table[0], lambda query, items: items)
    with pytest.raises(ValueError, match="first must be at least 1, got 0"):
        rerank(table, lambda query, items: items, first=0)
    with pytest.raises(ValueError, match=r"better must give 3 scores for 3 items, got \(2,\)"):
        rerank(table, lambda query, items: torch.zeros(2))
