"""A language model that sees: where patches stand, padding on either side, the cache, causality, training, folders."""

import doctest
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mmcourse import decoding
from mmcourse.adapters import add_lora, load_adapter, remove_lora, save_adapter
from mmcourse.attention import record
from mmcourse.lm import GPT, IGNORED, GPTConfig
from mmcourse.losses import cross_entropy
from mmcourse.models import VLM, Captioner, CaptionerConfig, Eyes, PictureDecoderConfig, VLMConfig
from mmcourse.models.vlm import (
    IMAGE,
    Lesson,
    Packed,
    Stepper,
    language_of,
    loss,
    make_projector,
    merged,
    mixed_words,
    pack,
    pack_turns,
    positions_of,
    put_patches,
)
from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer
from mmcourse.train import fit

PATCHES, FEATURES, CONTEXT = 6, 8, 48
TOKENIZER = WordTokenizer.train(
    ["what is at the left of this picture? how many cats are there? a red cat", "two dogs and one bird yes no"],
    special_tokens=[*SPECIAL_TOKENS, IMAGE],
)
SIZE = len(TOKENIZER)
OWN = GPTConfig(vocabulary_size=SIZE, context=CONTEXT, width=24, heads=4, depth=2)
# Of three lengths, with the picture first, in the middle and last.
PROMPTS = ["<image> what is this?", "how many cats are there in <image> this picture?", "is a cat at the left? <image>"]
ANSWERS = ["a red cat", "two", "yes"]


def gpt2():
    sizes = {"n_positions": CONTEXT, "n_embd": 24, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=SIZE, **sizes, resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0))


def llama():
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "max_position_embeddings": CONTEXT}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 0}
    return LlamaForCausalLM(LlamaConfig(vocab_size=SIZE, **sizes, **heads, pad_token_id=0))


SIZES = {"own": OWN, "rotary": replace(OWN, rotary=True)}
LANGUAGES = {**{name: partial(GPT, size) for name, size in SIZES.items()}, "gpt2": gpt2, "llama": llama}


def made(name, seed=0, **changes):
    """A model in evaluation mode whose every weight has a value that a mix-up would show."""
    language_model = LANGUAGES[name]()
    sizes = {"language": SIZES.get(name, name), "features": FEATURES, "patches": PATCHES, **changes}
    model = VLM(VLMConfig(**sizes), TOKENIZER, language_model=language_model).eval()
    generator = torch.Generator().manual_seed(seed)
    for path, weight in model.named_parameters():
        center = 1.0 if weight.dim() == 1 and path.endswith("weight") else 0.0  # norms let through what comes
        weight.data.normal_(center, 0.3, generator=generator)
    return model


def pictures(count=3, seed=0):
    return torch.randn(count, PATCHES, FEATURES, generator=torch.Generator().manual_seed(seed))


def lone(model, row, *, answer=True):
    """One conversation without any padding."""
    return model.pack([PROMPTS[row]], [ANSWERS[row]] if answer else None)


each_language = pytest.mark.parametrize("name", LANGUAGES)


@pytest.mark.parametrize("module", ["eyes", "language", "model", "packing", "writing"])
def test_examples_run(module):
    found = doctest.testmod(sys.modules[f"mmcourse.models.vlm.{module}"])
    assert not found.failed
    assert found.attempted or module == "writing"


