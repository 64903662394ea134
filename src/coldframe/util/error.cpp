#include <coldframe/util/error.hpp>

#include <utility>

namespace coldframe {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::incompatible: return "incompatible";
        case ErrorCode::corrupt: return "corrupt";
        case ErrorCode::untrusted: return "untrusted";
        case ErrorCode::unsupported: return "unsupported";
        case ErrorCode::not_found: return "not_found";
        case ErrorCode::not_portable: return "not_portable";
        case ErrorCode::io: return "io";
        case ErrorCode::timeout: return "timeout";
        case ErrorCode::no_space: return "no_space";
        case ErrorCode::invalid_argument: return "invalid_argument";
        case ErrorCode::internal: return "internal";
    }
    return "internal";
}

Error Error::with(std::string_view where) && {
    if (!context.empty()) context += "; ";
    context += where;
    return std::move(*this);
}

std::string Error::what() const {
    if (context.empty()) return message;
    return message + " (" + context + ")";
}

std::unexpected<Error> fail(ErrorCode code, std::string message) {
    return std::unexpected(Error{code, std::move(message), {}});
}

}  // namespace coldframe
