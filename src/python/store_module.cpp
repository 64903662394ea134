// Stores as Python sees them. Reports become dicts of their fields; whatever touches a disk runs without the GIL.
#include <python/bridge.hpp>
#include <python/python_remote.hpp>
#include <python/records.hpp>
#include <python/store_module.hpp>

#include <coldframe/remote/tiered_store.hpp>
#include <coldframe/store/memory_store.hpp>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;

namespace coldframe::python {
namespace {

using KeyTuple = std::tuple<std::string, std::string, nb::bytes, nb::bytes>;

constexpr double k_nanoseconds = 1e9;
constexpr double k_longest = 1e9;  // seconds

struct StoreHandle {
    std::shared_ptr<store::Store> store;
    std::string path;                             // empty: in memory
    std::shared_ptr<remote::TieredStore> tiered;  // the same store, where it has a remote

    // No other thread of Python waits for the disk.
    template <typename Body>
    auto run(Body&& body) const {
        return value_or_raise(without_gil([&] { return body(*store); }));
    }
};

nb::bytes bytes_of(const Digest& digest) { return nb::bytes(digest.data(), digest.size()); }

PackageKey to_key(const KeyTuple& key) {
    const auto& [module, qualname, code, options] = key;
    return {module, qualname, to_digest(code.ptr()), to_digest(options.ptr())};
}

store::Durability to_durability(const std::string& name) {
    if (name == "none") return store::Durability::none;
    if (name == "synced") return store::Durability::synced;
    if (name == "verified") return store::Durability::verified;
    raise({ErrorCode::invalid_argument, "a durability is none, synced or verified, not '" + name + "'", {}});
}

remote::milliseconds to_milliseconds(double seconds) {
    if (seconds >= 0) return remote::milliseconds(static_cast<std::int64_t>(std::min(seconds, k_longest) * 1000));
    raise({ErrorCode::invalid_argument, "a time is a number of seconds, not negative", {}});
}

struct RemoteArguments {
    bool read_only;
    double patience;
    double retry_after;
    std::uint64_t slowest;
};

StoreHandle with_remote(std::unique_ptr<store::DiskStore> local, const std::string& directory, nb::handle remote,
                        const RemoteArguments& arguments) {
    remote::TieredOptions options;
    options.access = arguments.read_only ? store::Access::read_only : store::Access::read_write;
    options.patience = to_milliseconds(arguments.patience);
    options.slowest = arguments.slowest;
    options.breaker.open_for = to_milliseconds(arguments.retry_after);
    // Waiting for nothing may cost as much as one answer may take, and a third more.
    options.breaker.waste = options.patience * 4 / 3;
    remote::RemoteSource source = to_remote(remote.ptr());
    // Its thread may need the GIL to end.
    const std::shared_ptr<remote::TieredStore> tiered(new remote::TieredStore(std::move(local), std::move(source), options),
                                                      [](remote::TieredStore* store) { without_gil([&] { delete store; }); });
    close_at_exit(tiered);
    return {tiered, directory, tiered};
}

StoreHandle open_store(nb::handle path, bool read_only, const std::string& durability, std::uint64_t max_bytes,
                       std::uint64_t min_free_bytes, nb::handle remote, bool remote_read_only, double remote_patience,
                       double remote_retry_after, std::uint64_t remote_slowest) {
    const std::string directory = path.is_none() ? value_or_raise(store::default_directory()) : to_path(path.ptr());
    const store::DiskOptions options{.access = read_only ? store::Access::read_only : store::Access::read_write,
                                     .durability = to_durability(durability),
                                     .max_bytes = max_bytes,
                                     .min_free_bytes = min_free_bytes};
    auto local = value_or_raise(without_gil([&] { return store::DiskStore::open(directory, options); }));
    if (remote.is_none()) return {std::move(local), directory, nullptr};
    return with_remote(std::move(local), directory, remote,
                       {remote_read_only, remote_patience, remote_retry_after, remote_slowest});
}

bool flush(const StoreHandle& self, std::optional<double> deadline) {
    self.run([](store::Store& store) { return store.flush(); });
    if (self.tiered == nullptr || !deadline) return true;
    const remote::milliseconds time = to_milliseconds(*deadline);
    const bool gone = without_gil([&] { return self.tiered->wait(time); });
    self.run([](store::Store& store) { return store.flush(); });
    return gone;
}

std::optional<std::string> remote_name(const StoreHandle& self) {
    if (self.tiered == nullptr) return std::nullopt;
    return self.tiered->remote_name();
}

Digest name_of(const KeyTuple& key, const std::optional<nb::bytes>& structure) {
    std::optional<Digest> of;
    if (structure) of = to_digest(structure->ptr());
    return store::key_digest(to_key(key), of);
}

nb::tuple get(const StoreHandle& self, const KeyTuple& key, const std::optional<nb::bytes>& structure) {
    const Digest name = name_of(key, structure);
    store::Found found = self.run([&](store::Store& store) { return store.get(name); });
    nb::list refusals;
    for (const store::Refusal& refusal : found.refusals) {
        const std::string code(to_string(refusal.error.code));
        refusals.append(nb::make_tuple(refusal.name, code, refusal.error.what()));
    }
    nb::list variants;
    for (store::Variant& variant : found.variants) {
        variants.append(nb::make_tuple(bytes_of(variant.id), nb::cast(std::move(variant.package))));
    }
    return nb::make_tuple(variants, refusals);
}

// A leader's flight, until end() or the object's end.
struct FlightHandle {
    std::unique_ptr<store::Flight> flight;

