#include "swarmsync/data/dataset.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <optional>

#include "data/gzip_fixture.h"
#include "data/idx_fixture.h"
#include "data/pixel_tables.h"
#include "data/throws_with.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/data/idx.h"

namespace swarmsync {
namespace {

// Sets or unsets a variable of the environment while it lives.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    Set(value);
  }
  ~ScopedVariable() { Set(old_ ? old_->c_str() : nullptr); }

 private:
  void Set(const char* value) { value != nullptr ? setenv(name_, value, 1) : unsetenv(name_); }
  const char* name_;
  std::optional<std::string> old_;
};

TEST(DatasetTest, OpensADirectoryOfIdxFiles) {
  const PrivateDirectory dir;
  WriteIdxDataset(dir.path(), {20, 10, 4, 5, 3, 1});
  const std::string name = "idx:" + dir.path().string();
  const Dataset dataset = OpenDataset(name, "/nowhere");
  EXPECT_EQ(dataset.name, name);
  EXPECT_EQ(ToString(dataset.shape), "1x4x5");
  EXPECT_EQ(dataset.num_classes, 3);
  EXPECT_EQ(dataset.train->size(), 20);
  EXPECT_EQ(dataset.test->size(), 10);
  EXPECT_EQ(dataset.test->shape(), dataset.shape);
  EXPECT_EQ(dataset.train->label(19), 1);

  // Normalized by its own training set: mean 0, variance 1 over all of it.
  std::vector<std::int64_t> all(20), labels(20);
  for (std::int64_t i = 0; i < 20; ++i) all[static_cast<std::size_t>(i)] = i;
  std::vector<float> images(20 * 20);
  dataset.train->Fill(all.data(), 20, images.data(), labels.data());
  double sum = 0, squares = 0;
  for (const float value : images) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / 400, 0, 1e-5);
  EXPECT_NEAR(squares / 400, 1, 1e-5);
}

TEST(DatasetTest, GathersNormalizedImagesInOnePass) {
  const PrivateDirectory dir;
  WriteIdxDataset(dir.path() / "mnist", {30, 10, 5, 7, 10, 1});
  const Dataset dataset = OpenDataset("mnist", dir.path());
  EXPECT_EQ(dataset.num_classes, 10);
  EXPECT_EQ(dataset.normalization.mean, std::vector<float>{0.1307f});
  EXPECT_EQ(dataset.normalization.stddev, std::vector<float>{0.3081f});

  const IdxFile file(dir.path() / "mnist" / kIdxTrainImages, IdxKind::kImages);
  const std::vector<std::int64_t> indices = {29, 0, 13, 13};  // any order, repeats
  std::vector<float> images(4 * 35 + 1, 99.0f);
  std::vector<std::int64_t> labels(5, 99);
  dataset.train->Fill(indices.data(), 4, images.data(), labels.data());
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(labels[k], indices[k] % 10);
    for (std::size_t pixel = 0; pixel < 35; ++pixel) {
      const std::uint8_t value = file.values()[indices[k] * 35 + static_cast<std::int64_t>(pixel)];
      const double expected = (value / 255.0 - double{0.1307f}) / double{0.3081f};
      EXPECT_FLOAT_EQ(images[k * 35 + pixel], static_cast<float>(expected));
    }
  }
  EXPECT_EQ(images.back(), 99.0f);
  EXPECT_EQ(labels.back(), 99);
  dataset.train->Fill(nullptr, 0, nullptr, nullptr);  // nothing to do

  for (const std::int64_t bad :
       {std::int64_t{-1}, std::int64_t{30}, std::numeric_limits<std::int64_t>::max()}) {
    ExpectThrowsWith<UsageError>([&] { dataset.train->Fill(&bad, 1, images.data(), labels.data()); },
                                 {std::to_string(bad), "0 to 29"});
    EXPECT_THROW(dataset.train->label(bad), UsageError);
  }
}

