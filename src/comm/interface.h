#pragma once

#include <string>
#include <vector>

namespace swarmsync {

// The network interfaces of this host that have an address. Local.
std::vector<std::string> InterfaceNames();

// The numeric address of an interface, of IPv4 where it has one. Throws UsageError where there is none.
std::string AddressOfInterface(const std::string& name);

}  // namespace swarmsync
