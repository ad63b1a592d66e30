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
# # 15 · Small and fast, big and wide
#
# A model that works is half of the way. It has to fit into a telephone, answer before somebody loses patience, or be
# trained on more machines than you can see. This chapter makes the captioner of chapter 09 small, and then follows the
# other road: many processes that train as one, and laws that say what a larger model would reach.
#
# **After this chapter you can**
#
# - say what a network costs in memory and operations before it runs, and what limits its speed on *your* machine;
# - put weights on a grid of 256 places, drop half of them, or teach them to a smaller network, and state what was lost;
# - carry a network to a machine without PyTorch;
# - train in several processes that take the very steps of one, with the optimizer's memory shared out;
# - fit a scaling law with an interval, and say where it must not be trusted.
#
# **You need** chapters 03 (a tiny language model) and 09 (captioning).
#
# **Time**: about 80 minutes to read, 3 minutes to run, 65 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   text  ──►  language model ──┐
#                               ├── fusion ──►  captions  ──►  a telephone    small and fast
#   image ──►  vision model  ───┘                         ──►  many machines  big and wide
#                                                              ▲
#                                                              └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import copy
import csv
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from mmcourse import decoding, deploy, viz
from mmcourse.content import content_dir
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import caption_log_prob, load_photos, make_scenes, rate_captions, square
from mmcourse.deploy.layers import weight_layers
from mmcourse.encoders.pretrained import load_image_encoder
from mmcourse.lm import GPT, IGNORED, GPTConfig, Shifted, mean_loss, shift
from mmcourse.models.captioner import Captioner
from mmcourse.recipes import RECIPES, load_trained
from mmcourse.recipes.data.captions import FreshScenes
from mmcourse.recipes.data.worlds import CONTEXT, scene_texts
from mmcourse.recipes.tiny_lm import loss as tokens_loss
from mmcourse.runtime import by_budget, seed_everything
from mmcourse.train import Batches, fit
from mmcourse.transformer import Block

generator = open_chapter(15)
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1 · A question with a picture
#
# Six scenes. Three captions come from the captioner of chapter 09. The other three come from a copy that was cut to
# about a quarter of its bytes. Which are which?

# %%
large = load_trained("captioner").model
small = deploy.quantize_model(large)
test = make_scenes(by_budget(smoke=12, standard=400), split="test")


def texts(model, images):
    """A greedy caption of each picture."""
    return [caption.text for caption in model.generate(images)]


said = texts(large, test.images[[0, 2, 4]]), texts(small, test.images[[1, 3, 5]])
labels = [text for pair in zip(*said, strict=True) for text in pair]
viz.show(
    viz.gallery(test.images[:6], labels, columns=3),
    alt="Six scenes, each with a caption that fits it; captions of the full and of the small model take turns.",
)

# %% [markdown]
# **What to see:** nothing. The captions of the full model stand in the first, third and fifth place, and you could not
# tell. What was taken away, and why was it not missed? And can one take away more?
#
# ## 2 · Where the memory and the operations go
#
# **Step 1, by hand.** A linear map from 3 numbers to 4, on 2 rows. Count each product with its sum as one:
#
# - **multiply–add**（乘加运算）: a product added to a sum; papers that count floating-point operations (FLOPs) count two for
#   it.

# %%
rows, inputs, outputs = 2, 3, 4
counted = 0
for _row in range(rows):
    for _output in range(outputs):
        for _input in range(inputs):
            counted += 1
print(counted, "multiply–adds,", inputs * outputs + outputs, "numbers to keep")
assert counted == rows * inputs * outputs == deploy.count_operations(nn.Linear(3, 4), torch.zeros(2, 3)).total

# %% [markdown]
# **Step 2, a formula.** $T$ rows from $C$ to $D$ numbers cost $T\cdot C\cdot D$. The weights are read once and used $T$
# times.
#
# **Step 3, a block.** A transformer block has six such maps, and attention between them: $T\times T$ scores of $C$
# products each (all heads together), and as many for the sums of values. A causal mask saves nothing here, as what it
# hides is computed too.
#
# ### ✏️ Exercise 1 · What a block costs ★★
#
# *Goal: say what a transformer block costs before it runs. About 8 minutes.*
#
# Count four maps of attention from C to C, the scores, the sums of values, and a feed-forward from C to 4C and back.
# Norms, biases and softmax are left out.


# %% tags=["exercise"] id="15-count"
def block_operations(tokens, width, heads):
    """Multiply–adds of one block on one text of so many tokens."""
    ### BEGIN SOLUTION
    maps = 4 * tokens * width**2
    attention = 2 * tokens**2 * width
    feed_forward = 8 * tokens * width**2
    return maps + attention + feed_forward
    ### END SOLUTION


# %% tags=["check"]
check("15-count", block_operations)

# %% [markdown]
# **Parity.** The library's `count_operations` runs the model with tensors that have a shape and no values, so it can
# count models that would not fit into memory. On blocks of several sizes it finds $12\,T C^2+2\,T^2C$. Then the
# captioner, part by part: where are its numbers, and where its operations for one picture and one sentence?

# %%
for tokens, width, heads in ((10, 64, 4), (200, 64, 8), (1000, 1024, 16)):
    found = deploy.count_operations(Block(width, heads), torch.zeros(1, tokens, width)).total
    assert found == 12 * tokens * width**2 + 2 * tokens**2 * width
    print(
        f"{tokens:5,} tokens, width {width:5,}: {found:>15,}, of it attention {2 * tokens / (12 * width + 2 * tokens):.0%}"
    )

