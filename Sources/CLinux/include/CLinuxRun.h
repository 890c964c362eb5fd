// Starts a command in a directory tree, in namespaces of its own, with a prepared plan of mounts. The
// functions decide nothing: Swift makes the plan (Platform/Processes/UserCommand.swift).
//
// 1. All mounts are in the child's mount namespace. The kernel removes them when its last process ends.
// 2. The first process of the PID namespace dies with its parent, and all others die with it.
// 3. A path of the plan is walked name by name and never through a symbolic link. Entries are created only
//    on a tmpfs that the plan mounts, never in the tree.
// 4. Between clone and exec the child makes only system calls, because other threads of the parent may hold
//    locks.
#ifndef CLINUX_RUN_H
#define CLINUX_RUN_H

#include <stddef.h>
#include <stdint.h>

enum {
  CLINUX_STEP_MOUNT = 1,  // mount the file system `source` on the directory `path`
  CLINUX_STEP_BIND,       // bind `source` on `path`: an absolute path, or one below the tree
  CLINUX_STEP_READ_ONLY,  // make `path` read-only, if it exists
  CLINUX_STEP_DIRECTORY,  // the rest create `path` on a tmpfs of the plan
  CLINUX_STEP_DEVICE,
  CLINUX_STEP_LINK,
  CLINUX_STEP_FILE,
};
enum { CLINUX_NOSUID = 1, CLINUX_NODEV = 2, CLINUX_NOEXEC = 4, CLINUX_RDONLY = 8, CLINUX_RECURSIVE = 16 };

struct clinux_step {
  int kind;
  uint32_t flags;
  uint32_t mode;
  uint32_t major, minor;
  const char *path;     // below the tree, without a leading slash
  const char *source;   // the type, the bound path, or the target of a link
  const char *options;  // of a file system
  const void *content;  // of a file
  size_t content_n;
  uint64_t dev, ino;    // of the bound entry
};

struct clinux_run {
  const char *tree;  // an absolute path without links; NULL to run the command in the caller's root
  uint64_t tree_dev, tree_ino;
  const struct clinux_step *steps;
  int step_count;
  int has_network;           // 0 for a network namespace without interfaces
  char *const *programs;     // the paths to execute, in this order; NULL at the end
  char *const *arguments;
  char *const *environment;
  int output;  // the standard output of the command
};

// Where a start failed.
enum {
  CLINUX_RUN_DONE = 0,
  CLINUX_RUN_NAMESPACE = 1,
  CLINUX_RUN_TREE,
  CLINUX_RUN_STEP,
  CLINUX_RUN_ROOT,
  CLINUX_RUN_PROCESS,
  CLINUX_RUN_EXEC,
  CLINUX_RUN_LOST,  // the first process ended without a report
};

struct clinux_run_result {
  int stage;
  int error;      // errno of a failed start
  int step;       // the index of a failed step
  int status;     // as from waitpid(2)
  int leftovers;  // the processes that the command left running, and that were ended
};

// Starts the process of a command, which waits for clinux_run_begin. Returns the process to wait for and to
// signal, or a negative errno. `report` receives the descriptor for clinux_run_wait, and `begin` the one for
// clinux_run_begin. The calling thread must wait: the kernel ties the child's life to it.
int clinux_run_start(const struct clinux_run *run, int *report, int *begin);
// Lets the command begin. If this process dies before, the command never runs.
void clinux_run_begin(int begin);
// Waits until the command and every process that it left behind have ended.
int clinux_run_wait(int process, int report, struct clinux_run_result *result);
// Sends a signal to the command.
void clinux_run_signal(int process, int signal);
// Remembers the limit on open files that commands get, before this process raises its own.
void clinux_remember_file_limit(void);
// The foreground process group of the terminal, if this process belongs to it; otherwise -1.
int clinux_foreground(int fd);
// Makes a process group the foreground one again.
void clinux_set_foreground(int fd, int group);

#endif
