#include "swarmsync/params/state_dict.h"

#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <torch/torch.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "params/same_tensors.h"
#include "support/child_process.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/params/safetensors.h"

namespace swarmsync {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;
using testing::ChildProcess;
using testing::MessageOf;
using testing::SameTensors;

constexpr const char* kScript = SWARMSYNC_SOURCE_DIR "/tests/params/state_dicts.py";

std::string OutputOfPython(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv{SWARMSYNC_PYTHON, "-W", "ignore", kScript};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  ChildProcess python(argv);
  const std::string output = python.ReadAll();
  EXPECT_EQ(python.Wait(), 0);
  return output;
}

// Tensors as the script describes them.
void ExpectTensors(const NamedTensors& tensors, const Json& described) {
  const std::map<at::ScalarType, std::string> types = {
      {at::kFloat, "float32"}, {at::kDouble, "float64"}, {at::kHalf, "float16"}, {at::kBFloat16, "bfloat16"},
      {at::kLong, "int64"},    {at::kInt, "int32"},      {at::kShort, "int16"},  {at::kChar, "int8"},
      {at::kByte, "uint8"},    {at::kBool, "bool"}};
  ASSERT_EQ(tensors.size(), described.size());
  auto expected = described.items().begin();
  for (const auto& [name, tensor] : tensors) {
    SCOPED_TRACE(name);
    EXPECT_EQ(name, expected.key()) << "in this order";
    const Json& entry = expected.value();
    EXPECT_EQ(types.at(tensor.scalar_type()), entry.at("type"));
    EXPECT_EQ(tensor.sizes().vec(), entry.at("shape").get<std::vector<std::int64_t>>());
    EXPECT_TRUE(tensor.is_contiguous());
    std::vector<double> values;
    for (const std::string text : entry.at("values")) values.push_back(std::stod(text));
    EXPECT_TRUE(torch::equal(tensor.detach().flatten().to(at::kDouble), torch::tensor(values, at::kDouble)));
    ++expected;
  }
}

NamedTensors TensorsOfAllKinds() {
  torch::manual_seed(1);
  NamedTensors tensors;
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                          at::kChar, at::kByte, at::kBool}) {
    tensors.emplace_back(c10::toString(type), (torch::rand({2, 3}) * 100).to(type));
  }
  tensors.emplace_back("scalar", torch::randn({}));
  tensors.emplace_back("empty", torch::zeros({0, 4}));
  tensors.emplace_back("transposed", torch::randn({2, 3}).t());
  tensors.emplace_back("Größe \"x\"\n", torch::tensor({std::numeric_limits<float>::infinity(), -0.0F}));
  return tensors;
}

class StateDictTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return directory_.path() / "model.pt"; }
  void Put(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  std::string Refusal() const {
    const std::string message = MessageOf<DataError>([&] { LoadStateDict(path()); });
    EXPECT_THAT(message, AllOf(HasSubstr(path().string()), HasSubstr("not a usable model file"),
                               Not(HasSubstr("\n"))));
    return message;
  }
  // Writes an archive with these records, as torch.save would.
  void PutArchive(const std::map<std::string, std::string>& records) const {
    caffe2::serialize::PyTorchStreamWriter archive(path().string());
    for (const auto& [name, bytes] : records) archive.writeRecord(name, bytes.data(), bytes.size());
    archive.writeEndOfFile();
  }
  std::string RefusalOf(const std::map<std::string, std::string>& records) const {
    PutArchive(records);
    return Refusal();
  }

 private:
  PrivateDirectory directory_;
};

TEST_F(StateDictTest, GivesBackWhatItWrites) {
  const std::map<std::string, std::string> metadata = {
      {"", "empty key"}, {"swarmsync", "{\"a\": \"Größe\"}"}, {"quotes", "\"\\\n\t\x01"}};
  SaveStateDict(path(), {TensorsOfAllKinds(), metadata});
  const WeightsFile loaded = LoadStateDict(path());
  EXPECT_TRUE(SameTensors(loaded.tensors, TensorsOfAllKinds()));
  EXPECT_EQ(loaded.metadata, metadata);
  const std::string bytes = ReadFile(path());
  SaveStateDict(path(), loaded);
  EXPECT_TRUE(ReadFile(path()) == bytes) << "the same content gives the same bytes";
}

