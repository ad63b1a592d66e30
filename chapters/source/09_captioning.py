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
# # 09 · Captioning
#
# So far every model picked an answer from a list. In this chapter a model writes: a whole sentence about a picture,
# word by word. And because you know exactly what is in each picture, you can hold it to every word.
#
# **After this chapter you can**
#
# - build and train an encoder–decoder that writes true sentences about pictures, in English and in Chinese;
# - decode greedily, by sampling and by beam search, and say what each is good for;
# - compute BLEU, ROUGE-L and CIDEr by hand, and show where all three are blind;
# - find the pixels behind a word, and measure what a model makes up.
#
# **You need** chapters 03 (a tiny language model) and 07 (fusion by attention).
#
# **Time**: about 90 minutes to read, 4 minutes to run, 85 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ── words ───┐
#                                         ├──►  fusion  ──►  captions, answers, search, pictures
#   image ──►  vision model  ── patches ──┘                   ▲
#                                                             └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import itertools
import math
from collections import Counter

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse import decoding, metrics, viz
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import caption_is_true, captions, chinese_captions, lexicon, make_scenes, rate_captions
from mmcourse.recipes import load_trained
from mmcourse.runtime import by_budget, seed_everything

generator = open_chapter(9)

# %% [markdown]
# ## 1 · A question with a picture
#
# *What is in this picture?* Not “which of these 64 things”, but: tell me. Here is a scene, and five sentences that are
# all true of it.

# %%
test = make_scenes(by_budget(smoke=60, standard=1000), split="test", masks=True)
FIRST = 19
viz.show(
    viz.scene(test.images[FIRST], test.scenes[FIRST]),
    alt="A green scene: a clock at the top, a cat below it, a tractor at the bottom right, each framed and named.",
)
for text in captions(test.scenes[FIRST]):
    print(text)

# %% [markdown]
# Chapter 06 would make this a classification: one class for each sentence. How far does that go? Take every first
# caption of the training scenes (the one that names everything) as a class, and ask how many new scenes have a first
# caption that is not on the list.

# %%
train = make_scenes(by_budget(smoke=200, standard=8000, gpu=40_000))
known = {captions(scene)[0] for scene in train.scenes}
unheard = [captions(scene)[0] not in known for scene in test.scenes]
print(
    f"{len(test.scenes[FIRST].objects)} objects in the scene above; is its first caption on the list?",
    not unheard[FIRST],
)
claim("first captions of new scenes that no training scene has", sum(unheard) / len(unheard), at_least=0.62)

# %% [markdown]
# A list of whole sentences misses most of what there is to say. Sentences must be put together from words, and the
# words depend on each other. To see how much, build the obvious thing first.
#
# **A fair baseline: one MLP, all words at once.** Squeeze the picture into one vector, and let an MLP name the word at
# place 1, at place 2, and so on, every place by itself. It gets all the help there is:
#
# - the *eyes* of the course's trained captioner: a network that turns a picture into 64 patches of 128 numbers. They
#   are used, frozen, by every model of this chapter unless it says otherwise. They learned first from a label for each
#   patch (the recipe `patches` of chapter 07) and then **from captions**: this is borrowed knowledge, and section 4 shows
#   what it is worth;
# - the mean and the largest value of each channel over the patches;
# - the simplest target there is: always the first caption, in which the things come in reading order.

# %%
finished = load_trained("captioner").model  # `mmcourse train captioner` makes it again


@torch.no_grad()
def see(images):
    """What the borrowed eyes make of pictures: (N, P, C), in half precision to save memory."""
    return torch.cat([finished.memory(part).half() for part in images.split(250)])


new_pairs = make_scenes(len(test), split="compositional")  # pairs of nouns that never met in training
val = make_scenes(by_budget(smoke=40, standard=300), split="val")
memory = {"train": see(train.images), "test": see(test.images)}
memory |= {"val": see(val.images), "compositional": see(new_pairs.images)}

# %% [markdown]
# The baseline is trained like everything here: word ids, cross-entropy, `fit`. Padding takes part, as this model has to
# learn where its sentence ends.

# %%
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Batches, fit

tokenizer = WordTokenizer.train([text for scene in train.scenes for text in captions(scene)])


def squeeze(tokens):
    """Mean and largest value over the patches: (N, P, C) -> (N, 2C)."""
    return torch.cat((tokens.float().mean(dim=1), tokens.float().amax(dim=1)), dim=1)


squeezed = {split: squeeze(tokens) for split, tokens in memory.items()}
words, _ = tokenizer.encode_batch([captions(scene)[0] for scene in train.scenes])
seed_everything(0)
by_place = nn.Sequential(
    nn.LayerNorm(256), nn.Linear(256, 512), nn.GELU(), nn.Linear(512, words.shape[1] * len(tokenizer)),
    nn.Unflatten(1, (words.shape[1], len(tokenizer))),
)  # fmt: skip
history = fit(
    by_place, lambda model, batch: F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten()),
    Batches(squeezed["train"], words, size=128), steps=by_budget(smoke=10, standard=1000), learning_rate=2e-3,
    description="all words at once",
)  # fmt: skip

# %%
with torch.no_grad():
    chosen = by_place.eval()(squeezed["test"]).argmax(dim=-1)
at_once = [tokenizer.decode(row, skip_special=True) for row in chosen]
alone = [len(scene.objects) == 1 for scene in test.scenes]


def true_share(texts, keep):
    """The share of true captions among the scenes that `keep` marks."""
    verdicts = [
        caption_is_true(scene, text) for scene, text, kept in zip(test.scenes, texts, keep, strict=True) if kept
    ]
    return sum(map(bool, verdicts)) / len(verdicts)


several = [not one for one in alone]
claim("all words at once, scenes with one object", true_share(at_once, alone), at_least=0.95)
claim("all words at once, scenes with several", true_share(at_once, several), at_most=0.45)

# %% [markdown]
# With one object the baseline does well: the eyes are good, and “a … on a … background” has two blanks that have
# nothing to do with each other. With several objects it fails. Look how.

# %%
wrong = [i for i in range(len(test)) if several[i] and not caption_is_true(test.scenes[i], at_once[i])][:4]
viz.show(
    viz.gallery([test.images[i] for i in wrong], [at_once[i] for i in wrong], columns=4, correct=[False] * len(wrong)),
    alt="Four scenes with several objects; each caption above them names one thing again and leaves another out.",
)

# %% [markdown]
# **What to see:** each word could be right, and together they are wrong: in all four a thing is named twice or three times
# and another is left out. For who sees everything, the first caption is fixed and nothing hangs on anything. But the MLP
# is not sure which thing comes first: a hat is likely at the first place and at the second, and no place knows what the
# others have said. The MLP has learned $p(w_1\mid x)\,p(w_2\mid x)\cdots$, as if words were independent given what it can
# tell of the picture. The true law of a sentence is the
# chain rule of chapter 03, now with a picture:
#
# $$p(w_1,\dots,w_T\mid x)=\prod_{t=1}^{T} p(w_t\mid w_1,\dots,w_{t-1},\,x)$$
#
# Nothing is assumed here; it holds for every distribution. A model that computes these factors writes one word, reads
# what it has written, and looks at the picture again:
#
# - **encoder–decoder**（编码器—解码器）: a model in which one network reads the input and another writes the output, one
#   token at a time, looking at what the first has made.

# %% [markdown]
# ## 2 · The ladder: a captioner that fits on the screen
#
# **Step 1, by hand.** The picture is two numbers: how much cat, how much dog. The next word depends on three things:
# what the *language* allows after the last word, what the *picture* holds, and what has been *said* already.

# %%
FOLLOWS = {"<bos>": ["a"], "a": ["cat", "dog"], "cat": ["and", "<eos>"], "dog": ["and", "<eos>"], "and": ["a"]}


def next_word(sentence, picture):
    """Probabilities of the next word: language decides what is possible, picture and past decide how likely."""
    left = {noun: seen - 4 * sentence.count(noun) for noun, seen in picture.items()}  # what is still to be said
    scores = {}
    for word in FOLLOWS[sentence[-1]]:
        scores[word] = left.get(word, max(left.values()) if word == "and" else 0.0)
    total = sum(math.exp(score) for score in scores.values())
    return {word: round(math.exp(score) / total, 2) for word, score in scores.items()}


sentence = ["<bos>"]
while sentence[-1] != "<eos>":
    probabilities = next_word(sentence, {"cat": 3.0, "dog": 2.0})
    sentence.append(max(probabilities, key=probabilities.get))
    print(f"{sentence[-2]:>6} → {probabilities}")
assert sentence == ["<bos>", "a", "cat", "and", "a", "dog", "<eos>"]

# %% [markdown]
# Take the picture away and the language still runs, but it tells of nothing; take the past away and it says “a cat and
# a cat and a cat”. All three are needed.
#
# **Step 2, the block.** A network learns the same three parts. In a decoder block, self-attention reads what has been
# said, cross-attention asks the picture, and the feed-forward network decides. You have built each part in chapters 01
# and 07; put together by hand they equal the course's `Block`, and that equals PyTorch's decoder layer.

