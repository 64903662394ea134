#include <coldframe/cli/options.hpp>
#include <coldframe/util/version.hpp>

#include <CLI/CLI.hpp>

#include <optional>
#include <sstream>
#include <string>

namespace coldframe::cli {
namespace {

constexpr const char* k_any_owner_help = "Also take a file that another user owns or can write";
constexpr const char* k_store_help = "The store, instead of $COLDFRAME_DIR or coldframe in the user's cache directory";
constexpr const char* k_remote_help = "The remote's URL, for example https://host/prefix, s3://bucket/prefix or redis://host";
constexpr const char* k_remote_variable = "COLDFRAME_REMOTE";
constexpr const char* k_key_help = "The first digits of a key or of a variant, as ls lists them";

Answer answer(const CLI::App& app, const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int status = app.exit(error, out, err);
    if (status == 0) return {.code = ExitCode::ok, .out = out.str(), .err = {}};
    std::string text = "coldframe: usage: " + std::string(error.what()) + "\n  do     ";
    return {.code = ExitCode::usage, .out = {}, .err = text.append(advice(ExitCode::usage)) + "\n"};
}

// A subcommand and the options that it was given.
template <typename Options>
struct Subcommand {
    CLI::App* app;
    Options options;

    Subcommand(CLI::App& parent, const std::string& name, const std::string& help) : app(parent.add_subcommand(name, help)) {
        app->footer(exit_code_help());
    }
    Subcommand(const Subcommand&) = delete;
    Subcommand& operator=(const Subcommand&) = delete;
};

template <typename Options>
struct StoreSubcommand : Subcommand<Options> {
    StoreSubcommand(CLI::App& parent, const std::string& name, const std::string& help)
        : Subcommand<Options>(parent, name, help) {
        this->app->add_option("--store", this->options.directory, k_store_help)->type_name("DIRECTORY");
    }
};

// Every subcommand about a store, with its options.
struct StoreSubcommands {
    StoreSubcommand<StatsOptions> stats;
    StoreSubcommand<ListOptions> list;
    StoreSubcommand<ShowOptions> show;
    StoreSubcommand<CollectOptions> collect;
    StoreSubcommand<CheckOptions> check;
    StoreSubcommand<ExportOptions> save;
    StoreSubcommand<ImportOptions> load;
    StoreSubcommand<WhyOptions> why;
    StoreSubcommand<PushOptions> push;
    StoreSubcommand<PullOptions> pull;

    explicit StoreSubcommands(CLI::App& app)
        : stats(app, "stats", "Print how full a store is, and its hits and misses"),
          list(app, "ls", "List what a store holds, the last used first"),
          show(app, "show", "Print what the packages of a key hold, as inspect does"),
          collect(app, "gc", "Evict what was not used for longest until the store is within its limit"),
          check(app, "fsck", "Read every byte of a store and check it against its digests"),
          save(app, "export", "Write what a store holds for a key to a package"),
          load(app, "import", "Put a package into a store"),
          why(app, "why", "Say why what was compiled last had to be"),
          push(app, "push", "Bring what a store holds to a remote that has it not yet"),
          pull(app, "pull", "Bring what a remote has for keys to a store") {
        stats.app->add_flag("--json", stats.options.json, "Print JSON");
        list.app->add_flag("--json", list.options.json, "Print JSON");
        show.app->add_option("KEY", show.options.key, k_key_help)->required()->type_name("");
        show.app->add_flag("--json", show.options.json, "Print JSON");
        collect.app->add_option("--max-bytes", collect.options.max_bytes, "How large the store may be, for example 500M or 10G")
            ->transform(CLI::AsSizeValue(false));
        collect.app->add_flag("--dry-run", collect.options.dry_run, "Only say what would be removed");
        check.app->add_flag("--repair", check.options.repair,
                            "Move what is damaged away, so that it is compiled and stored again");
        save.app->add_option("KEY", save.options.key, k_key_help)->required()->type_name("");
        save.app->add_option("FILE", save.options.file, "The package to write")->required()->type_name("");
        load.app->add_option("FILE", load.options.file, "The package")->required()->type_name("");
        load.app->add_flag("--any-owner", load.options.any_owner, k_any_owner_help);
        why.app->add_option("--last", why.options.last, "How many, instead of 10")->type_name("NUMBER");
        why.app->add_flag("--json", why.options.json, "Print JSON");
        push.app->add_option("KEY", push.options.keys, k_key_help)->type_name("");
        push.app->add_option("--remote", push.options.remote, k_remote_help)->envname(k_remote_variable)->required();
        push.app->add_flag("--force", push.options.force, "Write also what is there already, in case that it is damaged");
        push.app->add_flag("--json", push.options.json, "Print JSON");
        pull.app->add_option("KEY", pull.options.keys, "As ls lists them, or in full those that the store does not have")
            ->type_name("");
        pull.app->add_option("--remote", pull.options.remote, k_remote_help)->envname(k_remote_variable)->required();
        pull.app->add_flag("--json", pull.options.json, "Print JSON");
    }
    StoreSubcommands(const StoreSubcommands&) = delete;
    StoreSubcommands& operator=(const StoreSubcommands&) = delete;

