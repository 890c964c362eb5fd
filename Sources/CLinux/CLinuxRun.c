#define _GNU_SOURCE 1
#include "CLinuxRun.h"

#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Seconds that processes get to end after SIGTERM, when the command itself has ended.
enum { GRACE_SECONDS = 5 };

// The descriptor of the report in the child.
enum { REPORT = 3 };

static _Noreturn void fail(int stage, int error, int step) {
  struct clinux_run_result r = {.stage = stage, .error = error, .step = step};
  (void)!write(REPORT, &r, sizeof r);
  _exit(125);
}

// Opens an entry without following a link, name by name. Returns an O_PATH descriptor, or a negative errno.
static int walk(int from, const char *path) {
  int at = openat(from, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  while (at >= 0) {
    while (*path == '/') path++;
    if (*path == 0) return at;
    size_t n = strcspn(path, "/");
    char name[NAME_MAX + 1];
    if (n > NAME_MAX || (n == 2 && path[0] == '.' && path[1] == '.')) {
      close(at);
      return -ENAMETOOLONG;
    }
    memcpy(name, path, n);
    name[n] = 0;
    path += n;
    int next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close(at);
    struct stat s;
    if (next >= 0 && fstat(next, &s) == 0 && S_ISLNK(s.st_mode)) {
      close(next);
      return -ELOOP;
    }
    if (next < 0) return -error;
    at = next;
  }
  return -errno;
}

// Opens the directory above the last name of a path, and returns the name.
static int walk_above(int from, const char *path, const char **name) {
  char above[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t n = slash == NULL ? 0 : (size_t)(slash - path);
  if (n >= sizeof above) return -ENAMETOOLONG;
  memcpy(above, path, n);
  above[n] = 0;
  *name = slash == NULL ? path : slash + 1;
  return walk(from, above);
}

struct pin {
  char path[32];
};
// The path by which mount(2) takes an open entry.
static struct pin pin(int fd) {
  struct pin p;
  int digits = 0;
  char reversed[12];
  do {
    reversed[digits++] = (char)('0' + fd % 10);
    fd /= 10;
  } while (fd > 0);
  memcpy(p.path, "/proc/self/fd/", 14);
  for (int i = 0; i < digits; i++) p.path[14 + i] = reversed[digits - 1 - i];
  p.path[14 + digits] = 0;
  return p;
}

static unsigned long mount_flags(uint32_t flags) {
  return (flags & CLINUX_NOSUID ? MS_NOSUID : 0) | (flags & CLINUX_NODEV ? MS_NODEV : 0) |
         (flags & CLINUX_NOEXEC ? MS_NOEXEC : 0) | (flags & CLINUX_RDONLY ? MS_RDONLY : 0);
}

// Makes the mount at a path read-only and keeps its other flags.
static int make_read_only(int root, const char *path) {
  int fd = walk(root, path);
  if (fd < 0) return fd;
  struct statfs s = {.f_flags = 0};
  int r = fstatfs(fd, &s) < 0 ? -errno : 0;
  // The numbers of ST_NOSUID, ST_NODEV and ST_NOEXEC are those of the mount flags.
  unsigned long kept = (unsigned long)s.f_flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
  const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | kept;
  if (r == 0 && mount(NULL, pin(fd).path, NULL, flags, NULL) < 0) r = -errno;
  close(fd);
  return r;
}

static int is_directory(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
}

// Opens the entry to bind. A relative path names one that an earlier step created below the tree.
static int open_source(int root, const struct clinux_step *step) {
  if (step->source[0] != '/') return walk(root, step->source);
  int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (host < 0) return -errno;
  int fd = walk(host, step->source);
  close(host);
  struct stat s;
  if (fd >= 0 && (fstat(fd, &s) < 0 || s.st_dev != step->dev || s.st_ino != step->ino)) {
    close(fd);
    return -ESTALE;
  }
  return fd;
}

static int bind_entry(int root, const struct clinux_step *step) {
  int from = open_source(root, step), r = 0;
  if (from < 0) return from;
  int to = walk(root, step->path);
  if (to < 0) {
    close(from);
    return to;
  }
  if (is_directory(from) != is_directory(to)) r = is_directory(to) ? -EISDIR : -ENOTDIR;
  unsigned long flags = MS_BIND | (step->flags & CLINUX_RECURSIVE ? MS_REC : 0);
  if (r == 0 && mount(pin(from).path, pin(to).path, NULL, flags, NULL) < 0) r = -errno;
  close(from);
  close(to);
  return r == 0 && step->flags & CLINUX_RDONLY ? make_read_only(root, step->path) : r;
}

static int mount_file_system(int root, const struct clinux_step *step) {
  int fd = walk(root, step->path);
  if (fd < 0) return fd;
  int r = is_directory(fd) ? 0 : -ENOTDIR;
  if (r == 0 && mount(step->source, pin(fd).path, step->source, mount_flags(step->flags), step->options) < 0)
    r = -errno;
  close(fd);
  return r;
}

// Binds an entry to itself and makes that read-only.
static int protect(int root, const char *path) {
  int fd = walk(root, path);
  if (fd == -ENOENT) return 0;
  if (fd < 0) return fd;
  struct pin p = pin(fd);
  int r = mount(p.path, p.path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
  close(fd);
  return r == 0 ? make_read_only(root, path) : r;
}

static int write_all(int fd, const char *from, size_t n) {
  while (n > 0) {
    ssize_t k = write(fd, from, n);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return -EIO;
    from += k;
    n -= (size_t)k;
  }
  return 0;
}

static int create(int root, dev_t tree, const struct clinux_step *step) {
  const char *name;
  int dir = walk_above(root, step->path, &name);
  if (dir < 0) return dir;
  struct statfs fs;
  struct stat s;
  // Entries are created on a tmpfs of the plan only.
  int r = fstatfs(dir, &fs) < 0 || fstat(dir, &s) < 0 ? -errno : 0;
  if (r == 0 && (fs.f_type != TMPFS_MAGIC || s.st_dev == tree)) r = -EROFS;
  if (r == 0) switch (step->kind) {
      case CLINUX_STEP_DIRECTORY:
        if (mkdirat(dir, name, 0700) < 0) r = errno == EEXIST ? 0 : -errno;
        if (r == 0 && fchmodat(dir, name, (mode_t)step->mode, 0) < 0) r = -errno;
        break;
      case CLINUX_STEP_DEVICE:
        if (mknodat(dir, name, S_IFCHR | 0600, makedev(step->major, step->minor)) < 0) r = -errno;
        if (r == 0 && fchmodat(dir, name, (mode_t)step->mode, 0) < 0) r = -errno;
        break;
      case CLINUX_STEP_LINK:
        if (symlinkat(step->source, dir, name) < 0) r = -errno;
        break;
      default: {
        int file = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0) {
          r = -errno;
          break;
        }
        r = write_all(file, step->content, step->content_n);
        if (r == 0 && fchmod(file, (mode_t)step->mode) < 0) r = -errno;
        close(file);
      }
    }
  close(dir);
  return r;
}

static int take_step(int root, dev_t tree, const struct clinux_step *step) {
  switch (step->kind) {
    case CLINUX_STEP_MOUNT: return mount_file_system(root, step);
    case CLINUX_STEP_BIND: return bind_entry(root, step);
    case CLINUX_STEP_READ_ONLY: return protect(root, step->path);
    default: return create(root, tree, step);
  }
}

// Opens the tree and checks that it is the one of the plan.
static int open_tree_root(const struct clinux_run *run) {
  int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (host < 0) return -errno;
  int root = walk(host, run->tree);
  close(host);
  struct stat s;
  if (root >= 0 && (fstat(root, &s) < 0 || s.st_dev != run->tree_dev || s.st_ino != run->tree_ino)) {
    close(root);
    return -ESTALE;
  }
  return root;
}

// Makes the tree the root of this process, with the mounts of the plan.
static void enter_tree(const struct clinux_run *run) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail(CLINUX_RUN_NAMESPACE, errno, 0);
  int below = open_tree_root(run);
  if (below < 0) fail(CLINUX_RUN_TREE, -below, 0);
  struct pin p = pin(below);
  if (mount(p.path, p.path, NULL, MS_BIND | MS_REC, NULL) < 0) fail(CLINUX_RUN_TREE, errno, 0);
  close(below);
  // The same names lead to the new mount now.
  int root = open_tree_root(run);
  if (root < 0) fail(CLINUX_RUN_TREE, -root, 0);
  for (int i = 0; i < run->step_count; i++) {
    int r = take_step(root, (dev_t)run->tree_dev, &run->steps[i]);
    if (r < 0) fail(CLINUX_RUN_STEP, -r, i);
  }
  if (fchdir(root) < 0) fail(CLINUX_RUN_ROOT, errno, 0);
  if (syscall(SYS_pivot_root, ".", ".") == 0) {
    // The old root is on top of the new one (pivot_root(2)).
    if (umount2(".", MNT_DETACH) < 0) fail(CLINUX_RUN_ROOT, errno, 0);
  } else {
    // The root of an initramfs cannot be exchanged.
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0) fail(CLINUX_RUN_ROOT, errno, 0);
  }
  if (chdir("/") < 0) fail(CLINUX_RUN_ROOT, errno, 0);
  close(root);
}

