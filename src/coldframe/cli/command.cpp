#include <coldframe/archive/reader.hpp>
#include <coldframe/cli/command.hpp>
#include <coldframe/cli/exit_code.hpp>
#include <coldframe/cli/options.hpp>
#include <coldframe/cli/report.hpp>
#include <coldframe/cli/run_command.hpp>
#include <coldframe/cli/store_command.hpp>
#include <coldframe/cli/text.hpp>

#include <exception>
#include <ostream>

namespace coldframe::cli {
namespace {

archive::OpenOptions open_options(bool any_owner) {
    return {.owner_check = any_owner ? archive::OwnerCheck::skip : archive::OwnerCheck::enforce, .fs = nullptr};
}

Status inspect(const InspectOptions& options, std::ostream& out) {
    auto reader = archive::open_reader(options.file, open_options(options.any_owner));
    if (!reader) return std::unexpected(std::move(reader.error()));
    Result<Package> package = (*reader)->package();
    if (!package) return std::unexpected(std::move(package.error()));
    const Subject subject{.reader = **reader, .package = *package};
    const Detail detail{.guards = options.guards, .code = options.code};
    if (options.json) {
        print_json(subject, detail, out);
    } else {
        print_text(subject, detail, out);
    }
    return {};
}

Status verify(const VerifyOptions& options, std::ostream& out) {
    auto reader = archive::open_reader(options.file, open_options(options.any_owner));
    if (!reader) return std::unexpected(std::move(reader.error()));
    if (Status status = (*reader)->verify(); !status) return status;
    out << printable(options.file) << ": intact, " << size_text((*reader)->file_size()) << " in "
        << count_text((*reader)->entries().size(), "part") << ", digest " << to_hex((*reader)->digest()) << '\n';
    return {};
}

ExitCode report(const Error& error, std::string_view file, std::ostream& err) {
    const ExitCode code = exit_code(error.code);
    err << "coldframe: " << to_string(error.code) << ": " << printable(error.message) << '\n';
    err << "  where  " << printable(error.context.empty() ? file : std::string_view(error.context)) << '\n';
    err << "  do     " << advice(code) << '\n';
    return code;
}

ExitCode execute(const Parsed& parsed, std::ostream& out, std::ostream& err) {
    if (const auto* answer = std::get_if<Answer>(&parsed)) {
        out << answer->out;
        err << answer->err;
        return answer->code;
    }
    if (const auto* options = std::get_if<RunOptions>(&parsed)) {
        out.flush();
        const Error error = run_program(*options);
        return report(error, options->arguments.empty() ? "coldframe run" : options->arguments.front(), err);
    }
    if (const auto* command = std::get_if<StoreCommand>(&parsed)) {
        const Result<ExitCode> code = run_store_command(*command, out, err);
        return code ? *code : report(code.error(), store_directory(*command), err);
    }
    const auto* inspected = std::get_if<InspectOptions>(&parsed);
    const auto* verified = std::get_if<VerifyOptions>(&parsed);
    const std::string& file = inspected != nullptr ? inspected->file : verified->file;
    Status status = inspected != nullptr ? inspect(*inspected, out) : verify(*verified, out);
    return status ? ExitCode::ok : report(status.error(), file, err);
}

}  // namespace

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
    ExitCode code = ExitCode::internal;
    try {
        code = execute(parse_options(argc, argv), out, err);
        out.flush();
        if (code == ExitCode::ok && !out) {
            code = report({ErrorCode::io, "cannot write the output", "standard output"}, {}, err);
        }
    } catch (const std::exception& exception) {
        code = report({ErrorCode::internal, exception.what(), "the coldframe command"}, {}, err);
    }
    return static_cast<int>(code);
}

}  // namespace coldframe::cli
