// A piece of a zstd frame that leans on nothing before it, from a libzstd without threads.
#ifndef CZSTDPIECE_H
#define CZSTDPIECE_H
#include <stddef.h>

/// Whether this libzstd lets a piece be begun so: a static one does, a shared one hides what is needed.
int czstd_can_begin_pieces(void);
/// The blocks of `source`, as libzstd's own threads make a piece that is not a frame's first.
/// Returns their size, or an error as ZSTD_isError knows it. `context` is a ZSTD_CCtx.
size_t czstd_piece(void *context, int level, int window_log, void *target, size_t room,
                   const void *source, size_t count);
#endif
