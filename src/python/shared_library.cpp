#include <python/shared_library.hpp>

#include <coldframe/util/fs.hpp>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <optional>

// Newer than the C library that we may be built with.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace coldframe::python {

namespace {

// Never destroyed: libraries stay loaded until the process ends.
struct Table {
    std::mutex mutex;
    std::map<Digest, SharedLibrary::Ptr> libraries;
    std::uint64_t last_number = 0;
};

Table& table() {
    static auto& instance = *new Table();
    return instance;
}

struct Loaded {
    std::string path;
    void* handle;
};

class Descriptor {
   public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

   private:
    int fd_;
};

std::string printable(const std::string& name) {
    std::string text;
    for (const char c : name.substr(0, 100)) text += (c > ' ' && c < 0x7f && c != '/') ? c : '_';
    return text.empty() ? "kernel" : text;
}

bool write_all(int fd, ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t written = write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

Result<Loaded> open_path(std::string path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return Loaded{std::move(path), handle};
    const char* message = dlerror();
    return fail(ErrorCode::incompatible,
                std::string("this machine's loader refuses the library: ") + (message != nullptr ? message : "?"));
}

bool is_loaded(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (handle != nullptr) dlclose(handle);
    return handle != nullptr;
}

// A spelling of /proc/self/fd/<fd> that no other number gives: descriptors are few and used again, spellings are not.
std::string spelled_path(int fd, std::uint64_t number) {
    std::string path = "/proc/self";
    for (; number != 0; number >>= 1) path += (number & 1) != 0 ? "//." : "/.";
    return path + "/fd/" + std::to_string(fd);
}

Result<Loaded> open_in_memory(ByteView bytes, const std::string& name) {
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name.c_str(), flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(name.c_str(), flags);  // a kernel before 6.3
    const Descriptor file(fd);
    if (fd < 0) return std::unexpected(errno_error(errno, "create", "a file in memory"));
    if (!write_all(fd, bytes)) return std::unexpected(errno_error(errno, "write", "a file in memory"));
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        return std::unexpected(errno_error(errno, "seal", "a file in memory"));
    }
    std::string path;
    do {
        path = spelled_path(fd, ++table().last_number);
    } while (is_loaded(path));
    return open_path(std::move(path));
}

Result<Loaded> open_in_directory(ByteView bytes, const std::string& name, const std::string& parent) {
    const std::string number = std::to_string(getpid()) + "-" + std::to_string(++table().last_number);
    std::string directory = parent + "/coldframe-" + number + "-XXXXXX";
    if (mkdtemp(directory.data()) == nullptr) return std::unexpected(errno_error(errno, "create a directory in", parent));
    const std::string path = directory + "/" + name;
    Result<Loaded> loaded = [&] -> Result<Loaded> {
        {
            const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500));
            if (file.get() < 0) return std::unexpected(errno_error(errno, "create", path));
            if (!write_all(file.get(), bytes)) return std::unexpected(errno_error(errno, "write", path));
        }
        return open_path(path);
    }();
    unlink(path.c_str());
    rmdir(directory.c_str());
    return loaded;
}

// What the loader says of the bytes is worth more than why there was no place for them.
Result<Loaded> better(Result<Loaded> first, Result<Loaded> second) {
    if (second || first.error().code != ErrorCode::incompatible) return second;
    return second.error().code == ErrorCode::incompatible ? second : first;
}

Result<Loaded> open_bytes(ByteView bytes, const std::string& name) {
    Result<Loaded> loaded = open_in_memory(bytes, name);
    for (const char* variable : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
        if (loaded) return loaded;
        const char* parent = std::getenv(variable);
        if (parent != nullptr && *parent == '/') loaded = better(std::move(loaded), open_in_directory(bytes, name, parent));
    }
    for (const char* parent : {"/tmp", "/var/tmp"}) {
        if (loaded) return loaded;
        loaded = better(std::move(loaded), open_in_directory(bytes, name, parent));
    }
    return loaded;
}

