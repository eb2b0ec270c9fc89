#pragma once

// All that a training loop of your own needs. Read sync/synchronizer.h first.
#include "swarmsync/base/error.h"
#include "swarmsync/comm/communicator.h"
#include "swarmsync/launch/environment.h"
#include "swarmsync/params/flat_params.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/params/state_dict.h"
#include "swarmsync/sync/synchronizer.h"
