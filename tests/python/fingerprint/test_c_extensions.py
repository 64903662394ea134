"""A function in C of the program's own is what its library is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from coldframe.torch.fingerprint import state

SOURCE = """
#include <Python.h>
static PyObject* value(PyObject*, PyObject*) { return PyLong_FromLong(VALUE); }
static PyMethodDef s_methods[] = {{"value", value, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyType_Slot s_slots[] = {{Py_tp_methods, s_methods}, {0, nullptr}};
static PyType_Spec s_spec = {"built.Type", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, s_slots};
static PyModuleDef s_module = {PyModuleDef_HEAD_INIT, "built", nullptr, 0, s_methods};
PyMODINIT_FUNC PyInit_built() {
    PyObject* module = PyModule_Create(&s_module);
    PyModule_AddObject(module, "Type", PyType_FromSpec(&s_spec));
    return module;
}
"""


def build(folder: Path, value: int) -> ModuleType:
    folder.mkdir()
    source, made = folder / "built.cpp", folder / "built.so"
    source.write_text(SOURCE)
    flags = ["-std=c++20", "-shared", "-fPIC", "-O0", "-g0", f"-DVALUE={value}", f"-I{sysconfig.get_path('include')}"]
    subprocess.run(["g++", *flags, str(source), "-o", str(made)], check=True)
    spec = importlib.util.spec_from_file_location("built", made)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def described(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setitem(sys.modules, "built", module)
    return [state.describe(each) for each in (module.value, module.Type, module.Type.value)]


def test_what_a_rebuilt_library_has_is_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (build(tmp_path / name, value) for name, value in (("first", 2), ("again", 2), ("other", 3)))
    before = described(first, monkeypatch)
    assert described(again, monkeypatch) == before
    assert all(one != two for one, two in zip(described(other, monkeypatch), before, strict=True))


@pytest.mark.parametrize("value", [torch.sin, torch.Tensor.sin, len, dict.get], ids=["sin", "method", "len", "get"])
def test_what_torch_and_python_have_is_known_by_their_versions(value: object) -> None:
    assert "library" not in state.describe(value)
