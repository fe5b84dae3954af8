"""Stacks and sources: what may be looked at without a debugger, and what may not."""

import hashlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from msgspec import convert

from sonde_agent.tap import sources, stacks, wall
from sonde_agent.tap.errors import CallRefused
from sonde_wire.looking import Source, Sources, Stacks


class Gate:
    """Threads that wait for their end somewhere known."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def wait_at_depth(self, depth: int, ready: threading.Event) -> None:
        if depth:
            return self.wait_at_depth(depth - 1, ready)
        ready.set()
        self.open.wait()
        return None

    def thread(self, depth: int) -> threading.Thread:
        ready = threading.Event()
        thread = threading.Thread(target=self.wait_at_depth, args=(depth, ready), name=f"depth {depth}")
        thread.start()
        ready.wait()
        return thread


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    before = set(threading.enumerate())
    yield gate
    gate.open.set()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_the_stacks_show_every_thread_with_the_innermost_frame_first(gate: Gate) -> None:
    thread = gate.thread(depth=2)
    read = convert(stacks.read(), Stacks)
    assert read.threads[0].name == "MainThread"
    (seen,) = (each for each in read.threads if each.name == "depth 2")
    assert seen.id == thread.ident
    assert not seen.truncated
    functions = [frame.function for frame in seen.frames]
    assert functions.count("Gate.wait_at_depth") == 3
    assert functions[0].startswith("Condition.wait")
    first = next(frame for frame in seen.frames if frame.function == "Gate.wait_at_depth")
    assert (first.path, first.text) == (__file__, "self.open.wait()")


def test_a_deep_stack_is_cut_and_says_so(gate: Gate) -> None:
    gate.thread(depth=300)
    (seen,) = (each for each in convert(stacks.read(), Stacks).threads if each.name == "depth 300")
    assert seen.truncated
    assert len(seen.frames) == stacks.MOST_FRAMES_OF_A_THREAD


def test_the_number_of_frames_is_bounded_over_all_threads(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "MOST_FRAMES", 10)
    gate.thread(depth=20)
    read = convert(stacks.read(), Stacks)
    assert sum(len(each.frames) for each in read.threads) == 10
    assert {each.truncated for each in read.threads} == {True}


def test_threads_of_ours_are_left_out(gate: Gate) -> None:
    ready = threading.Event()
    thread = wall.start_thread(lambda: gate.wait_at_depth(0, ready), "ours")
    ready.wait()
    assert thread.ident not in {each.id for each in convert(stacks.read(), Stacks).threads}


def test_a_thread_of_the_programs_own_class_is_shown_and_not_asked(gate: Gate) -> None:
    class Own(threading.Thread):
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    ready = threading.Event()
    thread = Own(target=gate.wait_at_depth, args=(0, ready), name="own")
    thread.start()
    ready.wait()
    assert "own" in {each.name for each in convert(stacks.read(), Stacks).threads}


def test_stacks_do_not_wait_for_a_lock_that_a_stopped_thread_may_hold() -> None:
    with threading._active_limbo_lock:  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - as a stopped thread has it
        assert stacks.read()["threads"]


def test_the_sources_are_the_files_of_modules_told_apart() -> None:
    files = {file.module: file for file in convert(sources.list_files(), Sources).files}
    assert files[__name__].path == __file__
    assert files[__name__].application
    assert not files["threading"].application
    assert not files["pytest"].application
    assert not files["sonde_agent.tap.stacks"].application


def test_a_module_that_loads_itself_when_touched_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sleeping(ModuleType):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "sleeping", Sleeping("sleeping"))
    monkeypatch.setitem(sys.modules, "no module", object())  # as some programs do it
    assert sources.list_files()["files"]


def test_a_source_is_its_text_and_the_hash_of_its_bytes() -> None:
    source = convert(sources.read(__file__), Source)
    content = Path(__file__).read_bytes()
    assert source.text == content.decode()
    assert source.sha256 == hashlib.sha256(content).hexdigest()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the process, with a secret beside it."""
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "secret.py").write_text("secret = 1")
    monkeypatch.chdir(here)
    return here


def test_a_python_file_below_the_working_directory_may_be_read(directory: Path) -> None:
    (directory / "package").mkdir()
    file = directory / "package" / "latin.py"
    file.write_bytes(b"# coding: latin-1\n# \xfc\n")
    assert sources.read(str(file))["text"] == "# coding: latin-1\n# ü\n"
    assert sources.read(f"{directory}/package/../package/latin.py")["sha256"]


