"""Ready-made functions are seen when they are called, on whatever way, and only then."""

from __future__ import annotations

import inspect

import pytest
import torch

from mmcourse.course.exercises import all_exercises
from mmcourse.course.grading.answer import ready_made

EXERCISES = all_exercises()

WAYS = {
    "torch.ops.aten.logsumexp.default": "torch.ops.aten.logsumexp.default(z, [-1])",
    "an operator by its text": "torch._C._jit_get_operation('aten::logsumexp')[0](z, [-1])",
    "the class above": "torch._C.TensorBase.logsumexp(z, -1)",
    "special": "torch.special.logsumexp(z, -1)",
    "the function inside": "__import__('inspect').unwrap(torch.logsumexp)(z, -1)",
    "another module": "__import__('mmcourse.losses.classification').losses.classification.log_sum_exp(z)",
    "a name from before": "before(z)",
    "through another": "__import__('functools').partial(before)(z)",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_is_seen(verdict, way):
    text = f"from mmcourse.losses import log_sum_exp as before\ndef stable_log_sum_exp(z):\n    return {way}"
    found = verdict(text, "02-log-sum-exp")
    assert (found.status, found.points) == ("forbidden", 0), found
    assert "ready-made" in found.tampering[0]


STEPS = "top = z.max(-1, keepdim=True).values\n    return (z - top).exp().sum(-1).log() + top.squeeze(-1)"
NAMED = {
    "a text": f"def stable_log_sum_exp(z):\n    '''logsumexp'''\n    name = 'logsumexp'\n    {STEPS}",
    "a comment": f"def stable_log_sum_exp(z):\n    # torch.logsumexp(z, -1) does the same\n    {STEPS}",
    "its own method": "class Mine:\n    def logsumexp(self, z):\n        top = z.max(-1, keepdim=True).values\n"
    "        return (z - top).exp().sum(-1).log() + top.squeeze(-1)\n"
    "def stable_log_sum_exp(z):\n    return Mine().logsumexp(z)",
    "a test beside it": f"def stable_log_sum_exp(z):\n    {STEPS}\n"
    "x = torch.ones(3)\nassert torch.allclose(stable_log_sum_exp(x), torch.logsumexp(x, -1))",
    "a path in a text": f"def stable_log_sum_exp(z):\n    '''see chapters/solutions'''\n    {STEPS}",
    "a branch that is never taken": "def stable_log_sum_exp(z):\n    if z is None:\n"
    f"        return torch.logsumexp(z, -1)\n    {STEPS}",
}


@pytest.mark.parametrize("text", NAMED.values(), ids=NAMED)
def test_who_only_names_it_keeps_the_points(verdict, text):
    found = verdict(text, "02-log-sum-exp")
    assert found.status == "done", found
    assert found.tampering == ()


def test_an_import_is_no_tampering(verdict):
    pytest.importorskip("transformers")
    text = f"import transformers\nfrom transformers import BertModel\ndef stable_log_sum_exp(z):\n    {STEPS}"
    found = verdict(text, "02-log-sum-exp")
    assert not [said for said in found.tampering if "replaces" in said], found


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_every_exercise_says_what_is_ready_made_for_it(exercise):
    assert bool(exercise.ready_made) != bool(exercise.nothing_ready), "name functions, or say why there are none"
    for function in exercise.ready_made:
        place = ready_made.place_of(function)
        assert ready_made.found(place) == function, place


@pytest.mark.parametrize("transform", [torch.fft.rfft, torch.fft.fft, torch.fft.rfftn, torch.fft.hfft])
def test_one_transform_of_torch_stands_for_all(transform):
    noted = []
    with ready_made.Operators(["torch.fft:rfft"], lambda *note: noted.append(note)):
        transform(torch.ones(4))
    assert noted == [("ready-made", "rfft")]


def test_frames_and_transforms_in_one_call_are_transforms_too():
    noted = []
    with ready_made.Operators(["torch.fft:rfft"], lambda *note: noted.append(note)):
        torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True)
    assert ("ready-made", "rfft") in noted