// The command cannot load modules into the node's kernel, set its clock or reach its hardware.
static void drop_capabilities(void) {
  const int dropped[] = {CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME, CAP_SYS_BOOT, CAP_WAKE_ALARM};
  for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0);
}

static _Noreturn void execute(const struct clinux_run *run) {
  int error = ENOENT;
  for (char *const *program = run->programs; *program != NULL; program++) {
    execve(*program, run->arguments, run->environment);
    if (errno != ENOENT && errno != ENOTDIR) {
      error = errno;
      // As a shell does it, a later directory of PATH may have a program that can be executed.
      if (errno != EACCES) break;
    }
  }
  fail(CLINUX_RUN_EXEC, error, 0);
}

static volatile pid_t command_process = 0;

// Passes a signal on to the command. One that the terminal sent has reached it already.
static void pass_on(int signal, siginfo_t *info, void *context) {
  (void)context;
  int before = errno;
  if (info->si_code != SI_KERNEL && command_process > 0) kill(command_process, signal);
  errno = before;
}

static const int passed_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

static void pass_signals_on(void) {
  for (size_t i = 0; i < sizeof passed_signals / sizeof *passed_signals; i++) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = pass_on;
    a.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(passed_signals[i], &a, NULL);
  }
}

// Ends the processes that the command left running. Returns their number.
static int end_leftovers(void) {
  int leftovers = 0;
  while (waitpid(-1, NULL, WNOHANG) > 0) {}
  if (kill(-1, SIGTERM) < 0) return 0;
  kill(-1, SIGCONT);
  for (int pauses = 0; pauses < GRACE_SECONDS * 100; pauses++) {
    pid_t r;
    while ((r = waitpid(-1, NULL, WNOHANG)) > 0) leftovers++;
    if (r < 0 && errno == ECHILD) return leftovers;
    struct timespec pause = {.tv_nsec = 10000000};
    nanosleep(&pause, NULL);
  }
  // The end of this process ends the rest.
  kill(-1, SIGKILL);
  while (waitpid(-1, NULL, 0) > 0) leftovers++;
  return leftovers;
}

