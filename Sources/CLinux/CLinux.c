#define _GNU_SOURCE 1
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <malloc.h>
#include <nss.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

// Copies (path, n) to a C string `var` on the stack, or returns the error from the function.
#define C_PATH(var, path, n)                       \
  char var[PATH_MAX];                              \
  if ((n) >= sizeof var) return -ENAMETOOLONG;     \
  if (memchr((path), 0, (n)) != NULL) return -EINVAL; \
  memcpy(var, (path), (n));                        \
  var[n] = 0

// Makes the call again while a signal interrupts it; the value is a negative errno on failure.
#define RETRY(type, call)                  \
  ({                                       \
    type r_;                               \
    do {                                   \
      r_ = (call);                         \
    } while (r_ < 0 && errno == EINTR);    \
    r_ < 0 ? (type)-errno : r_;            \
  })

#define ONCE(call) ((call) < 0 ? -errno : 0)

int clinux_openat(int dir, const uint8_t *path, size_t n, int flags, uint32_t mode) {
  C_PATH(p, path, n);
  return RETRY(int, openat(dir, p, flags | O_CLOEXEC, (mode_t)mode));
}
int clinux_close(int fd) { return ONCE(close(fd)); }
int64_t clinux_read(int fd, void *to, size_t n) { return RETRY(int64_t, read(fd, to, n)); }
int64_t clinux_pread(int fd, void *to, size_t n, int64_t offset) {
  return RETRY(int64_t, pread(fd, to, n, offset));
}
int64_t clinux_write(int fd, const void *from, size_t n) {
  return RETRY(int64_t, write(fd, from, n));
}
int64_t clinux_pwrite(int fd, const void *from, size_t n, int64_t offset) {
  return RETRY(int64_t, pwrite(fd, from, n, offset));
}
int clinux_fsync(int fd) { return RETRY(int, fsync(fd)); }
int clinux_syncfs(int fd) { return RETRY(int, syncfs(fd)); }
int clinux_set_direct(int fd, int is_on) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  return ONCE(fcntl(fd, F_SETFL, is_on ? flags | O_DIRECT : flags & ~O_DIRECT));
}
int clinux_sync_start(int fd, int64_t offset, int64_t n) {
  return ONCE(sync_file_range(fd, offset, n, SYNC_FILE_RANGE_WRITE));
}
int clinux_write_back(int fd, int64_t offset, int64_t n) {
  int r = ONCE(sync_file_range(fd, offset, n,
                               SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                   SYNC_FILE_RANGE_WAIT_AFTER));
  return r < 0 ? r : -posix_fadvise(fd, offset, n, POSIX_FADV_DONTNEED);
}
int clinux_ftruncate(int fd, int64_t size) { return RETRY(int, ftruncate(fd, size)); }
int64_t clinux_seek_data(int fd, int64_t offset) {
  return RETRY(int64_t, lseek(fd, offset, SEEK_DATA));
}
int64_t clinux_seek_hole(int fd, int64_t offset) {
  return RETRY(int64_t, lseek(fd, offset, SEEK_HOLE));
}
int64_t clinux_seek_start(int fd) { return RETRY(int64_t, lseek(fd, 0, SEEK_SET)); }
int64_t clinux_getdents(int fd, void *to, size_t n) {
  return RETRY(int64_t, syscall(SYS_getdents64, fd, to, n));
}

uint64_t clinux_file_system_type(int fd) {
  struct statfs s;
  return fstatfs(fd, &s) == 0 ? (uint64_t)(unsigned long)s.f_type : 0;
}
// Whether the file lies in a read-only btrfs subvolume, and whether that is a snapshot of another one.
static int read_only_subvolume(int fd, int *is_snapshot) {
  *is_snapshot = 0;
#ifdef BTRFS_IOC_GET_SUBVOL_INFO
  struct btrfs_ioctl_get_subvol_info_args info;
  memset(&info, 0, sizeof info);
  if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0) return 0;
  for (size_t i = 0; i < sizeof info.parent_uuid; i++)
    if (info.parent_uuid[i] != 0) *is_snapshot = 1;
  return (info.flags & 1) != 0;  // BTRFS_ROOT_SUBVOL_RDONLY
