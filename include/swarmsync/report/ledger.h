#pragma once

namespace swarmsync {

// Where one worker's wall time went, in seconds. Every moment from the start of the command belongs to one
// account.
struct Ledger {
  double setup = 0;       // until the first step: processes, rendezvous, data, model
  double data = 0;        // making batches
  double compute = 0;     // forward, backward, optimizer
  double sync = 0;        // exchanges, waiting apart
  double wait = 0;        // standing in a collective while another worker was not there yet
  double evaluate = 0;    // on the validation or the test set
  double checkpoint = 0;  // writing files

  // Calls visit(name, seconds) for each account.
  template <class Visitor>
  void Visit(Visitor&& visit) {
    visit("setup", setup);
    visit("data", data);
    visit("compute", compute);
    visit("sync", sync);
    visit("wait", wait);
    visit("evaluate", evaluate);
    visit("checkpoint", checkpoint);
  }
};

}  // namespace swarmsync
