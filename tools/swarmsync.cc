#include "swarmsync/cli/command_line.h"

int main(int argc, char** argv) {
  return swarmsync::RunCommandLine(argc, argv, swarmsync::ModelRegistry::WithBuiltIn());
}
