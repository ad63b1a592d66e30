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
# # 08 · Contrastive pretraining
#
# Chapter 07 needed words that already speak the language of pictures. A classifier has such words for its classes and
# for nothing else. This chapter gets them for *every* word, from pairs of pictures and texts and nothing more.
#
# **After this chapter you can**
#
# - derive the contrastive loss from cross-entropy, with its gradient and its temperature;
# - bring a frozen picture network and a frozen text network into one space, and recognize things never seen in training;
# - say what batch size, prompts and the sigmoid loss change, with measurements;
# - show that two towers read a caption as a bag of words, and cure it.
#
# **You need** chapters 02 (cross-entropy), 04 and 05 (features) and 07 (attention between words and patches).
#
# **Time**: about 75 minutes to read, 4 minutes to run, 75 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ── vector ──┐
#                                         ├──►  one space  ──►  search, naming without labels
#   image ──►  vision model  ── vector ───┘         ▲
#                                                   └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import math

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse import viz, widgets
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import load_glyphs
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_image_encoder, load_text_encoder
from mmcourse.metrics import retrieval
from mmcourse.models import CLIP, CLIPConfig
from mmcourse.runtime import by_budget, progress, seed_everything
from mmcourse.train import fit

generator = open_chapter(8)

# %% [markdown]
# ## 1 · A question with a picture
#
# Here are six drawings and six names. You have seen neither the drawings nor this order, and still you can say at once
# which belong together.
#
# The world of this chapter is the **glyphs**: 1,690 drawings, each with the name that a person gave it. 250 of these
# concepts are put away for the test. Neither their drawing nor their name is seen in training. To recognize them, a
# model has to know what drawings and names have in common *in general*.

# %%
(glyphs,) = (load_glyphs(side, quiet=True) for side in progress([160], "Drawing the glyphs"))
split = glyphs.split()  # train, val and test positions
white = glyphs.on("white")
few = split.val[torch.tensor([3, 21, 50, 77, 104, 131])]
names = [glyphs.names[i] for i in few.tolist()]
viz.show(
    viz.gallery(white[few], columns=6),
    alt="Six drawings without titles, in a row.",
)
print("names, in another order:", ", ".join(sorted(names)))

# %% [markdown]
# A classifier cannot help: there is no class for a thing that was never in the training set. What helps is a space in
# which a picture and its name are neighbors:
#
# - **contrastive pretraining**（对比预训练）: learning to pull together what belongs together, and to push apart what does not.
# - **two-tower model**（双塔模型）: a model with one network for each modality, whose vectors meet only in a dot product.
#
# ## 2 · The ladder: three pictures, three texts
#
# Let two networks have done their work. Each picture and each text is a vector of length 1, here with two numbers, and
# text $j$ belongs to picture $j$.

# %%
angles_of_pictures = torch.tensor([10.0, 100.0, 200.0]).deg2rad()
angles_of_texts = torch.tensor([30.0, 80.0, 230.0]).deg2rad()
pictures = torch.stack((angles_of_pictures.cos(), angles_of_pictures.sin()), dim=1)  # (N, D)
texts = torch.stack((angles_of_texts.cos(), angles_of_texts.sin()), dim=1)
figure, axes = plt.subplots(figsize=(3.6, 3.6))
for points, color, letter in ((pictures, viz.BLUE, "I"), (texts, viz.ORANGE, "T")):
    for number, (x, y) in enumerate(points.tolist(), 1):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "color": color, "lw": 2})
        axes.text(1.15 * x, 1.15 * y, f"{letter}{number}", color=color, ha="center", va="center")
axes.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal", xticks=[], yticks=[])
viz.show(
    figure, alt="Three blue arrows for pictures and three orange ones for texts; each pair points roughly the same way."
)

# %% [markdown]
# **Step 1, one picture, with a loop.** How well does each text fit picture 1? The dot product of two vectors of length
# 1 is the cosine of the angle between them.

# %%
scores = []
for text in texts:
    scores.append(sum(a * b for a, b in zip(pictures[0].tolist(), text.tolist(), strict=True)))
print([round(score, 2) for score in scores])
assert [round(score, 2) for score in scores] == [0.94, 0.34, -0.77]

# %% [markdown]
# **Step 2, all pictures with all texts**, in one product. On the diagonal stand the pairs.

# %%
cosines = pictures @ texts.T  # (N, D) @ (D, N) -> (N, N)
torch.testing.assert_close(cosines[0], torch.tensor(scores))
viz.show(
    viz.heat(cosines, rows=["I1", "I2", "I3"], columns=["T1", "T2", "T3"]),
    alt="A table of nine cosines; the three on the diagonal are the largest of their rows.",
)

# %% [markdown]
# **Step 3, a choice.** Row 1 is now a classification: *which of these three texts belongs to picture 1?* Softmax turns
# scores into probabilities. But cosines lie between −1 and 1, and softmax of so narrow a range is nearly flat. So they
# are multiplied by a **scale** $s$, the inverse of the temperature $\tau=1/s$ of chapter 02.

# %%
for scale in (1.0, 10.0):
    print(f"scale {scale:4.0f}:", (scale * cosines[0]).softmax(dim=0).numpy().round(2))

# %% [markdown]
# At scale 1 the right text gets 0.58 although it fits almost perfectly. At scale 10 it gets everything.
#
# ### ✏️ Exercise 1 · Who fits whom ★
#
# *Goal: compare every picture with every text by direction alone. About 6 minutes.*
#
# Features (N, D) of pictures and (M, D) of texts come with any length. Bring each to length 1, and return the scaled
# cosines (N, M).


# %% tags=["exercise"] id="08-similarity"
def similarities(images, texts, scale):
    """Scaled cosines of every picture with every text: (N, D), (M, D) -> (N, M)."""
    ### BEGIN SOLUTION
    return scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    ### END SOLUTION


# %% tags=["check"]
check("08-similarity", similarities)

# %% [markdown]
# ## 3 · The loss, from chapter 02
#
# Write $s_{ij}=s\,\langle I_i,T_j\rangle$ for the logits of $N$ pairs. Row $i$ is a classification among $N$ texts with
# the right class $i$. Chapter 02 gave its cross-entropy:
#
# $$\ell_i^{\,I\to T}=-\log p_{ii},\qquad p_{ij}=\frac{e^{s_{ij}}}{\sum_{k}e^{s_{ik}}}$$
#
# Column $i$ is a classification, too: *which of these $N$ pictures belongs to text $i$?* Its probabilities $q_{ij}$
# sum to 1 down a column: $q_{ij}=e^{s_{ij}}/\sum_k e^{s_{kj}}$. The loss is the mean of both, over all pairs:
#
# $$L=\frac1{2N}\sum_i\big(-\log p_{ii}-\log q_{ii}\big)$$
#
# - **InfoNCE**（信息噪声对比损失）: a cross-entropy in which the other samples of the batch are the wrong answers. There
# are no labels. The pairing itself is the label, and each batch brings its own classes.
#
# ### ✏️ Exercise 2 · Two questions, one loss ★★
#
# *Goal: read a square of logits as N choices among texts and N choices among pictures. About 10 minutes.*


# %% tags=["exercise"] id="08-info-nce"
def contrastive_loss(logits):
    """InfoNCE of a square of logits (N, N), row i and column i belonging together."""
    ### BEGIN SOLUTION
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    ### END SOLUTION


# %% tags=["check"]
check("08-info-nce", contrastive_loss)

# %% [markdown]
# The library's `info_nce` is the same, from features instead of logits. (Its tests hold it to `open_clip`'s loss, in
# value and in every gradient.) From here on the chapter uses it.

# %%
from mmcourse.losses import info_nce, sigmoid_loss

images, words = (F.normalize(torch.randn(6, 16, generator=generator, dtype=torch.float64), dim=1) for _ in range(2))
logits = 14 * images @ words.T
target = torch.arange(6)
by_hand = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
claim(
    "distance of info_nce to two cross-entropies", (info_nce(images, words, scale=14.0) - by_hand).abs(), at_most=1e-12
)

