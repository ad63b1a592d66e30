"""A notebook under nbval, as a stranger would run it: in a process of its own."""

import os
import subprocess
import sys

SECONDS = 600  # for a small notebook, many times what it takes on a quiet machine


def nbval(notebook, *, lax=False, budget="standard", threads=1, seconds=SECONDS, around=list):
    """The ended process. Always with a timeout for each cell: only there does nbval notice that a kernel is dead.

    Args:
        lax: compare marked outputs alone.
        around: what becomes of the command before it is run, such as `without_network`.
    """
    options = ["--nbval-lax" if lax else "--nbval", f"--nbval-cell-timeout={seconds // 2}"]
    command = [sys.executable, "-m", "pytest", *options, "-q", "-x", "-p", "no:cacheprovider", notebook.name]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    env |= {"MMCOURSE_BUDGET": budget, "MMCOURSE_WORK": ""}
    return subprocess.run(
        around(command), cwd=notebook.parent, env=env, capture_output=True, text=True, timeout=seconds
    )
