"""Absolute paths are not stored, files are found again, and what records say of packages is told as their claim."""

import pytest

from rbench import elsewhere
from rbench.elsewhere import portable
from rbench.errors import MissingError
from rbench.harmless import without_paths
from rbench.suite.places import find_places, texts
from rbench.verifying.needs import Brought, PlugIn, find_code


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("{here}/sub/w.pt", "sub/w.pt"),
        ("{here}/../w.pt", "w.pt"),
        ("{here}", "here"),
        ("/data/photos", "photos"),
        ("file:/data/w.pt", "file:w.pt"),
        ("file:{here}/w.pt", "file:w.pt"),
        ("python:/home/me/nets.py:Net", "python:nets.py:Net"),
        ("C:\\data\\w.pt", "w.pt"),
        ("../data/w.pt", "../data/w.pt"),
        ("bundled:fashion-cnn", "bundled:fashion-cnn"),
        ("timm:org/name", "timm:org/name"),
    ],
)
def test_a_path_is_stored_relative_to_the_current_folder_or_by_its_name(tmp_path, monkeypatch, written, stored):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert portable(written.format(here=tmp_path / "here")) == stored


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no such file: /home/me/a/w.pt.", "no such file: w.pt."),
        ('File "/home/me/x.py", line 3', 'File "x.py", line 3'),
        ("file:/abs/x/w.pt fails", "file:w.pt fails"),
        ("C:\\Users\\me\\w.pt is gone", "w.pt is gone"),
        ("see https://host.org/a/b.html, 8/255, owner/name and ../a/b", None),
    ],
)
def test_a_message_that_is_stored_has_names_in_place_of_absolute_paths(said, kept):
    assert without_paths(said) == (said if kept is None else kept)


@pytest.mark.parametrize(
    ("distribution", "version", "told"),
    [
        ("small-unet", "0.3", "small-unet 0.3 (pip install small-unet==0.3)"),
        ("small-unet", None, "small-unet (pip install small-unet)"),
        ("small-unet", "0.3; rm -rf ~", "small-unet 0.3; rm -rf ~ (pip install small-unet)"),
        ("x --index-url http://evil", "1", "x --index-url http://evil 1 (no name of a package)"),
        ("git+https://evil/x", "1", "git+https://evil/x 1 (no name of a package)"),
        ("x\x1b[2J", "1", "x\\x1b[2J 1 (no name of a package)"),
    ],
)
def test_only_names_of_packages_become_lines_to_type(distribution, version, told):
    assert PlugIn("purifier", "p", distribution, version).needed == told


def test_a_file_is_found_in_the_folder_that_the_user_names_before_it_is_recalled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RBENCH_CACHE", str(tmp_path / "cache"))
    for place in ("known", "named"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.npz").touch()
    part = {"name": "npz", "params": {"path": "x.npz"}, "files": {"x.npz": "a" * 64}}
    document = {"dataset": {"name": "npz", "path": "x.npz", "as": "x.npz"}}
    try:
        assert find_places(document, [{"dataset": part}]) == {"x.npz": "a" * 64}
        assert elsewhere.located("x.npz") == "x.npz"
        elsewhere.remember("x.npz", "a" * 64, tmp_path / "known" / "x.npz")
        assert find_places(document, [{"dataset": part}]) == {}
        assert elsewhere.located(["x.npz", 3]) == [str(tmp_path / "known" / "x.npz"), 3]
        assert find_places(document, [{"dataset": part}], [tmp_path / "named"]) == {}
        assert elsewhere.located("x.npz") == str(tmp_path / "named" / "x.npz")
    finally:
        elsewhere.forget()


@pytest.mark.parametrize(
    "part",
    [
        {"purifiers": ["identity", {"name": "python:mine.py:Half"}]},
        {"purifiers": ["python:mine.py:Half"]},
        {"backbones": [{"name": "python:mine.py:Half", "purifiers": ["jpeg"]}]},
    ],
)
def test_code_that_is_not_here_is_told_by_name_and_hash_of_the_records(tmp_path, part):
    said = Brought((), {"mine.py": "ab" * 32})
    with pytest.raises(MissingError) as caught:
        find_code(part, said, [tmp_path], "a.zip")
    assert str(caught.value).startswith(f"a.zip: needs mine.py (sha256 {'ab' * 32})")


def test_labels_of_the_purifiers_of_a_backbone_name_no_files():
    part = {"backbones": [{"name": "file:w.pt", "purifiers": ["python:mine.py:Half", "x.pt"]}]}
    assert list(texts(part)) == ["file:w.pt"]