# %% [markdown]
# **The gradient.** Chapter 02: the derivative of cross-entropy by the logits is $p-y$. Here every logit takes part in
# two choices, one in its row and one in its column. With $y_{ij}=1$ on the diagonal and 0 elsewhere:
#
# $$\frac{\partial L}{\partial s_{ij}}=\frac{(p_{ij}-y_{ij})+(q_{ij}-y_{ij})}{2N}$$
#
# and from there, as $s_{ij}=s\,\langle I_i,T_j\rangle$, the picture is moved by the texts:
#
# $$\frac{\partial L}{\partial I_i}=s\sum_j\frac{\partial L}{\partial s_{ij}}\,T_j$$
#
# Read it as forces. The own text pulls with the strength $2-p_{ii}-q_{ii}$. Every other text pushes with the strength
# $p_{ij}+q_{ij}$: the more it is mistaken for the right one, the harder. Texts that nobody would confuse push with
# nothing. Check it against autograd, in float64.

# %%
moving = images.clone().requires_grad_()
info_nce(moving, words, scale=14.0).backward()
y = torch.eye(6, dtype=torch.float64)
by_logits = (logits.softmax(dim=1) - y + logits.softmax(dim=0) - y) / (2 * 6)
claim(
    "distance of the derived gradient to autograd's", (14 * by_logits @ words - moving.grad).abs().max(), at_most=1e-12
)

# %% [markdown]
# One number to know by heart. A model that gives all logits the same value has $p_{ii}=1/N$, and the loss is $\log N$. (An
# untrained model at scale 14 guesses, and is sure of it: its loss starts a little above.)
# And because a picture chooses among $N$ texts only, the loss says nothing about the next thousand: with
# $N=2$ it is easy to be right.
#
# ## 4 · Temperature
#
# The scale decides *whom* the loss looks at. At a small scale all wrong texts push about equally. At a large scale only
# those count that come close to the right one. Move it and see.

# %%
sample = torch.tensor(
    [0.62, 0.55, 0.41, 0.30, 0.12, -0.05, -0.20, -0.38]
)  # cosines with one picture, its own text first


def push(scale=10.0):
    """How hard each text pulls or pushes at this scale."""
    force = (scale * sample).softmax(dim=0)
    labels = ["own", *(f"{value:.2f}" for value in sample[1:].tolist())]
    values = {"own text": force[0].item() - 1} | dict(zip(labels[1:], force[1:].tolist(), strict=True))
    title = f"loss {-force[0].log():.2f}, log 8 = {math.log(8):.2f}"
    return viz.bars(values, ylabel="p − y", xlabel="cosine of the other texts", title=title, ylim=(-1, 0.6))


widgets.explore(
    push,
    scale=(1.0, 60.0, 1.0),
    alt="Bars of p minus y for eight texts: the own text pulls, close ones push, far ones hardly.",
)

# %% [markdown]
# **What to see:** at scale 10 the text at 0.55 pushes hardest and the last four hardly at all. Slide to 1: everybody
# pushes, the farthest still 0.4 times as hard as the nearest, and the loss stays as high as 1.69 ($\log 8$ is 2.08)
# although the own text is already in the lead. Slide to 60: only one
# rival is left. If that one is a mislabeled pair, the model learns from nothing else.
#
# Nobody has to choose: the scale is learned with the rest, as $s=e^{t}$ so that it stays positive.
#
# ### ✏️ Exercise 3 · Which way the temperature moves ★★★
#
# *Goal: derive the gradient of the loss for the logarithm of the scale. About 15 minutes.*
#
# The logits are $s_{ij}=e^{t}c_{ij}$ with cosines $c$. Use $\partial L/\partial s_{ij}$ from above and
# $\partial s_{ij}/\partial t$. Return the gradient as a number, without autograd.


# %% tags=["exercise"] id="08-temperature-gradient"
def scale_gradient(cosines, log_scale):
    """dL/dt of InfoNCE with logits e^t · cosines: (N, N) and a tensor with one number -> a number."""
    ### BEGIN SOLUTION
    logits = log_scale.exp() * cosines
    y = torch.eye(len(logits), dtype=logits.dtype)
    too_much = logits.softmax(dim=1) + logits.softmax(dim=0) - 2 * y
    return (too_much * logits).sum().item() / (2 * len(logits))
    ### END SOLUTION


# %% tags=["check"]
check("08-temperature-gradient", scale_gradient)

# %% [markdown]
# In words: the gradient compares the mean logit under the model's own probabilities with the logit of the right
# answer. Where the right one is ahead, the scale rises; where it is behind, it falls. So the scale reports how far the
# towers have come. CLIP starts it at $1/0.07\approx 14$ and stops it at 100. Follow it on a small example: pairs that
# fit better or worse.

# %%
scales = torch.logspace(-0.5, 2.3, 60).tolist()


def loss_at(noise, scale):
    own = torch.Generator().manual_seed(4)
    a = F.normalize(torch.randn(64, 12, generator=own), dim=1)
    b = F.normalize(a + noise * torch.randn(64, 12, generator=own) / 12**0.5, dim=1)
    return info_nce(a, b, scale=scale).item()


curves = {f"noise {noise}": (scales, [loss_at(noise, scale) for scale in scales]) for noise in (0.8, 1.2, 2.0)}
viz.show(
    viz.curves(curves, xlabel="scale", ylabel="InfoNCE", logx=True, ylim=(0, 8), baseline={"log 64": math.log(64)}),
    alt="Loss over scale for three levels of noise: each falls from log 64 to a lowest point and rises behind it, with more noise earlier.",
)
best = {name: scales[min(range(60), key=values.__getitem__)] for name, (_, values) in curves.items()}
claim("best scale at noise 0.8 over that at noise 2", best["noise 0.8"] / best["noise 2.0"], at_least=2)

# %% [markdown]
# **What to see:** each curve starts near $\log 64$, has one lowest point and rises behind it. The better the pairs fit,
# the larger the best scale: sharp only where you can afford it.
#
# ## 5 · Frozen towers
#
# Training both networks from nothing takes hundreds of millions of pairs. We have 1,440. But chapters 04 and 05 left us
# two networks that know a great deal, EfficientNet-Lite0 about pictures and MiniLM about words. They have never met.
# Freeze both, and learn one matrix for each tower:
#
# - **projection**（投影）: a linear map from the features of a network into the common space.
#
# For pictures we take not the last layer but the mean of many maps of the network (3,888 numbers), because a drawing
# differs from a photograph in what its edges and shapes say. The first time this takes about half a minute; after that
# the cache has it.

# %%
eye, reader = load_image_encoder("efficientnet-lite0-maps"), load_text_encoder("minilm")
seen, said = (
    extract_features(network, data, name=name, description=None, **options)
    for network, data, name, options in progress(
        [
            (eye, white, "clip-glyphs", {}),
            (reader, glyphs.names, "clip-glyphs-texts", {"normalize": False}),
        ],
        "Looking and reading",
    )
)  # (1690, 3888) and (1690, 384)

# %% [markdown]
# `CLIP` holds both projections, the scale and the loss. Features are standardized first (channels of a network differ
# in size by orders of magnitude), and dropout keeps 3,888 numbers from learning the drawings by heart. The text
# projection starts at the identity: the common space begins as that of MiniLM, where *kitten* already lies near *cat*.
#
# All settings here and below were chosen on the training and validation concepts. The 250 test concepts were not looked
# at for that.


# %%
def make_towers(rows, *, loss="info_nce", seed=0):
    seed_everything(seed)
    towers = CLIP(
        CLIPConfig(
            image="features", image_options={"width": seen.shape[1]}, text="features",
            text_options={"width": said.shape[1]}, width=said.shape[1], loss=loss, dropout=(0.6, 0.25), standardize=True,
        )
    )  # fmt: skip
    towers.measure(seen[rows], said[rows])
    nn.init.eye_(towers.text_projection[-1].weight)
    return towers


def pairs_of(pictures, texts, size):
    """`batches(step)`: every pair once an epoch."""

    def batch(step):
        epoch, place = divmod(step, len(pictures) // size)
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(epoch))
        chosen = order[place * size : (place + 1) * size]
        return pictures[chosen], texts[chosen]

    return batch


def train(towers, pictures, texts, *, size=256, steps, learning_rate=2e-3, **options):
    def loss(model, batch):
        return model.loss(model(*batch))

    batches = pairs_of(pictures, texts, size)
    return fit(towers, loss, batches, steps=steps, learning_rate=learning_rate, weight_decay=0.1, **options)


