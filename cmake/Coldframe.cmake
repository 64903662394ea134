# What every target of the project shares, and `coldframe_library`: one folder, one static library.

find_program(COLDFRAME_CCACHE ccache)
if(COLDFRAME_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # Without the folder of this checkout among what ccache compares: another checkout finds what this one compiled.
    set(CMAKE_C_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${COLDFRAME_CCACHE})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(COLDFRAME_SANITIZE)
    add_compile_options(-fsanitize=${COLDFRAME_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${COLDFRAME_SANITIZE})
endif()

function(coldframe_warnings target)
    # gcc 12 takes an ordered comparison of byte vectors for an overread, and "text" + std::string for an overlapping copy.
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
        $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread$<SEMICOLON>-Wno-restrict>
        $<$<BOOL:${COLDFRAME_WERROR}>:-Werror>)
endfunction()

# The library coldframe::<name> of all sources in the current folder but main.cpp. USES: public, PRIVATE_USES: hidden.
function(coldframe_library name)
    cmake_parse_arguments(arg "" "" "USES;PRIVATE_USES" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
    add_library(coldframe_${name} STATIC ${sources})
    add_library(coldframe::${name} ALIAS coldframe_${name})
    coldframe_warnings(coldframe_${name})
    target_compile_features(coldframe_${name} PUBLIC cxx_std_23)
    target_include_directories(coldframe_${name} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
        $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(coldframe_${name} PUBLIC ${arg_USES} PRIVATE ${arg_PRIVATE_USES})
    set_target_properties(coldframe_${name} PROPERTIES EXPORT_NAME ${name})
    set_property(GLOBAL APPEND PROPERTY COLDFRAME_LIBRARIES coldframe_${name})
endfunction()
