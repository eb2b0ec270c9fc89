// Weights that go out of the tool and into it: export, evaluate of what it wrote, train --init.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/tool.h"
#include "support/child_process.h"

namespace swarmsync::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class WeightsTest : public ToolTest {
 protected:
  void RunPython(const std::string& code, const Arguments& arguments) const {
    ChildProcess python(Arguments{SWARMSYNC_PYTHON, "-c", code} + arguments);
    ASSERT_EQ(python.Wait(), 0);
  }
  // The tensors of a state dict alone, as a program of PyTorch's would write them.
  void WritePlain(const std::string& from, const std::string& to) const {
    RunPython("import sys, torch; torch.save(torch.load(sys.argv[1], weights_only=True), sys.argv[2])",
              {Path(from), Path(to)});
  }
  std::string File(const std::string& name) const { return Path(name).string(); }
  std::string ModelOf(const std::string& run) const { return File(run + "/model.safetensors"); }
  // Steps that lead nowhere.
  Arguments StandStill(const std::string& out, const std::string& init, const Arguments& flags = {}) const {
    return Train(out, Arguments{"--lr=0", "--sync=average", "--init=" + init} + flags);
  }
  ToolResult Export(const std::string& weights, const std::string& out, const Arguments& flags = {}) const {
    return Run(Arguments{"export", "--weights=" + weights, "--out=" + out} + flags);
  }
};

TEST_F(WeightsTest, GoOutAndComeBack) {
  RunWell(Train("run"));
  const std::string model = ModelOf("run");
  EXPECT_THAT(RunWell({"export", "--weights", model, "--out", File("model.pt")}).out,
              StartsWith("6 tensors are in " + File("model.pt")));
  RunWell({"export", "--weights", File("model.pt"), "--out", File("back"), "--format=safetensors"});
  EXPECT_TRUE(ReadFile(File("back")) == ReadFile(model)) << "what it says of the model goes along";

  const std::string result = RunWell({"evaluate", "--json", "--weights", model}).out;
  EXPECT_EQ(RunWell({"evaluate", "--json", "--weights", File("model.pt")}).out, result);
  EXPECT_EQ(RunWell({"evaluate", "--json", "--weights", File("back")}).out, result);

  WritePlain("model.pt", "plain.pth");
  EXPECT_EQ(RunWell({"evaluate", "--json", "--weights", File("plain.pth"), "--model=mlp", DataFlag()}).out,
            result);
  RunWell({"export", "--weights", File("plain.pth"), "--out", File("plain.safetensors")});
  EXPECT_EQ(LargestDifference(File("plain.safetensors"), model), 0);
}

TEST_F(WeightsTest, ExportRefusesInOneLine) {
  RunWell(Train("run"));
  const std::string model = ModelOf("run");
  WriteBytes(File("there.pt"), "mine");
  ExpectOneLine(Export(model, File("there.pt")), 2, {"--out", File("there.pt"), "--overwrite"});
  EXPECT_EQ(ReadFile(File("there.pt")), "mine");
  EXPECT_EQ(Export(model, File("there.pt"), {"--overwrite"}).exit_code, 0);
  ExpectOneLine(Export(model, File("model.bin")), 2, {"model.bin", "--format"});
  ExpectOneLine(Export(model, File("model"), {"--format=state_dict"}), 2, {"'state_dict'", "'state-dict'"});
  ExpectOneLine(Export(model, File("none/model.pt")), 1, {File("none/model.pt")});
  ExpectOneLine(Export(File("none"), File("new.pt")), 3, {File("none"), "No such file"});
  WriteBytes(File("text"), "no weights");
  ExpectOneLine(Export(File("text"), File("new.pt")), 3, {File("text"), "neither"});
  ExpectOneLine(Run({"export", "--out=x.pt"}), 2, {"--weights", "required", "swarmsync export --help"});
  EXPECT_FALSE(fs::exists(Path("new.pt")));
}