# %%
picture, sentence = torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(1, 15, dtype=torch.int64)
NAMES = {"cnn": "CNN", "encoder": "encoder", "decoder": "decoder"}
numbers = {label: deploy.count_parameters(getattr(large, part)) / 1e3 for part, label in NAMES.items()}
parts = deploy.count_operations(large, picture, sentence).parts
work = {label: sum(n for name, n in parts.items() if name.startswith(part)) / 1e6 for part, label in NAMES.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
viz.bars(numbers, ylabel="thousand parameters", digits=0, ax=left)
viz.bars(work, ylabel="million multiply–adds", digits=0, ax=right)
viz.show(
    figure,
    alt="Left, parameters: the decoder has most, over half a million, the CNN fewer, the encoder fewest. Right, multiply-adds: the CNN has most, about 34 million, the decoder 12, the encoder 9.",
)
most = {
    "of parameters in the decoder": numbers["decoder"] / sum(numbers.values()),
    "of operations in the CNN": work["CNN"] / sum(work.values()),
}
claim("share", most, at_least=0.5)

# %% [markdown]
# **What to see:** *small* and *fast* are two different wishes. Half of the numbers are in the decoder, and more than
# half of the work is in the CNN, whose few weights are used again at every place of the picture.
#
# **In training** there is more to keep: for every weight (4 bytes) a gradient (4) and AdamW's two running means (8).
# And each layer keeps what it will need for the gradient:
#
# - **activations**（激活值）: the results of layers, kept during the forward pass until the backward pass has used them.
#
# Count them: PyTorch tells of each tensor that it keeps.


# %%
def kept_bytes(model, *batch):
    """Bytes that one forward pass keeps for the gradient, without the weights."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(*batch)  # holds on to what was kept, so that no place in memory is used twice
    del result
    return sum(kept.values())


SIZES = [1, 2, 4, 8, 16, 32]
fresh = copy.deepcopy(large).train()
activations = [kept_bytes(fresh, picture.repeat(n, 1, 1, 1), sentence.repeat(n, 1)) / 1e6 for n in SIZES]
weights = 4 * deploy.count_parameters(large) / 1e6
memory = {"weights": [weights] * 6, "gradient and AdamW": [3 * weights] * 6, "activations": activations}
figure = viz.curves({name: (SIZES, line) for name, line in memory.items()}, xlabel="pictures in a batch", ylabel="MB",
                    log=True, logx=True, markers=True)  # fmt: skip
figure.axes[0].set_yticks([2, 4, 8, 12, 24, 48], labels=["2", "4", "8", "12", "24", "48"])
figure.axes[0].minorticks_off()
viz.show(
    figure,
    alt="Megabytes over the size of a batch: weights level at 4, gradient and AdamW level at 12, activations a rising line that is above both from eight pictures on.",
)
assert activations[3] > 3 * weights  # with eight pictures
claim("activations of 32 pictures over those of 16", activations[5] / activations[4], near=2, tolerance=0.05)

# %% [markdown]
# **What to see:** activations grow with the batch, and from eight pictures on they are the largest part. That is why a
# batch beyond memory is cut up (chapter 08), and why large systems compute activations twice rather than keep them.
#
# **In writing**, keys and values of all earlier tokens are kept: 2 · layers · tokens · channels numbers for each text.
# Put in those of a large system: Llama 3.1 405B has 126 layers and keeps, for each, 8 heads of 128 channels (Table 3 of
# its paper). In two bytes each, that is 2 · 126 · 8 · 128 · 2 = 516,096 bytes a token, or 68 GB for a text of 131,072.
#
# ## 3 · Where the time goes: a roof over your machine
#
# Operations do not say how long something takes. A processor can only compute with what has come from memory.
#
# - **bandwidth**（带宽）: bytes that come from memory in a second.
# - **arithmetic intensity**（算术强度）: operations for each byte that is moved.
# - **roofline model**（屋顶线模型）: no more than min(peak speed, bandwidth × intensity) operations a second.
#
# A matrix of $n\times n$ numbers times $b$ vectors needs $2bn^2$ floating-point operations and moves $4(n^2+2bn)$
# bytes. So its intensity is about $b/2$, as long as $b$ is small beside $n$: **each weight that was fetched is used $b$
# times.** Measure it on your machine.


# %%
def seconds(job, *, repeats=5):
    """The shortest of several times: whatever else runs on a machine only makes it longer."""
    job()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        times.append(time.perf_counter() - begin)
    return min(times)


N = by_budget(smoke=256, standard=2048)
matrix, vectors = torch.randn(N, N, generator=generator), torch.randn(N, 512, generator=generator)
COLUMNS = [1, 4, 16, 64, 256, 512]
intensity = [2 * b * N**2 / (4 * (N**2 + 2 * b * N)) for b in COLUMNS]

# %% tags=["nbval-ignore-output"]
speed = [2 * b * N**2 / seconds(lambda b=b: matrix @ vectors[:, :b].contiguous()) / 1e9 for b in COLUMNS]
bandwidth = 2 * matrix.nbytes / seconds(lambda: matrix.add_(0.0)) / 1e9  # read and written
reach = np.geomspace(0.25, 512, 50)
roof = np.minimum(max(speed), bandwidth * reach)
figure, ax = plt.subplots(figsize=(7, 3.2))
ax.loglog(reach, roof, color=viz.GRAY, label="roof")
ax.loglog(intensity, speed, "o", color=viz.BLUE, label="measured")
ax.set(xlabel="operations a byte", ylabel="billion operations a second")
ax.legend()
viz.show(
    figure,
    alt="A roof of a slanted and a level line, and measured products of a matrix with more and more vectors below or at it; with many vectors they reach the level part.",
)
print(f"{bandwidth:.1f} GB/s, at most {max(speed):.0f} billion operations a second")

for count in (1, 4, 16, 64):
    images = test.images[: min(count, len(test.images))]
    spent = seconds(lambda images=images: large.generate(images), repeats=2)
    print(
        f"{len(images):3} pictures at once: {1e3 * spent:6.0f} ms to wait, {len(images) / spent:6.0f} captions a second"
    )

# %% [markdown]
# **What to see:** with one vector your machine does a fraction of the operations that it could: it waits for the weights, and
# the point lies under the slanted part. With many vectors it reaches its peak. Before that, points can lie far below the
# roof: it is a limit and no promise. Writing a text token by token is the left end: *one* vector at a time through all weights. There, fewer
# **bytes** make it faster, whatever happens to the operations.
#
# Two words for what one measures:
#
# - **latency**（延迟）: how long one waits for one answer.
# - **throughput**（吞吐量）: how many answers come in a second.
#
# More at once is better for whoever pays, and worse for whoever waits. Times belong to this machine and this minute, so
# this course prints them and never claims anything about them.
#
# ## 4 · Quantization: 256 places
#
# - **quantization**（量化）: storing numbers as whole numbers of few bits, with a scale that says what they mean.
#
# Jacob et al. (2018): a number $r$ is stored as a place $q$ from −128 to 127, where
#
# $$r\approx S\,(q-Z)$$
#
# - **scale**（缩放因子）: the distance $S$ of two places.
# - **zero point**（零点）: the place $Z$ that means exactly 0.
#
# **Derivation.** The range from *low* to *high* gets 256 places, so 255 steps: $S=(\text{high}-\text{low})/255$. The
# lowest place shall mean low: $\text{low}=S(-128-Z)$, hence $Z=-128-\text{low}/S$. That is rarely whole, and is
# rounded, so that **0 itself is exact**: padding, ReLU and pruned weights are full of zeros. For 0 to be on the grid at
# all, the range has to hold it.
#
# **Step 1, by hand.** Five numbers, low −1 and high 2:

# %%
row = [-1.0, -0.2, 0.0, 0.3, 2.0]
S = (2.0 - -1.0) / 255
Z = round(-128 - -1.0 / S)
for r in row:
    q = max(-128, min(127, round(r / S) + Z))
    print(f"{r:5.1f} is place {q:4}, which means {S * (q - Z):8.4f}")
assert Z == -43

# %% [markdown]
# ### ✏️ Exercise 2 · 256 places ★★
#
# *Goal: put numbers on a grid of 256 places, one of which is exactly 0. About 10 minutes.*
#
# The range was measured before, on other data, so numbers may lie outside: they go to the end of the grid. Widen the
# range where it does not hold 0. Return int8 places, the scale and the zero point.


# %% tags=["exercise"] id="15-quantize"
def quantize(x, low, high):
    """The int8 places of x, the scale and the zero point of the range from low to high."""
    ### BEGIN SOLUTION
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    places = (x / scale).round() + zero_point
    return places.clamp(-128, 127).to(torch.int8), scale, zero_point
    ### END SOLUTION


# %% tags=["check"]
check("15-quantize", quantize)

# %% [markdown]
# **Parity.** The library fits its grid to the numbers themselves. On that grid, PyTorch's own function gives the same
# numbers to the last bit, as the cell below checks first.
#
# **How large is the error?** A number lies anywhere between two places, at most $S/2$ from the nearer. If all places in
# between are equally likely, the mean squared error is
#
# $$\frac1S\int_{-S/2}^{S/2}e^2\,de=\frac{S^2}{12}$$
#
# One bit less doubles $S$, and so the root of it. With $b$ bits and a symmetric grid there are $2^{b-1}-1$ steps on
# each side of 0:

# %%
x = torch.randn(10_000, generator=generator) + 0.5
grid = deploy.fit_grid(x, scheme="affine")
ours = deploy.dequantize(deploy.quantize(x, grid), grid)
theirs = torch.fake_quantize_per_tensor_affine(x, grid.scale.item(), grid.zero_point.item(), -128, 127)
assert torch.equal(ours, theirs)


# %%
def rounded(weight, bits, *, per_channel):
    """What a weight (O, …) reads as when it is stored with so many bits, symmetric around 0."""
    across = list(range(int(per_channel), weight.dim()))
    largest = weight.abs().amax(across, keepdim=True)
    scale = (largest / (2 ** (bits - 1) - 1)).clamp(min=torch.finfo(weight.dtype).tiny)
    return (weight * (1 / scale)).round() * scale  # as PyTorch: times the inverse, not divided


wide = torch.randn(256, 256, generator=generator, dtype=torch.float64)
BITS = [2, 3, 4, 5, 6, 7, 8, 9, 10]
lost = [(rounded(wide, b, per_channel=False) - wide).square().mean().sqrt().item() for b in BITS]
promised = [wide.abs().max().item() / (2 ** (b - 1) - 1) / 12**0.5 for b in BITS]
viz.show(
    viz.curves({"measured": (BITS, lost), "S / √12": (BITS, promised)}, xlabel="bits", ylabel="root mean squared error",
               log=True, markers=True),
    alt="Error over bits on a logarithmic axis: the measured line falls by half with each bit and lies on the promised one from three bits on.",
)  # fmt: skip
ratios = {f"{b} bits": found / said for b, found, said in zip(BITS[1:], lost[1:], promised[1:], strict=True)}
claim("measured error over S / √12", ratios, near=1, tolerance=0.05)

# %% [markdown]
# **What to see:** each bit about halves the error. At two bits the formula fails, because nearly all numbers go to the same
# place and are no longer spread evenly between two.
#
# $S$ hangs on the *largest* number alone. A weight matrix has many output channels, and if one of them is a hundred
# times as large as the rest, it takes all the places for itself.
#
# - **per-channel quantization**（逐通道量化）: each output channel has a scale of its own.
#
# ### ✏️ Exercise 3 · A grid for each channel ★★
#
# *Goal: give each output channel of a weight a grid of its own. About 8 minutes.*
#
# The grids are symmetric, from −127 to 127. A channel of zeros has the scale 1, because one divides by it.


# %% tags=["exercise"] id="15-per-channel"
def per_channel(weight):
    """Scales (O, 1), int8 values (O, C) and the weight that they stand for, of a weight (O, C)."""
    ### BEGIN SOLUTION
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    scale = scale.where(scale > 0, 1.0)
    values = (weight / scale).round().to(torch.int8)
    return scale, values, values * scale
    ### END SOLUTION


# %% tags=["check"]
check("15-per-channel", per_channel)

# %% [markdown]
# **Parity**, and what it brings: is the error of a layer of the captioner, as a share of its weights, smaller with a grid
# for each channel? Yet weights do not matter, captions do. So judge the captions, by the world's own truth
# (chapter 09), while the bits go.

# %%
layers = {name: layer.weight.detach() for name, layer in weight_layers(large).items()}
for name, layer in weight_layers(large).items():
    torch.testing.assert_close(small.get_submodule(name).weight, rounded(layer.weight, 8, per_channel=True))


def error_of(weight, **how):
    """The error of eight bits as a share of the size of a weight."""
    return ((rounded(weight, 8, **how) - weight).norm() / weight.norm()).item()


better = [error_of(w, per_channel=True) < error_of(w, per_channel=False) for w in layers.values()]
claim("share of layers that a grid for each channel serves better", sum(better) / len(better), at_least=0.95)


# %%
def changed(model, change):
    """A copy of a model whose linear, convolution and embedding weights went through `change`."""
    other = copy.deepcopy(model)
    weights = {id(layer.weight): layer.weight for layer in weight_layers(other).values()}  # shared ones once
    with torch.no_grad():
        for weight in weights.values():
            weight.copy_(change(weight))
    return other


def truth(model, count=None):
    """The share of greedy captions of test scenes that are true."""
    return rate_captions(test.scenes[:count], texts(model, test.images[:count])).true


FEW = by_budget(smoke=12, standard=200)
TRIED = by_budget(smoke=[4, 8], standard=[2, 3, 4, 5, 6, 8])
kept_true = {
    name: [truth(changed(large, lambda w, b=b, own=own: rounded(w, b, per_channel=own)), FEW) for b in TRIED]
    for name, own in (("one grid", False), ("one a channel", True))
}
viz.show(
    viz.curves({name: (TRIED, line) for name, line in kept_true.items()}, xlabel="bits of a weight",
               ylabel="captions that are true", baseline={"32 bits": truth(large, FEW)}, markers=True, ylim=(-0.03, 1.05)),
    alt="True captions over bits of a weight: near the level of 32 bits at six and eight, falling below; a grid for each channel holds out to fewer bits than one grid.",
)  # fmt: skip
at = {name: dict(zip(TRIED, line, strict=True)) for name, line in kept_true.items()}
claim("true captions at 8 bits", {name: line[8] for name, line in at.items()}, at_least=0.95)
claim("lead of a grid for each channel at 4 bits", at["one a channel"][4] - at["one grid"][4], at_least=0.4)

# %% [markdown]
# **What to see:** nothing happens for a long time, and then everything. With a grid for each channel it comes later.
# Why so long? Training itself is noisy, and weights that could not bear a small change would hardly have been found.
# That is a guess and no measurement.
#
# **The finished thing.** `quantize_model` puts layers with int8 weights in place of the others; what was tied stays
# tied. Its file is about a quarter as large, and the cell below loads it again.
#
# Our layers make floats of their weights at every call: small, not fast. To be fast as well, the sums themselves have
# to run in whole numbers. That needs inputs on a grid, too, whose error this chapter does not measure; the sums themselves
# are then exact. With $x\approx S_x(q_x-Z_x)$ and $w\approx S_wq_w$,
#
# $$\sum_i x_iw_i\approx S_xS_w\Big(\sum_i q_{x,i}\,q_{w,i}-Z_x\sum_i q_{w,i}\Big)$$
#
# The first sum has whole numbers only, and the second is known before. The end of the cell checks both sides in float64.

# %%
path = folder / "captioner.int8.safetensors"
deploy.save_quantized(small, path)
again = Captioner(large.config, large.tokenizer).eval()
deploy.load_quantized(again, path)
assert texts(again, test.images[:20]) == texts(small, test.images[:20])
bytes_share = deploy.count_bytes(small) / deploy.count_bytes(large)
print(f"{deploy.count_bytes(large):,} bytes become {deploy.count_bytes(small):,}; the file has {path.stat().st_size:,}")
assert bytes_share < 0.27
claim("true captions that int8 costs", truth(large) - truth(small), at_most=0.01)

q_x, q_w = torch.randint(-128, 128, (2, 8, 64), generator=generator)
S_x, Z_x, S_w = 0.03, 17, 0.002
by_floats = (S_x * (q_x - Z_x).double()) @ (S_w * q_w.double()).T
by_integers = S_x * S_w * (q_x @ q_w.T - Z_x * q_w.sum(dim=1)).double()
assert torch.allclose(by_floats, by_integers, rtol=0, atol=1e-9)

# %% [markdown]
# ## 5 · A silent failure: one weight in each channel
#
# A colleague writes the eight bits anew. The median error is as it should be. The captions are not.


# %%
def by_colleague(weight):
    """Eight bits, a scale for each output channel."""
    across = list(range(1, weight.dim()))
    scale = (weight.abs().amax(across, keepdim=True) / 128).clamp(min=1e-12)
    return (weight / scale).round().to(torch.int32).to(torch.int8) * scale


theirs = changed(large, by_colleague)
typical_error = {
    "library": torch.cat([(rounded(w, 8, per_channel=True) - w).flatten() for w in layers.values()]).abs().median(),
    "colleague": torch.cat([(by_colleague(w) - w).flatten() for w in layers.values()]).abs().median(),
}
assert 0.95 < typical_error["colleague"] / typical_error["library"] < 1.05
claim("true captions of the colleague's model", truth(theirs, FEW), at_most=0.1)

# %% [markdown]
# Stop here and name the cause before you read on. Half of all errors are smaller than the median. What should you look
# at instead?

# %%
off = torch.cat(
    [
        ((by_colleague(w) - w).abs() / w.abs().amax(list(range(1, w.dim())), keepdim=True)).flatten()
        for w in layers.values()
    ]
)
figure, ax = plt.subplots(figsize=(7, 2.8))
ax.hist(off.clamp(min=1e-5).log10().numpy(), bins=60, color=viz.BLUE)
ax.set(yscale="log", xlabel="error over the largest weight of the channel, power of ten", ylabel="weights")
viz.show(
    figure,
    alt="Histogram of errors: nearly all far below one hundredth, and a small heap apart from them at twice the largest weight.",
)
assert 1.95 < off.max() < 2.05
assert (off > 1).double().mean() < 0.02

# %% [markdown]
# **Diagnosis.** The largest weight of a channel, divided by 1/128 of itself, is place 128. There is none in int8: the
# bits that are left mean −128. **The most important weight of a channel turns its sign**, if it is positive; a negative
# one is right, as there is a place −128. Dividing by 127 cures it, and clamping makes it harmless. **The test that
# finds it**: the *largest* error, which may not be above half a step.
#
# ## 6 · Pruning: zeros for weights
#
# - **pruning**（剪枝）: setting weights to 0, usually the smallest (Han et al., 2015).
# - **sparsity**（稀疏度）: the share of zeros.
#
# ### ✏️ Exercise 4 · The smallest go ★★
#
# *Goal: say which weights stay when the smallest of them go. About 8 minutes.*
#
# `amount` is the share that goes; `round(amount · N)` of N numbers. Of equal sizes those go that come first, row by
# row.


# %% tags=["exercise"] id="15-prune"
def magnitude_mask(weight, amount):
    """Bool of the shape of weight, True where a number stays."""
    ### BEGIN SOLUTION
    order = weight.abs().flatten().argsort(stable=True)
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    keep[order[: round(amount * weight.numel())]] = False
    return keep.view(weight.shape)
    ### END SOLUTION


# %% tags=["check"]
check("15-prune", magnitude_mask)

# %% [markdown]
# **Parity**: PyTorch's own pruning keeps the same numbers. Then prune the captioner in two ways: the same share of
# every layer, or the smallest of all layers together.

# %%
linear = nn.Linear(30, 20)
mask = deploy.magnitude_mask(linear.weight, amount=0.7)
prune.l1_unstructured(linear, "weight", amount=0.7)
assert torch.equal(mask, linear.weight_mask.bool())


def pruned(amount, scope):
    """A pruned copy of the captioner, and its masks."""
    other = copy.deepcopy(large)
    return other, deploy.prune_model(other, amount=amount, scope=scope)


GONE = by_budget(smoke=[0.5], standard=[0.2, 0.4, 0.5, 0.6, 0.7])
left_true = {scope: [truth(pruned(amount, scope)[0], FEW) for amount in GONE] for scope in ("layer", "global")}

# %% [markdown]
# What is lost can be learned again: go on training for a little while and set the pruned weights back to 0 after each
# step. `fit` calls a model's `after_step` if it has one.

# %%
mended, masks = pruned(0.6, "layer")
mended.after_step = lambda: deploy.apply_masks(mended, masks)
scenes = FreshScenes(large.tokenizer, size=32)


def caption_loss(model, batch):
    return F.cross_entropy(model(batch.images, batch.inputs).mT, batch.targets, ignore_index=IGNORED)


fit(mended, caption_loss, scenes, steps=by_budget(smoke=2, standard=40), learning_rate=3e-4, description="mending")
del mended.after_step
assert deploy.sparsity(mended) > 0.59
healed = truth(mended, FEW)
lines = {f"by {scope}" if scope == "layer" else "all together": (GONE, line) for scope, line in left_true.items()}
figure = viz.curves(
    lines, xlabel="share of weights that went", ylabel="captions that are true", markers=True, ylim=(-0.03, 1.05)
)
figure.axes[0].plot([0.6], [healed], "*", ms=14, color=viz.BLUE, label="by layer, trained on")
figure.axes[0].legend()
viz.show(
    figure,
    alt="True captions over the share of weights that went: by layer falling all the way, all together level at first and then falling steeply; a star for a model that was trained on after pruning stands above its line.",
)
broken = dict(zip(GONE, left_true["layer"], strict=True)).get(0.6, 0.0)
claim("what mending brings back", healed - broken, at_least=0.7)

# %% [markdown]
# **What to see:** when the smallest of *all* layers go, a level and an edge; by layer captions fall much earlier. Forty
# steps of training bring a model back that had lost nearly all.
#
# **Why zeros alone do not make it faster.** A product with 0 takes as long as any other. To skip it, one has to look
# where the zeros are, and that costs more than a product. The file does not shrink either: a zero is a number of four
# bytes. A *sparse* format stores each number that is left with its column, so it gains nothing before half are gone. (What is
# timed below stores row and column of each, for which PyTorch's sparse products are best supported.)


# %% tags=["nbval-ignore-output"]
def sparse_bytes(weight):
    """Bytes of compressed rows: numbers that are not 0, the column of each, and where rows begin."""
    stays = int((weight != 0).sum())
    return 4 * stays + 4 * stays + 4 * (len(weight) + 1)


dense = torch.randn(512, 512, generator=generator)
for amount in (0.25, 0.5, 0.75, 0.9):
    thin = dense * deploy.magnitude_mask(dense, amount=amount)
    print(f"{amount:.0%} zeros: {sparse_bytes(thin) / dense.nbytes:.2f} of the dense bytes")
half = dense * deploy.magnitude_mask(dense, amount=0.5)
assert 0.99 < sparse_bytes(half) / dense.nbytes < 1.01

batch = torch.randn(512, 64, generator=generator)
rows = half.to_sparse_coo()
jobs = {"dense": lambda: dense @ batch, "half zeros": lambda: half @ batch, "sparse, by pairs": lambda: rows @ batch}
for name, job in jobs.items():
    print(f"{name:16} {1e6 * seconds(job):8.0f} microseconds")

# %% [markdown]
# What helps is to make the *matrices* smaller: fewer operations and fewer bytes, without a special format.
#
# - **structured pruning**（结构化剪枝）: removing whole channels, heads or layers.
# - **low-rank factorization**（低秩分解）: a weight (O, I) becomes the product of two thin ones, (O, R) and (R, I).
#
# Which product is best? The singular values say which is nearest to $W$ as a matrix. But nobody looks at $W$. What counts
# is $Wx$ for the inputs $x$ that come. With $\mathbb E[xx^\top]=LL^\top$,
#
# $$\mathbb E\,\|Wx-W'x\|^2=\operatorname{tr}\big((W-W')\,LL^\top(W-W')^\top\big)=\|WL-W'L\|^2$$
#
# so take the nearest to $WL$, and multiply by $L^{-1}$ (Wang et al., 2025). Try both with half of the captioner's
# numbers. The ranks are dealt out by the same measure, to the layers where they add most: what you see is the lead of
# both together. Nothing is trained. Predict how many captions stay true.

# %%
weight = layers["decoder.blocks.0.feed_forward.expand"]
tall, wide, _ = deploy.thin_factors(weight, rank=20)
left, values, right = torch.linalg.svd(weight)
torch.testing.assert_close(tall @ wide, left[:, :20] * values[:20] @ right[:20], rtol=0, atol=1e-5)
shown = FreshScenes(large.tokenizer, size=64)(10_000_000)
thin_true, thin_operations = {}, {}
for name, inputs in (("nearest weights", None), ("nearest outputs", (shown.images, shown.inputs))):
    thin = copy.deepcopy(large)
    deploy.factorize_model(thin, keep=0.5, inputs=inputs)
    thin_true[name] = truth(thin, FEW)
    thin_operations[name] = deploy.count_operations(thin, picture, sentence).total / sum(parts.values())
print({name: f"{share:.2f} of the operations" for name, share in thin_operations.items()})
assert max(thin_operations.values()) < 0.7
claim("true captions, nearest outputs", thin_true["nearest outputs"], at_least=0.8)
claim("lead over nearest weights", thin_true["nearest outputs"] - thin_true["nearest weights"], at_least=0.2)

# %% [markdown]
# ## 7 · Distillation: a teacher's doubts
#
# - **knowledge distillation**（知识蒸馏）: training a small network on what a large one answers (Hinton et al., 2015).
#
# A caption in the data says: the next word is *small*. A teacher says: *small* 0.4, *large* 0.3, *medium* 0.25, and
# hardly ever *cat*. That is more than one word in one place. A **temperature** $T$ softens both answers,
# $p=\mathrm{softmax}(v/T)$ for the teacher and $q=\mathrm{softmax}(z/T)$ for the student, so that small probabilities
# are seen.
#
# **The gradient.** For one sample, $L=\mathrm{KL}(p\,\|\,q)$ has, as in chapter 02, the gradient $q-p$ with respect to
# $z/T$, and so
#
# $$\frac{\partial L}{\partial z}=\frac{1}{T}(q-p)$$
#
# For a large $T$, $e^{z/T}\approx 1+z/T$. With logits whose mean is 0 and $V$ classes, $q\approx\frac1V(1+\frac zT)$,
# hence
#
# $$\frac{\partial L}{\partial z}\approx\frac{1}{V\,T^2}\,(z-v)$$
#
# Two things follow. The gradients shrink by $1/T^2$, so **the loss is multiplied by $T^2$**. And at high temperature a
# student copies the *logits*, with squared error. Check it in float64:

# %%
z, v = torch.randn(2, 6, generator=generator, dtype=torch.float64)
z, v = (z - z.mean()).requires_grad_(), v - v.mean()
for T in (1.0, 5.0, 100.0):
    log_q, log_p = (z / T).log_softmax(0), (v / T).log_softmax(0)
    (slope,) = torch.autograd.grad(T**2 * (log_p.exp() * (log_p - log_q)).sum(), z)
    assert torch.allclose(slope, T * (log_q.exp() - log_p.exp()), rtol=0, atol=1e-10)
    far = ((slope - (z - v) / 6).norm() / slope.norm()).item()
    print(f"T = {T:5.0f}: {far:.0%} from copying logits")
assert far < 0.03

# %% [markdown]
# ### ✏️ Exercise 5 · Learn from a teacher ★★
#
# *Goal: measure how far a student is from its teacher, with both softened. About 8 minutes.*
#
# Return $T^2\cdot\mathrm{KL}(\text{teacher}\,\|\,\text{student})$, the mean over samples.


# %% tags=["exercise"] id="15-distill"
def soft_loss(student, teacher, temperature):
    """The mean softened divergence of logits (B, V) and (B, V), in nats, times the temperature squared."""
    ### BEGIN SOLUTION
    log_p = (teacher / temperature).log_softmax(dim=-1)
    log_q = (student / temperature).log_softmax(dim=-1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean()
    ### END SOLUTION


# %% tags=["check"]
check("15-distill", soft_loss)

# %% [markdown]
# **Parity**, and a look at a teacher's doubts: what the captioner would say behind *a*, with the temperatures 1 and 3.

# %%
logits = torch.randn(2, 8, 20, generator=generator)
torch_kl = F.kl_div(
    (logits[0] / 3).log_softmax(-1), (logits[1] / 3).log_softmax(-1), log_target=True, reduction="batchmean"
)
torch.testing.assert_close(deploy.soft_loss(*logits, temperature=3.0).mean(), 9 * torch_kl)
with torch.no_grad():
    start = torch.tensor([[large.tokenizer.bos_id, large.tokenizer.ids["a"]]])
    second = large(test.images[:1], start)[0, -1]
for word in second.topk(6).indices.tolist():
    shares = [f"{(second / T).softmax(dim=0)[word]:.2f}" for T in (1, 3)]
    print(f"{large.tokenizer.vocabulary[word]:12}", *shares)

# %% [markdown]
# Softened, the order is seen among words that are improbable.
#
# **The experiment.** A thousand captions are few for a language model. Two students see the *same* thousand for the same
# number of steps. One learns the word that stands there. Of the other's loss nine tenths come from what the `tiny-lm` of
# chapter 03 would say at each place, at $T=1$, and one tenth from the word. The exact entropy says how far each ends above the best possible.
# Three seeds. Mind that the comparison is not between equals: the teacher saw far more captions, and can pass on what
# it learned from them.

# %%
writer = load_trained("tiny-lm")
tokenizer, teacher = writer.tokenizer, writer.model


def pairs(count, split):
    """Inputs and targets of captions, and the captions."""
    lines = scene_texts(0, count, split=split)
    return shift(tokenizer.encode_batch(lines, add_special=True).ids, pad_id=tokenizer.pad_id), lines


(val_x, val_y), val_lines = pairs(by_budget(smoke=100, standard=3000), "val")
floor = -sum(map(caption_log_prob, val_lines)) / int((val_y != IGNORED).sum())


def excess(model):
    """The loss in nats a token above what the grammar itself would have on the same captions."""
    return mean_loss(model, val_x, val_y) - floor


# %%
def tiny(width, seed, depth=2):
    """A GPT that starts as tiny-lm did."""
    seed_everything(seed)
    sizes = {"vocabulary_size": len(tokenizer), "context": CONTEXT, "width": width, "heads": max(1, width // 16)}
    model = GPT(GPTConfig(**sizes, depth=depth))
    nn.init.normal_(model.embedding.weight, std=0.1)
    return model


def learning(soft_weight):
    """A loss of which this share comes from the teacher's answers."""

    def loss(model, batch):
        inputs, targets, answers = batch
        options = {"temperature": 1.0, "soft_weight": soft_weight, "ignore_index": IGNORED}
        return deploy.distillation_loss(model(inputs), answers, targets, **options).loss

    return loss


(few_x, few_y), _ = pairs(1000, "train")
with torch.no_grad():
    answers = teacher(few_x)  # once for all steps: the captions never change
ends = {"captions alone": [], "the teacher as well": []}
for seed in range(by_budget(smoke=1, standard=3)):
    for name, weight in zip(ends, (0.0, 0.9), strict=True):
        student = tiny(32, seed, depth=1)
        rows = Batches(few_x, few_y, answers, size=64, seed=seed)
        fit(student, learning(weight), rows, steps=by_budget(smoke=3, standard=300), learning_rate=3e-3,
            description=f"{name}, seed {seed}")  # fmt: skip
        ends[name].append(excess(student))

# %% [markdown]
# Before you look: which of the two should end lower, and can either get below the teacher?

# %%
viz.show(
    viz.dots(ends, ylabel="nats above the entropy", baseline={"teacher": excess(teacher)}),
    alt="Distance to the entropy of three seeds each: students that learned from captions alone end higher than those of the teacher, who lies near 0.",
)
gain = [alone - taught for alone, taught in zip(*ends.values(), strict=True)]
claim("what the teacher is worth, worst of three seeds", min(gain), at_least=0.02)

# %% [markdown]
# **What to see:** the same captions teach more when somebody who knows the language says what else could stand there.
# Captions, steps, seeds and learning rate are the same; only the targets differ.
#
# **The captioner.** The student is the captioner with every layer cut in two thin ones, a quarter of the numbers in all. Cut
# so far, it says hardly anything that is true. It then learns for 1,500 steps on new scenes: from captions, from the
# teacher's answers, and from what the teacher knows about each patch (**hints**, Romero et al., 2015). That takes half an hour
# (`data/make_distilled.py`), with three seeds. What is left of the truth?

# %%
with (content_dir("data") / "distilled.csv").open(encoding="utf-8", newline="") as file:
    runs = list(csv.DictReader(file))


def of(name, column):
    """The values of a column in the runs of one model."""
    return [float(run[column]) for run in runs if run["model"] == name]


size_share = of("distilled", "parameters")[0] / of("teacher", "parameters")[0]
print(f"the student has {size_share:.3f} of the teacher's numbers")
print("true captions:", {name: of(name, "true") for name in ("teacher", "cut", "distilled")})
assert size_share < 0.25
assert of("cut", "true")[0] < 0.1
worst = of("teacher", "true")[0] - min(of("distilled", "true"))
claim("true captions that a quarter of the size costs, worst of three seeds", worst, at_most=0.03)

# %% [markdown]
# One or two captions in a hundred. How much of what came back is the teacher's, and how much any training after the cut would
# have brought, was not measured: there is no run without the teacher.
#
# ## 8 · Out of PyTorch
#
# A telephone, a browser or a washing machine has no PyTorch. **ONNX** is an open format: a graph of standard operations
# with its weights. `export_onnx` follows a model once, writes the graph, runs it with *onnxruntime* on batches of other
# sizes, and refuses if a number differs by more than rounding. It needs three more packages; where they are missing, one sentence says what
# to type.

# %%
network = folder / "tiny-lm.onnx"
try:
    example = torch.zeros(2, 15, dtype=torch.int64)
    exported = deploy.export_onnx(teacher, [example], network, names=["tokens"])
    claim("largest difference to PyTorch", exported.difference, at_most=1e-4)
except deploy.OnnxMissingError as error:
    exported = None
    print(error)

# %% [markdown]
# The program below is all that the other machine gets, beside the network and the list of words. It imports numpy and
# onnxruntime, and nothing else that has to be installed.

# %%
PROGRAM = '''
"""Goes on with texts, greedily: python write.py "a cat" "two dogs"."""
import json
import sys

import numpy as np
import onnxruntime

words = json.load(open("words.json", encoding="utf-8"))
number = {word: index for index, word in enumerate(words)}
network = onnxruntime.InferenceSession("tiny-lm.onnx", providers=["CPUExecutionProvider"])
LENGTH = 15


def go_on(text):
    ids = [number["<bos>"], *(number[word] for word in text.split())]
    while len(ids) < LENGTH:
        tokens = np.zeros((1, LENGTH), dtype=np.int64)
        tokens[0, : len(ids)] = ids  # what stands behind is not seen: the model is causal
        (logits,) = network.run(None, {"tokens": tokens})
        best = int(logits[0, len(ids) - 1].argmax())
        if words[best] == "<eos>":
            break
        ids.append(best)
    return " ".join(words[index] for index in ids[1:])


for text in sys.argv[1:]:
    print(go_on(text))
assert not any(name.startswith(("torch", "mmcourse")) for name in sys.modules)
'''
assert len(PROGRAM.strip().splitlines()) <= 32

# %%
BEGINNINGS = ["a cat", "a small dog", "a large"]


def in_pytorch(text):
    """The same with the model and the library."""
    ids = [tokenizer.bos_id, *tokenizer.encode(text)]
    ends = {"max_length": 15, "stop_id": tokenizer.eos_id, "pad_id": tokenizer.pad_id}
    found = decoding.greedy(teacher.stepper(), torch.tensor([ids]), **ends).tokens[0]
    return tokenizer.decode(found, skip_special=True)


if exported is not None:
    (folder / "write.py").write_text(PROGRAM, encoding="utf-8")
    (folder / "words.json").write_text(json.dumps(tokenizer.vocabulary), encoding="utf-8")
    command = [sys.executable, "write.py", *BEGINNINGS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    written = done.stdout.strip().splitlines()
    assert written == [in_pytorch(text) for text in BEGINNINGS]
    print(done.stdout)

# %% [markdown]
# The library's own runner, `mmcourse/deploy/runner.py`, is one file in the same manner: it also checks that the network
# was not cut or changed on the way. Copy it beside the file.
#
# ## 9 · Accuracy against size
#
# Now all together. Each point is a captioner: how many bytes, and how many captions are true. A number of $b$ bits
# counts $b/8$ bytes, with the scales of all channels beside them; a pruned model counts one bit for each place and
# four bytes for each number that is left.

# %%
total = deploy.count_bytes(large)
many = sum({id(layer.weight): layer.weight.numel() for layer in weight_layers(large).values()}.values())
rest = total - 4 * many
half_floats = changed(large, lambda weight: weight.half().float())
points = {"float32": (total, truth(large)), "float16": (total / 2, truth(half_floats))}
scales = deploy.count_bytes(small) - rest - many  # and one grid for each channel
points |= {f"{b} bits": (rest + scales + many * b / 8, at["one a channel"][b]) for b in TRIED if 3 < b < 8}
points["int8"] = deploy.count_bytes(small), truth(small)
points["0.6 pruned, trained on"] = rest + many * (0.125 + 0.4 * 4), healed
for bits in ("", " int8"):
    points[f"distilled{bits}"] = of("distilled", f"bytes{bits}")[0], np.mean(of("distilled", f"true{bits}"))
figure, ax = plt.subplots(figsize=(8, 3.8))
for name, (size, share) in points.items():
    ax.plot(size / 1e3, share, "o", color=viz.VERMILLION if "distilled" in name else viz.BLUE)
    if "distilled" in name:  # three seeds
        seeds = of("distilled", "true int8" if "int8" in name else "true")
        ax.plot([size / 1e3] * 2, [min(seeds), max(seeds)], color=viz.VERMILLION)
    ax.annotate(name, (size / 1e3, share), xytext=(4, -11), textcoords="offset points", fontsize=9)
ax.set(xscale="log", xlabel="kB", ylabel="captions that are true")
ax.margins(y=0.15)
viz.show(
    figure,
    alt="True captions over kilobytes on a logarithmic axis: float32 at about 4000, int8 at about 1000 and the distilled student as int8 at about 310 lie nearly level; four bits and the pruned model fall off.",
)
tiniest = points["distilled int8"]
assert tiniest[0] / total < 0.08
claim("true captions that it costs", of("teacher", "true")[0] - tiniest[1], at_most=0.04)

# %% [markdown]
# **What to see:** the ways add up. A quarter of the numbers with a quarter of the bytes each would be a sixteenth; the
# scales of all channels, and what stays in floats, make it a thirteenth. (The lines
# through the red dots reach from the worst seed to the best. Those were measured on 2,000 test scenes, the others on the
# first 400 or 200 of them.)
#
# ## 10 · Wide: many processes, one step
#
# Small was one road. The other: a model so large, or so much data, that one machine would need years.
#
# - **data parallelism**（数据并行）: every process has the whole model and a share of each batch; gradients are averaged.
#
# **Is that the same step?** The loss of a batch is a mean over $n$ samples. Deal them out to $W$ processes, $n_w$ to
# each. Process $w$ has the mean gradient $g_w$ over its own:
#
# $$g=\frac1n\sum_{i=1}^n g^{(i)}=\sum_w\frac{n_w}{n}\,g_w$$
#
# With equal shares it is the plain mean. But captions have unequal numbers of *tokens*, and the loss is a mean over
# tokens. Then the plain mean is wrong, and whoever tests with one process never notices. Check both in float64:

# %%
model = tiny(16, 0).double()
batch = Shifted(few_x[:64], few_y[:64])
order = (batch.targets != IGNORED).sum(dim=1).argsort()  # short captions first, so that shares differ


def gradient(rows):
    """The mean gradient over the tokens of some rows, as one vector, and their number."""
    model.zero_grad()
    whole = tokens_loss(model, Shifted(batch.inputs[rows], batch.targets[rows]))
    (whole.total / whole.count).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]), whole.count