#else
  (void)fd;
  return 0;
#endif
}
int clinux_is_read_only_subvolume(int fd) {
  int is_snapshot;
  return read_only_subvolume(fd, &is_snapshot);
}
int clinux_open_uncovered(int fd) {
#ifdef SYS_open_tree
  // OPEN_TREE_CLONE (1) without AT_RECURSIVE: the mount of the directory, without those on top of it.
  const unsigned flags = 1u | O_CLOEXEC | AT_EMPTY_PATH;
  return RETRY(int, (int)syscall(SYS_open_tree, fd, "", flags));
#else
  (void)fd;
  return -ENOSYS;
#endif
}
int clinux_is_read_only_snapshot(int fd) {
  int is_snapshot;
  return read_only_subvolume(fd, &is_snapshot) && is_snapshot;
}

static void convert(const struct statx *s, struct clinux_stat *to) {
  to->dev = makedev(s->stx_dev_major, s->stx_dev_minor);
  to->ino = s->stx_ino;
  to->size = s->stx_size;
  to->blocks = s->stx_blocks;
  to->mode = s->stx_mode;
  to->nlink = s->stx_nlink;
  to->uid = s->stx_uid;
  to->gid = s->stx_gid;
  to->rdev_major = s->stx_rdev_major;
  to->rdev_minor = s->stx_rdev_minor;
  to->mtime_s = s->stx_mtime.tv_sec;
  to->mtime_ns = s->stx_mtime.tv_nsec;
  to->ctime_s = s->stx_ctime.tv_sec;
  to->ctime_ns = s->stx_ctime.tv_nsec;
#ifdef STATX_ATTR_MOUNT_ROOT
  to->is_mount_root = (s->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#else
  to->is_mount_root = 0;
#endif
#ifdef STATX_MNT_ID
  to->has_mount_id = (s->stx_mask & STATX_MNT_ID) != 0;
  to->mount_id = to->has_mount_id ? s->stx_mnt_id : 0;
#else
  to->has_mount_id = 0;
  to->mount_id = 0;
#endif
  to->inode_flags = (s->stx_attributes & STATX_ATTR_IMMUTABLE ? CLINUX_IMMUTABLE : 0) |
                    (s->stx_attributes & STATX_ATTR_APPEND ? CLINUX_APPEND : 0) |
                    (s->stx_attributes & STATX_ATTR_NODUMP ? CLINUX_NODUMP : 0);
  to->reports_flags = (s->stx_attributes_mask & STATX_ATTR_IMMUTABLE) != 0;
}
#ifdef STATX_MNT_ID
#define STAT_FIELDS (STATX_BASIC_STATS | STATX_MNT_ID)
#else
#define STAT_FIELDS STATX_BASIC_STATS
#endif
int clinux_statx(int dir, const uint8_t *path, size_t n, int follow, struct clinux_stat *to) {
  C_PATH(p, path, n);
  struct statx s;
  int flags = AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  int r = RETRY(int, statx(dir, p, flags, STAT_FIELDS, &s));
  if (r == 0) convert(&s, to);
  return r;
}
int clinux_fstat(int fd, struct clinux_stat *to) {
  struct statx s;
  int r = RETRY(int, statx(fd, "", AT_EMPTY_PATH, STAT_FIELDS, &s));
  if (r == 0) convert(&s, to);
  return r;
}

static const struct {
  unsigned ours, kernels;
} inode_flag_pairs[] = {{CLINUX_IMMUTABLE, FS_IMMUTABLE_FL},
                        {CLINUX_APPEND, FS_APPEND_FL},
                        {CLINUX_NODUMP, FS_NODUMP_FL},
                        {CLINUX_NOCOW, FS_NOCOW_FL}};
int clinux_inode_flags(int fd) {
  int kernels = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &kernels) < 0) return -errno;
  int ours = 0;
  for (size_t i = 0; i < sizeof inode_flag_pairs / sizeof *inode_flag_pairs; i++)
    if ((unsigned)kernels & inode_flag_pairs[i].kernels) ours |= (int)inode_flag_pairs[i].ours;
  return ours;
}
int clinux_set_inode_flags(int fd, uint32_t flags) {
  int kernels = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &kernels) < 0) return -errno;
  int wanted = kernels;
  for (size_t i = 0; i < sizeof inode_flag_pairs / sizeof *inode_flag_pairs; i++) {
    int bit = (int)inode_flag_pairs[i].kernels;
    wanted = flags & inode_flag_pairs[i].ours ? wanted | bit : wanted & ~bit;
  }
  if (wanted == kernels) return 0;
  return ONCE(ioctl(fd, FS_IOC_SETFLAGS, &wanted));
}

