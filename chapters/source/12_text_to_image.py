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
# # 12 · Text to image
#
# Chapters 09 to 11 went from a picture to words, or from words to a picture that was there already. Now the picture does
# not exist yet. You give a sentence, and a network moves noise until it is a picture of what the sentence says.
#
# **After this chapter you can**
#
# - derive what a network must predict so that noise becomes data, and check it where the truth is known exactly;
# - follow a velocity with Euler, midpoint and Runge–Kutta steps, and measure the order of each;
# - train a drawer that listens to a sentence, and steer it with guidance, knowing the price;
# - let an independent judge say what was drawn, and find out whether a drawer copies.
#
# **You need** chapters 01 (cross-attention), 04 (convolutions) and 09 (captions of scenes).
#
# **Time**: about 75 minutes to read, 4 minutes to run, 65 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ── words ───┐
#                                         ├──►  velocity ──►  a picture that is new
#   noise ──►  U-Net  ── at each time ────┘                   ▲
#                                                             └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import math

import matplotlib.pyplot as plt
import torch
from torch import nn

from mmcourse import viz, widgets
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import load_photos, render, sample_scenes, square
from mmcourse.flow import EVALUATIONS, STEPS, GaussianMixture, flow_matching_loss, guided, on_line, sample, trajectory
from mmcourse.models.text2image import Text2Image, Text2ImageConfig, from_pixels, to_pixels
from mmcourse.recipes import load_trained
from mmcourse.recipes.drawing.text2image import Drawings, in_full, judge, loss, simple_scenes
from mmcourse.runtime import by_budget, progress, seed_everything
from mmcourse.train import fit

generator = open_chapter(12)

# %% [markdown]
# ## 1 · A question with a picture
#
# Six sentences, and what a network drew for them. It has 1.9 million weights, fewer than a photograph of 1,000 × 700 pixels has numbers.
# Nobody gave it a drawing program: it starts from noise. How does it know which way to go?

# %%
ASKED = [
    "a large cat at the top left on a pink background",
    "a small car at the bottom on a gray background",
    "a medium strawberry at the center on a green background",
    "a large guitar at the right on a yellow background",
    "a medium clock at the bottom left on a white background",
    "a small dog at the top on a blue background",
]

# %%
drawer = load_trained("text2image").model
assert round(sum(p.numel() for p in drawer.parameters()) / 1e6, 1) == 1.9
drawn = drawer.draw(ASKED, generator=torch.Generator().manual_seed(1))  # (6, 3, 32, 32)
viz.show(
    viz.gallery(drawn, ASKED, columns=3),
    alt="Six small drawings, made for the six sentences above them; most show what the sentence says.",
)

# %% [markdown]
# Two terms for the whole chapter:
#
# - **generative model**（生成模型）: a model from which you can draw new samples that look as if they came from the data.
# - **conditional generation**（条件生成）: drawing samples that fit something given, here a sentence.
#
# ## 2 · The ladder: one straight line
#
# Take a number of noise and a number of data. Between them lies a line. At time 0 you are at the noise, at time 1 at the
# data, and the velocity on the way never changes.
#
# **Step 1, by hand.**

# %%
noise, datum = -1.0, 3.0
for t in (0.0, 0.25, 0.5, 1.0):
    print(f"time {t:.2f}: place {(1 - t) * noise + t * datum:5.2f}, velocity {datum - noise:.2f}")
assert (1 - 0.25) * noise + 0.25 * datum == 0.0

# %% [markdown]
# **Step 2, many at once.** A batch of pictures and one time for each of them:
#
# $$x_t=(1-t)\,\varepsilon+t\,x_1,\qquad \frac{d x_t}{dt}=x_1-\varepsilon$$
#
# with $\varepsilon\sim\mathcal N(0,1)$ the noise and $x_1$ the data.
#
# ### ✏️ Exercise 1 · On the line ★
#
# *Goal: say where a straight line from noise to data is at a time, and how fast it moves. About 6 minutes.*
#
# `noise` and `data` have any shape (B, …), and `times` is (B,): each sample of the batch has its own time. Return the
# places and the velocities.


# %% tags=["exercise"] id="12-on-line"
def line(noise, data, times):
    """Places and velocities (B, …) at times (B,) on the lines from noise (B, …) to data (B, …)."""
    ### BEGIN SOLUTION
    t = times.reshape(-1, *[1] * (noise.dim() - 1))  # (B,) -> (B, 1, …)
    return (1 - t) * noise + t * data, data - noise
    ### END SOLUTION


# %% tags=["check"]
check("12-on-line", line)

# %% [markdown]
# **Parity.** The library's `on_line` does this; its velocity is the slope of its places, as autograd finds it too.

# %%
ends = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
times = torch.rand(5, generator=generator, dtype=torch.float64).requires_grad_()
spot = on_line(*ends, times)
slope = torch.autograd.functional.jvp(lambda t: on_line(*ends, t).place, times, torch.ones_like(times))[1]
assert torch.allclose(slope, spot.velocity, rtol=0, atol=1e-12)

# %% [markdown]
# ## 3 · Many lines, one velocity
#
# On one line everything is known. But you start from noise and do not know at which datum your line will end. Many lines
# pass through one place, each with its own velocity. Below, data are three clouds in the plane, and noise is one cloud
# around 0.

# %%
centers = torch.tensor([[2.0, 0.5], [-1.5, 1.5], [-0.5, -2.0]])
clouds = GaussianMixture(centers, 0.5)
start, end = torch.randn(60, 2, generator=generator), clouds.sample(60, generator=generator)

# %%
paths = torch.stack(list(trajectory(clouds, start, steps=50)))  # (51, 60, 2)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), sharex=True, sharey=True)
left.plot(*torch.stack((start, end)).permute(2, 0, 1), color=viz.GRAY, lw=0.7)
right.plot(*paths.permute(2, 0, 1), color=viz.BLUE, lw=0.7)
for ax, last, title in ((left, end, "sixty straight lines"), (right, paths[-1], "following their mean velocity")):
    ax.scatter(*start.T, s=8, color=viz.ORANGE, zorder=3)
    ax.scatter(*last.T, s=8, color=viz.VERMILLION, zorder=3)
    ax.set(title=title, aspect="equal", xticks=[], yticks=[])
viz.show(
    figure,
    alt="Left, sixty straight lines from an orange cloud in the middle to three red clouds cross each other. Right, bent paths from the same orange points reach the same three clouds, most of them side by side.",
)