TEST_F(StateDictTest, SafetensorsHoldTheSame) {
  const WeightsFile content{TensorsOfAllKinds(), {{"swarmsync", "x"}}};
  SaveSafetensors(path(), content);
  const WeightsFile loaded = LoadSafetensors(path());
  EXPECT_TRUE(SameTensors(loaded.tensors, content.tensors));
  EXPECT_EQ(loaded.metadata, content.metadata);
}

TEST_F(StateDictTest, PythonReadsWhatItWrites) {
  const WeightsFile content{TensorsOfAllKinds(), {{"swarmsync", "PyTorch does not look at this"}}};
  SaveStateDict(path(), content);
  const Json found = Json::parse(OutputOfPython({"read", path()}));
  NamedTensors dense;
  for (const auto& [name, tensor] : content.tensors) dense.emplace_back(name, tensor.contiguous());
  ExpectTensors(dense, found);
  SaveStateDict(path(), {});
  EXPECT_EQ(OutputOfPython({"read", path()}), "{}\n");
}

class PythonsStateDictTest : public StateDictTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, PythonsStateDictTest,
                         ::testing::Values("module", "types", "views", "parameters", "empty"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(PythonsStateDictTest, IsRead) {
  const Json written = Json::parse(OutputOfPython({"write", GetParam(), path()}));
  const WeightsFile loaded = LoadStateDict(path());
  ExpectTensors(loaded.tensors, written);
  EXPECT_TRUE(loaded.metadata.empty());
  std::filesystem::remove(path());
  ExpectTensors(loaded.tensors, written);  // they own their memory
}

struct Foreign {
  const char* kind;
  std::vector<std::string> parts;
};
class ForeignFileTest : public StateDictTest, public ::testing::WithParamInterface<Foreign> {};
INSTANTIATE_TEST_SUITE_P(
    Kinds, ForeignFileTest,
    ::testing::Values(
        Foreign{"checkpoint", {"'epoch', 'loss', 'model', 'optimizer'", "in 'model';", "model.state_dict()"}},
        Foreign{"whole_module", {"'torch.nn.modules.container.Sequential'", "model.state_dict()"}},
        Foreign{"buffer_that_is_none", {"'bias' is no tensor"}}, Foreign{"number", {"'steps' is no tensor"}},
        Foreign{"tensor", {"something else than a dictionary"}},
        Foreign{"list", {"something else than a dictionary"}}, Foreign{"code", {"'posix.system'"}},
        Foreign{"complex", {"'torch.ComplexFloatStorage'"}},
        Foreign{"sparse", {"'torch._utils._rebuild_sparse_tensor'"}},
        Foreign{"protocol_4", {"not of protocol 2"}},
        Foreign{"script", {"TorchScript module", "state_dict()", "model.safetensors"}}),
    [](const auto& info) { return std::string(info.param.kind); });

TEST_P(ForeignFileTest, IsRefusedInALineThatSaysWhatToDo) {
  OutputOfPython({"write", GetParam().kind, path()});
  const std::string message = Refusal();
  for (const std::string& part : GetParam().parts) EXPECT_THAT(message, HasSubstr(part));
  EXPECT_FALSE(std::filesystem::exists(path().string() + ".ran")) << "code of the file was run";
}

TEST_F(StateDictTest, TheFormatIsToldByTheContent) {
  const WeightsFile content{{{"a", torch::randn({2})}}, {}};
  SaveStateDict(path(), content);
  EXPECT_TRUE(SameTensors(LoadWeights(path()).tensors, content.tensors));
  SaveSafetensors(path(), content);
  EXPECT_TRUE(SameTensors(LoadWeights(path()).tensors, content.tensors));
  const auto refusal = [&] { return MessageOf<DataError>([&] { LoadWeights(path()); }); };
  OutputOfPython({"write", "old_format", path()});
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr(path().string()), HasSubstr("before version 1.6"), HasSubstr("torch.save")));
  for (const char* text : {"", "x", "neither of them"}) {
    Put(text);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(path().string()), HasSubstr("neither")));
  }
  std::filesystem::remove(path());
  EXPECT_THAT(refusal(), AllOf(HasSubstr(path().string()), HasSubstr("No such file")));
}

