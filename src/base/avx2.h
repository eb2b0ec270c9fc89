#pragma once

// Kernels for processors with AVX2 and FMA, or AVX-512, beside a version for all others: the program asks at
// run time.
//   #ifdef SWARMSYNC_AVX2
//   SWARMSYNC_AVX2 void Kernel(…) { … }
//   #endif
//   if (HasAvx2()) …
#ifdef __x86_64__
#include <immintrin.h>
#define SWARMSYNC_AVX2 __attribute__((target("avx2,fma")))
#define SWARMSYNC_AVX2_PART SWARMSYNC_AVX2 __attribute__((always_inline)) inline
#define SWARMSYNC_AVX512 __attribute__((target("avx512f")))

namespace swarmsync {

inline bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
inline bool HasAvx512() { return __builtin_cpu_supports("avx512f"); }

}  // namespace swarmsync
#endif
