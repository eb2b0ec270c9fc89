#pragma once

#include <algorithm>
#include <string>
#include <type_traits>

#include "swarmsync/train/config.h"

namespace swarmsync {

// Members that are written as text of their own.
inline void ParseText(const std::string& text, Sharding& member) { member = ParseSharding(text); }
inline void ParseText(const std::string& text, Schedule& member) { member = ParseSchedule(text); }
inline void ParseText(const std::string& text, Link& member) { member = ParseLink(text); }
template <class T>
inline constexpr bool kIsText =
    std::is_same_v<T, Sharding> || std::is_same_v<T, Schedule> || std::is_same_v<T, Link>;

// What config.json calls a flag.
inline std::string KeyOf(std::string flag) {
  std::replace(flag.begin(), flag.end(), '-', '_');
  return flag;
}

// The flags that say nothing about the result, but for --seed.
inline constexpr const char* kRunGroup = "The run";

// The groups of flags that an exchange depends on.
inline constexpr const char* kSyncGroup = "Synchronization";
inline constexpr const char* kSwarmGroup = "The swarm (pso-ps, informed-pso-ps, leader)";
inline constexpr const char* kPeersGroup = "The peers";

// Calls visit(name, member, help, group) for each flag of `train`, in the order of --help. name: without
// dashes in front; config.json has underscores where the flag has dashes.
template <class Config, class Visitor>
void VisitFields(Config& c, Visitor&& visit) {
  constexpr const char* kData = "Data and model";
  visit("dataset", c.dataset,
        "mnist, fashion-mnist, cifar10; idx:DIR for the four IDX files of a directory, cifar:DIR for "
        "CIFAR-10's "
        "binary files, images:DIR for a folder of class folders of PNG and JPEG files",
        kData);
  visit("data-dir", c.data_dir, "where data sets are kept [$SWARMSYNC_DATA_DIR or ~/.local/share/swarmsync]",
        kData);
  visit("image-size", c.image_size,
        "images:DIR: height and width that the images are resized to [the size that most of them have]",
        kData);
  visit("augment", c.augment,
        "none or standard (padded by 4, a random crop of the old size, every second image mirrored)", kData);
  visit("loader-threads", c.loader_threads,
        "threads of each worker that read mini-batches ahead; 0 reads each when its step begins", kData);
  visit("validation", c.validation, "hold out this many training samples and evaluate on them", kData);
  visit("shard", c.shard,
        "iid (all draw from all samples) or label-skew:ALPHA (each has its own mix of classes, from a "
        "Dirichlet "
        "distribution)",
        kData);
  visit("label-noise", c.label_noise,
        "one number for each worker, A,B,...: this part of its training labels is drawn at random", kData);
  visit("model", c.model,
        "lenet5, mlp, resnet8, resnet18, resnet20, vgg11, or torchscript:FILE for a module that "
        "torch.jit.save wrote",
        kData);
  visit("init", c.init,
        "begin with the weights of this file, a model.safetensors or a PyTorch state dict, in place of "
        "random ones",
        kData);

  constexpr const char* kRecipe = "Recipe";
  visit("optimizer", c.optimizer, "local optimizer: sgd or adamw", kRecipe);
  visit("lr", c.lr, "learning rate", kRecipe);
  visit("worker-lr", c.worker_lr, "a learning rate for each worker, A,B,..., instead of --lr", kRecipe);
  visit("momentum", c.momentum, "momentum of sgd", kRecipe);
  visit("nesterov", c.nesterov, "Nesterov momentum", kRecipe);
  visit("weight-decay", c.weight_decay,
        "L2 penalty (sgd) or decoupled decay (adamw), not of biases and BatchNorm's parameters", kRecipe);
  visit("decay-all", c.decay_all, "decay biases and BatchNorm's parameters too", kRecipe);
  visit("schedule", c.schedule,
        "of the learning rate: constant, cosine, or step:E1,E2,...@GAMMA (times GAMMA, by default 0.1, after "
        "each of "
        "these epochs)",
        kRecipe);
  visit("lr-warmup", c.lr_warmup, "epochs during which the learning rate rises from 0", kRecipe);
  visit("label-smoothing", c.label_smoothing, "this part of a label is spread over all classes", kRecipe);
  visit("clip-grad-norm", c.clip_grad_norm, "scale the gradient down to this norm; 0: off", kRecipe);
  visit("epochs", c.epochs, "length of the training in epochs [5]", kRecipe);
  visit("steps", c.steps, "length of the training in steps of one worker, instead of --epochs", kRecipe);
  visit("batch-size", c.batch_size, "samples in a mini-batch of each worker", kRecipe);
  visit("accumulate", c.accumulate, "go through a mini-batch in so many parts, which takes less memory",
        kRecipe);
  visit("amp", c.amp, "mixed precision: none or bf16", kRecipe);

  visit("sync", c.sync,
        "ssgd, average, pso-ps, informed-pso-ps, easgd, slowmo, diloco or leader (docs/synchronizers.md)",
        kSyncGroup);
  visit("period", c.period, "local steps between two exchanges (ssgd exchanges at every step)", kSyncGroup);
  visit("period-by-lr", c.period_by_lr,
        "as many exchanges, but closer together while the learning rate is high: with its power X (1: so far "
        "apart as it is low); 0: evenly",
        kSyncGroup);
  visit("sync-warmup-steps", c.sync_warmup_steps,
        "exchange gradients at every step for so many steps before the rounds begin (post-local SGD)",
        kSyncGroup);
  visit(
      "momentum-at-sync", c.momentum_at_sync,
      "the local optimizer's state after an exchange: keep, reset, average (over the workers), or move (what "
      "the weights' move tells of it)",
      kSyncGroup);
  visit("buffers", c.buffers,
        "BatchNorm's statistics at an exchange: average, guide (all take the best worker's) or local",
        kSyncGroup);
  visit("wire", c.wire, "weights and gradients travel in fp32, bf16 (half of the bytes) or int8 (a quarter)",
        kSyncGroup);
  visit("overlap", c.overlap,
        "exchange while the next so many steps are made, and move the weights after them; 0: at once",
        kSyncGroup);
  visit("group-size", c.group_size,
        "so many consecutive workers, such as those of one host, average among themselves often and are one "
        "worker for the synchronizer",
        kSyncGroup);
  visit("group-period", c.group_period,
        "local steps between two averages within a group [a quarter of --period]", kSyncGroup);
  visit("bucket-mb", c.bucket_mb,
        "gradients are exchanged in parts of about so many megabytes, each as soon as backward has made it",
        kSyncGroup);
  visit("recalibrate", c.recalibrate,
        "mini-batches of each worker that renew BatchNorm's statistics for the final model", kSyncGroup);
  visit("final-average", c.final_average,
        "the final model is the average of all rounds, round k weighted by about k to this power; "
        "0: the last [pso-ps, informed-pso-ps 8; others 0]",
        kSyncGroup);
  visit("guard", c.guard, "leave a worker that is far out, or not finite, out of the exchange", kSyncGroup);

  visit("velocity", c.swarm.velocity,
        "what the velocity holds: swarm (the pulls), total (the whole move) or nesterov (the same, and the "
        "next round begins where it leads)",
        kSwarmGroup);
  visit("inertia", c.swarm.inertia,
        "w: how much of the velocity is kept; FROM:TO, which changes over the training; or auto: each worker "
        "has its own and learns from the best [0.7 at period 16, less for longer ones and with --momentum]",
        kSwarmGroup);
  visit("cognitive", c.swarm.cognitive, "c1: pull to the worker's own best", kSwarmGroup);
  visit("social", c.swarm.social,
        "c2: pull to the guide [pso-ps 0.1, more above period 16; leader 0.2; informed-pso-ps 1]",
        kSwarmGroup);
  visit("guide", c.swarm.guide, "whom pso-ps pulls to: the best worker, or a random one (a control)",
        kSwarmGroup);
  visit("random", c.swarm.random, "how often r1 and r2 are drawn: none, round, tensor or element",
        kSwarmGroup);
  visit("memory", c.swarm.memory, "how long a best is remembered: historic, current or decay", kSwarmGroup);
  visit("memory-decay", c.swarm.memory_decay, "how fast a remembered best worsens with --memory decay",
        kSwarmGroup);
  visit("fitness", c.fitness, "train-loss (mean of the round) or probe (loss on a shared batch)",
        kSwarmGroup);

  visit("beta", c.swarm.beta, "how much more a fitter worker counts in informed-pso-ps's guide", kSwarmGroup);

  visit("elastic-alpha", c.peers.elastic_alpha, "easgd: step towards the center [0.9 / workers, or groups]",
        kPeersGroup);
  visit("slow-alpha", c.peers.slow_alpha, "slowmo: outer step", kPeersGroup);
  visit("slow-beta", c.peers.slow_beta, "slowmo: outer momentum [as --inertia]", kPeersGroup);
  visit("outer-lr", c.peers.outer_lr, "diloco: outer learning rate", kPeersGroup);
  visit("outer-momentum", c.peers.outer_momentum, "diloco: outer Nesterov momentum", kPeersGroup);

  constexpr const char* kWorkers = "Workers";
  visit("workers", c.workers, "how many workers to start", kWorkers);
  visit("backend", c.backend, "workers are processes or threads", kWorkers);
  visit("device", c.device,
        "auto, cpu, cuda (threads share the first GPU, each process has its own) or cuda:I", kWorkers);
  visit("memory-format", c.memory_format,
        "contiguous or channels-last [channels-last on a GPU with --amp, else contiguous]", kWorkers);
  visit("cuda-graph", c.cuda_graph,
        "record forward and backward on a GPU once and play them [on for built-in models]", kWorkers);
  visit("threads-per-worker", c.threads_per_worker, "CPU threads of each worker [cores / workers]", kWorkers);
  visit("timeout", c.timeout, "seconds that any wait for another worker may take", kWorkers);
  visit("transport", c.transport,
        "under a launcher: ranks talk through gloo (shared memory on a host) or mpi, where it is built in",
        kWorkers);
  visit("link", c.link,
        "emulate a network: every exchange lasts as long as on links of this RATE,LATENCY, such as "
        "100mbit,20ms",
        kWorkers);
  visit("min-workers", c.min_workers,
        "go on when workers are lost, as long as so many are left [1 for processes on the CPU, else all of "
        "them]",
        kWorkers);
  visit("max-restarts", c.max_restarts, "how many lost workers are started again, in the whole run",
        kWorkers);

  visit("seed", c.seed, "seed of the initial weights, the data order and the swarm", kRunGroup);
  visit("out", c.out, "directory for the results [a new one under runs/]", kRunGroup);
  visit("overwrite", c.overwrite, "replace an earlier run in --out", kRunGroup);
  visit("checkpoint-every", c.checkpoint_every,
        "rounds between two checkpoints, from which a run that was stopped goes on (--resume); 0: none",
        kRunGroup);
  visit("resume", c.resume,
        "go on with the run in this directory from its last checkpoint; its flags hold, and only lengths, "
        "workers "
        "and what is shown may be given anew",
        kRunGroup);
  visit("check-replicas", c.check_replicas,
        "rounds between two comparisons of what all workers must hold alike, by checksum; 0: none",
        kRunGroup);
  visit("trace", c.trace, "write trace.json: what each worker did when, for chrome://tracing or Perfetto",
        kRunGroup);
  visit("log-every", c.log_every, "steps between two records of the loss", kRunGroup);
  visit("quiet", c.quiet, "print nothing but errors", kRunGroup);
  visit("progress", c.progress, "auto, bar, plain or none", kRunGroup);
}

}  // namespace swarmsync
