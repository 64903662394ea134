#include <coldframe/cli/progress_bar.hpp>

#include <coldframe/cli/text.hpp>

#include <unistd.h>

#include <algorithm>
#include <ostream>

namespace coldframe::cli {
namespace {

constexpr std::size_t k_bar_width = 40;

}  // namespace

ProgressBar::ProgressBar(std::uint64_t total, std::ostream& err, ProgressUnit unit)
    : total_(total), err_(err), unit_(unit), shown_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
    if (drawn_ != 0) err_ << '\r' << std::string(k_bar_width + 32, ' ') << '\r' << std::flush;
}

void ProgressBar::update(std::uint64_t done) {
    if (!shown_ || total_ == 0) return;
    const auto width = static_cast<std::size_t>(std::min(done, total_) * k_bar_width / total_);
    if (width == drawn_) return;
    drawn_ = width;
    err_ << "\r[" << std::string(width, '#') << std::string(k_bar_width - width, ' ') << "] ";
    if (unit_ == ProgressUnit::bytes) {
        err_ << size_text(done) << " of " << size_text(total_) << ' ' << std::flush;
    } else {
        err_ << done << " of " << count_text(total_, "key") << ' ' << std::flush;
    }
}

}  // namespace coldframe::cli