def test_conversations_are_written_as_they_are_read():
    for side in ("right", "left"):
        tokens, mask, targets = pack(TOKENIZER, PROMPTS, ANSWERS, patches=PATCHES, padding_side=side)
        lengths = mask.sum(dim=1).tolist()
        assert len(set(lengths)) == 3
        for row, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
            inside = tokens[row][mask[row]].tolist()
            words = TOKENIZER.encode(prompt.replace(IMAGE, " ".join([IMAGE] * PATCHES)))
            said = TOKENIZER.encode(answer)
            assert inside == [TOKENIZER.bos_id, *words, *said]
            assert targets[row][mask[row]].tolist() == [IGNORED] * len(words) + [*said, TOKENIZER.eos_id]
            edge = mask[row, 0 if side == "left" else -1]
            assert bool(edge) == (lengths[row] == max(lengths)), "padding stands on the other side"
        assert (targets[~mask] == IGNORED).all()
        assert (tokens[~mask] == TOKENIZER.pad_id).all()
    asked = pack(TOKENIZER, PROMPTS, patches=PATCHES, padding_side="left")
    assert (asked.targets == IGNORED).all()
    assert asked.mask[:, -1].all()
    strange = pack(TOKENIZER, ["<eos> is <image> this <eos>?"], ["<eos> yes"], patches=1)
    assert TOKENIZER.eos_id not in strange.tokens, "a spelled end is text"
    assert (strange.targets == TOKENIZER.eos_id).sum() == 1
    assert pack(TOKENIZER, [], [], patches=2).tokens.shape == (0, 0)


@each_language
@pytest.mark.parametrize("projector", ["linear", "mlp"])
def test_placeholders_become_patches_and_words_stay_words(name, projector):
    model, features = made(name, projector=projector), pictures()
    tokens, _, _ = model.pack(PROMPTS, ANSWERS)
    with torch.no_grad():
        vectors, patches = model.embed(features, tokens), model.projector(features)
        words = model.language_model.get_input_embeddings()(tokens) if name not in SIZES else None
        words = model.language_model.embedding(tokens) if words is None else words
    for row in range(3):
        places = (tokens[row] == model.image_id).nonzero().flatten().tolist()
        assert len(places) == PATCHES
        for place, vector in enumerate(vectors[row]):
            wanted = patches[row, places.index(place)] if place in places else words[row, place]
            assert torch.equal(vector, wanted)


@each_language
def test_logits_are_those_of_the_language_model_alone(name):
    """Against the plain call of each: ids for texts without a picture, and the last columns alone."""
    model = made(name)
    tokens, mask, _ = model.pack(["is a cat at the left?"], ["yes"])
    with torch.no_grad():
        found, plain = model(None, tokens, mask), model.language_model(tokens)
        part = model(None, tokens, mask, columns=torch.tensor([2, 5]))
    plain = plain if name in SIZES else plain.logits
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(part, found[:, [2, 5]], atol=1e-5, rtol=1e-5)


@each_language
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_row_is_what_it_is_alone(name, side):
    model, features = made(name), pictures()
    tokens, mask, targets = model.pack(PROMPTS, ANSWERS, padding_side=side)
    model.zero_grad()
    logits = model(features, tokens, mask)
    cross_entropy(logits, targets, ignore_index=IGNORED).backward()
    together = model.projector[0].weight.grad.clone()
    assert (~mask).any()
    total = 0
    model.zero_grad()
    for row in range(3):
        alone, full, wanted = lone(model, row)
        assert full.all()
        single = model(features[row, None], alone, full)
        assert (logits[row][mask[row]] - single[0]).abs().max() < 1e-5
        total = total + cross_entropy(single, wanted, ignore_index=IGNORED, reduction="sum")
    (total / (targets != IGNORED).sum()).backward()
    assert together.abs().max() > 1e-4
    torch.testing.assert_close(model.projector[0].weight.grad, together, atol=1e-5, rtol=1e-4)


@each_language
def test_what_stands_in_the_padding_does_not_matter(name):
    model, features = made(name), pictures()
    for side in ("right", "left"):
        tokens, mask, _ = model.pack(PROMPTS, ANSWERS, padding_side=side)
        other = tokens.masked_fill(~mask, TOKENIZER.ids["cat"])
        with torch.no_grad():
            assert torch.equal(model(features, tokens, mask)[mask], model(features, other, mask)[mask])


