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
# # 11 · Retrieval
#
# Chapter 08 found a drawing among 250 by comparing a sentence with all of them. A shop has millions of pictures, and
# nobody waits. In this chapter you find one among a million on your own computer, by looking at less than a hundredth.
#
# **After this chapter you can**
#
# - say when dot product, cosine and distance agree, and turn one into another;
# - build inverted lists and product quantization by hand, and say on which data they help;
# - index a million vectors in known memory, and measure what the shortcut loses;
# - judge a search that has several right answers, and put its first hundred in a better order.
#
# **You need** chapters 07 (attention between words and patches) and 08 (two towers, recall@k).
#
# **Time**: about 75 minutes to read, 3 minutes to run, 85 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ── vector ──┐
#                                         ├──►  one space  ──►  an index of millions
#   image ──►  vision model  ── vector ───┘                      ▲
#                                                                └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import math
import sys
import time

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse import metrics, retrieval, viz
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import caption_is_true, captions, load_glyphs, load_photos, make_scenes, square
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_image_encoder, load_text_encoder
from mmcourse.recipes import load_trained
from mmcourse.retrieval import Index, IndexConfig, ProductQuantizer, kmeans, nearest
from mmcourse.runtime import by_budget, progress, seed_everything

generator = open_chapter(11)

# %% [markdown]
# ## 1 · A question with a picture
#
# Three sentences, and for each the four drawings out of 1,690 that fit it best. Nobody wrote these sentences on the
# drawings. The course's towers of chapter 08 put both into one space, and what follows is a search in that space. How
# would you do it for a thousand times as many drawings?

# %%
towers = load_trained("clip").model
eye, reader = load_image_encoder("efficientnet-lite0-maps"), load_text_encoder("minilm")
(glyphs,) = (load_glyphs(side, quiet=True) for side in progress([160], "Drawing the glyphs"))
titles, split, white = glyphs.names, glyphs.split(), glyphs.on("white")
looks = extract_features(eye, white, name="clip-glyphs", description=None)
read = extract_features(reader, titles, name="clip-glyphs-texts", description=None, normalize=False)
drawings, names = towers.embed_images(looks), towers.embed_texts(read)  # (1690, 384) each, all of length 1
white = white[..., ::2, ::2].clone()  # to look at, a quarter of the dots is enough
del glyphs, looks, read  # section 9 counts every byte


def texts_to_vectors(texts):
    """What the text tower makes of sentences, (M, 384)."""
    return towers.embed_texts(reader.encode(texts, normalize=False))


# %%
ASKED = ["a sleepy face", "something to drive", "fruit"]
answers = nearest(texts_to_vectors(ASKED), drawings, 4).ids  # (3, 4)
viz.show(
    viz.gallery(white[answers.flatten()], [ASKED[i // 4] if i % 4 == 0 else None for i in range(12)], columns=4),
    alt="Three rows of four drawings, found for a sleepy face, something to drive, and fruit; most of them fit.",
)

# %% [markdown]
# Underneath lies one operation:
#
# - **nearest neighbor search**（最近邻搜索）: finding the k vectors of a table that score highest with a query.
#
# ## 2 · The ladder: exact search
#
# - **brute force**（暴力搜索）: comparing with every entry, so that none can be missed.
#
# **Step 1, by hand.** Five vectors of two numbers, one query, the best two.

# %%
table = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 2.0], [2.0, 0.0]])  # (N, D)
query = torch.tensor([1.0, 0.5])
scores = [sum(a * b for a, b in zip(row, query.tolist(), strict=True)) for row in table.tolist()]
ranking = sorted(range(5), key=lambda row: (-scores[row], row))
print("scores", scores, "best two:", ranking[:2])
assert ranking[:2] == [0, 4]

# %% [markdown]
# Rows 0 and 4 are equal. Which comes first must not depend on the machine, or your tests will fail on another one. The
# rule of this course: of equal scores the smaller number wins.
#
# ### ✏️ Exercise 1 · The k best rows ★
#
# *Goal: find the k best rows of a table, and of equal ones always the same. About 6 minutes.*
#
# `query` (D,), `table` (N, D); return the numbers of the k rows with the largest dot products, the best first.


# %% tags=["exercise"] id="11-nearest"
def best_rows(query, table, k):
    """The numbers of the k rows of table (N, D) with the largest dot products with query (D,)."""
    ### BEGIN SOLUTION
    return (table @ query).argsort(descending=True, stable=True)[:k]
    ### END SOLUTION


# %% tags=["check"]
check("11-nearest", best_rows)

# %% [markdown]
# **Step 2, many queries in blocks.** `queries @ table.T` scores everything at once, but for a thousand queries and a
# million vectors this table alone takes 4 GB. So go through the vectors block by block, and keep the best k so far. It is
# exact: whatever is among the best of all is among the best of its block.

# %%
many, asked = torch.randn(1000, 16, generator=generator), torch.randn(20, 16, generator=generator)
best = torch.zeros(20, 0), torch.zeros(20, 0, dtype=torch.long)
for start in range(0, 1000, 300):
    block = asked @ many[start : start + 300].T  # (Q, block)
    numbers = torch.arange(start, start + block.shape[1]).expand_as(block)
    scores, ids = torch.cat((best[0], block), dim=1), torch.cat((best[1], numbers), dim=1)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :5]
    best = scores.gather(1, order), ids.gather(1, order)

# %% [markdown]
# **Parity.** The blocks give what the library gives, and the library finds what scikit-learn finds.

# %%
from sklearn.neighbors import NearestNeighbors

found = nearest(asked, many, 5)
other = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(many.numpy()).kneighbors(asked.numpy())[1]
by_distance = nearest(asked, many, 5, metric="euclidean").ids
assert torch.equal(best[1], found.ids)
claim("neighbors that differ from scikit-learn's", (by_distance != torch.from_numpy(other)).sum(), at_most=0)

# %% [markdown]
# ## 3 · Dot product, cosine, distance
#
# Three ways to say *near*. One line connects them:
#
# $$|q-x|^2=|q|^2-2\,q\cdot x+|x|^2,\qquad \cos(q,x)=\frac{q\cdot x}{|q|\,|x|}$$
#
# For one query, $|q|$ is the same for all $x$ and changes no order. So the three orders differ by $|x|$ alone. **If all
# vectors have one length, all three agree.** If not, the dot product favors long vectors, the distance those of fitting
# length, and the cosine ignores length.

# %%
lengths = 0.3 + 2.5 * torch.rand(300, 1, generator=generator)
cloud = lengths * F.normalize(torch.randn(300, 2, generator=generator), dim=1)
arrow = torch.tensor([[0.9, 0.7]])
figure, axes = plt.subplots(1, 3, figsize=(8, 2.9), sharex=True, sharey=True)
for ax, metric in zip(axes, ("dot", "cosine", "euclidean"), strict=True):
    chosen = nearest(arrow, cloud, 12, metric=metric).ids[0]
    ax.scatter(*cloud.T, s=5, color=viz.GRAY)
    ax.scatter(*cloud[chosen].T, s=22, color=viz.VERMILLION)
    ax.annotate("", arrow[0].tolist(), (0, 0), arrowprops={"arrowstyle": "->", "color": viz.BLUE, "lw": 2})
    ax.set(title=metric, aspect="equal", xticks=[], yticks=[])
