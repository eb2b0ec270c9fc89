#include "comm/faults.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "base/numbers.h"
#include "base/print.h"
#include "base/write_faults.h"
#include "comm/passing_communicator.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

Fault ParseFault(std::string_view text) {
  const std::size_t colon = text.find(':'), at = text.rfind('@');
  const auto refuse = [&]() -> UsageError {
    return UsageError(
        fmt::format("{} has '{}'; a fault is WORKER:KIND[=AMOUNT]@NUMBER, such as 1:kill@40 or "
                    "0:slow=2.5@17",
                    kFaultsVariable, text));
  };
  if (colon == std::string_view::npos || at == std::string_view::npos || at < colon) throw refuse();
  const std::string_view what = text.substr(colon + 1, at - colon - 1);
  const std::size_t equals = std::min(what.find('='), what.size());
  const auto worker = ParseNumber(text.substr(0, colon)), number = ParseNumber(text.substr(at + 1));
  const auto amount = equals == what.size() ? std::optional<double>(1) : ParseNumber(what.substr(equals + 1));
  constexpr double kMost = 1e9;
  if (!worker || !number || !amount || !(*worker >= 0 && *worker < kMost) ||
      !(*number >= 1 && *number < kMost) || !(*amount >= 0 && *amount < kMost)) {
    throw refuse();
  }
  return {static_cast<int>(*worker), ParseEnum<FaultKind>(what.substr(0, equals)), *amount,
          static_cast<std::int64_t>(*number)};
}

}  // namespace

std::vector<Fault> ParseFaults(std::string_view text) {
  std::vector<Fault> faults;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    faults.push_back(ParseFault(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return faults;
}

struct Faults::State {
  int worker = 0;
  std::vector<Fault> of_collectives, of_files;
  std::int64_t collectives = 0;
  std::atomic<std::int64_t> files{0};

  void Tell(const Fault& fault, std::int64_t at) const {
    Say(fmt::format("fault: worker {}: {} at {}", worker, ToString(fault.kind), at));
  }

  // Whether what the collective that begins now receives is to be damaged.
  bool Begin(bool receives_tensor) {
    ++collectives;
    bool corrupt = false;
    for (Fault& fault : of_collectives) {
      const bool waits = fault.kind == FaultKind::kCorrupt && !receives_tensor;
      if (collectives < fault.at || waits) continue;
      fault.at = std::numeric_limits<std::int64_t>::max();
      Tell(fault, collectives);
      switch (fault.kind) {
        case FaultKind::kKill:
          kill(getpid(), SIGKILL);
          break;
        case FaultKind::kStop:
          kill(getpid(), SIGSTOP);
          break;
        case FaultKind::kSlow:
          std::this_thread::sleep_for(std::chrono::duration<double>(fault.amount));
          break;
        case FaultKind::kDrop:
          throw CommError(fmt::format("worker {} closed its connections (a fault)", worker));
        case FaultKind::kCorrupt:
          corrupt = true;
          break;
        case FaultKind::kRefuse:
          break;
      }
    }
    return corrupt;
  }

  int WriteFault() {
    const std::int64_t file = ++files;
    for (const Fault& fault : of_files) {
      if (file < fault.at || file >= fault.at + static_cast<std::int64_t>(fault.amount)) continue;
      Tell(fault, file);
      return ENOSPC;
    }
    return 0;
  }
};

namespace {

void Damage(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return;
  const at::NoGradGuard no_grad;
  const at::Tensor bytes = tensor.cpu().contiguous();  // the tensor itself, on a CPU
  static_cast<std::uint8_t*>(bytes.data_ptr())[bytes.nbytes() / 2] ^= 0x40;
  if (!bytes.is_alias_of(tensor)) tensor.copy_(bytes);
}

class FaultyCommunicator : public PassingCommunicator {
 public:
  // begin(receives_tensor): at the beginning of a collective; whether to damage what it receives.
  using Begin = std::function<bool(bool receives_tensor)>;
  FaultyCommunicator(std::unique_ptr<Communicator> inner, Begin begin)
      : PassingCommunicator(*inner), inner_(std::move(inner)), begin_(std::move(begin)) {}

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    const bool damage = begin_(true);
    PassingCommunicator::AllReduce(in, factors, out);
    if (damage) Damage(out);
  }
  void Broadcast(const at::Tensor& inout, int root) override {
    const bool damage = begin_(root != rank());
    PassingCommunicator::Broadcast(inout, root);
    if (damage) Damage(inout);
  }
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    begin_(false);
    PassingCommunicator::AllGatherBytes(mine, bytes, all);
  }
  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    begin_(false);
    PassingCommunicator::AllToAllBytes(mine, bytes, all);
  }

 private:
  std::unique_ptr<Communicator> inner_;
  Begin begin_;
};

}  // namespace

Faults::Faults(const std::vector<Fault>& all, int worker) : state_(std::make_shared<State>()) {
  state_->worker = worker;
  for (const Fault& fault : all) {
    if (fault.worker == worker)
      (fault.kind == FaultKind::kRefuse ? state_->of_files : state_->of_collectives).push_back(fault);
  }
  if (!state_->of_files.empty())
    SetWriteFault([state = state_](const std::filesystem::path&) { return state->WriteFault(); });
}

Faults::~Faults() {
  if (!state_->of_files.empty()) SetWriteFault(nullptr);
}

std::unique_ptr<Communicator> Faults::In(std::unique_ptr<Communicator> inner) {
  if (state_->of_collectives.empty()) return inner;
  return std::make_unique<FaultyCommunicator>(
      std::move(inner), [state = state_](bool receives_tensor) { return state->Begin(receives_tensor); });
}

}  // namespace swarmsync
