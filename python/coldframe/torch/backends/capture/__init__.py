"""Writing down what a graph was compiled to.

A recipe is {"format": 1, "root": node, "report": facts}, in Values only; bytes lie in blobs that it names.

A *node* is a dict that describes one callable, `node["node"]` saying which: a wrapper around another node (`forward`,
`runtime_wrapper`, `hooks_disabled`, `deduplicated`, `boxed`, `selected`, `torch_function_disabled`), code that AOTAutograd
generated (`generated`: code and globals), a compiled graph (`inductor`: code, kernels, constants; `fx`: code and attributes)
or a training graph (`native_autograd`, `autograd`: nodes of forward and backward, the latter None until it has been
compiled).

A *value* inside a node is written as itself where a Value can hold it; what cannot is a dict with a tag under "$": `dict`,
`tensor` (a blob), `callable` (a node), `stand_in` (a function of torch that restoring/stand_ins.py has too), `view_sequence`,
`tangent`, `state` (a dataclass of AOTAutograd) and, last, `pickle` (a blob, opened once its digest is verified).

Blobs: `kernel.*` the shared objects, `tensor.*`, `pickle.*`, and `source.*`, the wrapper with its C++ kernels, for readers.
"""
