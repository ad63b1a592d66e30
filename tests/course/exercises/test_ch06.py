"""Answers to the exercises of chapter 06, right ones in many styles and wrong ones that must hear their mistake."""

from itertools import pairwise

import numpy as np
import torch
from answers import Answers
from torch import nn
from torch.nn import functional as F

from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong

# --- 06-layer-shapes ----------------------------------------------------------------------------------------------


def shapes_of(*sizes):
    return [nn.Linear(a, b).weight.shape for a, b in pairwise(sizes)]


@right("06-layer-shapes")
def shapes_of_real_layers(image_width, text_width, classes):
    return shapes_of(image_width + text_width, 512, 256, classes)


@right("06-layer-shapes")
def shapes_as_a_tuple(image_width, text_width, classes):
    return [512, image_width + text_width], [256, 512], [classes, 256]


@wrong("06-layer-shapes", "turned around")
def shapes_transposed(i, t, c):
    return [shape[::-1] for shape in shapes_as_a_tuple(i, t, c)]


@wrong("06-layer-shapes", "picture alone")
def shapes_without_text(i, t, c):
    return shapes_of(i, 512, 256, c)


@wrong("06-layer-shapes", "outer product")
def shapes_of_a_product(i, t, c):
    return [(512, i * t), (256, 512), (c, 256)]


@wrong("06-layer-shapes", "ImageNet")
def shapes_with_the_head(i, t, c):
    return shapes_of(1000 + t, 512, 256, c)


@wrong("06-layer-shapes", "ends at 256")
def shapes_without_classes(i, t, c):
    return shapes_of(i + t, 512, 256)


@wrong("06-layer-shapes", "one output")
def shapes_of_one_logit(i, t, c):
    return shapes_of(i + t, 512, 256, 1)


# --- 06-interaction -----------------------------------------------------------------------------------------------


@right("06-interaction")
def interaction_by_signs(scores):
    return (scores * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])).sum((1, 2))


@right("06-interaction")
def interaction_by_differences(scores):
    return scores.diff(dim=1).diff(dim=2).flatten()


@wrong("06-interaction", "sign is turned")
def interaction_backwards(scores):
    return scores.flip(1).diff(dim=1).diff(dim=2).flatten()


@wrong("06-interaction", "sum of all four")
def interaction_summed(scores):
    return scores.flatten(1).sum(1)


@wrong("06-interaction", "two pictures")
def interaction_of_pictures(scores):
    return scores[:, 0, 0] + scores[:, 0, 1] - scores[:, 1, 0] - scores[:, 1, 1]


@wrong("06-interaction", "two sentences")
def interaction_of_sentences(scores):
    return scores[:, 0, 0] + scores[:, 1, 0] - scores[:, 0, 1] - scores[:, 1, 1]


@wrong("06-interaction", "determinant")
def interaction_as_determinant(scores):
    return scores[:, 0, 0] * scores[:, 1, 1] - scores[:, 0, 1] * scores[:, 1, 0]


@wrong("06-interaction", "trace")
def interaction_as_trace(scores):
    return torch.einsum("npp->n", scores)


# --- 06-late-fusion -----------------------------------------------------------------------------------------------


@right("06-late-fusion")
def late_by_lerp(image_logits, text_logits, weight):
    return torch.lerp(F.softmax(text_logits, 1), F.softmax(image_logits, 1), weight)


@right("06-late-fusion")
def late_by_exponentials(image_logits, text_logits, weight):
    p, q = (z.exp() / z.exp().sum(1, keepdim=True) for z in (image_logits, text_logits))
    return q + weight * (p - q)


@wrong("06-late-fusion", "average the logits and take softmax")
def late_of_logits(i, t, w):
    return F.softmax(torch.lerp(t, i, w), dim=1)


@wrong("06-late-fusion", "must be probabilities")
def late_without_softmax(i, t, w):
    return torch.lerp(t, i, w)


@wrong("06-late-fusion", "dim=0")
def late_over_samples(i, t, w):
    return torch.lerp(F.softmax(t, 0), F.softmax(i, 0), w)


@wrong("06-late-fusion", "exchanged")
def late_exchanged(i, t, w):
    return late_by_lerp(i, t, 1 - w)


@wrong("06-late-fusion", "sum to 2")
def late_added(i, t, w):
    return F.softmax(i, 1) + F.softmax(t, 1)


# --- 06-low-rank-bilinear -----------------------------------------------------------------------------------------


@right("06-low-rank-bilinear")
def bilinear_in_full(x, y, u, v, p):
    return F.bilinear(x, y, torch.einsum("kr,ri,rt->kit", p, u, v))


@right("06-low-rank-bilinear")
def bilinear_by_einsum(x, y, u, v, p):
    return torch.einsum("bi,bt,ri,rt,kr->bk", x, y, u, v, p)


@wrong("06-low-rank-bilinear", "add the two")
def bilinear_added(x, y, u, v, p):
    return F.linear(F.linear(x, u) + F.linear(y, v), p)


