// What Swift's Glibc module lacks, as plain functions. It is compiled without _GNU_SOURCE, so
// this header must not define it either (it would redefine types of that module); CLinux.c does.
//
// Every function returns a negative errno on failure, so that errno is read at once, in C, and
// nothing between can change it. A call that a signal interrupts is made again. Paths are
// (pointer, length), not C strings: a NUL inside one is EINVAL, never a silent cut.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct clinux_stat {
  uint64_t dev, ino, size, blocks;
  uint32_t mode, nlink, uid, gid;
  uint32_t rdev_major, rdev_minor;
  int64_t mtime_s, ctime_s;
  uint32_t mtime_ns, ctime_ns;
  uint32_t is_mount_root;  // the entry is the root of a mount (0 where the kernel cannot tell)
  uint32_t has_mount_id;   // the kernel says which mount the entry belongs to (Linux 5.8)
  uint64_t mount_id;
  uint32_t inode_flags;  // CLINUX_IMMUTABLE, CLINUX_APPEND, CLINUX_NODUMP: what statx(2) tells
  uint32_t reports_flags;  // statx(2) reports inode flags on this file system
};

// Inode flags (chattr(1)), in this project's own numbers (docs/format.md, "Trees").
enum { CLINUX_IMMUTABLE = 1, CLINUX_APPEND = 2, CLINUX_NODUMP = 4, CLINUX_NOCOW = 8 };

// What statfs(2) says of a file system.
struct clinux_volume {
  uint64_t type, block_bytes, max_name_bytes;
  uint32_t is_read_only, is_sized;
};
int clinux_statfs(int fd, struct clinux_volume *to);

enum { CLINUX_CWD = -100 };

int clinux_openat(int dir, const uint8_t *path, size_t n, int flags, uint32_t mode);
int clinux_close(int fd);
int64_t clinux_read(int fd, void *to, size_t n);
int64_t clinux_pread(int fd, void *to, size_t n, int64_t offset);
int64_t clinux_write(int fd, const void *from, size_t n);
int64_t clinux_pwrite(int fd, const void *from, size_t n, int64_t offset);
int clinux_fsync(int fd);
int clinux_syncfs(int fd);
int clinux_set_direct(int fd, int is_on);
// Marks open files from this number on: programs that are started do not get them.
void clinux_close_on_exec(int first);
int clinux_sync_start(int fd, int64_t offset, int64_t n);
int clinux_write_back(int fd, int64_t offset, int64_t n);
int clinux_ftruncate(int fd, int64_t size);
int64_t clinux_seek_data(int fd, int64_t offset);
int64_t clinux_seek_hole(int fd, int64_t offset);
int64_t clinux_getdents(int fd, void *to, size_t n);
int64_t clinux_seek_start(int fd);
// The type of the file's file system (statfs(2)); 0 where it cannot be asked.
uint64_t clinux_file_system_type(int fd);
// The directory is the root of a btrfs subvolume that is read-only and a snapshot of another one.
int clinux_is_read_only_snapshot(int fd);
// The same for any read-only subvolume that the file lies in.
int clinux_is_read_only_subvolume(int fd);
// A directory as it is below whatever is mounted on its entries (open_tree, Linux 5.2; CAP_SYS_ADMIN).
int clinux_open_uncovered(int fd);
int clinux_statx(int dir, const uint8_t *path, size_t n, int follow, struct clinux_stat *to);
int clinux_fstat(int fd, struct clinux_stat *to);
int clinux_renameat(int from_dir, const uint8_t *from, size_t from_n, int to_dir,
                    const uint8_t *to, size_t to_n, unsigned flags);
int clinux_linkat(int from_dir, const uint8_t *from, size_t from_n, int to_dir, const uint8_t *to,
                  size_t to_n);
