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
# # 06 · Fusion by MLP
#
# A picture has become a vector, and so has a sentence. Now they meet. In this chapter you join them in six ways, find out
# which ways can answer questions that neither side can answer alone, and prove why some of them never will.
#
# **After this chapter you can**
#
# - repair the multimodal classifier that tutorials print, and say what each repair is for;
# - prove that an average of two classifiers cannot solve a task in which words turn the meaning of a picture;
# - build early, late, gated, bilinear and FiLM fusion, and say what each one costs;
# - read precision, recall and F1 off a confusion matrix, and spot a model that ignores one of its inputs.
#
# **You need** chapters 02, 04 and 05. **Time**: 65 minutes to read, 2 minutes to run, 65 minutes for the exercises.
#
# ```text
#   text  ──►  language model ─┐
#                              ├──►  fusion  ──►  tasks
#   image ──►  vision model  ──┘       ▲
#                                      └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import dataclasses
import re
import warnings
from collections import defaultdict
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import nn
from torch.nn import functional as F
from torchvision import models
from torchvision.transforms.v2 import functional as turn

from mmcourse import viz
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import caption_is_true, captions, lexicon, load_glyphs, on_background, render, sample_scenes
from mmcourse.fusion import BilinearFusion, ConcatFusion, FiLMFusion, GatedFusion, LateFusion, Views
from mmcourse.losses import cross_entropy
from mmcourse.metrics import accuracy, confusion_matrix, precision_recall_f1
from mmcourse.models import MultiModalConfig, MultiModalModel
from mmcourse.runtime import by_budget, progress
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Batches, fit

generator = open_chapter(6)

# %% [markdown]
# ## 1 · A question with a picture
#
# Two drawings, two sentences, four messages to a friend. Which are meant as they stand, and which are ironic?

# %%
glyphs = load_glyphs(quiet=True)
smile, frown = (glyphs.on("white")[glyphs.index(name)] for name in ("grinning face", "frowning face"))
lines = ("what a lovely party", "what a terrible party")
titles = [f"“{line}”" for line in lines]
figure = viz.gallery([smile, frown, smile, frown], [titles[0], titles[0], titles[1], titles[1]], columns=4)
viz.show(figure, alt="A smiling and a frowning face, each beside “what a lovely party” and “what a terrible party”.")

# %% [markdown]
# **What to see:** a smile with lovely words is sincere, a frown with terrible words too. The mixed ones are not. Hide the
# drawings, and each sentence is sincere once and ironic once. Hide the words, and so is each drawing.
#
# The answer is in neither half. A machine has to read both *and let one change what the other means*. Which machines can?
#
# ## 2 · The model that tutorials print
#
# Search for a multimodal classifier, and you find a sketch much like this one, below a formula such as
# $O=\mathrm{MLP}(\mathrm{Attention}(I,T))$. It looks finished. Read it as a reviewer and count its faults before you go on.
# The second cell runs it, mends what it complains about and runs it again. Each repair uncovers the next fault.

# %%
exhibit = """
class Classic(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.text_encoder = TextEncoder()
        self.fc1 = nn.Linear(image_dim + text_dim, 512)
        self.fc2 = nn.Linear(512, 256)
        self.fc3 = nn.Linear(256, classes)
        self.image_encoder = models.resnet50(pretrained=True)

    def forward(self, image, words):
        both = torch.cat((self.image_encoder(image), self.text_encoder(words)), dim=1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(both)))))
"""


def attempt(code):
    """Builds the model from its text and shows it one picture and one sentence of four words."""
    world = {"nn": nn, "F": F, "torch": torch, "models": models}
    try:
        exec(code, world)
        model = world["Classic"](classes=10).eval()
        return f"logits of shape {tuple(model(torch.zeros(1, 3, 64, 64), torch.tensor([[7, 8, 9, 10]])).shape)}"
    except (NameError, RuntimeError) as error:
        sizes = re.search(r"\d+x\d+ and \d+x\d+", str(error))
        return f"{type(error).__name__}: {'cannot multiply ' + sizes.group() if sizes else error}"


# %%
repairs = {
    "as printed": ("", ""),
    "a text encoder": ("TextEncoder()", "nn.EmbeddingBag(30_522, 768)"),
    "the dimensions": ("image_dim + text_dim", "2048 + 768"),
    "no download": ("pretrained=True", "pretrained=False"),
    "no old argument": ("pretrained=False", "weights=None"),
}
code = exhibit
for repair, (old, new) in repairs.items():
    code = code.replace(old, new) if old else code
    if "pretrained=True" in code and "TextEncoder" not in code and "image_dim" not in code:
        continue  # this version would fetch 100 MB from the network
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = attempt(code)
    deprecated = any("'pretrained' is deprecated" in str(warning.message) for warning in caught)
    print(f"{repair:16}{said}{'   + a warning: pretrained is deprecated' if deprecated else ''}")
code = code.replace("weights=None)", "weights=None)\n        self.image_encoder.fc = nn.Identity()")
print("the head removed:", attempt(code))
assert attempt(code) == "logits of shape (1, 10)"
assert "attention" not in code.lower()

# %% [markdown]
# The last error is the instructive one: 1768 numbers arrive where 2816 are expected. $1768 = 1000 + 768$. ResNet-50 still ends
# in its classifier, so the "features" are the 1000 logits of ImageNet classes. Give the layer
# 1768 inputs and the model would *run*, on opinions about dog breeds. The last line took the head off instead.
#
# It runs. One fault no error will tell you: the formula promises *attention*, and the code has none. It concatenates, so what
# it computes is $O=\mathrm{MLP}([I;T])$. This chapter is about that formula and its relatives; chapter 07 builds the one
# with attention.
#
# | Fault | Symptom | Repair |
# |---|---|---|
# | text encoder undefined | `NameError` | any module that gives one vector a sentence |
# | dimensions undefined | `NameError` | ask the encoders for their widths |
# | `pretrained=True` | warning; will vanish | `weights=ResNet50_Weights.DEFAULT` |
# | head still on | wrong shape, or nothing at all | replace it by the identity |
# | formula and code disagree | none | read both |
#
# ### ✏️ Exercise 1 · The undefined dimensions ★
#
# *Goal: say what concatenation does to the sizes of a network. About 5 minutes.*
#
# The classic network has three linear layers: to 512, to 256, to the classes. Return the shapes of their three weights, in order, as
# PyTorch stores them.


# %% tags=["exercise"] id="06-layer-shapes"
def layer_shapes(image_width, text_width, classes):
    """The shapes of three weights: [(…, …), (…, …), (…, …)]."""
    ### BEGIN SOLUTION
    return [(512, image_width + text_width), (256, 512), (classes, 256)]  # (outputs, inputs)
    ### END SOLUTION


# %% tags=["check"]
check("06-layer-shapes", layer_shapes)

# %% [markdown]
# From here on the course's own `MultiModalModel` stands in for the exhibit: an image encoder, a text encoder, a fusion
# and a head, each chosen by name. With `concat` it is the classic network, layer by layer.

# %%
config = MultiModalConfig(
    labels=tuple("abcdefghij"), fusion="concat", fusion_options={"hidden": (512,)}, width=256,
    image="features", image_options={"width": 2048}, text="features", text_options={"width": 768},
)  # fmt: skip
classic = MultiModalModel(config)
shapes = [tuple(part.weight.shape) for part in classic.modules() if isinstance(part, nn.Linear)]
print(shapes)
assert shapes == [(512, 2816), (256, 512), (10, 256)]

# %% [markdown]
# ## 3 · The ladder: four messages in numbers
#
# Make the opening picture as small as it gets. $x=+1$ for a smile, $-1$ for a frown; $y=+1$ for lovely words, $-1$ for
# terrible ones. Score $s>0$ shall mean *sincere*.
#
# **late fusion**（晚期融合）: every modality has its own classifier, and only their scores are combined.
#
# Say the drawing votes $f(x)$ and the words vote $g(y)$. Try a thousand random votes.