whole, _ = gradient(order)
own, counts = zip(*(gradient(part) for part in order.chunk(4)), strict=True)
own, counts = torch.stack(own), torch.stack(counts).double()
weighted = (counts[:, None] * own).sum(dim=0) / counts.sum()
plain = own.mean(dim=0)
off = {name: ((g - whole).norm() / whole.norm()).item() for name, g in (("weighted", weighted), ("plain mean", plain))}
claim("relative distance of the weighted mean to one process", off["weighted"], at_most=1e-13)
claim("relative distance of the plain mean", off["plain mean"], at_least=0.02)

# %% [markdown]
# Some percent for this batch, dealt out by length so that shares differ. Dealt out by chance it is less, but wrong in every
# step whose token counts differ, without an error message. In the library a loss over tokens is a `Mean` with
# its two parts apart, and processes divide by the count of all.
#
# **Really started.** Two processes of this machine train a model for twenty steps. `distributed.start` lets them find
# each other, `fit` deals out the rows and averages gradients. Each begins with other weights, on purpose: process 0
# gives its own to the other.

# %%
WORKER = """
import sys
import torch
from torch.nn import functional as F
from mmcourse import distributed
from mmcourse.lm import GPT, GPTConfig
from mmcourse.train import Batches, Mean, fit


def loss(model, batch):
    inputs, targets = batch
    total = F.cross_entropy(model(inputs).mT, targets, ignore_index=-100, reduction="sum")
    return Mean(total, (targets != -100).sum())


def run(path):
    inputs, targets = torch.load(path)
    torch.manual_seed(distributed.rank())
    model = GPT(GPTConfig(vocabulary_size=164, context=16, width=16, heads=2, depth=1)).double()
    batches = Batches(inputs, targets, size=16)
    history = fit(model, loss, batches, steps=20, learning_rate=3e-3, description=None)
    return {"losses": history.losses, "weights": model.state_dict()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.start():
        torch.save(run(sys.argv[1]), f"{sys.argv[1]}.{distributed.rank()}")
"""

