#include "swarmsync/sync/synchronizer.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "comm/current_stream.h"
#include "comm/host_groups.h"
#include "swarm/device.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/swarm/bests.h"
#include "swarmsync/swarm/finite.h"
#include "swarmsync/swarm/guard.h"
#include "sync/blocks.h"
#include "sync/gradient_mean.h"
#include "sync/momenta.h"
#include "sync/overlap.h"

namespace swarmsync {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

WeightSketch SketchOf(const at::Tensor& flat) {
  const float* const values = flat.data_ptr<float>();
  return flat.is_cpu() ? WeightSketch(values, flat.numel()) : SketchOnDevice(values, flat.numel());
}

// Number by number, the mean over the ranks that work and have a finite one; where nobody has, `mine`.
// Collective.
at::Tensor MeanOfBuffers(const at::Tensor& mine, bool works, Communicator& comm) {
  const at::Tensor sums_and_counts = at::zeros({2, mine.numel()}, mine.options());
  const at::Tensor sums = sums_and_counts[0], counts = sums_and_counts[1];
  if (works) {
    const at::Tensor finite = mine.isfinite();
    sums.copy_(at::where(finite, mine, sums));
    counts.copy_(finite);
  }
  comm.AllReduceSum(sums_and_counts);
  return at::where(counts > 0, sums / counts, mine);
}

}  // namespace

Synchronizer::Synchronizer(FlatParams& params, Communicator& comm, SyncOptions options)
    : params_(params), comm_(comm), options_(std::move(options)), round_start_(SketchOf(params.weights())) {
  if (options_.momentum_at_sync == MomentumAtSync::kMove)
    momentum_of_move_ = std::make_unique<MomentumOfMove>(params.weights());
}

Synchronizer::~Synchronizer() = default;

FlatParams& Synchronizer::model() { return overlap_ ? overlap_->model : params_; }

bool Synchronizer::under_way() const { return overlap_ && overlap_->under_way(); }

std::int64_t Synchronizer::quiet_at() const {
  if (!under_way()) return steps_;
  const bool ever = options_.overlap < options_.period;
  return ever ? exchanged_at_ + options_.overlap : std::numeric_limits<std::int64_t>::max();
}

Communicator& Synchronizer::everyone() { return groups_ ? groups_->everyone() : comm_; }

bool Synchronizer::ExpectGradients() {
  if (finished_ || !exchanges_gradients() || !params_.weights().is_cpu()) return false;
  return gradients().Expect();
}

void Synchronizer::Step(torch::optim::Optimizer& optimizer, const at::Tensor& loss) {
  BeginStep();
  SettleMomentum(&optimizer, /*works=*/true);  // of an exchange that was drained
  optimizer.step();
  EndStep(&optimizer, loss);
}

bool Synchronizer::BeforeOptimizer() {
  if (const auto policy = options_.momentum_at_sync;
      policy == MomentumAtSync::kAverage || policy == MomentumAtSync::kMove) {
    throw UsageError(fmt::format(
        "momentum_at_sync is {}, which needs an optimizer of libtorch's in C++; take keep or reset",
        ToString(policy)));
  }
  if (in_step_)
    throw UsageError(
        "a step was begun twice, as by two backward() that both exchange gradients; end it first");
  BeginStep();
  in_step_ = true;
  return SettleMomentum(nullptr, /*works=*/true);
}

bool Synchronizer::AfterOptimizer(const at::Tensor& loss) {
  if (!std::exchange(in_step_, false)) throw UsageError("a step was ended that had not begun");
  return EndStep(nullptr, loss);
}

void Synchronizer::BeginStep() {
  if (finished_) throw UsageError("a step was made after the training had ended");
  if (gradients_) gradients_->CheckExpected();
  model().Readopt();
  warming_up_ = exchanges_gradients();
  OnGradients();
  if (options_.clip_grad_norm > 0) model().ClipGradients(options_.clip_grad_norm);
}

