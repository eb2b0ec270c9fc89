#include "swarmsync/params/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "params/same_tensors.h"
#include "support/child_process.h"
#include "support/errors.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/params/flat_params.h"

namespace swarmsync {
namespace {

using testing::ChildProcess;
using testing::MessageOf;
using testing::SameTensors;

// Layers with buffers, one of them int64, and a scalar and an empty parameter.
class Layers : public torch::nn::Module {
 public:
  explicit Layers(std::int64_t outputs = 2) {
    register_module("conv", torch::nn::Conv2d(2, 3, 3));
    register_module("norm", torch::nn::BatchNorm2d(3));
    register_module("last", torch::nn::Linear(3, outputs));
    register_parameter("scale", torch::randn({}));
    register_parameter("empty", torch::randn({0, 4}));
  }
};

NamedTensors Copies(const NamedTensors& tensors) {
  NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

// The bytes of a file with this header and these bytes behind it.
std::string FileOf(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

class SafetensorsTest : public ::testing::Test {
 protected:
  SafetensorsTest() { torch::manual_seed(1); }

  std::filesystem::path path() const { return directory_.path() / "model.safetensors"; }
  void Put(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  std::string ErrorFor(const std::string& bytes) const {
    Put(bytes);
    return MessageOf<DataError>([&] { LoadSafetensors(path()); });
  }
  // A file of a few small tensors.
  std::string SmallFile() const {
    SaveSafetensors(path(), {{{"a", torch::randn({2, 3})}, {"b", torch::arange(3)}}, {{"key", "value"}}});
    return ReadFile(path());
  }

 private:
  PrivateDirectory directory_;
};
using CopyIntoTest = SafetensorsTest;

TEST_F(SafetensorsTest, GivesBackParametersAndBuffers) {
  const Layers net;
  const NamedTensors state = StateOf(net);
  SaveSafetensors(path(), {state, {}});
  const WeightsFile loaded = LoadSafetensors(path());
  EXPECT_TRUE(SameTensors(loaded.tensors, state));
  EXPECT_TRUE(loaded.metadata.empty());
}

TEST_F(SafetensorsTest, StateIsTheModulesParametersAndBuffersByName) {
  const Layers net;
  std::vector<std::string> names;
  for (const auto& [name, tensor] : StateOf(net)) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"scale", "empty", "conv.weight", "conv.bias", "norm.weight",
                                             "norm.bias", "last.weight", "last.bias", "norm.running_mean",
                                             "norm.running_var", "norm.num_batches_tracked"}));
  EXPECT_TRUE(StateOf(net)[0].second.is_same(net.parameters()[0]));
}

TEST_F(SafetensorsTest, GivesBackEveryType) {
  NamedTensors tensors;
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                          at::kChar, at::kByte}) {
    tensors.emplace_back(c10::toString(type), (torch::rand({2, 3}) * 100).to(type));
  }
  SaveSafetensors(path(), {tensors, {}});
  EXPECT_TRUE(SameTensors(LoadSafetensors(path()).tensors, tensors));
}

TEST_F(SafetensorsTest, GivesBackExtremeValuesToTheBit) {
  const float infinity = std::numeric_limits<float>::infinity();
  const at::Tensor floats = torch::tensor({infinity, -infinity, std::nanf(""), -0.0f, 1e-45f, 3.4e38f});
  SaveSafetensors(path(), {{{"x", floats}}, {}});
  const at::Tensor loaded = LoadSafetensors(path()).tensors[0].second;
  EXPECT_TRUE(torch::equal(loaded.view(at::kInt), floats.view(at::kInt)));
}

TEST_F(SafetensorsTest, WritesViewsByTheirValues) {
  const at::Tensor wide = torch::randn({4, 6});
  const NamedTensors tensors = {
      {"transposed", wide.t()},
      {"column", wide.select(1, 2)},
      {"channels last", torch::randn({1, 2, 3, 4}).contiguous(at::MemoryFormat::ChannelsLast)}};
  SaveSafetensors(path(), {tensors, {}});
  EXPECT_TRUE(SameTensors(LoadSafetensors(path()).tensors, tensors));
}

TEST_F(SafetensorsTest, GivesBackMetadataAndNoTensors) {
  const std::map<std::string, std::string> metadata = {
      {"", "empty key"}, {"a", ""}, {"quotes", "\"\\\n\t\x01"}, {"utf-8", "Größe ⊙"}};
  SaveSafetensors(path(), {{}, metadata});
  const WeightsFile loaded = LoadSafetensors(path());
  EXPECT_EQ(loaded.metadata, metadata);
  EXPECT_TRUE(loaded.tensors.empty());
}

