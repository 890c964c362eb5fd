// The entry to libFuzzer (compiler-rt/include/fuzzer/FuzzerInterface.h) for a program that has a
// `main` of its own, as every executable of SwiftPM's has.
#ifndef CFUZZER_H
#define CFUZZER_H

#include <stddef.h>
#include <stdint.h>

typedef int (*cfuzzer_target)(const uint8_t *data, size_t size);

/// Runs the fuzzer with its own arguments until it ends or finds something; then it exits.
int cfuzzer_run(int argc, char **argv, cfuzzer_target target);

#endif
