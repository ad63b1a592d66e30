"""The other half of chapter 06's exercises: FiLM, gates, scores of a class, modality dropout."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake

# --- FiLM -------------------------------------------------------------------------------------------------------------


def film(x, text, weight_scale, weight_shift):
    return (1 + text @ weight_scale.T) * x + text @ weight_shift.T


def _film_inputs(batch, width, text, *, zero=False):
    def inputs(generator):
        x, y = torch.randn(batch, width, generator=generator), torch.randn(batch, text, generator=generator)
        scale, shift = torch.randn(2, width, text, generator=generator)
        return x, y, scale * (not zero), shift * (not zero)

    return inputs


FILM = Exercise(
    id="06-film",
    title="The sentence turns the knobs",
    goal="let one modality scale and shift the features of the other",
    stars=2,
    minutes=10,
    points=2,
    reference=film,
    cases=(
        Case(name="four samples", inputs=_film_inputs(4, 6, 3), atol=1e-5),
        Case(name="as many words as features, where shapes forgive", inputs=_film_inputs(5, 4, 4), atol=1e-5),
        Case(name="with weights of zero the picture passes unchanged", inputs=_film_inputs(3, 5, 2, zero=True)),
    ),
    mistakes=(
        Mistake(
            message="The 1 is missing: with a scale of 0 your picture vanishes. (1 + scale) · x lets it pass at the "
            "start.",
            answer=lambda x, t, a, b: (t @ a.T) * x + t @ b.T,
        ),
        Mistake(
            message="The shift is multiplied, too. Scale the picture first, then add the shift.",
            answer=lambda x, t, a, b: (1 + t @ a.T) * (x + t @ b.T),
        ),
        Mistake(
            message="The shift is missing: add text @ weight_shift.T.",
            answer=lambda x, t, a, b: (1 + t @ a.T) * x,
        ),
        Mistake(
            message="You add the scale instead of multiplying by it. A sum of both modalities is late fusion again.",
            answer=lambda x, t, a, b: x + t @ a.T + t @ b.T,
        ),
        Mistake(
            message="Scale and shift are exchanged.",
            answer=lambda x, t, a, b: film(x, t, b, a),
        ),
        Mistake(
            message="The 1 is added to the shift. It belongs to the scale: (1 + scale) · x + shift.",
            answer=lambda x, t, a, b: (t @ a.T) * x + (1 + t @ b.T),
        ),
        Mistake(
            message="The weights are not transposed: `text @ weight_scale.T` takes (B, T) to (B, C).",
            answer=lambda x, t, a, b: (1 + t @ a) * x + t @ b,
        ),
        Mistake(
            message="The scale went through a sigmoid. Then a feature can be turned down and never up or around; FiLM "
            "leaves the scale free.",
            answer=lambda x, t, a, b: (1 + (t @ a.T).sigmoid()) * x + t @ b.T,
        ),
    ),
    hints=(
        "First compute scale and shift, both of shape (B, C), from the text.",
        "`scale = text @ weight_scale.T`, and the same for the shift.",
        "(1 + scale) · x + shift, elementwise.",
    ),
)

# --- a gate -----------------------------------------------------------------------------------------------------------


def gate(image, text, weight):
    z = (torch.cat((image, text), dim=-1) @ weight.T).sigmoid()
    return z * image.tanh() + (1 - z) * text.tanh()


def _gate_inputs(batch, width):
    def inputs(generator):
        image, text = torch.randn(2, batch, width, generator=generator)
        return image, text, torch.randn(width, 2 * width, generator=generator)

    return inputs


def _gated(z):
    """The same with another gate."""
    return lambda i, t, w: torch.lerp(t.tanh(), i.tanh(), z(torch.cat((i, t), dim=-1) @ w.T))


GATE = Exercise(
    id="06-gate",
    title="Who may speak",
    goal="a gate that reads both modalities and lets one through",
    stars=2,
    minutes=10,
    points=2,
    reference=gate,
    cases=(
        Case(name="five samples of width 4", inputs=_gate_inputs(5, 4)),
        Case(name="two samples of width 2, where shapes forgive", inputs=_gate_inputs(2, 2)),
        Case(name="a batch of one", inputs=_gate_inputs(1, 8)),
    ),
    mistakes=(
        Mistake(
            message="Picture and sentence are exchanged: z lets the picture through, 1 − z the sentence.",
            answer=lambda i, t, w: _gated(lambda a: 1 - a.sigmoid())(i, t, w),
        ),
        Mistake(
            message="The gate has no sigmoid. It must lie between 0 and 1.",
            answer=_gated(lambda a: a),
        ),
        Mistake(
            message="Both are multiplied by z, so the gate only makes everything louder or softer. The sentence gets "
            "what the picture does not: 1 − z.",
            answer=lambda i, t, w: (torch.cat((i, t), dim=-1) @ w.T).sigmoid() * (i.tanh() + t.tanh()),
        ),
        Mistake(
            message="tanh is missing: image and text are mixed as they are.",
            answer=lambda i, t, w: torch.lerp(t, i, (torch.cat((i, t), dim=-1) @ w.T).sigmoid()),
        ),
        Mistake(
            message="The gate reads the text first. Join them in the order image, text: the columns of the weight "
            "belong to them in this order.",
            answer=lambda i, t, w: torch.lerp(t.tanh(), i.tanh(), (torch.cat((t, i), dim=-1) @ w.T).sigmoid()),
        ),
        Mistake(
            message="The gate reads tanh of both. It reads image and text as they are.",
            answer=lambda i, t, w: torch.lerp(
                t.tanh(), i.tanh(), (torch.cat((i.tanh(), t.tanh()), dim=-1) @ w.T).sigmoid()
            ),
        ),
        Mistake(
            message="A softmax over the channels makes the gates of one sample compete. Each channel decides for "
            "itself: sigmoid.",
            answer=_gated(lambda a: a.softmax(dim=-1)),
        ),
        Mistake(
            message="The gate is rounded to 0 or 1. Then no gradient reaches its weights: keep the sigmoid.",
            answer=_gated(lambda a: (a > 0).to(a.dtype)),
        ),
        Mistake(
            message="tanh runs over the finished mixture. Bend each modality first, then mix.",
            answer=lambda i, t, w: torch.lerp(t, i, (torch.cat((i, t), dim=-1) @ w.T).sigmoid()).tanh(),
        ),
    ),
    hints=(
        "The gate reads both: `torch.cat((image, text), dim=-1)` has shape (B, 2·C).",
        "z = sigmoid(joined @ weight.T), shape (B, C): one gate for each sample and channel.",
        "z · tanh(image) + (1 − z) · tanh(text)",
    ),
)

# --- precision, recall, F1 --------------------------------------------------------------------------------------------


def scores_of_a_class(confusion, c):
    right = confusion[c, c]
    precision, recall = right / confusion[:, c].sum(), right / confusion[c].sum()
    return precision, recall, 2 * precision * recall / (precision + recall)


def _confusion(classes, c, most=20):
    def inputs(generator):
        matrix = torch.randint(1, most, (classes, classes), generator=generator) + 10 * torch.eye(classes).long()
        return matrix, c

    return inputs


def _floats(answer, *inputs):
    """Three plain numbers, however they came."""
    return tuple(float(value) for value in answer(*inputs))


def _from(matrix, c, mean):
    precision, recall, _ = scores_of_a_class(matrix, c)
    return precision, recall, mean(precision, recall)


SCORES_OF_A_CLASS = Exercise(
    id="06-scores-of-a-class",
    title="Precision, recall, F1",
    goal="read three scores of one class off a confusion matrix",
    stars=2,
    minutes=10,
    points=2,
    reference=scores_of_a_class,
    cases=(
        Case(name="two classes, the second", inputs=_confusion(2, 1), probe=_floats),
        Case(name="five classes, the first", inputs=_confusion(5, 0), probe=_floats),
        Case(name="three classes, large counts", inputs=_confusion(3, 2, 900), probe=_floats),
    ),
    mistakes=(
        Mistake(
            message="Precision and recall are exchanged. Rows are the truth: a column holds all that was called this "
            "class (precision), a row all that is this class (recall).",
            answer=lambda m, c: scores_of_a_class(m.T, c),
        ),
        Mistake(
            message="F1 is taken as the plain mean. It is the harmonic mean, 2 · p · r / (p + r), which is low when "
            "either is low.",
            answer=lambda m, c: _from(m, c, lambda p, r: (p + r) / 2),
        ),
        Mistake(
            message="F1 is half as large as it should be: the 2 is missing.",
            answer=lambda m, c: _from(m, c, lambda p, r: p * r / (p + r)),
        ),
        Mistake(
            message="F1 is taken as the product of precision and recall. It is 2 · p · r / (p + r).",
            answer=lambda m, c: _from(m, c, lambda p, r: p * r),
        ),
        Mistake(
            message="F1 is taken as the geometric mean. It is the harmonic mean, 2 · p · r / (p + r).",
            answer=lambda m, c: _from(m, c, lambda p, r: (p * r) ** 0.5),
        ),
        Mistake(
            message="All three are the accuracy, or divided by all samples. Precision divides by a column, recall by a "
            "row.",
            answer=lambda m, c: (m[c, c] / m.sum(),) * 3,
        ),
        Mistake(
            message="You divide by the wrong answers alone. The right ones belong below the line, too: TP / (TP + FP).",
            answer=lambda m, c: _odds(m, c),
        ),
        Mistake(
            message="These are the scores of another class. Class c stands in row c and column c, counted from 0.",
            answer=lambda m, c: scores_of_a_class(m, (c + 1) % len(m)),
        ),
        Mistake(
            message="These are the scores of another class. Class c stands in row c and column c, counted from 0.",
            answer=lambda m, c: scores_of_a_class(m, c - 1),
        ),
    ),
    hints=(
        "`confusion[c, c]` is right. Everything else in column c was called c and is not; everything else in row c is "
        "c and was missed.",
        "precision = right / sum of column c; recall = right / sum of row c.",
        "F1 = 2 · precision · recall / (precision + recall)",
    ),
)


def _odds(matrix, c):
    right = matrix[c, c]
    precision, recall = right / (matrix[:, c].sum() - right), right / (matrix[c].sum() - right)
    return precision, recall, 2 * precision * recall / (precision + recall)


# --- modality dropout -------------------------------------------------------------------------------------------------


def drop_modalities(image, text, share, draw):
    image = image * (draw >= share)[:, None]
    return image, text * (draw < 1 - share)[:, None]


def _drop_inputs(share, batch, image=4, text=3):
    def inputs(generator):
        pair = torch.randn(batch, image, generator=generator), torch.randn(batch, text, generator=generator)
        draw = torch.rand(batch, generator=generator)
        if share:
            draw[:2] = torch.tensor([share, 1 - share])  # the text says what becomes of these two
        return *pair, share, draw

    return inputs


def _both(answer, *inputs):
    image, text = answer(*inputs)
    return image, text


MODALITY_DROPOUT = Exercise(
    id="06-modality-dropout",
    title="Practice for the day a camera fails",
    goal="take one modality away in training, never both",
    stars=3,
    minutes=15,
    points=3,
    reference=drop_modalities,
    cases=(
        Case(name="a quarter loses its picture, another its sentence", inputs=_drop_inputs(0.25, 40), probe=_both),
        Case(name="half and half: every sample loses one", inputs=_drop_inputs(0.5, 30), probe=_both),
        Case(name="share 0 changes nothing", inputs=_drop_inputs(0.0, 6), probe=_both),
    ),
    mistakes=(
        Mistake(
            message="Some samples lose both. Both decisions use the same end of the draw: let the picture go where "
            "draw < share and the sentence where draw ≥ 1 − share.",
            answer=lambda i, t, s, d: (i * (d >= s)[:, None], t * (d >= s)[:, None]),
        ),
        Mistake(
            message="What is left is scaled by 1 / (1 − share), as in ordinary dropout. There thousands of numbers "
            "replace each other; here a whole view is missing, at test time as well. Leave the other as it is.",
            answer=lambda i, t, s, d: (i * (d >= s)[:, None] / (1 - s), t * (d < 1 - s)[:, None] / (1 - s)),
        ),
        Mistake(
            message="Picture and sentence are exchanged: small draws take the picture, large ones the sentence.",
            answer=lambda i, t, s, d: (i * (d < 1 - s)[:, None], t * (d >= s)[:, None]),
        ),
        Mistake(
            message="Picture and sentence are exchanged: small draws take the picture, large ones the sentence.",
            answer=lambda i, t, s, d: drop_modalities(i, t, s, 1 - d),
        ),
        Mistake(
            message="The masks are turned around: this keeps what should go.",
            answer=lambda i, t, s, d: (i * (d < s)[:, None], t * (d >= 1 - s)[:, None]),
        ),
        Mistake(
            message="Only pictures are taken away. The model must learn to do without sentences, too.",
            answer=lambda i, t, s, d: (i * (d >= s)[:, None], t),
        ),
        Mistake(
            message="Single numbers are dropped, as in ordinary dropout. Here the whole vector of a modality goes.",
            answer=lambda i, t, s, d: (
                torch.nn.functional.dropout(i, s),
                torch.nn.functional.dropout(t, s),
            ),
        ),
        Mistake(
            message="The whole batch loses its picture or its sentence together. Decide for each sample.",
            answer=lambda i, t, s, d: (i * bool(d[0] >= s), t * bool(d[0] < 1 - s)),
        ),
        Mistake(
            message="Every sample that loses anything loses its picture. Half of them should lose the sentence.",
            answer=lambda i, t, s, d: (i * (d >= 2 * s)[:, None], t),
        ),
    ),
    hints=(
        "One draw between 0 and 1 decides for each sample. Use its two ends: they never meet while share is at most ½.",
        "`(draw >= share)` is a mask (B,) of the pictures that stay; `[:, None]` lets it meet (B, C).",
        "image · (draw ≥ share) and text · (draw < 1 − share), nothing else.",
    ),
)
