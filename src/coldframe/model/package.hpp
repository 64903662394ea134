// The package: everything that one torch.compile produced, and what must hold to use it again.
//
//   Package            key, environment, sources, codes, artifacts, producer, created, compile cost
//   CodeEntry          one code object that Dynamo compiled: entry, resume function or user function; many guarded codes
//   GuardedCode        one compilation of it: guard program + dynamo code
//   SourceFile         a file whose functions were inlined into graphs
//   Environment        what the bytecode, the ABI, the CPU and the settings demanded
//   Artifact           one backend's output for one graph: a recipe and blobs
//
//   Package package;
//   package.key = {"model", "Net.forward", digest, options_digest};
//   package.merge(other);         // same key: variants side by side, none twice
//
// Thread-safety: a value; do not change one that is shared. Failure: `merge` refuses another key (invalid_argument).
#pragma once

#include <coldframe/model/code_object.hpp>
#include <coldframe/model/guard_program.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace coldframe {

// What a function is called by: never a line number.
struct PackageKey {
    std::string module;
    std::string qualname;
    Digest code{};     // semantic digest of the function's code
    Digest options{};  // digest of the compile options
    bool operator==(const PackageKey&) const = default;
};

enum class CodeRole : std::uint8_t { entry = 0, resume = 1, user_function = 2 };

struct GuardedCode {
    GuardProgram guards;
    CodePtr dynamo_code;
    std::vector<std::string> backend_ids;  // what this variant calls, a subset of its entry's
    double compile_seconds = 0;
    Value details = Dict{};  // adapter's own: str keys; unknown keys are kept
    bool operator==(const GuardedCode& other) const;
};
using GuardedCodePtr = std::shared_ptr<GuardedCode>;

// A global that the dynamo code reads and that no import source, backend or resume function provides.
struct InstalledGlobal {
    std::string name;
    Value recipe;  // how to get it back
    bool operator==(const InstalledGlobal&) const = default;
};

struct CodeEntry {
    CodePtr python_code;
    std::string module;  // __name__ in the frame's own globals
    CodeRole role = CodeRole::entry;
    std::vector<std::string> function_names;
    std::string code_source;  // how to find the code from the module, when it is a user function
    std::vector<GuardedCodePtr> guarded_codes;
    std::map<std::string, std::string> import_sources;  // alias -> module
    std::vector<InstalledGlobal> installed_globals;
    std::vector<std::string> backend_ids;
    bool bypassed = false;
    std::string bypass_reason;
    bool skipped = false;  // torch found nothing to compile in it, and runs it as it is from then on
};
using CodeEntryPtr = std::shared_ptr<CodeEntry>;

struct SourceFunction {
    std::string qualname;
    Digest code{};  // semantic
    std::int64_t first_line = 0;
    std::int64_t last_line = 0;
    bool operator==(const SourceFunction&) const = default;
};

struct SourceFile {
    std::string module;
    std::string path_hint;  // for messages: never opened
    Digest digest{};        // of the whole file
    std::vector<SourceFunction> functions;
    bool operator==(const SourceFile&) const = default;
};
using SourceFilePtr = std::shared_ptr<SourceFile>;

struct Environment {
    std::string python_implementation;  // "cpython"
    std::string python_version;         // "3.11.7"
    std::string python_magic;           // hex of importlib.util.MAGIC_NUMBER
    std::string soabi;
    std::string torch_version;
    std::string torch_git;
    std::string device_type;                    // "cpu", "cuda", ...
    std::string machine;                        // "x86_64"
    std::string libc;                           // "glibc 2.36"
    std::vector<std::string> cpu_features;      // that the kernels use: the present CPU must have them all
    std::map<std::string, std::string> device;  // GPU name, capability, driver, toolkit, Triton
    std::map<std::string, Value> settings;      // compile options and config that change generated code
    bool operator==(const Environment&) const = default;
};

// Bytes with a name; read and verified on first use when they lie in a file.
class Blob {
   public:
    virtual ~Blob() = default;
    [[nodiscard]] virtual const std::string& name() const = 0;
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    [[nodiscard]] virtual const Digest& digest() const = 0;  // SHA-256 of the raw bytes
    [[nodiscard]] virtual Result<Bytes> read() const = 0;    // verified: corrupt if the bytes are not those of the digest
};
using BlobPtr = std::shared_ptr<const Blob>;
[[nodiscard]] BlobPtr make_blob(std::string name, Bytes bytes);

struct Artifact {
    std::string backend_id;
    std::string kind;  // "inductor_native", "precompile_eager", ...: registered by the adapter
    Value recipe;
    std::vector<BlobPtr> blobs;
};
using ArtifactPtr = std::shared_ptr<Artifact>;

struct Package {
    PackageKey key;
    Environment environment;
    std::vector<SourceFilePtr> sources;
    std::vector<CodeEntryPtr> codes;
    std::vector<ArtifactPtr> artifacts;
    std::string producer;        // "coldframe 0.1.0"
    std::int64_t created = 0;    // seconds since the epoch
    double compile_seconds = 0;  // what a hit saves

    // Adds what `other` has and this one lacks. Codes are matched by (module, role, code digest), variants by content.
    [[nodiscard]] Status merge(const Package& other);
};

}  // namespace coldframe
