"""The C++ core as Python sees it. Conversion and forwarding only; the meaning lives in src/coldframe."""

import os
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

from coldframe.fsspec_remote import RemoteBlobs

__version__: str

@final
class ImportRef:
    """An object by name: importing `module` and walking the dotted `qualname` yields it; the module itself when empty."""

    def __init__(self, module: str, qualname: str = "") -> None: ...
    @property
    def module(self) -> str: ...
    @property
    def qualname(self) -> str: ...
    def resolve(self) -> Any:
        """The object now. Imports the module. Raises IncompatiblePackageError when it is not there (any more)."""
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Construct:
    """The call of an importable object on values, for example torch.device("cpu")."""

    def __init__(self, callee: ImportRef, args: tuple[Any, ...]) -> None: ...
    @property
    def callee(self) -> ImportRef: ...
    @property
    def args(self) -> tuple[Any, ...]: ...
    def resolve(self) -> Any: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

def import_ref(obj: object) -> ImportRef:
    """The reference that yields exactly `obj` again, checked by resolving it: a module (of sys.modules), a class, a
    function, a builtin, a code object of an importable function ("f.__code__"), an enum member, a torch dtype, layout or
    memory format. Raises NotPortableError with the reason, for example for an object of a `<locals>` scope."""

def portable(value: Any, *, resolve: bool = False) -> Any:
    """`value` as a package holds it: decode(encode(value), resolve=resolve). Raises NotPortableError as `encode` does."""

def same(one: Any, other: Any) -> bool:
    """True if both have one encoding: NaN is like itself, 1 is not like True. Raises NotPortableError as `encode` does."""

def encode(value: Any) -> bytes:
    """The canonical encoding of `value`. Raises NotPortableError for what no Value can hold (naming the type and path)."""

def decode(data: bytes, *, resolve: bool = True) -> Any:
    """The inverse of encode. resolve=False leaves references as they are. CorruptPackageError if not canonical."""

def resolve(value: Any) -> Any:
    """`value` with every ImportRef and Construct in it, at any depth, replaced by what it stands for."""

def digest(value: Any) -> bytes:
    """SHA-256 of encode(value): 32 bytes."""

@final
class CodeObject:
    """A code object, field by field; from_code and to_code are memoised and inverse to each other."""

    @staticmethod
    def from_code(code: types.CodeType) -> CodeObject: ...
    @staticmethod
    def from_fields(fields: Mapping[str, Any]) -> CodeObject:
        """All co_* fields of the running CPython (without the prefix "co_"); nested code as CodeObject or code."""
    def to_code(self) -> types.CodeType: ...
    def replace(self, **fields: Any) -> CodeObject:
        """A copy with other fields, by the names of `fields` (names=, consts=, ...)."""
    def renamed(self, names: Mapping[str, str]) -> CodeObject:
        """A copy that reads other globals (old name: new name), nested code included."""
    def without_directories(self) -> CodeObject:
        """With the last part of each path for a file name, in nested code too: the same on every host."""
    @staticmethod
    def portable(code: types.CodeType) -> CodeObject:
        """from_code(code).without_directories(), memoised: its to_code gives `code`, as long as that lives."""
    def lives_as(self, code: types.CodeType) -> None:
        """From now on to_code gives `code`, as long as that lives, and portable(code) is this."""
    @property
    def fields(self) -> dict[str, Any]:
        """argcount, posonlyargcount, ... as Python values; nested code in `consts` as CodeObject."""
    @property
    def digest(self) -> bytes: ...
    @property
    def semantic_digest(self) -> bytes: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class GuardOp:
    @property
    def kind(self) -> str: ...
    @property
    def role(self) -> str:
        """accessor, check, relation or mark."""
    @property
    def inputs(self) -> list[int]: ...
    @property
    def result(self) -> int | None: ...
    @property
    def operands(self) -> tuple[Any, ...]:
        """Python values; references unresolved (ImportRef, Construct)."""
    @property
    def source(self) -> str: ...
    @property
    def explanations(self) -> list[str]: ...
    @property
    def example(self) -> tuple[ImportRef | None, bool, int | None, bool] | None:
        """(type or None, immutable, dict length or None, guarded on key order) of an accessor's value; None for other ops."""