# %% [markdown]
# **What to see:** on the left, lines cross. On the right every place has, at every time, one velocity: the mean over all lines
# that pass there then. So two points are never at one place at one time. (Drawn without the time a few paths still cross: the points came
# by one after the other.) They end in the same three clouds all the same.
#
# - **velocity field**（速度场）: a velocity $u(x,t)$ for every place and time.
# - **flow matching**（流匹配）: training a network to predict the velocity of lines from noise to data.
#
# **Why the mean.** A network $v(x,t)$ is trained with squared error. Split it:
#
# $$\mathbb E\,|v(x_t,t)-(x_1-\varepsilon)|^2=\mathbb E\,|v(x_t,t)-u(x_t,t)|^2+\mathbb E\,\mathrm{Var}[x_1-\varepsilon\mid x_t]$$
#
# with $u(x,t)=\mathbb E[x_1-\varepsilon\mid x_t=x]$. The mixed term is zero because $u$ is the conditional mean. The
# second term does not depend on $v$. So **the best network says the mean, and the loss does not fall to zero.**
#
# **Why following it works.** Let $p_t$ be the density of the $x_t$ of all lines. What flows through a place is
# $p_t(x)$ times the mean velocity there, $p_t u$. Density changes by what flows in and out:
# $\partial p_t/\partial t=-\nabla\cdot(p_t u)$. Points that follow $u$ obey the same equation and start with the same
# $p_0$, so they have the same density at all times. At $t=1$ that is the density of the data.
#
# **Where it is known exactly.** Let the data be one normal cloud, $x_1=c+s\,z$. Then $x_t$ is normal around $tc$ with
# variance $\sigma_t^2=(1-t)^2+t^2s^2$. The velocity $x_1-\varepsilon$ has mean $c$ and, with $x_t$, the covariance
# $ts^2-(1-t)$. For jointly normal variables the conditional mean is linear:
#
# $$u(x,t)=c+\frac{t s^2-(1-t)}{(1-t)^2+t^2s^2}\,(x-tc)$$
#
# ### ✏️ Exercise 2 · The velocity of a cloud ★★★
#
# *Goal: compute the mean velocity of all lines that pass through a place, for data of one normal cloud. About 15
# minutes.*


# %% tags=["exercise"] id="12-cloud-velocity"
def velocity(x, t, center, spread):
    """The mean velocity (B, D) at places x (B, D) and time t, for data from a cloud around center (D,)."""
    ### BEGIN SOLUTION
    variance = (1 - t) ** 2 + (t * spread) ** 2
    rate = (t * spread**2 - (1 - t)) / variance
    return center + rate * (x - t * center)
    ### END SOLUTION


# %% tags=["check"]
check("12-cloud-velocity", velocity)

# %% [markdown]
# Check the formula by brute force: draw a million lines, keep those that pass near one place, and average their
# velocities.

# %%
one = GaussianMixture(centers[:1], 0.5)
many = on_line(
    torch.randn(1_000_000, 2, generator=generator),
    one.sample(1_000_000, generator=generator),
    torch.full((1_000_000,), 0.4),
)

# %%
place = torch.tensor([[1.1, 0.9]])
near = (many.place - place).norm(dim=1) < 0.1
exact = one(place, torch.tensor([0.4]))[0]
print(
    f"lines that pass: {near.sum():,}; their mean velocity {[round(v, 1) for v in many.velocity[near].mean(0).tolist()]}"
)
claim("distance to the formula", (many.velocity[near].mean(dim=0) - exact).norm(), at_most=0.08)

# %% [markdown]
# Of several clouds, the velocity is the mean of theirs, each weighted by the probability that a line through $x$ ends in
# it. That is `GaussianMixture`, and the field that the right picture above followed.
#
# ## 4 · Following a velocity
#
# A field is given. From time 0 to 1 you take steps of length $h$:
#
# - **Euler method**（欧拉法）: one step along the velocity at its beginning, $x+h\,u(x,t)$.
# - **midpoint method**（中点法）: look where half an Euler step leads, and take the whole step along the velocity there.
# - **Runge–Kutta method**（龙格–库塔法）: a mixture of four velocities, at the beginning, twice in the middle, and at the end.
#
# ### ✏️ Exercise 3 · The midpoint ★★
#
# *Goal: take one midpoint step along any velocity. About 8 minutes.*
#
# `velocity` is a function of places (B, …) and times (B,); `t` and `h` are numbers.


# %% tags=["exercise"] id="12-midpoint-step"
def midpoint_step(velocity, x, t, h):
    """Places (B, …) at time t + h, from places x (B, …) at time t."""
    ### BEGIN SOLUTION
    middle = x + h / 2 * velocity(x, torch.full((len(x),), t))
    return x + h * velocity(middle, torch.full((len(x),), t + h / 2))
    ### END SOLUTION


# %% tags=["check"]
check("12-midpoint-step", midpoint_step)

# %% [markdown]
# How good is a method? Its error falls as a power of the number of steps: $\text{error}\approx C\cdot\text{steps}^{-p}$.
#
# - **order of a method**（方法的阶）: the power p. Twice the steps leave $1/2^p$ of the error.
#
# Taking logarithms, $\log\text{error}=\log C-p\log\text{steps}$: a straight line with slope $-p$.
#
# ### ✏️ Exercise 4 · The order ★★
#
# *Goal: measure the order of a method from its errors. About 10 minutes.*
#
# Fit a straight line by least squares through all points, as errors carry a little noise.


# %% tags=["exercise"] id="12-order"
def order(steps, errors):
    """The order p of a method with these errors at these numbers of steps, as a float."""
    ### BEGIN SOLUTION
    x, y = torch.tensor(steps).double().log(), torch.tensor(errors).double().log()
    x = x - x.mean()
    return -(x @ y / (x @ x)).item()
    ### END SOLUTION


# %% tags=["check"]
check("12-order", order)

# %% [markdown]
# Measure all three on the exact field of the three clouds. The truth is a run with 1,000 Runge–Kutta steps.

# %%
fine = GaussianMixture(centers.double(), 0.5)
begin = torch.randn(200, 2, generator=generator, dtype=torch.float64)
truth = sample(fine, begin, steps=1000, method="runge_kutta")
COUNTS = [32, 64, 128, 256]


def errors_of(field, method):
    """The root mean squared distance to the truth at each number of steps."""
    ends = [sample(field, begin, steps=count, method=method) for count in COUNTS]
    return [(x - truth).square().sum(dim=1).mean().sqrt().item() for x in ends]


def slope_of(errors):
    """The order: how fast log errors fall with log steps, between the finest two."""
    return math.log2(errors[-2] / errors[-1])


errors = {method: errors_of(fine, method) for method in STEPS}

