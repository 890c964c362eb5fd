#include "CFuzzer.h"

extern int LLVMFuzzerRunDriver(int *argc, char ***argv, cfuzzer_target target);

int cfuzzer_run(int argc, char **argv, cfuzzer_target target) {
  return LLVMFuzzerRunDriver(&argc, &argv, target);
}