# %%
(folder / "work.py").write_text(WORKER, encoding="utf-8")
data = folder / "captions.pt"
torch.save((few_x[:256].clone(), few_y[:256].clone()), data)
alone = runpy.run_path(str(folder / "work.py"))["run"](data)
if os.name != "nt":  # torchrun needs a POSIX system
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "MMCOURSE_DEVICE": "cpu"}
    subprocess.run([*command, "work.py", str(data)], cwd=folder, env=settings, capture_output=True, check=True)
    both = [torch.load(f"{data}.{rank}") for rank in range(2)]
    apart = max((both[0]["weights"][name] - w).abs().max().item() for name, w in alone["weights"].items())
    assert all(torch.equal(w, both[1]["weights"][name]) for name, w in both[0]["weights"].items())
    claim("largest distance of a weight after 20 steps", apart, at_most=1e-12)
print("recipes that promise this:", ", ".join(name for name, recipe in RECIPES.items() if recipe.processes))

# %% [markdown]
# The others have batch normalization, whose statistics would be those of each process's own rows. They are not slower
# in several processes, they are *another model*, so they refuse with a sentence.
#
# **What travels.** Each process sends its gradient, $N$ numbers. In a ring, every one hands on pieces of $N/W$ numbers,
# $W-1$ times to add them up and $W-1$ times to spread the sums. So each sends
#
# $$2\,\frac{W-1}{W}\,N<2N\text{ numbers, however many there are.}$$
#
# - **all-reduce**（全规约）: every process gives a tensor, and each gets the sum of all.
#
# ## 11 · The optimizer's memory, shared out
#
# In data parallelism every process keeps the *same* momentum. ZeRO (Rajbhandari et al., 2020): let each keep only its
# piece, take the step for that piece alone, and hand the new weights round.
#
# - **optimizer state sharding**（优化器状态分片）: each process keeps the optimizer's memory of its own share of the weights.
#
# ### ✏️ Exercise 6 · A step of many ★★★
#
# *Goal: take a process's part in the step of all, with the state of its share alone. About 13 minutes.*
#
# `weights` (N,) are the same everywhere; `gradients` (W, N) are means over `counts` (W,) samples; `momentum` (N / W,)
# belongs to the `rank`-th piece of the vector. Return the new weights and the new momentum of that piece:
# $m\leftarrow\beta m+g$, $w\leftarrow w-\mathrm{lr}\cdot m$.


