#include "swarmsync/report/status_pipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <limits>

#include "support/errors.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MessageOf;
using ::testing::Not;

template <class T>
T RoundTrip(const T& status) {
  const std::string line = EncodeStatus(status);
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  return std::get<T>(DecodeStatus(line));
}

void ExpectSame(double a, double b) {
  if (std::isfinite(a)) {
    EXPECT_EQ(a, b);
  } else {
    EXPECT_TRUE(std::isnan(b)) << "what is not finite arrives as NaN";
  }
}

Progress Sample() {
  Progress progress;
  progress.step = 17;
  progress.total_steps = 1'000'000'000'000;
  progress.epoch = 0.1;
  progress.epochs = 2.0 / 3;
  progress.loss = 1e-300;
  progress.samples_per_second = 123456.789;
  progress.exchange_share = 0.25;
  progress.seconds_left = 1e9;
  return progress;
}

void ExpectSame(const Progress& a, const Progress& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.total_steps, b.total_steps);
  ExpectSame(a.epoch, b.epoch);
  ExpectSame(a.epochs, b.epochs);
  ExpectSame(a.loss, b.loss);
  ExpectSame(a.samples_per_second, b.samples_per_second);
  ExpectSame(a.exchange_share, b.exchange_share);
  ExpectSame(a.seconds_left, b.seconds_left);
}

TEST(StatusPipe, ProgressArrivesExactly) { ExpectSame(Sample(), RoundTrip(Sample())); }

TEST(StatusPipe, NumbersThatAreNotFiniteArriveAsNaN) {
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    Progress progress = Sample();
    progress.loss = progress.seconds_left = progress.epoch = progress.epochs = value;
    progress.samples_per_second = progress.exchange_share = value;
    ExpectSame(progress, RoundTrip(progress));
  }
}

TEST(StatusPipe, NotesArrive) {
  for (const std::string line : {"", "epoch 1: train loss 0.5", "\"quotes\" and \\ and \ttabs",
                                 "two\nlines\r\n", "größer ≥ 3 🐝", "{\"kind\":\"failure\"}"}) {
    EXPECT_EQ(RoundTrip(StatusNote{line}).line, line);
  }
}

TEST(StatusPipe, FailuresArriveWithTheirCode) {
  for (const ExitCode code :
       {ExitCode::kRunFailed, ExitCode::kUsage, ExitCode::kBadData, ExitCode::kCommunication}) {
    const StatusFailure failure = RoundTrip(StatusFailure{code, "cannot read 'a \"b\"'\nat all"});
    EXPECT_EQ(failure.code, code);
    EXPECT_EQ(failure.message, "cannot read 'a \"b\"'\nat all");
  }
}

TEST(StatusPipe, AnyTextMakesOneLine) {
  EXPECT_TRUE(rc::check([](const std::string& text) {  // bytes, not always UTF-8
    const std::string line = EncodeStatus(StatusNote{text});
    RC_ASSERT(line.find('\n') == std::string::npos);
    RC_ASSERT(std::holds_alternative<StatusNote>(DecodeStatus(line)));
  }));
}

TEST(StatusPipe, BytesThatAreNotUtf8AreReplaced) {
  const StatusFailure failure = RoundTrip(StatusFailure{ExitCode::kBadData, "/tmp/\xff\xfe/x"});
  EXPECT_THAT(failure.message, AllOf(HasSubstr("/tmp/"), HasSubstr("/x"), HasSubstr("\xef\xbf\xbd")));
}

TEST(StatusPipe, GarbageIsRefused) {
  for (const std::string line :
       {"", "hello", "{", "[]", "3", "null", "{}", R"({"kind":"tea"})", R"({"kind":3})", R"({"kind":"note"})",
        R"({"kind":"note","line":7})", R"({"kind":"failure","code":1})",
        R"({"kind":"failure","code":"one","message":"m"})",
        R"({"kind":"failure","code":1e300,"message":"m"})",
        R"({"kind":"waiting","generation":1.5,"why":"w"})", R"({"kind":"progress","step":1})",
        R"({"kind":"progress","step":"x","total_steps":1,"epoch":1,"epochs":1,"loss":1,)"
        R"("samples_per_second":1,"exchange_share":1,"seconds_left":1})",
        R"({"kind":"note","line":"a"} {"kind":"note","line":"b"})",
        "{\"kind\":\"note\",\"line\":\"\xff\"}"}) {
    EXPECT_THAT(MessageOf<DataError>([&] { DecodeStatus(line); }), HasSubstr("a worker's status")) << line;
  }
  EXPECT_THAT(MessageOf<DataError>([&] { DecodeStatus(R"({"kind":"tea"})"); }), HasSubstr("'tea'"));
}

TEST(StatusPipe, AnyBytesAreReadOrRefused) {
  EXPECT_TRUE(rc::check([](const std::string& bytes) {
    try {
      DecodeStatus(bytes);
    } catch (const DataError&) {
    }
  }));
}

TEST(StatusPipe, SendStatusWritesALine) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  SendStatus(fds[1], StatusNote{"a\nb"});
  SendStatus(fds[1], StatusFailure{ExitCode::kBadData, "c"});
  close(fds[1]);
  char buffer[1024];
  const ssize_t count = read(fds[0], buffer, sizeof buffer);
  close(fds[0]);
  ASSERT_GT(count, 0);
  EXPECT_EQ(
      std::string(buffer, static_cast<std::size_t>(count)),
      EncodeStatus(StatusNote{"a\nb"}) + "\n" + EncodeStatus(StatusFailure{ExitCode::kBadData, "c"}) + "\n");
}

TEST(StatusPipe, ASupervisorThatIsGoneIsNoError) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  close(fds[0]);
  const auto before = signal(SIGPIPE, SIG_IGN);  // as the tool does
  SendStatus(fds[1], StatusNote{"nobody reads this"});
  signal(SIGPIPE, before);
  close(fds[1]);
  SendStatus(-1, StatusNote{"nor this"});
}

}  // namespace
}  // namespace swarmsync
