#include <python/network.hpp>
#include <python/python_remote.hpp>

#include <coldframe/remote/blob_remote.hpp>

#include <mutex>
#include <vector>

namespace coldframe::python {
namespace {

class Gil {
   public:
    Gil() : state_(PyGILState_Ensure()) {}
    Gil(const Gil&) = delete;
    Gil& operator=(const Gil&) = delete;
    ~Gil() { PyGILState_Release(state_); }

   private:
    PyGILState_STATE state_;
};

// Clears Python's exception.
Error take_exception() {
    PyObject* type = PyErr_Occurred();
    const bool timeout = PyErr_ExceptionMatches(PyExc_TimeoutError) != 0;
    const bool refused = PyErr_ExceptionMatches(PyExc_PermissionError) != 0;
    const std::string name = type == nullptr ? "an error" : type_name(reinterpret_cast<PyTypeObject*>(type));
    PyErr_Clear();
    const ErrorCode code = timeout ? ErrorCode::timeout : refused ? ErrorCode::untrusted : ErrorCode::io;
    return {code, "the remote raised " + name, {}};
}

class PythonBlobs final : public remote::Blobs {
   public:
    explicit PythonBlobs(std::shared_ptr<PyObject> object) : object_(std::move(object)) {}

    Result<std::optional<Content>> get(const std::string& name, std::uint64_t max_size, const remote::Limits& limits) override {
        const Gil gil;
        // How much of a blob has come is not known, so it gets all the time that its size may take; a record's is not known.
        const std::uint64_t size = name.starts_with("cas/") ? max_size : 0;
        const Ref result = call("get", {from_utf8(name), seconds(limits, size)});
        if (!result) return std::unexpected(take_exception());
        if (result.get() == Py_None) return std::nullopt;
        char* data = nullptr;
        Py_ssize_t length = 0;
        if (PyBytes_AsStringAndSize(result.get(), &data, &length) != 0) return std::unexpected(take_exception());
        if (static_cast<std::uint64_t>(length) > max_size) {
            return fail(ErrorCode::corrupt, "the remote gave more bytes than there may be");
        }
        return Content{Bytes(data, data + length), {}};
    }
    Result<bool> has(const std::string& name, std::uint64_t, const remote::Limits& limits) override {
        const Gil gil;
        const Ref result = call("has", {from_utf8(name), seconds(limits, 0)});
        const int truth = result ? PyObject_IsTrue(result.get()) : -1;
        if (truth < 0) return std::unexpected(take_exception());
        return truth != 0;
    }
    Result<bool> put(const std::string& name, ByteView bytes, const Digest&, const Condition&,
                     const remote::Limits& limits) override {
        const Gil gil;
        const Ref result = call("put", {from_utf8(name), from_bytes(bytes), seconds(limits, bytes.size())});
        if (!result) return std::unexpected(take_exception());
        return true;
    }

   private:
    static Ref seconds(const remote::Limits& limits, std::uint64_t size) {
        const double worth = static_cast<double>(size) / static_cast<double>(std::max<std::uint64_t>(limits.slowest, 1));
        const double patience = std::chrono::duration<double>(limits.patience).count() + worth;
        const double left = std::chrono::duration<double>(limits.latest() - std::chrono::steady_clock::now()).count();
        return Ref::steal(PyFloat_FromDouble(std::max(0.001, std::min(patience, left))));
    }
    [[nodiscard]] Ref call(const char* method, const std::vector<Ref>& arguments) const {
        const Ref tuple = Ref::steal(PyTuple_New(static_cast<Py_ssize_t>(arguments.size())));
        const Ref function = Ref::steal(PyObject_GetAttrString(object_.get(), method));
        if (!tuple || !function) return {};
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            if (!arguments[i]) return {};
            PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), Ref(arguments[i]).release());
        }
        return Ref::steal(PyObject_CallObject(function.get(), tuple.get()));
    }

    std::shared_ptr<PyObject> object_;
};

// The last reference may go anywhere.
std::shared_ptr<PyObject> shared(PyObject* object) {
    Py_INCREF(object);
    return {object, [](PyObject* owned_object) {
                if (Py_IsInitialized() == 0) return;
                const Gil gil;
                Py_DECREF(owned_object);
            }};
}

remote::RemoteSource source_of(PyObject* object) {
    for (const char* method : {"get", "has", "put"}) {
        if (find_attribute(object, method)) continue;
        raise({ErrorCode::invalid_argument,
               "a remote is a URL, or an object with the methods get, has and put; " + short_repr(object) + " is neither",
               {}});
    }
    return {type_name(Py_TYPE(object)), [held = shared(object)] -> std::unique_ptr<remote::Remote> {
                return std::make_unique<remote::BlobRemote>(std::make_unique<PythonBlobs>(held), remote::Layout::sharded);
            }};
}

std::mutex& open_mutex() {
    static std::mutex mutex;
    return mutex;
}

std::vector<std::weak_ptr<remote::TieredStore>>& open_stores() {
    static std::vector<std::weak_ptr<remote::TieredStore>> stores;
    return stores;
}

PyObject* close_all(PyObject*, PyObject*) {
    std::vector<std::weak_ptr<remote::TieredStore>> stores;
    {
        const std::lock_guard lock(open_mutex());
        stores.swap(open_stores());
    }
    for (const auto& store : stores) {
        if (const auto alive = store.lock()) without_gil([&] { alive->close(remote::TieredOptions{}.exit_patience); });
    }
    Py_RETURN_NONE;
}

PyMethodDef k_close_all = {"_close_stores", &close_all, METH_NOARGS, nullptr};

}  // namespace

remote::RemoteSource to_remote(PyObject* remote) {
    if (!PyUnicode_Check(remote)) return source_of(remote);
    const std::string url = to_utf8(remote);
    if (remote::is_known_scheme(url) || url.find("://") == std::string::npos) {
        return value_or_raise(remote::open_remote(url, &open_network));
    }
    const Ref module = owned(PyImport_ImportModule("coldframe.fsspec_remote"));
    const Ref made = owned(PyObject_CallMethod(module.get(), "FsspecRemote", "O", remote));
    remote::RemoteSource source = source_of(made.get());
    source.name = to_utf8(owned(PyObject_GetAttrString(made.get(), "name")).get());
    return source;
}

void close_at_exit(const std::shared_ptr<remote::TieredStore>& store) {
    const std::lock_guard lock(open_mutex());
    std::erase_if(open_stores(), [](const auto& known) { return known.expired(); });
    open_stores().push_back(store);
}

void register_exit() {
    const Ref module = owned(PyImport_ImportModule("atexit"));
    const Ref function = owned(PyCFunction_New(&k_close_all, nullptr));
    const Ref done = owned(PyObject_CallMethod(module.get(), "register", "O", function.get()));
}

}  // namespace coldframe::python
