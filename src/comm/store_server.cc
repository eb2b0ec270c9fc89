#include "comm/store_server.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::ptrdiff_t kMostStrangers = 64;  // at a time, beyond one for each rank
constexpr int kMostTold = 20;                  // lines
constexpr double kBreath = 0.2;                // seconds without new connections, where there can be none

std::string NameOfPeer(const sockaddr_storage& address, socklen_t size) {
  char host[NI_MAXHOST], service[NI_MAXSERV];
  const int failed = getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host,
                                 service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV);
  return failed ? "an unknown address" : fmt::format("{}:{}", host, service);
}

int Listen(const std::string& address, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    throw CommError(fmt::format("'{}' is no address to listen on", address));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    throw CommError(error == EADDRINUSE ? "the port is taken; choose another MASTER_PORT"
                                        : fmt::format("cannot listen on {}: {}", address, strerror(error)));
  }
  return fd;
}

int WakeUp() {
  const int fd = eventfd(0, EFD_CLOEXEC);
  if (fd < 0) throw CommError(fmt::format("there is no event to be had: {}", strerror(errno)));
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  char service[NI_MAXSERV] = "0";
  getnameinfo(reinterpret_cast<sockaddr*>(&address), size, nullptr, 0, service, sizeof service,
              NI_NUMERICSERV);
  return std::atoi(service);
}

std::string Found(const std::string& value) {
  return BytesOf(Answer{1, static_cast<std::uint32_t>(value.size())}) + value;
}

}  // namespace

struct StoreServer::Connection {
  Connection(int fd_, std::string peer_, double deadline_)
      : fd(fd_), peer(std::move(peer_)), deadline(deadline_) {}

  // The first bytes of what has come, if so many are there.
  std::optional<std::string> Take(std::size_t bytes) {
    if (in.size() < bytes) return std::nullopt;
    std::string taken = in.substr(0, bytes);
    in.erase(0, bytes);
    return taken;
  }

  FileDescriptor fd;
  std::string peer;
  double deadline;  // to be let in
  std::string in, out;
  std::string nonce_of_rank, nonce_of_store;
  bool welcome = false, closed = false;

  struct Wait {
    std::string key;
    double deadline;
  };
  std::optional<Wait> waits;  // with a kGet
};

StoreServer::StoreServer(StoreServerOptions options)
    : options_(std::move(options)),
      listener_(Listen(options_.address, options_.port)),
      wake_(WakeUp()),
      port_(PortOf(listener_.get())),
      thread_([this] { Serve(); }) {}

StoreServer::~StoreServer() {
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void StoreServer::Serve() {
  while (true) {
    const bool accepts = MonotonicSeconds() >= accepts_from_;
    double next = accepts ? MonotonicSeconds() + 3600 : accepts_from_;
    std::vector<pollfd> polled{{listener_.get(), static_cast<short>(accepts ? POLLIN : 0), 0},
                               {wake_.get(), POLLIN, 0}};
    for (const Connection& connection : connections_) {
      // Who does not read its answers is not listened to.
      const short events = connection.out.empty() ? POLLIN : POLLOUT;
      polled.push_back({connection.fd.get(), events, 0});
      if (!connection.welcome) next = std::min(next, connection.deadline);
      if (connection.waits) next = std::min(next, connection.waits->deadline);
    }
    const double left = std::max(0.0, next - MonotonicSeconds());
    if (poll(polled.data(), polled.size(), static_cast<int>(std::ceil(left * 1000))) < 0) {
      for (pollfd& one : polled) one.revents = 0;
      if (errno != EINTR) accepts_from_ = MonotonicSeconds() + kBreath;
    }
    if (polled[1].revents != 0) return;

    const double now = MonotonicSeconds();
    std::size_t i = 2;
    for (Connection& connection : connections_) {
      const short events = polled[i++].revents;
      if (events & POLLOUT) {
        Write(connection);
        Handle(connection);
      } else if (events != 0) {
        Read(connection);
      }
      if (!connection.welcome && !connection.closed && now > connection.deadline)
        Refuse(connection, "it did not show the job's token in time");
    }
    AnswerWaiting(now);
    if (polled[0].revents != 0) Accept(now);
    connections_.remove_if([](const Connection& connection) { return connection.closed; });
  }
}

void StoreServer::Accept(double now) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd =
      accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
    Tell(fmt::format("the store where ranks meet takes no more connections for now: {}", strerror(errno)));
    accepts_from_ = now + kBreath;
    return;
  }
  connections_.emplace_back(fd, NameOfPeer(address, size), now + options_.patience.count());
  // The oldest goes first: a rank shows the token as soon as it has come.
  const auto is_stranger = [](const Connection& other) { return !other.welcome && !other.closed; };
  const auto strangers = std::count_if(connections_.begin(), connections_.end(), is_stranger);
  if (strangers > kMostStrangers + options_.size)
    Refuse(*std::find_if(connections_.begin(), connections_.end(), is_stranger),
           "too many strangers are here");
}

void StoreServer::Read(Connection& connection) {
  std::array<char, 1 << 16> bytes;
  const ssize_t count = recv(connection.fd.get(), bytes.data(), bytes.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    if (!connection.welcome) return Refuse(connection, "it left before it had shown the job's token");
    connection.closed = true;
    return;
  }
  connection.in.append(bytes.data(), static_cast<std::size_t>(count));
  Handle(connection);
  if (connection.in.size() > sizeof(Request) + kMostKeyBytes + kMostValueBytes)
    Refuse(connection, "it asks more before it has its answer");
}

