"""Where functions are in another process: from the files that it runs (elf(5)), held against its memory.

gdb looks names up too, but in the files that have these paths now. A library that was replaced by an upgrade since the
process began, or a chroot, gives it wrong addresses, and the process would crash at the call. Here a function counts
only when the memory at its address is what the file has there.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARED = 32
"""Bytes of each function."""
_LOAD, _DYNSYM, _FUNCTION, _FIXED = 1, 11, 2, 2


class NoSuchFunction(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Segment:
    offset: int
    address: int
    size: int


def addresses(pid: int, names: Iterable[str]) -> dict[str, int]:
    """Raises `NoSuchFunction`, also for one whose file is not the one that runs, and `OSError`."""
    place = Path(f"/proc/{pid}")
    wanted = set(names)
    found: dict[str, int] = {}
    with (place / "mem").open("rb", buffering=0) as memory:
        for file, start in _files(place):
            if not wanted:
                break
            try:
                image = file.read_bytes()
                functions = list(_functions(image, wanted, start))
            except (OSError, struct.error, IndexError):
                continue
            for name, address, code in functions:
                memory.seek(address)
                if name in wanted and memory.read(len(code)) == code:
                    found[name] = address
                    wanted.discard(name)
    if wanted:
        raise NoSuchFunction(min(wanted))
    return found


def _files(place: Path) -> Iterator[tuple[Path, int]]:
    """The program first, then Python's and C's libraries; each with where its beginning is in memory."""
    program = str((place / "exe").readlink())
    starts: dict[str, int] = {}
    for line in (place / "maps").read_text(errors="surrogateescape").splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and words[5].startswith("/") and int(words[2], 16) == 0:
            starts.setdefault(words[5], int(words[0].partition("-")[0], 16))
    for path in sorted(starts, key=lambda path: (path != program, "python" not in path)):
        name = path.rpartition("/")[2]
        if path == program:
            yield place / "exe", starts[path]  # what runs, also where the path is another file by now
        elif name.startswith(("libpython", "libc.", "libc-", "ld-musl")):
            yield place / "root" / path.lstrip("/"), starts[path]


def _functions(image: bytes, names: set[str], start: int) -> Iterator[tuple[str, int, bytes]]:
    """Name, address and first bytes, of a 64-bit little-endian file."""
    if image[:6] != b"\x7fELF\x02\x01":
        return
    (kind,) = struct.unpack_from("<H", image, 16)
    segments = list(_segments(image))
    bias = 0 if kind == _FIXED or not segments else start - (segments[0].address & ~0xFFF)
    for name, address, size in _dynamic_symbols(image, names):
        for segment in segments:
            if segment.address <= address < segment.address + segment.size:
                offset = address - segment.address + segment.offset
                yield name, bias + address, image[offset : offset + max(1, min(size, _COMPARED))]


def _segments(image: bytes) -> Iterator[Segment]:
    (table,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for number in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", image, table + number * size)
        if kind == _LOAD:
            yield Segment(offset, address, length)


def _dynamic_symbols(image: bytes, names: set[str]) -> Iterator[tuple[str, int, int]]:
    """Name, value and size of those that are defined here."""
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    wanted = {name.encode(): name for name in names}
    for number in range(count):
        section = struct.unpack_from("<IIQQQQIIQQ", image, table + number * size)
        if section[1] != _DYNSYM:
            continue
        (texts,) = struct.unpack_from("<Q", image, table + section[6] * size + 24)
        for entry in range(section[4], section[4] + section[5], 24):
            text, info, _, where, value, length = struct.unpack_from("<IBBHQQ", image, entry)
            if where and info & 0xF == _FUNCTION:
                begin = texts + text
                name = image[begin : image.index(b"\0", begin)]
                if name in wanted:
                    yield wanted[name], value, length
