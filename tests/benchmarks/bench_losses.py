"""Cross-entropy beside PyTorch's own `F.cross_entropy`, forward alone and forward with the backward pass.

Ratios are peer time / our time, so above 1 is faster. Targets from a million logits upwards: 1.0 for forward with
backward, which is what training pays, and 0.7 for forward alone. Smaller batches take well under a millisecond, where
some 40 microseconds of Python are what one sees, and are shown without a target.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.losses import cross_entropy
from mmcourse.runtime import device

SIZES = [(64, 10, 0.0), (1024, 300, 0.0), (2048, 1000, 0.0), (1024, 8000, 0.0), (512, 50257, 0.0)]
SIZES += [(1024, 300, 0.25), (2048, 1000, 0.85), (1024, 8000, 0.85)]  # samples, classes, share ignored


def backward(function, logits):
    """A call that runs `function` and its backward pass, and returns the gradient."""

    def run():
        leaf = logits.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf)[0]

    return run


def cases(where):
    for samples, classes, ignored in SIZES:
        logits = torch.randn(samples, classes, device=where)
        targets = torch.randint(classes, (samples,), device=where)
        targets[torch.rand(samples, device=where) < ignored] = -100
        for smoothing in (0.0, 0.1):

            def ours(x, targets=targets, smoothing=smoothing):
                return cross_entropy(x, targets, label_smoothing=smoothing)

            def peer(x, targets=targets, smoothing=smoothing):
                return F.cross_entropy(x, targets, label_smoothing=smoothing)

            name = f"{samples}×{classes}, {ignored:.0%} ignored" + (", smoothed" if smoothing else "")
            large = samples * classes >= 1_000_000
            no_grad = torch.no_grad()
            yield (
                f"forward            {name}",
                no_grad(lambda: ours(logits)),  # noqa: B023  used at once
                no_grad(lambda: peer(logits)),  # noqa: B023
                0.7 * large,
            )
            yield f"forward + backward {name}", backward(ours, logits), backward(peer, logits), 1.0 * large


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=1.0, help="how long to time each pair")
    seconds = options.parse_args().seconds
    where = device()
    torch.manual_seed(0)
    print(f"cross-entropy on {where.type} with {torch.get_num_threads()} threads, ratio = peer time / our time")
    print(f"\nagainst F.cross_entropy{'':<35}       ours        peer    ratio  [middle half]")
    for name, ours, peer, target in cases(where):
        torch.testing.assert_close(ours(), peer(), rtol=1e-5, atol=1e-6)
        report(name, compare(ours, peer, seconds=seconds), target=target)


if __name__ == "__main__":
    main()
