# Tests, found by name:
#   test/FOLDER/test_*.c    one program each, label FOLDER; links the layer or program of that name
#   test/**/test_*.py       run with /usr/bin/python3, label FOLDER
#   test/fuzz/fuzz_*.c      a fuzz target; ordinary builds replay its corpus and N mutations
#   tools/test_*.py         tests of the tools
# A line "ctest: timeout=300 label=slow serial log_kind=rocksdb" near the top of a test sets its
# properties, and kinds of log that it runs over besides the default.

pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
set(ROCKRAFT_TEST_TIMEOUT 180 CACHE STRING "Seconds for a test that does not say otherwise")
set(test_scale 1)
if(ROCKRAFT_SANITIZE)
    set(test_scale 4) # sanitizers are that much slower
endif()

# Everything the test programs share; its main runs the TESTs of a file.
file(GLOB support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/support/*.c)
list(FILTER support EXCLUDE REGEX "/(fuzz_driver|test_[^/]*)\\.c$")
add_library(test_support STATIC ${support})
target_include_directories(test_support PUBLIC ${CMAKE_SOURCE_DIR}/test ${CMAKE_SOURCE_DIR}/src
                                               ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(test_support PUBLIC rockraft_flags PkgConfig::cmocka layer_base)

# Sets the properties of `test` from its label and from the ctest line in its `source`.
function(rockraft_test_properties test label source)
    set(timeout ${ROCKRAFT_TEST_TIMEOUT})
    set(labels ${label})
    file(STRINGS ${source} lines REGEX "ctest: " LIMIT_COUNT 1)
    if(lines)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
        if(lines MATCHES "timeout=([0-9]+)")
            set(timeout ${CMAKE_MATCH_1})
        endif()
        string(REGEX MATCHALL "label=[a-z_-]+" found "${lines}")
        foreach(pair ${found})
            string(REPLACE "label=" "" pair ${pair})
            list(APPEND labels ${pair})
        endforeach()
        if(lines MATCHES "serial")
            set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
        endif()
    endif()
    if(source MATCHES "\\.py$")
        set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77)
    endif()
    math(EXPR timeout "${timeout} * ${test_scale}")
    set_tests_properties(${test} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}"
        ENVIRONMENT "ROCKRAFT_BIN=${CMAKE_BINARY_DIR}/bin;ROCKRAFT_SOURCE=${CMAKE_SOURCE_DIR};\
ROCKRAFT_SANITIZE=${ROCKRAFT_SANITIZE};PYTHONPATH=${CMAKE_SOURCE_DIR}/test;\
PYTHONDONTWRITEBYTECODE=1;LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/test/support/lsan.supp;\
UBSAN_OPTIONS=print_stacktrace=1;\
TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/test/support/tsan.supp")
endfunction()

# Adds a test that runs the command in ARGN, and once more for each kind of log that the ctest line in
# its `source` names: "log_kind=rocksdb,segments-thread" (test/support/log_kind.h).
function(rockraft_add_test test label source)
    add_test(NAME ${test} COMMAND ${ARGN})
    rockraft_test_properties(${test} ${label} ${source})
    file(STRINGS ${source} lines REGEX "ctest: " LIMIT_COUNT 1)
    if(lines MATCHES "log_kind=([a-z,-]+)")
        string(REPLACE "," ";" kinds ${CMAKE_MATCH_1})
        foreach(kind ${kinds})
            add_test(NAME ${test}.${kind} COMMAND ${ARGN})
            rockraft_test_properties(${test}.${kind} ${label} ${source})
            set_property(TEST ${test}.${kind} APPEND PROPERTY ENVIRONMENT "TEST_LOG_KIND=${kind}")
        endforeach()
    endif()
endfunction()

# The libraries that the tests of test/FOLDER link, in `out`: the layer or the program's parts of
# that name; test/api only what users get; any other folder all layers.
function(rockraft_test_libraries folder out)
    if(TARGET layer_${folder})
        set(${out} layer_${folder} PARENT_SCOPE)
    elseif(TARGET parts_${folder})
        set(${out} parts_${folder} PARENT_SCOPE)
    elseif(folder STREQUAL api)
        set(${out} rockraft PARENT_SCOPE)
    else()
        set(${out} ${ROCKRAFT_LAYER_TARGETS} PARENT_SCOPE)
    endif()
endfunction()

# The tests of a folder in C. Its other C files are helpers that all of them link, unless they are a
# program's (there is a main.c), which is linked as a whole.
function(rockraft_test_folder folder)
    file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/${folder}/test_*.c)
    if(NOT tests)
        return()
    endif()
    rockraft_test_libraries(${folder} libraries)
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/test/${folder}/main.c)
        file(GLOB helpers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/${folder}/*.c)
        list(FILTER helpers EXCLUDE REGEX "/(main|test_[^/]*|fuzz_[^/]*)\\.c$")
        if(helpers)
            add_library(test_helpers_${folder} STATIC ${helpers})
            target_link_libraries(test_helpers_${folder} PUBLIC ${libraries} test_support)
            list(PREPEND libraries test_helpers_${folder})
        endif()
    endif()
    add_custom_target(tests_${folder})
    foreach(source ${tests})
        get_filename_component(name ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" name ${name})
        set(program test_${folder}_${name})
        add_executable(${program} ${source})
        set_target_properties(${program} PROPERTIES
                              RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
        target_link_libraries(${program} PRIVATE ${libraries} test_support)
        add_dependencies(tests_${folder} ${program})
        rockraft_add_test(${folder}.${name} ${folder} ${source} ${program})
    endforeach()
endfunction()

file(GLOB test_folders RELATIVE ${CMAKE_SOURCE_DIR}/test CONFIGURE_DEPENDS
     ${CMAKE_SOURCE_DIR}/test/*)
foreach(folder ${test_folders})
    if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/test/${folder} AND NOT folder STREQUAL fuzz)
        rockraft_test_folder(${folder})
    endif()
endforeach()

# What the crash tests stand on (test/crash/README.md): a library that is preloaded into programs,
# sanitized ones too, and so is not sanitized itself, and the programs beside it.
file(GLOB shim CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/crash/*shim*.c)
add_library(disk_shim MODULE ${shim})
set_target_properties(disk_shim PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY
                      ${CMAKE_BINARY_DIR}/test)
file(GLOB power_loss CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/crash/power_loss*.c)
add_executable(power-loss ${power_loss})
foreach(target disk_shim power-loss)
    target_link_libraries(${target} PRIVATE rockraft_flags ${CMAKE_DL_LIBS})
    if(ROCKRAFT_SANITIZE)
        target_compile_options(${target} PRIVATE -fno-sanitize=all)
        target_link_options(${target} PRIVATE -fno-sanitize=all)
    endif()
endforeach()
add_executable(crash-node ${CMAKE_SOURCE_DIR}/test/crash/crash_node.c)
target_link_libraries(crash-node PRIVATE rockraft rockraft_flags Threads::Threads)
set_target_properties(power-loss crash-node PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                      ${CMAKE_BINARY_DIR}/test)

# Tests in Python. They start programs from ROCKRAFT_BIN and print why when they skip.
file(GLOB_RECURSE scripts RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS
     ${CMAKE_SOURCE_DIR}/test/test_*.py ${CMAKE_SOURCE_DIR}/tools/test_*.py)
foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    string(REGEX REPLACE "^test_" "" name ${name})
    string(REGEX REPLACE "^(test/)?([^/]*)/.*$" "\\2" folder ${script})
    rockraft_add_test(${folder}.${name}.py ${folder} ${CMAKE_SOURCE_DIR}/${script}
                      /usr/bin/python3 ${CMAKE_SOURCE_DIR}/${script})
endforeach()

# Fuzz targets: with libFuzzer for as long as one likes, else a short fixed part for ctest.
file(GLOB fuzzers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/fuzz/fuzz_*.c)
foreach(source ${fuzzers})
    get_filename_component(program ${source} NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" name ${program})
    # Programs have names that layers have, too: a target that includes one's headers links it alone.
    set(libraries ${ROCKRAFT_LAYER_TARGETS})
    file(STRINGS ${source} includes REGEX "^#include \"(coredb|http|inspect)/" LIMIT_COUNT 1)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    if(includes MATCHES "\"(coredb|http|inspect)/")
        set(libraries parts_${CMAKE_MATCH_1})
    endif()
    add_executable(${program} ${source})
    target_link_libraries(${program} PRIVATE ${libraries} rockraft_flags)
    target_include_directories(${program} PRIVATE ${CMAKE_SOURCE_DIR}/test)
    if(ROCKRAFT_FUZZ)
        target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${program} PRIVATE ${CMAKE_SOURCE_DIR}/test/support/fuzz_driver.c)
        set_target_properties(${program} PROPERTIES
                              RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
        add_test(NAME fuzz.${name}
                 COMMAND ${program} ${CMAKE_SOURCE_DIR}/test/fuzz/corpus/${name})
        rockraft_test_properties(fuzz.${name} fuzz ${source})
    endif()
endforeach()
