// The binding: what Python sees of the core. It converts and forwards; the meaning lies elsewhere.
#include <python/code_codec.hpp>
#include <python/guard_handles.hpp>
#include <python/host.hpp>
#include <python/import_ref.hpp>
#include <python/native_module.hpp>
#include <python/object_codec.hpp>
#include <python/records.hpp>
#include <python/shared_library.hpp>
#include <python/store_module.hpp>
#include <python/wrappers.hpp>

#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>
#include <coldframe/model/global_names.hpp>
#include <coldframe/model/guard_codec.hpp>
#include <coldframe/util/elf.hpp>
#include <coldframe/util/version.hpp>

#include <nanobind/nanobind.h>
#include <nanobind/operators.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/set.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;

namespace nanobind::detail {

// References of the bridge pass as any object.
template <>
struct type_caster<coldframe::python::Ref> {
    NB_TYPE_CASTER(coldframe::python::Ref, const_name("object"))
    bool from_python(handle object, uint32_t, cleanup_list*) noexcept {
        value = coldframe::python::Ref::borrow(object.ptr());
        return true;
    }
    static handle from_cpp(const coldframe::python::Ref& object, rv_policy, cleanup_list*) noexcept {
        return handle(object.get()).inc_ref();
    }
};

}  // namespace nanobind::detail

