# %% [markdown]
# # 00 · Start here
#
# **After this chapter** you can say what a language model, computer vision and multimodal learning are and how they
# fit together. You know the small world that the whole course is set in, you have solved your first exercises, and
# you have watched a machine that reads and sees solve a task that reading alone and seeing alone cannot.
#
# **You need** Python and the will to multiply two tables of numbers. Nothing about neural networks yet.
#
# **It takes** about 45 minutes to read, one minute to run, and 30 minutes for the exercises.
#
# **Where you are.** Every chapter works on one part of the same picture. You find the picture drawn large further
# down:
#
#     text  → language model ↘
#                               fusion → tasks: recognize, caption, answer, find, draw
#     image → vision model   ↗

# %% tags=["nbval-ignore-output"]
import math

import matplotlib.pyplot as plt
import torch
from torch import nn

from mmcourse import viz
from mmcourse.course import Question, check, claim, open_chapter, quiz
from mmcourse.runtime import by_budget, progress

generator = open_chapter(0)  # the look of figures, one thread, the same chance every time

# %% [markdown]
# ## A question with a picture
#
# Here are two pictures and two sentences. Which sentence is true of which picture?
#
# Now cover the pictures with your hand and answer again. Then cover the sentences. With one half hidden, you can
# only guess. That is the whole course in one figure: some questions live in neither half. They live *between* the
# two.

# %%
from mmcourse.datasets import make_scenes

opening = make_scenes(200, split="val")
A, B = [
    i
    for i, scene in enumerate(opening.scenes)
    if scene.background == "yellow" and len({thing.noun for thing in scene.objects}) == len(scene.objects) == 2
][:2]
sentence_a, sentence_b = (opening.captions(i)[0] for i in (A, B))

pairs = [(A, sentence_a), (A, sentence_b), (B, sentence_a), (B, sentence_b)]
titles = [sentence.replace(" on a ", "\non a ") + "?" for _, sentence in pairs]
viz.show(
    viz.gallery(opening.images[[i for i, _ in pairs]], titles, columns=4),
    alt="Two pictures, each beside two sentences: the one that is true of it and the one that is true of the other picture.",
)

# %% [markdown]
# **What to see:** each sentence is true once and false once, and so is each picture. Knowing one of them tells you
# nothing about the answer. At the end of this chapter you train small models on exactly this kind of question, and
# measure it.
#
# ### Where this leads
#
# Before you build anything, see what becomes of it. Four finished machines came with the installation. They have learned
# from many pictures and sentences of this course's small world; section 3 shows what *learning* means. The twelve
# pictures that they get now are new to them.
#
# The first machine gets a picture and writes a sentence about it. The second gets a picture and a question, and answers.
# Who says whether they are right? A program made the pictures and keeps a list of what is in each, so another program,
# `caption_is_true`, can tell true sentences from false ones.

# %%
from mmcourse.datasets import caption_is_true, questions
from mmcourse.recipes import load_trained

shelf = make_scenes(200, split="test")
twelve = [i for i, scene in enumerate(shelf.scenes) if len(scene.objects) == 1][:12]  # one thing in each picture
asked = [next(question for question in questions(shelf.scenes[i]) if question.kind == "where") for i in twelve]

written = load_trained("captioner").model.generate(shelf.images[twelve])
answered = load_trained("vqa").model.answer(shelf.images[twelve], [question.text for question in asked])

true_sentences = [bool(caption_is_true(shelf.scenes[i], one.text)) for i, one in zip(twelve, written, strict=True)]
right_answers = [one.text == question.answer for one, question in zip(answered, asked, strict=True)]
shares = {"sentences": sum(true_sentences) / 12, "answers": sum(right_answers) / 12}
claim("share that is right, of twelve", shares, at_least=0.8)

# %% [markdown]
# A gauge like this one shows what was measured and what the text needs. If the two do not agree, the cell stops.
#
# The other two machines begin with words. Both get a sentence that says everything about a picture. The third machine
# looks at 200 pictures, gives each a number that says how well the sentence fits, and takes the one with the highest.
# The fourth draws. It begins with dots of random colors and changes them a little, eight times, until they are a
# picture. A helper reads the drawing and says what is in it. It learned from true pictures alone.

# %%
sentences = [shelf.captions(i)[4] for i in twelve]
with torch.no_grad():  # nothing is to be learned here
    patches = load_trained("patches").model.tokens(shelf.images)
fit = load_trained("matcher").model.scores(patches, sentences)  # (200 pictures, 12 sentences)
found = fit.argmax(dim=0).tolist()

noise = torch.Generator().manual_seed(0)
drawn = load_trained("text2image").model.draw(sentences[:6], steps=8, guidance=2.0, generator=noise)
seen = load_trained("scene-reader").model.read(drawn)
as_asked = [
    scene is not None and bool(caption_is_true(scene, text)) for scene, text in zip(seen, sentences[:6], strict=True)
]

# %%
TREE = 4  # the fifth of the twelve
scene = shelf.images[twelve[TREE]]
titles = [
    f"it writes: “{written[TREE].text}”",
    f"{asked[TREE].text} It answers: “{answered[TREE].text}”",
    f"it finds: “{sentences[TREE]}”",
    f"it draws: “{sentences[TREE]}”",
]
viz.show(
    viz.gallery([scene, scene, shelf.images[found[TREE]], drawn[TREE]], titles, columns=4),
    alt="Four pictures of a tree on pink: a scene with a sentence about it, the same scene with a question and its answer, "
    "the picture found for a longer sentence, and a coarser one drawn for it.",
)
assert found[TREE] == twelve[TREE]
assert 2 * drawn.shape[-1] == scene.shape[-1]
found_first = sum(one == i for one, i in zip(found, twelve, strict=True)) / 12
claim("share found first among 200", found_first, at_least=0.5, at_most=0.9)
claim("share of six drawn as asked", sum(as_asked) / 6, at_least=0.6)

# %% [markdown]
# **What to see:** the sentence leaves open where the tree is, and the question asks for it. The third picture is the
# first one again, picked out of 200. The fourth was never there before; it is coarser, with half as many dots a side.
# The search misses some of the twelve pictures. Such machines are good and not perfect, and this course always measures
# how good.
#
# You build them all: the one that writes in chapter 09, the one that answers in 10, the one that draws in 12. The one
# that finds comes from chapter 08, and chapter 11 searches a million. Chapter 13 has one machine that writes *and*
# answers. Everything before them makes the parts. Now to the first words.
#
# ## 1 · Three words
#
# ### A language model
#
# A **language model**（语言模型）: a machine that gives a probability to the next word, whatever the words before it are.
# Ask it again and again, each time with its own last word added, and it writes. Ask it how surprised it is by a
# text, and it judges.
#
# The smallest one that works counts pairs of words. Take many sentences of our world and count which word follows
# which. That is a whole language model, made in three lines.

# %%
from itertools import pairwise

from mmcourse.datasets import captions

texts = [text for scene in make_scenes(2000, split="train").scenes for text in captions(scene)]
sentences = [["<start>", *text.split(), "<end>"] for text in texts]
vocabulary = sorted({word for sentence in sentences for word in sentence})
number = {word: i for i, word in enumerate(vocabulary)}

counts = torch.zeros(len(vocabulary), len(vocabulary))
for sentence in sentences:
    for word, following in pairwise(sentence):
        counts[number[word], number[following]] += 1
next_word = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)  # each row: probabilities that sum to one

# %% [markdown]
# Row by row, the table answers one question: after this word, what comes next? Look at three rows.

