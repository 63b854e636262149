"""Files and folders that exist whole or not at all, and what a killed process leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from astrocnn import atomic
from astrocnn.atomic import (
    exclusive,
    remove_leftovers,
    replacing,
    replacing_folder,
    restore_folder,
    write_bytes,
    write_text,
)

_WRITER = """
import os, signal, sys
from astrocnn.atomic import replacing, replacing_folder
with (replacing_folder if sys.argv[2] == "folder" else replacing)(sys.argv[1]) as temporary:
    print(temporary, flush=True)
    if sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def writer(path, kind, *, die):
    command = [sys.executable, "-c", _WRITER, str(path), kind, "die" if die else "wait"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a" / "f.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt" and path.read_text() == "old"
        raise ZeroDivisionError
    assert [p.name for p in path.parent.iterdir()] == ["f.txt"] and path.read_text() == "old"
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_the_umask_of_the_user_holds(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "f", "x")
        with replacing_folder(tmp_path / "d") as folder:
            (folder / "f").write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750


def test_a_symbolic_link_stays_one(tmp_path):
    target, link = tmp_path / "disk" / "f", tmp_path / "link"
    link.symlink_to(target)
    write_text(link, "x")
    assert link.is_symlink() and target.read_text() == "x"
    write_text(link, "y")
    assert link.is_symlink() and target.read_text() == "y"


@pytest.mark.parametrize("exchange", [True, False], ids=["exchanged", "in two steps"])
def test_a_folder_is_replaced_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    for content in ("old", "new"):
        with replacing_folder(tmp_path / "model") as folder:
            (folder / content).write_text(content)
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["new"]
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "model") as folder:
        (folder / "newest").write_text("x")
        raise ZeroDivisionError
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_folder_moved_away_before_its_replacement_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    with replacing_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("precious")
    (tmp_path / "model").rename(tmp_path / ".old-abcdefgh-model")
    remove_leftovers(tmp_path)
    restore_folder(tmp_path / "model")
    assert (tmp_path / "model" / "weights").read_text() == "precious"
    restore_folder(tmp_path / "model")
    restore_folder(tmp_path / "nowhere" / "model")
    # Replaced, and killed before the old one was removed.
    (tmp_path / ".old-abcdefgh-model").mkdir()
    restore_folder(tmp_path / "model")
    assert (tmp_path / "model" / "weights").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_lock_is_held_by_one_process_and_given_back_by_its_death(tmp_path):
    code = (
        "import sys\nfrom astrocnn.atomic import exclusive\n"
        "with exclusive(sys.argv[1]) as held:\n    print(held, flush=True)\n    sys.stdin.read()"
    )
    path = tmp_path / "run" / ".lock"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline().strip() == "True"
    with exclusive(path) as held:
        assert not held
    other.kill()
    other.communicate(timeout=60)
    with exclusive(path) as held:
        assert held
        with exclusive(path) as again:
            assert not again
    with exclusive(path, wait=True) as held:
        assert held


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path, kind):
    path = tmp_path / "model[1]"
    dead = writer(path, kind, die=True)
    dead.communicate(timeout=60)
    assert dead.returncode == -signal.SIGKILL
    living = writer(path, kind, die=False)
    name = living.stdout.readline().strip()
    assert len(list(tmp_path.iterdir())) == (2 if kind == "file" else 1)  # folders sweep before
    (tmp_path / ".tmp-abcdefgh-notes").write_text("another file")
    remove_leftovers(tmp_path, "model[[]1]")
    assert {str(p) for p in tmp_path.iterdir()} == {name, str(tmp_path / ".tmp-abcdefgh-notes")}
    living.communicate("go on")
    assert living.returncode == 0 and path.exists()
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model[1]"]
