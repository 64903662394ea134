# What `cmake --install` gives to C++ programs: the libraries, their headers, the command and the package files for
# find_package(coldframe). A wheel takes only the component "python".
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/coldframe)
get_property(libraries GLOBAL PROPERTY COLDFRAME_LIBRARIES)
list(REMOVE_ITEM libraries coldframe_cli)

install(TARGETS ${libraries} EXPORT coldframe-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT coldframe-targets NAMESPACE coldframe:: DESTINATION ${config_dir} COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/coldframe ${PROJECT_BINARY_DIR}/generated/coldframe
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
    FILES_MATCHING PATTERN "*.hpp" PATTERN "cli" EXCLUDE)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/coldframe-config.cmake.in
    ${PROJECT_BINARY_DIR}/coldframe-config.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/coldframe-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/coldframe-config.cmake
    ${PROJECT_BINARY_DIR}/coldframe-config-version.cmake
    ${CMAKE_CURRENT_LIST_DIR}/FindHiredis.cmake
    ${CMAKE_CURRENT_LIST_DIR}/FindZstd.cmake
    DESTINATION ${config_dir} COMPONENT development)
