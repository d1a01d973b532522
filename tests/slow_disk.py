"""A disk that takes no more bytes for a while: SQLite's own writes to a file wait until they are let go.

SQLite lets tests replace the system calls that it makes (https://www.sqlite.org/c3ref/vfs.html). Here a write to a file
with a given ending waits in them, so everything above the disk is what runs in use.
"""

import _sqlite3
import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

POINTER = ctypes.c_void_p
SET_SYSTEM_CALL = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_char_p, POINTER)
WRITE_AT = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, POINTER, ctypes.c_size_t, ctypes.c_int64, use_errno=True)
UNUSED = 11
"""The methods between ``pAppData`` and ``xGetLastError``."""


class Vfs(ctypes.Structure):
    """``sqlite3_vfs`` as far as it is needed here."""

    _fields_ = [  # noqa: RUF012
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", POINTER),
        ("zName", ctypes.c_char_p),
        ("pAppData", POINTER),
        ("unused", POINTER * UNUSED),
        ("xGetLastError", POINTER),
        ("xCurrentTimeInt64", POINTER),
        ("xSetSystemCall", SET_SYSTEM_CALL),
    ]


class SlowDisk:
    """How many writes wait, and letting them go."""

    def __init__(self, ending: str) -> None:
        self._ending, self._go = ending, threading.Event()
        self.reached = threading.Event()

    def hold(self, descriptor: int) -> None:
        """Wait, if that is the file."""
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(self._ending):
            self.reached.set()
            self._go.wait(60)

    def let_go(self) -> None:
        """From now on the disk takes what it is given."""
        self._go.set()


@contextmanager
def slow_disk(ending: str = "-wal") -> Iterator[SlowDisk]:
    """Inside, each write of SQLite to a file with that ending waits until ``let_go``."""
    disk = SlowDisk(ending)
    write = WRITE_AT(("pwrite64", ctypes.CDLL(None, use_errno=True)))

    def slow_write(descriptor: int, data: int, num_bytes: int, offset: int) -> int:
        disk.hold(descriptor)
        num_written: int = write(descriptor, data, num_bytes, offset)
        return num_written

    slow = WRITE_AT(slow_write)
    find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    find.restype = POINTER
    vfs = find(None)
    replace = Vfs.from_address(vfs).xSetSystemCall
    names = [name for name in (b"pwrite", b"pwrite64") if replace(vfs, name, ctypes.cast(slow, POINTER)) == 0]
    assert names
    try:
        yield disk
    finally:
        disk.let_go()
        for name in names:
            replace(vfs, name, None)
