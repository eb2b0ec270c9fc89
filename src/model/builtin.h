#pragma once

#include "swarmsync/model/registry.h"

namespace swarmsync {

// LeNet-5 as commonly trained on MNIST (after LeCun et al. 1998, with ReLU, max pooling and full
// connections): 61,706 parameters for 1x28x28 and 10 classes.
std::shared_ptr<ImageClassifier> MakeLeNet5(const ModelInput& input);

// Two hidden layers of 200 units with ReLU (the "2NN" of McMahan et al. 2017): 199,210 parameters for MNIST.
std::shared_ptr<ImageClassifier> MakeMlp(const ModelInput& input);

// Residual networks (resnet.cc); for 3x32x32 and 10 classes they have 75,290, 269,722 and 11,173,962
// parameters.
std::shared_ptr<ImageClassifier> MakeResNet8(const ModelInput& input);
std::shared_ptr<ImageClassifier> MakeResNet20(const ModelInput& input);
std::shared_ptr<ImageClassifier> MakeResNet18(const ModelInput& input);

// VGG-11 with BatchNorm (vgg.cc): 9,231,114 parameters for 3x32x32 and 10 classes.
std::shared_ptr<ImageClassifier> MakeVgg11(const ModelInput& input);

}  // namespace swarmsync
