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
# # 05 · Words to features
#
# A picture becomes numbers by itself: its pixels are numbers. A sentence does not. In this chapter you turn sentences
# into vectors that can be searched, compared and, from chapter 06 on, fused with pictures.
#
# **After this chapter you can**
#
# - cut text into pieces as BERT does, and hide words as BERT's training does;
# - build BERT from chapter 01's block, load real weights into it by name, and prove that it equals the original;
# - make one vector of a sentence, and say what is lost on the way;
# - ask a layer what it knows, with a control that keeps you from fooling yourself.
#
# **You need** chapter 01's block and chapter 02's cross-entropy. Chapter 03 helps.
#
# **Time**: about 70 minutes to read, 1 minute to run, 75 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ─┐
#               ▲              ├──►  fusion  ──►  captions, answers, search, pictures
#   image ──►   │  vision model┘
#               │
#               └── you are here: a model that reads
# ```

# %% tags=["nbval-ignore-output"]
import itertools
import math
from collections import Counter

import matplotlib.pyplot as plt
import torch
from safetensors.torch import load_file
from scipy.stats import binomtest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from mmcourse import viz, widgets
from mmcourse.attention import record
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.course.exercises import find
from mmcourse.datasets import caption_log_prob, captions, lexicon, load_glyphs, sample_scenes
from mmcourse.encoders.bert import BERT, BERTConfig, MaskedLanguageHead, mask_tokens, pool
from mmcourse.encoders.pretrained import load_text_encoder
from mmcourse.recipes import load_trained
from mmcourse.runtime import by_budget
from mmcourse.tokenizer import WordPieceTokenizer
from mmcourse.tokenizer.wordpiece import BERT_SPECIAL_TOKENS
from mmcourse.train import Batches, fit
from mmcourse.transformer import Block

colors = (viz.GRAY, viz.BLUE, viz.GREEN, viz.VERMILLION)
generator = open_chapter(5)

# %% [markdown]
# ## 1 · A question with a picture
#
# You have 1,690 drawings with a name each, and you type what you look for. A search for words finds a name that holds
# them. But people say *sofa* where the name says *couch*.
#
# MiniLM, the network you met in chapter 01, turns each name into 384 numbers. The names whose numbers point in the same
# direction as those of your question come first. How, is the subject of this chapter.

# %%
glyphs = load_glyphs(quiet=True)
drawings = glyphs.on("white")
minilm = load_text_encoder("minilm")
parts = [glyphs.names[start : start + 64] for start in range(0, len(glyphs), 64)]
names = torch.cat([minilm.encode(part) for part in parts])  # (1690, 384), each row of length 1
asked = ["sofa", "where doctors work", "it keeps you dry in the rain"]
found = (minilm.encode(asked) @ names.T).topk(5).indices  # (3, 5)
figure = viz.gallery(drawings[found.flatten()], [glyphs.names[place] for place in found.flatten()], columns=5)
for row, text in enumerate(asked):
    figure.axes[5 * row].set_ylabel(text.replace(" in ", "\nin "), fontsize=11)
viz.show(
    figure,
    alt="Three rows of five drawings: four seats and a log for sofa; a hospital and its people; umbrellas, rain and a water pistol.",
)
with_words = [sum(bool(set(text.split()) & set(name.split())) for name in glyphs.names) for text in asked]
print("names that hold a word of the question:", with_words)
assert with_words[:2] == [0, 0]
assert {glyphs.names[row[0]] for row in found} >= {"couch and lamp", "hospital"}

# %% [markdown]
# **What to see:** one row for each question, the best answer first. The words of *sofa* and *where doctors work* occur
# in no name at all, and still seats and a hospital come first. The third question shares its *rain* with some names.
# The far ends of the rows show the limits: a log of wood for *sofa*, a water pistol for *dry*.
#
# Three steps lead there: cut the text into tokens, let a network read them, and pool what it knows into one vector.
# (For larger collections, `extract_features` of `mmcourse.encoders.features` keeps the vectors on disk.)
#
# ## 2 · WordPiece by hand
#
# Chapter 03 learned byte pairs. BERT and MiniLM cut text in another way.
#
# **subword**（子词）: a part of a word that is a token of its own.
#
# **WordPiece**（WordPiece 分词）: a tokenizer that cuts each word from left to right into the longest pieces that its
# vocabulary holds.
#
# A piece that continues a word is marked with `##`. Here is the vocabulary that MiniLM shares with BERT.

# %%
words = WordPieceTokenizer.from_file(minilm.vocabulary_path)
inside = sum(token.startswith("##") for token in words.vocabulary)
print(f"{len(words):,} tokens, {inside:,} of them continue a word")
for word in ("otter", "hedgehog", "orangutan", "multimodal"):
    print(f"{word:11} {' '.join(words.tokens(word))}")
assert len(words) == 30_522

# %% [markdown]
# *otter* is a token. *orangutan* is four, none of which says anything of an ape; the network has to put it together.
#
# The rule is greedy. Take the longest piece that fits at the start, then the longest that fits after it, and never go
# back. If at some point nothing fits, the *whole word* becomes `[UNK]`. With the vocabulary {cat, cats, c, ##sup, ##s},
# *catsup* begins with *cats*, nothing fits *up*, and the word is unknown, although `cat ##sup` was there.
#
# ### ✏️ Exercise 1 · Cut a word into pieces ★★
#
# *Goal: WordPiece's greedy longest match. About 10 minutes.*
#
# `vocabulary` is a set of strings. Return the list of pieces, or `["[UNK]"]`.


# %% tags=["exercise"] id="05-longest-match"
def longest_match(word, vocabulary):
    """The longest known pieces of a word from left to right; ## marks those that continue it."""
    ### BEGIN SOLUTION
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start > 0 else ""
        end = len(word)
        while end > start and mark + word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces
    ### END SOLUTION


# %% tags=["check"]
check("05-longest-match", longest_match)

# %% [markdown]
# The rest is cleaning: lower case, no accents, a space around punctuation and around every Chinese character.
#
# **Parity.** The library's tokenizer equals that of transformers on all names and on stranger texts.

# %%
import transformers

transformers.utils.logging.set_verbosity_error()
theirs = transformers.BertTokenizerFast(vocab=str(minilm.vocabulary_path))
strange = ["Ein Kätzchen,\tund noch EINS!", "一只猫 on the mat", "naïve co-operation (½ price)", "🦦 🦦", "x" * 150, ""]
texts = [*glyphs.names, *filter(None, glyphs.chinese), *strange]
assert [words.encode(text, add_special=True) for text in texts] == theirs(texts)["input_ids"]
print("equal on", f"{len(texts):,}", "texts;", " ".join(words.tokens("Ein Kätzchen, 一只猫!", add_special=True)))

# %% [markdown]
# Two tokens were added: `[CLS]` in front, and `[SEP]` at the end. They stand for no text; you will see what for. And 只猫
# are two `[UNK]`: this vocabulary was made for English and holds few Chinese characters. Chapter 03's byte pairs know
# no unknown text.
#
# **Where do the pieces come from?** As in chapter 03: start with letters, merge a pair, repeat. Byte pairs merge the
# most *frequent* pair. WordPiece merges the pair that raises the likelihood of the text most; a usual stand-in is the
# count of the pair divided by the counts of its halves. The difference shows at the first merge.
#
# And how well does a vocabulary made from books and Wikipedia fit names of drawings? The second cell counts.

# %%
singles, pairs = Counter(), Counter()
for word in filter(str.isalpha, itertools.chain.from_iterable(map(words.tokens, glyphs.names))):
    letters = [word[0], *(f"##{letter}" for letter in word[1:])]
    singles.update(letters)
    pairs.update(itertools.pairwise(letters))
often = {pair: count for pair, count in pairs.items() if count >= 20}
by_likelihood = max(often, key=lambda pair: often[pair] / (singles[pair[0]] * singles[pair[1]]))
print("most frequent:", *max(often, key=often.get), "  most likely to belong together:", *by_likelihood)