    void forget() {
        if (flight) flight->forget();
        flight.reset();
    }
};

const char* name_of(store::Role role) {
    switch (role) {
        case store::Role::leader: return "leader";
        case store::Role::served: return "served";
        case store::Role::alone: return "alone";
    }
    return "";
}

nb::tuple join(const StoreHandle& self, const KeyTuple& key, const std::optional<nb::bytes>& structure,
               const std::vector<nb::bytes>& known, double wait, double stalled) {
    using std::chrono::duration;
    using std::chrono::milliseconds;
    const Digest name = name_of(key, structure);
    store::JoinOptions options{.wait = std::chrono::duration_cast<milliseconds>(duration<double>(wait)),
                               .stalled = std::chrono::duration_cast<milliseconds>(duration<double>(stalled)),
                               .interrupted = {}};
    for (const nb::bytes& id : known) options.known.push_back(to_digest(id.ptr()));
    options.interrupted = [] {
        const nb::gil_scoped_acquire gil;
        return PyErr_CheckSignals() != 0;
    };
    store::Joined joined = without_gil([&] { return self.store->join(name, options); });
    if (PyErr_Occurred() != nullptr) throw nb::python_error();
    nb::object flight = nb::none();
    if (joined.flight) flight = nb::cast(FlightHandle{std::move(joined.flight)});
    return nb::make_tuple(name_of(joined.role), flight);
}

nb::dict to_dict(const store::PutReport& report) {
    nb::dict dict;
    dict["key"] = bytes_of(report.key);
    dict["id"] = bytes_of(report.id);
    dict["added"] = report.added;
    dict["bytes_written"] = report.bytes_written;
    return dict;
}

nb::dict put(const StoreHandle& self, const Package& package) {
    const Package copy = snapshot(package);
    return to_dict(self.run([&](store::Store& store) { return store.put(copy); }));
}

nb::dict publish(const StoreHandle& self, const Package& package, const nb::bytes& structure,
                 const std::vector<nb::bytes>& replaces, std::optional<std::size_t> keep) {
    const Package copy = snapshot(package);
    store::Publication publication{.structure = to_digest(structure.ptr()), .keep = keep};
    for (const nb::bytes& id : replaces) publication.replaces.push_back(to_digest(id.ptr()));
    return to_dict(self.run([&](store::Store& store) { return store.publish(copy, publication); }));
}

std::uint64_t remove(const StoreHandle& self, const nb::bytes& key, const std::optional<nb::bytes>& id) {
    const Digest digest = to_digest(key.ptr());
    std::optional<Digest> variant;
    if (id) variant = to_digest(id->ptr());
    return self.run([&](store::Store& store) { return store.remove(digest, variant); });
}

std::uint64_t trim(const StoreHandle& self, const nb::bytes& key, std::size_t keep) {
    const Digest digest = to_digest(key.ptr());
    return self.run([&](store::Store& store) { return store.trim(digest, keep); });
}

void note_miss(const StoreHandle& self, const std::string& function, const std::vector<std::string>& reasons,
               const std::optional<std::string>& why) {
    store::MissNote miss{.function = function, .reasons = reasons};
    if (why) miss.counted_as = store::counter_named("compiled_" + *why);
    self.run([&](store::Store& store) -> Status {
        if (why && !miss.counted_as) return fail(ErrorCode::invalid_argument, "why: '" + *why + "' is none of what is counted");
        return store.note_miss(miss);
    });
}

nb::list misses(const StoreHandle& self) {
    nb::list list;
    for (const store::MissNote& miss : self.run([](store::Store& store) { return store.misses(); })) {
        nb::dict dict;
        dict["when"] = static_cast<double>(miss.when) / k_nanoseconds;
        dict["function"] = miss.function;
        dict["reasons"] = miss.reasons;
        list.append(dict);
    }
    return list;
}

nb::list ls(const StoreHandle& self) {
    const auto items = self.run([](store::Store& store) { return store.list(); });
    nb::list list;
    for (const store::Item& item : items) {
        nb::dict dict;
        dict["key"] = bytes_of(item.key);
        dict["id"] = bytes_of(item.id);
        dict["name"] =
            nb::make_tuple(item.name.module, item.name.qualname, bytes_of(item.name.code), bytes_of(item.name.options));
        dict["size"] = item.size;
        dict["last_used"] = static_cast<double>(item.last_used) / k_nanoseconds;
        dict["compile_seconds"] = item.compile_seconds;
        list.append(dict);
    }
    return list;
}

void add_usage(nb::dict& dict, const store::Usage& usage) {
    dict["variants"] = usage.variants;
    dict["objects"] = usage.objects;
    dict["bytes"] = usage.bytes;
    dict["quarantined"] = usage.quarantined;
}

nb::dict gc(const StoreHandle& self, std::optional<std::uint64_t> max_bytes, bool dry_run) {
    const store::CollectOptions options{.max_bytes = max_bytes, .dry_run = dry_run};
    const auto report = self.run([&](store::Store& store) { return store.collect(options); });
    nb::dict dict;
    dict["busy"] = report.busy;
    dict["variants_before"] = report.before.variants;
    dict["bytes_before"] = report.before.bytes;
    dict["evicted"] = report.evicted;
    dict["swept"] = report.swept;
    dict["freed"] = report.freed;
    dict["pending_bytes"] = report.pending_bytes;
    return dict;
}

nb::dict fsck(const StoreHandle& self, bool repair) {
    const store::Repair wanted = repair ? store::Repair::yes : store::Repair::no;
    const auto report = self.run([&](store::Store& store) { return store.check(wanted); });
    nb::list problems;
    for (const store::Problem& problem : report.problems) {
        const std::string code(to_string(problem.error.code));
        problems.append(nb::make_tuple(problem.path, code, problem.error.what()));
    }
    nb::dict dict;
    add_usage(dict, report.usage);
    dict["problems"] = problems;
    dict["repaired"] = report.repaired;
    return dict;
}

nb::dict stats(const StoreHandle& self) {
    const auto statistics = self.run([](store::Store& store) { return store.statistics(); });
    nb::dict dict;
    add_usage(dict, statistics.usage);
    dict["max_bytes"] = statistics.max_bytes;
    for (std::size_t i = 0; i < store::k_counter_count; ++i) {
        const auto counter = static_cast<store::Counter>(i);
        dict[nb::str(store::name_of(counter).data(), store::name_of(counter).size())] = statistics.counters[counter];
    }
    return dict;
}

}  // namespace

void bind_store(nb::module_& m) {
    register_exit();
    using Self = const StoreHandle&;
    const store::DiskOptions defaults;
    nb::class_<FlightHandle>(m, "Flight", nb::is_final())
        .def("end", [](FlightHandle& self) { without_gil([&] { self.flight.reset(); }); })
        .def("forget", &FlightHandle::forget);
    nb::class_<StoreHandle>(m, "Store", nb::is_final())
        .def_static("open", &open_store, "path"_a = nb::none(), nb::kw_only(), "read_only"_a = false, "durability"_a = "none",
                    "max_bytes"_a = defaults.max_bytes, "min_free_bytes"_a = defaults.min_free_bytes, "remote"_a = nb::none(),
                    "remote_read_only"_a = false, "remote_patience"_a = 0.25, "remote_retry_after"_a = 60.0,
                    "remote_slowest"_a = remote::TieredOptions{}.slowest)
        .def_static(
            "in_memory",
            [](std::uint64_t max_bytes) {
                return StoreHandle{std::make_shared<store::MemoryStore>(store::MemoryOptions{max_bytes}), {}, nullptr};
            },
            nb::kw_only(), "max_bytes"_a = 0)
        .def_prop_ro("path", [](Self self) { return self.path; })
        .def_prop_ro("remote", &remote_name)
        .def_static(
            "key_digest",
            [](const KeyTuple& key, const std::optional<nb::bytes>& structure) { return bytes_of(name_of(key, structure)); },
            "key"_a, "structure"_a = nb::none())
        .def("get", &get, "key"_a, "structure"_a = nb::none())
        .def("join", &join, "key"_a, "structure"_a = nb::none(), nb::kw_only(), "known"_a = nb::list(), "wait"_a = 600.0,
             "stalled"_a = 5.0)
        .def("put", &put, "package"_a)
        .def("publish", &publish, "package"_a, "structure"_a, nb::kw_only(), "replaces"_a = std::vector<nb::bytes>(),
             "keep"_a = nb::none())
        .def("remove", &remove, "key"_a, "variant"_a = nb::none())
        .def("trim", &trim, "key"_a, "keep"_a)
        .def("note_miss", &note_miss, "function"_a, "reasons"_a, "why"_a = nb::none())
        .def("misses", &misses)
        .def("ls", &ls)
        .def("gc", &gc, "max_bytes"_a = nb::none(), nb::kw_only(), "dry_run"_a = false)
        .def("fsck", &fsck, nb::kw_only(), "repair"_a = false)
        .def("stats", &stats)
        .def("flush", &flush, "deadline"_a = nb::none());
}

}  // namespace coldframe::python