# %%
work = {
    f"{name}, order {slope_of(line):.1f}": ([EVALUATIONS[name] * n for n in COUNTS], line)
    for name, line in errors.items()
}
viz.show(
    viz.curves(work, xlabel="evaluations of the velocity", ylabel="error", log=True, logx=True, markers=True),
    alt="Error against evaluations, both on logarithmic axes: three straight falling lines, Euler flattest, Runge-Kutta steepest.",
)
found = {name: slope_of(line) for name, line in errors.items()}
off = {name: found[name] - expected for name, expected in (("euler", 1), ("midpoint", 2), ("runge_kutta", 4))}
claim("measured order minus 1, 2 and 4", off, near=0, tolerance=0.2)

# %% [markdown]
# **What to see:** the horizontal axis counts evaluations and not steps, as those are what a network costs: two a midpoint
# step, four a Runge–Kutta step. Even so the higher order wins, and by much, *on this smooth field*. The field of a trained network
# carries errors of its own, and a picture need not be exact in its fifth digit. Section 9 measures what that leaves.
#
# ## 5 · A network learns the field
#
# Now forget the formula. A small network sees $(x,t)$ and says a velocity, trained on nothing but lines.


# %%
class Field(nn.Module):
    """A velocity for each place (B, D) and time (B,)."""

    def __init__(self, width=2, hidden=128):
        super().__init__()
        layers = nn.Linear(width + 1, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, width))

    def forward(self, x, times):
        return self.mlp(torch.cat((x, times[:, None]), dim=1))


# %%
def points(step):
    return clouds.sample(512, generator=torch.Generator().manual_seed(step))


seed_everything(0)
learned = Field()
STEPS_2D = by_budget(smoke=5, standard=1500)
history = fit(learned, flow_matching_loss, points, steps=STEPS_2D, learning_rate=3e-3, description="a field")

# %% [markdown]
# The formula for the split says: the loss of the network, minus the loss of the exact field, is the mean squared distance
# between the two. Measure both losses on the same 100,000 lines, and the distance on 100,000 others.


# %%
@torch.no_grad()
def loss_of(field, count=100_000):
    """The loss on lines that are the same for every field."""
    dice = torch.Generator().manual_seed(7)
    return flow_matching_loss(field, clouds.sample(count, generator=dice), generator=dice).item()


losses = {"network": loss_of(learned), "exact field": loss_of(clouds)}
apart = losses["network"] - losses["exact field"]
dice = torch.Generator().manual_seed(8)
times = torch.rand(100_000, generator=dice)
where = on_line(torch.randn(100_000, 2, generator=dice), clouds.sample(100_000, generator=dice), times).place
with torch.no_grad():
    distance = (learned(where, times) - clouds(where, times)).square().mean().item()

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=(1.4, 1))
smooth = torch.tensor(history.losses).unfold(0, min(50, STEPS_2D), min(50, STEPS_2D)).mean(dim=1)
floor = {"exact field": losses["exact field"]}
viz.curves({"network": smooth}, xlabel="50 steps", baseline=floor, ylim=(1.8, 3.4), ax=left)
right.scatter(*sample(learned, torch.randn(600, 2, generator=generator), steps=50).T, s=5, color=viz.BLUE)
right.scatter(*centers.T, marker="+", color=viz.VERMILLION, s=60)
right.set(aspect="equal", xticks=[], yticks=[], title="600 samples of the network")
viz.show(
    figure,
    alt="Left, the loss of the network falls towards a level line near 2 and stays above it. Right, blue samples in three clouds around three red crosses.",
)
assert losses["exact field"] > 1.9  # the lowest possible loss
claim("what the split leaves unexplained, as a share of the gap", abs(apart - distance) / apart, at_most=0.25)

# %% [markdown]
# **What to see:** the loss stops near 2.1 and the samples are good. A loss that “does not go down any more” says nothing
# here, because most of it is the part that no network can remove. Watch samples, or the distance to the floor where
# you know it.
#
# **What should the network say?** The velocity $x_1-\varepsilon$ contains the noise, and noise fills every direction. The
# goal $x_1$ may fill few. As $x_1=x_t+(1-t)\,(x_1-\varepsilon)$, a network may as well predict the goal, and the velocity
# follows:
#
# $$v(x,t)=\frac{\text{goal}(x,t)-x}{1-t}$$
#
# Hide the three clouds in a plane of a space of 256 dimensions. A network whose last hidden layer has 128 numbers can
# only say velocities in 128 directions, so noise in the other 128 stays where it is: a distance of about
# $\sqrt{128}\approx 11.3$ from the plane. The same network that says goals has no such limit. Three seeds each:

# %%
WIDE, HIDDEN = 256, 128


class Says(Field):
    """A field in a wide space whose network says the velocity, or the goal."""

    def __init__(self, what):
        super().__init__(WIDE, HIDDEN)
        self.what = what

    def forward(self, x, times):
        said = super().forward(x, times)
        return said if self.what == "velocity" else (said - x) / (1 - times.clamp(max=0.95))[:, None]


def off_the_plane(what, seed):
    """How far samples of a trained field lie from the plane that holds all data."""
    seed_everything(seed)
    plane, model = torch.linalg.qr(torch.randn(WIDE, 2))[0], Says(what)  # (WIDE, 2): two orthonormal columns
    steps = by_budget(smoke=3, standard=400)
    fit(
        model,
        flow_matching_loss,
        lambda step: points(step) @ plane.T,
        steps=steps,
        learning_rate=2e-3,
        description=what,
    )
    ends = sample(model.eval(), torch.randn(500, WIDE), steps=50)
    return (ends - ends @ plane @ plane.T).square().sum(dim=1).mean().sqrt().item()


# %%
SEEDS = range(3)
far = {what: {f"seed {seed}": off_the_plane(what, seed) for seed in SEEDS} for what in ("velocity", "goal")}
claim("distance from the plane, network says the velocity", far["velocity"], at_least=11)
claim("distance from the plane, network says the goal", far["goal"], at_most=0.8)

# %% [markdown]
# Pictures are such data: of all arrays of 3,072 numbers, few are pictures. So the drawer of this course says the goal
# (Li and He, 2025, make this point with large networks), and its loss is the squared distance of the goal.