# %% [markdown]
# How good is a search? Each of 150 validation names looks for its drawing among 150. The measure is:
#
# - **recall@k**（前 k 召回率）: the share of queries whose right answer is among the first k that the search shows.
#
# ### ✏️ Exercise 4 · Among the first k ★★
#
# *Goal: measure how often a search shows the right item among its first k. About 10 minutes.*
#
# `similarity` (Q, Q): row q scores all items for query q, and the right item is q itself. Of two equal scores let the
# wrong item come first, so that a model that gives everything the same score gains nothing.


# %% tags=["exercise"] id="08-recall-at-k"
def recall_at_k(similarity, k):
    """The share of queries whose own item is among the first k of its row: (Q, Q) -> a number."""
    ### BEGIN SOLUTION
    rank = (similarity >= similarity.diagonal()[:, None]).sum(dim=1)  # 1 = at the top, ties at the end
    return (rank <= k).double().mean().item()
    ### END SOLUTION


# %% tags=["check"]
check("08-recall-at-k", recall_at_k)

# %% [markdown]
# Now train on the training concepts, and watch the validation concepts.


# %%
def search(towers, rows):
    """Similarity of every name with every drawing of these rows."""
    return towers.embed_texts(said[rows]) @ towers.embed_images(seen[rows]).T


STEPS = by_budget(smoke=10, standard=150, gpu=600)
curve = {"recall@10": [], "recall@1": []}


def evaluate(towers):
    found = retrieval(search(towers, split.val)).recall
    for k in (1, 10):
        curve[f"recall@{k}"].append(found[k])
    return found[10]


towers = make_towers(split.train)
untrained = retrieval(search(towers, split.val)).recall
history = train(
    towers, seen[split.train], said[split.train], steps=STEPS, evaluate=evaluate, evaluate_every=max(STEPS // 15, 1)
)

# %%
xs = [item.step for item in history.evaluations]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
viz.curves({"training loss": history.losses}, baseline={"log 256": math.log(256)}, ax=left)
viz.curves(
    {name: (xs, values) for name, values in curve.items()}, ylabel="recall (val)", ylim=(0, 1), ax=right,
    baseline={"chance, 10": 10 / 150},
)  # fmt: skip
viz.show(
    figure,
    alt="Left the training loss falls from a little above log 256 to about 0.2; right recall at 10 and at 1 rise a little until step 50 and are level after that.",
)
claim("recall@10 before training", untrained[10], at_most=0.15)
claim("recall@10 after training", curve["recall@10"][-1], at_least=0.5)

# %% [markdown]
# **What to see:** the loss goes on falling when recall has long stopped rising. The towers learn the training pairs by
# heart. What they carry over to new concepts is the part that counts, and most of it is there after ten steps.
#
# **Few pairs, many numbers.** A map with 3,888 inputs has too much freedom for 1,440 drawings. So describe a drawing by
# something that cannot be learned by heart: how much it resembles each drawing of the training set,
#
# $$k(x,x_j)=e^{\,3(\cos(x,x_j)-1)}.$$
#
# From these likenesses a ridge regression, solved in closed form, guesses the text vector. That guess is what the
# picture tower reads. For a training drawing the guess would be too good, as it was fitted to its own name; so each
# gets the guess of a regression that has not seen it. For ridge regression that is one formula. $K$ is the table of
# likenesses of the training drawings among themselves, $Y$ holds their text vectors as rows, $\lambda=0.3$ is the strength
# of the ridge, and the guesses are $\hat Y=HY$:
#
# $$\hat y_i^{(-i)}=y_i-\frac{y_i-\hat y_i}{1-H_{ii}},\qquad H=K(K+\lambda I)^{-1}.$$


# %%
class Likeness:
    """Drawings by their likeness to the training drawings, and the text vector that ridge regression guesses."""

    def __init__(self, pictures, names, *, sharpness=3.0, ridge=0.3, white=0.1):
        self.sharpness, roots = sharpness, self.roots(pictures)
        self.mean, self.spread = roots.mean(dim=0), roots.std(dim=0) + 1e-3
        self.known, self.middle = self.unit(pictures), names.mean(dim=0)
        centered = F.normalize(names - self.middle)
        values, axes = torch.linalg.eigh(centered.T @ centered / len(names))
        self.whiten = axes @ torch.diag((values + 1e-4) ** -white) @ axes.T  # what all names share counts less
        y, like = self.read(names), self.compare(self.known)  # (N, 384), (N, N)
        inverse = torch.linalg.inv(like + ridge * torch.eye(len(names)))
        self.weights, hat = inverse @ y, like @ inverse
        self.left_out = y - (y - hat @ y) / (1 - hat.diagonal())[:, None]  # each guessed without itself

    def roots(self, pictures):
        return pictures.sign() * pictures.abs().sqrt()  # tames the few loud channels

    def unit(self, pictures):
        return F.normalize((self.roots(pictures) - self.mean) / self.spread)

    def compare(self, units):
        return torch.exp(self.sharpness * (units @ self.known.T - 1))

    def read(self, names):
        return F.normalize(F.normalize(names - self.middle) @ self.whiten)

    def guess(self, pictures):
        return self.compare(self.unit(pictures)) @ self.weights


# %% [markdown]
# Is the formula right? Solve the regression again without drawing 5, and compare.

# %%
part = split.train[:200]
whole = Likeness(seen[part], said[part])
others = torch.arange(200) != 5
like, y = whole.compare(whole.known), whole.read(said[part])
without = torch.linalg.solve(like[others][:, others] + 0.3 * torch.eye(199), y[others])
distance = (like[5, others] @ without - whole.left_out[5]).abs().max()
claim("distance of the formula to a regression without the drawing", distance, at_most=1e-4)

# %% [markdown]
# Now two projections, from 384 to 384 numbers, that both begin as the identity: training starts where regression ends.
# Everything is chosen, so learn from all concepts that are not test.


# %%
known = torch.cat((split.train, split.val))
likeness = Likeness(seen[known], said[known])
sizes = likeness.left_out.std(), likeness.read(said[known]).std()  # both towers read numbers of size about 1


def picture_side(rows):
    return likeness.guess(seen[rows]) / sizes[0]


def text_side(features):
    return likeness.read(features) / sizes[1]


def likeness_towers(seed=0):
    seed_everything(seed)
    options = {"image_options": {"width": 384}, "text_options": {"width": 384}, "width": 384, "dropout": 0.4}
    final = CLIP(CLIPConfig(image="features", text="features", **options))
    for projection in (final.image_projection, final.text_projection):
        nn.init.eye_(projection[-1].weight)
    return final


final = likeness_towers()
_ = train(
    final,
    likeness.left_out / sizes[0],
    text_side(said[known]),
    steps=by_budget(smoke=5, standard=60),
    learning_rate=1e-3,
)

# %% [markdown]
# Now, once, the 250 test concepts: every name looks for its drawing. Chance is 0.004 for recall@1 and 0.04 for
# recall@10. Regression without any contrast is a strong rival, so it stands beside.

# %%
plain = make_towers(known)
_ = train(plain, seen[known], said[known], steps=STEPS)
guesses = F.normalize(likeness.guess(seen[split.test]))
tables = {
    "two projections": search(plain, split.test),
    "likeness, regression": likeness.read(said[split.test]) @ guesses.T,
    "likeness, contrast": final.embed_texts(text_side(said[split.test]))
    @ final.embed_images(picture_side(split.test)).T,
}
results = {name: retrieval(table).recall for name, table in tables.items()}
viz.show(
    viz.heat(
        [[row[k] for k in (1, 5, 10)] for row in results.values()], rows=list(results), columns=["@1", "@5", "@10"]
    ),
    alt="Recall at 1, 5 and 10 on the test concepts for two projections, regression on likeness, and contrast on likeness.",
)
found = results["likeness, contrast"]
claim("recall@1, concepts never seen", found[1], at_least=0.2)
claim("recall@10, concepts never seen", found[10], at_least=0.6)

# %% [markdown]
# About one name in four finds its drawing at once among 250, and almost two in three among the first ten. Neither the
# drawing nor the name was in training. But look at the rival: regression alone does as well (the two are a few
# hundredths apart in each column; with 250 names these differences are too small to tell). What
# carries this search is the likeness with its few degrees of freedom; contrast, which starts from there, adds little.
# Look at some answers: the name above, the drawing that came first below it.

# %%
table = tables["likeness, contrast"]
first = table.argmax(dim=1)
shown = torch.arange(4, 250, 21)[:12]
viz.show(
    viz.gallery(
        white[split.test[first[shown]]],
        [glyphs.names[split.test[i]] for i in shown.tolist()],
        columns=4,
        correct=(first[shown] == shown).tolist(),
    ),
    alt="Twelve test names with the drawing that was found first; right ones have a tick, about half of the wrong ones show a relative.",
)

# %% [markdown]
# **What to see:** about half of the mistakes are relatives: a heart for a heart with an arrow, a stopwatch for a timer
# clock. There the space is arranged by meaning, and the fine print is missing. Others are plainly wrong: a bank card for
# a ram, a shoe for a long drum.
#
# ## 6 · A classifier out of words
#
# **zero-shot classification**（零样本分类）: naming the class of a picture from descriptions of the classes, without any labeled picture of them.
#
# - **prompt**（提示）: the text that describes a class, or a task, to a model.
#
# The text tower turns the description of a class into a vector; the nearest class wins. The
# name of a class alone may be a bad one: *activities* is no word for a medal. So describe each class in several ways and
# average: a prompt ensemble.
#
# ### ✏️ Exercise 5 · Several ways to say it ★
#
# *Goal: turn several prompts for each class into one vector for each class. About 8 minutes.*
#
# `features` (K, P, D): P prompts for each of K classes, as the text tower gives them, of any length. Each prompt should
# count the same, and each class vector should have length 1.


# %% tags=["exercise"] id="08-prompt-ensemble"
def class_vectors(features):
    """One vector of length 1 for each class: (K, P, D) -> (K, D)."""
    ### BEGIN SOLUTION
    return F.normalize(F.normalize(features, dim=2).mean(dim=1), dim=1)
    ### END SOLUTION


# %% tags=["check"]
check("08-prompt-ensemble", class_vectors)

# %% [markdown]
# Each glyph belongs to one of eight groups. The towers never saw the groups. Compare the bare group names with
# descriptions (written by looking at training drawings, and kept when they did better on validation).

# %%
DESCRIBED = {
    "smileys-emotion": ["a face", "a smiling face", "a sad face", "an emotion", "a heart"],
    "people-body": ["a person", "a hand", "a part of the body", "people", "a worker"],
    "animals-nature": ["an animal", "a plant", "a flower", "a bird", "a fish", "an insect"],
    "food-drink": ["food", "a drink", "a fruit", "a vegetable", "a meal", "a dessert"],
    "travel-places": ["a building", "a vehicle", "a place", "weather", "a clock face", "the sky", "a landscape"],
    "activities": ["a sport", "a game", "a festival", "a medal", "a toy"],
    "objects": ["a tool", "clothing", "a musical instrument", "a device", "office supplies", "a book", "money"],
    "symbols": ["a sign", "a symbol", "an arrow", "a button", "a zodiac sign", "a mathematical sign"],
}
NAMED = {group: [group.replace("-", " and ")] for group in DESCRIBED}
groups = list(DESCRIBED)
truth = torch.tensor([groups.index(group) for group in glyphs.groups])  # (1690,)


def zero_shot(towers, prompts, rows):
    """The share of these drawings whose group is named right."""
    read = {group: text_side(reader.encode(texts, normalize=False)) for group, texts in prompts.items()}
    named = towers.zero_shot_classifier(read).predict(picture_side(rows)).labels
    return sum(groups.index(a) == b for a, b in zip(named, truth[rows].tolist(), strict=True)) / len(rows)


# %%
shares = truth[split.test].bincount(minlength=8) / len(split.test)
naming = {
    "chance": 1 / 8,
    "largest group": shares.max().item(),
    "group names": zero_shot(final, NAMED, split.test),
    "descriptions": zero_shot(final, DESCRIBED, split.test),
}
viz.show(
    viz.bars(naming, ylabel="accuracy (test)", highlight="descriptions"),
    alt="Bars of accuracy on eight groups: chance and the largest group lowest, group names higher, descriptions highest.",
)
ratio = naming["descriptions"] / max(naming["chance"], naming["largest group"])
claim("zero-shot over the best answer without looking", ratio, at_least=3)
claim("gain of descriptions over bare names", naming["descriptions"] - naming["group names"], at_least=0.04)

# %% [markdown]
# **What to see:** the best answer without looking is always the group that is most frequent in the test. The towers name
# three times as many, from words alone, for drawings of things they have never seen. Naming the kinds of things that a
# group holds, and not only the group, is worth about a tenth of all drawings. How much of that is the averaging alone was not
# measured.
#
# **Against a linear probe.** Chapter 05's linear probe learns from labels. How many labeled drawings a group is a
# description worth? Train a probe on the same picture vectors, with 2 to 64 labels a group from the training drawings
# and three draws of each. Its regularization is chosen on the validation drawings.

# %%
from sklearn.linear_model import LogisticRegression

learned = final.embed_images(likeness.left_out / sizes[0])  # of `known`: first train, then val
places = {"train": slice(0, len(split.train)), "val": slice(len(split.train), None)}
vectors = {name: learned[place].numpy() for name, place in places.items()}
vectors["test"] = final.embed_images(picture_side(split.test)).numpy()
labels = {name: truth[getattr(split, name)].numpy() for name in vectors}


def probe_accuracy(count, seed):
    draw = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed)).numpy()
    rows = [row for group in range(8) for row in draw[labels["train"][draw] == group][:count]]
    best = (0.0, 0.0)
    for strength in (0.1, 1.0, 10.0, 100.0):
        model = LogisticRegression(C=strength, max_iter=2000).fit(vectors["train"][rows], labels["train"][rows])
        best = max(best, tuple(model.score(vectors[part], labels[part]) for part in ("val", "test")))
    return best[1]  # on test, of the strength that is best on val


