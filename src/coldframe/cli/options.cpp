#include <coldframe/cli/options.hpp>
#include <coldframe/util/version.hpp>

#include <CLI/CLI.hpp>

#include <sstream>
#include <string>

namespace coldframe::cli {
namespace {

constexpr const char* k_any_owner_help = "Also take a file that another user owns or can write";

Answer answer(const CLI::App& app, const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int status = app.exit(error, out, err);
    if (status == 0) return {.code = ExitCode::ok, .out = out.str(), .err = {}};
    std::string text = "coldframe: usage: " + std::string(error.what()) + "\n  do     ";
    return {.code = ExitCode::usage, .out = {}, .err = text.append(advice(ExitCode::usage)) + "\n"};
}

}  // namespace

Parsed parse_options(int argc, const char* const* argv) {
    CLI::App app{"Looks into compile packages (.cfp) and checks them. Runs nothing that is in them.", "coldframe"};
    app.get_formatter()->column_width(28);
    app.set_version_flag("--version", std::string(k_producer), "Print the version and exit");
    app.footer(exit_code_help());
    app.require_subcommand(1);

    InspectOptions inspect;
    CLI::App* inspect_command = app.add_subcommand("inspect", "Print what a package holds: key, environment, codes, artifacts");
    inspect_command->add_option("FILE", inspect.file, "The package")->required()->type_name("");
    inspect_command->add_flag("--json", inspect.json, "Print JSON");
    inspect_command->add_flag("--guards", inspect.guards, "List every op of every guard program with its source text");
    inspect_command->add_flag("--code", inspect.code, "List the fields and constants of the compiled bytecode");
    inspect_command->add_flag("--any-owner", inspect.any_owner, k_any_owner_help);
    inspect_command->footer(exit_code_help());

    VerifyOptions verify;
    CLI::App* verify_command = app.add_subcommand("verify", "Read every byte of a package and check it against its digests");
    verify_command->add_option("FILE", verify.file, "The package")->required()->type_name("");
    verify_command->add_flag("--any-owner", verify.any_owner, k_any_owner_help);
    verify_command->footer(exit_code_help());

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return answer(app, error);
    }
    if (inspect_command->parsed()) return inspect;
    return verify;
}

}  // namespace coldframe::cli
