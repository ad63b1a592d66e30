import pytest
import torch


@pytest.fixture
def scaled(monkeypatch):
    """Float16 with a scaler, as on an older GPU, here on the CPU."""
    from mmcourse.train import loop

    class Scaled(loop.Precision):
        def __init__(self, device, wanted):
            super().__init__(device, True)
            self.dtype, self.scaler = torch.float16, torch.amp.GradScaler("cpu", enabled=wanted is not False)

    monkeypatch.setattr(loop, "Precision", Scaled)
