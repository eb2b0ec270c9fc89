#pragma once

// Marks a function that CUDA's compiler translates for the GPU too.
#ifdef __CUDACC__
#define SWARMSYNC_HOST_DEVICE __host__ __device__
#else
#define SWARMSYNC_HOST_DEVICE
#endif
