"""`extract_features` beside a plain loop over timm: the same network, pictures, batch size and preprocessing.

Ours does all that it does for a learner: digests of weights and data, the progress bar, writing the cache. Every call
finds the cache empty. Ratios are peer time / our time, so above 1 is faster.
"""

import argparse
import contextlib
import dataclasses
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

import timm
import torch

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.datasets import load_glyphs
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_image_encoder
from mmcourse.runtime import device

# side of the picture that the network reads, batch size, pictures
SIZES = [(224, 8, 32), (224, 32, 32), (128, 16, 64), (128, 32, 64)]


def pair(encoder, images, side, batch_size):
    """Two functions that make the same table of features."""
    encoder.preprocess = dataclasses.replace(encoder.preprocess, size=side, resize=side)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval().to(device())
    network.load_state_dict({k: v for k, v in encoder.network.state_dict().items() if not k.startswith("classifier")})

    def mine():
        shutil.rmtree(os.environ["MMCOURSE_CACHE"], ignore_errors=True)
        with contextlib.redirect_stderr(io.StringIO()):
            return extract_features(encoder, images, name="bench", batch_size=batch_size)

    @torch.inference_mode()
    def peer():
        parts = [network(encoder.preprocess(batch.to(device()))).cpu() for batch in images.split(batch_size)]
        return torch.cat(parts)

    torch.testing.assert_close(mine(), peer().clone(), rtol=0, atol=1e-4)
    return mine, peer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="time spent on each row")
    seconds = parser.parse_args().seconds
    print(f"features on {device().type} with {torch.get_num_threads()} threads, ratio = peer time / our time\n")
    glyphs = load_glyphs(quiet=True).on("white")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMCOURSE_CACHE"] = str(Path(folder) / "cache")
        encoder = load_image_encoder().to(device())
        for side, batch_size, count in SIZES:
            mine, peer = pair(encoder, glyphs[:count], side, batch_size)
            result = compare(mine, peer, seconds=seconds)
            title = f"{side} px, batches of {batch_size}: {count / result.ours:.0f} pictures a second"
            report(title, result, target=1.0)


if __name__ == "__main__":
    main()