int clinux_rename_exclusive_flag(void) { return RENAME_NOREPLACE; }
int clinux_rename_exchange_flag(void) { return RENAME_EXCHANGE; }
int clinux_renameat(int from_dir, const uint8_t *from, size_t from_n, int to_dir,
                    const uint8_t *to, size_t to_n, unsigned flags) {
  C_PATH(a, from, from_n);
  C_PATH(b, to, to_n);
  if (flags == 0) return ONCE(renameat(from_dir, a, to_dir, b));
  return ONCE(renameat2(from_dir, a, to_dir, b, flags));
}
int clinux_linkat(int from_dir, const uint8_t *from, size_t from_n, int to_dir, const uint8_t *to,
                  size_t to_n) {
  C_PATH(a, from, from_n);
  C_PATH(b, to, to_n);
  return ONCE(linkat(from_dir, a, to_dir, b, 0));
}
const int clinux_o_tmpfile = O_TMPFILE;
const int clinux_o_direct = O_DIRECT;
const int clinux_o_path = O_PATH;
int clinux_link_open(int fd, int to_dir, const uint8_t *to, size_t to_n) {
  C_PATH(b, to, to_n);
  if (linkat(fd, "", to_dir, b, AT_EMPTY_PATH) == 0) return 0;
  // That takes CAP_DAC_READ_SEARCH; the way through /proc does not.
  if (errno != ENOENT && errno != EPERM && errno != EINVAL) return -errno;
  char a[40];
  snprintf(a, sizeof a, "/proc/self/fd/%d", fd);
  return ONCE(linkat(AT_FDCWD, a, to_dir, b, AT_SYMLINK_FOLLOW));
}
int clinux_unlinkat(int dir, const uint8_t *path, size_t n, int is_dir) {
  C_PATH(p, path, n);
  return ONCE(unlinkat(dir, p, is_dir ? AT_REMOVEDIR : 0));
}
int clinux_mkdirat(int dir, const uint8_t *path, size_t n, uint32_t mode) {
  C_PATH(p, path, n);
  return ONCE(mkdirat(dir, p, (mode_t)mode));
}
int clinux_symlinkat(const uint8_t *target, size_t target_n, int dir, const uint8_t *path,
                     size_t n) {
  C_PATH(t, target, target_n);
  C_PATH(p, path, n);
  return ONCE(symlinkat(t, dir, p));
}
int64_t clinux_readlinkat(int dir, const uint8_t *path, size_t n, uint8_t *to, size_t to_n) {
  C_PATH(p, path, n);
  return RETRY(int64_t, readlinkat(dir, p, (char *)to, to_n));
}
int clinux_mknodat(int dir, const uint8_t *path, size_t n, uint32_t mode, uint32_t major,
                   uint32_t minor) {
  C_PATH(p, path, n);
  return ONCE(mknodat(dir, p, (mode_t)mode, makedev(major, minor)));
}
int clinux_fchownat(int dir, const uint8_t *path, size_t n, uint32_t uid, uint32_t gid) {
  C_PATH(p, path, n);
  return ONCE(fchownat(dir, p, uid, gid, AT_SYMLINK_NOFOLLOW));
}
int clinux_fchown(int fd, uint32_t uid, uint32_t gid) { return ONCE(fchown(fd, uid, gid)); }
int clinux_fchmod(int fd, uint32_t mode) { return ONCE(fchmod(fd, (mode_t)mode)); }
// An entry is reached through /proc/self/fd. Where that is missing, ENOENT says nothing about the entry.
static int64_t through_proc(int64_t r) {
  return r == -ENOENT && access("/proc/self/fd", F_OK) < 0 ? -ENOSYS : r;
}
int clinux_fchmodat(int dir, const uint8_t *path, size_t n, uint32_t mode) {
  C_PATH(p, path, n);
  // fchmodat follows links (AT_SYMLINK_NOFOLLOW came with Linux 6.6): the entry is pinned first, and
  // only if it is no link is its mode changed, through the pin.
  int fd = RETRY(int, openat(dir, p, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (fd < 0) return fd;
  struct statx s;
  int r = RETRY(int, statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &s));
  if (r == 0 && (s.stx_mode & S_IFMT) == S_IFLNK) r = -ELOOP;
  if (r == 0) {
    char pin[64];
    snprintf(pin, sizeof pin, "/proc/self/fd/%d", fd);
    r = (int)through_proc(ONCE(chmod(pin, (mode_t)mode)));
  }
  close(fd);
  return r;
}
int clinux_set_mtime_at(int dir, const uint8_t *path, size_t n, int64_t s, uint32_t ns) {
  C_PATH(p, path, n);
  struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = s, .tv_nsec = ns}};
  return ONCE(utimensat(dir, p, t, AT_SYMLINK_NOFOLLOW));
}
int clinux_set_mtime(int fd, int64_t s, uint32_t ns) {
  struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = s, .tv_nsec = ns}};
  return ONCE(futimens(fd, t));
}
int clinux_flock(int fd, int exclusive, int wait) {
  return RETRY(int, flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)));
}

