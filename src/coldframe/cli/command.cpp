#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>
#include <coldframe/cli/command.hpp>
#include <coldframe/cli/difference.hpp>
#include <coldframe/cli/exit_code.hpp>
#include <coldframe/cli/options.hpp>
#include <coldframe/cli/report.hpp>
#include <coldframe/cli/run_command.hpp>
#include <coldframe/cli/store_command.hpp>
#include <coldframe/cli/text.hpp>
#include <coldframe/util/try.hpp>

#include <exception>
#include <ostream>
#include <span>

namespace coldframe::cli {
namespace {

archive::OpenOptions open_options(bool any_owner) {
    return {.owner_check = any_owner ? archive::OwnerCheck::skip : archive::OwnerCheck::enforce, .fs = nullptr};
}

Status inspect(const InspectOptions& options, std::ostream& out) {
    COLDFRAME_TRY_ASSIGN(auto reader, archive::open_reader(options.file, open_options(options.any_owner)));
    COLDFRAME_TRY_ASSIGN(Package package, reader->package());
    const Subject subject{.reader = *reader, .package = package};
    const Detail detail{.guards = options.guards, .code = options.code};
    if (options.json) {
        print_json(subject, detail, out);
    } else {
        print_text(subject, detail, out);
    }
    return {};
}

Status verify(const VerifyOptions& options, std::ostream& out) {
    COLDFRAME_TRY_ASSIGN(auto reader, archive::open_reader(options.file, open_options(options.any_owner)));
    if (Status status = reader->verify(); !status) return status;
    out << printable(options.file) << ": intact, " << size_text(reader->file_size()) << " in "
        << count_text(reader->entries().size(), "part") << ", digest " << to_hex(reader->digest()) << '\n';
    return {};
}

Result<Package> open_package(const std::string& file, bool any_owner) {
    Result<Package> package = archive::open(file, open_options(any_owner));
    if (!package) return std::unexpected(std::move(package.error()).with("in '" + file + "'"));
    return package;
}

Status merge(const MergeOptions& options, std::ostream& out) {
    COLDFRAME_TRY_ASSIGN(Package merged, open_package(options.files.front(), options.any_owner));
    for (const std::string& file : std::span(options.files).subspan(1)) {
        COLDFRAME_TRY_ASSIGN(const Package other, open_package(file, options.any_owner));
        if (Status added = merged.merge(other); !added) {
            return std::unexpected(std::move(added.error()).with("while merging '" + file + "'"));
        }
    }
    COLDFRAME_TRY_ASSIGN(const auto written, archive::write(merged, options.output));
    out << printable(options.output) << ": " << count_text(options.files.size(), "package") << ", " << size_text(written.size)
        << ", digest " << to_hex(written.digest) << '\n';
    return {};
}

Status diff(const DiffOptions& options, std::ostream& out) {
    COLDFRAME_TRY_ASSIGN(const Package first, open_package(options.first, options.any_owner));
    COLDFRAME_TRY_ASSIGN(const Package second, open_package(options.second, options.any_owner));
    print_difference(first, second, out);
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
    const auto finish = [&](const Status& status, const std::string& file) {
        return status ? ExitCode::ok : report(status.error(), file, err);
    };
    if (const auto* options = std::get_if<InspectOptions>(&parsed)) return finish(inspect(*options, out), options->file);
    if (const auto* options = std::get_if<MergeOptions>(&parsed)) return finish(merge(*options, out), options->output);
    if (const auto* options = std::get_if<DiffOptions>(&parsed)) return finish(diff(*options, out), options->first);
    const auto& options = std::get<VerifyOptions>(parsed);
    return finish(verify(options, out), options.file);
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