viz.show(
    figure,
    alt="A cloud of points and a blue arrow. By dot product the chosen twelve lie at the rim, by cosine along the arrow, by distance around its tip.",
)

# %%
orders = {metric: nearest(asked, many, 10, metric=metric).ids for metric in ("dot", "cosine", "euclidean")}
unit = F.normalize(many, dim=1)
same = {metric: nearest(asked, unit, 10, metric=metric).ids for metric in orders}


def share_found(ids, truth):
    """The share of the true neighbors (Q, 10) that are among ids (Q, k)."""
    return (ids[:, :, None] == truth[:, None]).any(dim=1).double().mean().item()


assert share_found(orders["dot"], orders["euclidean"]) < 0.7  # two different questions
assert torch.equal(same["dot"], same["cosine"])
assert torch.equal(same["dot"], same["euclidean"])

# %% [markdown]
# Many libraries search by distance only. Can they search by dot product, too? Yes: give every vector one coordinate more,
# so that all lengths become equal to that of the longest, $M=\max|x|$:
#
# $$\tilde x=\big(x,\ \sqrt{M^2-|x|^2}\big),\qquad \tilde q=(q,\ 0)$$
#
# Now $\tilde q\cdot\tilde x=q\cdot x$ and $|\tilde x|=M$ for all, so the order by distance is that by dot product.
#
# ### ✏️ Exercise 2 · One more coordinate ★★
#
# *Goal: turn a search by dot product into a search by distance with one more coordinate. About 12 minutes.*


# %% tags=["exercise"] id="11-dot-as-distance"
def lift(table, queries):
    """Table (N, D + 1) and queries (Q, D + 1), whose order by distance is that of the given ones by dot product."""
    ### BEGIN SOLUTION
    squares = table.square().sum(dim=1, keepdim=True)
    more = (squares.max() - squares).sqrt()
    return torch.cat((table, more), dim=1), torch.cat((queries, torch.zeros(len(queries), 1)), dim=1)
    ### END SOLUTION


# %% tags=["check"]
check("11-dot-as-distance", lift)

# %% [markdown]
# On the vectors of the chapter: the extra number makes all rows of the table equally long, and the nearest by distance are those
# with the largest dot product.

# %%
squares = many.double().square().sum(dim=1, keepdim=True)
longer = torch.cat((many.double(), (squares.max() - squares).sqrt()), dim=1)
lifted = nearest(F.pad(asked.double(), (0, 1)), longer, 10, metric="euclidean").ids
assert torch.equal(lifted, orders["dot"])

# %% [markdown]
# ## 4 · Three directions of search
#
# One space, so anything can ask for anything. Text → picture you have seen. Picture → text: which of 1,690 names fits a
# drawing? Picture → picture: which drawings resemble it? The last needs no text when you search, although text shaped the space.

# %%
shown = split.test[torch.tensor([12, 60, 131])]
named = nearest(drawings[shown], names, 3).ids
for row, ids in zip(shown.tolist(), named.tolist(), strict=True):
    print(f"{titles[row]:>24} → {', '.join(titles[i] for i in ids)}")

# %%
alike = nearest(drawings[shown], drawings, 6).ids  # the first is the drawing itself
viz.show(
    viz.gallery(white[alike.flatten()], ["asked" if i % 6 == 0 else None for i in range(18)], columns=6),
    alt="Three rows: a drawing that asks and its five nearest. A green face gets a kiwi and four faces; a family gets couples and women; a clock gets crowns, a circuit, a box and a person under a table.",
)

# %% [markdown]
# **What to see:** these three concepts were never seen in training, and it shows. None of the three gets its own name among
# the first three. Beside the family stand people; beside the clock and the green face stand also things that share only
# a shape or a color.
#
# The 250 test concepts were never seen in training. Recall@10 among them, in both directions:

# %%
ours, theirs = drawings[split.test], names[split.test]
both = {"text to picture": theirs @ ours.T, "picture to text": ours @ theirs.T}
found = {name: metrics.retrieval(scores).recall[10] for name, scores in both.items()}
claim("recall@10 among 250 concepts never seen (chance 0.04)", found, at_least=0.4)

# %% [markdown]
# ## 5 · What exact search costs, and the idea of a shortcut
#
# Brute force takes $N\cdot D$ multiplications for each query: 650 thousand for our drawings, 64 million for a million
# vectors of 64 numbers. To do less, you must not look at some vectors, and then you may miss one.
#
# - **approximate nearest neighbor search**（近似最近邻搜索）: finding most of the true neighbors while looking at a small part of the table.
#
# So every such search is judged by two numbers: the share of the true ten that it finds (also called recall@10, but the
# right answers are now those of exact search), and the share of vectors that it looked at. A time depends on your
# machine; a count does not.
#
# The shortcut: sort the vectors into groups beforehand, and look only into the groups near the query. For groups we need
# centers:
#
# - **k-means**（k 均值聚类）: placing k centers such that the squared distances of all vectors to their nearest center are small.
#
# $$E(c)=\sum_n \min_l |x_n-c_l|^2$$
#
# Two steps in turn. *Assign*: with the centers fixed, the nearest one is by definition the best. *Move*: with the groups
# fixed, $\partial E/\partial c_l=-2\sum_{n\in l}(x_n-c_l)=0$ gives $c_l=\text{mean of its group}$. Neither step can raise
# $E$, so it falls until nothing changes. (It need not be the lowest of all: that depends on where you begin.)
#
# ### ✏️ Exercise 3 · One round of k-means ★★
#
# *Goal: move each center to the mean of the vectors that are nearest to it. About 10 minutes.*
#
# `vectors` (N, D), `centers` (L, D). Return the new centers and the owners (N,), the number of each vector's nearest
# center before the move. A center that nobody is nearest to stays where it is.


# %% tags=["exercise"] id="11-kmeans-step"
def kmeans_step(vectors, centers):
    """New centers (L, D), and the owner of each vector (N,) that moved them."""
    ### BEGIN SOLUTION
    owner = torch.cdist(vectors, centers).argmin(dim=1)
    moved = centers.clone()
    for number in owner.unique():
        moved[number] = vectors[owner == number].mean(dim=0)
    return moved, owner
    ### END SOLUTION


# %% tags=["check"]
check("11-kmeans-step", kmeans_step)

# %% [markdown]
# Watch $E$ fall on points in the plane. The next cell makes ten rounds from centers that are points themselves.

# %%
middles = 4 * torch.randn(9, 2, generator=generator)
points = middles[torch.randint(9, (900,), generator=generator)] + 0.7 * torch.randn(900, 2, generator=generator)
centers, errors = points[:9].clone(), []
for _ in range(10):
    distance, owner = torch.cdist(points, centers).min(dim=1)
    errors.append(distance.square().sum().item())
    centers = torch.stack([points[owner == number].mean(dim=0) for number in range(9)])
assert torch.tensor(errors).diff().max() <= 1e-3  # E never rises

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
left.scatter(*points.T, s=5, c=owner, cmap="tab10")
left.scatter(*centers.T, s=60, color="black", marker="x")
left.set(aspect="equal", xticks=[], yticks=[], title="groups and centers")
viz.curves({"": errors}, xlabel="round", ylabel="E", ax=right)
viz.show(figure, alt="Left, nine colored groups, a cross in each. Right, E falls in each round and levels off.")

