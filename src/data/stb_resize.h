#pragma once

// The functions of stb_image_resize.h that this library uses; src/data/stb_resize.cc compiles them, apart
// from our warnings.
#include <stb/stb_image_resize.h>