bool Synchronizer::EndStep(torch::optim::Optimizer* optimizer, const at::Tensor& loss) {
  round_loss_.Add(loss);
  ++steps_;
  if (only_gradients()) Exchange(kNoFitness);
  const bool rounds_begin = warming_up_ && !exchanges_gradients();
  if (rounds_begin) BeginRounds();
  if (warming_up_) {
    round_loss_ = LossSum();
  } else {
    ++round_steps_;
    if (momentum_of_move_) momentum_of_move_->CountStep(*optimizer);
  }
  const bool last = steps_ == options_.total_steps;
  const bool round_ends = RoundIsOver() || (last && round_steps_ > 0);
  if (under_way() && (round_ends || steps_ - exchanged_at_ == options_.overlap)) ApplyExchange();
  bool forget = SettleMomentum(optimizer, /*works=*/true);
  if (round_ends || (round_steps_ > 0 && round_steps_ % options_.group_period == 0)) AverageGroup();
  if (round_ends) ExchangeRound(RoundFitness());
  if (last) Drain();
  forget |= SettleMomentum(optimizer, /*works=*/true);
  if (rounds_begin && options_.momentum_at_sync == MomentumAtSync::kReset) forget |= Forget(optimizer);
  finished_ = last;
  return forget;
}

void Synchronizer::Finish() {
  if (finished_) return;
  if (gradients_ && gradients_->expecting())
    throw UsageError("Finish() was called after ExpectGradients(); Step() comes first");
  if (groups_) {
    throw UsageError(fmt::format(
        "Finish() was called after step {}; with groups the training ends at total_steps, which is {}",
        steps_, options_.total_steps));
  }
  model().Readopt();
  Drain();
  SettleMomentum(nullptr, /*works=*/false);
  if (round_steps_ > 0) {
    Exchange(RoundFitness());
    Drain();
    SettleMomentum(nullptr, /*works=*/false);
  }
  if (overlap_) overlap_->CopyIn();
  exchanged_at_ = steps_;
  while (RunExchange({kNoFitness, Role::kFinished}) > 0) SettleMomentum(nullptr, /*works=*/false);
  if (overlap_) overlap_->CopyOut();
  const std::vector<double> steps = comm_.AllGather(static_cast<double>(steps_));
  const auto [least, most] = std::minmax_element(steps.begin(), steps.end());
  if (*least != *most) {
    const int longest = static_cast<int>(most - steps.begin());
    Settle(longest);
    if (only_gradients() && options_.final_average.value_or(0) > 0) {
      if (!average_.defined()) average_ = params_.NewState();
      comm_.Broadcast(average_, longest);
    }
  }
  finished_ = true;
}

void Synchronizer::OnGradients() {
  if (exchanges_gradients()) RunExchange({kNoFitness, Role::kWorks});
}

void Synchronizer::Exchange(double fitness) {
  Drain();
  AverageGroup();
  ExchangeRound(fitness);
}

// The mean of the group's weights, which all its members go on from. Collective in the group.
void Synchronizer::AverageGroup() {
  if (!groups_ || exchanges_gradients()) return;
  torch::NoGradGuard no_grad;
  if (options_.trace) WaitForDevice(params_.weights());
  const double arrival = MonotonicSeconds();
  Communicator& members = groups_->members();
  if (!group_mean_.defined()) group_mean_ = model().NewState();
  members.AllReduce(model().weights(), std::vector<double>(members.size(), 1.0 / members.size()),
                    group_mean_);
  model().weights().copy_(group_mean_);
  if (options_.trace) WaitForDevice(group_mean_);
  AddSpan(arrival, members.size());
}

// With `trace`, that an operation which began then is over. group_size: of those who took part; 0: all.
void Synchronizer::AddSpan(double arrival, int group_size) {
  if (options_.trace) spans_.push_back({arrival, MonotonicSeconds() - arrival, group_size});
}

// Counts the bytes that were sent since they were last counted for the last round, if it has a trace.
void Synchronizer::ChargeBytes() {
  const double before = charged_bytes_;
  ForgetBytes();
  if (!traces_.empty()) traces_.back().bytes += charged_bytes_ - before;
}

void Synchronizer::ForgetBytes() {
  if (options_.bytes_sent) charged_bytes_ = options_.bytes_sent();
}