# %%
from mmcourse.transformer import Block

theirs = nn.TransformerDecoderLayer(16, 2, 64, dropout=0.0, activation="gelu", norm_first=True, batch_first=True)
block = Block.from_torch(theirs.double().eval())
said = torch.randn(2, 5, 16, generator=generator, dtype=torch.float64)  # (B, T, C)
patches = torch.randn(2, 9, 16, generator=generator, dtype=torch.float64)  # (B, P, C)
x = said + block.attention(block.attention_norm(said), causal=True)  # read what has been said
x = x + block.cross_attention(block.cross_norm(x), patches)  # look at the picture
x = x + block.feed_forward(block.feed_forward_norm(x))  # decide
future = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
claim("difference by hand to mmcourse", (x - block(said, patches, causal=True)).detach().abs().max(), at_most=1e-14)
claim("difference to PyTorch", (x - theirs(said, patches, tgt_mask=future)).detach().abs().max(), at_most=1e-14)

# %% [markdown]
# **Step 3, all places in one pass.** When a sentence is known, there is no need to run the decoder once for each
# beginning. The causal mask of chapter 01 hides the future, so one pass gives what the loop gives. Try it with the
# trained captioner.

# %%
ids = torch.tensor([[finished.tokenizer.bos_id, *finished.tokenizer.encode(captions(test.scenes[FIRST])[0])]])
image = test.images[FIRST : FIRST + 1]
with torch.no_grad():
    one_pass = finished(image, ids)[0]  # (T, V)
    loop = torch.stack([finished(image, ids[:, : t + 1])[0, -1] for t in range(ids.shape[1])])
claim("one pass against a loop over beginnings", (one_pass - loop).abs().max(), at_most=5e-5)

# %% [markdown]
# This is why transformers train fast: every word of a sentence is a training example, and all of them come from one
# pass. Writing has no such shortcut, as the next word must be known before the one after it.
#
# ## 3 · Teacher forcing
#
# In training the model reads the *true* beginning, whatever it would have written itself:
#
# - **teacher forcing**（教师强制）: training a decoder on the true beginning of each sentence instead of on its own words.
#
# So one row of tokens gives both: what is read, `<bos> a cat`, and what is owed, `a cat <eos>`. The end must be owed,
# too, or the model never learns to stop. Padding is never owed.
#
# ### ✏️ Exercise 1 · What the teacher gives, what the pupil owes ★
#
# *Goal: make what is read and what is to be written from one row of tokens. About 8 minutes.*
#
# `tokens` (B, T) are rows `<bos> … <eos>`, filled up with `pad_id`. Return the inputs and the targets, both
# (B, T − 1); targets are −100 where nothing is owed.


# %% tags=["exercise"] id="09-shift-targets"
def shift_targets(tokens, pad_id):
    """Inputs and targets of teacher forcing: (B, T) -> two tables (B, T − 1)."""
    ### BEGIN SOLUTION
    targets = tokens[:, 1:]
    return tokens[:, :-1], targets.masked_fill(targets == pad_id, -100)
    ### END SOLUTION


# %% tags=["check"]
check("09-shift-targets", shift_targets)

# %% [markdown]
# **The loss, line by line.** The surprise of a whole sentence is the sum of the surprises of its words:
#
# $$\begin{aligned}
# -\log p(w\mid x) &= -\sum_t \log p(w_t\mid w_{<t},x) && \text{the chain rule, under a logarithm}\\
# &= \sum_t \mathrm{CE}(z_t, w_t) && z_t\in\mathbb R^V\text{: the logits at place }t\\
# \frac{\partial}{\partial z_t}\,\frac1N\sum_t \mathrm{CE}(z_t,w_t) &= \frac{p_t - y_t}{N} && \text{chapter 02, for each of the }N\text{ words that are owed}
# \end{aligned}$$
#
# and exactly 0 where nothing is owed. $N$ counts words, not sentences: a long caption pulls harder than a short one.
# Check it in float64.

# %%
from mmcourse.lm import shift
from mmcourse.losses import IGNORED, cross_entropy

rows = torch.tensor([[2, 5, 6, 3, 0], [2, 7, 5, 6, 3]])  # 2 is <bos>, 3 is <eos>, 0 is <pad>
inputs, targets = shift(rows, pad_id=0)
logits = torch.randn(2, 4, 8, generator=generator, dtype=torch.float64, requires_grad=True)
cross_entropy(logits, targets, ignore_index=IGNORED).backward()
owed = (targets != IGNORED)[..., None]  # (B, T, 1)
p_minus_y = logits.softmax(dim=-1) - F.one_hot(targets.clamp(min=0), 8)
by_hand = (p_minus_y * owed / owed.sum()).detach()
claim("gradient by hand against autograd", (logits.grad - by_hand).abs().max(), at_most=5e-16)

# %% [markdown]
# ## 4 · The experiment: train a captioner
#
# Two captions of each picture a step: the first, which names everything, and one of the others by chance. References
# that contradict each other are no problem here. The model learns a *distribution* over true sentences. As the first
# caption is always among the two, it is the likeliest, and it is what greedy decoding will write.


# %%
class CaptionBatches:
    """`batches(step)`: the memory of 64 training scenes and two captions of each, as inputs and targets."""

    def __init__(self, texts, tokenizer, *, pad_id=None, size=64):
        """`texts` holds the captions of each scene; `pad_id` is what counts as padding in the targets."""
        self.ids = tokenizer.encode_batch([text for known in texts for text in known], add_special=True).ids
        self.counts = torch.tensor([len(known) for known in texts])
        self.first = self.counts.cumsum(dim=0) - self.counts  # the row of each scene's first caption
        self.fill, self.pad_id, self.size = tokenizer.pad_id, tokenizer.pad_id if pad_id is None else pad_id, size

    def __call__(self, step):
        chance = torch.Generator().manual_seed(step)
        scenes = torch.randint(len(self.counts), (self.size,), generator=chance)
        other = 1 + (torch.rand(self.size, generator=chance) * (self.counts[scenes] - 1)).long()
        picked = torch.stack((self.first[scenes], self.first[scenes] + other), dim=1).flatten()
        ids = self.ids[picked]
        longest = int((ids != self.fill).sum(dim=1).max())
        return memory["train"][scenes].float(), *shift(ids[:, :longest], pad_id=self.pad_id)


def loss(model, batch):
    return cross_entropy(model(batch[0], batch[1]), batch[2], ignore_index=IGNORED)


# %% [markdown]
# The writer is the course's `Captioner`: eyes (a small CNN and one encoder block, borrowed and frozen), a table of
# words that both reads and scores, and two decoder blocks, which are new. It begins as chapter 07 taught: nouns start
# as the vectors of what they name, and attention to patches starts as a search for what is alike.

# %%
from mmcourse.models.captioner import Captioner, CaptionerConfig
from mmcourse.recipes.captioner import align

patch_reader = load_trained("patches").model  # it has the noun vectors


def make_writer(tokenizer, *, longest=16):
    """A captioner with the finished one's eyes, frozen, and a decoder that knows nothing yet."""
    seed_everything(0)
    model = align(Captioner(CaptionerConfig(max_length=longest), tokenizer), patch_reader)
    for name in ("cnn", "narrow", "encoder"):
        getattr(model, name).load_state_dict(getattr(finished, name).state_dict())
        getattr(model, name).requires_grad_(False)
    return model


def truth(model, images, scenes, **options):
    """The shares of true, hallucinated and unparseable captions."""
    texts = [caption.text for part in images.split(250) for caption in model.generate(part, **options)]
    return rate_captions(scenes, texts)


