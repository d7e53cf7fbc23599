"""What is known of a model of RobustBench's zoo: where it is from, its licence, and what it was trained for."""

import re

from rbench.backbones.robustbench_zoo.names import trained_for

_MIT = "MIT"
_OTHERS = {
    "Apache-2.0": re.compile(
        r"Hendrycks2019Using|Pang2020Boosting|(Gowal2020Uncovering|Rebuffi2021Fixing|Gowal2021Improving).*"
    ),
    "BSD-3-Clause": re.compile(r"Rony2019Decoupling"),
    "CC-BY-NC-SA-4.0": re.compile(r"Ding2020MMA"),
}
"""The exceptions that RobustBench's LICENSE names."""


def about_model(name: str) -> dict[str, str]:
    """Origin, licence and training of a model, in words.

    Raises:
        MissingError: the library is not installed, or cannot be read.
    """
    places = trained_for(name)
    return {
        "origin": "https://github.com/RobustBench/robustbench",
        "license": next((one for one, names in _OTHERS.items() if names.fullmatch(name)), _MIT),
        "trained for": "; ".join(f"dataset: {dataset}, threat: {threat}" for dataset, threat in places),
    }