@wrong("06-low-rank-bilinear", "last map")
def bilinear_without_p(x, y, u, v, p):
    return F.linear(x, u) * F.linear(y, v)


@wrong("06-low-rank-bilinear", "added up")
def bilinear_summed(x, y, u, v, p):
    return (F.linear(x, u) * F.linear(y, v)).sum(-1, keepdim=True)


@wrong("06-low-rank-bilinear", "before the product")
def bilinear_mapped_too_early(x, y, u, v, p):
    return F.linear(F.linear(x, u), p) * F.linear(F.linear(y, v), p)


@wrong("06-low-rank-bilinear", "tanh")
def bilinear_bent(x, y, u, v, p):
    return F.linear(torch.tanh(F.linear(x, u)) * torch.tanh(F.linear(y, v)), p)


# --- 06-film ------------------------------------------------------------------------------------------------------


@right("06-film")
def film_by_the_library(x, text, weight_scale, weight_shift):
    from mmcourse.fusion import film

    return film(x, F.linear(text, weight_scale), F.linear(text, weight_shift))


@right("06-film")
def film_written_out(x, text, weight_scale, weight_shift):
    return x + x * F.linear(text, weight_scale) + F.linear(text, weight_shift)


@wrong("06-film", "1 is missing")
def film_without_one(x, t, a, b):
    return F.linear(t, a) * x + F.linear(t, b)


@wrong("06-film", "shift is multiplied")
def film_shift_first(x, t, a, b):
    return (x + F.linear(t, b)) * (1 + F.linear(t, a))


@wrong("06-film", "shift is missing")
def film_without_shift(x, t, a, b):
    return x * (F.linear(t, a) + 1)


@wrong("06-film", "add the scale")
def film_added(x, t, a, b):
    return x + F.linear(t, a + b)


@wrong("06-film", "exchanged")
def film_exchanged(x, t, a, b):
    return film_written_out(x, t, b, a)


# --- 06-gate ------------------------------------------------------------------------------------------------------


@right("06-gate")
def gate_by_lerp(image, text, weight):
    z = torch.sigmoid(F.linear(torch.cat([image, text], 1), weight))
    return torch.lerp(torch.tanh(text), torch.tanh(image), z)


@right("06-gate")
def gate_in_two_parts(image, text, weight):
    own, other = weight.chunk(2, dim=1)
    z = 1 / (1 + (-(image @ own.T) - text @ other.T).exp())
    return text.tanh() + z * (image.tanh() - text.tanh())


@wrong("06-gate", "exchanged")
def gate_exchanged(i, t, w):
    z = torch.sigmoid(F.linear(torch.cat([i, t], 1), w))
    return (1 - z) * i.tanh() + z * t.tanh()


@wrong("06-gate", "no sigmoid")
def gate_without_sigmoid(i, t, w):
    z = F.linear(torch.cat([i, t], 1), w)
    return z * i.tanh() + (1 - z) * t.tanh()


@wrong("06-gate", "Both are multiplied")
def gate_for_both(i, t, w):
    z = torch.sigmoid(F.linear(torch.cat([i, t], 1), w))
    return z * i.tanh() + z * t.tanh()


@wrong("06-gate", "tanh is missing")
def gate_without_tanh(i, t, w):
    z = torch.sigmoid(F.linear(torch.cat([i, t], 1), w))
    return z * i + (1 - z) * t


@wrong("06-gate", "text first")
def gate_reads_text_first(i, t, w):
    z = torch.sigmoid(F.linear(torch.cat([t, i], 1), w))
    return z * i.tanh() + (1 - z) * t.tanh()


# --- 06-scores-of-a-class -----------------------------------------------------------------------------------------


@right("06-scores-of-a-class")
def scores_by_counts(confusion, c):
    tp = float(confusion[c, c])
    fp, fn = float(confusion[:, c].sum()) - tp, float(confusion[c].sum()) - tp
    if tp == 0:
        return 0.0, 0.0, 0.0
    return tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)


@right("06-scores-of-a-class")
def scores_by_numpy(confusion, c):
    m = confusion.numpy()
    p, r = np.nan_to_num(m[c, c] / m.sum(0)[c]), np.nan_to_num(m[c, c] / m.sum(1)[c])
    return [p, r, np.nan_to_num(2 * p * r / (p + r))]


@wrong("06-scores-of-a-class", "never named")
def scores_without_care(m, c):
    p, r = m[c, c] / m[:, c].sum(), m[c, c] / m[c].sum()
    return p, r, 2 * p * r / (p + r)


@wrong("06-scores-of-a-class", "exchanged, and")
def scores_exchanged_without_care(m, c):
    r, p = m[c, c] / m[:, c].sum(), m[c, c] / m[c].sum()
    return p, r, 2 * p * r / (p + r)


