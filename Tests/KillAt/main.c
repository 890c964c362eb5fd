// killat N COUNT-FILE PROGRAM ARGUMENT...
//
// Runs the program and ends it with SIGKILL at its N-th system call that changes a file system, before
// the kernel does it; counted over all its threads, including the calls of SQLite and libc. A
// crash between two such calls leaves what a crash at the later one leaves, so a sweep over all N tries
// every state that a crash can leave. Writes how many calls there were to COUNT-FILE. Exits with 137
// when it has killed the program, else with the program's own status.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/ptrace.h>

static int changes_files(const struct ptrace_syscall_info *info) {
  const __u64 *a = info->entry.args;
  switch (info->entry.nr) {
#ifdef __NR_open
    case __NR_open: return (a[1] & (O_CREAT | O_TRUNC)) != 0;
    case __NR_creat: case __NR_rename: case __NR_link: case __NR_unlink: case __NR_rmdir:
    case __NR_mkdir: case __NR_symlink: case __NR_mknod: case __NR_chown: case __NR_lchown:
    case __NR_chmod: case __NR_utimes: case __NR_futimesat: return 1;
#endif
#ifdef __NR_renameat
    case __NR_renameat: return 1;
#endif
    case __NR_openat: return (a[2] & (O_CREAT | O_TRUNC)) != 0;
    case __NR_write: case __NR_writev: return a[0] > 2;  // not what it tells people
    case __NR_pwrite64: case __NR_pwritev: case __NR_ftruncate: case __NR_truncate:
    case __NR_fallocate: case __NR_copy_file_range: case __NR_renameat2: case __NR_linkat:
    case __NR_unlinkat: case __NR_mkdirat: case __NR_symlinkat: case __NR_mknodat:
    case __NR_fchown: case __NR_fchownat: case __NR_fchmod: case __NR_fchmodat:
    case __NR_utimensat: case __NR_setxattr: case __NR_lsetxattr: case __NR_fsetxattr:
    case __NR_removexattr: case __NR_lremovexattr: case __NR_fremovexattr: return 1;
    case __NR_ioctl: return a[1] == FICLONE;
    default: return 0;
  }
}

static void say(const char *name, long count) {
  FILE *file = fopen(name, "w");
  if (file) {
    fprintf(file, "%ld\n", count);
    fclose(file);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  long target = atol(argv[1]), count = 0;
  pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execvp(argv[3], argv + 3);
    _exit(127);
  }
  int status;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 2;
  if (ptrace(PTRACE_SETOPTIONS, child, 0,
             PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC) != 0)
    return 2;
  ptrace(PTRACE_SYSCALL, child, 0, 0);
  int killed = 0;
  for (;;) {
    pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) {
      if (errno == EINTR) continue;
      return 2;
    }
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (thread != child) continue;
      say(argv[2], count);
      if (killed) return 137;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (!WIFSTOPPED(status)) continue;
    int signal = WSTOPSIG(status), deliver = 0;
    if (signal == (SIGTRAP | 0x80)) {
      struct ptrace_syscall_info info;
      if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof info, &info) > 0 &&
          info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_files(&info) && ++count == target) {
        killed = 1;
        kill(child, SIGKILL);
        continue;
      }
    } else if (signal != SIGTRAP && signal != SIGSTOP) {
      deliver = signal;
    }
    ptrace(PTRACE_SYSCALL, thread, 0, deliver);
  }
}