int clinux_lock_byte(int fd, int64_t at, int exclusive, int wait) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);  // l_pid must be 0 (fcntl(2), open file description locks)
  lock.l_type = exclusive ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return RETRY(int, fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock));
}

void clinux_unlock(int fd) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_UNLCK;
  lock.l_whence = SEEK_SET;
  RETRY(int, fcntl(fd, F_OFD_SETLK, &lock));
  RETRY(int, flock(fd, LOCK_UN));
}

// The entry (dir, path) as a path that the l*xattr calls take: they have no *at form before
// Linux 6.13, but a magic link of /proc is followed even in the middle of a path.
static int entry_path(int dir, const uint8_t *path, size_t n, char *to, size_t to_n) {
  if (memchr(path, 0, n) != NULL) return -EINVAL;
  int k = n == 0 ? snprintf(to, to_n, "/proc/self/fd/%d", dir)
                 : snprintf(to, to_n, "/proc/self/fd/%d/%.*s", dir, (int)n, (const char *)path);
  return k < 0 || (size_t)k >= to_n ? -ENAMETOOLONG : 0;
}
#define ENTRY(var)                                         \
  char var[PATH_MAX];                                      \
  int e_ = entry_path(dir, path, n, var, sizeof var);      \
  if (e_ < 0) return e_

int64_t clinux_listxattr(int dir, const uint8_t *path, size_t n, char *to, size_t to_n) {
  if (n == 0) return RETRY(int64_t, flistxattr(dir, to, to_n));
  ENTRY(p);
  return through_proc(RETRY(int64_t, llistxattr(p, to, to_n)));
}
int64_t clinux_getxattr(int dir, const uint8_t *path, size_t n, const char *name, void *to,
                        size_t to_n) {
  if (n == 0) return RETRY(int64_t, fgetxattr(dir, name, to, to_n));
  ENTRY(p);
  return through_proc(RETRY(int64_t, lgetxattr(p, name, to, to_n)));
}
int clinux_setxattr(int dir, const uint8_t *path, size_t n, const char *name, const void *value,
                    size_t value_n) {
  if (n == 0) return RETRY(int, fsetxattr(dir, name, value, value_n, 0));
  ENTRY(p);
  return (int)through_proc(RETRY(int, lsetxattr(p, name, value, value_n, 0)));
}
int clinux_removexattr(int dir, const uint8_t *path, size_t n, const char *name) {
  if (n == 0) return RETRY(int, fremovexattr(dir, name));
  ENTRY(p);
  return (int)through_proc(RETRY(int, lremovexattr(p, name)));
}

