#define ZSTD_STATIC_LINKING_ONLY
#define ZSTD_DISABLE_DEPRECATE_WARNINGS
#include "include/CZstdExperimental.h"
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

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

static ZSTD_compressionParameters job_parameters(int level, int window_log) {
  ZSTD_compressionParameters parameters = ZSTD_getCParams(level, 0, 0);
  // The window of a known, small content is that content, and the tables are adjusted to it.
  if ((unsigned)window_log < parameters.windowLog)
    parameters = ZSTD_getCParams(level, 1ull << window_log, 0);
  return parameters;
}

// ZSTDMT_overlapLog_default of zstdmt_compress.c.
static int overlap_log(ZSTD_strategy strategy) {
  return strategy == ZSTD_btultra2 ? 9 : strategy >= ZSTD_btopt ? 8 : strategy >= ZSTD_lazy2 ? 7 : 6;
}

int czstd_window_log(int level) { return (int)ZSTD_getCParams(level, 0, 0).windowLog; }

// ZSTDMT_computeTargetJobLog and ZSTDMT_computeOverlapSize.
czstd_job_sizes czstd_sizes_of_jobs(int level, int window_log) {
  ZSTD_compressionParameters parameters = job_parameters(level, window_log);
  unsigned job_log = parameters.windowLog + 2 < 20 ? 20 : parameters.windowLog + 2;
  int overlap = (int)parameters.windowLog - (9 - overlap_log(parameters.strategy));
  czstd_job_sizes sizes = {(size_t)1 << job_log, overlap > 0 ? (size_t)1 << overlap : 0};
  return sizes;
}

static size_t set_job_parameters(ZSTD_CCtx *context, const czstd_job *job, int threads) {
  ZSTD_compressionParameters parameters = job_parameters(job->level, job->window_log);
  struct {
    ZSTD_cParameter name;
    int value;
  } settings[] = {
      {ZSTD_c_compressionLevel, job->level}, {ZSTD_c_windowLog, (int)parameters.windowLog},
      {ZSTD_c_hashLog, (int)parameters.hashLog}, {ZSTD_c_chainLog, (int)parameters.chainLog},
      {ZSTD_c_searchLog, (int)parameters.searchLog}, {ZSTD_c_minMatch, (int)parameters.minMatch},
      {ZSTD_c_targetLength, (int)parameters.targetLength}, {ZSTD_c_strategy, (int)parameters.strategy},
      {ZSTD_c_contentSizeFlag, 0}, {ZSTD_c_checksumFlag, 0},
      {ZSTD_c_nbWorkers, 1}, {ZSTD_c_jobSize, (int)job->job_bytes},
      {ZSTD_c_overlapLog, overlap_log(parameters.strategy)},
  };
  size_t count = sizeof settings / sizeof *settings - (threads ? 0 : 3);
  ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
  for (size_t i = 0; i < count; i++) {
    size_t status = ZSTD_CCtx_setParameter(context, settings[i].name, settings[i].value);
    if (ZSTD_isError(status)) return status;
  }
  return 0;
}

// What ZSTDMT_compressionJob does. The stream interface begins the frame, because it completes the parameters.
static size_t compress_job_alone(ZSTD_CCtx *context, const czstd_job *job, const char *source, char *target,
                                 size_t room) {
  size_t status = set_job_parameters(context, job, 0);
  if (ZSTD_isError(status)) return status;
  status = ZSTD_CCtx_setParameter(context, ZSTD_c_forceMaxWindow, job->history > 0);
  if (ZSTD_isError(status)) return status;
  if (job->history > 0) {
    status = ZSTD_CCtx_refPrefix_advanced(context, source, job->history, ZSTD_dct_rawContent);
    if (ZSTD_isError(status)) return status;
  }
  char header[ZSTD_FRAMEHEADERSIZE_MAX];
  ZSTD_outBuffer output = {header, sizeof header, 0};
  ZSTD_inBuffer input = {source, 0, 0};
  status = ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue);
  if (ZSTD_isError(status)) return status;
  status = ZSTD_compressContinue(context, header, sizeof header, source, 0);
  if (ZSTD_isError(status)) return status;
  if (job->history > 0) ZSTD_invalidateRepCodes(context);
  source += job->history;
  size_t made = 0, done = 0;
  do {
    size_t rest = job->count - done, n = rest < ((size_t)512 << 10) ? rest : (size_t)512 << 10;
    int ends = job->last && n == rest;
    if (n == 0 && !ends) break;
    status = ends ? ZSTD_compressEnd(context, target + made, room - made, source + done, n)
                  : ZSTD_compressContinue(context, target + made, room - made, source + done, n);
    if (ZSTD_isError(status)) return status;
    made += status;
    done += n;
  } while (done < job->count);
  return made;
}

static size_t feed_job(ZSTD_CCtx *context, const char *source, size_t count, ZSTD_EndDirective end,
                       ZSTD_outBuffer *output) {
  ZSTD_inBuffer input = {source, count, 0};
  for (;;) {
    size_t left = ZSTD_compressStream2(context, output, &input, end);
    if (ZSTD_isError(left) || (left == 0 && input.pos == input.size)) return left;
    if (output->pos == output->size) return (size_t)-ZSTD_error_dstSize_tooSmall;
  }
}

// The job as the second one of a frame, after one of its history, which is thrown away.
static size_t compress_job_on_thread(ZSTD_CCtx *context, const czstd_job *job, const char *source, char *target,
                                     size_t room) {
  size_t status = set_job_parameters(context, job, 1);
  if (ZSTD_isError(status)) return status;
  ZSTD_outBuffer output = {target, room, 0};
  size_t start = 0;
  if (job->history > 0) {
    status = feed_job(context, source, job->history, ZSTD_e_flush, &output);
    if (ZSTD_isError(status)) return status;
    start = output.pos;
  }
  status = feed_job(context, source + job->history, job->count, job->last ? ZSTD_e_end : ZSTD_e_flush, &output);
  // The frame is abandoned.
  ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
  if (ZSTD_isError(status)) return status;
  if (job->history == 0) start = ZSTD_frameHeaderSize(target, output.pos);
  if (ZSTD_isError(start)) return start;
  memmove(target, target + start, output.pos - start);
  return output.pos - start;
}

size_t czstd_compress_job(void *opaque, const czstd_job *job, const void *source, void *target, size_t room) {
  ZSTD_CCtx *context = opaque;
  if (ZSTD_invalidateRepCodes != 0) return compress_job_alone(context, job, source, target, room);
  return compress_job_on_thread(context, job, source, target, room);
}

void czstd_decode_in_place(void *context) {
  ZSTD_DCtx_setParameter(context, ZSTD_d_stableOutBuffer, 1);
#ifdef ZSTD_d_forceIgnoreChecksum
  ZSTD_DCtx_setParameter(context, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
#endif
}
