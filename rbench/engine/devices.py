"""Which device the engine computes on."""

import torch

from rbench.errors import InputError, MissingError


def resolve_device(wanted: str) -> torch.device:
    """The device behind `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        InputError: no such name.
        MissingError: a GPU was asked for and there is none.
    """
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if wanted == "cpu":
        return torch.device("cpu")
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        remedy = "Use auto, cpu, cuda or cuda:N"
        raise InputError("no such device.", place="--device", found=f"'{wanted}'", remedy=remedy)
    index, count = int(number or 0), torch.cuda.device_count()
    if index >= count:
        problem = f"'{wanted}' asked for, but torch sees {count} CUDA devices."
        raise MissingError(problem, place="--device", found=f"{count} CUDA devices", remedy="Use --device cpu")
    return torch.device("cuda", index)


def devices() -> list[dict[str, str | int]]:
    """What there is to compute on: the name that `--device` takes, what it is, and its memory in bytes where torch knows it."""
    threads = torch.get_num_threads()
    found: list[dict[str, str | int]] = [{"name": "cpu", "what": f"{threads} threads of torch", "threads": threads}]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append({"name": f"cuda:{index}", "what": str(facts.name), "memory": int(facts.total_memory)})
    return found