static int64_t now_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
int64_t clinux_clock_real_ns(void) { return now_ns(CLOCK_REALTIME); }
int64_t clinux_clock_monotonic_ns(void) { return now_ns(CLOCK_MONOTONIC); }
int clinux_random(void *to, size_t n) {
  return RETRY(int64_t, getrandom(to, n, 0)) == (int64_t)n ? 0 : -EIO;
}
int clinux_raise_file_limit(void) {
  clinux_remember_file_limit();
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) < 0) return -errno;
  r.rlim_cur = r.rlim_max;
  return ONCE(setrlimit(RLIMIT_NOFILE, &r));
}
void clinux_widen_descriptors(int count) {
  int any = open("/", O_PATH | O_CLOEXEC);
  if (any < 0) return;
  int highest = fcntl(any, F_DUPFD_CLOEXEC, count - 1);
  if (highest >= 0) close(highest);
  close(any);
}
uint32_t clinux_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  int n = CPU_COUNT(&set);
  return n < 1 ? 1 : (uint32_t)n;
}
int64_t clinux_free_bytes(int fd) {
  struct statvfs v;
  int r = RETRY(int, fstatvfs(fd, &v));
  return r < 0 ? r : (int64_t)(v.f_bavail * v.f_frsize);
}
int64_t clinux_free_nodes(int fd) {
  struct statvfs v;
  int r = RETRY(int, fstatvfs(fd, &v));
  // File systems that make inodes as they need them (btrfs) say that they have none at all.
  return r < 0 ? r : v.f_files == 0 ? INT64_MAX : (int64_t)v.f_favail;
}
int clinux_statfs(int fd, struct clinux_volume *to) {
  struct statfs s;
  int r = RETRY(int, fstatfs(fd, &s));
  if (r < 0) return r;
  to->type = (uint64_t)(uint32_t)s.f_type;
  to->block_bytes = s.f_bsize > 0 ? (uint64_t)s.f_bsize : 0;
  to->max_name_bytes = s.f_namelen > 0 ? (uint64_t)s.f_namelen : 0;
  to->is_sized = s.f_blocks > 0;
  to->is_read_only = (s.f_flags & ST_RDONLY) != 0;
  return 0;
}
int clinux_clone(int from, int to) { return ONCE(ioctl(to, FICLONE, from)); }
int clinux_can_clone(int dir) {
  static const char block[4096] = {1};
  int a = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int b = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int can = a >= 0 && b >= 0 && write(a, block, sizeof block) == (ssize_t)sizeof block &&
            ioctl(b, FICLONE, a) == 0;
  if (a >= 0) close(a);
  if (b >= 0) close(b);
  return can;
}
int64_t clinux_exclusive_bytes(int fd) {
  enum { EXTENTS = 64 };
  union {
    struct fiemap map;
    char bytes[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
  } request;
  int64_t total = 0;
  uint64_t start = 0;
  // Each round begins after the last extent of the one before.
  for (;;) {
    memset(&request.map, 0, sizeof request.map);
    request.map.fm_start = start;
    request.map.fm_length = FIEMAP_MAX_OFFSET - start;
    request.map.fm_extent_count = EXTENTS;
    int r = RETRY(int, ioctl(fd, FS_IOC_FIEMAP, &request.map));
    if (r < 0) return r;
    uint32_t count = request.map.fm_mapped_extents;
    if (count == 0) return total;
    if (count > EXTENTS) return -EIO;
    for (uint32_t i = 0; i < count; i++) {
      const struct fiemap_extent *e = &request.map.fm_extents[i];
      if (!(e->fe_flags & (FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_DATA_INLINE)))
        total += (int64_t)e->fe_length;
      if (e->fe_flags & FIEMAP_EXTENT_LAST) return total;
    }
    const struct fiemap_extent *last = &request.map.fm_extents[count - 1];
    uint64_t next = last->fe_logical + last->fe_length;
    if (next <= start) return -EIO;
    start = next;
  }
}
int clinux_terminal_columns(int fd) {
  struct winsize w;
  return isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 0;
}

struct thread {
  pthread_t id;
  void (*body)(void *);
  void *context;
};
static void *run(void *argument) {
  struct thread *t = argument;
  t->body(t->context);
  return NULL;
}
static void *run_detached(void *argument) {
  struct thread *t = argument;
  t->body(t->context);
  free(t);
  return NULL;
}
static struct thread *start(void *(*entry)(void *), void (*body)(void *), void *context,
                            size_t stack) {
  struct thread *t = malloc(sizeof *t);
  if (t == NULL) return NULL;
  t->body = body;
  t->context = context;
  pthread_t id;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (stack > 0) pthread_attr_setstacksize(&attributes, stack);
  int r = pthread_create(&id, &attributes, entry, t);
  pthread_attr_destroy(&attributes);
  if (r != 0) {
    free(t);
    return NULL;
  }
  if (entry == run_detached) {
    pthread_detach(id);  // `t` is the thread's own now
  } else {
    t->id = id;
  }
  return t;
}
void *clinux_thread_start(void (*body)(void *), void *context, size_t stack) {
  return start(run, body, context, stack);
}
int clinux_thread_detached(void (*body)(void *), void *context) {
  return start(run_detached, body, context, 0) == NULL ? -EAGAIN : 0;
}
void clinux_thread_join(void *thread) {
  struct thread *t = thread;
  pthread_join(t->id, NULL);
  free(t);
}

// A pipe whose ends are no standard streams, so that giving them to a child moves none of them away.
static int high_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  for (int i = 0; i < 2; i++) {
    if (ends[i] > 2) continue;
    int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
    if (moved < 0) {
      int r = -errno;
      close(ends[0]);
      close(ends[1]);
      return r;
    }
    close(ends[i]);
    ends[i] = moved;
  }
  return 0;
}

