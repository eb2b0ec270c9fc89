#pragma once

#include <cstdint>

#include "swarmsync/base/philox.h"

namespace swarmsync {

// out[i] <- word first_index + i of a stream (Philox::Word), several blocks at once where the processor can.
void DrawWords(const Philox& philox, std::uint32_t round, std::uint32_t rank, RandomPurpose purpose,
               std::uint64_t first_index, std::int64_t count, std::uint32_t* out);

}  // namespace swarmsync