probe = {count: sorted(probe_accuracy(count, seed) for seed in range(3)) for count in (2, 4, 8, 16, 32, 64)}

# %%
low, middle, high = zip(*probe.values(), strict=True)
figure = viz.curves(
    {"linear probe, middle of three": (list(probe), middle)},
    xlabel="labeled drawings a group",
    ylabel="accuracy (test)",
    baseline={"zero-shot": naming["descriptions"]},
    logx=True,
    markers=True,
    ylim=(0, 1),
)
figure.axes[0].fill_between(list(probe), low, high, color=viz.BLUE, alpha=0.2)
viz.show(
    figure,
    alt="Accuracy of a linear probe rises with the labels and reaches the level line of zero-shot at 32 to 64 a group.",
)
claim("zero-shot minus the probe with two labels a group", naming["descriptions"] - middle[0], at_least=0.1)
claim("probe with 64 labels a group minus zero-shot", middle[-1] - naming["descriptions"], near=0, tolerance=0.06)

# %% [markdown]
# **What to see:** with two labels a group the probe is far behind the words. It takes about 32 labels a group to catch up
# with the descriptions. But these were kept by their accuracy on labeled validation drawings. The bare group names, which
# need no label at all, are right in about one half, and the probe gets there with four to eight labels a
# group. Zero-shot is how to begin when there
# are no labels, and what labels must beat.
#
# ## 7 · Batch size
#
# Every other pair of the batch is a wrong answer. So a larger batch asks a harder question. Is that better? Two ways to
# look. First, take the trained towers and let each validation name choose among fewer or more drawings.

# %%
scores = search(towers, split.val)
among = {}
for count in (2, 5, 15, 50, 150):
    hits = []
    for _ in range(by_budget(smoke=2, standard=20)):
        rows = torch.randperm(150, generator=generator)[:count]
        hits.append((scores[rows][:, rows].argmax(dim=1) == torch.arange(count)).float().mean())
    among[count] = torch.stack(hits).mean().item()
lines = {"right": (list(among), list(among.values()))}
figure = viz.curves(lines, xlabel="drawings to choose from", ylabel="share right", logx=True, markers=True, ylim=(0, 1))
viz.show(
    figure,
    alt="The share of right choices falls from four fifths among two drawings to a quarter among 150.",
)
claim("right among two", among[2], at_least=0.7)
claim("right among two minus right among 150", among[2] - among[150], at_least=0.4)

