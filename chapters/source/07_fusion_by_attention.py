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
# # 07 · Fusion by attention
#
# Chapter 06 squeezed a picture into one vector and a sentence into another. That works until somebody asks *where*. Now
# every word looks into the picture by itself.
#
# **After this chapter you can**
#
# - write cross-attention between words and patches, in both directions and in both at once;
# - show why pooled features cannot answer a question about a relation, and train a model that can;
# - name three conditions under which it learns quickly, and take each of them away;
# - score an attention map against the true object, and say what such a map does not prove.
#
# **You need** chapters 01 (attention) and 06 (fusion by MLP). **Time**: about 75 minutes to read, 2 minutes to run, 70
# minutes for the exercises.
#
# ```text
#   text  ──►  language model ── words ───┐
#                                         ├──►  fusion by attention  ──►  captions, answers, search, pictures
#   image ──►  vision model  ── patches ──┘         ▲
#                                                   └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import csv
import dataclasses
import math
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse import viz
from mmcourse.attention import MultiHeadAttention, padding_mask, record, sinusoidal_positions, sinusoidal_positions_2d
from mmcourse.content import content_dir
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import POSITIONS, lexicon, load_photos, make_scenes, questions
from mmcourse.encoders.pretrained import imagenet_labels, load_image_encoder, load_text_encoder
from mmcourse.fusion import CrossAttentionFusion, Views, by_direction
from mmcourse.models import MultiModalConfig, MultiModalModel
from mmcourse.recipes import load_trained
from mmcourse.runtime import by_budget, seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Batches, fit
from mmcourse.transformer import Block

generator = open_chapter(7)

# %% [markdown]
# ## 1 · A question with a picture
#
# *Is the hammer left of the pencil?* Look at the scene and at its mirror image: one answer is yes, the other no.
#
# Chapter 06 saw with one vector: of each channel the largest value anywhere in the picture. The mean over all places is
# the other usual way. Try both with a network that describes each of 8 × 8 patches by 64 numbers. It was trained to say
# which object lies in each patch (`mmcourse train patches`), so its numbers tell *what* is there. The second cell compares
# each scene with its mirror image and with another scene, after what all have in common was taken away.

# %%
encoder = load_trained("patches").model
few = make_scenes(by_budget(smoke=40, standard=400), split="val", masks=True)
with torch.no_grad():
    seen, mirrored = encoder.tokens(few.images), encoder.tokens(few.images.flip(-1))  # (N, P, 64)
viz.show(
    viz.gallery([few.images[2], few.images[2].flip(-1)], ["hammer left? yes", "in the mirror: no"], columns=2),
    alt="A scene with a hammer on the left, a pencil on the right and a handbag below, and its mirror image.",
)

# %%
same, other = {}, {}
for how, pool in {"mean": torch.mean, "maximum": torch.amax}.items():
    scenes, mirrors = pool(seen, dim=1), pool(mirrored, dim=1)  # (N, P, 64) -> (N, 64)
    shared = scenes.mean(dim=0)  # what all scenes have in common, above all the empty patches
    same[how] = F.cosine_similarity(scenes - shared, mirrors - shared).mean().item()
    other[how] = F.cosine_similarity(scenes - shared, scenes.roll(1, dims=0) - shared).mean().item()
claim("likeness of a scene and its mirror, pooled", same, at_least=0.88)
assert max(other.values()) <= 0.2  # a scene and another one

# %% [markdown]
# Pooled, a scene and its mirror are nearly the same vector; two different scenes have little in common. An MLP that
# comes after has next to nothing to tell them apart by, and must give them different answers (section 8 trains one).
# Mean and maximum keep *what* and throw away nearly all of *where*.
#
# The cure is to pool later. Let the word "hammer" look for its patch, bring back what it finds, and let "pencil" do the
# same. Then compare.
#
# ## 2 · The ladder: two words, four patches
#
# A picture of 2 × 2 patches: a cat at the top left, a dog at the bottom right. Each patch is four numbers: how much cat,
# how much dog, its row, its column.
#
# **Step 1, one word, with a loop.** The word asks: its query is compared with the key of each patch. The patch answers
# with its value, here its row and column.

# %%
top = [[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]  # the cat, nothing
bottom = [[0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 1.0, 1.0]]  # nothing, the dog
patches = torch.tensor(top + bottom)
words = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])  # "cat" and "dog", in the same language

# %%
exponentials = []
for patch in patches:
    score = sum(a * b for a, b in zip(words[0].tolist(), patch.tolist(), strict=True)) / math.sqrt(4)
    exponentials.append(math.exp(score))
weights = [value / sum(exponentials) for value in exponentials]
place = [sum(w * patch[axis].item() for w, patch in zip(weights, patches, strict=True)) for axis in (2, 3)]
print("weights", [round(w, 2) for w in weights], "row and column", [round(p, 2) for p in place])
assert [round(value, 2) for value in weights + place] == [0.71, 0.1, 0.1, 0.1, 0.19, 0.19]

# %% [markdown]
# The cat's patch gets 0.71 of the attention, and the word comes back with the place (0.19, 0.19): near the top left
# corner, which is (0, 0).
#
# **Step 2, all words, as matrices.** Two products replace the loops, as in chapter 01. The only news: queries come from
# one modality, keys and values from the other.


# %%
def ask(words, patches, values):
    weights = (words @ patches.mT / patches.shape[-1] ** 0.5).softmax(dim=-1)  # (T, P): each word shares out 1
    return weights @ values, weights  # (T, P) @ (P, E) -> (T, E)


places, weights = ask(words, patches, patches[:, 2:])
print(places.numpy().round(2))
torch.testing.assert_close(places, torch.tensor([[0.19, 0.19], [0.81, 0.81]]), atol=0.005, rtol=0)

# %% [markdown]
# The dog is at (0.81, 0.81). Now *"is the cat left of the dog?"* compares two numbers, $0.19 < 0.81$: yes. A small MLP
# can do that. In general:
#
# $$Q=X_T\,W_Q,\quad K=X_I\,W_K,\quad V=X_I\,W_V,\qquad O=\mathrm{MLP}\Big(\operatorname{softmax}\!\big(QK^\top/\sqrt d\big)\,V\Big)$$
#
# with words $X_T\in\mathbb R^{T\times C}$ and patches $X_I\in\mathbb R^{P\times C}$. **Where the usual account is loose:**
# you often read $O=\mathrm{MLP}(\mathrm{Attention}(\text{image},\text{text}))$. That leaves open who asks, although the two
# readings have outputs of different shape, $T$ rows or $P$ rows. And it hides that what comes back is a mixture of
# *patches*: the word itself is lost, unless a residual path adds it again.
#
# ### ✏️ Exercise 1 · Words ask patches ★
#
# *Goal: give queries, keys and values to the right modality. About 8 minutes.*
#
# Words (B, T, C) ask patches (B, P, C). The three maps have shape (C, D). Return the output (B, T, D) and the weights
# (B, T, P).


# %% tags=["exercise"] id="07-words-ask-patches"
def words_ask_patches(words, patches, w_query, w_key, w_value):
    """Cross-attention of words over patches: the output (B, T, D) and the weights (B, T, P)."""
    ### BEGIN SOLUTION
    q, k, v = words @ w_query, patches @ w_key, patches @ w_value
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)  # (B, T, P)
    return weights @ v, weights
    ### END SOLUTION


# %% tags=["check"]
check("07-words-ask-patches", words_ask_patches)

# %% [markdown]
# ## 3 · The other way round, and both at once
#
# Patches can ask words, too: *which of these words is about me?* Queries from patches, keys and values from words; the
# output has one row for each patch. A patch of the cat would take up "cat", and with it whatever the sentence says
# about the cat.
#
# One thing changes. Sentences of a batch are filled up with padding. When words ask, padding asks nonsense, and nobody
# reads its answer as long as the pooling leaves it out (section 13). When words *are asked*, every patch would read the
# padding. It needs a mask.
#
# ### ✏️ Exercise 2 · Nobody asks the padding ★★
#
# *Goal: give padded words exactly no influence. About 10 minutes.*
#
# `q` (B, P, D) comes from patches, `k` (B, T, D) and `v` (B, T, E) from words. Sentence b has `lengths[b]` words, the
# rest is padding. A sentence without any word gives zeros.