extern const int clinux_o_tmpfile;
extern const int clinux_o_direct;
extern const int clinux_o_path;
int clinux_link_open(int fd, int to_dir, const uint8_t *to, size_t to_n);
int clinux_unlinkat(int dir, const uint8_t *path, size_t n, int is_dir);
int clinux_mkdirat(int dir, const uint8_t *path, size_t n, uint32_t mode);
int clinux_symlinkat(const uint8_t *target, size_t target_n, int dir, const uint8_t *path,
                     size_t n);
int64_t clinux_readlinkat(int dir, const uint8_t *path, size_t n, uint8_t *to, size_t to_n);
int clinux_mknodat(int dir, const uint8_t *path, size_t n, uint32_t mode, uint32_t major,
                   uint32_t minor);
int clinux_fchownat(int dir, const uint8_t *path, size_t n, uint32_t uid, uint32_t gid);
int clinux_fchown(int fd, uint32_t uid, uint32_t gid);
int clinux_fchmod(int fd, uint32_t mode);
int clinux_fchmodat(int dir, const uint8_t *path, size_t n, uint32_t mode);
int clinux_set_mtime_at(int dir, const uint8_t *path, size_t n, int64_t s, uint32_t ns);
int clinux_set_mtime(int fd, int64_t s, uint32_t ns);
int clinux_flock(int fd, int exclusive, int wait);
// Locks one byte of a file, which need not have it, for its open file description (F_OFD_SETLK).
int clinux_lock_byte(int fd, int64_t at, int exclusive, int wait);
// Releases all locks of an open file description, also those that a child process inherited.
void clinux_unlock(int fd);
// The inode flags of an open file (FS_IOC_GETFLAGS): the four above, or a negative errno.
int clinux_inode_flags(int fd);
// Sets exactly these four inode flags; all others stay.
int clinux_set_inode_flags(int fd, uint32_t flags);

// Extended attributes of the entry itself (never of what a symbolic link points to). `path` is
// relative to `dir`; with n == 0 the attributes of `dir` itself. Reached through /proc/self/fd.
int64_t clinux_listxattr(int dir, const uint8_t *path, size_t n, char *to, size_t to_n);
int64_t clinux_getxattr(int dir, const uint8_t *path, size_t n, const char *name, void *to,
                        size_t to_n);
int clinux_setxattr(int dir, const uint8_t *path, size_t n, const char *name, const void *value,
                    size_t value_n);
int clinux_removexattr(int dir, const uint8_t *path, size_t n, const char *name);

int64_t clinux_clock_real_ns(void);
int64_t clinux_clock_monotonic_ns(void);
int clinux_random(void *to, size_t n);
int clinux_raise_file_limit(void);
// Makes the process's table of descriptors large enough for `count` of them, where that is allowed.
void clinux_widen_descriptors(int count);
uint32_t clinux_processors(void);
int64_t clinux_free_bytes(int fd);
int clinux_terminal_columns(int fd);
int clinux_rename_exclusive_flag(void);
int clinux_rename_exchange_flag(void);
// Free inodes of the file's file system; INT64_MAX where it does not count them.
int64_t clinux_free_nodes(int fd);
// Makes all of `to` share the blocks of `from` (FICLONE).
int clinux_clone(int from, int to);
// Whether files below the directory can share blocks: tried on two nameless files. 1 or 0.
int clinux_can_clone(int dir);
// The bytes of the file's extents that no other file shares (FS_IOC_FIEMAP; Documentation/filesystems/fiemap.rst
// of Linux). An error if the file system does not tell.
int64_t clinux_exclusive_bytes(int fd);

// Starts a program with pipes as its standard streams. `pipes`: ours of stdin, stdout, stderr, which
// do not block. Signals are as a fresh program expects them. Returns the process id.
int clinux_spawn(const char *program, char *const arguments[], char *const environment[],
                 int pipes[3]);
// Waits for the process. Its exit status; 128 + the signal that ended it.
int clinux_pipe(int ends[2]);
// One program of a pipeline, in a folder; stdin is /dev/null where input is negative, stderr always.
int clinux_spawn_stage(const char *program, char *const arguments[], char *const environment[],
                       int dir, int input, int output);