TEST_F(SafetensorsTest, TheSameContentGivesTheSameBytes) {
  const Layers net;
  SaveSafetensors(path(), {StateOf(net), {{"b", "1"}, {"a", "2"}}});
  const std::string first = ReadFile(path());
  const WeightsFile loaded = LoadSafetensors(path());
  SaveSafetensors(path(), loaded);
  EXPECT_EQ(ReadFile(path()), first);
}

TEST_F(SafetensorsTest, FlatParamsDoNotChangeTheBytes) {
  Layers net;
  SaveSafetensors(path(), {StateOf(net), {}});
  const std::string before = ReadFile(path());
  const FlatParams params(net);
  SaveSafetensors(path(), {StateOf(net), {}});
  EXPECT_EQ(ReadFile(path()), before);
}

TEST_F(SafetensorsTest, LoadedTensorsOutliveTheFile) {
  SmallFile();
  const at::Tensor tensor = LoadSafetensors(path()).tensors[1].second;
  std::filesystem::remove(path());
  EXPECT_TRUE(torch::equal(tensor, torch::arange(3)));
}

TEST_F(SafetensorsTest, AnIndependentReaderFindsTheSame) {
  NamedTensors tensors = StateOf(Layers());
  tensors.emplace_back("half", torch::randn({3}).to(at::kHalf));
  tensors.emplace_back("bfloat16", torch::randn({2, 2}).to(at::kBFloat16));
  tensors.emplace_back("bytes", torch::arange(250, 256).to(at::kByte));
  tensors.emplace_back("Größe \"x\"", torch::tensor({-1, 1}, at::kChar));
  SaveSafetensors(path(), {tensors, {{"format", "pt"}, {"arch", "Größe"}}});

  ChildProcess reader({SWARMSYNC_PYTHON, SWARMSYNC_SOURCE_DIR "/tests/params/read_safetensors.py", path()});
  const std::string output = reader.ReadAll();
  ASSERT_EQ(reader.Wait(), 0);
  const auto found = nlohmann::json::parse(output);

  EXPECT_EQ(found.at("metadata"), (nlohmann::json{{"format", "pt"}, {"arch", "Größe"}}));
  const std::map<at::ScalarType, std::string> types = {{at::kFloat, "F32"}, {at::kLong, "I64"},
                                                       {at::kHalf, "F16"},  {at::kBFloat16, "BF16"},
                                                       {at::kByte, "U8"},   {at::kChar, "I8"}};
  ASSERT_EQ(found.at("tensors").size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    const auto& entry = found.at("tensors")[i];
    EXPECT_EQ(entry.at("name"), name);
    EXPECT_EQ(entry.at("dtype"), types.at(tensor.scalar_type())) << name;
    EXPECT_EQ(entry.at("shape"), tensor.sizes().vec()) << name;
    const auto values = entry.at("values").get<std::vector<double>>();
    EXPECT_TRUE(torch::equal(torch::tensor(values, at::kDouble), tensor.detach().flatten().to(at::kDouble)))
        << name;
  }
}