# %% tags=["exercise"] id="07-padded-words"
def patches_ask_words(q, k, v, lengths):
    """Cross-attention over real words alone: (B, P, D), (B, T, D), (B, T, E), (B,) -> (B, P, E)."""
    ### BEGIN SOLUTION
    real = (torch.arange(k.shape[1]) < lengths[:, None])[:, None]  # (B, 1, T)
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~real, -1e9)
    return scores.softmax(dim=-1).masked_fill(~real, 0.0) @ v
    ### END SOLUTION


# %% tags=["check"]
check("07-padded-words", patches_ask_words)

# %% [markdown]
# Or let both sides ask in the same layer:
#
# - **co-attention**（协同注意力）: cross-attention in both directions at once, words asking patches while patches ask words.
#
# Both ask what the other side was *before* the layer. If the words went first, the patches would ask words that already
# contain patches, and the result would depend on the order.
#
# ### ✏️ Exercise 3 · Both ask at once ★★
#
# *Goal: update words and patches from what both were before. About 8 minutes.*
#
# `words_ask` and `patches_ask` are attentions: functions of (who asks, who is asked). Each side keeps what it was and
# adds what it found. Return the new words and the new patches.


# %% tags=["exercise"] id="07-co-attention"
def co_attend(words, patches, words_ask, patches_ask):
    """One co-attention step with residual paths: (B, T, C), (B, P, C) -> the same shapes."""
    ### BEGIN SOLUTION
    found_by_words, found_by_patches = words_ask(words, patches), patches_ask(patches, words)
    return words + found_by_words, patches + found_by_patches
    ### END SOLUTION


# %% tags=["check"]
check("07-co-attention", co_attend)

# %% [markdown]
# ## 4 · Parity: the same numbers three times
#
# Cross-attention by hand, in the course's `MultiHeadAttention`, and in PyTorch's `nn.MultiheadAttention`, with the same
# weights, four heads and padded words: outputs and gradients must agree. Here the patches ask, so that the mask
# matters.

# %%
theirs = nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.float64)
ours = MultiHeadAttention.from_torch(theirs)
asking = torch.randn(2, 9, 16, generator=generator, dtype=torch.float64)  # patches
asked = torch.randn(2, 5, 16, generator=generator, dtype=torch.float64)  # words
real = padding_mask([3, 5])  # (B, T), True where there is a word


def by_hand(x, context):
    parts = (ours.query, x), (ours.key, context), (ours.value, context)
    q, k, v = (linear(each).unflatten(-1, (4, 4)).transpose(1, 2) for linear, each in parts)  # (B, H, T or P, 4)
    scores = (q @ k.mT / 4**0.5).masked_fill(~real[:, None, None], -1e9)
    return ours.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


# %%
def output_and_gradients(function):
    """What a function of (asking, asked) gives, and the gradients of its squared output for both."""
    tensors = [asking.clone().requires_grad_(), asked.clone().requires_grad_()]
    output = function(*tensors)
    return [output.detach(), *torch.autograd.grad(output.square().sum(), tensors)]


reference = output_and_gradients(lambda x, c: theirs(x, c, c, key_padding_mask=~real, need_weights=False)[0])
others = {"by hand": by_hand, "mmcourse": lambda x, c: ours(x, c, mask=real[:, None, None])}
apart = {}
for name, function in others.items():
    pairs = zip(output_and_gradients(function), reference, strict=True)
    apart[name] = max((a - b).abs().max() for a, b in pairs)
claim("difference to PyTorch, output and gradients", apart, at_most=1e-12)

# %% [markdown]
# Note the tilde: PyTorch's `key_padding_mask` is True where a word is *not* to be read, as chapter 01 warned.
#
# **The whole fusion.** `mmcourse.fusion` wraps this into $O=\mathrm{MLP}(\mathrm{Attention})$: normalize both sides,
# let the words ask, let each word think (a feed-forward network), keep in each channel the largest value that a word
# has found, and apply an MLP. By hand:

# %%
fusion = CrossAttentionFusion(16, 16, 16, heads=4).double().eval()
views = Views(image_tokens=asking, text_tokens=asked, text_mask=real)
layer = fusion.layers[0]["text"]
x, context = fusion.norms["text"](asked), fusion.norms["image"](asking)
x = x + layer.attention(layer.norm(x), layer.context_norm(context))  # words ask patches
x = x + layer.feed_forward(layer.feed_forward_norm(x))  # each word thinks
strongest = x.masked_fill(~real[:, :, None], -torch.inf).amax(dim=1)  # (B, T, C) -> (B, C), real words alone
torch.testing.assert_close(fusion.mlp(strongest), fusion(views), rtol=0, atol=1e-12)

# %% [markdown]
# From here on you use the library. `CoAttentionFusion` has the same parts twice, one set for each direction.
#
# ## 5 · A derivation: attention does not know left from right
#
# Move the patches around with any permutation matrix $\Pi$: $X_I' = \Pi X_I$. Then $K'=\Pi K$, $V'=\Pi V$, and
#
# $$\begin{aligned}
# QK'^\top &= QK^\top\Pi^\top && \text{the columns of the scores move along}\\
# \operatorname{softmax}(QK^\top\Pi^\top) &= \operatorname{softmax}(QK^\top)\,\Pi^\top && \text{softmax of a row ignores the order in it}\\
# \operatorname{softmax}(QK^\top)\,\Pi^\top\,\Pi V &= \operatorname{softmax}(QK^\top)\,V && \Pi^\top\Pi = 1
# \end{aligned}$$
#
# The weights move with the patches; the output does not move at all. Words that ask are *blind* to where a patch is.
# For a question about places, attention alone is no better than the mean in section 1.

# %%
order = torch.randperm(9, generator=generator)
moved = views._replace(image_tokens=asking[:, order])
before, after = record(fusion, views), record(fusion, moved)
weights, moved_weights = (by_direction(each.maps)["text_to_image"][0] for each in (before, after))  # (B, H, T, P)
change = {"output": before.output - after.output, "weights": weights[..., order] - moved_weights}
claim("largest change", {name: each.abs().max() for name, each in change.items()}, at_most=1e-12)

# %% [markdown]
# So the place must be written into the patches, by hand as two extra numbers. In general one adds a signal, as in
# chapter 01, but in two dimensions: half of the channels wave along the rows, half along the columns.
#
# ### ✏️ Exercise 4 · Where a patch is ★★
#
# *Goal: tell every patch its row and its column. About 10 minutes.*
#
# `sinusoidal_positions(length, width)` from chapter 01 is imported above. Build (rows · columns, width), in reading
# order: the first half of the channels tells the row, the second half the column.


