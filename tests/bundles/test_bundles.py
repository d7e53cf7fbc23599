"""`rbench bundle` and `rbench verify BUNDLE`: results that travel without their author's machine."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from fake_plugins import Plugins, forget
from forger import Forger
from shipped import author, bundled, install, rewritten, site_of
from small_runs import content, faults, rbench, verify

from rbench import elsewhere


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of an author whose files are outside of the current folder, and its bundle, both made once."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(site_of(root)), *sys.path])
        install(Plugins(site_of(root)))
        author(root / "author")
        (root / "here").mkdir()
        patch.chdir(root / "here")
        patch.setenv("RBENCH_CACHE", str(root / "cache"))
        assert rbench("run", root / "author" / "suite.yaml", "--out", "run") == 0
        assert bundled(Path("run"), root / "b.zip") == 0
        yield root
    forget()


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """The run folder, in a current folder that has nothing of the author's; the author's machine is at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RBENCH_CACHE", str(made / "cache"))
    shutil.copytree(made / "here" / "run", tmp_path / "run")
    return Path("run")


@pytest.fixture
def bundle(made, tmp_path, monkeypatch):
    """Its bundle, on another machine: what the author's had is nowhere."""
    (tmp_path / "reviewer").mkdir()
    shutil.copy(made / "b.zip", tmp_path)
    monkeypatch.chdir(tmp_path / "reviewer")
    monkeypatch.setenv("RBENCH_CACHE", str(tmp_path / "cache"))
    (made / "author").rename(made / "away")
    yield tmp_path / "b.zip"
    (made / "away").rename(made / "author")


def test_no_absolute_path_is_stored_and_files_outside_of_the_current_folder_are_found_again(
    made, run, monkeypatch, capsys
):
    for name, data in content(run).items():
        assert str(made).encode() not in data, name
    suite = (run / "suite.yaml").read_text()
    assert "path: photos.npz" in suite
    assert "file:net.safetensors" in suite
    assert verify(run, capsys, "--offline")[0] == 0
    assert rbench("run", run / "suite.yaml", "--out", run) == 0
    monkeypatch.setenv("RBENCH_CACHE", "nothing")
    code, found, _ = verify(run, capsys)
    assert code == 3
    assert "needs photos.npz (sha256 " in found["error"]["problem"]
    assert verify(run, capsys, "--offline", "--files", str(made / "author"))[0] == 0


def test_a_bundle_is_verified_where_nothing_of_its_author_is(bundle, capsys):
    code, found, _ = verify(bundle, capsys)
    assert code == 0, found
    assert len(found["cells"]) == 2
    assert all(cell["evidence"]["examples"] == 6 for cell in found["cells"])
    assert any("photos.npz" in note and "its claim" in note for note in found["notes"])
    assert elsewhere.told() == elsewhere.Elsewhere()
    assert not list(Path.cwd().iterdir())


def test_a_plug_in_that_is_missing_is_told_by_package_and_version(made, bundle, monkeypatch, capsys):
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall("folder")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(site_of(made))])
    forget()
    for place in (bundle, Path("folder")):
        code, found, _ = verify(place, capsys)
        assert (code, found["error"]["type"]) == (3, "MissingError")
        assert "needs small-unet 0.3 (pip install small-unet==0.3), so its records say" in found["error"]["problem"]
    monkeypatch.undo()
    forget()


def test_two_bundles_of_a_folder_are_the_same_bytes_and_the_manifest_names_all(made, run):
    before = content(run)
    assert bundled(run, Path("again.zip")) == 0
    assert content(run) == before
    assert Path("again.zip").read_bytes() == (made / "b.zip").read_bytes()
    with zipfile.ZipFile("again.zip") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
    assert names == sorted(names)
    assert sorted(manifest["members"]) == [name for name in names if name != "manifest.json"]
    results = ("records/", "samples/", "images/", "gallery/", "suite.yaml", "cells.jsonl", "leaderboard.")
    assert {name for name in before if name.startswith(results)} < set(names)
    assert not [name for name in names if name.endswith(".py")]
    assert [placed["text"] for placed in manifest["places"]] == ["net.safetensors", "unet.txt"]
    assert manifest["plug_ins"] == [
        {"kind": "purifier", "name": "small-unet", "distribution": "small-unet", "version": "0.3"}
    ]


def test_a_bundle_without_data_asks_for_them_by_name_and_hash(made, run, tmp_path, monkeypatch, capsys):
    assert bundled(run, tmp_path / "b.zip", "--without-data") == 0
    assert "photos.npz (sha256 " in capsys.readouterr().err
    monkeypatch.setenv("RBENCH_CACHE", str(tmp_path / "other"))
    code, found, _ = verify(tmp_path / "b.zip", capsys)
    assert code == 3
    assert "needs photos.npz (sha256 " in found["error"]["problem"]
    code, found, _ = verify(tmp_path / "b.zip", capsys, "--offline", "--files", str(made / "author"))
    assert code == 0
    assert found["notes"] == ["the bundle brings net.safetensors, unet.txt"]


