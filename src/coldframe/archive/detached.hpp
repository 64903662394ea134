// Packages whose large blobs lie apart from the rest, as a store keeps them: one small file and objects that packages share.
//
//   Result<Bytes> manifest = to_detached(package, sink);                   // the file; `sink` got every large blob
//   auto reader = open_detached(bytes, "name for errors", source);         // `source` yields them again
//   Result<Package> package = (*reader)->package();
//   Result<EntryTable> table = decode_entries(start, size);                // which objects a file needs, from its start
//
// Thread-safety: free functions; a source must serve many threads. Failure: as writer.hpp and reader.hpp say, and what sink and
// source give.
#pragma once

#include <coldframe/archive/parts.hpp>
#include <coldframe/archive/reader.hpp>

namespace coldframe::archive {

// Blobs that are smaller as stored stay in the file: apart, they would take a block of their own.
inline constexpr std::uint64_t k_min_detached_size = 4096;

class ObjectSink {
   public:
    virtual ~ObjectSink() = default;
    [[nodiscard]] virtual Status add(const PackedPart& object) = 0;  // named by entry.stored_digest
};

[[nodiscard]] Result<Bytes> to_detached(const Package& package, ObjectSink& sink);
[[nodiscard]] Result<std::shared_ptr<const Reader>> open_detached(Bytes file, const std::string& name,
                                                                  std::shared_ptr<const ObjectSource> source);

// The table of entries, read from at least the first table_end(entry count) bytes of a file of that size; of fewer, as many
// as are needed are named by `missing`, and there are no entries.
struct EntryTable {
    std::vector<Entry> entries;
    std::size_t missing = 0;  // how many bytes of the start of the file it takes
};
[[nodiscard]] Result<EntryTable> decode_entries(ByteView start, std::uint64_t file_size);

}  // namespace coldframe::archive