int clinux_wait(int process);
// Starts a program, found in PATH, with our standard streams. Returns the process or -errno.
int clinux_spawn_inheriting(const char *program, char *const arguments[],
                            char *const environment[]);

// Sends one datagram to a Unix socket without waiting; '@' begins an abstract name. Returns 0 or -errno.
int clinux_send_datagram(const char *path, const void *bytes, size_t count);
// Ends the process (SIGKILL).
void clinux_kill(int process);
// Like clinux_write, but a reader that has gone is -EPIPE, never a signal.
int64_t clinux_write_pipe(int fd, const void *from, size_t n);
// Writes two buffers as one, like clinux_write_pipe.
int64_t clinux_write_pipe_pair(int fd, const void *a, size_t a_n, const void *b, size_t b_n);
// Waits at most so many milliseconds until `read_fd` can be read (bit 0) or `write_fd` written (bit 1); -1 leaves
// one out. An end of file and an error count as ready. 0 after the time.
int clinux_wait_stream(int read_fd, int write_fd, int milliseconds);
// Calls on the file return -EAGAIN instead of waiting.
int clinux_set_nonblocking(int fd);
// Two connected stream sockets.
int clinux_socket_pair(int ends[2]);
// Sends the end of a stream socket's bytes; the other direction stays open.
void clinux_end_output(int fd);
// Asks for a pipe's buffer of so many bytes. Other files, and a refusal, stay as they are.
void clinux_widen_pipe(int fd, int bytes);
// Waits until one of the files can be read, or `write_fd` written; -1 leaves one out.
// Bit i of the result: files[i] is ready; bit 7: `write_fd` is.
int clinux_wait_ready(const int files[2], int write_fd);

// `environ`.
char **clinux_environment(void);

// Makes the kernel get the memory of each large buffer back when it is freed (mallopt(3)). Without this, the
// first one that is freed raises glibc's threshold for mappings, up to 32 MiB, and later ones stay in heaps.
void clinux_return_freed_memory(void);

// Makes lookups of host names use /etc/hosts and DNS only, whatever /etc/nsswitch.conf says.
void clinux_limit_host_lookup(void);

// The program's arguments as the kernel handed them over. (Swift's own come from
// /proc/self/cmdline, which may be missing or unreadable.)
int clinux_argument_count(void);
// The argument at a place below the count.
const char *clinux_argument(int index);

// Opens what is closed of the three standard streams, so that no file that is opened later gets one of
// their numbers: input is empty, and what is written to the others fails.
void clinux_fill_standard_streams(void);
// Moves standard input and output to other numbers. Then input is empty, and output goes to standard error.
int clinux_take_standard_streams(int ends[2]);
// Has a signal ignored from now on.
void clinux_ignore_signal(int signal);

// Bit of a byte in the pipe of clinux_catch_interrupts: the kernel sent the signal, as for Ctrl-C.
enum { CLINUX_FROM_KERNEL = 0x80 };
// A pipe that gets the number of each SIGHUP, SIGINT, SIGQUIT and SIGTERM as a byte from now on, in place of
// their default action (a signal that is ignored stays ignored). Returns its reading end, or a negative errno.
// Once only.
int clinux_catch_interrupts(void);
// Gives the caught signals their default action back.
void clinux_restore_interrupts(void);
// Gives a signal its default action back and sends it to this process.
void clinux_die_of(int signal);

// A thread that runs `body(context)`; returns a handle for clinux_thread_join, or NULL.
// `stack`: its size in bytes; 0 for the system's default.
void *clinux_thread_start(void (*body)(void *), void *context, size_t stack);
void clinux_thread_join(void *thread);
// A thread that nobody waits for.
int clinux_thread_detached(void (*body)(void *), void *context);

#include "CLinuxRun.h"

#endif