static struct rlimit first_file_limit = {.rlim_cur = 0};
void clinux_remember_file_limit(void) { (void)getrlimit(RLIMIT_NOFILE, &first_file_limit); }

// Gives signals and limits the values that a fresh program expects. A signal that our own parent
// ignored stays ignored, as nohup(1) needs it.
static void restore_defaults(void) {
  for (int i = 1; i < _NSIG; i++) {
    struct sigaction now;
    if (sigaction(i, NULL, &now) < 0) continue;
    if (now.sa_handler != SIG_IGN || i == SIGPIPE || i == SIGXFSZ) signal(i, SIG_DFL);
  }
  if (first_file_limit.rlim_cur > 0) setrlimit(RLIMIT_NOFILE, &first_file_limit);
}

static void close_from(int first) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0) return;
#endif
  struct rlimit r;
  int highest = getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_max < 1 << 20 ? (int)r.rlim_max : 1 << 20;
  for (int fd = first; fd < highest; fd++) close(fd);
}

// clone(2) as fork(2), without the handlers that the C library runs in a child.
static pid_t start_process(unsigned long flags) {
  return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static _Noreturn void start_command(const struct clinux_run *run) {
  sigset_t none;
  sigemptyset(&none);
  if (run->tree != NULL) drop_capabilities();
  sigprocmask(SIG_SETMASK, &none, NULL);
  execute(run);
}

// The first process of the namespaces.
static _Noreturn void run_init(const struct clinux_run *run) {
  enter_tree(run);
  pid_t process = start_process(0);
  if (process < 0) fail(CLINUX_RUN_PROCESS, errno, 0);
  if (process == 0) start_command(run);
  command_process = process;
  pass_signals_on();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  struct clinux_run_result r = {.stage = CLINUX_RUN_DONE};
  while (1) {
    int status;
    pid_t ended = waitpid(-1, &status, 0);
    if (ended == process) {
      r.status = status;
      break;
    }
    if (ended < 0 && errno != EINTR) fail(CLINUX_RUN_PROCESS, errno, 0);
  }
  command_process = 0;
  r.leftovers = end_leftovers();
  (void)!write(REPORT, &r, sizeof r);
  _exit(0);
}

static _Noreturn void run_child(const struct clinux_run *run, int report, int go) {
  restore_defaults();
  if (run->tree != NULL) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // The end of the pipe means that the parent died before it asked for that signal.
  char byte;
  ssize_t n;
  do {
    n = read(go, &byte, 1);
  } while (n < 0 && errno == EINTR);
  if (n != 1) _exit(125);
  if (run->output != 1 && dup2(run->output, 1) < 0) _exit(125);
  if (report != REPORT && dup3(report, REPORT, O_CLOEXEC) < 0) _exit(125);
  close_from(REPORT + 1);
  if (run->tree == NULL) start_command(run);
  run_init(run);
}

int clinux_run_start(const struct clinux_run *run, int *report, int *begin) {
  int reports[2], go[2];
  int r = clinux_pipe(reports);
  if (r < 0) return r;
  r = clinux_pipe(go);
  if (r < 0) {
    close(reports[0]);
    close(reports[1]);
    return r;
  }
  unsigned long flags = 0;
  if (run->tree != NULL) {
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    if (!run->has_network) flags |= CLONE_NEWNET;
  }
  // No handler of ours may run in the child.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t process = start_process(flags);
  r = process < 0 ? -errno : process;
  if (process == 0) {
    close(go[1]);
    run_child(run, reports[1], go[0]);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(reports[1]);
  close(go[0]);
  if (process > 0) {
    *report = reports[0];
    *begin = go[1];
  } else {
    close(reports[0]);
    close(go[1]);
  }
  return r;
}

void clinux_run_begin(int begin) {
  clinux_write_pipe(begin, "g", 1);
  close(begin);
}

int clinux_run_wait(int process, int report, struct clinux_run_result *result) {
  int status = 0;
  pid_t r;
  do {
    r = waitpid(process, &status, 0);
  } while (r < 0 && errno == EINTR);
  memset(result, 0, sizeof *result);
  struct clinux_run_result reported;
  // Everything that could write to the pipe has ended.
  int64_t n = r < 0 ? -errno : clinux_read(report, &reported, sizeof reported);
  close(report);
  if (r < 0) return (int)n;
  if (n == (int64_t)sizeof reported) {
    *result = reported;
  } else {
    result->stage = CLINUX_RUN_LOST;
    result->status = status;
  }
  return 0;
}

void clinux_run_signal(int process, int signal) { kill(process, signal); }

int clinux_foreground(int fd) {
  pid_t group = tcgetpgrp(fd);
  return group > 0 && group == getpgrp() ? group : -1;
}
void clinux_set_foreground(int fd, int group) {
  sigset_t output, before;
  sigemptyset(&output);
  sigaddset(&output, SIGTTOU);
  // A background process that changes the terminal would be stopped.
  pthread_sigmask(SIG_BLOCK, &output, &before);
  tcsetpgrp(fd, group);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
