// The instructions are those of Python's pickletools, by the same names; what torch.save writes with them is
// in torch/serialization.py and torch/_utils.py, and torch/_weights_only_unpickler.py is PyTorch's own
// restricted machine. A pickle is a program for a stack: instructions push values, take them off again and
// make larger ones of them; a memo keeps values by number for later.

#include "params/unpickler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_map>
#include <variant>

#include "params/scalar_types.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kMostInstructions = 2'000'000;  // some 20 a tensor
constexpr std::uint8_t kProtocol = 2;
constexpr std::size_t kMostDimensions = 64;
constexpr std::size_t kMostKeys = 6, kMostLetters = 40;  // of a message

enum Instruction : std::uint8_t {
  kStop = '.',
  kMark = '(',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
};

struct Value;
struct Nothing {};  // None, and floats: a state dict has no use for their values
struct List {};     // likewise
struct Tuple {
  std::vector<Value*> items;
};
struct Dict {
  std::vector<std::pair<Value*, Value*>> items;
};
enum class Function { kOrderedDict, kRebuildTensor, kRebuildParameter };
struct Storage {
  std::string_view key;
  at::ScalarType type;
  std::int64_t size;
};
struct Value {
  std::variant<Nothing, bool, std::int64_t, std::string_view, Tuple, List, Dict, Function, at::ScalarType,
               Storage, StoredTensor>
      what;
};

class Unpickler {
 public:
  Unpickler(std::string_view pickle, const Complaints& complaints)
      : dimensions_left_(pickle.size()),
        rest_(pickle),
        damaged_(complaints.damaged),
        foreign_(complaints.foreign) {}

  // Runs the program. The value that it ends with; texts in it lie in the pickle.
  const Value& Run() {
    if (Take(2) != std::string_view("\x80\x02")) {
      foreign_("its pickle is not of protocol {}, which torch.save writes unless told otherwise", kProtocol);
    }
    for (std::int64_t count = 0; count < kMostInstructions; ++count) {
      const auto instruction = static_cast<Instruction>(Number<std::uint8_t>());
      if (instruction == kStop) return *Pop();
      Do(instruction);
    }
    foreign_("its pickle has more than {} instructions", kMostInstructions);
  }

 private:
  void Do(Instruction instruction) {
    switch (instruction) {
      case kMark:
        return stack_.push_back(nullptr);
      case kNone:
        return Push(Nothing());
      case kNewTrue:
        return Push(true);
      case kNewFalse:
        return Push(false);
      case kBinInt:
        return Push(static_cast<std::int64_t>(Number<std::int32_t>()));
      case kBinInt1:
        return Push(static_cast<std::int64_t>(Number<std::uint8_t>()));
      case kBinInt2:
        return Push(static_cast<std::int64_t>(Number<std::uint16_t>()));
      case kLong1:
        return Push(LongInteger());
      case kBinFloat:
        Take(sizeof(double));
        return Push(Nothing());
      case kBinUnicode:
        return Push(Take(Number<std::uint32_t>()));
      case kEmptyTuple:
        return Push(Tuple());
      case kTuple:
        return Push(Tuple{PopToMark()});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return Push(Tuple{PopMany(instruction - kTuple1 + 1)});
      case kEmptyList:
        return Push(List());
      case kAppend:
        PopMany(1);
        Top<List>();
        return;
      case kAppends:
        PopToMark();
        Top<List>();
        return;
      case kEmptyDict:
        return Push(Dict());
      case kSetItem:
        return SetItems(PopMany(2));
      case kSetItems:
        return SetItems(PopToMark());
      case kBinPut:
        return Remember(Number<std::uint8_t>());
      case kLongBinPut:
        return Remember(Number<std::uint32_t>());
      case kBinGet:
        return Recall(Number<std::uint8_t>());
      case kLongBinGet:
        return Recall(Number<std::uint32_t>());
      case kGlobal:
        return PushGlobal();
      case kReduce:
        return Call();
      case kBuild:
        return Build();
      case kBinPersId:
        return PushStorage();
      default:
        damaged_("its pickle has the instruction 0x{:02x}, which torch.save does not write", instruction);
    }
  }

