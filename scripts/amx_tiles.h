// Put in front of llama.cpp's AMX kernels (scripts/llama.cmake). GCC describes the tile instructions to its optimiser as if they read no
// memory, or 8 bytes of it: up to GCC 12 at least, the tile shapes that llama.cpp stores before it loads them are removed as useless, and the
// first instruction on a tile is then an illegal one. Each load here first says that everything stored until now is wanted.
#pragma once
#if defined(__GNUC__) && !defined(__clang__) && defined(__AMX_TILE__)
#include <immintrin.h>
#if defined(_tile_loadd_internal)
#define INFERSCOPE_STORED(address) __asm__ volatile("" : : "r"((const void *)(address)) : "memory")
#undef _tile_loadd
#define _tile_loadd(tile, base, stride) do { INFERSCOPE_STORED(base); _tile_loadd_internal(tile, base, stride); } while (0)
#define _tile_loadconfig(config) do { INFERSCOPE_STORED(config); (_tile_loadconfig)(config); } while (0)
#endif
#endif