// The module may have entered itself into sys.modules, where its name means something else to everybody else.
class ModuleEntry {
   public:
    explicit ModuleEntry(PyObject* name)
        : name_(name), previous_(Ref::borrow(PyDict_GetItemWithError(PyImport_GetModuleDict(), name))) {}
    ModuleEntry(const ModuleEntry&) = delete;
    ModuleEntry& operator=(const ModuleEntry&) = delete;
    ~ModuleEntry() {
        Ref pending = Ref::steal(take_exception());
        PyObject* modules = PyImport_GetModuleDict();
        const int status = previous_ ? PyDict_SetItem(modules, name_, previous_.get()) : PyDict_DelItem(modules, name_);
        if (status != 0) PyErr_Clear();
        if (pending) restore_exception(pending.release());
    }

   private:
    PyObject* name_;
    Ref previous_;
};

// What importlib's ExtensionFileLoader does, except that sys.modules stays as it is.
Ref import_extension(const std::string& name, const std::string& path) {
    Ref machinery = owned(PyImport_ImportModule("importlib.machinery"));
    Ref imp = owned(PyImport_ImportModule("_imp"));
    Ref module_name = from_utf8(name);
    Ref loader = owned(PyObject_CallMethod(machinery.get(), "ExtensionFileLoader", "Os", module_name.get(), path.c_str()));
    Ref spec = owned(PyObject_CallMethod(machinery.get(), "ModuleSpec", "OO", module_name.get(), loader.get()));
    check(PyObject_SetAttrString(spec.get(), "origin", from_utf8(path).get()));
    Ref module;
    {
        const ModuleEntry entry(module_name.get());
        module = owned(PyObject_CallMethod(imp.get(), "create_dynamic", "O", spec.get()));
    }
    for (const auto& [attribute, value] : {std::pair("__spec__", &spec), std::pair("__loader__", &loader)}) {
        if (PyObject_SetAttrString(module.get(), attribute, value->get()) != 0) PyErr_Clear();
    }
    Ref done = owned(PyObject_CallMethod(imp.get(), "exec_dynamic", "O", module.get()));
    return module;
}

}  // namespace

Status SharedLibrary::verify(ByteView bytes, const Digest& digest, const std::string& name) {
    if (sha256(bytes) == digest) return {};
    return fail(ErrorCode::corrupt, "the bytes of library '" + name + "' are not those of its digest " + to_hex(digest));
}

Result<SharedLibrary::Ptr> SharedLibrary::load(ByteView bytes, const Digest& digest, const std::string& name) {
    const std::scoped_lock lock(table().mutex);
    Ptr& entry = table().libraries[digest];
    if (entry != nullptr) return entry;
    Result<Loaded> loaded = open_bytes(bytes, printable(name));
    if (!loaded) {
        table().libraries.erase(digest);
        return std::unexpected(std::move(loaded.error()).with("library '" + name + "'"));
    }
    entry = Ptr(new SharedLibrary(std::move(loaded->path), loaded->handle));
    return entry;
}

SharedLibrary::Ptr SharedLibrary::find(const Digest& digest) {
    const std::scoped_lock lock(table().mutex);
    const auto found = table().libraries.find(digest);
    return found == table().libraries.end() ? nullptr : found->second;
}

Result<void*> SharedLibrary::symbol(const std::string& name) const {
    void* address = dlsym(handle_, name.c_str());
    if (address != nullptr) return address;
    return fail(ErrorCode::incompatible, "the library " + path_ + " has no symbol '" + name + "'");
}

Ref SharedLibrary::python_module(const std::string& name) {
    if (const auto known = modules_.find(name); known != modules_.end()) return known->second;
    try {
        Ref module = import_extension(name, path_);
        return modules_.try_emplace(name, std::move(module)).first->second;
    } catch (const PythonError&) {
        raise({ErrorCode::incompatible, "module '" + name + "' of a stored library cannot be initialised", {}});
    }
}

}  // namespace coldframe::python
