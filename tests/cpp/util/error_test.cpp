#include <coldframe/util/error.hpp>

#include <doctest/doctest.h>

#include <utility>

using namespace coldframe;

TEST_CASE("every error code has the name that the Python classes carry") {
    const std::pair<ErrorCode, std::string_view> names[] = {
        {ErrorCode::incompatible, "incompatible"},
        {ErrorCode::corrupt, "corrupt"},
        {ErrorCode::untrusted, "untrusted"},
        {ErrorCode::unsupported, "unsupported"},
        {ErrorCode::not_found, "not_found"},
        {ErrorCode::not_portable, "not_portable"},
        {ErrorCode::io, "io"},
        {ErrorCode::timeout, "timeout"},
        {ErrorCode::no_space, "no_space"},
        {ErrorCode::invalid_argument, "invalid_argument"},
        {ErrorCode::internal, "internal"},
    };
    for (const auto& [code, name] : names) CHECK(to_string(code) == name);
}

TEST_CASE("context is added outermost last and never replaces what is known") {
    const Status status = fail(ErrorCode::corrupt, "the table is damaged");
    CHECK(status.error().what() == "the table is damaged");
    const Error error = Error(status.error()).with("entry 3").with("in 'x.cfp'");
    CHECK(error.code == ErrorCode::corrupt);
    CHECK(error.what() == "the table is damaged (entry 3; in 'x.cfp')");
}
