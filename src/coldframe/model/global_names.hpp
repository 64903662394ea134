// The names of globals in code objects and guard programs, and both with other names in their place.
//
// Names that torch generates are of one process; a package holds others (python/coldframe/torch/capture/names.py).
//
//   Renames renames{{"__compiled_fn_1_d3b0", "__coldframe_graph_52ac"}};
//   CodePtr code = rename_globals(dynamo_code, renames);
//   Result<GuardProgram> guards = rename_globals(program, renames);
//   std::set<std::string> read = global_names(program);
//
// Thread-safety: free functions without state. Failure: what GuardProgram::add gives.
#pragma once

#include <coldframe/model/code_object.hpp>
#include <coldframe/model/guard_program.hpp>

#include <map>
#include <set>
#include <string>

namespace coldframe {

using Renames = std::map<std::string, std::string>;

// In nested code, too. Always a new object.
[[nodiscard]] CodePtr rename_globals(const CodePtr& code, const Renames& renames);

// In operands, in the expressions within them, and in texts for people, where generated names begin with "__".
[[nodiscard]] Result<GuardProgram> rename_globals(const GuardProgram& program, const Renames& renames);

[[nodiscard]] std::set<std::string> global_names(const GuardProgram& program);

}  // namespace coldframe
