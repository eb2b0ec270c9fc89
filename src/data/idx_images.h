#pragma once

#include <memory>

#include "data/byte_images.h"
#include "swarmsync/data/idx.h"

namespace swarmsync {

// One channel. Shares the files of `split`.
std::shared_ptr<const ByteImages> BytesOf(IdxSplit split);

}  // namespace swarmsync
