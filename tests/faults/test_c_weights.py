"""Table C of the faults: weights and the loading of models."""

import ast
import hashlib
import json
import pickle
import re
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from costs import allocated, times_as_long
from parts import refused, some
from safetensors.torch import save_file
from small_runs import rbench

import rbench as package
from rbench.backbones.weights import load, read
from rbench.errors import InputError, WrongHash
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

SUITE = """\
suite: weighed
dataset: {{name: fashion-mnist-mini, samples: 4}}
threat: {{norm: Linf, eps: 0.05}}
backbones:
  - {{name: 'file:{file}', architecture: tiny-net{more}}}
attacks: [fgsm]
"""
NET = '''
import torch

class Tiny(torch.nn.Sequential):
    """A linear classifier of 28x28 images."""
    def __init__(self, *, classes: int = 10):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(784, classes))
'''


def weights(**changes):
    torch.manual_seed(0)
    state = {"1.weight": torch.randn(10, 784) / 28, "1.bias": torch.zeros(10), **changes}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


def saved(path, state, **options):
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path, **options)
    return path


@pytest.fixture
def net(plugins, tmp_path, monkeypatch):
    """A registered network of one layer, in a folder of its own."""
    plugins.add("tiny-net", {"tiny_net": NET}, {"rbench.networks": {"tiny-net": "tiny_net:Tiny"}})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(net, tmp_path, capsys):
    """Runs a suite with a file of weights; gives the exit code and the one line that it said."""

    def ran(file, more=""):
        Path("s.yaml").write_text(SUITE.format(file=file, more=more))
        code = rbench("run", "s.yaml", "--out", "run")
        err = capsys.readouterr().err
        assert not list(tmp_path.glob("run/records/*")) or code == 0
        assert code == 0 or len(err.splitlines()) == 1, err
        assert "weights_only" not in err, "torch's advice"
        return code, err

    return ran


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (self.marker.write_text, ("boom",))


@pytest.mark.parametrize("form", ["zip", "legacy", "protocol-4", "pickle", "within"])
def test_031_code_in_a_pickle_is_refused_and_not_executed(run, tmp_path, form):
    marker = tmp_path / "executed"
    if form == "pickle":
        Path("w.pt").write_bytes(pickle.dumps({"1.weight": Bomb(marker)}))
    else:
        content = {"1.weight": Bomb(marker)} if form != "within" else {"state_dict": weights(), "hook": Bomb(marker)}
        options = {"legacy": {"_use_new_zipfile_serialization": False}, "protocol-4": {"pickle_protocol": 4}}
        torch.save(content, "w.pt", **options.get(form, {}))
    code, err = run("w.pt")
    assert code == 2
    assert "nothing was executed" in err
    assert "safetensors" in err
    assert not marker.exists()


def test_032_no_pickle_is_read_in_full_anywhere():
    for path in Path(package.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if re.search("pickle|weights_only|torch.load|jit", text) else ():
            if isinstance(node, ast.keyword) and node.arg in ("weights_only", "allow_pickle"):
                safe = node.arg == "weights_only"
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is safe, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.jit.load"):
                assert "weights_only" in [keyword.arg for keyword in node.keywords], path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle":
                assert node.attr not in ("load", "loads", "Unpickler"), path


def test_032_a_file_that_is_refused_is_not_read_a_second_time(tmp_path, monkeypatch):
    calls, real = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *given, **named: calls.append(named) or real(*given, **named))
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[:-4])
    with refused(problem=some("not a checkpoint")):
        read(tmp_path / "w.pt")
    assert [call["weights_only"] for call in calls] == [True]