# %%
in_names = sorted({word for name in glyphs.names for word in name.lower().split() if word.isalpha()})
lengths = torch.tensor([len(words.encode(word)) for word in in_names])
claim("share of the different words in the names that are one token", (lengths == 1).double().mean(), at_least=0.7)
assert lengths.max() >= 4

# %% [markdown]
# A frequent pair of frequent letters is no news. A pair whose halves seldom occur apart is. (Google never published the
# program that made BERT's vocabulary, and the `tokenizers` library trains its "WordPiece" with byte pairs.) The vocabulary
# fits: most words of the names are one token, and rare ones fall into four pieces or more.
#
# ## 3 · From pieces to vectors
#
# **embedding**（嵌入）: a learned vector that stands for one of a fixed set of things, such as a token.
#
# BERT looks up three embeddings for each token and adds them: its *word*, its *position* in the text, and its
# *segment*, which tells a first text from a second one. Attention would not notice the order of the words without the
# position.
#
# ### ✏️ Exercise 2 · Three tables, one vector ★
#
# *Goal: look up and add what BERT reads. About 5 minutes.*
#
# `tokens` and `segments` hold ids, (B, T). The tables are `words` (V, C), `positions` (at least T rows) and `kinds` (2,
# C).


# %% tags=["exercise"] id="05-embed"
def add_embeddings(tokens, segments, words, positions, kinds):
    """Word + position + segment: (B, T), (B, T) -> (B, T, C)."""
    ### BEGIN SOLUTION
    return words[tokens] + positions[: tokens.shape[1]] + kinds[segments]  # (B, T, C) + (T, C) + (B, T, C)
    ### END SOLUTION


# %% tags=["check"]
check("05-embed", add_embeddings)

# %% [markdown]
# ## 4 · How a reader is trained
#
# A GPT learns by guessing the next word, so it may look to the left only. Chapter 03 named the other way: hide some
# words and let the network look to both sides. That is the masked language model, and its rule has three numbers:
#
# - 15 percent of the tokens are *chosen*, and the loss asks for these alone;
# - of the chosen, 80 percent become `[MASK]`, 10 percent become another token, and 10 percent stay as they are.
#
# Why not always `[MASK]`? Because real text holds none. A network that has to guess also where a word stands in plain
# sight, and cannot trust it, keeps a good vector for *every* token.
#
# ### ✏️ Exercise 3 · Hide some words ★★
#
# *Goal: the 80/10/10 rule. About 10 minutes.*
#
# Chance is handed to you, so that your result can be checked: `lot` and `fate` are uniform random numbers, (B, T). A
# token is chosen where `ordinary` is True and `lot` is below 0.15. A chosen one becomes `mask_id` where `fate` is below
# 0.8, and the token of `others` where `fate` is 0.9 or more. Return what the model reads, and the targets: the old
# tokens where chosen, −100 elsewhere.


# %% tags=["exercise"] id="05-mask-tokens"
def hide_tokens(tokens, ordinary, lot, fate, others, mask_id):
    """The 80/10/10 rule: everything (B, T) -> (what is read, targets)."""
    ### BEGIN SOLUTION
    chosen = ordinary & (lot < 0.15)
    read = torch.where(chosen & (fate < 0.8), mask_id, tokens)
    read = torch.where(chosen & (fate >= 0.9), others, read)
    return read, torch.where(chosen, tokens, -100)
    ### END SOLUTION


# %% tags=["check"]
check("05-mask-tokens", hide_tokens)

# %% [markdown]
# ### The experiment
#
# What can a reader do that a counter of neighbors cannot? Take two captions of one scene, the relation and its
# converse:
#
# > `[CLS]` a cat left of a dog `[SEP]` a dog right of a `[MASK]` `[SEP]`
#
# The neighbors of the hole say that a noun comes. *Which* noun stands eleven tokens away, in the other sentence. For
# half of the rows the second caption is missing: then the best anybody can do is known exactly, because the grammar is.


# %%
def relation_texts(scenes):
    """For each scene with several objects one caption alone, and the same one followed by its converse."""
    told = [captions(scene)[1:3] for scene in scenes if len(scene.objects) > 1]
    told = [pair if place % 2 else pair[::-1] for place, pair in enumerate(told)]
    return [first for first, _ in told], [f"{first} [SEP] {second}" for first, second in told]


train_alone, train_both = relation_texts(sample_scenes(8000, split="train"))
small = WordPieceTokenizer([*BERT_SPECIAL_TOKENS, *sorted({word for text in train_alone for word in text.split()})])
print(len(train_both), "pairs,", len(small), "tokens;", train_both[0])

# %% [markdown]
# The model is BERT in small: two of chapter 01's blocks of width 64, with the normalization behind each part as
# in 2017. The table that reads tokens also scores them (weight tying, chapter 03). The *segment* says which caption a
# token is from.


# %%
def as_rows(texts):
    """ids, mask and segments of texts, each (B, T)."""
    ids, mask = small.encode_batch(texts, add_special=True)
    after = (ids == small.eos_id).cumsum(dim=1) - (ids == small.eos_id).long()  # how many [SEP] came before
    return ids, mask, after.clamp(max=1) * mask


# %%
def loss(model, batch):
    ids, mask, segments = batch
    kept = {"mask_id": small.mask_id, "vocabulary_size": len(small), "special_ids": small.special_ids}
    read, targets = mask_tokens(ids, mask, **kept, generator=generator)
    states = model.bert(read, mask, segments=segments)
    return F.cross_entropy(model.score(states[targets >= 0]), targets[targets >= 0])


# %% [markdown]
# To test it, hide every word of the captions of new scenes, one at a time, and count the right guesses by kind of word.
# (The grammar is small: about six in ten of these captions also occur in training. Knowing them by heart does not help:
# the same caption occurs with many nouns in the hole.)
#
# - *relations*: left, right, above, below;
# - *copied* nouns: with *another* ("a cat above another cat") the answer stands in the same caption;
# - *free* nouns: all others. A caption alone says next to nothing about them.


# %%
def every_hole(texts):
    """Each text once for each of its words, that word hidden: what is read, mask, segments, place and word."""
    ids, mask, segments = as_rows(texts)
    row, place = ((ids >= len(BERT_SPECIAL_TOKENS)) & mask).nonzero().T
    read = ids[row].clone()
    read[torch.arange(len(row)), place] = small.mask_id
    return read, mask[row], segments[row], place, ids[row, place]


# %%
@torch.no_grad()
def fill(model, read, mask, segments, place, word):
    """The log-probabilities of the hidden word, (N, V)."""
    states = model.eval().bert(read, mask, segments=segments)
    return model.score(states[torch.arange(len(read)), place]).log_softmax(dim=-1)


def by_kind(right, holes):
    """The mean of `right` (N,) for each kind of word."""
    read, word = holes[0], holes[-1]
    noun = torch.isin(word, torch.tensor([small.ids[noun.name] for noun in lexicon()]))
    relation = torch.isin(word, torch.tensor([small.ids[name] for name in ("left", "right", "above", "below")]))
    another = (read == small.ids["another"]).any(dim=1)
    kinds = {"relation": relation, "noun, copied": noun & another, "noun, free": noun & ~another}
    return {kind: right[held].double().mean().item() for kind, held in kinds.items()}


# %% [markdown]
# One thing matters more than any other number here: how large the embeddings are at the start. The words get a spread
# of 0.1, positions and segments 0.02, so that *which word* is clearly visible beneath *where*. The open project asks
# what happens otherwise.

# %%
val_alone, val_both = relation_texts(sample_scenes(400, split="val"))
alone, both, watched = every_hole(val_alone), every_hole(val_both), every_hole(val_both[:60])
story = []


def watch(model):
    story.append(by_kind(fill(model, *watched).argmax(dim=1) == watched[-1], watched))
    return story[-1]["noun, free"]


