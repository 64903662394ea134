// A kernel's shared object, loaded from verified bytes.
//
// glibc and CPython recognise a library by its path, so every library here is loaded under a path that this process has never
// used: four kernels loaded through one /proc/self/fd/N would be one. The bytes lie in a sealed memfd, or, where that cannot
// be executed, in a file of a private directory that is removed again. A library stays loaded for the life of the process;
// there is one for each digest.
//
//   SharedLibrary& library = *value_or_raise(SharedLibrary::load(bytes, sha256(bytes), "kernel"));
//   void* function = value_or_raise(library.symbol("kernel"));
//   Ref module = library.python_module("kernel");                  // runs PyInit_kernel
//
// Thread-safety: `load` and `symbol` may be called from many threads; holding the GIL while calling `load` keeps forks away
// (its table is then never locked in a child). python_module needs the GIL. Failure: corrupt before anything is loaded,
// incompatible with the loader's message, io when there is no place for the bytes.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/package.hpp>

#include <map>

namespace coldframe::python {

class SharedLibrary {
   public:
    using Ptr = std::shared_ptr<SharedLibrary>;

    [[nodiscard]] static Result<Ptr> load(ByteView bytes, const Digest& digest, const std::string& name);
    // The bytes are known to be those of the digest.
    [[nodiscard]] static Result<Ptr> load_verified(ByteView bytes, const Digest& digest, const std::string& name);
    // Null when the digest has not been loaded.
    [[nodiscard]] static Ptr find(const Digest& digest);

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] Result<void*> symbol(const std::string& name) const;
    // The module that importlib would make of this file; made once for each name. Throws PythonError.
    [[nodiscard]] Ref python_module(const std::string& name);

   private:
    SharedLibrary(std::string path, void* handle) : path_(std::move(path)), handle_(handle) {}

    std::string path_;
    void* handle_;
    std::map<std::string, Ref> modules_;
};

}  // namespace coldframe::python
