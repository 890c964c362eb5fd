// RE2 (github.com/google/re2), a C++ library, for Swift: expressions over bytes, matched in time linear in the text.
#ifndef CRE2_H
#define CRE2_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A compiled expression. Matching does not change it.
typedef struct cre2_expression cre2_expression;

/// Compiles an expression of RE2's syntax over bytes (Latin-1).
/// Returns NULL where RE2 refuses it, and writes the reason, ended by a NUL, to `reason`.
cre2_expression *cre2_compile(const char *pattern, size_t count, long long memory_bytes, char *reason,
                              size_t reason_bytes);
void cre2_free(cre2_expression *expression);

/// Returns the offset of the leftmost match at or after `start`; -1 where there is none.
ptrdiff_t cre2_find(const cre2_expression *expression, const char *text, size_t count, size_t start);

/// Returns the offset of the first `wanted` in `text`, in time linear in both; -1 where there is none.
ptrdiff_t cre2_find_literal(const char *text, size_t count, const char *wanted, size_t wanted_count);

#ifdef __cplusplus
}
#endif
#endif
