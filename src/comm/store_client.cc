#include "comm/store_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

int Milliseconds(double seconds) { return static_cast<int>(std::ceil(std::max(0.0, seconds) * 1000)); }

// The other side has gone.
class Disconnected : public CommError {
 public:
  using CommError::CommError;
};

// A socket without a server may be connected with itself, where the system picks the port that it calls.
bool IsConnectedWithItself(int fd) {
  sockaddr_storage here{}, there{};
  socklen_t size_here = sizeof here, size_there = sizeof there;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size_here) == 0 &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&there), &size_there) == 0 && size_here == size_there &&
         std::memcmp(&here, &there, size_here) == 0;
}

// 0 when the connection is made before the deadline, else an errno.
int Connect(int fd, const addrinfo& address, double deadline) {
  if (fd < 0) return errno;
  int error = connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd polled{fd, POLLOUT, 0};
    if (poll(&polled, 1, Milliseconds(deadline - MonotonicSeconds())) != 1) return ETIMEDOUT;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error == 0 && IsConnectedWithItself(fd)) return ECONNREFUSED;
  return error;
}

// A socket that is connected with one of the host's addresses. Throws Disconnected where none takes it.
int ConnectOnce(const std::string& host, int port, double deadline) {
  constexpr double kPatience = 2;  // with one address, as there may be others
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed) throw Disconnected(fmt::format("the host is not known ({})", gai_strerror(failed)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  int error = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    error = Connect(fd, *address, std::min(deadline, MonotonicSeconds() + kPatience));
    if (error == 0) {
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return fd;
    }
    if (fd >= 0) close(fd);
  }
  throw Disconnected(strerror(error));
}

}  // namespace

StoreClient::StoreClient(const StoreClientOptions& options) : timeout_(options.timeout.count()) {
  const double deadline = MonotonicSeconds() + timeout_;
  while (true) {
    try {
      fd_.emplace(ConnectOnce(options.host, options.port, deadline));
      ShakeHands(options, deadline);
      return;
    } catch (const Disconnected&) {
      if (MonotonicSeconds() > deadline) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
}

void StoreClient::ShakeHands(const StoreClientOptions& options, double deadline) {
  const std::string mine = RandomBytes(kNonceBytes);
  Send(std::string(kMagic) + mine, deadline);
  const std::string theirs = Receive(kNonceBytes, deadline);
  if (!SameSecret(Receive(kProofBytes, deadline), Proof(options.token, "store", mine, theirs)))
    throw CommError(
        "what is there has another token, or is no store of swarmsync's; give all ranks of the job the same "
        "SWARMSYNC_TOKEN");
  const std::string hello =
      BytesOf(Hello{static_cast<std::uint32_t>(options.rank), static_cast<std::uint32_t>(options.size)});
  Send(hello + Proof(options.token, "rank", mine, theirs, hello), deadline);
  switch (static_cast<Verdict>(Receive(1, deadline)[0])) {
    case Verdict::kWelcome:
      return;
    case Verdict::kOtherSize:
      throw CommError(
          fmt::format("the job there has another number of ranks than {}; start all with the same WORLD_SIZE",
                      options.size));
    case Verdict::kRankIsHere:
      throw CommError(fmt::format("another rank {} has been there already", options.rank));
  }
  throw CommError("what answers there is no store of swarmsync's");
}

void StoreClient::Set(const std::string& key, const std::string& value) {
  Ask(Operation::kSet, key, value, {});
}

std::optional<std::string> StoreClient::Get(const std::string& key, std::chrono::milliseconds patience) {
  return Ask(Operation::kGet, key, "", patience);
}

std::int64_t StoreClient::Add(const std::string& key, std::int64_t amount) {
  return std::stoll(Ask(Operation::kAdd, key, std::to_string(amount), {}).value());
}

bool StoreClient::Has(const std::string& key) { return Ask(Operation::kHas, key, "", {}) == "1"; }

bool StoreClient::Delete(const std::string& key) { return Ask(Operation::kDelete, key, "", {}) == "1"; }

std::int64_t StoreClient::Count() { return std::stoll(Ask(Operation::kCount, "", "", {}).value()); }

std::optional<std::string> StoreClient::Ask(Operation operation, const std::string& key,
                                            const std::string& value, std::chrono::milliseconds patience) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const double deadline = MonotonicSeconds() + timeout_ + 1e-3 * static_cast<double>(patience.count());
  Send(BytesOf(Request{operation, static_cast<std::uint32_t>(key.size()),
                       static_cast<std::uint32_t>(value.size()),
                       static_cast<std::uint32_t>(patience.count())}) +
           key + value,
       deadline);
  const auto answer = FromBytes<Answer>(Receive(sizeof(Answer), deadline));
  if (answer.value_bytes > kMostValueBytes) throw CommError("the store's answer makes no sense");
  std::string text = Receive(answer.value_bytes, deadline);
  if (answer.found == 0) return std::nullopt;
  return text;
}

void StoreClient::Send(const std::string& bytes, double deadline) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t count = send(fd_->get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN || errno == EINTR) {
      Await(POLLOUT, deadline);
    } else {
      throw Disconnected(fmt::format("the connection to the store broke: {}", strerror(errno)));
    }
  }
}

std::string StoreClient::Receive(std::size_t bytes, double deadline) {
  std::string received(bytes, '\0');
  for (std::size_t have = 0; have < bytes;) {
    const ssize_t count = recv(fd_->get(), received.data() + have, bytes - have, 0);
    if (count > 0) {
      have += static_cast<std::size_t>(count);
    } else if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      Await(POLLIN, deadline);
    } else {
      throw Disconnected(count == 0 ? "the store closed the connection"
                                    : fmt::format("the connection to the store broke: {}", strerror(errno)));
    }
  }
  return received;
}

void StoreClient::Await(short events, double deadline) {
  pollfd polled{fd_->get(), events, 0};
  const double left = deadline - MonotonicSeconds();
  if (left > 0 && poll(&polled, 1, Milliseconds(left)) != 0) return;
  shutdown(fd_->get(), SHUT_RDWR);  // an answer that comes later would be taken for another's
  throw CommError("the store does not answer");
}

}  // namespace swarmsync