# %%
table = [(+1, +1, "sincere"), (+1, -1, "ironic"), (-1, +1, "ironic"), (-1, -1, "sincere")]
best = 0
for _ in range(1000):
    f, g = torch.randn(2, 2, generator=generator).tolist()  # each votes once for −1 and once for +1
    right = [(f[(x + 1) // 2] + g[(y + 1) // 2] > 0) == (meaning == "sincere") for x, y, meaning in table]
    best = max(best, sum(right))
print("best of 1000 attempts:", best, "of 4")
assert best == 3

# %% [markdown]
# Three of four, never four. That is no bad luck. Write the four scores of a block as a table $S_{ps}$, picture $p$ and
# sentence $s$. If every score is a sum, $S_{ps}=f_p+g_s$, then
#
# $$\begin{aligned}
# \Delta &= S_{11}+S_{22}-S_{12}-S_{21} && \text{(1) one diagonal minus the other}\\
# &= (f_1+g_1)+(f_2+g_2)-(f_1+g_2)-(f_2+g_1) && \text{(2) put in the sums}\\
# &= 0 && \text{(3) every term comes twice, with both signs}
# \end{aligned}$$
#
# The task wants $S_{11},S_{22}>0$ and $S_{12},S_{21}<0$, so $\Delta>0$. Both cannot hold. A sum of two functions is never an XOR (yes
# if exactly one of two things is so), *whatever the functions are*, however deep, however long they train.
#
# With more than two classes there is a score for each class. Take any two classes $a$ and $b$ and the difference of their
# scores, $S^a-S^b$. A difference of sums is a sum, so its $\Delta$ is zero, too: no block can want $a$ on one diagonal and
# $b$ on the other.

# %%
pictures, sentences = (torch.randn(500, 2, width, generator=generator).double() for width in (8, 5))
deep_f = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)).double()
deep_g = nn.Sequential(nn.Linear(5, 64), nn.GELU(), nn.Linear(64, 1)).double()
S = (deep_f(pictures) + deep_g(sentences).mT).detach()  # (500, 2, 1) + (500, 1, 2) -> (500, 2, 2)
delta = S[:, 0, 0] + S[:, 1, 1] - S[:, 0, 1] - S[:, 1, 0]
solved = ((S > 0) == torch.eye(2, dtype=torch.bool)).all(dim=(1, 2))
claim("largest |Δ| of a sum of two deep networks", delta.abs().max(), at_most=1e-12)
assert not solved.any()

# %% [markdown]
# $\Delta$ is the *interaction*: the part of a score that belongs to both modalities together. You will measure it in trained
# models.
#
# ### ✏️ Exercise 2 · Do they talk to each other? ★
#
# *Goal: measure how much of a score belongs to both modalities together. About 5 minutes.*


# %% tags=["exercise"] id="06-interaction"
def interaction(scores):
    """Δ of every block: scores (N, picture, sentence) = (N, 2, 2) -> (N,)."""
    ### BEGIN SOLUTION
    return scores[:, 0, 0] + scores[:, 1, 1] - scores[:, 0, 1] - scores[:, 1, 0]
    ### END SOLUTION


# %% tags=["check"]
check("06-interaction", interaction)

# %% [markdown]
# What repairs it? Anything that lets $y$ change what $x$ *does*. Four ways, each written for our four messages:
#
# - a **product**: $x\cdot y$;
# - a **hidden layer that reads both**: $\mathrm{relu}(x+y)+\mathrm{relu}(-x-y)-1=|x+y|-1$;
# - a **modulation**: $(1+\gamma(y))\cdot x$ with $\gamma(y)=y-1$;
# - two **gates**: $z(y)\,x-(1-z(y))\,x$, with $z=1$ for lovely words and 0 for terrible ones.
#
# All four give the same $xy$. The sums failed for one reason only: the bend came *before* the modalities met. The hidden layer
# adds, too, but it bends *after* adding.
#
# Try the four. Then draw the best that a sum can do on a whole plane of moods, and what the hidden layer and the product do.

# %%
x, y, wanted = torch.tensor([[a, b, 1 if m == "sincere" else -1] for a, b, m in table]).float().T
hidden, z = F.relu(x + y) + F.relu(-x - y) - 1, (100 * y).sigmoid()
ways = {"product": x * y, "hidden layer": hidden, "modulation": (1 + (y - 1)) * x, "gates": z * x - (1 - z) * x}
for name, scores in ways.items():
    print(f"{name:14}", scores.int().tolist())
    assert torch.equal(scores, wanted)

# %%
axis = torch.linspace(-1.5, 1.5, 61)
X, Y = torch.meshgrid(axis, axis, indexing="xy")
surfaces = {
    "a sum: tanh x + tanh y − 0.8": X.tanh() + Y.tanh() - 0.8,
    "bend later: |x + y| − 1": (X + Y).abs() - 1,
    "a product: x · y": X * Y,
}
figure, panels = plt.subplots(1, 3, figsize=(8, 3.0), sharey=True)
for panel, (name, score) in zip(panels, surfaces.items(), strict=True):
    panel.contourf(X, Y, score.sign(), levels=[-2, 0, 2], colors=["#fbe3c0", "#cfe6f5"])
    for a, b, meaning in table:
        marker, color = ("o", viz.BLUE) if meaning == "sincere" else ("X", viz.VERMILLION)
        panel.plot(a, b, marker, color=color, markersize=10)
    panel.set(title=name, xlabel="drawing x", aspect="equal")
panels[0].set_ylabel("words y")
viz.show(figure, alt="Three planes with four points: a sum separates three of four, the other two separate all four.")

# %% [markdown]
# **What to see:** dots are sincere, crosses ironic; blue is where the score is positive. The sum keeps both crosses out
# and loses a dot; move its border as you like, one of the four stays on the wrong side. The other two make a region for
# each dot and keep the crosses out.
#
# ## 4 · Late fusion, exactly
#
# Late fusion is not useless: it is robust, it can be trained in two places, and it wins where each modality knows
# something of its own. Two recipes are in use. Average the *probabilities*, or average the *logits*:
#
# $$p=\tfrac12 p^{I}+\tfrac12 p^{T}\qquad\text{or}\qquad p=\mathrm{softmax}\big(\tfrac12 z^{I}+\tfrac12 z^{T}\big)\propto\sqrt{p^{I}p^{T}}$$
#
# The first is a mixture of opinions, the second a product: one veto counts. The first is a sum of two functions in its probabilities, the
# second in its logits. So $\Delta=0$ for any two classes $a$ and $b$: of $p_a-p_b$ in the first, of $z_a-z_b$ in the second.
#
# ### ✏️ Exercise 3 · Two opinions ★
#
# *Goal: average what two classifiers say, as probabilities. About 5 minutes.*
#
# `weight` belongs to the picture, `1 − weight` to the sentence. Return probabilities.


# %% tags=["exercise"] id="06-late-fusion"
def late_fusion(image_logits, text_logits, weight):
    """Logits (N, V), logits (N, V), one number -> probabilities (N, V)."""
    ### BEGIN SOLUTION
    return weight * image_logits.softmax(dim=-1) + (1 - weight) * text_logits.softmax(dim=-1)
    ### END SOLUTION


# %% tags=["check"]
check("06-late-fusion", late_fusion)

# %% [markdown]
# The library's `LateFusion` does either, with weights that are one half each or learned. Compare it with the formula, and see
# what a veto is.

# %%
late = LateFusion(6, 4, 3, how="probabilities").double()
views = Views(image=torch.randn(5, 6).double(), text=torch.randn(5, 4).double())
by_hand = 0.5 * late.image_head(views.image).softmax(-1) + 0.5 * late.text_head(views.text).softmax(-1)
torch.testing.assert_close(late(views).exp(), by_hand, rtol=0, atol=1e-12)
opinions = torch.tensor([[0.98, 0.01, 0.01], [0.001, 0.5, 0.499]])  # of the picture, of the words
mixture, product = opinions.mean(dim=0), opinions.log().mean(dim=0).softmax(dim=0)
print("mixture:", mixture.numpy().round(2), "  product:", product.numpy().round(2))
assert [round(says[0].item(), 2) for says in (mixture, product)] == [0.49, 0.18]

# %% [markdown]
# The picture is nearly sure of class 0, the words rule it out. The mixture keeps class 0 at 0.49. The product brings it down
# to 0.18, and everything else rises.
#
# ## 5 · Early fusion
#
# **early fusion**（早期融合）: the vectors of the modalities are joined first, and one network reads the result.
#
# $$O=W_2\,\mathrm{relu}\big(W_1\,[I;T]+b_1\big)+b_2$$
#
# Cut $W_1$ into two parts of columns, $W_1[I;T]=W_I\,I+W_T\,T$. So the layer adds a picture's vote and a sentence's
# vote, for each hidden unit, and *then* bends. One unit that bends after adding has $\Delta\ne0$ wherever the bend
# lies between the four sums, and enough of them approximate any continuous function of both (Leshno et al., 1993).
# Check the cut, then the library.

# %%
early = ConcatFusion(6, 4, 5, hidden=(7,)).double()
first, _, _, second = list(early.mlp)[:4]
W_I, W_T = first.weight.split([6, 4], dim=1)  # (7, 6) and (7, 4)
hidden = F.relu(views.image @ W_I.T + views.text @ W_T.T + first.bias)
by_hand = F.relu(hidden @ second.weight.T + second.bias)
torch.testing.assert_close(early(views), by_hand, rtol=0, atol=1e-12)

# %% [markdown]
# ## 6 · A product: bilinear fusion
#
# **bilinear fusion**（双线性融合）: every output is a weighted sum of all products of one number of the picture with one of the sentence.
#
# $$o_k=x^\top W_k\,y=\sum_{i}\sum_{j}W_{kij}\,x_i\,y_j$$
#
# Nothing could be more thorough, and nothing is larger: 1280 × 384 products for each of 256 outputs, 126 million weights.
#
# The cure is to demand a low rank. Write $W_k=\sum_r p_{kr}\,u_r v_r^\top$, and the sums come apart:
#
# $$o_k=\sum_r p_{kr}\,(u_r^\top x)(v_r^\top y),\qquad o=P\,\big(Ux\circ Vy\big)$$
#
# Project both to the same length, multiply elementwise, map once more (Kim et al., 2017). With rank 256 that is half a
# million weights, 256 times fewer.
#
# ### ✏️ Exercise 4 · A product that fits into memory ★★
#
# *Goal: multiply two modalities without writing the large tensor. About 10 minutes.*
#
# `u` (R, I) belongs to the picture, `v` (R, T) to the sentence, `p` (K, R) makes the outputs. No bend, no bias.


# %% tags=["exercise"] id="06-low-rank-bilinear"
def low_rank(x, y, u, v, p):
    """x (B, I), y (B, T) -> (B, K)."""
    ### BEGIN SOLUTION
    return ((x @ u.T) * (y @ v.T)) @ p.T  # (B, R) ∘ (B, R) -> (B, R) -> (B, K)
    ### END SOLUTION


# %% tags=["check"]
check("06-low-rank-bilinear", low_rank)

# %% [markdown]
# **Parity.** Build the large $W$ from $U$, $V$, $P$ after all, at toy size, and hand it to PyTorch's `F.bilinear`. Then count weights.

# %%
product = BilinearFusion(6, 4, 3, rank=5, bend=False).double()
u, v, p = product.image_in, product.text_in, product.out
for part in (u, v, p):
    nn.init.zeros_(part.bias)
theirs = F.bilinear(views.image, views.text, torch.einsum("kr,ri,rt->kit", p.weight, u.weight, v.weight))
claim("low rank − torch's bilinear", (product(views) - theirs).abs().max(), at_most=1e-12)
full, low = 256 * 1280 * 384, 256 * (1280 + 384 + 256)
print(f"full: {full:,} weights   low rank: {low:,}   ratio {full // low}")

# %% [markdown]
# ## 7 · FiLM and gates: one modality steers the other
#
# **FiLM**（特征级线性调制）: the sentence computes a scale and a shift for every feature of the picture.
#
# $$h=\mathrm{relu}\big((1+\gamma(T))\circ Wx+\beta(T)\big)$$
#
# At $\gamma=\beta=0$ the picture passes unchanged; that is what the 1 is for. A scale of $-1$ switches a feature off, $-2$ turns it
# around, which is all an ironic remark needs (Perez et al., 2018).
#
# ### ✏️ Exercise 5 · The sentence turns the knobs ★★
#
# *Goal: let one modality scale and shift the features of the other. About 10 minutes.*
#
# `x` (B, C) are picture features, `text` (B, T); both weights are (C, T). No ReLU here.


# %% tags=["exercise"] id="06-film"
def modulate(x, text, weight_scale, weight_shift):
    """(1 + scale) ∘ x + shift, with scale and shift computed from the text: (B, C)."""
    ### BEGIN SOLUTION
    scale, shift = text @ weight_scale.T, text @ weight_shift.T  # (B, C) each
    return (1 + scale) * x + shift
    ### END SOLUTION


# %% tags=["check"]
check("06-film", modulate)

# %% [markdown]
# **gated fusion**（门控融合）: a gate between 0 and 1, computed from both modalities, decides for every channel which of them is let through.
#
# $$z=\sigma\big(W_z[I;T]\big),\qquad h=z\circ\tanh(I)+(1-z)\circ\tanh(T)$$
#
# It can turn a channel down and never around. Unlike FiLM it treats both sides alike (Arevalo et al., 2017).
#
# ### ✏️ Exercise 6 · Who may speak ★★
#
# *Goal: a gate that reads both modalities and lets one through. About 10 minutes.*
#
# Here `image` and `text` have the same width C, and `weight` is (C, 2·C).


# %% tags=["exercise"] id="06-gate"
def gated(image, text, weight):
    """z ∘ tanh(image) + (1 − z) ∘ tanh(text), with the gate z = σ([image; text] Wᵀ): (B, C)."""
    ### BEGIN SOLUTION
    z = (torch.cat((image, text), dim=-1) @ weight.T).sigmoid()  # (B, C)
    return z * image.tanh() + (1 - z) * text.tanh()
    ### END SOLUTION


# %% tags=["check"]
check("06-gate", gated)

# %% [markdown]
# **Parity** of both with the library, which maps picture and sentence to one width before it mixes them.

# %%
knobs, doors = FiLMFusion(6, 4, 5).double(), GatedFusion(6, 4, 5).double()
scale, shift = knobs.scale_and_shift(views.text).chunk(2, dim=-1)
film_by_hand = F.relu((1 + scale) * knobs.image_in(views.image) + shift)
z = doors.gate_in(torch.cat((views.image, views.text), dim=-1)).sigmoid()
gate_by_hand = z * doors.image_in(views.image).tanh() + (1 - z) * doors.text_in(views.text).tanh()
gap = max((knobs(views) - film_by_hand).abs().max(), (doors(views) - gate_by_hand).abs().max())
claim("FiLM and gate by hand − the library's", gap, at_most=1e-12)

# %% [markdown]
# ## 8 · Three tasks that live between two modalities
#
# First, eyes. Fusion works on *features*, and features can be computed once. A small network of chapter 04 learns to name
# what it sees at each of 8 × 8 places, on scenes with sixteen of the nouns, two of each kind. Then it is frozen.

# %%
kind_of = {noun.name: noun.group for noun in lexicon()[::4]}
known = list(kind_of)


def small_scenes(count, split):
    """Those of so many scenes that show one or two things, all of them known."""
    scenes = sample_scenes(count, split=split)
    return [s for s in scenes if len(s.objects) <= 2 and all(thing.noun in kind_of for thing in s.objects)]


train_scenes = small_scenes(by_budget(smoke=5_000, standard=100_000), "train")
test_scenes = small_scenes(by_budget(smoke=5_000, standard=25_000), "test")


def pictures_and_places(scenes):
    """The pictures, and which noun is at each of their 8 × 8 places: uint8 (N, 3, 64, 64), (N, 8, 8); 16 = nothing."""
    images, masks = render(scenes, masks=True)
    shares, owner = F.avg_pool2d(masks.float(), 8).max(dim=1)  # (N, 3, 64, 64) -> (N, 8, 8): who covers a place most
    nouns = torch.tensor([([known.index(o.noun) for o in s.objects] + [16, 16])[:3] for s in scenes])
    return images, torch.where(shares > 0.3, nouns.gather(1, owner.flatten(1)).view_as(owner), 16)


# %%
from mmcourse.encoders.cnn import CNN


class Eyes(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = CNN((48, 96), stem=4)
        self.name = nn.Conv2d(96, 17, 1)

    def features(self, images):
        return self.network.feature_map(images.float() / 127.5 - 1)  # (B, 96, 8, 8)

    def forward(self, images):
        return self.name(self.features(images)).movedim(1, -1)  # (B, 8, 8, 17)


eyes, batches = Eyes(), Batches(*pictures_and_places(train_scenes), size=64)
fit(
    eyes, lambda model, batch: cross_entropy(model(batch[0]), batch[1]), batches,
    steps=by_budget(smoke=10, standard=260), learning_rate=4e-3, description="eyes",
)  # fmt: skip
eyes.eval()


@torch.no_grad()
def look(images):
    """Features of every place, computed once: uint8 (N, 3, 64, 64) -> (N, 96, 8, 8)."""
    return torch.cat([eyes.features(part) for part in images.split(256)])


# %% [markdown]
# The eyes close their training here. What they find is computed once for each picture; do they know what they see on scenes of the
# test split?

# %%
unseen, there = pictures_and_places(test_scenes[:500])
named = eyes.name(look(unseen)).argmax(dim=1)  # (N, 17, 8, 8) -> (N, 8, 8)
right = accuracy(named[there < 16], there[there < 16])
claim("places of things that the eyes name rightly, test", right, at_least=0.8)

# %% [markdown]
# **Task 1, *truth*: does the sentence describe the picture?** As in chapter 00: two scenes with the same background and the same
# number of things, two sentences, four pairs. Each picture and each sentence is right once and wrong once.


# %%
class Task(NamedTuple):
    features: torch.Tensor  # (N, C), of the pictures
    texts: list[str]
    targets: torch.Tensor  # (N,)
    labels: tuple[str, ...]


def truth_task(scenes, rounds):
    alike, blocks = defaultdict(list), []
    for i, scene in enumerate(scenes):
        alike[scene.background, len(scene.objects)].append(i)
    says = [captions(scene)[0] for scene in scenes]
    for members in list(alike.values()) * rounds:
        order = [members[i] for i in torch.randperm(len(members), generator=generator).tolist()]
        for i, j in zip(order[::2], order[1::2], strict=False):
            if not caption_is_true(scenes[i], says[j]) and not caption_is_true(scenes[j], says[i]):
                blocks.append((i, j))
    blocks = torch.tensor(blocks)[torch.randperm(len(blocks), generator=generator)]
    picture, sentence = blocks[:, [0, 0, 1, 1]].flatten(), blocks[:, [0, 1, 0, 1]].flatten()
    seen = look(render(scenes)[0]).amax(dim=(2, 3))  # the strongest place of every channel: (n, 96)
    targets = (picture == sentence).long()
    return Task(seen[picture], [says[i] for i in sentence.tolist()], targets, ("false", "true")), picture


truth, truth_pictures = zip(truth_task(train_scenes, 2), truth_task(test_scenes, 1), strict=True)

# %% [markdown]
# **Task 2, *side*: a question whose answer depends on both.** One thing left, one right: "what is on the left?" The answer is one of
# eight kinds. Every picture comes with its mirror image, so both questions and both places are used equally.


# %%
kinds = tuple(sorted(set(kind_of.values())))
questions = ["what is on the left?", "what is on the right?"]


def side_task(scenes, count):
    alone = [s for s in scenes if len(s.objects) == 1]
    left, right = ([s for s in alone if s.objects[0].column == column] for column in (0, 2))
    pairs = []
    while len(pairs) < count:
        a, b = (side[torch.randint(len(side), (), generator=generator)] for side in (left, right))
        if a.objects[0].group != b.objects[0].group:
            pairs.append(dataclasses.replace(a, objects=(a.objects[0], b.objects[0])))
    images = render(pairs)[0]
    maps = look(torch.cat([images, images.flip(-1)]))  # (2n, 96, 8, 8): each picture, then each mirror image
    seen = torch.cat([maps[..., :4].amax(dim=(2, 3)), maps[..., 4:].amax(dim=(2, 3))], dim=1)  # (2n, 192)
    answers = torch.tensor([[kinds.index(thing.group) for thing in s.objects] for s in pairs])
    targets = torch.cat([answers, answers.flip(1)]).flatten()  # (2n, 2) -> (4n,)
    return Task(seen.repeat_interleave(2, dim=0), questions * (2 * count), targets, kinds), images


count = by_budget(smoke=60, standard=3500)
(side_train, _), (side_test, side_images) = side_task(train_scenes, count), side_task(test_scenes, 400)
side = side_train, side_test

# %% [markdown]
# **Task 3, *meme*: words that turn the meaning of a face.** Fifty-six drawings, seen by the pretrained EfficientNet of chapter 04, and
# sentences with a mood. *Sincere* if both moods agree, *ironic* if not. Test faces and test sentences are new.

# %%
happy = """grinning face|grinning face with big eyes|grinning face with smiling eyes|beaming face with smiling eyes|
grinning squinting face|slightly smiling face|smiling face with smiling eyes|smiling face with halo|nerd face|star-struck|
smiling face with hearts|smiling face with heart-eyes|smiling face|face savoring food|winking face|partying face|
winking face with tongue|squinting face with tongue|smiling face with sunglasses|cowboy hat face|grinning cat|
grinning cat with smiling eyes|smiling cat with heart-eyes|cat with tears of joy|face with tears of joy|
face with tongue|smiling face with open hands|grinning face with sweat"""
gloomy = """confused face|worried face|slightly frowning face|frowning face|frowning face with open mouth|anguished face|
fearful face|anxious face with sweat|sad but relieved face|crying face|loudly crying face|confounded face|
persevering face|disappointed face|downcast face with sweat|weary face|tired face|enraged face|angry face|weary cat|
crying cat|pouting cat|face with thermometer|nauseated face|face vomiting|face with head-bandage|pensive face|
face with diagonal mouth"""
faces = [[name.strip() for name in names.split("|")] for names in (gloomy, happy)]  # mood 0 and mood 1
glad, sad = (
    ["wonderful", "lovely", "great", "perfect", "sweet", "brilliant"],
    ["terrible", "grim", "horrible", "nasty", "bitter", "dreadful"],
)
frames = ("what a {} {}", "this {1} is {0}", "i had a {} {}", "such a {} {}")
things = ["day", "party", "dinner", "song", "match", "holiday", "present", "journey"]
sayings = [
    [frame.format(word, thing) for word in words for thing in things for frame in frames] for words in (sad, glad)
]
assert len(faces[0]) == len(faces[1]) == 28
print(sayings[0][0], "|", sayings[1][5], "|", len(sayings[0]), "sentences a mood")

# %%
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_image_encoder

efficientnet = load_image_encoder("efficientnet-lite0")
efficientnet.preprocess = dataclasses.replace(efficientnet.preprocess, size=96, resize=96)
order = torch.randperm(len(sayings[0]), generator=generator).tolist()


def portraits(names, count):
    """Each drawing so many times, slightly turned, on light backgrounds."""
    drawn = glyphs.images[[glyphs.index(name) for name in names]].repeat(count, 1, 1, 1)
    angles = (30 * torch.rand(len(drawn), generator=generator) - 15).tolist()
    turned = torch.stack([turn.rotate(drawing, angle) for drawing, angle in zip(drawn, angles, strict=True)])
    return on_background(turned, torch.randint(120, 256, (len(drawn), 3), generator=generator))


def meme_task(part, blocks):
    kept = [[name for i, name in enumerate(names) if (i % 4 == 1) == (part == "test")] for names in faces]
    images = torch.cat([portraits(names, 24 if part == "train" else 10) for names in kept])
    seen = extract_features(efficientnet, images, name=f"chapter-06-faces-{part}", description=None)
    seen = seen.view(2, -1, seen.shape[1])  # (mood, face, 1280)
    says = [[lines[i] for i in (order[:48] if part == "test" else order[48:])] for lines in sayings]
    picks = [torch.randint(n, (blocks, 2), generator=generator) for n in (seen.shape[1], len(says[0]))]
    features = torch.stack([seen[mood, picks[0][:, mood]] for mood in (0, 0, 1, 1)], dim=1)  # (blocks, 4, 1280)
    texts = [says[mood][row[mood]] for row in picks[1].tolist() for mood in (0, 1, 0, 1)]
    return Task(features.flatten(0, 1), texts, torch.tensor([0, 1, 1, 0] * blocks), ("sincere", "ironic")), images


(meme_train, _), (meme_test, meme_images) = (
    meme_task("train", by_budget(smoke=50, standard=2500)), meme_task("test", 500)
)  # fmt: skip
tasks = {"truth": truth, "side": side, "meme": (meme_train, meme_test)}

# %% [markdown]
# One look at what the models will see, and what they are asked.

# %%
a, b = truth_pictures[1][[0, 2]].tolist()  # the first block of the test
shown = [*render([test_scenes[a], test_scenes[b]])[0], *side_images[[0, 0]]]
shown = [F.interpolate(image[None].float(), (96, 96))[0].to(torch.uint8) for image in shown] + [meme_images[-4]] * 2
asked = [f"{truth[1].texts[0]}?", f"{truth[1].texts[0]}?", *questions, sayings[1][4], sayings[0][4]]
viz.show(
    viz.gallery(shown, asked, columns=6),
    alt="Two scenes with one sentence; one scene with two questions; one happy face with glad and with sad words.",
)

# %% [markdown]
# **What to see:** two pairs a task. In each task one half is exchanged, the other stays, and the answer turns around.
#
# All three are built from blocks of four, so the arithmetic is the same. A model that sees one modality gives the same answer to both
# halves of a pair whose answers differ. In *truth* and *meme* it is right exactly half of the time. In *side*, who knows
# the picture and not the question names one of two things: at most half. Who knows the question alone guesses among eight.
#
# ## 9 · The experiment: eight models, three tasks, one table
#
# Six fusions and two baselines with one eye shut. A baseline *is* the early-fusion network; its other input is missing, in training and
# in the test. Same features, same words, same steps, same seed.

# %%
MLP = {"hidden": (256,)}
WAYS = {
    "image only": ("concat", MLP), "text only": ("concat", MLP),
    "late, averaged": ("late", MLP), "late, learned": ("late", {**MLP, "learned": True}),
    "early": ("concat", MLP), "gated": ("gated", {}), "bilinear": ("bilinear", {}), "FiLM": ("film", {}),
}  # fmt: skip


class Reader:
    """A model with what it needs to read a task: the scale of the features, the tokenizer, which eye is shut."""

    def __init__(self, way, task, *, size=1.0, seed=0, **options):
        fusion, fusion_options = WAYS[way]
        self.way, self.size = way, size
        self.mean, self.std = task.features.mean(dim=0), task.features.std(dim=0).clamp(min=1e-3)
        config = MultiModalConfig(
            labels=task.labels, fusion=fusion, fusion_options=fusion_options, width=128, text="bag",
            text_options={"width": 64}, image="features", image_options={"width": task.features.shape[1]}, **options,
        )  # fmt: skip
        torch.manual_seed(seed)
        self.model = MultiModalModel(config, WordTokenizer.train(task.texts))
        self.parameters = sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def tensors(self, task):
        return (self.size * (task.features - self.mean) / self.std, *self.model.tokenizer.encode_batch(task.texts))

    def __call__(self, features, ids, mask):
        features = None if self.way == "text only" else features
        ids, mask = (None, None) if self.way == "image only" else (ids, mask)
        return self.model(features, ids, mask)

    def loss(self, _, batch):
        return cross_entropy(self(*batch[:3]), batch[3])

    @torch.no_grad()
    def predict(self, task):
        self.model.eval()
        return self(*self.tensors(task)).argmax(dim=1)


# %%
STEPS = by_budget(smoke=5, standard=400)


def train(way, task, *, steps=STEPS, seed=0, **options):
    reader = Reader(way, task, seed=seed, **options)
    batches = Batches(*reader.tensors(task), task.targets, size=128, seed=seed)
    settings = {"steps": steps, "learning_rate": 2e-3, "seed": seed, "description": None}
    return reader, fit(reader.model, reader.loss, batches, **settings)


# %% [markdown]
# **precision**（精确率）: of all answers that name a class, the share that is right.
#
# **recall**（召回率）: of all samples of a class, the share that is found.
#
# **F1**（F1 值）: the harmonic mean of precision and recall.
#
# Each belongs to one class; the table shows their plain mean over the classes (*macro*). Train all eight for each task, and score them.

# %%
readers, histories, scores, rows = {}, {}, {}, []
for name, (task, test) in tasks.items():
    for way in progress(WAYS, name):
        reader, history = readers[name, way], histories[name, way] = train(way, task)
        answers = reader.predict(test)
        scores[name, way] = accuracy(answers, test.targets)
        macro = precision_recall_f1(answers, test.targets, len(test.labels), average="macro")
        numbers = [f"{value:.3f}" for value in (scores[name, way], *macro[:3])]
        rows.append([name, way, *numbers, f"{reader.parameters:,}", f"{history.seconds:.1f}"])
header = ["task", "model", "accuracy", "precision", "recall", "F1", "parameters", "seconds"]
figure, axes = plt.subplots(figsize=(8, 7.2))
axes.set_axis_off()
widths = (0.09, 0.17, 0.12, 0.12, 0.11, 0.11, 0.16, 0.12)
drawn = axes.table(rows, colLabels=header, cellLoc="right", bbox=(0, 0, 1, 1), colWidths=widths)
drawn.auto_set_font_size(False)
drawn.set_fontsize(10.5)
best = {name: f"{max(scores[name, way] for way in WAYS):.3f}" for name in tasks}
for (row, column), cell in drawn.get_celld().items():
    name, way, score = rows[row - 1][:3]  # row 0 is the header
    bold = row == 0 or score == best[name]
    cell.set_text_props(weight="bold" if bold else "normal", ha="left" if column < 2 else "right")
    shaded = row > 0 and scores[name, way] > 0.7
    cell.set(linewidth=0.8, edgecolor=viz.PALE, facecolor="#cfe6f5" if shaded else "white")
viz.show(
    figure, alt="Eight models on three tasks: baselines and late fusion at one half or below, the other four far above."
)

# %%
constant = side_test.targets.bincount().max().item() / len(side_test.targets)  # always the most frequent answer
blind = {(name, way): scores[name, way] for name in tasks for way in ("image only", "text only")}
allowed = dict.fromkeys(blind, 0.5) | {("side", "text only"): constant}
apart = max(abs(blind[key] - allowed[key]) for key in blind)
claim("one eye shut, all tasks: largest distance from what one half allows", apart, at_most=0.03)
alone = {name: max(blind[name, "image only"], blind[name, "text only"]) for name in tasks}
gains = [scores[name, way] - alone[name] for name in tasks for way in ("early", "gated", "bilinear", "FiLM")]
claim("smallest gain of the four other fusions over the best baseline, all tasks", min(gains), at_least=0.2)
late_best = max(scores[name, way] for name in tasks for way in WAYS if way.startswith("late"))
claim("best late fusion of any task, accuracy", late_best, at_most=0.53)
claim("meme: best fusion, accuracy", max(scores["meme", way] for way in WAYS), near=0.8, tolerance=0.07)

# %% [markdown]
# **What to see:** a shaded block of four in each task, and nothing else shaded. Early, gated, bilinear and FiLM fusion solve all three;
# the two baselines and both late fusions solve none. That is no lack of weights: late fusion has more of them than gated, bilinear and
# FiLM fusion, and it sees both inputs. It cannot help it: $\Delta=0$, for *true* against *false* and for each two of the eight kinds
# in *side*. There the block is a picture,
# its mirror image and the two questions.
#
# On *meme* everything stops near 0.8. The test sentences are made of words that occurred in training; the test faces are new, only fourteen,
# and drawn, while the network that sees them was trained on photographs. So the faces are the likely limit; the table does not prove it.
# No fusion can use what its features do not contain.
#
# ## 10 · Beyond accuracy
#
# **confusion matrix**（混淆矩阵）: a table of counts with a row for each true class and a column for each answer.

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 4.2))
for panel, way in zip(panels, ("image only", "early"), strict=True):
    matrix = confusion_matrix(readers["side", way].predict(side_test), side_test.targets, 8)
    viz.heat(matrix, rows=kinds, columns=kinds, title=way, xlabel="answer", ylabel="truth", digits=0, ax=panel)
    panel.tick_params(axis="x", rotation=90)
