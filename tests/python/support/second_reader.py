"""A second implementation of docs/format.md, written from that page alone: it shares nothing with coldframe.

`read(data)` gives the manifest as a dict, with parts in place of their numbers. Values are plain Python where Python has the
kind and keeps all of it; the rest are the named tuples below.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import zstandard

Read = Callable[[Any], Any]  # from a CBOR item to what it means


class Map(NamedTuple):
    pairs: list[tuple[Any, Any]]


class Tag(NamedTuple):
    number: int
    content: Any


class Dict(NamedTuple):
    items: tuple[Any, ...]  # key, value, key, value, ...


class Set(NamedTuple):
    items: tuple[Any, ...]
    frozen: bool


class Slice(NamedTuple):
    start: Any
    stop: Any
    step: Any


class Range(NamedTuple):
    start: Any
    stop: Any
    step: Any


class ImportRef(NamedTuple):
    module: str
    qualname: str


class Construct(NamedTuple):
    module: str
    qualname: str
    args: tuple[Any, ...]


class Code(NamedTuple):
    fields: dict[str, Any]


MAGIC = bytes.fromhex("894346500d0a1a0a")
PARTS = {1: "manifest", 2: "code", 3: "guards", 4: "blob"}
ACCESSORS = "si s s v v i i i i i i v - s - - - - - - - - - - i - i i st"  # from 1: the types of the operands
CHECKS = "v v v i i bv bv t s - - - - - - iv iiiv v v i i d dld v t dv st"  # from 64
GUARDS = dict(enumerate(ACCESSORS.split(), 1))
GUARDS |= enumerate(CHECKS.split(), 64)
GUARDS |= {128: "-", 129: "t", 130: "i", 131: "t", 192: "-", 193: "-"}
TYPES = {"s": str, "i": int, "b": bool, "t": tuple, "l": list, "d": Dict, "v": object}


class CorruptError(Exception):
    pass


class UnsupportedError(Exception):
    pass


class Array(tuple[Any, ...]):
    spans: list[bytes]  # the encodings of its items


def need(condition: bool, message: str) -> None:
    if not condition:
        raise CorruptError(message)


class Cbor:
    """Section 6: one item, strictly."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.count = data, 0, 0

    def take(self, count: int) -> bytes:
        need(count <= len(self.data) - self.at, "cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def span(self, depth: int) -> tuple[Any, bytes]:
        start = self.at
        return self.item(depth), self.data[start : self.at]

    def item(self, depth: int = 0) -> Any:
        self.count += 1
        need(self.count <= 4194304 and depth < 800, "too many items, or nested too deeply")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        need(info < 28, "indefinite or reserved")
        size = 1 << (info - 24) if info >= 24 else 0
        number = int.from_bytes(self.take(size), "big") if size else info
        need(major == 7 or not size or number >= (24 if size == 1 else 1 << 4 * size), "not the shortest head")
        if major < 2:
            return -1 - number if major else number
        if major < 4:
            return self.take(number) if major == 2 else text(self.take(number), "strict")
        if major == 4:
            pairs = [self.span(depth + 1) for _ in range(number)]
            array = Array(item for item, _ in pairs)
            array.spans = [span for _, span in pairs]
            return array
        if major == 5:
            entries = [(*self.span(depth + 1), self.item(depth + 1)) for _ in range(number)]
            need(all(a[1] < b[1] for a, b in itertools.pairwise(entries)), "keys out of order")
            return Map([(key, value) for key, _, value in entries])
        if major == 7:
            need(info in (20, 21, 22, 27), "unknown simple value")
            return struct.unpack("<d", number.to_bytes(8, "little"))[0] if info == 27 else [False, True, None][info - 20]
        content = self.item(depth + 1)
        if number != 0xCF01:
            return Tag(number, content)
        need(type(content) is bytes, "not a string")
        result = text(content, "surrogatepass")
        need(any("\ud800" <= char <= "\udfff" for char in result), "no surrogates")
        return result


def text(data: bytes, errors: str) -> str:
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise CorruptError("not UTF-8") from error


def document(data: bytes, read: Read) -> Any:
    cbor = Cbor(data)
    item = cbor.item()
    need(cbor.at == len(data), "bytes follow the end")
    return read(item)


# Readers of items: exactly of one type, or arrays, structures and maps of others.


def of(kind: type, test: Callable[[Any], bool] = lambda item: True) -> Read:
    def read(item: Any) -> Any:
        need(type(item) is kind and test(item), f"no {kind.__name__}")
        return item

    return read


string, boolean, real, raw_bytes = of(str), of(bool), of(float), of(bytes)
integer = of(int, lambda item: -(1 << 63) <= item < 1 << 63)
unsigned = of(int, lambda item: 0 <= item < 1 << 64)
digest = of(bytes, lambda item: len(item) == 32)


def array(read: Read) -> Read:
    return lambda item: tuple(map(read, of(Array)(item)))


def row(*reads: Read) -> Read:
    return lambda item: tuple(read(x) for read, x in zip(reads, of(Array, lambda a: len(a) == len(reads))(item), strict=True))


def structure(**reads: Read) -> Read:
    def read(item: Any) -> dict[str, Any]:
        pairs = of(Map)(item).pairs
        need([key for key, _ in pairs] == list(range(len(reads))) and all(type(key) is int for key, _ in pairs), "other fields")
        return {name: read(value) for (name, read), (_, value) in zip(reads.items(), pairs, strict=True)}

    return read


def string_map(read: Read) -> Read:
    return lambda item: {string(key): read(value) for key, value in of(Map)(item).pairs}


def value(item: Any, level: int = 1) -> Any:
    """Section 7."""
    need(level <= 256 and type(item) is not Map, "nested too deeply, or a map")
    inner: Read = lambda item: value(item, level + 1)  # noqa: E731
    if type(item) is Array:
        return tuple(map(inner, item))
    if type(item) is not Tag:
        return item
    content = item.content
    spans = content.spans if type(content) is Array else []
    match item.number:
        case 2 | 3:
            need(type(content) is bytes and len(content) > 8 and content[0] != 0, "a bignum that needs none")
            number = int.from_bytes(content, "big")
            return number if item.number == 2 else -1 - number
        case 0xCF00:
            need(content is None, "not null")
            return ...
        case 0xCF02:
            return complex(*row(real, real)(content))
        case 0xCF03:
            return list(array(inner)(content))
        case 0xCF04:
            need(len(spans) % 2 == 0 and len(set(spans[::2])) == len(spans) // 2, "not a dict")
            return Dict(array(inner)(content))
        case 0xCF05 | 0xCF06:
            need(all(a < b for a, b in itertools.pairwise(spans)), "not in order")
            return Set(array(inner)(content), item.number == 0xCF06)
        case 0xCF07:
            return Slice(*row(inner, inner, inner)(content))
        case 0xCF08:
            return Range(*row(inner, inner, inner)(content))
        case 0xCF09:
            ints = dict.fromkeys(["argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize", "flags"], integer)
            names = dict.fromkeys(["names", "varnames", "freevars", "cellvars"], array(string))
            ends = {"name": string, "qualname": string, "exceptiontable": raw_bytes}
            places = {"filename": string, "firstlineno": integer, "linetable": raw_bytes}
            return Code(structure(**ints, code=raw_bytes, consts=array(inner), **names, **ends, **places)(content))
        case 0xCF0A:
            return ImportRef(*row(string, string)(content))
        case 0xCF0B:
            return Construct(*row(string, string, array(inner))(content))
    raise CorruptError(f"unknown tag {item.number}")


def guards(item: Any) -> list[dict[str, Any]]:
    """Section 8: ops, with their texts in place of numbers."""
    nullable: Callable[[Read], Read] = lambda read: lambda item: None if item is None else read(item)  # noqa: E731
    example = row(unsigned, unsigned, boolean, nullable(integer), boolean)
    op = row(unsigned, array(unsigned), array(value), unsigned, array(unsigned), nullable(example))
    program = structure(strings=array(string), ops=array(op))(item)
    strings, used, nodes, ops = program["strings"], 0, 1, []
    for kind, inputs, operands, source, explanations, shown in program["ops"]:
        need(kind in GUARDS, "unknown guard kind")
        accessor, types = kind < 64, GUARDS[kind].strip("-")
        allowed = {128: [2], 129: range(1, 1 << 32), 130: range(1, 1 << 32), 131: range(1 << 32)}.get(kind, [1])
        need(len(inputs) in allowed and all(node < nodes for node in inputs), "wrong inputs")
        need(len(operands) == len(types), "another number of operands")
        need(all(isinstance(x, TYPES[t]) for x, t in zip(operands, types, strict=True)), "operands of other types")
        need(not any(type(x) is bool for x, t in zip(operands, types, strict=True) if t == "i"), "a bool for an int")
        need(not any(type(x) is not tuple for x, t in zip(operands, types, strict=True) if t == "t"), "no tuple")
        need(accessor or shown is None, "an example of nothing")
        for number in (source, *explanations, *(shown[:2] if shown else ())):
            need(number <= used and number < len(strings), "strings out of order")
            used = max(used, number + 1)
        ops.append({"kind": kind, "inputs": inputs, "operands": operands, "source": strings[source]})
        ops[-1] |= {"result": nodes if accessor else None, "explanations": tuple(strings[i] for i in explanations)}
        ops[-1]["example"] = shown and (strings[shown[0]], strings[shown[1]], *shown[2:])
        nodes += accessor
    need(used == len(strings) == len(set(strings)), "unused or equal strings")
    return ops


def read(data: bytes) -> dict[str, Any]:
    """Section 9."""
    parts = read_parts(data)

    def part(kind: str, read: Read) -> Read:
        def get(item: Any) -> Any:
            number = unsigned(item)
            need(number < len(parts) and parts[number][0] == kind, f"part {number} is no {kind}")
            return read(parts[number][1])

        return get

    code = part("code", lambda raw: of(Code)(document(raw, value)))
    strings = array(string)
    names = ["python_implementation", "python_version", "python_magic", "soabi", "torch_version", "torch_git"]
    texts = dict.fromkeys([*names, "device_type", "machine", "libc"], string)
    environment = structure(**texts, cpu_features=strings, device=string_map(string), settings=string_map(value))
    function = structure(qualname=string, code=digest, first_line=integer, last_line=integer)
    guarded = structure(
        guards=part("guards", lambda raw: document(raw, guards)),
        dynamo_code=code,
        backend_ids=strings,
        compile_seconds=real,
        details=lambda item: of(Dict)(value(item)),
    )
    entry = structure(
        python_code=code,
        module=string,
        role=of(int, lambda item: 0 <= item <= 2),
        function_names=strings,
        code_source=string,
        guarded_codes=array(guarded),
        import_sources=string_map(string),
        installed_globals=array(row(string, value)),
        backend_ids=strings,
        bypassed=boolean,
        bypass_reason=string,
        skipped=boolean,
    )
    blob = row(string, part("blob", lambda raw: raw))
    package = structure(
        key=structure(module=string, qualname=string, code=digest, options=digest),
        environment=environment,
        sources=array(structure(module=string, path_hint=string, digest=digest, functions=array(function))),
        codes=array(entry),
        artifacts=array(structure(backend_id=string, kind=string, recipe=value, blobs=array(blob))),
        producer=string,
        created=integer,
        compile_seconds=real,
    )
    return document(parts[0][1], package)


def read_parts(data: bytes) -> list[tuple[str, bytes]]:
    """Sections 1 to 4."""
    need(data[:8] == MAGIC and len(data) >= 128, "no package, or a truncated one")
    need(hashlib.sha256(data[:96]).digest() == data[96:128], "the header is damaged")
    major, minor, header_size, size, table_at, count, entry_size = struct.unpack_from("<HHIQQII", data, 8)
    if (major, minor) != (1, 0):
        raise UnsupportedError(f"version {major}.{minor}; this reader is for 1.0")
    need((header_size, table_at, entry_size, data[40:64]) == (128, 128, 96, bytes(24)), "the header is wrong")
    need(size == len(data) and 1 <= count <= 65536 and 128 + 96 * count <= size, "truncated, or something follows")
    table = data[128 : 128 + 96 * count]
    need(hashlib.sha256(table).digest() == data[64:96], "the table is damaged")
    parts, end = [], 128 + 96 * count
    for number in range(count):
        kind, codec, offset, stored_size, raw_size, stored_digest, raw_digest = struct.unpack_from(
            "<IIQQQ32s32s", table, 96 * number
        )
        need(offset == -(-end // 64) * 64 and not any(data[end:offset]), f"entry {number} does not follow the one before")
        end = offset + stored_size
        stored = data[offset:end]
        need(kind in PARTS and (kind == 1) == (number == 0) and codec < 2, f"entry {number} has an unknown kind or codec")
        need(raw_size <= (64 << 30 if kind == 4 else 64 << 20), f"entry {number} is too large")
        need(hashlib.sha256(stored).digest() == stored_digest and len(stored) == stored_size, f"entry {number} is damaged")
        need(not codec or raw_size <= (64 << 20) + 256 * stored_size, f"entry {number} is compressed more than a part may be")
        raw = unpack(stored, raw_size) if codec else stored
        need(len(raw) == raw_size and hashlib.sha256(raw).digest() == raw_digest, f"entry {number} is damaged")
        parts.append((PARTS[kind], raw))
    need(end == size, "bytes follow the last entry")
    return parts


def unpack(stored: bytes, raw_size: int) -> bytes:
    need(len(stored) < raw_size, "compressed, and not smaller for it")
    try:
        need(zstandard.frame_content_size(stored) == raw_size, "another size")
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptError(str(error)) from error