def test_turns_are_learned_answer_by_answer():
    """One turn is what `pack` gives; with more, each answer is learned after its own request."""
    one = pack_turns(TOKENIZER, PROMPTS, [[("", answer)] for answer in ANSWERS], patches=PATCHES)
    assert all(torch.equal(*pair) for pair in zip(one, pack(TOKENIZER, PROMPTS, ANSWERS, patches=PATCHES), strict=True))
    turns = [[("what is this?", "a cat"), ("a bird?", "no")]]
    tokens, mask, targets = pack_turns(TOKENIZER, ["<image>"], turns, patches=2, padding_side="left")
    words = [TOKENIZER.vocabulary[index] for index in tokens[0]]
    assert " ".join(words) == "<bos> <image> <image> what is this ? a cat <eos> a bird ? no"
    learned = [(words[place], TOKENIZER.vocabulary[index]) for place, index in enumerate(targets[0]) if index >= 0]
    assert learned == [("?", "a"), ("a", "cat"), ("cat", "<eos>"), ("?", "no"), ("no", "<eos>")]
    assert mask.all()
    with pytest.raises(ValueError, match="prompts has 1 texts, turns 2; want one for each"):
        pack_turns(TOKENIZER, ["<image>"], turns * 2, patches=2)


def test_neighbouring_patches_become_one_word():
    """A model that merges reads what a model that does not reads of features that were merged beforehand."""
    torch.manual_seed(2)
    config = VLMConfig(language=OWN, features=3, patches=16, merge=2)
    model = VLM(config, TOKENIZER).eval()
    plain = VLM(replace(config, features=12, patches=4, merge=1), TOKENIZER).eval()
    plain.load_state_dict(model.state_dict())
    features = torch.randn(2, 16, 3)
    table = features.reshape(2, 4, 4, 3)
    corner = torch.cat((table[:, 2, 2], table[:, 2, 3], table[:, 3, 2], table[:, 3, 3]), dim=1)
    torch.testing.assert_close(merged(features, 2)[:, 3], corner)
    tokens, mask, _ = model.pack(["<image> what is this?"] * 2)
    assert (tokens == model.image_id).sum(dim=1).tolist() == [4, 4]
    torch.testing.assert_close(model(features, tokens, mask), plain(merged(features, 2), tokens, mask))
    for wrong in ({"merge": 0}, {"merge": 3}, {"patches": 8}):
        with pytest.raises(ValueError, match="merge must divide the side of a square of patches"):
            replace(config, **wrong)


def test_a_square_that_is_spread_stands_for_several_words():
    """The words of one square stand side by side, and each has weights of its own."""
    torch.manual_seed(0)
    config = VLMConfig(language=OWN, features=3, patches=16, merge=2, spread=3, projector="linear")
    model = VLM(config, TOKENIZER).eval()
    assert config.words == 12
    tokens, _, _ = model.pack([IMAGE])
    features = torch.randn(1, 16, 3)
    found = model.embed(features, tokens)[0, -12:].view(4, 3, -1)
    squares = merged(features, 2)[0]
    for word, weight, bias in zip(
        range(3), model.projector.weight.chunk(3), model.projector.bias.chunk(3), strict=True
    ):
        torch.testing.assert_close(found[:, word], squares @ weight.T + bias)
    with pytest.raises(ValueError, match="spread must be at least 1, got 0"):
        replace(config, spread=0)


def test_a_projector_of_words_stays_among_the_words_of_the_language_model():
    """Each vector is a mean of embeddings; one that points at a word far enough is that word."""
    torch.manual_seed(0)
    model = VLM(VLMConfig(language=OWN, features=3, patches=4, projector="words"), TOKENIZER).eval()
    table = model.language.table.weight.detach()
    tokens, _, _ = model.pack([IMAGE])
    features = torch.randn(1, 4, 3)
    found = model.embed(features, tokens)[0, -4:]
    for vector, feature in zip(found, features[0], strict=True):
        weights = torch.tensor([torch.exp(model.projector(feature) @ word).item() for word in table])
        torch.testing.assert_close(vector, (weights[:, None] * table).sum(dim=0) / weights.sum())
    torch.testing.assert_close(mixed_words(1e4 * table[3:5], table), table[3:5])