# %% [markdown]
# Among two, the towers are right four times in five: most such questions teach them nothing any more. Second, train at several
# sizes, with as many *pairs* seen in each. The learning rate of each size is the better of two on validation, and the
# figure shows three seeds of it.

# %%
SEEN = by_budget(smoke=512, standard=7680)  # pairs
batch_sizes, spread = (32, 128, 256), {}


def run(size, rate, seed):
    model = make_towers(split.train, seed=seed)
    options = {"steps": SEEN // size, "learning_rate": rate, "seed": seed, "description": None}
    _ = train(model, seen[split.train], said[split.train], size=size, **options)
    return retrieval(search(model, split.val)).recall[10]


for size in progress(batch_sizes, "batch sizes"):
    first_runs = {rate: run(size, rate, 0) for rate in (1e-3, 3e-3)}
    rate = max(first_runs, key=first_runs.get)
    spread[size] = sorted([first_runs[rate], run(size, rate, 1), run(size, rate, 2)])

# %%
low, middle, high = zip(*spread.values(), strict=True)
lines = {"middle of three seeds": (batch_sizes, middle)}
figure = viz.curves(lines, xlabel="batch size", ylabel="recall@10 (val)", logx=True, markers=True, ylim=(0, 1))
figure.axes[0].fill_between(batch_sizes, low, high, color=viz.BLUE, alpha=0.2)
viz.show(figure, alt="Recall at 10 over batch sizes 32, 128 and 256: a nearly level line with a narrow band.")
claim("largest minus smallest middle over batch sizes", max(middle) - min(middle), at_most=0.12)

# %% [markdown]
# **What to see:** on this small world the line is nearly level. With frozen towers and 1,290 pairs, batches of 32
# are enough. That is no law: CLIP trained from nothing with 32,768 pairs a batch, and SigLIP's authors tried up to a million
# and found that the gain fades beyond 32,000 (their abstract). When you read that contrastive learning "needs" large
# batches, ask: for how much data, and learning what?
#
# ## 8 · The sigmoid loss
#
# Softmax makes all texts of a batch compete. SigLIP asks each pair for itself: *do these two belong together, yes or
# no?* With $z_{ij}=1$ on the diagonal and $-1$ elsewhere, and a learned bias $b$:
#
# $$L=-\frac1N\sum_{i,j}\log\sigma\big(z_{ij}(s\,\langle I_i,T_j\rangle+b)\big)$$
#
# There are $N$ times *yes* and $N^2-N$ times *no*. Without the bias, the first steps would do nothing but learn to say
# no; it starts at −10, where no is already the answer.
#
# ### ✏️ Exercise 6 · Yes or no, N² times ★★
#
# *Goal: ask of every picture and every text whether they belong together. About 10 minutes.*


# %% tags=["exercise"] id="08-sigmoid-loss"
def pairwise_loss(cosines, scale, bias):
    """The sigmoid loss from cosines (N, N) of N pictures with N texts: a sum over all N² questions, divided by N."""
    ### BEGIN SOLUTION
    logits = scale * cosines + bias
    signs = 2 * torch.eye(len(cosines)) - 1
    return -F.logsigmoid(signs * logits).sum() / len(cosines)
    ### END SOLUTION


# %% tags=["check"]
check("08-sigmoid-loss", pairwise_loss)

# %% [markdown]
# What it buys is not quality first of all, but **communication**. Softmax needs every logit of a row at once. Yes-or-no
# questions can be added up in any order, block by block, on whichever machine has the block. Check that: the loss of
# eight pairs, from four blocks that never see each other.

# %%
pictures, texts = (F.normalize(torch.randn(8, 16, generator=generator), dim=1) for _ in range(2))
whole_loss = sigmoid_loss(pictures, texts, scale=10.0, bias=-10.0)
blocks = 0.0
for rows in (slice(0, 4), slice(4, 8)):
    for columns in (slice(0, 4), slice(4, 8)):
        block = 10.0 * pictures[rows] @ texts[columns].T - 10.0
        signs = torch.eye(8)[rows, columns] * 2 - 1
        blocks = blocks - F.logsigmoid(signs * block).sum() / 8
claim("distance of four blocks to the whole", (blocks - whole_loss).abs(), at_most=1e-5)

# %% [markdown]
# Train the plain towers with it, one run, beside the InfoNCE run of section 5.

# %%
yes_or_no = make_towers(split.train, loss="sigmoid")
_ = train(yes_or_no, seen[split.train], said[split.train], steps=STEPS, description="sigmoid loss")
losses = {
    name: retrieval(search(model, split.val)).recall[10]
    for name, model in (("InfoNCE", towers), ("sigmoid", yes_or_no))
}
claim("recall@10, sigmoid loss", losses["sigmoid"], at_least=0.45)

# %% [markdown]
# One run of each is no comparison, and we do not make one. Both learn: chance is 0.07.
#
# ## 9 · The space, drawn
#
# Put pictures and texts of the validation concepts into one plane (the two directions in which they vary most). Before:
# the features of the two frozen networks, which have nothing to do with each other, brought to 384 numbers by a random
# map. After: the trained towers.


# %%
def plane(*parts):
    together = torch.cat(parts)
    axes = torch.linalg.svd(together - together.mean(dim=0), full_matrices=False).Vh[:2]
    return [part @ axes.T for part in parts]


random_map = torch.randn(3888, 384, generator=generator) / 3888**0.5
spaces = {
    "before": (F.normalize(seen[split.val] @ random_map, dim=1), F.normalize(said[split.val], dim=1)),
    "after": (towers.embed_images(seen[split.val]), towers.embed_texts(said[split.val])),
}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6))
for ax, (name, (left, right)) in zip(axes, spaces.items(), strict=True):
    a, b = plane(left, right)
    for one, other in zip(a[:40].tolist(), b[:40].tolist(), strict=True):
        ax.plot([one[0], other[0]], [one[1], other[1]], color=viz.GRAY, lw=0.6)
    ax.scatter(*a.T, s=14, color=viz.BLUE, label="drawings")
    ax.scatter(*b.T, s=14, color=viz.ORANGE, marker="^", label="names")
    ax.set(title=name, xticks=[], yticks=[])
axes[0].legend()
viz.show(
    figure,
    alt="Before, drawings and names are two separate clouds; after, they share one cloud; thin lines join 40 pairs.",
)

# %% [markdown]
# - **modality gap**（模态间隙）: the distance between the mean picture and the mean text in a common space.
#
# Before, the clouds are far apart: the gap is nearly as long as the vectors themselves. Our towers have hardly any, as
# standardizing takes away both means before anything is learned. CLIP does not do that, and it keeps a gap (Liang et
# al., 2022): each network puts its vectors into a narrow cone of its own already before training, and the loss at
# CLIP's low temperature keeps the two cones apart.

# %%
gap = {name: (left.mean(dim=0) - right.mean(dim=0)).norm().item() for name, (left, right) in spaces.items()}
own = {name: (left * right).sum(dim=1).mean().item() for name, (left, right) in spaces.items()}
claim("modality gap before", gap["before"], at_least=0.6)
claim("modality gap after", gap["after"], at_most=0.25)
claim("mean cosine of a pair after", own["after"], at_least=0.15)

# %% [markdown]
# That mean cosine is far from 1. Nothing asks it to be 1: the pair must only be *closer than the others*. So a cosine of
# 0.3 is a confident match here, and would be none in another model. Never compare raw cosines across models.
#
# ## 10 · On photographs, and why it only half works
#
# The towers learned from drawings. EfficientNet has seen a million photographs. Do the names carry over? Sixteen
# photographs of the course, ten of which show a thing with a plain name.

# %%
from mmcourse.datasets import load_photos

PLAIN = ["cat", "coffee", "rocket", "camera", "astronaut", "clock", "coins", "motorcycle", "palace", "flower"]
photos = [load_photos()[name].image for name in PLAIN]
with torch.no_grad():
    looked = torch.cat([eye(eye.preprocess(photo[None])) for photo in photos])