# %% tags=["exercise"] id="15-sharded-step"
def sharded_step(rank, weights, gradients, counts, momentum, lr, beta):
    """New weights (N / W,) and new momentum (N / W,) of the piece of process `rank`."""
    ### BEGIN SOLUTION
    gradient = (counts[:, None] * gradients).sum(dim=0) / counts.sum()
    share = slice(rank * len(momentum), (rank + 1) * len(momentum))
    momentum = beta * momentum + gradient[share]
    return weights[share] - lr * momentum, momentum
    ### END SOLUTION


# %% tags=["check"]
check("15-sharded-step", sharded_step)

# %% [markdown]
# **Parity.** It works for every optimizer that treats each number by itself. Four AdamW, each with a quarter of a
# vector, equal one with the whole, as the cell below checks first.
#
# (Clipping a gradient by its length is the exception: the length is that of all pieces, one number that must travel.)
#
# **What it saves.** In half precision a weight takes 2 bytes, its gradient 2, and AdamW with a float copy of the weight 12.
# On $W$ processes, sharing out first the optimizer's part, then gradients, then the weights too. A model of 7.5 billion
# weights on 1, 4, 16 and 64 processes, for each of them:

# %%
begin = torch.randn(400, generator=generator, dtype=torch.float64)
pieces = [part.clone().requires_grad_() for part in begin.chunk(4)]
together = begin.clone().requires_grad_()
optimizers = [torch.optim.AdamW([part], lr=0.1, weight_decay=0.01) for part in (*pieces, together)]
for _ in range(50):
    slope = 2 * together.detach() + torch.randn(400, generator=generator, dtype=torch.float64)
    together.grad = slope
    for part, own in zip(pieces, slope.chunk(4), strict=True):
        part.grad = own
    for optimizer in optimizers:
        optimizer.step()
