// Which Python `coldframe run` means: that of the active environment, if coldframe can be imported there.
//
//   Result<std::string> python = find_interpreter();      // "/home/me/project/.venv/bin/python"
//
// The first of these that can import coldframe:
//
//   $VIRTUAL_ENV/bin/python, $CONDA_PREFIX/bin/python
//   python3 beside the command, when it was called by a path
//   every python3 in PATH
//   python3 beside the file that the command is a link to, when no environment is active: it would run without what is in that
//
// Where this command is installed, coldframe is; elsewhere the interpreter is asked, which takes it some 50 ms.
//
// Thread-safety: reads the environment of the process, starts others. Failure: invalid_argument, which names what was asked.
#pragma once

#include <coldframe/util/error.hpp>

#include <string>

namespace coldframe::cli {

[[nodiscard]] Result<std::string> find_interpreter();

}  // namespace coldframe::cli