TEST_F(StateDictTest, EveryTruncatedFileIsADataError) {
  OutputOfPython({"write", "views", path()});
  const std::string whole = ReadFile(path());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Put(whole.substr(0, size));
    Refusal();
  }
}

TEST_F(StateDictTest, AChangedByteOfATensorIsADataError) {
  const at::Tensor tensor = torch::tensor({1.5F, 2.5F, 3.25F});
  SaveStateDict(path(), {{{"a", tensor}}, {}});
  std::string bytes = ReadFile(path());
  const std::string_view data(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
  bytes[bytes.find(data) + 5] ^= 1;
  Put(bytes);
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("'data/0'"), HasSubstr("CRC")));
}

TEST_F(StateDictTest, ATypeThatTheFormatLacksIsAUsageErrorAndLeavesNoFile) {
  EXPECT_THAT(MessageOf<UsageError>([&] {
                SaveStateDict(path(), {{{"phase", torch::ones({2}, at::kComplexFloat)}}, {}});
              }),
              HasSubstr("'phase' has type ComplexFloat"));
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(StateDictTest, AFileThatCannotBeWrittenIsARunErrorAndLeavesNothing) {
  EXPECT_THAT(MessageOf<RunError>([&] { SaveStateDict(path() / "below", {}); }), HasSubstr(path().string()));

  // Fails in the middle, as on a full disk.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{2000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = MessageOf<RunError>([&] {
    SaveStateDict(path(), {{{"a", torch::zeros({1000})}}, {}});
  });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, HasSubstr("File too large"));
  EXPECT_TRUE(std::filesystem::is_empty(path().parent_path()));
}

// Pickles by hand.

template <class T>
std::string Bytes(T number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}
std::string Text(const std::string& text) {
  return 'X' + Bytes(static_cast<std::uint32_t>(text.size())) + text;
}
std::string Number(std::int64_t number) { return "\x8a\x08" + Bytes(number); }
std::string Numbers(const std::vector<std::int64_t>& numbers) {
  std::string tuple = "(";
  for (const std::int64_t number : numbers) tuple += Number(number);
  return tuple + 't';
}
std::string Storage(std::int64_t size, const std::string& type = "FloatStorage",
                    const std::string& key = "0") {
  return '(' + Text("storage") + "ctorch\n" + type + '\n' + Text(key) + Text("cpu") + Number(size) + "tQ";
}
struct View {
  std::int64_t offset;
  std::vector<std::int64_t> sizes, strides;
};
std::string Tensor(const View& view, const std::string& storage) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + Number(view.offset) + Numbers(view.sizes) +
         Numbers(view.strides) + "\x89}tR";
}
// A state dict of one tensor.
std::string PickleOf(const std::string& tensor) { return "\x80\x02}" + Text("a") + tensor + "s."; }

const std::string kFourFloats(16, '\0');

TEST_F(StateDictTest, APickleByHandIsRead) {
  std::vector<float> values{1, 2, 3, 4};
  const std::string data(reinterpret_cast<const char*>(values.data()), 16);
  PutArchive({{"data.pkl", PickleOf(Tensor({1, {2, 2}, {2, 0}}, Storage(4)))}, {"data/0", data}});
  EXPECT_TRUE(
      torch::equal(LoadStateDict(path()).tensors.at(0).second, torch::tensor({{2.F, 2.F}, {4.F, 4.F}})));
}

TEST_F(StateDictTest, ABytesThatIsNoTruthIsOne) {
  PutArchive({{"data.pkl", PickleOf(Tensor({0, {3}, {1}}, Storage(3, "BoolStorage")))},
              {"data/0", {'\0', '\x17', '\1'}}});
  const at::Tensor loaded = LoadStateDict(path()).tensors.at(0).second;
  EXPECT_TRUE(torch::equal(loaded, torch::tensor({false, true, true})));
  EXPECT_EQ(static_cast<const std::uint8_t*>(loaded.data_ptr())[1], 1);
}