# %%
for word in ("a", "the", "cat"):
    chances, places = next_word[number[word]].topk(5)
    likely = (f"{vocabulary[i]} {chance:.2f}" for i, chance in zip(places, chances, strict=True))
    print(f"after {word!r:5}: ", ", ".join(likely))

# %% [markdown]
# **What to see:** after some words few others can follow, after some a great many share the chances. To write, draw
# a word from the row, move to the row of that word, and repeat until the end.


# %%
def write(table: torch.Tensor, generator: torch.Generator) -> str:
    words = ["<start>"]
    while words[-1] != "<end>" and len(words) < 20:
        row = table[number[words[-1]]]
        words.append(vocabulary[torch.multinomial(row, 1, generator=generator)])
    return " ".join(words[1:-1])


for _ in range(4):
    print(write(next_word, generator))

# %% [markdown]
# Some of it is grammar, some of it is nonsense: this model remembers one word. A model with a longer memory does
# better, and that is what chapter 03 builds.
#
# How good can it get? First, a measure. **surprise**（惊异度）: minus the logarithm of the probability that the reader gave
# to the word that came. Who was sure ($p=1$) is surprised by 0, who gave it one half by 0.69, who gave it one in a
# hundred by 4.61. **nat**（奈特）: the unit of surprise when the logarithm is the natural one.
#
# In our world the sentences follow a known grammar, so the floor is exact. **entropy**（熵）: the average surprise that is
# left even for a reader who knows every rule, measured in nats per word. No language model can go below it on average.
# Ours should stay above.

# %%
from mmcourse.datasets import caption_entropy

held_out = [["<start>", *text.split(), "<end>"] for s in make_scenes(500, split="val").scenes for text in captions(s)]
smoothed = (counts + 0.01) / (counts + 0.01).sum(dim=1, keepdim=True)  # no pair is impossible
surprise = [
    -smoothed[number[a], number[b]].log()
    for sentence in held_out
    for a, b in pairwise(sentence)
    if a in number and b in number
]
bigram_loss = torch.stack(surprise).mean().item()

claim("surprise of the pair-counting model, nats per word", bigram_loss, at_least=caption_entropy().per_token)
claim("its distance from the floor", bigram_loss - caption_entropy().per_token, at_most=1.0)

# %% [markdown]
# ### Computer vision
#
# **computer vision**（计算机视觉）: getting answers about the world out of pictures. It begins with an unpleasant fact. To
# a machine, a picture is a table of numbers: for each point, how much red, green and blue light. Such a point is a
# pixel. **tensor**（张量）: a table of numbers with any number of axes. A list has one axis, a page of numbers two, a color
# picture three: color, row, column. Its *shape* says how long each axis is: (3, 64, 64) here.
#
# Here is one scene, and the red values of a corner of its first object.

# %%
scene, image = opening.scenes[A], opening.images[A]
left, top, _, _ = scene.objects[0].box
corner = image[0, top : top + 8, left : left + 8]  # channel 0 is red

figure, (ax_picture, ax_numbers) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
ax_picture.imshow(image.permute(1, 2, 0))
ax_picture.add_patch(plt.Rectangle((left - 0.5, top - 0.5), 8, 8, fill=False, linewidth=2))
ax_picture.set(title="the scene, and a window of 8×8 pixels", xticks=[], yticks=[])
viz.heat(corner, digits=0, title="the red values in that window (dark: much red)", ax=ax_numbers)
viz.show(
    figure, alt="A scene with a small window marked, and the 64 red values inside that window as a table of numbers."
)

# %% [markdown]
# **What to see:** the numbers run from 0 (none) to 255 (all there is). Nothing in them says “object”. **vision
# model**（视觉模型）: a machine that turns the numbers of a picture into something of use, such as a name, a place, or a
# list of numbers that means the same for every picture of the same thing. You meet such models in chapter 04.
#
# ### Your first exercise, wrong on purpose
#
# An exercise is a gray cell with a gap and a check cell below it. Before you do one, watch somebody else fail. The
# question: *how many numbers does one 64×64 color picture hold?* Somebody answers 64 · 64 and asks for a check:

# %%
from mmcourse.course.exercise import grade
from mmcourse.course.exercises import find

grade(find("00-numbers"), 64 * 64)

# %% [markdown]
# The check does not only say *wrong*. It compares the answer with what typical misunderstandings would give, and
# names the one that fits. Take such a message as a pointer, not as a verdict on you: the people who wrote it made
# that mistake first. In the whole course a check takes whatever converts exactly to what is asked, such as a number, a
# list or a NumPy array in place of a tensor, and wants the arguments of your function to come back unchanged.
#
# **Exercise 00-numbers** ★ · 2 minutes · *Say how much a model receives when you show it one color picture.*
# Replace the line `...  # YOUR ANSWER HERE` by your number, or by a product such as `2 * 3`. Run the cell, then the
# check.

# %% tags=["exercise"] id="00-numbers"
numbers_in_a_picture = (
    ### BEGIN SOLUTION
    64 * 64 * 3
    ### END SOLUTION
)

# %% tags=["check"]
check("00-numbers", numbers_in_a_picture)

# %% [markdown]
# Stuck? Hints come one at a time: write `from mmcourse.course import hint` and `hint("00-to-tensor")` in a new
# cell and run it. Each run gives the next hint and
# counts it, so think before you ask again, and delete the cell when it has helped. Later, a terminal command shows a
# solution too (`mmcourse solution 00-numbers`). Looking is allowed. Trying first is how it stays.
#
# The next exercise is about order and range. Files and screens store a picture as rows of pixels with whole numbers:
# shape (height, width, 3), values 0 to 255. PyTorch wants the colors first and small decimal numbers: shape (3,
# height, width), values 0 to 1. **normalize**（归一化）: to bring numbers to an agreed range, so that no picture is
# louder than another. You do this in every project with pictures, and it often goes wrong.
#
# **Exercise 00-to-tensor** ★ · 6 minutes · *Turn pixels as files store them into numbers as networks want them.*


# %% tags=["exercise"] id="00-to-tensor"
def to_tensor(image: torch.Tensor) -> torch.Tensor:
    """uint8 (H, W, 3), values 0 to 255 -> float (3, H, W), values 0 to 1."""
    ### BEGIN SOLUTION
    return image.permute(2, 0, 1).float() / 255  # (H, W, C) -> (C, H, W)
    ### END SOLUTION


# %% tags=["check"]
check("00-to-tensor", to_tensor)

# %% [markdown]
# ### A silent failure
#
# The worst bugs in this field raise no error. Below are three ways to move the colors to the front. All three give
# a tensor of the right shape and with the right values. Two of the three pictures are broken. Before you run the
# cell: which of the three lines keeps the picture, and what will the two others look like?

# %%
stored = image.permute(1, 2, 0)  # (3, 64, 64) -> (64, 64, 3), as a file holds it
moved = {
    "permute(2, 0, 1)": stored.permute(2, 0, 1),
    "reshape(3, 64, 64)": stored.reshape(3, 64, 64),
    "permute(2, 1, 0)": stored.permute(2, 1, 0),
}
assert len({picture.shape for picture in moved.values()}) == 1  # all three have the same shape
assert len({tuple(picture.flatten().sort().values.tolist()) for picture in moved.values()}) == 1  # and the same numbers

viz.show(
    viz.gallery(list(moved.values()), list(moved), columns=3),
    alt="The same scene after three ways of moving the axes: whole, scrambled into colored stripes, and mirrored along the diagonal.",
)

