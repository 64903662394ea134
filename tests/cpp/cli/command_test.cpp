#include <coldframe/cli/command.hpp>
#include <coldframe/util/version.hpp>

#include <doctest/doctest.h>

#include <initializer_list>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Outcome {
    int status;
    std::string out;
    std::string err;
};

Outcome run(std::initializer_list<const char*> arguments) {
    std::vector<const char*> argv{"coldframe"};
    argv.insert(argv.end(), arguments);
    std::ostringstream out;
    std::ostringstream err;
    const int status = coldframe::cli::run(static_cast<int>(argv.size()), argv.data(), out, err);
    return {status, out.str(), err.str()};
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("--version and --help answer on standard output") {
    CHECK(run({"--version"}).out == std::string(coldframe::k_producer) + "\n");
    for (const auto& outcome : {run({"--help"}), run({"inspect", "--help"}), run({"verify", "--help"})}) {
        CHECK(outcome.status == 0);
        CHECK(contains(outcome.out, "Exit codes:"));
        CHECK(outcome.err.empty());
    }
}

TEST_CASE("a wrong command line is exit code 1 and says where help is") {
    for (const auto& outcome :
         {run({}), run({"frobnicate"}), run({"inspect"}), run({"verify", "a", "b"}), run({"inspect", "--what", "a"})}) {
        CHECK(outcome.status == 1);
        CHECK(outcome.out.empty());
        CHECK(contains(outcome.err, "coldframe --help"));
    }
}

TEST_CASE("an absent file is exit code 6 and the message says what, where and what to do") {
    for (const char* command : {"inspect", "verify"}) {
        const Outcome outcome = run({command, "/nonexistent/model.cfp"});
        CHECK(outcome.status == 6);
        CHECK(outcome.out.empty());
        CHECK(contains(outcome.err, "coldframe: not_found: "));
        CHECK(contains(outcome.err, "where  /nonexistent/model.cfp"));
        CHECK(contains(outcome.err, "do     check the path"));
    }
}

TEST_CASE("a directory is not a package") { CHECK(run({"verify", "/"}).status == 1); }

TEST_CASE("merge and diff say which file cannot be read, run what it lacks") {
    CHECK(run({"merge", "/tmp/out.cfp"}).status == 1);
    const Outcome merged = run({"merge", "/nonexistent/out.cfp", "/nonexistent/a.cfp"});
    CHECK(merged.status == 6);
    CHECK(contains(merged.err, "/nonexistent/a.cfp"));
    CHECK(run({"diff", "/nonexistent/a.cfp", "/nonexistent/b.cfp"}).status == 6);
    const Outcome nothing = run({"run"});
    CHECK(nothing.status == 1);
    CHECK(contains(nothing.err, "coldframe run script.py"));
    const Outcome absent = run({"run", "--python", "/nonexistent/python", "script.py"});
    CHECK(absent.status == 6);
    CHECK(contains(absent.err, "/nonexistent/python"));
}
