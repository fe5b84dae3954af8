"""SHA-256 (FIPS 180-4) without `hashlib`, which brings OpenSSL: 4 MiB and 4 ms in a program that has no other use for it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def _find() -> Callable[[bytes], Any]:
    for module in ("_sha2", "_sha256", "hashlib"):  # from 3.12 on, before it, and where neither was built
        try:
            found: Callable[[bytes], Any] = import_module(module).sha256
        except ImportError:
            continue
        return found
    raise ImportError("hashlib")


_sha256 = _find()


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    digest: str = _sha256(content).hexdigest()
    return digest
