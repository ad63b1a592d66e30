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
# # 16 · Sound, video, and your own project
#
# Until here pictures stood still and said nothing. In this chapter they move and make noise. Both turn out to be old
# friends: a sound becomes a picture, and a clip is a text whose words are pictures.
#
# **After this chapter you can**
#
# - turn a sound into a spectrogram by hand, and choose its window for what you want to know;
# - name sounds, and find the picture that belongs to a sound;
# - show which questions one frame can answer, which the mean of all frames can, and which need their order;
# - put three kinds of data into one space;
# - begin a project of your own from a folder, and say what would be needed before anybody relies on it.
#
# **You need** chapters 01 (attention), 04 (convolution), 08 (contrastive pretraining) and 09 (captioning).
#
# **Time**: about 80 minutes to read, 3 minutes to run, 75 minutes for the exercises.
#
# Where you are on the map:
#
# ```text
#   sound ──►  spectrogram ──►  CNN ────────────────┐
#   clip  ──►  frames ──►  CNN ──►  attention ──────┼── one space ──►  names, matches, sentences
#   text  ──►  language model ──────────────────────┘
#                                   ▲
#                                   └── you are here
# ```

# %% tags=["nbval-ignore-output"]
import itertools
import math
import random

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Audio, display
from torch import nn
from torch.nn import functional as F

from mmcourse import viz
from mmcourse.attention import sinusoidal_positions, sinusoidal_positions_2d
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.datasets import SOUND_NOUNS, SOUND_RATE, load_photos, make_scenes, make_sounds
from mmcourse.encoders import AudioEncoder, dft, spectrogram, stft
from mmcourse.losses import info_nce
from mmcourse.recipes import captioner, load_trained, video_captioner
from mmcourse.recipes.data.captions import CaptionBatch, pairs
from mmcourse.runtime import by_budget, progress, seed_everything
from mmcourse.train import Batches, fit
from mmcourse.transformer import Encoder

generator = open_chapter(16)

# %% [markdown]
# ## 1 · A question with a sound
#
# Four sounds, drawn as they come out of a loudspeaker: the pressure of the air, 8,000 times a second. One is a cat, one a
# clock, one a drum, and one a phone. Which is which?