# %% [markdown]
# **What to see:** `permute` moves the axes and keeps the picture. `reshape` keeps the order of the numbers in
# memory and cuts the row of numbers anew: the picture falls apart into colored stripes and pale ghosts of itself.
# `permute(2, 1, 0)` exchanges height and width: the picture is mirrored along its diagonal. A network trained on
# scrambled pictures still learns something, only worse. One that is trained on whole pictures and then gets mirrored ones
# fails, and one trained on mirrored pictures works until somebody repairs the line. Nobody tells you. So **look at what your model sees**, at
# least once. It is the cheapest test there is.
#
# ### Multimodal learning
#
# **modality**（模态）: one kind of signal, such as text, image or sound. **multimodal learning**（多模态学习）: learning from
# two or more modalities at once, so that each explains what the other leaves open. **fusion**（融合）: the place in a
# model where the modalities meet. Nearly every system of this course has the same plan.


# %%
BLUE, ORANGE, GREEN, GRAY = "#cfe6f5", "#fbe3c0", "#cdeadf", "#f2f2f2"
nodes = {
    "text": (0.8, 3, BLUE),
    "language\nmodel": (3.2, 3, BLUE),
    "image": (0.8, 1, ORANGE),
    "vision\nmodel": (3.2, 1, ORANGE),
    "fusion": (5.6, 2, GREEN),
}
tasks = ("draw", "find", "answer", "caption", "recognize")
nodes |= {task: (8.8, 0.4 + 0.8 * row, GRAY) for row, task in enumerate(tasks)}
arrows = [
    ("text", "language\nmodel"),
    ("language\nmodel", "fusion"),
    ("image", "vision\nmodel"),
    ("vision\nmodel", "fusion"),
]
arrows += [("fusion", task) for task in tasks]

figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.set(xlim=(0, 10), ylim=(0, 4))
ax.axis("off")
for name, (x, y, color) in nodes.items():
    frame = {"boxstyle": "round,pad=0.5", "fc": color, "ec": "0.3"}
    ax.text(x, y, name, ha="center", va="center", fontsize=11, bbox=frame)
for start, end in arrows:
    line = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 30, "shrinkB": 34}
    ax.annotate("", nodes[end][:2], nodes[start][:2], arrowprops=line)
viz.show(
    figure,
    alt="Diagram: text goes into a language model, an image into a vision model; both meet in fusion, which serves five tasks: "
    "recognize, caption, answer, find, draw.",
)

# %% [markdown]
# **What to see:** two paths that know nothing of each other until they meet. Where they meet decides what can be
# learned. If they meet late, each side may have thrown away what the other would have asked for. Chapters 01 to
# 05 build the parts, 06 to 08 the meeting, 09 to 13 the tasks, 14 to 16 what you need to trust, ship and extend
# them.
#
# ### Where it is used, and where it fails
#
# | task | what goes in → out | in use | an honest limit |
# |---|---|---|---|
# | recognize | picture → name | medicine: sorting X-rays for the radiologist to read first | learns the hospital's scanner instead of the disease, if that predicts the label |
# | caption | picture → sentence | museums, schools: describing pictures to people who cannot see them | names things that are usual in such a picture and not in this one |
# | answer | picture + question → answer | shops: “does this come in green?” | answers from the question alone, because most bananas are yellow |
# | find | sentence → pictures | archives, shops: search by what is in the picture | “a dog left of a cat” also finds the cat left of the dog |
# | draw | sentence → picture | schoolbooks, games: first drafts of illustrations | draws three cats when asked for four, and the style of living artists |
# | act | pictures + rules → steering | driving: reading signs and scenes | rare things are rare in the data too, and they are the dangerous ones |
#
# Most of these limits are measured somewhere in this course, on a world in which we know the truth.
#
# ## 2 · The world
#
# Real data sets are large, and nobody knows everything that is in them. So this course has a small world of its
# own, in four parts. It comes with the installation: nothing is downloaded while you learn.
#
# **Glyphs** are drawings from the open project OpenMoji. A person drew each of them and a person named it, in
# English and mostly in Chinese too.

# %%
from mmcourse.datasets import load_glyphs

glyphs = load_glyphs(quiet=True)
drawn = torch.randperm(len(glyphs), generator=generator).tolist()
some = [i for i in drawn if glyphs.chinese[i] is not None][:16]
for i in some[:5]:
    print(f"{glyphs.names[i]}: {glyphs.chinese[i]}")

claim("number of glyphs", len(glyphs), at_least=1600)
viz.show(
    viz.gallery(glyphs.on("white")[some], [glyphs.names[i] for i in some], columns=8),
    alt="Sixteen OpenMoji drawings with their English names.",
)

# %% [markdown]
# Pairs of a picture and a text are the raw material of most systems that you have heard of. Chapter 08 learns from
# these.
#
# **Scenes** are composed from such drawings: one to three objects on a colored background, 64×64 pixels. A seeded
# grammar decides what is in a scene, so for every picture the truth is on file: which objects, where, how large, in
# front of what.

# %%
world = make_scenes(3, split="train")
looks = ("easy", "standard", "hard")
same = [make_scenes(1, split="train", difficulty=look) for look in looks]

figure, axes = plt.subplots(2, 3, figsize=(8, 5.6), layout="constrained")
for ax, image, scene in zip(axes[0], world.images, world.scenes, strict=True):
    viz.scene(image, scene, ax=ax)
for ax, scenes, look in zip(axes[1], same, looks, strict=True):
    ax.imshow(scenes.images[0].permute(1, 2, 0))
    ax.set_title(look)
for ax in axes.flat:
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
viz.show(figure, alt="Above: three scenes with a frame around each object. Below: one scene, easy, standard and hard.")

# %% [markdown]
# **What to see:** the objects are turned, mirrored, scaled, and may overlap a little. The background is speckled.
# It is a toy world, but not a tidy one. None of this can be read off the 64 · 64 · 3 numbers at a glance. The lower row
# shows one scene at three settings of difficulty. When an experiment works on one setting, you can ask at once whether
# it survives the next.
#
# Each scene comes with five true sentences in English, and with Chinese ones.

# %%
from mmcourse.datasets import chinese_captions

scene = opening.scenes[A]
for sentence in [*captions(scene), "", *chinese_captions(scene)]:
    print(sentence)

# %% [markdown]
# A **caption**（图像描述）: a sentence that describes a picture. Note that one picture has many true ones. A system that
# writes “a cat left of a dog” is not wrong because your file says “a dog right of a cat”. Most published scores
# compare words with words and would punish it. In our world nobody has to compare words, because there is a judge.

# %%
from mmcourse.datasets import caption_is_true

first, second = (thing.noun for thing in scene.objects)
relation = captions(scene)[1]
swapped = " ".join({first: second, second: first}.get(word, word) for word in relation.split())
for sentence in (relation, swapped, f"a {second}", f"a {second} and a {first}", "what a lovely picture"):
    verdict = caption_is_true(scene, sentence)
    print(f"{verdict.truth.value:11} · {sentence} · {verdict.reason}")

# %% [markdown]
# Three verdicts: true, false, and *unparseable*, for sentences that the judge cannot read. In an `if`, a verdict
# counts as True only when the sentence is true.
#
# **Exercise 00-count-true** ★ · 6 minutes · *Use the world's own judge and read its three verdicts.*


# %% tags=["exercise"] id="00-count-true"
def count_true(scene, sentences: list[str]) -> int:
    """How many of these sentences are true of the scene."""
    ### BEGIN SOLUTION
    return sum(bool(caption_is_true(scene, sentence)) for sentence in sentences)
    ### END SOLUTION


# %% tags=["check"]
check("00-count-true", count_true)

# %% [markdown]
# Scenes also come with questions and their answers, for chapters 07 and 10. They ask for different skills: naming,
# finding, counting, comparing. Some are hard for machines although you answer them at a glance.

# %%
from mmcourse.datasets import questions