# %% [markdown]
# **What to see:** $E$ falls and stops, and it is not the lowest that there is: twice, two groups in the picture share a center,
# while another group has three. Nine centers that begin elsewhere end elsewhere. A search stays correct all the same: its lists
# are longer or shorter than need be.
#
# ## 6 · Inverted lists
#
# - **inverted list**（倒排列表）: the numbers of all vectors that belong to one center, stored together.
#
# The name comes from the index of a book: not *page → words* but *word → pages*. A search compares the query with the
# centers first, opens the lists of the nearest few, and compares with the vectors in them.
#
# - **probes**（探测列表数）: how many lists a search opens.
#
# ### ✏️ Exercise 4 · Open a few lists ★★
#
# *Goal: open the lists of the nearest centers, and compare with nothing else. About 12 minutes.*
#
# `query` (D,), `vectors` (N, D), `centers` (L, D); `owner` (N,) says in which list each vector is. Open the `probes` lists
# whose centers are nearest. By Euclidean distance, return the numbers of the k nearest vectors in them, the nearest first
# (fewer, if there are fewer), and how many vectors were compared with the query; centers do not count.


# %% tags=["exercise"] id="11-search-lists"
def search_lists(query, vectors, owner, centers, probes, k):
    """Numbers of the nearest vectors of the opened lists, and how many vectors these lists hold."""
    ### BEGIN SOLUTION
    opened = torch.cdist(query[None], centers)[0].argsort()[:probes]
    rows = torch.isin(owner, opened).nonzero()[:, 0]
    distances = torch.cdist(query[None], vectors[rows])[0]
    return rows[distances.argsort()[:k]], len(rows)
    ### END SOLUTION


# %% tags=["check"]
check("11-search-lists", search_lists)

# %% [markdown]
# In the library, `Index` with `kind="lists"` does this for many queries at once. Opening every list is exact search, and
# a search by hand gives the same neighbors and the same count.

# %%
index = Index(IndexConfig(width=2, kind="lists", metric="euclidean", lists=9), generator=generator)
index.add(points)
seeker = points[:20] + 0.3
every, three = index.search(seeker, 5, probes=9), index.search(seeker, 5, probes=3)
centers = index.lists.centers
owner = torch.cdist(points, centers).argmin(dim=1)
opened = torch.cdist(seeker, centers).argsort(dim=1)[:, :3]
rows = [torch.isin(owner, lists).nonzero()[:, 0] for lists in opened]
by_hand = [r[torch.cdist(q[None], points[r])[0].argsort()[:5]] for q, r in zip(seeker, rows, strict=True)]
exact = nearest(seeker, points, 5, metric="euclidean").ids
differ = {"every list": every.neighbors.ids != exact, "three lists": three.neighbors.ids != torch.stack(by_hand)}
claim("neighbors that differ from those by hand", {name: part.sum() for name, part in differ.items()}, at_most=0)
assert three.scanned.tolist() == [len(r) for r in rows]

# %% [markdown]
# **How many lists?** With $L$ lists of equal size and $p$ probes, a query is compared with $L$ centers and $pN/L$
# vectors. The sum $L+pN/L$ is smallest where its derivative $1-pN/L^2$ is 0: at $L=\sqrt{pN}$, and there it is
# $2\sqrt{pN}$ instead of $N$.

# %%
N, p = 1_000_000, 4
cost = {lists: lists + p * N / lists for lists in (250, 500, 1000, 2000, 4000, 8000)}
print({lists: round(value) for lists, value in cost.items()}, "lowest at", round(math.sqrt(p * N)))
assert min(cost, key=cost.get) == round(math.sqrt(p * N)) == 2000

# %% [markdown]
# ## 7 · Where lists help, and where they do not
#
# The sum says nothing about what is *missed*. A neighbor is missed when it lies on the other side of a border. So take
# two tables of the same size, vectors of 64 numbers each:
#
# - **real**: patches of scenes, as the course's picture network of chapter 07 describes them;
# - **uniform**: directions drawn at random, every one as likely as any other.
#
# Everything else is the same: cosine, number of lists, ten neighbors, three seeds for queries and centers.

# %%
patch_encoder = load_trained("patches").model
COUNT, LISTS, QUERIES = by_budget(smoke=(2000, 32, 40), standard=(20_000, 256, 200))
with torch.no_grad():
    patches = patch_encoder.tokens(make_scenes(COUNT // 50, split="train").images).flatten(0, 1)


def draw(kind, seed):
    """A table (COUNT, 64) and queries (QUERIES, 64) of the same kind that are not in it."""
    chance = torch.Generator().manual_seed(seed)
    if kind == "real":
        vectors = patches[torch.randperm(len(patches), generator=chance)][: COUNT + QUERIES]
    else:
        vectors = torch.randn(COUNT + QUERIES, 64, generator=chance)
    return F.normalize(vectors, dim=1).split([COUNT, QUERIES])


# %%
PROBES = (1, 2, 4, 8, 16, 32)
curves = {kind: [] for kind in ("real", "uniform")}
for kind, seed in [(kind, seed) for kind in curves for seed in range(3)]:
    table, queries = draw(kind, seed)
    truth = nearest(queries, table, 10).ids
    index = Index(IndexConfig(width=64, kind="lists", lists=LISTS), generator=torch.Generator().manual_seed(seed))
    index.add(table)
    runs = [index.search(queries, 10, probes=probes) for probes in PROBES]
    curves[kind].append(
        [(run.scanned.double().mean().item() / COUNT, share_found(run.neighbors.ids, truth)) for run in runs]
    )

# %% [markdown]
# Draw what was found over what was looked at. Whoever opens lists at random finds as large a share as he looks at: the dotted line.

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.4))
for (kind, runs), color in zip(curves.items(), (viz.BLUE, viz.VERMILLION), strict=True):
    for number, run in enumerate(runs):
        ax.plot(
            *zip(*run, strict=True), color=color, marker="os"[kind == "uniform"], label=kind if number == 0 else None
        )
line = torch.logspace(-2.4, 0, 50)
ax.plot(line, line, color=viz.GRAY, ls=":", label="opening at random")
ax.set(xscale="log", xlabel="share of vectors looked at", ylabel="share of neighbors found", ylim=(0, 1.02))
ax.legend()
viz.show(
    figure,
    alt="Share found over share looked at, three runs each. Real vectors start at 0.7 with one list; uniform ones start below 0.1 and need a tenth of the table for half.",
)
real, uniform = (sum(run[1][1] for run in runs) / 3 for runs in curves.values())
claim("share that two lists of 256 find, real beyond uniform", real - uniform, at_least=0.5)