# %%
writer = make_writer(tokenizer)
STEPS = by_budget(smoke=20, standard=600, gpu=4000)
english = CaptionBatches([captions(scene) for scene in train.scenes], tokenizer)
history = fit(
    writer, loss, english, steps=STEPS, learning_rate=3e-3, description="writer",
    evaluate=lambda model: truth(model, memory["val"].float(), val.scenes).true, evaluate_every=max(STEPS // 8, 1),
)  # fmt: skip
_ = writer.eval()

# %% [markdown]
# **A shorter run, from scratch.** What if nobody lends you eyes? The same network, all of it at random, learns to see
# and to write at once, on scenes that never come twice. Seeing is the slow part: a step takes twice as long, and in the
# notebook there is time for a quarter of the steps only. So this is the figure of a *short* run, and it says so.
# `mmcourse train captioner`, which made the finished captioner, goes on for 4,000 steps, from eyes that began with the
# recipe `patches`.

# %%
from mmcourse.recipes.data.captions import FreshScenes

seed_everything(0)
from_scratch = Captioner(CaptionerConfig(max_length=16), tokenizer)
scratch_history = fit(
    from_scratch, loss, FreshScenes(tokenizer, size=64, each=2), steps=by_budget(smoke=5, standard=150, gpu=4000),
    learning_rate=2e-3, description="from scratch",
)  # fmt: skip
_ = from_scratch.eval()

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
smooth = [sum(history.losses[max(0, i - 9) : i + 1]) / len(history.losses[max(0, i - 9) : i + 1]) for i in range(STEPS)]
viz.curves({"borrowed eyes": smooth, "from scratch": scratch_history.losses}, ylabel="loss, nats a word", ax=left)
xs, ys = [each.step for each in history.evaluations], [each.value for each in history.evaluations]
viz.curves({"borrowed eyes": (xs, ys)}, ylabel="true captions (val)", ylim=(0, 1.02), markers=True, ax=right)
viz.show(
    figure,
    alt="Left, the loss of both runs falls, far lower behind borrowed eyes. Right, true captions rise towards 1.",
)

# %% [markdown]
# **What to see:** the loss does not go to 0, and it must not: five sentences are true of a picture, and nobody can know
# which one comes next. Truth is another matter. Decide every caption of the test split against its scene, and set all
# models side by side, with one more rival:
#
# **Copy your neighbor.** Find the training picture with the most similar squeezed vector, and say its first caption.
# This is no straw man; on real photographs it once came close to generating (references).

# %%
directions = {split: F.normalize(squeezed[split] - squeezed["train"].mean(dim=0), dim=1) for split in squeezed}
nearest = (directions["test"] @ directions["train"].T).argmax(dim=1).tolist()
copied = [captions(train.scenes[i])[0] for i in nearest]
rated = {
    "copy a neighbor": rate_captions(test.scenes, copied),
    "all words at once": rate_captions(test.scenes, at_once),
    "from scratch, short run": truth(from_scratch, test.images, test.scenes),
    "writer, borrowed eyes": truth(writer, memory["test"].float(), test.scenes),
    "finished captioner": truth(finished, memory["test"].float(), test.scenes),
}
viz.show(
    viz.heat(
        [each[:3] for each in rated.values()],
        rows=list(rated),
        columns=["true", "hallucinated", "unparseable"],
        digits=3,
        title="greedy captions (test)",
    ),
    alt="Table: the writer and the finished captioner are true nearly always, the others far less often.",
)

# %%
claim("true captions, decoder learned here behind borrowed eyes", rated["writer, borrowed eyes"].true,
      at_least=0.92)  # fmt: skip
claim("hallucinated captions, the same writer", rated["writer, borrowed eyes"].hallucinated, at_most=0.02)
claim("unparseable captions, the same writer", rated["writer, borrowed eyes"].unparseable, at_most=0.05)
claim("true captions, finished captioner", rated["finished captioner"].true, at_least=0.99)
lead = rated["writer, borrowed eyes"].true - max(rated["copy a neighbor"].true, rated["all words at once"].true)
claim("lead of the writer over both baselines", lead, at_least=0.38)

# %% [markdown]
# Two new words for what you measure:
#
# - **truth rate**（真实率）: the share of captions that are true of their picture, decided sentence by sentence against
#   the scene.
# - **hallucination**（幻觉）: a fluent statement about something that the picture does not show.
#
# The third column is no lie but no sentence either, such as “a lock and a lock”, where the language wants “two locks”.
#
# **What to see:** with the same eyes and the same pictures, the writer says what is there, and the MLP fails wherever
# words hang on each other. A copied caption is always perfect English; most of the time it is about something else. And
# see what a borrowed start is worth: after as many steps, 150, most of the writer's captions were true already
# (the second point of the curve on the right above). (It borrows the eyes
# and the start of its nouns; the two are not told apart here.) The run from scratch writes sentences by now, about things
# it cannot tell apart yet.
# What *can* it do? Of its captions that name a background, count those that name the right one.

# %%
scratch_texts = [caption.text for part in test.images.split(250) for caption in from_scratch.generate(part)]
pairs = [(text.split()[-2], scene.background) for text, scene in zip(scratch_texts, test.scenes, strict=True)
         if text.endswith(" background") and len(text.split()) > 2]  # fmt: skip
backgrounds = sum(said == true for said, true in pairs) / max(len(pairs), 1)
claim("right backgrounds, short run from scratch", backgrounds, at_least=0.9)
gap = rated["writer, borrowed eyes"].true - rated["from scratch, short run"].true
claim("true captions that the short run from scratch lacks", gap, at_least=0.8)

# %% [markdown]
# Colors come first, things much later. Most of the work of a captioner is to see.

# %% [markdown]
# ## 5 · Exposure bias
#
# The teacher never lets the pupil read a mistake. What happens after one?
#
# - **exposure bias**（暴露偏差）: the gap between training, where a decoder reads only true beginnings, and use, where it
#   reads its own, mistakes included.
#
# You read this a lot and see it measured rarely. Here it can be: put words into the writer's mouth. It must begin with
# “a”, then a noun, and go on by itself. The noun is (1) the one it would have chosen, (2) another one that is there, or
# (3) one that is *not* there. In case 3 the lie is forgiven: put any noun that is there in its place, and judge the
# rest. So what is counted is the damage that comes *after* the forced word.


# %%
def go_on(model, patches, nouns):
    """Sentences that begin with “a” and a given noun and are finished greedily."""
    known = model.tokenizer
    start = torch.tensor([[known.bos_id, known.ids["a"], known.ids[noun]] for noun in nouns])
    ends = {"max_length": model.config.max_length, "stop_id": known.eos_id, "pad_id": known.pad_id}
    rows = decoding.greedy(model.stepper(patches), start, **ends).tokens
    return [known.decode(row, skip_special=True) for row in rows]


def forgiven(scene, text, forced):
    """Whether some noun that is there makes the sentence true, in the place of the forced one."""
    nouns = {thing.noun for thing in scene.objects}
    return any(caption_is_true(scene, " ".join(["a", noun, *text.split()[2:]])) for noun in {forced, *nouns})


# %% [markdown]
# Scenes with two or three different things will do, of the test split and of the new pairs, for both the writer and the
# finished captioner.

# %%
names = [noun.name for noun in lexicon()]
every_scene, every_memory = test.scenes + new_pairs.scenes, torch.cat((memory["test"], memory["compositional"]))
present = [list(dict.fromkeys(thing.noun for thing in scene.objects)) for scene in every_scene]
places = [i for i, nouns in enumerate(present) if len(nouns) == len(every_scene[i].objects) > 1]
absent = {i: next(n for n in names[i % 60 :] + names if n not in present[i]) for i in places}


def damage(model):
    """The share of sentences whose rest is wrong after each kind of forced word."""
    own = [c.text.split()[1] for part in every_memory[places].split(250) for c in model.generate(part.float())]
    own = [noun if noun in present[i] else present[i][0] for noun, i in zip(own, places, strict=True)]
    forced = {
        "its own": own,
        "another": [next(n for n in present[i] if n != noun) for noun, i in zip(own, places, strict=True)],
        "a lie": [absent[i] for i in places],
    }
    shares = {}
    for case, nouns in forced.items():
        texts = go_on(model, every_memory[places].float(), nouns)
        right = [forgiven(every_scene[i], text, noun) for i, text, noun in zip(places, texts, nouns, strict=True)]
        shares[case] = 1 - sum(right) / len(right)
    return shares


# %%
suffered = {"writer": damage(writer), "finished": damage(finished)}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.0), sharey=True)
for ax, (name, shares) in zip(axes, suffered.items(), strict=True):
    viz.bars(shares, ylabel="rest of the sentence wrong", title=name, digits=3, ax=ax)
viz.show(figure, alt="For both models three bars, the share of wrong rests: low after true nouns, highest after a lie.")
claim("wrong rests after a lie, times those after its own, writer",
      suffered["writer"]["a lie"] / max(suffered["writer"]["its own"], 1e-3), at_least=1.8)  # fmt: skip
claim("wrong rests after a lie, times those after its own, finished",
      suffered["finished"]["a lie"] / max(suffered["finished"]["its own"], 1e-3), at_least=4)  # fmt: skip
claim("wrong rests after a lie, the larger of both", max(each["a lie"] for each in suffered.values()), at_most=0.12)

# %% [markdown]
# **What to see:** another true beginning does little harm, to the finished captioner none; both have read many of them.
# After a lie the *rest* is wrong several times as often, though the picture has not changed. A few of these are false
# alarms: after “a wrench” the rest “and a boot and a cat on a pink background” tells all there is, but no true noun is
# left to stand in for the wrench, so it counts as wrong.
# Neither has ever read a lie, so neither has learned what to do after one.
#
# **Where the usual account is loose.** Exposure bias is often named as the reason for every flaw of generated text.
# Here you have a measure of it, and it is modest: most sentences recover, as the picture is still there to be asked.
# What was measured is the cost of *one forced error*; how often a model makes one by itself is the other factor.
# Remedies feed the model its own words in training (scheduled sampling), or train on whole sentences with a reward;
# both are in the references.