tiny = MaskedLanguageHead(BERT(BERTConfig(vocabulary_size=len(small), context=32, width=64, heads=4, depth=2)))
for module in tiny.modules():
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.1)
nn.init.normal_(tiny.bert.embedding.weight, std=0.1)
batches, steps = Batches(*as_rows(train_alone + train_both), size=64, seed=5), by_budget(smoke=20, standard=900)
options = {"steps": steps, "learning_rate": 3e-3, "evaluate": watch, "evaluate_every": steps // 20}
history = fit(tiny, loss, batches, **options, description="a small BERT")

# %% [markdown]
# Two rivals for captions alone. A table has counted which word stands most often between two neighbors. And the *exact*
# best guess: put every word into the hole, ask the grammar for the probability of each caption, and normalize. The same
# probabilities (the *posterior*: what is known about the hidden word once the others are seen) say how often a guess is
# right on average, so luck plays no part in the comparison.


# %%
def exact_posterior(text):
    """For each word of a caption the exact log-probabilities of what could stand there, (words, V)."""
    parts, rows = text.split(), []
    for place in range(len(parts)):
        tries = (" ".join([*parts[:place], word, *parts[place + 1 :]]) for word in small.vocabulary[5:])
        rows.append(torch.tensor([-math.inf] * 5 + [caption_log_prob(each) for each in tries], dtype=torch.float64))
    return torch.stack(rows).log_softmax(dim=-1)


# %%
between = Counter()
for text in train_alone:  # as it will be asked; in pairs, [SEP] is the usual word between a noun and "a"
    tokens = small.encode(text, add_special=True)
    between.update(zip(tokens, tokens[2:], tokens[1:], strict=False))
favorite = {(left, right): middle for (left, right, middle), _ in reversed(between.most_common())}
read, places = alone[0], alone[3]
around = torch.stack([read[torch.arange(len(read)), places + step] for step in (-1, 1)], dim=1).tolist()
counted = torch.tensor([favorite.get(tuple(pair), small.pad_id) for pair in around])

# %% [markdown]
# Everybody answers the same captions. Below: left, how the kinds of word were learned with two captions; right, where
# everybody stands at the end. The first three rows of the table read one caption alone.

# %%
exact = torch.cat([exact_posterior(text) for text in val_alone])
says_alone, says_both = fill(tiny, *alone), fill(tiny, *both)
guesses = {"two neighbors": counted, "BERT": says_alone.argmax(dim=1), "best possible": exact.argmax(dim=1)}
accuracy = {label: by_kind(exact.exp().gather(1, guess[:, None]).squeeze(1), alone) for label, guess in guesses.items()}
accuracy["BERT, both texts"] = by_kind(says_both.argmax(dim=1) == both[-1], both)
one_text, two_texts = accuracy["BERT"], accuracy["BERT, both texts"]
surprise, floor = (-says.gather(1, alone[-1][:, None]).double().mean().item() for says in (says_alone, exact))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=(1, 1.1))
xs = [(n + 1) * (steps // 20) for n in range(len(story))]
viz.curves(
    {kind: (xs, [now[kind] for now in story]) for kind in story[0]}, ylabel="right guesses", ylim=(0, 1.05), ax=left
)
table, kinds = [list(row.values()) for row in accuracy.values()], ["relation", "copied", "free"]
viz.heat(table, rows=list(accuracy), columns=kinds, title="right guesses at the end", ax=right)
viz.show(figure, alt="Left: relations are learned first, nouns later and at once. Right: two captions fill every hole.")
claim("right guesses, BERT", {"copied, one caption": one_text["noun, copied"], **two_texts}, at_least=0.95)
missing = {
    "copied, two neighbors": accuracy["two neighbors"]["noun, copied"],
    "free, one caption": one_text["noun, free"],
}
claim("right guesses", missing, at_most=0.1)
early = next((now["noun, free"] for now in story if now["relation"] > 0.9), 0.0)
claim("free nouns when relations first reach 0.9", early, at_most=0.4)
claim("loss on captions alone, over the exact posterior's", surprise / floor, at_least=0.98, at_most=1.15)

# %% [markdown]
# **What to see:** on the left, relations come first; nouns stay at chance for longer and then come almost at once:
# copying works or does not. On the right, the counter guesses relations as well as anybody, but cannot copy. BERT
# with one caption does what can be done: copied nouns are right, the rest are guesses, and no reader's guesses could
# be right more often. (Its probabilities are not quite the grammar's: its loss lies about a tenth above the least
# possible.) With the other caption it fills every hole, and even finds *left of* from *right of*.
#
# The second caption is a second view of the same scene. Replace it by the *picture* and you have the idea of this
# course: what one view leaves open, the other one tells.
#
# Where does the model look to fill a hole? One row for each head, from the hole:

# %%
pair = "a cat left of a dog [SEP] a dog right of a [MASK]"
ids, mask, segments = as_rows([pair])
seen = record(tiny.bert, ids, mask, segments=segments)
hole = ids[0].tolist().index(small.mask_id)
looks = torch.cat([weights[0, :, hole] for weights in seen.maps.values()]).detach()  # (blocks · heads, T)
tokens = [small.vocabulary[index] for index in ids[0].tolist()]
heads = [f"block {row // 4 + 1}, head {row % 4 + 1}" for row in range(8)]
figure = viz.attention_map(looks, rows=heads, columns=tokens)
figure.axes[0].set_ylabel("")
viz.show(figure, alt="Where each of eight heads looks from the hole: several look at cat in the first caption.")
filled = small.vocabulary[tiny.score(seen.output[0, hole]).argmax()]
print("the hole is filled with", filled)
claim("heads that give the cat more than half of their weight", (looks[:, 2] > 0.5).sum(), at_least=2)

# %% [markdown]
# **What to see:** several heads point at *cat*, eleven tokens back, and fetch it. Nobody told them; it is the only
# place that fills the hole.
#
# ## 5 · Real weights in your own network
#
# Everything in the small model also makes up the real one; only the sizes differ. Here is BERT's encoder in two dozen
# lines, built from chapter 01's block. MiniLM-L6 is a BERT of six blocks, width 384, with twelve heads, trained by
# others.


# %%
class Reader(nn.Module):
    """BERT's encoder: three embeddings, a normalization, and post-norm blocks."""

    def __init__(self, vocabulary, context, width, heads, depth):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.segments = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, norm="post") for _ in range(depth))
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12  # BERT's; PyTorch's default is 1e-5

    def forward(self, tokens, mask):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]] + self.segments.weight[0]
        x = self.norm(x)
        for block in self.blocks:
            x = block(x, mask=mask[:, None, None, :])  # (B, 1, 1, S): nobody looks at padding
        return x


# %% [markdown]
# The weights lie in a file of safetensors: names and numbers, no code. The names are those of transformers.

# %%
weights = load_file(minilm.folder / "model.safetensors")
reader = Reader(vocabulary=30_522, context=512, width=384, heads=12, depth=6).eval()
print(len(weights), "tensors in the file,", len(reader.state_dict()), "in our network")
for name in [name for name in weights if "layer.0.attention" in name and name.endswith("weight")]:
    print(f"  {name:52} {tuple(weights[name].shape)}")
millions = sum(weight.numel() for weight in reader.state_dict().values()) / 1e6
print(f"{millions:.1f} million numbers; BERT-base has {BERTConfig().parameters / 1e6:.0f} million")

# %% [markdown]
# ### ✏️ Exercise 4 · The same weights under other names ★★
#
# *Goal: read a checkpoint of another library. About 15 minutes.*
#
# Return our name for a name of theirs; `.weight` and `.bias` stay. A block `N` has the same parts in both.
#
# | theirs | ours |
# |---|---|
# | `embeddings.word_embeddings` | `embedding` |
# | `embeddings.position_embeddings` | `positions` |
# | `embeddings.token_type_embeddings` | `segments` |
# | `embeddings.LayerNorm` | `norm` |
# | `encoder.layer.N.` | `blocks.N.` |
# | `attention.self.query` (`key`, `value`) | `attention.query` (`key`, `value`) |
# | `attention.output.dense` | `attention.out` |
# | `attention.output.LayerNorm` | `attention_norm` |
# | `intermediate.dense` | `feed_forward.expand` |
# | `output.dense` | `feed_forward.contract` |
# | `output.LayerNorm` | `feed_forward_norm` |


