#include <python/place.hpp>

namespace coldframe::python {

namespace {

// What a deep path shows of itself: its beginning and its end.
constexpr std::size_t k_longest_path = 300;

}  // namespace

bool Place::is_cycle() const {
    for (const Place* place = outer_; place != nullptr; place = place->outer_) {
        if (place->object_ == object_) return true;
    }
    return false;
}

std::string Place::path() const {
    std::string text;
    for (const Place* place = this; place != nullptr; place = place->outer_) {
        std::string part(place->name_);
        if (place->index_ >= 0) part.append("[").append(std::to_string(place->index_)).append("]");
        if (place->key_ != nullptr) part.append("[").append(short_repr(place->key_)).append("]");
        text.insert(0, part);
    }
    if (text.size() <= k_longest_path) return text;
    return text.substr(0, k_longest_path / 2) + "..." + text.substr(text.size() - k_longest_path / 2);
}

}  // namespace coldframe::python