# %% [markdown]
# ## 6 · Decoding: greedy, sampling, beam
#
# The model gives probabilities. Which sentence to write is a decision of yours. Chapter 03 had some ways; here they
# meet a picture. The first is greedy: take the likeliest word, always.
#
# ### ✏️ Exercise 2 · Always the likeliest word ★★
#
# *Goal: write several sentences at once, each until its own end. About 12 minutes.*
#
# `step(tokens)` takes all tokens so far (B, T) and gives logits (B, V). A row that has written `eos_id` is finished and
# gets `pad_id` from then on. Stop when all rows are finished or have `max_length` tokens.


# %% tags=["exercise"] id="09-greedy"
def greedy(step, tokens, eos_id, pad_id, max_length):
    """Greedy decoding: first tokens (B, 1) -> finished rows (B, L), L at most max_length."""
    ### BEGIN SOLUTION
    ended = torch.zeros(len(tokens), dtype=torch.bool)
    while tokens.shape[1] < max_length and not ended.all():
        chosen = step(tokens).argmax(dim=-1).masked_fill(ended, pad_id)
        tokens = torch.cat((tokens, chosen[:, None]), dim=1)
        ended = ended | (chosen == eos_id)
    return tokens
    ### END SOLUTION


# %% tags=["check"]
check("09-greedy", greedy)

# %% [markdown]
# The likeliest word need not begin the likeliest sentence. Suppose “a” has probability 0.6 and “two” 0.4; after “a”
# there are ten equally likely nouns, after “two” only “cats”. Greedy writes “a dog” with probability $0.6\cdot0.1=0.06$
# and misses “two cats” with $0.4$. Beam search looks further ahead: it keeps the K likeliest beginnings at every step,
# instead of one. Chapter 03 used it; here you write its step.
#
# ### ✏️ Exercise 3 · K beginnings, one word longer ★★★
#
# *Goal: let all continuations of all beams compete, and remember whose child each winner is. About 15 minutes.*
#
# `beams` (K, T) are beginnings with total log-probabilities `scores` (K,); `log_probs` (K, V) are those of the next
# word after each. Return the K best rows, one word longer, and their scores, the best first.


# %% tags=["exercise"] id="09-beam-step"
def beam_step(beams, scores, log_probs):
    """One step of beam search: (K, T), (K,), (K, V) -> beams (K, T + 1) and scores (K,)."""
    ### BEGIN SOLUTION
    totals = scores[:, None] + log_probs  # (K, V)
    best, index = totals.flatten().topk(len(beams))
    parent, token = index // log_probs.shape[1], index % log_probs.shape[1]
    return torch.cat((beams[parent], token[:, None]), dim=1), best
    ### END SOLUTION


# %% tags=["check"]
check("09-beam-step", beam_step)

# %% [markdown]
# The library's `decoding` has all of it, in batches and with caches. A beam of one is greedy. A wider beam has no such
# guarantee: it can drop the greedy beginning for others that look better at that step and end worse. So `generate` keeps
# the greedy sentence as one more candidate, and what it returns never scores below greedy.

# %%
some = memory["test"][:400].float()
scenes = test.scenes[:400]
plain = writer.generate(some)
one_beam = writer.generate(some, method="beam", beam_size=1)
four_beams = writer.generate(some, method="beam", beam_size=4, length_penalty=0.0)
uncached = writer.generate(some[:100], cached=False)
assert [c.tokens for c in plain] == [c.tokens for c in one_beam], "a beam of one is greedy"
assert [c.tokens for c in plain[:100]] == [c.tokens for c in uncached], "the cache changes nothing"
gains = [b.log_probability - g.log_probability for b, g in zip(four_beams, plain, strict=True)]
claim("smallest gain of four beams in log-probability", min(gains), at_least=-1e-4)

# %% [markdown]
# Now side by side. Sampling draws each word by its probability; a temperature below 1 keeps it closer to the likeliest
# word, one above 1 lets it stray. *Different*
# counts how many of five sentences about one picture differ from each other.


# %%
def five(**options):
    """Five captions of each of 100 pictures: truth, log-probability, words, and how many of the five are different."""
    chance = torch.Generator().manual_seed(5)
    if options.get("method") == "sample":
        options["generator"] = chance
    written = writer.generate(memory["test"][:100].float().repeat_interleave(5, dim=0), **options)
    about = [scene for scene in test.scenes[:100] for _ in range(5)]
    groups = [{caption.text for caption in written[start : start + 5]} for start in range(0, len(written), 5)]
    return [
        rate_captions(about, [caption.text for caption in written]).true,
        sum(caption.log_probability for caption in written) / len(written),
        sum(len(caption.tokens) for caption in written) / len(written),
        sum(map(len, groups)) / len(groups),
    ]


compared = {
    "greedy": five(),
    "beam of 4": five(method="beam", beam_size=4, length_penalty=0.0),
    "sampling, temperature 0.5": five(method="sample", temperature=0.5),
    "sampling": five(method="sample"),
    "sampling, top-p 0.9": five(method="sample", top_p=0.9),
    "sampling, temperature 1.5": five(method="sample", temperature=1.5),
}
viz.show(
    viz.heat(list(compared.values()), rows=list(compared), columns=["true", "log-prob.", "words", "different"]),
    alt="Table of six ways to decode: greedy and beam write one caption, sampling writes several, and fewer of them are true.",
)
claim("different captions of five, greedy", compared["greedy"][3], near=1, tolerance=1e-6)
claim("different captions of five, sampling", compared["sampling"][3], at_least=3.1)
claim("truth lost by sampling", compared["greedy"][0] - compared["sampling"][0], at_least=0.1, at_most=0.25)
claim(
    "truth lost at temperature 1.5", compared["sampling"][0] - compared["sampling, temperature 1.5"][0], at_least=0.25
)

# %% [markdown]
# **What to see:** greedy and beam are safe and say one thing. Sampling tells you *several true things* about a picture,
# at a price in truth that rises with the temperature. For alt text you want the first row, to describe a picture from
# many sides the fourth or fifth.
#
# **Length.** Every further word multiplies by a probability below 1, so among many sentences the likeliest tends to be a
# short one. (Here all are short, and a beam of four does not show it: its sentences are no shorter than the greedy ones.)
# Beam search therefore compares $\log p(w)/|w|^{\alpha}$:
#
# - **length penalty**（长度惩罚）: an exponent of the length by which a sentence's log-probability is divided before
#   sentences are compared.
#
# ### ✏️ Exercise 4 · Long sentences have many factors ★★
#
# *Goal: choose among finished sentences of different lengths. About 8 minutes.*
#
# `token_scores` (N, T) are log-probabilities of the words of N sentences; sentence i has `lengths[i]` of them, the rest
# of its row is rubbish. Return the place of the best sentence and its score.


# %% tags=["exercise"] id="09-length-penalty"
def pick(token_scores, lengths, penalty):
    """The best of N finished sentences, by log-probability / length ** penalty: (place, score)."""
    ### BEGIN SOLUTION
    real = torch.arange(token_scores.shape[1]) < lengths[:, None]
    scores = token_scores.masked_fill(~real, 0.0).sum(dim=1) / lengths**penalty
    return int(scores.argmax()), scores.max().item()
    ### END SOLUTION


# %% tags=["check"]
check("09-length-penalty", pick)

# %% [markdown]
# Turn the dial on the writer's own beams: how long do its captions get, and how true are they?

# %%
penalties = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]
lengths, truths = [], []
for penalty in penalties:
    found = writer.generate(some[:200], method="beam", beam_size=4, length_penalty=penalty)
    lengths.append(sum(len(caption.tokens) for caption in found) / len(found))
    truths.append(rate_captions(scenes[:200], [caption.text for caption in found]).true)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.0))
viz.curves({"beam of 4": (penalties, lengths)}, xlabel="length penalty", ylabel="words", markers=True, ax=left)
viz.curves(
    {"beam of 4": (penalties, truths)}, xlabel="length penalty", ylabel="true", markers=True, ylim=(0, 1.05), ax=right
)
viz.show(
    figure, alt="Left, captions grow longer as the length penalty rises. Right, the share of true captions beside it."
)
claim("words gained from penalty 0 to 3", lengths[-1] - lengths[0], at_least=0.6)

# %% [markdown]
# **What to see:** the penalty is a dial for how much is said. Note what it cannot do: it moves the choice among
# sentences that the beam has found, and no sentence becomes more true by it.

# %% [markdown]
# ## 7 · Scores by hand: BLEU, ROUGE-L, CIDEr
#
# Elsewhere nobody can look the truth up. There, captions are compared with captions that people wrote. Three measures
# do most of the work in papers, and none of them looks at the picture.
#
# **BLEU** asks: which share of the caption's runs of 1, 2, 3 and 4 words stands in a reference? Its one clever idea is
# to clip. Without it, “the the the the” has a precision of 1.
#
# ### ✏️ Exercise 5 · The the the the ★★
#
# *Goal: count which runs of words a caption shares with its references, without being fooled. About 12 minutes.*
#
# `candidate` is a list of words, `references` a list of such lists. A run of `n` words counts at most as often as in
# the one reference that has it most often. Return hits / runs of the candidate, or 0 if it has none.


