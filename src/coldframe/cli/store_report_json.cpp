#include <coldframe/cli/store_report.hpp>

#include <nlohmann/json.hpp>

#include <ostream>

namespace coldframe::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t k_nanoseconds = 1'000'000'000;

void print(const Json& document, std::ostream& out) {
    out << document.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace

void print_statistics_json(const std::string& directory, const store::Statistics& statistics, std::ostream& out) {
    Json counters = Json::object();
    for (std::size_t i = 0; i < store::k_counter_count; ++i) {
        const auto counter = static_cast<store::Counter>(i);
        counters[std::string(store::name_of(counter))] = statistics.counters[counter];
    }
    print({{"directory", directory},
           {"variants", statistics.usage.variants},
           {"objects", statistics.usage.objects},
           {"bytes", statistics.usage.bytes},
           {"max_bytes", statistics.max_bytes},
           {"quarantined", statistics.usage.quarantined},
           {"counters", std::move(counters)}},
          out);
}

void print_items_json(const std::vector<store::Item>& items, std::ostream& out) {
    Json document = Json::array();
    for (const store::Item& item : items) {
        document.push_back({{"key", to_hex(item.key)},
                            {"variant", to_hex(item.id)},
                            {"module", item.name.module},
                            {"qualname", item.name.qualname},
                            {"size", item.size},
                            {"compile_seconds", item.compile_seconds},
                            {"last_used", item.last_used / k_nanoseconds}});
    }
    print(document, out);
}

void print_misses_json(const std::vector<store::MissNote>& misses, std::ostream& out) {
    Json document = Json::array();
    for (const store::MissNote& miss : misses) {
        document.push_back({{"when", miss.when / k_nanoseconds}, {"function", miss.function}, {"reasons", miss.reasons}});
    }
    print(document, out);
}

void print_transfer_json(const TransferReport& report, std::ostream& out) {
    print({{"remote", report.remote},
           {report.verb, report.variants},
           {"bytes", report.bytes},
           {"absent", report.absent},
           {"failed", report.failed}},
          out);
}

}  // namespace coldframe::cli
