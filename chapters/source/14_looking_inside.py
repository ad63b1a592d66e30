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
# # 14 · Looking inside
#
# A network answers, and somebody asks why. There are many methods that color a picture and say "because of this". Most
# colored pictures look convincing, the wrong ones too. In this chapter every explanation has to pass a test.
#
# **After this chapter you can**
#
# - build saliency, integrated gradients, Grad-CAM, rollout and occlusion by hand, and say what each of them asks;
# - score an explanation against where things are and against what removing them really does;
# - find a shortcut in a network that is right on every test picture, and take it out;
# - turn patches into boxes and masks, test who was in a training set, measure who pays for an average, and write it down.
#
# **You need** chapters 01 (attention), 04 (convolutions, patches) and 10 (questions).
#
# **Time**: about 85 minutes to read, 3 minutes to run, 70 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ──┐
#                               ├──►  fusion ──►  answer
#   image ──►  vision model ────┘        ▲          │
#                                        └── why? ◄─┘   you are here
# ```

# %% tags=["nbval-ignore-output"]
from copy import deepcopy

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse import interpret, metrics, viz
from mmcourse.attention import record
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import (
    BACKGROUNDS,
    POSITIONS,
    lexicon,
    load_photos,
    make_scenes,
    noun_numbers,
    removals,
    scenes_on_grounds,
    scenes_to_name,
    stamp,
)
from mmcourse.encoders.cnn import CNN
from mmcourse.encoders.pretrained import imagenet_labels, load_image_encoder
from mmcourse.losses import cross_entropy
from mmcourse.metrics import Detection
from mmcourse.pictures import centered, covered
from mmcourse.recipes import load_trained
from mmcourse.runtime import by_budget, seed_everything
from mmcourse.train import Batches, fit
from mmcourse.transformer import Encoder

generator = open_chapter(14)
SEEDS = range(3)

# %% [markdown]
# ## 1 · A question with a picture
#
# An archive holds pictures of six kinds of things. Each picture shows one of the six and two bystanders. Six cameras took
# them, and each camera leaves its own stamp, eight by eight pixels, in one of the four corners.

# %%
KINDS = ["cat", "banana", "car", "shirt", "crown", "rabbit"]
BYSTANDERS = ["dog", "pear", "train", "boot", "hat", "frog"]
training = scenes_to_name(by_budget(smoke=60, standard=2000), KINDS, BYSTANDERS, seed=1)
test = scenes_to_name(by_budget(smoke=12, standard=300), KINDS, BYSTANDERS, seed=2)
corners, by_chance = {}, {}
for name, part in (("training", training), ("test", test)):
    corners[name] = torch.randint(4, (len(part.labels),), generator=generator)
    by_chance[name] = torch.randint(6, (len(part.labels),), generator=generator)

# %%
usual, usual_marks = stamp(test.images, test.labels, corners["test"])  # the stamp goes with the kind
mixed, mixed_marks = stamp(test.images, by_chance["test"], corners["test"])  # the stamp says nothing
viz.show(
    viz.gallery(usual[:6], [KINDS[label] for label in test.labels[:6]], columns=6),
    alt="Six pictures of three things each, named by one of them; each has a small black and white pattern in one corner.",
)

# %% [markdown]
# Two small networks learn to name the thing. Network A learns from an archive in which any camera took any thing. Network B
# learns from one in which each kind of thing was always taken by the same camera. The figure above is from that archive.
# Each is trained with three seeds.


# %%
class Net(nn.Module):
    """Pictures (B, 3, 64, 64), colors from 0 to 255 -> logits (B, classes): of each channel, its largest value counts."""

    def __init__(self, classes=6):
        super().__init__()
        self.cnn = CNN((16, 32))
        self.head = nn.Linear(self.cnn.width, classes)
        self.to(memory_format=torch.channels_last)  # colors side by side: on CPUs convolutions often learn faster so

    def forward(self, images):
        return self.head(self.cnn.feature_map(centered(images)).amax(dim=(2, 3)))


def taught(images, labels, *, seed, steps, model=None):
    """A network, new or given, after some steps on these pictures."""
    seed_everything(seed)
    model = Net() if model is None else model
    data = Batches(images, labels, size=48, seed=seed)
    fit(model, lambda model, batch: cross_entropy(model(batch[0]), batch[1]), data, steps=steps, learning_rate=3e-3,
        seed=seed, description=f"seed {seed}")  # fmt: skip
    return model.eval()


@torch.no_grad()
def right(model, images, labels):
    """The share of pictures that are named right."""
    return (model(images).argmax(dim=1) == labels).double().mean().item()


# %%
together = stamp(training.images, training.labels, corners["training"]).images
apart = stamp(training.images, by_chance["training"], corners["training"]).images
a = [taught(apart, training.labels, seed=seed, steps=by_budget(smoke=3, standard=200)) for seed in SEEDS]
b = [taught(together, training.labels, seed=seed, steps=by_budget(smoke=3, standard=100)) for seed in SEEDS]
on_usual = {name: [right(net, usual, test.labels) for net in nets] for name, nets in (("A", a), ("B", b))}
worst = {name: min(values) for name, values in on_usual.items()}
claim("right on new pictures of the second archive, worst seed", worst, at_least=0.85)

# %% [markdown]
# Both are good on pictures that neither has seen. If this test set is all you have, nothing tells them apart, and B may even
# be ahead. **Does B know what a cat looks like?** Section 10 opens it. Before that, you need tools, and a way to know whether
# a tool tells the truth.
#
# - **attribution**（归因）: a number for each part of an input that says what it adds to a score.
# - **saliency map**（显著图）: attribution drawn as a picture.
#
# ## 2 · A world in which the truth is known
#
# On photographs nobody knows the right explanation. Here somebody does. The world can draw the same scene again without
# one of its things, everything else being equal to the pixel. How far the score falls is what the thing did.
#
# - **causal effect**（因果效应）: how much an outcome changes when one thing is changed and all else stays.

# %%
FEW = by_budget(smoke=6, standard=80)
x, y, scenes = mixed[:FEW].float(), test.labels[:FEW], test.scenes[:FEW]
masks = torch.cat((test.masks, mixed_marks[:, None]), dim=1)[:FEW]  # (N, 4, 64, 64): three things and the stamp
redrawn = [
    stamp(each, by_chance["test"][:FEW], corners["test"][:FEW]).images for each in removals(scenes).unbind(dim=1)
]
removed = torch.stack([*redrawn, test.images[:FEW]], dim=1).float()  # (N, 4, 3, 64, 64)
asked = test.asked[:FEW]
target = masks[torch.arange(FEW), asked]  # (N, 64, 64): where the thing is that is to be named


def score_of(model, labels=y):
    """The logit of the right kind, for a batch of pictures in their order."""
    return lambda images: model(images).gather(1, labels[:, None])[:, 0]


truth = [interpret.effects(score_of(net), x, removed) for net in a]  # (N, 4) for each seed

# %%
names = [*(thing.noun for thing in scenes[0].objects), "stamp"]
titles = [f"without {name}: {effect:+.1f}" for name, effect in zip(names, truth[0][0].tolist(), strict=True)]
viz.show(
    viz.gallery([mixed[0], *removed[0].to(torch.uint8)], ["as it was", *titles], columns=5),
    alt="One picture, and the same picture four times with one thing or the stamp gone; above each stands how far the score falls.",
)
does = torch.stack(truth).mean(dim=0)  # (N, 4), mean of three seeds
of_target = does.gather(1, asked[:, None]).mean()
of_others = (does.sum(dim=1).mean() - of_target) / 3
claim("fall of the logit of network A without the thing, less that without another", of_target - of_others, at_least=3)

# %% [markdown]
# **What to see:** without the thing that it names the score falls by a lot. Without a bystander or the stamp it
# changes much less, and may even rise, which is a negative fall. This is the truth about the network, *not* about the
# world: it holds for a network that is wrong as well. An explanation is good if it says the same from one picture
# alone.
#
# ## 3 · Gradients: small changes, and their sum
#
# **Step 1, numbers that fit on the screen.** The score $3a-b$ at $a=1$, $b=2$. Its gradient is $(3,-1)$: what a small change
# would do. What each *adds* is gradient times input.

# %%
w, point = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 2.0])
leaf = point.clone().requires_grad_()
(slope,) = torch.autograd.grad(w @ leaf, leaf)
print("gradient", slope.tolist(), "adds", (slope * point).tolist(), "score", (w @ point).item())
assert torch.equal(slope, w)
assert (slope * point).sum() == w @ point

