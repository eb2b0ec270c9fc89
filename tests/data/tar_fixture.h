#pragma once

#include <cstdio>
#include <string>

namespace swarmsync {

// One member of a tar archive, padded; an archive ends in 1024 zeros.
inline std::string TarMember(const std::string& name, const std::string& bytes, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char size[12];
  std::snprintf(size, sizeof(size), "%011o", static_cast<unsigned>(bytes.size()));
  header.replace(124, 11, size, 11);
  header[156] = type;
  header.replace(257, 5, "ustar");
  return header + bytes + std::string((512 - bytes.size() % 512) % 512, '\0');
}

}  // namespace swarmsync
