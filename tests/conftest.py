"""What every test gets: one thread, since each core has a worker and the tensors are tiny, and no limits of time.

Nothing is seeded; tests seed what they draw.
"""

import getpass
import os
import tempfile
from pathlib import Path

# Before torch is imported, so that it reaches this process, the workers of pytest-xdist and every process that a test starts.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
# Each core has a test at work, so a run of a test is one process unless it asks for more.
os.environ["RBENCH_WORKERS"] = "0"
# Pixels depend on how many images are attacked at once, and two runs are to have the same.
os.environ["RBENCH_BATCH_SIZE"] = "64"
# Where files of a machine are is remembered for each of its users, whose tests these are not.
os.environ["RBENCH_CACHE"] = str(Path(tempfile.gettempdir(), f"rbench-tests-{getpass.getuser()}"))

import torch
from fake_plugins import plugins, write  # noqa: F401 - fixtures
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile("rbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rbench")
