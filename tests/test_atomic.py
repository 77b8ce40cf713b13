"""Files that are written completely or not at all, by several writers, on disks that fail."""

import errno
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import minigrad.atomic
from comparisons.errors import Fault
from comparisons.files import write_bytes, write_json
from minigrad import atomic, checkpoint, nn

ROOT = Path(__file__).parents[1]


@contextmanager
def another_process(code: str):
    """A process that has run some code, and waits."""
    script = f"from minigrad import atomic\n{code}\nprint('ready', flush=True)\ninput()"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


# ---- several writers -----------------------------------------------------------------------------

def test_threads_that_write_one_path_leave_one_of_their_contents(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([65 + i]) * 100_000 for i in range(8)]

    def one(i):
        for _ in range(10):
            atomic.write(path, contents[i])
            assert path.read_bytes() in contents
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_threads_that_save_one_checkpoint_do_not_collide(tmp_path):
    path = tmp_path / "x.safetensors"
    models = [nn.Linear(20, 20) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            list(pool.map(lambda i: checkpoint.save(path, model=models[i], epoch=i), range(6)))
            kept = checkpoint.load(path)
            expected = models[kept.epoch].state_dict()
            assert all(np.array_equal(kept.model[k], v.data) for k, v in expected.items())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    folder = str(tmp_path)
    with another_process(f"from pathlib import Path; atomic._temporary(Path({folder!r}))") as dead:
        (writing,) = tmp_path.iterdir()
        atomic.write(tmp_path / "file", b"1")
        assert writing.exists()
        dead.kill()
        dead.wait()
        (tmp_path / ".mine.tmp").write_bytes(b"of somebody else")
        atomic.write(tmp_path / "file", b"2")
    assert {p.name for p in tmp_path.iterdir()} == {"file", ".mine.tmp"}
    assert (tmp_path / "file").read_bytes() == b"2"


def test_a_temporary_file_that_is_taken_for_abandoned_is_made_again(tmp_path, monkeypatch):
    acquired = atomic._acquired
    removed = []

    def late(descriptor, wait):
        """Somebody else looks between the making of the file and its locking."""
        if wait and not removed:
            (path,) = tmp_path.glob(f"{atomic.PREFIX}*")
            removed.append(path)
            path.unlink()
        return acquired(descriptor, wait)
    monkeypatch.setattr(minigrad.atomic, "_acquired", late)
    atomic.write(tmp_path / "file", b"1")
    assert removed
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_kept_file_stays_as_it_is(tmp_path, monkeypatch):
    path, other = tmp_path / "last", tmp_path / "previous"
    for link in (os.link, None):
        if link is None:                # a file system without second names
            def refuse(*args):
                raise OSError(errno.EPERM, "Operation not permitted")
            monkeypatch.setattr(os, "link", refuse)
        atomic.write(path, b"1")
        for content in (b"2", b"3"):
            before = path.read_bytes()
            atomic.keep(path, other)
            atomic.keep(path, other)    # as after a kill between the two
            atomic.write(path, content)
            assert (other.read_bytes(), path.read_bytes()) == (before, content)
    assert {p.name for p in tmp_path.iterdir()} == {"last", "previous"}


# ---- locks ---------------------------------------------------------------------------------------

def test_a_lock_is_held_by_one_and_ends_with_its_block(tmp_path):
    path = tmp_path / ".lock"
    with atomic.lock(path) as locked:
        assert locked
        with pytest.raises(atomic.Busy, match=f"process {os.getpid()} on "), atomic.lock(path):
            pass
    with pytest.raises(KeyError), atomic.lock(path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / ".lock"
    with another_process(f"held = atomic.lock(__import__('pathlib').Path({str(path)!r}))\n"
                         "held.__enter__()") as holder:
        with pytest.raises(atomic.Busy, match=f"^process {holder.pid} on "), atomic.lock(path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert path.exists()            # the file, but no lock
        with atomic.lock(path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_one_of_many_threads_at_a_time_holds_a_lock(tmp_path):
    inside, most, counter = [], [], tmp_path / "n"
    counter.write_text("0")

    def add(_):
        with atomic.lock(tmp_path / ".lock", wait=True):
            inside.append(1)
            most.append(len(inside))
            counter.write_text(str(int(counter.read_text()) + 1))
            inside.pop()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(200)))
    assert (counter.read_text(), max(most)) == ("200", 1)


def test_without_locks_files_are_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(minigrad.atomic, "_acquired", lambda descriptor, wait: None)
    (tmp_path / f"{atomic.PREFIX}1{atomic.SUFFIX}").write_bytes(b"perhaps of a living writer")
    atomic.write(tmp_path / "file", b"1")
    with atomic.lock(tmp_path / ".lock") as locked:
        assert not locked
    assert (tmp_path / "file").read_bytes() == b"1"
    assert (tmp_path / f"{atomic.PREFIX}1{atomic.SUFFIX}").exists()


# ---- disks that fail -----------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["fsync", "replace", "open", "full"])
@pytest.mark.parametrize("write", [
    lambda path: checkpoint.save(path, model=nn.Linear(20, 20)),
    lambda path: write_bytes(path, b"2" * 5000), lambda path: write_json(path, ["2" * 5000])],
    ids=["checkpoint", "bytes", "json"])
def test_a_disk_that_fails_is_one_line_and_the_old_file_is_whole(tmp_path, monkeypatch, write,
                                                                 where):
    path = tmp_path / "file"
    path.write_bytes(b"1")

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        if where == "full":             # the system itself refuses: the file grows too large
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        else:
            patch.setattr(os, where, fail)
        try:
            with pytest.raises((OSError, Fault)) as caught:
                write(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reason = "File too large" if where == "full" else "No space left on device"
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert atomic.PREFIX not in str(caught.value)
    assert path.read_bytes() == b"1"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written_to_is_named_with_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"1")
    tmp_path.chmod(0o555)
    root = os.geteuid() == 0            # root may write everywhere
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="'file'"):
            checkpoint.save("file", model=nn.Linear(2, 2))
        with pytest.raises(Fault, match=r"^file: Permission denied$"):
            write_bytes(Path("file"), b"2")
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o755)
    assert Path("file").read_bytes() == b"1"
    with pytest.raises(Fault, match=r"^file/below: Not a directory$"):
        write_bytes(Path("file/below"), b"2")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_are_as_private_as_the_user_wants_them(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "a", b"")
        checkpoint.save(tmp_path / "b", model=nn.Linear(2, 2))
    finally:
        os.umask(before)
    assert [p.stat().st_mode & 0o777 for p in tmp_path.iterdir()] == [0o666 & ~mask] * 2


def test_everything_is_flushed_in_its_order(tmp_path, monkeypatch):
    """The content before the file has its name, and the name before `write` returns."""
    done = []

    def note(name, usual):
        def called(*args):
            done.append((name, os.path.isdir(f"/proc/self/fd/{args[0]}")) if name == "fsync"
                        else name)
            return usual(*args)
        monkeypatch.setattr(os, name, called)
    note("fsync", os.fsync)
    note("replace", os.replace)
    atomic.write(tmp_path / "file", b"1")
    assert done == [("fsync", False), "replace", ("fsync", True)]