@pytest.mark.parametrize("side", ["right", "left"])
def test_no_row_of_attention_is_empty(side):
    """Padding on the left sees itself, as some kernels make a row that sees nothing NaN; nobody else sees padding."""
    model, features = made("own"), pictures()
    tokens, mask, _ = model.pack(PROMPTS, ANSWERS, padding_side=side)
    seen = record(model, features, tokens, mask)
    assert seen.output.isfinite().all()
    for weights in seen.maps.values():  # (B, H, T, S)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
        to_padding = weights.masked_fill(mask[:, None, None], 0.0).sum(dim=-1)  # (B, H, T)
        assert not to_padding.masked_fill(~mask[:, None], 0.0).any()


def test_positions_count_tokens_alone():
    """The naive way, one position a column, gives another text: so the mask alone is not enough."""
    model, features = made("own"), pictures()
    tokens, mask, _ = model.pack(PROMPTS, ANSWERS, padding_side="left")
    assert positions_of(mask)[0][mask[0]].tolist() == list(range(int(mask[0].sum())))
    with torch.no_grad():
        right = model(features, tokens, mask)
        columns = torch.arange(tokens.shape[1]).expand_as(tokens)
        naive = model.language.read(model.embed(features, tokens), mask, columns)
    whole = mask.all(dim=1)
    torch.testing.assert_close(naive[whole], right[whole])
    assert (naive - right)[mask & ~whole[:, None]].abs().max() > 0.1


@each_language
def test_another_picture_changes_what_comes_after_it_and_nothing_before(name):
    model = made(name)
    tokens, mask, _ = lone(model, 1)
    with torch.no_grad():
        one, other = model(pictures(1), tokens, mask)[0], model(pictures(1, seed=1), tokens, mask)[0]
    first = int((tokens[0] == model.image_id).nonzero()[0])
    assert first > 3
    assert torch.equal(one[:first], other[:first])
    assert ((one - other)[first:].abs().amax(dim=1) > 1e-3).all()


@each_language
def test_patches_have_an_order(name):
    model, features = made(name), pictures(1)
    tokens, mask, _ = lone(model, 0)
    with torch.no_grad():
        change = model(features, tokens, mask)[0, -1] - model(features.flip(1), tokens, mask)[0, -1]
    assert change.abs().max() > 1e-3


@each_language
def test_prompts_of_different_lengths_are_answered_as_if_alone(name):
    model, features = made(name), pictures()
    options = {"max_new_tokens": 9}
    together = model.generate(features, PROMPTS, **options)
    uncached = model.generate(features, PROMPTS, **options, cached=False, batch_size=2)
    assert len({reply.text for reply in together}) > 1
    for row in range(3):
        (alone,) = model.generate(features[row, None], [PROMPTS[row]], **options)
        tokens = lone(model, row, answer=False).tokens
        written, chance = [], 0.0
        while len(written) < 9 and TOKENIZER.eos_id not in written:  # by hand, the whole text again for each token
            longer = torch.cat((tokens, torch.tensor([written], dtype=torch.int64)), dim=1)
            vectors = torch.cat(
                (model.embed(features[row, None], tokens), model.language.table(longer[:, tokens.shape[1] :])), dim=1
            )
            everything = torch.ones_like(longer, dtype=torch.bool)
            with torch.no_grad():
                logits = model.language.read(vectors, everything, positions_of(everything))[0, -1]
            logits[model.image_id] = -torch.inf
            written.append(int(logits.argmax()))
            chance += float(logits.log_softmax(dim=-1).max())
        ids = [index for index in written if index != TOKENIZER.eos_id]
        for found in (alone, together[row], uncached[row]):
            assert found.tokens == ids
            assert found.text == TOKENIZER.decode(ids, skip_special=True)
            assert found.log_probability == pytest.approx(chance, abs=1e-4)


