# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · A tiny language model
#
# In this chapter you build a language model from nothing: its tokens, its loss, its blocks, its way of writing. Then
# you measure how far it is from the best that *any* model can do. In our world that limit is known exactly.
#
# **After this chapter you can**
#
# - train a tokenizer by hand, cut new words with it, and say what it costs;
# - build a GPT from chapter 01's block and train it to within 3 percent of the exact entropy;
# - turn the knobs of sampling and say what each one risks;
# - write with a key–value cache, and prove that it changes nothing;
# - say what a GPT can do that a BERT cannot, and the other way round.
#
# **You need** chapter 01's block and chapter 02's loss.
#
# **Time**: about 75 minutes to read, 2 minutes to run, 90 minutes for the exercises.
#
# ```text
#   text  ──►  language model ─┐   ◄── you are here
#                              ├──►  fusion  ──►  captions, answers, search, pictures
#   image ──►  vision model  ──┘
# ```

# %% tags=["nbval-ignore-output"]
import torch

from mmcourse import viz, widgets
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import caption_entropy, caption_log_prob, make_scenes, sample_caption, sample_scenes
from mmcourse.runtime import by_budget, progress, seed_everything

generator = open_chapter(3)

# %% [markdown]
# ## 1 · A question with a picture
#
# First the text that this chapter lives on: one caption for each of 120,000 pictures, drawn by the grammar of our
# world. Other pictures, never used for training, give the validation captions.


# %%
def draw_captions(count, split):
    """One caption for each of so many scenes, in portions of a thousand."""
    portions = progress(range(0, count, 1000), f"{split} captions")
    scenes = (scene for start in portions for scene in sample_scenes(min(1000, count), split=split, start=start))
    return [sample_caption(scene, generator=generator) for scene in scenes]


train_texts = draw_captions(by_budget(smoke=20_000, standard=120_000), "train")
val_texts = draw_captions(by_budget(smoke=500, standard=6000), "val")
scene_batch = make_scenes(40, split="val")
place, caption = next((i, text) for i in range(40) for text in scene_batch.captions(i) if "left of another" in text)
print(caption)

# %% [markdown]
# Read this caption word by word, and guess each next word before you see it. Where is it hard, where is it free? Two
# readers play. One remembers only the word before. The other remembers everything so far. Both learned by counting.

# %%
import math
from collections import Counter
from itertools import pairwise

import matplotlib.pyplot as plt

singles, pairs, beginnings = Counter(), Counter(), Counter()
for text in train_texts:
    words = ["<start>", *text.split(), "<end>"]
    singles.update(words[:-1])
    pairs.update(pairwise(words))
    beginnings.update(tuple(words[:n]) for n in range(1, len(words) + 1))

words = ["<start>", *caption.split(), "<end>"]
one_word = [math.log((singles[a] or 1) / (pairs[a, b] or 1)) for a, b in pairwise(words)]
seen = [math.log(beginnings[tuple(words[:n])] or 1) for n in range(1, len(words) + 1)]
all_words = [before - after for before, after in pairwise(seen)]  # log of (beginning) / (beginning and next word)

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=(1, 2.6))
left.imshow(scene_batch.images[place].permute(1, 2, 0))
left.set_axis_off()
spots = torch.arange(len(words) - 1)
right.bar(spots - 0.2, one_word, 0.4, color=viz.ORANGE, label="remembers one word")
right.bar(spots + 0.2, all_words, 0.4, color=viz.BLUE, label="remembers all words")
right.set_xticks(spots, words[1:])
right.set_ylabel("surprise, nats")
right.legend()
viz.show(
    figure,
    alt="A picture, and for each word of its caption the surprise of two readers; at the repeated noun they differ.",
)
claim("surprise that a long memory saves at the repeated noun", one_word[5] - all_words[5], at_least=3)

# %% [markdown]
# **What to see:** for the reader who remembers all words, four of the seven are free. The first noun is costly for both. The
# second is costly only for
# whoever has forgotten the first: after *another*, the noun must come again.
#
# Add up the blue bars and you have the surprise of the whole caption. That is the chain rule, and it is all of language
# modeling:
#
# $$P(t_1,\dots,t_T)=\prod_{i=1}^{T}P(t_i\mid t_1,\dots,t_{i-1})$$
#
# **autoregressive model**（自回归模型）: a model that gives the probability of a text as a product, each token given those
# before it.
#
# **The question of this chapter:** how close can a machine come to the reader who remembers everything, and knows the
# grammar by heart? That reader's mean surprise is the entropy, and chapter 00 computed it.

# %%
exact = caption_entropy()
print(f"entropy: {exact.per_caption:.4f} nats a caption, {exact.per_token:.4f} nats a token")
print(f"tokens a caption, the end counted: {exact.tokens_per_caption:.2f}")
assert (round(exact.per_token, 4), round(math.exp(exact.per_token), 1)) == (1.3702, 3.9)

# %% [markdown]
# No model can have a lower expected loss than 1.3702 nats a token, about 3.9 choices. Keep that number in mind: **the
# distance to it is the plot of this chapter.**
#
# ## 2 · Tokens
#
# **token**（词元）: the unit that a language model reads and writes, such as a word, a piece of a word or a character.
#
# **vocabulary**（词表）: the list of all tokens that a model knows, each with a number.
#
# Characters make long sequences; words make short ones, but what of a word that nobody has seen? Try both.

# %%
from mmcourse.tokenizer import BytePairTokenizer, CharacterTokenizer, WordTokenizer

by_characters, by_words = CharacterTokenizer.train(train_texts), WordTokenizer.train(train_texts)
for name, tokenizer in {"characters": by_characters, "words": by_words}.items():
    for text in ("a small cat", "a small catfish"):
        print(f"{name:10}  {tokenizer.tokens(text)}")

# %% [markdown]
# The word tokenizer has lost the fish. A middle way starts from characters and lets frequent neighbors grow together.
#
# **byte-pair encoding**（字节对编码）: a tokenizer that begins with bytes and merges the most frequent pair of neighbors into
# a new token, again and again.
#
# Two steps repeat: count all pairs inside words, then merge the winner everywhere. You write both.
#
# ### ✏️ Exercise 1 · Count the pairs ★
#
# *Goal: find what byte-pair encoding merges next. About 5 minutes.*
#
# `words` maps each word, a tuple of tokens, to how often it comes: `{("c", "a", "t"): 5}`. Return a dict from each
# pair of neighbors to how often it comes in the text.


# %% tags=["exercise"] id="03-count-pairs"
def count_pairs(words):
    """{tokens of a word: times} -> {(token, next token): times}."""
    ### BEGIN SOLUTION
    counts = {}
    for tokens, times in words.items():
        for pair in pairwise(tokens):
            counts[pair] = counts.get(pair, 0) + times
    return counts
    ### END SOLUTION


# %% tags=["check"]
check("03-count-pairs", count_pairs)

# %% [markdown]
# ### ✏️ Exercise 2 · Apply a merge ★★
#
# *Goal: write a new token wherever its two parts stand side by side. About 10 minutes.*
#
# Go from left to right; no token is used twice. `merge(["a", "a", "a"], ("a", "a"))` is `["aa", "a"]`.


