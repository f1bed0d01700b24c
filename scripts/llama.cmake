# Read by CMake when llama.cpp is configured (CMAKE_PROJECT_INCLUDE in .cargo/config.toml).

if(NOT PROJECT_NAME STREQUAL "llama.cpp")
    return()
endif()

# A CMake before 3.19 cannot put anything off to the end, when the targets are there: it goes without AMX, and is slower.
if(CMAKE_VERSION VERSION_LESS 3.19)
    add_compile_options(-U__AMX_INT8__)
    return()
endif()

set(inferscope_scripts ${CMAKE_CURRENT_LIST_DIR})

# A third of the time that llama.cpp takes to compile goes into `common`, the helpers of its own programs, and an HTTP library for them. This
# program calls one function of them, once a reply at most, and the bindings always build them: so they are compiled in few large pieces,
# and not optimised.
function(inferscope_compile_quickly)
    foreach(target llama-common cpp-httplib)
        if(TARGET ${target})
            set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
            target_compile_options(${target} PRIVATE $<$<NOT:$<CXX_COMPILER_ID:MSVC>>:-O0>)
        endif()
    endforeach()
endfunction()

# Each of the 157 architectures is a file of its own, and nine tenths of the time it takes are the same headers.
function(inferscope_compile_models_together)
    if(NOT TARGET llama)
        return()
    endif()
    set_target_properties(llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
    get_target_property(sources llama SOURCES)
    list(FILTER sources EXCLUDE REGEX "models/[^/]*\\.cpp$")
    get_target_property(folder llama SOURCE_DIR)
    foreach(source IN LISTS sources)
        get_filename_component(source ${source} ABSOLUTE BASE_DIR ${folder})
        set_property(SOURCE ${source} TARGET_DIRECTORY llama PROPERTY SKIP_UNITY_BUILD_INCLUSION ON)
    endforeach()
endfunction()

# GCC breaks the AMX kernels without it: the header says how.
function(inferscope_keep_tiles)
    if(NOT TARGET ggml-cpu OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        return()
    endif()
    get_target_property(sources ggml-cpu SOURCES)
    list(FILTER sources INCLUDE REGEX "amx/mmq\\.cpp$")
    get_target_property(folder ggml-cpu SOURCE_DIR)
    foreach(source IN LISTS sources)
        get_filename_component(source ${source} ABSOLUTE BASE_DIR ${folder})
        set_property(SOURCE ${source} TARGET_DIRECTORY ggml-cpu APPEND PROPERTY COMPILE_OPTIONS -include "${inferscope_scripts}/amx_tiles.h")
    endforeach()
endfunction()

cmake_language(DEFER CALL inferscope_compile_quickly)
cmake_language(DEFER CALL inferscope_compile_models_together)
cmake_language(DEFER CALL inferscope_keep_tiles)