// What else of a group's members becomes one before an exchange: fitness and buffers. Collective in the
// group.
void Synchronizer::JoinGroup(Turn& turn) {
  torch::NoGradGuard no_grad;
  const double arrival = MonotonicSeconds();
  Communicator& members = groups_->members();
  const std::vector<double> all = members.AllGather(std::vector<double>{turn.fitness, turn.judged});
  turn.fitness = turn.judged = 0;
  for (std::size_t i = 0; i < all.size(); i += 2) {
    turn.fitness += all[i] / members.size();
    turn.judged += all[i + 1] / members.size();
  }
  const at::Tensor& buffers = model().buffers();
  if (buffers.numel() > 0 && options_.buffers != BuffersAtSync::kLocal)
    buffers.copy_(MeanOfBuffers(buffers, true, members));
  AddSpan(arrival, members.size());
}

// Ends a round, when no exchange is under way.
void Synchronizer::ExchangeRound(double fitness) {
  if (only_gradients()) {
    if (options_.final_average.value_or(0) > 0) AverageReplica();
  } else if (!exchanges_gradients()) {
    last_fitness_ = fitness;
    if (momentum_of_move_) momentum_of_move_->EndRound();
    Turn turn{fitness, Role::kWorks};
    if (options_.guard) turn.judged = LossToJudge(fitness);
    if (groups_) JoinGroup(turn);
    exchanged_at_ = steps_;
    if (overlap_) {
      BeginExchange(turn);
    } else {
      RunExchange(turn);
    }
  }
  round_steps_ = 0;
  round_loss_ = LossSum();
}

int Synchronizer::RunExchange(const Turn& turn) {
  const bool weights = !exchanges_gradients();
  const int contributors = weights ? ExchangeWeights(turn) : ExchangeGradients(turn);
  NoteExchange(contributors);
  if (!weights) moved_ = false;
  return contributors;
}

// Begins an exchange of the weights as they are, on a thread of its own.
void Synchronizer::BeginExchange(const Turn& turn) {
  torch::NoGradGuard no_grad;
  overlap_->CopyIn();
  const int threads = at::get_num_threads();
  overlap_->contributors = std::async(std::launch::async, [this, turn, threads] {
    at::set_num_threads(threads);
    return ExchangeWeights(turn);
  });
}

// Waits for the exchange that is under way and moves the weights.
void Synchronizer::ApplyExchange() {
  torch::NoGradGuard no_grad;
  const double arrival = MonotonicSeconds();
  const int contributors = overlap_->contributors.get();
  AddSpan(arrival);
  NoteExchange(contributors);
  overlap_->Apply(steps_ == exchanged_at_ || left_out_);
}

void Synchronizer::Drain() {
  if (under_way()) ApplyExchange();
}

void Synchronizer::AwaitExchange() {
  if (under_way()) overlap_->contributors.wait();
}

// The optimizer begins again as it began the training; whose is not libtorch's does it himself.
bool Synchronizer::Forget(torch::optim::Optimizer* optimizer) {
  if (optimizer != nullptr) optimizer->state().clear();
  return true;
}

// What becomes of the local optimizer's state when an exchange has moved the weights. Collective then, if the
// policy is to average.
bool Synchronizer::SettleMomentum(torch::optim::Optimizer* optimizer, bool works) {
  if (!std::exchange(moved_, false)) return false;
  if (options_.momentum_at_sync == MomentumAtSync::kAverage && everyone().size() > 1) {
    const double arrival = MonotonicSeconds();
    if (!momenta_) momenta_ = std::make_unique<MomentaMean>(everyone(), params_.weights().options());
    momenta_->Average(optimizer, works && !left_out_);
    WaitForDevice(params_.weights());
    AddSpan(arrival);
    ChargeBytes();
  }
  if (momentum_of_move_) momentum_of_move_->Set(optimizer);
  const bool resets = options_.momentum_at_sync == MomentumAtSync::kReset;
  // Of a worker that was left out, the momentum led away, or is not finite.
  return (std::exchange(left_out_, false) || resets) && Forget(optimizer);
}

GradientMean& Synchronizer::gradients() {
  if (!gradients_) gradients_ = std::make_unique<GradientMean>(model(), options_, everyone(), groups_.get());
  return *gradients_;
}

