#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/digest.h"

// What the ranks of a job and the store where they meet say to each other over TCP. First each side proves
// that it knows the job's token, without sending it:
//   rank:  kMagic, nonce R (32 bytes)
//   store: nonce S (32 bytes), Proof(token, "store", R, S)
//   rank:  Hello, Proof(token, "rank", R, S, Hello)
//   store: Verdict (1 byte)
// Then the rank asks, one Request with its key and value at a time, and the store sends an Answer with its
// value; these carry no proof, so that who is between the two can change them. Numbers are in the order of
// bytes of the hosts, which is the same for all of a job.

namespace swarmsync {

constexpr std::string_view kMagic = "swarmsync store 1\n";
constexpr std::size_t kNonceBytes = 32, kProofBytes = 32;

struct Hello {
  std::uint32_t rank, size;
};

enum class Verdict : char { kWelcome = 'w', kOtherSize = 's', kRankIsHere = 'r' };

enum class Operation : std::uint32_t { kSet, kGet, kAdd, kHas, kDelete, kCount };

struct Request {
  Operation operation;
  std::uint32_t key_bytes, value_bytes;
  std::uint32_t milliseconds;  // kGet: that it may wait for the key
};
constexpr std::uint32_t kMostKeyBytes = 1 << 16, kMostValueBytes = 1 << 24;

struct Answer {
  std::uint32_t found;  // 0: kGet waited in vain
  std::uint32_t value_bytes;
};

template <class T>
std::string BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// bytes: at least sizeof(T).
template <class T>
T FromBytes(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

inline std::string Proof(const std::string& token, std::string_view side, std::string_view nonce_of_rank,
                         std::string_view nonce_of_store, std::string_view hello = "") {
  std::string text(side);
  return HmacSha256(token, text.append(nonce_of_rank).append(nonce_of_store).append(hello));
}

}  // namespace swarmsync
