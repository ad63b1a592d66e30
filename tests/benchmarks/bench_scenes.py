"""How many standard scenes one core samples and draws in a second."""

import time

from mmcourse.datasets.scenes import make_scenes

TARGET = 5_000
SCENES = 2_000


def main() -> float:
    """Prints the median of five runs and returns it."""
    make_scenes(SCENES)  # reads the drawings
    rates = []
    for run in range(5):
        start = time.perf_counter()
        make_scenes(SCENES, start=(run + 1) * SCENES)
        rates.append(SCENES / (time.perf_counter() - start))
    rate = sorted(rates)[2]
    verdict = "ok" if rate >= TARGET else "below target"
    print(f"scenes: {rate:,.0f} standard scenes a second on one core (target {TARGET:,}): {verdict}")
    return rate


if __name__ == "__main__":
    main()