viz.show(
    figure,
    alt="Two confusion matrices: image only has half of its answers on the diagonal and the rest all over, early fusion is a diagonal.",
)

# %% [markdown]
# **What to see:** right, a diagonal and a few slips. Left, about half of all answers are on the diagonal and the rest is scattered widely:
# mostly, one must suppose, the other thing of the picture. An accuracy of 0.5 could mean that four of eight kinds are known
# perfectly. The matrix says that it does not.
#
# ### ✏️ Exercise 7 · Precision, recall, F1 ★★
#
# *Goal: read three scores of one class off a confusion matrix. About 10 minutes.*
#
# Rows are the truth, columns the answers. Return the three for class `c`; a class that is never named scores 0, not NaN.
# The harmonic mean of precision and recall is $2\cdot\mathrm{right}/(\mathrm{named}+\mathrm{there})$.


# %% tags=["exercise"] id="06-scores-of-a-class"
def scores_of_a_class(confusion, c):
    """Counts (V, V), class -> (precision, recall, F1)."""
    ### BEGIN SOLUTION
    right = confusion[c, c]
    named, there = confusion[:, c].sum(), confusion[c].sum()  # all that was called c, all that is c
    return right / named.clamp(min=1), right / there.clamp(min=1), 2 * right / (named + there).clamp(min=1)
    ### END SOLUTION


