"""Any file system of fsspec (gs://, abfs://, sftp://, memory://, ...) as the remote of a store.

    store = _core.Store.open(remote="gs://bucket/coldframe")

Each call runs in a thread of its own and is given up after its timeout: file systems have deadlines of their own, or none.
"""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from coldframe.errors import InvalidArgumentError

MAX_STUCK = 4  # calls that were given up and have not ended yet


class RemoteBlobs(Protocol):
    """A remote of a store, as Python code gives it: named blobs. Each call may take `timeout` seconds; what comes is
    verified."""

    def get(self, name: str, timeout: float) -> bytes | None:
        """None: it is not there."""

    def has(self, name: str, timeout: float) -> bool: ...

    def put(self, name: str, data: bytes, timeout: float) -> None: ...


class FsspecRemote:
    """Named blobs below a URL. May be used from many threads, and after a fork.

    `options` are the file system's own. InvalidArgumentError when fsspec is absent or does not know the URL.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.name = url.split("?")[0].split("@")[-1]
        if "://" not in self.name:
            self.name = f"{url.split('://')[0]}://{self.name}"
        self._url = url
        self._options = options
        self._process = -1
        self._stuck = 0
        self._lock = threading.Lock()
        self._connect()

    def get(self, name: str, timeout: float) -> bytes | None:
        try:
            return bytes(self._call(lambda files, path: files.cat_file(path), name, timeout))
        except FileNotFoundError:
            return None

    def has(self, name: str, timeout: float) -> bool:
        return bool(self._call(lambda files, path: files.exists(path), name, timeout))

    def put(self, name: str, data: bytes, timeout: float) -> None:
        def write(files: Any, path: str) -> None:
            with suppress(Exception):  # where there are no directories there is nothing to make
                files.makedirs(posixpath.dirname(path), exist_ok=True)
            files.pipe_file(path, data)

        self._call(write, name, timeout)

    def _connect(self) -> None:
        try:
            import fsspec

            files, root = fsspec.core.url_to_fs(self._url, skip_instance_cache=True, use_listings_cache=False, **self._options)
        except (ImportError, ValueError) as error:
            raise InvalidArgumentError(f"no remote {self.name}: {type(error).__name__}; fsspec has to know it") from None
        self._files, self._root = files, root
        self._process = os.getpid()
        self._stuck = 0

    def _call(self, action: Callable[[Any, str], Any], name: str, timeout: float) -> Any:
        if self._process != os.getpid():  # its parent's connections and event loop are not a child's
            self._lock = threading.Lock()
            self._connect()
        if self._stuck >= MAX_STUCK:
            raise TimeoutError
        answer: list[Any] = []
        failure: list[BaseException] = []
        done = threading.Event()
        given_up = False

        def run() -> None:
            try:
                answer.append(action(self._files, posixpath.join(self._root, name)))
            except BaseException as error:
                failure.append(error)
            with self._lock:
                done.set()
                if given_up:
                    self._stuck -= 1

        threading.Thread(target=run, name="coldframe-fsspec", daemon=True).start()
        if not done.wait(timeout):
            with self._lock:
                if not done.is_set():
                    given_up = True
                    self._stuck += 1
                    raise TimeoutError
        if failure:
            raise failure[0]
        return answer[0]