# %% tags=["exercise"] id="05-our-name"
def our_name(name):
    """encoder.layer.3.output.dense.weight -> blocks.3.feed_forward.contract.weight, and so on."""
    ### BEGIN SOLUTION
    table = {
        "embeddings.word_embeddings": "embedding",
        "embeddings.position_embeddings": "positions",
        "embeddings.token_type_embeddings": "segments",
        "embeddings.LayerNorm": "norm",
        "encoder.layer": "blocks",
        "attention.self": "attention",
        "attention.output.dense": "attention.out",  # before "output.dense", which it ends with
        "attention.output.LayerNorm": "attention_norm",
        "intermediate.dense": "feed_forward.expand",
        "output.dense": "feed_forward.contract",
        "output.LayerNorm": "feed_forward_norm",
    }
    for old, new in table.items():
        name = name.replace(old, new)
    return name
    ### END SOLUTION


# %% tags=["check"]
check("05-our-name", our_name)

# %% [markdown]
# **The moment of truth.** The next cell loads the file with the course's own answer; put `our_name` in its place to use
# yours. `strict=True` (the default) means that every tensor must find its place. Then 33 texts, short and long, go through
# your network, through transformers, and through `mmcourse.encoders.bert.BERT`, the same network with masks and layers to
# look at, which you use from here on.
#
# A wrong name seldom raises an error. So the second cell exchanges query and key, whose shapes agree: what would a test
# catch?

# %%
rename = find("05-our-name").reference
left_out = [name for name in weights if name.startswith("pooler") or name.endswith("position_ids")]
reader.load_state_dict({rename(name): weight for name, weight in weights.items() if name not in left_out})

