#pragma once

namespace swarmsync {

// A command that starts others of this program must not leave them behind, however it ends: even SIGKILL
// gives it no chance to stop them itself, so the kernel does.

// Programs that this process starts from now on, and that call the function below, are killed when it ends.
void TakeChildrenAlong();

// When a process that called the function above has started this one: dies with it.
void DieWithParent();

}  // namespace swarmsync