assert torch.allclose(torch.cat([part.detach() for part in pieces]), together.detach(), rtol=0, atol=1e-12)

BYTES = {"nothing shared": (16, 0), "optimizer": (4, 12), "and gradients": (2, 14), "and weights": (0, 16)}
for name, (fixed, split) in BYTES.items():
    print(f"{name:16}", *(f"{7.5 * (fixed + split / w):6.1f} GB" for w in (1, 4, 16, 64)))
need = [7.5 * (fixed + split / 64) for fixed, split in BYTES.values()]
assert [round(each, 1) for each in need] == [120.0, 31.4, 16.6, 1.9]

# %% [markdown]
# Sharing out the optimizer's part alone brings most of it, and costs nothing: what travels is as much as before. The
# last column is the example of the paper's first figure.
#
# ## 12 · What the large systems spend
#
# **FLOPs ≈ 6ND.** For each token, each of the $N$ weights of a matrix product takes part in one multiply–add forward:
# $2N$ floating-point operations. Going back there are two products for each: the gradient of its input, and that of the
# weight, $4N$. Together $6N$ for each of $D$ tokens. Left out is attention, which has no weights: $2TC$ multiply–adds a
# layer and token forward, so in training
#
# $$\frac{\text{FLOPs}}{\text{token}}=6N+12\,L\,T\,C$$
#
# **Check it against a count.** PyTorch counts a step of GPT-2 with tensors that have no values. $N$ is without the
# table of positions, which is looked up, not multiplied:

# %%
LENGTHS = by_budget(smoke=[128], standard=[128, 512, 1024, 2048, 4096])