# %% [markdown]
# ## 6 · A condition, and how to exaggerate it
#
# A drawer needs $u(x,t\mid c)$, the mean velocity over the lines whose data fit a condition $c$. Nothing changes in the
# derivation: give the network $c$ as one more input. On the clouds, let $c$ be “the cloud on the right”.
#
# - **classifier-free guidance**（无分类器引导）: moving with $u+w\,(u_c-u)$, away from what would come anyway and towards what
#   fits the condition; $w$ is the guidance scale.
#
# **Where it comes from.** For one $x_1$, $x_t$ is normal around $t\,x_1$ with standard deviation $1-t$, so the gradient of its log density
# is $-(x-t\,x_1)/(1-t)^2=-\varepsilon/(1-t)$. The mean over all $x_1$ that lead through $x$ is the gradient for all of them:
# $\nabla\log p_t(x)=-\mathbb E[\varepsilon\mid x]/(1-t)$. And as $x_1=(x-(1-t)\varepsilon)/t$, the velocity is
# $u=\mathbb E[x_1-\varepsilon\mid x]=(x-\mathbb E[\varepsilon\mid x])/t$. Together $u(x,t)=\frac1t\big(x+(1-t)\nabla\log p_t(x)\big)$.
# Write this for $u_c$ too, subtract, and use Bayes' rule $p_t(x\mid c)\propto p_t(x)\,p_t(c\mid x)$:
#
# $$u_c-u=\frac{1-t}{t}\,\nabla_x\log p_t(c\mid x)$$
#
# The difference points where the condition becomes more probable. No classifier was trained; two velocities hold it. The next
# cell checks this with autograd, as `came_from` is $p_t(c\mid x)$ for the clouds.

# %%
x = (2 * torch.randn(50, 2, generator=generator, dtype=torch.float64)).requires_grad_()
t = 0.05 + 0.9 * torch.rand(50, generator=generator, dtype=torch.float64)
right_cloud = GaussianMixture(centers[:1].double(), 0.5)
uphill = torch.autograd.grad(fine.came_from(x, t)[:, 0].log().sum(), x)[0]
difference = (right_cloud(x, t) - fine(x, t)).detach() - ((1 - t) / t)[:, None] * uphill
claim("difference of both sides", difference.abs().max(), at_most=1e-9)

# %% [markdown]
# ### ✏️ Exercise 5 · Guidance ★
#
# *Goal: lead a velocity away from what comes anyway, towards what was asked for. About 6 minutes.*
#
# `scale` 0 ignores the condition, 1 follows it, and more exaggerates it.


# %% tags=["exercise"] id="12-guided"
def exaggerate(conditional, unconditional, scale):
    """The guided velocity (B, …) of two velocities (B, …)."""
    ### BEGIN SOLUTION
    return unconditional + scale * (conditional - unconditional)
    ### END SOLUTION


# %% tags=["check"]
check("12-guided", exaggerate)

# %% [markdown]
# What does it do to samples? The condition is “the cloud on the right”, whose true center and spread you know.

# %%
noise = torch.randn(1500, 2, generator=generator)
ends = {scale: sample(guided(one, clouds, float(scale)), noise, steps=100) for scale in (0, 1, 2, 4)}
figure, axes = plt.subplots(1, 4, figsize=(8, 2.5), sharex=True, sharey=True)
for ax, (scale, x) in zip(axes, ends.items(), strict=True):
    ax.scatter(*x[:500].T, s=4, color=viz.BLUE)
    ax.scatter(*centers[0], marker="+", color=viz.VERMILLION, s=80)
    ax.set(title=f"guidance {scale}", aspect="equal", xticks=[], yticks=[])
viz.show(
    figure,
    alt="Four panels. Guidance 0: three clouds. Guidance 1: one cloud around a red cross. Guidance 2 and 4: a smaller cloud that has moved past the cross, away from the others.",
)

# %%
moved = {f"guidance {scale}": (x.mean(dim=0) - centers[0]).norm() for scale, x in ends.items() if scale > 1}
spreads = {scale: x.std(dim=0).mean().item() for scale, x in ends.items()}
assert abs(spreads[1] - 0.5) < 0.05
claim("distance of the mean from the true center", moved, at_least=0.3)
claim("spread at guidance 4", spreads[4], at_most=0.4)

# %% [markdown]
# **What to see:** guidance 1 gives the right cloud. Above 1, samples are surer to belong to it and no longer distributed
# like it: they lie closer together and beyond its center, further from the others than the data are. That is the price, and it is
# exact here: **more of what was asked for, less variety, and not the distribution of the data.**
#
# One network learns both velocities: now and then, show it a picture without its caption.
#
# ### ✏️ Exercise 6 · Dropped captions ★
#
# *Goal: teach one network both the velocity of a sentence and that of no sentence. About 6 minutes.*
#
# `chances` (B,) holds a number from 0 to 1 for each sentence. Where it is below `share`, the sentence becomes `""`.


# %% tags=["exercise"] id="12-drop-captions"
def drop_captions(texts, chances, share):
    """The sentences, some of them empty."""
    ### BEGIN SOLUTION
    return ["" if chance < share else text for text, chance in zip(texts, chances.tolist(), strict=True)]
    ### END SOLUTION


# %% tags=["check"]
check("12-drop-captions", drop_captions)

# %% [markdown]
# ## 7 · The drawer
#
# The network has a noisy picture, a time and words, and says the goal.
#
# - **U-Net**（U 形网络）: convolutions that make a picture smaller and larger again, with connections from each size on the way
#   down to the same size on the way up.
#
# ```text
#   noisy picture 32×32 ─► 16×16 ─────────────── kept ───────────────► 16×16 ─► goal 32×32
#                             └─► 8×8: 64 places look at each other and ─┘
#                                      at the words (cross-attention)
#   time, the words in order ─► scale and shift in every block
# ```
#
# The small map sees all of the picture, the large one its details, and the kept one carries where things are exactly. Time
# tells how much of what is seen is noise. Train a small one on an easy world, **one thing out of six nouns** that can be
# told apart at ten dots, upright in the middle of its cell on a plain background, so that two minutes are enough.

# %%
NOUNS = ["cat", "strawberry", "rocket", "boot", "key", "tree"]


def shows(scene):
    """Everything that a picture of an easy scene depends on."""
    return scene.background, *((thing.noun, thing.size, thing.cell) for thing in scene.objects)


# %%
def scenes_of(count, *, split, known=()):
    """Scenes with one of the six nouns, no two alike and none alike to a known one."""
    found = {}
    for start in range(0, 400_000, 5000):
        for scene in sample_scenes(5000, split=split, start=start, difficulty="easy"):
            if len(scene.objects) == 1 and scene.objects[0].noun in NOUNS and shows(scene) not in known:
                found.setdefault(shows(scene), scene)
        if len(found) >= count:
            break
    return list(found.values())[:count]


# %% [markdown]
# Six nouns, three sizes, nine places and eight backgrounds make 1,296 pictures. Each noun never meets one of the backgrounds, so
# 1,134 remain. Eight hundred are for training; validation and test share none with them, nor with each other. The sentence names
# everything:

# %%
pool = scenes_of(800, split="train")
known = {shows(scene) for scene in pool}
val = scenes_of(60, split="val", known=known)
test = scenes_of(100, split="test", known=known | {shows(scene) for scene in val})
new = scenes_of(100, split="compositional", known=known)  # pairs of noun and background that training never shows
print(len(pool), in_full(pool[0]))

# %% [markdown]
# What a trained network has to beat: saying the mean of all pictures. The loss below is the squared distance of
# the goal, a mean over all numbers of a picture.

# %%
seed_everything(0)
mine = Text2Image(Text2ImageConfig(channels=48, width=64, depth=1), drawer.tokenizer)
drawings = Drawings(mine, scenes=pool, size=16)
STEPS_DRAWER = by_budget(smoke=2, standard=1600, gpu=6000)
drawn_history = fit(mine, loss, drawings, steps=STEPS_DRAWER, learning_rate=2e-3, description="a drawer")
_ = mine.eval()

# %%
every = from_pixels(render(pool)[0], 32)
mean_picture = (every - every.mean(dim=0)).square().mean().item()
last = torch.tensor(drawn_history.losses[-100:]).mean()
claim("last loss over that of the mean picture", last / mean_picture, at_most=0.08)

# %% [markdown]
# Watch one draw, the finished one, from noise at the left to the picture at the right. Write a sentence and press Enter;
# choose a seed, a guidance (section 6) and a number of steps. It begins with guidance 3; section 9 measures whether that is wise.


# %%
def play(text=ASKED[3], seed=0, guidance=3, steps=10):
    if unknown := drawer.unknown_words(text):
        raise ValueError(f"the drawer has never read {', '.join(unknown)}; `mmcourse draw --words` lists what it knows")
    dice = torch.Generator().manual_seed(seed)
    way = list(drawer.drawing([text], guidance=float(guidance), steps=steps, generator=dice))
    kept = [way[round(i * steps / 5)][0] for i in range(6)]
    return viz.gallery(kept, ["noise", None, None, None, None, "drawn"], columns=6, title=text)


# %%
widgets.explore(
    play, text=ASKED[3], seed=(0, 20, 1, 0), guidance=(0, 8, 1, 3), steps=(1, 40, 1, 10),
    alt="Six moments of one drawing, from noise to a large guitar at the right on yellow.",
)  # fmt: skip

# %% [markdown]
# **What to see:** the guitar shows through the noise from the third picture on, at its place; after that mostly noise goes away.
# On the command line,
# `mmcourse draw "a large guitar at the right on a yellow background"` does the same, and says what the judge of the next
# section sees.
#
# ## 8 · An independent judge
#
# Are these good? You could look at ten. A thousand need a judge, and the judge must not be the drawer's friend. The
# course's `scene-reader` is a convolutional network that learned from true scenes, with its own weights, and never saw a
# drawing. It reads every place by itself, so it does not expect what usually goes together. First its own error, on
# true pictures:

# %%
reader = load_trained("scene-reader").model


def exam(scenes):
    """Sentences and the true small pictures of scenes."""
    return [in_full(scene) for scene in scenes], to_pixels(from_pixels(render(scenes)[0], 32))


# %%
test_texts, true_pictures = exam(test)
on_truth = judge(reader, true_pictures, test_texts)
claim("the judge on true pictures", {"thing": on_truth.found, "place": on_truth.placed}, at_least=0.95)

# %% [markdown]
# A rival shows what the sentence is good for: **guidance 0** is the same network without it, so each sentence becomes `""`.
# It can draw, but it does not listen. First what it can do: draw one thing that the judge knows. The guidance of the drawer
# itself is chosen on validation sentences. With a sentence it takes ten steps, without one twenty; section 9 shows why.


# %%
def draw(model, texts, steps=10, **options):
    """Drawings of these sentences, from the same noise each time."""
    steps = by_budget(smoke=1, standard=steps)
    return model.draw(texts, steps=steps, generator=torch.Generator().manual_seed(0), **options)


def judged(model, texts, **options):
    """What the judge says of drawings of these sentences."""
    return judge(reader, draw(model, texts, **options), texts)


texts = [in_full(scene) for scene in val]
tried = {scale: judged(mine, texts, guidance=scale).found for scale in progress((1.0, 2.0, 3.0), "Guidance")}
best = max(tried, key=tried.get)
silent = draw(mine, [""] * 100, guidance=1.0, steps=20)
seen = [scene for scene in reader.read(silent) if scene is not None]
one_of_six = sum(any(thing.noun in NOUNS for thing in scene.objects) for scene in seen) / 100
new_texts, new_pictures = exam(new)
small = draw(mine, test_texts, guidance=best)
runs = {
    "no sentence": judge(reader, silent, test_texts),
    "drawer": judge(reader, small, test_texts),
    "drawer, new pairs": judged(mine, new_texts, guidance=best),
    "true pictures": on_truth,
}

# %%
viz.show(
    viz.heat([list(run) for run in runs.values()], rows=list(runs), columns=["thing", "place", "color", "all true"]),
    alt="Table: without a sentence all is near chance, the drawer finds most things and places and all colors, true pictures are read almost perfectly.",
)
claim("drawings without a sentence that show one of the six things", one_of_six, at_least=0.3)
claim("asked things that the judge finds", runs["drawer"].found, at_least=0.8)
claim("asked backgrounds", runs["drawer"].background, at_least=0.95)
claim("lead of the drawer over no sentence, things", runs["drawer"].found - runs["no sentence"].found, at_least=0.4)

# %% [markdown]
# **What to see:** without its sentence the same network draws one of the six things in about half of its pictures, and
# hits the asked one by chance. With it, nearly
# all drawings show the asked thing at the asked place; the color is hardly ever missed. *All true* asks for the size as well.
#
# ## 9 · The finished drawer
#
# The bundled `text2image` is twice as deep, has three times the weights, knows all 64 nouns and learned for twenty minutes
# from 192,000 scenes of one thing. There are only some twelve thousand different ones, so it has seen all pictures of known pairs of noun and
# background; pairs that were kept out it has never seen. Both dials at once, on validation sentences:

# %%
simple = {split: simple_scenes(900, split=split)[:100] for split in ("val", "test", "compositional")}
said = {split: [in_full(scene) for scene in scenes] for split, scenes in simple.items()}
SCALES, COUNTS = (1.0, 2.0, 4.0), (2, 5, 20)
dials = [(scale, count) for scale in SCALES for count in COUNTS]
scores = {
    (scale, count): judged(drawer, said["val"][:40], guidance=scale, steps=count).found
    for scale, count in progress(dials, "Guidance and steps")
}