mixed = [*glyphs.names[::60], *asked, " and ".join(glyphs.names[:12])]
ids, mask = words.encode_batch(mixed, add_special=True)
transformers.utils.logging.disable_progress_bar()
original = transformers.BertModel.from_pretrained(minilm.folder, local_files_only=True).eval()
bert = BERT.from_folder(minilm.folder)
with torch.no_grad():
    theirs = original(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    apart = {"your reader": reader(ids, mask) - theirs, "mmcourse": bert(ids, mask) - theirs}
claim("largest difference to transformers", {name: d[mask].abs().max() for name, d in apart.items()}, at_most=1e-5)
assert mask.sum(dim=1).max() >= 20

# %%
swapped = Reader(vocabulary=30_522, context=512, width=384, heads=12, depth=6).eval()
exchange = {"query": "key", "key": "query"}
wrong = {".".join(exchange.get(part, part) for part in name.split(".")): w for name, w in reader.state_dict().items()}
swapped.load_state_dict(wrong)
with torch.no_grad():
    off = (swapped(ids, mask) - theirs)[mask].abs().max()
claim("largest difference with query and key exchanged", off, at_least=0.1)

# %% [markdown]
# You have rebuilt a network that others trained on a billion pairs of sentences, number for number. What was left out
# is the *pooler*, a layer behind [CLS] that BERT's second training task and its classifiers read. Sentence vectors do not.
#
# With query and key exchanged everything loads without a word, and the result is wrong. Never trust loading: compare
# numbers with the original.
#
# ## 6 · One vector for a sentence
#
# The network gives one vector *a token*. A search needs one *a text*.
#
# **sentence embedding**（句向量）: one vector that stands for a whole text.
#
# Three ways are common:
#
# - the vector at `[CLS]`, a place that is free to collect what the text says;
# - mean pooling: the average over the tokens;
# - **max pooling**（最大池化）: the largest value of each channel over the tokens.
#
# ### ✏️ Exercise 5 · The mean of what is there ★
#
# *Goal: mean pooling that does not see padding. About 5 minutes.*
#
# `hidden` (B, T, C); `mask` (B, T) is True where there is a token. Return (B, C).


# %% tags=["exercise"] id="05-masked-mean"
def masked_mean(hidden, mask):
    """The mean over the real tokens of each text: (B, T, C), (B, T) -> (B, C)."""
    ### BEGIN SOLUTION
    total = (hidden * mask[..., None]).sum(dim=1)  # (B, C)
    return total / mask.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %% tags=["check"]
check("05-masked-mean", masked_mean)

# %% [markdown]
# Vectors are compared by their direction:
#
# **cosine similarity**（余弦相似度）: the dot product of two vectors after both were scaled to length 1.
#
# ### ✏️ Exercise 6 · Search by meaning ★★
#
# *Goal: the k nearest vectors by cosine. About 10 minutes.*
#
# `query` (C,), `table` (N, C), of any lengths. Return the places of the `k` most similar rows, best first.


# %% tags=["exercise"] id="05-search"
def find_nearest(query, table, k):
    """The k rows of `table` with the largest cosine: (C,), (N, C), k -> (k,)."""
    ### BEGIN SOLUTION
    cosines = F.normalize(table, dim=1) @ F.normalize(query, dim=0)  # (N,)
    return cosines.topk(k).indices
    ### END SOLUTION


# %% tags=["check"]
check("05-search", find_nearest)

# %% [markdown]
# ### Silent failure: the sentence that changes in company
#
# A colleague embeds sentences in batches. The search works on his examples; in production it gets worse, and worst for
# short sentences. Restarting changes the results, because the batches are different then. Here are his lines. What is
# wrong?


# %%
@torch.no_grad()
def embed_carelessly(texts):
    ids, _ = words.encode_batch(texts, add_special=True)
    hidden = bert(ids)  # (B, T, C)
    return F.normalize(hidden.mean(dim=1), dim=1)


@torch.no_grad()
def embed(texts):
    ids, mask = words.encode_batch(texts, add_special=True)
    return F.normalize(pool(bert(ids, mask), mask, how="mean"), dim=1)


sentence, filler = "a cat left of a dog", ["very"]
lengths = [0, 4, 8, 16, 32, 64]
drift = {}
for label, function in (("mask forgotten", embed_carelessly), ("with mask", embed)):
    lone = function([sentence])[0]
    drift[label] = [(function([sentence, " ".join(filler * n)])[0] @ lone).item() for n in lengths]
figure = viz.curves(
    {label: (lengths, values) for label, values in drift.items()},
    xlabel="words in the other sentence of the batch",
    ylabel="cosine to itself, alone",
    markers=True,
    ylim=(0, 1.1),
)
viz.show(figure, alt="With the mask the cosine stays at 1; without it, it falls as the other sentence gets longer.")
claim("cosine to itself beside 64 words, mask forgotten", drift["mask forgotten"][-1], at_most=0.8)
assert 1 - drift["with mask"][-1] <= 1e-5

# %% [markdown]
# **What to see:** the same sentence, another vector, depending on who is next to it. The mask is forgotten *twice*:
# attention looks at `[PAD]`, and the mean counts it. No error, no warning; one text at a time works perfectly. The test
# that catches it takes one line: a text alone and in company must get the same vector.
#
# ### Which pooling?
#
# Sixty-four questions that share no word with the names they ask for, so that counting common words finds none. They
# were written for this chapter, with one or a few right answers each.

# %%
QUESTIONS = """puppy: dog, dog face | spectacles: glasses | sofa: couch and lamp, armchair | bike: bicycle
physician: male doctor, female doctor | aeroplane: airplane, small airplane | infant: baby | kid: child
cash: coin, money bag, dollar banknote | bunny: rabbit, rabbit face | hen: chicken | toadstool: mushroom
jewel: gem stone | sleuth: detective | twister: tornado | the cops: police officer, police car
lorry: pickup truck, delivery truck | steam engine: locomotive | correspondence: envelope, e-mail
flies to the moon: rocket, space shuttle | a place for sick people: hospital | king of the jungle: lion
man's best friend: dog, dog face, guide dog | where children learn: school | it makes sweet nectar: honeybee
frozen dessert: ice cream, soft ice cream, shaved ice | ocean predator with sharp teeth: shark
striped African horse: zebra | the insect that drinks blood: mosquito | a yellow fruit for monkeys: banana
tool for driving nails: hammer | cutting paper: scissors | vessel with sails: sailboat
device to talk with people far away: telephone, mobile phone, telephone receiver
keeps you dry in the wet: umbrella, closed umbrella | something for a birthday: wrapped gift
Halloween pumpkin: jack-o-lantern | Italian dish with tomato and cheese: pizza | long thin noodles: spaghetti
water falling from clouds: cloud with rain | writes on paper with ink: fountain pen, pen, black nib
time of day: watch | reptile without legs: snake | animal with a very long neck: giraffe
largest land animal: elephant | it carries its house on its back: snail, turtle | a sweet ring of dough: doughnut
looks at far stars: telescope | looks at tiny things: microscope | brushing teeth: toothbrush
place of prayer for Muslims: mosque | capital of France: eiffel tower | frozen water falling in winter: snowflake
Egyptian tomb: great pyramid of giza | black and white bear that eats bamboo: panda | bread with a hole: bagel
a drink made of grapes: wine glass | morning drink with caffeine: hot beverage, latte macchiato
flightless bird from Antarctica: penguin | hopping marsupial: kangaroo | undead monster: zombie, vampire
crowned ruler's son: prince | spinning toy on a string: yo-yo | twelve months: calendar, tear-off calendar"""
questions = dict(part.split(": ") for part in QUESTIONS.replace("\n", " | ").split(" | "))
answers = [[glyphs.index(name) for name in line.split(", ")] for line in questions.values()]
for question, line in questions.items():
    assert not set(question.lower().split()) & set(line.lower().replace(",", "").split()), question
print(len(questions), "questions")

# %% [markdown]
# The next function reads texts through all layers and takes one vector from each. It keeps the layers apart, because
# you will ask every one of them.


# %%
@torch.no_grad()
def read_layers(model, texts, take=lambda hidden, ids, mask: pool(hidden, mask)):
    """One vector for each text and layer: (N, layers, C)."""
    rows = []
    for start in range(0, len(texts), 64):
        ids, mask = words.encode_batch(texts[start : start + 64], add_special=True)
        rows.append(torch.stack([take(hidden, ids, mask) for hidden in model.layers(ids, mask)], dim=1))
    return torch.cat(rows)


def answered(question_vectors, name_vectors, k=5):
    """For each question whether a right name is among the k nearest, (N,)."""
    nearest = (F.normalize(question_vectors, dim=1) @ F.normalize(name_vectors, dim=1).T).topk(k).indices.tolist()
    return torch.tensor([float(bool(set(row) & set(right))) for row, right in zip(nearest, answers, strict=True)])


def all_poolings(hidden, ids, mask):
    return torch.stack([pool(hidden, mask, how=how) for how in ("mean", "cls", "max")], dim=1)  # (B, 3, C)


question_vectors = read_layers(bert, list(questions), all_poolings)  # (64, 7, 3, C)
name_vectors = read_layers(bert, glyphs.names, all_poolings)  # (1690, 7, 3, C)
torch.testing.assert_close(F.normalize(name_vectors[:, -1, 0], dim=1), names, atol=1e-5, rtol=0)

# %% [markdown]
# A second measure needs no questions: is the nearest other name from the same subgroup, such as *animal-bug* or
# *drink*? There are 1,690 trials instead of 64, and no author who chose them.


# %%
def same_subgroup(vectors):
    """How often the nearest other name is of the same subgroup."""
    unit = F.normalize(vectors, dim=1)
    nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(dim=1).tolist()
    return sum(glyphs.subgroups[i] == glyphs.subgroups[j] for i, j in enumerate(nearest)) / len(nearest)


labels = ("mean", "[CLS]", "max")
hits = {label: answered(question_vectors[:, -1, i], name_vectors[:, -1, i]) for i, label in enumerate(labels)}
hits["word table"] = answered(question_vectors[:, 0, 0], name_vectors[:, 0, 0])
found_5 = {label: hit.mean().item() for label, hit in hits.items()}
neighbors = {label: same_subgroup(name_vectors[:, -1, i]) for i, label in enumerate(labels)}
neighbors["word table"] = same_subgroup(name_vectors[:, 0, 0])
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
viz.bars(found_5, ylabel="share", title="questions: right name in the top 5", highlight="word table", ax=left)
viz.bars(neighbors, title="names: nearest of the same subgroup", highlight="word table", ax=right)
left.set_ylim(0, 1)
viz.show(
    figure, alt="Mean pooling is best on questions, then CLS, then max and the word table; on names all are close."
)

# %% [markdown]
# **What to see:** mean pooling is ahead on the questions. *Word table* is the average of the embeddings without any
# block: a bag of words that gets far, but not as far. On short names there is little to pool, and the four lie within
# five hundredths: mean and max a little above `[CLS]` and the word table (the standard error of 1,690 is about 0.01).
#
# Sixty-four questions have a standard error of about 0.05. Is the lead real? Compare question by question: which does
# only one of the two answer? If both were equally good, a fair coin would decide each of these (`binomtest` of SciPy says
# how often a coin is as one-sided).
#
# **Parity.** sentence-transformers, the library that most people use for this, gives the same vectors (second cell).

# %%
coin = {}
for label in ("max", "[CLS]"):
    won, lost = (hits["mean"] > hits[label]).sum().item(), (hits["mean"] < hits[label]).sum().item()
    coin[label] = binomtest(won, won + lost).pvalue
claim("mean − word table, questions", found_5["mean"] - found_5["word table"], at_least=0.1)
claim("how often a coin does as well as the mean against max", coin["max"], at_most=0.01)
claim("… against [CLS]", coin["[CLS]"], at_least=0.02)
assert abs(neighbors["mean"] - neighbors["max"]) <= 0.03  # names: no difference worth the name

# %%
from sentence_transformers import SentenceTransformer

sentence_transformer = SentenceTransformer(str(minilm.folder), device="cpu")
theirs = torch.from_numpy(sentence_transformer.encode(mixed, show_progress_bar=False))
torch.testing.assert_close(minilm.encode(mixed), theirs, atol=1e-5, rtol=0)
print("equal on", len(mixed), "texts")

# %% [markdown]
# On the questions the mean beats max beyond doubt. Against `[CLS]` it is ahead, and a coin gets as far in about one case
# of ten: 64 questions do not decide. The 1,690 names point the same way, for the mean against `[CLS]`, but not against
# max. And MiniLM was *trained* with mean pooling, so it ought to win here. Use the pooling
# that a network was trained with.
#
# ### Search, and look
#
# Choose a question. The drawings are the five nearest by their names; the network has never seen a drawing.


# %%
def search_drawings(question="looks at tiny things"):
    best = (minilm.encode([question]) @ names.T)[0].topk(5)
    titles = [f"{glyphs.names[i]} {cosine:.2f}" for i, cosine in zip(best.indices, best.values, strict=True)]
    right = [glyphs.names[i] in questions[question].split(", ") for i in best.indices]
    return viz.gallery(drawings[best.indices], titles, columns=5, correct=right, title=question)


widgets.explore(
    search_drawings,
    question=list(questions),
    alt="Five drawings for “looks at tiny things”; only the fourth, a microscope, has a green frame.",
)

# %%
for question in ("king of the jungle", "reptile without legs", "capital of France"):
    best = (minilm.encode([question]) @ names.T)[0].topk(3).indices
    print(f"{question}: {', '.join(glyphs.names[i] for i in best)}")
    assert not {glyphs.names[i] for i in best} & set(questions[question].split(", "))

# %% [markdown]
# **What to see:** green frames are right answers. Try *king of the jungle* (it finds kings and jungle animals, no
# lion), *reptile without legs* (a lizard, and legs: "without" hardly counts) and *capital of France* (a French press).
# The vector knows what a text is *about*; it does not reason.
#
# ## 7 · Everything is similar: anisotropy
#
# How large is the cosine of two names that have nothing to do with each other? If directions were spread evenly,
# near 0.
#
# **anisotropy**（各向异性）: the property that vectors crowd into a narrow cone, so that any two of them look alike.
#
# There is a short formula. Let $u_i=x_i/\lVert x_i\rVert$ and $\bar u=\frac1N\sum_i u_i$. Then
#
# $$\begin{aligned}
# \sum_{i}\sum_{j} u_i^\top u_j &= \Big(\sum_i u_i\Big)^{\!\top}\Big(\sum_j u_j\Big) = N^2\lVert\bar u\rVert^2 && \text{(1) sums may be pulled apart}\\
# \sum_{i} u_i^\top u_i &= N && \text{(2) the diagonal}\\
# c=\frac{1}{N(N-1)}\sum_{i\ne j}u_i^\top u_j &= \frac{N\lVert\bar u\rVert^2-1}{N-1} && \text{(3) from (1) and (2)}
# \end{aligned}$$
#
# So for large $N$ the mean cosine is the squared length of the mean direction. Vectors look alike *because they share
# an arrow*.

# %%
u = F.normalize(name_vectors[:200, 3, 0].double(), dim=1)
brute = torch.stack([u[i] @ u[j] for i in range(200) for j in range(200) if i != j]).mean()
n, arrow = len(u), u.mean(dim=0)
double, mean = (u @ u.T).sum() - n**2 * arrow.square().sum(), (n * arrow.square().sum() - 1) / (n - 1)
lines = {"(1)": double.abs(), "(2)": (u.square().sum() - n).abs(), "(3)": (brute - mean).abs()}
claim("difference of the two sides", lines, at_most=1e-9)

# %% [markdown]
# ### ✏️ Exercise 7 · How narrow is the cone? ★★
#
# *Goal: measure anisotropy. About 10 minutes.*
#
# Return the mean cosine over all pairs of *different* rows of `x`, (N, C).


# %% tags=["exercise"] id="05-mean-cosine"
def mean_cosine(x):
    """The mean cosine of two different rows: (N, C) -> one number."""
    ### BEGIN SOLUTION
    unit = F.normalize(x, dim=1)
    cosines = unit @ unit.T  # (N, N)
    return (cosines.sum() - len(x)) / (len(x) * (len(x) - 1))
    ### END SOLUTION


# %% tags=["check"]
check("05-mean-cosine", mean_cosine)

# %% [markdown]
# Now every layer of MiniLM, and a *control*: a BERT of the same shape whose weights are random. It has learned nothing;
# whatever it shows comes from the architecture.


# %%
def cone(x):
    """Formula (3)."""
    arrow = F.normalize(x, dim=1).mean(dim=0)
    return ((len(x) * arrow.square().sum() - 1) / (len(x) - 1)).item()


control = BERT(BERTConfig(vocabulary_size=30_522, width=384, heads=12, depth=6)).eval()
control_vectors = read_layers(control, glyphs.names)  # (1690, 7, C)

# %%
layers = list(range(7))
by_layer = {
    "MiniLM": [cone(name_vectors[:, layer, 0]) for layer in layers],
    "MiniLM, mean removed": [cone(v - v.mean(dim=0)) for v in name_vectors[:, :, 0].unbind(dim=1)],
    "random weights": [cone(control_vectors[:, layer]) for layer in layers],
}
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
viz.curves(by_layer, xlabel="layer", ylabel="mean cosine", markers=True, ylim=(-0.05, 1.6), ax=left)
left.set_yticks([0, 0.5, 1])
left.legend(loc="upper center")
for layer, color in ((5, viz.GRAY), (6, viz.BLUE)):
    unit = F.normalize(name_vectors[:300, layer, 0], dim=1)
    right.hist(
        (unit @ unit.T)[tuple(torch.triu_indices(300, 300, 1))], bins=60, color=color, alpha=0.7, label=f"layer {layer}"
    )
right.set(xlabel="cosine of two names", ylabel="pairs", yticks=[])
right.legend()
viz.show(
    figure, alt="Mean cosine by layer: random weights 0.9, MiniLM 0.6 and 0.16 in the last; histograms of both layers."
)
claim("mean cosine, random weights, last layer", by_layer["random weights"][-1], at_least=0.8)
assert by_layer["MiniLM"][5] - by_layer["MiniLM"][-1] >= 0.35
assert max(map(abs, by_layer["MiniLM, mean removed"])) <= 0.02

# %% [markdown]
# **What to see:** a network that knows nothing finds all names alike, at 0.9: every token carries the same segment
# vector, and all names share `[CLS]` and `[SEP]`. Inside MiniLM two names have a cosine near 0.6. Only the last
# layer, which was trained to pull sentences apart, opens the cone.
#
# So a cosine means nothing alone. 0.6 is a close match in the last layer, and two random names in the fifth. Removing
# the mean brings every layer to 0. Does the search get better, too?
#
# Where texts differ clearly, the shared arrow raises all cosines alike, and the *order* hardly changes. Removing it
# helps where the arrow is nearly everything: at `[CLS]` in the middle of the network, whose cosines with each other lie
# above 0.99.


# %%
def gain_by_centering(column, layer):
    x = name_vectors[:, layer, column]
    return same_subgroup(x - x.mean(dim=0)) - same_subgroup(x)


assert abs(gain_by_centering(0, 6)) <= 0.03  # mean pooling, last layer
claim("gain for [CLS], layer 3", gain_by_centering(1, 3), at_least=0.2)
assert cone(name_vectors[:, 3, 1]) >= 0.99  # the mean cosine at [CLS], layer 3

# %% [markdown] tags=["written"] id="05-high-cosine"
# ### ✏️ Written question · 0.85
#
# A colleague takes the mean of a raw BERT's last layer and reports: "The cosine of our advertisement and the customer's
# complaint is 0.85. They say nearly the same." What do you ask, what do you measure, and which number would convince
# you? Four to six sentences.
#
# ### BEGIN SOLUTION
# I ask what the cosine of two *unrelated* texts is in that layer: without training for similarity, vectors crowd into a
# cone, and 0.85 may be the usual value for any two texts. So I measure the cosines of a few thousand random pairs of
# texts of the same kind and length, and say where 0.85 stands among them, as a percentile. I repeat it after the mean
# vector has been removed, and with a network that was trained for sentence similarity. I also check that both texts
# were embedded with the padding mask and the same pooling. What would convince me is a rank, not a cosine: that this
# complaint is among the nearest of many texts to the advertisement, and that pairs that people call alike stand above
# pairs that they do not.
# ### END SOLUTION

# %% [markdown]
# ## 8 · What does a layer know?
#
# The table of words gives *bat* one vector, whatever it means. The blocks mix in the neighbors.
#
# **contextual embedding**（上下文嵌入）: the vector of a token after the network has read its context, different in every
# sentence.
#
# Eight words with two meanings stand in six sentences each, three for each meaning. For each occurrence, find the
# nearest other occurrence of the same word. Does it have the same meaning? Guessing gets 2 in 5.

# %%
SENSES = {
    "bat": "a bat flew out of the cave at night|the bat hung upside down in the barn|at dusk a bat caught insects|"
    "he swung the baseball bat|she hit the ball with a wooden bat|the player broke his bat at home plate",
    "bank": "she opened an account at the bank|the bank raised its interest rates|he borrowed money from a bank|"
    "we sat on the bank of the river|the boat drifted to the muddy bank|reeds grow along the bank of the stream",
    "mouse": "the cat chased a mouse|a mouse ate the cheese|the owl caught a small mouse|"
    "click with the left button of the mouse|the mouse is connected to the laptop|move the mouse to the icon",
    "crane": "the crane lifted a steel beam|workers climbed the crane at the building site|a crane unloaded the ship|"
    "a crane stood in the shallow water|the crane spread its white wings|the crane built a nest in the marsh",
    "ring": "he gave her a gold ring|a diamond ring is on her finger|she lost her wedding ring|"
    "the boxer stepped into the ring|the fighters met in the ring|he was knocked out in the ring",
    "trunk": "the elephant drank with its trunk|the elephant lifted a log with its trunk|a trunk can smell far away water|"
    "put the suitcase in the trunk|the spare wheel is in the trunk of the car|he opened the trunk for the bags",
    "spring": "flowers bloom in spring|spring comes after winter|birds return in spring|"
    "the mattress has a broken spring|a steel spring stores energy|the clock is driven by a spring",
    "match": "they won the tennis match|the match ended in a draw|we watched the football match|"
    "she lit the candle with a match|he struck a match in the dark|a wet match does not burn",
}


# %%
def meaning_found(model):
    """For each layer: how often the nearest occurrence of the same word has the same meaning."""
    hits = torch.zeros(7)
    for word, sentences in SENSES.items():
        at_word = lambda hidden, ids, mask, word=word: hidden[ids == words.ids[word]]  # noqa: E731
        x = F.normalize(read_layers(model, sentences.split("|"), at_word), dim=-1).transpose(0, 1)  # (7, 6, C)
        cosines = (x @ x.mT).masked_fill(torch.eye(6, dtype=torch.bool), -1)
        hits += (cosines.argmax(dim=-1) // 3 == torch.arange(6) // 3).sum(dim=-1)
    return (hits / 48).tolist()


meanings = {"MiniLM": meaning_found(bert), "random weights": meaning_found(control)}
told_apart = {"after one block": meanings["MiniLM"][1], "in the last layer": meanings["MiniLM"][-1]}
claim("meanings told apart by MiniLM", told_apart, at_least=0.7)
without = {"the word table": meanings["MiniLM"][0], "random weights, best layer": max(meanings["random weights"])}
claim("meanings told apart", without, at_most=0.65)

# %% [markdown]
# One block is enough to tell most bats apart. The random network stays far behind: mixing alone hardly makes meaning.
#
# ### A probe, and its control
#
# **linear probe**（线性探针）: a linear classifier on frozen features, which asks whether a property can be read off them.
#
# ### ✏️ Exercise 8 · A linear probe ★★★
#
# *Goal: ask a layer what it knows. About 15 minutes.*
#
# Put a column of ones beside the features. Fit weights $W$ by least squares, so that $XW$ comes close to the one-hot
# labels. The guess for a new sample is the class with the largest score. Return the accuracy on the new samples.
# `torch.linalg.lstsq(A, B).solution` solves it.


# %% tags=["exercise"] id="05-probe"
def probe_accuracy(x, y, new_x, new_y, classes):
    """Least squares on (N, C) and labels (N,); accuracy on new_x (M, C), new_y (M,)."""
    ### BEGIN SOLUTION
    x, new_x = (torch.cat([part, torch.ones(len(part), 1)], dim=1) for part in (x, new_x))
    weights = torch.linalg.lstsq(x, F.one_hot(y, classes).float()).solution  # (C + 1, classes)
    return ((new_x @ weights).argmax(dim=1) == new_y).float().mean()
    ### END SOLUTION


# %% tags=["check"]
check("05-probe", probe_accuracy)

# %% [markdown]
# With more features than samples, plain least squares fits noise; from here on scikit-learn's version with a small
# penalty on the weights does the asking. First question, the *kind of thing*: to which of eight groups does a drawing
# belong? It is read from the pooled vector of its name, and asked on 250 names never seen.


# %%
def probe_layers(features, labels, train, new, penalty=1):
    """Accuracy of a probe on each layer of features (N, layers, C)."""
    scores = []
    for x in features.unbind(dim=1):
        probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=penalty))
        scores.append(probe.fit(x[train], labels[train]).score(x[new], labels[new]))
    return scores


