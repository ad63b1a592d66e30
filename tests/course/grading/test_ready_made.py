"""Ready-made functions are seen when they are called, on whatever way, and only then."""

from __future__ import annotations

import pytest

from mmcourse.course.exercises import all_exercises
from mmcourse.course.grading import ready_made

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


def test_everything_that_is_named_exists():
    ids = {exercise.id for exercise in all_exercises()}
    assert set(ready_made.READY_MADE) <= ids
    for places in ready_made.READY_MADE.values():
        for place in places:
            assert callable(ready_made.found(place)), place
