// The C++ side of the Python package: one class, which swarmsync/__init__.py dresses.

#include <ATen/ATen.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "process_group.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/counting_communicator.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/sync/round_ends.h"
#include "swarmsync/sync/synchronizer.h"
#include "swarmsync/train/config.h"

namespace py = pybind11;

namespace swarmsync {
namespace {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// A module of libtorch's that holds the tensors of one of Python's, under the same names.
class Mirror : public torch::nn::Module {
 public:
  Mirror() = default;
  Mirror(const NamedTensors& parameters, const NamedTensors& buffers) {
    for (const auto& [name, tensor] : parameters) {
      const auto [owner, last] = OwnerOf(name);
      owner->register_parameter(last, tensor, tensor.requires_grad());
    }
    for (const auto& [name, tensor] : buffers) {
      const auto [owner, last] = OwnerOf(name);
      owner->register_buffer(last, tensor);
    }
  }

 private:
  // The part that a name such as "block.0.weight" belongs to, and its last word.
  std::pair<torch::nn::Module*, std::string> OwnerOf(const std::string& name) {
    torch::nn::Module* owner = this;
    std::size_t begin = 0;
    for (std::size_t dot; (dot = name.find('.', begin)) != std::string::npos; begin = dot + 1) {
      const std::string child = name.substr(begin, dot - begin);
      const auto children = owner->named_children();
      owner = children.contains(child) ? children[child].get()
                                       : owner->register_module(child, std::make_shared<Mirror>()).get();
    }
    return {owner, name.substr(begin)};
  }
};

// A worker of a training that Python drives.
class Worker {
 public:
  // group: null for a worker alone. options: config.json's, but for total_steps. rates: the learning rate of
  // each step, or none.
  Worker(const std::string& name, const NamedTensors& parameters, const NamedTensors& buffers,
         std::optional<c10::intrusive_ptr<c10d::ProcessGroup>> group, double timeout,
         const std::string& options, std::int64_t total_steps, std::vector<double> rates)
      : module_(parameters, buffers),
        params_(module_),
        comm_(group ? OverProcessGroup(*group,
                                       std::chrono::milliseconds(static_cast<std::int64_t>(1e3 * timeout)))
                    : ThreadWorld(1, std::chrono::duration<double>(timeout)).Connect(0)),
        counting_(*comm_) {
    const TrainConfig config = Parse(options);
    SyncOptions sync = SyncOptionsOf(config);
    sync.total_steps = total_steps;
    if (!rates.empty()) Follow(std::move(rates), config.period_by_lr, sync);
    sync_ = MakeSynchronizer(name, params_, counting_, WithDefaults(name, sync));
  }

  // Nobody waits for an exchange that is under way with Python's lock.
  ~Worker() {
    const py::gil_scoped_release free;
    sync_.reset();
  }

  bool BeforeOptimizer() { return sync_->BeforeOptimizer(); }
  bool AfterOptimizer(const at::Tensor& loss) { return sync_->AfterOptimizer(loss.detach()); }
  void Finish() { sync_->Finish(); }
  void LoadFinalModel() {
    torch::NoGradGuard no_grad;
    const at::Tensor weights = params_.NewState(), buffers = at::empty_like(params_.buffers());
    sync_->WriteFinalModel(weights, buffers);
    params_.weights().copy_(weights);
    params_.buffers().copy_(buffers);
  }

  std::string name() const { return std::string(sync_->name()); }
  std::int64_t period() const { return sync_->period(); }
  std::int64_t steps() const { return sync_->steps(); }
  std::int64_t rounds() const { return sync_->rounds(); }
  std::string final_model() const { return sync_->final_model(); }
  std::vector<double> fitness() const { return sync_->last_exchange().fitness; }
  int guide() const { return sync_->last_exchange().guide; }
  double bytes_sent() const {
    return static_cast<double>(counting_.traffic().bytes_all_ranks) / counting_.size();
  }
  int rank() const { return comm_->rank(); }
  int size() const { return comm_->size(); }

 private:
  static TrainConfig Parse(const std::string& options) {
    try {
      return FromJsonText(options);
    } catch (const DataError& error) {
      throw UsageError(error.what());
    }
  }

  // Velocities follow the rates, and with a power the rounds too: they follow the highest rate that is still
  // to come, as a warm-up is no reason for long ones.
  static void Follow(std::vector<double> rates, double power, SyncOptions& sync) {
    if (power > 0) {
      std::vector<double> highest = rates;
      for (std::size_t i = highest.size() - 1; i > 0; --i)
        highest[i - 1] = std::max(highest[i - 1], highest[i]);
      RoundSpread spread;
      spread.first = sync.warmup_steps;
      spread.last = sync.total_steps;
      spread.period = sync.period;
      spread.shortest = sync.overlap + 1;
      sync.round_ends = SpreadRounds(spread, [&](std::int64_t step) {
        return std::pow(highest[static_cast<std::size_t>(step - 1)], power);
      });
    }
    sync.rate = [rates = std::move(rates)](std::int64_t step) {
      return rates[std::min(static_cast<std::size_t>(step), rates.size()) - 1];
    };
  }

  Mirror module_;
  FlatParams params_;
  std::unique_ptr<Communicator> comm_;
  CountingCommunicator counting_;
  std::unique_ptr<Synchronizer> sync_;
};

}  // namespace
}  // namespace swarmsync

PYBIND11_MODULE(_swarmsync, module) {
  using swarmsync::Worker;
  const py::handle error = py::register_exception<swarmsync::Error>(module, "Error", PyExc_RuntimeError);
  const auto both = [&](PyObject* other) { return py::make_tuple(error, py::handle(other)); };
  py::register_exception<swarmsync::UsageError>(module, "UsageError", both(PyExc_ValueError));
  py::register_exception<swarmsync::CommError>(module, "CommError", both(PyExc_ConnectionError));
  module.attr("__version__") = SWARMSYNC_VERSION;
  module.def("synchronizers", &swarmsync::SynchronizerNames);

  // Whoever waits for other ranks lets Python's other threads go on.
  using Free = py::call_guard<py::gil_scoped_release>;
  py::class_<Worker>(module, "Worker")
      .def(py::init<const std::string&, const swarmsync::NamedTensors&, const swarmsync::NamedTensors&,
                    std::optional<c10::intrusive_ptr<c10d::ProcessGroup>>, double, const std::string&,
                    std::int64_t, std::vector<double>>(),
           Free())
      .def("before_optimizer", &Worker::BeforeOptimizer, Free())
      .def("after_optimizer", &Worker::AfterOptimizer, Free())
      .def("finish", &Worker::Finish, Free())
      .def("load_final_model", &Worker::LoadFinalModel, Free())
      .def_property_readonly("name", &Worker::name)
      .def_property_readonly("period", &Worker::period)
      .def_property_readonly("steps", &Worker::steps)
      .def_property_readonly("rounds", &Worker::rounds)
      .def_property_readonly("final_model", &Worker::final_model)
      .def_property_readonly("fitness", &Worker::fitness)
      .def_property_readonly("guide", &Worker::guide)
      .def_property_readonly("bytes_sent", &Worker::bytes_sent)
      .def_property_readonly("rank", &Worker::rank)
      .def_property_readonly("size", &Worker::size);
}