int Synchronizer::ExchangeGradients(const Turn& turn) {
  torch::NoGradGuard no_grad;
  record_ = {};
  if (options_.trace) WaitForDevice(params_.weights());
  const double arrival = MonotonicSeconds();
  contributors_ = gradients().Take(turn.works());
  AddSpan(arrival);
  ++exchanged_steps_;
  rounds_begin_ = ++rounds_end_;
  if (!turn.works() && !exchanges_gradients()) BeginRounds();
  return contributors_;
}

// With an overlap, on a thread of its own, beside the training.
int Synchronizer::ExchangeWeights(const Turn& turn) {
  torch::NoGradGuard no_grad;
  record_ = {};
  const double arrival = MonotonicSeconds();
  pending_.emplace();
  Pending& pending = *pending_;
  RoundTrace& trace = pending.trace;
  trace.round = rounds_ + 1;
  trace.step = exchanged_at_;
  trace.arrival = arrival;
  if (measures()) trace.end = SketchOf(params_.weights());
  trace.displacement = (trace.end - round_start_).Norm();
  // Such weights have no fitness and can be no guide, whatever the loss of the steps was.
  pending.finite = measures() ? std::isfinite(trace.end.Norm())
                              : AllFinite(params_.weights().data_ptr<float>(), params_.weights().numel());
  pending.turn = turn;
  if (turn.works() && !pending.finite) pending.turn.fitness = kNaN;
  if (options_.guard) pending.turn.role = Judge(pending.turn, pending.finite, trace.displacement);
  pending.workers = Collect(pending.turn);
  if (pending.workers > 0) pending.takes_buffers = CollectBuffers(pending.turn);
  pending.collected = true;
  if (options_.commit && comm_.size() > 1) comm_.Barrier();
  const int workers = ApplyPending();
  const double seconds = MonotonicSeconds() - arrival;
  if (options_.trace && workers > 0) traces_.back().seconds = seconds;
  if (options_.trace && !overlap_) spans_.push_back({arrival, seconds});
  return workers;
}

// The second half of an exchange. Local.
int Synchronizer::ApplyPending() {
  torch::NoGradGuard no_grad;
  Pending pending = *std::exchange(pending_, std::nullopt);
  if (overlap_) overlap_->buffers_moved = pending.takes_buffers;
  if (pending.workers == 0) return 0;
  after_.reset();
  averages_ = pending.finite;
  Apply(pending.turn, pending.workers);
  if (pending.takes_buffers && arriving_buffers_.defined()) params_.buffers().copy_(arriving_buffers_);
  if (!after_) MoveWeights([](std::int64_t, std::int64_t) {});
  WaitForDevice(params_.weights());

  RoundTrace& trace = pending.trace;
  trace.left_out = left_out_ = pending.turn.role == Role::kLeftOut;
  trace.fitness = left_out_ ? kNaN : pending.turn.fitness;
  trace.pull = (*after_ - trace.end).Norm();
  trace.move = (*after_ - round_start_).Norm();
  trace.inertia = inertia();
  round_start_ = *after_;
  if (options_.trace) traces_.push_back(trace);
  if (part_of_average_ > 0) AverageBuffers();
  ++applied_;
  rounds_begin_ = std::exchange(rounds_end_, NextRoundEnd());
  return pending.workers;
}

void Synchronizer::NoteExchange(int contributors) {
  moved_ = contributors > 0;
  if (moved_) ++rounds_;
  ChargeBytes();
}

void Synchronizer::ApplyPrepared() {
  torch::NoGradGuard no_grad;
  NoteExchange(ApplyPending());
  if (overlap_) {
    overlap_->Apply(steps_ == exchanged_at_ || left_out_);
  } else {
    round_steps_ = 0;
    round_loss_ = LossSum();
  }
}

void Synchronizer::EndRound() {
  Drain();
  if (exchanges_gradients()) return;
  AverageGroup();
  cuts_round_ = true;
  ExchangeRound(RoundFitness());
  Drain();
  cuts_round_ = false;
  rounds_begin_ = rounds_end_ = steps_;
}

