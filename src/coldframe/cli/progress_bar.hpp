// A line that is drawn over itself, for people who watch.
//
//   ProgressBar bar(total_bytes, std::cerr);              // draws nothing unless standard error is a terminal
//   bar.update(done);                                     // the line goes when the bar does
//
// Thread-safety: one object serves one thread. Failure: none.
#pragma once

#include <cstdint>
#include <iosfwd>

namespace coldframe::cli {

enum class ProgressUnit : std::uint8_t { bytes, keys };

class ProgressBar {
   public:
    ProgressBar(std::uint64_t total, std::ostream& err, ProgressUnit unit = ProgressUnit::bytes);
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    ~ProgressBar();

    void update(std::uint64_t done);

   private:
    std::uint64_t total_;
    std::ostream& err_;
    ProgressUnit unit_;
    bool shown_;
    std::size_t drawn_ = 0;
};

}  // namespace coldframe::cli
