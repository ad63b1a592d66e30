"""A folder of pictures with captions, as a learner would bring it."""

import json

from PIL import Image

from mmcourse.datasets import captions, make_scenes


def write_folder(path, count=24, *, broken=(), first=0, size=(64, 64)):
    """Scenes with two captions each, in the layout of an imagefolder; the broken ones are cut off."""
    path.mkdir(parents=True)
    batch = make_scenes(count, start=first)
    lines = []
    for number, (image, scene) in enumerate(zip(batch.images, batch.scenes, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size).save(path / f"{number}.png")
        lines += [{"file_name": f"{number}.png", "text": text} for text in captions(scene)[:2]]
    for number in broken:
        file = path / f"{number}.png"
        file.write_bytes(file.read_bytes()[:200])
    (path / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return path