# %% [markdown]
# **What to see:** compare at the same share looked at. At one and a half in a hundred (two lists of 256 for real patches, whose
# lists are unequal, and four for uniform vectors) four in five neighbors of a real patch are found; of a uniform vector it
# is fewer than one in five. (Most other patches of a query's own picture are in the table: that is part of the structure.)
# Uniform vectors have no groups. All of them lie at nearly the same distance, the
# borders of the lists run through the middle of nowhere, and the neighbors are spread over many lists. Lists exploit
# structure; they cannot make it. Before you trust a benchmark, ask what its vectors looked like. (The last
# neighbors are dear everywhere: even the real curve needs more than a fifth of the table for about 19 in 20.)
#
# ## 8 · Product quantization
#
# Lists save looking, not memory. A vector of 64 numbers takes 256 bytes; a billion of them take 256 GB. A code would be
# smaller: the number of the nearest among $K$ centers. But eight bytes can tell $2^{64}$ things apart, and nobody can
# place so many centers. The trick is to cut:
#
# - **product quantization**（乘积量化）: cutting a vector into parts and replacing each part by the number of its nearest center among 256.
#
# With 8 parts, $8\times256$ centers of 8 numbers each describe $256^8=2^{64}$ vectors. By hand:

# %%
table, queries = draw("real", 0)
parts = table.unflatten(1, (8, 8))  # (N, 64) -> (N, P, d)
books = torch.stack([kmeans(parts[:, p], 256, rounds=10, generator=generator) for p in range(8)])  # (P, 256, d)
codes = torch.stack([torch.cdist(parts[:, p], books[p]).argmin(dim=1) for p in range(8)], dim=1)  # (N, P)
decoded = torch.cat([books[p][codes[:, p]] for p in range(8)], dim=1)  # (N, 64)
quantizer = ProductQuantizer(books)
claim("codes that differ from the library's", (quantizer.encode(table) != codes).double().mean(), at_most=1e-3)
assert torch.equal(quantizer.decode(codes.to(torch.uint8)), decoded)

# %% [markdown]
# **Scores without decoding.** A dot product is a sum over parts, and each part of a coded vector is one of 256 centers:
#
# $$q\cdot\hat x_n=\sum_{p} q^{(p)}\cdot c^{(p)}_{\,\text{code}_{np}}=\sum_p T[p,\text{code}_{np}],\qquad T[p,j]=q^{(p)}\cdot c^{(p)}_j$$
#
# So fill the table $T$ once for a query ($8\times256$ entries), and each vector costs 8 look-ups instead of 64
# multiplications. The query itself is not coded. That is why it is called *asymmetric*: only one side is rounded.
#
# ### ✏️ Exercise 5 · Look up and add ★★★
#
# *Goal: score coded vectors by looking up and adding, without decoding them. About 15 minutes.*
#
# `query` (P·d,), `centers` (P, K, d), `codes` uint8 (N, P). Return the dot product of the query with each coded vector.


# %% tags=["exercise"] id="11-code-scores"
def code_scores(query, centers, codes):
    """Dot products of a query (P·d,) with the vectors that codes (N, P) stand for: (N,)."""
    ### BEGIN SOLUTION
    tables = (centers * query.view(len(centers), 1, -1)).sum(dim=2)  # (P, K)
    return tables.gather(1, codes.long().T).sum(dim=0)
    ### END SOLUTION


# %% tags=["check"]
check("11-code-scores", code_scores)

# %% [markdown]
# The library looks up what decoding would give. How much is lost is the **distortion**（失真）: the mean squared distance
# between vectors and what their codes stand for. Here it is divided by the spread of the vectors, so 1 would mean that the code says
# nothing.

# %%
looked_up = quantizer.scores(quantizer.tables(queries), codes.to(torch.uint8))
claim("difference of looked-up scores to decoded ones", (looked_up - queries @ decoded.T).abs().max(), at_most=1e-5)
BYTES = (2, 4, 8, 16)
lost = {kind: [] for kind in curves}
for kind, seed in [(kind, seed) for kind in lost for seed in range(3)]:
    table, _ = draw(kind, seed)
    spread = (table - table.mean(dim=0)).square().sum(dim=1).mean().item()
    coders = [
        ProductQuantizer.learn(table[:8000], parts, rounds=8, generator=torch.Generator().manual_seed(seed))
        for parts in BYTES
    ]
    lost[kind].append([coder.distortion(table[:8000]) / spread for coder in coders])

# %%
means = {kind: (BYTES, torch.tensor(runs).mean(dim=0)) for kind, runs in lost.items()}
figure = viz.curves(means, xlabel="bytes a vector", ylabel="distortion / spread", logx=True, markers=True, ylim=(0, 1))
for runs in lost.values():
    figure.axes[0].scatter(BYTES * 3, torch.tensor(runs).flatten(), s=8, color=viz.INK, zorder=3)
viz.show(
    figure,
    alt="Distortion falls with the bytes. At 2 to 8 bytes uniform vectors lose two to four times as much as real ones; dots of three seeds lie on the lines.",
)
ratio = [run[1] / other[1] for run, other in zip(lost["uniform"], lost["real"], strict=True)]
claim("distortion at 4 bytes, uniform over real", min(ratio), at_least=2)

# %% [markdown]
# **What to see:** at 4 bytes, a code keeps four fifths of what tells real patches apart, and less than half of what
# tells uniform vectors apart. Structure helps again, above all when bytes are few: at 16 the two are nearly equal. (Both were
# measured on the vectors that placed the centers; on others it is somewhat more.)
#
# But beware of the next step in the usual account, “so codes find the neighbors”. Compare what ten and a hundred
# candidates by code hold of the true ten:

# %%
table, queries = draw("real", 0)
truth = nearest(queries, table, 10).ids
coarse = nearest(queries, decoded, 100).ids
exact_again = [ids[(table[ids] @ q).argsort(descending=True)[:10]] for q, ids in zip(queries, coarse, strict=True)]
by_code = {
    "10 by code": share_found(coarse[:, :10], truth),
    "100 by code": share_found(coarse, truth),
    "best 10 of these, exactly": share_found(torch.stack(exact_again), truth),
}
viz.show(
    viz.bars(by_code, ylabel="share of true ten", ylim=(0, 1), highlight="best 10 of these, exactly"),
    alt="Bars: ten by code hold about a seventh of the true ten, a hundred by code more than half, and sorting these exactly keeps them all.",
)
claim("gain of looking at a hundred codes", by_code["100 by code"] - by_code["10 by code"], at_least=0.25)

# %% [markdown]
# **What to see:** patches of one thing lie so close together that their differences are smaller than what the code
# rounds off. The code finds the neighborhood and not the neighbors. Two remedies, often used together: code what is
# left *after* the center of the list is subtracted (then all 256 centers serve the neighborhood), and **fetch a hundred
# by code, put them in exact order, show ten**. Low distortion is a means; recall after re-ranking is what counts.
#
# ## 9 · A million
#
# Now all of it, on your computer. The vectors are made, so that you know what is in them: 2,000 topics, spread like
# normal numbers; 100,000 things, each near a random topic (spread 0.5); a million vectors, each near a random thing
# (spread 0.15). They are made block by block, so that the million never lies in memory beside its index.