# %% tags=["exercise"] id="09-clipped-precision"
def clipped_precision(candidate, references, n):
    """The clipped precision of runs of n words."""

    ### BEGIN SOLUTION
    def runs(words):
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    found, limits = runs(candidate), [runs(words) for words in references]
    hits = sum(min(count, max(limit[run] for limit in limits)) for run, count in found.items())
    return hits / found.total() if found else 0.0
    ### END SOLUTION


# %% tags=["check"]
check("09-clipped-precision", clipped_precision)

# %% [markdown]
# Precision alone can be cheated by saying little: “a cat” is never wrong where “a cat” stands. So BLEU has a second
# factor:
#
# - **brevity penalty**（简短惩罚）: the factor of BLEU that punishes captions shorter than their references.
#
# It is $\mathrm{BP}=\exp(\min(0,\,1-r/c))$ for a caption of $c$ words whose closest reference has $r$. With the
# precisions $p_1$ to $p_4$, $\mathrm{BLEU}=\mathrm{BP}\,(p_1p_2p_3p_4)^{1/4}$. Papers add up hits and runs over all
# captions before they divide; the mean over captions is another number. By hand, for one caption as long as its
# references (so BP is 1), crossing out what has been used:

# %%
candidate, *references = (
    text.split()
    for text in ("a cat on a red sofa and a dog", "a dog and a cat on a red sofa", "a cat left of a dog on the sofa")
)


def crossed_out(candidate, reference, n):
    """Runs of n words in both, each used once: the hits with one reference."""
    rest = [reference[i : i + n] for i in range(len(reference) - n + 1)]
    return [
        run
        for run in (candidate[i : i + n] for i in range(len(candidate) - n + 1))
        if run in rest and not rest.remove(run)
    ]


product = 1.0
for n in (1, 2, 3, 4):
    hits = Counter()
    for reference in references:
        hits |= Counter(map(tuple, crossed_out(candidate, reference, n)))  # the larger count of the two
    share = hits.total() / (len(candidate) - n + 1)
    print(f"runs of {n}: {hits.total()} of {len(candidate) - n + 1}")
    product *= share
closest = min(references, key=lambda words: abs(len(words) - len(candidate)))
score = math.exp(min(0.0, 1 - len(closest) / len(candidate))) * product ** (1 / 4)
claim("BLEU by hand against the library", abs(score - metrics.bleu([candidate], [references]).score), at_most=2e-9)

# %% [markdown]
# **ROUGE-L** asks for order instead of runs: the longest row of words that stands in both, in the same order, with gaps
# allowed. “a cat on a sofa” and “a black cat on a red sofa” share five words in order.
#
# ### ✏️ Exercise 6 · In the same order, with gaps ★★★
#
# *Goal: find the longest row of words that two sentences share, and make one number of it. About 18 minutes.*
#
# With $l$ common words, $P=l/|\text{candidate}|$ and $R=l/|\text{reference}|$, return
# $F=(1+\beta^2)PR/(R+\beta^2P)$, and 0 if nothing is common.


# %% tags=["exercise"] id="09-rouge-l"
def rouge_l(candidate, reference, beta):
    """ROUGE-L of two lists of words."""
    ### BEGIN SOLUTION
    row = [0] * (len(reference) + 1)  # row[j]: the answer for the words so far and the first j of the reference
    for word in candidate:
        new = [0]
        for j, other in enumerate(reference, start=1):
            new.append(row[j - 1] + 1 if word == other else max(row[j], new[j - 1]))
        row = new
    precision, recall = row[-1] / len(candidate), row[-1] / len(reference)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision) if row[-1] else 0.0
    ### END SOLUTION


# %% tags=["check"]
check("09-rouge-l", rouge_l)

# %% [markdown]
# Trying *every* selection of words takes $2^9$ tries for nine words, and is a good judge of the clever way:


# %%
def tried(candidate, reference):
    """The longest common selection of words, by trying all of them, the longest first."""
    for length in range(len(candidate), 0, -1):
        for chosen in itertools.combinations(candidate, length):
            waiting = iter(reference)
            if all(word in waiting for word in chosen):  # `in` moves the iterator on: order is kept
                return length
    return 0


longest = tried(candidate, references[1])
share, recall = longest / len(candidate), longest / len(references[1])
score = (1 + 1.2**2) * share * recall / (recall + 1.2**2 * share)
print(f"{longest} words of {len(candidate)} and {len(references[1])}")
claim("ROUGE-L by hand against the library", abs(score - metrics.rouge_l([candidate], [references[1:]])), at_most=1e-12)

# %% [markdown]
# **CIDEr** asks which words *matter*. “a” and “on” stand everywhere and tell nothing. So every run of words is weighed
# by $\log(N/N_w)$, with $N$ pictures of which $N_w$ have the run in a reference, and captions are compared by the
# cosine of their weighted counts.
#
# ### ✏️ Exercise 7 · Rare words weigh more ★★
#
# *Goal: compare two captions by words that tell pictures apart. About 15 minutes.*
#
# `corpus` holds, for each picture, a list of captions (lists of words). The entry of a word in a caption's vector is
# its count times log(pictures / max(1, pictures with the word)). Return the cosine of both vectors, or 0 if one is
# zero.


# %% tags=["exercise"] id="09-cider-weights"
def cider_1(candidate, reference, corpus):
    """The cosine of two captions, each word weighed by how rare it is among the pictures."""

    ### BEGIN SOLUTION
    def vector(words):
        entries = {}
        for word, count in Counter(words).items():
            pictures = sum(any(word in caption for caption in known) for known in corpus)
            entries[word] = count * math.log(len(corpus) / max(1, pictures))
        return entries

    ours, theirs = vector(candidate), vector(reference)
    lengths = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    return sum(value * theirs.get(word, 0.0) for word, value in ours.items()) / lengths if lengths else 0.0
    ### END SOLUTION


# %% tags=["check"]
check("09-cider-weights", cider_1)

# %% [markdown]
# CIDEr-D, the version that papers report, does this for runs of 1 to 4 words, clips repeated ones, punishes a
# difference $d$ in length by the factor $\exp(-d^2/2\sigma^2)$ with $\sigma=6$, averages over runs and references, and
# multiplies by 10. Papers print 100 times that: their 130 is 1.3 here, as their BLEU of 27.7 is 0.277. By hand, with
# tensors, on the first captions of 20 scenes, each against its other four:

# %%
corpus = [[text.split() for text in captions(scene)] for scene in test.scenes[:20]]
firsts, others = [known[0] for known in corpus], [known[1:] for known in corpus]


def runs_of(words, n):
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def cider_by_hand(candidates, references, n):
    """The part of CIDEr-D that runs of n words give to each caption."""
    table = sorted({run for known in [*references, candidates] for words in known for run in runs_of(words, n)})
    holds = torch.tensor([[any(run in runs_of(w, n) for w in known) for run in table] for known in references])
    weight = (len(references) / holds.sum(dim=0).clamp(min=1).double()).log()

    def vector(words):
        counts = Counter(runs_of(words, n))
        return weight * torch.tensor([counts[run] for run in table])

    parts = []
    for candidate, known in zip(candidates, references, strict=True):
        ours, total = vector(candidate), 0.0
        for words in known:
            theirs = vector(words)
            cosine = torch.minimum(ours, theirs) @ theirs / (ours.norm() * theirs.norm()).clamp(min=1e-12)
            total += cosine * math.exp(-((len(candidate) - len(words)) ** 2) / 72)
        parts.append(10 * total / len(known))
    return torch.stack(parts)


# %%
each = torch.stack([cider_by_hand(firsts, others, n) for n in (1, 2, 3, 4)]).mean(dim=0)
theirs = metrics.cider_d(firsts, others).per_caption
claim("CIDEr-D by hand against the library", (each - theirs).abs().max(), at_most=1e-14)

# %% [markdown]
# The library's three equal `pycocoevalcap`, the program behind most published figures, number for number (a test holds
# it to that).
#
# ## 8 · Where all three are blind
#
# Take 300 scenes. References are four of a scene's five captions. Score three kinds of candidates:
#
# - *true*: the fifth caption, which says something true in other words;
# - *false by one word*: one of the four references with one word exchanged, so that it is **false** of the scene:
#   another
#   noun, another color, *left* for *right*, *larger* for *smaller*;
# - *of another scene*: a caption of a scene chosen at random.
#
# A measure is worth something if it ranks the true one above the other. Chance is 0.5.

# %%
SWAPS = {"left": "right", "right": "left", "above": "below", "below": "above", "larger": "smaller", "smaller": "larger"}
SWAPS |= {"top": "bottom", "bottom": "top", "small": "large", "large": "small", "medium": "large"}
COLORS = sorted({scene.background for scene in test.scenes})