TEST_F(StateDictTest, AViewOutsideItsStorageIsADataError) {
  constexpr std::int64_t kLarge = std::int64_t{1} << 62;
  const std::vector<View> views{{0, {5}, {1}},
                                {4, {1}, {1}},
                                {-1, {1}, {1}},
                                {0, {2}, {4}},
                                {0, {2}, {-1}},
                                {0, {-1}, {1}},
                                {0, {-1, 0}, {1, 1}},
                                {0, {3, 2}, {2, 1}},
                                {kLarge, {2}, {kLarge}},
                                {0, {2, kLarge}, {0, 0}},
                                {0, {kLarge, 0}, {0, 0}},
                                {0, {2}, {kLarge}},
                                {kLarge, {}, {}},
                                {0, {kLarge, kLarge, 0}, {1, 1, 1}}};
  for (const View& view : views) {
    SCOPED_TRACE(
        fmt::format("{} [{}] [{}]", view.offset, view.sizes.size(), view.sizes.empty() ? 0 : view.sizes[0]));
    EXPECT_THAT(RefusalOf({{"data.pkl", PickleOf(Tensor(view, Storage(4)))}, {"data/0", kFourFloats}}),
                HasSubstr("'a'"));
  }
}

TEST_F(StateDictTest, AStorageOfAnotherSizeIsADataError) {
  for (const std::int64_t size :
       {std::int64_t{3}, std::int64_t{5}, std::int64_t{16}, std::int64_t{1} << 62}) {
    EXPECT_THAT(
        RefusalOf({{"data.pkl", PickleOf(Tensor({0, {3}, {1}}, Storage(size)))}, {"data/0", kFourFloats}}),
        HasSubstr(fmt::format("16 bytes and shall have {} elements", size)));
  }
  EXPECT_THAT(RefusalOf({{"data.pkl", PickleOf(Tensor({0, {4}, {1}}, Storage(4)))}}),
              HasSubstr("no record 'data/0'"));
}

TEST_F(StateDictTest, MoreThanSomeTimesTheFileIsNotSetAside) {
  EXPECT_THAT(RefusalOf({{"data.pkl", PickleOf(Tensor({0, {1 << 20, 1 << 10}, {0, 0}}, Storage(4)))},
                         {"data/0", kFourFloats}}),
              AllOf(HasSubstr("'a'"), HasSubstr("repeat their elements"), HasSubstr("contiguous()")));
  std::string many = "\x80\x02}(";  // each of them is small enough
  for (int i = 0; i < 1000; ++i) {
    many += Text(std::to_string(i)) + Tensor({0, {1 << 17}, {0}}, Storage(4));
  }
  EXPECT_THAT(RefusalOf({{"data.pkl", many + "u."}, {"data/0", kFourFloats}}),
              HasSubstr("repeat their elements"));
}

