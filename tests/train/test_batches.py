import pytest
import torch

from mmcourse.train import Batches


def test_every_row_once_an_epoch_in_a_new_order():
    batches = Batches(torch.arange(10), torch.arange(10) * 2, size=3, seed=4)
    assert batches.steps_per_epoch == 3
    orders = []
    for epoch in range(3):
        rows = [batches(3 * epoch + place) for place in range(3)]
        assert all(torch.equal(second, 2 * first) for first, second in rows)
        orders.append(torch.cat([first for first, _ in rows]).tolist())
        assert len(set(orders[-1])) == 9
    assert orders[0] != orders[1] != orders[2]


def test_a_batch_depends_on_the_step_alone():
    there, elsewhere = (Batches(torch.arange(50), size=8, seed=1) for _ in range(2))
    forward = [there(step)[0] for step in range(20)]
    backward = [elsewhere(step)[0] for step in reversed(range(20))]
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert not torch.equal(there(0)[0], Batches(torch.arange(50), size=8, seed=2)(0)[0])


def test_fewer_rows_than_a_batch():
    batches = Batches(torch.arange(3), size=8)
    assert sorted(batches(5)[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("tensors", [(), (torch.zeros(0, 2),), (torch.zeros(3), torch.zeros(4))])
def test_rows_must_fit(tensors):
    with pytest.raises(ValueError, match="same number of rows, got"):
        Batches(*tensors, size=2)


def test_size_must_be_positive():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        Batches(torch.zeros(3), size=0)