# %% tags=["exercise"] id="03-merge"
def merge(tokens, pair):
    """A list of tokens, in which every `pair` has become one token."""
    ### BEGIN SOLUTION
    merged, place = [], 0
    while place < len(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            merged.append(pair[0] + pair[1])
            place += 2
        else:
            merged.append(tokens[place])
            place += 1
    return merged
    ### END SOLUTION


# %% tags=["check"]
check("03-merge", merge)

# %% [markdown]
# Now the whole training, on 500 captions. A space belongs to the word after it and is written Ġ, as GPT-2 does. Every
# token has a number, and of equally frequent pairs the smaller numbers win; without such a rule two programs would
# learn different tokens.

# %%
from mmcourse.tokenizer.base import SPECIAL_TOKENS
from mmcourse.tokenizer.byte_pair import byte_characters, merge_pair

few = train_texts[:500]
vocabulary = [*SPECIAL_TOKENS, *sorted(byte_characters())]
times = Counter(word for text in few for word in text.replace(" ", " Ġ").split())
cut = {word: [vocabulary.index(character) for character in word] for word in times}
merges = []
for _ in range(60):
    tally = Counter()
    for word, ids in cut.items():
        for pair in pairwise(ids):
            tally[pair] += times[word]
    first, second = min(tally, key=lambda pair: (-tally[pair], pair))
    merges.append((vocabulary[first], vocabulary[second]))
    vocabulary.append(vocabulary[first] + vocabulary[second])
    cut = {word: merge_pair(ids, (first, second), len(vocabulary) - 1) for word, ids in cut.items()}
print([a + b for a, b in merges[:12]])

# %% [markdown]
# The beginnings of words come first, and pieces that many words share, such as *nd* and *er*.
#
# ### How learned merges cut a new text
#
# What was learned is the *list of merges, in order*; the counts are thrown away. A new word begins as characters, and the
# merges go over it one after the other. Say that four were learned, and *catfish* comes, which no training text held:
#
# | merge | the word after it |
# |---|---|
# | – | Ġ · c · a · t · f · i · s · h |
# | 1: a + t | Ġ · c · **at** · f · i · s · h |
# | 2: c + at | Ġ · **cat** · f · i · s · h |
# | 3: o + g | Ġ · cat · f · i · s · h |
# | 4: Ġ + cat | **Ġcat** · f · i · s · h |
#
# Merge 3 fits nowhere and changes nothing. Merge 4 could not have come before 1 and 2: it needs what they make. Where two
# merges want the same letter, the earlier one gets it.
#
# ### ✏️ Exercise 3 · Cut a new word ★★
#
# *Goal: cut a word that was never seen with merges that were learned from others. About 10 minutes.*
#
# `text` is one word, `merges` a list of pairs of tokens in the order in which they were learned. Return the list of tokens.
# Your `merge` from exercise 2 is one step of it; if you skipped it, `merge_pair(tokens, pair, pair[0] + pair[1])` does the same.


# %% tags=["exercise"] id="03-encode"
def encode(text, merges):
    """A word and the merges, in order -> the list of its tokens."""
    ### BEGIN SOLUTION
    tokens = list(text)
    for pair in merges:
        tokens = merge_pair(tokens, pair, pair[0] + pair[1])
    return tokens
    ### END SOLUTION


# %% tags=["check"]
check("03-encode", encode)

# %% [markdown]
# **Parity:** the library's tokenizer must learn the same merges, and so must the `tokenizers` library, on which the large
# models rely. Both must also cut any text alike, Chinese and emoji included.

# %%
import tokenizers

from mmcourse.course.exercises import find

ours = BytePairTokenizer.train(few, len(vocabulary))
theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
theirs.train_from_iterator(
    few,
    tokenizers.trainers.BpeTrainer(
        vocab_size=len(vocabulary),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ),
)
assert list(ours.merges) == merges
assert theirs.get_vocab() == ours.ids
cut_word = find("03-encode").reference
assert [token for word in ("a", "Ġsmall", "Ġcatfish") for token in cut_word(word, merges)] == ours.tokens(
    "a small catfish"
)
for text in ("a small catfish", "两只猫 and a 🦊"):
    assert ours.encode(text) == theirs.encode(text).ids
    assert ours.decode(ours.encode(text)) == text
    print(ours.tokens(text))

# %% [markdown]
# Nothing is unknown any more: a new word falls into pieces, a Chinese character into three bytes. The price is length.
# How long is a caption, by size of vocabulary? From here on captions are cut into words: 160 of them and 4 special tokens.
# `<bos>` begins a caption, `<eos>` ends it, `<pad>` fills up the shorter ones.

# %%
shown = val_texts[:500]
length = {"words": sum(len(text.split()) for text in shown) / 500, "characters": sum(map(len, shown)) / 500}
for size in (260, 320, 500, 700):
    cutter = BytePairTokenizer.train(train_texts[:5000], size)
    length[f"{size} byte pairs"] = sum(len(cutter.encode(text)) for text in shown) / 500
for name, tokens in length.items():
    print(f"{name:15} {tokens:5.1f} tokens a caption")
assert by_budget(smoke=True, standard=length["700 byte pairs"] < 1.1 * length["words"])

# %%
tokenizer = by_words
train_ids, train_mask = tokenizer.encode_batch(train_texts, add_special=True)  # (N, T) and True where a token is
assert by_budget(smoke=True, standard=(len(tokenizer), train_ids.shape[1]) == (164, 14))
val_ids, val_mask = tokenizer.encode_batch(val_texts, add_special=True)
print(tokenizer.tokens(caption, add_special=True))
print(tokenizer.encode(caption, add_special=True))

# %% [markdown]
# With no merges a token is a character; after a few hundred nearly every word is one. Every block pays for length, so
# merges are cheap speed.
#
# ## 3 · Counting: the baselines
#
# **unigram model**（一元模型）: a language model that knows how often each token comes and nothing else.
#
# **bigram model**（二元模型）: a language model that looks at one token and knows how often each other follows it.
#
# Chapter 00 counted words like that. A pair never seen would get probability 0, and one such pair in the validation
# text would make the loss infinite. So a small $k$ is added to every count:
#
# $$P(b\mid a)=\frac{n_{ab}+k}{\sum_c (n_{ac}+k)}$$
#
# ### ✏️ Exercise 4 · From counts to a bigram model ★
#
# *Goal: turn counts into probabilities, with no zero among them. About 5 minutes.*
#
# `counts[a, b]` says how often token b follows token a.


# %% tags=["exercise"] id="03-bigram"
def bigram_probabilities(counts, k):
    """Counts (V, V) -> probabilities (V, V) of what follows each token."""
    ### BEGIN SOLUTION
    weights = counts + k
    return weights / weights.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %% tags=["check"]
check("03-bigram", bigram_probabilities)

# %% [markdown]
# Every model here answers the same question: at each place, what comes next? So inputs and targets are the same row
# of tokens, one place apart.
#
# ### ✏️ Exercise 5 · Inputs and targets ★
#
# *Goal: line up each token with the one that comes after it. About 5 minutes.*
#
# From tokens (B, T) make inputs and targets (B, T − 1). Where the target is padding nothing is asked: write −100
# there, the number that losses ignore.


# %% tags=["exercise"] id="03-shift"
def inputs_and_targets(tokens, pad_id):
    """(B, T) -> inputs (B, T − 1), targets (B, T − 1) with −100 at padding."""
    ### BEGIN SOLUTION
    targets = tokens[:, 1:]
    return tokens[:, :-1], targets.masked_fill(targets == pad_id, -100)
    ### END SOLUTION


# %% tags=["check"]
check("03-shift", inputs_and_targets)

# %% [markdown]
# The library has both: `shift` and the counting models. Train them by counting once, and measure them on captions of
# pictures they have not seen.
#
# One caution about measuring: 6,000 captions are a sample, a bit harder or easier than the average. The grammar tells
# the exact probability of each, so correct for that: take the model's loss *minus the grammar's on the same
# captions*, and add the exact entropy.

# %%
from mmcourse.lm import GPT, IGNORED, Bigram, GPTConfig, Unigram, from_hf_gpt2, mean_loss, shift

x, y = shift(train_ids, pad_id=tokenizer.pad_id)
val_x, val_y = shift(val_ids, pad_id=tokenizer.pad_id)


def val_loss(model, rows=None):
    """Loss in nats a token on validation captions, corrected for how hard these captions happen to be."""
    asked = int((val_y[:rows] != IGNORED).sum())
    grammar = -sum(map(caption_log_prob, val_texts[:rows])) / asked
    return mean_loss(model, val_x[:rows], val_y[:rows]) - grammar + exact.per_token


unigram, bigram = (model(len(tokenizer), k=0.1).count(x, y) for model in (Unigram, Bigram))
unigram_loss, bigram_loss = val_loss(unigram), val_loss(bigram)
off = {"unigram model": abs(unigram_loss - 3.55), "bigram model": abs(bigram_loss - 1.84)}
claim("distance of the loss from 3.55 and from 1.84", off, at_most=0.05)

# %% [markdown]
# Knowing the last word removes most of the doubt, from $e^{3.55}=35$ choices to $e^{1.84}=6$.
#
# **Must one count?** Forget the counts and *train* the same table, as everything after it will be trained. One row of logits for each
# token, all zero at first, so that every next token is equally likely. The gradient of cross-entropy is what you said minus
# what was true (chapter 02): for the row of token $a$, its softmax minus the shares of what followed $a$. Step downhill, a
# thousand times.

# %%
follows = bigram.counts.double()
how_often = follows.sum(dim=1, keepdim=True)  # (V, 1): how often each token was the last word
truth = follows / how_often.clamp(min=1)  # counting, without the k
table, falling = torch.zeros_like(follows), []
for _ in progress(range(by_budget(smoke=20, standard=1000)), "a bigram by gradient"):
    says = table.softmax(dim=1)
    falling.append(-(follows * says.log()).sum().item() / follows.sum().item())
    table -= 2 * (says - truth)  # p − y, each row a mean over the places where its token stands

# %%
counted = -torch.xlogy(follows, truth).sum().item() / follows.sum().item()
lines = {"by gradient": (range(1, len(falling) + 1), falling)}
figure = viz.curves(lines, ylabel="training loss", baseline={"counting": counted}, logx=True)
viz.show(figure, alt="The loss of a table trained by gradient falls from log 164 to that of the counted table.")
apart = (table.softmax(dim=1) - truth).abs() * (how_often > 0)
gaps = {"the loss": falling[-1] - counted, "the probability furthest off": apart.max().item()}
claim("distance of gradient from counting", gaps, at_most=0.01)

# %% [markdown]
# **What to see:** training starts at $\log 164=5.1$ and arrives at the table that counting gives at once. Counting *is* the best answer for
# a table: there the gradient, softmax minus shares, is zero. What gradients buy is that they work where nobody can count:
# in a network whose rows share what they learn.
#
# But the entropy allows for 4 choices, and no bigram model has a way to get there. It writes like this:

# %%
from mmcourse import decoding


def write(model, count, **knobs):
    """So many captions, drawn token by token."""
    begin = torch.full((count, 1), tokenizer.bos_id)
    ends = {"stop_id": tokenizer.eos_id, "pad_id": tokenizer.pad_id}
    drawn = decoding.sample(model.stepper(), begin, max_length=16, **ends, **{"generator": generator, **knobs})
    return [tokenizer.decode(row, skip_special=True) for row in drawn.tokens]


def possible(texts):
    """The share of texts that the grammar can draw."""
    return sum(caption_log_prob(text) > -math.inf for text in texts) / len(texts)


by_bigram = write(bigram, 500)
assert (round(164**3 / 1e6, 1), round(164**4 / 1e6)) == (4.4, 723)  # triples and quadruples, in millions
for text in by_bigram[:4]:
    print(text)
claim("share of its captions that the grammar can draw", possible(by_bigram), at_most=0.5)

# %% [markdown]
# Each pair of words is right and the whole mostly is not. Why not count longer beginnings? Because their number explodes:
# with 164 tokens there are 4.4 million triples and 723 million quadruples, and most of them you will never see.
# Counting cannot share what it learns about *a cat* with *a dog*. A network can.
#
# ## 4 · The GPT
#
# You have all parts. Tokens become vectors by a table; positions are added; blocks let them talk; a last
# normalization; then a score for every token of the vocabulary.
#
# **context**（上下文）: the tokens that a model sees when it predicts the next one; also the largest number it can see.
#
# **weight tying**（权重绑定）: using one table both to read tokens and to score them.
#
# The score of a token is the dot product of its own row with what the last block says. So the model aims at the
# vector of the word that it expects.
#
# ### ✏️ Exercise 6 · Put the GPT together ★★★
#
# *Goal: go from tokens to logits through embedding, positions, blocks and a tied head. About 15 minutes.*
#
# `embedding` (V, C) and `positions` (N, C) are tables; `blocks` is a list of functions from (B, T, C) to (B, T, C),
# residual paths inside; `norm` is the last normalization. There is a next token to predict at *every* place.


# %% tags=["exercise"] id="03-gpt-logits"
def gpt_logits(tokens, embedding, positions, blocks, norm):
    """Tokens (B, T) -> logits (B, T, V) of the token after each."""
    ### BEGIN SOLUTION
    x = embedding[tokens] + positions[: tokens.shape[1]]  # (B, T, C) + (T, C)
    for block in blocks:
        x = block(x)
    return norm(x) @ embedding.T  # (B, T, C) @ (C, V)
    ### END SOLUTION


# %% tags=["check"]
check("03-gpt-logits", gpt_logits)

# %% [markdown]
# As a module it has one switch: `causal=True` forbids looking ahead; section 10 needs the other position.
#
# **Parity, twice.** With the same weights, the library's `GPT` gives the same logits. And with the random weights of a
# GPT-2 from transformers it gives *its* logits, and writes the same 50 tokens.

# %%
from torch import nn

from mmcourse.transformer import Block


class TinyLM(nn.Module):
    """Chapter 01's blocks between two uses of one table; `causal` says whether a token may see those after it."""

    def __init__(self, vocabulary_size, context, width, heads, depth, *, causal):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.positions = nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.causal = causal

    def forward(self, tokens, mask=None):
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]  # (B, T) -> (B, T, C)
        for block in self.blocks:
            x = block(x, causal=self.causal, mask=mask)
        return self.norm(x) @ self.embedding.weight.T  # (B, T, V)


