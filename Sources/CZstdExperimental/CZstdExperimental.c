#define ZSTD_STATIC_LINKING_ONLY
#define ZSTD_DISABLE_DEPRECATE_WARNINGS
#include "include/CZstdExperimental.h"
#include <zstd.h>

size_t ZSTD_invalidateRepCodes(ZSTD_CCtx *context) __attribute__((weak));

int czstd_can_begin_segments(void) { return ZSTD_invalidateRepCodes != 0; }

// What zstdmt_compress.c does for each piece behind the first (zstd 1.4.0 and later).
size_t czstd_segment(void *opaque, int level, int window_log, void *target, size_t room,
                   const void *source, size_t count) {
  ZSTD_CCtx *context = opaque;
  ZSTD_parameters parameters = ZSTD_getParams(level, 0, 0);
  parameters.cParams.windowLog = (unsigned)window_log;
  parameters.fParams.contentSizeFlag = 0;
  parameters.fParams.checksumFlag = 0;
  parameters.fParams.noDictIDFlag = 1;
  size_t status =
      ZSTD_compressBegin_advanced(context, NULL, 0, parameters, ZSTD_CONTENTSIZE_UNKNOWN);
  if (ZSTD_isError(status)) return status;
  // The frame's header, which is thrown away, and the offsets that a frame begins with.
  char header[ZSTD_FRAMEHEADERSIZE_MAX];
  status = ZSTD_compressContinue(context, header, sizeof header, source, 0);
  if (ZSTD_isError(status)) return status;
  ZSTD_invalidateRepCodes(context);
  size_t made = 0, done = 0;
  while (done < count) {
    size_t n = count - done < ((size_t)512 << 10) ? count - done : (size_t)512 << 10;
    status = ZSTD_compressContinue(context, (char *)target + made, room - made,
                                   (const char *)source + done, n);
    if (ZSTD_isError(status)) return status;
    made += status;
    done += n;
  }
  return made;
}

void czstd_decode_in_place(void *context) {
  ZSTD_DCtx_setParameter(context, ZSTD_d_stableOutBuffer, 1);
#ifdef ZSTD_d_forceIgnoreChecksum
  ZSTD_DCtx_setParameter(context, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
#endif
}