TEST_F(StateDictTest, ADamagedPickleIsADataErrorThatSaysHow) {
  const std::string dict = "}", tensor = Tensor({0, {4}, {1}}, Storage(4));
  const std::string rebuild = "ctorch._utils\n_rebuild_tensor_v2\n";
  const std::vector<std::pair<std::string, std::string>> damages{
      {"", "ends in the middle"},
      {"}", "ends in the middle"},
      {"}" + Text("abc").substr(0, 6), "ends in the middle"},
      {"ctorch\nFloatSto", "ends in the middle"},
      {".", "takes more from its stack"},
      {"(.", "takes more from its stack"},
      {"}(\x85.", "takes more from its stack"},
      {"R.", "takes more from its stack"},
      {"}t.", "list without a beginning"},
      {"}u.", "list without a beginning"},
      {"(u.", "not allow"},
      {"K\1(u.", "not allow"},
      {"}(K\1u.", "a key without a value"},
      {"}K\1K\1a.", "not allow"},
      {"}h\1.", "has not kept"},
      {"}j\1\1\1\1.", "has not kept"},
      {"q\1.", "keeps a value that is not there"},
      {"(q\1.", "keeps a value that is not there"},
      {"K\1)R.", "not allow"},
      {"ccollections\nOrderedDict\nK\1R.", "not allow"},
      {"ccollections\nOrderedDict\n]\x85R.", "of 1 arguments"},
      {"ctorch\nFloatStorage\n)R.", "not allow"},
      {rebuild + ")R.", "of 0 arguments"},
      {rebuild + "(" + Storage(4) + Number(0) + "}" + Numbers({1}) + "\x89}tR.", "not allow"},
      {rebuild + "(" + Storage(4) + Number(0) + "(Nt" + Numbers({1}) + "\x89}tR.", "not allow"},
      {Tensor({0, {4, 1}, {1}}, Storage(4)) + ".", "2 dimensions with 1 strides"},
      {Tensor({0, std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)}, Storage(4)) + ".",
       "65 dimensions"},
      {"ctorch._utils\n_rebuild_parameter\n" + tensor + "\x85R.", "of 1 arguments"},
      {"ctorch._utils\n_rebuild_parameter\n}\x89}\x87R.", "not allow"},
      {"K\1}b.", "not allow"},
      {")Q.", "no storage"},
      {"K\1Q.", "not allow"},
      {"(" + Text("module") + "ctorch\nFloatStorage\n" + Text("0") + Text("cpu") + Number(4) + "tQ.",
       "no storage"},
      {"\x8a\x09" + std::string(9, '\1') + ".", "an integer of 9 bytes"},
      {std::string("0."), "instruction 0x30"},
      {"}(" + Text("a") + tensor + Text("a") + tensor + "u.", "'a' twice"},
      {"}K\1" + tensor + "s.", "a key that is no text"},
      {"}" + Text("\xff") + tensor + "s.", "a key that is no text"},
      {"}" + Text("a\nb\x1b") + "Ns.", "'a?b?' is no tensor"},
      {"cos\nsystem\n.", "'os.system'"},
      {"cbuiltins\neval\n" + Text("1") + "\x85R.", "'builtins.eval'"},
      {"ctorch\nload\n.", "'torch.load'"},
      {std::string(2'000'001, 'N') + ".", "more than 2000000 instructions"},
  };
  for (const auto& [program, complaint] : damages) {
    SCOPED_TRACE(program.substr(0, 60));
    EXPECT_THAT(RefusalOf({{"data.pkl", "\x80\x02" + program}, {"data/0", kFourFloats}}),
                HasSubstr(complaint));
  }
}

TEST_F(StateDictTest, ADictionaryWithinItselfIsADataError) {
  EXPECT_THAT(RefusalOf({{"data.pkl", "\x80\x02}q\1" + Text("a") + "h\1s."}}), HasSubstr("'a' is no tensor"));
}

TEST_F(StateDictTest, AnArchiveOfSomethingElseIsADataError) {
  EXPECT_THAT(RefusalOf({{"content.txt", "x"}}), HasSubstr("no record 'data.pkl'"));
  const std::string pickle = PickleOf(Tensor({0, {4}, {1}}, Storage(4)));
  EXPECT_THAT(RefusalOf({{"data.pkl", pickle}, {"data/0", kFourFloats}, {"byteorder", "big"}}),
              HasSubstr("order of bytes"));
  for (const char* metadata : {"", "{", "7", "{\"a\":1}"}) {
    EXPECT_THAT(RefusalOf({{"data.pkl", pickle}, {"data/0", kFourFloats}, {"extra/metadata.json", metadata}}),
                HasSubstr("metadata cannot be read"));
  }
  Put("PK\x03\x04 a zip file, perhaps");
  EXPECT_THAT(Refusal(), HasSubstr("zip archive"));
}

TEST_F(StateDictTest, ACompressedRecordIsADataError) {
  caffe2::serialize::PyTorchStreamWriter archive(path().string());
  const std::string pickle = PickleOf(Tensor({0, {4}, {1}}, Storage(4)));
  archive.writeRecord("data.pkl", pickle.data(), pickle.size(), /*compress=*/true);
  archive.writeEndOfFile();
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("'data.pkl'"), HasSubstr("compressed")));
}

}  // namespace
}  // namespace swarmsync