  std::string_view Take(std::size_t size) {
    if (size > rest_.size()) damaged_("its pickle ends in the middle");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  // Little-endian, as this machine is.
  template <class T>
  T Number() {
    T number;
    std::memcpy(&number, Take(sizeof number).data(), sizeof number);
    return number;
  }
  std::string_view Line() {
    const std::string_view line = Take(std::min(rest_.find('\n'), rest_.size()));
    Take(1);
    return line;
  }
  std::int64_t LongInteger() {
    const std::string_view bytes = Take(Number<std::uint8_t>());
    if (bytes.size() > sizeof(std::int64_t)) damaged_("its pickle has an integer of {} bytes", bytes.size());
    const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
    std::int64_t number = negative ? -1 : 0;
    std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }

  template <class T>
  void Push(T what) {
    values_.push_back({std::move(what)});
    stack_.push_back(&values_.back());
  }
  Value* Pop() { return PopMany(1)[0]; }
  std::vector<Value*> PopMany(std::size_t count) {
    if (stack_.size() < count ||
        std::count(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end(), nullptr))
      damaged_("its pickle takes more from its stack than is there");
    std::vector<Value*> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  std::vector<Value*> PopToMark() {
    const auto mark = std::find(stack_.rbegin(), stack_.rend(), nullptr);
    if (mark == stack_.rend()) damaged_("its pickle has a list without a beginning");
    std::vector<Value*> values(mark.base(), stack_.end());
    stack_.erase(mark.base() - 1, stack_.end());
    return values;
  }

  template <class T>
  T& As(Value* value) {
    T* const found = value == nullptr ? nullptr : std::get_if<T>(&value->what);
    if (found == nullptr) damaged_("its pickle does with a value what that kind of value does not allow");
    return *found;
  }
  template <class T>
  T& Top() {
    return As<T>(stack_.empty() ? nullptr : stack_.back());
  }

  void SetItems(const std::vector<Value*>& values) {
    Dict& dict = Top<Dict>();
    if (values.size() % 2 != 0) damaged_("its pickle has a key without a value");
    for (std::size_t i = 0; i < values.size(); i += 2) dict.items.emplace_back(values[i], values[i + 1]);
  }

  void Remember(std::uint32_t number) {
    if (stack_.empty() || stack_.back() == nullptr) damaged_("its pickle keeps a value that is not there");
    memo_[number] = stack_.back();
  }
  void Recall(std::uint32_t number) {
    const auto found = memo_.find(number);
    if (found == memo_.end()) damaged_("its pickle uses a value that it has not kept");
    stack_.push_back(found->second);
  }

  void PushGlobal() {
    const std::string_view module = Line(), name = Line();
    if (module == "collections" && name == "OrderedDict") return Push(Function::kOrderedDict);
    if (module == "torch._utils" && name == "_rebuild_tensor_v2") return Push(Function::kRebuildTensor);
    if (module == "torch._utils" && name == "_rebuild_parameter") return Push(Function::kRebuildParameter);
    if (const auto type = TypeNamed(name, &TypeNames::storage); module == "torch" && type) return Push(*type);
    foreign_("it asks for '{}.{}', which is not looked up, as a state dict does without", module, name);
  }

  void Call() {
    const std::vector<Value*> called = PopMany(2);
    const std::vector<Value*>& arguments = As<Tuple>(called[1]).items;
    switch (As<Function>(called[0])) {
      case Function::kOrderedDict:
        if (!arguments.empty()) damaged_("its pickle makes an OrderedDict of {} arguments", arguments.size());
        return Push(Dict());
      case Function::kRebuildTensor:
        return Push(Tensor(arguments));
      case Function::kRebuildParameter:  // tensor, requires_grad, hooks
        if (arguments.size() != 3) damaged_("its pickle makes a parameter of {} arguments", arguments.size());
        return Push(As<StoredTensor>(arguments[0]));
    }
  }
  // Arguments: storage, offset, sizes, strides, requires_grad, hooks and, in later versions, metadata.
  StoredTensor Tensor(const std::vector<Value*>& arguments) {
    if (arguments.size() < 6 || arguments.size() > 7)
      damaged_("its pickle makes a tensor of {} arguments", arguments.size());
    const Storage& storage = As<Storage>(arguments[0]);
    const std::vector<Value*>&sizes = As<Tuple>(arguments[2]).items, &strides = As<Tuple>(arguments[3]).items;
    if (sizes.size() != strides.size() || sizes.size() > kMostDimensions)
      damaged_("its pickle makes a tensor of {} dimensions with {} strides", sizes.size(), strides.size());
    // Each is written out for each tensor; who makes many tensors of few bytes wants memory.
    if (sizes.size() > dimensions_left_) damaged_("its pickle makes more tensors than its size allows");
    dimensions_left_ -= sizes.size();
    StoredTensor tensor{storage.key, storage.type, storage.size, As<std::int64_t>(arguments[1]), {}, {}};
    for (Value* const size : sizes) tensor.sizes.push_back(As<std::int64_t>(size));
    for (Value* const stride : strides) tensor.strides.push_back(As<std::int64_t>(stride));
    return tensor;
  }

  // Sets attributes, such as a state dict's _metadata, which says the versions of modules.
  void Build() {
    PopMany(1);
    Top<Dict>();
  }

  // The tuple: 'storage', type, key, device, size.
  void PushStorage() {
    const std::vector<Value*>& parts = As<Tuple>(Pop()).items;
    if (parts.size() != 5 || As<std::string_view>(parts[0]) != "storage")
      damaged_("its pickle refers to something that is no storage");
    Push(Storage{As<std::string_view>(parts[2]), As<at::ScalarType>(parts[1]), As<std::int64_t>(parts[4])});
  }

  std::size_t dimensions_left_;
  std::string_view rest_;
  const Complaint& damaged_;
  const Complaint& foreign_;
  std::deque<Value> values_;   // all that were made
  std::vector<Value*> stack_;  // null: a mark
  std::unordered_map<std::uint32_t, Value*> memo_;
};

const std::string_view* TextOf(const Value* key) { return std::get_if<std::string_view>(&key->what); }

bool HoldsTensors(const Value* value) {
  const auto* dict = std::get_if<Dict>(&value->what);
  return dict != nullptr && std::any_of(dict->items.begin(), dict->items.end(), [](const auto& item) {
           return std::holds_alternative<StoredTensor>(item.second->what);
         });
}

// Says what a dictionary is that has another value than tensors, under that name.
[[noreturn]] void RefuseDict(const Dict& dict, std::string_view name, const Complaint& foreign) {
  std::vector<std::string> keys;
  std::optional<std::string> state_dict;
  for (const auto& [key, value] : dict.items) {
    const std::string_view* text = TextOf(key);
    if (text == nullptr) continue;
    const std::string quoted = fmt::format("'{}'", text->substr(0, kMostLetters));
    if (keys.size() < kMostKeys) keys.push_back(quoted);
    if (!state_dict && HoldsTensors(value)) state_dict = quoted;
  }
  if (!state_dict) foreign("its '{}' is no tensor", name);
  if (dict.items.size() > keys.size()) keys.push_back("…");
  foreign("it holds {}, and its state dict is within, in {}", fmt::join(keys, ", "), *state_dict);
}

bool IsUtf8(std::string_view text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace

std::vector<std::pair<std::string, StoredTensor>> UnpickleStateDict(std::string_view pickle,
                                                                    const Complaints& complaints) {
  Unpickler unpickler(pickle, complaints);
  const auto* dict = std::get_if<Dict>(&unpickler.Run().what);
  if (dict == nullptr) complaints.foreign("it holds something else than a dictionary of tensors");
  std::vector<std::pair<std::string, StoredTensor>> tensors;
  std::set<std::string_view> names;
  for (const auto& [key, value] : dict->items) {
    const std::string_view* name = TextOf(key);
    if (name == nullptr || !IsUtf8(*name)) complaints.foreign("it has a key that is no text");
    const auto* tensor = std::get_if<StoredTensor>(&value->what);
    if (tensor == nullptr) RefuseDict(*dict, *name, complaints.foreign);
    if (!names.insert(*name).second) complaints.damaged("it has '{}' twice", *name);
    tensors.emplace_back(*name, *tensor);
  }
  return tensors;
}

}  // namespace swarmsync
