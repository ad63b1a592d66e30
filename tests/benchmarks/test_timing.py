import importlib.util
import time
from pathlib import Path

spec = importlib.util.spec_from_file_location("timing", Path(__file__).with_name("timing.py"))
timing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(timing)


def test_the_slower_peer_gives_a_ratio_above_one(capsys):
    result = timing.compare(lambda: time.sleep(0.001), lambda: time.sleep(0.004), seconds=0.3)
    assert 2 < result.ratio < 5
    assert result.low <= result.ratio <= result.high
    assert result.peer > result.ours
    assert timing.report("sleep", result, target=1.0)
    assert not timing.report("sleep", result, target=9.0)
    assert "below 9.0" in capsys.readouterr().out