// Leaves in arriving_buffers_, if they are not this worker's own, what its buffers shall be. Returns whether
// they are those of all. Collective.
bool Synchronizer::CollectBuffers(const Turn& turn) {
  const at::Tensor& mine = params_.buffers();
  arriving_buffers_ = at::Tensor();
  if (mine.numel() == 0 || comm_.size() == 1) return false;
  if (options_.buffers == BuffersAtSync::kLocal && record_.left_out.empty()) return false;
  if (options_.buffers == BuffersAtSync::kGuide) {
    const int guide = record_.fitness.empty() ? BestOf(GatherFitness(turn)) : record_.guide;
    if (guide < 0) return false;
    if (guide != comm_.rank()) arriving_buffers_ = at::empty_like(mine);
    comm_.Broadcast(guide == comm_.rank() ? mine : arriving_buffers_, guide);
    return true;
  }
  arriving_buffers_ = MeanOfBuffers(mine, turn.works(), comm_);
  return options_.buffers == BuffersAtSync::kAverage || turn.role == Role::kLeftOut;
}

// What is averaged where no weights are exchanged.
void Synchronizer::AverageReplica() {
  torch::NoGradGuard no_grad;
  MoveWeights([](std::int64_t, std::int64_t) {});
  AverageBuffers();
}

// The end of the warm-up. A worker that finished during it has not the others' weights; it gets them here.
void Synchronizer::BeginRounds() {
  torch::NoGradGuard no_grad;
  if (contributors_ != 0 && contributors_ < everyone().size()) {
    const std::vector<double> steps = everyone().AllGather(static_cast<double>(steps_));
    const auto longest = std::max_element(steps.begin(), steps.end());
    everyone().Broadcast(model().weights(), static_cast<int>(longest - steps.begin()));
  }
  if (overlap_) overlap_->CopyIn();
  StartHere();
  if (momentum_of_move_) momentum_of_move_->StartHere();
  round_start_ = SketchOf(params_.weights());
}

// Whether the guard leaves this worker out. Collective: one all-gather.
Synchronizer::Role Synchronizer::Judge(const Turn& turn, bool finite, double distance) {
  const double loss = !turn.works() ? kNoFitness : finite ? turn.judged : kNaN;
  const std::vector<double> all = comm_.AllGather(std::vector<double>{loss, distance});
  std::vector<Conduct> workers;
  for (std::size_t i = 0; i < all.size(); i += 2) workers.push_back({all[i], all[i + 1]});
  const std::vector<bool> far_out = FarOut(workers);
  for (int rank = 0; rank < comm_.size(); ++rank) {
    if (far_out[rank]) record_.left_out.push_back(rank);
  }
  return far_out[comm_.rank()] ? Role::kLeftOut : turn.role;
}

// NaN when it is not finite.
double Synchronizer::LossToJudge(double fitness) const {
  const bool has_it = !options_.probe || options_.fitness == Fitness::kProbe;
  const double loss = has_it ? fitness : options_.probe();
  return std::isfinite(loss) ? loss : kNaN;
}

double Synchronizer::RoundFitness() {
  if (options_.fitness == Fitness::kProbe) return options_.probe();
  // A round that was cut off before its first step has the fitness of the one before.
  return round_loss_.count() > 0 ? round_loss_.Mean() : last_fitness_;
}

std::vector<double> Synchronizer::GatherFitness(const Turn& turn) {
  double fitness = turn.works() && std::isfinite(turn.fitness) ? turn.fitness : kNaN;
  if (turn.role == Role::kFinished) fitness = kNoFitness;
  return comm_.AllGather(fitness);
}

double Synchronizer::progress() const {
  if (options_.total_steps == 0) return 0;
  return std::min(1.0, static_cast<double>(NextRoundEnd()) / static_cast<double>(options_.total_steps));
}

bool Synchronizer::RoundIsOver() const {
  const std::vector<std::int64_t>& ends = options_.round_ends;
  if (ends.empty()) return round_steps_ == options_.period;
  return round_steps_ > 0 && std::binary_search(ends.begin(), ends.end(), steps_);
}

