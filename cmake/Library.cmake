# librockraft from all layers: shared and static, with only rr_ symbols visible, and what others
# need to find it: pkg-config and CMake package files.

set(objects "")
foreach(name ${ROCKRAFT_LAYERS})
    list(APPEND objects $<TARGET_OBJECTS:layer_${name}>)
endforeach()

set(version_script ${CMAKE_SOURCE_DIR}/cmake/rockraft.map)
add_library(rockraft SHARED ${objects})
set_target_properties(rockraft PROPERTIES VERSION ${PROJECT_VERSION} LINKER_LANGUAGE CXX
                      SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${version_script})
target_link_options(rockraft PRIVATE -Wl,--version-script=${version_script})
if(NOT ROCKRAFT_SANITIZE AND NOT ROCKRAFT_FUZZ)
    target_link_options(rockraft PRIVATE -Wl,--no-undefined)
endif()
target_include_directories(rockraft INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                              $<INSTALL_INTERFACE:include>)
target_link_libraries(rockraft PRIVATE Threads::Threads ${ROCKRAFT_LIBRARIES})
foreach(package ${ROCKRAFT_PACKAGES})
    target_link_libraries(rockraft PRIVATE PkgConfig::${package})
endforeach()

# The static library is one object in which everything but rr_* has become local, so that it
# cannot clash with names of the program around it. What it needs is in rockraft.pc. Its parts are
# linked without COMDAT groups: the linker would else drop a group that the program has, too.
if(ROCKRAFT_STATIC AND NOT ROCKRAFT_SANITIZE AND NOT ROCKRAFT_COVERAGE AND NOT ROCKRAFT_FUZZ)
    set(static_object ${CMAKE_BINARY_DIR}/rockraft_static.o)
    set(static_library ${CMAKE_BINARY_DIR}/lib/librockraft.a)
    add_custom_command(
        OUTPUT ${static_library}
        COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${static_object} ${objects}
        COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=rr_* ${static_object}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/lib
        COMMAND ${CMAKE_COMMAND} -E rm -f ${static_library}
        COMMAND ${CMAKE_AR} rcs ${static_library} ${static_object}
        DEPENDS ${objects}
        COMMAND_EXPAND_LISTS VERBATIM
        COMMENT "Linking lib/librockraft.a, all but rr_* made local")
    add_custom_target(rockraft_static_file ALL DEPENDS ${static_library})
    add_library(rockraft_static INTERFACE)
    add_dependencies(rockraft_static rockraft_static_file)
    target_include_directories(rockraft_static INTERFACE ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(rockraft_static INTERFACE ${static_library} Threads::Threads
                                                    ${ROCKRAFT_LIBRARIES} stdc++ m)
    foreach(package ${ROCKRAFT_PACKAGES})
        target_link_libraries(rockraft_static INTERFACE PkgConfig::${package})
    endforeach()
    install(FILES ${static_library} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# For pkg-config --static and for the CMake package.
set(ROCKRAFT_PC_PACKAGES ${ROCKRAFT_PACKAGES})
list(JOIN ROCKRAFT_PC_PACKAGES " " ROCKRAFT_PC_REQUIRES)
set(ROCKRAFT_PC_LIBS "")
foreach(library ${ROCKRAFT_LIBRARIES})
    string(APPEND ROCKRAFT_PC_LIBS "-l${library} ")
endforeach()
configure_file(${CMAKE_SOURCE_DIR}/cmake/rockraft.pc.in ${CMAKE_BINARY_DIR}/rockraft.pc @ONLY)

include(CMakePackageConfigHelpers)
configure_package_config_file(
    ${CMAKE_SOURCE_DIR}/cmake/rockraft-config.cmake.in ${CMAKE_BINARY_DIR}/rockraft-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rockraft
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/rockraft-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)

install(TARGETS rockraft EXPORT rockraft-targets DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT rockraft-targets NAMESPACE rockraft::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rockraft)
install(FILES ${CMAKE_BINARY_DIR}/rockraft-config.cmake
              ${CMAKE_BINARY_DIR}/rockraft-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rockraft)
install(FILES ${CMAKE_BINARY_DIR}/rockraft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
