// The extension coldframe._network: see network.hpp.
#include <python/compat.hpp>
#include <python/network.hpp>

#include <coldframe/network/open_network.hpp>
#include <coldframe/util/version.hpp>

// NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the name that Python looks for
PyMODINIT_FUNC PyInit__network() {
    using namespace coldframe;
    static python::NetworkLibrary library{k_version, &remote::open_network};
    static PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                     "_network",
                                     "Remotes over a network, for coldframe._core.",
                                     -1,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr};
    PyObject* module = PyModule_Create(&definition);
    PyObject* capsule = module == nullptr ? nullptr : PyCapsule_New(&library, python::k_network_capsule, nullptr);
    if (capsule == nullptr || PyModule_AddObject(module, "library", capsule) < 0) {
        Py_XDECREF(capsule);
        Py_XDECREF(module);
        return nullptr;
    }
    return module;
}