@pytest.mark.parametrize("version", ["2.6.0", "2.9.1+cu128", "2.10.0rc1"])
def test_033_an_unsafe_torch_reads_no_pickle_but_safetensors(run, monkeypatch, version):
    saved(Path("w.pt"), weights()), saved(Path("w.safetensors"), weights())
    monkeypatch.setattr(torch, "__version__", version)
    code, err = run("w.pt")
    assert code == 3
    assert "CVE-2026-24747" in err
    assert "torch>=2.10" in err
    assert read(Path("w.safetensors")).keys() == weights().keys()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pth.tar", ".ckpt", ".bin", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "0 bytes"), (b"<html>404</html>", "HTML"), (None, "truncated"), (b"\x80\x02}q\x00.", "")],
    ids=["empty", "html", "cut", "pickle"],
)
def test_034_what_is_no_checkpoint_is_told_in_one_line(tmp_path, suffix, content, words):
    path = tmp_path / f"w{suffix}"
    if content is None:
        saved(path, weights())
        content = path.read_bytes()[:-1000]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a checkpoint|refused") as caught:
        read(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_035_a_flipped_bit_is_found_by_the_hash_of_the_suite(run):
    path = saved(Path("w.safetensors"), weights())
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run(path, f", sha256: {good}")[0] == 0
    content = bytearray(path.read_bytes())
    content[-100] ^= 0x40
    path.write_bytes(content)
    bad = hashlib.sha256(content).hexdigest()
    Path("s.yaml").write_text(SUITE.format(file=path, more=f", sha256: {good}"))
    with refused(WrongHash, problem=some(good), found=bad, place=some("backbones[0].sha256")) as caught:
        plan(load_suite("s.yaml"))
    assert caught.value.exit_code == 4


def test_035_the_hash_of_a_purifier_and_of_a_file_beside_a_head_are_held_too(run):
    path = saved(Path("w.safetensors"), weights())
    hashed = hashlib.sha256(path.read_bytes()).hexdigest()
    suite = SUITE.format(file=path, more="") + "purifiers: [{name: autoencoder, weights: w.safetensors, sha256: %s}]\n"
    Path("s.yaml").write_text(suite % hashed)
    plan(load_suite("s.yaml"))
    Path("s.yaml").write_text(suite % ("0" * 64))
    with refused(WrongHash, found=hashed, place=some("purifiers[0].sha256")):
        plan(load_suite("s.yaml"))
    (resolved := Path("r.yaml")).write_text(_resolved(suite % hashed))
    assert resolved.read_text().count(hashed) == 1, "the suite beside the results holds it too"


def _resolved(text):
    Path("s.yaml").write_text(text)
    return plan(load_suite("s.yaml")).resolved


def test_036_keys_that_do_not_fit_are_listed_five_of_each(run):
    odd = {f"odd.{i}": torch.zeros(1) for i in range(7)}
    path = saved(Path("w.safetensors"), weights(**{"1.bias": torch.zeros(3)}, **odd))
    code, err = run(path, ", classes: 10")
    assert code == 2
    assert "unexpected: odd.0, odd.1, odd.2, odd.3, odd.4 and 2 more" in err
    assert "wrong shape: 1.bias (3,) instead of (10,)" in err
    saved(path, weights(**{"1.bias": None}))
    assert "missing: 1.bias" in run(path)[1]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_037_weights_that_are_no_numbers_are_refused_by_name(run, value):
    broken = torch.zeros(10)
    broken[3] = value
    code, err = run(saved(Path("w.safetensors"), weights(**{"1.bias": broken})))
    assert code == 2
    assert "1.bias has NaN or infinite values" in err


def test_037_a_value_that_the_network_cannot_hold_is_refused_too(net):
    large = torch.full((10,), 1e300, dtype=torch.float64)
    with refused(problem=some("1.bias has NaN or infinite values")):
        load(saved(Path("w.safetensors"), weights(**{"1.bias": large})), "tiny-net")


def header(entries):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entry(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HEADERS = {
    "100-mb": struct.pack("<Q", 100 * 2**20) + b"{" + b" " * 1000,
    "2^63": struct.pack("<Q", 2**63) + b"{}",
    "1e5-entries": header({f"{i:06}": entry([1], i, i + 1, "U8") for i in range(100_000)}) + bytes(100_000),
    "3e4-entries": header({f"{i:05}": entry([1], 0, 1, "U8") for i in range(30_000)}) + bytes(1),
    "overlap": header({k: entry([1], 0, 4) for k in "ab"}) + bytes(4),
    "shape-overflow": header({"a": entry([2**40, 2**40], 0, 4)}) + bytes(4),
    "negative": header({"a": entry([-1], 0, 4)}) + bytes(4),
    "beyond-the-file": header({"a": entry([2**40], 0, 2**42)}) + bytes(4),
    "deep": header(b"[" * 100_000),
    "no-map": header(b'{"a": 3}'),
    "not-text": header(b"{\xff\xfe\xfd\xfc}") + bytes(4),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_038_a_malicious_header_is_refused_as_fast_as_an_honest_file_of_its_size_is_read(tmp_path, content):
    path, honest = tmp_path / "w.safetensors", tmp_path / "honest.safetensors"
    path.write_bytes(content)
    save_file({f"{i:05}": torch.zeros(64) for i in range(min(5000, max(1, len(content) // 400)))}, honest)
    wanted = {"place": str(path), "remedy": "download it again"}

    def refuse():
        with refused(**wanted):
            read(path)

    assert times_as_long(refuse, lambda: read(honest), tries=3) < 5


@pytest.mark.parametrize("within", ["archive/data.pkl", "archive/data/0"])
def test_039_a_zip_that_grows_is_refused_before_it_is_read(tmp_path, within):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(within, bytes(32 * 2**20))
    assert path.stat().st_size < 2**16
    assert allocated(lambda: _refused_as(path, f"a compressed zip that grows to {32 * 2**20} bytes")) < 2**20


def _refused_as(path, found):
    with refused(found=found):
        read(path)
