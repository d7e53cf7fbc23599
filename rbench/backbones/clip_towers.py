"""The two towers of a CLIP model: images to features, and names of classes to features."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from rbench.backbones.hugging_face import without_network
from rbench.backbones.quiet import quiet
from rbench.errors import MissingError
from rbench.process_state import said

_AT_ONCE = 64
"""Texts in one batch."""


class ImageTower(nn.Module):
    """Normalised images to features.

    Args:
        visual: answers features, or features and tokens.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: Tensor) -> Tensor:
        """[B, width], of any length."""
        answer: Any = self.visual(x)
        features: Tensor = answer[0] if isinstance(answer, tuple | list) else answer
        return features


class Prompts:
    """Computes the features of classes from their names.

    Computed in float64 and rounded once, so that one machine finds the numbers of another.

    Args:
        towers: the model of open_clip, of which a copy without the image tower is kept.
        called: its name, by which open_clip knows its tokenizer.
        templates: texts with {} for the name of a class.
        download: whether a tokenizer may be fetched.
    """

    def __init__(self, towers: nn.Module, called: str, templates: Sequence[str], *, download: bool) -> None:
        text = copy.copy(towers)
        text._modules = {**towers._modules, "visual": nn.Identity()}
        self.text: Any = copy.deepcopy(text)
        self.called, self.templates, self.download = called, tuple(templates), download

    def __call__(self, names: Sequence[str]) -> Tensor:
        """[classes, width] float32, each of length 1.

        Raises:
            MissingError: the tokenizer is not in the cache.
        """
        texts = [template.replace("{}", name) for name in names for template in self.templates]
        tokens, tower = self._tokens(texts), self.text.double().eval()
        with torch.no_grad():
            parts = [normalize(tower.encode_text(part), dim=-1) for part in torch.split(tokens, _AT_ONCE)]
        features = torch.cat(parts).view(len(names), len(self.templates), -1).mean(1)
        return normalize(features, dim=-1).float()

    def _tokens(self, texts: list[str]) -> Tensor:
        try:
            with quiet(), without_network(allowed=self.download):
                import open_clip

                tokens: Tensor = open_clip.get_tokenizer(self.called)(texts)
        except ImportError as error:
            remedy = "pip install 'rbench[transformers]'"
            problem = f"the tokenizer of open_clip's {self.called} needs {error.name}"
            raise MissingError(problem, component=f"open-clip:{self.called}", remedy=remedy) from error
        except Exception as error:  # of the tokenizer's library, the cache or the network
            problem = f"the tokenizer of open_clip's {self.called} cannot be read ({said(error)[:160]})"
            raise MissingError(problem, component=f"open-clip:{self.called}", remedy="write download: true") from error
        return tokens.cpu()