@wrong("06-scores-of-a-class", "exchanged")
def scores_exchanged(m, c):
    p, r, f1 = scores_by_counts(m, c)
    return r, p, f1


@wrong("06-scores-of-a-class", "plain mean")
def scores_with_a_mean(m, c):
    p, r, _ = scores_by_counts(m, c)
    return p, r, (p + r) / 2


@wrong("06-scores-of-a-class", "2 is missing")
def scores_without_two(m, c):
    p, r, _ = scores_by_counts(m, c)
    return p, r, p * r / (p + r) if p + r else 0.0


@wrong("06-scores-of-a-class", "geometric")
def scores_geometric(m, c):
    p, r, _ = scores_by_counts(m, c)
    return p, r, (p * r) ** 0.5


@wrong("06-scores-of-a-class", "all samples")
def scores_over_everything(m, c):
    share = float(m[c, c]) / float(m.sum())
    return share, share, share


# --- 06-modality-dropout ------------------------------------------------------------------------------------------


@right("06-modality-dropout")
def drop_by_where(image, text, share, draw):
    draw = draw.unsqueeze(1)
    return torch.where(draw < share, 0.0, image), torch.where(draw >= 1 - share, 0.0, text)


@right("06-modality-dropout")
def drop_row_by_row(image, text, share, draw):
    image, text = image.clone(), text.clone()
    for row, chance in enumerate(draw.tolist()):
        if chance < share:
            image[row] = 0
        elif chance >= 1 - share:
            text[row] = 0
    return image, text


@wrong("06-modality-dropout", "lose both")
def drop_together(i, t, s, d):
    keep = (d >= s).float().unsqueeze(1)
    return i * keep, t * keep


@wrong("06-modality-dropout", "scaled")
def drop_scaled(i, t, s, d):
    i, t = drop_by_where(i, t, s, d)
    return i / (1 - s), t / (1 - s)


@wrong("06-modality-dropout", "exchanged")
def drop_exchanged(i, t, s, d):
    return drop_by_where(i, t, s, 1 - d)


@wrong("06-modality-dropout", "turned around")
def drop_the_rest(i, t, s, d):
    d = d.unsqueeze(1)
    return torch.where(d >= s, 0.0, i), torch.where(d < 1 - s, 0.0, t)


@wrong("06-modality-dropout", "Only pictures")
def drop_pictures_alone(i, t, s, d):
    return drop_by_where(i, t, s, d)[0], t


# --- the tests ----------------------------------------------------------------------------------------------------


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("06"))


def test_references_are_those_of_the_library():
    from mmcourse import fusion, metrics

    image, text, classes = torch.randn(7, 6), torch.randn(7, 4), torch.randint(3, (2, 50))
    mlp = fusion.ConcatFusion(6, 4, 256, hidden=(512,))
    shapes = [part.weight.shape for part in (*mlp.modules(), nn.Linear(256, 3)) if isinstance(part, nn.Linear)]
    assert find("06-layer-shapes").reference(6, 4, 3) == shapes
    late = torch.stack((image, 2 * image.flip(1)), dim=1)
    weights = torch.tensor([[0.3, 0.7]]).expand(7, 2)
    expected = fusion.average_predictions(late, weights, how="probabilities").exp()
    torch.testing.assert_close(find("06-late-fusion").reference(late[:, 0], late[:, 1], 0.3), expected)
    u, v, p = torch.randn(5, 6), torch.randn(5, 4), torch.randn(3, 5)
    product = fusion.low_rank_bilinear(image, text, u, v, p)
    torch.testing.assert_close(find("06-low-rank-bilinear").reference(image, text, u, v, p), product)
    gate = fusion.GatedFusion(6, 6, 6)
    for linear in (gate.image_in, gate.text_in):
        nn.init.eye_(linear.weight)
    for linear in (gate.image_in, gate.text_in, gate.gate_in):
        nn.init.zeros_(linear.bias)
    other = torch.randn(7, 6)
    views = fusion.Views(image=image, text=other)
    torch.testing.assert_close(find("06-gate").reference(image, other, gate.gate_in.weight), gate(views))
    scores = metrics.precision_recall_f1(*classes, 3)
    found = find("06-scores-of-a-class").reference(metrics.confusion_matrix(*classes, 3), 2)
    torch.testing.assert_close(torch.stack(found).double(), torch.stack(scores[:3])[:, 2], rtol=1e-6, atol=1e-6)


def test_the_reference_takes_away_the_views_that_modality_dropout_takes(monkeypatch):
    from mmcourse.fusion import ModalityDropout, Views

    image, text, draw = torch.randn(64, 6), torch.randn(64, 4), torch.rand(64)
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: draw)
    views = ModalityDropout(6, 4, share=0.3).train()(Views(image=image, text=text))
    torch.testing.assert_close((views.image, views.text), find("06-modality-dropout").reference(image, text, 0.3, draw))
    assert (views.has_image | views.has_text).all()
    assert not views.has_image.all()
    assert not views.has_text.all()
