// explore FILE                  lists the frames, guards and artifacts of a package, and verifies every byte of it
// explore FILE FRAME OUTPUT     also copies one frame, by its name in the list, into a package of its own
//
// Needs neither Python nor torch, and runs nothing of what a package holds.
#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>

#include <algorithm>
#include <iostream>
#include <set>

using coldframe::ArtifactPtr;
using coldframe::CodeEntry;
using coldframe::CodeEntryPtr;
using coldframe::Package;
using coldframe::Result;
using coldframe::Status;

namespace {

std::string name_of(const CodeEntry& entry) { return entry.module + "." + entry.python_code->fields().qualname; }

void list(const Package& package) {
    std::cout << package.key.module << '.' << package.key.qualname << ", made by " << package.producer << " with torch "
              << package.environment.torch_version << ", saves " << package.compile_seconds << " s\n";
    for (const CodeEntryPtr& entry : package.codes) {
        std::cout << "frame " << name_of(*entry) << (entry->bypassed ? " (bypassed: " + entry->bypass_reason + ")" : "")
                  << '\n';
        for (const auto& variant : entry->guarded_codes) {
            std::cout << "  variant of " << variant->guards.ops().size() << " guards\n";
            for (const auto& op : variant->guards.ops()) {
                for (const std::string& explanation : op.explanations) std::cout << "    " << explanation << '\n';
            }
        }
    }
    for (const ArtifactPtr& artifact : package.artifacts) {
        std::cout << "artifact " << artifact->backend_id << " (" << artifact->kind << ")\n";
        for (const auto& blob : artifact->blobs) std::cout << "  " << blob->name() << ", " << blob->size() << " bytes\n";
    }
}

// A package with the frame of this name, the artifacts that it calls, and all that the original says of its origin.
Result<Package> with_frame(const Package& package, const std::string& name) {
    const auto entry = std::ranges::find(package.codes, name, [](const CodeEntryPtr& code) { return name_of(*code); });
    if (entry == package.codes.end()) {
        return coldframe::fail(coldframe::ErrorCode::not_found, "the package has no frame '" + name + "'");
    }
    Package copy = package;
    copy.codes = {*entry};
    const std::set<std::string> needed((*entry)->backend_ids.begin(), (*entry)->backend_ids.end());
    std::erase_if(copy.artifacts, [&](const ArtifactPtr& artifact) { return !needed.contains(artifact->backend_id); });
    return copy;
}

Status explore(int count, char** arguments) {
    const Result<Package> package = coldframe::archive::open(arguments[1]);
    if (!package) return std::unexpected(package.error());
    list(*package);
    if (const Status intact = coldframe::archive::verify(arguments[1]); !intact) return intact;
    std::cout << "every byte is as it was written\n";
    if (count < 4) return {};
    const Result<Package> copy = with_frame(*package, arguments[2]);
    if (!copy) return std::unexpected(copy.error());
    const auto written = coldframe::archive::write(*copy, arguments[3]);
    if (!written) return std::unexpected(written.error());
    std::cout << arguments[3] << ": " << written->size << " bytes\n";
    return {};
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2 && count != 4) {
        std::cerr << "usage: explore FILE [FRAME OUTPUT]\n";
        return 1;
    }
    if (const Status done = explore(count, arguments); !done) {
        std::cerr << "explore: " << done.error().what() << '\n';
        return 2;
    }
    return 0;
}