sizes = {"context": 24, "width": 64, "heads": 4, "depth": 2}
mine = TinyLM(len(tokenizer), **sizes, causal=True)

# %%
import transformers

config = GPTConfig(vocabulary_size=len(tokenizer), **sizes)
library = GPT(config)
weights = mine.state_dict()
weights["positions.table"] = weights.pop("positions")
library.load_state_dict(
    {f"decoder.{name}" if name.startswith(("blocks", "norm")) else name: w for name, w in weights.items()}
)
with torch.no_grad():
    torch.testing.assert_close(mine(val_x[:8]), library(val_x[:8]), rtol=0, atol=1e-5)
assert config.parameters == sum(p.numel() for p in mine.parameters())
assert by_budget(smoke=True, standard=config.parameters == 112_128)
print(f"{config.parameters:,} numbers to learn")

transformers.utils.logging.set_verbosity_error()
same_size = {"vocab_size": 164, "n_positions": 64, "n_embd": 64, "n_head": 4, "n_layer": 2}
gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(**same_size, bos_token_id=0, eos_token_id=0)).eval()
for parameter in gpt2.parameters():
    parameter.data.normal_(std=0.3, generator=generator)  # large weights, so that it does not repeat one token
gpt2.transformer.wpe.weight.data *= 10
twin = from_hf_gpt2(gpt2).eval()
prompt = torch.randint(4, 164, (2, 6), generator=generator)
with torch.no_grad():
    torch.testing.assert_close(twin(prompt), gpt2(prompt).logits, rtol=0, atol=1e-4)
fifty = {"max_new_tokens": 50, "min_new_tokens": 50, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
theirs = gpt2.generate(prompt, attention_mask=torch.ones_like(prompt), **fifty)
assert torch.equal(decoding.greedy(twin.stepper(), prompt, max_length=56).tokens, theirs)
assert len(theirs.unique()) > 10
print("the same 50 greedy tokens, twice")

# %% [markdown]
# What remains is a loss and a loop. It sits in `fit`, with three ideas. *AdamW* divides each weight's gradient by its usual size,
# so that every weight moves at its own pace, and pulls all weights a little toward 0. The *warm-up* lets the steps grow
# from almost nothing at first, while AdamW still learns how large the gradients are. Then they shrink along a cosine, so that
# the end is calm. (A *one-cycle* schedule, chapters 00 and 01, is the same rise and fall under another name.)
#
# **Your own model first**: the function from exercise 6 is trained for 150 steps, if it passed its check; otherwise the
# library's stands in.

# %%
import copy
from functools import partial

from mmcourse.course.exercise import grade
from mmcourse.losses import cross_entropy
from mmcourse.train import Batches, Schedule, fit

settings = {"learning_rate": 5e-3, "schedule": Schedule(warmup=by_budget(smoke=2, standard=50))}


def loss_of(model, batch):
    inputs, targets = batch
    return cross_entropy(model(inputs), targets, ignore_index=IGNORED)


passed = grade(find("03-gpt-logits"), gpt_logits).status == "done"


class YourGPT(TinyLM):
    def forward(self, tokens):
        blocks = [partial(block, causal=True) for block in self.blocks]
        return gpt_logits(tokens, self.embedding.weight, self.positions, blocks, self.norm)


yours = (YourGPT if passed else TinyLM)(len(tokenizer), **sizes, causal=True)
few_steps = by_budget(smoke=10, standard=150)
fit(yours, loss_of, Batches(x, y, size=64), steps=few_steps, **settings, description="your own model")
print("trained with", "your own function" if passed else "the library's")
claim("loss of your model after 150 steps", val_loss(yours, rows=1000), at_most=1.6)

# %% [markdown]
# Those 150 steps saw 9,600 captions, and the counting models are left behind. Now the real run.
#
# ## 5 · The experiment: how close to the floor?
#
# 2,000 steps of 64 captions, about one pass over the training text. Predict: where will the loss end? And will it
# fall evenly?

# %%
seed_everything(3)
gpt = GPT(config)
snapshots = []


def watch_gpt(model):
    snapshots.append(copy.deepcopy(model))
    return val_loss(model, rows=1000)


history = fit(
    gpt, loss_of, Batches(x, y, size=64), steps=by_budget(smoke=20, standard=2000), **settings,
    evaluate=watch_gpt, evaluate_every=by_budget(smoke=10, standard=50), description="GPT",
)  # fmt: skip
gpt.eval()
gpt_loss = val_loss(gpt)
claim("validation loss, divided by the exact entropy", gpt_loss / exact.per_token, at_least=1.0, at_most=1.03)
at, values = zip(*history.evaluations, strict=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3), layout="constrained")
floors = {"unigram": unigram_loss, "bigram": bigram_loss, "entropy": exact.per_token}
viz.curves({"": (at, values)}, ylabel="validation loss, nats a token", baseline=floors, ylim=(1.2, 3.7), ax=left)
gap = [100 * (value / exact.per_token - 1) for value in values]
levels = {"bigram": 100 * (bigram_loss / exact.per_token - 1), "3 percent": 3}
viz.curves({"": (at, gap)}, ylabel="percent above the entropy", baseline=levels, log=True, ax=right)
right.set(ylim=(1, 60))
right.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
right.minorticks_off()
viz.show(
    figure,
    alt="Validation loss falls below the bigram at once and approaches the entropy; the gap ends below 3 percent.",
)

