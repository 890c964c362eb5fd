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

/// Tells `context`, a ZSTD_DCtx, that the place of a frame's content stays the same from call to call, and that
/// its checksum is not wanted. A libzstd that knows no such settings decodes with a window, and a checksum, of its own.
void czstd_decode_in_place(void *context);
#endif