def step_flops(length, *, width=768, depth=12, vocabulary=50_257):
    """FLOPs a token of a training step as PyTorch counts them, and the N of 6ND."""
    with torch.device("meta"):
        sizes = {"vocabulary_size": vocabulary, "context": length, "width": width, "heads": width // 64}
        model = GPT(GPTConfig(**sizes, depth=depth))
        tokens = torch.zeros(1, length, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter:
            model(tokens).sum().backward()
    return counter.get_total_flops() / length, model.config.parameters - length * width


counts = [step_flops(length) for length in LENGTHS]
over = [flops / (6 * n) for flops, n in counts]
formula = [1 + 2 * length * 12 * 768 / n for length, (_, n) in zip(LENGTHS, counts, strict=True)]

for length, each in zip(LENGTHS, over, strict=True):
    print(f"{length:5,} tokens: {each:.2f} times 6ND")
claim("count over the formula with attention", {f"{n:,} tokens": a / b for n, a, b in zip(LENGTHS, over, formula, strict=True)},
      near=1, tolerance=0.005)  # fmt: skip

# %% [markdown]
# For short texts 6ND is right within a few percent; for long ones attention is added, and with it a cost in $T$.
#
# **Two systems that say what they spent.** From the model card of Llama 3.1 and the README of DeepSeek-V3:
#
# | | weights at work | tokens | GPU hours | CO₂ |
# |---|---|---|---|---|
# | Llama 3.1 405B | 405 billion | about 15 trillion | 30.84 million, H100 | 8,930 t by location, 0 t by contracts |
# | DeepSeek-V3 | 37 of 671 billion | 14.8 trillion | 2.788 million, H800 | not given |
#
# (Llama's own paper is more exact: 15.6 trillion tokens, 3.8 × 10²⁵ operations.) Now you can read such a table. How
# much did they compute, what share of the GPUs' peak was that, how much energy, and how much money?

# %%
PEAK = 989e12  # BF16 operations a second of an H100, by NVIDIA's data sheet
llama, deepseek = 6 * 405e9 * 15e12, 6 * 37e9 * 14.8e12
share = llama / (30.84e6 * 3600 * PEAK)
energy = 30.84e6 * 0.7 / 1e6  # GWh: 700 W at most, says the card
print(
    f"Llama 3.1 405B: {llama:.1e} FLOPs, {share:.0%} of the peak, {energy:.1f} GWh, {8930 / energy / 1e3:.2f} kg a kWh"
)
print(f"DeepSeek-V3: {deepseek:.1e} FLOPs, {2.788 * 2:.1f} million dollars at 2 an hour")
assert (round(share, 2), round(energy, 1)) == (0.33, 21.6)
assert round(llama / deepseek) == 11

# %% [markdown]
# - The card's *0 t* is an account of contracts for renewable energy; the 8,930 t are what the grids around the machines
#   emitted. A statement of emissions without the method says little.
# - Two dollars an hour is the rent that DeepSeek's report assumes (Table 1). It says itself that the sum leaves out
#   earlier research and experiments, and it holds no wages and no data. *A model for 5.6 million dollars* is the price
#   of one run, not of a model.
# - A third of the peak is usual. The rest goes to waiting for memory and for each other, to computing activations
#   twice, and to failures.
# - DeepSeek-V3 has 671 billion weights and uses 37 billion for each token (a mixture of experts). For $6ND$ those at
#   work count, for memory all.
#
# ## 13 · A scaling law in miniature
#
# - **scaling law**（规模定律）: how the loss falls as weights, data or operations grow.
#
# With enough data, Hoffmann et al. (2022) describe the loss of a language model with $N$ weights as
#
# $$L(N)=E+\frac{A}{N^{a}}$$
#
# $E$ is the entropy of the text, which nobody gets below. Of real text it is unknown, and must be fitted, too. **Of our
# captions it is known exactly** (chapter 03). With it, $\log(L-E)=\log A-a\log N$ is a line.
#
# ### ✏️ Exercise 7 · A scaling law ★★
#
# *Goal: find out how the loss falls as models grow. About 9 minutes.*
#
# Fit the line by least squares, for a floor $E$ that is given. Return $A$ and $a$, both as floats.


# %% tags=["exercise"] id="15-power-law"
def power_law(sizes, losses, floor):
    """A and a of losses ≈ floor + A · sizes^(−a)."""
    ### BEGIN SOLUTION
    x, y = sizes.log(), (losses - floor).log()
    apart = x - x.mean()
    slope = (apart @ y / (apart @ apart)).item()
    return (y.mean() - slope * x.mean()).exp().item(), -slope
    ### END SOLUTION


# %% tags=["check"]
check("15-power-law", power_law)

# %% [markdown]
# Six sizes, three seeds each, trained for 500 and for 2,000 steps by `data/make_scaling.py`, which takes half an hour. A law is
# fitted to the **four smaller** sizes, for each seed on its own, so that the three exponents say how much to trust their
# mean: with three values the 95 % interval is $\pm4.30\,s/\sqrt3$. Then look at what it promised for the other two. Predict
# first: which of the two lengths will have the better law?


# %%
with (content_dir("data") / "scaling.csv").open(encoding="utf-8", newline="") as file:
    table = list(csv.DictReader(file))
SHORT, LONG = sorted({int(run["steps"]) for run in table})
SMALL = 24  # the width of the largest model that a law is fitted to


def line_of(steps, seed, *, widest=96):
    """Sizes and excess losses of one seed, up to a width."""
    chosen = [run for run in table if (int(run["steps"]), int(run["seed"])) == (steps, seed)]
    chosen = [run for run in chosen if int(run["width"]) <= widest]
    return tuple(np.array([float(run[column]) for run in chosen]) for column in ("parameters", "excess"))


def law(steps, seed):
    """Exponent and logarithm of A, fitted to the smaller models of one seed."""
    slope, height = np.polyfit(*np.log(line_of(steps, seed, widest=SMALL)), 1)
    return -slope, height


figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), sharex=True, sharey=True)
for ax, steps in zip(axes, (SHORT, LONG), strict=True):
    for seed in range(3):
        sizes, over = line_of(steps, seed)
        exponent, height = law(steps, seed)
        ax.loglog(sizes, over, "o", color=viz.BLUE)
        ax.loglog(sizes, np.exp(height) * sizes**-exponent, color=viz.GRAY, lw=1)
    ax.set(title=f"{steps:,} steps", xlabel="parameters")
axes[0].set(ylabel="loss above the entropy, nats")
viz.show(
    figure,
    alt="Loss above the entropy over parameters, both logarithmic. Left, 500 steps: the four smaller sizes fall steeply, near a line, the two larger lie far above its end. Right, 2,000 steps: the four smaller lie nearly level at 0.08, and the two larger far below their line.",
)

# %% [markdown]
# **What to see:** left something like a law. Four sizes lie near a line, but for two of three seeds they bend: from size to
# size the exponent falls from 1.2 to 0.6, a warning that the line does not show. For the largest it promised much less than
# what came. Right, with four times as many steps, there is no law among the small ones at all: they stand on a step, near
# 0.08 nats, and the two larger have left it.


# %%
def interval(values):
    """Mean of three values and half the width of its 95 % interval (Student's t, two degrees of freedom)."""
    return values.mean(), 4.303 * values.std(ddof=1) / 3**0.5


def missed(steps):
    """Measured over promised excess of the largest model, of each seed."""
    largest = [line_of(steps, seed) for seed in range(3)]
    promised = [np.exp(law(steps, seed)[1]) * largest[seed][0][-1] ** -law(steps, seed)[0] for seed in range(3)]
    return np.array([over[-1] for _, over in largest]) / promised


exponents = {steps: interval(np.array([law(steps, seed)[0] for seed in range(3)])) for steps in (SHORT, LONG)}
for steps, (mean, half) in exponents.items():
    print(
        f"{steps:5,} steps: exponent {mean:.2f} ± {half:.2f}, the largest has {missed(steps).round(2)} of the promised excess"
    )
claim("exponent after short training", exponents[SHORT][0], near=0.9, tolerance=0.15)
claim("half of its interval", exponents[SHORT][1], at_most=0.15)
claim("exponent after long training", exponents[LONG][0], at_most=0.2)
claim("excess of the largest over the promised, short training", missed(SHORT).min(), at_least=3)
claim("excess of the largest over the promised, long training", missed(LONG).max(), at_most=0.6)

# %% [markdown]
# One law promised too much, the other too little. **Where a law fitted on small models goes wrong:**
#
# 1. *Something else becomes the limit.* After 500 steps the two larger models have not been trained long enough, and a law in $N$ alone
#    does not know it: with four times the steps, each on new captions, they reach 0.02 nats. Whether steps or data were missing cannot be
#    told here, nor what a learning rate of its own would do for each size. Hoffmann et al. add a term for data, $B/D^b$, and fit $L=1.69+406.4/N^{0.34}+410.7/D^{0.28}$ (their
#    third approach).
# 2. *Loss comes in steps.* There is something in these captions that the small models have hardly begun to learn after 2,000 steps, and
#    what learns it leaves their line. The same step may be what stops the larger ones after 500. Wei et al. (2022) call abilities that only large models have *emergent*; Schaeffer et al.
#    (2023) find that many of them come from how they were scored. Here the loss itself jumps.
# 3. *What counts as $N$?* Of the smallest model here 41 % are the embedding table, of the largest 7 %; with a vocabulary of 50,000 it
#    would be far more. Pearce and Song (2024) trace much of the quarrel
#    between the laws of Kaplan et al. (2020) and Hoffmann et al. to counting weights with or without it, at small
#    sizes.
# 4. *The floor.* With $E$ unknown, a step is read as the floor. Try it: choose the $E$ that fits the four small sizes best.


