#include <coldframe/cli/difference.hpp>

#include <coldframe/cli/report.hpp>
#include <coldframe/cli/text.hpp>

#include <algorithm>
#include <ostream>
#include <set>

namespace coldframe::cli {
namespace {

class Difference {
   public:
    explicit Difference(std::ostream& out) : out_(out) {}

    void field(const std::string& name, const std::string& first, const std::string& second) {
        if (first != second) line(name + ": " + printable(first) + " | " + printable(second));
    }

    template <typename Map, typename Text>
    void fields(const std::string& name, const Map& first, const Map& second, Text&& text) {
        std::set<std::string> keys;
        for (const auto& [key, value] : first) keys.insert(key);
        for (const auto& [key, value] : second) keys.insert(key);
        const auto of = [&](const Map& map, const std::string& key) {
            const auto found = map.find(key);
            return found == map.end() ? std::string("absent") : text(found->second);
        };
        for (const std::string& key : keys) field(name + "." + key, of(first, key), of(second, key));
    }

    // What one has and the other lacks.
    void items(const std::vector<std::string>& first, const std::vector<std::string>& second) {
        for (const std::string& item : first) {
            if (std::ranges::find(second, item) == second.end()) line("- " + printable(item));
        }
        for (const std::string& item : second) {
            if (std::ranges::find(first, item) == first.end()) line("+ " + printable(item));
        }
    }

    [[nodiscard]] bool is_empty() const { return empty_; }

   private:
    void line(const std::string& text) {
        empty_ = false;
        out_ << text << '\n';
    }

    std::ostream& out_;
    bool empty_ = true;
};

void compare(Difference& difference, const PackageKey& first, const PackageKey& second) {
    difference.field("key.module", first.module, second.module);
    difference.field("key.qualname", first.qualname, second.qualname);
    difference.field("key.code", short_hex(first.code), short_hex(second.code));
    difference.field("key.options", short_hex(first.options), short_hex(second.options));
}

void compare(Difference& difference, const Environment& first, const Environment& second) {
    const auto field = [&](const char* name, std::string Environment::* member) {
        difference.field(std::string("environment.") + name, first.*member, second.*member);
    };
    field("python_implementation", &Environment::python_implementation);
    field("python_version", &Environment::python_version);
    field("python_magic", &Environment::python_magic);
    field("soabi", &Environment::soabi);
    field("torch_version", &Environment::torch_version);
    field("torch_git", &Environment::torch_git);
    field("device_type", &Environment::device_type);
    field("machine", &Environment::machine);
    field("libc", &Environment::libc);
    difference.field("environment.cpu_features", join(first.cpu_features, ", "), join(second.cpu_features, ", "));
    difference.fields("environment.device", first.device, second.device, [](const std::string& text) { return text; });
    difference.fields("environment.settings", first.settings, second.settings, repr);
}

std::string frame_name(const CodeEntry& entry) {
    return entry.module + "." + (entry.python_code ? entry.python_code->fields().qualname : std::string("?"));
}

std::vector<std::string> variants(const Package& package) {
    std::vector<std::string> texts;
    for (const CodeEntryPtr& entry : package.codes) {
        const std::string name = std::string(role_name(entry->role)) + " " + frame_name(*entry) + ": ";
        if (entry->guarded_codes.empty()) texts.push_back(name + (entry->skipped ? "nothing to compile" : "no variant"));
        for (const GuardedCodePtr& guarded : entry->guarded_codes) {
            const std::string graphs = guarded->backend_ids.empty() ? "no graph" : join(guarded->backend_ids, ", ");
            texts.push_back(name + "variant of " + count_text(guard_count(guarded->guards), "guard") + ", " + graphs);
        }
    }
    return texts;
}

std::vector<std::string> guards(const Package& package) {
    std::set<std::string> texts;
    for (const CodeEntryPtr& entry : package.codes) {
        for (const GuardedCodePtr& guarded : entry->guarded_codes) {
            for (const GuardOp& op : guarded->guards.ops()) {
                for (const std::string& text : op.explanations) texts.insert("guard of " + frame_name(*entry) + ": " + text);
            }
        }
    }
    return {texts.begin(), texts.end()};
}

std::vector<std::string> artifacts(const Package& package) {
    std::vector<std::string> texts;
    for (const ArtifactPtr& artifact : package.artifacts) {
        std::uint64_t bytes = 0;
        for (const BlobPtr& blob : artifact->blobs) bytes += blob->size();
        texts.push_back("artifact " + artifact->backend_id + " (" + artifact->kind + ", " + size_text(bytes) + ")");
    }
    return texts;
}

std::vector<std::string> sources(const Package& package) {
    std::vector<std::string> texts;
    for (const SourceFilePtr& source : package.sources) {
        for (const SourceFunction& function : source->functions) {
            texts.push_back("source " + source->module + "." + function.qualname + " " + short_hex(function.code));
        }
    }
    return texts;
}

}  // namespace

void print_difference(const Package& first, const Package& second, std::ostream& out) {
    Difference difference(out);
    compare(difference, first.key, second.key);
    compare(difference, first.environment, second.environment);
    difference.items(sources(first), sources(second));
    difference.items(variants(first), variants(second));
    difference.items(guards(first), guards(second));
    difference.items(artifacts(first), artifacts(second));
    if (difference.is_empty()) out << "no difference\n";
}

}  // namespace coldframe::cli
