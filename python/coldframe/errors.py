"""The errors of packages. Each says what, where and what to do.

Explicit calls (`load`, `save`, `Package.open`) raise these; the automatic path counts and explains them as misses.
"""

from __future__ import annotations


class PackageError(RuntimeError):
    """Base of every error of coldframe. `code` is the C++ core's word for it: what the caller should do."""

    code = "internal"


class IncompatiblePackageError(PackageError):
    """Sound, but made for something else: another python, torch, CPU, setting or program."""

    code = "incompatible"


class SourceChangedError(IncompatiblePackageError):
    """A function that was compiled into the package is not the same any more."""


class CorruptPackageError(PackageError):
    """The bytes are not those that were written."""

    code = "corrupt"


class UntrustedPackageError(PackageError):
    """The file's owner, mode or signature does not allow running what is in it."""

    code = "untrusted"


class UnsupportedPackageError(PackageError):
    """Written by a newer coldframe."""

    code = "unsupported"


class PackageNotFoundError(PackageError, FileNotFoundError):
    """There is no such package, frame or blob."""

    code = "not_found"


class NotPortableError(PackageError):
    """Something that a package would need cannot be found again in another process."""

    code = "not_portable"


class PackageIOError(PackageError, OSError):
    """The file system refused."""

    code = "io"


class PackageTimeoutError(PackageError, TimeoutError):
    """Nothing came in time."""

    code = "timeout"


class NoSpaceError(PackageIOError):
    """The disk or quota is full."""

    code = "no_space"


class InvalidArgumentError(PackageError, ValueError):
    """The caller passed something that cannot be."""

    code = "invalid_argument"


class PackageStateError(InvalidArgumentError, AssertionError):
    """A method of a CompilePackage was called at the wrong time: before it has its function, or outside a compilation."""


class InternalError(PackageError):
    """A defect of coldframe: please report it."""


class MissError(PackageError):
    """No variant in the package serves this call, and `on_miss="error"` forbids compiling."""

    code = "incompatible"
