#pragma once

#include <string>

namespace swarmsync {

// The file of the BLAS that libtorch multiplies matrices with.
std::string BlasLibrary();

// A line for the user when it is the slow reference implementation, else "".
std::string BlasWarning();

}  // namespace swarmsync
