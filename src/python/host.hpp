// What this machine is, as packages record it.
//
//   std::vector<std::string> features = cpu_features();   // {"avx", "avx2", "fma", ...}
//
// Thread-safety: free functions without state. Failure: none; what cannot be found out is empty.
#pragma once

#include <string>
#include <vector>

namespace coldframe::python {

// Instruction sets by the kernel's names, sorted.
[[nodiscard]] std::vector<std::string> cpu_features();
// For example "glibc 2.36".
[[nodiscard]] std::string libc_version();

}  // namespace coldframe::python