    [[nodiscard]] std::optional<StoreCommand> parsed() const {
        std::optional<StoreCommand> command;
        const auto take = [&](const auto& subcommand) {
            if (subcommand.app->parsed()) command = subcommand.options;
        };
        take(stats);
        take(list);
        take(show);
        take(collect);
        take(check);
        take(save);
        take(load);
        take(why);
        take(push);
        take(pull);
        return command;
    }
};

struct RunSubcommand : StoreSubcommand<RunOptions> {
    explicit RunSubcommand(CLI::App& parent)
        : StoreSubcommand<RunOptions>(parent, "run",
                                      "Run script.py ... or -m module ... with every torch.compile served from a store") {
        app->add_option("--remote", options.remote, "A second tier, which the store is filled from and fills")
            ->type_name("URL");
        app->add_option("--max-bytes", options.max_bytes, "How large the store may become, for example 500M or 10G")
            ->transform(CLI::AsSizeValue(false));
        app->add_flag("--read-only", options.read_only, "Write nothing, neither to the store nor to the remote");
        app->add_flag("--no-single-flight", options.no_single_flight, "Do not wait for others that compile the same");
        app->add_option("--on-miss", options.on_miss,
                        "What becomes of calls that the store does not serve: compile, eager or error")
            ->type_name("WHAT")
            ->check(CLI::IsMember({"compile", "eager", "error"}));
        app->add_option("--python", options.python, "The interpreter, instead of the active environment's")->type_name("FILE");
        app->prefix_command();
    }

    [[nodiscard]] RunOptions parsed() const {
        RunOptions made = options;
        made.arguments = app->remaining();
        return made;
    }
};

}  // namespace

Parsed parse_options(int argc, const char* const* argv) {
    CLI::App app{"Looks into compile packages (.cfp) and stores of them, and checks them. Runs nothing that is in them.",
                 "coldframe"};
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

    Subcommand<MergeOptions> merge(app, "merge", "Write what several packages of one function hold to one");
    merge.app->add_option("OUTPUT", merge.options.output, "The package to write")->required()->type_name("");
    merge.app->add_option("FILE", merge.options.files, "The packages")->required()->type_name("");
    merge.app->add_flag("--any-owner", merge.options.any_owner, k_any_owner_help);

    Subcommand<DiffOptions> diff(app, "diff", "Say in what two packages differ");
    diff.app->add_option("A", diff.options.first, "A package")->required()->type_name("");
    diff.app->add_option("B", diff.options.second, "Another one")->required()->type_name("");
    diff.app->add_flag("--any-owner", diff.options.any_owner, k_any_owner_help);

    RunSubcommand run(app);
    const StoreSubcommands store(app);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return answer(app, error);
    }
    if (inspect_command->parsed()) return inspect;
    if (verify_command->parsed()) return verify;
    if (merge.app->parsed()) return merge.options;
    if (diff.app->parsed()) return diff.options;
    if (run.app->parsed()) return run.parsed();
    return store.parsed().value();
}

}  // namespace coldframe::cli