def falsify(scene, text, chance):
    """The caption with one word exchanged such that it is false, or None."""
    words = text.split()
    for place in torch.randperm(len(words), generator=chance).tolist():
        old = words[place]
        pool = names if old in names else COLORS if old in COLORS else [SWAPS[old]] if old in SWAPS else []
        for new in [pool[i] for i in torch.randperm(len(pool), generator=chance).tolist()][:3]:
            changed = " ".join([*words[:place], new, *words[place + 1 :]])
            if caption_is_true(scene, changed).truth.value == "false":
                return changed
    return None


chance = torch.Generator().manual_seed(8)
kinds = {"true": [], "false by one word": [], "of another scene": []}
given = []
for i, scene in enumerate(test.scenes[:300]):
    left_out = int(torch.randint(5, (), generator=chance))
    known = captions(scene)
    true = known.pop(left_out)
    false = falsify(scene, known[int(torch.randint(4, (), generator=chance))], chance)
    other = captions(test.scenes[(i + 150) % len(test)])[left_out]
    if false is not None and not caption_is_true(scene, other):
        for texts, text in zip(kinds.values(), (true, false, other), strict=True):
            texts.append(text.split())
        given.append([text.split() for text in known])

# %%
scored = {}
for kind, texts in kinds.items():
    scored[kind] = {
        "BLEU-4": torch.tensor([metrics.bleu([text], [known]).score for text, known in zip(texts, given, strict=True)]),
        "ROUGE-L": torch.tensor([metrics.rouge_l([text], [known]) for text, known in zip(texts, given, strict=True)]),
        "CIDEr-D": metrics.cider_d(texts, given).per_caption,
    }


def ranks_right(measure, kind):
    """How often the true caption of a scene scores above another candidate of it; a tie counts one half."""
    true, other = scored["true"][measure], scored[kind][measure]
    return ((true > other).double() + 0.5 * (true == other)).mean().item()


table = {measure: [ranks_right(measure, kind) for kind in list(kinds)[1:]] for measure in scored["true"]}
viz.show(
    viz.heat(list(table.values()), rows=list(table), columns=["against a lie", "against another's"],
             title="true caption wins"),
    alt="Table: all three rank the true caption above another scene's nearly always, above a lie no better than a coin.",
)  # fmt: skip
claim(
    "true caption wins against another scene's, the weakest of three",
    min(row[1] for row in table.values()),
    at_least=0.86,
)
claim("true caption wins against a lie, the best of three", max(row[0] for row in table.values()), at_most=0.53)
claim("true caption wins against a lie, BLEU-4", table["BLEU-4"][0], at_most=0.3)

# %% [markdown]
# **What to see:** the measures work at what they were made for: they know which scene a caption is about. But let a lie
# differ from a reference by one word, and it beats a true sentence in other words: three times of four by BLEU and
# ROUGE-L, which is far worse than throwing a coin. CIDEr, which weighs rare words, gets as far as the coin. Being close
# to a reference is all that counts. (BLEU-4 of one short sentence is near 0 as soon as it shares no run of four words.
# In one pair of five both are, as in the lines below, and tiny numbers that keep the root alive decide.) Read some of
# them.

# %%
cases = [
    i for i in range(len(given)) if scored["false by one word"]["CIDEr-D"][i] > 2 * scored["true"]["CIDEr-D"][i] + 1
][:3]
for i in cases:
    for kind in ("true", "false by one word"):
        scores = [scored[kind][measure][i].item() for measure in scored[kind]]
        print(
            f"{kind:18} BLEU {scores[0]:.2f}  ROUGE {scores[1]:.2f}  CIDEr {scores[2]:.1f}   {' '.join(kinds[kind][i])}"
        )

# %% [markdown]
# Five people who describe a photograph choose different words, too. So when a paper reports a CIDEr of 130, it says how
# much a system writes *like its references*. Whether what it writes is true has to be asked separately.

# %% [markdown] tags=["written"] id="09-what-a-score-says"
# ### ✏️ Written question · What does CIDEr 140 say?
#
# A company wants to describe the pictures of a schoolbook for blind pupils. A vendor offers a captioner with “CIDEr 140
# on COCO, better than people”. Explain in five to seven sentences what this figure says and does not say
# about the purpose, and describe three measurements that you would ask for instead, with a baseline for each.
#
# ### BEGIN SOLUTION
# The figure says that on photographs like those of COCO the system uses the words and runs of words that the references
# use, rare ones weighed more. It does not look at the picture: one wrong noun in a usual sentence costs little, a true
# sentence in other words costs much. That a system beats people at it shows that the score rewards typical wording, as
# people vary more. Nor does it say anything about diagrams, maps and drawings in schoolbooks. I would ask, first, for
# the share of false statements in captions of 200 pictures from real schoolbooks, judged by two people who see them,
# beside the captions of an untrained person. Second, for what readers can do with it: blind pupils answer questions
# about the page with these captions, with the book's own captions, and with none. Third, for a test of warning: among
# the false captions, how many does the system mark as unsure, compared with marking the same number at random?
# ### END SOLUTION

# %% [markdown]
# ## 9 · Which pixels did each word come from?
#
# Cross-attention keeps a record: when a word was written, which patches had weight? Lit is where the last block looked,
# averaged over its heads, while it chose the word.

# %%
about = captions(test.scenes[FIRST])[0]
seen = writer.word_maps(test.images[FIRST], about)
viz.show(
    viz.overlay(test.images[FIRST], seen.maps, titles=seen.words, columns=6),
    alt="The scene, and for each word of its caption the scene lit where the writer looked when it chose that word.",
)

# %% [markdown]
# Pictures persuade; count. For each word of 300 greedy captions: does the peak of its map lie on the thing that it
# names (the pointing game of chapter 07)? The rivals: a map that points at the middle of the picture, and one at
# random. And for words that name nothing: does the peak lie on any object at all?

# %%
NOUNS = {word: noun.name for noun in lexicon() for word in (noun.name, noun.plural)}
COUNT = by_budget(smoke=20, standard=300)


def kind_of(word):
    return (
        "noun"
        if word in NOUNS
        else "color"
        if word in COLORS
        else word
        if word in ("background", "and", "on")
        else "other"
    )


def peaks(model, texts):
    """Of each word: its kind, whether its peak is on any object, and on its own; and the same for two blind maps."""
    rows, blind = [], []
    chance = torch.Generator().manual_seed(9)
    for scene, image, masks, text in zip(test.scenes, test.images, test.masks, texts, strict=False):
        said, maps = model.word_maps(image, text)
        covered = F.adaptive_avg_pool2d(masks.float(), maps.shape[1:]).flatten(1) >= 0.25  # (3, P)
        for word, weights in zip(said, maps, strict=True):
            own = [k for k, thing in enumerate(scene.objects) if thing.noun == NOUNS.get(word)]
            hit = covered[:, weights.argmax()]
            rows.append((kind_of(word), bool(hit.any()), bool(hit[own].any())))
            if own:
                spots = (27, int(torch.randint(64, (), generator=chance)))  # row 3, column 3; and anywhere
                blind.append([bool(covered[own, spot].any()) for spot in spots])
    return rows, torch.tensor(blind).double().mean(dim=0).tolist()


# %%
greedy_texts = [caption.text for caption in writer.generate(memory["test"][:COUNT].float())]
rows, (middle, anywhere) = peaks(writer, greedy_texts)
finished_rows, _ = peaks(finished, [c.text for c in finished.generate(memory["test"][:COUNT].float())])


def share(rows, kind, column):
    found = [row[column] for row in rows if row[0] == kind]
    return sum(found) / max(len(found), 1)


pointed = {"anywhere": anywhere, "the middle": middle, "writer": share(rows, "noun", 2),
           "finished": share(finished_rows, "noun", 2)}  # fmt: skip
on_things = {kind: share(rows, kind, 1) for kind in ("noun", "and", "on", "color", "background")}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2))
viz.bars(pointed, ylabel="nouns that point at their thing", ylim=(0, 1.1), ax=left)
viz.bars(on_things, ylabel="peak on any thing (writer)", ylim=(0, 1.1), ax=right)
viz.show(
    figure,
    alt="Left, nouns of both models point at their things far more often than blind maps. Right, peaks by word.",
)
claim("nouns that point at their thing, finished captioner", pointed["finished"], at_least=0.87)
claim("nouns that point at their thing, writer", pointed["writer"], at_least=0.87)
claim("blind maps that point at the thing, the better of two", max(middle, anywhere), at_most=0.13)
claim("nouns look at things more than colors do", on_things["noun"] - on_things["color"], at_least=0.88)

# %% [markdown]
# **What to see:** the writer has read captions, and no caption says where the cat is in pixels. But it did not start from
# nothing: its eyes began with the recipe `patches`, which was told what lies in each patch, and its nouns began as the
# vectors of those things. What it has learned from captions is which of them to look for, and when. The Chinese writer of
# section 11 starts without such nouns, and its words find their things, too. Words about the background look elsewhere.
# And remember chapter 07: a map shows where a layer looked, not what the sentence is made of.

