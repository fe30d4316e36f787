# One static library layer_NAME for each folder src/NAME that has sources. Static, so that a test
# that links a layer takes only the objects it needs, and those under it come along.

# rockraft_layer(NAME [LAYERS name...] [PACKAGES pkg-config name...] [LIBRARIES name...])
# LAYERS are the ones whose functions it calls; tools/layers.txt holds its includes to that.
set(ROCKRAFT_LAYERS "")
set(ROCKRAFT_PACKAGES "")
set(ROCKRAFT_LIBRARIES "")
function(rockraft_layer name)
    cmake_parse_arguments(layer "" "" "LAYERS;PACKAGES;LIBRARIES" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS
         ${CMAKE_SOURCE_DIR}/src/${name}/*.c ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
    if(NOT sources)
        return()
    endif()
    add_library(layer_${name} STATIC ${sources})
    target_include_directories(layer_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src
                                                    ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(layer_${name} PUBLIC rockraft_flags Threads::Threads)
    foreach(package ${layer_PACKAGES})
        pkg_check_modules(${package} REQUIRED IMPORTED_TARGET ${package})
        target_link_libraries(layer_${name} PUBLIC PkgConfig::${package})
    endforeach()
    target_link_libraries(layer_${name} PUBLIC ${layer_LIBRARIES})
    foreach(other ${layer_LAYERS})
        if(TARGET layer_${other})
            target_link_libraries(layer_${name} PUBLIC layer_${other})
        endif()
    endforeach()
    set(ROCKRAFT_LAYERS ${ROCKRAFT_LAYERS} ${name} PARENT_SCOPE)
    set(ROCKRAFT_PACKAGES ${ROCKRAFT_PACKAGES} ${layer_PACKAGES} PARENT_SCOPE)
    set(ROCKRAFT_LIBRARIES ${ROCKRAFT_LIBRARIES} ${layer_LIBRARIES} PARENT_SCOPE)
endfunction()

rockraft_layer(base PACKAGES libxxhash)
rockraft_layer(raft LAYERS base)
rockraft_layer(command LAYERS base)
rockraft_layer(io LAYERS base PACKAGES libuv)
rockraft_layer(storage LAYERS base raft PACKAGES libzstd liblz4 LIBRARIES rocksdb)
rockraft_layer(transport LAYERS base raft io PACKAGES openssl)
rockraft_layer(config LAYERS base) # and toml++, which is headers only
rockraft_layer(node LAYERS base raft command io storage transport config)

# A folder that nobody named above would silently be missing from the library.
file(GLOB folders RELATIVE ${CMAKE_SOURCE_DIR}/src CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*)
foreach(folder ${folders})
    if(NOT folder MATCHES "^(base|raft|command|io|storage|transport|config|node)$" AND
       IS_DIRECTORY ${CMAKE_SOURCE_DIR}/src/${folder})
        message(FATAL_ERROR "src/${folder} is no layer: add it to cmake/Layers.cmake and "
                            "tools/layers.txt")
    endif()
endforeach()
