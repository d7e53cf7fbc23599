"""Rows 110 and 114 to 117 of the faults: what was found in weights by trying."""

from pathlib import Path

import pytest
import torch
from checkpoints import STATE, SUFFIXES, saved
from fake_plugins import DIM, DIM_PARTS, forget
from parts import refused, some
from safetensors.torch import save_file
from small_runs import rbench
from torch import nn

from rbench.backbones.architectures.normalised import Normalised
from rbench.backbones.weights import load, read
from rbench.suite.load import load_suite
from rbench.suite.plan import plan


@pytest.mark.parametrize(
    ("mean", "std", "written"),
    [
        ([127.5], [127.5], "mean: [0.5], std: [0.5]"),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"),
        ([123.675, 116.28, 103.53], [1.0, 1.0, 1.0], "mean: [0.485, 0.456, 0.406], std: [0.00392, 0.00392, 0.00392]"),
        ([0.5], [127.5], "mean: [0.5], std: [0.5]"),
        ([0.0], [255.0], "mean: [0.0], std: [1.0]"),
        ([-1.0], [0.5], None),
        ([float("nan")], [0.5], None),
    ],
)
def test_110_mean_and_std_outside_0_1_are_refused_with_what_they_are(mean, std, written):
    remedy = some("trained with") if written is None else some(written)
    with refused(problem=some("[0, 1]"), found=some(str(mean)), remedy=remedy):
        Normalised(nn.Identity(), mean, std)


def test_110_what_lies_in_0_1_is_taken():
    for mean, std in (((0.0,), (1.0,)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((1.0,), (0.004,))):
        Normalised(nn.Identity(), mean, std)


STALE = """\
suite: stale
dataset: {name: fashion-mnist-mini, samples: 4}
threat: {norm: Linf, eps: 0.05}
backbones: [flat]
purifiers: [{name: dim, weights: dim.txt}]
attacks: [{name: fgsm, purifiers: [dim]}]
"""
FLAT = '''
import torch

def flat():
    """A linear classifier."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
'''


@pytest.fixture
def dim(plugins, tmp_path, monkeypatch, capsys):
    """Runs a suite with a purifier whose weights come by a text and whose network is in a second module; what was said."""
    plugins.add(
        "dim",
        {"dim": DIM, "dim_parts": DIM_PARTS, "flat_net": FLAT},
        {"rbench.purifiers": {"dim": "dim:Dim"}, "rbench.backbones": {"flat": "flat_net:flat"}},
    )
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(STALE)
    Path("dim.txt").write_text("1.0")

    def ran():
        assert rbench("run", "s.yaml", "--out", "run") == 0
        return capsys.readouterr().err

    return ran


def test_114_weights_by_a_text_and_a_second_module_are_seen_when_they_change(dim, plugins):
    dim()
    Path("dim.txt").write_text("0.5")
    assert "other weights than when it ran; it is run again" in dim()
    before = {cell.id for cell in plan(load_suite("s.yaml")).cells}
    (plugins.folder / "dim_parts.py").write_text(DIM_PARTS.replace("x * scale", "0.5 * x * scale"))
    forget()
    assert before.isdisjoint(cell.id for cell in plan(load_suite("s.yaml")).cells)


def test_115_a_comment_in_a_component_changes_no_id(dim, plugins):
    before = [cell.id for cell in plan(load_suite("s.yaml")).cells]
    for name, text in (("dim", DIM), ("dim_parts", DIM_PARTS)):
        (plugins.folder / f"{name}.py").write_text(f"# a comment\n{text}\n# and another\n")
    forget()
    assert [cell.id for cell in plan(load_suite("s.yaml")).cells] == before


def unusual(kind):
    like = torch.zeros(4)
    match kind:
        case "sparse":
            return torch.eye(4).to_sparse()
        case "csr":
            return torch.eye(4).to_sparse_csr()
        case "quantised":
            return torch.quantize_per_tensor(like, 0.1, 0, torch.qint8)
        case "meta":
            return torch.empty(4, device="meta")
        case "expanded":
            return torch.zeros(1).expand(1 << 40)
        case "overlapping":
            return torch.zeros(7).as_strided((4, 4), (1, 1))
        case "float8":
            return like.to(torch.float8_e4m3fn)
        case "complex":
            return like.to(torch.complex64)
    return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])


KINDS = ["sparse", "csr", "quantised", "meta", "expanded", "overlapping", "float8", "complex", "nested"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_116_unusual_tensors_are_named_in_one_line(tmp_path, kind, zipped):
    path = tmp_path / "w.pt"
    torch.save({"weight": unusual(kind)}, path, _use_new_zipfile_serialization=zipped)
    named = {"csr": "sparse", "overlapping": "expanded"}.get(kind, kind)
    with refused(place=str(path), problem=some(named)) as caught:
        read(path)
    assert caught.value.remedy, "what to do"
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("dtype", "found"), [("int32", "int32"), ("int8", "int8"), ("bool", "bool"), ("uint8", "uint8")]
)
def test_116_whole_numbers_in_place_of_weights_are_refused(linear, suffix, dtype, found):
    state = {**STATE, "1.bias": torch.zeros(3, dtype=getattr(torch, dtype))}
    with refused(problem=some("1.bias"), found=found):
        load(saved(Path(f"w{suffix}"), state), "tiny")


def test_116_float8_and_complex_in_safetensors_are_refused_too(tmp_path):
    for kind, named in (("float8", "float8"), ("complex", "complex")):
        save_file({"weight": unusual(kind)}, tmp_path / "w.safetensors")
        with refused(problem=some(named)):
            read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_116_other_floats_are_taken(linear, dtype):
    model = load(saved(Path("w.safetensors"), {name: value.to(dtype) for name, value in STATE.items()}), "tiny")
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert torch.allclose(model[1].weight, STATE["1.weight"], atol=1e-2)


def test_117_a_zip_with_a_wrong_checksum_is_refused_by_the_name_of_the_entry(linear):
    path = saved(Path("w.pt"), STATE)
    content = bytearray(path.read_bytes())
    at = content.find(STATE["1.weight"].numpy().tobytes())
    content[at + 3] ^= 0x40  # the exponent of the first weight
    path.write_bytes(content)
    assert float(torch.load(path, weights_only=True)["1.weight"][0, 0]) != float(STATE["1.weight"][0, 0]), "silent"
    with refused(place=str(path), problem=some("w/data/0"), remedy="download it again"):
        load(path, "tiny")