TEST_F(SafetensorsTest, ATypeThatTheFormatLacksIsAUsageErrorAndLeavesNoFile) {
  const std::string message = MessageOf<UsageError>([&] {
    SaveSafetensors(path(), {{{"phase", torch::ones({2}, at::kComplexFloat)}}, {}});
  });
  EXPECT_NE(message.find("'phase' has type ComplexFloat"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(SafetensorsTest, APlaceThatCannotBeWrittenIsARunError) {
  const std::string message = MessageOf<RunError>([&] {
    SaveSafetensors(path() / "below", {{{"a", torch::ones({2})}}, {}});
  });
  EXPECT_NE(message.find(path().string()), std::string::npos) << message;
}

TEST_F(SafetensorsTest, AMissingFileIsADataErrorThatNamesIt) {
  EXPECT_NE(MessageOf<DataError>([&] { LoadSafetensors(path()); }).find(path().string()), std::string::npos);
}

TEST_F(SafetensorsTest, EveryTruncatedFileIsADataErrorThatNamesIt) {
  const std::string whole = SmallFile();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string message = ErrorFor(whole.substr(0, size));
    EXPECT_NE(message.find(path().string()), std::string::npos) << size << ": " << message;
  }
}

struct Damage {
  const char* name;
  const char* header;
  std::size_t data_bytes;
  const char* complaint;
};

class DamagedHeaderTest : public SafetensorsTest, public ::testing::WithParamInterface<Damage> {};

TEST_P(DamagedHeaderTest, IsADataErrorThatNamesTheFileAndTheFault) {
  const std::string message = ErrorFor(FileOf(GetParam().header, std::string(GetParam().data_bytes, 'x')));
  EXPECT_NE(message.find(path().string()), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().complaint), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Damages, DamagedHeaderTest,
    ::testing::Values(
        Damage{"Empty", "", 0, "header cannot be read"},
        Damage{"NotJson", "weights", 0, "header cannot be read"},
        Damage{"HalfJson", R"({"a":)", 0, "header cannot be read"},
        Damage{"NotUtf8", "{\"\xff\":1}", 0, "header cannot be read"},
        Damage{"AnArray", "[]", 0, "not a JSON object"}, Damage{"ANumber", "1", 0, "not a JSON object"},
        Damage{"Null", "null", 0, "not a JSON object"},
        Damage{"EntryIsANumber", R"({"a":1})", 0, "'a' is incomplete"},
        Damage{"EntryIsNull", R"({"a":null})", 0, "'a' is incomplete"},
        Damage{"NoType", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "'a' is incomplete"},
        Damage{"NoShape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "'a' is incomplete"},
        Damage{"NoOffsets", R"({"a":{"dtype":"F32","shape":[1]}})", 4, "'a' is incomplete"},
        Damage{"UnknownType", R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "'F31'"},
        Damage{"TypeIsANumber", R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", 4, ""},
        Damage{"ShapeIsANumber", R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, ""},
        Damage{"ShapeOfTexts", R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, ""},
        Damage{"ShapeOfFractions", R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "'a'"},
        Damage{"ShapeOfTruths", R"({"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}})", 4, "'a'"},
        Damage{"NegativeShape", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "'a'"},
        Damage{"NegativeShapeOfBytes", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,4]}})", 4, "'a'"},
        Damage{"NegativeShapeWithoutElements", R"({"a":{"dtype":"U8","shape":[-1,0],"data_offsets":[0,0]}})",
               0, "'a'"},
        Damage{"NegativeShapeBehindZero", R"({"a":{"dtype":"F32","shape":[0,-2],"data_offsets":[0,0]}})", 0,
               "'a'"},
        Damage{"TwoNegatives", R"({"a":{"dtype":"U8","shape":[-2,-2],"data_offsets":[0,4]}})", 4, "'a'"},
        Damage{"OverflowingShape",
               R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0, "'a'"},
        Damage{
            "HugeShapeBehindZero",
            R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}})",
            0, "'a'"},
        Damage{"OffsetsOutside", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
               "'a' lies outside"},
        Damage{
            "OffsetsFarOutside",
            R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})",
            4, "'a' lies outside"},
        Damage{"NegativeOffsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, "'a'"},
        Damage{"OffsetsBackwards", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "'a'"},
        Damage{"OneOffset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}})", 4, "'a'"},
        Damage{"ThreeOffsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 4, "'a'"},
        Damage{"TooFewBytes", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
               "needs 8 bytes"},
        Damage{"TooManyBytes", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8,
               "needs 4 bytes"},
        Damage{"TrailingBytes", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5,
               "the file has 5"},
        Damage{"BytesOfNoTensor", "{}", 1, "the file has 1"},
        Damage{"OverlapAndHole",
               R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
               8, "'b'"},
        Damage{"SamePlaceTwiceAndHole",
               R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               8, "'b'"},
        Damage{"MetadataIsANumber", R"({"__metadata__":1})", 0, ""},
        Damage{"MetadataOfNumbers", R"({"__metadata__":{"a":1}})", 0, ""},
        Damage{"MetadataOfObjects", R"({"__metadata__":{"a":{}}})", 0, ""},
        Damage{"MetadataIsNull", R"({"__metadata__":null})", 0, ""}),
    [](const auto& info) { return info.param.name; });

TEST_F(SafetensorsTest, BracketsThatWouldExhaustTheStackAreADataError) {
  const std::string shape = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  const std::string message =
      ErrorFor(FileOf(R"({"a":{"dtype":"F32","data_offsets":[0,4],"shape":)" + shape + "}}", "xxxx"));
  EXPECT_NE(message.find("nested too deep"), std::string::npos) << message.substr(0, 1000);
}

TEST_F(SafetensorsTest, TheOrderInTheHeaderNeedNotBeThatOfTheBytes) {
  Put(FileOf(
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      "xy"));
  const WeightsFile loaded = LoadSafetensors(path());
  ASSERT_EQ(loaded.tensors.size(), 2u);
  EXPECT_EQ(loaded.tensors[0].first, "b");
  EXPECT_EQ(loaded.tensors[0].second.item<int>(), 'y');
  EXPECT_EQ(loaded.tensors[1].second.item<int>(), 'x');
}

TEST_F(SafetensorsTest, AnImpossibleHeaderLengthIsADataError) {
  const std::string rest = SmallFile().substr(8);
  const std::uint64_t behind = rest.size();
  for (const std::uint64_t length : {behind + 1, std::uint64_t{100'000'001}, std::uint64_t{1} << 32,
                                     std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - 7}) {
    const std::string message = ErrorFor(std::string(reinterpret_cast<const char*>(&length), 8) + rest);
    EXPECT_NE(message.find(fmt::format("claims {} bytes", length)), std::string::npos) << message;
  }
}

