#include "comm/interface.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

struct Address {
  std::string interface, numeric;
};

// Those of IPv4 first.
std::vector<Address> Addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owned(list, freeifaddrs);
  std::vector<Address> addresses;
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
      if (item->ifa_addr == nullptr || item->ifa_addr->sa_family != family) continue;
      const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      char numeric[NI_MAXHOST];
      if (getnameinfo(item->ifa_addr, size, numeric, sizeof numeric, nullptr, 0, NI_NUMERICHOST) == 0)
        addresses.push_back({item->ifa_name, numeric});
    }
  }
  return addresses;
}

}  // namespace

std::vector<std::string> InterfaceNames() {
  std::vector<std::string> names;
  for (const Address& address : Addresses()) {
    if (std::find(names.begin(), names.end(), address.interface) == names.end())
      names.push_back(address.interface);
  }
  return names;
}

std::string AddressOfInterface(const std::string& name) {
  for (const Address& address : Addresses()) {
    if (address.interface == name) return address.numeric;
  }
  throw UsageError(
      fmt::format("GLOO_SOCKET_IFNAME is '{}', and no network interface here has that name and an "
                  "address; name one of {}",
                  name, fmt::join(InterfaceNames(), ", ")));
}

}  // namespace swarmsync