# %% tags=["check"]
check("06-scores-of-a-class", scores_of_a_class)

# %% [markdown]
# **Parity** with scikit-learn, on real answers. Then a case in which accuracy misleads.

# %%
answers, meant = readers["side", "gated"].predict(side_test), side_test.targets
ours = precision_recall_f1(answers, meant, 8)
theirs = precision_recall_fscore_support(meant.numpy(), answers.numpy(), labels=range(8), zero_division=0)
gap = max((mine - torch.from_numpy(other)).abs().max() for mine, other in zip(ours[:3], theirs[:3], strict=True))
claim("our precision, recall and F1 − scikit-learn's", gap, at_most=1e-12)
always_false = precision_recall_f1(torch.zeros(100).long(), torch.tensor([0] * 95 + [1] * 5), 2)
print("always “harmless” on 5 hateful of 100: accuracy 0.95, recall of hateful", always_false.recall[1].item())
assert always_false.recall[1] == 0

# %% [markdown]
# That last line is why the four numbers stand side by side: when classes are rare, accuracy praises whoever never names them.
#
# ## 11 · The mechanism, measured
#
# Section 3 says what to look for. Take blocks of the *truth* test, score all four pairs, and measure $\Delta$ of the logit
# difference "true − false" in each trained model.


# %%
def delta_of(S):
    return (S[:, 0, 0] + S[:, 1, 1] - S[:, 0, 1] - S[:, 1, 0]).detach()