# %% tags=["exercise"] id="07-positions-2d"
def positions_2d(rows, columns, width):
    """A position signal for patches in reading order: (rows · columns, width)."""
    ### BEGIN SOLUTION
    down = sinusoidal_positions(rows, width // 2).repeat_interleave(columns, dim=0)  # 0 0 0 1 1 1
    across = sinusoidal_positions(columns, width // 2).repeat(rows, 1)  # 0 1 2 0 1 2
    return torch.cat((down, across), dim=-1)
    ### END SOLUTION


# %% tags=["check"]
check("07-positions-2d", positions_2d)

# %% [markdown]
# **How large must the signal be?** (In section 9 this is the second of three conditions.) A patch token here has
# variance 1 in each channel. A learned table usually starts at 0.02: two neighbors then differ by next to nothing
# beside their contents. The sine signal is of real size from the first step. Compare the two: how far is a patch from
# its right neighbor because of its place, measured against the length of the token?

# %%
signal = sinusoidal_positions_2d(8, 8, 64)
table = 0.02 * torch.randn(64, 64, generator=generator)
for name, positions in {"learned, 0.02": table, "sine, size 1": signal, "sine, size 2": 2 * signal}.items():
    apart[name] = ((positions[1] - positions[0]).norm() / 64**0.5).item()
    print(f"{name:14} {apart[name]:.2f} of the length of a token")
assert apart["learned, 0.02"] <= 0.04
assert apart["sine, size 2"] >= 0.25

# %% [markdown]
# The small table moves a patch by three hundredths of its length, the sine of size 2 by nearly a third: a whisper against
# a voice. Section 9 shows what becomes of a reader that hears only a whisper.
#
# ## 6 · The world and its questions
#
# Scenes hold one to three objects. To three kinds of the course's questions comes one of this chapter, *side*:
#
# | kind | question | answers | needs |
# |---|---|---|---|
# | exists | is there a cat? | yes, no | what |
# | where | where is the cat? | nine places | what and where |
# | side | is the cat left of the center? | yes, no | what, where, which side is asked |
# | relation | is the cat left of the dog? | yes, no | two of each, and who was named first |
#
# Yes and no come in pairs, so whoever reads only the words is right half of the time.
#
# The split *val* draws the curves, *test* gives the figures. A fourth is special:
#
# **compositional split**（组合划分）: test data made of known parts in combinations that never occur in training.
#
# Some pairs of nouns never share a training picture, some nouns never stand on some backgrounds; every scene of this
# split breaks one of the two rules, one scene in four the first. (The column *new pairs* below counts all relation
# questions of these scenes; about one in four is about two nouns that never met.) The encoder is frozen, so each
# picture becomes its 64 patch tokens once.


# %%
class Asked(NamedTuple):
    """Questions of one kind: which scene each is about, its text and its answer."""

    scene: list[int]
    text: list[str]
    answer: list[str]


def side_questions(scene):
    """Text and answer for every lone object beside the middle: yes and no in equal number."""
    for thing in scene.objects:
        for offset, sides in ((thing.column - 1, ("left of", "right of")), (thing.row - 1, ("above", "below"))):
            if offset != 0 and scene.count(thing.noun) == 1:
                for side in sides:
                    yield f"is the {thing.noun} {side} the center?", "yes" if side == sides[offset > 0] else "no"


KINDS = ("exists", "where", "side", "relation")


def collect(scenes):
    found = {kind: Asked([], [], []) for kind in KINDS}
    for index, scene in enumerate(scenes):
        known = [(q.kind, q.text, q.answer) for q in questions(scene) if q.kind in KINDS]
        for kind, text, answer in known + [("side", *pair) for pair in side_questions(scene)]:
            for column, value in zip(found[kind], (index, text, answer), strict=True):
                column.append(value)
    return found


# %%
small, large = by_budget(smoke=60, standard=300), by_budget(smoke=60, standard=1000)
sizes = {"train": by_budget(smoke=300, standard=5000), "val": small, "test": large, "compositional": large}
batches = {split: make_scenes(size, split=split, masks=split == "test") for split, size in sizes.items()}
with torch.no_grad():
    tokens = {name: torch.cat([encoder.tokens(x) for x in batch.images.split(250)]) for name, batch in batches.items()}
asked = {split: collect(batch.scenes) for split, batch in batches.items()}
test = batches["test"]
print(asked["train"]["relation"].text[0], asked["test"]["relation"].text[0])

# %% [markdown]
# **The reader.** A `MultiModalModel` from chapter 06, with other parts: the image encoder takes the tokens as they are
# (`"features"`), the text encoder is an embedding plus word positions and nothing else (a transformer of depth 0), and
# the fusion is cross-attention, twice: words ask each other, ask the patches, think; then again.
#
# Words that every question has, such as *is* and *the*, are left out: a short question makes a short training.


# %%
def keywords(text):
    """A question without the words that all questions share: "cat left dog", "where cat"."""
    return " ".join(word for word in text.strip("?").split() if word not in ("is", "the", "a", "of"))


texts = [keywords(text) for kind in asked["train"].values() for text in kind.text]
tokenizer = WordTokenizer.train([*texts, *(noun.name for noun in lexicon())])
labels = ["no", "yes", *POSITIONS]

# %%
ATTENTION = {"heads": 1, "depth": 2, "self_attention": True, "grid": (8, 8)}


def make_reader(*, aligned=True, positions="sine", position_size=2.0, seed=0):
    seed_everything(seed)
    options = {**ATTENTION, "identity_start": aligned, "positions": positions, "position_size": position_size}
    config = MultiModalConfig(
        labels=labels, image="features", image_options={"width": 64}, text="transformer",
        text_options={"width": 64, "depth": 0}, fusion="cross_attention", width=64, fusion_options=options,
    )  # fmt: skip
    reader = MultiModalModel(config, tokenizer)
    if aligned:
        align(reader)
    return reader


# %% [markdown]
# ## 7 · First condition: align before you fuse
#
# - **alignment**（对齐）: bringing words and pictures into one space, where a word lies near what it names.
#
# The patch encoder ends in a linear layer with one vector for each noun: the logit of "cat" is the dot product of a
# patch with the cat vector: the picture side's own word for a cat. So let the text side begin with it: the embedding of
# each noun *is* its class vector. And let the projections of queries and keys begin as the identity, so that the first
# scores are plain dot products between words and patches.
#
# ### ✏️ Exercise 5 · Like attends to like ★
#
# *Goal: start queries and keys so that their scores are plain dot products of the tokens. About 5 minutes.*
#
# Return two `nn.Linear(width, width)` layers, one for queries and one for keys, that hand on what they get. Both must
# be able to learn from there.


# %% tags=["exercise"] id="07-identity-start"
def identity_start(width):
    """A query and a key projection that begin as the identity."""
    ### BEGIN SOLUTION
    query, key = nn.Linear(width, width), nn.Linear(width, width)
    for linear in (query, key):
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    return query, key
    ### END SOLUTION


# %% tags=["check"]
check("07-identity-start", identity_start)

# %% [markdown]
# The library's option `identity_start` does this. `align` copies the noun vectors, and lets values and outputs begin as
# the identity, too, so that the place which a word looks up arrives in full size.
#
# **Why it matters, in one line.** Tokens have 64 channels of variance 1, so their length is $\sqrt{64}=8$. A word and a
# patch at an angle with cosine $c$ have the score $64c/\sqrt{64}=8c$. Random directions in 64 dimensions have
# $c\approx\pm\frac18$: scores around ±1, weights that differ by a few times, and attention spread over all 64 patches.
# A matching pair may reach $c=0.7$: a score of 5.6, and $e^{5.6}\approx 270$.
#
# Before a single step of training, ask both readers where the noun is (second cell). Lit is where the word looks.


# %%
@torch.no_grad()
def align(reader):
    """Nouns begin as the vectors of their classes; what attention finds is handed on unchanged."""
    table = reader.text_encoder.embedding.weight
    for noun, vector in zip(lexicon(), encoder.noun_vectors(), strict=True):
        table[tokenizer.ids[noun.name]] = vector
    for layer in getattr(reader.fusion, "layers", ()):
        for attention in (layer["text"].attention, layer["text"].own_attention):
            for linear in (attention.value, attention.out):
                nn.init.eye_(linear.weight)
                nn.init.zeros_(linear.bias)


# %%
@torch.no_grad()
def look(reader, features, texts, layer=0):
    """Attention of every word of every text in one layer: (N, words, 8, 8)."""
    ids, mask = reader.tokenize([keywords(text) for text in texts])
    looked = record(reader.eval(), features, ids, mask)
    maps = by_direction(looked.maps)["text_to_image"][layer]  # (N, H, T, P)
    return maps.mean(dim=1).unflatten(-1, (8, 8))


def place_of(noun, text):
    """Which token of the text is the noun."""
    return tokenizer.tokens(keywords(text)).index(noun)


assert math.exp(8 * 0.7) > 265
texts = [f"where is the {thing.noun}?" for thing in few.scenes[2].objects]
three = seen[2:3].expand(3, -1, -1)
panels = {}
for name, reader in {"aligned": make_reader(), "not aligned": make_reader(aligned=False)}.items():
    maps = look(reader, three, texts)
    for row, (thing, text) in enumerate(zip(few.scenes[2].objects, texts, strict=True)):
        panels[f"{thing.noun}, {name}"] = maps[row, place_of(thing.noun, text)]
viz.show(
    viz.overlay(few.images[2], torch.stack(list(panels.values())), titles=list(panels), columns=4),
    alt="Six attention maps before training: aligned words light up their objects, the others spread over nearly everything, one with its peak on the wrong object.",
)

# %% [markdown]
# **What to see:** the aligned words find their objects *before training*. The others spread over nearly the whole picture, and where
# one has a peak, it is on the wrong thing (“pencil” lights the hammer). They
# bring back little more than the average of the whole picture. That is why learning waits without alignment: until a
# word looks at its object, no answer depends on it, and until answers depend on it, nothing pulls it there.
#
# - **grounding**（视觉定位）: tying a word to the part of the picture that it speaks of.
# - **pointing game**（指点游戏）: a test of grounding that asks whether the peak of an attention map lies on the true object.
#
# ### ✏️ Exercise 6 · The pointing game ★★
#
# *Goal: score an attention map by whether its peak lies on the object. About 10 minutes.*
#
# Maps are (N, rows, columns), masks bool (N, H, W). A map hits if its largest weight lies in a cell of which the object
# covers at least a quarter. Return the share of hits. `F.adaptive_avg_pool2d` tells how much of each cell is covered.


# %% tags=["exercise"] id="07-pointing-game"
def point(maps, masks):
    """The share of maps whose peak lies on the object: (N, h, w), bool (N, H, W) -> one number."""
    ### BEGIN SOLUTION
    covered = F.adaptive_avg_pool2d(masks.float(), maps.shape[1:]).flatten(1)  # (N, P)
    peak = maps.flatten(1).argmax(dim=1)
    return (covered.gather(1, peak[:, None]) >= 0.25).float().mean()
    ### END SOLUTION


# %% tags=["check"]
check("07-pointing-game", point)

# %% [markdown]
# The peak is one cell. A softer measure asks how much of the whole attention falls on the object's pixels.
#
# ### ✏️ Exercise 7 · Attention mass on the object ★★
#
# *Goal: measure how much of the attention falls on the object's own pixels. About 8 minutes.*
#
# Maps sum to 1. A cell of which the object covers a third contributes a third of its weight. Add up over the cells and
# take the mean over the pictures.


# %% tags=["exercise"] id="07-attention-mass"
def mass(maps, masks):
    """The mean attention on the object's pixels: (N, h, w), bool (N, H, W) -> one number."""
    ### BEGIN SOLUTION
    covered = F.adaptive_avg_pool2d(masks.float(), maps.shape[1:])
    return (maps * covered).sum(dim=(1, 2)).mean()
    ### END SOLUTION


# %% tags=["check"]
check("07-attention-mass", mass)

# %% [markdown]
# ## 8 · The experiment: relations
#
# **The third condition, a mixture.** (The second was a position signal of real size, section 5.) Relation questions alone give no
# foothold: only with both nouns *and* the direction
# is an answer right, and half understood is as bad as not at all. So training starts with *exists*, *where*, *side*. From
# step 250 on, six questions of ten are relations.
#
# `Mixture` draws such batches as a function of the step; with `only` it draws one kind from the start.


# %%
EASY = by_budget(smoke=10, standard=250)  # steps without relations


class Mixture:
    """`batches(step)`: tokens, word ids, mask and answers of 64 questions; every kind is encoded once."""

    def __init__(self, split, *, only=None, size=64):
        self.features, self.only, self.size = tokens[split], only, size
        self.kinds, longest = {}, 3  # "cat left dog"
        for kind, found in asked[split].items():
            ids, mask = tokenizer.encode_batch([keywords(text) for text in found.text])
            room = (0, longest - ids.shape[1])
            answers = torch.tensor([labels.index(answer) for answer in found.answer])
            self.kinds[kind] = (torch.tensor(found.scene), F.pad(ids, room), F.pad(mask, room), answers)

    def rows(self, kind, which):
        scene, ids, mask, answers = (column[which] for column in self.kinds[kind])
        return self.features[scene], ids, mask, answers

    def counts(self, step):
        if self.only is not None:
            return {self.only: self.size}
        if step < EASY:
            return dict.fromkeys(KINDS[:3], self.size // 3)
        return {**dict.fromkeys(KINDS[:3], self.size // 8), "relation": self.size * 5 // 8}

    def __call__(self, step):
        chance = torch.Generator().manual_seed(step)
        parts = []
        for kind, count in self.counts(step).items():
            which = torch.randint(len(self.kinds[kind][0]), (count,), generator=chance)
            parts.append(self.rows(kind, which))
        return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))


# %%
@torch.no_grad()
def accuracy(reader, data, kind, most=3000):
    """The share of questions of a kind that are answered right, on the first `most` of them."""
    features, ids, mask, answers = data.rows(kind, slice(most))
    return (reader.eval()(features, ids, mask).argmax(dim=-1) == answers).float().mean().item()


# %% [markdown]
# **Rivals without attention.** Two readers that put picture and question side by side and hand them to an MLP with two
# hidden layers. Their pictures are standardized, their words keep their order and begin as aligned vectors, like the
# reader's.
#
# - *pooled*: one vector a picture, as in chapter 06; here the mean of all patches, 64 numbers.
# - *flat*: all 64 patches one after the other, 4,096 numbers. It sees everything that attention sees, places included.
#
# All readers hear the same mixture. The reader with attention hears 77,000 questions; each rival hears 192,000.


# %%
class Plain(nn.Module):
    """An MLP over a picture's patches, pooled or laid out flat, and three words."""

    def __init__(self, *, pooled, hidden, seed=0):
        super().__init__()
        seed_everything(seed)
        self.pooled = pooled
        x = self.lay_out(tokens["train"])
        self.register_buffer("mean", x.mean(dim=0))
        self.register_buffer("spread", x.std(dim=0).clamp(min=1e-3))
        self.words = nn.Embedding.from_pretrained(make_reader().text_encoder.embedding.weight.detach(), freeze=False)
        layers = nn.Linear(x.shape[1] + 3 * 64, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        seed_everything(seed)
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, len(labels)))

    def lay_out(self, features):
        return features.mean(dim=1) if self.pooled else features.flatten(1)  # (B, P, C) -> (B, C) or (B, P · C)

    def forward(self, features, ids, mask):
        words = (self.words(ids) * mask[..., None]).flatten(1)  # (B, 3, C) -> (B, 3 · C)
        return self.mlp(torch.cat(((self.lay_out(features) - self.mean) / self.spread, words), dim=1))


# %%
train_mixture, val, tests, new_pairs = map(Mixture, ("train", "val", "test", "compositional"))
STEPS = by_budget(smoke=30, standard=1200, gpu=4000)


def question_loss(reader, batch):
    return F.cross_entropy(reader(*batch[:3]), batch[3])


def train(reader, mixture, name, steps=STEPS, learning_rate=3e-3):
    """Trains a reader and returns the accuracy of every kind of question, measured 16 times on the way."""
    curve = {kind: [] for kind in KINDS}

    def evaluate(reader):
        for kind in KINDS:
            curve[kind].append(accuracy(reader, val, kind, most=300))
        return curve["relation"][-1]

    fit(
        reader, question_loss, mixture, steps=steps, learning_rate=learning_rate, evaluate=evaluate,
        evaluate_every=max(steps // 16, 1), description=name,
    )  # fmt: skip
    reader.eval()
    return curve


# %% [markdown]
# Train the three, and draw the accuracy of each kind of question on the way. Hidden units and learning rates of the
# rivals were chosen on the validation split; *flat* has as many weights as the reader with attention.

# %%
reader, pooled, flat = make_reader(), Plain(pooled=True, hidden=512), Plain(pooled=False, hidden=32)
more = by_budget(smoke=30, standard=3000, gpu=10_000)
curve = train(reader, train_mixture, "cross-attention")
pooled_curve = train(pooled, train_mixture, "pooled", steps=more, learning_rate=1e-3)
flat_curve = train(flat, train_mixture, "flat", steps=more, learning_rate=2e-3)

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 3.2), sharey=True)
drawn = {"cross-attention": (STEPS, curve), "pooled": (more, pooled_curve), "flat": (more, flat_curve)}
for axis, (title, (steps, lines)) in zip(axes, drawn.items(), strict=True):
    xs = [max(steps // 16, 1) * (place + 1) for place in range(len(lines["where"]))]
    viz.curves({kind: (xs, each) for kind, each in lines.items()}, ylabel=None, title=title, ylim=(0, 1.02), ax=axis)
    axis.get_legend().set_visible(axis is axes[0])
axes[0].set_ylabel("accuracy (val)")
viz.show(figure, alt="Accuracy by step: attention learns all four kinds; pooled only exists; flat half of the places.")

# %% [markdown]
# **What to see:** on the left the kinds are learned one after the other: what first, then where and side together; and relations
# climb as soon as they enter at step 250, because only the comparison is left to learn. In the middle, *what* is learned
# and nothing else: places are not in its numbers. On the right it is the other way round: half of the places are right
# soon, which is what naming the place of *any* object gives, whatever was asked (with one to three objects, about one
# question in two). Sides begin to move, and *what* has not begun, and with it relations. (Before step 250 a reader may answer a
# relation with a place, so that curve may be below one half.)

# %%
readers = {"attention": reader, "pooled": pooled, "flat": flat}
table = {name: {kind: accuracy(model, tests, kind) for kind in KINDS} for name, model in readers.items()}
new = {name: accuracy(model, new_pairs, "relation") for name, model in readers.items()}
rows = [[*row.values(), new[name]] for name, row in table.items()]
viz.show(
    viz.heat(rows, rows=list(table), columns=[*KINDS, "new pairs"], title="accuracy (test)"),
    alt="Table of test accuracy: attention near 1 everywhere; pooled high on exists alone; flat half right on places.",
)

# %%
with_attention = table["attention"]
able = {"relations": with_attention["relation"], "new pairs": new["attention"], "places": with_attention["where"]}
claim("attention, test", able, at_least=0.95)
claim("exists, pooled, test", table["pooled"]["exists"], at_least=0.85)
claim("relations, test", {name: table[name]["relation"] for name in ("pooled", "flat")}, at_most=0.6)
claim("places, flat, test (the place of any object: about one half)", table["flat"]["where"], near=0.5, tolerance=0.12)

# %% [markdown]
# The pooled rival can learn: it names what is there. It cannot compare places, as an average has none. *Flat* has
# everything. So give it time. The next table comes from longer runs
# (`data/make_readers.py`, three seeds each): seventeen times as many questions as the reader with attention hears, once
# with as many weights, once with eight times as many.

# %%
with (content_dir("data") / "readers.csv").open(encoding="utf-8", newline="") as file:
    runs = list(csv.DictReader(file))
names = list(dict.fromkeys(run["reader"] for run in runs))
measures = [*KINDS, "new pairs"]
found = {
    name: torch.tensor([[float(run[m]) for m in measures] for run in runs if run["reader"] == name]) for name in names
}
viz.show(
    viz.heat([found[name].mean(dim=0).tolist() for name in names], rows=names, columns=measures,
             title="accuracy (test), mean of three seeds"),
    alt="Table of longer runs: attention near 1 everywhere; flat with eight times the weights 0.9 on relations, with as many 0.76.",
)  # fmt: skip
spread = max((found[name].amax(dim=0) - found[name].amin(dim=0)).max() for name in names)
print(f"between seeds at most {spread:.2f}")

# %%
middle = {name: found[name].mean(dim=0) for name in names}
claim("relations, flat, eight times the weights, mean of three seeds", middle["flat, eight times"][3], at_least=0.85)
lead = {
    "over flat of equal size, relations": (middle["attention"] - middle["flat, equal size"])[3],
    "over the largest flat reader, exists": (middle["attention"] - middle["flat, eight times"])[0],
}
claim("lead of attention", lead, at_least=0.15)

# %% [markdown]
# **What to see:** *flat* can learn relations, and new combinations cost it nothing. To be without places is a wall, as *pooled*
# shows; to be without attention is expensive: after seventeen times as many questions *flat* is right in three of four
# with as many weights, in nine of ten with eight times as many. Its weakest kind is *exists*, which attention learns
# first: it has to learn each noun anew at each of 64 places. A word that attends asks all places the same question.
#
# ## 9 · Take one condition away
#
# An ablation as in chapter 06. Three more readers, each lacking one condition and trained for as many steps:
#
# - *not aligned*: random noun vectors, random projections;
# - *whispered positions*: the same fixed sine signal at a hundredth of its size, 0.02 (between neighbors 0.003 of the
#   length of a token, ten times less than with the learned table of section 5);
# - *relations only*: no easy questions.

# %%
ablated = {"not aligned": make_reader(aligned=False), "whispered": make_reader(position_size=0.02)}
curves = {"all three": curve["relation"]}
for name, model in ablated.items():
    curves[name] = train(model, train_mixture, name)["relation"]
ablated["relations only"] = make_reader()
only_relations = Mixture("train", only="relation")
curves["relations only"] = train(ablated["relations only"], only_relations, "relations only")["relation"]

# %%
lacking = {name: {kind: accuracy(model, tests, kind) for kind in KINDS} for name, model in ablated.items()}
rows = {"all three": table["attention"], **lacking}
xs = [STEPS // 16 * (place + 1) for place in range(len(curves["all three"]))]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
lines = {name: (xs, values) for name, values in curves.items()}
viz.curves(lines, ylabel="relations (val)", baseline={"chance": 0.5}, ylim=(0, 1.02), ax=left)
viz.heat(
    [list(row.values()) for row in rows.values()], rows=list(rows), columns=KINDS, title="accuracy (test)", ax=right
)
viz.show(
    figure,
    alt="Left, relations by step: all three conditions first, unaligned later, the others never. Right, a table of all kinds: "
    "whispered knows what exists and no places; relations only is at chance.",
)
late = {name: sum(values[4:]) / len(values[4:]) for name, values in curves.items()}  # after the easy steps
lead = {name: late["all three"] - late[name] for name in lacking}
claim("relations, mean over the run, lead of all three", lead, at_least=0.03)
claim("relations only, test", lacking["relations only"]["relation"], near=0.5, tolerance=0.05)
claim("exists, whispered, test", lacking["whispered"]["exists"], at_least=0.9)
assert by_budget(smoke=True, standard=lacking["whispered"]["where"] <= 0.3)

# %% [markdown]
# **What to see:** with all three the reader gets there first. Without alignment it wanders in the dark for longer, and
# then is as good. (One seed each.) With
# whispered positions it learns what exists and nothing that needs a place. Without easy questions it does not move from
# chance at all. A late one may arrive in the end: a bad start costs time, and where the time ends, it costs the result.
#
# A warning about such curves. They have a plateau and a cliff, and *when* a run falls off the cliff depends on chance.
# Repeat an ablation with several seeds before you believe its order: change the seed in `make_reader` and see.

# %% [markdown]
# ## 10 · Where do the words look?
#
# Score the maps. For 600 relation questions of the test split, take the first noun of each, its map in both layers, and
# the true mask of its object. Two baselines: a map that points at random, and one that always points at the center.


# %%
def word_maps(reader, layer, word=0, of=0, most=600):
    """Maps of a word (0 the first noun, 1 the relation, 2 the second noun) and masks of the first or second object."""
    found = asked["test"]["relation"]
    texts, scenes = found.text[:most], found.scene[:most]
    nouns = [keywords(text).split()[2 * of] for text in texts]
    maps = look(reader, tokens["test"][scenes], texts, layer)[:, word]
    which = [
        [thing.noun for thing in test.scenes[scene].objects].index(noun)
        for scene, noun in zip(scenes, nouns, strict=True)
    ]
    return maps, test.masks[scenes, which]


def pointing(maps, masks):
    covered = F.adaptive_avg_pool2d(masks.float(), maps.shape[1:]).flatten(1)
    return (covered.gather(1, maps.flatten(1).argmax(dim=1)[:, None])[:, 0] >= 0.25).float()


def mass_inside(maps, masks):
    return (maps * F.adaptive_avg_pool2d(masks.float(), maps.shape[1:])).sum(dim=(1, 2))


# %%
maps, masks = word_maps(reader, 0)
untrained = word_maps(make_reader(aligned=False), 0)[0]
down = (torch.arange(8) - 3.4).square()  # the middle lies between four cells; this points at one of them
center = (-(down[:, None] + down) / 8).flatten().softmax(dim=0).view(1, 8, 8).expand_as(maps)
candidates = {
    "random": torch.rand(maps.shape, generator=generator).flatten(1).softmax(dim=1).view_as(maps),
    "center": center,
    "not aligned, untrained": untrained,
    "aligned, untrained": word_maps(make_reader(), 0)[0],
    "trained, layer 1": maps,
    "trained, layer 2": word_maps(reader, 1)[0],
}
scores = {
    name: (pointing(m, masks).mean().item(), mass_inside(m, masks).mean().item()) for name, m in candidates.items()
}
viz.show(
    viz.heat(list(scores.values()), rows=list(scores), columns=["pointing", "mass inside"]),
    alt="Table of pointing game and attention mass for two baselines, untrained readers and both trained layers.",
)
claim("pointing game, aligned, untrained", scores["aligned, untrained"][0], at_least=0.9)
lead = [a - b for a, b in zip(scores["trained, layer 1"], scores["center"], strict=True)]
claim("lead of trained layer 1 over the center", dict(zip(("pointing", "mass"), lead, strict=True)), at_least=0.2)

# %% [markdown]
# **What to see:** the trained first layer points at the named object far more often than both baselines. But the best
# map is that of the aligned reader *before* training, which cannot answer anything yet. Training asks for right
# answers, not for tidy maps, and is free to trade one for the other.
#
# Look at some questions. Left the scene, then where the first and the second noun look in layer 1.


# %%
def lit(image, weights):
    """A picture (3, H, W) from 0 to 1, lit where the weights (rows, columns) are large."""
    return image * (0.15 + 0.85 * F.interpolate((weights / weights.max())[None, None], size=image.shape[1:])[0])


found = asked["test"]["relation"]
numbers = [by_budget(smoke=n % 20, standard=n) for n in (5, 160, 333)]
panels, captions = [], []
for number in numbers:
    scene, text = found.scene[number], found.text[number]
    image, (first, _, second) = test.images[scene].float() / 255, keywords(text).split()
    seen = look(reader, tokens["test"][[scene]], [text])[0]  # (words, 8, 8): first noun, relation, second noun
    panels += [image, lit(image, seen[0]), lit(image, seen[2])]
    captions += [text, first, second]
viz.show(
    viz.gallery(panels, captions, columns=3),
    alt="Three relation questions with their scenes; beside each, the patches that the first and the second noun look at.",
)

# %% [markdown]
# **What to see:** mostly a noun lights its own object, whatever else is there, at times with a blur around it. The
# words bring back the places, and what comes after compares them.
#
# ## 11 · Where attention misleads
#
# Such maps convince. Check three ways in which they fool you.
#
# **Check 1: nothing is there.** Ask "is there a …?" for things that are not in the picture. Softmax always hands out
# all of its weight: the map must point *somewhere*.

# %%
found = asked["test"]["exists"]
absent = [row for row, answer in enumerate(found.answer) if answer == "no"][:300]
present = [row for row, answer in enumerate(found.answer) if answer == "yes"][:300]


def peaks(rows):
    texts = [found.text[row] for row in rows]
    maps = look(reader, tokens["test"][[found.scene[row] for row in rows]], texts)
    return torch.stack([maps[i, place_of(text.split()[3].strip("?"), text)] for i, text in enumerate(texts)])


absent_maps, present_maps = peaks(absent), peaks(present)
torch.testing.assert_close(absent_maps.sum(dim=(1, 2)), torch.ones(len(absent)), atol=1e-4, rtol=0)
highest = present_maps.amax(dim=(1, 2)).mean() - absent_maps.amax(dim=(1, 2)).mean()
claim("largest weight, thing present − thing absent", highest, at_least=0.1)

# %% [markdown]
# The weights of an absent thing are lower, but they add up to the same 1. Scaled so that the peak is bright, as
# pictures in papers are, such a map looks like a find. Look at the numbers behind the colors, or at the answer.
#
# **Check 2: switch a map off.** If the map of a layer explains the answer, then flattening it must change the answer.
# Replace, in one layer, every patch by the mean of all patches: whatever the weights are, each word then gets the same
# average.
#
# **Check 3: right answer, wrong place.** Among the questions whose first noun points *beside* its object, how many are
# answered right all the same? And where it points well, how many are wrong?


# %%
def flattened(reader, layer, kind="relation"):
    """Accuracy when the words of one layer find the mean of all patches, wherever they look."""

    def blur(module, inputs):
        x, context = inputs
        return x, context.mean(dim=1, keepdim=True).expand_as(context)

    with reader.fusion.layers[layer]["text"].attention.register_forward_pre_hook(blur):
        return accuracy(reader, tests, kind)


without_map = [flattened(reader, layer) for layer in (0, 1)]
print("the answers hang on layer", 1 + without_map.index(min(without_map)))
claim("accuracy with that layer flat", min(without_map), at_most=0.65)
assert by_budget(smoke=True, standard=table["attention"]["relation"] - max(without_map) <= 0.15)  # the other layer

# %%
found_rows = torch.arange(len(maps))
features, ids, mask, answers = tests.rows("relation", found_rows)
with torch.no_grad():
    right = (reader(features, ids, mask).argmax(dim=-1) == answers).float()
hit = pointing(maps, masks).bool()
beside_right = right[~hit].mean() if (~hit).any() else torch.tensor(float("nan"))
claim("answers that are right, pointing", {"well": right[hit].mean(), "beside the object": beside_right}, at_least=0.9)

# %% [markdown]
# One of the two layers carries the answers, as the line above says; the map of the other can be wiped out at little cost. A map shows where a
# layer *looked*. Whether the answer used it takes an intervention to find out.
#
# And a map that points well is no condition for a right answer: beside the object, answers are right about as often.
# *The map is right* and *the answer is right* are two measurements; report both.

# %% [markdown] tags=["written"] id="07-what-a-map-proves"
# ### ✏️ Written question · What does the map prove?
#
# A paper shows six heat maps in which the word "tumor" lights up the tumor, and concludes: "The model bases its
# diagnosis on the tumor." Explain in four to six sentences what is missing, and describe three measurements that would
# support or refute the sentence, with a baseline for each.
#
# ### BEGIN SOLUTION
# Six maps are chosen examples, not a measurement; a map shows where one layer reads, not what the answer is based on;
# and tumors may lie where anything would point, for example in the middle. First, score all test pictures with known
# masks by pointing game and mass, beside a random and a center baseline, and the maps for healthy pictures as well.
# Second, intervene: flatten the attention of that layer, or cover the tumor, and see whether the diagnosis changes more
# than when the same amount of attention or area is removed elsewhere. Third, compare the accuracy where the map points
# well with the accuracy where it points beside; if both are equal, pointing does not matter for the answer. Only if the
# maps beat the baselines *and* the interventions change the answer is the sentence supported.
# ### END SOLUTION

# %% [markdown]
# ## 12 · Text helps to see
#
# The sentence can also be a hint: photographs come with a title, a tag, a caption. Does the same classifier see better
# with them?
#
# Take scenes with one object and spoil them: shrink the picture to 13 × 13 pixels and blow it up again. The task is to
# name the object, one of 64 nouns. The sentence tells the group, "something like an animal", of which there are eight
# with eight nouns each.


# %%
def spoil(images):
    """Pictures as a very cheap camera sees them: 13 × 13 pixels."""
    small = F.interpolate(images.float(), size=(13, 13), mode="area")
    return F.interpolate(small, size=(64, 64), mode="bilinear", align_corners=False).to(torch.uint8)


def spoiled_scenes(split, most):
    alone = [index for index, scene in enumerate(batches[split].scenes) if len(scene.objects) == 1][:most]
    pictures = spoil(batches[split].images[alone])
    with torch.no_grad():
        features = torch.cat([encoder.tokens(part) for part in pictures.split(250)])
    return pictures, features, [batches[split].scenes[index].objects[0] for index in alone]


pictures, features, things = spoiled_scenes("train", 1500)
test_pictures, test_features, test_things = spoiled_scenes("test", 300)
viz.show(
    viz.gallery(test_pictures[:6], [thing.group for thing in test_things[:6]], columns=6),
    alt="Six scenes blurred to a few patches of color; above each the group of its object.",
)

# %% [markdown]
# **One classifier, with and without.** Co-attention this time: the words ask the patches which part could be an animal,
# the patches ask the words. Modality dropout from chapter 06 takes the sentence away from three samples in ten, and the
# picture from three others, so that the classifier learns to do without. (A specialist that never had a sentence is
# not in the comparison; it may see better than this classifier does without one.)

# %%
nouns = [noun.name for noun in lexicon()]
groups = sorted({noun.group for noun in lexicon()})
hint_tokenizer = WordTokenizer.train([f"something like a {group}" for group in groups])
seed_everything(3)
helped = MultiModalModel(
    MultiModalConfig(
        labels=nouns, image="features", image_options={"width": 64}, text="transformer", text_options={"width": 64, "depth": 0},
        fusion="co_attention", width=64, modality_dropout=0.3, fusion_options={"heads": 2, "grid": (8, 8)},
    ),
    hint_tokenizer,
)  # fmt: skip
hints, hint_mask = hint_tokenizer.encode_batch([f"something like a {thing.group}" for thing in things])
targets = torch.tensor([nouns.index(thing.noun) for thing in things])
history = fit(
    helped, question_loss, Batches(features, hints, hint_mask, targets, size=64),
    steps=by_budget(smoke=10, standard=400), learning_rate=2e-3, weight_decay=0.1, description="with and without words",
)  # fmt: skip

# %%
truth = [thing.noun for thing in test_things]


def named_right(texts, features=test_features):
    said = helped.predict(features, texts).labels
    return sum(a == b for a, b in zip(said, truth, strict=True)) / len(truth)


true_hints = [f"something like a {thing.group}" for thing in test_things]
wrong_hints = [f"something like a {groups[(groups.index(thing.group) + 3) % 8]}" for thing in test_things]
results = {
    "picture alone": named_right(None),
    "words alone, at best": 1 / 8,  # a group has eight nouns
    "both": named_right(true_hints),
    "both, false hint": named_right(wrong_hints),
}
viz.show(
    viz.bars(results, ylabel="accuracy (test)", highlight="both"),
    alt="Bars of accuracy: picture alone in the middle, words alone one eighth, both highest, both with a false hint about one eighth.",
)
gain, loss = results["both"] - results["picture alone"], results["picture alone"] - results["both, false hint"]
claim("difference in accuracy", {"gain by the sentence": gain, "loss by a false one": loss}, at_least=0.1)

# %% [markdown]
# **What to see:** picture and sentence together are right far more often than the picture alone, and the sentence alone
# could be right once in eight at best. The last bar is the price: a false hint is believed. (Chapter 10 meets a relative
# of this, the language prior.)
#
# ## 13 · A silent failure: the answer depends on the neighbors
#
# A colleague puts the trained reader into service. Asked one question at a time it is as good as in the table. Then she
# answers in batches. Nothing crashes. But *where* questions fail, on some days and not on others, while *exists*
# questions are fine. Here are the same questions, alone and in batches with longer ones.


# %%
@torch.no_grad()
def in_service(kind, longer, forget):
    """Accuracy when every question shares a batch with one that is `longer` words longer."""
    which = torch.arange(min(500, len(tests.kinds[kind][0])))
    features, ids, mask, answers = tests.rows(kind, which)
    length = int(mask.sum(dim=1).max()) + longer
    ids, mask = F.pad(ids, (0, 12))[:, :length], F.pad(mask, (0, 12))[:, :length]
    logits = reader(features, ids) if forget else reader(features, ids, mask)
    return (logits.argmax(dim=-1) == answers).float().mean().item()


extra = [0, 1, 2, 4, 8]
service = {
    "run A, where": (extra, [in_service("where", longer, forget=False) for longer in extra]),
    "run B, where": (extra, [in_service("where", longer, forget=True) for longer in extra]),
    "run B, exists": (extra, [in_service("exists", longer, forget=True) for longer in extra]),
}
viz.show(
    viz.curves(
        service, xlabel="words that the longest question in the batch has more", ylabel="accuracy (test)", markers=True
    ),
    alt="Accuracy against padding: run A stays level, run B falls on where questions and hardly on exists questions.",
)
good = {"run A, eight words of padding": service["run A, where"][1][-1], "run B, none": service["run B, where"][1][0]}
claim("accuracy on where questions", good, at_least=0.9)
assert by_budget(smoke=True, standard=service["run B, where"][1][1] <= 0.6)  # one word of padding

# %% [markdown]
# Same weights, question and picture: another answer, because of *other people's questions* in the batch. Name the cause
# before you read on.
#
# **Diagnosis.** Run B calls `reader(features, ids)` and leaves out the mask. Short questions are filled up with
# `<pad>`. As no mask says so, the padding counts as words: the others attend to it, it asks the patches, and the
# largest value in each channel may be its own. In training the mask was there, so no weight learned to ignore it. And
# “where cat” with one word of padding has three words, as only questions with the answers yes and no have: so run B says
# yes or no. Alone there is no padding. That is why tests with one example pass.
#
# **The test that finds it**, in a second: pad some more. Nothing may change.


# %%
@torch.no_grad()
def padding_moves(answer):
    """How far the logits move when the same questions are padded by three more places."""
    features, ids, mask, _ = tests.rows("exists", torch.arange(20))
    return (answer(features, F.pad(ids, (0, 3)), F.pad(mask, (0, 3))) - answer(features, ids, mask)).abs().max()


assert padding_moves(reader) <= 1e-4  # run A
claim("change of the logits, run B", padding_moves(lambda features, ids, mask: reader(features, ids)), at_least=0.1)

# %% [markdown]
# ## 14 · On real data: words ask a photograph
#
# EfficientNet-Lite0 sees a photograph as 10 × 10 patches of 1,280 numbers. Can a word find its patches there, without
# any training?
#
# By section 7 it can if it speaks the picture's language. EfficientNet's classifier has a vector for each of its 1,000
# classes: those are aligned words. The other try: the word's vector from MiniLM, a network that has read a great deal
# and seen nothing. It has 384 numbers, so it needs a map to 1,280; untrained, this map is random.

# %%
eye, reading = load_image_encoder("efficientnet-lite0"), load_text_encoder("minilm")
eye.preprocess = dataclasses.replace(eye.preprocess, size=320, resize=320)  # 10 × 10 patches instead of 7 × 7
# photograph -> class, word, and a box drawn by hand around it: rows and columns of the 10 × 10 patches
ASKED = {
    "coffee": ("espresso", (0, 6, 2, 8)),
    "astronaut": ("space shuttle", (0, 5, 7, 9)),
    "camera": ("tripod", (4, 10, 4, 8)),
    "rocket": ("missile", (3, 10, 4, 6)),
}
photos = [load_photos()[name].image for name in ASKED]
ready = torch.cat([eye.preprocess(photo[None]) for photo in photos])
with torch.no_grad():
    places = eye.feature_map(ready).flatten(2).mT  # (4, 1280, 10, 10) -> (4, P, 1280)


def ask_photos(queries):
    """Words (4, 1280) ask one photograph each; scores are brought to a spread of 1.5 to make both tries comparable."""
    scores = torch.einsum("nc,npc->np", queries, places)
    return (1.5 * scores / scores.std(dim=1, keepdim=True)).softmax(dim=1).unflatten(1, (10, 10))


# %%
classes = [imagenet_labels().index(word) for word, _ in ASKED.values()]
by_class = ask_photos(eye.network.classifier.weight[classes].detach())
word_vectors = reading.encode([word for word, _ in ASKED.values()])  # (4, 384)
random_maps = torch.randn(100, 384, 1280, generator=generator) / 384**0.5
by_reading = [ask_photos(word_vectors @ random_map) for random_map in random_maps]
boxes = torch.zeros(4, 10, 10)
for box, (_, (top, bottom, left, right)) in zip(boxes, ASKED.values(), strict=True):
    box[top:bottom, left:right] = 1
shown = eye.preprocess.undo(ready).float() / 255
pairs = zip(shown, by_class, by_reading[0], strict=True)
panels = [lit(image, weights) for image, *both in pairs for weights in both]
names = [f"{word}, {how}" for word, _ in ASKED.values() for how in ("class vector", "MiniLM")]
viz.show(
    viz.gallery(panels, names, columns=4),
    alt="Four photographs lit where a word looks: class vectors light up the thing, MiniLM vectors light up anything.",
)

# %% [markdown]
# Count as well. How much of the attention falls into the box, and how much of the picture is the box? For MiniLM, average
# over a hundred random maps.

# %%
area, by_word = boxes.mean(dim=(1, 2)), (by_class * boxes).sum(dim=(1, 2))
by_chance = torch.stack([(maps * boxes).sum(dim=(1, 2)) for maps in by_reading]).mean(dim=0)
for word, *shares in zip(ASKED, area, by_word, by_chance, strict=True):
    print(f"{word:10} area {shares[0]:.2f}   class vector {shares[1]:.1f}   MiniLM, random map {shares[2]:.1f}")
claim("attention inside the box, class vectors, on average", by_word.mean(), at_least=0.75)
assert (by_chance - area).mean().abs() <= 0.15  # MiniLM: hardly more than the area

# %% [markdown]
# **What to see:** class vectors find the shuttle behind the astronaut and the tripod under the camera: cross-attention
# with aligned words grounds on real photographs, without training. MiniLM's vectors know more *about* a tripod than any
# class vector, and light up whatever stands out: knowledge in another language.
#
# But the list of aligned words ends after 1,000 classes. Contrastive pretraining gives *every* word such a vector, from
# pairs of pictures and captions: chapter 08. (Credits and licenses of the photographs are in `load_photos()`; the boxes
# were drawn by eye.)
#
# ## 15 · At scale
#
# | System | How words and picture meet | Size and data, as published |
# |---|---|---|
# | ViLBERT (2019) | co-attention between two streams, 10 to 36 regions | about 3.1 M image–caption pairs, 8 GPUs |
# | LXMERT (2019) | 9 text, 5 object and 5 cross-modality layers, 36 objects | 9.2 M image–sentence pairs |
# | BLIP-2 (2023) | 32 learned queries ask a frozen image encoder (Q-Former) | 188 M parameters in the Q-Former, 129 M images |
# | Flamingo (2022) | gated cross-attention inside a frozen language model | 80 B parameters, 64 visual tokens an image |
#
# Two ideas carry these systems. **Fewer tokens to ask**: instead of hundreds of patches, the language model sees 32 or
# 64 vectors that learned queries have fetched, by the same cross-attention with the queries as parameters. **A gate
# that starts shut**: Flamingo adds $\tanh(\alpha)$ times what the attention finds, with $\alpha=0$ at the start.
#
# **What it costs** (second cell). Let $T$ words and $P$ patches meet. Self-attention over all of them together compares
# $(T+P)^2$ pairs; cross-attention $T\cdot P$. With 32 queries in between, $32P + 32T$.

# %%
block = Block(64, 4).eval()
cross = MultiHeadAttention(64, 4).eval()
gate = nn.Parameter(torch.zeros(()))  # the α of Flamingo
sentence, picture = torch.randn(1, 6, 64, generator=generator), torch.randn(1, 64, 64, generator=generator)
gated = block(sentence + torch.tanh(gate) * cross(sentence, picture))
assert torch.equal(gated, block(sentence))  # at the start nothing changes
gated.square().sum().backward()
assert gate.grad.abs() >= 1e-3  # and the gate can learn to open

# %%
T, P = 64, 1024
pairs = {"all with all": (T + P) ** 2, "words ask patches": T * P, "32 queries in between": 32 * P + 32 * T}
for name, count in pairs.items():
    print(f"{name:22} {count:10,}")
assert pairs == {"all with all": 1_183_744, "words ask patches": 65_536, "32 queries in between": 34_816}

# %% [markdown]
# At the start the language model speaks exactly as before, and the gate can learn to open. A good start decides whether
# attention learns at all, in a toy and in 80 billion parameters.
#
# **On one GPU** batches can be hundreds of questions. Keep a frozen encoder's tokens in memory if they fit, as here; else
# compute them without gradients. **On many GPUs** each takes its share of the batch, and only gradients are averaged
# (chapter 15). A frozen language model has none to send, which saves most of the traffic.
#
# ## 16 · Open project
#
# Pick one and write a report with a figure for each claim and one thing that did not work.
#
# 1. Add the course's *comparison* questions ("which is larger, …?"). Which easy kind prepares them? Build the
#    curriculum and its ablation.
# 2. Let patches ask words (`asks="image"`) on the same questions. What becomes easier, what harder, and why?
# 3. Score grounding for "what is left of the cat?": the word *cat* should find the cat, but the answer is another
#    object. Which layer finds it?
# 4. Put the true masks to use: add a loss that pulls the first layer's map onto the object. Does it help *not aligned*
#    to learn?
#
# ## 17 · Check yourself

# %%
quiz(
    Question(
        "Words (T = 5) ask patches (P = 64). The weights of one head have the shape …",
        ("(5, 64), rows sum to 1", "(64, 5), rows sum to 1", "(5, 64), columns sum to 1"),
        0,
        "One row for each word that asks, shared out among the patches.",
    ),
    Question(
        "You shuffle the patches, without position signals. What happens to the output?",
        ("it is shuffled as well", "nothing", "it becomes noise"),
        1,
        "The weights move along with the patches, and the weighted sum does not care about the order.",
    ),
    Question(
        "In co-attention, what do the patches ask?",
        ("the words before this layer", "the words after they have asked", "themselves"),
        0,
        "Both sides ask at once; that keeps the layer symmetric.",
    ),
    Question(
        "A map points at a lamp when asked for a cat that is not there. This shows that …",
        ("the model sees a cat in the lamp", "the map is broken", "softmax must give its weight away"),
        2,
        "A map has no way to say “nowhere”. The answer may still be a firm no.",
    ),
    Question(
        "The pointing game gives 0.9. What do you need to judge it?",
        ("the loss", "a center baseline on the same pictures", "more heads"),
        1,
        "If things mostly lie in the middle, a map that always points there scores high as well.",
    ),
    Question(
        "Your model answers a question differently in a batch than alone. First suspect?",
        ("padding that is not masked", "the learning rate", "too few patches"),
        0,
        "Pad a bit more and compare the outputs: nothing may move.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Pooling before fusion keeps *what* and loses *where*. Cross-attention asks first and pools later.
# - An MLP over all patches can learn relations, too, with many times the questions and the weights: it learns every place apart.
# - Say who asks: queries from one modality, keys and values from the other; co-attention does both at once.
# - Attention does not know left from right. Positions of real size tell it.
# - Three conditions: words and patches in one space, places that can be heard, easy questions before hard ones. Take
#   one away and relations come late or never.
# - Score maps against the truth and beside baselines. A map shows where a layer looks, not what the answer is made of:
#   intervene.
# - Text helps to see, and misleads when it is false. Padding that is not masked makes answers depend on neighbors.
#
# **Next: 08 · Contrastive pretraining**, which gives every word a vector in the picture's space.
#
# ## References
#
# - *Attention is all you need*. Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin. NeurIPS 2017.
# - *ViLBERT: Pretraining task-agnostic visiolinguistic representations for vision-and-language tasks*. Lu, Batra,
#   Parikh, Lee. NeurIPS 2019.
# - *LXMERT: Learning cross-modality encoder representations from transformers*. Tan, Bansal. EMNLP 2019.
# - *Flamingo: a visual language model for few-shot learning*. Alayrac, Donahue, Luc, Miech and others. NeurIPS 2022.
# - *BLIP-2: Bootstrapping language-image pre-training with frozen image encoders and large language models*. Li, Li,
#   Savarese, Hoi. ICML 2023.
# - *Top-down neural attention by excitation backprop* (the pointing game). Zhang, Lin, Brandt, Shen, Sclaroff.
#   ECCV 2016.
# - *CLEVR: A diagnostic dataset for compositional language and elementary visual reasoning*. Johnson, Hariharan, van
#   der Maaten, Fei-Fei, Zitnick, Girshick. CVPR 2017.
# - *Attention is not explanation*. Jain, Wallace. NAACL 2019. And the answer: *Attention is not not explanation*.
#   Wiegreffe, Pinter. EMNLP 2019.
# - *Curriculum learning*. Bengio, Louradour, Collobert, Weston. ICML 2009.
# - *Learning deep features for discriminative localization* (class vectors on a feature map). Zhou, Khosla, Lapedriza,
#   Oliva, Torralba. CVPR 2016.
