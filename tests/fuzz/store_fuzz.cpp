// The small files of a store: FORMAT, and what processes report. Every file of the store is the input.
#include <fuzz.hpp>

#include <coldframe/store/reports.hpp>
#include <coldframe/util/memory_fs.hpp>

#include <fcntl.h>

using namespace coldframe;
using fuzz::require;

namespace {

class SameFiles final : public Fs {
   public:
    explicit SameFiles(ByteView bytes) : file_(bytes) {}

    int open(const std::string&, int, std::uint32_t) override { return -ENOSYS; }
    int open_at(int, const std::string&, int flags, std::uint32_t) override {
        return (flags & O_DIRECTORY) != 0 ? k_directory : k_file;
    }
    int stat(int fd, FileInfo& info) override {
        const int result = file_.stat(fd, info);
        if (fd == k_directory) info = {.kind = FileKind::directory, .permissions = 0700};
        return result;
    }
    int stat_at(int, const std::string&, FileInfo& info) override { return file_.stat(k_file, info); }
    int list(int, std::vector<std::string>& names) override {
        names = {"report", "usage"};
        return 0;
    }
    std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) override {
        return file_.read_at(fd, out, offset);
    }
    std::int64_t write_at(int, ByteView, std::uint64_t) override { return -EROFS; }
    int sync(int) override { return -EROFS; }
    int close(int) override { return 0; }
    int rename(const std::string&, const std::string&) override { return -EROFS; }
    int unlink(const std::string&) override { return -EROFS; }
    std::int64_t random(std::span<std::uint8_t> out) override { return file_.random(out); }
    std::uint32_t effective_user() override { return 0; }
    std::string host_name() override { return "host"; }

   private:
    static constexpr int k_file = 3;
    static constexpr int k_directory = 4;

    MemoryFs file_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    SameFiles fs(bytes);
    const Result<store::Tree> tree = store::Tree::open(fs, "/store", archive::OwnerCheck::skip);
    const bool is_format = tree.value().check_format().has_value();
    const std::vector<store::MissNote> misses = store::read_misses(*tree).value();
    const std::uint64_t used = store::estimate_bytes(*tree).value();
    const std::optional<store::CounterValues> counters = store::decode_counters(fuzz::text_of(bytes));
    if (counters) {
        const std::string text = store::encode_counters(*counters);
        require(store::encode_counters(store::decode_counters(text).value()) == text);
        require(store::encode_counters(store::sum_reports(*tree).value()) == text || size > 4096);
    }
    if (is_format || !misses.empty() || used != 0 || counters) fuzz::accept();
    static_cast<void>(store::parse_manifest_name(fuzz::text_of(bytes)));
    return 0;
}
