// URLs of remotes.
#include <fuzz.hpp>

#include <coldframe/remote/url.hpp>

#include <algorithm>

using namespace coldframe;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of({data, size});
    const Result<remote::Url> url = remote::parse_url(text);
    if (!url) return 0;
    require(!url->scheme.empty() && url->scheme == remote::scheme_of(text));
    // Both go into requests.
    const auto ends_a_line = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    require(std::ranges::none_of(url->authority() + url->path, ends_a_line));
    const Result<remote::Url> again = remote::parse_url(url->printable());
    require(again && again->authority() == url->authority() && again->path == url->path);
    fuzz::accept();
    return 0;
}
