#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

namespace swarmsync::testing {

// A TCP socket of the test's own on 127.0.0.1.
class Socket {
 public:
  Socket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() { close(fd_); }
  Socket(Socket&& other) : fd_(std::exchange(other.fd_, -1)) {}

  // Listens on a free port and returns it.
  int Listen() {
    sockaddr_in address = Address(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
  }
  void Connect(int port) {
    const sockaddr_in address = Address(port);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << port;
  }
  void Send(const std::string& bytes) {
    EXPECT_GE(send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL), 0);
  }
  // So many bytes, or what came before the other side closed the connection.
  std::string Receive(std::size_t bytes) {
    std::string received(bytes, '\0');
    const ssize_t count = recv(fd_, received.data(), bytes, MSG_WAITALL);
    received.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return received;
  }
  // Whether the other side closes it before so many milliseconds are over; what comes is thrown away.
  bool ClosesWithin(int milliseconds) {
    char bytes[4096];
    for (pollfd polled{fd_, POLLIN, 0}; poll(&polled, 1, milliseconds) == 1;) {
      if (recv(fd_, bytes, sizeof bytes, 0) <= 0) return true;
    }
    return false;
  }

 private:
  static sockaddr_in Address(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  int fd_;
};

inline int FreePort() { return Socket().Listen(); }

}  // namespace swarmsync::testing