one_of_each_kind = {question.kind: question for question in questions(scene)}
for kind, question in one_of_each_kind.items():
    print(f"{kind:10} {question.text} {question.answer}")

# %% [markdown]
# **Photos** are the photographs that two scientific packages carry. They are few, but real: use them to see what a
# method learned on drawings is worth outside.


# %%
from mmcourse.datasets import load_photos


def square(photo: torch.Tensor, size: int) -> torch.Tensor:
    """The middle square of a photograph, (3, size, size), uint8."""
    side = min(photo.shape[1:])
    top, left = (photo.shape[1] - side) // 2, (photo.shape[2] - side) // 2
    middle = photo[:, top : top + side, left : left + side].float()[None]
    return nn.functional.interpolate(middle, size=(size, size), mode="area")[0].round().byte()


photos = load_photos("cat", "coffee", "rocket", "camera", "motorcycle", "retina", "palace", "flower")
viz.show(
    viz.gallery([square(photo.image, 192) for photo in photos.values()], list(photos), columns=4),
    alt="Eight photographs: a cat, a cup of coffee, a rocket, a man with a camera, a motorcycle, a retina, a palace, a flower.",
)
for photo in photos.values():
    print(f"{photo.title} · {photo.credit} · {photo.licence}")

# %% [markdown]
# **What to see:** light, shadow, texture, clutter, and no clean outline anywhere. **domain shift**（领域偏移）: a
# difference between the data a model learned from and the data it meets. Where there is one, quality drops. We come
# back to it at the end of the experiment.
#
# **A folder of your own** is the fourth part. Put pictures into a folder, and beside them a file `metadata.jsonl`
# with one line per picture. This is the `imagefolder` convention of Hugging Face, so public data sets in this form
# work unchanged.

# %%
import json
import tempfile
from pathlib import Path

from PIL import Image

from mmcourse.datasets import ImageFolder