# %%
COUNT = by_budget(smoke=20_000, standard=1_000_000)
BLOCK, LISTS = COUNT // 10, by_budget(smoke=64, standard=1024)
world = torch.Generator().manual_seed(7)
topics = torch.randn(COUNT // 500, 64, generator=world)
things = topics[torch.randint(len(topics), (COUNT // 10,), generator=world)]
things += 0.5 * torch.randn(things.shape, generator=world)


def make_block(number, count=BLOCK):
    """Block `number` of the million, the same whenever it is asked for: (count, 64)."""
    own = torch.Generator().manual_seed(100 + number)
    block = things[torch.randint(len(things), (count,), generator=own)]
    return block + 0.15 * torch.randn(block.shape, generator=own)


def peak_memory():
    """The most memory that this process has ever held, in GB."""
    import resource

    unit_of_size = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_of_size / 1e9


queries = make_block(99, 200)  # not among the ten blocks
before = peak_memory() if sys.platform != "win32" else 0.0

# %% [markdown]
# Building the index: the first block places the centers by k-means (here about a hundred vectors for each center),
# then every block is assigned and sorted in. At four stages, measure the time of a search, once
# exactly and once through eight lists; at the end, the bytes that are held. And keep the exact answer, merged over the blocks, as the truth.

# %%
from mmcourse.retrieval.neighbors import Neighbors, merge, nothing

PROBES = 8
index = Index(IndexConfig(width=64, kind="lists", lists=LISTS), generator=torch.Generator().manual_seed(0))
truth, stages = nothing(len(queries), 10, queries), []
asked = F.normalize(queries, dim=1)


def seconds_of(search):
    """The shorter of two runs."""
    begun = [(time.perf_counter(), search(), time.perf_counter()) for _ in range(2)]
    return min(end - start for start, _, end in begun)


for number in progress(range(10), "Adding 10 blocks"):
    block = make_block(number)
    part = nearest(asked, block, 10, metric="cosine")
    truth = merge(truth, Neighbors(part.scores, part.ids + number * BLOCK), 10)
    index.add(block)
    if number in (0, 1, 3, 9):
        exactly = seconds_of(lambda: nearest(asked, index.vectors, 10))
        through = seconds_of(lambda: index.search(queries, 10, probes=PROBES))
        stages.append((len(index), exactly / len(queries), through / len(queries)))

# %%
found = index.search(queries, 10, probes=PROBES)
held = index.vectors.nbytes + sum(part.nbytes for part in index.lists)
assert len(index) == COUNT
claim("recall@10", share_found(found.neighbors.ids, truth.ids), at_least=0.95)
claim("most vectors scanned for one query, share", found.scanned.max() / len(index), at_most=0.015)
claim("index and largest block, GB", (held + block.nbytes) / 1e9, at_most=0.35)
if sys.platform != "win32":
    claim("peak memory that the million added, GB", peak_memory() - before, at_most=0.8)

# %% [markdown]
# The last line asks the operating system by how much the largest memory of this notebook grew since the section began
# (`resource` is not there on Windows). While a block is sorted in, two copies of the vectors exist for a moment: up to
# about twice the index is added, and the limit is three times it.
#
# **Codes for the million.** The third kind of index keeps 8 bytes a vector, of what is left after its center. A hundred
# candidates come from the codes; their exact vectors are fetched (here from the other index, in life from a disk) and put
# in order.

# %%
coded = Index(IndexConfig(width=64, kind="codes", lists=LISTS, parts=8), generator=torch.Generator().manual_seed(0))
for number in progress(range(10), "Coding 10 blocks"):
    coded.add(make_block(number))
candidates = coded.search(queries, 100, probes=PROBES).neighbors
place = torch.empty_like(index.lists.order)
place[index.lists.order] = torch.arange(len(index))  # where each vector stands
ordered = retrieval.rerank(candidates, lambda number, ids: index.vectors[place[ids]] @ asked[number], 10)
small = coded.codes.nbytes + sum(part.nbytes for part in coded.lists)
claim("recall@10 by codes, re-ranked", share_found(ordered.ids, truth.ids), at_least=0.85)
claim("bytes of vectors and lists over codes and lists", held / small, at_least=12)

# %% tags=["nbval-ignore-output"]
sizes, exact_times, list_times = zip(*stages, strict=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
viz.bars(
    {"flat": COUNT * 256 / 1e6, "lists": held / 1e6, "codes": small / 1e6}, ylabel="MB in memory", digits=0, ax=left
)
times = {
    "exact": ([size / 1000 for size in sizes], [1e3 * t for t in exact_times]),
    "8 lists": ([size / 1000 for size in sizes], [1e3 * t for t in list_times]),
}
viz.curves(times, xlabel="thousand vectors", ylabel="ms a query", log=True, logx=True, markers=True, ax=right)
viz.show(
    figure,
    alt="Left, memory of a million vectors: flat and lists about 260 megabytes, codes about 16. Right, time of a query over the number of vectors, exact search steeper and above search in lists.",
)

# %% [markdown]
# Ask of this benchmark, too, what its vectors look like (section 7). Each has about ten others of its thing beside it, and
# these are mostly its true ten: the world is made of groups, so lists can hardly miss them. On vectors of your own, measure again.
#
# **What to see:** lists cost hardly any memory and make a search cheaper; codes make the memory a sixteenth and lose a
# few neighbors even after re-ranking. From the first stage to the last both lines on the right rise (in between, so
# short a time may jump): with a fixed number of lists, each list gets longer. That is why $L$ grows like $\sqrt N$. In
# batches, exact search is one large matrix product, the thing that processors do best. So look at times on your own
# machine before you build anything clever: below a hundred thousand vectors, brute force is often good enough.
#
# ## 10 · Many machines, and what a database adds
#
# - **shard**（分片）: a part of a table that lives on a machine of its own.
#
# Every shard answers every query with its own best k, and one of them merges. As with the blocks of section 2, nothing is
# lost. What goes over the network is $k$ numbers and scores a shard, not vectors.
#
# ### ✏️ Exercise 6 · Many machines, one answer ★★
#
# *Goal: make one answer of what several machines found, each in its own part. About 10 minutes.*
#
# `found` is a list of pairs (scores, ids) of the shards in order, ids counted within each shard; `sizes` says how many
# vectors each shard holds. Return scores and ids of the k best overall, the best first (fewer, if there are fewer), of equal
# scores those of the earlier shard first. An id counts through all shards in their order.


# %% tags=["exercise"] id="11-merge-shards"
def merge_shards(found, sizes, k):
    """Scores and ids of the k best of all shards; an id counts through all shards in order."""
    ### BEGIN SOLUTION
    scores, ids, start = [], [], 0
    for (own_scores, own_ids), size in zip(found, sizes, strict=True):
        scores.append(own_scores)
        ids.append(own_ids + start)
        start += size
    scores, ids = torch.cat(scores), torch.cat(ids)
    best = scores.argsort(descending=True, stable=True)[:k]
    return scores[best], ids[best]
    ### END SOLUTION


# %% tags=["check"]
check("11-merge-shards", merge_shards)

# %% [markdown]
# On paper, a billion vectors of 768 numbers, and machines with 64 GB of which 48 may hold vectors. One query fetches the
# best hundred of each shard, 12 bytes a find.

# %%
VECTORS, WIDTH, ROOM = 10**9, 768, 48 * 10**9
for name, size in {"full vectors": 4 * WIDTH, "half precision": 2 * WIDTH, "codes of 64 bytes": 64}.items():
    machines = math.ceil(VECTORS * (size + 8) / ROOM)  # 8 bytes for the number of each vector
    print(f"{name:18} {VECTORS * size / 1e9:6,.0f} GB, {machines:3} machines, {machines * 100 * 12:,} bytes a query")
assert [math.ceil(VECTORS * (size + 8) / ROOM) for size in (4 * WIDTH, 64)] == [65, 2]
print("all of 65 in time:", round(0.99**65, 2), "with two copies each:", round((1 - 0.01**2) ** 65, 2))
assert (round(0.99**65, 2), round((1 - 0.01**2) ** 65, 2)) == (0.52, 0.99)

# %% [markdown]
# A fleet is as slow as its slowest machine. If each of 65 answers within its limit 99 times in 100, all of them do so
# with probability $0.99^{65}\approx 0.52$: every second query waits for somebody. So each shard is kept twice and the
# faster copy wins. If the two are slow for reasons of their own, that turns 0.01 into 0.0001 and 0.52 into 0.99.
#
# - **vector database**（向量数据库）: a service around an index that also stores the data, keeps it after a crash, and takes changes and conditions while it is searched.
#
# What it adds is not a better neighbor: it is deleting, updating, access rights, copies, and **filters** (“red shoes
# *under 50 euros*”). Filters are harder than they look. If one vector in a hundred passes, and the condition has
# nothing to do with the query, the best ten before filtering leave on average 0.1 after it; to keep ten you have to
# fetch about a thousand, or search inside the condition.
#
# ## 11 · Is the answer right?
#
# So far *right* meant: what exact search finds. The user means something else: is the picture what I asked for? In the
# world of scenes that can be decided for every sentence and every picture. Train two towers on 3,000 scenes, as in chapter 08, and
# let captions of 300 test scenes ask among 1,000.

# %%
from mmcourse.models import CLIP, CLIPConfig
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import fit

worlds = {"train": make_scenes(by_budget(smoke=200, standard=3000), split="train")}
worlds["test"] = make_scenes(by_budget(smoke=150, standard=1000), split="test")
with torch.no_grad():
    tokens = {name: torch.cat([patch_encoder.tokens(p) for p in w.images.split(250)]) for name, w in worlds.items()}
said = [captions(scene) for scene in worlds["train"].scenes]
tokenizer = WordTokenizer.train([text for known in said for text in known])


def pairs(step):
    """Patches of 64 training scenes (64, P, C), and the ids and mask of one caption each."""
    rows = torch.randint(len(said), (64,), generator=torch.Generator().manual_seed(step))
    return tokens["train"][rows], *tokenizer.encode_batch([said[row][step % len(said[row])] for row in rows.tolist()])


# %%
seed_everything(0)
options = {"image_options": {"width": 64 * 64}, "text_options": {"width": 64}, "width": 64, "hidden": 256}
scene_towers = CLIP(CLIPConfig(image="features", text="bag", **options), tokenizer)
_ = fit(
    scene_towers, lambda model, batch: model.loss(model(batch[0].flatten(1), *batch[1:])), pairs,
    steps=by_budget(smoke=5, standard=400), learning_rate=2e-3, description="two towers",
)  # fmt: skip
gallery = worlds["test"].scenes
texts = [captions(scene)[row % 5] for row, scene in enumerate(gallery[: by_budget(smoke=40, standard=300)])]
similarity = scene_towers.eval().embed_texts(texts) @ scene_towers.embed_images(tokens["test"].flatten(1)).T

# %% [markdown]
# From here on recall@k is that of chapter 08: the share of texts with *at least one* right scene among the first k.
#
# A text was written for one scene, but it may be true of others. Count both: the usual way, *its own* scene is the one
# right answer; and the true way, *every* scene of which it is true.

# %%
true = torch.tensor([[bool(caption_is_true(scene, text)) for scene in gallery] for text in texts])
own = torch.eye(len(texts), len(gallery), dtype=torch.bool)
judged = {name: metrics.retrieval(similarity, relevant).recall for name, relevant in (("own", own), ("true", true))}
bars = {f"{name}, @{k}": judged[name][k] for k in (1, 5, 10) for name in judged}
viz.show(viz.bars(bars, ylabel="recall", ylim=(0, 1)), alt="At 1, 5 and 10 recall is higher if all true scenes count.")
claim("texts that are true of several scenes, share", (true.sum(dim=1) > 1).double().mean(), at_least=0.4)
claim("recall@1 gained by counting all true scenes", judged["true"][1] - judged["own"][1], at_least=0.06)

# %% [markdown]
# **What to see:** half of the texts are true of several scenes. One right answer per text calls a right find wrong
# whenever it is another scene than the one the text was written for, and the larger the gallery, the more often. On
# photographs nobody knows all true pairs, so published recall understates good systems, and differences near the top
# may be differences in luck.
#
# With several right answers, recall@k asks only for the *first*. A measure of the whole ranking:
#
# - **mean average precision**（平均精度均值）: for each right answer the share of right ones down to its place, averaged over the right answers and then over the queries.
#
# ### ✏️ Exercise 7 · A whole ranking in one number ★★
#
# *Goal: judge a whole ranking with several right answers by one number. About 10 minutes.*
#
# `right` is bool (G,): whether the item at each place, best first, is a right answer. At least one is. Return the average
# precision of this one query.


# %% tags=["exercise"] id="11-average-precision"
def average_precision(right):
    """The mean, over the right items, of the share of right items down to their place."""
    ### BEGIN SOLUTION
    places = torch.arange(1, len(right) + 1)
    precision = right.cumsum(dim=0) / places
    return precision[right].mean().item()
    ### END SOLUTION


# %% tags=["check"]
check("11-average-precision", average_precision)

# %% [markdown]
# By hand on one ranking, right at places 1 and 4: $(1/1+2/4)/2=0.75$. The library agrees.

# %%
places = torch.tensor([[True, False, False, True, False]])
known = metrics.mean_average_precision(torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]]), places)
assert known == 0.75

# %% [markdown]
# ## 12 · Re-ranking the first hundred
#
# Codes were put in order by exact vectors. Vectors, in turn, can be put in order by something better than one vector a
# picture. In late interaction (chapter 08) every word looks for its best patch. That is 64 vectors a picture instead of
# one: too much to search a million, little for a hundred. Train it on the same 3,000 scenes.

# %%
from mmcourse.fusion.late_interaction import late_interaction
from mmcourse.models.parts import TransformerPart


class Late(nn.Module):
    """Words that know their sentence and patches that know their place; each word takes its best patch."""

    def __init__(self):
        super().__init__()
        self.words = TransformerPart(vocabulary_size=len(tokenizer), width=64, depth=1)
        self.patch = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))
        self.place, self.scale = nn.Parameter(0.3 * torch.randn(64, 64)), nn.Parameter(torch.tensor(3.0))

    def forward(self, patches, ids, mask):
        seen, heard = self.patch(patches + self.place), self.words(ids, mask).tokens
        return late_interaction(F.normalize(seen, dim=-1), F.normalize(heard, dim=-1), mask)  # (N, M)