# %%
def guessed_floor(steps, seed):
    """The floor, as nats above the true one, under which the four smaller sizes lie best on a line."""
    sizes, over = line_of(steps, seed, widest=SMALL)
    tried = np.linspace(-0.5, 0.99 * over.min(), 400)
    return tried[np.argmin([np.polyfit(np.log(sizes), np.log(over - e), 1, full=True)[1][0] for e in tried])]


floors = [guessed_floor(SHORT, seed) for seed in range(3)]
viz.show(
    viz.dots({f"{SHORT} steps": floors}, ylabel="fitted floor minus entropy, nats", baseline={"the entropy": 0.0}),
    alt="Three fitted floors, one a seed, between 0.02 and 0.08 nats above the line of the true entropy.",
)
claim("highest fitted floor above the entropy, nats", max(floors), at_least=0.05)
claim("distance of two seeds' floors, nats", max(floors) - min(floors), at_least=0.02)

# %% [markdown]
# **What to see:** a fitted floor is no measurement of the entropy of language. Two of three seeds take the step of the small models for
# it, and the third something below. Besiroglu et al. (2024) read the data
# of Hoffmann et al. off their figures and fitted the law again. They found other numbers, an optimizer that had stopped
# too early, and in the original intervals so narrow that they would have needed over 600,000 experiments.
#
# ## 14 · On real data: eight bits for photographs
#
# EfficientNet-Lite0 (chapter 04) was trained by others on a million photographs. Its *depthwise* convolutions have nine
# weights for each channel, and channels of very different sizes. Predict: which grid will it need?

# %%
encoder = load_image_encoder()
photos = [square(photo.image, 224) for photo in load_photos().values()][: by_budget(smoke=2, standard=16)]
true_features = encoder.encode(photos)
alike = {}
for name, own in (("one grid", False), ("one a channel", True)):
    features = deploy.quantize_model(encoder, per_channel=own).encode(photos)
    alike[name] = F.cosine_similarity(features, true_features).tolist()
claim("similarity with a grid for each channel, worst photograph", min(alike["one a channel"]), at_least=0.95)
far_off = {name: 1 - np.mean(each) for name, each in alike.items()}
claim("distance with one grid over that with many", far_off["one grid"] / far_off["one a channel"], at_least=3)

# %% [markdown]
# The captioner hardly cared at eight bits. This network does: one grid takes its features several times as far from
# where they were. Krishnamoorthi (2018) reports MobileNets that are useless with one grid. There, batch normalization
# had been multiplied into the weights first, as one does for speed, and that makes channels differ even more; ours
# stays beside them. A method that was harmless on one network has to be measured again on the next.
#
# **On one GPU** everything here stays as it is: `fit` and the captions use it, and the ridge of the roof
# in section 3 moves to the right: more operations for each byte are needed to reach the peak. **On many**, start a program with
# `torchrun --nproc-per-node 4`.

# %% [markdown] tags=["written"] id="15-which-way"
# ### ✏️ Written question · A camera for the blind
#
# A small company wants to put a captioner into glasses for blind people: 64 MB for the model, one second to wait, no
# network. They have a model of 400 MB. Which ways of this chapter would you try, in which order? What would you measure
# after each, on which data, and what result would make you stop?
#
# ### BEGIN SOLUTION
# 1. Measure first: where are the bytes and where is the time on the glasses' own processor (parts, operations, a
#    roofline)? Reading words one by one waits for memory, the picture side for operations.
# 2. Eight bits, a grid for each channel: a quarter, 100 MB, and rarely more than a point. Measure true captions by kind
#    (counts, sizes, places), on pictures taken with the glasses, not on the training set; and the worst kind, not the
#    mean alone.
# 3. Distill to half the numbers, with pictures of the street without captions, because a teacher needs none; then eight
#    bits: about 50 MB. Compare with a small model that was trained alone.
# 4. Thin layers if the time is still too long; scattered zeros would help neither.
# 5. Stop if hallucinated obstacles or missed ones grow beyond what users accept; a mean that is a point lower may hide
#    that all of it was lost on stairs. Let users say which errors are dangerous before measuring.
# ### END SOLUTION

# %% [markdown]
# ## 15 · Open project: the smallest captioner
#
# Who makes the smallest captioner that is right in 95 of 100 scenes?
#
# 1. Choose on the validation split and report on the test split, bytes of the *file* counted.
# 2. Combine: widths, hints, fewer bits with training in between (**quantization-aware training**（量化感知训练）: rounding in
#    the forward pass, as if it were not there in the backward pass), words that are never used.
# 3. Report three seeds, and every attempt that failed.
# 4. Carry it to another machine with ONNX and measure latency there.
#
# Or go wide: find out what the small models of section 13 do not know. Compare the surprise of a small and a large one word by
# word. Then add a seventh size, predict its loss with an interval *before* you train it, and report how it came out.
#
# ## 16 · Check yourself

# %%
quiz(
    Question(
        "Half of a captioner's weights are 0, in a file of float32. It is now …",
        ("half as large and twice as fast", "as large and as fast as before", "as large and twice as fast"),
        1,
        "A zero takes four bytes and one product like any other number.",
    ),
    Question(
        "Writing one text token by token waits mostly for …",
        ("operations", "weights to come from memory", "the softmax"),
        1,
        "One vector at a time uses each weight once: intensity is at its lowest.",
    ),
    Question(
        "From eight bits to six, the error of a weight …",
        ("doubles", "becomes four times as large", "grows by a third"),
        1,
        "Each bit less doubles the distance of two places.",
    ),
    Question(
        "Why is a distillation loss multiplied by T²?",
        ("so that it is positive", "because gradients shrink by 1 / T²", "because KL is measured in nats"),
        1,
        "Otherwise a high temperature would switch the teacher off.",
    ),
    Question(
        "Two processes hold 10 and 30 tokens. The gradient of the batch is their means weighted by …",
        ("1/2 and 1/2", "1/4 and 3/4", "10 and 30"),
        1,
        "A mean over all tokens weighs each process by its share of them.",
    ),
    Question(
        "A law fitted on four small models promises a loss for one a hundred times as large. You …",
        ("believe the line", "ask what else could become the limit", "add a seed to each small model"),
        1,
        "More seeds make the line sharper, not the law true beyond where it was measured.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Parameters and operations lie in different parts; activations grow with the batch, the cache with the text. A roof
#   of bandwidth and peak says what limits you.
# - A grid has a scale and a zero point; its error is $S/\sqrt{12}$ and doubles with each bit less. A grid for each
#   channel keeps captions true with fewer bits, and some networks need it at eight.
# - Pruned weights can be mended, but zeros alone make nothing faster. Thin matrices save operations, and captions
#   stay true if they are fitted to what comes out.
# - A teacher's doubts are worth captions. Cut, taught and quantized, a captioner of a thirteenth of the bytes comes close
#   to the full one.
# - Processes take the steps of one if each counts by its share. The optimizer's memory can be dealt out, because it
#   treats each number by itself.
# - Training costs about 6ND, and attention is added for long texts. Scaling laws hold where they were measured.
#
# **Next: 16 · Sound, video, and your own project**, in which pictures move and make noise, and you choose what to
# build.

# %% [markdown]
# ## References
#
# - *Roofline: an insightful visual performance model for multicore architectures*. Williams, Waterman, Patterson.
#   Communications of the ACM 2009.
# - *Quantization and training of neural networks for efficient integer-arithmetic-only inference*. Jacob et al. CVPR 2018.
# - *Quantizing deep convolutional networks for efficient inference: a whitepaper*. Krishnamoorthi. 2018.
# - *Learning both weights and connections for efficient neural networks*. Han, Pool, Tran, Dally. NeurIPS 2015.
# - *SVD-LLM: truncation-aware singular value decomposition for large language model compression*. Wang, Zheng, Wan, Zhang. ICLR 2025.
# - *Distilling the knowledge in a neural network*. Hinton, Vinyals, Dean. 2015.
# - *FitNets: hints for thin deep nets*. Romero et al. ICLR 2015.
# - *ZeRO: memory optimizations toward training trillion parameter models*. Rajbhandari, Rasley, Ruwase, He. SC 2020.
# - *Scaling laws for neural language models*. Kaplan et al. 2020.
# - *Training compute-optimal large language models*. Hoffmann et al. NeurIPS 2022.
# - *Chinchilla scaling: a replication attempt*. Besiroglu, Erdil, Barnett, You. 2024.
# - *Emergent abilities of large language models*. Wei et al. TMLR 2022.
# - *Are emergent abilities of large language models a mirage?* Schaeffer, Miranda, Koyejo. NeurIPS 2023.
# - *Reconciling Kaplan and Chinchilla scaling laws*. Pearce, Song. TMLR 2024.
# - *The Llama 3 herd of models*. Grattafiori et al. 2024; and the model card of Llama 3.1.
# - *DeepSeek-V3 technical report*. DeepSeek-AI. 2024.
