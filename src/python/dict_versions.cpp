#include <python/dict_versions.hpp>

#include <unordered_map>

namespace coldframe::python {

#if defined(Py_GIL_DISABLED)

DictVersion dict_version(PyObject*) { return nullptr; }

#elif PY_VERSION_HEX < 0x030C0000

DictVersion dict_version(PyObject* dict) {
    return {DictVersion(), &reinterpret_cast<PyDictObject*>(dict)->ma_version_tag};  // shares nothing: the dict owns it
}

#else

namespace {

using Counters = std::unordered_map<PyObject*, std::shared_ptr<std::uint64_t> >;

// Never destroyed: dicts die after static objects do.
Counters& counters() {
    static auto* const all = new Counters;
    return *all;
}

int watcher();

// Called before the dict changes. A counter that nobody holds any more is forgotten then.
int on_event(PyDict_WatchEvent event, PyObject* dict, PyObject*, PyObject*) {
    const auto found = counters().find(dict);
    if (found == counters().end()) return 0;
    std::uint64_t& version = *found->second;
    version = event == PyDict_EVENT_DEALLOCATED ? 0 : version + 1;
    if (event == PyDict_EVENT_DEALLOCATED) {
        counters().erase(found);
    } else if (found->second.use_count() == 1 && PyDict_Unwatch(watcher(), dict) == 0) {
        counters().erase(found);
    }
    return 0;
}

// Of this interpreter; negative where all that CPython has are taken.
int watcher() {
    static const int id = [] {
        const int added = PyDict_AddWatcher(on_event);
        if (added < 0) PyErr_Clear();
        return added;
    }();
    return id;
}

// CPython 3.13 tells watchers nothing of an attribute that is written where the object itself keeps its values. A key that is
// no text moves them to a table of the dict's own.
bool has_own_table(PyObject* dict) {
#if PY_VERSION_HEX >= 0x030D0000
    auto* const values = &reinterpret_cast<PyDictObject*>(dict)->ma_values;
    if (*values == nullptr) return true;
    PyObject* key = Py_Ellipsis;
    return PyDict_Contains(dict, key) == 0 && PyDict_SetItem(dict, key, key) == 0 && PyDict_DelItem(dict, key) == 0 &&
           *values == nullptr;
#else
    static_cast<void>(dict);
    return true;
#endif
}

}  // namespace

DictVersion dict_version(PyObject* dict) {
    if (const auto found = counters().find(dict); found != counters().end()) return found->second;
    if (watcher() < 0 || !has_own_table(dict) || PyDict_Watch(watcher(), dict) < 0) {
        PyErr_Clear();
        return nullptr;
    }
    return counters().emplace(dict, std::make_shared<std::uint64_t>(1)).first->second;
}

#endif

}  // namespace coldframe::python