# %% [markdown]
# ## 10 · New combinations, and several captions of one picture
#
# Does the writer put words together, or does it recall sentences? In the compositional split every scene shows a pair
# of nouns, or a noun on a background, that never occurred in training.

# %%
made = truth(writer, memory["compositional"].float(), new_pairs.scenes)
claim("true captions of new pairs, same writer, borrowed eyes", made.true, at_least=0.92)
claim("hallucinated captions of new pairs", made.hallucinated, at_most=0.02)
claim("unparseable captions of new pairs", made.unparseable, at_most=0.05)
claim("truth lost on new pairs", rated["writer, borrowed eyes"].true - made.true, at_most=0.03)

# %% [markdown]
# New pairs cost next to nothing. One honest remark: the borrowed eyes have not seen these pairs either, as they
# learned on training scenes alone. What is wrong most often is no lie but grammar: “a pencil and a pencil” for “two
# pencils”. To see that the second thing is a second pencil comes easy; to plan the plural, before the first is
# written, is harder.
#
# **Several captions.** Draw ten sentences about each of 100 scenes. How many different true ones come out, and how many
# of the five that the world itself would say?

# %%
drawn = writer.generate(memory["test"][:100].float().repeat_interleave(10, dim=0), method="sample", top_p=0.9,
                        generator=torch.Generator().manual_seed(10))  # fmt: skip
found, covered = [], []
for number, scene in enumerate(test.scenes[:100]):
    texts = {caption.text for caption in drawn[10 * number : 10 * number + 10]}
    found.append(sum(map(bool, (caption_is_true(scene, text) for text in texts))))
    covered.append(len(texts & set(captions(scene))))
claim("different true captions in ten draws", sum(found) / len(found), at_least=3.3)
claim("of the world's own five, found in ten draws", sum(covered) / len(covered), at_least=2.4)

# %% [markdown]
# ## 11 · The same pictures, in Chinese
#
# Nothing in the decoder is English. Give it Chinese captions of the same pictures, one token a character, behind the
# same eyes, and train again. Chinese asks for something new:
#
# - **measure word**（量词）: a word between a number and a noun, which depends on the noun.
#
# It is 一只猫 but 一辆汽车. The measure word comes *before* the noun: the writer has to know what it will name before it
# names it.

# %%
characters = WordTokenizer.train([text for scene in train.scenes for text in chinese_captions(scene)])
longest = max(len(characters.encode(text)) for scene in train.scenes for text in chinese_captions(scene)) + 2
chinese_writer = make_writer(characters, longest=longest)
fit(
    chinese_writer, loss, CaptionBatches([chinese_captions(scene) for scene in train.scenes], characters),
    steps=by_budget(smoke=10, standard=250, gpu=4000), learning_rate=3e-3, description="Chinese",
)  # fmt: skip
_ = chinese_writer.eval()

# %% [markdown]
# There is no judge for Chinese sentences here, so the measure is strict: the caption must *equal* one of those that the
# world itself writes about the scene, character by character. The measure word gets a figure of its own: of all single
# things in captions of the kind “…背景上有…”, how many have the right one? The rival always says the commonest, 个.

# %%
written = [c.text.replace(" ", "") for part in memory["test"].float().split(250) for c in chinese_writer.generate(part)]
exact = [text in chinese_captions(scene) for text, scene in zip(written, test.scenes, strict=True)]
measures = {noun.chinese: noun.measure_word for noun in lexicon()}
right = []
for text in [text for text in written if "背景上有" in text]:
    for phrase in text.split("有", 1)[1].replace("和", "、").split("、"):
        noun = next((noun for noun in sorted(measures, key=len, reverse=True) if phrase.endswith(noun)), None)
        if noun is not None and phrase[:1] == "一":
            right.append((phrase[1:].removesuffix(noun) == measures[noun], measures[noun] == "个"))
by_writer, by_habit = (sum(column) / max(len(right), 1) for column in zip(*right, strict=True)) if right else (0.0, 0.0)
claim("Chinese captions that the world writes, too, borrowed eyes", sum(exact) / len(exact), at_least=0.8)
claim("right measure words", by_writer, at_least=0.97)
claim("right measure words of one who always says the commonest", by_habit, at_most=0.22)

# %%
SHOWN = (3, 6, 15)
for i in SHOWN:
    print(f"{captions(test.scenes[i])[0]}\n    {written[i]}")

# %% [markdown]
# The measure word is chosen from the picture, before the noun. So its attention should find the thing already. Look at
# the characters of the caption, and count: how often does the map of a measure word peak on its thing?

# %%
hits = []
for scene, image, masks in zip(test.scenes[:COUNT], test.images, test.masks, strict=False):
    said, maps = chinese_writer.word_maps(image, chinese_captions(scene)[0])
    covered = F.adaptive_avg_pool2d(masks.float(), maps.shape[1:]).flatten(1) >= 0.25
    noun = next(noun for noun in lexicon() if noun.name == scene.objects[0].noun)
    place = said.index("有") + 2  # after 有 and the number
    if said[place] == noun.measure_word:
        own = [k for k, thing in enumerate(scene.objects) if thing.noun == noun.name]
        hits.append(bool(covered[own, maps[place].argmax()].any()))
claim(
    "first measure words that point at their thing, lead over the middle",
    sum(hits) / max(len(hits), 1) - middle,
    at_least=0.8,
)

# %% [markdown]
# ## 12 · Play: your own scene
#
# Arrange up to three things, or upload a picture of your own, and read the caption as it is written, with the patches
# behind each word. The finished captioner answers. Try to make it lie: two things of one kind and different size, a
# small thing in the corner, or a photograph.

# %%
from mmcourse.widgets import caption_playground

playground = caption_playground()

# %% [markdown]
# ## 13 · A silent failure: the captioner that never stops
#
# A colleague trains the same writer with a tokenizer from elsewhere. It has no padding token, so he does what many
# examples on the web do: `pad_id = eos_id`. Training looks fine. Run A is yours, run B is his; both make 70 steps.

# %%
SHORT = by_budget(smoke=5, standard=70)
runs = {}
for name, pad_id in {"run A": None, "run B": tokenizer.eos_id}.items():
    batches = CaptionBatches([captions(scene) for scene in train.scenes], tokenizer, pad_id=pad_id)
    if pad_id is not None:
        batches.ids = batches.ids.masked_fill(batches.ids == batches.fill, pad_id)
        batches.fill = -1  # nothing marks the padding any more
    model = make_writer(tokenizer)
    runs[name] = (model, fit(model, loss, batches, steps=SHORT, learning_rate=3e-3, description=name))
    model.eval()
losses = {name: run.losses for name, (_, run) in runs.items()}
texts = {name: [c.text for c in model.generate(memory["val"][:100].float())] for name, (model, _) in runs.items()}
spoken = {name: sum(len(text.split()) for text in known) / len(known) for name, known in texts.items()}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
viz.curves(losses, ylabel="loss, nats a word", ax=left)
viz.bars(spoken, ylabel="words a caption", ax=right)
viz.show(
    figure, alt="Left, two loss curves that fall alike. Right, run B writes captions about twice as long as run A."
)
print("run B, one caption runs to the longest that is possible:", max(len(t.split()) for t in texts["run B"]) >= 15)
claim("words a caption, run B against run A", spoken["run B"] / spoken["run A"], at_least=1.5)
claim("true captions, run B", rate_captions(val.scenes[:100], texts["run B"]).true, at_most=0.01)

# %% [markdown]
# The loss curves look alike. But B's captions run on and on until the length limit, and not one
# of them is a sentence. Stop here and name the cause before you read on.
#
# **Diagnosis.** The loss ignores padding. Where padding *is* `<eos>`, the loss ignores the end of every sentence, too.
# The model is never asked to stop, and it never learns to. The loss cannot show it: what is not asked is not counted.
# (If B's loss is a little higher in the end, it is for an innocent reason: the end of a sentence is an easy word, and
# it was taken out of the mean.)
#
# **The test that finds it**, in a second: after a complete caption, how likely is the end?


# %%
@torch.no_grad()
def end_after(model):
    """The mean probability of <eos> after complete first captions."""
    ids = [[tokenizer.bos_id, *tokenizer.encode(captions(scene)[0])] for scene in val.scenes[:30]]
    ends = [model(memory["val"][i : i + 1].float(), torch.tensor([row]))[0, -1] for i, row in enumerate(ids)]
    return torch.stack(ends).softmax(dim=-1)[:, tokenizer.eos_id].mean()


claim("probability of the end, run A", end_after(runs["run A"][0]), at_least=0.95)
claim("probability of the end, run B", end_after(runs["run B"][0]), at_most=1e-4)

# %% [markdown]
# ## 14 · On real data: photographs
#
# The finished captioner is right in 99 of 100 scenes. Now show it photographs, squeezed to 64 × 64 pixels as it knows
# them. It has words for a cat, a rocket, a clock, a camera and sixty other things, all learned from drawings.

