"""Guard expressions over a frame, in a closed grammar.

Dynamo states symbolic shapes and aliasing as Python text over `L` (locals) and `G` (globals), for example
"L['x'].size()[0] == 2*L['y'].size()[0]". `parse` turns such a text into nested tuples of plain values that a package can
hold, and refuses whatever is not on the list below; `render` is its inverse.

    ("name", n)  n one of NAMES           ("const", value)            ("attr", expression, name)
    ("item", expression, index)           ("call", function, args...)  ("unary", operator, operand)
    ("binary", operator, left, right)     ("bool", operator, operands...)
    ("compare", left, (operator, right), ...)                          ("import", module)
    ("if", condition, value, other)
"""

from __future__ import annotations

import ast
from typing import Any

from ...errors import CorruptPackageError, NotPortableError

Expression = tuple[Any, ...]

# What a guard's text may name: the frame, and the functions that torch puts into the scope of its guards.
NAMES = frozenset(
    {
        "L",
        "G",
        "math",
        "torch",
        "inf",
        "IsNonOverlappingAndDenseIndicator",
        "cast_symbool_to_symint_guardless",
        "___as_tensor",
        "___dataclass_fields",
        "___dict_contains",
        "___from_numpy",
        "___get_current_stream",
        "___get_torch_function_mode_stack_at",
        "___namedtuple_fields",
        "___odict_getitem",
        "___tuple_iterator_getitem",
        "___tuple_iterator_len",
        "___list_reverseiterator_backing_list",
        "___list_reverseiterator_len",
        "__math_isnan",
        "abs",
        "dict",
        "float",
        "getattr",
        "hasattr",
        "int",
        "len",
        "list",
        "max",
        "min",
        "str",
        "round",
        "tuple",
        "type",
    }
)
# What it may call: those of them that are functions or types, methods that read what an object is made of, and the functions
# of `math` and of torch's symbols. Any other call could be of anything that the program or Python has.
_FUNCTIONS = NAMES - {"L", "G", "math", "torch", "inf"}
_METHODS = frozenset(
    {
        "__getitem__",
        "__neg__",
        "__obj_flatten__",
        "__tensor_flatten__",
        "_type",
        "get_base",
        "item",
        "items",
        "keys",
        "qualified_name",
        "size",
        "storage_offset",
        "stride",
        "values",
    }
)
_UNARY = {ast.Not: "not", ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}
_BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
_BOOL = {ast.And: "and", ast.Or: "or"}
_COMPARE = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


def is_called(function: Expression, arguments: int) -> bool:
    """Returns whether `function` is one that an expression may call with so many arguments."""
    match function:
        case ("name", name):
            return name in _FUNCTIONS
        case ("attr", ("name", "math"), str()):
            return True
        case ("attr", ("name", "torch"), str(name)):
            return name == "device" or name.startswith(("sym_", "_sym_"))
        case ("attr", _, str(name)):
            return name in _METHODS
        case ("item", ("name", "G"), ("const", str(name))):  # a weak reference, under a name that Dynamo made
            return arguments == 0 and name.startswith("__")
    return False


def parse(text: str) -> Expression:
    """The expression of one guard's text. NotPortableError, quoting the part that the grammar does not have."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise NotPortableError(f"guard expression is not an expression: {text!r}") from error
    return _parse(tree.body)


def _parse(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return ("const", value)
        case ast.Name(id=name) if name in NAMES:
            return ("name", name)
        case ast.Attribute(value=base, attr=attr):
            return ("attr", _parse(base), attr)
        case ast.Subscript(value=base, slice=index):
            return ("item", _parse(base), _parse(index))
        case ast.Call(func=ast.Name(id="__import__"), args=[ast.Constant(value=str(module))], keywords=[]):
            return ("import", module)
        case ast.Call(func=function, args=args, keywords=[]) if is_called(_parse(function), len(args)):
            return ("call", _parse(function), *map(_parse, args))
        case ast.UnaryOp(op=unary, operand=operand):
            return ("unary", _UNARY[type(unary)], _parse(operand))
        case ast.BinOp(left=left, op=binary, right=right) if type(binary) in _BINARY:
            return ("binary", _BINARY[type(binary)], _parse(left), _parse(right))
        case ast.BoolOp(op=boolean, values=values):
            return ("bool", _BOOL[type(boolean)], *map(_parse, values))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            return ("compare", _parse(left), *((_COMPARE[type(op)], _parse(r)) for op, r in zip(ops, rights, strict=True)))
        case ast.IfExp(test=condition, body=value, orelse=other):
            return ("if", _parse(condition), _parse(value), _parse(other))
    raise NotPortableError(f"guard expression uses {ast.unparse(node)!r}, which a package cannot hold")


def names(expression: Expression) -> set[str]:
    """Those of NAMES that `expression` uses."""
    if expression[0] == "name":
        return {expression[1]}
    return {name for part in expression if isinstance(part, tuple) for name in names(part)}


def render(expression: Expression) -> str:
    """Python text of `expression`. CorruptPackageError for what `parse` cannot have made."""
    match expression:
        case ("const", None | bool() | int() | float() | str() | bytes() as value):
            return repr(value)
        case ("name", str(name)) if name in NAMES:
            return name
        case ("attr", tuple(base), str(attr)) if attr.isidentifier():
            return f"{render(base)}.{attr}"
        case ("item", tuple(base), tuple(index)):
            return f"{render(base)}[{render(index)}]"
        case ("import", str(module)) if all(part.isidentifier() for part in module.split(".")):
            return f"__import__({module!r})"
        case ("call", tuple(function), *args) if is_called(function, len(args)):
            return f"{render(function)}({', '.join(map(render, args))})"
        case ("unary", str(op), tuple(operand)) if op in _UNARY.values():
            return f"({op} {render(operand)})"
        case ("binary", str(op), tuple(left), tuple(right)) if op in _BINARY.values():
            return f"({render(left)} {op} {render(right)})"
        case ("bool", str(op), *operands) if op in _BOOL.values() and operands:
            return "(" + f" {op} ".join(map(render, operands)) + ")"
        case ("compare", tuple(left), *pairs) if pairs and all(op in _COMPARE.values() for op, _ in pairs):
            return "(" + render(left) + "".join(f" {op} {render(right)}" for op, right in pairs) + ")"
        case ("if", tuple(condition), tuple(value), tuple(other)):
            return f"({render(value)} if {render(condition)} else {render(other)})"
    raise CorruptPackageError(f"not a guard expression: {expression!r:.80}")