def block_interaction(way):
    logits = readers["truth", way](*readers["truth", way].tensors(truth[1]))
    return delta_of((logits[:, 1] - logits[:, 0]).view(-1, 2, 2))  # (N,) -> (block, picture, sentence)


def side_interaction(way):
    """The same in *side*, of the two kinds that a picture shows: its mirror image and both questions make the block."""
    logits = readers["side", way](*readers["side", way].tensors(side_test))
    logits = logits.view(2, -1, 2, 8)  # (mirrored, n, question, 8)
    one, two = (side_test.targets.view(2, -1, 2)[0, :, place] for place in (0, 1))
    each = torch.arange(len(one))
    return delta_of(logits[:, each, :, one] - logits[:, each, :, two])  # (n, mirrored, question)


shown = ("late, averaged", "late, learned", "gated", "FiLM", "early", "bilinear")
measured = {way: block_interaction(way) for way in shown}
figure, axes = plt.subplots(figsize=(8, 3.0))
axes.boxplot([measured[way].numpy() for way in shown], tick_labels=shown, whis=(5, 95), showfliers=False)
axes.axhline(0, color=viz.GRAY, linewidth=1)
axes.set_ylabel("interaction Δ of a block")
viz.show(figure, alt="Boxes of the interaction: zero for both late fusions, clearly positive for the other four.")
still = max(of(way).abs().max() for way in shown[:2] for of in (block_interaction, side_interaction))
claim("both late fusions, truth and side: largest |Δ|", still, at_most=1e-3)
signs = [(of(way) > 0).float().mean() for way in shown[2:] for of in (block_interaction, side_interaction)]
claim("the other four, truth and side: smallest share of blocks with Δ > 0", min(signs), at_least=0.9)

# %% [markdown]
# **What to see:** late fusion sits on zero, up to rounding; no training moved it. Everyone else has learned an interaction, with the
# right sign in nearly every block.
#
# ### Able to is not the same as learns to
#
# The proof says what late fusion cannot do. That a hidden layer *can* is no promise that it will. Make the words
# harder: a "not" in front turns half of the sentences around, so "not this day is terrible" is glad. (A bag of words
# does not care where the "not" stands.) Now three things multiply: face, adjective, *not*.


