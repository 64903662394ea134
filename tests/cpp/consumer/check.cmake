# cmake -DBUILD=<build tree> -DROOT=<source tree> -DGENERATOR=<generator> -P check.cmake: installs the build tree to a prefix
# of its own, then configures, builds and runs the consumer and the example against it.
set(work ${BUILD}/consumer)
file(REMOVE_RECURSE ${work})

function(run)
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${BUILD} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
foreach(program IN ITEMS tests/cpp/consumer examples/cpp)
    run(${CMAKE_COMMAND} -S ${ROOT}/${program} -B ${work}/${program} -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${work}/prefix)
    run(${CMAKE_COMMAND} --build ${work}/${program})
endforeach()
run(${CMAKE_COMMAND} -E chdir ${work} tests/cpp/consumer/consumer)

function(expect text)
    execute_process(COMMAND examples/cpp/explore ${ARGN} WORKING_DIRECTORY ${work} OUTPUT_VARIABLE output ERROR_VARIABLE error)
    if(NOT "${output}${error}" MATCHES "${text}")
        message(FATAL_ERROR "explore ${ARGN}: '${text}' is not in\n${output}${error}")
    endif()
endfunction()

expect("frame model.Net.forward.*L\\['x'\\] is not None.*artifact __compiled_fn_2.*as it was written" consumer.cfp)
expect("copy.cfp: [0-9]+ bytes" consumer.cfp model.Net.forward copy.cfp)
expect("frame model.Net.forward.*artifact __compiled_fn_1 \\(precompile_eager\\)\nevery byte" copy.cfp)
expect("no frame 'other'" consumer.cfp other none.cfp)
expect("cannot open 'none.cfp'" none.cfp)