void StoreServer::Handle(Connection& connection) {
  // One request at a time: a rank that waits, or has not read its answer, has no other.
  while (!connection.closed && !connection.waits && connection.out.empty()) {
    if (!(connection.welcome ? HandleRequest(connection) : HandleHandshake(connection))) return;
    Write(connection);
  }
}

bool StoreServer::HandleHandshake(Connection& connection) {
  if (connection.nonce_of_store.empty()) {
    const std::size_t seen = std::min(connection.in.size(), kMagic.size());
    if (connection.in.compare(0, seen, kMagic, 0, seen) != 0) {
      Refuse(connection, "it speaks another protocol");
      return false;
    }
    const auto begin = connection.Take(kMagic.size() + kNonceBytes);
    if (!begin) return false;
    connection.nonce_of_rank = begin->substr(kMagic.size());
    connection.nonce_of_store = RandomBytes(kNonceBytes);
    connection.out = connection.nonce_of_store +
                     Proof(options_.token, "store", connection.nonce_of_rank, connection.nonce_of_store);
    return true;
  }
  const auto told = connection.Take(sizeof(Hello) + kProofBytes);
  if (!told) return false;
  const std::string bytes = told->substr(0, sizeof(Hello));
  if (!SameSecret(told->substr(sizeof(Hello)), Proof(options_.token, "rank", connection.nonce_of_rank,
                                                     connection.nonce_of_store, bytes))) {
    Refuse(connection, "it does not know the job's token");
    return false;
  }
  const auto hello = FromBytes<Hello>(bytes);
  Verdict verdict = Verdict::kWelcome;
  if (hello.size != static_cast<std::uint32_t>(options_.size) || hello.rank >= hello.size) {
    verdict = Verdict::kOtherSize;
  } else if (!ranks_.insert(hello.rank).second) {
    verdict = Verdict::kRankIsHere;
  }
  connection.out = static_cast<char>(verdict);
  connection.welcome = verdict == Verdict::kWelcome;
  if (connection.welcome) return true;
  Write(connection);
  Refuse(connection,
         fmt::format("it says that it is rank {} of {}, {}", hello.rank, hello.size,
                     verdict == Verdict::kOtherSize ? fmt::format("and the job has {}", options_.size)
                                                    : "who is here already"));
  return false;
}

bool StoreServer::HandleRequest(Connection& connection) {
  if (connection.in.size() < sizeof(Request)) return false;
  const auto request = FromBytes<Request>(connection.in);
  if (request.key_bytes > kMostKeyBytes || request.value_bytes > kMostValueBytes) {
    Refuse(connection, "its request is too long");
    return false;
  }
  const std::size_t bytes = sizeof request + request.key_bytes + request.value_bytes;
  const auto taken = connection.Take(bytes);
  if (!taken) return false;
  Carry(connection, request, taken->substr(sizeof request, request.key_bytes),
        taken->substr(sizeof request + request.key_bytes));
  return true;
}

void StoreServer::Carry(Connection& connection, const Request& request, const std::string& key,
                        std::string value) {
  const auto answer = [&](const std::string& text) { connection.out = Found(text); };
  const auto found = values_.find(key);
  switch (request.operation) {
    case Operation::kSet:
      values_[key] = std::move(value);
      return answer("");
    case Operation::kGet:
      connection.waits = {key, MonotonicSeconds() + 1e-3 * request.milliseconds};
      return;
    case Operation::kAdd: {
      const std::int64_t before = found == values_.end() ? 0 : std::atoll(found->second.c_str());
      return answer(values_[key] = std::to_string(before + std::atoll(value.c_str())));
    }
    case Operation::kHas:
      return answer(found == values_.end() ? "0" : "1");
    case Operation::kDelete:
      return answer(std::to_string(values_.erase(key)));
    case Operation::kCount:
      return answer(std::to_string(values_.size()));
  }
  Refuse(connection, "its request makes no sense");
}

void StoreServer::AnswerWaiting(double now) {
  for (Connection& connection : connections_) {
    if (connection.closed || !connection.waits) continue;
    const auto found = values_.find(connection.waits->key);
    if (found == values_.end() && now < connection.waits->deadline) continue;
    connection.out = found == values_.end() ? BytesOf(Answer{0, 0}) : Found(found->second);
    connection.waits.reset();
    Write(connection);
    Handle(connection);
  }
}

void StoreServer::Write(Connection& connection) {
  const ssize_t count = send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
  if (count >= 0) {
    connection.out.erase(0, static_cast<std::size_t>(count));
  } else if (errno != EAGAIN && errno != EINTR) {
    connection.closed = true;
  }
}

void StoreServer::Refuse(Connection& connection, const std::string& why) {
  connection.closed = true;
  Tell(fmt::format("refused a connection from {}: {}", connection.peer, why));
}

void StoreServer::Tell(const std::string& line) {
  if (!options_.on_refused || told_ >= kMostTold) return;
  ++told_;
  options_.on_refused(line + (told_ == kMostTold ? "; more of the kind is not told" : ""));
}

}  // namespace swarmsync
