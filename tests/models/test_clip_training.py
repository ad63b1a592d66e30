"""CLIP trained: side by side with open_clip from the same weights, and on a small world that it has to learn."""

import math
import warnings

import pytest
import torch
from clip_twin import open_clip_model, twin

from mmcourse.metrics import accuracy, retrieval
from mmcourse.models import CLIP, CLIPConfig, ClipFeatures
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Batches, Schedule, fit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that open_clip imports
    from open_clip.loss import ClipLoss, SigLipLoss


def theirs_trains(theirs, loss, batches, *, steps, rate, decay, warmup):
    """The loop of open_clip's own training script, whose decay, learning rate and clamp are repeated here."""
    spared = [p for n, p in theirs.named_parameters() if p.ndim < 2 or "ln" in n or "bias" in n or "logit_scale" in n]
    rest = [p for p in theirs.parameters() if not any(p is other for other in spared)]
    groups = [{"params": spared, "weight_decay": 0.0}, {"params": rest, "weight_decay": decay}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    losses = []
    for step in range(steps):
        done = (step - warmup) / (steps - warmup)
        share = (step + 1) / warmup if step < warmup else (1 + math.cos(math.pi * done)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate * share
        optimizer.zero_grad()
        value = loss(*theirs(*batches(step)))
        value.backward()
        optimizer.step()
        with torch.no_grad():
            theirs.logit_scale.clamp_(0, math.log(100))
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("bias", "loss"), [(None, ClipLoss()), (-10.0, SigLipLoss())])
def test_training_follows_open_clip(dtype, bias, loss):
    torch.manual_seed(0)
    theirs = open_clip_model(bias=bias).to(dtype)
    ours = twin(theirs)
    images = torch.randn(64, 3, 32, 32, dtype=dtype)
    tokens = torch.randint(1, 49, (64, 12))
    tokens[torch.arange(64), torch.randint(3, 12, (64,))] = 49  # the last token, and after it whatever
    batches = Batches(images, tokens, size=16)
    with torch.no_grad():
        for mine, wanted in zip(ours(images, tokens), theirs(images, tokens), strict=False):
            torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-6)
    losses = theirs_trains(theirs, loss, batches, rate=1e-3, decay=0.2, steps=50, warmup=5)
    history = fit(
        ours,
        lambda model, batch: model.loss(model(*batch)),
        batches,
        steps=50,
        learning_rate=1e-3,
        weight_decay=0.2,
        schedule=Schedule(warmup=5, clip=None, betas=(0.9, 0.98)),
        description=None,
    )
    assert losses[-1] < losses[0] - 0.1
    torch.testing.assert_close(torch.tensor(history.losses), torch.tensor(losses), rtol=0, atol=1e-4)
    wanted = dict(twin(theirs).named_parameters())
    for name, weight in ours.named_parameters():
        # Attention does not depend on the bias of its keys: its gradient is rounding, which Adam turns into full steps.
        if not name.endswith("key.bias") or dtype == torch.float64:
            torch.testing.assert_close(weight, wanted[name], rtol=0, atol=1e-4, msg=name)
    with torch.no_grad():
        for mine, other in zip(ours(images, tokens), theirs(images, tokens), strict=False):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-4)


def test_the_scale_is_held_and_let_go_as_in_open_clip():
    """Pairs that fit pull it up to 100, and pairs that do not pull it back, from the very next step."""
    made = CLIP(CLIPConfig(image="features", image_options={"width": 8}, text="features", text_options={"width": 8}))
    right = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    ours, theirs = [], []
    optimizer = torch.optim.SGD([made.log_scale], lr=50.0)
    log_scale = torch.nn.Parameter(made.log_scale.detach().clone())
    peer = torch.optim.SGD([log_scale], lr=50.0)
    for step in range(40):
        texts = right if step < 30 else right.roll(1, dims=0)
        optimizer.zero_grad()
        made.loss(ClipFeatures(right, texts, made.scale)).backward()
        optimizer.step()
        made.after_step()
        ours.append(made.scale.item())
        peer.zero_grad()
        ClipLoss()(right, texts, log_scale.exp()).backward()
        peer.step()
        with torch.no_grad():
            log_scale.clamp_(0, math.log(100))
        theirs.append(log_scale.exp().item())
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert ours[29] == pytest.approx(100)
    assert ours[30] < 99


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid"])
def test_it_learns_which_text_belongs_to_which_picture(loss):
    """Cards of three colors with or without a stripe, each combination named; then colors alone, zero-shot."""
    colors = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}
    images, texts, truth = [], [], []
    for repeat in range(20):
        for number, (name, color) in enumerate(colors.items()):
            for stripe in (False, True):
                card = torch.tensor(color)[:, None, None].expand(3, 16, 16).clone() + 2 * repeat
                card[:, 4:8] = 255 if stripe else card[:, 4:8]
                images.append(card.to(torch.uint8))
                texts.append(f"{name} card with a stripe" if stripe else f"{name} card")
                truth.append(number)
    images = torch.stack(images)
    torch.manual_seed(0)
    small = {"image_options": {"widths": [4, 8]}, "text_options": {"width": 8, "heads": 2}, "width": 16}
    made = CLIP(CLIPConfig(**small, loss=loss), WordTokenizer.train(texts))
    batches = Batches(images, *made.tokenize(texts), size=40)
    options = {"steps": 60, "learning_rate": 1e-2, "description": None}
    fit(made, lambda model, batch: model.loss(model(*batch)), batches, **options)
    names = sorted(set(texts))
    similarity = made.embed_texts(names) @ made.embed_images(images).T
    relevant = torch.tensor([[text == name for text in texts] for name in names])
    assert retrieval(similarity, relevant).mean_average_precision > 0.9
    assert retrieval(similarity.T, relevant.T).recall[1] > 0.9
    seen = made.zero_shot_classifier(list(colors), templates=["{} card", "{} card with a stripe"])
    predicted = [seen.names.index(label) for label in seen.predict(images).labels]
    assert accuracy(predicted, truth) > 0.9
