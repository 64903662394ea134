#include <coldframe/store/disk_store.hpp>

#include <cstdlib>

namespace coldframe::store {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing of coldframe writes the environment
    return value == nullptr ? "" : value;
}

}  // namespace

// Never below a directory like /tmp, where another user could have made it first.
Result<std::string> default_directory() {
    std::string variable = "COLDFRAME_DIR";
    std::string path = environment("COLDFRAME_DIR");
    if (path.empty()) {
        variable = "XDG_CACHE_HOME";
        const std::string caches = environment("XDG_CACHE_HOME");
        // The XDG specification wants a relative path there to be ignored.
        if (caches.starts_with('/')) path = caches + "/coldframe";
    }
    if (path.empty()) {
        variable = "HOME";
        const std::string home = environment("HOME");
        if (!home.empty()) path = home + "/.cache/coldframe";
    }
    if (path.empty()) {
        return fail(ErrorCode::not_found, "there is no place for the store: neither COLDFRAME_DIR nor HOME is set");
    }
    if (path.starts_with('/')) return path;
    return fail(ErrorCode::invalid_argument,
                "the environment variable " + variable + " leads to the relative path '" + path + "': name an absolute one");
}

}  // namespace coldframe::store
