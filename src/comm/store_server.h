#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "base/file_descriptor.h"
#include "comm/store_protocol.h"

namespace swarmsync {

struct StoreServerOptions {
  std::string address = "127.0.0.1";                                 // numeric, of the interface to listen on
  int port = 0;                                                      // 0: one that the system picks
  std::string token;                                                 // of the job
  int size = 1;                                                      // of the world; each rank is let in once
  std::chrono::duration<double> patience = std::chrono::seconds(5);  // for who has not proved the token yet
  // Told of each connection that was refused, in the server's thread; does not throw.
  std::function<void(const std::string& line)> on_refused;
};

// Keys and values by which the ranks of a job find each other, served by a thread of its own. Who does not
// prove that it knows the token in time is refused, and holds nobody up meanwhile; nothing that it sends
// makes the server set memory aside.
class StoreServer {
 public:
  // Throws CommError when it cannot listen there.
  explicit StoreServer(StoreServerOptions options);
  ~StoreServer();
  StoreServer(const StoreServer&) = delete;
  StoreServer& operator=(const StoreServer&) = delete;

  int port() const { return port_; }

 private:
  struct Connection;

  void Serve();
  void Accept(double now);
  void Tell(const std::string& line);
  // Takes what has come of the connection, and all that can be done with it.
  void Read(Connection& connection);
  void Handle(Connection& connection);
  bool HandleHandshake(Connection& connection);  // whether there may be more to handle
  bool HandleRequest(Connection& connection);
  void Carry(Connection& connection, const Request& request, const std::string& key, std::string value);
  void AnswerWaiting(double now);
  static void Write(Connection& connection);
  void Refuse(Connection& connection, const std::string& why);

  StoreServerOptions options_;
  FileDescriptor listener_, wake_;
  int port_ = 0;
  std::list<Connection> connections_;
  std::map<std::string, std::string> values_;
  std::set<std::uint32_t> ranks_;  // that have come
  int told_ = 0;
  double accepts_from_ = 0;  // MonotonicSeconds()
  std::thread thread_;
};

}  // namespace swarmsync
