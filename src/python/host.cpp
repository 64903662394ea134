#include <python/host.hpp>

#include <gnu/libc-version.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace coldframe::python {

std::vector<std::string> cpu_features() {
    std::ifstream file("/proc/cpuinfo");
    std::vector<std::string> features;
    // Of the first processor: a process may run on any of them only because they are alike.
    for (std::string line; features.empty() && std::getline(file, line);) {
        if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
        std::istringstream words(line.substr(std::min(line.find(':'), line.size() - 1) + 1));
        for (std::string word; words >> word;) features.push_back(word);
    }
    std::ranges::sort(features);
    return features;
}

std::string libc_version() { return std::string("glibc ") + gnu_get_libc_version(); }

}  // namespace coldframe::python