# %% [markdown]
# **What to see:** on the left the unigram stands at 2.6 times the entropy, the bigram a third above it, and the GPT comes
# down to the floor without touching it. The right side shows the gap alone.
#
# It does not fall evenly. Most is learned at once, then there is a long shelf, and then a second fall. What is
# learned there? Look at the caption from section 1 again.


# %%
from mmcourse.attention import record


@torch.no_grad()
def surprises(model, text):
    """The surprise of each token of a caption, its end counted."""
    inputs, targets = shift(torch.tensor([tokenizer.encode(text, add_special=True)]))
    return cross_entropy(model(inputs), targets, reduction="none")[0].tolist()


repeats = [text for text in val_texts[:1000] if " another " in text]
repeat_x, repeat_y = shift(tokenizer.encode_batch(repeats, add_special=True).ids, pad_id=tokenizer.pad_id)
noun_next = repeat_x == tokenizer.ids["another"]  # (N, T): here the noun must come again


@torch.no_grad()
def at_noun(model):
    """Mean surprise at the repeated noun."""
    return cross_entropy(model(repeat_x), repeat_y, ignore_index=IGNORED, reduction="none")[noun_next].mean().item()


noun = [at_noun(snapshot) for snapshot in snapshots]
levels = {"bigram": at_noun(bigram), "knows the noun": 0.0}
figure = viz.curves({"": (at, noun)}, ylabel="surprise at the repeated noun", baseline=levels, markers=True)
viz.show(figure, alt="Surprise at the repeated noun by step: level with the bigram at first, near 0 at the end.")
best_of_shelf = min(noun[: max(1, len(noun) // 4)])
found = {"lead over the bigram in the first quarter": levels["bigram"] - best_of_shelf, "surprise at the end": noun[-1]}
claim("nats at the repeated noun", found, at_most=0.2)

# %%
seen = record(gpt, torch.tensor([tokenizer.encode(caption, add_special=True)])).maps
stacked = torch.cat([weights[0].detach() for weights in seen.values()])  # (blocks · heads, T, T)
row, column = words.index("another"), 2  # who asks, and where the first noun stands
best = int(stacked[:, row, column].argmax())
names, title = tokenizer.tokens(caption, add_special=True), f"block {best // 4 + 1}, head {best % 4 + 1}"
figure = viz.attention_map(stacked[best], rows=names, columns=names, title=title)
viz.show(figure, alt="Attention map of a caption: the token another looks back at the first noun.")
claim("weight from “another” to the noun", stacked[best, row, column], at_least=0.4)

# %% [markdown]
# **What to see:** every dot is the model at one moment of its training, asked on captions with *another* in them. For
# a quarter of the training, the shelf, it knows no more about the noun than the bigram. Then the surprise falls, over
# several hundred steps, to almost nothing. This is the second fall: the model has learned to *look back* and copy,
# for all nouns at once. The map shows, of the eight heads, the one that looks there most: its row of *another* lights
# up at the first noun. Nobody told the model about nouns; the entropy asked for it.
#
# **What is the rest of the gap?** Let the GPT write 1,000 captions and sort them in three heaps: those that the
# grammar draws; sentences that are well formed but never drawn; and texts that are no sentences. The second heap is the
# interesting one. Look for what its sentences have in common.

# %%
from mmcourse.datasets import Truth, caption_is_true

HEAPS = ("drawn by the grammar", "sentence, never drawn", "no sentence")
some_scene = scene_batch.scenes[0]


def heap(text):
    if caption_log_prob(text) > -math.inf:
        return HEAPS[0]
    return HEAPS[2 if caption_is_true(some_scene, text).truth is Truth.UNPARSEABLE else 1]


def heaps(texts):
    """The share of each heap."""
    counts = Counter(map(heap, texts))
    return {name: counts[name] / len(texts) for name in HEAPS}


def show_texts(texts, title):
    """Texts as lines of a figure, colored by heap."""
    colors = dict(zip(HEAPS, (viz.BLUE, viz.ORANGE, viz.VERMILLION), strict=True))
    figure, ax = plt.subplots(figsize=(8, 0.27 * len(texts) + 0.4))
    ax.set_axis_off()
    ax.set_title(title, loc="left")
    for line, text in enumerate(texts):
        name, height = heap(text), 1 - (line + 0.5) / len(texts)
        ax.text(0, height, "✓•✗"[HEAPS.index(name)], color=colors[name], fontsize=13)
        ax.text(0.03, height, text, fontsize=11)
    return figure


written = write(gpt, by_budget(smoke=50, standard=1000))
shares = heaps(written)
examples = [[text for text in written if heap(text) == name] for name in HEAPS]
some = [text for texts, count in zip(examples, (5, 4, 1), strict=True) for text in texts[:count]]
viz.show(
    show_texts(some, "By the GPT:   ✓ drawn by the grammar   • sentence, never drawn   ✗ no sentence"),
    alt="Captions that the GPT wrote, some of each heap; all but the last are well formed sentences.",
)

# %% [markdown]
# **What to see:** the sentences are right; what is wrong is hidden. In our world some nouns never meet, and some
# never stand on a certain background: the held-out combinations. The GPT has learned grammar and copying, but not who
# never meets whom, 64 nouns against each other.
#
# How much of the gap is that? There is an exact answer. Let $p$ be the grammar, $q$ the model and $S$ the texts that
# the grammar draws:
#
# $$\mathrm{KL}(p\|q)=\underbrace{-\log q(S)}_{\text{wasted on what never comes}}+\;\underbrace{\mathrm{KL}\big(p\,\|\,q(\cdot\mid S)\big)}_{\text{all other errors}}$$

# %%
wasted = -math.log(max(shares[HEAPS[0]], 0.001)) / exact.per_caption
share = wasted / (gpt_loss / exact.per_token - 1)
claim("share of the gap that is wasted on texts never drawn", share, at_least=0.6, at_most=1.2)

# %% [markdown]
# Most of it: a rule that is not learned yet, not many small errors.
#
# ## 6 · What a longer run buys
#
# `mmcourse train tiny-lm` trains the same blocks for about three minutes, never showing a caption twice, from first
# embeddings that lie further apart, and with smaller steps. Its result comes with the course.

# %%
from mmcourse.recipes import load_trained

longer, longer_tokenizer, _ = load_trained("tiny-lm")
assert set(longer_tokenizer.vocabulary) == set(tokenizer.vocabulary)
assert longer.config.parameters == config.parameters - 64 * (config.context - longer.config.context)
longer_val = shift(longer_tokenizer.encode_batch(val_texts, add_special=True).ids, pad_id=tokenizer.pad_id)
longer_loss = mean_loss(longer, *longer_val) + gpt_loss - mean_loss(gpt, val_x, val_y)  # the same correction
claim("longer training's loss over the entropy", longer_loss / exact.per_token, at_least=0.999, at_most=1.01)

# %%
begin = torch.full((1000, 1), longer_tokenizer.bos_id)
ends = {"stop_id": longer_tokenizer.eos_id, "pad_id": longer_tokenizer.pad_id, "max_length": 15}
drawn = decoding.sample(longer.stepper(), begin, **ends, generator=generator).tokens
longer_shares = heaps([longer_tokenizer.decode(row, skip_special=True) for row in drawn])
gain = longer_shares[HEAPS[0]] - shares[HEAPS[0]]
claim("share drawn by the grammar, longer training minus this one's", gain, at_least=0.03)

# %% [markdown]
# Within one percent, and more of what it writes is drawn by the grammar. The same blocks, more captions, a wider start, smaller steps,
# and what was missing has largely been learned. So the limit was training, not size. Without the exact entropy nobody could
# say how much is left: a loss alone does not tell what remains to be won.
#
# ## 7 · Writing: greedy, beam, and dice
#
# A model gives probabilities. To write, somebody has to choose.
#
# **greedy decoding**（贪心解码）: taking the likeliest token at every step.
#
# **beam search**（束搜索）: keeping several of the likeliest beginnings alive at every step, and taking the best text at the
# end.
#
# Both look for *the most probable* text. What does that look like?

# %%
begin = torch.tensor([[tokenizer.bos_id]])
ends = {"stop_id": tokenizer.eos_id, "pad_id": tokenizer.pad_id, "max_length": 16}
greedy = decoding.greedy(gpt.stepper(), begin, **ends).scores.item()
beam = decoding.beam_search(gpt.stepper(), begin, beam_size=64, length_penalty=0.0, **ends).scores.item()
typical = sum(map(sum, (surprises(gpt, text) for text in val_texts[:200]))) / 200
claim("surprise of a typical caption, minus a wide beam's", typical + beam, near=2.8, tolerance=0.6)
likeliest = min(-caption_log_prob(text) for text in val_texts)
assert by_budget(smoke=True, standard=greedy < beam and abs(likeliest - 7.99) < 0.01)

# %% [markdown]
# Greedy cannot turn back from an early step; a wide beam finds a text near the likeliest of the 6,000 validation captions,
# 7.99 nats, nearly 3 nats more probable than a typical caption. And it finds the same one every time. That is right
# for translation or captions, where one answer is wanted. To write many *different* texts you need dice, and dice
# have knobs.
#
# **top-k sampling**（top-k 采样）: drawing from the k likeliest tokens only.
#
# **top-p sampling**（核采样）: drawing from the fewest likeliest tokens whose probabilities add up to p.
#
# The k of top-k is the same everywhere. Top-p adapts: where one word is sure it keeps one, where many fit it keeps
# many.
#
# ### ✏️ Exercise 7 · Keep the nucleus ★★★
#
# *Goal: drop the unlikely tail, however many tokens that is. About 15 minutes.*
#
# Set the logits of dropped tokens to −∞. Keep the fewest tokens whose probabilities reach p; the one that crosses the
# line stays.


# %% tags=["exercise"] id="03-top-p"
def keep_top_p(logits, p):
    """Logits (B, V) -> the same, with −∞ for all but the nucleus of each row."""
    ### BEGIN SOLUTION
    ranked, order = logits.sort(dim=-1, descending=True)
    probabilities = ranked.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # what the likelier ones add up to
    return torch.empty_like(logits).scatter(-1, order, ranked.masked_fill(before >= p, -torch.inf))
    ### END SOLUTION


# %% tags=["check"]
check("03-top-p", keep_top_p)

# %% [markdown]
# Turn the knobs. On the left, what may come after *a cat*; on the right, the heaps of 200 captions written with this
# setting, and how many of them differ. Lower the temperature, then raise it to 2, then lower top-p. The second figure has
# all temperatures at once, with and without the filter.

# %%
cat = torch.tensor([tokenizer.encode("a cat", add_special=True)[:-1]])
with torch.no_grad():
    after_cat = gpt(cat)[0, -1]


def turn(temperature=1.0, top_k=164, top_p=1.0):
    top_k, top_p = min(top_k, len(tokenizer)), top_p if top_p < 1 else None
    chances = decoding.filter_logits(after_cat / temperature, top_k=top_k, top_p=top_p).softmax(dim=-1)
    likeliest = {tokenizer.vocabulary[i]: chances[i].item() for i in after_cat.topk(8).indices.tolist()}
    dice = torch.Generator().manual_seed(0)
    texts = write(gpt, 200, temperature=temperature, top_k=top_k, top_p=top_p, generator=dice)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    viz.bars(likeliest, title="after “a cat”", ylabel="probability", ylim=(0, 1.1), ax=left)
    left.tick_params(axis="x", rotation=60)
    viz.bars({**heaps(texts), "different": len(set(texts)) / 200}, title="200 captions", ylim=(0, 1.15), ax=right)
    right.set_xticks(range(4), ["drawn", "never\ndrawn", "no\nsentence", "different"], rotation=0)
    return figure


widgets.explore(
    turn,
    temperature=(0.1, 3.0, 0.1, 1.0),
    top_k=(1, 164, 1, 164),
    top_p=(0.05, 1.0, 0.05, 1.0),
    alt="Bars: the chances after a cat, and the heaps of 200 captions at temperature 1 without filters.",
)

# %%
temperatures = [0.2, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0]
tried = {name: {"sentences": [], "different": []} for name in ("plain", "top-p 0.9")}
for name, top_p in (("plain", None), ("top-p 0.9", 0.9)):
    for temperature in temperatures:
        texts = write(gpt, by_budget(smoke=20, standard=300), temperature=temperature, top_p=top_p)
        tried[name]["sentences"].append(1 - heaps(texts)["no sentence"])
        tried[name]["different"].append(len(set(texts)) / len(texts))
figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
for ax, what in zip(axes, ("sentences", "different"), strict=True):
    lines = {name: (temperatures, tried[name][what]) for name in tried}
    viz.curves(lines, xlabel="temperature", ylabel=f"share of {what}", markers=True, ylim=(0, 1.05), ax=ax)
viz.show(
    figure,
    alt="With temperature the share of sentences falls and the share of different texts rises; top-p delays the fall.",
)
plain, filtered = tried["plain"], tried["top-p 0.9"]
changes = {
    "sentences at temperature 2, by top-p 0.9": filtered["sentences"][-1] - plain["sentences"][-1],
    "different texts, by temperature 2 over 0.2": plain["different"][-1] - plain["different"][0],
}
claim("gain in share", changes, at_least=0.1)


hits = sum(bool(caption_is_true(scene, text)) for scene in scene_batch.scenes for text in written)
assert by_budget(smoke=True, standard=hits / (len(written) * 40) < 0.05)
print(f"true of a given picture: {hits / (len(written) * 40):.2f} of the captions")

# %% [markdown]
# **What to see:** well below temperature 1 the texts begin to repeat, above it the sentences break. From 0.8 to 1 both shares
# are high. The filter moves the break away, because it removes the tail: a hundred tokens with a small chance each, and
# about eight draws a caption. The hotter the dice, the surer that one of them comes up.
#
# And is any of it *true*? Hold each of the thousand captions against each of forty pictures: next to none of these pairs fit.
# The model has never seen a picture. It knows what captions *sound* like. Chapter 09 gives it eyes.
#
# ## 8 · The key–value cache
#
# To write token 16, the model reads 15 tokens; to write token 17 it reads 16, of which 15 have not changed. A causal
# model computes for them the same keys and values as before, since nobody saw what came later. Chapter 01 counted the
# memory that it takes to keep them. Here is the step that uses them.
#
# ### ✏️ Exercise 8 · One step with a cache ★★
#
# *Goal: let a new token attend to all earlier ones without computing them again. About 15 minutes.*
#
# One head, with the scaled attention of chapter 01 (scores divided by √D). `x` (1, C) is the new token, `W_q`, `W_k` and `W_v`
# are (C, D), `keys` and `values` (S, D) belong to the earlier ones, S may be 0. Return the
# output (1, D), the grown keys and the grown values (S + 1, D).


# %% tags=["exercise"] id="03-cached-step"
def cached_step(x, keys, values, W_q, W_k, W_v):
    """One new token with its cache -> output (1, D), keys (S + 1, D), values (S + 1, D)."""
    ### BEGIN SOLUTION
    keys = torch.cat([keys, x @ W_k])
    values = torch.cat([values, x @ W_v])
    scores = (x @ W_q) @ keys.T / keys.shape[1] ** 0.5  # (1, S + 1)
    return scores.softmax(dim=-1) @ values, keys, values
    ### END SOLUTION


# %% tags=["check"]
check("03-cached-step", cached_step)

# %% [markdown]
# Now for the whole GPT: one cache for each block. By hand, with the weights of the trained model. The result is the same. The
# work is not: without a cache, writing $T$ tokens reads $1+2+\dots+T$ of them, with it $T$.

# %%
from mmcourse.attention import attention, merge_heads, split_heads


@torch.no_grad()
def next_logits(model, token, place, cache):
    """One token in, the logits of the next out; `cache` holds [keys, values] of every block, and grows."""
    x = model.embedding(token) + model.positions.table[place]  # (1, 1, C)
    for block, kept in zip(model.decoder.blocks, cache, strict=True):
        part, seen = block.attention, block.attention_norm(x)
        q, k, v = (split_heads(linear(seen), 4) for linear in (part.query, part.key, part.value))  # (1, H, 1, D)
        kept[0], kept[1] = torch.cat([kept[0], k], dim=2), torch.cat([kept[1], v], dim=2)
        x = x + part.out(merge_heads(attention(q, kept[0], kept[1]).output))
        x = x + block.feed_forward(block.feed_forward_norm(x))
    return model.score(model.decoder.norm(x))[0, -1]


row, cache = [tokenizer.bos_id], [[torch.empty(1, 4, 0, 16), torch.empty(1, 4, 0, 16)] for _ in gpt.decoder.blocks]
while len(row) < 24:
    row.append(int(next_logits(gpt, torch.tensor([row[-1:]]), len(row) - 1, cache).argmax()))
begin = torch.tensor([[tokenizer.bos_id]])
with_cache = decoding.greedy(gpt.stepper(), begin, max_length=24).tokens[0].tolist()
without = decoding.greedy(gpt.stepper(cached=False), begin, max_length=24).tokens[0].tolist()
assert row == with_cache == without
print("the same 24 tokens: by hand, with the library's cache, and without any")

# %%
import time

lengths = by_budget(smoke=[16, 32], standard=[32, 64, 128, 256])
reader = GPT(GPTConfig(vocabulary_size=164, context=256, width=64, heads=4, depth=2)).eval()


def seconds(length, cached):
    """The shortest of a few runs: the others were disturbed."""
    runs = []
    for _ in range(by_budget(smoke=1, standard=3)):
        start = time.perf_counter()
        decoding.greedy(reader.stepper(cached=cached), begin, max_length=length)
        runs.append(time.perf_counter() - start)
    return min(runs)


timed = {
    name: (lengths, [seconds(T, cached) for T in lengths]) for name, cached in (("cache", True), ("no cache", False))
}
read = {"cache": (lengths, lengths), "no cache": (lengths, [T * (T + 1) // 2 for T in lengths])}
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
viz.curves(read, xlabel="tokens written", ylabel="tokens read", log=True, logx=True, markers=True, ax=left)
viz.curves(timed, xlabel="tokens written", ylabel="seconds", log=True, logx=True, markers=True, ax=right)
viz.show(figure, alt="Tokens read and seconds against tokens written: without a cache both grow faster than with it.")
assert by_budget(smoke=True, standard=read["no cache"][1][-1] / lengths[-1] > 128)

# %% [markdown]
# **What to see:** on the left the count, exactly: at 256 tokens the cache saves a factor of 128.5. On the right the
# clock. The gain is smaller, and the shortest text may show none at all, because a short text spends its time on
# fixed costs, and a processor reads many tokens at once nearly as fast as one. The gain grows with length and size.
#
# ## 9 · A silent failure: two patients
#
# Three trainings, 200 steps each. A is healthy. B and C each have *one line* changed, and both reach a better loss.
# Look at the symptoms.

# %%
steps = by_budget(smoke=10, standard=200)
trainings = {"A": (x, y), "B": (x, x.masked_fill(x == tokenizer.pad_id, IGNORED)), "C": (x, train_ids[:, 1:])}
patients, losses = {}, {}
for name, pair in trainings.items():
    seed_everything(4)
    model = patients[name] = GPT(config).eval()
    run = fit(model, loss_of, Batches(*pair, size=64), steps=steps, **settings, description=f"run {name}")
    losses[name] = run.losses

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=(1.3, 1))
viz.curves(losses, ylabel="training loss", baseline={"entropy": exact.per_token}, ylim=(0, 4), ax=left)
good = {name: 1 - heaps(write(model, 200))["no sentence"] for name, model in patients.items()}
viz.bars(good, title="sentences among 200 texts", ylim=(0, 1.1), ax=right)
viz.show(figure, alt="Losses: A stays above the entropy, C falls below it, B to 0. B writes no sentences.")
last = {name: sum(values[-20:]) / 20 for name, values in losses.items()}
claim("last loss below run A's", {name: last["A"] - last[name] for name in "BC"}, at_least=0.3)
claim("share of sentences", {"B": good["B"], "C, minus A's": good["C"] - good["A"]}, near=0, tolerance=0.15)

# %% [markdown]
# **What to see:** B and C both dive below the entropy, which is impossible. B then writes nothing of use; C writes
# sentences, not many fewer than A. Chapter 01's test (change the last token, see whether earlier outputs move) finds nothing in either: both
# masks are right. Name the two causes before you read on.
#
# **Diagnosis B: the target was not shifted.** The model is asked for the token that it has in hand. With tied weights
# that is the easiest task there is. When it writes, it repeats `<bos>`.
#
# **Diagnosis C: padding counts.** Each row has 13 targets, of which 7.8 are words or the end; the rest is padding,
# known for sure. The mean over *all* targets is smaller by that share, and nothing has been learned better. Here are
# two tests that find them: is every target the token that is shown, and how many targets has a text?

# %%
assert [bool(((a == b) | (b == IGNORED)).all()) for a, b in trainings.values()] == [False, True, False]
targets_per_text = {name: (b != IGNORED).sum().item() / len(b) for name, (_, b) in trainings.items()}
assert abs(targets_per_text["A"] - exact.tokens_per_caption) < 0.05
assert targets_per_text["C"] == y.shape[1]
repeated = decoding.greedy(patients["B"].stepper(), begin, max_length=12).tokens == tokenizer.bos_id
repaired = last["C"] * targets_per_text["C"] / targets_per_text["A"]
assert by_budget(smoke=True, standard=bool(repeated.all()) and abs(repaired - last["A"]) < 0.1)
assert by_budget(smoke=True, standard=last["A"] > exact.per_token > max(last["B"], last["C"]))

# %% [markdown] tags=["written"] id="03-below-the-floor"
# ### ✏️ Written question · Below the floor
#
# A colleague reports a validation loss of 1.31 nats on our captions, below the entropy of 1.3702. Nobody cheated on
# purpose. Name four different reasons that could explain it, and for each a check of one or two lines. Which of them
# would make the model *worthless*, and which only the number?
#
# ### BEGIN SOLUTION
# 1. Padding, or `<bos>`, is counted among the targets: easy tokens lower the mean. Count the targets a text; it must
#    be 7.78. The model is fine, the number is not.
# 2. The unit differs: nats a token with another tokenizer, or a mean over captions of the means over tokens, which
#    gives short texts more weight. Compute nats a caption and compare with 10.66. The model is fine.
# 3. The sample is easy: a few hundred captions waver by more than a percent. Compare with the grammar's loss on the
#    same captions. The model is fine.
# 4. The future leaks: a missing causal flag, or targets that are not shifted. Change the last token and see whether
#    earlier outputs move; compare inputs with targets. The model is worthless for writing.
#
# Validation captions that stand in the training text are no fifth reason here: the same captions come again by
# chance, and no model can profit from that beyond the entropy of fresh draws. With real text, though, it would be the
# first thing to check.
# ### END SOLUTION

# %% [markdown]
# ## 10 · GPT and BERT: one flag
#
# A GPT never looks ahead, because it will have to write. A reader need not be so strict.
#
# **masked language model**（掩码语言模型）: a model that sees a text with some tokens hidden, on both sides, and says what
# they were.
#
# BERT asks for 15 percent of the tokens. Real text holds no masks, so it does not always show one: of the chosen
# tokens 80 percent become a mask, 10 percent another token, and 10 percent stay as they are.
#
# ### ✏️ Exercise 9 · Hide some tokens ★★
#
# *Goal: make inputs and targets for a masked language model. About 10 minutes.*
#
# `chosen` (B, T) says which tokens are asked for. `dice` (B, T) lies between 0 and 1: below 0.8 hide the chosen
# token, from 0.8 to 0.9 take the one from `strangers`, from 0.9 keep it. Targets are −100 where nothing is asked.


# %% tags=["exercise"] id="03-mask-tokens"
def mask_tokens(tokens, chosen, dice, strangers, mask_id):
    """All (B, T) -> inputs, targets (B, T)."""
    ### BEGIN SOLUTION
    hidden = chosen & (dice < 0.8)
    swapped = chosen & (dice >= 0.8) & (dice < 0.9)
    inputs = torch.where(swapped, strangers, tokens.masked_fill(hidden, mask_id))
    return inputs, tokens.masked_fill(~chosen, -100)
    ### END SOLUTION


# %% tags=["check"]
check("03-mask-tokens", mask_tokens)

# %% [markdown]
# The same `TinyLM`, the same captions, `causal=False`. No caption has an unknown word, so `<unk>` can serve as the
# mask.
#
# **What each can do.** Then hide one word: *a … cat at the top left*. The GPT sees what stands before it, BERT both sides,
# and the grammar gives the exact answer.

# %%
mask_id = tokenizer.unk_id


def masked_loss(model, batch):
    tokens, real = batch
    here = tokens.device
    chosen = (torch.rand(tokens.shape, device=here) < 0.15) & real & (tokens != tokenizer.bos_id)
    dice = torch.rand(tokens.shape, device=here)
    strangers = torch.randint(4, len(tokenizer), tokens.shape, device=here)
    inputs = tokens.masked_fill(chosen & (dice < 0.8), mask_id)
    inputs = torch.where(chosen & (dice >= 0.8) & (dice < 0.9), strangers, inputs)
    targets = tokens.masked_fill(~chosen, IGNORED)
    return cross_entropy(model(inputs, mask=real[:, None, None]), targets, ignore_index=IGNORED)


seed_everything(3)
bert = TinyLM(len(tokenizer), **sizes, causal=False)
steps = by_budget(smoke=10, standard=800)
fit(bert, masked_loss, Batches(train_ids, train_mask, size=64), steps=steps, **settings, description="BERT")
bert.eval()


def fill(text, hole):
    """Chances of every token in the hole: by the GPT from the left, by BERT from both sides, and by the grammar."""
    ids = torch.tensor([tokenizer.encode(text, add_special=True)])
    hidden = ids.clone()
    hidden[0, hole] = mask_id
    with torch.no_grad():
        left, both = gpt(ids)[0, hole - 1].softmax(dim=-1), bert(hidden)[0, hole].softmax(dim=-1)
    before, after = text.split()[: hole - 1], text.split()[hole:]
    logs = [caption_log_prob(" ".join([*before, token, *after])) for token in tokenizer.vocabulary]
    return {"GPT, from the left": left, "BERT, both sides": both, "grammar": torch.tensor(logs).softmax(dim=-1)}


answers = fill("a small cat at the top left", 2)
some_words = ["small", "medium", "large", "door", "sunflower"]

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 3), sharey=True)
for ax, (name, chances) in zip(axes, answers.items(), strict=True):
    some = {word: chances[tokenizer.ids[word]].item() for word in some_words}
    viz.bars(some, title=name, ylabel="probability" if ax is axes[0] else None, ylim=(0, 0.6), ax=ax)
    ax.tick_params(axis="x", rotation=45)
viz.show(figure, alt="Chances of the hidden word: BERT is near the grammar, the GPT spreads over nouns too.")
gpt_off, bert_off, _ = ((chances - answers["grammar"]).abs().sum().item() for chances in answers.values())
claim("distance from the grammar, BERT's divided by the GPT's", bert_off / gpt_off, at_most=0.3)

# %% [markdown]
# **What to see:** after *a*, the GPT must allow for every noun. BERT sees that a cat follows, so a size is missing,
# and its chances are nearly the exact ones.
#
# But the GPT is not helpless. Put each of the 164 tokens into the hole and compare the probabilities of the *whole*
# texts: by the chain rule that uses both sides, too. It costs 164 passes instead of one. Measure all on 200 captions
# with one hidden word.

# %%
count, size = by_budget(smoke=20, standard=200), len(tokenizer)
rows, length = val_ids[:count], val_mask[:count].sum(dim=1)
holes = 1 + (torch.rand(count, generator=generator) * (length - 2)).long()  # any word, not <bos> or <eos>
index, truth = torch.arange(count), rows[torch.arange(count), holes]
hidden = rows.clone()
hidden[index, holes] = mask_id
filled = rows[:, None].repeat(1, size, 1)  # (N, V, T): every token in every hole
filled[index, :, holes] = torch.arange(size)


# %%
@torch.no_grad()
def weigh(model, ids):
    """Chances of every token in the hole, by the probabilities of the whole texts `ids` (N, V, T)."""
    inputs, targets = shift(ids.flatten(0, 1), pad_id=tokenizer.pad_id)  # both tokenizers have the same <pad>
    portions = zip(inputs.split(2048), targets.split(2048), strict=True)
    texts = [-cross_entropy(model(a), b, ignore_index=IGNORED, reduction="none").sum(dim=1) for a, b in portions]
    return torch.cat(texts).view(count, size).log_softmax(dim=-1)


with torch.no_grad():
    from_left = gpt(rows)[index, holes - 1].log_softmax(dim=-1)
    both_sides = bert(hidden, mask=val_mask[:count, None, None])[index, holes].log_softmax(dim=-1)
answers = (fill(text, hole)["grammar"] for text, hole in zip(val_texts[:count], holes.tolist(), strict=True))
by_grammar = torch.stack(list(answers)).log()
renumber = torch.tensor([longer_tokenizer.ids[token] for token in tokenizer.vocabulary])
logs = {"GPT, left": from_left, "BERT": both_sides, "GPT, 164 passes": weigh(gpt, filled)}
logs |= {"longer, 164 passes": weigh(longer, renumber[filled]), "grammar": by_grammar}
surprise = {name: -table[index, truth].mean().item() for name, table in logs.items()}
above = {
    "GPT with 164 passes, above BERT": surprise["GPT, 164 passes"] - surprise["BERT"],
    "longer training, above the grammar": surprise["longer, 164 passes"] - surprise["grammar"],
}
claim("gain of BERT over the GPT from the left", surprise["GPT, left"] - surprise["BERT"], at_least=0.1)
claim("surprise above the better reader, in nats", above, at_most=0.15)

# %% [markdown]
# For one pass BERT wins. With 164 passes the GPT of this chapter comes near BERT (it had 2,000 steps and
# BERT 800, so their order says little), and the longer-trained one comes near the exact answer: it knows the *joint*
# probability, from which everything follows. No masked model gives that. Mind the loss numbers: BERT's training loss is
# a mean over *hidden* tokens, and cannot be compared with 1.3702.
#
# **What BERT was not made for** is writing. Give it a row of nine places, all hidden, and draw all words at once; each fits
# its place, not its neighbors. (It also never saw a row with so many holes. Filling the places one after the other, again and
# again, does better: Wang, Cho, *BERT has a mouth, and it must speak*, 2019. The GPT needs no such detour.)

# %%
blank = torch.full((300, 9), mask_id)
blank[:, 0], blank[:, -1] = tokenizer.bos_id, tokenizer.eos_id
with torch.no_grad():
    chances = bert(blank).softmax(dim=-1).flatten(0, 1)
at_once = torch.multinomial(chances, 1, generator=generator).view(300, 9)[:, 1:-1]
texts = [tokenizer.decode(row, skip_special=True) for row in at_once]
odd = {"sentences by BERT, at once": 1 - heaps(texts)["no sentence"], "no sentences by the GPT": shares["no sentence"]}
claim("share of texts", odd, at_most=0.12)

# %% [markdown]
# | | GPT | BERT |
# |---|---|---|
# | flag | causal | not causal |
# | learns from | every token | 15 percent of the tokens |
# | sees | the left side | both sides |
# | writes | yes, token by token | not by itself |
# | probability of a text | yes, exactly | no |
# | vectors for reading | of the left side | of both sides: chapter 05 uses them |
#
# ## 11 · On real data: names that people gave
#
# No grammar wrote these: 1,690 names of drawings, such as *face with rolling eyes*. Nobody knows their entropy. And
# there are few. Train on 1,290 of them, with byte pairs, and watch the loss on the 400 others.
#
# A warning before the training. By *token*, the byte-pair bigram looks far worse than that of characters; by *character*
# it is better. Tokens are not a unit: convert before you compare.

# %%
from mmcourse.datasets import load_glyphs

glyphs = load_glyphs(quiet=True)
split = glyphs.split()
known = [glyphs.names[i] for i in split.train]
unseen = [glyphs.names[i] for i in [*split.val, *split.test]]
assert (len(glyphs), len(known), len(unseen)) == (1690, 1290, 400)
pieces = BytePairTokenizer.train(known, 600)
letters = CharacterTokenizer.train(known)
print(pieces.tokens("face with rolling eyes"))


def name_pairs(tokenizer, names):
    return shift(tokenizer.encode_batch(names, add_special=True).ids, pad_id=tokenizer.pad_id)


def nats_a_character(model, tokenizer, names):
    """The loss of names a *character*, their ends counted, so that tokenizers can be compared."""
    inputs, targets = name_pairs(tokenizer, names)
    asked = int((targets != IGNORED).sum())
    return mean_loss(model, inputs, targets) * asked / sum(len(name) + 1 for name in names)


counted = {}
for name, tokens in {"characters": letters, "byte pairs": pieces}.items():
    model = Bigram(len(tokens), k=0.1).count(*name_pairs(tokens, known))
    inputs, targets = name_pairs(tokens, unseen)
    counted[name] = mean_loss(model, inputs, targets), nats_a_character(model, tokens, unseen)
a_token, a_character = ({name: pair[which] for name, pair in counted.items()} for which in (0, 1))
lead = {
    "characters, by token": a_token["byte pairs"] - a_token["characters"],
    "byte pairs, by character": a_character["characters"] - a_character["byte pairs"],
}
claim("lead of a bigram in nats", lead, at_least=0.3)

# %%
seed_everything(3)
namer = GPT(GPTConfig(vocabulary_size=len(pieces), context=32, width=64, heads=4, depth=2))
curves = {"names seen in training": [], "unseen names": []}
checkpoints = []


def watch(model):
    curves["names seen in training"].append(nats_a_character(model, pieces, known[:400]))
    curves["unseen names"].append(nats_a_character(model, pieces, unseen))
    return curves["unseen names"][-1]


steps = by_budget(smoke=10, standard=500)
every = by_budget(smoke=5, standard=50)
batches = Batches(*name_pairs(pieces, known), size=64)
names_run = fit(
    namer, loss_of, batches, steps=steps, **settings, evaluate=watch, evaluate_every=every, description="names"
)
namer.eval()
at = [step for step, _ in names_run.evaluations]
figure = viz.curves(
    {name: (at, values) for name, values in curves.items()},
    ylabel="nats a character", baseline={"bigram": a_character["byte pairs"]}, ylim=(1.3, 2.7),
)  # fmt: skip
viz.show(figure, alt="The loss on training names keeps falling, the loss on unseen names turns and rises.")
lowest = min(curves["unseen names"])
on_captions = mean_loss(gpt, val_x, val_y) - mean_loss(gpt, x[:6000], y[:6000])
on_names = curves["unseen names"][-1] - curves["names seen in training"][-1]
claim("gap between unseen and seen, on names minus on captions", on_names - abs(on_captions), at_least=0.4)
assert by_budget(smoke=True, standard=abs(on_captions) < 0.03)
claim("gain over the bigram at best", a_character["byte pairs"] - lowest, at_least=0.0, at_most=0.2)

# %% [markdown]
# **What to see:** on captions, training and validation loss were one. Here they part after a few passes: the model
# begins to learn the names *by heart*, and what it learns about English is little, at best a few hundredths better
# than counting pairs. (Even that is too kind: the best step was picked on these very names.) This model gets no more out of
# 1,290 names; the open project asks whether another one does.
#
# Does it repeat its training text? Give it the first half of a name, and let it go on, greedily.

# %%
finished, count = [], by_budget(smoke=10, standard=200)
for name in [*known[:count], *unseen[:count]]:
    ids = pieces.encode(name, add_special=True)
    half = torch.tensor([ids[: 1 + len(ids) // 2]])
    done = decoding.greedy(namer.stepper(), half, max_length=31, stop_id=pieces.eos_id, pad_id=pieces.pad_id)
    finished.append(done.tokens[0].tolist() == ids)
gain = (sum(finished[:count]) - sum(finished[count:])) / count
claim("share of training names known by heart, minus unseen", gain, at_least=0.05)

# %% [markdown]
# That difference is *memory*, not skill. Large models do the same with texts that
# come often (Carlini et al., 2023), which matters for privacy and for copyright. A validation set is the cheapest
# detector.
#
# ## 12 · At scale
#
# A forward and backward pass costs about $6ND$ operations,
# for $N$ parameters and $D$ tokens (Kaplan et al., 2020).

# %%
systems = {  # parameters, training tokens
    "this chapter": (112_128, 2000 * 64 * exact.tokens_per_caption),
    "GPT-3 (2020)": (175e9, 300e9),
    "Chinchilla (2022)": (70e9, 1.4e12),
    "Llama 2 70B (2023)": (70e9, 2.0e12),
    "Llama 3.1 405B (2024)": (405e9, 15.6e12),
}
for name, (N, D) in systems.items():
    print(f"{name:22} N = {N:8.3g}   D = {D:8.3g}   tokens a parameter {D / N:5.0f}   operations {6 * N * D:.1e}")
hours = 1_720_320  # on A100 cards, as the authors of Llama 2 report for 70B
assert round(6 * 70e9 * 2.0e12 / (hours * 3600 * 312e12), 2) == 0.43
print("Llama 2 70B used 43 percent of what its cards could do")
assert [round(D / N) for N, D in systems.values()] == [9, 2, 20, 29, 39]
assert round(30.84e6 * 2 / 1e6) == 62  # million dollars

# %% [markdown]
# GPT-3 saw fewer than 2 tokens a parameter. Hoffmann et al. (2022,
# *Chinchilla*) found that for a given cost about 20 are best. Later models see more (29 and 39 in the table), and small ones
# far more, since a small model that is trained for longer is cheaper to *use*. Ours saw 9, and section 6 showed what more of them bought.
#
# GPT-2 (2019) had 1.5 billion parameters and 40 GB of text. By its model card, Llama 3.1 405B took 30.8 million hours
# on H100 cards; at two dollars an hour (an assumed price), that is about 60 million dollars, for one run.
#
# | Idea | Source |
# |---|---|
# | Loss falls as a power of size, data and cost | Kaplan et al., 2020; Hoffmann et al., 2022 |
# | Data parallel: every card has the model, gradients are averaged | Li et al., *PyTorch Distributed*, 2020 |
# | Tensor parallel: heads and hidden units are cut among cards | Shoeybi et al., *Megatron-LM*, 2019 |
# | Shard weights, gradients and optimizer state | Rajbhandari et al., *ZeRO*, 2020 |
# | Serve many users: cut the cache into pages | Kwon et al., *PagedAttention*, 2023 |
#
# **One GPU** changes nothing in this code: `fit` takes model and batches there, computes in half precision, and brings the
# model back.
# Take larger batches, or the card waits. **On many**, each gets its share of the batch; chapter 15 does it.
#
# ## 13 · Open project
#
# Write a language model for a text of your own: recipes, song titles, commit messages, Chinese poems.
#
# 1. Which tokenizer? Compare characters and byte pairs in nats a *character*.
# 2. Where does the validation loss turn? Try dropout, fewer channels, more text. Which helps most?
# 3. How much does it know by heart? Extend the test of section 11.
# 4. Or stay with the captions: which change closes the gap fastest: width, depth, batch, the spread of the first
#    embeddings? One figure, gap against seconds.
#
# A good report has one figure a question, a baseline in every figure, and one thing that did not work.
#
# ## 14 · Check yourself

# %%
quiz(
    Question(
        "Your model's loss per token falls from 2.1 to 1.6 when you double the vocabulary of byte pairs. What follows?",
        ("It is better: fewer tokens, and less surprise at each.", "It is worse.", "Nothing: the unit changed."),
        0,
        "A larger vocabulary cuts a text into fewer tokens, so the sum falls as well. Had the loss per token risen, only a "
        "count of nats a character could tell.",
    ),
    Question(
        "Which knob at its extreme makes sampling equal to greedy decoding?",
        ("top_p = 1", "top_k = 1", "temperature = 1"),
        1,
        "With a single candidate there is nothing left to draw. A temperature near 0 does the same.",
    ),
    Question(
        "What does a key–value cache change in the text that is written?",
        ("Nothing.", "It is shorter.", "It is less exact."),
        0,
        "In a causal model the keys and values of earlier tokens do not depend on later ones.",
    ),
    Question(
        "The training loss of a GPT with tied weights falls to 0.01 within 100 steps. Your first suspect?",
        ("a learning rate that is too high", "targets that are not shifted", "too small a vocabulary"),
        1,
        "It is asked for the token it holds, which the tied table gives for free.",
    ),
    Question(
        "Why can a masked language model not give the probability of a text?",
        (
            "It has no softmax.",
            "Its answers, one for each hole, are no chain: they do not multiply to one distribution.",
            "It is too small.",
        ),
        1,
        "The chain rule needs each token given the earlier ones alone.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A language model multiplies chances along the text; its loss is the surprise a token, and on fresh text it cannot be
#   expected to fall below the entropy.
# - Byte-pair encoding merges frequent neighbors. Nothing is unknown, and frequent words cost one token.
# - Unigram 3.55, bigram 1.84, GPT below 1.03 times 1.3702; longer training within one percent. The rest was rules,
#   not luck.
# - A second fall in the loss was a skill: to look back and copy.
# - Search finds the probable, dice the various. Filters cut the tail; no knob makes a text true.
# - A cache changes the cost, not the result.
# - One flag parts GPT from BERT: one writes and scores texts, the other reads both sides.
# - Below the floor? Look for unshifted targets, counted padding, another unit, an easy sample, a leak.
# - On little real text a model learns by heart. Only unseen text tells.
#
# **Next: 04 · Pictures to features**, the other half of the map.
#
# ## References
#
# - Shannon, *A mathematical theory of communication*, Bell System Technical Journal, 1948.
# - Sennrich, Haddow, Birch, *Neural machine translation of rare words with subword units*, ACL 2016.
# - Press, Wolf, *Using the output embedding to improve language models*, EACL 2017.
# - Radford, Wu, Child, Luan, Amodei, Sutskever, *Language models are unsupervised multitask learners*, 2019.
# - Devlin, Chang, Lee, Toutanova, *BERT: Pre-training of deep bidirectional transformers for language understanding*,
#   NAACL 2019.
# - Fan, Lewis, Dauphin, *Hierarchical neural story generation*, ACL 2018.
# - Holtzman, Buys, Du, Forbes, Choi, *The curious case of neural text degeneration*, ICLR 2020.
# - Brown et al., *Language models are few-shot learners*, NeurIPS 2020.
# - Kaplan et al., *Scaling laws for neural language models*, 2020.
# - Hoffmann et al., *Training compute-optimal large language models*, NeurIPS 2022.
# - Touvron et al., *Llama 2: Open foundation and fine-tuned chat models*, 2023; Grattafiori et al., *The Llama 3 herd
#   of models*, 2024.
# - Carlini, Ippolito, Jagielski, Lee, Tramèr, Zhang, *Quantifying memorization across neural language models*,
#   ICLR 2023.
# - Li et al., *PyTorch Distributed: Experiences on accelerating data parallel training*, VLDB 2020.
# - Shoeybi et al., *Megatron-LM: Training multi-billion parameter language models using model parallelism*, 2019.
# - Rajbhandari, Rasley, Ruwase, He, *ZeRO: Memory optimizations toward training trillion parameter models*, SC 2020.
# - Kwon et al., *Efficient memory management for large language model serving with PagedAttention*, SOSP 2023.
# - Olsson et al., *In-context learning and induction heads*, 2022.
