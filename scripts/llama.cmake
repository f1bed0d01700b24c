# Read by CMake when llama.cpp is configured (CMAKE_PROJECT_INCLUDE in .cargo/config.toml). A third of the time that llama.cpp takes to
# compile goes into `common`, the helpers of its own programs, and an HTTP library for them. This program calls one function of them, once a
# reply at most, and the bindings always build them: so they are compiled in few large pieces, and not optimised.

# A CMake before 3.19 cannot put anything off to the end; there it is only slower.
if(NOT PROJECT_NAME STREQUAL "llama.cpp" OR CMAKE_VERSION VERSION_LESS 3.19)
    return()
endif()

function(inferscope_compile_quickly)
    foreach(target llama-common cpp-httplib)
        if(TARGET ${target})
            set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
            target_compile_options(${target} PRIVATE $<$<NOT:$<CXX_COMPILER_ID:MSVC>>:-O0>)
        endif()
    endforeach()
endfunction()

# at the end, when the targets are there
cmake_language(DEFER CALL inferscope_compile_quickly)
