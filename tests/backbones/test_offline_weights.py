"""With RBENCH_OFFLINE=1 no weights are fetched, though a suite asks for it."""

import importlib

import pytest
from parts import refused, some

from rbench.errors import MissingError


def ask_hugging_face(folder):
    pytest.importorskip("huggingface_hub")
    from rbench.backbones.hugging_face import fetched

    fetched("nobody/nothing-of-the-kind", ["model.safetensors"], what="backbone 'hub:x'", download=True)


def ask_an_address(folder):
    from rbench.backbones.torch_cache import fetched_address

    fetched_address("https://example.invalid/net-01234567.pth", what="backbone 'torchvision:x'", download=True)


def ask_google_drive(folder):
    from rbench.backbones.robustbench_zoo.fetching import fetch

    fetch("an-id", folder / "net.pt")


@pytest.mark.parametrize("ask", [ask_hugging_face, ask_an_address, ask_google_drive])
def test_nothing_is_fetched_and_the_variable_is_named(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("RBENCH_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    socket = importlib.import_module("socket")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("the network was asked"))
    with refused(MissingError, problem=some("RBENCH_OFFLINE=1 forbids")):
        ask(tmp_path)
    assert list(tmp_path.rglob("*.pt*")) == []
