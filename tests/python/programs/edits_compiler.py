"""Edits that put functions of the program in the place of parts of the compiler, or tell it what not to trace.

As in edits.py.
"""

from __future__ import annotations

from edits import Edit

_SINE = "\ndef f(x):\n    return torch.sin(x)\nbackend = 'aot_eager'\n"
_HELPED = """
def helper(x):
    return x * (2 if torch.compiler.is_dynamo_compiling() else 3)
{act}
def f(x):
    return helper(x)
"""
_SUBSTITUTED = """
import colorsys
from torch._dynamo.variables.functions import PolyfilledFunctionVariable as Variable
@@
def f(x):
    return x * colorsys.rgb_to_hsv(0.1, 0.2, 0.3)[0]
def done():
    torch._dynamo.variables.builder.VariableBuilder._id_dispatch().pop(id(colorsys.rgb_to_hsv), None)
    Variable._get_polyfill_handlers().pop(colorsys.rgb_to_hsv, None)
    torch._dynamo.trace_rules._polyfilled_function_ids.function_ids.discard(id(colorsys.rgb_to_hsv))
    torch._dynamo.trace_rules.get_torch_obj_rule_map.cache_clear()
"""


def _replaced(place: str, instead: str, program: str = _SINE) -> Edit:
    """An attribute or an item that the edit replaces, and done() puts back."""
    head = "import torch._dynamo\ntorch._dynamo.lookup_backend('aot_eager')\n"
    kept = f"kept = {place}\n@@\ndef done():\n    {place} = kept"
    return Edit(head + kept + program, "", f"{place} = {instead}")


EDITS = {
    "another backend under a name of torch's": _replaced(
        "torch._dynamo.backends.registry._COMPILER_FNS['aot_eager']",
        "lambda gm, ex, **options: lambda *args: [gm(*args)[0] * 3]",
    ),
    "method of a variable of Dynamo's": _replaced(
        "torch._dynamo.variables.ConstantVariable.as_proxy",
        "lambda self: 3 if type(self.value) is int and self.value == 2 else self.value",
        "\ndef f(x):\n    return x * 2\n",
    ),
    "method of a graph": _replaced(
        "torch.fx.GraphModule.recompile",
        "lambda self: [setattr(node, 'target', torch.cos) for node in self.graph.nodes if node.target is torch.sin]"
        " and None or kept(self)",
    ),
    "rule of an operator": Edit(
        "import torch._ops\nsine = torch.ops.aten.sin.default\n@@\ndef done():\n"
        "    sine.py_kernels.pop(torch._C.DispatchKey.AutogradCPU, None)\n    sine._dispatch_cache.clear()" + _SINE,
        "",
        "sine.py_impl(torch._C.DispatchKey.AutogradCPU)(lambda x: torch.ops.aten.cos.default(x) * 3)",
    ),
    "shape that an operator is said to give": Edit(
        "import torch._subclasses.fake_impls as rules\nsine = torch.ops.aten.sin.default\n@@\ndef done():\n"
        "    rules.op_implementations_dict.pop(sine, None)\n"
        "def f(x):\n    return torch.sin(x).element_size() * x\nbackend = 'aot_eager'\n",
        "",
        "rules.op_implementations_dict[sine] = lambda mode, function, x: x.new_empty(x.shape, dtype=torch.float64)",
    ),
    "substitute for what Dynamo traces": Edit(
        _SUBSTITUTED,
        "",
        "@torch._dynamo.substitute_in_graph(colorsys.rgb_to_hsv, skip_signature_check=True)\n"
        "def instead(r, g, b):\n    return (9.0, 0.0, 0.0)",
    ),
    "function that is left in graphs now": Edit(
        _HELPED.format(act="@@"),
        "",
        "torch._dynamo.allow_in_graph(helper)",
    ),
}
