#include "CRE2.h"

#include <re2/re2.h>

#include <cstdio>
#include <cstring>
#include <new>

struct cre2_expression {
  RE2 expression;
  cre2_expression(const re2::StringPiece &pattern, const RE2::Options &options)
      : expression(pattern, options) {}
};

cre2_expression *cre2_compile(const char *pattern, size_t count, long long memory_bytes, char *reason,
                              size_t reason_bytes) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  options.set_max_mem(memory_bytes);
  auto *made = new (std::nothrow) cre2_expression(re2::StringPiece(pattern, count), options);
  if (made == nullptr || !made->expression.ok()) {
    snprintf(reason, reason_bytes, "%s", made == nullptr ? "out of memory" : made->expression.error().c_str());
    delete made;
    return nullptr;
  }
  return made;
}

void cre2_free(cre2_expression *expression) { delete expression; }

ptrdiff_t cre2_find(const cre2_expression *expression, const char *text, size_t count, size_t start) {
  re2::StringPiece match;
  re2::StringPiece whole(text, count);
  if (!expression->expression.Match(whole, start, count, RE2::UNANCHORED, &match, 1)) return -1;
  return match.data() - text;
}

ptrdiff_t cre2_find_literal(const char *text, size_t count, const char *wanted, size_t wanted_count) {
  const void *match = memmem(text, count, wanted, wanted_count);
  return match == nullptr ? -1 : static_cast<const char *>(match) - text;
}