@each_language
def test_each_cached_step_has_the_logits_of_the_uncached_one(name):
    model, features = made(name).double(), pictures().double()
    prompts = model.pack(PROMPTS, padding_side="left")
    steps = [model.stepper(features, prompts, cached=cached) for cached in (True, False)]
    tokens = prompts.tokens
    for number in range(4):
        found = [step(tokens) for step in steps]
        torch.testing.assert_close(*found)
        assert (found[0][:, model.image_id] == -torch.inf).all(), "a placeholder is never written"
        tokens = torch.cat((tokens, torch.full((3, 1), 7 + number)), dim=1)
    assert steps[0].read == prompts.tokens.shape[1] + 3


@each_language
def test_beams_take_picture_and_cache_along(name):
    model, features = made(name).double(), pictures().double()
    prompts = model.pack(PROMPTS, padding_side="left")
    options = {"beam_size": 3, "max_length": prompts.tokens.shape[1] + 6, "stop_id": TOKENIZER.eos_id, "pad_id": 0}
    found = [
        decoding.beam_search(model.stepper(features, prompts, cached=cached), prompts.tokens, **options)
        for cached in (True, False)
    ]
    assert torch.equal(found[0].tokens, found[1].tokens)
    torch.testing.assert_close(found[0].scores, found[1].scores)


@each_language
def test_a_beam_of_one_is_greedy_and_wider_ones_find_likelier_texts(name):
    model, features = made(name), pictures()
    greedy = model.generate(features, PROMPTS, max_new_tokens=7)
    one = model.generate(features, PROMPTS, max_new_tokens=7, method="beam", beam_size=1)
    wide = model.generate(features, PROMPTS, max_new_tokens=7, method="beam", beam_size=40)
    assert [reply.tokens for reply in one] == [reply.tokens for reply in greedy]
    for slim, likeliest in zip(greedy, wide, strict=True):
        assert slim.log_probability - 1e-4 <= likeliest.log_probability


def test_drawing_follows_its_generator():
    model, features = made("own"), pictures()

    def drawn(seed, **options):
        return model.generate(
            features,
            PROMPTS,
            method="sample",
            max_new_tokens=8,
            generator=torch.Generator().manual_seed(seed),
            **options,
        )

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    cold = drawn(0, top_k=1)
    assert [reply.tokens for reply in cold] == [
        reply.tokens for reply in model.generate(features, PROMPTS, max_new_tokens=8)
    ]
    assert model.generate(features[:0], []) == []


@each_language
def test_a_frozen_language_model_teaches_the_projector(name):
    model, features = made(name), pictures()
    model.language_model.requires_grad_(False)
    found = loss(model, Lesson(features, model.pack(PROMPTS, ANSWERS)))
    (found.total / found.count).backward()
    assert all(weight.grad.abs().max() > 0 for weight in model.projector.parameters())
    assert all(weight.grad is None for weight in model.language_model.parameters())


@each_language
def test_only_answers_are_learned(name):
    model, features = made(name), pictures()
    packed = model.pack(PROMPTS, ANSWERS)
    with torch.no_grad():
        found = loss(model, Lesson(features, packed))
        total = 0.0
        for row in range(3):
            tokens, mask, _ = lone(model, row)
            said = [*TOKENIZER.encode(ANSWERS[row]), TOKENIZER.eos_id]
            surprise = -model(features[row, None], tokens, mask)[0].log_softmax(dim=-1)[-len(said) :]
            total += float(surprise[range(len(said)), said].sum())
    assert int(found.count) == 5 + 3
    assert found.total.item() == pytest.approx(total, rel=1e-4)