def late_loss(model, batch):
    scores = model(*batch) * model.scale.exp()
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


seed_everything(0)
late = Late()
_ = fit(
    late, late_loss, pairs, steps=by_budget(smoke=5, standard=400), learning_rate=3e-3, description="late interaction"
)

# %%
from mmcourse.models.matcher import rerank


@torch.no_grad()
def by_late_interaction(number, items):
    """The score of text `number` with each of these scenes."""
    return late(tokens["test"][items], *tokenizer.encode_batch([texts[number]]))[:, 0]


late.eval()
reordered = rerank(similarity, by_late_interaction, first=100)
stages = {"towers": metrics.retrieval(similarity, true), "first 100 re-ranked": metrics.retrieval(reordered, true)}

# %% [markdown]
# Two rankings of the same scenes for the same texts, before and after:

# %%
rows = [[*(found.recall[k] for k in (1, 5, 10)), found.mean_average_precision] for found in stages.values()]
viz.show(
    viz.heat(rows, rows=list(stages), columns=["@1", "@5", "@10", "mAP"]),
    alt="Recall at 1, 5 and 10 and mean average precision: all four are higher after re-ranking the first hundred.",
)
gains = {name: rows[1][place] - rows[0][place] for name, place in (("recall@1", 0), ("mean average precision", 3))}
claim("gain by re-ranking a hundred", gains, at_least=0.08)
claim("recall@100, which no re-ranking can exceed", metrics.recall_at_k(similarity, true, k=100), at_least=0.95)

