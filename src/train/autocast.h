#pragma once

#include "swarmsync/data/dataset.h"
#include "swarmsync/model/registry.h"
#include "swarmsync/train/config.h"

namespace swarmsync {

// While it lives, this thread's forward computes what gains by it in the precision of `amp`, on that kind of
// device.
// Backward, which follows the forward, need not be inside.
class Autocast {
 public:
  Autocast(Amp amp, at::DeviceType device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  Amp amp_;
  at::DeviceType device_;
};

// Throws UsageError unless the model can go forward and backward with such images in that precision on the
// CPU.
void CheckAutocast(Amp amp, ImageClassifier& model, ImageShape shape);

}  // namespace swarmsync