def test_a_projector_alone_teaches_a_language_model_what_four_pictures_show():
    """It learns from text to use what stands before a question, is frozen, and then the patches say the same."""
    torch.manual_seed(0)
    config = VLMConfig(language=replace(OWN, width=48), features=FEATURES, patches=PATCHES)
    model, features = VLM(config, TOKENIZER), pictures(4)
    prompts, answers = ["<image> what is this?"] * 4, ["a red cat", "two dogs", "one bird", "no"]
    told = [f"{f'{word} ' * PATCHES}what is this?" for word in ("cat", "dogs", "bird", "no")]

    def said(seen, texts):
        return [reply.text for reply in model.generate(seen, texts)]

    text, learn = Lesson(None, model.pack(told, answers)), {"steps": 150, "learning_rate": 5e-3, "description": None}
    fit(model, loss, lambda step: text, **learn)
    assert said(None, told) == answers
    assert said(features, prompts) != answers
    model.language_model.requires_grad_(False)
    before = [weight.clone() for weight in model.language_model.parameters()]
    lesson = Lesson(features, model.pack(prompts, answers))
    fit(model, loss, lambda step: lesson, **learn)
    assert all(torch.equal(*pair) for pair in zip(before, model.language_model.parameters(), strict=True))
    assert said(features, prompts) == answers
    assert said(features.roll(1, 0), prompts) == answers[-1:] + answers[:-1], "another picture, another answer"
    assert all(reply.log_probability > -0.2 for reply in model.generate(features, prompts))


EYES = PictureDecoderConfig(width=FEATURES, seen=4, heads=2, encoder_hidden=16, widths=[8, 16])


@pytest.fixture(scope="module")
def seeing():
    """A model with the eyes of a captioner that has its own way to see."""
    torch.manual_seed(3)
    captioner = Captioner(CaptionerConfig(**EYES.__dict__), TOKENIZER).eval()
    for part in captioner.buffers():
        if part.is_floating_point():
            part.add_(0.3)
    sizes = {"language": replace(OWN, context=96), "features": FEATURES, "patches": 64}
    return captioner, VLM(VLMConfig(**sizes, eyes=EYES), TOKENIZER, eyes=Eyes.of(captioner)).eval()


def uint8(count=2):
    return torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_eyes_see_what_their_captioner_saw(seeing):
    captioner, model = seeing
    images = uint8()
    features = model.see(images, batch_size=1)
    torch.testing.assert_close(features, captioner.remember(images))
    assert not any(weight.requires_grad for weight in model.eyes.parameters())
    prompts = ["<image> what is this?", "<image> yes?"]
    from_pixels, from_features = (model.generate(seen, prompts, max_new_tokens=4) for seen in (images, features))
    assert [reply.tokens for reply in from_pixels] == [reply.tokens for reply in from_features]
    model.train()
    torch.testing.assert_close(model.see(images), features)
    assert model.training
    model.eval()


def test_a_folder_gives_the_model_back(seeing, tmp_path):
    _, model = seeing
    model.save(tmp_path)
    again = VLM.load(tmp_path)
    assert again.config == model.config
    assert torch.equal(again.see(uint8()), model.see(uint8()))
    prompts = ["<image> what is this?", "<image> yes?"]
    assert again.generate(uint8(), prompts, max_new_tokens=4) == model.generate(uint8(), prompts, max_new_tokens=4)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no tokenizer\.json"):
        VLM.load(tmp_path)


def test_strange_eyes_are_given_again(tmp_path):
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, images):
            return self.scale * images.float().flatten(2).mean(dim=-1).div(255)[:, None].expand(-1, PATCHES, -1)

    config = VLMConfig(language=OWN, features=3, patches=PATCHES)
    model = VLM(config, TOKENIZER, eyes=Mean()).eval()
    model.save(tmp_path)
    again = VLM.load(tmp_path, eyes=Mean())
    assert again.generate(uint8(1), ["<image> yes?"]) == model.generate(uint8(1), ["<image> yes?"])
    with pytest.raises(ValueError, match="not those that the model was trained with"):
        VLM.load(tmp_path)
    assert VLM.load(tmp_path, check_pretrained=False).eyes is None


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_hub_model_is_named_and_not_saved(name, tmp_path):
    model, features = made(name), pictures()
    wanted = model.generate(features, PROMPTS, max_new_tokens=5)
    plain = LANGUAGES[name]().eval()
    plain.load_state_dict(model.language_model.state_dict())
    add_lora(model.language_model, rank=2, alpha=4, where="*_proj" if name == "llama" else "c_attn")
    model.save(tmp_path)  # the adapters have a file of their own
    assert (tmp_path / "model.safetensors").stat().st_size < 10_000
    with pytest.raises(ValueError, match="language_model is missing"):
        VLM.load(tmp_path)
    with pytest.raises(ValueError, match="not those that the model was trained with"):
        VLM.load(tmp_path, language_model=LANGUAGES[name]())
    again = VLM.load(tmp_path, language_model=plain)
    assert again.config.language == name
    assert again.generate(features, PROMPTS, max_new_tokens=5) == wanted


