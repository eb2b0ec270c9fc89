#include "swarmsync/report/progress.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "support/errors.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::MessageOf;
using ::testing::Not;
using ::testing::StartsWith;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Progress Halfway() {
  Progress progress;
  progress.step = 470;
  progress.total_steps = 940;
  progress.epoch = 2.5;
  progress.epochs = 5;
  progress.loss = 0.12345;
  progress.samples_per_second = 43210.4;
  progress.exchange_share = 0.0172;
  progress.seconds_left = 75.2;
  return progress;
}

// A stream to a file that can be read back.
class FileStream {
 public:
  FileStream() : stream_(std::fopen(path().c_str(), "w")) {}
  ~FileStream() { std::fclose(stream_); }
  std::FILE* get() { return stream_; }
  std::string Text() const { return ReadFile(path()); }

 private:
  std::filesystem::path path() const { return directory_.path() / "stream"; }

  PrivateDirectory directory_;
  std::FILE* stream_;
};

// A stream to a terminal of some width.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) throw std::runtime_error("no pty");
    const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    winsize size{};
    size.ws_col = columns;
    size.ws_row = 24;
    ioctl(slave, TIOCSWINSZ, &size);
    stream_ = fdopen(slave, "w");
    fcntl(master_, F_SETFL, O_NONBLOCK);
  }
  ~Terminal() {
    std::fclose(stream_);
    close(master_);
  }
  std::FILE* get() { return stream_; }

  // What has been written since the last call. A terminal's driver writes "\r\n" for "\n".
  // Without colors, which depend on TERM.
  std::string Take() {
    std::string text = TakeAll();
    for (const std::string code : {"\033[32m", "\033[0m"}) {
      if (const std::size_t at = text.find(code); at != std::string::npos) text.erase(at, code.size());
    }
    return text;
  }

 private:
  std::string TakeAll() {
    std::string text;
    char buffer[4096];
    for (ssize_t count; (count = read(master_, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }

  int master_;
  std::FILE* stream_ = nullptr;
};

TEST(FormatPlain, SaysEverything) {
  EXPECT_EQ(FormatPlain(Halfway()),
            "epoch 2.50/5  step 470/940  loss 0.1235  43210 samples/s  exchange+wait 1.7 %  left 1m15s");
}

TEST(FormatPlain, TellsDurationsInTheirUnit) {
  Progress progress = Halfway();
  const auto left = [&](double seconds) {
    progress.seconds_left = seconds;
    const std::string text = FormatPlain(progress);
    return text.substr(text.rfind(' ') + 1);
  };
  EXPECT_EQ(left(0), "0s");
  EXPECT_EQ(left(59.4), "59s");
  EXPECT_EQ(left(59.6), "1m00s");
  EXPECT_EQ(left(3599), "59m59s");
  EXPECT_EQ(left(3600), "1h00m");
  EXPECT_EQ(left(90'000), "25h00m");
  EXPECT_EQ(left(-3), "0s");
  EXPECT_EQ(left(kNaN), "?");
  EXPECT_EQ(left(kInfinity), "?");
}

TEST(FormatPlain, ShowsALossThatIsNotANumber) {
  Progress progress = Halfway();
  progress.loss = kNaN;
  EXPECT_THAT(FormatPlain(progress), HasSubstr("loss nan"));
}

TEST(FormatBar, SaysEverythingWithABarInFront) {
  EXPECT_EQ(FormatBar(Halfway(), 200),
            "[###############...............]  50 %  epoch 2.5/5  loss 0.1235  43210 samples/s  "
            "exchange+wait 1.7 %  1m15s left");
}

TEST(FormatBar, GrowsWithTheSteps) {
  Progress progress = Halfway();
  progress.step = 0;
  EXPECT_THAT(FormatBar(progress, 200), StartsWith("[..............................]   0 %"));
  progress.step = 940;
  EXPECT_THAT(FormatBar(progress, 200), StartsWith("[##############################] 100 %"));
  progress.step = 2000;  // more than there are: never more than the whole bar
  EXPECT_THAT(FormatBar(progress, 200), StartsWith("[##############################] 100 %"));
  progress.total_steps = 0;
  EXPECT_THAT(FormatBar(progress, 200), StartsWith("[..............................]   0 %"));
}

TEST(FormatBar, FitsIntoEveryNumberOfColumns) {
  const auto any_number = [] {
    return rc::gen::oneOf(rc::gen::arbitrary<double>(), rc::gen::element(kNaN, kInfinity, -kInfinity, 0.0),
                          rc::gen::map(rc::gen::inRange(0, 1'000'000), [](int n) { return n / 10.0; }));
  };
  EXPECT_TRUE(rc::check([&] {
    Progress progress;
    progress.step = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
    progress.total_steps = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
    progress.epoch = *any_number();
    progress.epochs = *any_number();
    progress.loss = *any_number();
    progress.samples_per_second = *any_number();
    progress.exchange_share = *any_number();
    progress.seconds_left = *any_number();
    const int columns = *rc::gen::inRange(2, 300);
    const std::string bar = FormatBar(progress, columns);
    RC_ASSERT(static_cast<int>(bar.size()) < columns);
    RC_ASSERT(bar.find('\n') == std::string::npos);
  }));
}

TEST(ProgressPrinter, WritesPlainLinesToAFile) {
  FileStream stream;
  ProgressPrinter printer(stream.get(), ProgressStyle::kAuto);
  Progress progress = Halfway();
  printer.Show(progress);
  printer.Note("epoch 1: train loss 0.5");
  progress.step = 471;
  printer.Show(progress);  // too soon after the last
  progress.step = progress.total_steps;
  printer.Show(progress);  // the last is always shown
  printer.Finish();
  EXPECT_EQ(stream.Text(),
            FormatPlain(Halfway()) + "\nepoch 1: train loss 0.5\n" + FormatPlain(progress) + "\n");
}

TEST(ProgressPrinter, NoneWritesNothing) {
  FileStream stream;
  ProgressPrinter printer(stream.get(), ProgressStyle::kNone);
  printer.Show(Halfway());
  printer.Note("a note");
  printer.Finish();
  EXPECT_EQ(stream.Text(), "");
}

TEST(ProgressPrinter, RedrawsABarOnATerminal) {
  Terminal terminal(120);
  ProgressPrinter printer(terminal.get(), ProgressStyle::kAuto);
  printer.Show(Halfway());
  const std::string bar = FormatBar(Halfway(), 120);
  EXPECT_EQ(terminal.Take(), "\r" + bar);

  Progress last = Halfway();
  last.step = last.total_steps;
  last.seconds_left = 0;
  printer.Show(last);
  const std::string last_bar = FormatBar(last, 120);
  const std::string drawn = terminal.Take();
  EXPECT_THAT(drawn, StartsWith("\r" + last_bar));
  EXPECT_GE(drawn.size(), 1 + bar.size()) << "all of the longer bar is overwritten";

  printer.Note("a note");
  EXPECT_THAT(terminal.Take(), AllOf(StartsWith("\ra note  "), EndsWith("\r\n")));
  printer.Show(last);
  printer.Finish();
  EXPECT_THAT(terminal.Take(), AllOf(StartsWith("\r["), EndsWith("left\r\n")));
  printer.Finish();
  EXPECT_EQ(terminal.Take(), "") << "nothing to end";
}

TEST(ProgressPrinter, ABarNeverFillsTheTerminalsLine) {
  for (const unsigned short columns : {10, 40, 80}) {
    Terminal terminal(columns);
    ProgressPrinter printer(terminal.get(), ProgressStyle::kBar);
    printer.Show(Halfway());
    const std::string drawn = terminal.Take();
    EXPECT_GT(drawn.size(), 1u);
    EXPECT_LE(drawn.size(), columns) << "with its carriage return";
  }
}

TEST(ProgressStyle, UnknownNamesAreRefused) {
  EXPECT_THAT(MessageOf<UsageError>([] { ParseEnum<ProgressStyle>("bars"); }),
              AllOf(HasSubstr("'bars'"), HasSubstr("did you mean 'bar'?")));
  EXPECT_EQ(ParseEnum<ProgressStyle>("plain"), ProgressStyle::kPlain);
}

}  // namespace
}  // namespace swarmsync