# %%
split, group_names = glyphs.split(), sorted(set(glyphs.groups))
groups = torch.tensor([group_names.index(group) for group in glyphs.groups])
kind_of_thing = {
    "MiniLM": probe_layers(name_vectors[:, :, 0], groups, split.train, split.test),
    "random weights": probe_layers(control_vectors, groups, split.train, split.test),
}

# %% [markdown]
# Second question, *who came first*: in "a cat left of a dog", to which group does the *first* noun belong? It is read at
# the token of the *last* noun. The figure has three curves for MiniLM, and three for the network that has learned nothing.

# %%
nouns, relations = lexicon(), ("left of", "right of", "above", "below")
first, second = torch.randint(64, (2, 1200), generator=generator)
second = torch.where(first == second, (second + 1) % 64, second)
relation = torch.randint(4, (1200,), generator=generator)
triples = [
    (nouns[i].name, relations[k], nouns[j].name) for i, k, j in torch.stack([first, relation, second], 1).tolist()
]
told = [f"a {a} {r} a {b}" for a, r, b in triples]
last_noun = lambda hidden, ids, mask: hidden[torch.arange(len(ids)), mask.sum(dim=1) - 2]  # noqa: E731  before [SEP]
at_last_noun = {
    label: read_layers(model, told, last_noun) for label, model in (("MiniLM", bert), ("random weights", control))
}
who_first = {label: probe_layers(x, first // 8, range(800), range(800, 1200)) for label, x in at_last_noun.items()}
strict = {
    label: probe_layers(x[:, 1:2], first // 8, range(800), range(800, 1200), penalty=100)[0]
    for label, x in at_last_noun.items()
}  # of layer 1

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 3), sharey=True)
panels = (
    ("which bat is it?", meanings, 0.4),
    ("kind of thing", kind_of_thing, 1 / 8),
    ("who came first?", who_first, 1 / 8),
)
for place, (title, values, chance) in enumerate(panels):
    viz.curves(
        values, xlabel="layer", ylabel="accuracy" if place == 0 else "", markers=True, ylim=(0, 1.05), ax=axes[place]
    )
    axes[place].axhline(chance, color=viz.GRAY, linestyle=":")
    axes[place].set_title(title)
axes[1].get_legend().remove()
axes[2].get_legend().remove()
viz.show(
    figure, alt="Accuracy by layer: MiniLM is far above random weights for two questions; for the third they are equal."
)
lead = kind_of_thing["MiniLM"][-1] - kind_of_thing["random weights"][-1]
claim("kind of thing, last layer, MiniLM − random weights", lead, at_least=0.15)
claim("who came first, layer 1", {label: values[1] for label, values in who_first.items()}, at_least=0.8)
kept = strict["MiniLM"] - strict["random weights"]
claim("layer 1 with a hundred times the penalty, MiniLM minus random weights", kept, at_least=0.2)
assert by_budget(smoke=True, standard=strict["random weights"] <= 0.4 and strict["MiniLM"] <= 0.8)

# %% [markdown]
# **What to see:** dotted lines are blind guessing (for the kind of thing, always naming the largest group gets 0.18). The
# first two questions need learning: MiniLM answers them, the random network far less often (its 0.5 on the kind of thing
# comes from words that names share). *Bat* needs a block; most of the kind of thing is in the word table already, at
# layer 0. The third looks like deep
# understanding, about 0.9 from the first block on, *and the random network does it as well*. Attention with random
# weights carries a bit of every token to every place, and a probe finds it.
#
# How big is that bit? Forbid the probe large weights, at a hundred times the penalty: the random network falls nearly
# to chance, MiniLM falls, too, but keeps clearly more. Now the two differ. So the answer even depends on how hard
# you look.
#
# A probe tells what can be read off, not what was learned, and not what is used. Without a control it tells nothing.
#
# ## 9 · Word order
#
# Three variants of "a cat left of a dog":
#
# - *converse*, true of the same scenes: "a dog right of a cat";
# - *swapped*, true of others: "a dog left of a cat";
# - *another* caption.

# %%
converse_of = dict(zip(relations, ("right of", "left of", "below", "above"), strict=True))
some = triples[:400]
original_vectors = minilm.encode([f"a {a} {r} a {b}" for a, r, b in some])
variants = {
    "converse: same meaning": minilm.encode([f"a {b} {converse_of[r]} a {a}" for a, r, b in some]),
    "swapped: other meaning": minilm.encode([f"a {b} {r} a {a}" for a, r, b in some]),
    "another caption": original_vectors.roll(1, 0),
}
cosines = {label: (original_vectors * vectors).sum(dim=1) for label, vectors in variants.items()}

# %%
figure, axes = plt.subplots(figsize=(8, 2.8))
for number, (label, values) in enumerate(cosines.items()):
    axes.hist(values.numpy(), bins=torch.linspace(-0.2, 1, 73).numpy(), color=colors[number], alpha=0.75, label=label)
axes.set(xlabel="cosine with the original caption", ylabel="captions")
axes.legend(loc="upper left")
viz.show(
    figure,
    alt="Histograms of cosines: swapped captions lie nearest to 1, the converse a little below, others near 0.25.",
)
converse, swap = cosines["converse: same meaning"], cosines["swapped: other meaning"]
claim("captions whose converse is nearer than the swapped one", (converse > swap).double().mean(), at_most=0.02)

# %% [markdown]
# **What to see:** the caption that says the *opposite* is nearer than the one that says the *same*, practically always.
# The swapped one holds the same words, the converse one a different word, and that decides. As a sentence vector MiniLM
# is close to a bag of words.
#
# The order need not be lost: the token vectors of section 4's model kept it. Training on "these two texts belong
# together" gave the pooled vector little reason to keep it. Chapter 08 meets the same failure in CLIP and asks for a
# cure.
#
# ## 10 · Features from a GPT
#
# A GPT looks to the left only. That changes what a pooled vector can know. Take the course's own small GPT, the
# captions' language model from chapter 03 in its longer-trained form, and ask its tokens about the caption.

# %%
trained = load_trained("tiny-lm")
ids, mask = trained.tokenizer.encode_batch(told, add_special=True)
with torch.no_grad():
    states = trained.model.eval().features(ids)  # (N, T, C)
row, ends = torch.arange(len(ids)), mask.sum(dim=1) - 1
places = {
    "first word": states[:, 1],
    "last word": states[row, ends - 1],
    "end token": states[row, ends],
    "mean": pool(states, mask),
}
assert torch.equal(places["first word"], places["first word"][:1].expand_as(places["first word"]))
print("the vector of the first word is the same in all", len(ids), "captions")

# %%
about = {"first noun": first, "relation": relation, "last noun": second}  # 64, 4 and 64 classes
ask = lambda x, labels: probe_layers(x[:, None], labels, range(800), range(800, 1200))[0]  # noqa: E731
known = torch.tensor([[ask(x, labels) for labels in about.values()] for x in places.values()])
viz.show(
    viz.heat(known, rows=list(places), columns=list(about), title="accuracy of a probe"),
    alt="A table of accuracies: the first word knows nothing; the last word knows the last noun; the mean keeps most.",
)
assert known[1, 2] >= 0.9  # the last noun, read at the last word
claim("first noun, mean pooling − last word", known[3, 0] - known[1, 0], at_least=0.2)

# %% [markdown]
# **What to see:** every caption begins with "a", and nothing stands before it, so its vector is *identical* in all of
# them. The last word knows itself perfectly; the first noun can be read off it in about a quarter of the captions only.
# The end token has half of both nouns. The mean over all tokens keeps most.
#
# With a causal mask a `[CLS]` in front would be useless. Pool the mean, or take the last token and *train* it for the
# purpose. This GPT has read captions only; real GPT-2 features need a download: `load_text_encoder("gpt2")`.
#
# ## 11 · At scale
#
# | Model | Size | Trained on | Source |
# |---|---|---|---|
# | BERT-base | 110 M | 3.3 billion words, masked words and next sentences, four days on 16 TPU chips | Devlin et al., 2019 |
# | RoBERTa-large | 355 M | 160 GB of text, ten times BERT's, no next-sentence task | Liu et al., 2019 |
# | all-MiniLM-L6 | 23 M | distilled, then 1.17 billion pairs of sentences, contrastively | Wang et al., 2020; its model card |
# | E5-large | 330 M | 270 million pairs from the web, then labeled ones | Wang et al., 2022 |
# | ModernBERT-large | 395 M | two trillion tokens, texts of 8,192 tokens | Warner et al., 2024 |
# | Qwen3-Embedding | 0.6 to 8 B | a GPT made into an encoder; the *last* token is the vector | Zhang et al., 2025 |
#
# Three trends: contrastive pairs instead of masked words for search; decoders with last-token pooling; and vectors that
# may be cut short. On a GPU nothing changes here but the batch; on many, each contrastive batch grows, and with it the
# number of wrong answers to tell apart (chapter 08).
#
# ## 12 · Open project
#
# Improve the search, and measure it honestly.
#
# 1. Write thirty questions *before* you look at any result; let a friend write thirty more. How much do the two sets
#    differ?
# 2. Prepend a template ("a drawing of …"). Average the vectors of several templates. Does it help names, questions,
#    both?
# 3. Train section 4's model with all embeddings at 0.02, or all at 0.1. How long does copying take? Why does it begin
#    so suddenly?
# 4. Give the probe of "who came first" nouns that it has never seen (six of each group for training, two for the test).
#    What is left of 0.99, for MiniLM and for the control?
#
# A good report has one figure a question, a control or an error bar in each, and one thing that did not work.
#
# ## 13 · Check yourself

# %%
quiz(
    Question(
        "WordPiece meets a word in which some letter fits no piece. It becomes …",
        ("the pieces that do fit, then [UNK]", "one [UNK]", "single letters"),
        1,
        "The whole word is unknown.",
    ),
    Question(
        "Why do 10 percent of the chosen tokens stay as they are?",
        (
            "because real text has no [MASK], and their vectors must be good, too",
            "to save time",
            "to make the loss smaller",
        ),
        0,
        "The network cannot know which visible token it will be asked for.",
    ),
    Question(
        "You load weights by name, and no error is raised. Then the network …",
        ("equals the original", "was trained in float32", "may still be wrong: compare numbers"),
        2,
        "Query and key have the same shape.",
    ),
    Question(
        "A sentence gets another vector in a longer batch. You suspect …",
        ("rounding", "dropout", "the padding mask, in attention and in the mean"),
        2,
        "Check both places.",
    ),
    Question(
        "A probe reads a property off a layer with 0.98. That shows …",
        ("nothing without a control", "that the network learned it", "that the network uses it"),
        0,
        "A random network may do as well.",
    ),
)

# %% [markdown]
# ## Summary
#
# - WordPiece cuts greedily: the longest piece, left to right, no way back, `##` inside.
# - BERT adds word, position and segment, and reads with post-norm blocks. Masked words teach it to look to both sides.
# - A second caption fills what one caption leaves open. A picture will do the same.
# - Weights load by name. Equality with the original is the only proof.
# - Pool with the mask, the way the network was trained. Test: alone and in company, the same vector.
# - A cosine needs its baseline, a probe needs its control, a share of 64 needs its error.
# - A sentence vector knows what a text is about. It hardly knows the order of its words.
#
# **Next: 06 · Fusion by MLP.** Pictures from chapter 04 and words from this one meet in one network.
#
# ## References
#
# - Schuster, Nakajima, *Japanese and Korean voice search*, ICASSP 2012.
# - Devlin, Chang, Lee, Toutanova, *BERT: Pre-training of deep bidirectional transformers for language understanding*,
#   NAACL 2019.
# - Liu et al., *RoBERTa: A robustly optimized BERT pretraining approach*, 2019.
# - Reimers, Gurevych, *Sentence-BERT: Sentence embeddings using Siamese BERT-networks*, EMNLP 2019.
# - Ethayarajh, *How contextual are contextualized word representations?*, EMNLP 2019.
# - Hewitt, Liang, *Designing and interpreting probes with control tasks*, EMNLP 2019.
# - Wang et al., *MiniLM: Deep self-attention distillation for task-agnostic compression of pre-trained transformers*,
#   NeurIPS 2020.
# - Wang et al., *Text embeddings by weakly-supervised contrastive pre-training* (E5), 2022.
# - Warner et al., *Smarter, better, faster, longer: A modern bidirectional encoder* (ModernBERT), 2024.
# - Zhang et al., *Qwen3 Embedding: Advancing text embedding and reranking through foundation models*, 2025.