names = final.embed_texts(text_side(reader.encode(PLAIN, normalize=False)))
match = names @ final.embed_images(likeness.guess(looked) / sizes[0]).T  # names ask photographs
viz.show(
    viz.heat(match, rows=PLAIN, columns=PLAIN),
    alt="Cosines of ten names with ten photographs; some large ones stand on the diagonal.",
)
rank = (match >= match.diagonal()[:, None]).sum(dim=1).float()
claim("mean rank of the right photograph among ten", rank.mean(), at_most=3)
claim("names that find their photograph first", (rank == 1).sum(), at_least=3, at_most=8)

# %% [markdown]
# **What to see:** chance would be a mean rank of 5.5; here the right photograph is mostly among the first two or three,
# and for about half of the names it comes first. Not bad for projections that have learned from drawings alone. But no more:
# this is the **domain shift** of chapter 04. What the regression knows about a rocket is what drawings of rockets have in
# common, above all black outlines on white. A thin lit line in the night has little of that, and several other photographs
# come before it. What is missing is pairs of the right kind. CLIP has 400 million.
#
# ## 11 · A bag of words
#
# Now scenes, where a caption can say *who is where*. "a cat left of a dog" and "a dog left of a cat" have the same
# words. Can two towers tell them apart? They get the best of starts: the patches of chapter 07 in their order, so that
# the picture tower can know every place, and a transformer with word positions on the other side.

# %%
from mmcourse.datasets import RELATIONS, caption_is_true, captions, make_scenes
from mmcourse.recipes import load_trained
from mmcourse.recipes.data.statements import swapped
from mmcourse.tokenizer import WordTokenizer

patch_encoder = load_trained("patches").model
counts = {"train": by_budget(smoke=300, standard=4000), "test": by_budget(smoke=300, standard=1000)}
scenes = {name: make_scenes(count, split=name) for name, count in counts.items()}
patches = {}
with torch.no_grad():
    for name, batch in scenes.items():
        patches[name] = torch.cat([patch_encoder.tokens(part) for part in batch.images.split(250)])  # (N, P, C)


def exchanged(scene, text):
    """The caption with its two things exchanged, if that makes it false; else None."""
    other = swapped(text)
    return other if other is not None and not caption_is_true(scene, other) else None


two_things = [row for row, scene in enumerate(scenes["test"].scenes) if exchanged(scene, captions(scene)[1])][:3]
viz.show(
    viz.gallery(
        scenes["test"].images[two_things], [captions(scenes["test"].scenes[row])[1] for row in two_things], columns=3
    ),
    alt="Three scenes, each with a caption that says which thing is where beside another.",
)

# %% [markdown]
# The test, on scenes never trained on: for each caption that becomes false when its two things change places, which of
# the two versions does the model score higher? A coin gets one half.

# %%
tests = [
    (row, text, exchanged(scene, text))
    for row, scene in enumerate(scenes["test"].scenes)
    for text in captions(scene)
    if any(relation in text for relation in RELATIONS)
]
tests = [item for item in tests if item[2] is not None][: by_budget(smoke=40, standard=600)]
rows = [row for row, _, _ in tests]
queries = [captions(scene)[row % 5] for row, scene in enumerate(scenes["test"].scenes[:300])]
gallery = scenes["test"].scenes[:300]
relevant = torch.tensor([[bool(caption_is_true(scene, text)) for scene in gallery] for text in queries])


def swap_accuracy(score):
    """The share of tests in which the true caption scores higher; score(patches (N, P, C), N texts) -> (N,)."""
    true, false = (score(patches["test"][rows], [item[which] for item in tests]) for which in (1, 2))
    return (true > false).float().mean().item()


tokenizer = WordTokenizer.train([text for scene in scenes["train"].scenes for text in captions(scene)])
print(len(tests), "tests, for example:", tests[0][1], "/", tests[0][2])

# %% [markdown]
# **The first try at a cure** is the usual one: put the exchanged caption into the batch, as one more
# wrong answer.
#
# - **hard negative**（困难负样本）: a wrong answer that is nearly right, put among the choices on purpose.
#
# ### ✏️ Exercise 7 · Captions that are nearly right ★★
#
# *Goal: let every picture choose among the texts of the batch and their swapped versions. About 12 minutes.*
#
# Vectors have length 1: `images` and `texts` (N, D) belong together, `negatives` (K, D) belong to no picture. A picture
# chooses among N + K texts; a text still chooses among the N pictures. Return the mean of both losses.


# %% tags=["exercise"] id="08-hard-negatives"
def loss_with_negatives(images, texts, negatives, scale):
    """InfoNCE in which every picture also has to reject K texts that belong to nobody."""
    ### BEGIN SOLUTION
    target = torch.arange(len(images))
    logits = scale * images @ torch.cat((texts, negatives)).T  # (N, N + K)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, : len(texts)].T, target)) / 2
    ### END SOLUTION


# %% tags=["check"]
check("08-hard-negatives", loss_with_negatives)

# %% [markdown]
# Train two towers with and without hard negatives, for the same number of steps.

# %%
SCENE_STEPS = by_budget(smoke=5, standard=300, gpu=2000)


def captioned(step):
    """Patches, one caption of each scene, and the exchanged versions of those captions that have one."""
    chance = torch.Generator().manual_seed(step)
    chosen = torch.randint(len(patches["train"]), (128,), generator=chance)
    texts, wrong = [], []
    for row, pick in zip(chosen.tolist(), torch.randint(5, (128,), generator=chance).tolist(), strict=True):
        scene = scenes["train"].scenes[row]
        texts.append(captions(scene)[pick])
        wrong += filter(None, [exchanged(scene, texts[-1])])
    return (
        patches["train"][chosen].flatten(1),
        *tokenizer.encode_batch(texts),
        *tokenizer.encode_batch(wrong or ["a cat"]),
    )


def scene_towers(negatives, seed=0):
    seed_everything(seed)
    options = {"image_options": {"width": 64 * 64}, "text_options": {"width": 128, "depth": 2}, "width": 128}
    model = CLIP(CLIPConfig(image="features", text="transformer", hidden=256, **options), tokenizer)

    def loss(model, batch):
        seen, ids, mask, *wrong = batch
        return model.loss(model(seen, ids, mask), negatives=model.encode_text(*wrong) if negatives else None)

    name = "with hard negatives" if negatives else "two towers"
    _ = fit(model, loss, captioned, steps=SCENE_STEPS, learning_rate=1e-3, seed=seed, description=name)
    return model


def pair_score(model):
    return lambda seen, texts: (model.embed_images(seen.flatten(1)) * model.embed_texts(texts)).sum(dim=1)


pair_models = {"two towers": scene_towers(False), "+ hard negatives": scene_towers(True)}

# %%
found, swaps = {}, {}
for name, model in pair_models.items():
    similarity = model.embed_texts(queries) @ model.embed_images(patches["test"][:300].flatten(1)).T
    found[name] = retrieval(similarity, relevant).recall[10]
    swaps[name] = swap_accuracy(pair_score(model))
    claim(f"recall@10 among 300 scenes, {name}", found[name], at_least=0.5)
    claim(f"swapped captions told apart, {name}", swaps[name], near=0.5, tolerance=0.08)

# %% [markdown]
# Both towers work: they find a right scene among 300 far more often than chance, which is about 0.05 (one and a half
# scenes are right on average). And both are blind to the order. The question cannot be blamed any more: three captions
# in ten have a swapped version, and it stands among the choices. Nor is it impossible for one vector: left–right and
# up–down of 64 things are 128 numbers, as many as the vector has, and "a left of b" could ask for the difference of two
# of them. But these short runs do not find that way. What would make it easy is a place where *this word* meets *this
# patch*.
#
# **The cure** is chapter 07: let every word look into the picture before anything is pooled.
#
# - **matcher**（匹配模型）: a network that reads a picture and a text together and says whether the text is true of it.
#
# It cannot be a search engine, as it must run anew for every picture with every text. But it can *judge*. The course's
# matcher is cross-attention over the same frozen patches, trained on true and false statements from easy to hard
# (`mmcourse train matcher`, three minutes). It never saw these scenes, but twelve times as many others as the towers: the
# bars are no fair race yet, the table further down is nearer to one.

