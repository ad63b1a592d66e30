"""CLIP beside open_clip: the losses alone, and steps of training by towers with the same shapes and weights.

Ratios are peer time / our time, so above 1 is faster; the target is 1.0. A step is the forward pass of both towers, the
loss, the backward pass and AdamW, the same fused one for both, on the same batch in the same precision. What share of
the device's speed a step reaches is counted against the fastest matrix product of that precision measured here.
"""

import argparse
import math
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
from clip_twin import open_clip_model, twin
from open_clip.loss import ClipLoss, SigLipLoss
from timing import compare, report

from mmcourse.losses import info_nce, sigmoid_loss
from mmcourse.runtime import device
from mmcourse.train import make_optimizer

SIZES = {  # batch and what the towers look like: the size of chapter 08, and a larger one
    "cpu": [
        (128, {"image_size": 64, "patch_size": 8, "width": 128, "depth": 2, "vocabulary": 200, "context": 24}),
        (32, {"image_size": 96, "patch_size": 8, "width": 256, "depth": 4, "vocabulary": 5000, "context": 32}),
    ],
    "cuda": [
        (512, {"image_size": 64, "patch_size": 8, "width": 128, "depth": 2, "vocabulary": 200, "context": 24}),
        (256, {"image_size": 224, "patch_size": 16, "width": 768, "depth": 12, "vocabulary": 49408, "context": 77}),
    ],
}
PAIRS = [(128, 128, 0.0), (1024, 256, 1.0)]  # samples, width and target of the losses alone; the first is all overhead


def loss_alone(samples, width, sigmoid):
    """A loss with the gradients of its pictures, texts and scale, by both."""
    x, y = torch.nn.functional.normalize(torch.randn(2, samples, width, device=device()), dim=-1)
    scale, bias = torch.tensor(14.0, device=device()), torch.tensor(-10.0, device=device())
    inputs = [part.requires_grad_() for part in (x, y, scale, *([bias] if sigmoid else []))]
    peer = SigLipLoss() if sigmoid else ClipLoss()

    def mine():
        x, y, scale, *bias = inputs
        loss = sigmoid_loss(x, y, scale=scale, bias=bias[0]) if bias else info_nce(x, y, scale=scale)
        return torch.autograd.grad(loss, inputs)

    def other():
        return torch.autograd.grad(peer(*inputs), inputs)

    torch.testing.assert_close(mine(), other(), rtol=1e-4, atol=1e-5)
    return mine, other


def steps(batch, sizes, sigmoid, half):
    """A step of training by both, from the same weights on the same pictures and texts."""
    torch.manual_seed(0)
    theirs = open_clip_model(**sizes, space=sizes["width"], bias=-10.0 if sigmoid else None).to(device()).train()
    ours = twin(theirs).train()
    side = sizes["image_size"]
    images = torch.randn(batch, 3, side, side, device=device())
    tokens = torch.randint(1, sizes["vocabulary"] - 1, (batch, sizes["context"]), device=device())
    tokens[:, -1] = sizes["vocabulary"] - 1  # the token that speaks for the text
    peer = SigLipLoss() if sigmoid else ClipLoss()

    def mine():
        return ours.loss(ours(images, tokens))

    def other():
        return peer(*theirs(images, tokens))

    return step(ours, mine, half), step(theirs, other, half, scale=theirs.logit_scale)


def step(model, loss, half, scale=None):
    """The function that trains `model` once and returns its loss; `scale` is clamped as open_clip's training does."""
    optimizer = make_optimizer(model, learning_rate=1e-4)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device().type, torch.bfloat16) if half else nullcontext():
            value = loss()
        value.backward()
        optimizer.step()
        if scale is not None:
            with torch.no_grad():
                scale.clamp_(0, math.log(100))
        return value.detach()

    return run


def operations(run):
    """Floating-point operations of the matrix products of one call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def peak(half, seconds):
    """The most operations a second that a matrix product of this precision reaches here."""
    kind = torch.bfloat16 if half else torch.float32
    best = 0.0
    for size in (4096, 8192) if device().type == "cuda" else (512, 1024):
        a, b = torch.randn(2, size, size, device=device(), dtype=kind)
        took = compare(lambda: a @ b, lambda: b @ a, seconds=seconds).ours  # noqa: B023  used at once
        best = max(best, 2 * size**3 / took)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to time each pair")
    seconds = parser.parse_args().seconds
    print(f"CLIP on {device().type} with {torch.get_num_threads()} threads, ratio = peer time / our time\n")
    for samples, width, target in PAIRS:
        for sigmoid in (False, True):
            name = f"{'sigmoid loss' if sigmoid else 'InfoNCE'} and gradients, {samples} × {width}"
            report(name, compare(*loss_alone(samples, width, sigmoid), seconds=seconds), target=target)
    gpu = device().type == "cuda"
    for half in (False, True) if gpu else (False,):
        fastest = peak(half, min(seconds, 2.0))
        precision = "bfloat16" if half else "float32"
        print(f"\nsteps of training in {precision}; a matrix product reaches {fastest / 1e12:.3f} TFLOP/s")
        for batch, sizes in SIZES["cuda" if gpu else "cpu"]:
            for sigmoid in (False, True):
                mine, other = steps(batch, sizes, sigmoid, half)
                for _ in range(5):  # the two must do the same, or their times say nothing
                    torch.testing.assert_close(mine(), other(), rtol=1e-2 if half else 1e-4, atol=1e-3)
                result = compare(mine, other, seconds=seconds)
                share = operations(mine) / result.ours / fastest
                name = f"{'sigmoid' if sigmoid else 'InfoNCE'}, batch {batch}, width {sizes['width']}"
                report(f"{name}: {batch / result.ours:,.0f} samples/s", result, target=1.0)
                print(f"    {share:.0%} of the speed of a matrix product")


if __name__ == "__main__":
    main()
