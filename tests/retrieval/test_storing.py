"""An index as a folder: mapped, checked, and refused in one sentence where it is not whole."""

from __future__ import annotations

import json

import pytest
import torch

from mmcourse.retrieval import Index, IndexConfig, IndexFileError, load_index, save_index


def make(kind, count=700):
    generator = torch.Generator().manual_seed(0)
    index = Index(IndexConfig(width=16, kind=kind, lists=16, parts=4), generator=generator)
    index.add(torch.randn(count, 16, generator=generator))
    return index, torch.randn(5, 16, generator=generator)


@pytest.mark.parametrize("kind", ["flat", "lists", "codes"])
def test_what_is_loaded_searches_as_what_was_saved_and_can_grow(kind, tmp_path):
    index, queries = make(kind)
    names = [f"picture {number}.png" for number in range(len(index))]
    save_index(index, tmp_path / "it", names=names)
    loaded, known = load_index(tmp_path / "it")
    assert known == names
    before, after = (each.search(queries, 6, probes=4) for each in (index, loaded))
    assert torch.equal(before.neighbors.ids, after.neighbors.ids)
    assert torch.equal(before.neighbors.scores, after.neighbors.scores)
    more = torch.randn(50, 16, generator=torch.Generator().manual_seed(5))
    for each in (index, loaded):
        each.add(more)
    save_index(loaded, tmp_path / "it")  # over the files that it is mapped from
    again, names = load_index(tmp_path / "it")
    assert names is None
    assert len(again) == 750
    assert torch.equal(again.search(queries, 6).neighbors.ids, index.search(queries, 6).neighbors.ids)


def test_an_empty_index_is_one_too(tmp_path):
    save_index(Index(IndexConfig(width=4)), tmp_path)
    assert len(load_index(tmp_path)[0]) == 0


def cut(folder):
    file = folder / "vectors.bin"
    file.write_bytes(file.read_bytes()[:-4])


def change(folder):
    file = folder / "vectors.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


def rewrite(**facts):
    def damage(folder):
        file = folder / "index.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))

    return damage


DAMAGES = {
    "cut": (cut, "vectors.bin has 44,796 bytes and should have 44,800"),
    "changed": (change, "vectors.bin was changed"),
    "another version": (rewrite(format=2), "has format 2, this version reads 1"),
    "no json": (lambda folder: (folder / "index.json").write_text("{"), "index.json is damaged"),
    "no list": (lambda folder: (folder / "index.json").write_text("[]"), "index.json is damaged"),
    "no index": (lambda folder: (folder / "index.json").unlink(), "holds no index"),
    "no table": (lambda folder: (folder / "starts.bin").unlink(), "is damaged"),
    "wrong count": (rewrite(count=3), "700 vectors of 3"),
    "unknown setting": (rewrite(config={"width": 16, "speed": 3}), "is damaged"),
    "half a table": (rewrite(tables={"vectors": {"shape": [2]}}), "is damaged"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_index_is_refused_in_one_sentence(damage, message, tmp_path):
    save_index(make("lists")[0], tmp_path)
    damage(tmp_path)
    with pytest.raises(IndexFileError, match=message) as caught:
        load_index(tmp_path)
    assert "\n" not in str(caught.value)
    assert "make the index again" in str(caught.value)


def test_a_save_that_stops_half_way_leaves_no_index(tmp_path, monkeypatch):
    from mmcourse.retrieval import storing

    save_index(make("flat")[0], tmp_path)
    monkeypatch.setattr(storing, "write_in_one_step", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_index(make("flat", 300)[0], tmp_path)
    with pytest.raises(IndexFileError, match="holds no index"):
        load_index(tmp_path)
