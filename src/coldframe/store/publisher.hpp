// Writing one package into a store: everything is staged, then the objects get their names, and the manifest last.
//
//   Publisher publisher(state, tree, key);
//   Result<Bytes> manifest = archive::to_detached(package, publisher);     // stages every object that is not there yet
//   Result<PutReport> report = publisher.publish(*manifest);
//
// What was staged and got no name is removed by the destructor. A collector may take an object that was there already: that is
// seen at the end, and the error is not_found, upon which the caller starts again.
//
// Thread-safety: one object serves one thread. Failure: io, no_space, untrusted, not_found as said.
#pragma once

#include <coldframe/archive/detached.hpp>
#include <coldframe/store/disk_state.hpp>

#include <map>
#include <vector>

namespace coldframe::store {

class Publisher final : public archive::ObjectSink {
   public:
    Publisher(DiskState& state, const Tree& tree, const Digest& key) : state_(state), tree_(tree), key_(key) {}
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;
    ~Publisher() override;

    [[nodiscard]] Status add(const archive::PackedPart& object) override;
    // The same, its bytes read from the source only if they are not there yet.
    [[nodiscard]] Status add(const archive::Entry& entry, const archive::ObjectSource& source);
    [[nodiscard]] Result<PutReport> publish(const Bytes& manifest);

   private:
    // A file on its way to its name.
    struct Pending {
        Digest digest{};
        std::uint64_t size = 0;
        Tree::Staged staged;  // its name is empty once it is published
    };

    [[nodiscard]] bool durable() const { return state_.options.durability != Durability::none; }
    [[nodiscard]] Result<bool> is_intact(const Directory& in, const std::string& name, const Digest& digest,
                                         std::uint64_t size);
    // Whether it is there already, or was added before.
    [[nodiscard]] Result<bool> is_known(const archive::Entry& entry);
    [[nodiscard]] Status stage_object(const archive::Entry& entry, ByteView bytes);
    [[nodiscard]] Result<Pending> stage(ByteView bytes, const Digest& digest, bool synced);
    [[nodiscard]] Result<Published> name_file(Pending& pending, const Directory& in, const std::string& name);
    [[nodiscard]] Status publish_objects();
    [[nodiscard]] Status sync_objects();
    [[nodiscard]] Status sync_manifest(const Directory& in);
    [[nodiscard]] Status check_all_there(const Directory& in, const Digest& id, std::uint64_t size);

    DiskState& state_;
    const Tree& tree_;
    Digest key_;
    std::map<Digest, std::uint64_t> objects_;  // all of them, with their sizes
    std::vector<Pending> pending_;
    PutReport report_;
};

}  // namespace coldframe::store
