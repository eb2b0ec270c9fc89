#pragma once

namespace swarmsync::testing {

// Whether AddressSanitizer or ThreadSanitizer watches, with which what takes seconds takes minutes.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace swarmsync::testing
