#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swarmsync {

// The bytes of one plain file in a tar archive (ustar; what other members say is passed over). Where a name
// occurs twice the first counts. Throws DataError, with `where` at its beginning, when the archive is damaged
// or has no such file.
std::vector<std::uint8_t> ReadTarMember(const std::vector<std::uint8_t>& archive, const std::string& name,
                                        const std::string& where);

}  // namespace swarmsync
