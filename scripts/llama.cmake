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

# A quarter of the time that llama.cpp takes to compile goes into `common`, the helpers of its own programs, and an HTTP library for them. The
# bindings always build them and link what their wrapper calls: a grammar from a JSON schema, fitting to memory, speculation. What that does
# not reach (chat parsers, Jinja, downloads, arguments) is left out, the rest is compiled in one piece and not optimised: this program calls
# one function of it, once a reply at most.
function(inferscope_compile_little_of_common)
    if(NOT TARGET llama-common OR NOT TARGET cpp-httplib)
        return()
    endif()
    get_target_property(sources llama-common SOURCES)
    list(FILTER sources INCLUDE REGEX
        "^(common|fit|json|json-schema|json-schema-to-grammar|log|ngram-[a-z]+|reasoning-budget|sampling|speculative|trie|unicode)\\.(cpp|h)$")
    # its specialisations must stand before the first use
    list(REMOVE_ITEM sources json.cpp)
    list(INSERT sources 0 json.cpp)
    set_target_properties(llama-common PROPERTIES SOURCES "${sources}" UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 32)
    target_compile_options(llama-common PRIVATE $<$<NOT:$<CXX_COMPILER_ID:MSVC>>:-O0>)
    get_target_property(libraries llama-common LINK_LIBRARIES)
    list(REMOVE_ITEM libraries cpp-httplib)
    set_target_properties(llama-common PROPERTIES LINK_LIBRARIES "${libraries}")
    set_target_properties(cpp-httplib PROPERTIES EXCLUDE_FROM_ALL ON)
endfunction()

# What runs for each token or each piece of text is optimised in full, file by file. The rest (loading, making, 157 architectures that each
# lay out a graph and hand the work to kernels) is compiled in pieces of several files, since half the time is the same headers, and optimised less.
function(inferscope_compile_llama_together)
    if(NOT TARGET llama OR MSVC)
        return()
    endif()
    get_target_property(sources llama SOURCES)
    get_target_property(folder llama SOURCE_DIR)
    foreach(source IN LISTS sources)
        get_filename_component(source ${source} ABSOLUTE BASE_DIR ${folder})
        if(source MATCHES "/(llama-(batch|context|grammar|graph|kv-cache|sampler|vocab)|unicode)\\.cpp$")
            set_property(SOURCE ${source} TARGET_DIRECTORY llama APPEND PROPERTY COMPILE_OPTIONS -O3)
        elseif(source MATCHES "\\.cpp$")
            set_property(SOURCE ${source} TARGET_DIRECTORY llama PROPERTY SKIP_UNITY_BUILD_INCLUSION OFF)
        endif()
    endforeach()
    set_target_properties(llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
    target_compile_options(llama PRIVATE -O1)
    get_target_property(sources ggml-base SOURCES)
    list(FILTER sources INCLUDE REGEX "(ggml-backend-meta|ggml-opt|gguf)\\.cpp$")
    get_target_property(folder ggml-base SOURCE_DIR)
    foreach(source IN LISTS sources)
        get_filename_component(source ${source} ABSOLUTE BASE_DIR ${folder})
        set_property(SOURCE ${source} TARGET_DIRECTORY ggml-base APPEND PROPERTY COMPILE_OPTIONS -O1)
    endforeach()
endfunction()

# No file of a library waits for the libraries it links: else the last file of each would keep the other cores idle.
function(inferscope_compile_libraries_at_once)
    foreach(target ggml-base ggml-cpu ggml llama llama-common)
        if(TARGET ${target})
            set_target_properties(${target} PROPERTIES OPTIMIZE_DEPENDENCIES ON)
        endif()
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

cmake_language(DEFER CALL inferscope_compile_little_of_common)
cmake_language(DEFER CALL inferscope_compile_llama_together)
cmake_language(DEFER CALL inferscope_compile_libraries_at_once)
cmake_language(DEFER CALL inferscope_keep_tiles)