# %% [markdown]
# **What to see:** the hundred hold a right scene for nearly every text, and the second model brings it up. Three limits.
# It has more than late interaction: its words know their order, which the towers' bag of words does not, so the gain is
# that of both. What the first stage misses, the second never sees. And it is one run of each, so read the size of the gain and not its
# third digit. The price: 64 × 64 numbers a picture instead of 64, but only for a hundred pictures a query.
#
# ## 13 · A silent failure: everybody finds the same pictures
#
# A colleague moves the search of section 1 to another library. Same drawings, same queries, `metric="dot"`. It runs, it
# is fast, and the scores look fine. Run A is yours, run B is his.

# %%
raw = drawings * (0.5 + 1.5 * torch.rand(len(drawings), 1, generator=torch.Generator().manual_seed(3)) ** 3)
engines = {name: Index(IndexConfig(width=384, metric="dot")) for name in ("run A", "run B")}
engines["run A"].add(drawings)
engines["run B"].add(raw)
found = {name: engine.search(names, 10).neighbors for name, engine in engines.items()}
recall = {name: share_found(part.ids[split.test], split.test[:, None]) for name, part in found.items()}
counts = {name: part.ids.flatten().bincount(minlength=1690) for name, part in found.items()}
shown_counts = {name: part.sort(descending=True).values for name, part in counts.items()}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
viz.bars(recall, ylabel="recall@10, 250 test names", digits=2, ax=left)
most = {name: part[:300] for name, part in shown_counts.items()}
viz.curves(most, xlabel="drawing, most shown first", ylabel="times among the first ten", ax=right)
viz.show(
    figure,
    alt="Left, run B finds less. Right, in it the most shown drawing comes three times as often as the most shown one in A.",
)
claim("recall@10 lost by run B", recall["run A"] - recall["run B"], at_least=0.05)
claim("most shown drawing, run B over run A", shown_counts["run B"][0] / shown_counts["run A"][0], at_least=1.5)

# %% [markdown]
# Stop here and name the cause before you read on. A few drawings turn up for all sorts of names.
# What do the favorites have in common?
#
# **Diagnosis.** His vectors were saved before they were brought to length 1, and the queries after. (Here the lengths were
# drawn at random, from 0.5 to 2, to stand for those of another network.) The dot product
# favors long vectors (section 3), so the longest become hubs:
#
# - **hub**（枢纽点）: a vector that is among the nearest of very many queries.
#
# Nothing crashes, as lengths are legal. **The test that finds it** takes one line: let every vector ask for itself. With
# unit vectors each finds itself first; among vectors of different lengths it may not.

# %%
finds_itself = {
    name: (engine.search(drawings, 1).neighbors.ids[:, 0] == torch.arange(1690)).double().mean()
    for name, engine in engines.items()
}
assert finds_itself["run A"] == 1
claim("drawings of run B that find themselves", finds_itself["run B"], at_most=0.8)
longest = raw.norm(dim=1).argsort(descending=True)[:100]
assert torch.isin(found["run B"].ids, longest).double().mean() > 2 * 100 / 1690

# %% [markdown]
# The cure is to say what you mean: `metric="cosine"` normalizes both sides in one place. A relative of this failure:
# after a deletion the vectors move up, and the list of file names does not. Every find then carries the name of another
# file. Here the vectors still find themselves, so ask with the files: open each picture again, and its own *name* must come first.
#
# ## 14 · On real data: photographs
#
# Sixteen photographs hide among the 1,690 drawings. Can a part of a photograph find the whole? Cut the left and the right
# two thirds out of each, and let them ask.

# %%
photos = load_photos()
pictures = torch.stack([square(photo.image, 224) for photo in photos.values()])
cuts = torch.cat([pictures[..., :150], pictures[..., -150:]])
with torch.no_grad():
    whole, pieces = (torch.cat([eye(eye.preprocess(p[None])) for p in part]) for part in (pictures, cuts))
album = Index(IndexConfig(width=384))
album.add(torch.cat((drawings, towers.embed_images(whole))))
found = album.search(towers.embed_images(pieces), 5).neighbors.ids
wanted = 1690 + torch.arange(16).repeat(2)
claim("pieces that find it among the first five", share_found(found, wanted[:, None]), at_least=0.75)

# %%
NAMES = {"cat": "a cat", "coffee": "a cup of coffee", "rocket": "a rocket", "flower": "a flower"}
first = album.search(texts_to_vectors(list(NAMES.values())), 6).neighbors.ids
tiles = [white[i] if i < 1690 else square(pictures[i - 1690], 80) for i in first.flatten().tolist()]
above = [text if column == 0 else None for text in NAMES.values() for column in range(6)]
viz.show(
    viz.gallery(tiles, above, columns=6),
    alt="Four rows of six finds for a cat, a cup of coffee, a rocket and a flower: all are drawings, although a photograph of each is there.",
)
claim("finds that are photographs", (first >= 1690).double().mean(), at_most=0.1)

# %% [markdown]
# **What to see:** picture → picture works across the cut, as both sides pass the same network. (The other 15
# photographs are the rivals; the drawings lie apart, and five guesses among 16 would be right in three of ten.) Text → picture finds
# drawings and passes over the photographs: these towers learned from drawings, and a photograph of a cat lies farther
# from “a cat” than the drawing of an angry one does. An index cannot mend that. It finds what is near, and *near* was decided in
# training. `mmcourse index FOLDER` and `mmcourse search FOLDER "a sentence"` do the same with pictures of your own.
#
# ## 15 · At scale
#
# | System | What is published about it |
# |---|---|
# | Product quantization (Jégou et al., 2011) | tried on a set of two billion vectors (abstract) |
# | FAISS on GPUs (Johnson et al., 2017) | a graph of neighbors of 95 million pictures in 35 minutes, of a billion vectors in less than 12 hours on four Titan X (abstract) |
# | Codes of 8 and 16 bits (André et al., 2019) | a billion SIFT vectors: recall@100 of 0.82 in 3.8 ms with codes of 8 bits, 0.85 in 5.2 ms with derived codebooks (abstract) |
# | DiskANN (Subramanya et al., 2019) | a billion SIFT vectors on one machine with 64 GB and a disk: over 5,000 queries a second, under 3 ms, 95 % 1-recall@1 (abstract) |
# | ANN-Benchmarks (Aumüller et al., 2018) | a public race of indices on one million SIFT, 1.2 million GloVe vectors and others (README) |
#
# **Graphs.** HNSW (Malkov and Yashunin, 2016) links each vector to near ones and walks from neighbor to neighbor toward the query,
# through layers from coarse to fine. It is the usual choice where memory is plenty. With $M$ links a vector, FAISS's wiki
# counts $4D+8M$ bytes a vector: for 64 numbers and $M=32$ that is twice the vector itself.

