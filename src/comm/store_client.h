#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/file_descriptor.h"
#include "comm/store_protocol.h"

namespace swarmsync {

struct StoreClientOptions {
  std::string host;  // of the StoreServer
  int port = 0;
  std::string token;
  int rank = 0;
  int size = 1;
  std::chrono::duration<double> timeout = std::chrono::seconds(60);  // to connect, and for every answer
};

// A rank's side of a StoreServer. Safe to call from any thread; calls take turns. Everything throws CommError
// when the connection breaks or an answer does not come in time.
class StoreClient {
 public:
  // Tries until the timeout is over: the server may be later, or full of strangers. Throws CommError at once
  // where the server has another token, or does not take this rank.
  explicit StoreClient(const StoreClientOptions& options);

  void Set(const std::string& key, const std::string& value);
  // Waits for the key; nullopt when it does not come.
  std::optional<std::string> Get(const std::string& key, std::chrono::milliseconds patience);
  std::int64_t Add(const std::string& key, std::int64_t amount);  // a key that is not there counts as 0
  bool Has(const std::string& key);
  bool Delete(const std::string& key);  // whether it was there
  std::int64_t Count();                 // of the keys

 private:
  void ShakeHands(const StoreClientOptions& options, double deadline);
  std::optional<std::string> Ask(Operation operation, const std::string& key, const std::string& value,
                                 std::chrono::milliseconds patience);
  void Send(const std::string& bytes, double deadline);
  std::string Receive(std::size_t bytes, double deadline);
  void Await(short events, double deadline);

  double timeout_;
  std::mutex mutex_;
  std::optional<FileDescriptor> fd_;
};

}  // namespace swarmsync