int clinux_spawn(const char *program, char *const arguments[], char *const environment[],
                 int pipes[3]) {
  int ends[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
  int r = 0;
  for (int i = 0; i < 3 && r == 0; i++) r = high_pipe(ends[i]);
  pid_t process = -1;
  if (r == 0) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < 3; i++) {
      posix_spawn_file_actions_adddup2(&actions, ends[i][i == 0 ? 0 : 1], i);
    }
    // Descriptors that our own parent left open are not for the program.
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    r = -posix_spawn(&process, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  for (int i = 0; i < 3; i++) {
    int ours = ends[i][i == 0 ? 1 : 0], theirs = ends[i][i == 0 ? 0 : 1];
    if (theirs >= 0) close(theirs);
    if (r != 0) {
      if (ours >= 0) close(ours);
    } else {
      fcntl(ours, F_SETFL, O_NONBLOCK);
      pipes[i] = ours;
    }
  }
  return r != 0 ? r : process;
}

void clinux_close_on_exec(int first) {
  // CLOSE_RANGE_CLOEXEC, since Linux 5.11; without it, only `clinux_spawn` and its like keep files to themselves.
  syscall(SYS_close_range, first, ~0U, 1U << 2);
}

int clinux_pipe(int ends[2]) { return high_pipe(ends); }

int clinux_spawn_stage(const char *program, char *const arguments[], char *const environment[],
                       int dir, int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  pid_t process = -1;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addfchdir_np(&actions, dir);
  if (input >= 0) {
    posix_spawn_file_actions_adddup2(&actions, input, 0);
  } else {
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  }
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  int r = -posix_spawn(&process, program, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return r != 0 ? r : process;
}

int clinux_spawn_inheriting(const char *program, char *const arguments[],
                            char *const environment[]) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  pid_t process = -1;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  int r = -posix_spawnp(&process, program, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return r != 0 ? r : process;
}

int clinux_send_datagram(const char *path, const void *bytes, size_t count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
  strcpy(address.sun_path, path);
  socklen_t size = sizeof address;
  if (path[0] == '@') {  // unix(7): an abstract name begins with a null byte, and has no end
    address.sun_path[0] = 0;
    size = offsetof(struct sockaddr_un, sun_path) + strlen(path);
  }
  int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0) return -errno;
  ssize_t n = sendto(s, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  int r = n < 0 ? -errno : 0;
  close(s);
  return r;
}

int clinux_wait(int process) {
  int status;
  int r = RETRY(int, waitpid(process, &status, 0));
  if (r < 0) return r;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void clinux_kill(int process) { kill(process, SIGKILL); }

int64_t clinux_write_pipe(int fd, const void *from, size_t n) {
  return clinux_write_pipe_pair(fd, from, n, NULL, 0);
}

int64_t clinux_write_pipe_pair(int fd, const void *a, size_t a_n, const void *b, size_t b_n) {
  sigset_t pipe_signal, before, pending;
  struct iovec parts[2] = {{(void *)a, a_n}, {(void *)b, b_n}};
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  int64_t r = RETRY(int64_t, writev(fd, parts, b_n == 0 ? 1 : 2));
  if (r == -EPIPE && !sigismember(&pending, SIGPIPE)) {
    struct timespec now = {0, 0};
    while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return r;
}

int clinux_wait_stream(int read_fd, int write_fd, int milliseconds) {
  struct pollfd polls[2] = {{read_fd, POLLIN, 0}, {write_fd, POLLOUT, 0}};
  int r = poll(polls, 2, milliseconds);
  if (r < 0) return errno == EINTR ? 0 : -errno;
  return (polls[0].revents != 0) | (polls[1].revents != 0) << 1;
}

int clinux_set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return 0;
}

int clinux_socket_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ? -errno : 0;
}

void clinux_end_output(int fd) { shutdown(fd, SHUT_WR); }

void clinux_widen_pipe(int fd, int bytes) { fcntl(fd, F_SETPIPE_SZ, bytes); }

int clinux_wait_ready(const int files[2], int write_fd) {
  struct pollfd polls[3] = {{files[0], POLLIN, 0}, {files[1], POLLIN, 0}, {write_fd, POLLOUT, 0}};
  int r = RETRY(int, poll(polls, 3, -1));
  if (r < 0) return r;
  return (polls[0].revents != 0) | (polls[1].revents != 0) << 1 | (polls[2].revents != 0) << 7;
}

char **clinux_environment(void) { return environ; }

static int argument_count = 0;
static char **arguments_of_main = NULL;
int clinux_argument_count(void) { return argument_count; }
const char *clinux_argument(int index) { return arguments_of_main[index]; }

// Runs before every other constructor; glibc hands each the arguments of main.
__attribute__((constructor(101))) static void before_others(int count, char **arguments) {
  argument_count = count;
  arguments_of_main = arguments;
  // A constructor of Swift's runtime aborts where it cannot read /proc/self/exe, unless it is told
  // where the runtime lies. It looks there for nothing but a program that prints backtraces.
  char link;
  if (readlink("/proc/self/exe", &link, 1) < 0) setenv("SWIFT_ROOT", "/", 0);
}

void clinux_fill_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one. Close-on-exec: programs that are started find it closed, too.
    int opened = open(fd == 0 ? "/dev/null" : "/dev/full", (fd == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    if (opened < 0) opened = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened != fd && opened >= 0) close(opened);
  }
}

int clinux_take_standard_streams(int ends[2]) {
  for (int fd = 0; fd <= 1; fd++) {
    ends[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (ends[fd] < 0) return -errno;
  }
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(2, 1) < 0) return -errno;
  close(nothing);
  return 0;
}

void clinux_ignore_signal(int number) { signal(number, SIG_IGN); }

static int interrupt_pipe = -1;
static void tell_pipe(int signal, siginfo_t *info, void *context) {
  (void)context;
  int before = errno;
  uint8_t byte = (uint8_t)(signal | (info->si_code == SI_KERNEL ? CLINUX_FROM_KERNEL : 0));
  (void)!write(interrupt_pipe, &byte, 1);
  errno = before;
}
int clinux_catch_interrupts(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  interrupt_pipe = ends[1];
  const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction now, caught = {.sa_sigaction = tell_pipe, .sa_flags = SA_RESTART | SA_SIGINFO};
    if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
      sigaction(signals[i], &caught, NULL);
  }
  return ends[0];
}
void clinux_restore_interrupts(void) {
  const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction now;
    if (sigaction(signals[i], NULL, &now) == 0 && now.sa_sigaction == tell_pipe)
      signal(signals[i], SIG_DFL);
  }
}
void clinux_die_of(int number) {
  signal(number, SIG_DFL);
  kill(getpid(), number);
  _exit(128 + number);
}

void clinux_return_freed_memory(void) { mallopt(M_MMAP_THRESHOLD, 256 << 10); }

void clinux_limit_host_lookup(void) { __nss_configure_lookup("hosts", "files dns"); }
