// Trainings on images that users bring, and on modules from Python.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/tool.h"
#include "data/image_fixture.h"
#include "support/child_process.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

class ImageDataTest : public ToolTest {
 protected:
  void Put(const std::string& name, const std::string& bytes) const {
    fs::create_directories(Path(name).parent_path());
    WriteBytes(Path(name), bytes);
  }
  // A noisy image that is bright in one channel.
  std::string Image(int channel, int number, int height = 12, int width = 12) const {
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < height * width * 3; ++i) {
      pixels.push_back(
          static_cast<std::uint8_t>((i % 3 == channel ? 150 : 20) + (i * 31 + number * 17) % 80));
    }
    return number % 2 == 0 ? PngBytes(height, width, 3, pixels) : JpegBytes(height, width, 3, pixels);
  }
  // pictures/red, green, blue with 30 images each.
  void WriteFolder() const {
    const std::string names[] = {"red", "green", "blue"};
    for (int channel = 0; channel < 3; ++channel) {
      for (int i = 0; i < 30; ++i)
        Put(fmt::format("pictures/{}/{:02}.{}", names[channel], i, i % 2 == 0 ? "png" : "jpg"),
            Image(channel, i));
    }
  }
  std::string Folder() const { return "--dataset=images:" + Path("pictures").string(); }
};

TEST_F(ImageDataTest, AFolderOfClassFoldersTrains) {
  WriteFolder();
  Put("pictures/red/odd.png", Image(0, 2, 20, 9));
  Put("pictures/green/broken.png", "this is no image");
  const ToolResult result = Run(
      Train("run", {Folder(), "--epochs=6", "--augment=standard", "--loader-threads=2", "--batch-size=10"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("warning: 1 image file could not be read and was skipped"),
                                HasSubstr("pictures/green/broken.png: neither a PNG nor a JPEG file")));
  const Json summary = ReadJson(Path("run/summary.json"));
  EXPECT_GT(summary.at("test_accuracy"), 0.9);
  const Json evaluation =
      Json::parse(RunWell({"evaluate", "--json", "--weights", Path("run/model.safetensors").string()}).out);
  EXPECT_DOUBLE_EQ(evaluation.at("test_accuracy"), summary.at("test_accuracy"));
  EXPECT_EQ(evaluation.at("samples"), 9);

  // Another size, which the saved model then asks for.
  RunWell(Train("small", {Folder(), "--image-size=8", "--quiet"}));
  RunWell({"evaluate", "--weights", Path("small/model.safetensors").string()});
}

TEST_F(ImageDataTest, AClassWithOneImageAndFourWorkersTrains) {
  WriteFolder();
  Put("pictures/alone/1.png", Image(1, 0));
  for (const char* shard : {"iid", "label-skew:1"}) {
    RunWell(Train(
        "run", {Folder(), "--workers=4", "--batch-size=5", "--overwrite", std::string("--shard=") + shard}));
  }
}

TEST_F(ImageDataTest, BadFilesAreRefused) {
  const auto expect = [&](const Arguments& flags, int code, const std::vector<std::string>& parts) {
    SCOPED_TRACE(flags.front());
    ExpectOneLine(Run(Train("run", flags)), code, parts);
    EXPECT_FALSE(fs::exists(Path("run"))) << "nothing is left";
  };
  const std::string record = std::string(1, '\3') + std::string(3072, 'x');
  Put("cifar/data_batch_1.bin", record + record.substr(0, 99));
  Put("cifar/test_batch.bin", record);
  const std::string cifar = "--dataset=cifar:" + Path("cifar").string();
  expect({cifar}, 3, {"data_batch_1.bin", "truncated", "3172 bytes"});
  Put("cifar/data_batch_1.bin", std::string(1, '\12') + std::string(3072, 'x'));
  expect({cifar}, 3, {"data_batch_1.bin", "label 10 of sample 0", "0 to 9"});

  expect({Folder()}, 3, {Path("pictures"), "no such directory"});
  WriteFolder();
  fs::create_directories(Path("pictures/yellow"));
  expect({Folder()}, 3, {Path("pictures/yellow"), "an empty class"});
  Put("pictures/yellow/1.png", "no image");
  expect({Folder()}, 3, {Path("pictures/yellow"), "none of its files can be read"});
  expect({"--image-size=8"}, 2, {"--image-size is 8", "images:DIR"});
  expect({"--dataset=images:"}, 2, {"images:DIR"});
  expect({"--schedule=cosin"}, 2, {"--schedule", "did you mean 'cosine'?"});
  expect({"--amp=fp8"}, 2, {"--amp", "'fp8'", "bf16"});
  expect({"--model=torchscript:" + Path("none.pt").string()}, 3, {Path("none.pt"), "torch.jit.save"});
}

TEST_F(ImageDataTest, AModuleFromPythonTrainsAndGoesBack) {
  const std::string script = SWARMSYNC_SOURCE_DIR "/tests/model/torch_script.py", file = Path("net.pt");
  ASSERT_EQ(ChildProcess({SWARMSYNC_PYTHON, script, "make", "good", file}).Wait(), 0);
  RunWell(Train("run", {"--model=torchscript:" + file, "--epochs=3", "--lr=0.1"}));
  const Json summary = ReadJson(Path("run/summary.json"));
  EXPECT_GT(summary.at("test_accuracy"), 0.3);
  const Json evaluation =
      Json::parse(RunWell({"evaluate", "--json", "--weights", Path("run/model.safetensors").string()}).out);
  EXPECT_DOUBLE_EQ(evaluation.at("test_accuracy"), summary.at("test_accuracy"));

  ChildProcess python({SWARMSYNC_PYTHON, script, "run", Path("run/model.pt").string()});
  const Json found = Json::parse(python.ReadAll());
  EXPECT_EQ(python.Wait(), 0);
  EXPECT_EQ(found.at("logits").size(), 20u);
}

}  // namespace
}  // namespace swarmsync::testing