TEST(DatasetTest, EachChannelHasItsTable) {
  const PixelTables tables({{0.5f, 0.0f}, {0.25f, 2.0f}}, 2);
  const std::uint8_t pixels[] = {0, 255, 51, 0, 255, 51};
  float out[6];
  tables.Convert(pixels, 3, out);
  const float expected[] = {-2.0f, 2.0f, -1.2f, 0.0f, 0.5f, 0.1f};
  for (int i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(out[i], expected[i]);
  ExpectThrowsWith<UsageError>([] { PixelTables({{0.5f}, {1.0f}}, 3); }, {"1 means", "3 channels"});
  ExpectThrowsWith<UsageError>([] { PixelTables({{0.5f}, {0.0f}}, 1); }, {"channel 0 is 0", "above 0"});
}

TEST(DatasetTest, GzippedIsTheSameData) {
  const PrivateDirectory raw, gzipped;
  WriteIdxDataset(raw.path());
  for (const char* name : {kIdxTrainImages, kIdxTrainLabels, kIdxTestImages, kIdxTestLabels}) {
    WriteBytes(gzipped.path() / (name + std::string(".gz")), GzipBytes(ReadFile(raw.path() / name)));
  }
  const Dataset a = OpenDataset("idx:" + raw.path().string(), "");
  const Dataset b = OpenDataset("idx:" + gzipped.path().string(), "");
  ASSERT_EQ(a.shape, b.shape);
  ASSERT_EQ(a.test->size(), b.test->size());
  std::vector<float> from_a(784), from_b(784);
  for (std::int64_t i = 0; i < a.test->size(); ++i) {
    std::int64_t label_a, label_b;
    a.test->Fill(&i, 1, from_a.data(), &label_a);
    b.test->Fill(&i, 1, from_b.data(), &label_b);
    ASSERT_EQ(label_a, label_b);
    ASSERT_EQ(from_a, from_b);
  }
}

TEST(DatasetTest, RefusesUnknownNames) {
  ExpectThrowsWith<UsageError>([] { OpenDataset("minst", "/nowhere"); },
                               {"'minst'", "did you mean 'mnist'?"});
  ExpectThrowsWith<UsageError>([] { OpenDataset("fashion_mnist", "/nowhere"); },
                               {"did you mean 'fashion-mnist'?"});
  ExpectThrowsWith<UsageError>([] { OpenDataset("idx:", "/nowhere"); }, {"idx:DIR"});
  ExpectThrowsWith<UsageError>([] { OpenDataset("", "/nowhere"); }, {"unknown dataset ''"});
}

TEST(DatasetTest, SaysHowToGetMissingData) {
  const PrivateDirectory dir;
  ExpectThrowsWith<DataError>(
      [&] { OpenDataset("mnist", dir.path()); },
      {"mnist", dir.path().string(), "`swarmsync data get mnist --data-dir " + dir.path().string() + "`"});
  const ScopedVariable variable("SWARMSYNC_DATA_DIR", dir.path().c_str());
  ExpectThrowsWith<DataError>([&] { OpenDataset("fashion-mnist", DefaultDataDir()); },
                              {"`swarmsync data get fashion-mnist` gets it"});
  WriteIdxDataset(dir.path() / "mnist");
  std::filesystem::remove(dir.path() / "mnist" / kIdxTestLabels);
  ExpectThrowsWith<DataError>([&] { OpenDataset("mnist", dir.path()); },
                              {kIdxTestLabels, "`swarmsync data get mnist`"});
  WriteBytes(dir.path() / "mnist" / kIdxTestLabels, "junk");
  ExpectThrowsWith<DataError>([&] { OpenDataset("mnist", dir.path()); },
                              {kIdxTestLabels, "truncated", "`swarmsync data get mnist` replaces"});
}

TEST(DatasetTest, RefusesLabelsOutOfRange) {
  const PrivateDirectory dir;
  WriteIdxDataset(dir.path() / "mnist", {20, 12, 4, 4, 12, 1});
  ExpectThrowsWith<DataError>([&] { OpenDataset("mnist", dir.path()); },
                              {kIdxTrainLabels, "label 10 of sample 10", "0 to 9"});
  const std::filesystem::path idx = dir.path() / "idx";
  const auto open = [&] { OpenDataset("idx:" + idx.string(), ""); };
  WriteIdxDataset(idx, {20, 3, 4, 4, 3, 1});
  EXPECT_NO_THROW(open());
  WriteBytes(idx / kIdxTestLabels, IdxLabelsBytes({0, 3, 1}));
  ExpectThrowsWith<DataError>(open, {kIdxTestLabels, "label 3 of sample 1", "0 to 2"});
  std::vector<std::uint8_t> gap(20);
  gap[7] = 2;
  WriteBytes(idx / kIdxTrainLabels, IdxLabelsBytes(gap));
  ExpectThrowsWith<DataError>(open, {kIdxTrainLabels, "no sample has label 1"});
}

TEST(DatasetTest, DefaultDataDirFollowsTheEnvironment) {
  const ScopedVariable own("SWARMSYNC_DATA_DIR", "/own");
  const ScopedVariable xdg("XDG_DATA_HOME", "/xdg");
  const ScopedVariable home("HOME", "/home/me");
  EXPECT_EQ(DefaultDataDir(), "/own");
  {
    const ScopedVariable empty("SWARMSYNC_DATA_DIR", "");
    EXPECT_EQ(DefaultDataDir(), "/xdg/swarmsync");
  }
  const ScopedVariable none("SWARMSYNC_DATA_DIR", nullptr);
  const ScopedVariable relative("XDG_DATA_HOME", "relative");
  EXPECT_EQ(DefaultDataDir(), "/home/me/.local/share/swarmsync");
  const ScopedVariable no_home("HOME", nullptr);
  ExpectThrowsWith<UsageError>([] { DefaultDataDir(); }, {"SWARMSYNC_DATA_DIR"});
}

}  // namespace
}  // namespace swarmsync
