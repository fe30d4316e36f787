# What the presets choose, and the flags that every target gets.

option(ROCKRAFT_WERROR "Treat warnings as errors" OFF)
option(ROCKRAFT_TESTS "Build the tests" ON)
option(ROCKRAFT_STATIC "Build the static library" ON)
option(ROCKRAFT_FUZZ "Build the fuzz targets with libFuzzer (clang only)" OFF)
option(ROCKRAFT_COVERAGE "Instrument for gcov" OFF)
set(ROCKRAFT_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, such as address,undefined")

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT CMAKE_BUILD_TYPE AND NOT multi_config)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

include(GNUInstallDirs)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# Programs find the library beside them, in the build tree and where they are installed.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH $ORIGIN/../${CMAKE_INSTALL_LIBDIR})

# Flags of all our own code; an interface that every target links.
add_library(rockraft_flags INTERFACE)
target_compile_definitions(rockraft_flags INTERFACE _GNU_SOURCE)
target_compile_options(rockraft_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wpointer-arith
    -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wimplicit-fallthrough -Wno-unused-parameter
    -Wno-missing-field-initializers
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>
    # Unique symbols could not be made local to the static library.
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>
    # Replicas must compute the same: no a * b + c rounded once where the processor can.
    -ffp-contract=off
    -fno-omit-frame-pointer -fno-strict-aliasing)
if(ROCKRAFT_WERROR)
    target_compile_options(rockraft_flags INTERFACE -Werror)
endif()

if(ROCKRAFT_SANITIZE)
    add_compile_options(-fsanitize=${ROCKRAFT_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${ROCKRAFT_SANITIZE} -fno-sanitize-recover=all)
    if(CMAKE_C_COMPILER_ID MATCHES Clang)
        # These need clang++ to link programs in C.
        add_compile_options(-fno-sanitize=vptr,function)
    endif()
endif()
if(ROCKRAFT_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
        message(FATAL_ERROR "ROCKRAFT_FUZZ needs clang: use the preset 'fuzz'")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()
if(ROCKRAFT_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()