# %%
def negated(task, seed):
    """Half of the sentences are turned around by a "not", and so are their answers."""
    flip = torch.randint(2, (len(task.texts) // 2,), generator=torch.Generator().manual_seed(seed)).repeat(2)
    return task._replace(
        texts=[f"not {text}" if turned else text for text, turned in zip(task.texts, flip.tolist(), strict=True)],
        targets=task.targets ^ flip,
    )


twisted, seeds = (negated(meme_train, 0), negated(meme_test, 1)), range(by_budget(smoke=1, standard=5))
twisted_scores = {"early": [], "gated": [], "bilinear": [], "FiLM": []}
for seed, way in progress([(seed, way) for seed in seeds for way in twisted_scores], "negated memes"):
    reader, _ = train(way, twisted[0], seed=seed)
    twisted_scores[way].append(accuracy(reader.predict(twisted[1]), twisted[1].targets))
patient = [train("bilinear", twisted[0], seed=seed, steps=3 * STEPS)[0] for seed in seeds]
patient = [accuracy(reader.predict(twisted[1]), twisted[1].targets) for reader in patient]
shown_scores = twisted_scores | {"bilinear,\nthree times\nthe steps": patient}
viz.show(
    viz.dots(shown_scores, ylabel="accuracy, negated memes", baseline={"chance": 0.5}, ylim=(0.4, 0.9)),
    alt="Five dots a model: early and gated at chance, bilinear a little above, FiLM between 0.6 and 0.75; bilinear with three times the steps at 0.8.",
)
early, by_gate, bilinear, film, late_bilinear = (sum(values) / len(values) for values in shown_scores.values())
claim("negated memes, mean of five seeds", {"early": early, "gated": by_gate}, near=0.5, tolerance=0.04)
claim("negated memes, bilinear fusion, mean of five seeds", bilinear, at_most=0.6)
able = {"FiLM": film, "bilinear, three times the steps": late_bilinear}
claim("negated memes, mean of five seeds", able, at_least=0.62)

# %% [markdown]
# **What to see:** each dot is a seed, each bar the mean of five. This is a parity of three: no factor and no pair of factors tells
# anything about the answer, so the first steps have little to go by. Early and gated fusion stay at chance with every seed. Their
# networks *contain* a solution; gradient descent does not find it in these 400 steps. Bilinear fusion has a product built in and is
# hardly better in the same number of steps, yet with three times as many most seeds come to about 0.8. FiLM is on its
# way with all five seeds in 400 steps. (The other three did not get the longer run, so the last column ranks nothing.) The
# architecture decides what is possible, and also what is easy, and the second you have to measure.
#
# ## 12 · How many samples does it take?
#
# **learning curve**（学习曲线）: the quality on unseen data as a function of how many samples were trained on.
#
# Labeled pairs are expensive. Train on the first 256 pairs of *truth*, then on eight times as many, and once more, with three
# seeds each.


# %%
def first(task, size):
    return Task(task.features[:size], task.texts[:size], task.targets[:size], task.labels)


sizes = [size for size in (256, 2048, 16384) if size < len(truth[0].targets)]
seeds = range(by_budget(smoke=1, standard=3))
curves = {way: [] for way in twisted_scores}
for way in progress(curves, "learning curves"):
    for size in sizes:
        few = [train(way, first(truth[0], size), seed=seed)[0] for seed in seeds]
        curves[way].append(torch.tensor([accuracy(reader.predict(truth[1]), truth[1].targets) for reader in few]))
figure, axes = plt.subplots(figsize=(8, 3.4))
for number, (way, values) in enumerate(curves.items()):
    places = [place + 0.05 * (number - 1.5) for place in range(len(sizes))]
    low, middle, high = (torch.stack([f(v) for v in values]) for f in (torch.amin, torch.mean, torch.amax))
    spans = torch.stack([middle - low, high - middle]).numpy()
    axes.errorbar(places, middle, spans, label=way, marker="os^d"[number], capsize=4)
axes.axhline(0.5, color=viz.GRAY, linestyle="--")
axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
axes.set(xlabel="pairs to learn from", ylabel="accuracy, test", ylim=(0.45, 1.0))
axes.legend(loc="center right")
viz.show(
    figure,
    alt="Accuracy against training pairs: four fusions start together near 0.8; from 2,048 pairs on the gate lies below the other three.",
)
means = {way: [v.mean() for v in values] for way, values in curves.items()}
gain = means["early"][-1] - means["early"][0]
claim("early fusion: gain from 256 to the most pairs, mean of three seeds", gain, at_least=0.1)
spread = max(m[0] for m in means.values()) - min(m[0] for m in means.values())
claim("256 pairs: best fusion − worst fusion, mean of three seeds", spread, at_most=0.06)
behind = min(curves["early"][-1]) - max(curves["gated"][-1])
claim("most pairs: worst seed of early − best seed of gated fusion", behind, at_least=0.03)

# %% [markdown]
# **What to see:** with few pairs all fusions lie on one curve: the bars between seeds overlap. What 256 pairs lack is not a better
# fusion; it is examples of which word goes with which thing. With more pairs the gate falls behind, with every seed. Why, this figure
# does not say.
#
# ## 13 · When one input is missing
#
# Cameras fail, captions are empty. In a balanced task nothing can be done about it. In most real tasks either modality knows
# *something*, so take one of those. *Torn*: name the thing, from a picture seen from far away and a caption in which half of the
# nouns have become "thing".


# %%
def torn_task(scenes, seed):
    draw = torch.Generator().manual_seed(seed)
    alone = [s for s in scenes if len(s.objects) == 1]
    far = F.interpolate(F.avg_pool2d(render(alone)[0].float(), 8), scale_factor=8).round().to(torch.uint8)
    says = [captions(s)[3] for s in alone]  # noun, size and place
    hide = torch.rand(len(alone), generator=draw) < 0.5
    says = [t.replace(s.objects[0].noun, "thing") if h else t for t, s, h in zip(says, alone, hide, strict=True)]
    targets = torch.tensor([known.index(s.objects[0].noun) for s in alone])
    return Task(look(far).amax(dim=(2, 3)), says, targets, tuple(known))


torn, torn_test = torn_task(train_scenes, 0), torn_task(test_scenes, 1)
print(torn.texts[:3])

# %% [markdown]
# **modality dropout**（模态丢弃）: in training, now and then one whole modality of a sample is replaced by a placeholder, so that the
# model learns to do without (after Neverova et al., 2016).
#
# ### ✏️ Exercise 8 · Practice for the day a camera fails ★★★
#
# *Goal: take one modality away in training, never both. About 15 minutes.*
#
# `draw` (B,) holds one number between 0 and 1 for each sample. Where it is *below* `share`, the picture becomes zeros; where it is
# at least `1 − share`, the sentence does. Everything else stays as it is.


# %% tags=["exercise"] id="06-modality-dropout"
def drop_modalities(image, text, share, draw):
    """image (B, C), text (B, D), share at most 0.5, draw (B,) -> image, text."""
    ### BEGIN SOLUTION
    return image * (draw >= share)[:, None], text * (draw < 1 - share)[:, None]
    ### END SOLUTION


# %% tags=["check"]
check("06-modality-dropout", drop_modalities)

# %% [markdown]
# `MultiModalModel` has it built in, as `modality_dropout`. Train early fusion without and with it, and two specialists who never had
# a second input. Then test each with both inputs and with one.


# %%
def score_without(reader, task, missing=None):
    features, ids, mask = reader.tensors(task)
    reader.model.eval()
    with torch.no_grad():
        if missing == "picture":
            logits = reader.model(None, ids, mask)
        elif missing == "sentence":
            logits = reader.model(features, None)
        else:
            logits = reader.model(features, ids, mask)
    return accuracy(logits.argmax(dim=1), task.targets)


trained = {
    "early fusion": train("early", torn)[0],
    "with modality dropout 0.3": train("early", torn, modality_dropout=0.3)[0],
}
specialists = {"sentence": train("image only", torn)[0], "picture": train("text only", torn)[0]}
cases = (None, "picture", "sentence")
missing = torch.tensor([[score_without(reader, torn_test, case) for case in cases] for reader in trained.values()])
own = torch.tensor([[float("nan"), *(score_without(specialists[case], torn_test, case) for case in cases[1:])]])
figure = viz.heat(
    torch.cat([missing, own.nan_to_num(-torch.inf)]), rows=[*trained, "specialists"],
    columns=["both inputs", "no picture", "no sentence"], ax=plt.subplots(figsize=(6, 2.8))[1],
)  # fmt: skip
figure.axes[0].texts[6].set_text("–")  # a specialist has one input
figure.axes[0].tick_params(axis="x", rotation=0)
viz.show(
    figure,
    alt="Table of accuracies: without modality dropout a missing input is costly, with it nearly as good as the specialists.",
)
lost = missing[1] - missing[0]
claim("both inputs: early fusion − the better specialist, accuracy", missing[0, 0] - own[0, 1:].max(), at_least=0.02)
claim("no picture: what modality dropout gains, accuracy", lost[1], at_least=0.2)
assert by_budget(smoke=True, standard=abs(lost[0]) <= 0.05)  # with both inputs it changes next to nothing

# %% [markdown]
# **What to see:** first column: together they know more than either. Then the first row falls: the model had never met a
# placeholder of zeros. With dropout the second row follows the specialists, and with both inputs it pays next to nothing.
#
# One caution: modality dropout pulls a model towards tasks that one modality can do. On a balanced task it only wastes samples.
#
# ## 14 · A silent failure: one half on eight classes
#
# A friend trains early fusion on *side* with features of her own. "One half, on eight classes! Four times chance. It needs a little more
# data." The loss falls, nothing is NaN, the confusion matrix has a diagonal. Look at her curve beside yours.

# %%
her_reader, her_history = train("early", side_train, size=100.0)
losses = {"yours": histories["side", "early"].losses, "hers": her_history.losses}
figure = viz.curves(losses, baseline={"log 2": torch.tensor(2.0).log().item()}, ylim=(0, 2.5))
viz.show(figure, alt="Two training losses: yours falls towards zero, hers stays above the logarithm of two.")
ends = {who: sum(values[-50:]) / 50 for who, values in losses.items()}
assert by_budget(smoke=True, standard=ends["yours"] < 0.3 and ends["hers"] >= 0.69)

# %% [markdown]
# **What to see:** hers falls slowly (its start lies above the picture) and stays above $\log 2$, the surprise of a coin. Whoever sees
# the picture and not the question cannot come lower on average: two answers are left, and nothing tells which. What does hers not
# know? Name the cause before you read on.
#
# **ablation**（消融实验）: removing or scrambling one part of a system to learn what that part contributes.
#
# The cheapest one for a multimodal model: shuffle one input across the test set, and see whether the score notices.

# %%
your_reader = readers["side", "early"]


def shuffled_texts(task):
    order = torch.randperm(len(task.texts), generator=generator).tolist()
    return task._replace(texts=[task.texts[i] for i in order])


scrambled = shuffled_texts(side_test)
table = {}
for who, reader in (("yours", your_reader), ("hers", her_reader)):
    table[who] = accuracy(reader.predict(side_test), side_test.targets)
    table[f"{who}, questions shuffled"] = accuracy(reader.predict(scrambled), side_test.targets)
gain = {who: table[who] - table[f"{who}, questions shuffled"] for who in ("yours", "hers")}
assert by_budget(
    smoke=True, standard=abs(table["hers"] - 0.5) < 0.08 and abs(table["yours, questions shuffled"] - 0.5) < 0.08
)
claim("hers: what the questions contribute", gain["hers"], at_most=0.06)
claim("yours: more than that by", gain["yours"] - gain["hers"], at_least=0.25)

size_of = {}
for who, reader in (("yours", your_reader), ("hers", her_reader)):
    features, ids, mask = reader.tensors(side_test)
    with torch.no_grad():
        seen = reader.model.views(features, ids, mask)
    size_of[who] = (seen.image.std() / seen.text.std()).item()
assert by_budget(smoke=True, standard=size_of["yours"] < 5 and size_of["hers"] >= 50)

# %% [markdown]
# **Diagnosis.** Yours falls to one half without its questions. Hers hardly changes: it does not read them. Her picture features came
# in numbers around 100 (pixels from 0 to 255, a feature map never normalized), her words around 1. In $W_I I+W_T T$ the
# picture speaks a hundred times louder, and within 400 small steps the weights of the words cannot make up for it. No
# error, a plausible score, one modality thrown away.
#
# **Two tests that find it**, in any multimodal model: print the standard deviation of what enters the fusion, one line a modality. And
# shuffle each input once.
#
# ## 15 · On real data: a folder of your own
#
# Any folder will do that holds pictures and a file `metadata.jsonl` with a `file_name`, a `text` and a `label` in each line. Here the
# notebook writes three: square pieces of eight photographs, each once with its own words and once with those of another. Somebody
# looked at the photographs and drew boxes. Pieces to learn from come from one half of the thing, pieces to test from the other half,
# and *ground* from a place where the thing is not.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmcourse.datasets import load_photos

BOXES = {  # words, then (top, left, bottom, right): half of the thing to learn from, half to test, ground
    "cat": ("a cat", (20, 70, 290, 205), (20, 205, 290, 340), (120, 378, 300, 451)),
    "coffee": ("a cup of coffee", (40, 130, 360, 285), (40, 285, 360, 440), (0, 440, 130, 600)),
    "rocket": ("a rocket", (130, 285, 275, 355), (275, 285, 420, 355), (0, 350, 250, 430)),
    "astronaut": ("an astronaut", (110, 100, 480, 200), (110, 200, 480, 300), (0, 285, 200, 365)),
    "coins": ("old coins", (0, 0, 303, 192), (0, 192, 303, 384), (70, 0, 95, 280)),
    "motorcycle": ("a motorcycle", (150, 110, 450, 385), (150, 385, 450, 660), (0, 400, 110, 740)),
    "palace": ("a palace", (70, 105, 360, 215), (70, 215, 360, 325), (0, 420, 300, 640)),
    "flower": ("a flower", (110, 190, 340, 305), (110, 305, 340, 420), (0, 0, 250, 140)),
}
photos = load_photos()


def piece(name, box):
    """One square from somewhere inside the box: uint8 (96, 96, 3)."""
    top, left, bottom, right = box
    side = int(0.9 * min(bottom - top, right - left))
    y = int(torch.randint(top, bottom - side + 1, (), generator=generator))
    x = int(torch.randint(left, right - side + 1, (), generator=generator))
    cut = photos[name].image[None, :, y : y + side, x : x + side].float()
    return (
        F.interpolate(cut, size=(96, 96), mode="bilinear", antialias=True)[0].round().to(torch.uint8).permute(1, 2, 0)
    )


# %%
folder, names = Path(tempfile.mkdtemp()), list(BOXES)


def write_folder(part, which, count):
    (folder / part).mkdir()
    lines = []
    for number in range(count):
        for place, name in enumerate(names):
            file, other = f"{name}-{number}.png", names[(place + 1 + number % 7) % 8]
            Image.fromarray(piece(name, BOXES[name][which]).numpy()).save(folder / part / file)
            for text, label in ((BOXES[name][0], "fits"), (BOXES[other][0], "does not fit")):
                lines.append(json.dumps({"file_name": file, "text": text, "label": label}))
    (folder / part / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")


for part, which in (("train", 1), ("test", 2), ("ground", 3)):
    write_folder(part, which, by_budget(smoke=1, standard=28 if part == "train" else 14))
print((folder / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[0])
sheet = [torch.from_numpy(np.array(Image.open(folder / part / f"{name}-0.png"))).movedim(-1, 0)
         for part in ("train", "test", "ground") for name in names]  # fmt: skip
viz.show(
    viz.gallery(sheet, [*names, *[None] * 16], columns=8),
    alt="Three rows of eight pieces: parts of the things to learn from, other parts of them to test, and plain ground.",
)

# %% [markdown]
# **What to see:** a contact sheet, before anything is trained. Two rows show the thing that the words name, the third does not. Had the
# notebook cut blindly, say from the right two fifths of each photograph, a piece called *palace* would show a lake and one called
# *rocket* a tower: false labels, and no program complains.
#
# Now the recipe, for your pictures, too. First the pictures enter the model as they are, with a small network that learns from scratch.
# Then the same with features of EfficientNet, which has seen a million photographs. Three seeds each. Save, load, ask again: the folder
# `my_model` is all that you need to pass on.

# %%
from mmcourse.datasets.folder import labeled_folder

data = labeled_folder(folder / "train", size=64, quiet=True)
parts = {part: labeled_folder(folder / part, size=64, labels=data.labels, quiet=True) for part in ("test", "ground")}
test, tokenizer = parts["test"], WordTokenizer.train(data.texts)
gray = test.images.float().mean(dim=1, keepdim=True).to(torch.uint8).repeat(1, 3, 1, 1)
pictures = {"train": data.images, "test": test.images, "gray": gray, "ground": parts["ground"].images}
seen = {
    name: extract_features(efficientnet, part, name=f"chapter-06-photos-{name}", description=None)
    for name, part in pictures.items()
}
seen = {name: part / seen["train"].std() for name, part in seen.items()}  # of the size of the words


def learn(images, steps, seed, **options):
    torch.manual_seed(seed)
    model = MultiModalModel(MultiModalConfig(labels=data.labels, fusion="bilinear", **options), tokenizer)
    batches = Batches(images, *tokenizer.encode_batch(data.texts), data.targets, size=32, seed=seed)
    fit(
        model, lambda model, batch: cross_entropy(model(*batch[:3]), batch[3]), batches,
        steps=by_budget(smoke=3, standard=steps), seed=seed, description=None,
    )  # fmt: skip
    return model


# %%
from_scratch = {"image": "cnn", "image_options": {"widths": (32, 64)}}
with_features = {"image": "features", "image_options": {"width": efficientnet.width}}
results, asked = {}, {"test": test, "gray": test, "ground": parts["ground"]}
for seed in progress(seeds, "photographs"):
    models_now = {
        "from scratch": (learn(pictures["train"], 150, seed, **from_scratch), pictures),
        "pretrained": (learn(seen["train"], 300, seed, **with_features), seen),
    }
    for name, (model, inputs) in models_now.items():
        for part, questions_of in asked.items():
            said = model.predict(inputs[part], questions_of.texts).labels
            right_ones = accuracy([data.labels.index(label) for label in said], questions_of.targets)
            results.setdefault(f"{name},\n{part}", []).append(right_ones)
model.save(folder / "my_model")
loaded = MultiModalModel.load(folder / "my_model")
before, again = (each.predict(seen["test"], test.texts) for each in (model, loaded))
torch.testing.assert_close(again.probabilities, before.probabilities, rtol=0, atol=1e-6)

# %% [markdown]
# Two models, both asked about parts that they have never seen; then about the same without color; then about ground alone. Which
# would you trust?

# %%
viz.show(
    viz.dots(results, ylabel="accuracy", baseline={"chance": 0.5}, ylim=(0.3, 1.03)),
    alt="Three dots each: from scratch nearly 0.9 on test pieces, chance without color, 0.6 on ground; pretrained nearly 1, nearly 1 without color, chance on ground.",
)
mean = {key.replace("\n", " "): sum(values) / len(values) for key, values in results.items()}
claim("mean of 3 seeds", {key: mean[key] for key in ("from scratch, test", "pretrained, gray")}, at_least=0.75)
claim("mean of 3 seeds", {key: mean[key] for key in ("from scratch, gray", "pretrained, ground")}, at_most=0.62)
assert mean["from scratch, ground"] < 0.72

# %% [markdown]
# **What to see:** three seeds agree. Eight photographs can be told apart by their colors, and that is what the small
# network learned: without color it is close to chance, a shortcut (chapter 00). Pretrained features know shapes too
# and hardly miss the colors. The ground alone gives a little to the first, about 0.6, as it shares some color with
# the thing, and nothing to the second: what is right here is right because of the thing. The fusion was the same in
# both (the small network trained for 150 steps, the other for 300): no fusion repairs what the eyes miss. Eight
# photographs illustrate; they measure nothing about others.
#
# ## 16 · At scale
#
# The balanced block is a real benchmark's idea. For *Hateful Memes* (Kiela et al., NeurIPS 2020) people wrote, for a hateful meme, "benign
# confounders": the same picture with other words, the same words on another picture. The official measure is the area under the ROC
# curve, the chance that a hateful meme is ranked above a harmless one. On the test set of the paper it is 0.53 for the picture alone
# (grid features), 0.65 for the text alone (BERT), 0.65 for late fusion of both, 0.71 for the best network that fuses early and was
# pretrained on pictures with captions (VisualBERT COCO), and 0.83 for people (reprinted in Deshpande and Mani, ICMI 2021, Table 1). The
# winner of the competition that followed reached 0.845 on a new test set (Zhu, 2020), so the two numbers cannot be compared.
#
# Real sarcasm needs knowledge of the world, not an XOR of two moods; our task has the *structure* of the problem and none of its
# difficulty.
#
# - **MMBT** (Kiela et al., 2019) hands picture features to BERT as if they were words: fusion in every layer, the bridge to chapter 07.
# - **Questions about pictures.** In the first VQA data set (Antol et al., 2015, Table 2, open-ended, test-dev) the question alone (LSTM)
#   was right in 48.76 %, the picture alone in 28.13 %, the same LSTM with the picture in 53.74 %. Version 2 balanced it with pairs of pictures whose answers
#   differ (our *side*), and the question alone fell from 48.21 % to 43.01 % (Goyal et al., 2017).
# - **Medicine.** A review of 17 studies that join images with health records found early fusion in most, and mostly better than
#   one modality (Huang et al., 2020). Records have gaps: modality dropout, or late fusion, is a requirement there.
# - **Driving and robots** fuse camera, radar and lidar; a sensor that fails must not take the others with it.
#
# On one GPU nothing changes here but the encoders: they become trainable, and then they cost nearly everything. On many GPUs these
# models are copied, one a device, and gradients are averaged (chapter 15). The fusion itself is small:

# %%
widths = {"image_width": 2048, "text_width": 768, "width": 256}
fusions = {"early": ConcatFusion, "gated": GatedFusion, "bilinear": BilinearFusion, "FiLM": FiLMFusion}
for name, fusion in fusions.items():
    print(f"{name:9}{sum(p.numel() for p in fusion(**widths).parameters()):>12,} weights")
resnet_and_bert = sum(p.numel() for p in models.resnet50(weights=None).parameters()) + 110_000_000
print(f"ResNet-50 with BERT-base, about {resnet_and_bert / 1e6:.0f} million")

# %% [markdown] tags=["written"] id="06-why-late-fails"
# ### ✏️ Written question · When late is right
#
# A hospital wants to join an X-ray classifier and a classifier of doctors' notes. One colleague says: "Late fusion cannot even do XOR, so
# never use it." Another: "Late fusion is robust, so always use it." Answer both in five to eight sentences. Say what late fusion can never
# learn and why, when that does not matter, what it does better than early fusion, and which measurement on the hospital's data would decide.
#
# ### BEGIN SOLUTION
# Late fusion scores a pair by f(picture) + g(note), so the interaction Δ of any block of four is zero. It can never learn that the same finding
# means one thing with one note and the opposite with another. That does not matter where each source adds evidence of its own: a shadow on the
# X-ray and a cough in the note both raise the probability of pneumonia, and adding log-odds is even optimal if they are independent given the
# disease. Late fusion also works when one input is missing, can be trained on patients who have only one of the two, needs fewer pairs, and each
# half can be checked and replaced by itself. To decide, train both on the same patients, and compare them on held-out patients,
# also with each input missing or shuffled; and look for groups of patients in whom the meaning of the picture depends on the note (an old
# fracture, an implant). If early fusion or a product gains there, the interaction is real.
# ### END SOLUTION

# %% [markdown]
# ## 17 · Open project
#
# *Three in one.* Take sentences with "not" from section 11 and make early fusion solve them.
#
# 1. Try more steps, a wider layer, a second hidden layer, a better start (first train on memes without "not"). Which helps, and how
#    much does chance decide? Run five seeds.
# 2. Replace the bag of words by `text="transformer"`. Who profits?
# 3. Measure $\Delta$ every 50 steps. Does it rise before the accuracy does?
# 4. Write twenty real ironic messages and twenty sincere ones on your own photographs, in pairs, as a labeled folder. What do the
#    baselines reach on them, and what does that say about your data?
#
# A good report has one figure a question, error bars over seeds, and one thing that did not work.
#
# ## 18 · Check yourself

# %%
quiz(
    Question(
        "A classifier averages the probabilities of a picture model and a text model. Its interaction Δ on any block of four is …",
        ("zero", "positive after enough training", "zero only with linear models"),
        0,
        "Each probability is a sum of a function of the picture and one of the words; Δ cancels both.",
    ),
    Question(
        "Why can an MLP after concatenation do what late fusion cannot?",
        ("it has more weights", "it normalizes its inputs", "it bends after the modalities were added"),
        2,
        "The first layer adds votes, too. The ReLU after the sum makes the difference.",
    ),
    Question(
        "A model reads features of a ResNet-50 whose head was left on. What does it see?",
        ("2048 features", "1000 scores of ImageNet classes", "the pixels"),
        1,
        "The last layer turns 2048 features into 1000 logits.",
    ),
    Question(
        "5 of 100 memes are hateful; a model calls none of them hateful. Which number exposes it?",
        ("recall of hateful", "accuracy", "the number of parameters"),
        0,
        "Accuracy is 0.95; recall is 0.",
    ),
    Question(
        "You shuffle the sentences of the test set and the accuracy stays the same. Then …",
        ("the model is robust", "the sentences were wrong", "the model does not use the sentences"),
        2,
        "An input that can be exchanged without effect is not used.",
    ),
    Question(
        "When does modality dropout help?",
        ("when an input may be missing and the other knows something", "always", "on balanced XOR tasks"),
        0,
        "If neither modality knows anything alone, practice with one of them teaches nothing.",
    ),
)

# %% [markdown]
# ## Summary
#
# - The printed model runs once its text encoder, widths and weights are named and the head of the image encoder is off. It
#   concatenates; it does not attend.
# - Late fusion is a sum of two functions. Its interaction $\Delta$ is zero, so words can never turn the meaning of a picture.
# - A hidden layer after concatenation, a product, a modulation and a gate all make $\Delta\ne0$. What is possible is not always easy to learn.
# - Always train the baselines with one eye shut. On balanced blocks they are right at most half of the time, and only fusion can be above.
# - Accuracy hides; a confusion matrix, precision, recall and F1 show. Shuffle each input once; print the size of each input.
# - Modality dropout prepares a model for missing inputs, where the other input knows something.
#
# **Next: 07 · Fusion by attention.** One vector a picture forgets where things are. Attention asks the patches.
#
# ## References
#
# - Leshno, Lin, Pinkus, Schocken, *Multilayer feedforward networks with a nonpolynomial activation function can approximate any
#   function*, Neural Networks, 1993.
# - Antol, Agrawal, Lu, Mitchell, Batra, Zitnick, Parikh, *VQA: Visual question answering*, ICCV 2015.
# - Neverova, Wolf, Taylor, Nebout, *ModDrop: Adaptive multi-modal gesture recognition*, IEEE TPAMI 2016.
# - Kim, On, Lim, Kim, Ha, Zhang, *Hadamard product for low-rank bilinear pooling*, ICLR 2017.
# - Arevalo, Solorio, Montes-y-Gómez, González, *Gated multimodal units for information fusion*, ICLR workshop 2017.
# - Goyal, Khot, Summers-Stay, Batra, Parikh, *Making the V in VQA matter*, CVPR 2017.
# - Perez, Strub, de Vries, Dumoulin, Courville, *FiLM: Visual reasoning with a general conditioning layer*, AAAI 2018.
# - Kiela, Bhooshan, Firooz, Perez, Testuggine, *Supervised multimodal bitransformers for classifying images and text*, 2019.
# - Kiela, Firooz, Mohan, Goswami, Singh, Ringshia, Testuggine, *The hateful memes challenge*, NeurIPS 2020.
# - Zhu, *Enhance multimodal transformer with external label and in-domain pretrain*, 2020.
# - Deshpande, Mani, *An interpretable approach to hateful meme detection*, ICMI 2021.
# - Huang, Pareek, Seyyedi, Banerjee, Lungren, *Fusion of medical imaging and electronic health records using deep learning*, npj
#   Digital Medicine, 2020.
