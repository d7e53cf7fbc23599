"""What every test gets: one thread, since the tensors are tiny; nothing is seeded, tests seed what they draw."""

import torch
from fake_plugins import plugins, write  # noqa: F401 - fixtures

torch.set_num_threads(1)