# %%
print("bytes a vector: flat", 4 * 64, "· graph with M = 32", 4 * 64 + 8 * 32, "· lists", 4 * 64 + 8, "· codes", 8 + 8)
assert 4 * 64 + 8 * 32 == 2 * 4 * 64

# %% [markdown]
# **When you outgrow this library**: `from mmcourse.retrieval.engine import FaissIndex; FaissIndex(index)` hands an
# index of flat or lists over to FAISS, with the same centers and the same vectors (`pip install faiss-cpu`).
#
# **On one GPU** exact search is one matrix product after another: a million vectors of 64 numbers are 256 MB and fit
# many times over, so below some ten millions brute force is often the best index there is. **On many** each holds a
# shard, and the merge is exercise 6.

# %% [markdown] tags=["written"] id="11-is-it-good-enough"
# ### ✏️ Written question · Recall 0.95, is that good?
#
# A museum searches two million photographs with inverted lists. The vendor reports “recall@10 of 0.95 at 5 ms”. Explain
# in four to six sentences what this number says and does not say, and what you would measure before you sign.
#
# ### BEGIN SOLUTION
# The number compares with exact search over the same vectors: of the ten nearest, nine and a half are found. It says
# nothing about whether these are pictures that the visitor meant; a perfect index over bad vectors has a recall of 1.
# Ask on which vectors and queries it was measured: queries that are texts lie elsewhere than pictures and are often harder,
# and uniform or clustered data change everything. A mean hides that some queries may find nothing, so ask for the
# distribution, and for rare subjects by themselves. 5 ms holds for one machine, load and filter, and says nothing about
# the slowest in a hundred. Measure recall and scanned share on your own queries against exact search, relevance of the
# first ten judged by people who may mark several right pictures, both with the filters that visitors use, and again after
# a month of additions and deletions.
# ### END SOLUTION

# %% [markdown]
# ## 16 · Open project
#
# Pick one and write a report with a figure for each claim and one thing that did not work.
#
# 1. **Your photographs.** `mmcourse index FOLDER`, then twenty sentences written *before* you look. Judge the first ten
#    of each, allow several right ones, and report mean average precision.
# 2. **A better balance.** Lists are unequal. Measure how the largest list changes the worst query, and try to split large
#    lists. What does it do to recall at the same number of vectors looked at?
# 3. **Rotations.** Product quantization cuts where the columns happen to be. Rotate the vectors first (at random, or by
#    their principal axes with the parts balanced), and measure distortion and recall after re-ranking.
# 4. **Deletions.** Write an index that can delete. Mark, or move up? Show with a test that names and vectors stay
#    together, and measure what a tenth of deleted vectors costs.
#
# ## 17 · Check yourself

# %%
quiz(
    Question(
        "Dot product, cosine and distance give one order when …",
        ("the query has length 1", "all vectors of the table have one length", "the vectors are few"),
        1,
        "The query's length changes no order; the lengths in the table do.",
    ),
    Question(
        "N vectors, p probes. Without regard to recall, the cheapest number of lists is about …",
        ("√(pN)", "N/p", "p"),
        0,
        "L + pN/L is smallest there.",
    ),
    Question(
        "Two lists of 256 find a ninth of the neighbors. What do the vectors look like?",
        ("many are equal", "they have no groups", "they are too short"),
        1,
        "Neighbors of uniform vectors are spread over many lists.",
    ),
    Question(
        "Codes of 8 bytes find few of the true ten. First remedy?",
        ("more queries", "fetch a hundred and re-rank exactly", "longer vectors"),
        1,
        "The code finds the neighborhood; exact vectors find the neighbors.",
    ),
    Question(
        "Texts are true of several scenes, and one each is counted as right. Recall is …",
        ("understated", "overstated", "unchanged"),
        0,
        "Right finds are called wrong.",
    ),
    Question(
        "The same few pictures come up for every query. First suspect?",
        ("too few lists", "vectors of different lengths and a dot product", "a wrong seed"),
        1,
        "Let every vector ask for itself.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Search is one operation, nearest neighbors. Dot product, cosine and distance differ by the lengths in the table alone.
# - A shortcut is judged by two counts: what it finds of the exact answer, and how much it looks at.
# - Inverted lists and codes exploit structure. On uniform vectors there is none to exploit.
# - A code finds the neighborhood; re-ranking finds the neighbors. The same pattern again puts late interaction behind two
#   towers.
# - A million vectors fit into a quarter of a gigabyte, and a hundredth of them is enough.
# - An index finds what is near. Whether near is right was decided in training, and has to be judged with all right
#   answers counted.
#
# **Next: 12 · Text to image**, where the picture that you ask for does not exist yet.

# %% [markdown]
# ## References
#
# - *Least squares quantization in PCM* (k-means). Lloyd. IEEE Transactions on Information Theory, 1982.
# - *Video Google: a text retrieval approach to object matching in videos* (inverted lists). Sivic, Zisserman. ICCV 2003.
# - *Product quantization for nearest neighbor search*. Jégou, Douze, Schmid. IEEE TPAMI 2011.
# - *Speeding up the Xbox recommender system using a Euclidean transformation for inner-product spaces*. Bachrach et al.
#   RecSys 2014.
# - *Efficient and robust approximate nearest neighbor search using hierarchical navigable small world graphs*. Malkov,
#   Yashunin. 2016.
# - *Billion-scale similarity search with GPUs*. Johnson, Douze, Jégou. 2017.
# - *ANN-Benchmarks: a benchmarking tool for approximate nearest neighbor algorithms*. Aumüller, Bernhardsson,
#   Faithfull. 2018.
# - *DiskANN: fast accurate billion-point nearest neighbor search on a single node*. Subramanya, Devvrit, Simhadri,
#   Krishnaswamy, Kadekodi. NeurIPS 2019.
# - *Derived codebooks for high-accuracy nearest neighbor search*. André, Kermarrec, Le Scouarnec. 2019.
# - *ColBERT: efficient and effective passage search via contextualized late interaction over BERT*. Khattab, Zaharia.
#   SIGIR 2020.
# - *The Faiss library*. Douze, Guzhva, Deng, Johnson, Szilvasy, Mazaré, Lomeli, Hosseini, Jégou. 2024.
# - *Introduction to information retrieval*. Manning, Raghavan, Schütze. Cambridge University Press, 2008.