# %%
from mmcourse.datasets import load_photos, square

photos = load_photos()
# near misses count
THERE = {"cat": "cat", "rocket": "rocket", "camera": "camera", "clock": "clock", "astronaut": "rocket"}
THERE |= {"flower": "sunflower", "palace": "tree", "motorcycle": "bicycle"}
small = torch.stack([square(photo.image, 64) for photo in photos.values()])
said = finished.generate(small)
named = [
    THERE.get(name, "nothing") in [NOUNS.get(word) for word in caption.text.split()]
    for name, caption in zip(photos, said, strict=True)
]
viz.show(
    viz.gallery(small, [caption.text for caption in said], columns=4, correct=named),
    alt="Photographs at 64 by 64 pixels, all marked wrong: captions about doors, trains, planes or mountains that are not in them, many of them not even sentences.",
)

# %%
fluent = [caption_is_true(test.scenes[0], caption.text).truth.value != "unparseable" for caption in said]
claim("photographs with a well-formed caption", sum(fluent) / len(fluent), at_most=0.6)
claim("photographs with a caption that names a thing that is there", sum(named) / len(named), at_most=0.13)

# %% [markdown]
# **What to see:** doors, trains and mountains that are not there. This is hallucination in its purest form: the
# captioner has learned what *scenes* look like, and every picture is a scene to it. It has no word for a retina, and
# no way to say that it has none. And in many captions the language itself breaks (“a large right of a boot”): what
# attention brings back from such patches lies where no training sentence ever went.
#
# Does it at least hesitate? Compare how likely it finds its own sentences, per word, for scenes and for photographs.


# %%
def confidence(written):
    return torch.tensor([caption.log_probability / (len(caption.tokens) + 1) for caption in written])


sure_scenes, sure_photos = confidence(finished.generate(memory["test"].float()[:250])), confidence(said)
above = (sure_scenes[:, None] > sure_photos).double().mean()
claim("how often a scene's caption is surer than a photograph's", above, at_least=0.93)

# %% [markdown]
# It does: its own probability is a warning light, and an honest product would use it to stay silent. What would truly
# help is what the next section lists: eyes that have seen photographs, and words for what is in them. (Titles, credits
# and licenses are in `load_photos()`.)
#
# ## 15 · At scale
#
# | System | Eyes and writer | Data and result, as published |
# |---|---|---|
# | COCO captions (2015) | people | over 330,000 pictures, over 1.5 million captions, five for each picture (abstract) |
# | Show and Tell (2015) | one CNN vector into an LSTM | BLEU-4 27.7 on COCO (abstract) |
# | BLIP-2 (2023) | ViT, 32 queries, frozen OPT 2.7B | 129 M pictures; COCO BLEU-4 43.7, CIDEr 145.8 (Table 3) |
#
# Three things to read from it. **The score went up**, and still says nothing about
# truth: Rohrbach and others (2018) measured hallucinated objects and found that models with better scores do not
# always hallucinate less. **Frozen parts** are common: BLIP-2 is pretrained with both sides frozen, and only what lies
# between them learns (for the figure in the table the ViT was tuned, too, on COCO). You froze the eyes and trained the
# whole writer. **The writer became a language model**: what it knows about the world it has
# read, which makes captions richer and lies more plausible (chapter 13).
#
# **What writing costs.** Without a cache, word $t$ reads $t$ words again: $1+2+\dots+T$ for a sentence of $T$. With
# keys and values kept (chapter 03), each word is read once. The patches are projected once either way.

# %%
T = 100
print(f"words read for {T} words: {T * (T + 1) // 2:,} without a cache, {T} with one")
assert T * (T + 1) // 2 == 5050

# %% [markdown]
# **On one GPU** the code stays as it is: `MMCOURSE_BUDGET=gpu` trains longer on more scenes, and sentences are written
# in batches of hundreds. Writing is bound by memory traffic, not by arithmetic, so large batches cost little more than
# small ones.
#
# **On many GPUs** each writes about its own pictures; nothing is shared but the weights. Training averages gradients
# (chapter 15), and frozen eyes send none.
#
# ## 16 · Open project: captions for somebody
#
# Pick one reader and write a report: who reads it, what may never happen, how you measured it, and one thing that did
# not work. `mmcourse train captioner --data FOLDER` trains on a folder of pictures with texts (`metadata.csv`).
#
# 1. **Alt text for social media.** Fifty pictures of your own with the sentence you would want to be read out. How many
#    of your model's captions would you send as they are? Where does it have to stay silent?
# 2. **A schoolbook.** Drawings with one sentence each for a blind pupil. Which part of a caption may never be wrong?
#    Give that part its own measure.
# 3. **A shop.** Product pictures with kind, color and size. A wrong color comes back as a parcel: measure precision for
#    each part, and find the threshold of confidence above which it is 0.99.
# 4. **Two languages.** One decoder, English and Chinese, with a token that says which. Does each language get better or
#    worse than alone?

# %% [markdown]
# ## 17 · Check yourself

# %%
quiz(
    Question(
        "An MLP names all words of a caption at once. What goes wrong?",
        ("words are right one by one and wrong together", "it cannot see two objects", "it writes too slowly"),
        0,
        "Every place ignores what the others say; the chain rule is what is missing.",
    ),
    Question(
        "In teacher forcing, what does the decoder read at place t?",
        ("the true words before it", "its own words before it", "the true word at place t"),
        0,
        "Its own words come into play only when it writes: that gap is exposure bias.",
    ),
    Question(
        "Beam search finds a sentence with a higher probability than greedy. It is therefore …",
        ("truer", "longer", "neither, for certain"),
        2,
        "Probability is what the model believes; whether it is true has to be measured.",
    ),
    Question(
        "“the the the the” has a unigram precision of 1/2 beside “the cat on the sofa”. Why not 1?",
        ("the brevity penalty", "clipping: “the” counts twice at most", "stop words are left out"),
        1,
        "A run counts at most as often as in the reference that has it most often.",
    ),
    Question(
        "A caption with one wrong noun gets CIDEr 6, a true one in other words gets 1. This shows …",
        ("a bug in the score", "that references are the yardstick", "that the true one is bad English"),
        1,
        "None of the three measures looks at the picture.",
    ),
    Question(
        "Your captioner never stops, and its loss looks fine. First suspect?",
        ("padding is <eos>, so the end is ignored", "the learning rate", "the length penalty"),
        0,
        "Ask for the probability of <eos> after a complete caption.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A sentence is a chain of choices that depend on each other. An MLP over a squeezed picture treats them as
#   independent; an encoder–decoder does not.
# - Teacher forcing makes every word a training example. It never shows the model its own mistakes, and one forced error
#   damages what comes after.
# - Greedy and beam say one likely thing; sampling says several, some of them false. The length penalty decides how
#   much.
# - BLEU, ROUGE-L and CIDEr compare with references. A lie by one word beats a true sentence in other words.
# - Nouns point at their pixels although no caption says where they are; in Chinese the measure word does so before the
#   noun.
# - Good eyes are most of a captioner. On pictures of another world it writes about things that are not there; its own
#   confidence is a warning light.
#
# **Next: 10 · Visual question answering**, where the sentence is an answer and can be wrong in a new way.

# %% [markdown]
# ## References
#
# - *Show and tell: a neural image caption generator*. Vinyals, Toshev, Bengio, Erhan. CVPR 2015.
# - *Show, attend and tell: neural image caption generation with visual attention*. Xu, Ba, Kiros, Cho, Courville,
#   Salakhutdinov, Zemel, Bengio. ICML 2015.
# - *Microsoft COCO captions: data collection and evaluation server*. Chen, Fang, Lin, Vedantam, Gupta, Dollár,
#   Zitnick. 2015.
# - *Exploring nearest neighbor approaches for image captioning*. Devlin, Gupta, Girshick, Mitchell, Zitnick. 2015.
# - *BLEU: a method for automatic evaluation of machine translation*. Papineni, Roukos, Ward, Zhu. ACL 2002.
# - *ROUGE: a package for automatic evaluation of summaries*. Lin. ACL workshop 2004.
# - *CIDEr: consensus-based image description evaluation*. Vedantam, Zitnick, Parikh. CVPR 2015.
# - *Object hallucination in image captioning*. Rohrbach, Hendricks, Burns, Darrell, Saenko. EMNLP 2018.
# - *Scheduled sampling for sequence prediction with recurrent neural networks*. Bengio, Vinyals, Jaitly, Shazeer.
#   NeurIPS 2015.
# - *Sequence level training with recurrent neural networks* (exposure bias). Ranzato, Chopra, Auli, Zaremba. ICLR 2016.
# - *Google's neural machine translation system* (length penalty). Wu, Schuster, Chen, Le, Norouzi and others. 2016.
# - *BLIP-2: Bootstrapping language-image pre-training with frozen image encoders and large language models*. Li, Li,
#   Savarese, Hoi. ICML 2023.
