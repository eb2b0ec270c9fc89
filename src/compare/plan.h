#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "swarmsync/base/names.h"

namespace swarmsync {

// What is the same for all runs of a comparison.
enum class Budget {
  kEpochs,   // passes over the training data
  kSamples,  // samples seen by all workers together
  kBytes,    // epochs, and bytes that a worker sends: a synchronizer whose exchange costs half of an
             // all-reduce exchanges twice as often
};
template <>
struct EnumNames<Budget> {
  static constexpr std::string_view kWhat = "budget";
  static constexpr std::array<std::pair<Budget, std::string_view>, 3> kNames{
      {{Budget::kEpochs, "epochs"}, {Budget::kSamples, "samples"}, {Budget::kBytes, "bytes"}}};
};

// Flags of `train` with their values as text.
using Flags = std::map<std::string, std::string>;

// A flag and the values to try.
struct Axis {
  std::string flag;
  std::vector<std::string> values;
  std::string sync;      // the synchronizer that it is for; "": all that the flag concerns
  bool extends = false;  // whether its grid may be extended
};

struct CompareOptions {
  std::vector<std::string> datasets, synchronizers;
  std::vector<std::int64_t> periods;
  std::string baseline;    // the synchronizer that the others are held against
  std::vector<Axis> axes;  // the grid, the same for all synchronizers but for options that only some have
  Flags common;            // of all runs
  std::vector<std::string> tuning_seeds, final_seeds;
  std::int64_t validation = 0;     // training samples held out while tuning
  std::int64_t tuning_epochs = 0;  // of a run that chooses the setting; 0: as long as a final one
  Budget budget = Budget::kEpochs;
  std::int64_t samples = 0;  // of Budget::kSamples
  int extensions = 0;        // how often each part of a grid may be extended
  int finalists = 0;         // settings that are tried with all tuning seeds, after the first; 0: all
  std::function<bool(const Flags&)> allowed = [](const Flags&) { return true; };  // settings that may be run
};

// What the comparison compares: one line of its table.
struct Group {
  std::string dataset, sync;
  std::int64_t period = 0;      // as it was asked for; 1 for ssgd
  std::int64_t run_period = 0;  // as it is run
};

enum class Stage { kTune, kFinal };

struct PlannedRun {
  Stage stage;
  Flags setting;  // of the grid
  Flags flags;    // all that `train` is told
};

// The validation accuracy or the test accuracy of a run that has been made, by its flags; below 0 when it
// failed; nothing when it has not been made.
using Outcomes = std::function<std::optional<double>(const Flags&)>;

// What a group needs and has. Pure: the same options and outcomes give the same plan, so a comparison that
// was stopped goes on from its records alone.
struct GroupPlan {
  std::vector<PlannedRun> missing;  // runs to make now, in order; empty when the group is complete
  std::int64_t later = 0;           // runs that are sure to follow these
  std::optional<Flags> chosen;      // the setting of the final runs, once the tuning is complete
  double chosen_score = 0;          // its mean validation accuracy, when there was a choice
};

std::vector<Group> Groups(const CompareOptions& options);

// Whether a synchronizer exchanges at every step, so that one group serves all periods.
bool IgnoresPeriod(const std::string& sync);

// The group's settings: the product of the axes that concern its synchronizer, in parts, each with one choice
// of the values that do not extend (those of an axis with fewer than three, such as a momentum of 0 or 0.9).
// Where the best of a part has a number that is the least or the greatest that was tried there, the next one
// beyond follows (for the learning rate in the grid's ratio, else in its difference) with the best's other
// values; so a part is extended until its best lies inside, at most `extensions` times. With `finalists`, all
// this is done with the first tuning seed alone, and the best few of all parts go on to the other seeds.
GroupPlan PlanGroup(const CompareOptions& options, const Group& group, const Outcomes& outcomes);

// The final runs of a setting, one for each seed.
std::vector<PlannedRun> FinalRuns(const CompareOptions& options, const Group& group, const Flags& setting);

// "lr 0.1, momentum 0.9"; in the order of the axes.
std::string Describe(const CompareOptions& options, const Flags& setting);

}  // namespace swarmsync
