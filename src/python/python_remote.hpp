// Remotes that Python supplies, and the end of those that a process has open.
//
//   remote::RemoteSource source = to_remote(object);        // a URL, or an object with get, has and put
//   close_at_exit(store);
//
// A URL of a scheme that the core does not know becomes a coldframe.fsspec_remote.FsspecRemote. Of an object's exceptions,
// TimeoutError and PermissionError keep their meaning; of all only the class is told, for the rest may be secret.
//
// Thread-safety: needs the GIL; what to_remote gives does not. Failure: PythonError, as bridge.hpp says.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/remote/tiered_store.hpp>

#include <memory>

namespace coldframe::python {

[[nodiscard]] remote::RemoteSource to_remote(PyObject* remote);
// When the interpreter ends and its threads still run, waits a little for what is to be uploaded.
void close_at_exit(const std::shared_ptr<remote::TieredStore>& store);
void register_exit();

}  // namespace coldframe::python