// Loads, or throws a DataError; whatever else happens ends the test.
bool LoadsOrComplains(const std::filesystem::path& path) {
  try {
    LoadSafetensors(path);
  } catch (const DataError& error) {
    return std::strstr(error.what(), path.c_str()) != nullptr;
  }
  return true;
}

TEST_F(SafetensorsTest, EveryFlippedBitIsHarmlessOrADataError) {
  const std::string whole = SmallFile();
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    Put(damaged);
    EXPECT_TRUE(LoadsOrComplains(path())) << "bit " << bit;
  }
}

RC_GTEST_FIXTURE_PROP(SafetensorsTest, AnyDamageIsHarmlessOrADataError, ()) {
  std::string bytes = SmallFile();
  const auto position = [&] {
    return *rc::gen::resize(1000, rc::gen::inRange<std::size_t>(0, bytes.size()));
  };
  for (int i = *rc::gen::inRange(1, 6); i > 0; --i) {
    bytes[position()] =
        *rc::gen::oneOf(rc::gen::arbitrary<char>(), rc::gen::elementOf(std::string("0123456789-.e[]{},:\"")));
  }
  if (*rc::gen::arbitrary<bool>()) bytes.resize(position());
  Put(bytes);
  RC_ASSERT(LoadsOrComplains(path()));
}

RC_GTEST_FIXTURE_PROP(SafetensorsTest, AnyBytesBehindAnyHeaderAreHarmlessOrADataError,
                      (const std::string& header, const std::string& data)) {
  Put(FileOf(header, data));
  RC_ASSERT(LoadsOrComplains(path()));
}

TEST_F(CopyIntoTest, FillsParametersAndBuffersWhereTheyAre) {
  const Layers from;
  Layers to;
  FlatParams params(to);
  from.named_buffers()["norm.num_batches_tracked"].fill_(7);
  SaveSafetensors(path(), {StateOf(from), {}});
  CopyInto(to, LoadSafetensors(path()), path());
  EXPECT_TRUE(SameTensors(StateOf(to), StateOf(from)));
  EXPECT_EQ(params.Readopt(), 0);  // the parameters are still the flat tensor's
  EXPECT_TRUE(to.parameters()[0].requires_grad());
}

TEST_F(CopyIntoTest, TheOrderInTheFileDoesNotMatter) {
  const Layers from;
  Layers to;
  NamedTensors tensors = StateOf(from);
  std::reverse(tensors.begin(), tensors.end());
  CopyInto(to, {tensors, {}}, path());
  EXPECT_TRUE(SameTensors(StateOf(to), StateOf(from)));
}

struct Misfit {
  const char* name;
  std::function<void(NamedTensors&)> change;
  const char* complaint;
};

class MisfitTest : public CopyIntoTest, public ::testing::WithParamInterface<Misfit> {};

TEST_P(MisfitTest, IsADataErrorThatNamesFileAndTensorAndCopiesNothing) {
  NamedTensors tensors = Copies(StateOf(Layers()));
  GetParam().change(tensors);
  Layers net;
  const NamedTensors before = Copies(StateOf(net));
  const std::string message = MessageOf<DataError>([&] { CopyInto(net, {tensors, {}}, path()); });
  EXPECT_NE(message.find(path().string()), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().complaint), std::string::npos) << message;
  EXPECT_TRUE(SameTensors(StateOf(net), before));
}

INSTANTIATE_TEST_SUITE_P(
    Misfits, MisfitTest,
    ::testing::Values(Misfit{"Nothing", [](NamedTensors& t) { t.clear(); }, "no tensor 'scale'"},
                      Misfit{"LastOneMissing", [](NamedTensors& t) { t.pop_back(); },
                             "no tensor 'norm.num_batches_tracked'"},
                      Misfit{"AnotherName", [](NamedTensors& t) { t[2].first = "conv.weights"; },
                             "no tensor 'conv.weight'"},
                      Misfit{"OneMore", [](NamedTensors& t) { t.emplace_back("more", torch::ones({1})); },
                             "12 tensors, not 11"},
                      Misfit{"OfADataParallel",
                             [](NamedTensors& t) {
                               for (auto& [name, tensor] : t) name = "module." + name;
                             },
                             "no tensor 'scale' but 'module.scale'"},
                      Misfit{"AnotherShape", [](NamedTensors& t) { t[7].second = torch::ones({3}); },
                             "'last.bias' has shape [3], not [2]"},
                      Misfit{"ShapeThatWouldBroadcast",
                             [](NamedTensors& t) { t[7].second = torch::ones({1}); },
                             "'last.bias' has shape [1], not [2]"},
                      Misfit{"SameSizeOtherShape", [](NamedTensors& t) { t[6].second = t[6].second.t(); },
                             "'last.weight' has shape [3, 2], not [2, 3]"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace swarmsync