namespace coldframe::python {

Ref wrap(const ImportRef& reference) { return Ref::steal(nb::cast(reference).release().ptr()); }
Ref wrap(const Construct& construct) { return Ref::steal(nb::cast(construct).release().ptr()); }
Ref wrap(const CodePtr& code) { return Ref::steal(nb::cast(code).release().ptr()); }

const ImportRef* unwrap_import_ref(PyObject* object) {
    return nb::isinstance<ImportRef>(object) ? nb::inst_ptr<ImportRef>(object) : nullptr;
}
const Construct* unwrap_construct(PyObject* object) {
    return nb::isinstance<Construct>(object) ? nb::inst_ptr<Construct>(object) : nullptr;
}
CodePtr unwrap_code(PyObject* object) {
    return nb::isinstance<CodeObject>(object) ? nb::cast<CodePtr>(nb::handle(object)) : nullptr;
}

namespace {

Ref unresolved(const Value& value) { return to_python(value, References::kept); }

ByteView view(const nb::bytes& bytes) { return {reinterpret_cast<const std::uint8_t*>(bytes.c_str()), bytes.size()}; }

std::size_t hash_of(ByteView bytes) {
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// ---- Values

ImportRef import_ref(nb::handle object) {
    Result<ImportRef> reference = find_import_ref(object.ptr());
    if (reference) return std::move(*reference);
    const std::string message = "an object " + describe(object.ptr()) + " is not portable: " + reference.error().message;
    raise({ErrorCode::not_portable, message, {}});
}

Ref decode_object(const nb::bytes& data, bool resolve) {
    return to_python(value_or_raise(decode(view(data))), resolve ? References::resolved : References::kept);
}

void init_construct(Construct* self, const ImportRef& callee, const nb::tuple& args) {
    Construct construct{callee, to_values(Place("args", args.ptr(), 0), args.ptr())};
    // Finds calls that nest too deeply because they were made one by one.
    if (Result<Bytes> bytes = encode(construct); !bytes) raise({ErrorCode::not_portable, bytes.error().message, {}});
    new (self) Construct(std::move(construct));
}

void bind_values(nb::module_& m) {
    using Self = const ImportRef&;
    nb::class_<ImportRef>(m, "ImportRef", nb::is_final())
        .def(nb::init<std::string, std::string>(), "module"_a, "qualname"_a = "")
        .def_ro("module", &ImportRef::module)
        .def_ro("qualname", &ImportRef::qualname)
        .def("resolve", &resolve)
        .def(nb::self == nb::self)  // NOLINT(misc-redundant-expression): how nanobind says it
        .def("__hash__", [](Self self) { return std::hash<std::string>()(self.module + ":" + self.qualname); })
        .def("__repr__", [](Self self) { return "ImportRef('" + self.module + "', '" + self.qualname + "')"; });

    using Call = const Construct&;
    nb::class_<Construct>(m, "Construct", nb::is_final())
        .def("__init__", &init_construct, "callee"_a, "args"_a)
        .def_ro("callee", &Construct::callee)
        .def_prop_ro("args", [](Call self) { return to_tuple(self.args, References::kept); })
        .def("resolve", [](Call self) { return to_python(self, References::resolved); })
        .def(
            "__eq__", [](Call self, Call other) { return Value(self) == Value(other); }, nb::is_operator())
        .def("__hash__", [](Call self) { return hash_of(value_or_raise(encode(self))); })
        .def("__repr__",
             [](nb::handle self) { return nb::str("Construct({!r}, {!r})").format(self.attr("callee"), self.attr("args")); });

    m.def("import_ref", &import_ref, "obj"_a.none());
    m.def("encode", [](nb::handle value) { return from_bytes(encode_object(value.ptr())); }, "value"_a.none());
    m.def("digest", [](nb::handle value) { return from_bytes(sha256(encode_object(value.ptr()))); }, "value"_a.none());
    m.def("decode", &decode_object, "data"_a, nb::kw_only(), "resolve"_a = true);
    m.def("resolve", [](nb::handle value) { return resolve_all(value.ptr()); }, "value"_a.none());
    const auto portable = [](nb::handle value, bool resolve) {
        const Bytes bytes = encode_object(value.ptr());
        return to_python(value_or_raise(decode(bytes)), resolve ? References::resolved : References::kept);
    };
    m.def("portable", portable, "value"_a.none(), nb::kw_only(), "resolve"_a = false);
    const auto same = [](nb::handle one, nb::handle other) { return encode_object(one.ptr()) == encode_object(other.ptr()); };
    m.def("same", same, "one"_a.none(), "other"_a.none());
}

PyObject* checked_code(nb::handle code) {
    if (!PyCode_Check(code.ptr())) raise(PyExc_TypeError, "a code object is expected, not one " + describe(code.ptr()));
    return code.ptr();
}

CodePtr code_from_object(nb::handle code) { return from_code(checked_code(code)); }

CodePtr portable_from_object(nb::handle code) { return portable_code(checked_code(code)); }

void code_lives_as(const CodePtr& self, nb::handle code) { lives_as(self, checked_code(code)); }

void bind_code(nb::module_& m) {
    using Self = const CodeObject&;
    nb::class_<CodeObject>(m, "CodeObject", nb::is_final())
        .def_static("from_code", &code_from_object, "code"_a)
        .def_static(
            "from_fields", [](nb::handle fields) { return code_from_fields(fields.ptr(), nullptr); }, "fields"_a)
        .def("to_code", &to_code)
        .def("replace", [](Self self, const nb::kwargs& fields) { return code_from_fields(fields.ptr(), &self); })
        .def_static("portable", &portable_from_object, "code"_a)
        .def("without_directories", &without_directories)
        .def(
            "renamed", [](const CodePtr& self, const Renames& names) { return rename_globals(self, names); }, "names"_a)
        .def("lives_as", &code_lives_as, "code"_a)
        .def_prop_ro("fields", &code_fields)
        .def_prop_ro("digest", [](Self self) { return from_bytes(self.digest()); })
        .def_prop_ro("semantic_digest",
                     [](const CodePtr& self) { return from_bytes(without_docstring(self)->semantic_digest()); })
        .def(nb::self == nb::self)  // NOLINT(misc-redundant-expression): how nanobind says it
        .def("__hash__", [](Self self) { return hash_of(self.digest()); })
        .def("__repr__", [](Self self) { return "<CodeObject " + self.fields().name + ">"; });
}

// ---- Guard programs

std::optional<NodeId> add_op(ProgramHandle& self, const std::string& kind, std::vector<NodeId> inputs,
                             const nb::tuple& operands, std::string source, std::vector<std::string> explanations,
                             const std::optional<ExampleTuple>& example) {
    return add_guard(self, kind, std::move(inputs), operands.ptr(), std::move(source), std::move(explanations), example);
}

ProgramHandle program_from_bytes(const nb::bytes& data) {
    return ProgramHandle::own(value_or_raise(decode_guards(view(data))));
}

ProgramHandle renamed_program(const ProgramHandle& self, const Renames& names) {
    return ProgramHandle::own(value_or_raise(rename_globals(*self.program, names)));
}

void bind_guards(nb::module_& m) {
    using Op = const OpHandle&;
    nb::class_<OpHandle>(m, "GuardOp", nb::is_final())
        .def_prop_ro("kind", [](Op self) { return self.kind().name; })
        .def_prop_ro("role", [](Op self) { return name_of(self.kind().role); })
        .def_prop_ro("inputs", [](Op self) { return self.op().inputs; })
        .def_prop_ro("result", [](Op self) { return self.op().result; })
        .def_prop_ro("operands", [](Op self) { return to_tuple(self.op().operands, References::kept); })
        .def_prop_ro("source", [](Op self) { return self.op().source; })
        .def_prop_ro("explanations", [](Op self) { return self.op().explanations; })
        .def_prop_ro("example", [](Op self) { return to_tuple(self.op().example); })
        .def("__repr__", [](Op self) { return "<GuardOp " + std::string(self.kind().name) + " " + self.op().source + ">"; });

    using Self = const ProgramHandle&;
    nb::class_<ProgramHandle> program(m, "GuardProgram", nb::is_final());
    program.def("__init__", [](ProgramHandle* self) { new (self) ProgramHandle(ProgramHandle::own({})); })
        .def("add", &add_op, "kind"_a, "inputs"_a, "operands"_a = nb::make_tuple(), "source"_a = "",
             "explanations"_a = std::vector<std::string>(), "example"_a = nb::none())
        .def_prop_ro("ops", &list_ops)
        .def("renamed", &renamed_program, "names"_a)
        .def("global_names", [](Self self) { return global_names(*self.program); })
        .def("to_bytes", [](Self self) { return from_bytes(value_or_raise(encode_guards(*self.program))); })
        .def_static("from_bytes", &program_from_bytes, "data"_a)
        .def("__len__", [](Self self) { return self.program->ops().size(); })
        .def("__getitem__", &op_at)
        .def("__eq__", [](Self self, Self other) { return *self.program == *other.program; }, nb::is_operator());
    program.attr("__hash__") = nb::none();

    m.def("guard_kinds", &list_kinds);
}

// ---- Packages

void init_guarded_code(GuardedCode* self, const ProgramHandle& guards, const CodePtr& dynamo_code,
                       std::vector<std::string> backend_ids, double compile_seconds, nb::handle details) {
    Value value = details.is_none() ? Value(Dict{}) : to_dict_value(details.ptr(), "details");
    new (self) GuardedCode{*guards.program, dynamo_code, std::move(backend_ids), compile_seconds, std::move(value)};
}

void init_code_entry(CodeEntry* self, const CodePtr& python_code, std::string module, const std::string& role) {
    const CodeRole code_role = to_code_role(role);
    new (self) CodeEntry();
    self->python_code = python_code;
    self->module = std::move(module);
    self->role = code_role;
}

void bind_codes(nb::module_& m) {
    nb::class_<GuardedCode>(m, "GuardedCode", nb::is_final())
        .def("__init__", &init_guarded_code, "guards"_a, "dynamo_code"_a, "backend_ids"_a = std::vector<std::string>(),
             "compile_seconds"_a = 0.0, "details"_a = nb::none())
        .def_prop_ro("guards", &ProgramHandle::of)
        .def_ro("dynamo_code", &GuardedCode::dynamo_code)
        .def_ro("backend_ids", &GuardedCode::backend_ids)
        .def_ro("compile_seconds", &GuardedCode::compile_seconds)
        .def_prop_ro("details", [](const GuardedCode& self) { return unresolved(self.details); });

    using Self = CodeEntry&;
    nb::class_<CodeEntry>(m, "CodeEntry", nb::is_final())
        .def("__init__", &init_code_entry, "python_code"_a, "module"_a, "role"_a = "entry")
        .def_rw("python_code", &CodeEntry::python_code)
        .def_rw("module", &CodeEntry::module)
        .def_prop_rw(
            "role", [](Self self) { return name_of(self.role); },
            [](Self self, const std::string& role) { self.role = to_code_role(role); })
        .def_rw("function_names", &CodeEntry::function_names)
        .def_rw("code_source", &CodeEntry::code_source)
        .def_rw("guarded_codes", &CodeEntry::guarded_codes)
        .def_rw("import_sources", &CodeEntry::import_sources)
        .def_prop_rw(
            "installed_globals", [](Self self) { return globals_to_dict(self.installed_globals); },
            [](Self self, nb::handle dict) { self.installed_globals = globals_from_dict(dict.ptr()); })
        .def_rw("backend_ids", &CodeEntry::backend_ids)
        .def_rw("bypassed", &CodeEntry::bypassed)
        .def_rw("bypass_reason", &CodeEntry::bypass_reason)
        .def_rw("skipped", &CodeEntry::skipped)
        .def("__copy__", [](const CodeEntry& self) { return CodeEntry(self); })
        .def(
            "add_guarded_code", [](Self self, GuardedCodePtr code) { self.guarded_codes.push_back(std::move(code)); },
            "guarded_code"_a);
}

using FunctionTuple = std::tuple<std::string, nb::bytes, std::int64_t, std::int64_t>;

nb::bytes bytes_of(const Digest& digest) { return nb::bytes(digest.data(), digest.size()); }

void init_source_file(SourceFile* self, std::string module, std::string path_hint, const nb::bytes& digest,
                      const std::vector<FunctionTuple>& functions) {
    std::vector<SourceFunction> converted;
    for (const auto& [qualname, code, first, last] : functions) {
        converted.push_back({qualname, to_digest(code.ptr()), first, last});
    }
    const Digest file_digest = to_digest(digest.ptr());
    new (self) SourceFile{std::move(module), std::move(path_hint), file_digest, std::move(converted)};
}

std::vector<FunctionTuple> source_functions(const SourceFile& self) {
    std::vector<FunctionTuple> functions;
    for (const SourceFunction& function : self.functions) {
        functions.emplace_back(function.qualname, bytes_of(function.code), function.first_line, function.last_line);
    }
    return functions;
}

BlobPtr new_blob(std::string name, const nb::bytes& data) {
    const ByteView bytes = view(data);
    return without_gil([&] { return make_blob(std::move(name), Bytes(bytes.begin(), bytes.end())); });
}

Bytes read_blob(const Blob& blob) {
    return value_or_raise(without_gil([&] { return blob.read(); }));
}

void init_artifact(Artifact* self, std::string backend_id, std::string kind, nb::handle recipe, std::vector<BlobPtr> blobs) {
    Value value = to_value(recipe.ptr(), "recipe");
    new (self) Artifact{std::move(backend_id), std::move(kind), std::move(value), std::move(blobs)};
}

void bind_parts(nb::module_& m) {
    nb::class_<SourceFile>(m, "SourceFile", nb::is_final())
        .def("__init__", &init_source_file, "module"_a, "path_hint"_a, "digest"_a, "functions"_a)
        .def_ro("module", &SourceFile::module)
        .def_ro("path_hint", &SourceFile::path_hint)
        .def_prop_ro("digest", [](const SourceFile& self) { return bytes_of(self.digest); })
        .def_prop_ro("functions", &source_functions);

    nb::class_<Blob>(m, "Blob", nb::is_final())
        .def(nb::new_(&new_blob), "name"_a, "data"_a)
        .def_prop_ro("name", &Blob::name)
        .def_prop_ro("size", &Blob::size)
        .def_prop_ro("digest", [](const Blob& self) { return bytes_of(self.digest()); })
        .def("read", [](const Blob& self) { return from_bytes(read_blob(self)); });

    nb::class_<Artifact>(m, "Artifact", nb::is_final())
        .def("__init__", &init_artifact, "backend_id"_a, "kind"_a, "recipe"_a.none(), "blobs"_a = std::vector<BlobPtr>())
        .def_ro("backend_id", &Artifact::backend_id)
        .def_ro("kind", &Artifact::kind)
        .def_prop_ro("recipe", [](const Artifact& self) { return unresolved(self.recipe); })
        .def_ro("blobs", &Artifact::blobs);
}

using KeyTuple = std::tuple<std::string, std::string, nb::bytes, nb::bytes>;

KeyTuple get_key(const Package& self) {
    return {self.key.module, self.key.qualname, bytes_of(self.key.code), bytes_of(self.key.options)};
}

void set_key(Package& self, const KeyTuple& key) {
    const auto& [module, qualname, code, options] = key;
    self.key = {module, qualname, to_digest(code.ptr()), to_digest(options.ptr())};
}

std::uint64_t write_package(const Package& self, nb::handle path) {
    const Package copy = snapshot(self);
    return value_or_raise(without_gil([&, name = to_path(path.ptr())] { return archive::write(copy, name); })).size;
}

Ref package_to_bytes(const Package& self) {
    const Package copy = snapshot(self);
    return from_bytes(value_or_raise(without_gil([&] { return archive::to_bytes(copy); })));
}

Package package_from_bytes(const nb::bytes& data, const std::string& name) {
    const ByteView bytes = view(data);
    return value_or_raise(without_gil([&] { return archive::from_bytes(Bytes(bytes.begin(), bytes.end()), name); }));
}

Package open_package(nb::handle path) {
    return value_or_raise(without_gil([name = to_path(path.ptr())] { return archive::open(name); }));
}

void verify_package(const Package& self) {
    for (const ArtifactPtr& artifact : self.artifacts) {
        for (const BlobPtr& blob : artifact->blobs) read_blob(*blob);
    }
}

void bind_package(nb::module_& m) {
    using Self = Package&;
    nb::class_<Package>(m, "Package", nb::is_final())
        .def(nb::init<>())
        .def_prop_rw("key", &get_key, &set_key)
        .def_prop_rw(
            "environment", [](Self self) { return environment_to_dict(self.environment); },
            [](Self self, nb::handle dict) { self.environment = environment_from_dict(dict.ptr()); })
        .def_rw("sources", &Package::sources)
        .def_rw("codes", &Package::codes)
        .def_rw("artifacts", &Package::artifacts)
        .def_rw("producer", &Package::producer)
        .def_rw("created", &Package::created)
        .def_rw("compile_seconds", &Package::compile_seconds)
        .def(
            "merge", [](Self self, const Package& other) { value_or_raise(self.merge(other)); }, "other"_a)
        .def("__copy__", [](const Package& self) { return Package(self); })
        .def("write", &write_package, "path"_a)
        .def_static("open", &open_package, "path"_a)
        .def("to_bytes", &package_to_bytes)
        .def_static("from_bytes", &package_from_bytes, "data"_a, "name"_a = "package")
        .def("verify", &verify_package)
        .def("__iter__", [](nb::handle self) { return nb::iter(self.attr("codes")); });
}

// ---- Kernels and the machine

SharedLibrary::Ptr load_library(const nb::bytes& data, const nb::bytes& digest, const std::string& name) {
    const Digest expected = to_digest(digest.ptr());
    const Status verified = without_gil([&] { return SharedLibrary::verify(view(data), expected, name); });
    value_or_raise(verified);
    return value_or_raise(SharedLibrary::load(view(data), expected, name));
}

SharedLibrary::Ptr load_blob(const BlobPtr& blob) {
    if (SharedLibrary::Ptr known = SharedLibrary::find(blob->digest())) return known;
    return value_or_raise(SharedLibrary::load(read_blob(*blob), blob->digest(), blob->name()));
}

void bind_host(nb::module_& m) {
    const auto symbol = [](const SharedLibrary& self, const std::string& name) {
        return reinterpret_cast<std::uintptr_t>(value_or_raise(self.symbol(name)));
    };
    nb::class_<SharedLibrary>(m, "SharedLibrary", nb::is_final())
        .def_static("load", &load_library, "data"_a, "digest"_a, "name"_a = "")
        .def_static("load_blob", &load_blob, "blob"_a)
        .def_prop_ro("path", &SharedLibrary::path)
        .def("python_module", &SharedLibrary::python_module, "module_name"_a)
        .def("symbol", symbol, "name"_a);
    m.def(
        "portable_library",
        [](const nb::bytes& library, const std::vector<std::string>& directories) {
            const auto* data = static_cast<const std::uint8_t*>(library.data());
            Bytes bytes = without_debug_info({data, library.size()});
            mask_source_paths(bytes, directories);
            return nb::bytes(bytes.data(), bytes.size());
        },
        "library"_a, "directories"_a);
    m.def("cpu_features", &cpu_features);
    m.def("libc_version", &libc_version);
}

void translate(const std::exception_ptr& exception, void*) {
    try {
        std::rethrow_exception(exception);
    } catch (const PythonError&) {
        // The indicator is set: that is what Python gets.
        if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_SystemError, "an error without an exception");
    }
}

}  // namespace
}  // namespace coldframe::python

NB_MODULE(_core, m) {
    using namespace coldframe::python;
    // Objects may well live as long as the process: that is no leak.
    nb::set_leak_warnings(false);
    nb::register_exception_translator(&translate);
    m.attr("__version__") = std::string(coldframe::k_version);
    bind_values(m);
    bind_code(m);
    bind_guards(m);
    bind_codes(m);
    bind_parts(m);
    bind_package(m);
    bind_host(m);
    bind_native(m);
    bind_store(m);
}
