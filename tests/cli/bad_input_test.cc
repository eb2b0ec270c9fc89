// Every bad input: its exit code, and one line that says what, the value found and what to do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/tool.h"

namespace swarmsync::testing {
namespace {

namespace fs = std::filesystem;

class BadInput : public ToolTest {
 protected:
  struct Case {
    Arguments flags;
    std::vector<std::string> parts;
  };

  // Training with the flags is refused before anything is written.
  void ExpectTrainRefuses(const std::vector<Case>& cases, int exit_code = 2) {
    for (const Case& c : cases) {
      SCOPED_TRACE(c.flags.empty() ? "" : c.flags.back());
      ExpectOneLine(Run(Train("run", c.flags)), exit_code, c.parts);
      EXPECT_FALSE(fs::exists(Path("run"))) << "nothing is left";
    }
  }
};

TEST_F(BadInput, UnknownCommandsAndFlags) {
  const std::vector<Case> cases{
      {{}, {"command is required", "swarmsync --help"}},
      {{"trian"}, {"command 'trian'", "did you mean 'train'?"}},
      {{"--verbose", "trian"}, {"command 'trian'", "did you mean 'train'?"}},
      {{"--bogus"}, {"'--bogus'", "swarmsync --help"}},
      {{"data"}, {"command is required", "swarmsync data --help"}},
      {{"data", "lst"}, {"command 'lst'", "did you mean 'list'?"}},
      {{"data", "get"}, {"required", "swarmsync data get --help"}},
      {{"data", "get", "mnits"}, {"'mnits'", "did you mean 'mnist'?"}},
      {{"data", "verify", "mnist", "fasion-mnist"}, {"'fasion-mnist'", "did you mean 'fashion-mnist'?"}},
      {{"data", "list", "--datadir=x"}, {"'--datadir'", "did you mean '--data-dir'?"}},
      {{"info", "--fo"}, {"'--fo'", "swarmsync info --help"}},
      {{"info", "extra"}, {"extra", "swarmsync info --help"}},
      {{"evaluate"}, {"--weights", "required", "swarmsync evaluate --help"}},
      {{"evaluate", "--wieghts=x"}, {"--weights", "swarmsync evaluate --help"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.flags.empty() ? "" : c.flags.back());
    ExpectOneLine(Run(c.flags), 2, c.parts);
  }
  ExpectTrainRefuses({
      {{"--perid=3"}, {"'--perid'", "did you mean '--period'?", "swarmsync train --help"}},
      {{"--verbose", "--perid", "3"}, {"'--perid'", "did you mean '--period'?"}},
      {{"--batch_sise=3"}, {"'--batch-sise'", "did you mean '--batch-size'?"}},
      {{"extra"}, {"extra", "swarmsync train --help"}},
      {{"--lr"}, {"--lr", "swarmsync train --help"}},
  });
}

TEST_F(BadInput, UnknownNames) {
  ExpectTrainRefuses({
      {{"--dataset=mnits"}, {"dataset 'mnits'", "did you mean 'mnist'?"}},
      {{"--dataset=idx:"}, {"'idx:'", "idx:DIR"}},
      {{"--model=lenet"}, {"model 'lenet'", "did you mean 'lenet5'?"}},
      {{"--sync=psops"}, {"--sync", "'psops'", "did you mean 'pso-ps'?"}},
      {{"--velocity=totl"}, {"--velocity", "'totl'", "did you mean 'total'?"}},
      {{"--memory=curent"}, {"--memory", "'curent'", "did you mean 'current'?"}},
      {{"--random=elment"}, {"--random", "'elment'", "did you mean 'element'?"}},
      {{"--fitness=prob"}, {"--fitness", "'prob'", "did you mean 'probe'?"}},
      {{"--backend=thread"}, {"--backend", "'thread'", "did you mean 'threads'?"}},
      {{"--optimizer=adam"}, {"--optimizer", "'adam'", "did you mean 'adamw'?"}},
      {{"--progress=bars"}, {"--progress", "'bars'", "did you mean 'bar'?"}},
      {{"--sync=zzzzzzzz"}, {"'zzzzzzzz'", "one of average, diloco, easgd"}},
      {{"--device=gpu"}, {"--device is gpu", "auto, cpu, cuda, or cuda:I"}},
      {{"--device=cuda:x"}, {"--device is cuda:x", "auto, cpu, cuda, or cuda:I"}},
      {{"--device=cuda"}, {"--device is cuda", "no GPU", "give auto or cpu"}},
      {{"--device=cuda:1", "--backend=threads"}, {"--device is cuda:1", "no GPU"}},
      {{"--cuda-graph=on"}, {"--cuda-graph is on", "on the CPU"}},
      {{"--memory-format=nhwc"}, {"--memory-format", "'nhwc'", "one of auto, contiguous, channels-last"}},
  });
}

TEST_F(BadInput, NumbersOutOfRange) {
  ExpectTrainRefuses({
      {{"--period=0"}, {"--period is 0", "at least 1"}},
      {{"--period", "-1"}, {"--period is -1", "at least 1"}},
      {{"--workers=0"}, {"--workers is 0", "from 1"}},
      {{"--workers", "-2"}, {"--workers is -2", "from 1"}},
      {{"--lr=nan"}, {"--lr is nan", "a number"}},
      {{"--lr=-1"}, {"--lr is -1", "at least 0"}},
      {{"--lr=inf"}, {"--lr is inf", "a number"}},
      {{"--lr=abc"}, {"--lr", "abc"}},
      {{"--lr=0,1"}, {"--lr", "0,1"}},
      {{"--period=1.5"}, {"--period", "1.5"}},
      {{"--epochs=0"}, {"--epochs is 0", "at least 1"}},
      {{"--epochs=-1"}, {"--epochs is -1", "at least 1"}},
      {{"--steps=3"}, {"--epochs", "--steps", "one of them"}},  // beside --epochs
      {{"--batch-size=0"}, {"--batch-size is 0", "at least 1"}},
      {{"--seed=-1"}, {"--seed", "-1"}},
      {{"--seed=99999999999999999999"}, {"--seed", "too large"}},
      {{"--timeout=0"}, {"--timeout is 0", "above 0"}},
      {{"--timeout=1e300"}, {"--timeout", "1e+300", "at most"}},
      {{"--threads-per-worker=0"}, {"--threads-per-worker is 0", "at least 1"}},
      {{"--workers=4", "--min-workers=5"}, {"--min-workers is 5", "4"}},
      {{"--max-restarts=-1"}, {"--max-restarts is -1", "0 or more"}},
      {{"--checkpoint-every=-1"}, {"--checkpoint-every is -1", "0 or more"}},
      {{"--check-replicas=-1"}, {"--check-replicas is -1", "0 or more"}},
      {{"--min-workers=0"}, {"--min-workers is 0", "at least 1"}},
      {{"--inertia=1"}, {"--inertia is 1", "below 1"}},
      {{"--social=nan"}, {"--social is nan", "from 0 to 4"}},
      {{"--momentum=1"}, {"--momentum is 1", "below 1"}},
      {{"--log-every=0"}, {"--log-every is 0", "at least 1"}},
      {{"--overlap=-1"}, {"--overlap is -1", "from 0 to the period"}},
      {{"--overlap=9", "--period=8"}, {"--overlap is 9", "the period, 8"}},
      {{"--overlap=1", "--sync=ssgd"}, {"--overlap is 1", "ssgd"}},
      {{"--workers=4", "--group-size=3"}, {"--group-size is 3", "divide", "4"}},
      {{"--group-size=0"}, {"--group-size is 0", "divide"}},
      {{"--workers=4", "--group-size=2", "--group-period=17"}, {"--group-period is 17", "the period, 3"}},
      {{"--workers=4", "--group-size=2", "--group-period=0"}, {"--group-period is 0", "at least 1"}},
      {{"--bucket-mb=0"}, {"--bucket-mb is 0", "from 0.000001"}},
      {{"--bucket-mb=nan"}, {"--bucket-mb is nan", "from 0.000001"}},
      {{"--wire=fp16"}, {"--wire", "'fp16'", "one of fp32, bf16, int8"}},
      {{"--link=fast"}, {"--link", "'fast'", "100mbit,20ms"}},
  });
}

TEST_F(BadInput, MoreThanTheDataGives) {
  ExpectTrainRefuses({
      {{"--batch-size=101"}, {"101", "100", "200 training samples", "lower the batch size"}},
      {{"--workers=201"}, {"201 workers", "200 training samples", "at most 200"}},
      {{"--validation=200"}, {"200", "validation"}},
      {{"--validation=-1"}, {"--validation is -1", "0 or more"}},
  });
}

TEST_F(BadInput, DataFilesThatAreMissingDamagedOrDoNotFit) {
  const fs::path data = Path("data");
  const std::string train_images = ReadFile(data / "train-images-idx3-ubyte");
  const std::string train_labels = ReadFile(data / "train-labels-idx1-ubyte");
  const std::string test_labels = ReadFile(data / "t10k-labels-idx1-ubyte");
  const auto expect = [&](const std::string& file, const std::string& bytes, std::vector<std::string> parts) {
    SCOPED_TRACE(file);
    const std::string right = ReadFile(data / file);
    WriteBytes(data / file, bytes);
    parts.push_back((data / file).string());
    ExpectTrainRefuses({{{}, parts}}, 3);
    WriteBytes(data / file, right);
  };
  expect("train-images-idx3-ubyte", train_images.substr(0, 1000), {"truncated"});
  expect("train-images-idx3-ubyte", "", {"truncated"});
  expect("train-images-idx3-ubyte", train_labels, {"magic", "0x00000801", "0x00000803"});
  expect("train-labels-idx1-ubyte", "not a data file at all", {"magic", "0x00000801"});
  expect("train-labels-idx1-ubyte", IdxLabelsBytes(std::vector<std::uint8_t>(199, 0)),
         {"200 images", "199 labels"});
  expect("t10k-images-idx3-ubyte", IdxImagesBytes(50, 14, 14, std::vector<std::uint8_t>(50 * 14 * 14)),
         {"14"});
  std::string out_of_range = test_labels;
  out_of_range.back() = 10;
  expect("t10k-labels-idx1-ubyte", out_of_range, {"10"});

  fs::remove(data / "t10k-labels-idx1-ubyte");
  ExpectTrainRefuses({{{}, {(data / "t10k-labels-idx1-ubyte").string(), "no such file"}}}, 3);
  ExpectTrainRefuses({{{"--dataset=idx:" + Path("nowhere").string()}, {Path("nowhere"), "no such directory"}},
                      {{"--dataset=mnist", "--data-dir=" + Path("nowhere").string()},
                       {"mnist", Path("nowhere"), "swarmsync data get mnist"}}},
                     3);
}

TEST_F(BadInput, LabelsOfAKnownDataSetThatAreOutOfRange) {
  WriteIdxDataset(Path("sets/mnist"));
  std::string labels = ReadFile(Path("sets/mnist/train-labels-idx1-ubyte"));
  labels[20] = 11;
  WriteBytes(Path("sets/mnist/train-labels-idx1-ubyte"), labels);
  ExpectTrainRefuses({{{"--dataset=mnist", "--data-dir=" + Path("sets").string()},
                       {"train-labels-idx1-ubyte", "11", "swarmsync data get mnist"}}},
                     3);
}

TEST_F(BadInput, ImagesTooSmallForTheModel) {
  IdxFixtureOptions options;
  options.height = options.width = 8;
  WriteIdxDataset(Path("small"), options);
  ExpectTrainRefuses(
      {{{"--dataset=idx:" + Path("small").string(), "--model=lenet5"}, {"lenet5", "12x12", "8x8", "mlp"}}});
}

TEST_F(BadInput, AnOutThatIsNotEmptyOrCannotBeWritten) {
  WriteBytes(Path("file"), "x");
  fs::create_directory(Path("full"));
  WriteBytes(Path("full/notes.txt"), "mine");
  for (const std::string out : {Path("full"), Path("file"), Path("file/run"), fs::path("/proc/x")}) {
    SCOPED_TRACE(out);
    ExpectOneLine(Run(Train("unused", {"--out=" + out})), 2, {"--out", out, "name another"});
  }
  EXPECT_EQ(ReadFile(Path("full/notes.txt")), "mine");
  EXPECT_EQ(ReadFile(Path("file")), "x");
  ExpectOneLine(Run(Train("unused", {"--overwrite", "--out=" + Path("file").string()})), 2,
                {"not a directory"});
}

TEST_F(BadInput, ModelFilesThatAreDamagedOrDoNotFit) {
  RunWell(Train("run"));
  const std::string model = Path("run/model.safetensors");
  const std::string bytes = ReadFile(model);
  const auto expect = [&](const Arguments& flags, const std::vector<std::string>& parts) {
    SCOPED_TRACE(flags.back());
    const ToolResult result = Run(Arguments{"evaluate"} + flags);
    ExpectOneLine(result, 3, parts);
    EXPECT_EQ(result.out, "");
  };
  expect({"--weights", Path("none").string()}, {Path("none"), "No such file"});
  expect({"--weights", Path("data").string()}, {Path("data"), "regular file"});
  expect({"--weights", model, "--model=lenet5"}, {model, "mlp", "lenet5"});
  IdxFixtureOptions other;
  other.height = 14;
  WriteIdxDataset(Path("other"), other);
  expect({"--weights", model, "--dataset=idx:" + Path("other").string()}, {model, "1x28x28", "1x14x28"});
  WriteBytes(Path("data_batch_1.bin"), std::string(3073, '\0') + std::string(3073, '\1'));
  WriteBytes(Path("test_batch.bin"), std::string(3073, '\0'));
  expect({"--weights", model, "--dataset=cifar:" + Path("").string()}, {model, "1x28x28", "3x32x32"});
  other.height = 28;
  other.classes = 4;
  WriteIdxDataset(Path("fewer"), other);
  expect({"--weights", model, "--dataset=idx:" + Path("fewer").string()}, {model, "10 classes", "4 classes"});
  ExpectOneLine(Run({"evaluate", "--weights", model, "--dataset=mnits"}), 2,
                {"'mnits'", "did you mean 'mnist'?"});

  const std::string damaged = Path("damaged");
  const std::vector<std::pair<std::string, std::string>> damages{
      {"truncated", bytes.substr(0, bytes.size() - 1)},
      {"half", bytes.substr(0, bytes.size() / 2)},
      {"header only", bytes.substr(0, 100)},
      {"empty", ""},
      {"longer", bytes + "x"},
      {"another format", "PK\x03\x04 a zip file, perhaps"},
      {"a brace less", std::string(bytes).replace(8, 1, "[")},
  };
  for (const auto& [what, content] : damages) {
    SCOPED_TRACE(what);
    WriteBytes(damaged, content);
    expect({"--weights", damaged}, {damaged, "not a usable model file"});
  }
}

}  // namespace
}  // namespace swarmsync::testing