@pytest.mark.parametrize(
    "content", [b"# coding: no-such-thing\n", b"\xff\xfe\x00", b"x = 1\n# coding: rot13\n"]
)
def test_what_claims_a_strange_encoding_is_text_all_the_same(directory: Path, content: bytes) -> None:
    (directory / "odd.py").write_bytes(content)
    assert isinstance(sources.read(str(directory / "odd.py"))["text"], str)


def test_everything_else_is_no_file_of_the_process(directory: Path) -> None:
    (directory / "notes.txt").write_text("x")
    (directory / "escape.py").symlink_to(directory.parent / "secret.py")
    (directory / "folder.py").mkdir()
    (directory / "link").symlink_to(directory.parent)
    (directory / "large.py").write_bytes(b"#" * (sources.LARGEST + 1))
    os.mkfifo(directory / "fifo.py")
    refused = [
        "/etc/passwd",
        "/proc/self/environ",
        "relative.py",
        "",
        f"{directory}/notes.txt",
        f"{directory}/escape.py",
        f"{directory}/folder.py",
        f"{directory}/link/secret.py",
        f"{directory}/large.py",
        f"{directory}/fifo.py",
        f"{directory}/../secret.py",
        f"{directory}/nul\0.py",
        f"{directory}/absent.py",
        f"{directory}-not/other.py",
    ]
    messages = set()
    for path in refused:
        with pytest.raises(CallRefused) as caught:
            sources.read(path)
        assert (caught.value.code, caught.value.reason) == ("not_found", "no_such_file"), path
        messages.add(caught.value.message)
    assert len(messages) == 1


def test_no_trick_with_links_and_special_files_leads_out(directory: Path) -> None:
    (directory / "zero.py").symlink_to("/dev/zero")
    (directory / "environ.py").symlink_to("/proc/self/environ")
    (directory / "loop.py").symlink_to(directory / "loop.py")
    (directory / "chain.py").symlink_to(directory / "secret.py")
    (directory / "secret.py").symlink_to("../secret.py")
    (directory / "up").symlink_to("..")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(directory / "socket.py"))
    tricks = [
        *(f"{directory}/{name}.py" for name in ("zero", "environ", "loop", "chain", "secret", "socket")),
        f"{directory}/up/secret.py",
        f"{directory}/./up/./secret.py",
        f"{directory}/here/../../secret.py",
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/self/root/etc/passwd",
        f"/proc/self/root{directory.parent}/secret.py",
        "/proc/self/cwd/../secret.py",
        "/dev/stdin",
        "//etc/passwd",
        f"{directory}/" + "x" * 5000 + ".py",
        f"{directory}/\udcff.py",
        f"{directory}/\ud800.py",
    ]
    with listening:
        for path in tricks:
            with pytest.raises(CallRefused):
                sources.read(path)
    (directory / "mine.py").write_text("x = 1")
    assert sources.read("/proc/self/cwd/mine.py")["text"] == "x = 1"


def test_a_directory_that_becomes_a_link_after_the_check_leads_nowhere(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the opening, which only the kernel can tell."""
    inside, outside = directory / "package", directory.parent / "outside"
    for each in (inside, outside):
        each.mkdir()
        (each / "settings.py").write_text(f"from {each.name}")
    opening = os.open

    def swap_and_open(path: str, flags: int) -> int:
        inside.rename(directory / "was")
        inside.symlink_to(outside)
        return opening(path, flags)

    path = str(inside / "settings.py")
    assert sources.read(path)["text"] == "from package"
    monkeypatch.setattr(os, "open", swap_and_open)
    with pytest.raises(CallRefused):
        sources.read(path)


def test_a_file_that_becomes_a_fifo_after_the_check_holds_nobody_up(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory / "swapped.py"
    file.write_text("x = 1")
    opening = os.open

    def swap_and_open(path: str, flags: int) -> int:
        file.unlink()
        os.mkfifo(file)
        return opening(path, flags)

    monkeypatch.setattr(os, "open", swap_and_open)
    with pytest.raises(CallRefused):
        sources.read(str(file))


def test_an_imported_file_may_be_read_by_its_link_too(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "installed.py"
    real.write_text("x = 1")
    link = tmp_path / "linked.py"
    link.symlink_to(real)
    module = ModuleType("linked")
    module.__file__ = str(link)
    monkeypatch.setitem(sys.modules, "linked", module)
    assert sources.read(str(link))["path"] == str(link)
    assert sources.read(str(real))["text"] == "x = 1"


def test_a_process_that_stands_in_the_root_does_not_open_the_whole_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.py").write_text("x = 1")
    monkeypatch.chdir("/")
    with pytest.raises(CallRefused):
        sources.read(str(tmp_path / "other.py"))