// Where the round after the one with that end ends. All ranks have the same, those that have finished too.
std::int64_t Synchronizer::RoundEndAfter(std::int64_t end) const {
  const std::vector<std::int64_t>& ends = options_.round_ends;
  const auto next = std::upper_bound(ends.begin(), ends.end(), end);
  if (next != ends.end()) return *next;
  const std::int64_t whole = end + options_.period;
  return options_.total_steps > end ? std::min(whole, options_.total_steps) : whole;
}

double Synchronizer::carried(Velocity velocity) const {
  if (!options_.rate || cuts_round_) return 1;
  const bool ahead = velocity == Velocity::kNesterov;
  const std::int64_t begin = ahead ? rounds_end_ : rounds_begin_;
  const std::int64_t middle = ahead ? NextRoundEnd() : rounds_end_;
  if (ahead && options_.total_steps > 0 && middle >= options_.total_steps) return 0;
  const auto rates = [&](std::int64_t after, std::int64_t last) {
    double sum = 0;
    for (std::int64_t step = after + 1; step <= last; ++step) sum += options_.rate(step);
    return sum;
  };
  const double before = rates(begin, middle), now = rates(middle, RoundEndAfter(middle));
  return now < before ? now / before : 1;
}

int Synchronizer::CountWorking(const std::vector<double>& fitness) {
  return static_cast<int>(fitness.size() - std::count(fitness.begin(), fitness.end(), kNoFitness));
}

void Synchronizer::MoveWeights(const BlockWork& move) {
  part_of_average_ = NextPartOfAverage();
  const at::Tensor& weights = params_.weights();
  const auto average = [&](std::int64_t begin, std::int64_t end, bool finite) {
    if (part_of_average_ > 0 && finite)
      MoveTowards(BlockOf(average_, begin, end), BlockOf(position(), begin, end), part_of_average_);
  };
  if (!weights.is_cpu()) {
    move(0, weights.numel());
    after_ = SketchOf(weights);
    return average(0, weights.numel(), std::isfinite(after_->Norm()));
  }
  after_.emplace();
  if (!measures()) {
    return ForEachBlock(weights.numel(), [&](std::int64_t begin, std::int64_t end) {
      move(begin, end);
      average(begin, end, part_of_average_ > 0 && AllFinite(weights.data_ptr<float>() + begin, end - begin));
    });
  }
  std::vector<WeightSketch> sketches(static_cast<std::size_t>(weights.numel() / kWeightBlock + 1));
  ForEachBlock(weights.numel(), [&](std::int64_t begin, std::int64_t end) {
    move(begin, end);
    WeightSketch& sketch = sketches[static_cast<std::size_t>(begin / kWeightBlock)];
    sketch = WeightSketch(weights.data_ptr<float>() + begin, end - begin, begin);
    average(begin, end, std::isfinite(sketch.Norm()));
  });
  for (const WeightSketch& sketch : sketches) *after_ += sketch;
}

// How much the next position counts, 0 without an average: polynomial-decay averaging (Shamir and Zhang
// 2013), a_k = (1 - c) a_{k-1} + c x_k, c = (p + 1) / (k + p). Where rounds have lengths of their own it is
// the steps t that count as t^p.
double Synchronizer::NextPartOfAverage() {
  const double power = options_.final_average.value_or(0);
  if (power == 0 || !averages_) return 0;
  ++averaged_;
  if (averaged_ == 1) {
    average_ = params_.NewState();
    average_buffers_ = at::zeros_like(params_.buffers());
  }
  if (options_.round_ends.empty()) return (power + 1) / (static_cast<double>(averaged_) + power);
  const auto before = static_cast<double>(averaged_steps_);
  averaged_steps_ += NextRoundEnd() - rounds_end_;
  return 1 - std::pow(before / static_cast<double>(averaged_steps_), power + 1);
}

void Synchronizer::AverageBuffers() {
  const at::Tensor& buffers = params_.buffers();
  average_buffers_ =
      at::where(buffers.isfinite(), average_buffers_.lerp(buffers, part_of_average_), average_buffers_);
}

std::string Synchronizer::final_model() const {
  const std::string_view what = shared_position().empty() ? "mean of the workers" : shared_position();
  return average_.defined() ? fmt::format("average over the rounds of the {}", what) : std::string(what);
}