# %%
matcher = load_trained("matcher").model
swaps["matcher"] = swap_accuracy(matcher.match)
viz.show(
    viz.bars(swaps, ylabel="told apart (test)", baseline={"coin": 0.5}, ylim=(0, 1.05), highlight="matcher"),
    alt="Bars: two towers with and without hard negatives stand at the coin's one half, the matcher near one.",
)
claim("swapped captions told apart, matcher", swaps["matcher"], at_least=0.9)

# %% [markdown]
# **Search with both.** Let the towers find ten scenes in no time, and let the matcher put these ten in order. This is how
# large search engines work.
#
# - **re-ranking**（重排序）: a slow and careful model sorts anew what a fast one has found.
#
# In this gallery of 150 scenes, make it harder: add the mirror image of each scene. A caption that says *left* or
# *right*, as two in five do, can be false of the twin, and only a model that tells left from right finds the right one
# of the two. All other captions are as true of the twin, so there is little to gain for them.

# %%
from dataclasses import replace

from mmcourse.models.matcher import rerank


def mirrored(scene):
    """What the mirror image of a scene shows."""
    return replace(
        scene, objects=tuple(replace(thing, cell=3 * thing.row + 2 - thing.column) for thing in scene.objects)
    )


twins = [*gallery[:150], *map(mirrored, gallery[:150])]
with torch.no_grad():
    twin_patches = patch_encoder.tokens(
        torch.cat([scenes["test"].images[:150], scenes["test"].images[:150].flip(-1)])
    )  # (300, P, C)
twin_truth = torch.tensor([[bool(caption_is_true(scene, text)) for scene in twins] for text in queries[:150]])
fast = pair_models["two towers"]
similarity = fast.embed_texts(queries[:150]) @ fast.embed_images(twin_patches.flatten(1)).T
careful = rerank(similarity, lambda query, items: matcher.match(twin_patches[items], [queries[query]] * len(items)))
order = {
    name: retrieval(table, twin_truth).recall
    for name, table in (("two towers", similarity), ("then the matcher", careful))
}
viz.show(
    viz.heat([[row[k] for k in (1, 5, 10)] for row in order.values()], rows=list(order), columns=["@1", "@5", "@10"]),
    alt="Recall at 1, 5 and 10 of the towers alone and after re-ranking ten: recall at 1 rises, recall at 10 stays.",
)
claim("gain in recall@1 by re-ranking ten", order["then the matcher"][1] - order["two towers"][1], at_least=0.01)

# %% [markdown]
# **What to see:** recall@1 rises by a few captions of 150, in one run; recall@10 cannot change, as the same ten are
# sorted anew. The next table asks with left and right alone, three seeds each, and there the gain is large.
#
# **What each cure costs and reaches.** The table comes from runs of their own (`data/make_cures.py`, a quarter of an hour
# on one core): three seeds each, all behind the same patches, all on the same 4,000 scenes. *Swapped* is the test from
# above, *recall@1* a search for left/right captions among 500 scenes, and *with twins* among these and their mirror
# images.
#
# Please know: the numbers of steps, and which false sentences the matcher hears, were settled after a first run had been
# measured on these test scenes. So do not read anything into small differences.

# %%
import csv

from mmcourse.content import content_dir

with (content_dir("data") / "cures.csv").open(encoding="utf-8", newline="") as file:
    measured = list(csv.DictReader(file))
columns = {"swap": "swapped", "recall_1": "recall@1", "recall_1_twins": "with twins"}
SHORT = {
    "two towers": "two towers",
    "two towers, swapped captions as negatives": "two towers, negatives",
    "late interaction, swapped captions as negatives": "late, negatives",
    "matcher, wrong order only": "matcher, order only",
    "matcher alone": "matcher",
    "two towers, then the matcher": "towers, then matcher",
}
runs = {cure: [row for row in measured if row["cure"] == cure] for cure in SHORT}
means = [[sum(float(row[name]) for row in rows) / len(rows) for name in columns] for rows in runs.values()]
viz.show(
    viz.heat(means, rows=list(SHORT.values()), columns=list(columns.values())),
    alt="Table of cures: swapped captions told apart, recall at 1, and recall at 1 with mirror images, mean of three seeds.",
)

# %%
seconds = {cure: min(float(row["seconds"]) for row in rows) for cure, rows in runs.items()}
for cure, short in SHORT.items():
    print(f"{short:22} {seconds[cure] / seconds['two towers']:3.1f} × the time of two towers")
values = {cure: [float(row["swap"]) for row in rows] for cure, rows in runs.items()}
blind = [*values["two towers"], *values["two towers, swapped captions as negatives"]]
claim("best of six runs of two towers, swapped", max(blind), at_most=0.6)
claim("worst of three matchers, swapped", min(values["matcher alone"]), at_least=0.95)

# %% [markdown]
# **What to see:** swapped captions as negatives move two towers by nothing to speak of, over three seeds. With **late
# interaction**, a vector for each word and each patch that meet in one product (Khattab and Zaharia, 2020), the same
# negatives get part of the way, at three times the training time and with a wide spread between seeds. The matcher learns
# to tell the captions apart in about the training time of two towers; in a search it costs far more, a run for each pair.
# No learning rate was tuned, the numbers of steps differ (500, 300 and 900), and only the matcher began with nouns that
# are the vectors of what they name. So the table says what worked here, not that nothing else could.
#
# The row *order only* is a warning. Trained on nothing but swapped pairs, the matcher passes the test almost
# perfectly, and as a search it is useless: it never had to learn *what* is there. A benchmark of swapped captions alone
# would have called it cured. Always look at the old skill beside the new one.
#
# ## 12 · A silent failure: everything runs, and nothing is learned well
#
# A colleague trains the towers of section 5 again. Same data, same seed, same number of steps. The loss falls from the
# first step on, nothing crashes. But the search is worse than it should be. Look at the symptoms first.

# %%
suspect = make_towers(split.train)
suspect.log_scale.data.zero_()
suspect.log_scale.requires_grad_(False)
found_curve = []


def watch(towers):
    found_curve.append(retrieval(search(towers, split.val)).recall[10])
    return found_curve[-1]