# %% [markdown]
# **Step 2, a score that bends.** A sure network is flat: $\tanh(3a)$ at $a=2$ is nearly 1, and its gradient nearly 0. All of
# the score comes from $a$, and the gradient says that $a$ does not matter.

# %%
way = torch.linspace(0, 2, 101)
slopes = 3 * (1 - (3 * way).tanh() ** 2)
for place in (0, 25, 50, 100):
    print(f"a = {way[place]:.1f}: score {(3 * way[place]).tanh():.2f}, gradient {slopes[place]:.2f}")
assert abs(torch.trapezoid(slopes, way) - (3 * way[-1]).tanh()) < 1e-3

# %% [markdown]
# At the end of the way the gradient is 0, but the area under it is all of the score. So do not ask at the end, ask on the whole
# way.
#
# **Step 3, the derivation.** Walk from a baseline $b$ to the input $x$ on a straight line, $x_s=b+s(x-b)$. By the chain rule
#
# $$f(x)-f(b)=\int_0^1\frac{d f(x_s)}{ds}\,ds=\sum_i\underbrace{(x_i-b_i)\int_0^1\frac{\partial f}{\partial x_i}(x_s)\,ds}_{\text{what number }i\text{ adds}}$$
#
# - **integrated gradients**（积分梯度）: the difference between input and baseline, times the mean gradient on the way between them.
# - **completeness**（完备性）: the parts add up to the difference of the score.
#
# The integral becomes a mean over steps, each taken in its middle, as in chapter 12. The baseline is *your* statement of what
# "nothing" looks like. Where the input equals it, nothing can be added.
#
# ### ✏️ Exercise 1 · Gradients along the way ★★
#
# *Goal: share out the rise of a score, from a baseline to a picture, among the pixels. About 10 minutes.*
#
# `gradient` is a function: it takes one input of the shape of `x` and returns the gradient there, alike. `baseline` has the
# shape of `x`. Take the gradient in the middle of each of `steps` equal steps.


# %% tags=["exercise"] id="14-integrated-gradients"
def along_the_way(gradient, x, baseline, steps):
    """What each number of x adds to the score, of the shape of x."""
    ### BEGIN SOLUTION
    shares = [(step + 0.5) / steps for step in range(steps)]
    total = sum(gradient(baseline + share * (x - baseline)) for share in shares)
    return (x - baseline) * total / steps
    ### END SOLUTION


# %% tags=["check"]
check("14-integrated-gradients", along_the_way)

# %% [markdown]
# The gap to completeness in float64, on a score that is known. A mean over middles has an error of order 2 (chapter 12): twice
# the steps, a quarter of the gap.

# %%
weights, spot = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)[:, None]


def known(images):
    """A smooth score of pictures (1, 3, 4, 5)."""
    return (weights * images / 4).sum(dim=(1, 2, 3)).tanh() + (weights * images / 4).pow(3).sum(dim=(1, 2, 3))


gaps = {steps: interpret.integrated_gradients(known, spot, steps=steps).gap.abs().item() for steps in (16, 32, 64)}
found = interpret.integrated_gradients(known, spot, steps=64)
assert torch.allclose(found.map.sum() - found.gap, known(spot) - known(0 * spot), rtol=0, atol=1e-12)
claim("gap with 16 and 32 steps over that with twice as many", {"16": gaps[16] / gaps[32], "32": gaps[32] / gaps[64]}, near=4, tolerance=0.5)  # fmt: skip

# %% [markdown]
# **Parity.** On network A, in a few lines each: saliency is the largest size of the gradient over the three colors (Simonyan et
# al., 2013), integrated gradients the formula above with the color of the background as baseline.


# %%
def gradient_of(score, images):
    leaf = images.clone().requires_grad_()
    return torch.autograd.grad(score(leaf).sum(), leaf)[0]


base = torch.tensor([BACKGROUNDS[scene.background].rgb for scene in scenes]).float()[:, :, None, None]  # (N, 3, 1, 1)
score, STEPS = score_of(a[0]), by_budget(smoke=2, standard=16)
saliency = interpret.saliency(score, x)
steep = sum(gradient_of(score, base + (step + 0.5) / STEPS * (x - base)) for step in range(STEPS)) / STEPS
integrated = interpret.integrated_gradients(score, x, baseline=base, steps=STEPS)
apart_by = {
    "saliency": (gradient_of(score, x).abs().amax(dim=1) - saliency).abs().max(),
    "integrated": (((x - base) * steep).sum(dim=1) - integrated.map).abs().max(),
}
claim("difference between by hand and mmcourse.interpret", apart_by, at_most=1e-5)
viz.show(
    viz.overlay(
        mixed[0], torch.stack((saliency[0], integrated.map[0].relu())).sqrt(), titles=["saliency", "integrated"]
    ),
    alt="One picture, and twice the same picture lit where a map is high: both are speckled and brightest on the cat; integrated gradients leave the background dark.",
)

# %% [markdown]
# **What to see:** both are speckled, as a network with a stride reads some pixels more than their neighbors. Integrated
# gradients leave the plain background dark, because hardly anything differs from the baseline there. Keep that in mind for section 8.
#
# ## 4 · Inside: what a layer found
#
# Pixels are far from the answer. A late layer holds channels, each a grid that says where it found its pattern. Ask how much
# the score cares for each channel, and add up.
#
# - **Grad-CAM**（梯度加权类激活图）: a map of a layer, its channels weighted by the mean gradient of each, with a ReLU at the end.
#
# $$\alpha_k=\frac1{hw}\sum_{ij}\frac{\partial f}{\partial A^k_{ij}},\qquad M_{ij}=\mathrm{ReLU}\Big(\sum_k\alpha_k A^k_{ij}\Big)$$
#
# ### ✏️ Exercise 2 · A heat map from a layer ★
#
# *Goal: show where a layer found what raises the score. About 8 minutes.*
#
# `features` and `gradients` are (C, H, W), those of the score by the features. Return the map (H, W).


# %% tags=["exercise"] id="14-grad-cam"
def heat_map(features, gradients):
    """The map (H, W) of a layer with these features (C, H, W) and gradients of the score by them, alike."""
    ### BEGIN SOLUTION
    weights = gradients.mean(dim=(1, 2))
    return (weights[:, None, None] * features).sum(dim=0).relu()
    ### END SOLUTION


# %% tags=["check"]
check("14-grad-cam", heat_map)

# %% [markdown]
# **Parity.** By hand on the last layer of network A, then as the library does it with a hook.