void Synchronizer::WriteFinalModel(const at::Tensor& weights, const at::Tensor& buffers) {
  torch::NoGradGuard no_grad;
  Drain();
  ChargeBytes();
  const bool own = shared_position().empty() || (!only_gradients() && exchanges_gradients());
  weights.copy_(average_.defined() ? average_ : own ? model().weights() : position());
  if (shared_position().empty()) {
    everyone().AllReduceSum(weights);
    weights.mul_(1.0 / everyone().size());
  }
  if (buffers.numel() > 0) {
    const at::Tensor& mine = average_buffers_.defined() ? average_buffers_ : model().buffers();
    buffers.copy_(MeanOfBuffers(mine, true, everyone()));
  }
  ForgetBytes();
}

void Synchronizer::CountFrom(std::int64_t steps) {
  rounds_begin_ = rounds_end_ = steps;
  exchanged_at_ += steps - steps_;
  steps_ = steps;
}

void Synchronizer::VisitState(StateVisitor& state) {
  if (under_way())
    throw UsageError("VisitState() was called while an exchange is under way; Drain() comes first");
  torch::NoGradGuard no_grad;
  model().Readopt();
  const StateVisitor::Within within(state, "sync");
  state.TensorInPlace("weights", only_gradients() ? Held::kByAll : Held::kByEach, model().weights());
  state.TensorInPlace("buffers", Held::kByEach, model().buffers());
  state.Number("steps", Held::kByEach, steps_);
  state.Number("end of the rounds", Held::kByAll, rounds_end_);
  state.Number("begin of the last round", Held::kByAll, rounds_begin_);
  state.Number("rounds", Held::kByAll, rounds_);
  state.Number("steps of the round", Held::kByEach, round_steps_);
  state.Number("steps with exchanged gradients", Held::kByAll, exchanged_steps_);
  state.Number("exchanged at", Held::kByEach, exchanged_at_);
  state.Number("contributors", Held::kByAll, contributors_);
  state.Number("moved", Held::kByEach, moved_);
  state.Number("last fitness", Held::kByEach, last_fitness_);
  state.Number("left out", Held::kByEach, left_out_);
  state.Number("applied", Held::kByEach, applied_);
  std::vector<std::array<double, WeightSketch::kBuckets>> sketches{round_start_.buckets()};
  state.Records("start of the round", Held::kByEach, sketches);
  if (sketches.size() != 1) throw DataError("a state has no start of the round; it is of another version");
  round_start_ = WeightSketch(sketches[0]);
  if (state.same_world()) state.Records("traces", Held::kByEach, traces_);
  double uncharged = options_.bytes_sent ? options_.bytes_sent() - charged_bytes_ : 0;
  state.Number("uncharged bytes", Held::kByEach, uncharged);
  if (state.loads() && options_.bytes_sent) charged_bytes_ = options_.bytes_sent() - uncharged;
  state.Number("averaged positions", Held::kByEach, averaged_);
  state.Number("averaged steps", Held::kByEach, averaged_steps_);
  state.Tensor("average", only_gradients() ? Held::kByAll : Held::kByEach, average_, params_.weights());
  state.Tensor("average of the buffers", Held::kByEach, average_buffers_, params_.buffers());
  {
    const StateVisitor::Within loss(state, "loss of the round");
    round_loss_.VisitState(state);
  }
  if (only_gradients() || options_.warmup_steps > 0) {
    const StateVisitor::Within mean(state, "gradients");
    gradients().VisitState(state);
  }
  if (momentum_of_move_) {
    const StateVisitor::Within move(state, "momentum");
    momentum_of_move_->VisitState(state);
    if (overlap_) state.TensorInPlace("exchanged weights", Held::kByEach, params_.weights());
  }
  const StateVisitor::Within algorithm(state, name());
  VisitAlgorithm(state);
}

std::vector<SyncSpan> Synchronizer::TakeSpans() { return std::exchange(spans_, {}); }

std::vector<RoundTrace> Synchronizer::TakeTraces() { return std::exchange(traces_, {}); }

}  // namespace swarmsync