# %%
chosen, steps = max(dials, key=lambda dial: (scores[dial], dial))
asked = said["test"] + said["compositional"]  # known pairs, then new ones
attempts = draw(drawer, asked, guidance=chosen, steps=steps)
known_pairs, new_pairs = judge(reader, attempts[:100], asked[:100]), judge(reader, attempts[100:], asked[100:])
every_text, every_picture = exam(simple["test"] + simple["compositional"])
claim("the judge on true pictures, all 64 nouns", judge(reader, every_picture, every_text).found, at_least=0.95)
claim("things found, at most 20 steps", {"known pairs": known_pairs.found, "new pairs": new_pairs.found}, at_least=0.85)
claim("asked places and backgrounds", {"place": known_pairs.placed, "color": known_pairs.background}, at_least=0.85)


# %% [markdown]
# **Why steps at all?** The first step already says the mean picture of the sentence. If the sentence names everything,
# one picture fits it, and the mean *is* that picture. If it leaves everything open, the mean is a blur over all. So the same
# with the sentences from above and with none at all, where any thing will do:


# %%
def things_drawn(count):
    """The share of drawings without a sentence in which the judge sees one thing."""
    steps, noise = by_budget(smoke=1, standard=count), torch.Generator().manual_seed(3)
    blank = drawer.draw([""] * 60, guidance=1.0, steps=steps, generator=noise)
    return sum(scene is not None and len(scene.objects) == 1 for scene in reader.read(blank)) / 60


by_steps = {
    "full sentence": [judged(drawer, said["val"][:40], guidance=1.0, steps=1).found, scores[1.0, 20]],
    "no sentence": [things_drawn(count) for count in (1, 20)],
}

# %%
opened = by_steps["no sentence"]
table = [[scores[scale, count] for count in COUNTS] for scale in SCALES]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), width_ratios=(2, 1.3))
viz.heat(table, rows=[f"guidance {s:.0f}" for s in SCALES], columns=[str(c) for c in COUNTS], xlabel="steps",
         title=f"chosen: guidance {chosen:.0f}, {steps} steps", ax=left)  # fmt: skip
viz.heat(list(by_steps.values()), rows=list(by_steps), columns=["1", "20"], xlabel="steps", ax=right)
viz.show(
    figure,
    alt="Two tables of found things. Left, by guidance and steps: at guidance 1 nearly all are found with any number of steps, at guidance 4 few with two steps and more with twenty. Right: with a full sentence one step suffices; without one, one step draws nothing and twenty steps draw a thing in most cases.",
)
claim("things found with five steps, guidance 1 minus guidance 4", table[0][1] - table[2][1], at_least=0.15)
claim("drawings in one step that show a thing, without a sentence", opened[0], at_most=0.2)
claim("gain by twenty steps, without a sentence", opened[1] - opened[0], at_least=0.3)

# %% [markdown]
# **What to see:** on the left, guidance 4 hurts, most with few steps; guidance 2 hurts with two steps, and from five
# on it is a sentence or two of forty away from guidance 1, which could be chance. These sentences leave nothing open
# that guidance could sharpen, so only its price is left. On the right you see what steps are for: what the sentence
# leaves open. Each one decides a little, and the next is told what was decided. A real sentence leaves nearly
# everything open.
#
# On the exact field of section 4 a higher order won by far. Does it win here? Twenty evaluations each, with guidance 4, where there is
# something left to win:

# %%
euler = scores[4.0, 20]  # drawn already
lead = {
    name: euler - judged(drawer, said["val"][:40], guidance=4.0, method=method, steps=count).found
    for name, method, count in (("midpoint, 10", "midpoint", 10), ("Runge-Kutta, 5", "runge_kutta", 5))
}
claim("things found, Euler minus midpoint", lead["midpoint, 10"], at_least=-0.05)
claim("things found, Euler minus Runge–Kutta", lead["Runge-Kutta, 5"], at_least=0.1)

# %% [markdown]
# It does not. For as many evaluations its steps are two and four times as long, and this field is not smooth enough to repay that.
#
# ## 10 · What it has never seen together
#
# A drawer that stores pictures cannot make pairs that were kept out; one that puts parts together can. For the small
# drawer they are the third row of section 8: it draws most of them, somewhat fewer than of the known pairs. The
# finished one loses little, although every known pair was in its training and no new one was:

# %%
gap = {"things": known_pairs.found - new_pairs.found, "backgrounds": known_pairs.background - new_pairs.background}
claim("finished drawer, known minus new pairs", gap, at_most=0.1)
claim("small drawer, the same for things", runs["drawer"].found - runs["drawer, new pairs"].found, at_most=0.15)
assert judge(reader, new_pictures, new_texts).found > 0.95  # the judge is not the reason for any gap

# %% [markdown]
# ## 11 · Does it copy?
#
# A drawing may be good because it was in the training set. The simplest test: of each drawing, the nearest training
# picture.
#
# ### ✏️ Exercise 7 · The nearest training picture ★★
#
# *Goal: find the training picture that a drawing is nearest to. About 12 minutes.*
#
# Pictures are uint8 (N, 3, S, S) and (M, 3, S, S). The distance is the root of the mean squared difference of all
# numbers. Of equal ones the smaller number wins.


# %% tags=["exercise"] id="12-nearest-training"
def nearest_training(drawn, training):
    """Numbers (N,) of the nearest training pictures, and their distances (N,)."""
    ### BEGIN SOLUTION
    ours, theirs = drawn.flatten(1).float(), training.flatten(1).float()
    distances = torch.stack([(theirs - row).square().mean(dim=1).sqrt() for row in ours])  # (N, M)
    found = distances.min(dim=1)
    return found.indices, found.values
    ### END SOLUTION


# %% tags=["check"]
check("12-nearest-training", nearest_training)

# %% [markdown]
# A distance alone says nothing: fresh pictures of the world resemble training pictures too. So two controls stand beside the
# drawer. **Fresh scenes** show how near a picture comes without copying. And **a model made to memorize** shows that the test can
# find a copy: the exact field of two hundred training pictures, each a cloud without spread. It is what a network with
# the lowest possible training loss on a finite set would be. A third control asks the drawer itself for **pictures of its training**.


# %%
def nearest(pictures, training):
    """Of each picture the distance to the nearest in the training set, and the number of that."""
    ours, theirs = pictures.flatten(1).float(), training.flatten(1).float()
    found = torch.cdist(ours, theirs).min(dim=1)
    return found.values / math.sqrt(ours.shape[1]), found.indices