def test_adapters_are_kept_beside_the_model(tmp_path):
    model, features = made("own"), pictures()
    model.save(tmp_path / "plain")
    add_lora(model.language_model, rank=2, alpha=4, where=["query", "value"])
    for weight in model.language_model.parameters():
        if weight.requires_grad:
            weight.data.normal_(std=0.3)
    wanted = model.generate(features, PROMPTS, max_new_tokens=5)
    with pytest.raises(ValueError, match="other weights than its config describes"):
        model.save(tmp_path / "wrapped")
    save_adapter(model.language_model, tmp_path / "adapter.safetensors")
    again = VLM.load(tmp_path / "plain")
    assert again.generate(features, PROMPTS, max_new_tokens=5) != wanted
    load_adapter(again.language_model, tmp_path / "adapter.safetensors")
    assert again.generate(features, PROMPTS, max_new_tokens=5) == wanted
    remove_lora(model.language_model)
    model.save(tmp_path / "merged")
    merged = VLM.load(tmp_path / "merged").generate(features, PROMPTS, max_new_tokens=5)
    assert [reply.tokens for reply in merged] == [reply.tokens for reply in wanted]


def test_a_placeholder_need_not_be_in_the_table():
    """As with a trained language model that has never heard of pictures."""
    words = [word for word in TOKENIZER.vocabulary if word != IMAGE]
    tokenizer = WordTokenizer([*words, IMAGE], [*SPECIAL_TOKENS, IMAGE])
    language = replace(OWN, vocabulary_size=SIZE - 1)
    model = VLM(VLMConfig(language=language, features=FEATURES, patches=PATCHES), tokenizer).eval()
    found = loss(model, Lesson(pictures(), model.pack(PROMPTS, ANSWERS)))
    assert found.total.isfinite()
    assert len(model.generate(pictures(), PROMPTS, max_new_tokens=3)) == 3


@each_language
def test_wrong_numbers_of_placeholders_are_named(name):
    model = made(name)
    tokens, mask, _ = model.pack(PROMPTS, ANSWERS)
    for features, message in (
        (None, "text 0 has 6 placeholders <image>, its picture 0 patches"),
        (pictures()[:, :5], r"features must be float \(3, 6, 8\).* got torch.float32 \(3, 5, 8\)"),
        (pictures()[..., :7], r"features must be float \(3, 6, 8\).* got torch.float32 \(3, 6, 7\)"),
        (pictures(2), r"features must be float \(3, 6, 8\).* got torch.float32 \(2, 6, 8\)"),
        (pictures().long(), "features must be float"),
    ):
        with pytest.raises(ValueError, match=message):
            model(features, tokens, mask)
    moved = tokens.clone()  # the sum is right, the rows are not
    moved[1, 0], moved[2, (tokens[2] == model.image_id).nonzero()[0]] = model.image_id, 7
    with pytest.raises(ValueError, match="text 1 has 7 placeholders <image>, its picture 6 patches"):
        model(pictures(), moved, mask)
    with pytest.raises(ValueError, match="text 0 has 0 placeholders <image>, its picture 6 patches"):
        model.generate(pictures(1), ["what is this?"])