@final
class GuardProgram:
    def __init__(self) -> None: ...
    def add(
        self,
        kind: str,
        inputs: Sequence[int],
        operands: tuple[Any, ...] = (),
        source: str = "",
        explanations: Sequence[str] = (),
        example: tuple[ImportRef | None, bool, int | None, bool] | None = None,
    ) -> int | None:
        """Appends an op; the new node of an accessor, else None. InvalidArgumentError, NotPortableError."""
    def renamed(self, names: Mapping[str, str]) -> GuardProgram:
        """A copy over other globals (old name: new name), in operands and in texts."""
    def global_names(self) -> set[str]:
        """Returns the names of the globals that it reads."""
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(data: bytes) -> GuardProgram:
        """CorruptPackageError; UnsupportedPackageError for a kind of guard that this build does not know."""
    @property
    def ops(self) -> list[GuardOp]: ...
    def __getitem__(self, number: int) -> GuardOp: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

def guard_kinds() -> list[tuple[int, str, str, int, int, int]]:
    """(number, name, role, operands, min inputs, max inputs) of every kind."""

@final
class GuardedCode:
    def __init__(
        self,
        guards: GuardProgram,
        dynamo_code: CodeObject,
        backend_ids: Sequence[str] = (),
        compile_seconds: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None: ...
    @property
    def guards(self) -> GuardProgram: ...
    @property
    def dynamo_code(self) -> CodeObject: ...
    @property
    def backend_ids(self) -> list[str]: ...
    @property
    def compile_seconds(self) -> float: ...
    @property
    def details(self) -> dict[str, Any]:
        """References unresolved."""

@final
class CodeEntry:
    """One code object that Dynamo compiled. Attributes may be assigned; lists are copies: assign a whole one to change it."""

    def __init__(self, python_code: CodeObject, module: str, role: str = "entry") -> None:
        """role: entry, resume or user_function."""
    python_code: CodeObject
    module: str
    role: str
    function_names: list[str]
    code_source: str
    guarded_codes: list[GuardedCode]
    import_sources: dict[str, str]
    installed_globals: dict[str, Any]
    """name -> recipe; references unresolved."""
    backend_ids: list[str]
    bypassed: bool
    bypass_reason: str
    skipped: bool
    """torch found nothing to compile in it, and runs it as it is from then on."""
    def add_guarded_code(self, guarded_code: GuardedCode) -> None: ...
    def __copy__(self) -> CodeEntry: ...

@final
class SourceFile:
    def __init__(self, module: str, path_hint: str, digest: bytes, functions: Sequence[tuple[str, bytes, int, int]]) -> None:
        """functions: (qualname, semantic code digest, first line, last line)."""
    @property
    def module(self) -> str: ...
    @property
    def path_hint(self) -> str: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def functions(self) -> list[tuple[str, bytes, int, int]]: ...

@final
class Blob:
    """Named bytes; read and verified on first use when they lie in a file."""

    def __init__(self, name: str, data: bytes) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def digest(self) -> bytes: ...
    def read(self) -> bytes:
        """Verified bytes. CorruptPackageError."""

@final
class Artifact:
    def __init__(self, backend_id: str, kind: str, recipe: Any, blobs: Sequence[Blob] = ()) -> None: ...
    @property
    def backend_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def recipe(self) -> Any:
        """References unresolved."""
    @property
    def blobs(self) -> list[Blob]: ...

@final
class Package:
    def __init__(self) -> None: ...
    key: tuple[str, str, bytes, bytes]
    """(module, qualname, semantic digest of the code, digest of the options)."""
    environment: dict[str, Any]
    """The fields of Environment by name; `cpu_features` a list, `device` and `settings` dicts; references unresolved."""
    sources: list[SourceFile]
    codes: list[CodeEntry]
    artifacts: list[Artifact]
    producer: str
    created: int
    compile_seconds: float
    def merge(self, other: Package) -> None: ...
    def __copy__(self) -> Package: ...
    def write(self, path: str | os.PathLike[str]) -> int:
        """Writes atomically; the size in bytes. PackageIOError, NoSpaceError: the previous file is intact, nothing is left."""
    @staticmethod
    def open(path: str | os.PathLike[str]) -> Package:
        """Reads and verifies header, table and manifest; blobs lazily. Errors: see coldframe.errors."""
    def to_bytes(self) -> bytes:
        """Returns what `write` would put into a file."""
    @staticmethod
    def from_bytes(data: bytes, name: str = "package") -> Package:
        """As `open`, from memory; `name` stands for the path in errors."""
    def verify(self) -> None:
        """Reads and verifies every blob."""
    def __iter__(self) -> Iterator[CodeEntry]: ...

PackageKey = tuple[str, str, bytes, bytes]

@final
class Flight:
    """A lock that one process holds while it compiles for others."""

    def end(self) -> None:
        """Those who wait go on: with what has been put meanwhile, or by themselves."""
    def forget(self) -> None:
        """In the child of a fork: the flight is its parent's alone."""

@final
class Store:
    """Packages by key, several variants a key, verified whenever they are read. May be used from many threads; a directory also
    from many processes and hosts. src/coldframe/store/store.hpp says what each function promises."""

    @staticmethod
    def open(
        path: str | os.PathLike[str] | None = None,
        *,
        read_only: bool = False,
        durability: str = "none",
        max_bytes: int = ...,
        min_free_bytes: int = ...,
        remote: str | RemoteBlobs | None = None,
        remote_read_only: bool = False,
        remote_patience: float = 0.25,
        remote_retry_after: float = 60.0,
        remote_slowest: int = ...,
    ) -> Store:
        """`path`: None for $COLDFRAME_DIR or the user's caches; it need not exist. `durability`: none, synced or verified.
        `max_bytes` 0: no limit. `remote`: a URL (docs/remote.md; others than those are fsspec's) or an object. A lookup waits
        `remote_patience` seconds for each answer of it, and for `remote_slowest` bytes a second; after failures it is not
        asked for `remote_retry_after` seconds. UntrustedPackageError for a directory that others may write,
        UnsupportedPackageError, InvalidArgumentError for a URL."""
    @staticmethod
    def in_memory(*, max_bytes: int = 0) -> Store: ...
    @property
    def path(self) -> str:
        """Empty: in memory."""
    @property
    def remote(self) -> str | None:
        """The URL, without anything secret."""
    @staticmethod
    def key_digest(key: PackageKey, structure: bytes | None = None) -> bytes: ...
    def get(
        self, key: PackageKey, structure: bytes | None = None
    ) -> tuple[list[tuple[bytes, Package]], list[tuple[str, str, str]]]:
        """Variants as (id, package), the last used first, and refusals as (name, code, message). No variant: a miss.
        `structure`: 32 bytes, for packages whose environment has that setting."""
    def join(
        self,
        key: PackageKey,
        structure: bytes | None = None,
        *,
        known: list[bytes] = ...,
        wait: float = 600.0,
        stalled: float = 5.0,
    ) -> tuple[str, Flight | None]:
        """Single flight. "leader" and its flight: compile, put, end the flight. "served": get again, a variant has come that is
        not in `known`. "alone": compile, nobody else does. Waits at most `wait` seconds; `stalled` for one that is stopped."""
    def put(self, package: Package) -> dict[str, Any]:
        """Under `package.key`. `key`, `id`, `added`, `bytes_written`. NoSpaceError, PackageIOError."""
    def publish(
        self, package: Package, structure: bytes, *, replaces: Sequence[bytes] = (), keep: int | None = None
    ) -> dict[str, Any]:
        """`put` for calls of one structure, 32 bytes; then removes the variants for such calls that it replaces, and the least
        recently used ones until no more than `keep` are left. Who is killed in between leaves a variant too many."""
    def remove(self, key: bytes, variant: bytes | None = None) -> int:
        """`key`: its digest. All variants of it, or the one; how many."""
    def trim(self, key: bytes, keep: int) -> int:
        """Removes the least recently used variants of a key until no more than `keep` are left; how many went."""
    def note_miss(self, function: str, reasons: list[str], why: str | None = None) -> None:
        """Says for people why something was compiled that was looked for here. `why`: absent, guard, environment, source or
        damaged, as which it is counted."""
    def misses(self) -> list[dict[str, Any]]:
        """Returns what was noted, the last first: `when` in seconds since the epoch, `function`, `reasons`."""
    def ls(self) -> list[dict[str, Any]]:
        """`key`, `id`, `name` (a PackageKey), `size` in bytes, `last_used` in seconds since the epoch, `compile_seconds`."""
    def gc(self, max_bytes: int | None = None, *, dry_run: bool = False) -> dict[str, Any]:
        """`busy`, `variants_before`, `bytes_before`, `evicted`, `swept`, `freed` and `pending_bytes`."""
    def fsck(self, *, repair: bool = False) -> dict[str, Any]:
        """`variants`, `objects` and `bytes` that are intact, `problems` as (path, code, message), `repaired`."""
    def stats(self) -> dict[str, Any]:
        """`variants`, `objects`, `bytes`, `quarantined`, `max_bytes`, and the counters of all processes by name."""
    def flush(self, deadline: float | None = None) -> bool:
        """Makes this process's counters known to others; done now and then by itself. With a deadline in seconds, waits for
        what is to be uploaded; whether all of it has gone."""

@final
class SharedLibrary:
    """A kernel's shared object, loaded from bytes under a path never used before in this process (RTLD_NOW | RTLD_LOCAL).
    One per digest and process."""

    @staticmethod
    def load(data: bytes, digest: bytes, name: str = "") -> SharedLibrary:
        """`digest`: SHA-256 of `data`, verified. CorruptPackageError, IncompatiblePackageError with the loader's message."""
    @staticmethod
    def load_blob(blob: Blob) -> SharedLibrary: ...
    @property
    def path(self) -> str: ...
    def python_module(self, module_name: str) -> types.ModuleType:
        """Runs PyInit_<module_name> and executes multi-phase initialisation: the module that importlib would give."""
    def symbol(self, name: str) -> int:
        """The address of a symbol. IncompatiblePackageError if absent."""

def portable_library(library: bytes, directories: Sequence[str]) -> bytes:
    """A shared library less what is there for debuggers alone, and with dots for the folders of source files that lie in
    `directories`. It loads and runs as before."""

def cpu_features() -> list[str]:
    """Instruction sets of this CPU by the kernel's names (avx2, fma, avx512f, ...), sorted."""

def libc_version() -> str:
    """For example "glibc 2.36"."""

Step = tuple[str, tuple[int, ...], int, Any, int]
"""(operation, inputs, result, operand, number): see src/python/guard_steps.hpp."""
Steps = Any  # that the core has made
_Steps = Sequence[Step] | Steps

def lower_guards(program: GuardProgram, names: tuple[str, ...], lazy: set[str], rare: object, before: list[Step]) -> Steps:
    """The steps of a program, after those that come before it: see src/python/guard_lowering.hpp."""

GUARD_OPERATIONS: dict[str, bool]
"""Every operation of a step, and whether it yields a value."""

def set_in_instance_dict(instance: Any, name: Any, value: Any) -> None:
    """As object.__setattr__ of an object whose class has no descriptor of that name."""

Reduction = tuple[int, list[int], bool]
_Variant = tuple[Sequence[Step] | Steps, Callable[..., Any], Callable[[], None] | None]

def library_of(function: object) -> str:
    """The name of the file, without folders, in which the code of a function of C lies; empty for anything else, and for what
    the interpreter itself defines."""

FUNCTIONS_OF_A_CODE: int

class FrameListener:
    """The functions that run on a thread, whoever calls them, between `start` and `stop`: of `files`, by how their names
    begin (the longest beginning decides, and where none fits, they are heard). What modules run while they are imported,
    finalizers and handlers of logs are left out. asked: what they asked of the world outside first, "open 'x.txt'", or ""."""

    asked: str
    classes: list[type]  # that they were given, or those of what they were given
    def __init__(self, files: dict[str, bool]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> list[types.FunctionType]:
        """The functions, in order of their first run, at most FUNCTIONS_OF_A_CODE of a code. RuntimeError: none was heard."""

def held_functions(files: dict[str, bool], modules: dict[str, bool]) -> list[tuple[Any, Any]]:
    """(key, function or what wraps it): what imported modules (by how their names begin) hold of functions of `files`."""

class GuardEngine:
    """Guards of one variant, by themselves."""
    def __init__(self, steps: _Steps) -> None: ...
    def check(self, names: tuple[str, ...], values: tuple[Any, ...], namespace: dict[str, Any]) -> int:
        """Runs the steps over a frame's locals; the number of the first one that refuses, -1 when all hold."""
    @property
    def reduction(self) -> Reduction | None:
        """Returns how many words of memory prove the guards, the positions of the steps that they cannot prove (these are
        evaluated at each call), and whether arguments of the graph are bound. None as long as all steps are evaluated."""

@final
class Dispatcher:
    """Serves a function's compiled variants; calls `miss` for what none serves."""

    def __init__(self, function: types.FunctionType, miss: Callable[..., Any], first: Any = ...) -> None:
        """first: an argument that goes before those of each call."""
    @property
    def names(self) -> tuple[str, ...]:
        """Names of the locals by number."""
    @property
    def reductions(self) -> list[Reduction | None]:
        """GuardEngine.reduction of each variant."""
    def set_plan(self, variants: Sequence[_Variant], /) -> None:
        """Replaces what is served: (steps, what is called, what hears of the first hit) of each variant."""
    def over_closure(self, closure: tuple[types.CellType, ...], miss: Callable[..., Any], /) -> Dispatcher:
        """The same variants for the function over other cells."""
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@final
class ModuleCall:
    """The __call__ of a class of modules: calls what the instance has in its dict under `key`. Where one of the dicts `others`,
    or of those that the instance has under the names `own`, is not empty, or where it has a forward of its own: calls
    call(instance, ...), which is also what the attribute is when it is read."""

    def __init__(
        self, key: str, own: tuple[str, ...], others: tuple[dict[Any, Any], ...], call: Callable[..., Any], /
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