TEST_F(WeightsTest, EvaluateRefusesWhatDoesNotFit) {
  RunWell(Train("run"));
  RunWell({"export", "--weights", ModelOf("run"), "--out", File("model.pt")});
  WritePlain("model.pt", "plain.pt");
  const std::string damage =
      "import sys, torch; s = torch.load(sys.argv[1], weights_only=True); exec(sys.argv[2]); torch.save(s, "
      "sys.argv[1])";
  const auto evaluate = [&](const Arguments& flags) {
    return Run(Arguments{"evaluate", "--weights", File("plain.pt")} + flags);
  };
  const Arguments known{"--model=mlp", DataFlag()};
  ExpectOneLine(evaluate({}), 2, {File("plain.pt"), "does not say", "--model", "--dataset"});
  ExpectOneLine(evaluate({"--model=mlp"}), 2, {File("plain.pt"), "--dataset"});
  ExpectOneLine(evaluate({"--model=mlpp", DataFlag()}), 2, {"'mlpp'", "did you mean 'mlp'?"});
  ExpectOneLine(evaluate({"--model=lenet5", DataFlag()}), 3, {File("plain.pt"), "no tensor 'conv1.weight'"});
  RunPython(damage, {File("plain.pt"), "s['fc3.bias'] = s['fc3.bias'][:3]"});
  ExpectOneLine(evaluate(known), 3, {File("plain.pt"), "'fc3.bias' has shape [3], not [10]"});
  RunPython(damage, {File("plain.pt"), "del s['fc3.bias']"});
  ExpectOneLine(evaluate(known), 3, {File("plain.pt"), "no tensor 'fc3.bias'"});
  RunPython(damage, {File("plain.pt"), "s = {'epoch': 1, 'net': s}"});
  ExpectOneLine(evaluate(known), 3, {File("plain.pt"), "'epoch', 'net'", "within, in 'net'"});
  WriteBytes(File("plain.pt"), ReadFile(File("model.pt")).substr(0, 5000));
  ExpectOneLine(evaluate(known), 3, {File("plain.pt"), "zip archive"});
}

TEST_F(WeightsTest, InitIsWhereAllWorkersBegin) {
  RunWell(Train("first", {"--seed=3"}));
  RunWell({"export", "--weights", ModelOf("first"), "--out", File("model.pt")});
  WritePlain("model.pt", "plain.pt");
  for (const std::string backend : {"processes", "threads"}) {
    RunWell(StandStill(backend, File("plain.pt"), {"--backend=" + backend, "--seed=4"}));
    EXPECT_EQ(LargestDifference(ModelOf(backend), ModelOf("first")), 0) << backend;
    EXPECT_EQ(ReadJson(Path(backend) / "config.json").at("init"), File("plain.pt"));
  }
  RunWell(StandStill("from-safetensors", ModelOf("first")));
  EXPECT_EQ(LargestDifference(ModelOf("from-safetensors"), ModelOf("first")), 0);
  RunWell(Train("without", {"--lr=0", "--sync=average"}));
  EXPECT_GT(LargestDifference(ModelOf("without"), ModelOf("first")), 0);
}

TEST_F(WeightsTest, InitIsRefusedBeforeAnyWorkerStarts) {
  RunWell(Train("first"));
  const std::string model = ModelOf("first");
  const auto expect = [&](const Arguments& flags, int exit_code, const std::vector<std::string>& parts) {
    SCOPED_TRACE(flags.back());
    ExpectOneLine(Run(Train("run", flags)), exit_code, parts);
    EXPECT_FALSE(fs::exists(Path("run")));
  };
  expect({"--init=" + File("none")}, 3, {"--init", File("none"), "No such file"});
  expect({"--init=" + File("data")}, 3, {File("data"), "regular file"});
  expect({"--model=lenet5", "--init=" + model}, 3, {model, "no tensor 'conv1.weight'"});
  const std::string bytes = ReadFile(model);
  ExpectOneLine(Run(Train("first", {"--overwrite", "--init=" + model})), 2, {"--overwrite", model});
  EXPECT_TRUE(ReadFile(model) == bytes);
}

TEST_F(WeightsTest, ACheckpointWinsOverInit) {
  RunWell(Train("first"));
  fs::copy_file(ModelOf("first"), File("init"));
  const std::string init = "--init=" + File("init"), resume = "--resume=" + File("run");
  const auto longer = [&](const std::string& out, const Arguments& flags) {
    Arguments arguments = Train(out, flags);
    *std::find(arguments.begin(), arguments.end(), "--epochs=2") = "--epochs=4";
    return arguments;
  };
  RunWell(longer("whole", {init}));
  RunWell(Train("run", {init, "--checkpoint-every=1"}));
  // Before there is a checkpoint, the run begins with them as it did before.
  RunWell(Train("early", {init}));
  RunWell({"train", "--resume=" + File("early"), "--epochs=4", "--quiet"});
  EXPECT_TRUE(ReadFile(ModelOf("early")) == ReadFile(ModelOf("whole")));

  fs::remove(File("init"));
  RunWell({"train", resume, "--epochs=4", "--quiet"});
  ExpectOneLine(Run({"train", resume, "--epochs=5", "--init=" + File("other")}), 2,
                {"--init", "leave it out"});
  fs::remove_all(Path("early/checkpoint"));
  ExpectOneLine(Run({"train", "--resume=" + File("early"), "--epochs=5"}), 3, {File("init"), "No such file"});
}

}  // namespace
}  // namespace swarmsync::testing
