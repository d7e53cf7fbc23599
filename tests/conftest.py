"""What every test gets: two threads, whatever the machine; nothing is seeded, tests seed what they draw."""

import torch
from fake_plugins import plugins  # noqa: F401

torch.set_num_threads(2)