Z, Y = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
CALLS = {  # torch's own are seen only when they are given something that they can take
    "torch.nn.functional:scaled_dot_product_attention": (Z, Z, Z),
    "torch.nn.functional:multi_head_attention_forward": (
        *(torch.zeros(1, 1, 2) for _ in range(3)),
        *(2, 1, torch.zeros(6, 2), None, None, None, False, 0.0, torch.zeros(2, 2), None),
    ),
    "torch:_softmax_backward_data": (Z, Z, -1, torch.float32),
    "torch.nn.functional:nll_loss": (Z, Y),
    "torch.nn.functional:cross_entropy": (Z, Y),
    "torch:logsumexp": (Z, -1),
    "torch.Tensor:logsumexp": (Z, -1),
    "torch.fft:rfft": (Z,),
    "torch:conv2d": (torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 2, 2)),
}
PLACES = {exercise.id: [ready_made.place_of(function) for function in exercise.ready_made] for exercise in EXERCISES}
NAMED_PLACES = [(exercise, place) for exercise, places in PLACES.items() for place in places]


@pytest.mark.parametrize(("exercise", "place"), NAMED_PLACES, ids=[f"{e}-{place}" for e, place in NAMED_PLACES])
def test_an_answer_that_wraps_a_ready_made_function_is_noticed(exercise, place):
    """Called through a name from before the watch began, as an answer that imports it at its top does."""
    function = inspect.unwrap(ready_made.found(place))
    code = getattr(function, "__code__", None)
    kept = code and (code, function.__defaults__, function.__kwdefaults__)
    noted = []
    try:
        ready_made.watch(PLACES[exercise], lambda *note: noted.append(note))
        with ready_made.Operators(PLACES[exercise], lambda *note: noted.append(note)):
            if ready_made.by_operators(place):
                function(*CALLS[place])
            else:
                with pytest.raises((TypeError, AttributeError)):
                    function()  # what it needs is missing: it was called all the same
    finally:
        _restore(exercise)
    assert ("ready-made", place.rpartition(":")[2]) in noted
    assert not kept or kept == (function.__code__, function.__defaults__, function.__kwdefaults__)


ORIGINALS = {
    place: (function, function.__code__, function.__defaults__, function.__kwdefaults__)
    for place, function in ((place, inspect.unwrap(ready_made.found(place))) for _, place in NAMED_PLACES)
    if not ready_made.by_operators(place)
}


def _restore(exercise):
    """The functions as they were, for the tests that come after."""
    for place in PLACES[exercise]:
        if place in ORIGINALS:
            function, code, defaults, options = ORIGINALS[place]
            function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, options
            function.__dict__.pop("__signature__", None)


WRAPPED = {
    "08-hard-negatives": "from mmcourse.losses import info_nce\n"
    "def loss_with_negatives(images, texts, swapped, scale):\n"
    "    return info_nce(images, texts, scale=scale, negatives=swapped)",
    "08-temperature-gradient": "def scale_gradient(cosines, log_scale):\n"
    "    t = torch.tensor(float(log_scale), requires_grad=True)\n    y = torch.arange(len(cosines))\n"
    "    z = t.exp() * cosines\n    (F.cross_entropy(z, y) / 2 + F.cross_entropy(z.T, y) / 2).backward()\n"
    "    return t.grad.item()",
    "07-padded-words": "def patches_ask_words(q, k, v, lengths):\n"
    "    real = torch.arange(k.shape[1]) < lengths[:, None]\n"
    "    return F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None]).nan_to_num()",
    "16-spectrum": "def spectrum(frame):\n    return torch.fft.rfft(frame).abs()",
}


@pytest.mark.parametrize(("exercise", "text"), WRAPPED.items(), ids=WRAPPED)
def test_a_wrapped_function_earns_nothing(verdict, exercise, text):
    found = verdict(f"import torch\nfrom torch.nn import functional as F\n{text}", exercise)
    assert (found.status, found.points) == ("forbidden", 0), found