stored = to_pixels(every)
memory = GaussianMixture(every[:200].flatten(1), 0.0)
copies = sample(memory, torch.randn(60, 3072, generator=generator), steps=20).view(-1, 3, 32, 32)
sets = {
    "memorizer": to_pixels(copies),
    "small drawer": small[:60],
    "asked for training pictures": draw(mine, [in_full(scene) for scene in pool[:60]], guidance=best),
    "fresh scenes": true_pictures[:60],
}
found = {name: nearest(pictures, stored) for name, pictures in sets.items()}
apart = {name: distances for name, (distances, _) in found.items()}

# %%
figure, ax = plt.subplots(figsize=(8, 2.8))
ax.hist(list(apart.values()), bins=25, label=list(apart))
ax.set(xlabel="distance to the nearest training picture", ylabel="pictures")
ax.legend()
viz.show(
    figure,
    alt="Histogram of distances: the memorizer at 0 alone; the small drawer and fresh scenes spread over the same larger distances, from about 8 on; the drawer asked for training pictures a little nearer, from about 5 on.",
)
LIMIT = 2.0  # of 255
caught = {name: (part < LIMIT).double().mean().item() for name, part in apart.items()}
claim("copies found in the memorizer", caught["memorizer"], at_least=0.95)
claim("copies found elsewhere", {name: caught[name] for name in sets if name != "memorizer"}, at_most=0.02)
alike = [
    pool[number].background == scene.background for number, scene in zip(found["small drawer"][1], test, strict=False)
]
claim("nearest training pictures with the background that was asked for", sum(alike) / len(alike), at_least=0.9)

# %% [markdown]
# **What to see:** the memorizer lies at 0 alone. Drawings and fresh scenes share the same distances, so nothing speaks for
# copies. Even when it is asked for the very pictures of its training, this drawer comes near them and does not copy. But mind what
# the test can see. With this limit it finds exact copies only, and the distance is mostly background: a
# copy of the thing alone, turned or moved, would escape it. That is why large studies compare features and patches, and
# still find copies (section 15).
#
# ## 12 · Where it fails
#
# A gallery of hits sells; a gallery of failures teaches. Of the drawings of section 9, those that the judge calls wrong:

# %%
verdicts = [judge(reader, picture[None], [text]).true for picture, text in zip(attempts, asked, strict=True)]
wrong = [row for row, verdict in enumerate(verdicts) if verdict < 1][:8]
viz.show(
    viz.gallery(attempts[wrong], [asked[row] for row in wrong], columns=4),
    alt="Up to eight drawings that the judge calls wrong, with their sentences: some are blurred, others look nearly right.",
)

# %% [markdown]
# **What to see:** some are blurred, and some look right to you. In most the judge finds the asked thing at its place and
# misses only the size, which one or two rows of dots decide. Now and then it takes one for another thing. On drawings like
# these the judge may err as well.
#
# ## 13 · A silent failure: the clock that runs too fast
#
# A colleague writes the midpoint method anew. It runs, its samples look like yours, and nobody complains.


# %%
def clock(steps):
    return torch.linspace(0, 1, steps).tolist()


def sample_of_colleague(field, x, steps):
    """Midpoint steps, at the times of the clock above."""
    h = 1 / steps
    for t in clock(steps):
        middle = x + h / 2 * field(x, torch.full((len(x),), t).to(x))
        x = x + h * field(middle, torch.full((len(x),), min(t + h / 2, 0.999)).to(x))
    return x


theirs = sample_of_colleague(clouds, torch.randn(600, 2, generator=torch.Generator().manual_seed(4)), 50)
mine_2d = sample(clouds, torch.randn(600, 2, generator=torch.Generator().manual_seed(4)), steps=50, method="midpoint")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
for name, x, color in (("yours", mine_2d, viz.BLUE), ("colleague", theirs, viz.ORANGE)):
    left.scatter(*x.T, s=5, color=color, label=name)
left.set(aspect="equal", xticks=[], yticks=[], title="samples")
left.legend()
wrong_errors = [
    (sample_of_colleague(fine, begin, n) - truth).square().sum(dim=1).mean().sqrt().item() for n in (32, 64, 128, 256)
]
lines = {"yours": errors["midpoint"], "colleague": wrong_errors}
viz.curves(
    {n: ([32, 64, 128, 256], e) for n, e in lines.items()},
    xlabel="steps",
    ylabel="error",
    log=True,
    logx=True,
    markers=True,
    ax=right,
)
viz.show(
    figure,
    alt="Left, two sets of samples that lie on each other. Right, the colleague's error falls more slowly with steps than yours.",
)
claim("order of the colleague's method", slope_of(wrong_errors), near=1, tolerance=0.25)

# %% [markdown]
# Stop here and name the cause before you read on. The samples are no help. What does an order of 1 say about a method
# that should have 2?
#
# **Diagnosis.** `linspace(0, 1, 50)` has 50 times from 0 to 1, so 49 gaps, each longer than $h=1/50$. Every step
# after the first is taken later than it should be: the clock runs ahead of the place by up to one step. That is an error of order $h$,
# which no method can repair. **The test that finds it**: measure the order on a field that you know. Looking at samples does not.
#
# ## 14 · On real data: sixteen photographs
#
# What would the exact field of a handful of photographs draw? The formula of section 11 needs no training.

# %%
photos = torch.stack([square(photo.image, 64) for photo in load_photos().values()])
album = from_pixels(photos, 64)  # (16, 3, 64, 64)
exact_album = GaussianMixture(album.flatten(1), 0.0)

# %%
way = list(trajectory(exact_album, torch.randn(3, 12288, generator=torch.Generator().manual_seed(1)), steps=20))
shown = torch.stack(way[::4], dim=1).flatten(0, 1).view(-1, 3, 64, 64)
viz.show(
    viz.gallery(to_pixels(shown), [f"step {step}" for step in range(0, 21, 4)] + [None] * 12, columns=6),
    alt="Three rows from noise to a photograph: noise at steps 0 and 4, a faint picture from step 8 on, and at step 20 one of the sixteen.",
)
found, _ = nearest(to_pixels(way[-1].view(-1, 3, 64, 64)), to_pixels(album))
assert found.max() < 2