suspicious = train(
    suspect, seen[split.train], said[split.train], steps=STEPS, evaluate=watch, evaluate_every=max(STEPS // 15, 1),
    description="run B",
)  # fmt: skip
floor = math.log(1 + 255 * math.exp(-(1 + 1 / 255)))
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
viz.curves({"run A": history.losses, "run B": suspicious.losses}, baseline={"log 256": math.log(256)}, ax=left)
viz.curves(
    {"run A": curve["recall@10"], "run B": found_curve},
    xlabel="measurement",
    ylabel="recall@10 (val)",
    ylim=(0, 1),
    ax=right,
)
viz.show(figure, alt="Run B's loss falls a little below log 256 and stays there; its recall stays below run A's.")
claim("last loss of run B over log 256", suspicious.losses[-1] / math.log(256), at_least=0.75, at_most=0.99)

# %% [markdown]
# Stop here and name the cause before you read on. Two hints: the loss of run B stops a little below $\log 256=5.55$. And the
# pairs *are* learned, as its recall shows.
#
# **Diagnosis.** Run B has no temperature: the cosines go into the softmax as they are, at scale 1. Even a perfect model
# could not do better than this. If every pair had cosine 1 and all wrong texts lay as far away as they can on average,
# at $-\frac1{N-1}$, the loss would be
#
# $$\log\Big(1+(N-1)\,e^{-1-\frac1{N-1}}\Big)=4.55\quad\text{for }N=256.$$
#
# Softmax of so narrow a range is nearly flat, so all 255 wrong texts push about equally, near and far. **The test that
# finds it**: compute the lowest loss that your scale allows, and compare. A loss that stops there says nothing about
# your data.

# %%
n = 256
print("lowest loss at scale 1:", round(math.log(1 + (n - 1) * math.exp(-1 - 1 / (n - 1))), 2))
print("lowest loss at scale 14:", f"{math.log(1 + (n - 1) * math.exp(-14 * (1 + 1 / (n - 1)))):.4f}")
assert round(floor, 2) == 4.55
claim(
    "last loss of run B above the lowest that scale 1 allows", suspicious.losses[-1] - floor, at_least=0.0, at_most=0.6
)
claim("recall@10 of run A minus that of run B", curve["recall@10"][-1] - found_curve[-1], at_least=0.02)

# %% [markdown]
# ## 13 · At scale
#
# | System | Pairs | Batch | What is published about it |
# |---|---|---|---|
# | CLIP (Radford et al., 2021) | 400 M, collected from the web | 32,768 | zero-shot ImageNet 75.3 % with ViT-L/14 (OpenCLIP's README: "75.3 in paper") |
# | OpenCLIP (Cherti et al., 2023) | LAION-2B | – | 75.3 % with ViT-L/14, 78.0 % with ViT-H/14 (README of the repository) |
# | SigLiT (Zhai et al., 2023) | frozen picture tower | up to 1 M tried, 32 k enough | 84.5 % with four TPUv4 chips in two days (abstract) |
# | SigLIP B/16 (Zhai et al., 2023) | WebLI, English | 32 k | three days on 16 TPU-v4 chips (model card) |
# | CLIPA-v2 (Li et al., 2023) | about 13 B seen | – | 81.1 % for 10,000 dollars of computing (abstract) |
# | ARO (Yuksekgonul et al., 2023) | 50,000 tests | – | CLIP and others order captions and relations near chance; hard negatives help in part |
#
# Two things carry over from this chapter. *A frozen tower goes a long way*: SigLiT freezes a far better picture tower and
# trains the text tower; our section 5 froze both. And *towers trained on pairs alone tend to read bags of words*: the last
# row is our section 11 on photographs. There hard negatives helped a pretrained CLIP; in our short runs they did not.
#
# **A batch over many processes.** Each of $R$ processes computes the features of its own $N/R$ pairs, then all gather all
# features, so that each can form its rows of the $N\times N$ logits. Gradients must flow back through the gathering; the
# course's `distributed` does that, and its tests hold two and four processes to one within 10⁻⁵:
#
#     torchrun --standalone --nproc-per-node 2 -m mmcourse.course.cli train clip
#
# **A batch beyond memory.** The logits need all features at once, but not all activations. The remedy is
# **gradient caching**（梯度缓存）: computing the loss of a large batch part by part, with the same gradient. First
# compute all features without keeping activations, then the loss and its gradient with respect to the *features*; then
# go through the batch again, part by part, and hand each part its own gradient. Check that nothing changes.

# %%
from mmcourse.train import in_chunks

small = likeness_towers().eval()  # without dropout, or each pass would draw its own
rows = torch.arange(64)
left_side, right_side = (likeness.left_out / sizes[0])[rows], text_side(said[known[rows]])
small.loss(small(left_side, right_side)).backward()
whole_gradient = small.image_projection[-1].weight.grad.clone()
small.zero_grad()
features = (
    in_chunks(encode, side, chunk=16)
    for encode, side in ((small.encode_image, left_side), (small.encode_text, right_side))
)
info_nce(*features, scale=small.scale).backward()
distance = (small.image_projection[-1].weight.grad - whole_gradient).abs().max() / whole_gradient.abs().max()
claim("relative distance of the gradient in chunks of 16", distance, at_most=1e-4)

# %% [markdown]
# **On one GPU** set `MMCOURSE_BUDGET=gpu` for longer runs. **On your own pictures**: a folder with `metadata.csv` is all
# that `mmcourse train clip --data FOLDER` needs.

# %% [markdown] tags=["written"] id="08-what-a-score-means"
# ### ✏️ Written question · What does a score of 0.31 mean?
#
# A shop sorts photographs with a two-tower model: a picture whose cosine with "a damaged parcel" is above 0.31 is
# refused. It was tried on fifty pictures. Explain in four to six sentences what can go wrong, and what you would measure
# before you let it run.
#
# ### BEGIN SOLUTION
# A cosine has no unit: it depends on the model, its temperature and the prompt, so 0.31 means nothing by itself and
# changes with every retraining. The text has no rival; a contrastive score is made for choices, so compare it with
# "an undamaged parcel" and further descriptions, in several wordings. Items that are near to everything will
# be refused whatever they show. "damaged" may be read as one word in a bag: "a parcel, not damaged" may score as high.
# Photographs of the shop may differ from the training data. Measure precision and recall on a few hundred labeled
# pictures of the shop itself, with the threshold chosen on one part and reported on another, for each camera and kind of
# parcel, beside the baseline of always accepting and beside a linear probe on the same features.
# ### END SOLUTION

# %% [markdown]
# ## 14 · Open project
#
# Pick one and write a report with a figure for each claim and one thing that did not work.
#
# 1. Build a search over your own photographs with `mmcourse train clip --data FOLDER`, hold out a tenth, and report
#    recall@k with the number of pictures beside it.
# 2. Find the hubs: which drawings come up for the most training names? Subtract from each similarity a share of how well
#    an item fits its ten best training names. Choose the share on validation; what does it buy on recall@1 and recall@10?
# 3. The collection has Chinese names for 1,398 glyphs. Which part of this chapter works with MiniLM's English vocabulary, and
#    which does not? What would you have to exchange?
# 4. Teach the matcher another relation ("inside", "between"), with statements from easy to hard. Which easy kind
#    prepares it?
#
# ## 15 · Check yourself

# %%
quiz(
    Question(
        "All logits of a batch of 64 pairs are equal. InfoNCE is …",
        ("0", "log 64", "1/64"),
        1,
        "Every choice among 64 is a coin with 64 sides.",
    ),
    Question(
        "The scale grows from 10 to 60. The gradient now comes mostly from …",
        ("all wrong texts alike", "the nearest wrong texts", "the right text alone"),
        1,
        "A sharp softmax gives nearly all weight to the best few.",
    ),
    Question(
        "Zero-shot classification needs, for the classes of the task, …",
        ("labeled pictures", "descriptions", "nothing"),
        1,
        "The text tower turns descriptions into class vectors.",
    ),
    Question(
        "Two towers score “a cat left of a dog” and “a dog left of a cat” alike. Hard negatives …",
        ("did not change that here", "cured it here", "cannot be put into the loss"),
        0,
        "What was missing is a place where a word meets a patch.",
    ),
    Question(
        "Why is a matcher not used for the whole search?",
        ("it is less accurate", "it must run for every picture with every text", "it cannot be batched"),
        1,
        "Two towers compute each vector once; a matcher has nothing to store.",
    ),
    Question(
        "Your contrastive loss stops at 4.55 with a batch of 256. First suspect?",
        ("too few data", "the temperature is missing", "the learning rate"),
        1,
        "That is the lowest loss that scale 1 allows.",
    ),
)

# %% [markdown]
# ## Summary
#
# - InfoNCE is cross-entropy in which the batch brings the classes; its gradient is $p-y$ in rows and columns.
# - The temperature decides which wrong answers count. It is learned, and without it the loss has a floor.
# - Two frozen networks and a small map find drawings by names they have never seen. Few pairs need few degrees of freedom.
# - Descriptions make a classifier without labels; several descriptions make a better one.
# - Cosines rank. Their size means nothing across models.
# - Two towers read captions as bags of words. A matcher that lets words meet patches does not, and re-ranking makes it affordable.
#
# **Next: 09 · Captioning**, where the model no longer chooses a sentence but writes one.
#
# ## References
#
# - *Representation learning with contrastive predictive coding* (InfoNCE). van den Oord, Li, Vinyals. 2018.
# - *Learning transferable visual models from natural language supervision* (CLIP). Radford et al. ICML 2021.
# - *Sigmoid loss for language image pre-training* (SigLIP, SigLiT). Zhai, Mustafa, Kolesnikov, Beyer. ICCV 2023.
# - *Reproducible scaling laws for contrastive language-image learning* (OpenCLIP). Cherti et al. CVPR 2023.
# - *CLIPA-v2: scaling CLIP training with 81.1% zero-shot ImageNet accuracy within a $10,000 budget*. Li, Wang, Xie. 2023.
# - *Mind the gap: understanding the modality gap in multi-modal contrastive representation learning*. Liang et al. NeurIPS 2022.
# - *When and why vision-language models behave like bags-of-words, and what to do about it?* (ARO). Yuksekgonul et al. ICLR 2023.
# - *ColBERT: efficient and effective passage search via contextualized late interaction over BERT*. Khattab, Zaharia. SIGIR 2020.
# - *Align before fuse* (a matching head behind two towers). Li et al. NeurIPS 2021.
# - *Scaling deep contrastive learning batch size under memory limited setup* (gradient caching). Gao et al. 2021.
