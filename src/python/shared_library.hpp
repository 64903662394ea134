// A kernel's shared object, loaded from verified bytes.
//
// glibc and CPython recognise a library by its path, so every library here is loaded under a path that this process has never
// used: four kernels loaded through one /proc/self/fd/N would be one. The bytes lie in a sealed memfd, or, where that cannot
// be executed, in a file of a private directory that is removed again. A library stays loaded for the life of the process;
// there is one for each digest.
//
//   if (Status intact = SharedLibrary::verify(bytes, digest, "kernel"); !intact) return ...;
//   Result<SharedLibrary::Ptr> library = SharedLibrary::load(bytes, digest, "kernel");
//   Result<void*> function = (*library)->symbol("kernel");
//   Ref module = (*library)->python_module("kernel");              // runs PyInit_kernel
//
// Thread-safety: `load` and `symbol` may be called from many threads; holding the GIL while calling `load` keeps forks away
// (its table is then never locked in a child). python_module needs the GIL. Failure: corrupt from verify,
// incompatible with the loader's message, io when there is no place for the bytes.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/package.hpp>

#include <map>

namespace coldframe::python {

class SharedLibrary {
   public:
    using Ptr = std::shared_ptr<SharedLibrary>;

    // Corrupt unless the bytes are those of the digest.
    [[nodiscard]] static Status verify(ByteView bytes, const Digest& digest, const std::string& name);
    // Bytes that are verified already.
    [[nodiscard]] static Result<Ptr> load(ByteView bytes, const Digest& digest, const std::string& name);
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