# %% [markdown]
# **What to see:** every sample is one of the sixteen. The best possible training loss is reached by a model that
# draws nothing new! What makes drawers useful is that they *cannot* reach it: too few weights, too little time, and
# convolutions that treat all places alike. So read a very low training loss with suspicion and repeat section 11.
#
# ## 15 · At scale
#
# **Stable Diffusion 1** (model card): a U-Net that works on a map of one eighth of the side made by an autoencoder,
# words from a frozen CLIP encoder through cross-attention, 237,000 steps at 256 and 194,000 at 512 pixels with
# batches of 2,048, then 515,000 more (checkpoint 1.2). Checkpoint 1.3 goes on for 195,000 steps and drops 10 % of the
# captions, as the later ones do. 150,000 hours of A100, an estimated 11,250 kg of CO₂.
#
# **Judged by parts**, as here: GenEval (Ghosh et al., 2023) lets an object detector say what was drawn. From the main
# table of its README:
#
# | Model | one object | two objects | counting | colors | position |
# |---|---|---|---|---|---|
# | nearest picture by CLIP | 0.89 | 0.22 | 0.37 | 0.62 | 0.03 |
# | Stable Diffusion 1.5 | 0.97 | 0.38 | 0.35 | 0.76 | 0.04 |
# | Stable Diffusion XL | 0.98 | 0.74 | 0.39 | 0.85 | 0.15 |
# | IF-XL | 0.97 | 0.74 | 0.66 | 0.81 | 0.13 |
#
# One object is solved, position is not. The first row is the retrieval of chapter 11: a fair rival that cannot put
# parts together. Stable Diffusion 3 (Esser et al., 2024) trains on the straight lines of this chapter, with times drawn
# more often from the middle, and lets words and patches attend to each other both ways.
#
# **Copies.** Carlini et al. (2023) extracted more than a thousand training pictures from large models (abstract). A
# picture that stands in the set many times is the first to be stored; so remove duplicates, and test.
#
# **On one GPU** this code stays as it is: `MMCOURSE_BUDGET=gpu` trains longer. **On many**, each draws scenes of its own and
# gradients are averaged (chapter 15).

# %% [markdown] tags=["written"] id="12-may-we-use-it"
# ### ✏️ Written question · May we use it?
#
# A publisher wants to fill a schoolbook with drawings from a text-to-image model trained on pictures of the web. Name
# four things that you would check before, how you would measure each, and what result would make you say no.
#
# ### BEGIN SOLUTION
# 1. Does it draw what is asked? Write the sentences of the book first, let a judge that is independent of the drawer say
#    for each kind (one thing, two, counts, places) what is there, and state the judge's own error. In schoolbooks a wrong
#    count or relation teaches something false; below about 95 % every picture needs a person.
# 2. Does it copy? Nearest training pictures by features and by parts, with a memorizing control that the test catches. If the
#    training set cannot be searched, this cannot be answered, and that is a result too.
# 3. Whom does it show? Ask for professions and families many times and count who appears. Guidance makes the usual more
#    usual, so measure at the guidance that is used.
# 4. May the training pictures be used, and may the results? Licenses of the data, of the model and the law of the country;
#    no measurement replaces this.
# ### END SOLUTION

# %% [markdown]
# ## 16 · Open project: ten sprites for a game
#
# A game needs ten things in three sizes, all on one background, all in one style, and no two of them alike.
#
# 1. Draw each thing fifty times. Let the judge choose those that are right, and report how many attempts one good sprite costs.
# 2. Cut it out: how would you find the background, and what does it do to thin lines?
# 3. Measure consistency: the distance between sprites of one thing against that between things, at guidance 1, 3 and 6.
# 4. Show what did not work, with the pictures.
#
# Or take a subject of your own: train the drawer of section 7 on a folder of your pictures with sentences, and report
# section 8 and section 11 for it.
#
# ## 17 · Check yourself

# %%
quiz(
    Question(
        "A flow-matching loss stops at 2.1 and stays. What follows?",
        ("the network is too small", "nothing yet: there is a floor", "the rate is too high"),
        1,
        "The loss of the exact field is not zero, because many lines pass through one place.",
    ),
    Question(
        "The best possible velocity at a place is …",
        ("that of the nearest line", "the mean over all lines that pass there", "that of the likeliest line"),
        1,
        "Squared error is smallest at the conditional mean.",
    ),
    Question(
        "A method of order 2 makes errors of 0.04 with 10 steps. With 40 steps about …",
        ("0.01", "0.0025", "0.02"),
        1,
        "Four times the steps leave one sixteenth.",
    ),
    Question(
        "On the clouds of section 6, guidance 4 instead of 1 gives samples that …",
        ("are distributed like the data", "fit better and vary less", "are faster to compute"),
        1,
        "It is paid with variety, and costs a second evaluation.",
    ),
    Question(
        "A drawer that reaches the lowest possible loss on a finite training set gives …",
        ("new pictures", "the training pictures", "their mean"),
        1,
        "That field leads to the training pictures and nowhere else.",
    ),
    Question(
        "Why must the judge not be trained on drawings of the drawer?",
        ("it would be too slow", "it might learn to accept the drawer's mistakes", "drawings are too small"),
        1,
        "A judge that shares the drawer's mistakes cannot see them.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A straight line from noise to data has a constant velocity; a network learns the mean over all lines through a place.
#   Following the mean carries noise into data.
# - The loss has a floor above zero. On clouds it is known, and the network's distance to it is its distance to the exact field.
# - Euler, midpoint and Runge–Kutta have the orders 1, 2 and 4 on a field that is known and smooth; on a learned one, twenty Euler
#   steps did no worse than ten of midpoint, and better than five of Runge–Kutta.
# - Guidance moves towards what makes the condition probable. It is paid with variety, and where a sentence leaves nothing
#   open it only costs.
# - An independent judge with a stated error says what was drawn; rivals without a sentence and without steps show what each is for.
# - Copies are found by nearest training pictures, and only a control that copies shows that the test would find them.
#
# **Next: 13 · A language model that sees**, in which a picture becomes words for a model that only knew text.

# %% [markdown]
# ## References
#
# - *Flow matching for generative modeling*. Lipman, Chen, Ben-Hamu, Nickel, Le. ICLR 2023.
# - *Flow straight and fast: learning to generate and transfer data with rectified flow*. Liu, Gong, Liu. ICLR 2023.
# - *Denoising diffusion probabilistic models*. Ho, Jain, Abbeel. NeurIPS 2020.
# - *Classifier-free diffusion guidance*. Ho, Salimans. 2022.
# - *U-Net: convolutional networks for biomedical image segmentation*. Ronneberger, Fischer, Brox. MICCAI 2015.
# - *High-resolution image synthesis with latent diffusion models*. Rombach, Blattmann, Lorenz, Esser, Ommer. CVPR 2022.
# - *Scaling rectified flow transformers for high-resolution image synthesis*. Esser et al. ICML 2024.
# - *Back to basics: let denoising generative models denoise*. Li, He. 2025.
# - *GenEval: an object-focused framework for evaluating text-to-image alignment*. Ghosh, Hajishirzi, Schmidt. NeurIPS 2023.
# - *Extracting training data from diffusion models*. Carlini et al. USENIX Security 2023.
