// What zstd.h declares for ZSTD_STATIC_LINKING_ONLY, its experimental part, and Swift cannot see: a piece of a frame that
// leans on nothing before it, from a libzstd without threads; and decoding into its place.
#ifndef CZSTDEXPERIMENTAL_H
#define CZSTDEXPERIMENTAL_H
#include <stddef.h>

/// Whether this libzstd lets a piece be begun so: a static one does, a shared one hides what is needed.
int czstd_can_begin_segments(void);
/// The blocks of `source`, as libzstd's own threads make a piece that is not a frame's first.
/// Returns their size, or an error as ZSTD_isError knows it. `context` is a ZSTD_CCtx.
size_t czstd_segment(void *context, int level, int window_log, void *target, size_t room,
                   const void *source, size_t count);

/// The sizes of a job of the zstd tool: its plain bytes, and the bytes before it that it may refer to.
typedef struct {
  size_t job_bytes;
  size_t overlap_bytes;
} czstd_job_sizes;
/// Returns the sizes of jobs at a level, in a frame with a window of 1 << `window_log` bytes.
czstd_job_sizes czstd_sizes_of_jobs(int level, int window_log);
/// The largest window that a level uses, as a power of two.
int czstd_window_log(int level);
/// The blocks of one job as libzstd's threads make them, without the frame's header. `source` has `history` bytes
/// before the job and `count` bytes of its own; none before it means the first job. `last` ends the frame.
/// `target` needs room for ZSTD_compressBound(history + count) + 1024 bytes. Returns the size of the blocks, or an
/// error as ZSTD_isError knows it. `context` is a ZSTD_CCtx.
typedef struct {
  int level;
  int window_log;
  size_t job_bytes;
  size_t history;
  size_t count;
  int last;
} czstd_job;
size_t czstd_compress_job(void *context, const czstd_job *job, const void *source, void *target, size_t room);

/// Tells `context`, a ZSTD_DCtx, that the place of a frame's content stays the same from call to call, and that
/// its checksum is not wanted. A libzstd that knows no such settings decodes with a window, and a checksum, of its own.
void czstd_decode_in_place(void *context);
#endif