# %%
heard = make_sounds(by_budget(smoke=40, standard=400), split="test")
four = [
    next(s for s in heard.samples if s.noun == noun)
    for noun in ("drum", "cat", "phone", "clock")
    if any(s.noun == noun for s in heard.samples)
]
figure, axes = plt.subplots(2, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
for letter, ax, sample in zip("ABCD", axes.flat, four, strict=False):
    ax.plot(np.arange(len(sample.wave)) / SOUND_RATE, sample.wave, lw=0.4, color=viz.BLUE)
    ax.set(title=letter)
axes[1, 0].set(xlabel="seconds")
viz.show(figure, alt="Four waves of 1.2 seconds, each with one to three bursts. How long the bursts are and how they fade can be seen, but not how high they sound.")  # fmt: skip

# %% [markdown]
# **What to see:** *when* something sounds, and hardly *what*. Listen (on paper, B is the cat). Then see what your ear saw:

# %% tags=["nbval-ignore-output"]
for letter, sample in zip("ABCD", four, strict=False):
    display(letter, Audio(sample.wave.numpy(), rate=SOUND_RATE, normalize=False))

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for letter, ax, sample in zip("ABCD", axes.flat, four, strict=False):
    ax.imshow(spectrogram(sample.wave), origin="lower", aspect="auto", cmap="magma", vmin=-11, vmax=5)
    ax.set(title=f"{letter}: {sample.noun}", xlabel="frames", ylabel="bands")
viz.show(figure, alt="Four spectrograms: the drum is low and falls, the cat's stripes rise and fall together, the phone's stripes tremble, the clock's two short dots are high and jump down.")  # fmt: skip

# %% [markdown]
# **What to see:** time runs to the right, pitch upward, and light is loud. The same four sounds are now four different
# *pictures*, and you have known since chapter 04 what to do with those. This chapter begins with how they are made.
#
# ## 2 · A sound is a list of numbers
#
# - **sample rate**（采样率）: numbers a second that say what the air does.
# - **spectrum**（频谱）: how strong each frequency is in a piece of sound.
#
# **Step 1, by hand.** A tone of 3 turns in 8 samples. Multiply it by a cosine and a sine of *k* turns and add up: with
# the right *k* all products have one sign and the sum is large; with another they cancel.

# %%
wave = [math.cos(2 * math.pi * 3 * n / 8) for n in range(8)]
for k in range(5):
    real = sum(x * math.cos(2 * math.pi * k * n / 8) for n, x in enumerate(wave))
    imaginary = sum(x * math.sin(2 * math.pi * k * n / 8) for n, x in enumerate(wave))
    print(f"{k} turns: {math.hypot(real, imaginary):.3f}")
    assert math.isclose(math.hypot(real, imaginary), 4.0 if k == 3 else 0.0, abs_tol=1e-9)

# %% [markdown]
# **Step 2, a formula.** With $e^{-i\varphi}=\cos\varphi-i\sin\varphi$ both sums are one complex number:
#
# $$X[k]=\sum_{n=0}^{N-1}x[n]\,e^{-2\pi i\,kn/N},\qquad k=0,\dots,N/2$$
#
# - **discrete Fourier transform**（离散傅里叶变换）: the numbers $X[k]$ of $N$ samples.
#
# $|X[k]|$ is how strong frequency $k\cdot\text{rate}/N$ is. Why does $k$ end at $N/2$? With more than half a turn between two
# samples, a tone cannot be told from a slower one: $N-k$ turns give the very samples of $k$ turns.
#
# - **Nyquist frequency**（奈奎斯特频率）: half the sample rate, the highest that the samples can hold.
#
# ### ✏️ Exercise 1 · How much of each frequency ★★
#
# *Goal: say how strong each frequency is in a frame. About 10 minutes.*
#
# Return $|X[k]|$ for $k$ from 0 to N // 2, by the definition, without `torch.fft`.


# %% tags=["exercise"] id="16-spectrum"
def spectrum(frame):
    """The size of each frequency, (N // 2 + 1,), of a frame (N,)."""
    ### BEGIN SOLUTION
    size = len(frame)
    n, k = torch.arange(size), torch.arange(size // 2 + 1)
    angles = 2 * math.pi * n[:, None] * k / size
    return torch.hypot(frame @ angles.cos(), frame @ angles.sin())
    ### END SOLUTION


# %% tags=["check"]
check("16-spectrum", spectrum)

# %% [markdown]
# **Parity.** The library's `dft` is this matrix product, and equals PyTorch's fast transform. The fast one (Cooley and
# Tukey, 1965) needs about $N\log_2N$ products instead of $N^2$.

# %%
frame = torch.randn(3, 256, generator=generator, dtype=torch.float64)
torch.testing.assert_close(dft(frame), torch.fft.rfft(frame))
n = torch.arange(16)
assert torch.allclose(torch.cos(2 * math.pi * 3 * n / 16), torch.cos(2 * math.pi * 13 * n / 16), atol=1e-5)

# %% [markdown]
# ## 3 · Frames: when and what
#
# One spectrum of a whole second says that there was a high tone and a low one, and not which came first. So cut the sound into
# short **frames** and take the spectrum of each.
#
# - **short-time Fourier transform**（短时傅里叶变换）: the spectra of frames that overlap.
# - **window**（窗函数）: weights that let a frame begin and end in silence.
#
# Without a window the frame's two ends, laid side by side as the transform sees them, make a jump, and a jump holds *every*
# frequency.
#
# ### ✏️ Exercise 2 · A sound in pieces ★★
#
# *Goal: cut a sound into pieces that overlap, each under a window. About 8 minutes.*
#
# One frame every `hop` samples, the first at sample 0; what does not fill a frame at the end is dropped. The window is one whole
# period, ½ − ½ cos(2πn / N).


# %% tags=["exercise"] id="16-frames"
def frames(wave, size, hop):
    """Frames (F, size) of a wave (T,), each times a Hann window."""
    ### BEGIN SOLUTION
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(size) / size)
    return wave.unfold(0, size, hop) * window
    ### END SOLUTION


# %% tags=["check"]
check("16-frames", frames)

# %% [markdown]
# **Parity**: the library's `stft` mirrors half a frame at both ends, as `torch.stft` does, so that every moment stands in the
# middle of a frame.

# %%
waves = heard.waves[:4]
theirs = torch.stft(waves, 256, 80, window=torch.hann_window(256), return_complex=True)
torch.testing.assert_close(stft(waves, size=256, hop=80), theirs, rtol=0, atol=1e-4)

# %% [markdown]
# **How long is a frame?** Predict: two tones of 1,000 and 1,060 Hz sound together, and in the middle there is one click. What does a
# short window show, and what a long one?

# %%
t = torch.arange(SOUND_RATE) / SOUND_RATE
both = torch.sin(2 * math.pi * 1000 * t) + torch.sin(2 * math.pi * 1060 * t)
both[SOUND_RATE // 2] += 60.0
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, size in zip(axes, (64, 256, 1024), strict=True):
    power = stft(both, size=size, hop=16).abs().clamp(min=1e-3).log()
    ax.imshow(power, origin="lower", aspect="auto", cmap="magma", extent=(0, 1, 0, SOUND_RATE / 2))
    ax.set(title=f"{size} samples, {1000 * size // SOUND_RATE} ms", ylim=(600, 1500), xlabel="seconds")
axes[0].set(ylabel="Hz")
viz.show(figure, alt="Three spectrograms of two close tones and a click. Short frames: one thick trembling stripe and a thin click. Long frames: two thin stripes and a click smeared over an eighth of a second. In between, neither is sharp.")  # fmt: skip

# %% [markdown]
# **What to see:** one cannot have both. $N$ samples tell frequencies apart that differ by a few times rate / N, and they blur
# time over N / rate. The product of the two does not depend on N (Gabor, 1946). Speech is mostly read with 20 to 30 ms. (The bright
# edges on the right are the sound's mirrored ends.)
#
# - **bin**（频点）: one of the frequencies $k\cdot\text{rate}/N$ of a spectrum.
# - **partial**（分音）: one of the pure tones that a sound is made of.
# - **pitch**（音高）: how high a sound is heard, mostly that of its loudest or its lowest partial.
#
# ### ✏️ Exercise 3 · Between the bins ★★
#
# *Goal: read the pitch of a tone between the bins of its spectrum. About 10 minutes.*
#
# Bins are rate / N apart, 31 Hz here, and an ear hears much finer. Lay a parabola through the *logarithms* of the largest bin and
# its two neighbors: with $l, m, r$ it is highest at $\frac{l-r}{2(l-2m+r)}$ bins to the right of the middle.


# %% tags=["exercise"] id="16-pitch"
def pitch(spectrum, rate):
    """The pitch in Hz of the loudest partial of a frame of 2 · (K − 1) samples, from its spectrum (K,)."""
    ### BEGIN SOLUTION
    k = int(spectrum.argmax())
    left, middle, right = spectrum[k - 1 : k + 2].log().tolist()
    offset = (left - right) / (2 * (left - 2 * middle + right))
    return (k + offset) * rate / (2 * (len(spectrum) - 1))
    ### END SOLUTION


# %% tags=["check"]
check("16-pitch", pitch)

# %% [markdown]
# ## 4 · Bands like the ear's
#
# Equal steps in music are equal *ratios*: from 100 to 200 Hz is an octave, from 3,000 to 3,100 little more than a quarter tone. What
# people *judge* to be equal steps is nearer to equal numbers of hertz below about 1,000 Hz, and to equal ratios above.
#
# - **mel scale**（梅尔刻度）: a scale of pitch on which equal steps sound equally wide (Stevens, Volkmann and Newman, 1937).
#
# By HTK's formula, $m=2595\log_{10}(1+f/700)$. A band is a triangle between three neighboring marks of this scale, narrow
# at the bottom and wide at the top.
#
# ### ✏️ Exercise 4 · Bands like the ear's ★★★
#
# *Goal: make bands that are as wide as the ear's. About 15 minutes.*
#
# Spread bands + 2 edges evenly on the mel scale from 0 to half the rate. Band b rises from edge b to 1 at edge b + 1 and
# falls to 0 at edge b + 2, on straight lines in Hz.


# %% tags=["exercise"] id="16-mel"
def mel_filters_by_hand(bands, size, rate):
    """How much each frequency counts in each band: (bands, size // 2 + 1)."""
    ### BEGIN SOLUTION
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    hertz = torch.arange(size // 2 + 1) * rate / size
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clamp(min=0)
    ### END SOLUTION


# %% tags=["check"]
check("16-mel", mel_filters_by_hand)

# %% [markdown]
# The power of a band is the sum of the powers in it, each weighted by the triangle, and its logarithm is what a
# network reads, as an ear hears ratios of loudness, too.
#
# ## 5 · Naming sounds
#
# Twenty things sound in this world, each with its own course of pitch, partials and rhythm, at any pitch near its own, once to
# three times, over noise. First a rival with simple means: of each band how loud it is on average, how much that varies, and how loud it is at most.
# A sound gets the name of the nearest mean of these 120 numbers.

# %%
TRAIN = by_budget(smoke=80, standard=2000)
train = make_sounds(TRAIN)


def summary(waves):
    bands = spectrogram(waves)  # (N, 40, F)
    return torch.cat((bands.mean(dim=2), bands.std(dim=2), bands.amax(dim=2)), dim=1)


known, asked_for = summary(train.waves), summary(heard.waves)
shift, size = known.mean(dim=0), known.std(dim=0)
centers = torch.stack([((known - shift) / size)[train.labels == k].mean(dim=0) for k in range(20)])
nearest = torch.cdist((asked_for - shift) / size, centers.nan_to_num()).argmin(dim=1)
claim("named by the nearest mean, of twenty", (nearest == heard.labels).double().mean(), at_least=0.65, at_most=0.9)

# %% [markdown]
# Then what chapter 04 does with pictures: a small CNN on spectrograms. Its three colors are the spectrogram, how it changes (Furui, 1986),
# and how that changes.


# %%
class Namer(nn.Module):
    """A name for each sound."""

    def __init__(self):
        super().__init__()
        self.ear = AudioEncoder()
        self.head = nn.Linear(self.ear.width, len(SOUND_NOUNS))

    def forward(self, waves):
        return self.head(self.ear(waves))


def name_loss(model, batch):
    waves, labels = batch
    return F.cross_entropy(model(waves), labels)


seed_everything(0)
namer = Namer()
rows = Batches(train.waves, train.labels, size=32, seed=0)
fit(namer, name_loss, rows, steps=by_budget(smoke=2, standard=120), learning_rate=3e-3, description="naming sounds")
namer.eval()
with torch.no_grad():
    guesses = namer(heard.waves).argmax(dim=1)
named = (guesses == heard.labels).double().mean().item()
claim("sounds of the test split named", named, at_least=0.95)

# %% [markdown]
# ## 6 · A silent failure: the other rate
#
# A colleague brings recordings of the same things at 16,000 samples a second, and feeds them to the network. No error, no
# warning. The answers are nonsense. Before you read on: what does the network hear?

# %%
twice = F.interpolate(heard.waves[:, None], scale_factor=2, mode="linear", align_corners=False)[:, 0]
with torch.no_grad():
    wrong = (namer(twice).argmax(dim=1) == heard.labels).double().mean().item()
    right = (namer(twice[:, ::2]).argmax(dim=1) == heard.labels).double().mean().item()
claim("named at the other rate", wrong, at_most=0.2)
claim("named at the right rate again", right, at_least=0.9)

# %% [markdown]
# **Diagnosis.** A wave does not say how fast it is. Read at half its rate, every sound is an octave lower and twice as long.
# **The test that finds it**: a tone whose pitch you know, through the whole path, and exercise 3 at its end.

# %%
tone = torch.sin(2 * math.pi * 440 * torch.arange(4096) / 16_000)  # from a file of 16,000 samples a second
loudest = int(stft(tone, size=1024, hop=1024)[:, 2].abs().argmax())  # in a path that takes 8,000 for granted
believed = loudest * SOUND_RATE / 1024
print(f"440 Hz were played, and the path reads {believed:.0f}; exercise 3 reads between the bins")
assert abs(believed - 220) < 8

# %% [markdown]
# ## 7 · Which animal calls? Sound and picture in one space
#
# Nobody has to name a sound to know that it belongs to a picture. Chapter 08's loss asks for pairs only: a sound and a
# picture that come together are to be near each other, and far from the other pairs of the batch. Where do such pairs come
# from? From every video that was ever filmed.
#
# Here a pair is a sound and a scene with the one thing that makes it. The eye is the captioner's, frozen. The ear begins at
# random and never hears a name.

# %%
eye = load_trained("captioner").model


def things_alone(count, split):
    """What the eye sees in scenes with one thing that sounds, and whose number in `SOUND_NOUNS` it has."""
    scenes = make_scenes(count, split=split)
    alone = [i for i, s in enumerate(scenes.scenes) if len(s.objects) == 1 and s.objects[0].noun in SOUND_NOUNS]
    numbers = [SOUND_NOUNS.index(scenes.scenes[i].objects[0].noun) for i in alone]
    return eye.remember(scenes.images[alone]).mean(dim=1), torch.tensor(numbers), scenes.images[alone]


pictures, owners, _ = things_alone(by_budget(smoke=900, standard=6000), "train")
new_pictures, new_owners, new_images = things_alone(by_budget(smoke=900, standard=3000), "test")
print(len(pictures), "pictures to learn from,", len(new_pictures), "to test on")


# %%
class Pairs(nn.Module):
    """Sounds and pictures as vectors of 64 numbers each."""

    def __init__(self):
        super().__init__()
        self.ear = AudioEncoder()
        self.heard = nn.Linear(self.ear.width, 64)
        self.looked = nn.Linear(pictures.shape[1], 64)

    def sounds(self, waves):
        return F.normalize(self.heard(self.ear(waves)), dim=1)

    def pictures(self, seen):
        return F.normalize(self.looked(seen), dim=1)


# %% [markdown]
# Each batch holds one sound and one picture of each thing, so that a sound has 19 wrong pictures beside its own.


# %%
def one_of_each(labels, chance, classes=None):
    """A random place in `labels` for each class, in order; for each that is there by default."""
    shuffled = torch.randperm(len(labels), generator=chance)
    classes = labels.unique() if classes is None else classes
    return [int(shuffled[(labels[shuffled] == k).nonzero()[0]]) for k in classes]


def in_both(one, other):
    return [k for k in one.unique() if (other == k).any()]


def pair_batch(step):
    chance, classes = torch.Generator().manual_seed(step), in_both(train.labels, owners)
    return train.waves[one_of_each(train.labels, chance, classes)], pictures[one_of_each(owners, chance, classes)]


def pair_loss(model, batch):
    waves, seen = batch
    return info_nce(model.sounds(waves), model.pictures(seen), scale=10.0)


# %%
STEPS_PAIRS = by_budget(smoke=2, standard=100)
seed_everything(0)
both_ears = Pairs()
fit(both_ears, pair_loss, pair_batch, steps=STEPS_PAIRS, learning_rate=3e-3, description="sounds and pictures")
both_ears.eval()
with torch.no_grad():
    sound_vectors, picture_vectors = both_ears.sounds(heard.waves), both_ears.pictures(new_pictures)


# %% [markdown]
# The test: 20 pictures, one of each thing, none of them seen in training. Does the sound pick its own?


# %%
def recall_among_20(queries, labels, others, other_labels, draws=50):
    """How often the nearest of 20 others, one of each thing, is of the query's own thing."""
    hits = []
    for draw in range(draws):
        some = one_of_each(other_labels, torch.Generator().manual_seed(draw))
        best = (queries @ others[some].T).argmax(dim=1)
        hits.append((other_labels[some][best] == labels).double().mean())
    return torch.stack(hits).mean().item()


found = recall_among_20(sound_vectors, heard.labels, picture_vectors, new_owners)
claim("sound to picture, the right one first among 20", found, at_least=0.8)

# %% [markdown]
# Look at what a few sounds find, among *all* test pictures and not only among 20:

# %%
chosen = [int((heard.labels == k).nonzero()[0]) for k in heard.labels.unique()[:5]]
nearest_picture = (sound_vectors[chosen] @ picture_vectors.T).argmax(dim=1)
right_picture = [bool(new_owners[p] == heard.labels[s]) for s, p in zip(chosen, nearest_picture.tolist(), strict=True)]
viz.show(
    viz.gallery(new_images[nearest_picture], [f"sound of a {heard.samples[s].noun}" for s in chosen], columns=5, correct=right_picture),
    alt="Five pictures, each the nearest of all test pictures to a sound of the test split; above each stands whose sound it was.",
)  # fmt: skip

# %% [markdown]
# **What to see:** a tick stands where a sound finds a picture of its thing among all test pictures, as most do. The
# ear was given no name. But names helped behind the scenes: we paired by them, each batch holds every thing once so
# that no wrong picture is secretly right, and the eye had learned nouns from captions. Pairs cut out of real videos
# have none of that, and some fit by accident.
#
# ## 8 · A clip is many pictures
#
# - **frame**（帧）: one picture of a clip. (In sections 3 to 6 a frame was a piece of sound; the field has one word for both.)
#
# Eight frames of one clip. Cover all but one with your hand: which way does each of the two things go?

# %%
from mmcourse.datasets import (
    DIRECTIONS,
    clip_caption_is_true,
    clip_captions,
    clip_questions,
    make_clips,
    noun_numbers,
    render_clips,
    sample_clips,
)

several = make_clips(by_budget(smoke=60, standard=300), split="test")
moving = next(i for i, c in enumerate(several.clips) if [t.motion for t in c.things] == ["moves", "moves"])
clip = several.clips[moving]
viz.show(
    viz.gallery(several.frames[moving], [f"frame {t}" for t in range(clip.length)], columns=8),
    alt="Eight frames of one clip with two things. First one of them changes its place from frame to frame, then the other.",
)
for caption in several.captions(moving)[:6]:
    print(caption)

# %% [markdown]
# Every frame by itself is a scene. That something *moves*, that one thing moves *before* another, and *which way*, is in no
# frame. It lies between them.
#
# **This world was built so.** A clip played backward is a clip of this world, as likely as itself. A place in the picture is as
# often the beginning of a path to the left as of one to the right. So whoever sees one frame must guess, and so must whoever sees
# all frames *without their order*: the mean of the frames of a clip and of the same clip backward are equal. Check both.

# %%
frames_forth = several.frames[moving].float()
torch.testing.assert_close(frames_forth.mean(dim=0), frames_forth.flip(0).mean(dim=0))
first_seen = {way: [] for way in ("left", "right")}  # where things are in the first frame that will go that way
for c in sample_clips(by_budget(smoke=400, standard=6000)):
    for thing in c.things:
        if thing.direction in first_seen and thing.motion in ("moves", "leaves"):
            first_seen[thing.direction].append(thing.path[0].box[0])
figure, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
shares = [
    ax.hist(places, bins=8, range=(0, 48), density=True, histtype="step", label=way)[0]
    for way, places in first_seen.items()
]
ax.set(xlabel="left edge in the first frame, pixels", ylabel="share a pixel")
ax.legend()
viz.show(figure, alt="Two histograms of where things begin that go left and that go right: they lie on one another.")
apart = np.abs(shares[0] - shares[1]).sum() * 6 / 2
claim("share of places that would have to move to make both alike", apart, at_most=by_budget(smoke=0.5, standard=0.1))

# %% [markdown]
# **What to see:** whether something will go left or right, its place in the first frame does not tell.
#
# ### ✏️ Exercise 5 · Which moves first ★★
#
# *Goal: say which of two things moves first. About 10 minutes.*
#
# With places at hand, order is a matter of a few lines. Places are (B, T, 2, 2): two things in each frame, as (x, y). A thing
# has moved in the first frame in which it is more than `threshold` from where it was in frame 0, as the crow flies. The answer is 0
# or 1, the thing that moves first, or −1 if both begin in the same frame or neither moves.


# %% tags=["exercise"] id="16-order"
def moves_first(places, threshold):
    """Which of two things moves first, int64 (B,), from places (B, T, 2, 2)."""
    ### BEGIN SOLUTION
    far = (places - places[:, :1]).norm(dim=-1) > threshold
    begins = torch.where(far.any(dim=1), far.long().argmax(dim=1), far.shape[1])
    first = begins.argmin(dim=1)
    return torch.where(begins[:, 0] == begins[:, 1], -1, first)
    ### END SOLUTION


# %% tags=["check"]
check("16-order", moves_first)

# %% [markdown]
# ## 9 · First frame, mean of frames, attention over time
#
# Real clips come without places. Four networks are to answer the same questions:
#
# - **which way** does it move: left, right, up or down;
# - **which first**: of two things, which moves first;
# - **where**: in which third of the picture does something stand that stands still?
#
# The last needs no time. It is there to see whether the rivals can do anything at all.
#
# ### ✏️ Exercise 6 · Which frame matters ★★
#
# *Goal: let one learned query choose among the frames of a clip. About 9 minutes.*
#
# Frames (B, T, C) are keys and values at once. Scores are divided by √C as in chapter 01; the result is (B, C).


# %% tags=["exercise"] id="16-over-time"
def over_time(frames, query):
    """A mean of the frames (B, T, C), weighted by how much they are like the query (C,)."""
    ### BEGIN SOLUTION
    weights = (frames @ query / len(query) ** 0.5).softmax(dim=1)
    return (weights[:, None] @ frames).squeeze(1)
    ### END SOLUTION


# %% tags=["check"]
check("16-over-time", over_time)

# %% [markdown]
# Your function finds *a* frame by what it shows. To compare one frame with another, every frame has to ask: that is
# self-attention over time, and the frames must be told when they are (chapter 01's positions).
#
# **What a frame says about a thing.** The frozen network `patches` of chapter 07 names the thing in each of 64 cells. For the noun
# of a question that gives weights over cells, and with them a *place*: a mean of the cells' position signals, once with sharp weights
# and once with soft ones. Beside it stands how sure it is that the thing is there at all. 65 numbers a noun and frame.

# %%
patches = load_trained("patches").model
CELLS = sinusoidal_positions_2d(8, 8, 32)  # (64, 32)
NUMBERS = noun_numbers()


def looked_up(logits, nouns):
    """Where two nouns are in each frame, from logits (T, 64 cells, 65): (T, 130)."""
    evidence = logits[..., [NUMBERS[noun] for noun in nouns]] - logits[..., -1:]  # against "nothing"
    sure = evidence.amax(dim=1).sigmoid()[..., None]  # (T, 2, 1)
    places = [(evidence / soft).softmax(dim=1).mT @ CELLS * sure for soft in (1.0, 4.0)]  # (T, 2, 32) each
    return torch.cat((*places, sure), dim=-1).flatten(1)


# %% [markdown]
# Now the questions. Each order question is asked both ways round, so that "the first named" is no better than a coin.

# %%
KINDS = ("which way", "which first", "where")
ANSWERS = torch.tensor([[1] * 4 + [0] * 5, [0] * 4 + [1] * 2 + [0] * 3, [0] * 6 + [1] * 3], dtype=torch.bool)


def asked(clip):
    """Of each question about a clip: its kind, its two nouns (or one of them twice), and the number of its answer."""
    found = []
    for question in clip_questions(clip):
        words = question.text.rstrip("?").replace(",", "").split()
        if question.kind == "direction":
            found.append((0, (words[4], words[4]), DIRECTIONS.index(question.answer)))
        elif question.kind == "order":
            pair, first = (words[4], words[7]), (words[4], words[7]).index(question.answer)
            found += [(1, pair, 4 + first), (1, pair[::-1], 5 - first)]
    still = [thing for thing in clip.things if thing.motion == "stands still" and clip.count(thing.noun) == 1]
    return found + [(2, (thing.noun, thing.noun), 6 + thing.path[0].cell % 3) for thing in still]


# %% [markdown]
# What a clip shows is looked up once for each question. Of all clips, take those with an order to ask for, and a quarter as many in
# which something only stands there. Each of them serves twice: backward, it is a clip as well, in which left and right, up and down, first and second
# have changed places.


# %%
def lessons(count, split):
    """What is looked up (N, T, 130), the kind and the answer of each question about some clips."""
    pool = [(clip, asked(clip)) for clip in sample_clips(6 * count, split=split)]
    ordered = [(clip, found) for clip, found in pool if any(kind == 1 for kind, *_ in found)][:count]
    still = [(clip, found) for clip, found in pool if found and all(kind == 2 for kind, *_ in found)][: count // 4]
    chosen, rows = ordered + still, []
    for start in progress(range(0, len(chosen), 32), description=f"looking, {split}"):
        part = chosen[start : start + 32]
        with torch.no_grad():
            logits = patches(render_clips([clip for clip, _ in part])[0]).unflatten(0, (len(part), -1))
        for seen, (_, found) in zip(logits, part, strict=True):
            for kind, nouns, answer in found:
                rows.append((looked_up(seen, nouns), kind, answer))
                rows.append((looked_up(seen.flip(0), nouns), kind, answer ^ 1 if kind < 2 else answer))
    return tuple(torch.stack([torch.as_tensor(value) for value in column]) for column in zip(*rows, strict=True))


to_learn = lessons(by_budget(smoke=12, standard=600), "train")
to_test = lessons(by_budget(smoke=12, standard=200), "test")
print({kind: int((to_test[1] == k).sum()) for k, kind in enumerate(KINDS)}, "questions in the test")

# %% [markdown]
# Four watchers with equally many weights. One sees the first frame, one the mean of all frames, and the last all frames with their
# times, and beside each what has changed when the next one comes. Is it the attention that helps, or what has changed? The third
# watcher tells: it sees frames and changes as the last one does, but only their mean.


# %%
class Watcher(nn.Module):
    """An answer to each question, from what was looked up (B, T, 130) and the kind (B,)."""

    def __init__(self, over):
        super().__init__()
        self.over = over
        self.read = nn.Linear(2 * 130 + len(KINDS), 64)
        self.time = Encoder(1, 64, 4)
        self.answer = nn.Linear(64, 9)

    def forward(self, seen, kinds):
        seen = seen[:, :1] if self.over == "first" else seen
        steps = F.pad(seen[:, 1:] - seen[:, :-1], (0, 0, 0, 1)) * (self.over in ("changes", "attention"))
        kind = F.one_hot(kinds, len(KINDS)).to(seen)[:, None].expand(-1, seen.shape[1], -1)
        x = F.gelu(self.read(torch.cat((seen, steps, kind), dim=-1)))
        x = x if self.over == "attention" else x.mean(dim=1, keepdim=True)
        x = self.time(x + sinusoidal_positions(x.shape[1], 64).to(x))
        return self.answer(x.mean(dim=1)).masked_fill(~ANSWERS.to(kinds.device)[kinds], -1e4)


# %% [markdown]
# All twelve trainings are alike, and each is short.


# %%
def watch_loss(model, batch):
    seen, kinds, answers = batch
    return F.cross_entropy(model(seen, kinds), answers)


def watched(over, seed):
    """The share of right answers of each kind, and of the ways that keep to the right axis, that of the right ones."""
    seed_everything(seed)
    model = Watcher(over)
    fit(model, watch_loss, Batches(*to_learn, size=96, seed=seed), steps=by_budget(smoke=2, standard=400),
        learning_rate=3e-3, seed=seed, description=f"{over}, seed {seed}")  # fmt: skip
    seen, kinds, answers = to_test
    with torch.no_grad():
        best = model.eval()(seen, kinds).argmax(dim=1)
    right = (best == answers).double()
    ways = (kinds == 0) & (best // 2 == answers // 2)  # left or right, up or down
    return [right[kinds == k].mean().item() for k in range(3)] + [right[ways].mean().item()]


SEEDS = by_budget(smoke=(0,), standard=(0, 1, 2))
watchers = {over: [watched(over, seed) for seed in SEEDS] for over in ("first", "mean", "changes", "attention")}

# %%
figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for k, (kind, chance) in enumerate(
    zip(("which way, axis given", "which first", "where"), (1 / 2, 1 / 2, 1 / 3), strict=True)
):
    column = 3 if k == 0 else k
    viz.dots(
        {over: [run[column] for run in runs] for over, runs in watchers.items()},
        baseline={"chance": chance},
        ax=panels[k],
    )
    panels[k].set(title=kind, ylim=(0, 1.05))
    panels[k].tick_params(axis="x", rotation=25)
viz.show(figure, alt="Three panels with dots for three seeds. Which way: first frame and mean of frames lie at chance, mean with changes and attention near 1. Which first: only attention lies near 1, the mean with changes a little above 0.7. Where: all four lie near 1.")  # fmt: skip
mean_of = {over: torch.tensor(runs).mean(dim=0).tolist() for over, runs in watchers.items()}
claim("attention over time", {kind: mean_of["attention"][k] for k, kind in enumerate(KINDS[:2])}, at_least=0.93)
claim("rivals where something stands", {over: mean_of[over][2] for over in ("first", "mean")}, at_least=0.9)
for over in ("first", "mean"):
    claim(f"{over}, which way along the right axis, and which first", dict(zip(("way", "first"), (mean_of[over][3], mean_of[over][1]), strict=True)), at_most=0.58)  # fmt: skip
claim("mean with changes, which way along the right axis", mean_of["changes"][3], at_least=0.9)
claim(
    "which first, attention minus the mean with changes", mean_of["attention"][1] - mean_of["changes"][1], at_least=0.1
)

# %% [markdown]
# **What to see:** all four know where something stands. Of what lies *between* frames, two of them know nothing: the first frame because the
# world was built so, and the mean by arithmetic. It can tell the *axis* (things leave a trail in it) and not the way along it: in this
# test every clip comes forward and backward with one mean, so that whatever is said of both is right exactly once. A change has a
# direction, so a mean of frames *with their changes* tells the way. Which came first it mostly cannot tell: that needs *when*, and that is
# what attention to all frames and their times adds.
#
# Is that so in real videos? Often not. Buch et al. (2022) let a model choose a single good frame, and on well-known
# sets of questions about videos it came close to models that saw everything or beat them. Lei et al. (2022) trained on
# single frames with the like result. That says less about those models than about the questions: *look what one frame can do
# before you praise what eight do.* Here the world was built so that you know.
#
# ## 10 · A moving scene described
#
# Chapter 09's captioner looks at 64 patches of a picture. Let it look at the patches of all frames. `VideoCaptioner` sees each
# frame with the captioner's frozen eyes, and a second, small network sees the *step* to the next frame (two streams: Simonyan and
# Zisserman, 2014). Four patches become one square, each square is told when it is, and all squares of all frames attend to each
# other: 8 × 16 = 128 tokens (joint attention to space and time, Arnab et al., 2021). The decoder begins as the captioner's; the words
# "moves", "enters", "before" are new to it.

# %%
teller = load_trained("video-captioner").model.requires_grad_(False)
sizes = {name: sum(p.numel() for p in getattr(teller, name).parameters())
         for name in ("cnn", "narrow", "encoder", "motion", "joined", "time", "decoder", "embedding")}  # fmt: skip
print(sizes)
claim("tokens of a clip", teller.over_time(several.frames[:2]).shape[1], near=128, tolerance=0)

# %% [markdown]
# To learn to *watch* takes most of an hour on one core: the recipe showed the finished model 64,800 clips. To learn to *tell*, where somebody
# watches already, takes less. Below you take over what watches, frozen, and train the decoder alone, from the captioner's, which
# has never read "moves".

# %%
yours, _ = video_captioner.untrained()
for name in ("motion", "joined", "time"):
    getattr(yours, name).load_state_dict(getattr(teller, name).state_dict())
    getattr(yours, name).requires_grad_(False)
learned_from = make_clips(by_budget(smoke=24, standard=600), start=1_000_000)
memory = yours.watch(learned_from.frames)  # (600, 128, 128)
texts = [video_captioner.happenings(clip) for clip in learned_from.clips]


def told_batch(step):
    chance = random.Random(step)
    rows = [chance.randrange(len(texts)) for _ in range(24)]
    sentences = [text for row in rows for text in chance.choices(texts[row], k=2)]
    return CaptionBatch(memory[rows], *pairs(yours.tokenizer, sentences))


fit(yours, captioner.loss, told_batch, steps=by_budget(smoke=2, standard=220, gpu=1000), learning_rate=2e-3,
    description="telling")  # fmt: skip
_ = yours.eval()

# %% [markdown]
# Any sentence of the grammar can be decided, "a cat moves left before a dog enters" too. So there is no need to compare with what
# somebody else would have said.


# %%
LIKELIEST, WORD_BY_WORD = video_captioner.LIKELIEST, {"method": "greedy"}


def told(model, memory, way=LIKELIEST):
    return [caption.text for caption in model.generate(memory, **way)]


def true_of(clips, sentences):
    return [bool(clip_caption_is_true(clip, text)) for clip, text in zip(clips, sentences, strict=True)]


remembered = teller.watch(several.frames)  # yours watches alike
said = {
    "yours": told(yours, remembered),
    "bundled": told(teller, remembered),
    "bundled, word by word": told(teller, remembered, WORD_BY_WORD),
}
rates = {name: sum(true_of(several.clips, texts)) / len(several) for name, texts in said.items()}
claim("sentences true, yours", rates["yours"], at_least=0.87)
claim("sentences true, bundled", rates["bundled"], at_least=0.95)
linked = {name: sum(bool({"before", "after", "while"} & {*text.split()}) for text in texts) / len(several)
          for name, texts in said.items()}  # fmt: skip
claim(
    "likeliest, more sentences true than word by word", rates["bundled"] - rates["bundled, word by word"], at_least=0.01
)
claim("word by word, more sentences about an order", linked["bundled, word by word"] - linked["bundled"], at_least=0.05)

# %% [markdown]
# **Two ways to find a sentence.** *Likeliest* takes the sentence that is likeliest as a whole (beam search without a reward for
# length, chapter 03). It is mostly short, because every further word costs probability, and each sentence about an order has many
# rivals. *Word by word* takes the best
# next word. It begins more long sentences, and what is begun cannot be taken back: it says more, and less of it is true.

# %%
telling = [i for i, text in enumerate(said["bundled, word by word"][:150]) if {"before", "after"} & {*text.split()}
           and "another" not in text and clip_caption_is_true(several.clips[i], text)]  # fmt: skip
SHOWN = telling[0]
backward = teller.watch(several.frames[:150].flip(1))
there_and_back = [told(teller, seen[SHOWN : SHOWN + 1], WORD_BY_WORD)[0] for seen in (remembered, backward)]
both_ways = torch.cat((several.frames[SHOWN], several.frames[SHOWN].flip(0)))
titles = [f"frame {t}" for t in range(8)] * 2
viz.show(
    viz.gallery(both_ways, titles, columns=8, title=" / ".join(there_and_back)),
    alt="Eight frames of a clip, and below the same frames in the opposite order; above stands what the model says of each.",
)

# %% [markdown]
# **What to see:** above, before the stroke, what it says of the clip, and after it what it says of the same frames backward. The window,
# which entered, now leaves. The sunflower and the order are left out: what is said is true, and not all that could be said. (The clip
# was chosen among those whose first sentence is true and tells an order.)
#
# **Does it watch?** Three tests that need no reference sentence, only a judge. Tell it about *another* clip: what it
# says must not be true of this one. Show it the clip *backward*: where a way or an order is told, it must now say
# something else. Show it the *first frame* and let it last: nothing can move. (Clips in which something enters are
# left out of the third, as their first frame lacks it.)

# %%
elsewhere = sum(true_of(several.clips, said["bundled"][1:] + said["bundled"][:1])) / len(several)
way_told = [
    i
    for i, text in enumerate(said["bundled"][:150])
    if {*DIRECTIONS, "before", "after", "enters", "leaves"} & {*text.split()}
]
reverse = told(teller, backward[way_told])
kept = sum(true_of([several.clips[i] for i in way_told], reverse)) / len(way_told)
something = [i for i, c in enumerate(several.clips) if all(thing.motion != "enters" for thing in c.things)][:60]
lasting = told(teller, teller.watch(several.frames[something, :1].expand(-1, 8, -1, -1, -1)))
claim("true of another clip", elsewhere, at_most=0.05)
claim("backward, still true of the clip as it was", kept, at_most=0.2)
claim(
    "a first frame that lasts: stands still",
    sum("stands still" in text for text in lasting) / len(lasting),
    at_least=0.8,
)

# %% [markdown]
# When does each word look? Attention of the decoder, summed over all places of a frame:

# %%
words, maps = teller.word_maps(several.frames[SHOWN], there_and_back[0])
viz.show(
    viz.heat(maps.sum(dim=(2, 3)).tolist(), rows=list(words), columns=[str(t) for t in range(8)], xlabel="frame"),
    alt="A table of words and frames: how much of its attention each word of a sentence pays to each of eight frames.",
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
wrong = [i for i, right in enumerate(true_of(several.clips, said["bundled"])) if not right]
for i in wrong[:5]:
    print(f"{said['bundled'][i]!r} about {several.clips[i]}")

# %% [markdown]
# **What to see:** both verbs look at the same frames, most of all at the last one, and hardly at the first three, in which the window
# enters. That is no mistake: the encoder has let all frames attend to each other, so a late token can hold what happened early. *When*
# something happened cannot be read off this map. (And a map of attention is no proof of what a model uses: chapter 07.) Below the figure
# are failures of the finished model: often it is a way, the right axis and the wrong way along it. An order can be turned
# round, too, or something that moves is said to stand still.
#
# ## 11 · Three kinds of data in one space
#
# Sound, clip and text: three pairs of kinds. A loss for each pair is the plain way (AudioCLIP: Guzhov et al., 2021).
# ImageBind (Girdhar et al., 2023) pairs everything with pictures only, and finds that sounds and texts which never
# met fit together in the end.
#
# ### ✏️ Exercise 7 · Three modalities, one space ★★
#
# *Goal: put sounds, clips and texts into one space. About 10 minutes.*
#
# Row i of all three is about the same thing. The loss is the mean of chapter 08's InfoNCE over the three pairs, each of
# them the mean of both directions, cosine similarities divided by the temperature.


# %% tags=["exercise"] id="16-three-ways"
def three_ways(sounds, clips, texts, temperature):
    """The mean InfoNCE loss of all three pairs of (B, D)."""
    ### BEGIN SOLUTION
    sounds, clips, texts = (F.normalize(each, dim=1) for each in (sounds, clips, texts))
    target = torch.arange(len(texts), device=texts.device)
    total = 0.0
    for one, other in ((sounds, clips), (sounds, texts), (clips, texts)):
        logits = one @ other.T / temperature
        total = total + F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
    return total / 6
    ### END SOLUTION


# %% tags=["check"]
check("16-three-ways", three_ways)

# %% [markdown]
# What goes in is made by networks that you know, all frozen: the ear of section 7, the memory of the video captioner, and its
# word vectors, of which a sentence gets the mean. Three linear maps learn, nothing else.


# %%
def clips_alone(count, split):
    """Features of clips with one thing that sounds, of a sentence about each, and the number of the thing."""
    clips = [c for c in sample_clips(count, split=split) if len(c.things) == 1 and c.things[0].noun in SOUND_NOUNS]
    frames = render_clips(clips)[0].unflatten(0, (len(clips), -1))
    with torch.no_grad():
        watched = teller.watch(frames).mean(dim=1)
        ids = [teller.tokenizer.encode(clip_captions(clip)[1]) for clip in clips]
        read = torch.stack([teller.embedding(torch.tensor(words)).mean(dim=0) for words in ids])
    return watched, read, torch.tensor([SOUND_NOUNS.index(clip.things[0].noun) for clip in clips])


def standardized(x, like):
    return (x - like.mean(dim=0)) / like.std(dim=0).clamp(min=1e-3)


known, fresh = (
    clips_alone(by_budget(smoke=1200, standard=2500), "train"),
    clips_alone(by_budget(smoke=1200, standard=1200), "test"),
)
with torch.no_grad():
    heard_train = both_ears.ear(train.waves[: by_budget(smoke=80, standard=1000)])
    heard_test = both_ears.ear(heard.waves)


# %%
class Three(nn.Module):
    """A linear map to 64 numbers for each of the three."""

    def __init__(self):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(x.shape[1], 64) for x in (heard_train, known[0], known[1]))

    def forward(self, *kinds):
        return [linear(x) for linear, x in zip(self.maps, kinds, strict=True)]


# %% [markdown]
# Batches are those of section 7: one of each of the twenty things, now three times.


# %%
def three_batch(step):
    chance, names = torch.Generator().manual_seed(step), train.labels[: len(heard_train)]
    sounds, clips = (one_of_each(labels, chance, in_both(names, known[2])) for labels in (names, known[2]))
    return tuple(standardized(x[rows], x) for x, rows in ((heard_train, sounds), (known[0], clips), (known[1], clips)))


def three_loss(model, batch):
    """As exercise 7, by chapter 08's loss of the library."""
    vectors = [F.normalize(x, dim=1) for x in model(*batch)]
    losses = [info_nce(one, other, scale=10.0) for one, other in itertools.combinations(vectors, 2)]
    return sum(losses) / 3


seed_everything(0)
three = Three()
fit(three, three_loss, three_batch, steps=by_budget(smoke=2, standard=150),
    learning_rate=3e-3, description="three ways")  # fmt: skip
with torch.no_grad():
    placed = three(
        standardized(heard_test, heard_train), standardized(fresh[0], known[0]), standardized(fresh[1], known[1])
    )
vectors = {name: (F.normalize(x, dim=1), labels) for name, x, labels in
           zip(("sounds", "clips", "texts"), placed, (heard.labels, fresh[2], fresh[2]), strict=True)}  # fmt: skip
recalls = {f"{a} → {b}": recall_among_20(*vectors[a], *vectors[b]) for a in vectors for b in vectors if a != b}
viz.show(viz.bars(recalls, ylabel="first among 20", baseline={"chance": 0.05}),
         alt="Six bars near 1: each of sounds, clips and texts finds the two others; chance is a twentieth.")  # fmt: skip
claim("first among 20, worst of six ways", min(recalls.values()), at_least=0.8)

# %% [markdown]
# **What to see:** all six directions work, also sounds → texts, from 20 groups a batch and three linear maps. What
# was hard had been learned before, each network by itself.
#
# ## 12 · On real pictures: where does the camera go?
#
# A camera that pans over a photograph moves *everything*. Section 2 has a tool for that. A shift of a picture changes no frequency's size
# but turns its phase, the further the higher the frequency. Divide out the sizes, keep the phases, transform back: what is left is
# a single bright pixel, at the shift. Exactly so, if what leaves on one side comes in on the other. At the edge of a photograph new
# things come in, so a window fades it out first.
#
# - **phase correlation**（相位相关）: the shift of two pictures from the phases of their Fourier transforms (Kuglin and Hines, 1975).


# %%
def shift_of(before, after):
    """How far a picture (H, W) moved, down and to the right, in pixels."""
    hill = torch.outer(*(torch.hann_window(side, dtype=before.dtype) for side in before.shape))
    one, other = (torch.fft.fft2(hill * (x - x.mean())) for x in (before, after))
    turned = one.conj() * other
    bright = torch.fft.ifft2(turned / turned.abs().clamp(min=1e-12)).real
    at = divmod(int(bright.argmax()), bright.shape[1])
    return tuple(place - side if place > side // 2 else place for place, side in zip(at, bright.shape, strict=True))


photos = load_photos()
pans, true_shifts = [], []
for photo in photos.values():
    gray = photo.image.double().mean(dim=0)[:300, :300]
    for down, across in torch.randint(-12, 13, (6, 2), generator=generator).tolist():
        top, left = 40, 40
        one, other = (gray[y : y + 128, x : x + 128] for y, x in ((top, left), (top - down, left - across)))
        pans.append(shift_of(one, other))
        true_shifts.append((down, across))
exact = sum(found == true for found, true in zip(pans, true_shifts, strict=True)) / len(pans)
claim("shifts of photographs found to the pixel", exact, at_least=0.9)

# %% [markdown]
# No training, six lines, and exact to the pixel on more than nine crops of ten. (The camera went the opposite way of
# the picture.) It finds *one* motion of the whole picture; where things move each in their own way one has to look at
# small windows, or learn. (Your own recordings go in as `load_wave("my.wav")`, at 8,000 samples a second or resampled
# there: section 6.)
#
# ## 13 · At scale
#
# | system | what it does with what you built here | source |
# |---|---|---|
# | Whisper | 80 mel bands, windows of 25 ms, one every 10 ms, at 16,000 samples a second; a transformer writes text; 680,000 hours of sound with transcripts | Radford et al., 2022, sections 2.1 and 2.2 |
# | CLAP | sounds and sentences in one space, from 128,000 pairs | Elizalde et al., 2022, abstract |
# | AudioCLIP | sounds, pictures and texts, a loss for each pair | Guzhov et al., 2021 |
# | ImageBind | six kinds of data, the five others paired with pictures only | Girdhar et al., 2023, abstract |
# | ViViT | attention to space and time, jointly or one after the other | Arnab et al., 2021, section 3 |
# | Qwen2.5-VL | frames at any rate, with positions that say at which second each is | Bai et al., 2025 |
#
# All of them are what you have seen: a picture of sound, a row of frames, attention, a contrast, a decoder. What changes is
# the amount. A minute of video at 24 frames a second is 1,440 pictures; with 64 patches each that would be 92,160 tokens. So
# real systems look at few frames, merge patches, and spend attention on space and time apart.
#
# **On one GPU** everything here runs as it is, `fit` and `generate` use it, and with the budget `gpu` your captioner
# trains longer. **On many**, chapter 15 shows how a step is shared out; this model keeps the captioner's batch
# normalization, and its recipe trains in one process.
#
# ## 14 · Your own project
#
# You have met every part. Now choose a question of your own. In a terminal:
#
# ```text
# mmcourse project            # the list of eleven
# mmcourse project medicine   # writes a folder: notebook, pictures, rubric, a test of the data
# ```
#
# Medicine, driving, security, social media, shops, schoolbooks, search, customer service, museum, design, games. Each
# begins with small generated pictures so that every cell runs at once. Then `FOLDER` becomes a folder of your own,
# and later what labels mean and what errors cost. And each says what would be needed before anybody relies on it:
# which data, whose consent, what an error costs, which law.

# %% [markdown] tags=["written"] id="16-relied-on"
# ### ✏️ Written question · Before anybody relies on it
#
# A town wants to hang microphones and cameras at crossings: a model is to hear and see accidents and call an ambulance. The demonstration names
# 97 % of 300 clips right. Write down what has to be known before it is switched on. At least: what the 97 % were measured on,
# which error costs what, what the model does when it is unsure, who is filmed and was asked, and how you would notice in a year that it
# has become worse.
#
# ### BEGIN SOLUTION
# 1. The 300 clips: from which crossings, hours, weathers, cameras? How many accidents were among them? With nine accidents, 97 % is what "never an accident"
#    scores; with three it scores 99 %, more than this model. Ask for recall at accidents and for false alarms a day, with intervals, on crossings never trained on.
# 2. A missed accident costs a life, a false alarm an ambulance that is missing elsewhere. Put numbers on both and choose the
#    threshold by them, not by accuracy.
# 3. Unsure: a person looks at the clip. How many clips a day is that, and is somebody there at night?
# 4. Does it need pictures at all? Sound may be enough, and sound is speech of passers-by as well. Rivals: one frame, sound alone, a call of a passer-by.
# 5. Everybody at the crossing is recorded: a legal basis, a purpose, signs, short storage, and no other use (in Europe GDPR
#    articles 5, 6 and 35; the AI Act, whose Annex III names safety components of road traffic and systems that dispatch emergency services as
#    high risk). Consent cannot be asked of passers-by, which is why the rest must be strict.
# 6. Afterwards: a fixed set of clips is tested every month, alarms are compared with the ambulance's own records, and somebody has the right to switch it off.
# ### END SOLUTION

# %% [markdown]
# ## 15 · Ask yourself

# %%
quiz(
    Question(
        "A window of 1,024 samples instead of 256 tells …",
        ("frequencies apart more finely and times less", "both more finely", "times more finely and frequencies less"),
        0,
        "N samples tell frequencies apart by about rate / N, and blur time over N / rate.",
    ),
    Question(
        "At 8,000 samples a second, a tone of 5,000 Hz …",
        ("sounds like one of 3,000 Hz", "cannot be heard", "sounds like one of 4,000 Hz"),
        0,
        "Beyond half the rate, N − k turns give the samples of k turns: 8,000 − 5,000.",
    ),
    Question(
        "A model that sees the mean of all frames is right about left or right in 60 % of a benchmark. You suspect …",
        (
            "that it understands motion",
            "that something else than motion hints at the answer",
            "that the mean is a good encoder",
        ),
        1,
        "A mean has no order. What it knows about order is in the data's habits.",
    ),
    Question(
        "Sounds were paired with pictures, and texts with pictures. Sounds and texts …",
        ("are strangers", "end up near each other all the same", "must be paired before anything works"),
        1,
        "Both stand near the pictures of their thing: that is ImageBind's observation.",
    ),
    Question(
        "Files of 16,000 samples a second go into a network for 8,000. You notice …",
        ("an error", "nothing but wrong names", "that it is slower, and right"),
        1,
        "A wave does not say how fast it is. Test the whole path with a tone that you know.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A sound is a list of numbers; its frames' spectra are a picture. The window decides what is sharp, time or pitch.
# - What chapter 04 does with pictures names sounds; what chapter 08 does with pairs finds the picture of a sound, whose name the ear was never told.
# - A clip is a text of pictures. Look first what one frame and the mean of frames can do. Changes tell the way,
#   and attention over time the order.
# - Sentences about clips can be decided, so a model can be caught: another clip, the clip backward, a frame that lasts.
# - Before anybody relies on a model: data, consent, the cost of errors, the law, and a way to notice that it got worse.
#
# This was the last chapter. What comes next is yours.

# %% [markdown]
# ## References
#
# - *Theory of communication*. Gabor. Journal of the IEE 1946.
# - *A scale for the measurement of the psychological magnitude pitch*. Stevens, Volkmann, Newman. JASA 1937.
# - *An algorithm for the machine calculation of complex Fourier series*. Cooley, Tukey. Mathematics of Computation 1965.
# - *Speaker-independent isolated word recognition using dynamic features of speech spectrum*. Furui. IEEE ASSP 1986.
# - *PARSHL: an analysis/synthesis program for non-harmonic sounds*. Smith, Serra. ICMC 1987.
# - *The phase correlation image alignment method*. Kuglin, Hines. IEEE Conference on Cybernetics and Society 1975.
# - *Two-stream convolutional networks for action recognition in videos*. Simonyan, Zisserman. NeurIPS 2014.
# - *ViViT: a video vision transformer*. Arnab et al. ICCV 2021.
# - *Revisiting the "video" in video-language understanding*. Buch et al. CVPR 2022.
# - *Revealing single frame bias for video-and-language learning*. Lei, Berg, Bansal. 2022.
# - *AudioCLIP: extending CLIP to image, text and audio*. Guzhov, Raue, Hees, Dengel. 2021.
# - *CLAP: learning audio concepts from natural language supervision*. Elizalde et al. 2022.
# - *ImageBind: one embedding space to bind them all*. Girdhar et al. CVPR 2023.
# - *Robust speech recognition via large-scale weak supervision*. Radford et al. 2022.
# - *Qwen2.5-VL technical report*. Bai et al. 2025.