with tempfile.TemporaryDirectory() as folder:
    lines = []
    for i, (image, s) in enumerate(zip(world.images, world.scenes, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(Path(folder, f"{i}.png"))
        lines.append(json.dumps({"file_name": f"{i}.png", "text": captions(s)[0]}))
    Path(folder, "metadata.jsonl").write_text("\n".join(lines))
    mine = ImageFolder(folder, quiet=True)
    image, text = mine[0]

print(len(mine), "pictures, the first one:", tuple(image.shape), "·", text)
assert torch.equal(image, world.images[0])  # PNG keeps every pixel

# %% [markdown]
# ## 3 · How a machine learns
#
# Before four networks are trained, watch the smallest one that exists. It has a single number to learn. The question:
# *how many letters does a sentence have, if you know how many words it has?* The machine's formula is
# letters = $w$ · words, and it has to find $w$.
#
# **parameter**（参数）: a number inside a model that learning may change. A parameter that multiplies an input is also
# called a *weight*. Take two hundred sentences of our world and three guesses for $w$. How wrong is each?
#
# **loss**（损失）: one number that says how wrong a model is on some data, 0 at best. Here: the mean of the squared mistakes.

# %%
some_texts = texts[:200]
words = torch.tensor([float(len(text.split())) for text in some_texts])
letters = torch.tensor([float(len(text.replace(" ", ""))) for text in some_texts])


def loss_of(w):
    return (w * words - letters).square().mean()


for w in (1.0, 3.0, 6.0):
    print(f"w = {w:.0f}: loss {loss_of(w):6.1f}")

# %% [markdown]
# Three is better than one, six is too much. Somewhere between lies the best weight. You could try a thousand values, but
# a network has thousands of weights or billions, and nobody can try all combinations. There is a better way: ask which
# way is downhill. Change $w$ by a little, see how the loss changes, and divide. That is the slope.


# %%
def slope(w, h=0.01):
    return (loss_of(w + h) - loss_of(w - h)) / (2 * h)


for w in (1.0, 3.0, 6.0):
    print(f"w = {w:.0f}: slope {slope(w):7.1f}")
assert slope(1.0) < slope(3.0) < 0 < slope(6.0)

# %% [markdown]
# At 1 and at 3 the slope is negative: a larger $w$ gives a smaller loss. At 6 it is positive: go back. And the farther
# away, the steeper.
#
# **gradient**（梯度）: the slopes of the loss with respect to all parameters, one number for each; it points uphill.
#
# So take a step against it, look again, and repeat. How long a step?
#
# **learning rate**（学习率）: the number that the gradient is multiplied by to give the step.
#
# $$w \leftarrow w - \text{learning rate} \cdot \text{slope}$$
#
# That line is *gradient descent*. Start at 1 and take 15 steps, with three learning rates. Before you run the cell: what
# happens when the rate is too small, and when it is too large?


# %%
def descend(rate, w=1.0, steps=15):
    """The weights on the way down: the first one and one after each step."""
    way = [w]
    for _ in range(steps):
        way.append(way[-1] - rate * slope(way[-1]).item())
    return way


# %%
ways = {"too small: 0.0002": descend(0.0002), "good: 0.005": descend(0.005), "too large: 0.02": descend(0.02)}
falling = {name: [loss_of(w).item() for w in way] for name, way in ways.items()}
figure, (valley, curve) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
span = torch.linspace(-1, 8.5, 100)
viz.curves({"": (span, [loss_of(w).item() for w in span])}, xlabel="weight w", ax=valley)
valley.plot(ways["good: 0.005"], falling["good: 0.005"], "o")
viz.curves(falling, xlabel="step", ylim=(0, 900), ax=curve)
viz.show(figure, alt="Left: dots step down the side of a valley. Right: the loss sinks slowly, falls fast or climbs.")

# %% [markdown]
# **What to see:** on the left, the dots come down in long steps first and short ones later, because the slope gets
# flatter. On the right, the good rate arrives after a few steps. The small one goes the same way and is not halfway down.
# The large one jumps across the valley and lands higher on the other side, again and again. A curve that falls and
# levels out is what you hope for in every training in this course.
#
# For this small formula the best weight can also be computed, so you can check where the steps ended.

# %%
best = (words @ letters / (words @ words)).item()  # where the slope is 0
claim("learned weight, letters per word", ways["good: 0.005"][-1], near=best, tolerance=0.01)
halfway = (falling["good: 0.005"][0] + falling["good: 0.005"][-1]) / 2
assert falling["too small: 0.0002"][-1] > halfway  # which it has not reached
assert falling["too large: 0.02"][-1] > falling["too large: 0.02"][0]  # worse than at the start

# %% [markdown]
# The loss ends at 13.6 and not at 0: some words are longer than others, and one weight cannot know which. More
# parameters could. But slopes by differences need two losses for each parameter. PyTorch gets all of them in one go: it
# remembers how the loss was computed and applies the chain rule backwards. `loss.backward()` does it, and each parameter
# then carries its slope in `.grad`.

# %%
w = torch.tensor(1.0, requires_grad=True)
loss_of(w).backward()
claim("PyTorch's slope divided by the one by differences", w.grad / slope(1.0), near=1.0, tolerance=0.01)
assert round(falling["good: 0.005"][-1], 1) == 13.6

# %% [markdown]
# That is all: a formula with parameters, a loss, its gradient, a step, again. Every model of this course learns in this
# way. Only the formulas grow.
#
# ## 4 · Text, picture, both
#
# Now the question of the beginning, as an experiment. The task: *is this sentence true of this picture?*
#
# A fair experiment needs a fair data set. Take two scenes, A and B, and a sentence of each. Make all four pairs: A
# with its own sentence (true), B with its own (true), A with B's sentence (false), B with A's (false). Keep the
# block only when both exchanged sentences really are false. The judge decides.


# %%
def make_blocks(n: int, split: str, *, rounds: int, same_background: bool = True):
    """Pairs of scenes whose sentences may be exchanged and are false then: scenes, sentences, pairs (N, 2)."""
    scenes = make_scenes(n, split=split)
    sentences = [scenes.captions(i)[0] for i in range(n)]
    found = []
    for _ in range(rounds):
        order = torch.randperm(n, generator=generator).tolist()
        if same_background:
            order.sort(key=lambda i: scenes.scenes[i].background)
        for a, b in zip(order[::2], order[1::2], strict=True):
            exchanged = caption_is_true(scenes.scenes[a], sentences[b]), caption_is_true(scenes.scenes[b], sentences[a])
            if not any(exchanged):
                found.append((a, b))
    return scenes, sentences, torch.tensor(found)


train = make_blocks(by_budget(smoke=500, standard=8000), "train", rounds=4)
test = make_blocks(1000, "test", rounds=1)
claim("blocks of four to test on", len(test[2]), at_least=400)

# %% [markdown]
# **What to see:** in every block, each picture comes once with *true* and once with *false*, and so does each
# sentence. A famous data set of questions about photographs was repaired in this way, when models turned out to
# answer from the question alone (Goyal et al., *Making the V in VQA Matter*, CVPR 2017).
#
# **Exercise 00-chance** ★★ · 4 minutes · *Work out from the design of a data set what a model with one sense can
# reach, before training it.* There are 100 blocks, so 400 pairs. A model reads the sentence and never sees the
# picture. For how many of the 400 can its answer be right, at best?

# %% tags=["exercise"] id="00-chance"
right_by_reading_alone = (
    ### BEGIN SOLUTION
    200
    ### END SOLUTION
)

# %% tags=["check"]
check("00-chance", right_by_reading_alone)

# %% [markdown]
# What about a model that uses both, but adds two separate scores? Call the score of the picture $f$ and of the
# sentence $g$. It says *true* when $f + g > 0$. Write down the four scores of a block, $a, b$ for the pictures and
# $s, t$ for the sentences:
#
# $$\underbrace{(f_a + g_s)}_{\text{should be} > 0} + \underbrace{(f_b + g_t)}_{\text{should be} > 0}
#   = \underbrace{(f_a + g_t)}_{\text{should be} < 0} + \underbrace{(f_b + g_s)}_{\text{should be} < 0}$$
#
# Both sides are the same four numbers, so they are equal. The left side would have to be positive and the right
# side negative. **No sum can get a whole block right**, whatever $f$ and $g$ are, and however large the networks
# that compute them. The next cell tries to refute that with a million random blocks.

# %%
f, g = (4 * torch.randn(1_000_000, 2, generator=generator, dtype=torch.float64) for _ in range(2))
scores = f[:, :, None] + g[:, None, :]  # (N, picture, sentence)
truth = torch.eye(2, dtype=torch.bool)  # each picture fits its own sentence
right = ((scores > 0) == truth).sum(dim=(1, 2))  # of four, per block

assert right.max() == 3  # three of four at most, never all four
claim("share of right answers of random sums", right.double().mean() / 4, near=0.5, tolerance=0.01)

# %% [markdown]
# To solve the task, a model must *compare*: the effect of a word must depend on the picture. The smallest operation
# that does so is a product. Here is the whole model. It has two halves and four ways to finish.


# %%
class Judge(nn.Module):
    """Scores (N, picture, sentence) for blocks of two pictures and two sentences; above 0 means: true."""

    def __init__(self, way: str, vocabulary_size: int, width: int = 64):
        super().__init__()
        self.way = way
        self.see = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=4), nn.GELU(),
            nn.Conv2d(32, width, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1), nn.GELU(),
            nn.Conv2d(width, width, 1), nn.Flatten(2),
        )  # fmt: skip
        self.read = nn.Embedding(vocabulary_size, width, padding_idx=0)
        self.picture_score, self.sentence_score = nn.Linear(width, 1), nn.Linear(width, 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        n, k = pictures.shape[:2]
        read = self.read(words)  # (N, sentence, word, C)
        g = self.sentence_score(read.sum(2)).transpose(1, 2)  # (N, 1, sentence)
        if self.way == "sentence only":
            return g.expand(n, k, -1)
        seen = self.see(pictures.flatten(0, 1).float() / 127.5 - 1).unflatten(0, (n, k))  # (N, picture, C, patch)
        f = self.picture_score(seen.amax(-1))  # (N, picture, 1)
        if self.way == "picture only":
            return f.expand(n, k, words.shape[1])
        if self.way == "added":
            return f + g
        fit = torch.einsum("npcq,nswc->npswq", seen, read)  # each word with each patch
        return fit.amax(-1).sum(-1) / 3 + self.bias  # the best patch for each word, all words together


# %% [markdown]
# `see` cuts the picture into patches and turns each into a list of numbers. `read` gives each word a list of
# numbers of the same length. The way *multiplied* takes the product of each word with each patch: a word is found
# where its numbers and those of a patch point the same way. You need not follow each line today. Chapters 01, 04
# and 06 build these parts by hand.
#
# The training loop is the one of section 3, the same for all four: show the model some pairs, compute the loss and its
# gradient, and move every parameter a little downhill.

# %%
known = sorted({word for sentence in train[1] for word in sentence.split()})
number = {word: i for i, word in enumerate(known, start=1)}  # 0 fills up short sentences
longest = max(len(sentence.split()) for sentence in train[1])


def encode(sentences: list[str]) -> torch.Tensor:
    numbers = [[number.get(word, 0) for word in sentence.split()] for sentence in sentences]
    return torch.tensor([(row + [0] * longest)[:longest] for row in numbers])


# %% [markdown]
# `encode` turns sentences into rows of word numbers. The loop itself is short. `truth` is the table of a block:
# picture 0 fits sentence 0, picture 1 fits sentence 1, and nothing else. `AdamW` is gradient descent that finds a step size
# of its own for each weight; the one-cycle schedule lets all steps grow at first and then shrink to almost nothing.


# %%
def train_judge(way: str, data, steps: int) -> tuple[Judge, list[float]]:
    scenes, sentences, blocks = data
    words, truth = encode(sentences), torch.eye(2)  # each picture fits its own sentence
    torch.manual_seed(0)
    model = Judge(way, len(number) + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    losses = []
    for _ in progress(range(steps), way):
        chosen = blocks[torch.randint(len(blocks), (32,), generator=generator)]  # (32, 2)
        scores = model(scenes.images[chosen], words[chosen])
        loss = nn.functional.binary_cross_entropy_with_logits(scores, truth.expand_as(scores))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses


# %% [markdown]
# Four models, same data, same number of steps. Before you run the cell: which of the four do you expect above one
# half?

# %%
steps = by_budget(smoke=3, standard=500)
judges, losses = {}, {}
for way in ("sentence only", "picture only", "added", "multiplied"):
    judges[way], losses[way] = train_judge(way, train, steps)

# %% [markdown]
# Now the test, on scenes and sentences none of them has seen. One half is what a coin reaches.


# %%
@torch.no_grad()
def measure(model: Judge, data) -> torch.Tensor:
    """Which answers are right: bool (N, picture, sentence)."""
    scenes, sentences, blocks = data
    scores = model(scenes.images[blocks], encode(sentences)[blocks])
    return (scores > 0) == torch.eye(2, dtype=torch.bool)


right = {way: measure(model, test) for way, model in judges.items()}
smooth = {way: torch.tensor(values).unfold(0, min(40, steps), 1).mean(1) for way, values in losses.items()}
shares = {way.replace(" ", "\n"): r.float().mean().item() for way, r in right.items()}

figure, (left, middle) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
viz.curves(smooth, ylabel="loss", baseline={"a coin": math.log(2)}, ax=left)
viz.bars(shares, ylabel="share of right answers", baseline={"a coin": 0.5}, ax=middle)
viz.show(
    figure,
    alt="Left: three training curves end at the loss of a coin, that of the multiplying model falls far below it. "
    "Right: sentence only and picture only are right in one half, added near one half, multiplied far above.",
)

# %% [markdown]
# **What to see:** reading alone and seeing alone are at one half *exactly*, as your exercise says they must be.
# Adding both scores does not help. The product does. Nothing about the data was changed between the bars: only
# whether the two halves can talk to each other.

# %%
for way in ("sentence only", "picture only"):
    assert right[way].float().mean() == 0.5  # not roughly: exactly, by the design of the blocks
assert not right["added"].flatten(1).all(1).any()  # and no block is solved by a sum

claim("share of right answers, added", right["added"].float().mean(), at_most=0.6)
claim("share of right answers, multiplied", right["multiplied"].float().mean(), at_least=0.85)

# %% [markdown]
# ### What did it learn?
#
# A high number is not yet knowledge. All blocks above put both scenes on the *same* background color. Was that
# necessary? Train the multiplying model once more, with as many steps, on blocks of any two scenes. Then test it
# twice: on blocks made in the same careless way, and on ours.

# %%
loose = make_blocks(by_budget(smoke=500, standard=8000), "train", rounds=4, same_background=False)
loose_test = make_blocks(1000, "test", rounds=1, same_background=False)
careless, _ = train_judge("multiplied", loose, steps)
on_its_own, on_ours = measure(careless, loose_test).float().mean(), measure(careless, test).float().mean()

claim("share of right answers, any two backgrounds", on_its_own, at_least=0.85)
claim("the same model, both backgrounds alike", on_ours, at_most=0.7)

# %% [markdown]
# Tested on its own kind, the careless model looks as good as the other one. Where the backgrounds are alike, it
# hardly beats a coin: it has learned the color of the wall and little about the things in front of it. Nobody told
# it not to. **shortcut**（捷径学习）: a rule that is right on the data at hand for a reason that you did not mean.
# Whoever makes the wrong examples decides what is learned. You meet this again in chapters 08 and 14.
#
# A number is a summary, and summaries hide things. Look at single answers too, above all at the wrong ones.

# %%
scenes, sentences, blocks = test
verdicts = right["multiplied"]  # (N, picture, sentence)
fits = torch.eye(2, dtype=torch.bool).expand_as(verdicts)  # where the true answer is “true”


def draw(which: torch.Tensor, count: int) -> torch.Tensor:
    places = which.nonzero()
    return places[torch.randperm(len(places), generator=generator)[:count]]


good, wrong = torch.cat([draw(verdicts & fits, 2), draw(verdicts & ~fits, 2)]), draw(~verdicts, 4)
cells = torch.cat([good, wrong]).tolist()
pictures = [scenes.images[blocks[n, p]] for n, p, s in cells]
titles = [
    f"{sentences[blocks[n, s]]}:\n{'true' if (p == s) == bool(verdicts[n, p, s]) else 'false'}" for n, p, s in cells
]
titles = [title.replace(" on a ", "\non a ").replace(" and ", "\nand ", 1) for title in titles]
viz.show(
    viz.gallery(pictures, titles, columns=4, correct=[True] * len(good) + [False] * len(wrong)),
    alt="Eight test pictures with a sentence and the model's answer: the first row right, two true and two false; the second row wrong.",
)

# %% [markdown]
# **What to see:** the wrong answers are not random. They are of two kinds. Some are true sentences that the model calls
# *false*: often something small is named, whose words find no patch that fits well enough. Others are false sentences
# that it believes, sometimes although not even the color of the background is right: it adds up the evidence of all
# words, and some outvote the others. And one weakness you cannot see here: the model treats a sentence as a bag of words. Read it a sentence
# backwards, and it does not notice.

# %%
forwards = sentences[0]
backwards = " ".join(reversed(forwards.split()))
with torch.no_grad():
    score = judges["multiplied"](scenes.images[None, :1], encode([forwards, backwards])[None])[0, 0]

print(backwards)
assert torch.allclose(score[0], score[1], atol=1e-4)  # the order of the words changes nothing

# %% [markdown]
# For this task, order does not matter. For “a cat left of a dog” it decides everything: the model would take “a dog
# left of a cat” for the same sentence. Chapters 01 and 07 repair that.
#
# ### One table, many tasks
#
# Score every picture against every sentence, and the same model does something new: it *finds*. **retrieval**（检索）:
# picking the best match out of a collection by its score.

# %%
eight, objects = [], []  # four blocks with one object in each scene: eight pictures, eight sentences
for block in blocks[torch.randperm(len(blocks), generator=generator)].tolist():
    nouns = [thing.noun for i in block for thing in scenes.scenes[i].objects]
    if len(nouns) == 2 and not set(nouns) & set(objects) and len(eight) < 8:
        eight, objects = eight + block, objects + nouns


def score_table(chosen: list[int]) -> torch.Tensor:
    """Scores of these test pictures against their sentences: (pictures, sentences)."""
    with torch.no_grad():
        return judges["multiplied"](scenes.images[chosen][None], encode(sentences)[chosen][None])[0]


viz.show(
    viz.heat(
        score_table(eight),
        rows=[f"picture of a {noun}" for noun in objects],
        columns=[f"“a {noun} on …”" for noun in objects],
        digits=1,
    ),
    alt="Scores of eight pictures against eight sentences; the high scores gather on the diagonal.",
)

# %% [markdown]
# **What to see:** rows are pictures, columns are sentences. The right partner is on the diagonal, so a perfect model
# has a blue diagonal and brown everywhere else. This one comes near: in most rows the highest score is on the
# diagonal. What it takes for each other often looks alike, such as keys and pencils, which are long and yellow.
# As a judge it errs even where it ranks well: each blue cell off the diagonal is a wrong sentence that it believes.
# Ranking is easier than judging. Eight are few. With one hundred pictures and one hundred sentences, a blind guess
# finds the right one once in a hundred times.

# %%
hundred = blocks[torch.randperm(len(blocks), generator=generator)[:50]].flatten().tolist()
table = score_table(hundred)
found = (table.argmax(dim=1) == torch.arange(len(hundred))).float().mean()
claim("share of pictures whose own sentence is first of 100", found, at_least=0.4)

# %% [markdown]
# Nobody trained it to search. To recognize, to find, to rank search results: all of it is reading such a table in
# one direction or the other.
#
# **Exercise 00-best-sentence** ★★ · 6 minutes · *Read a table of scores the right way round.*


# %% tags=["exercise"] id="00-best-sentence"
def best_sentence(scores: torch.Tensor) -> torch.Tensor:
    """scores (pictures, sentences) -> for each picture the number of the sentence that fits best."""
    ### BEGIN SOLUTION
    return scores.argmax(dim=1)
    ### END SOLUTION


# %% tags=["check"]
check("00-best-sentence", best_sentence)

# %% [markdown]
# ### On real photographs
#
# What does our judge say about photographs? It has to score every noun that it knows. Before you run the cell,
# guess: will it say *I do not know*?


# %% tags=["nbval-ignore-output"]
from mmcourse.datasets import lexicon

squares = torch.stack([square(photo.image, 64) for photo in photos.values()])
nouns = [noun.name for noun in lexicon()]
with torch.no_grad():
    table = judges["multiplied"](squares[None], encode([f"a {noun}" for noun in nouns])[None])[0]  # (photo, noun)
chosen = table.argmax(dim=1)
best = table.max(dim=1).values
print(f"of {len(best)} photographs, {int((best > 0).sum())} get a noun that the judge calls true")

viz.show(
    viz.gallery(squares, [f"“a {nouns[i]}”" for i in chosen], columns=4),
    alt="Eight photographs, shrunk to 64 by 64 pixels, each with the noun that the model likes best.",
)

# %% [markdown]
# **What to see:** it names something every time, because we ask for the highest score. The score itself could say *no*
# (below 0); the line above the pictures counts how often it does not. Nothing in a high score says that the model has
# never seen a photograph. That is domain shift, and it is silent too. Pretrained networks, from chapter 04 on, have seen
# millions of photographs. They shift the border. They do not remove it.
#
# ### At scale
#
# The models in use follow the plan of this chapter, with larger parts. CLIP compares pictures and sentences by a
# product, as your model does, and learned from 400 million pairs (Radford et al., ICML 2021). Flamingo and BLIP-2
# join a frozen language model to a frozen vision model and train only the bridge (Alayrac et al., NeurIPS 2022; Li
# et al., ICML 2023). LLaVA tunes such a model on instructions (Liu et al., NeurIPS 2023). One GPU makes the
# experiments of this course faster. Many make them larger. The ideas stay.

# %% [markdown] tags=["written"] id="00-why-both"
# **Written question 00-why-both** ★★ · 8 minutes · *Tell a question that needs both modalities from one that does
# not.* Write three or four sentences, for a reader who has not seen this chapter: (a) Why does the model that only
# reads reach exactly one half, and what would you have to change in the data so that it gets more? (b) Give one
# real question about a photograph that can often be answered without looking, and say why this is dangerous when
# you measure a system.
#
# ### BEGIN SOLUTION
# (a) Each sentence comes once with the answer *true* and once with *false*. A model that only reads says the same
# both times, so it is right exactly once. It would get more if some sentences were true more often than others, for
# example if false sentences were made by putting in rare words. (b) “What color is the banana?” can mostly be
# answered with “yellow”. A system that never looks then gets a good score, and the score says nothing about what
# happens with a green banana. Measure the answer without the picture as a baseline, or balance the data so that
# this baseline is at chance.
# ### END SOLUTION

# %% [markdown]
# **Open project** ★★★ · *Bring your own world.* Take ten photographs of things on your desk. Write two true
# sentences for each into `metadata.jsonl`, and load them with `ImageFolder`. Then build blocks of four as above, by
# hand. Which sentences can you exchange without making them true by accident? What does that tell you about the
# price of good data? Keep the folder and let it grow: the open projects of chapters 04, 08 and 10 ask for pictures of your own.
#
# ## 5 · How this course works
#
# **Your copy.** You work in your own copy of the chapters. Nothing overwrites it. If a chapter gets a newer
# version, you are told and can take it beside yours.
#
# **Exercises.** Each stands right behind its idea. You can skip one and go on: later cells use the library's own
# version. Stars say how hard it is, minutes how long it may take. At least one question per chapter is for your own
# words, and no program marks it.
#
# **In a terminal** (in JupyterLab: File → New → Terminal):
#
# | command | what it does |
# |---|---|
# | `mmcourse doctor` | looks at Python, packages, device, disk and cache, and names a remedy for what is wrong |
# | `mmcourse check 00` | runs your chapter from top to bottom and lists what is done |
# | `mmcourse progress` | shows how far you are in every chapter |
# | `mmcourse hint 00-to-tensor` | gives the next hint |
# | `mmcourse solution 00-to-tensor` | shows a solution |
# | `mmcourse reset 00` | gives you a fresh chapter and keeps a dated backup of yours |
#
# **The budget dial.** Every cell that trains asks how much time it may take. `smoke` takes seconds and only shows
# that the code runs. `standard` fits two processor cores. `gpu` trains longer where that is quick. Set
# `MMCOURSE_BUDGET` before you start.
#
# **Claims.** When the text says that something works, a cell measures it and shows the value on a gauge, as you saw
# above. If the measured value does not support the sentence, the cell stops. So you need not believe the text.
#
# ## 6 · Questions that people ask
#
# **What do language models add over classical vision?** A classical classifier chooses from a list that was fixed
# before training. With a language model on the other side, the list is open: you say what you look for in words,
# you can ask back, and knowledge that stands in texts (a scalpel is for surgery) becomes usable for pictures. The
# price: it can say fluent things that are not in the picture.
#
# **How do I choose a model?** Start from the task, not from the model. Is the list of answers fixed and do you have
# labels? A small vision model is cheaper, faster and easier to check. Is the list open, or do you search? Two
# towers and a product, like CLIP. Do you need sentences or a dialogue? A vision–language model. Then take the
# smallest that meets your measured need, check its licence, and always run the baseline that ignores one modality.
#
# **What does training need?** Less than you think to learn, more than you think to compete. Every experiment here
# runs on two processor cores. Adapting a pretrained model takes hundreds to thousands of examples and one GPU for
# hours. Pretraining one takes hundreds of millions of pairs and many GPUs for weeks. In most projects the data is
# the work.
#
# **Must I know a lot of mathematics?** Products of tables, the derivative of a function of several variables, and
# what a probability is. Everything else is derived where it is used, and each derivation is checked by numbers in
# the next cell.
#
# **Do I need a GPU?** No.
#
# **May I use the pictures?** The drawings, yes: they are OpenMoji's, CC BY-SA 4.0, so give credit and share alike. Each
# photograph has a licence of its own, and one (the motorcycle) states none: use it here, and do not pass it on.
# `data/README.md` says it for every part.
#
# ## 7 · Where to read on
#
# **Books.** *Dive into Deep Learning* (Zhang, Lipton, Li, Smola, 2023), with code for everything. *Understanding
# Deep Learning* (Prince, 2023), clear pictures of the mathematics. *Deep Learning* (Goodfellow, Bengio, Courville,
# 2016), the reference. *Build a Large Language Model (From Scratch)* (Raschka, 2024). *Computer Vision: Algorithms
# and Applications* (Szeliski, second edition 2022), for what came before and still works. *Speech and Language
# Processing* (Jurafsky and Martin, third edition in draft).
#
# **Courses.** *CS231n: Deep Learning for Computer Vision* and *CS224n: Natural Language Processing with Deep
# Learning* (Stanford). *11-777: Multimodal Machine Learning* (Carnegie Mellon). *Deep Learning Tutorials*
# (University of Amsterdam). *Neural Networks: Zero to Hero* (Karpathy).
#
# **Papers**, in the order in which they will make sense:
#
# - Vaswani et al. *Attention Is All You Need*. NeurIPS 2017.
# - He et al. *Deep Residual Learning for Image Recognition*. CVPR 2016.
# - Devlin et al. *BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding*. NAACL 2019.
# - Dosovitskiy et al. *An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale*. ICLR 2021.
# - Radford et al. *Learning Transferable Visual Models From Natural Language Supervision*. ICML 2021.
# - Xu et al. *Show, Attend and Tell: Neural Image Caption Generation with Visual Attention*. ICML 2015.
# - Antol et al. *VQA: Visual Question Answering*. ICCV 2015.
# - Johnson et al. *CLEVR: A Diagnostic Dataset for Compositional Language and Elementary Visual Reasoning*.
# CVPR 2017.
# - Li et al. *BLIP-2: Bootstrapping Language-Image Pre-training with Frozen Image Encoders and Large Language
# Models*. ICML 2023.
# - Liu et al. *Visual Instruction Tuning*. NeurIPS 2023.
# - Baltrušaitis, Ahuja, Morency. *Multimodal Machine Learning: A Survey and Taxonomy*. IEEE TPAMI 2019.
#
# ## 8 · The map
#
# | | chapter | you build by hand | the experiment |
# |---|---|---|---|
# | 00 | [Start here](00_start_here.ipynb) | a model that judges whether a sentence is true of a picture | reading alone and seeing alone stay at chance, both together do not |
# | 01 | [Attention](01_attention.ipynb) | scaled dot product, masks, heads, positions, the transformer block | recall and reversal, which averaging cannot do |
# | 02 | [Cross-entropy](02_cross_entropy.ipynb) | softmax, log-sum-exp, the loss and its gradient | training by the gradient that you derived yourself |
# | 03 | [A tiny language model](03_tiny_language_model.ipynb) | byte-pair encoding, bigram, GPT, sampling | its loss approaches the exact entropy of the grammar |
# | 04 | [Pictures to features](04_pictures_to_features.ipynb) | convolution, a small CNN, patches and a ViT | hand-made, learned and pretrained features as labels grow scarce |
# | 05 | [Words to features](05_words_to_features.ipynb) | WordPiece, masked language model, BERT encoder | your encoder with MiniLM's real weights |
# | 06 | [Fusion by MLP](06_fusion_by_mlp.ipynb) | early, late, gated and bilinear fusion | tasks that no single modality can solve |
# | 07 | [Fusion by attention](07_fusion_by_attention.ipynb) | cross-attention, co-attention | relations, where a pooled picture fails |
# | 08 | [Contrastive pretraining](08_contrastive_pretraining.ipynb) | InfoNCE, temperature, SigLIP loss | zero-shot on concepts never seen; a bag of words and its cure |
# | 09 | [Captioning](09_captioning.ipynb) | teacher forcing, greedy and beam search, BLEU, ROUGE-L and CIDEr | every caption decided by exact truth, where the scores are blind |
# | 10 | [Visual question answering](10_visual_question_answering.ipynb) | choosing and writing answers, two experts, risk and coverage | how far the question alone gets; a prior turned round |
# | 11 | [Retrieval](11_retrieval.ipynb) | exact search, k-means, inverted lists, product quantization | a million vectors: nearly all neighbors found while looking at one in a hundred |
# | 12 | [Text to image](12_text_to_image.ipynb) | flow matching, samplers and their order, guidance | an independent judge looks for the object that was asked for |
# | 13 | [A language model that sees](13_a_language_model_that_sees.ipynb) | projector, visual prefix, LoRA | hallucination measured exactly |
# | 14 | [Looking inside](14_looking_inside.ipynb) | Grad-CAM, rollout, occlusion | explanations scored against true masks |
# | 15 | [Small and fast, big and wide](15_small_and_wide.ipynb) | quantization, pruning, distillation | accuracy against size; a scaling law above a known entropy |
# | 16 | [Sound, video, and your own project](16_sound_video_and_your_project.ipynb) | spectrogram, mel bands, attention over time | a moving scene described; what one frame cannot say |
#
# Each of them comes to an end of its own: you can stop after any of them and have learned something whole.
#
# Which chapter needs which? The next cell reads it from the first lines of the chapters.

# %%
import textwrap

from mmcourse.course.author.needs import places, read_heads, without_detours

heads = read_heads()
ways = without_detours({number: head.needs for number, head in heads.items()})
place = places(ways)
shades = {GRAY: ("09", "10", "11", "12", "13"), BLUE: ("03", "05"), ORANGE: ("04",), GREEN: ("06", "07", "08")}
shade = {number: color for color, numbers in shades.items() for number in numbers}

figure, ax = plt.subplots(figsize=(8, 7), layout="constrained")
ax.set(xlim=(-2.5, 2.5), ylim=(max(y for _, y in place.values()) + 0.4, -0.4))
ax.axis("off")
boxes = {chapter: textwrap.fill(f"{chapter} {heads[chapter].title}", 20) for chapter in place}
half = {chapter: 0.06 + 0.1 * len(text.splitlines()) for chapter, text in boxes.items()}  # of a box's height
for chapter, (x, y) in place.items():
    frame = {"boxstyle": "round,pad=0.4", "fc": shade.get(chapter, "white"), "ec": "0.3"}
    ax.text(x, y, boxes[chapter], ha="center", va="center", fontsize=9, bbox=frame)
    for before in ways[chapter]:
        start = (place[before][0], place[before][1] + half[before])
        ax.annotate("", (x, y - half[chapter]), start, arrowprops={"arrowstyle": "-|>", "color": "0.3"})
needs = "; ".join(f"{chapter} needs {' and '.join(before)}" for chapter, before in ways.items() if before)
viz.show(figure, alt=f"The chapters from top to bottom, with arrows to each from those right before it: {needs}.")

# %% [markdown]
# **What to see:** for a chapter you need everything from which arrows lead to it, directly or over others, and
# nothing else. The colors are those of the diagram in section 1: text, image, fusion, tasks; white is what serves all
# of them. Chapters side by side can be read in any order.
#
# ## 9 · Ask yourself

# %%
quiz(
    Question(
        "A language model is a machine that …",
        ("looks words up in a dictionary", "gives a probability to the next word", "understands grammar rules"),
        1,
        "Everything else that it does comes from asking for the next word again and again.",
    ),
    Question(
        "A tensor has the right shape and the picture in it is scrambled. What is the first suspect?",
        ("`reshape` where `permute` was meant", "a learning rate that is too high", "too few pictures"),
        0,
        "`reshape` cuts the numbers anew in the order of memory; `permute` moves the axes.",
    ),
    Question(
        "A model that never sees the pictures answers 62 of 100 questions about them. What do you learn?",
        ("it is a good model", "the test is broken beyond use", "how much the questions alone give away"),
        2,
        "That number is the baseline. Only what a system gets above it can come from looking.",
    ),
    Question(
        "Why can the sum of a picture score and a sentence score never solve a block of four?",
        ("it has too few weights", "both diagonals of the block have the same sum", "it was trained for too few steps"),
        1,
        "One diagonal should be positive and the other negative, and they are equal. No size and no training changes that.",
    ),
    Question(
        "The judge calls a sentence unparseable. Then the sentence is …",
        ("false", "true", "neither: it is outside the grammar"),
        2,
        "Not being able to read a sentence is not the same as having refuted it.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A language model gives a probability to the next word. A vision model turns a table of light into something that
# means the same for every picture of the same
#   thing. Multimodal learning lets them meet, and *fusion* is where.
# - In our world every sentence can be decided and the floor of surprise is known. So results here are measurements,
# not impressions.
# - Some questions live between two modalities. In a balanced data set each one alone is at chance by arithmetic, a
# sum of both cannot solve a block, and a product can.
# - The worst bugs raise no error. Look at what your model sees, and look at single wrong answers.
# - You know how exercises, hints, checks, claims and the budget dial work.
#
# **Next: 01 · Attention.** The product of this chapter compared each word with each patch and took the best.
# Attention does this properly, and it is the idea that everything after it rests on.
#
# **References.** Goyal, Khot, Summers-Stay, Batra, Parikh. *Making the V in VQA Matter: Elevating the Role of Image
# Understanding in Visual Question Answering*. CVPR 2017. · Shannon. *Prediction and Entropy of Printed English*.
# Bell System Technical Journal, 1951. · Alayrac et al. *Flamingo: a Visual Language Model for Few-Shot Learning*.
# NeurIPS 2022. · Thrush et al. *Winoground: Probing Vision and Language Models for Visio-Linguistic
# Compositionality*. CVPR 2022, which builds its test from blocks of four like ours.