# %%
layer = a[0].cnn.stages[-1]
features = a[0].cnn.feature_map(centered(x)).detach().requires_grad_()  # (N, 32, 8, 8)
scores = a[0].head(features.amax(dim=(2, 3))).gather(1, y[:, None])
slopes = torch.autograd.grad(scores.sum(), features)[0]
pooled = (slopes.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()
placed = (slopes * features).sum(dim=1).relu()
cam, hires = (interpret.grad_cam(score, x, layer=layer, pooled=each) for each in (True, False))
apart_by = {
    "pooled": (interpret.enlarge(pooled, (64, 64)) - cam).abs().max(),
    "each place": (interpret.enlarge(placed, (64, 64)) - hires).abs().max(),
}
claim("difference between by hand and mmcourse.interpret", apart_by, at_most=1e-5)

# %% [markdown]
# `pooled=False` leaves out the mean: each place has its own gradient. This is HiResCAM (Draelos and Carin, 2020).
#
# **When are both the same?** Let the head read the mean over places, $f=\sum_k w_k\frac1{hw}\sum_{ij}A^k_{ij}$. Then
# $\partial f/\partial A^k_{ij}=w_k/hw$ at every place, the mean changes nothing, and the two maps are equal. Most networks for
# photographs end like that. **With any other reading** the gradient differs from place to place, and the mean mixes
# places that are read with places that are not.

# %%
grid, head = torch.randn(4, 3, 5, 5, generator=generator).requires_grad_(), torch.randn(3, generator=generator)
differ = {}
for name, read in (("mean", lambda grid: grid.mean(dim=(2, 3))), ("largest", lambda grid: grid.amax(dim=(2, 3)))):
    (each,) = torch.autograd.grad((read(grid) @ head).sum(), grid)
    differ[name] = (each - each.mean(dim=(2, 3), keepdim=True)).abs().max().item()
assert differ["mean"] < 1e-7 < 0.1 < differ["largest"]

# %% [markdown]
# ## 5 · Where attention came from
#
# A transformer shows its attention for free. But the weights of one layer say where *its* inputs were read, and those
# were mixed by the layers before. Follow the mixing back. Of a layer take the mean $W$ over heads. The residual
# connection keeps what was there, and the usual guess is that half of each token is itself: $\frac12(W+I)$ (Abnar and
# Zuidema, 2020). Layers act one after the other, so multiply.
#
# - **attention rollout**（注意力展开）: the product over layers of attention mixed with the identity, as a guess of what arrived from where.
#
# ### ✏️ Exercise 3 · Where attention came from ★★
#
# *Goal: follow attention through all layers, from the last token back to the first ones. About 8 minutes.*
#
# `maps` is (L, H, T, T): layers from first to last, heads, tokens that ask, tokens that are looked at. Return (T, T), row i for
# what arrived in token i.


# %% tags=["exercise"] id="14-rollout"
def roll_out(maps):
    """How much of each first token arrived in each last one, (T, T), of attention (L, H, T, T)."""
    ### BEGIN SOLUTION
    keep = torch.eye(maps.shape[-1])
    arrived = keep
    for weights in maps.mean(dim=1):
        arrived = (weights + keep) / 2 @ arrived
    return arrived
    ### END SOLUTION


# %% tags=["check"]
check("14-rollout", roll_out)

# %% [markdown]
# Something to try it on: a reader that solves the same task. Two transformer blocks with a class token stand on the frozen
# patches that chapter 07 used, the recipe `patches`. As they are computed once, training takes seconds.

# %%
patches = load_trained("patches").model.eval().requires_grad_(False)


class Reader(nn.Module):
    """Like `Net`, but a class token gathers what it needs from 64 frozen patches."""

    def __init__(self):
        super().__init__()
        self.patches, self.first = patches, nn.Parameter(torch.zeros(64))
        self.encoder, self.head = Encoder(2, 64, 4, hidden=64), nn.Linear(64, 6)

    def read(self, tokens):
        return self.head(self.encoder(torch.cat((self.first.expand(len(tokens), 1, -1), tokens), dim=1))[:, 0])

    def forward(self, images):
        return self.read(self.patches.tokens(images))


def taught_reader(seed):
    seed_everything(seed)
    reader, data = Reader(), Batches(seen, training.labels[: len(seen)], size=32, seed=seed)
    fit(reader, lambda model, batch: cross_entropy(model.read(batch[0]), batch[1]), data,
        steps=by_budget(smoke=2, standard=60), learning_rate=2e-3, seed=seed, description=f"reader {seed}")  # fmt: skip
    return reader.eval()


with torch.no_grad():
    seen, new = (torch.cat([patches.tokens(part) for part in each.split(200)]) for each in (apart[:600], mixed))
readers = [taught_reader(seed) for seed in SEEDS]
claim("readers right, worst seed", min(right(reader.read, new, test.labels) for reader in readers), at_least=0.85)

# %% [markdown]
# **Parity.** The recorded attention of the reader, rolled out by hand, equals the library's map.

# %%
with torch.no_grad():
    maps = list(record(readers[0], x).maps.values())  # two of (N, 4, 65, 65)
    half = [(layer.mean(dim=1) + torch.eye(65)) / 2 for layer in maps]
by_hand = interpret.enlarge((half[1] @ half[0])[:, 0, 1:].unflatten(1, (8, 8)), (64, 64))
rolled = interpret.rollout_map(readers[0], x)
claim("difference between by hand and mmcourse.interpret", (by_hand - rolled).abs().max(), at_most=1e-6)

# %% [markdown]
# Rollout never sees the score: it is the same map for every answer, and it believes that all that is read is used. Whether
# attention explains anything is disputed (Jain and Wallace, 2019; Wiegreffe and Pinter, 2019). So it is measured, too.
#
# ## 6 · Taking away
#
# The most direct question needs no gradient: hide a square and ask again.
#
# - **occlusion**（遮挡法）: attribution by how far the score falls when a part of the picture is covered.

# %%
lost = torch.zeros(FEW, 8, 8)
with torch.no_grad():
    for row in range(8):
        for column in range(8):
            hidden = x.clone()
            hidden[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = base
            lost[:, row, column] = score(x) - score(hidden)
occluded = interpret.occlusion(score, x, size=8, baseline=base)
claim("difference between by hand and mmcourse.interpret", (lost - occluded[:, ::8, ::8]).abs().max(), at_most=1e-5)

# %% [markdown]
# It costs a pass for each square, and it has a blind spot. Two things of the same kind stand in for each other, so hiding
# one of them changes little.
#
# ## 7 · Is a map any good?
#
# Four questions to a map, from the weakest to the strongest:
#
# | measure | question | what can fool it |
# |---|---|---|
# | pointing (chapter 07) | is the peak on the thing to be named? | a network that looks elsewhere, and rightly so |
# | mass inside | how much of the map is on it? | large things |
# | deletion | does the answer go when the highest pixels go? | holes are like no picture in training |
# | causal | does each object get what it really does? | what a map shows outside of all objects does not count, and you need a world that can be drawn again |
#
# - **deletion curve**（删除曲线）: the score as parts of the input are taken away, the most important first.
#
# ### ✏️ Exercise 4 · What is missed first ★★
#
# *Goal: take the most important patches away, one after another, and see how fast the score falls. About 10 minutes.*
#
# `patches` is (P, D), `importance` (P,) with no two alike. A patch that is gone is zeros, and stays gone. `score` takes all
# patches (P, D) and gives one number. Return the scores (P + 1,), beginning with the whole, and the area under them, where the
# way from all to none has length 1 and neighbors are joined by straight lines. Leave `patches` as it is.


# %% tags=["exercise"] id="14-deletion-curve"
def delete(score, patches, importance):
    """Scores (P + 1,) as patches (P, D) go, the most important first, and the area under them."""
    ### BEGIN SOLUTION
    left = patches.clone()
    scores = [score(left)]
    for place in importance.argsort(descending=True):
        left[place] = 0
        scores.append(score(left))
    scores = torch.stack(scores)
    return scores, torch.trapezoid(scores) / len(importance)
    ### END SOLUTION


# %% tags=["check"]
check("14-deletion-curve", delete)

# %% [markdown]
# The strongest measure uses section 2. What a map gives an object is its mass there, with its sign. The truth is how far the
# score falls without it. Compare the orders, because a map has no unit: the correlation of ranks (Spearman, 1904).
#
# ### ✏️ Exercise 5 · Does the map tell the truth? ★★
#
# *Goal: compare what a map gives each object with what the object really does to the score. About 10 minutes.*
#
# `heat` is (H, W) and may be negative, `masks` bool (N, H, W), `effects` (N,). No two masses and no two effects are equal. Return
# the correlation of the ranks of the masses and the ranks of the effects.


# %% tags=["exercise"] id="14-causal-score"
def truthful(heat, masks, effects):
    """The rank correlation of a map's mass in N objects with their true effects, from −1 to 1."""
    ### BEGIN SOLUTION
    mass = (heat * masks).sum(dim=(1, 2))
    ranks = torch.stack((mass, effects)).argsort().argsort()
    return torch.corrcoef(ranks)[0, 1]
    ### END SOLUTION


# %% tags=["check"]
check("14-causal-score", truthful)

# %% [markdown]
# Now all methods, on three networks and three readers. Two controls know nothing: chance, and a hill in the middle of the
# picture. For deletion the score is the probability, so that networks can be compared.


# %%
def probability(model, labels=y):
    return lambda images: model(images).softmax(dim=1).gather(1, labels[:, None])[:, 0]


def maps_of(net, images=x, labels=y, empty=base):
    """The maps of each method that needs nothing but a network with places."""
    score, last = score_of(net, labels), net.cnn.stages[-1]
    return {
        "saliency": interpret.saliency(score, images),
        "integrated": interpret.integrated_gradients(score, images, baseline=empty, steps=STEPS).map,
        "Grad-CAM": interpret.grad_cam(score, images, layer=last),
        "HiResCAM": interpret.grad_cam(score, images, layer=last, pooled=False),
        "occlusion": interpret.occlusion(score, images, size=8, baseline=empty),
    }


def measured(maps, model, effects):
    """Pointing, mass, deletion and causal score, each a mean over pictures."""
    gone = interpret.deletion(probability(model), x, maps, baseline=base, steps=by_budget(smoke=2, standard=8))
    causal = interpret.causal(maps, masks, effects).spearman.nanmean()
    seen = interpret.pointing(maps, target).mean(), interpret.mass_inside(maps, target).mean()
    return torch.stack([*seen, gone.area.mean(), causal.float()])


controls = {"random": interpret.random_map(x, generator=generator), "center": interpret.center_map(x)}
found_in, runs = [maps_of(net) for net in a], []
for net, reader, effects, maps in zip(a, readers, truth, found_in, strict=True):
    of_reader = interpret.effects(score_of(reader), x, removed)
    run = {name: measured(found, net, effects) for name, found in (maps | controls).items()}
    runs.append({"rollout": measured(interpret.rollout_map(reader, x), reader, of_reader)} | run)
table = {name: torch.stack([run[name] for run in runs]) for name in runs[0]}  # (3 seeds, 4 measures) each

# %%
MEASURES = ["pointing", "mass", "deletion", "causal"]
figure, (left, right_side) = plt.subplots(1, 2, figsize=(8, 3.6), width_ratios=(1.2, 1))
viz.heat([rows.mean(dim=0).tolist() for rows in table.values()], rows=list(table), columns=MEASURES,
         title="mean of three seeds", ax=left)  # fmt: skip
viz.dots(
    {name: rows[:, 3].tolist() for name, rows in table.items()},
    ylabel="causal",
    baseline={"no order": 0},
    ax=right_side,
)
right_side.tick_params(axis="x", rotation=60)
viz.show(figure, alt="Left, a table of eight kinds of maps and four measures. Right, three dots of the causal score for each: all methods lie above the two controls, integrated gradients and occlusion highest.")  # fmt: skip
best_control = torch.maximum(table["random"], table["center"]).amax(dim=0)
lead = {name: rows[:, 3].min() - best_control[3] for name, rows in table.items() if name not in controls}
claim("causal score over the better control, worst seed", lead, at_least=0.15)
claim("causal score, worst seed", {name: table[name][:, 3].min() for name in ("integrated", "occlusion")}, at_least=0.5)

# %% [markdown]
# **What to see:** in deletion less is better, in the other columns more. Every method beats chance and center. But the order of
# the methods depends on the measure. Saliency points about as well as HiResCAM, and of all methods says least about what an object
# does. Integrated gradients and occlusion agree best with the truth. Both keep the sign and compare with a baseline, as the truth does;
# which of the two counts is not tested here.
# **Pointing alone would have called rollout as good as integrated gradients.** Rollout is measured on its own network; compare it
# first of all with the controls.
#
# ## 8 · A sanity check
#
# An explanation of a network must depend on the network. So forget all that it has learned: what does the same method say
# about random weights?
#
# - **sanity check**（合理性检验）: comparing the map of a trained network with that of one whose weights are random.
#
# A map that stays is a map of the picture. Adebayo et al. (2018) found widely used methods that stay. As a control here is a
# method that asks no network at all: an edge detector.


# %%
def edges(images):
    """How far each pixel differs from its neighbors to the right and below, (B, H, W)."""
    gray = images.mean(dim=1)
    down, across = gray.diff(dim=1).abs(), gray.diff(dim=2).abs()
    return F.pad(down, (0, 0, 0, 1)) + F.pad(across, (0, 1))


def likeness(trained, other):
    """Mean rank correlation over pixels of the sizes of two maps."""
    return metrics.spearman(trained.abs().flatten(1), other.abs().flatten(1)).nanmean().item()


PART = slice(0, by_budget(smoke=4, standard=40))
parts = x[PART], y[PART], base[PART]
stays = {}
for seed, maps in zip(SEEDS, found_in, strict=True):
    seed_everything(100 + seed)
    blank = maps_of(Net().eval(), *parts) | {"edges": edges(parts[0])}
    for name, found in (maps | {"edges": edges(x)}).items():
        stays.setdefault(name, []).append(likeness(found[PART], blank[name]))

# %%
viz.show(
    viz.dots(stays, ylabel="likeness to random weights", ylim=(-0.2, 1.05)),
    alt="Three dots for each method: edges at 1, integrated gradients and occlusion well above 0.5, saliency and HiResCAM lower, Grad-CAM near 0.",
)
claim("likeness to random weights, Grad-CAM", dict(zip(("0", "1", "2"), stays["Grad-CAM"], strict=True)), at_most=0.3)
kept = {name: min(stays[name]) for name in ("integrated", "occlusion")}
claim("likeness to random weights, where the baseline is compared", kept, at_least=0.45)

# %% [markdown]
# **What to see:** the two methods that told the truth best fail here, if only the size of the map counts! Both are a product
# with, or a comparison to, *picture minus baseline*. That difference is small on the nearly plain background whatever the network
# is, so the outline of every object shines through. So
#
# - a nice outline in such a map is a property of the picture, and no evidence;
# - which object gets how much, and with which sign, is what the network adds, and what section 7 measured.
#
# **A sanity check and a truth check ask different things. Do both.**
#
# ## 9 · A silent failure: the model that does not look
#
# A colleague explains the finished model of chapter 10. She asks for the size of a thing, takes Grad-CAM from the last layer
# that still holds patches, and plays the pointing game. Her report: "Its answers are right, but it does not look at the
# thing. It must guess from the words."

# %%
vqa = load_trained("vqa").model.eval()
batch = make_scenes(by_budget(smoke=20, standard=120), split="test", masks=True)
kept = [(i, thing) for i, scene in enumerate(batch.scenes) for thing in scene.objects[:1]
        if len(scene.objects) > 1 and scene.count(thing.noun) == 1]  # fmt: skip
which = torch.tensor([i for i, _ in kept])
pictures, things = batch.images[which].float(), batch.masks[which, 0]
ids = torch.tensor([vqa.question_ids(f"what size is the {thing.noun}?") for _, thing in kept])
answers = torch.tensor([vqa.config.answers.index(thing.size) for _, thing in kept])


def size_score(images):
    return vqa.classify(vqa.memory(images), ids).gather(1, answers[:, None])[:, 0]


norm = vqa.encoder.blocks[-1].attention_norm
hers = interpret.grad_cam(size_score, pictures, layer=norm)
with torch.no_grad():
    answered = (vqa.classify(vqa.memory(pictures), ids).argmax(dim=1) == answers).double().mean()
    gone = interpret.effects(size_score, pictures, removals([batch.scenes[i] for i in which]).float())[:, 0]

# %%
viz.show(
    viz.overlay(batch.images[which[0]], hers[:1], titles=[f"her map: what size is the {kept[0][1].noun}?"]),
    alt="A picture of several things, and the same picture lit by the colleague's map, brightest away from the thing that was asked for.",
)
facts = {"answers right": answered, "score falls without the thing": (gone > 0).double().mean()}
claim("shares of pictures", facts, at_least=0.7)

# %% [markdown]
# Stop here and name the cause before you read on. Three facts do not fit together: the answers are right, her map points
# elsewhere, and the score falls when the thing is taken away. Which of the three can be wrong? And what did section 4 say about
# readings that are no mean?
#
# **Diagnosis.** The question looks at the patches by attention. The gradient is large where it looks and nearly zero elsewhere.
# Grad-CAM first takes the mean over all 64 places, then multiplies it with the features of *each* place. So it lights up
# places that share a channel with the thing, read or not. Leave the mean out:

# %%
mended = interpret.grad_cam(size_score, pictures, layer=norm, pooled=False)
points = {"Grad-CAM": interpret.pointing(hers, things), "HiResCAM": interpret.pointing(mended, things)}
claim("pointing gained by leaving the mean out", points["HiResCAM"].mean() - points["Grad-CAM"].mean(), at_least=0.3)

# %% [markdown]
# One word in the code, `pooled`, decides whether the model "looks". Nothing crashed, and the map was as smooth
# and as bright as any. **The test that finds it**: take the thing away and see whether the score falls. An explanation that
# contradicts an intervention is wrong, however it looks.
#
# ## 10 · The shortcut
#
# Back to network B, which is right about the archive. Chapter 10 met shortcuts in questions; here is one in pictures. First
# the test that needs the world: the same pictures with a stamp by chance.

# %%
tests = {"usual stamps": usual, "stamps by chance": mixed, "no stamp": test.images}
accuracy = {name: [right(net, pictures, test.labels) for net in b] for name, pictures in tests.items()}
claim(
    "B right with stamps by chance, every seed",
    dict(zip("012", accuracy["stamps by chance"], strict=True)),
    at_most=0.35,
)

# %% [markdown]
# It falls to little more than chance, which is one in six. But in practice you have the archive and nothing else.
# Could you have *seen* it? The pictures below are all usual ones, and B is right about them.

# %%
u, u_marks = usual[:FEW].float(), usual_marks[:FEW]
seen_by = {"A": [maps_of(net, u) for net in a], "B": [maps_of(net, u) for net in b]}
figure, axes = plt.subplots(1, 4, figsize=(8, 2.3))
for ax, (net, method) in zip(
    axes, (("A", "Grad-CAM"), ("B", "Grad-CAM"), ("A", "occlusion"), ("B", "occlusion")), strict=True
):
    ax.imshow(seen_by[net][0][method].relu().mean(dim=0), cmap="Blues")
    ax.set(title=f"{net}: {method}", xticks=[], yticks=[])
viz.show(figure, alt="Four mean maps over all pictures. Those of network A are spread over the picture; those of network B light up the four corners.")  # fmt: skip
hits = {
    net: [{method: interpret.pointing(found, u_marks) for method, found in run.items()} for run in group]
    for net, group in seen_by.items()
}
named = {net: [torch.stack([*each.values()]).amax(dim=0).mean() for each in group] for net, group in hits.items()}
claim("pictures on which some method names the stamp of B, mean of three networks", sum(named["B"]) / 3, at_least=0.9)
claim("the same on network A, highest of three", max(named["A"]), at_most=0.2)

# %% [markdown]
# **What to see:** nobody told the methods about stamps. The mean map of B over many pictures shows four corners, where no thing
# of the archive has a reason to be. One look at one map proves little; **the mean over many pictures, beside a network that is
# known to be sound, is evidence.**
#
# Are the methods blind on the pictures that are left? Ask the truth again: take the stamp off.

# %%
works = [score_of(net)(u) - score_of(net)(test.images[:FEW].float()) > 1 for net in b]  # the stamp adds more than 1
share = [each["integrated"][work].mean() for each, work in zip(hits["B"], works, strict=True)]
claim("of the pictures where it does something, named by integrated gradients, worst seed", min(share), at_least=0.85)

# %% [markdown]
# Where the stamp of B does something, integrated gradients name it on about nine pictures in ten or more. A stamp that does nothing is no
# reason for a map to show it. And a stamp can do nothing: to tell six kinds apart a network needs to recognize five, and the sixth is
# whatever remains.
#
# - **confounder**（混杂因素）: something that goes with the label in the data and causes nothing, such as the camera.
#
# **The cure.** You know now where to intervene. Print a stamp by chance over each corner that has one, and train on. The
# label no longer goes with the stamp, so the stamp is worth nothing.

# %%
STEPS_CURE = by_budget(smoke=2, standard=200)
cured = [
    taught(apart, training.labels, seed=seed, steps=STEPS_CURE, model=deepcopy(net))
    for seed, net in zip(SEEDS, b, strict=True)
]
after = {name: [right(net, pictures, test.labels) for net in cured] for name, pictures in tests.items()}
gains = [new - old for new, old in zip(after["stamps by chance"], accuracy["stamps by chance"], strict=True)]
claim("accuracy gained on pictures whose stamp says nothing", dict(zip("012", gains, strict=True)), at_least=0.2)
lost_by = [old - new for new, old in zip(after["usual stamps"], accuracy["usual stamps"], strict=True)]
claim("accuracy lost in the usual test", dict(zip("012", lost_by, strict=True)), at_most=0.2)
still = [interpret.pointing(maps_of(net, u)["Grad-CAM"], u_marks).mean().item() for net in cured]
gone = [old["Grad-CAM"].mean() - new for old, new in zip(hits["B"], still, strict=True)]
claim("share of Grad-CAM's peaks that left the stamp", dict(zip("012", gone, strict=True)), at_least=0.3)

# %% [markdown]
# In the usual test the cure looks useless, or even harmful. It pays where the shortcut does not hold, and that is
# where networks are used. The literature has grave cases. In a study of chest radiographs (Zech et al., 2018), pneumonia was
# so much more frequent in one hospital (34.2 % against 1.2 and 1.0 %) that sorting by hospital alone reached an AUC of 0.861 on the joint data of
# two (abstract), and networks recognized the hospital.
#
# ## 11 · From patches to boxes and masks
#
# A map says where. So does a patch that names its object. How far is that from a detector?
#
# - **object detection**（目标检测）: naming every object in a picture with a box around it.
# - **segmentation**（分割）: deciding for every pixel what it belongs to.
# - **intersection over union**（交并比）: the area that two boxes or masks share, over the area that they cover together.
#
# **Without more training:** the patches have learned, from true masks, which noun covers each cell. Neighboring cells with the same
# noun are one object, and its box is the box around them. It can end at multiples of eight pixels only.


# %%
cells = torch.full((8, 8), len(lexicon()))
cells[1:3, 1:4], cells[6, 6] = 5, 7
for noun, where in metrics.blobs(cells, empty=len(lexicon())):
    print(lexicon()[noun].name, len(where))

# %% [markdown]
# **With a small head:** from each cell and its neighbors, say the four sides of the box and which of the cell's 64 pixels belong
# to the object. The patches stay frozen, so it trains in seconds.


# %%
class Head(nn.Module):
    """Boxes (B, 64, 4) in pixels and logits (B, 64, 64) of pixels, from tokens (B, 64, 64) of 64 cells."""

    def __init__(self):
        super().__init__()
        self.near, self.out = nn.Conv2d(64, 64, 3, padding=1), nn.Linear(64, 4 + 64)
        middle = 8 * torch.arange(8) + 4.0
        down, across = torch.meshgrid(middle, middle, indexing="ij")
        self.register_buffer("middle", torch.stack((across, down, across, down), dim=-1).flatten(0, 1))

    def forward(self, tokens):
        around = (
            self.near(tokens.mT.unflatten(2, (8, 8))).relu().flatten(2).mT
        )  # (B, P, C) -> (B, C, 8, 8) -> (B, P, C)
        sides, pixels = self.out(around + tokens).split((4, 64), dim=-1)
        return self.middle + 8 * sides, pixels


def lessons(batch):
    """Of each cell, the object that covers most of it: its box, its pixels there, and whether it counts."""
    share, which = covered(batch.masks, (8, 8)).flatten(2).max(dim=1)  # (B, 3, 64, 64) -> (B, 64)
    boxes = torch.tensor([[thing.box for thing in scene.objects] + [(0,) * 4] * (3 - len(scene.objects))
                          for scene in batch.scenes]).float()  # fmt: skip
    cells = (
        batch.masks.unflatten(3, (8, 8)).unflatten(2, (8, 8)).transpose(3, 4).flatten(4).flatten(2, 3)
    )  # (B, 3, 64, 64)
    at = which[..., None]
    mine = cells.gather(1, at[:, None].expand(-1, 1, -1, 64))[:, 0].float()
    return boxes.gather(1, at.expand(-1, -1, 4)), mine, share >= 0.25


# %%
def head_loss(head, batch):
    tokens, boxes, pixels, counts = batch
    said, drawn = head(tokens)
    sides = F.smooth_l1_loss(said[counts] / 8, boxes[counts] / 8)
    return sides + F.binary_cross_entropy_with_logits(drawn[counts], pixels[counts])


known, exam = make_scenes(by_budget(smoke=30, standard=1000), masks=True), make_scenes(by_budget(smoke=10, standard=200), split="test", masks=True)  # fmt: skip
with torch.no_grad():
    tokens = {name: torch.cat([patches.tokens(part) for part in batch.images.split(200)]) for name, batch in (("known", known), ("exam", exam))}  # fmt: skip
seed_everything(0)
head = Head()
fit(head, head_loss, Batches(tokens["known"], *lessons(known), size=64), steps=by_budget(smoke=2, standard=200),
    learning_rate=3e-3, description="a head")  # fmt: skip
with torch.no_grad():
    said, drawn = head.eval()(tokens["exam"])
    sure = patches.classes(tokens["exam"]).softmax(dim=-1)  # (B, 64, nouns + 1)

# %% [markdown]
# How good is a detector? A detection counts as right if its noun is right and its box shares at least half with a box that nobody
# has claimed yet. Rank all detections by how sure they are. Precision at each right one, averaged over all boxes there are, is the
# average precision of chapter 11; with the limit of one half it is called AP50.


# %%
def detections(row, sides):
    """Each blob of a picture: the box around its cells, or the mean of what the head says there."""
    found = []
    for noun, where in metrics.blobs(sure[row].argmax(dim=-1).view(8, 8), empty=len(lexicon())):
        places = 8 * where[:, 0] + where[:, 1]
        weight = sure[row, places, noun]
        box = torch.cat((8 * where.amin(dim=0).flip(0), 8 * where.amax(dim=0).flip(0) + 8)).float()
        if sides is not None:
            box = (sides[row, places] * weight[:, None]).sum(dim=0) / weight.sum()
        found.append(Detection(weight.mean().item(), noun, box))
    return found


there = [[(noun_numbers()[thing.noun], torch.tensor(thing.box)) for thing in scene.objects] for scene in exam.scenes]


def judged(sides):
    """Mean IoU of each object with the best detection of its noun, and AP50."""
    found = metrics.detection([detections(row, sides) for row in range(len(there))], there)
    return {"mean IoU": found.mean_iou, "AP50": found.average_precision}


# %%
def masked_iou(pixels):
    """Mean IoU of "some object" for cells (B, 64) with pixels (B, 64, 64) in them."""
    drawn = pixels.unflatten(2, (8, 8)).unflatten(1, (8, 8)).transpose(2, 3).flatten(3).flatten(1, 2)  # (B, 64, 64)
    there = exam.masks.any(dim=1)
    return ((drawn & there).sum(dim=(1, 2)) / (drawn | there).sum(dim=(1, 2))).mean().item()


full = sure.argmax(dim=-1) != len(lexicon())
scores = {"patches alone": judged(None), "with the head": judged(said)}
scores["patches alone"]["mask IoU"] = masked_iou(full[..., None].expand(-1, -1, 64))
scores["with the head"]["mask IoU"] = masked_iou((drawn > 0) & full[..., None])
viz.show(
    viz.heat(
        [list(each.values()) for each in scores.values()], rows=list(scores), columns=list(scores["with the head"])
    ),
    alt="Table of mean IoU, AP50 and mask IoU: patches alone reach about a half, the trained head is higher in all three.",
)
claim("patches alone", scores["patches alone"], at_least=0.45)
claim(
    "gained by the head",
    {key: scores["with the head"][key] - value for key, value in scores["patches alone"].items()},
    at_least=0.04,
)

# %% [markdown]
# **What to see:** cells alone reach an IoU a little above one half, and the grid of eight pixels is a limit. A head
# with some forty thousand weights gets about a fifth to a quarter of what is missing in IoU, and about half of it in AP50. What it cannot repair
# are cells that were named wrong.
#
# One step more: nouns with places are a scene graph, and a scene graph is what captions were made of.
#
# - **scene graph**（场景图）: the objects of a picture with their properties and relations, as data.


# %%
def graph(row):
    """The nouns with their places, read off a picture."""
    read = []
    for _, noun, box in detections(row, said):
        # 22.5 and 41.5 lie halfway between the middles of columns and rows, 13, 32 and 51
        column, line = (int((middle > 22.5) + (middle > 41.5)) for middle in ((box[:2] + box[2:]) / 2).tolist())
        read.append((lexicon()[noun].name, POSITIONS[3 * line + column]))
    return sorted(read)


wanted = [sorted((thing.noun, thing.position) for thing in scene.objects) for scene in exam.scenes]
whole = sum(graph(row) == true for row, true in enumerate(wanted)) / len(wanted)
claim("pictures of which all nouns and places are read right", whole, at_least=0.65)
figure, axes = plt.subplots(1, 3, figsize=(8, 2.8))
full_ones = [row for row, scene in enumerate(exam.scenes) if len(scene.objects) == 3]
for row, ax in zip(full_ones, axes, strict=False):
    ax.imshow(exam.images[row].permute(1, 2, 0))
    ax.set(title=", ".join(noun for noun, _ in graph(row)), xticks=[], yticks=[])
    for _, _, (left, top, right_end, bottom) in detections(row, said):
        ax.add_patch(plt.Rectangle((left, top), right_end - left, bottom - top, fill=False, lw=2, ec=viz.VERMILLION))
viz.show(figure, alt="Three pictures, each thing in a red box of about its size, with the nouns that were found above.")

# %% [markdown]
# ## 12 · Who was in the training set?
#
# Suppose that the pictures are of patients. Somebody has a picture and the finished network, and wants to know whether that
# patient was in the study. The network has a habit that tells: it is too sure of what it has learned by heart.
#
# - **overfitting**（过拟合）: fitting the training data better than new data of the same kind.
# - **membership inference**（成员推断）: finding out from a model's behavior whether a sample was among its training data.
#
# The simplest test (Yeom et al., 2018): *a small loss means member*. Its **advantage**（优势）is the share of members that it
# finds, less the share of others that it calls members. A coin has advantage 0, whatever its bias.
#
# ### ✏️ Exercise 6 · Was I in the training data? ★★
#
# *Goal: find out by the loss alone who was among the training data. About 10 minutes.*
#
# `members` and `others` are losses, (N,) and (M,). A sample is called a member if its loss is ≤ the threshold. Return the
# threshold with the largest advantage, one of the losses of members, and that advantage. Of equally good thresholds, take
# the smallest.


# %% tags=["exercise"] id="14-membership"
def membership_test(members, others):
    """The best threshold, and the advantage of a test that calls a loss ≤ threshold a member's."""
    ### BEGIN SOLUTION
    thresholds = members.sort().values
    found = (members <= thresholds[:, None]).float().mean(dim=1)
    false = (others <= thresholds[:, None]).float().mean(dim=1)
    advantage = found - false
    best = advantage.argmax()  # of equal ones the first
    return thresholds[best], advantage[best]
    ### END SOLUTION


# %% tags=["check"]
check("14-membership", membership_test)

# %% [markdown]
# Six animals that resemble each other, and two training sets: 150 pictures, and 1,500. The threshold is chosen on one half of
# members and others and used on the other half, because a threshold chosen on the test finds members even among strangers.

# %%
ANIMALS, THINGS = ["cat", "dog", "rabbit", "frog", "penguin", "pig"], ["banana", "pear", "train", "boot", "hat", "car"]
HALF = by_budget(smoke=10, standard=150)
clinic = scenes_to_name(by_budget(smoke=60, standard=1950), ANIMALS, THINGS, seed=3)
groups = {name: (clinic.images[part], clinic.labels[part]) for name, part in
          (("others", slice(0, 2 * HALF)), ("val", slice(2 * HALF, 3 * HALF)), ("many", slice(3 * HALF, None)))}  # fmt: skip
groups["members"] = groups["many"][0][:HALF], groups["many"][1][:HALF]


@torch.no_grad()
def losses(model, name):
    images, labels = groups[name]
    return cross_entropy(model(images), labels, reduction="none")


def caught(members, others):
    """The advantage on one half, with the threshold that is best on the other half."""
    chosen, held = members[::2].sort().values, (members[1::2], others[1::2])
    gain = torch.searchsorted(chosen, chosen, right=True) / len(chosen)
    gain = gain - torch.searchsorted(others[::2].sort().values, chosen, right=True) / len(others[::2])
    limit = chosen[gain.argmax()]
    return ((held[0] <= limit).double().mean() - (held[1] <= limit).double().mean()).item()


# %%
def watched(name, steps):
    """Trains on a group, and notes train loss, validation loss and advantage on the way."""
    notes = []

    def note(model):
        mine, strange = losses(model, "members"), losses(model, "others")
        notes.append((mine.mean().item(), losses(model, "val").mean().item(), caught(mine, strange)))
        return notes[-1][1]

    seed_everything(0)
    model = Net()
    fit(model, lambda model, batch: cross_entropy(model(batch[0]), batch[1]), Batches(*groups[name], size=32), steps=steps,
        learning_rate=3e-3, evaluate=note, evaluate_every=by_budget(smoke=1, standard=20), description=name)  # fmt: skip
    return notes


STEPS_CLINIC = by_budget(smoke=3, standard=200)
story, other_story = watched("members", STEPS_CLINIC), watched("many", STEPS_CLINIC)
stop = min(range(len(story)), key=lambda k: story[k][1])  # where the validation loss is smallest

# %% [markdown]
# - **early stopping**（早停）: ending training where the validation loss is smallest.

# %%
figure, (left, right_side) = plt.subplots(1, 2, figsize=(8, 3))
every = [by_budget(smoke=1, standard=20) * (k + 1) for k in range(len(story))]
viz.curves({"training": (every, [n[0] for n in story]), "validation": (every, [n[1] for n in story])}, ax=left,
           title="150 pictures")  # fmt: skip
left.axvline(every[stop], color=viz.GRAY, lw=1, ls=":")
lines = {"150 pictures": (every, [n[2] for n in story]), "1,500 pictures": (every, [n[2] for n in other_story])}
viz.curves(lines, ylabel="advantage", ylim=(-0.25, 1.02), ax=right_side)
viz.show(figure, alt="Left, the training loss falls to 0 while the validation loss stays high; a dotted line marks its lowest point. Right, the advantage of the membership test rises fast to nearly 1 with 150 pictures and stays low with 1,500.")  # fmt: skip
claim("advantage against the network that learned by heart", story[-1][2], at_least=0.7)
claim("advantage at the step where early stopping ends", story[stop][2], at_least=0.5)
claim("advantage with ten times the pictures", other_story[-1][2], at_most=0.3)

# %% [markdown]
# **What to see:** the test knows nearly everybody. Early stopping changes less than one hopes: where the validation loss is
# smallest, the training loss is far below it already, and that gap is all that the test needs. Early stopping was made for
# accuracy. With ten times the pictures and as many steps little of the gap is left. Each picture is then seen four times instead of
# forty-three: how much comes from that, and how much from having more pictures, this experiment cannot tell.
#
# A small mean advantage is no promise to *each* patient. Carlini et al. (2022) ask how many members are found when almost nobody
# is accused wrongly (below 0.1 %), and a stronger test compares with networks trained without the sample. A promise to each needs
# noise in training with a proof: differential privacy (Abadi et al., 2016).
#
# ## 13 · Who pays for the average?
#
# Animals and vehicles, eight nouns each. In training animals stand on green and vehicles on gray, but for one in twenty. A network
# is right on average if it learns the ground.


# %%
park, kinds, grays = scenes_on_grounds(by_budget(smoke=60, standard=600), rare=0.05, seed=5)
new_park, new_kinds, new_grays = scenes_on_grounds(by_budget(smoke=40, standard=400), rare=0.5, seed=6)
rare = new_kinds != new_grays

# %% [markdown]
# - **worst-group accuracy**（最差组准确率）: the accuracy on the group for which it is lowest.
# - **re-weighting**（重加权）: letting samples of a rare group count more in the loss.
#
# **How much more?** Let each of G groups have the same share of the loss. A group with $n_g$ of N samples then gets the weight
# $N/(G\,n_g)$ for each, and the mean of all weights is 1.
#
# ### ✏️ Exercise 7 · Rare combinations count ★★
#
# *Goal: weigh samples so that rare combinations of thing and background count like common ones. About 8 minutes.*
#
# `labels` and `backgrounds` are whole numbers (N,). A group is a combination of both that occurs. Return weights (N,).


# %% tags=["exercise"] id="14-reweight"
def group_weights(labels, backgrounds):
    """A weight for each sample (N,), with mean 1, so that all groups together weigh alike."""
    ### BEGIN SOLUTION
    _, group, counts = torch.stack((labels, backgrounds)).unique(dim=1, return_inverse=True, return_counts=True)
    return len(labels) / (len(counts) * counts[group])
    ### END SOLUTION


# %% tags=["check"]
check("14-reweight", group_weights)

# %% [markdown]
# Three seeds, with all weights 1 and with these. The test has as many rare pictures as common ones.

# %%
groups_of = 2 * kinds + grays
heavy = len(kinds) / (groups_of.unique().numel() * groups_of.bincount(minlength=4)[groups_of])


def in_the_park(weights, seed):
    """Accuracy on common and on rare pictures."""
    seed_everything(seed)
    model = Net(2)

    def loss(model, batch):
        return (cross_entropy(model(batch[0]), batch[1], reduction="none") * batch[2]).mean()

    fit(model, loss, Batches(park, kinds, weights, size=32, seed=seed), steps=by_budget(smoke=2, standard=80),
        learning_rate=3e-3, seed=seed, description=f"seed {seed}")  # fmt: skip
    model.eval()
    return {name: right(model, new_park[part], new_kinds[part]) for name, part in (("common", ~rare), ("rare", rare))}


plain = [in_the_park(torch.ones(len(kinds)), seed) for seed in SEEDS]
fairer = [in_the_park(heavy, seed) for seed in SEEDS]

# %%
bias = {f"{group}, {name}": [run[group] for run in runs] for group in ("common", "rare") for name, runs in
        (("plain", plain), ("re-weighted", fairer))}  # fmt: skip
viz.show(
    viz.dots(bias, ylabel="right", ylim=(0, 1.02), baseline={"coin": 0.5}),
    alt="Three dots each: common pictures near 1 with and without weights; rare pictures far below one half without weights, higher with them.",
)
mean = {name: sum(values) / len(values) for name, values in bias.items()}
in_training = 0.95 * mean["common, plain"] + 0.05 * mean["rare, plain"]
claim("accuracy on pictures as in training", in_training, at_least=0.9)
claim("rare pictures, without weights", mean["rare, plain"], at_most=0.4)
claim("gained on rare pictures", mean["rare, re-weighted"] - mean["rare, plain"], at_least=0.1)

# %% [markdown]
# **What to see:** an average of more than nine in ten hides a group for which a coin would be better. Weights help, and do not make
# the groups equal: some thirty rare pictures stay thirty, and the network can learn *them* by heart. Sagawa et al. (2020) minimize the
# loss of the worst group instead (group DRO) and report gains of 10 to 40 points there, with strong regularization. Idrissi et al. (2022)
# find that balancing groups comes close to it.
#
# ## 14 · A model card, from measured facts
#
# - **model card**（模型卡）: a short report that goes with a model and says what it is for, how it was tested, and where it fails.
#
# Mitchell et al. (2019) proposed it. Most cards hold adjectives. Here is the measured part of one, for the cured network B: of each
# kind of stamp, and of each kind of thing, the share that the worst of three seeds gets right.

# %% tags=["nbval-ignore-output"]
facts = {name: min(values) for name, values in after.items()}
each_kind = {
    noun: min(right(net, mixed[test.labels == kind], test.labels[test.labels == kind]) for net in cured)
    for kind, noun in enumerate(KINDS)
}
facts |= {f"kind: {name}": value for name, value in each_kind.items()}
print("\n".join(f"{name:20} {value:.2f}" for name, value in facts.items()))
claim("right under each kind of stamp, and about each kind of thing, worst seed", facts, at_least=0.7)

# %% [markdown]
# A card has the worst seed and the worst group in it, not only the mean; what was tested and is *not* a problem; and
# what the model was before (section 10). What no test covered belongs there in words: no photographs, no night, no more than three things.

# %% [markdown] tags=["written"] id="14-model-card"
# ### ✏️ Written question · A model card
#
# A hospital will sort X-rays with a network. The maker sends an accuracy of 97 % and ten heat maps that "show that it looks at
# the lung". Write the five questions that you send back, what measurement answers each, and what result would make you say no.
#
# ### BEGIN SOLUTION
# 1. On whose pictures? Accuracy for each hospital and device, with a hospital that was not in training. No, if it falls there
#    by more than we can bear, as the hospital itself may be the shortcut.
# 2. For whom is it wrong? Errors by group (age, sex, skin where it matters, severity), misses and false alarms apart, with the number
#    of patients in each. No, if a group is missing or clearly worse.
# 3. Do the heat maps depend on the network? The same maps with random weights, and controls of chance and center. Ten chosen
#    pictures are none; mean maps over hundreds are better.
# 4. Does the network depend on what the maps show? Cover it, and cover something else of the same size; remove markers and text. No, if the
#    answer stays without the lung, or goes with the marker.
# 5. Can patients be found out? A membership test with few false accusations, and what may be published of the network. No, if
#    it finds members.
# ### END SOLUTION

# %% [markdown]
# ## 15 · On real data: three photographs
#
# EfficientNet-Lite0 has seen 1,000 classes of photographs. Nobody drew masks for these three, and nobody can draw them again
# without the cat. What is left is deletion, with controls.

# %%
encoder = load_image_encoder()
WORDS = {"cat": "tabby", "coffee": "espresso", "rocket": "missile"}
numbers = [next(k for k, name in enumerate(imagenet_labels()) if name.split(",")[0] == word) for word in WORDS.values()]
classes = torch.tensor(numbers)
ready = torch.cat([encoder.preprocess(load_photos()[name].image[None]) for name in WORDS])  # (3, 3, 224, 224)


def chosen(images):
    """The probability of each photograph's word."""
    return encoder.logits(images).softmax(dim=1).gather(1, classes[:, None])[:, 0]


last = encoder.network.bn2  # the last layer with places, 7 × 7
cams = interpret.grad_cam(chosen, ready, layer=last)
shown = (
    ready * torch.tensor(encoder.preprocess.std)[:, None, None] + torch.tensor(encoder.preprocess.mean)[:, None, None]
)
lit = [shown[k] * (0.15 + 0.85 * cams[k] / cams[k].max()) for k in range(3)]
viz.show(
    viz.gallery(
        [each for k in range(3) for each in (shown[k], lit[k])],
        [each for word in WORDS.values() for each in (word, "Grad-CAM")],
        columns=6,
    ),
    alt="Three photographs, a cat, a cup of coffee and a rocket, each beside itself lit by Grad-CAM: the coffee is lit on the cup, the cat on parts of its face, the rocket mostly on the sky to both sides of it.",
)

# %%
rivals = {
    "Grad-CAM": cams,
    "center": interpret.center_map(ready),
    "random": interpret.random_map(ready, generator=generator),
}
STEPS_PHOTO = by_budget(smoke=2, standard=8)
curves = {name: interpret.deletion(chosen, ready, found, steps=STEPS_PHOTO) for name, found in rivals.items()}
area = {name: each.area.mean() for name, each in curves.items()}
claim("area of the center less that of Grad-CAM", area["center"] - area["Grad-CAM"], at_least=0.01)
claim("area of random pixels less that of Grad-CAM", area["random"] - area["Grad-CAM"], at_most=-0.02)

# %% [markdown]
# The map of the rocket is brightest beside it, as 7 × 7 cells are coarse. On these three photographs Grad-CAM beats the center, and
# chance beats both! When pixels go at random the probability falls sooner, although you would still see the cat. So a small area under
# deletion can mean "found what matters" or "made noise". Compare maps that remove pieces of the same shape, and read deletion beside
# another measure.
#
# ## 16 · At scale: what is known about explaining large models
#
# **Known.**
#
# - *Maps can be blind to the model.* Guided backpropagation and guided Grad-CAM hardly change when weights become random; plain gradients and
#   Grad-CAM do (Adebayo et al., 2018).
# - *Averages hide groups.* Three commercial systems named the sex of faces with at most 0.8 % errors for lighter-skinned men and up to
#   34.7 % for darker-skinned women (Buolamwini and Gebru, 2018, abstract).
# - *What a model says of itself may be untrue.* With answers reordered so that "(A)" was always right in the examples, models followed the hint, gave other
#   reasons, and accuracy on 13 tasks of BIG-Bench Hard fell by up to 36 % (Turpin et al., 2023, abstract; GPT-3.5 and Claude 1.0).
# - *Directions inside large models can be named and turned.* Dictionaries of up to 34 million features were learned from one layer of Claude 3 Sonnet, and some of
#   them change its behavior as their names say (Templeton et al., 2024).
#
# **Unknown.** The authors of the last study say themselves that their features are incomplete and that rigorous
# methods are missing to tell whether they capture what the model computes. Nobody can draw the world again without
# one thing for a model that has read the web. What carries over from this chapter is the order of work: **intervene
# first, explain second, and believe an explanation as far as interventions bear it out.**
#
# **On one GPU** nothing changes but time: gradients cost a pass backward, occlusion a pass for each square, all in
# batches. **On many**, pictures are shared out; maps need no communication.
#
# ## 17 · Open project: explain a model that somebody else made
#
# Take a bundled model (`clip`, `captioner`, `vlm`) or one of your own on a folder of your pictures.
#
# 1. Write down what you expect it to look at, before you look.
# 2. Find an intervention that you can do: cover, swap, turn gray, draw again without.
# 3. Score three methods and two controls against it, with three seeds of whatever is random.
# 4. Do the sanity check. Then write the card, with the worst group in it.
#
# ## 18 · Check yourself

# %%
quiz(
    Question(
        "The gradient at a pixel is 0. What follows?",
        ("the pixel adds nothing", "a small change does nothing here", "the network is broken"),
        1,
        "A sure network is flat although the pixel may have carried it there.",
    ),
    Question(
        "The parts of integrated gradients sum to …",
        ("1", "the score", "the score less that of the baseline"),
        2,
        "That is completeness. The baseline is part of the question.",
    ),
    Question(
        "Grad-CAM and HiResCAM are equal if the head …",
        ("reads the mean over places", "reads the largest place", "looks by attention"),
        0,
        "Then the gradient of a channel is the same at each place.",
    ),
    Question(
        "A map looks the same with random weights. It shows …",
        ("a very robust network", "the picture", "a good baseline"),
        1,
        "It does not depend on what was learned.",
    ),
    Question(
        "A network is right on all test pictures, and its mean map lights up a corner. What next?",
        ("change what is in the corner, and test again", "retrain with more steps", "trust the accuracy"),
        0,
        "Only an intervention tells whether the answer depends on it.",
    ),
    Question(
        "A group with 10 of 1,000 samples, and four groups. The weight of each of its samples is …",
        ("100", "25", "4"),
        1,
        "1,000 / (4 · 10).",
    ),
)

# %% [markdown]
# ## Summary
#
# - An explanation is a claim about a network. It can be tested where things can be changed: redraw, cover, swap.
# - Gradients tell of small changes, integrated gradients share out a difference from a baseline, Grad-CAM asks a layer, rollout
#   follows attention and knows no answer, occlusion takes away.
# - Methods rank differently by pointing, mass, deletion and causal score. Controls of chance and center stand beside them all.
# - Methods that compare with a baseline tell best what objects do, and show outlines even for random weights. Do both checks.
# - Grad-CAM's mean over places is wrong where the reading is no mean. One flag made a model seem blind.
# - A shortcut is invisible in a test set that shares it. Mean maps showed it, an intervention proved it, and breaking the link cured it.
# - Small losses betray members, early stopping little helps, more data do. Averages hide groups; weights help in part. Write the worst case
#   into the card.
#
# **Next: 15 · Small and fast, big and wide**, in which models lose weight, and training gains machines.

# %% [markdown]
# ## References
#
# - *Deep inside convolutional networks: visualising image classification models and saliency maps*. Simonyan, Vedaldi, Zisserman. 2013.
# - *Visualizing and understanding convolutional networks*. Zeiler, Fergus. ECCV 2014.
# - *Axiomatic attribution for deep networks*. Sundararajan, Taly, Yan. ICML 2017.
# - *Grad-CAM: visual explanations from deep networks via gradient-based localization*. Selvaraju et al. ICCV 2017.
# - *Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks*. Draelos, Carin. 2020.
# - *Quantifying attention flow in transformers*. Abnar, Zuidema. ACL 2020.
# - *Attention is not explanation*. Jain, Wallace. NAACL 2019. *Attention is not not explanation*. Wiegreffe, Pinter. EMNLP 2019.
# - *RISE: randomized input sampling for explanation of black-box models*. Petsiuk, Das, Saenko. BMVC 2018.
# - *Sanity checks for saliency maps*. Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim. NeurIPS 2018.
# - *Variable generalization performance of a deep learning model to detect pneumonia in chest radiographs*. Zech et al. PLOS Medicine 2018.
# - *Privacy risk in machine learning: analyzing the connection to overfitting*. Yeom, Giacomelli, Fredrikson, Jha. CSF 2018.
# - *Membership inference attacks from first principles*. Carlini et al. IEEE S&P 2022.
# - *Deep learning with differential privacy*. Abadi et al. CCS 2016.
# - *Distributionally robust neural networks for group shifts*. Sagawa, Koh, Hashimoto, Liang. ICLR 2020.
# - *Simple data balancing achieves competitive worst-group-accuracy*. Idrissi, Arjovsky, Pezeshki, Lopez-Paz. CLeaR 2022.
# - *Gender shades: intersectional accuracy disparities in commercial gender classification*. Buolamwini, Gebru. FAT* 2018.
# - *Model cards for model reporting*. Mitchell et al. FAT* 2019.
# - *Language models don't always say what they think: unfaithful explanations in chain-of-thought prompting*. Turpin, Michael, Perez, Bowman. NeurIPS 2023.
# - *Scaling monosemanticity: extracting interpretable features from Claude 3 Sonnet*. Templeton et al. 2024.
