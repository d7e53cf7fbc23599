"""CLIP models of open_clip: zero-shot from the names of classes, or features for a head."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.backbones.pixels import Pixels, Size
from rbench.errors import InputError, MissingError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

DECIDES_NOTHING = ("download",)
TAKES_FOLDERS = True
ASKS_CLASS_NAMES = True
CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
"""What weights are called in a folder or repository, the best first."""


def items() -> tuple[str, ...]:
    """Architectures, and each with a tag of its published weights; read from the source text of open_clip."""
    from rbench.backbones.written_names import folder_of, tagged

    folder = folder_of("open_clip")
    models = sorted(path.stem for path in (folder / "model_configs").glob("*.json"))
    return (*models, *tagged(folder / "pretrained.py", "_PRETRAINED"))


def takes(model: str) -> bool:
    """Whether it is a folder, or open_clip knows it although it is not written in its modules."""
    if (Path(model) / CONFIG).is_file():
        return True
    base, _, tag = model.partition("/")
    library = _library()
    return base in library.list_models() and (not tag or bool(library.get_pretrained_cfg(base, tag)))


def about(model: str) -> dict[str, str]:
    """Origin and license of the published weights, and what the network was trained to see."""
    if Path(model).is_dir():
        return {"origin": "a folder of yours", "license": "as its card says"}
    base, _, tag = model.partition("/")
    if not tag:
        listed = ", ".join(f"{base}/{one}" for one in _library().list_pretrained_tags_by_model(base))
        return {"origin": f"open_clip (MIT); published weights: {listed or 'none'}"}
    from rbench.backbones import hugging_face

    cfg = _published(base, tag)
    repository = cfg.get("hf_hub", "").rpartition("/")[0]
    found = hugging_face.about(repository) if repository else {"origin": cfg["url"], "license": "as its authors say"}
    return {**found, "input": f"mean {tuple(cfg['mean'])}, std {tuple(cfg['std'])}, {cfg['interpolation']} resize"}


def files(model: str, *, checkpoint: Path | None = None, download: bool = False, **_: object) -> list[Path]:
    """The file of the weights, and of a folder its configuration."""
    from rbench.backbones.written_names import folder_of

    folder_of("open_clip")  # or say what to install
    place, (base, _slash, tag) = f"open-clip:{model}", model.partition("/")
    folder = Path(model)
    if folder.is_dir():
        if checkpoint is not None:
            raise InputError("a folder has weights of its own", place=f"{place}: checkpoint", remedy="leave it out")
        found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
        if found is None:
            raise InputError(f"no weights: none of {', '.join(_WEIGHTS)}", place=folder)
        return [folder / CONFIG, looked_at(found)]
    if (checkpoint is None) != bool(tag):
        problem = "names two kinds of weights" if tag else "names no weights"
        raise InputError(
            problem, place=place, remedy=f"write open-clip:{base}/TAG for published ones, or checkpoint: FILE"
        )
    return [looked_at(checkpoint if checkpoint is not None else _fetched(base, tag, place, download=download))]


def open_clip(
    model: str,
    *,
    checkpoint: Path | None = None,
    templates: tuple[str, ...] = ("a photo of a {}.",),
    download: bool = False,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    size: Size | None = "own",
) -> "nn.Module":
    """A CLIP model of open_clip as a zero-shot classifier of the data set's classes, or of `class_names`; features with a `head`.

    Each class is the mean over `templates` of the features of its text, of length 1, computed once and kept (Radford et al. 2021, arXiv
    2103.00020, section 3.1.4). A logit is the cosine with the image's features, scaled as the model was trained. Attacks differentiate the
    image tower.

    Args:
        model: architecture and tag of published weights, `ViT-B-32/laion2b_s34b_b79k`; the architecture alone with `checkpoint`; or a
            folder with `open_clip_config.json` and weights.
        checkpoint: a file of weights of yours, safetensors or of torch.save.
        templates: texts with {} for the name of a class.
        download: whether published weights, or a tokenizer, that are not in the cache may be fetched.
        mean: per channel, on the [0, 1] pixel scale; what the weights were trained with if null.
        std: per channel, on the [0, 1] pixel scale; what the weights were trained with if null.
        size: side that images are resized to before the network, square and by its interpolation, nothing cropped; `own` is the side it was
            trained on; null refuses images of any other. For another one the network's positions are interpolated.
    """
    from rbench.backbones.clip_towers import ImageTower, Prompts
    from rbench.backbones.pixels import square, taking
    from rbench.backbones.zero_shot import ZeroShot

    place, path = f"open-clip:{model}", files(model, checkpoint=checkpoint, download=download)[-1]
    if wrong := [text for text in templates if text.count("{}") != 1]:
        raise InputError(
            "a template has {} once, for the name of a class", place=f"{place}: templates", found=repr(wrong[0])
        )
    base, _slash, tag = model.partition("/")
    folder = Path(model).is_dir()
    called = f"local-dir:{model}" if folder else base
    cfg: dict[str, Any] = _published(base, tag) if tag and not folder else {}
    towers = _towers(called, path, cfg, size if isinstance(size, int) else None, place)
    seen = {
        **towers.visual.preprocess_cfg,
        **{name: cfg[name] for name in ("mean", "std", "interpolation") if name in cfg},
    }
    side = square(towers.visual.image_size, place)
    pixels = Pixels(tuple(seen["mean"]), tuple(seen["std"]), side, fixed=True, interpolation=seen["interpolation"])
    image = ImageTower(towers.visual)
    shift = getattr(towers, "logit_bias", None)
    network = ZeroShot(
        image,
        int(_library().get_model_config(called)["embed_dim"]),
        Prompts(towers, called, templates, download=download),
        scale=float(towers.logit_scale.detach().exp()),
        bias=0.0 if shift is None else float(shift.detach()),
        what=place,
    )
    return taking(network, pixels.with_scale(mean, std, place), size, place)


def _library() -> Any:
    from rbench.backbones.quiet import quiet

    with quiet():
        import open_clip as library
    return library


def _published(base: str, tag: str) -> dict[str, Any]:
    cfg: dict[str, Any] = _library().get_pretrained_cfg(base, tag)
    if not cfg:
        known = ", ".join(_library().list_pretrained_tags_by_model(base)) or "none"
        raise InputError(
            f"no published weights {tag!r} of {base}", place=f"open-clip:{base}/{tag}", remedy=f"known: {known}"
        )
    return cfg


def _fetched(base: str, tag: str, place: str, *, download: bool) -> Path:
    from rbench.backbones.hugging_face import fetched

    cfg, what = _published(base, tag), f"backbone '{place}'"
    repository, _, name = cfg.get("hf_hub", "").rpartition("/")
    if repository:
        safe = f"{name.rpartition('.')[0]}.safetensors"
        return fetched(repository, [safe, name] if name else list(_WEIGHTS[:3]), what=what, download=download)
    path = Path("~/.cache/clip").expanduser() / str(cfg["url"]).rsplit("/", 1)[1]
    if not path.is_file():
        remedy = f"copy {cfg['url']} there, and give it as checkpoint"
        raise MissingError(f"{path} is not there", component=what, remedy=remedy)
    return path


def _towers(called: str, path: Path, cfg: dict[str, Any], side: int | None, place: str) -> Any:
    """The model with the weights of a file, which rbench's own reader has accepted."""
    import torch

    from rbench.backbones.hugging_face import without_network
    from rbench.backbones.quiet import quiet
    from rbench.backbones.weights import names_of, read_state

    library = _library()
    config, quick = library.get_model_config(called), bool(cfg.get("quick_gelu", False))
    if config is None:
        raise InputError("unknown model", place=place, found=called)
    if cfg and bool(config.get("quick_gelu", False)) and not quick:
        raise InputError(
            "these weights were not trained with quick_gelu", place=place, remedy="leave -quickgelu out of the name"
        )
    with quiet(), without_network(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        try:
            towers: Any = library.create_model(
                called,
                load_weights=False,
                precision="fp32",
                pretrained_image=False,
                pretrained_text=False,
                force_quick_gelu=quick,
                force_image_size=side,
            )
        except (OSError, ValueError, RuntimeError) as error:  # a text tower of a repository that is not in the cache
            cause = " ".join(str(error).split())[:160]
            raise MissingError(f"open_clip cannot make {called} without network ({cause})", place=place) from error
        read_state(path, names_of(towers))
        try:
            library.load_checkpoint(towers, str(path), strict=True, weights_only=True)
        except (RuntimeError, KeyError, ValueError, AttributeError) as error:
            cause = " ".join(str(error).split())[:200]
            raise InputError(f"does not fit open_clip's {called} ({cause})", place=path) from error
    return towers.eval()