def test_a_flipped_byte_is_told_by_the_name_of_its_member(bundle, capsys):
    with zipfile.ZipFile(bundle) as archive:
        entry = next(one for one in archive.infolist() if one.filename.startswith("images/"))
    data = bytearray(bundle.read_bytes())
    data[entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2] ^= 1
    bundle.write_bytes(data)
    code, found, _ = verify(bundle, capsys)
    assert code == 4
    assert entry.filename in found["error"]["place"]


def test_a_member_that_is_not_the_manifests_is_told_by_its_name(bundle, tmp_path, capsys):
    def other(members):
        members["files/" + "0" * 12 + "/more.txt"] = b"x"

    def edited(members):
        members["suite.yaml"] += b"\n"

    def gone(members):
        del members["cells.jsonl"]

    for change, name in ((other, "more.txt"), (edited, "suite.yaml"), (gone, "cells.jsonl")):
        code, found, _ = verify(rewritten(bundle, tmp_path / "c.zip", change), capsys)
        assert code == 4
        assert name in found["error"]["place"]


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/x",
        "files/000000000000/../../x",
        "records/x.py",
        "files/000000000000/a.py",
        "C:/x",
        "images\\x",
        "run.lock",
    ],
)
def test_a_name_that_no_bundle_has_is_refused_and_nothing_written(bundle, tmp_path, capsys, name):
    def more(members):
        members[name] = b"x"

    before = sorted(tmp_path.rglob("*"))
    made = rewritten(bundle, tmp_path / "c.zip", more)
    code, found, _ = verify(made, capsys)
    assert code == 2
    assert "no name of a file in a bundle" in found["error"]["problem"]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, made])


def test_links_and_bombs_are_refused(bundle, tmp_path, capsys):
    link, bomb = tmp_path / "link.zip", tmp_path / "bomb.zip"
    for path in (link, bomb):
        shutil.copy(bundle, path)
    entry = zipfile.ZipInfo("files/" + "0" * 12 + "/x.txt")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(link, "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    code, found, _ = verify(link, capsys)
    assert (code, "is a link" in found["error"]["problem"]) == (2, True)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("files/" + "0" * 12 + "/x.bin", bytes(2**27))
    code, found, _ = verify(bomb, capsys)
    assert (code, "unpacks to more" in found["error"]["problem"]) == (2, True)


def test_a_path_of_a_manifest_stands_for_no_bundled_weights_and_no_code(bundle, tmp_path, capsys):
    for text in ("bundled:fashion-cnn", "python:a.py", "/etc/x", "..", "a.py"):

        def change(members, text=text):
            manifest = json.loads(members["manifest.json"])
            manifest["places"][0]["text"] = text
            members["manifest.json"] = json.dumps(manifest).encode()

        code, found, _ = verify(rewritten(bundle, tmp_path / "c.zip", change), capsys)
        assert code == 2
        assert "no relative path of a file" in found["error"]["problem"]


def test_a_forged_bundle_fails_as_its_folder_would(run, tmp_path, capsys):
    forged = Forger(run, "small-unet/pgd")
    forged.claim(range(6), robust=True)
    forged.agree()
    forged.write()
    forged.report()
    assert verify(run, capsys, "--offline")[0] == 0  # its files agree
    assert bundled(run, tmp_path / "b.zip") == 0
    code, found, _ = verify(tmp_path / "b.zip", capsys)
    assert code == 4
    assert any("the defended model answers otherwise" in fault for fault in faults(found))


def test_other_weights_than_those_judged_are_not_packed(run, tmp_path, capsys):
    (tmp_path / "unet.txt").write_text("0.8")
    assert bundled(run, tmp_path / "b.zip", "--files", str(tmp_path)) == 4
    assert "unet.txt is not the file that was judged" in capsys.readouterr().err
    assert not (tmp_path / "b.zip").exists()


def test_a_file_of_somebody_else_is_not_overwritten(run, tmp_path):
    mine = tmp_path / "mine.zip"
    mine.write_text("mine")
    assert bundled(run, mine) == 2
    assert mine.read_text() == "mine"


def test_tables_are_made_of_a_bundle(bundle, tmp_path):
    assert rbench("report", bundle, "--to", "csv", "--out", tmp_path / "out") == 0
    assert "small-unet" in (tmp_path / "out" / "leaderboard.csv").read_text()
    assert rbench("compare", bundle) == 0
    assert not list((tmp_path / "reviewer").iterdir())
