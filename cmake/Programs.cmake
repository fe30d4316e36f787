# The programs: servers, examples, benchmarks, and the tools for testing. All end in bin/.

# rockraft_program(PROGRAM NAME FOLDER [LINK target...])
# bin/PROGRAM of FOLDER/main.c, and a static library parts_NAME of all other sources under FOLDER
# except tests, so that tests can link what a program is made of. What does not exist is skipped.
function(rockraft_program program name folder)
    cmake_parse_arguments(program "" "" "LINK" ${ARGN})
    get_filename_component(parent ${CMAKE_SOURCE_DIR}/${folder} DIRECTORY)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS
         ${CMAKE_SOURCE_DIR}/${folder}/*.c ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
    file(GLOB main CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/main.c)
    list(FILTER sources EXCLUDE REGEX "/(main|test_[^/]*|fuzz_[^/]*)\\.c$")
    set(libraries rockraft_flags)
    foreach(library ${program_LINK})
        if(TARGET ${library} OR library MATCHES "^(m|rocksdb)$")
            list(APPEND libraries ${library})
        endif()
    endforeach()
    if(sources)
        add_library(parts_${name} STATIC ${sources})
        target_include_directories(parts_${name} PUBLIC ${parent})
        target_link_libraries(parts_${name} PUBLIC ${libraries})
        list(PREPEND libraries parts_${name})
    endif()
    if(main)
        add_executable(${program} ${main})
        target_include_directories(${program} PRIVATE ${parent})
        target_link_libraries(${program} PRIVATE ${libraries})
    endif()
endfunction()

# rockraft_server(PROGRAM NAME [PACKAGES pkg-config name...]): a server on <rockraft/...> alone.
function(rockraft_server program name)
    cmake_parse_arguments(server "" "" "PACKAGES" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/servers/${name}/*.c)
    if(NOT sources)
        return()
    endif()
    set(libraries parts_common rockraft Threads::Threads m)
    foreach(package ${server_PACKAGES})
        pkg_check_modules(${package} REQUIRED IMPORTED_TARGET ${package})
        list(APPEND libraries PkgConfig::${package})
    endforeach()
    rockraft_program(${program} ${name} servers/${name} LINK ${libraries})
    if(TARGET ${program})
        # A server chooses its allocator; a sanitizer brings its own.
        pkg_check_modules(jemalloc QUIET IMPORTED_TARGET jemalloc)
        if(jemalloc_FOUND AND NOT ROCKRAFT_SANITIZE)
            target_link_options(${program} PRIVATE -Wl,--no-as-needed)
            target_link_libraries(${program} PRIVATE PkgConfig::jemalloc)
        endif()
        install(TARGETS ${program} DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endfunction()

# rockraft_singles(FOLDER PREFIX LINK library...): each FOLDER/X.c is the program bin/PREFIXX.
function(rockraft_singles folder prefix)
    cmake_parse_arguments(singles "" "" "LINK" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.c)
    foreach(source ${sources})
        get_filename_component(name ${source} NAME_WE)
        add_executable(${prefix}${name} ${source})
        target_link_libraries(${prefix}${name} PRIVATE rockraft_flags Threads::Threads
                                                       ${singles_LINK})
    endforeach()
endfunction()

set(ROCKRAFT_LAYER_TARGETS ${ROCKRAFT_LAYERS})
list(TRANSFORM ROCKRAFT_LAYER_TARGETS PREPEND layer_)

# What the servers share; no program of its own.
rockraft_program(none common servers/common LINK rockraft Threads::Threads)
rockraft_server(rockraft-http http PACKAGES libmicrohttpd jansson)
rockraft_server(coredb coredb PACKAGES libuv)
rockraft_server(rockraft-backup backup)

rockraft_singles(examples example- LINK rockraft)
rockraft_singles(bench bench- LINK ${ROCKRAFT_LAYER_TARGETS})

# The scenario driver and the simulator run the core itself, or all layers, inside the process.
rockraft_program(raft-scenario scenario test/scenario LINK layer_raft layer_base)
rockraft_program(rockraft-sim sim test/sim LINK ${ROCKRAFT_LAYER_TARGETS})

# Reads data directories with code of its own: nothing of src/ is in it.
rockraft_program(rockraft-inspect inspect tools/inspect LINK PkgConfig::libxxhash rocksdb)
if(TARGET rockraft-inspect)
    install(TARGETS rockraft-inspect DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
