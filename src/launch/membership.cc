#include "swarmsync/launch/membership.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace swarmsync {

Membership::Membership(const Rules& rules)
    : rules_(rules), states_(static_cast<std::size_t>(rules.workers), State::kWorks) {
  generation_.number = 1;
  generation_.members.resize(states_.size());
  std::iota(generation_.members.begin(), generation_.members.end(), 0);
}

bool Membership::IsMember(int worker) const {
  return std::binary_search(generation_.members.begin(), generation_.members.end(), worker);
}

void Membership::Lose(int worker, const std::string& how) {
  State& state = states_[static_cast<std::size_t>(worker)];
  if (state == State::kLost || state == State::kDone) return;
  state = State::kLost;
  reasons_.push_back(fmt::format("worker {} {}", worker, how));
}

void Membership::OnEnded(int worker, const std::string& how) { Lose(worker, how); }

void Membership::OnDone(int worker) { states_[static_cast<std::size_t>(worker)] = State::kDone; }

void Membership::OnWaiting(int worker, int generation, const std::string& why) {
  State& state = states_[static_cast<std::size_t>(worker)];
  if (state == State::kLost || state == State::kDone || generation < 0) return;
  if (state == State::kStarts) reasons_.push_back(fmt::format("worker {} joins", worker));
  // What it says of a generation that is over already is old.
  if (state == State::kWorks && generation < generation_.number) return;
  if (state == State::kWorks && reasons_.empty())
    reasons_.push_back(fmt::format("worker {}: {}", worker, why));
  state = State::kWaits;
}

bool Membership::ChangeIsDue() const {
  for (int worker = 0; worker < rules_.workers; ++worker) {
    const State state = states_[static_cast<std::size_t>(worker)];
    if (state == State::kWaits || (state == State::kLost && IsMember(worker))) return true;
  }
  return false;
}

Membership::Decision Membership::Decide(double now) {
  Decision decision;
  const auto count = [&](State state) { return std::count(states_.begin(), states_.end(), state); };
  const bool members_left =
      std::any_of(generation_.members.begin(), generation_.members.end(), [&](int worker) {
        const State state = states_[static_cast<std::size_t>(worker)];
        return state == State::kWorks || state == State::kWaits;
      });
  const bool ends = generation_.last || count(State::kDone) > 0;
  for (int worker = 0; worker < rules_.workers; ++worker) {
    State& state = states_[static_cast<std::size_t>(worker)];
    // First the others go on without it.
    const bool can_start = state == State::kLost && !IsMember(worker) && restarts_ < rules_.max_restarts;
    if (!can_start || !members_left || ends) continue;
    ++restarts_;
    state = State::kStarts;
    decision.restart.push_back(worker);
  }
  // Newcomers have nothing of their own to go on with, and nothing to come to where the others are ending.
  for (int worker = 0; worker < rules_.workers; ++worker) {
    State& state = states_[static_cast<std::size_t>(worker)];
    const bool newcomer = state == State::kStarts || (state == State::kWaits && !IsMember(worker));
    if (!newcomer || (members_left && !ends)) continue;
    state = State::kLost;
    decision.expel.push_back(worker);
  }
  const bool stuck = generation_.last && count(State::kWaits) > 0;  // the last one has nothing behind it
  if (!members_left || stuck) {
    if (count(State::kDone) == 0) decision.over = fmt::format("{}", fmt::join(reasons_, "; "));
    return decision;
  }
  if (!ChangeIsDue() || generation_.last) {
    due_since_.reset();
    return decision;
  }

  decision.change_is_due = true;
  if (!due_since_) due_since_ = now;
  // Without a loss or a newcomer, members wait because one of them has not answered.
  bool loss = false, newcomer = false;
  for (int worker = 0; worker < rules_.workers; ++worker) {
    const State state = states_[static_cast<std::size_t>(worker)];
    loss = loss || (IsMember(worker) && state == State::kLost);
    newcomer = newcomer || (!IsMember(worker) && state == State::kWaits);
  }
  // Several that have not answered may sit in a collective with one that never will, until that times out.
  const auto working = std::count_if(generation_.members.begin(), generation_.members.end(), [&](int worker) {
    return states_[static_cast<std::size_t>(worker)] == State::kWorks;
  });
  const double patience = working > 1 ? 2 * rules_.patience + rules_.grace : rules_.patience;
  const double limit = loss || newcomer ? patience : rules_.grace;
  for (const int worker : generation_.members) {
    if (states_[static_cast<std::size_t>(worker)] != State::kWorks) continue;
    if (now < *due_since_ + limit) return decision;
    Lose(worker, "did not answer");
    decision.expel.push_back(worker);
  }

  Generation next;
  for (int worker = 0; worker < rules_.workers; ++worker) {
    if (states_[static_cast<std::size_t>(worker)] == State::kWaits) next.members.push_back(worker);
  }
  const bool goes_on =
      std::any_of(next.members.begin(), next.members.end(), [&](int worker) { return IsMember(worker); });
  if (!goes_on) return decision;  // the next call ends it
  for (const int worker : next.members) states_[static_cast<std::size_t>(worker)] = State::kWorks;
  next.number = generation_.number + 1;
  next.reason = fmt::format("{}", fmt::join(reasons_, "; "));
  next.last = static_cast<int>(next.members.size()) < rules_.min_workers;
  reasons_.clear();
  due_since_.reset();
  generation_ = next;
  decision.next = next;
  decision.change_is_due = false;
  return decision;
}

}  // namespace swarmsync
