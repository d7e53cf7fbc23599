import ast
import importlib.util
import tomllib
from pathlib import Path

import torch

PACKAGE = Path(__file__).parents[1] / "plugin_pkg"


def test_the_example_package_imports_torch_and_nothing_of_rbench():
    tree = ast.parse((PACKAGE / "box_blur_purifier.py").read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} == {"torch"}


def test_its_entry_point_is_a_purifier_that_keeps_shape_and_range():
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, attribute = project["entry-points"]["rbench.purifiers"]["box-blur"].split(":")
    spec = importlib.util.spec_from_file_location(module, PACKAGE / f"{module}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    x = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    y = getattr(loaded, attribute)(radius=1)(x)
    assert y.shape == x.shape
    assert torch.allclose(y[:, :, 3, 3], x[:, :, 2:5, 2:5].mean((2, 3)))
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
