#include <python/bridge.hpp>
#include <python/network.hpp>

#include <coldframe/util/version.hpp>

namespace coldframe::python {
namespace {

[[noreturn]] void cannot_load(const std::string& why, std::string where = {}) {
    raise({ErrorCode::io, "remotes over a network need coldframe._network, which cannot be loaded: " + why, std::move(where)});
}

// Of the present exception, which stays the cause.
[[noreturn]] void cannot_load() {
    if (PyErr_ExceptionMatches(PyExc_Exception) == 0) throw PythonError();  // Ctrl-C is no failure
    const Ref exception = Ref::steal(take_exception());
    const Ref why = owned(PyObject_Str(exception.get()));
    const Ref path = find_attribute(exception.get(), "path");
    restore_exception(Ref(exception).release());
    cannot_load(to_utf8(why.get()) + "; install libcurl and hiredis, or open the store without this remote",
                path && PyUnicode_Check(path.get()) ? to_utf8(path.get()) : std::string());
}

const NetworkLibrary& load() {
    const Ref module = Ref::steal(PyImport_ImportModule("coldframe._network"));
    const Ref capsule = module ? Ref::steal(PyObject_GetAttrString(module.get(), "library")) : Ref();
    const void* pointer = capsule ? PyCapsule_GetPointer(capsule.get(), k_network_capsule) : nullptr;
    if (pointer == nullptr) cannot_load();
    const auto& library = *static_cast<const NetworkLibrary*>(pointer);
    if (library.version != k_version) {
        cannot_load("it is of version " + std::string(library.version) + ", and this process runs " + std::string(k_version) +
                    "; start it anew");
    }
    return library;
}

}  // namespace

Result<remote::RemoteSource> open_network(remote::Url url) { return load().open(std::move(url)); }

}  // namespace coldframe::python
