"""Every coverage program there is, by topic, with those that other tests run."""

from __future__ import annotations

import coverage_breaks
import coverage_callables
import coverage_data
import coverage_frames
import coverage_functions
import coverage_modes
import coverage_modules
import coverage_operators
import coverage_options
import coverage_shapes
import coverage_training
import coverage_transforms
from coverage_kit import Entry

MODULES = (
    *(coverage_breaks, coverage_frames, coverage_functions, coverage_callables, coverage_modules),
    *(coverage_shapes, coverage_data, coverage_modes, coverage_training),
    *(coverage_transforms, coverage_operators, coverage_options),
)
ENTRIES: dict[str, Entry] = {
    f"{module.__name__}:{name}": entry for module in MODULES for name, entry in module.TABLE.entries.items()
}
# Programs of test_programs.py and test_training.py, each with a backend of its own.
ELSEWHERE: dict[str, str] = {
    coverage_breaks.BREAKS: "programs: print_break print_break_inductor data_break two_breaks call_break loop_break "
    "context_break try_break item_break",
    coverage_frames.RESUME: "programs: closure_break",
    coverage_frames.HOSTED: "programs_more: break_in_a_module programs_calls: disabled_call loop_over_a_call "
    "local_function_frame",
    coverage_frames.RECURSION: "programs_more: nested_functions function_result",
    coverage_functions.CLOSURES: "programs: closure_over_float closure_over_tensor default_argument keywords starred_arguments "
    "programs_more: global_reads global_writes list_appends programs_calls: scalar_arguments",
    coverage_callables.CALLABLES: "programs: partial lambda_at_module_level bound_method static_method class_method "
    "callable_object",
    coverage_callables.DECORATED: "programs: wraps programs_more: context_manager programs_calls: decorated_calls generator",
    coverage_modules.MODULES: "programs: module programs_more: module_state inherited attention hooks two_models_of_one_class",
    coverage_shapes.SHAPES: "programs: dynamic automatic_dynamic marked_dynamic size_branch training: dynamic_batches",
    coverage_shapes.DTYPES: "programs_calls: default_dtype numpy_inside",
    coverage_data.STRUCTURES: "programs_more: structures programs_calls: nested_arguments",
    coverage_data.EFFECTS: "programs_more: input_mutation output_views aliased_inputs training: input_mutation output_views",
    coverage_modes.RANDOM: "programs_more: random_numbers training: dropout",
    coverage_modes.MODES: "programs_calls: inference_mode autocast training: autocast",
    coverage_training.STEPS: "training: step batch_norm language_model graph_break eager_backend backward_inside",
    coverage_training.CHECKPOINTING: "training: checkpointed",
    coverage_training.FUNCTIONS: "training: autograd_function",
    coverage_transforms.FUNC: "programs_calls: transforms",
    coverage_operators.HIGHER: "programs_calls: conditional",
    coverage_options.OPTIONS: "programs_more: several_options default_mode aot_eager",
}
# Scenarios of scenarios_coverage.py and scenarios_process.py, and tests of their own.
SCENARIOS: dict[str, tuple[str, str]] = {
    "shared_helper": (coverage_frames.HOSTED, "a helper that breaks at once, shared by two callables"),
    "per_process": (
        coverage_data.STRUCTURES,
        "order and text of sets, hash(), id(), texts of objects, the recursion limit, a variable that the environment lacks",
    ),
    "registered_nodes": (coverage_data.STRUCTURES, "a pytree node that only the process that compiled has registered"),
    "foreign_bypasses": (coverage_modules.UTILS, "what cannot be saved of one model is no matter of another"),
    "same_names": ("functions with the same name in one or several modules", "two modules, and two local functions"),
    "module_compile": ("module.compile(), @torch.compile on functions, methods and classes", "module.compile()"),
    "decorators": ("module.compile(), @torch.compile on functions, methods and classes", "functions, methods, a class"),
    "regional": ("regional compilation", "block.compile() of four blocks: one package, one graph, no recompile"),
    "regional_file": ("regional compilation", "four blocks with one package= file"),
    "dynamic_after_load": (coverage_shapes.SHAPES, "automatic for a miss after a load: what was seen before the save counts"),
    "merged": ("recompiles appended and merged", "two processes that save one file, and a third that loads it"),
    "test_functions_of_main_and_of_text": (
        "functions in __main__, in a notebook cell and from exec (no source: a clear bypass)",
        "in processes whose __main__ they belong to",
    ),
}


def elsewhere() -> dict[str, str]:
    """The topics of the programs that other tests run."""
    found: dict[str, str] = {}
    for topic, text in ELSEWHERE.items():
        module = ""
        for word in text.split():
            if word.endswith(":"):
                module = word
            else:
                found[module + word] = topic
    return found


def rows() -> list[str]:
    return [*ENTRIES, *elsewhere(), *SCENARIOS]


def lives() -> list[tuple[str, str]]:
    """Each program with each of its backends; "own" is the one that the program names."""
    return [(case, backend) for case, entry in ENTRIES.items() for backend in entry.backends or ("own",)]