def test_mistakes_are_named():
    model = made("own")
    tokens, mask, _ = model.pack(PROMPTS, ANSWERS)
    right, long = model.pack(PROMPTS), "what is this? " * 12
    sizes = {"language": OWN, "features": FEATURES, "patches": PATCHES}
    config, bare = VLMConfig(**sizes), WordTokenizer.train(["a cat"])
    nameless = WordTokenizer.train(["a cat"], special_tokens=["<unk>", IMAGE])
    for call, message in (
        (lambda: VLM(config, bare), "tokenizer has no <image>"),
        (lambda: VLM(config, nameless), "tokenizer has no <pad>, <eos>"),
        (lambda: VLM(replace(config, language=replace(OWN, vocabulary_size=9)), TOKENIZER), "language model knows 9"),
        (lambda: VLM(config, TOKENIZER, language_model=gpt2()), "another size than config.language says"),
        (lambda: VLM(config, TOKENIZER, language_model=GPT(replace(OWN, depth=1))), "another size"),
        (lambda: language_of(nn.Linear(2, 2)), "language_model must be a mmcourse.lm.GPT or .* got Linear"),
        (lambda: language_of(gpt2().transformer), "got GPT2Model"),
        (lambda: make_projector("cubic", 2, 2), "projector must be one of linear, mlp, words, got 'cubic'"),
        (lambda: replace(config, patches=0), "features and patches must be at least 1, got 8 and 0"),
        (lambda: model(pictures(), tokens.float(), mask), "tokens must be int64"),
        (lambda: model(pictures(), tokens, mask.float()), "mask must be bool"),
        (lambda: model(pictures(), tokens, mask[:, 1:]), "mask must be bool"),
        (lambda: model(pictures(1), *model.pack([f"<image> {long}"])[:2]), "a text has 55 tokens .* reads 48"),
        (lambda: model.generate(pictures(1), [PROMPTS[0]], max_new_tokens=40), "max_new_tokens must be at most 38"),
        (lambda: model.generate(pictures(1), [PROMPTS[0]], max_new_tokens=0), "max_new_tokens must be at least 1"),
        (
            lambda: model.generate(pictures(1), [PROMPTS[0]], method="best"),
            "method must be one of greedy, beam, sample",
        ),
        (lambda: model.generate(pictures(1), [PROMPTS[0]], method="beam", beam_size=0), "beam_size must be at least 1"),
        (lambda: model.generate(pictures(2), PROMPTS), "images has 2 samples, prompts 3"),
        (lambda: model.generate(uint8(1), PROMPTS[:1]), "the model has no eyes"),
        (lambda: Stepper(model, pictures(), right), "prompts must be padded on the left"),
        (lambda: made("own").train().stepper(pictures(), right), r"call model\.eval"),
        (lambda: pack(TOKENIZER, ["<image> <image> a"], patches=1), "a prompt has at most one <image>, got 2"),
        (lambda: pack(TOKENIZER, PROMPTS, ["yes"], patches=1), "prompts has 3 texts, answers 1"),
        (lambda: pack(TOKENIZER, PROMPTS, patches=1, padding_side="top"), "padding_side must be 'left' or 'right'"),
        (lambda: pack(TOKENIZER, PROMPTS, patches=-1), "patches must not be negative"),
        (lambda: pack(nameless, ["a", "a cat"], patches=1), "has no <pad>"),
        (lambda: pack(nameless, ["a"], ["cat"], patches=1), "has no <eos>"),
        (lambda: pack(nameless, [""], patches=1), "a prompt is empty"),
        (lambda: put_patches(torch.zeros(1, 2, 3), torch.tensor([[1, 9]]), torch.zeros(1, 2, 3), image_id=9), "text 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    step = model.stepper(pictures(), prompts := model.pack(PROMPTS, padding_side="left"))
    step(prompts.tokens)
    with pytest.raises(ValueError, match="begin a new stepper"):
        step(prompts.tokens)
    assert isinstance(prompts, Packed)
