// The store where ranks meet, with strangers in between.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "comm/store_client.h"
#include "comm/store_server.h"
#include "support/errors.h"
#include "support/socket.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

using namespace std::chrono_literals;
using testing::MessageOf;
using testing::Socket;

class StoreTest : public ::testing::Test {
 protected:
  StoreServer& Serve(int size, std::chrono::duration<double> patience = 5s) {
    StoreServerOptions options;
    options.token = "the job's token";
    options.size = size;
    options.patience = patience;
    options.on_refused = [this](const std::string& line) {
      const std::lock_guard<std::mutex> lock(mutex_);
      refused_.push_back(line);
    };
    return server_.emplace(std::move(options));
  }
  StoreClientOptions Rank(int rank, int size) {
    StoreClientOptions options;
    options.host = "127.0.0.1";
    options.port = server_->port();
    options.token = "the job's token";
    options.rank = rank;
    options.size = size;
    options.timeout = 10s;
    return options;
  }
  std::vector<std::string> refused() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return refused_;
  }
  // Waits for so many refusals; the last of them.
  std::string AwaitRefusal(std::size_t number) {
    for (const double deadline = MonotonicSeconds() + 10; refused().size() < number;) {
      if (MonotonicSeconds() > deadline) return "nobody was refused";
      std::this_thread::sleep_for(5ms);
    }
    return refused().at(number - 1);
  }

  std::mutex mutex_;
  std::vector<std::string> refused_;
  std::optional<StoreServer> server_;
};

bool Says(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

TEST_F(StoreTest, KeepsValuesForAllRanks) {
  Serve(2);
  StoreClient first(Rank(0, 2)), second(Rank(1, 2));
  EXPECT_FALSE(second.Has("key"));
  EXPECT_EQ(second.Get("key", 0ms), std::nullopt);
  const std::string value("any\0bytes", 9);
  first.Set("key", value);
  EXPECT_TRUE(second.Has("key"));
  EXPECT_EQ(second.Get("key", 0ms), value);
  first.Set("key", "");
  EXPECT_EQ(second.Get("key", 0ms), "");
  EXPECT_EQ(first.Add("count", 2), 2);
  EXPECT_EQ(second.Add("count", -5), -3);
  EXPECT_EQ(first.Get("count", 0ms), "-3");
  EXPECT_EQ(first.Count(), 2);
  EXPECT_TRUE(first.Delete("key"));
  EXPECT_FALSE(second.Delete("key"));
  EXPECT_EQ(second.Count(), 1);
  const std::string large(3 << 20, 'x');
  first.Set("large", large);
  EXPECT_EQ(second.Get("large", 0ms), large);
  EXPECT_EQ(refused(), std::vector<std::string>());
}

TEST_F(StoreTest, AGetWaitsForItsKey) {
  Serve(2);
  StoreClient first(Rank(0, 2)), second(Rank(1, 2));
  const double begin = MonotonicSeconds();
  std::thread later([&] {
    std::this_thread::sleep_for(200ms);
    first.Set("other", "");
    first.Set("key", "value");
  });
  EXPECT_EQ(second.Get("key", 10s), "value");
  EXPECT_GT(MonotonicSeconds() - begin, 0.15);
  later.join();
  EXPECT_EQ(second.Get("never", 100ms), std::nullopt);
  EXPECT_EQ(second.Get("key", 0ms), "value") << "one that waited in vain goes on";
}

TEST_F(StoreTest, ARankMayComeBeforeTheServer) {
  const int port = testing::FreePort();
  std::thread server([&] {
    std::this_thread::sleep_for(300ms);
    StoreServerOptions options;
    options.port = port;
    options.token = "the job's token";
    server_.emplace(std::move(options));
  });
  StoreClientOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.token = "the job's token";
  StoreClient early(options);
  server.join();
  EXPECT_EQ(early.Count(), 0);
}

TEST_F(StoreTest, AnotherTokenIsRefusedAndTold) {
  Serve(2);
  StoreClientOptions stale = Rank(1, 2);
  stale.token = "an older token";
  EXPECT_TRUE(Says(MessageOf<CommError>([&] { StoreClient client(stale); }), "SWARMSYNC_TOKEN"));
  EXPECT_TRUE(Says(AwaitRefusal(1), "127.0.0.1"));
  StoreClient right(Rank(1, 2));
  EXPECT_EQ(right.Count(), 0);
}

TEST_F(StoreTest, WhoOnlyClaimsToKnowTheTokenIsRefused) {
  Serve(2);
  Socket liar;
  liar.Connect(server_->port());
  const std::string nonce(kNonceBytes, 'n');
  liar.Send(std::string(kMagic) + nonce);
  const std::string theirs = liar.Receive(kNonceBytes + kProofBytes).substr(0, kNonceBytes);
  const std::string hello = BytesOf(Hello{1, 2});
  // The server's own proof, sent back, is none of a rank.
  liar.Send(hello + Proof("the job's token", "store", nonce, theirs, hello));
  EXPECT_TRUE(liar.ClosesWithin(5000));
  EXPECT_TRUE(Says(AwaitRefusal(1), "does not know the job's token"));
}

TEST_F(StoreTest, ARankIsLetInOnceAndOnlyIntoItsWorld) {
  Serve(2);
  StoreClient first(Rank(0, 2)), second(Rank(1, 2));
  EXPECT_TRUE(Says(MessageOf<CommError>([&] { StoreClient again(Rank(1, 2)); }), "another rank 1"));
  EXPECT_TRUE(Says(AwaitRefusal(1), "rank 1 of 2, who is here already"));
  EXPECT_TRUE(
      Says(MessageOf<CommError>([&] { StoreClient other(Rank(2, 3)); }), "another number of ranks than 3"));
  EXPECT_TRUE(Says(AwaitRefusal(2), "rank 2 of 3, and the job has 2"));
  first.Set("key", "value");
  EXPECT_EQ(second.Get("key", 0ms), "value");
}

TEST_F(StoreTest, RandomAndStalledBytesAreRefusedAndHoldNobodyUp) {
  Serve(2, 4s);
  std::vector<Socket> strangers;
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, '\xff'), std::string(),
        std::string(kMagic).substr(0, 5), std::string(kMagic) + "half a nonce",
        std::string(kMagic) + std::string(kNonceBytes, 'n')}) {
    strangers.emplace_back().Connect(server_->port());
    strangers.back().Send(bytes);
  }
  const double begin = MonotonicSeconds();
  StoreClient first(Rank(0, 2)), second(Rank(1, 2));
  first.Set("key", "value");
  EXPECT_EQ(second.Get("key", 10s), "value");
  EXPECT_LT(MonotonicSeconds() - begin, 3) << "while the strangers were there";
  for (Socket& stranger : strangers) EXPECT_TRUE(stranger.ClosesWithin(15000));
  AwaitRefusal(strangers.size());
  int other_protocol = 0, stalled = 0;
  for (const std::string& line : refused()) {
    other_protocol += Says(line, "another protocol");
    stalled += Says(line, "in time");
  }
  EXPECT_EQ(other_protocol, 2);
  EXPECT_EQ(stalled, 4);
  EXPECT_EQ(second.Get("key", 0ms), "value");
}

