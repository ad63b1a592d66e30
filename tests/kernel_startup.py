"""What the kernels of tested notebooks begin with: a warning that another package raises is not ours to fail by."""

import warnings

warnings.filterwarnings("ignore")
warnings.filterwarnings("default", module=r"mmcourse(\.|$)|__main__$")
del warnings