TEST_F(StoreTest, TwoHundredStrangersKeepNobodyOut) {
  Serve(1, 60s);
  std::vector<Socket> strangers(200);
  for (Socket& stranger : strangers) stranger.Connect(server_->port());
  StoreClient rank(Rank(0, 1));
  EXPECT_EQ(rank.Count(), 0);
  EXPECT_TRUE(strangers.front().ClosesWithin(5000));
  EXPECT_FALSE(strangers.back().ClosesWithin(100));
  EXPECT_LE(refused().size(), 20u) << "a flood of strangers is no flood of lines";
}

TEST_F(StoreTest, RanksComeIntoAFloodOfStrangers) {
  Serve(4, 60s);
  std::atomic<bool> over{false};
  std::thread flood([&] {
    std::vector<Socket> strangers;
    while (!over) {
      strangers.emplace_back().Connect(server_->port());
      if (strangers.size() > 300) strangers.clear();
    }
  });
  for (int rank = 0; rank < 4; ++rank) {
    StoreClient client(Rank(rank, 4));
    EXPECT_EQ(client.Add("ranks", 1), rank + 1);
  }
  over = true;
  flood.join();
}

TEST_F(StoreTest, ARequestThatIsTooLongSetsNoMemoryAside) {
  Serve(1);
  Socket rank;
  rank.Connect(server_->port());
  const std::string nonce(kNonceBytes, 'n'), hello = BytesOf(Hello{0, 1});
  rank.Send(std::string(kMagic) + nonce);
  const std::string theirs = rank.Receive(kNonceBytes + kProofBytes).substr(0, kNonceBytes);
  rank.Send(hello + Proof("the job's token", "rank", nonce, theirs, hello));
  EXPECT_EQ(rank.Receive(1), "w");
  rank.Send(BytesOf(Request{Operation::kSet, 4, 0xffffffff, 0}));
  EXPECT_TRUE(rank.ClosesWithin(5000));
  EXPECT_TRUE(Says(AwaitRefusal(1), "too long"));
}

TEST_F(StoreTest, TheServerEndsAtOnceWhateverIsConnected) {
  Serve(2, 60s);
  StoreClient rank(Rank(0, 2));
  Socket stranger;
  stranger.Connect(server_->port());
  stranger.Send(std::string(kMagic).substr(0, 3));
  const double begin = MonotonicSeconds();
  server_.reset();
  EXPECT_LT(MonotonicSeconds() - begin, 1);
  MessageOf<CommError>([&] { rank.Count(); });
}

TEST_F(StoreTest, AServerThatDoesNotAnswerIsACommErrorInTime) {
  Socket silent;
  StoreClientOptions options;
  options.host = "127.0.0.1";
  options.port = silent.Listen();
  options.timeout = 300ms;
  const double begin = MonotonicSeconds();
  EXPECT_TRUE(Says(MessageOf<CommError>([&] { StoreClient client(options); }), "does not answer"));
  EXPECT_LT(MonotonicSeconds() - begin, 5);
}

}  // namespace
}  // namespace swarmsync
